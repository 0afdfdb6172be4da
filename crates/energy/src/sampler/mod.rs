//! Samplers over batches of reads: each takes a problem, a chain, temperatures, the number of reads and
//! a seed.
//!
//! | sampler | gives | reference |
//! |---|---|---|
//! | [`anneal`] | low energies | Kirkpatrick, Gelatt and Vecchi 1983 |
//! | [`quantum_anneal`] | low energies, by a transverse field | Martoňák, Santoro and Tosatti 2002 |
//! | [`temper`] | equilibrium at every temperature | Marinari and Parisi 1992 |
//! | [`exchange`] | equilibrium at every temperature | Hukushima and Nemoto 1996 |
//! | [`jarzynski()`] | ratios of partition functions | Jarzynski 1997; Neal 2001 |
//! | [`population_anneal`] | log Z(β), equilibrium, low energies | Hukushima and Iba 2003; Machta 2010 |
//!
//! With the feature `std`, those that end in `_on` do the same on threads.
//!
//! Every one calls a hook after each sweep, which may cancel it; [`quiet`] is the one that does nothing.

mod anneal;
pub(crate) mod configurations;
mod crowd;
mod exchange;
mod families;
mod jarzynski;
mod ladder;
mod population;
mod progress;
mod quantum;
mod resample;
mod tempering;
#[cfg(feature = "std")]
mod threads;

pub use anneal::{Annealing, adaptive_schedule, anneal, anneal_replicas};
pub use exchange::{Exchange, exchange};
pub use jarzynski::{Work, jarzynski, jarzynski_from};
pub use population::{Population, PopulationSettings, PopulationStep, population_anneal};
pub(crate) use progress::report;
pub use progress::{Hook, Progress, quiet};
pub use quantum::{QuantumSettings, quantum_anneal};
pub use resample::{Resampling, resample};
pub use tempering::{Tempering, temper, tempering_weights, weights_from_energies};
#[cfg(feature = "std")]
pub use threads::{anneal_on, exchange_on, jarzynski_on, population_anneal_on, quantum_anneal_on};
