//! What came of a launch.

use crate::{
    counters::{Conflict, Counters, Line},
    finding::Finding,
};

/// What came of a launch.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong; nothing in a sound kernel.
    pub findings: Vec<Finding>,
    /// What it printed, at most [`MOST_PRINTED`](crate::MOST_PRINTED) bytes.
    pub printed: Vec<u8>,
    /// What was done.
    pub counters: Counters,
    /// The instructions that were executed, in the order of their lines.
    pub lines: Vec<Line>,
    /// Instructions with bank conflicts, the worst first.
    pub conflicts: Vec<Conflict>,
}
