use alloc::string::String;
use core::fmt;

/// What was wrong with an argument.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A number outside its legal range.
    Range {
        /// The argument.
        what: &'static str,
        /// The value given.
        value: f64,
        /// The legal values, in words.
        legal: &'static str,
    },
    /// A slice of the wrong length.
    Length {
        /// The argument.
        what: &'static str,
        /// The length given.
        got: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A conversion that does not exist at this noise level, such as from ε
    /// to x₀ where α = 0.
    Singular {
        /// The prediction converted from.
        from: &'static str,
        /// The prediction converted to.
        to: &'static str,
        /// The signal's coefficient α.
        alpha: f64,
        /// The noise's coefficient σ.
        sigma: f64,
    },
    /// A name that is no sampler's, prediction's or schedule's.
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name given.
        got: String,
        /// The legal names.
        legal: &'static str,
    },
    /// A configuration's value that its key cannot have.
    Setting {
        /// The key.
        key: String,
        /// The value given.
        got: String,
        /// The legal values, in words.
        legal: &'static str,
    },
    /// The network gave a number that is not finite.
    Output {
        /// The evaluation, counted from 1.
        evaluation: usize,
        /// The number of evaluations.
        of: usize,
        /// The place of the first such number.
        index: usize,
        /// That number.
        value: f32,
    },
    /// A sampler was advanced after its last step.
    Finished,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { what, value, legal } => write!(f, "{what} is {value}; it must be {legal}"),
            Self::Length { what, got, expected } => write!(f, "{what} has {got} values; it must have {expected}"),
            Self::Singular { from, to, alpha, sigma } => {
                write!(f, "{from} does not determine {to} at alpha {alpha}, sigma {sigma}")
            }
            Self::Name { what, got, legal } => write!(f, "unknown {what} {got:?}; legal are {legal}"),
            Self::Setting { key, got, legal } => write!(f, "{key} is {got}; it must be {legal}"),
            Self::Output { evaluation, of, index, value } => {
                write!(f, "the network's output {index} at evaluation {evaluation} of {of} is {value}")
            }
            Self::Finished => write!(f, "the sampler has already taken its last step"),
        }
    }
}

impl core::error::Error for Error {}

/// `Ok` if `legal_if`, otherwise [`Error::Range`].
pub(crate) fn range(what: &'static str, value: f64, legal_if: bool, legal: &'static str) -> Result<(), Error> {
    if legal_if { Ok(()) } else { Err(Error::Range { what, value, legal }) }
}

/// `Ok` if the lengths are equal, otherwise [`Error::Length`].
pub(crate) fn length(what: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Length { what, got, expected }) }
}
