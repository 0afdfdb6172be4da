//! What can be wrong with a file that is to be packed.

use core::fmt;

/// Why a file cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// It is no safetensors file, or ends too early.
    NotSafetensors,
    /// Its codes are no whole number of eights.
    NotEights,
    /// It has 4 GiB or more.
    TooLarge,
    /// What was packed is not what comes back, which no file should reach.
    Different,
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSafetensors => "the model is no safetensors file, or was cut short",
            Self::NotEights => "the model's codes of 5 bits are no whole number of eights",
            Self::TooLarge => "the model has 4 GiB or more",
            Self::Different => "the model does not come back from what it was packed into",
        })
    }
}

impl core::error::Error for PackError {}
