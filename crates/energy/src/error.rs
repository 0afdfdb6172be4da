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
    /// An index beyond the end.
    Index {
        /// What was indexed.
        what: &'static str,
        /// The index given.
        index: usize,
        /// The number of items, which is above every legal index.
        count: usize,
    },
    /// A coupling of a variable with itself.
    SelfCoupling {
        /// The variable.
        variable: usize,
    },
    /// A dense matrix whose entries (k, l) and (l, k) differ.
    Asymmetric {
        /// k.
        row: usize,
        /// l.
        column: usize,
    },
    /// A line of a text that cannot be read.
    Text {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A method that does not exist for this problem.
    Unsupported {
        /// The method.
        what: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A count that does not fit the counters.
    Overflow {
        /// What was counted.
        what: &'static str,
    },
    /// The progress hook asked to stop.
    Cancelled,
    /// What the device that reads run on reports.
    Device(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { what, value, legal } => write!(f, "{what} is {value}; it must be {legal}"),
            Self::Length { what, got, expected } => write!(f, "{what} has {got} values; it must have {expected}"),
            Self::Index { what, index, count } => write!(f, "{what} {index} does not exist; there are {count}"),
            Self::SelfCoupling { variable } => {
                write!(f, "variable {variable} is coupled with itself; only two different variables can be coupled")
            }
            Self::Asymmetric { row, column } => {
                write!(f, "the couplings ({row}, {column}) and ({column}, {row}) differ; the matrix must be symmetric")
            }
            Self::Text { line, what } => write!(f, "line {line}: {what}"),
            Self::Unsupported { what, needs } => write!(f, "{what} needs {needs}"),
            Self::Overflow { what } => write!(f, "{what} exceeds 4294967295, the largest that the counters hold"),
            Self::Cancelled => write!(f, "cancelled"),
            Self::Device(reason) => write!(f, "{reason}"),
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

/// `Ok` if `index < count`, otherwise [`Error::Index`].
pub(crate) fn index(what: &'static str, index: usize, count: usize) -> Result<(), Error> {
    if index < count { Ok(()) } else { Err(Error::Index { what, index, count }) }
}

/// `count` as the counters hold it.
pub(crate) fn counter(what: &'static str, count: usize) -> Result<u32, Error> {
    u32::try_from(count).map_err(|_| Error::Overflow { what })
}
