use core::fmt;

/// What was wrong with an argument or with data.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// An entry of the data that has no place in them.
    Value {
        /// The point, counted from 0.
        row: usize,
        /// The coordinate, counted from 0.
        column: usize,
        /// The entry.
        value: f64,
        /// The legal values, in words.
        legal: &'static str,
    },
    /// Data whose likelihood has no maximum, or no finite one.
    Degenerate {
        /// What cannot be estimated.
        what: &'static str,
        /// Why.
        why: &'static str,
    },
    /// A covariance that is not positive definite, or whose determinant is lost in rounding.
    Singular {
        /// The mixture's component, counted from 0; 0 for a single Gaussian.
        component: usize,
        /// The coordinate that the ones before it determine, counted from 0.
        coordinate: usize,
    },
    /// The caller asked to stop.
    Stopped,
    /// Of several processes, one is gone.
    Lost,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { what, value, legal } => write!(f, "{what} is {value}; it must be {legal}"),
            Self::Length { what, got, expected } => write!(f, "{what} has {got} values; it must have {expected}"),
            Self::Value { row, column, value, legal } => {
                write!(f, "point {row}, coordinate {column} is {value}; it must be {legal}")
            }
            Self::Degenerate { what, why } => write!(f, "{what} cannot be estimated: {why}"),
            Self::Singular { component, coordinate } => write!(
                f,
                "the covariance of component {component} is singular: coordinate {coordinate} is determined by those before it"
            ),
            Self::Stopped => write!(f, "stopped"),
            Self::Lost => write!(f, "one of the processes that learn together is gone"),
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
