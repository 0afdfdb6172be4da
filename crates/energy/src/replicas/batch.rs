use super::bits::BitReplicas;
use super::contract::Replicas;
use super::integer::Integers;
use super::reads::Reads;
use super::scalar::ScalarReplicas;
use crate::dynamics::Dynamics;
use crate::error::Error;
use crate::problem::{Problem, Variables};
use alloc::boxed::Box;

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
        Some(_) if Integers::new(problem).is_some() => 256,
        // Two groups of lanes: the draws of a vector are made for all of its reads.
        Some(_) => 64,
        None => 1,
    }
}

/// The fastest implementation here of these reads, each starting from its own uniform random
/// configuration.
///
/// # Errors
/// A problem that the chain is not for, or reads whose numbers do not fit.
pub fn batch<'a, D: Dynamics + 'a>(
    problem: &'a Problem,
    dynamics: D,
    reads: impl Into<Reads>,
    seed: u64,
) -> Result<Box<dyn Replicas + Send + 'a>, Error> {
    let reads = reads.into();
    match dynamics.two_state() {
        Some(chain) if problem.variables() == Variables::Spin && (reads.count > 2 || problem.table().is_dense()) => {
            Ok(Box::new(BitReplicas::new(problem, chain, reads, seed)?))
        }
        _ => Ok(Box::new(ScalarReplicas::new(problem, dynamics, reads, seed)?)),
    }
}
