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
    /// Whether all that is wrong is a call of a function that a GPU's driver provides and the emulator has not.
    pub driver_function: bool,
}

impl DecodeError {
    /// Something wrong with what stands in a line.
    pub(super) fn new(line: u32, instruction: impl Into<String>, message: impl Into<String>) -> DecodeError {
        let (instruction, message) = (instruction.into(), message.into());
        let driver_function = message.ends_with(PROVIDED);
        DecodeError { line, instruction, message, driver_function }
    }
}

/// How a message ends that tells of a function of the driver.
pub(super) const PROVIDED: &str = "is not supported: a GPU's driver provides it";

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: `{}`: {}", self.line, self.instruction, self.message)
    }
}

impl std::error::Error for DecodeError {}
