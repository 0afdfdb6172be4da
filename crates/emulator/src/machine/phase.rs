//! Barriers in shared memory: what they have counted, and what was copied under them.

use crate::{
    memory::shadow::{Clocks, Record},
    tensor_map::Swizzle,
};

/// A part of shared memory that a tensor's box was copied to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boxed {
    pub begin: u64,
    pub end: u64,
    pub swizzle: Swizzle,
    /// The copy.
    pub record: Record,
}

/// A barrier in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase {
    pub expected: u32,
    pub pending: u32,
    /// Bytes that are still to come.
    pub bytes: i64,
    /// Of each warp, the lanes that have arrived in this phase.
    pub came: Vec<u32>,
    /// Phases that are over.
    pub number: u64,
    /// What arrived in this phase, and what had in all before it.
    pub arriving: Option<Clocks>,
    pub arrived: Option<Clocks>,
    /// Ranges of shared memory that copies of this phase, and of those before it, have written, with their threads.
    pub copies: Vec<(usize, usize, u16)>,
    pub ready: Vec<(usize, usize, u16)>,
}

/// The most ranges of shared memory that the barriers of a block remember; those of more copies are never over.
pub(super) const MOST_RANGES: usize = 1 << 18;

impl Phase {
    pub fn ranges(&self) -> usize {
        self.copies.len() + self.ready.len()
    }

    /// Notes that a lane arrives.
    pub fn come(&mut self, warp: usize, lane: usize) {
        if self.came.len() <= warp {
            self.came.resize(warp + 1, 0);
        }
        self.came[warp] |= 1 << lane;
    }

    pub fn join(&mut self, clocks: &Clocks) {
        match &mut self.arriving {
            Some(known) => known.join(clocks),
            None => self.arriving = Some(clocks.clone()),
        }
    }

    /// Begins the next phase if all that this one waits for has come.
    pub fn advance(&mut self) {
        if self.pending > 0 || self.bytes != 0 {
            return;
        }
        self.number += 1;
        self.came.clear();
        self.pending = self.expected;
        if let Some(arriving) = self.arriving.take() {
            match &mut self.arrived {
                Some(known) => known.join(&arriving),
                None => self.arrived = Some(arriving),
            }
        }
        self.ready.append(&mut self.copies);
    }
}
