//! Models that learn through a bound of the log-likelihood: variational autoencoders and diffusion
//! models, trained on tables and pictures,
//! judged by their bounds, and kept in files.

mod examples;
mod judge;
mod model;
mod network;
mod run;
mod show;

pub use examples::Examples;
pub use judge::{Bounds, judge, judging};
pub use model::Model;
pub use network::Network;
pub use run::{Ending, News, Options, Run, train};
pub use show::{Drawn, decoded, draw, drawing, pictures, progress_sheet, reconstructions, schedule, strips, walk};
