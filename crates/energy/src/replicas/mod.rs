//! Many reads of one problem, swept together: what samplers are written on and what a GPU implements.
//!
//! A read is a Markov chain with its own draws: every draw is a function of (seed, sweep, site, read),
//! see [`draw`](crate::draw). Read r is therefore the same whichever reads run beside it, on one thread
//! or many, and by whichever implementation:
//!
//! | implementation | for | does |
//! |---|---|---|
//! | [`ScalarReplicas`] | every chain | one read after another |
//! | [`BitReplicas`] | single spins in a fixed order | 256 reads at once, one bit a spin: by integer adders on bits where couplings are small multiples of a power of two (multi-spin coding), else in f32 lanes; all-coupled problems keep their local fields |

mod bits;
mod dense;
mod integer;
mod lanes;
mod multi_spin;
mod planes;
mod scalar;

use crate::dynamics::Dynamics;
use crate::error::{Error, counter, length, range};
use crate::problem::{Problem, Variables};
use alloc::boxed::Box;
pub use bits::BitReplicas;
pub use scalar::ScalarReplicas;

/// All-coupled problems sum their local fields anew before every sweep whose number is a multiple of this.
pub const REFRESH: u32 = 128;

/// How many reads [`batch`] works on together at one temperature: the bits of a vector, or lanes.
///
/// Fewer reads, or a number that is no multiple of it, take the time of the next multiple.
///
/// ```
/// use yuragi_energy::{Bonds, Problem, dynamics::Metropolis, replicas::group};
/// let lattice = Problem::lattice(&[4, 4], Bonds::Uniform(1.0), &[])?;
/// assert_eq!([group(&lattice, &Metropolis), group(&lattice.to_dense()?, &Metropolis)], [256, 32]);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn group<D: Dynamics>(problem: &Problem, dynamics: &D) -> u32 {
    match dynamics.two_state() {
        Some(_) if problem.variables() != Variables::Spin => 1,
        Some(_) if problem.table().is_dense() => 32,
        Some(_) if integer::Integers::new(problem).is_some() => 256,
        // Two groups of lanes: the draws of a vector are made for all of its reads.
        Some(_) => 64,
        None => 1,
    }
}

/// Which reads: `first`, `first + 1`, …
///
/// ```
/// use yuragi_energy::replicas::Reads;
/// assert_eq!(Reads::try_from(3)?, Reads { first: 0, count: 3 });
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

/// A batch of reads. Slot i of the batch is read `first + i`, whatever configuration it holds.
///
/// An implementation is right if every method leaves the same configurations and energies as
/// [`ScalarReplicas`], bit for bit.
pub trait Replicas {
    /// The problem.
    fn problem(&self) -> &Problem;

    /// The number of reads.
    fn len(&self) -> usize;

    /// True without reads.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One sweep of every read, drawn as sweep number `sweep`.
    ///
    /// # Errors
    /// What [`Betas::check`] refuses.
    fn sweep(&mut self, sweep: u32, betas: Betas<'_>) -> Result<(), Error>;

    /// E of every read.
    ///
    /// # Errors
    /// `energies` not as long as there are reads.
    fn energies(&mut self, energies: &mut [f64]) -> Result<(), Error>;

    /// Slot i takes the configuration (and direction) that slot `parents[i]` had.
    ///
    /// # Errors
    /// `parents` not as long as there are reads, or a parent that does not exist.
    fn resample(&mut self, parents: &[u32]) -> Result<(), Error>;

    /// Copies out the configuration of slot `slot`.
    ///
    /// # Errors
    /// No such slot, or `values` not as long as there are variables.
    fn values(&self, slot: usize, values: &mut [u8]) -> Result<(), Error>;

    /// Replaces the configuration of slot `slot`; a lifted chain's direction becomes +1.
    ///
    /// # Errors
    /// No such slot, or values that do not fit.
    fn set_values(&mut self, slot: usize, values: &[u8]) -> Result<(), Error>;
}

/// The fastest implementation here of these reads, each starting from its own uniform random
/// configuration.
///
/// # Errors
/// A problem that the chain is not for, or reads whose numbers do not fit.
pub fn batch<'a, D: Dynamics + 'a>(
    problem: &'a Problem,
    dynamics: D,
    reads: Reads,
    seed: u64,
) -> Result<Box<dyn Replicas + 'a>, Error> {
    match dynamics.two_state() {
        Some(chain) if problem.variables() == Variables::Spin && (reads.count > 2 || problem.table().is_dense()) => {
            Ok(Box::new(BitReplicas::new(problem, chain, reads, seed)?))
        }
        _ => Ok(Box::new(ScalarReplicas::new(problem, dynamics, reads, seed)?)),
    }
}

/// `Ok` if `parents` are slots.
pub(crate) fn check_parents(parents: &[u32], count: usize) -> Result<(), Error> {
    length("the parents", parents.len(), count)?;
    parents.iter().try_for_each(|&parent| crate::error::index("slot", parent as usize, count))
}
