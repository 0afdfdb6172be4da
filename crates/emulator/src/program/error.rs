//! Why a module, or one of its kernels, cannot be executed.

use std::fmt;

/// Why a module, or one of its kernels, cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The line in the PTX text, counted from 1.
    pub line: u32,
    /// What stands there.
    pub instruction: String,
    /// What is wrong with it.
    pub message: String,
}

impl DecodeError {
    /// Something wrong with what stands in a line.
    pub(crate) fn new(line: u32, instruction: impl Into<String>, message: impl Into<String>) -> DecodeError {
        DecodeError { line, instruction: instruction.into(), message: message.into() }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: `{}`: {}", self.line, self.instruction, self.message)
    }
}

impl std::error::Error for DecodeError {}
