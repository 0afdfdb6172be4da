//! What the blocks of a cluster know of each other: who has come to their barrier, and who was in whose shared memory.

use crate::{finding::Access, memory::shadow::Clocks};

/// The barrier of a cluster.
#[derive(Default)]
pub(super) struct Meeting {
    /// Of each warp, the lanes that have arrived, and those whose phase is over and that have not waited for it.
    pub came: Vec<u32>,
    pub passed: Vec<u32>,
    /// What those knew that arrive, and that had arrived in the phases that are over.
    pub arriving: Option<Clocks>,
    pub arrived: Option<Clocks>,
    /// The same of each warp's own time alone, which a `.relaxed` arrival tells as well.
    pub coming: Vec<u32>,
    pub gone: Vec<u32>,
}

/// A warp's latest access to the shared memory of another block.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    pub warp: usize,
    pub lane: usize,
    pub clock: u32,
    pub at: usize,
    pub access: Access,
}

/// What blocks of a cluster do in each other's shared memory.
#[derive(Default)]
pub(crate) struct Visits {
    /// Of each block.
    pub latest: Vec<Vec<Visit>>,
    /// A bit for each block whose threads have all exited.
    pub over: u32,
}
