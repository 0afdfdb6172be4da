//! Why a module cannot be executed.

use std::fmt;

/// Why a module cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The line in the PTX text, counted from 1.
    pub line: u32,
    /// What stands there.
    pub instruction: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: `{}`: {}", self.line, self.instruction, self.message)
    }
}

impl std::error::Error for DecodeError {}
