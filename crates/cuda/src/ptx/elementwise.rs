//! Chains that end in stores.

use yuragi_graph::lowering::{Instruction, Store};

use super::{
    index::{Index, index},
    kernel::{Emitted, LONG, Operands, Params, THREADS, evaluate},
    tape::Tape,
    traced::Traced,
    walk::{Walk, halves, most_lanes},
};
use crate::launch::Argument;

/// The most blocks: enough to fill any device several times, while each thread finds several elements.
const MOST_BLOCKS: usize = 4096;
/// Threads below which more lanes a thread would leave a large device idle.
const BUSY: usize = 1 << 16;

/// A chain that ends in stores.
pub(super) struct Elementwise<'a> {
    count: usize,
    code: &'a [Instruction],
    stores: &'a [Store],
    params: Params,
    /// By instruction.
    loaded: Vec<Option<Walk>>,
    /// By store.
    stored: Vec<Walk>,
}

impl Elementwise<'_> {
    pub fn new<'a>(count: usize, code: &'a [Instruction], stores: &'a [Store], operands: &Operands) -> Elementwise<'a> {
        let mut params = Params::default();
        let load = |instruction: &Instruction| match instruction {
            Instruction::Load { input, view } => Some(Walk::new(&mut params, operands.inputs[*input], view)),
            _ => None,
        };
        let loaded = code.iter().map(load).collect();
        let store = |store: &Store| Walk::new(&mut params, operands.outputs[store.output], &store.view);
        let stored = stores.iter().map(store).collect();
        Elementwise { count, code, stores, params, loaded, stored }
    }

    /// A grid-stride loop over items of neighbouring elements, and a thread for each element that is left.
    pub fn emit(&self) -> Emitted {
        let mut lanes = self.lanes();
        loop {
            let items = self.count / lanes;
            let mut params = self.params.clone();
            let tape = Tape::new();
            if self.walks().all(|walk| walk.reach() < 1 << 32) && items < 1 << 31 {
                self.record::<u32>(&tape, params.add(Argument::U32(items as u32)), lanes);
            } else {
                self.record::<u64>(&tape, params.add(Argument::U64(items as u64)), lanes);
            }
            if tape.len() <= LONG || lanes == 1 {
                let blocks = items.div_ceil(THREADS).clamp(1, MOST_BLOCKS);
                return params.kernel(&tape, 0, [blocks, 1]);
            }
            lanes /= 2;
        }
    }

    fn walks(&self) -> impl Iterator<Item = &Walk> {
        self.loaded.iter().flatten().chain(&self.stored)
    }

    /// Elements of a thread at once: as many as one instruction moves, if every walk allows that.
    fn lanes(&self) -> usize {
        let legal = |&lanes: &usize| lanes <= self.count && self.walks().all(|walk| walk.allows(lanes));
        let busy = |&lanes: &usize| lanes <= 2 || self.count / lanes >= BUSY;
        halves(most_lanes(self.walks())).filter(legal).find(busy).unwrap_or(1)
    }

    fn record<I: Index>(&self, tape: &Tape, limit: usize, lanes: usize) {
        let (thread, threads) = tape.thread::<I>();
        let items = tape.size::<I>(limit);
        // Only threads with an item read at all: a chain may replace what it reads.
        tape.where_true(thread.less(items), || {
            tape.each([thread, items, threads], |item| self.item(tape, item, lanes))
        });
        let rest = self.count % lanes;
        if rest > 0 {
            tape.where_true(thread.less(index(rest)), || self.item(tape, items * lanes + thread, 1));
        }
    }

    /// Computes one item of so many neighbours.
    fn item<'t, I: Index>(&self, tape: &'t Tape, item: Traced<'t, I>, lanes: usize) {
        let address = |walk: &Walk| tape.address(walk.pointer, walk.place(item, lanes));
        let load = |walk: &Walk| walk.access(lanes).load(tape, address(walk));
        let loaded: Vec<Vec<_>> = self.loaded.iter().map(|walk| walk.as_ref().map_or_else(Vec::new, load)).collect();
        let lane = |lane: usize| evaluate(self.code, |number| loaded[number][lane]);
        let values: Vec<Vec<_>> = (0..lanes).map(lane).collect();
        for (store, walk) in self.stores.iter().zip(&self.stored) {
            let stored: Vec<_> = values.iter().map(|lane| lane[store.value.0]).collect();
            walk.access(lanes).store(tape, address(walk), &stored);
        }
    }
}
