use crate::error::{Error, counter, length, range};
use alloc::vec::Vec;

/// Which reads: `first`, `first + 1`, …
///
/// ```
/// use yuragi_energy::replicas::Reads;
/// assert_eq!([Reads::from(3), Reads::try_from(3_usize)?], [Reads { first: 0, count: 3 }; 2]);
/// assert_eq!(Reads::try_from(5..9)?, Reads { first: 5, count: 4 });
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// The number of the first read.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl From<u32> for Reads {
    fn from(count: u32) -> Self {
        Self { first: 0, count }
    }
}

impl TryFrom<usize> for Reads {
    type Error = Error;

    fn try_from(count: usize) -> Result<Self, Error> {
        Ok(Self { first: 0, count: counter("the number of reads", count)? })
    }
}

impl TryFrom<core::ops::Range<usize>> for Reads {
    type Error = Error;

    fn try_from(reads: core::ops::Range<usize>) -> Result<Self, Error> {
        counter("the last read", reads.end)?;
        let first = counter("the first read", reads.start)?;
        Ok(Self { first, count: counter("the number of reads", reads.len())? })
    }
}

impl Reads {
    /// Every read as so many, one after another: those of a ladder of temperatures.
    ///
    /// # Errors
    /// Numbers that do not fit.
    ///
    /// ```
    /// use yuragi_energy::replicas::Reads;
    /// assert_eq!(Reads { first: 2, count: 5 }.times(10)?, Reads { first: 20, count: 50 });
    /// assert!(Reads::from(1 << 20).times(1 << 20).is_err());
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    pub fn times(self, many: usize) -> Result<Self, Error> {
        let times = |number: u32| u32::try_from(many).ok()?.checked_mul(number);
        match (times(self.first), times(self.count)) {
            (Some(first), Some(count)) => Self { first, count }.check(),
            _ => Err(Error::Overflow { what: "the number of reads times temperatures" }),
        }
    }

    /// `Ok` if the numbers of all reads fit.
    pub(crate) fn check(self) -> Result<Self, Error> {
        self.first.checked_add(self.count).ok_or(Error::Overflow { what: "the number of the last read" })?;
        Ok(self)
    }
}

/// The inverse temperature of each read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Betas<'a> {
    /// One for all.
    Same(f32),
    /// One each.
    Each(&'a [f32]),
}

impl Betas<'_> {
    /// `Ok` if these are legal for `count` reads: finite, at least 0.
    ///
    /// # Errors
    /// A wrong number of them, or one that is negative or not finite.
    pub fn check(self, count: usize) -> Result<(), Error> {
        let legal = |beta: f32| range("beta", beta.into(), beta >= 0.0 && beta.is_finite(), "finite and at least 0");
        match self {
            Self::Same(beta) => legal(beta),
            Self::Each(betas) => {
                length("the inverse temperatures", betas.len(), count)?;
                betas.iter().try_for_each(|&beta| legal(beta))
            }
        }
    }

    /// That of read number `i` of the batch.
    pub(crate) fn of(self, i: usize) -> f32 {
        match self {
            Self::Same(beta) => beta,
            Self::Each(betas) => betas.get(i).copied().unwrap_or(0.0),
        }
    }
}

/// Who has so many children each, as often.
pub(crate) fn parents(children: &[u32]) -> Vec<u32> {
    (0..).zip(children).flat_map(|(parent, &count)| core::iter::repeat_n(parent, count as usize)).collect()
}

/// `Ok` if `parents` are slots.
pub(crate) fn check_parents(parents: &[u32], count: usize) -> Result<(), Error> {
    length("the parents", parents.len(), count)?;
    parents.iter().try_for_each(|&parent| crate::error::index("slot", parent as usize, count))
}
