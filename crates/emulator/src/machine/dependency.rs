//! What launches that begin early (programmatic dependent launch) may not do before they wait for the one before them.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    block::Block,
    engine::{Engine, Problem},
    lanes::each,
    span::spans,
};
use crate::{
    finding::Kind,
    memory::Memory,
    program::{Inst, Op, Side},
    ptx::Space,
};

impl Block {
    /// Reports lanes that have not waited and touch global memory, but for constants.
    #[cold]
    pub(super) fn check_dependency(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, lanes: u32) {
        let (address, bytes, write) = match &inst.op {
            Op::Load { address, .. } if address.space == Space::Constant => return,
            Op::Load { address, d, bytes, .. } => (address, bytes * d.len(), false),
            Op::Store { address, a, bytes, .. } => (address, bytes * a.len(), true),
            Op::Atomic { address, b, bytes, .. } => (address, bytes * b.len(), true),
            Op::AsyncCopy { from, bytes, .. } => (from, *bytes, false),
            Op::Fragment(fragment) => (&fragment.address, fragment.bytes, fragment.store),
            Op::ChangeMap { address, .. } => (address, 8, true),
            Op::CopyMap { to, .. } => (to, 16, true),
            Op::Bulk(copy) => match &copy.far {
                Side::Linear { address, .. } => (address, 16, copy.barrier.is_none()),
                Side::Tensor { .. } => return self.early(engine, number, at, lanes, copy.barrier.is_none()),
            },
            Op::Fetch(_) => return self.early(engine, number, at, lanes, false),
            Op::Surface(access) => return self.early(engine, number, at, lanes, access.store),
            _ => return,
        };
        let (warp, mut reach) = self.reach(engine, number, at);
        let spans = spans(warp, address, bytes);
        each(lanes, |lane| {
            let span = spans[lane];
            let is_constant = |place: usize| engine.allocations[place].constant;
            if span.memory == Memory::Global && !reach.allocation(span).is_some_and(is_constant) {
                reach.report(Kind::Dependency, lane, span, write, None, |_| note(write).into());
            }
        });
    }

    /// The same of lanes whose addresses are not their own.
    fn early(&self, engine: &Engine<'_>, number: usize, at: usize, lanes: u32, write: bool) {
        self.problem(engine, Kind::Dependency, number, lanes, at, note(write).into());
    }
}

fn note(write: bool) -> &'static str {
    if write {
        "writes global memory before griddepcontrol.wait"
    } else {
        "reads global memory before griddepcontrol.wait"
    }
}

impl Engine<'_> {
    /// Reports a launch of which no thread waited: it may be over before the one before it, which nobody behind it waits for.
    pub(super) fn check_awaited(&self) {
        if self.dependent && !self.awaited.load(Relaxed) && !self.is_stopped() {
            let note = "no thread executes griddepcontrol.wait: the launch may be over before the one before it".into();
            let (kind, at) = (Kind::Dependency, self.program.entry);
            self.report(Problem { kind, at, block: 0, thread: 0, access: None, other: None, note });
        }
    }
}
