//! What came of a launch.

use crate::{
    counters::{Conflict, Counters},
    finding::Finding,
};

/// What came of a launch.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong; nothing in a sound kernel.
    pub findings: Vec<Finding>,
    /// What was done.
    pub counters: Counters,
    /// Instructions with bank conflicts, the worst first.
    pub conflicts: Vec<Conflict>,
}
