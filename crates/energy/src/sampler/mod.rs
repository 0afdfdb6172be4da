//! Samplers over batches of reads: each takes [`Replicas`](crate::Replicas) and temperatures. Which machine sweeps the
//! reads is the batch's matter: [`batch()`](crate::replicas::batch()) on this thread,
//! [`Threads`](crate::replicas::Threads) on several, and a GPU's give the same samples, read by read.
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
//! Every one calls a hook after each sweep, which may cancel it (a batch may run several sweeps together, later); [`quiet`] is the one that does nothing.

mod anneal;
mod census;
mod exchange;
mod families;
mod jarzynski;
mod ladder;
mod population;
mod progress;
mod quantum;
mod resample;
mod tempering;

pub use anneal::{Annealing, adaptive_schedule, anneal};
pub use exchange::{Exchange, Exchanging, exchange};
pub use jarzynski::{Work, jarzynski, jarzynski_from};
pub use population::{Population, PopulationSettings, PopulationStep, population_anneal};
pub use progress::{Hook, Progress, quiet, report};
pub use quantum::{QuantumSettings, quantum_anneal};
pub use resample::{Resampling, resample};
pub use tempering::{Tempering, temper, tempering_weights, weights_from_energies};
