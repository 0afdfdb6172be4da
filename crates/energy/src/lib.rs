//! Energy functions of discrete variables, and all that is done with them: Markov chains, annealing,
//! free energies and learning.
//!
//! | module | holds |
//! |---|---|
//! | [`problem`] | Ising and Potts problems: sparse, dense, lattice; from QUBO and from dimod |
//! | [`exact`] | enumeration; Kaufman's, Onsager's and Yang's answers for the square lattice |
//! | [`draw`] | random draws as pure functions of (seed, sweep, site, read) |
//! | [`dynamics`] | Markov chains: Metropolis, heat bath, Suwa–Todo, lifted, Metropolis–Hastings |
//! | [`master`] | the exact transition matrix of a chain, with balance and detailed balance |
//! | [`replicas`] | batches of reads: the trait that samplers stand on; multi-spin coding |
//! | [`heapless`] | chains and restricted Boltzmann machines over the caller's slices: nothing is allocated |
//! | [`schedule`] | an inverse temperature for every sweep |
//! | [`sampler`] | annealing, quantum annealing, tempering, exchange, Jarzynski, population annealing |
//! | [`shares`] | numbers of many items that ranks compute together |
//! | [`statistics`] | estimates with errors, autocorrelation times |
//! | [`boltzmann`] | learning couplings: exact, CD, PCD, pseudo-likelihood, minimum probability flow |
//! | [`minimize`](mod@minimize) | L-BFGS |
//! | [`rbm`] | restricted Boltzmann machines: block Gibbs, free energy, CD-k and PCD, log Z |
//! | [`neural`] | any differentiable energy as a graph: minimum probability flow, contrastive divergence, Langevin |
//! | [`deep`] | deep belief networks and deep Boltzmann machines: greedy learning, bounds, fine-tuning |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod boltzmann;
pub mod deep;
pub mod draw;
pub mod dynamics;
mod error;
pub mod exact;
pub mod heapless;
pub mod master;
pub mod minimize;
pub mod neural;
mod parallel;
pub mod problem;
pub mod rbm;
pub mod replicas;
mod sample_set;
pub mod sampler;
pub mod schedule;
pub mod shares;
pub mod statistics;

pub use error::Error;
pub use problem::{BetaRange, Bonds, Coordinates, Problem, Spins, Variables, Vartype, spin};
pub use replicas::{Reads, Replicas};
pub use sample_set::{Sample, SampleSet};
pub use schedule::Schedule;
