//! Asynchronous copies from global to shared memory (`cp.async`), and waiting for them.

use std::collections::VecDeque;

use super::{
    access::{Reach, put},
    block::Block,
    engine::Engine,
    lanes::each,
    span::{Span, part, spans},
    warp::{AsyncCopy, Warp},
};
use crate::{
    memory::{
        Memory,
        shadow::{Manner, Record},
    },
    program::{Given, Inst, Op},
};

/// The most copies of a block that are under way. As many words have the largest shared memory.
const MOST_COPIES: usize = 1 << 16;

impl Block {
    /// Begins a copy for each lane. Its bytes are there at once, but nobody may touch them before a wait.
    pub(super) fn async_copy(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::AsyncCopy { to, from, bytes, given } = &inst.op else { return };
        let bytes = *bytes;
        let Block { warps, memory, counters, profile, number: block, .. } = self;
        let warp = &mut warps[number];
        let mut reach = Reach::new(engine, memory, counters, &mut profile[at], (*block, number, at));
        let (targets, sources) = (spans(warp, to, bytes), spans(warp, from, bytes));
        let mut given_bytes = [bytes; 32];
        match given {
            Given::All => {}
            Given::Bytes(slot) => given_bytes = warp.get(*slot).map(|given| (given as u32 as usize).min(bytes)),
            Given::Unless(p, negated) => each(warp.predicate(*p, *negated), |lane| given_bytes[lane] = 0),
        }
        let read: [Span; 32] = std::array::from_fn(|lane| Span { bytes: given_bytes[lane], ..sources[lane] });
        reach.count(&read, active, false);
        reach.count(&targets, active, true);
        let threads: u32 = engine.threads.iter().product();
        let most = MOST_COPIES / threads as usize;
        let whole = given_bytes == [bytes; 32] && targets.iter().all(|target| target.memory == Memory::Shared);
        if whole && reach.copy_together(warp, &sources, &targets, active) {
            each(active, |lane| begin(warp, lane, targets[lane], most));
            return;
        }
        each(active, |lane| {
            let (given, target) = (given_bytes[lane], targets[lane]);
            let source = Span { bytes: given, ..sources[lane] };
            let aligned = reach.is_aligned(lane, sources[lane], false);
            if !aligned || given > 0 && !reach.is_inside(warp, lane, source, false) {
                return;
            }
            if !reach.may_touch(warp, lane, target, true) {
                return;
            }
            let mut words = [0; 4];
            if given == bytes {
                words = reach.read(warp, lane, source, Manner::Weak);
            } else {
                for byte in 0..given {
                    let [value, ..] = reach.read(warp, lane, part(source, byte, 1), Manner::Weak);
                    put(&mut words, byte, 1, value);
                }
            }
            reach.write(warp, lane, target, &words, Manner::Pending);
            if target.memory == Memory::Shared {
                begin(warp, lane, target, most);
            }
        });
    }

    /// Ends copies that lanes began: all but the latest `most` groups, or every one.
    pub(super) fn wait_copies(&mut self, number: usize, active: u32, most: Option<u32>) {
        let warp = &mut self.warps[number];
        let time = warp.time();
        let (copies, shadows) = (&mut warp.copies, &mut self.memory.shadows);
        each(active, |lane| {
            let end = match most {
                Some(most) => warp.committed[lane].saturating_sub(most),
                None => u32::MAX,
            };
            let Some(copies) = copies.get_mut(lane) else { return };
            while let Some(copy) = copies.pop_front_if(|copy| copy.group < end) {
                let thread = (number * 32 + lane) as u16;
                // From now on it is a plain write of this time.
                let how = |record| Record { manner: Manner::Weak, clock: time, ..record };
                shadows.settle(copy.offset / 4, copy.bytes / 4, thread, how);
            }
        });
    }
}

/// Notes a copy of a lane that is under way, at most so many.
fn begin(warp: &mut Warp, lane: usize, to: Span, most: usize) {
    if warp.copies.is_empty() {
        warp.copies.resize_with(32, VecDeque::new);
    }
    let (group, copies) = (warp.committed[lane], &mut warp.copies[lane]);
    // One that is never waited for is forgotten in the end, and then never over.
    if copies.len() >= most {
        copies.pop_front();
    }
    copies.push_back(AsyncCopy { group, offset: to.address as usize, bytes: to.bytes });
}
