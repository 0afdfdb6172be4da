//! The parts of a visit.
//!
//! Those that use the driver have a process of their own, for a kernel that fails spoils its process. What several tests
//! share a process for is asked again one by one where it failed.

pub mod conformance;
pub mod growth;
mod plans;
pub mod programs;
mod published;
pub mod pytorch;
mod samplers;
pub mod sanitizer;
mod shapes;

use super::{effort::Effort, record::Outcome};

/// Runs, in this process, a part of this name; of the conformance a slice of the cases.
///
/// # Errors
/// No part of this name, no driver, or what the device says.
pub fn alone(name: &str, slice: conformance::Slice, effort: Effort) -> Outcome {
    match name {
        "conformance" => conformance::alone(slice),
        "samplers" => samplers::alone(effort),
        "plans" => plans::alone(effort),
        "published" => published::alone(effort),
        "growth" => growth::alone(effort),
        "shapes" => shapes::alone(effort),
        _ => Err(format!("there is no part {name}").into()),
    }
}
