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
//! | [`Ranks`] | every chain | a share of the reads on each of several processes, by any implementation there |
//! | [`Threads`] | every chain | parts of the reads, by the implementation that [`batch()`] takes, on threads |

mod batch;
mod bits;
mod chunk;
mod contract;
mod dense;
mod integer;
pub(crate) mod lanes;
mod multi_spin;
pub(crate) mod planes;
mod ranks;
mod reads;
mod scalar;
mod threads;

pub use batch::{batch, group};
pub use bits::BitReplicas;
pub use contract::{REFRESH, Replicas};
pub use ranks::Ranks;
pub(crate) use reads::parents;
pub use reads::{Betas, Reads};
pub use scalar::ScalarReplicas;
pub use threads::Threads;
