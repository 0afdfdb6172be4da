//! The blocks of a launch, spread over the host's threads.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use super::{
    block::Block,
    engine::{Conflicts, Engine, lock},
    turns::Progress,
};
use crate::{
    counters::{Conflict, Counters},
    report::Report,
};

/// Instructions of a warp after which another block may run.
const SLICE: u64 = 1 << 20;

/// The same where all blocks wait for each other.
const COOPERATIVE_SLICE: u64 = 1 << 13;
/// Instructions of warps after which a launch is worth a second thread of the host.
const WORTH_A_THREAD: u64 = 1 << 14;

/// The most bytes that blocks which run by turns take, where one does not take more.
const MOST_RESIDENT_BYTES: u64 = 2 << 30;

fn join(sums: &mut Conflicts, other: &Conflicts) {
    for (&at, [passes, least]) in other {
        let sum = sums.entry(at).or_default();
        *sum = [sum[0] + passes, sum[1] + least];
    }
}

fn add(engine: &Engine<'_>, sums: &mut (Counters, Conflicts), block: &Block) {
    engine.count_again(&block.memory.reported);
    sums.0.add(&block.counters);
    join(&mut sums.1, &block.memory.conflicts);
}

impl Engine<'_> {
    /// Runs all blocks.
    pub fn run(self) -> Report {
        let count: u64 = self.grid.iter().map(|&n| u64::from(n)).product();
        let next = AtomicU64::new(0);
        let paused: Mutex<VecDeque<Block>> = Mutex::default();
        let total: Mutex<(Counters, Conflicts)> = Mutex::default();
        let threads = self.properties.host_threads.max(1).min(usize::try_from(count).unwrap_or(usize::MAX));
        let block_threads = self.threads.iter().product();
        let block_bytes =
            self.program.block_bytes(block_threads, u64::from(self.program.shared) + u64::from(self.dynamic_shared));
        let room = (MOST_RESIDENT_BYTES / block_bytes.max(1)).max(1);
        let resident = u64::from(self.properties.resident_blocks.max(1)).min(room);
        let finished = AtomicU64::new(0);
        let slice = if self.workspace == 0 { SLICE } else { COOPERATIVE_SLICE };
        let work = |alone: bool| {
            let mut sums = <(Counters, Conflicts)>::default();
            loop {
                let is_over = self.stopped.load(Relaxed) || finished.load(Relaxed) == count;
                if is_over || alone && self.instructions.load(Relaxed) > WORTH_A_THREAD {
                    break;
                }
                // New blocks first, as far as they may be resident; then those that wait for others.
                let begun = next.load(Relaxed);
                let may_begin = begun < count && begun - finished.load(Relaxed).min(begun) < resident;
                let fresh = may_begin.then(|| next.fetch_add(1, Relaxed)).filter(|&number| number < count);
                let block = match fresh {
                    Some(number) => Some(Block::new(&self, number as u32)),
                    None => lock(&paused).pop_front(),
                };
                let Some(mut block) = block else {
                    thread::yield_now();
                    continue;
                };
                match block.run(&self, slice) {
                    Progress::Done => {
                        add(&self, &mut sums, &block);
                        finished.fetch_add(1, Relaxed);
                    }
                    Progress::Paused => lock(&paused).push_back(block),
                }
            }
            let mut total = lock(&total);
            total.0.add(&sums.0);
            join(&mut total.1, &sums.1);
        };
        // A small launch is over before other threads would have begun.
        work(threads > 1);
        if threads > 1 && !self.is_stopped() && finished.load(Relaxed) < count {
            thread::scope(|scope| {
                (1..threads).for_each(|_| drop(scope.spawn(|| work(false))));
                work(false);
            });
        }
        for block in lock(&paused).iter() {
            add(&self, &mut lock(&total), block);
        }
        let mut findings = lock(&self.findings).list.split_off(0);
        findings.sort_by_key(|f| (f.at.line, f.kind));
        let (counters, by_instruction) = std::mem::take(&mut *lock(&total));
        let conflict = |(&at, &[passes, least]): (&usize, &[u64; 2])| {
            let inst = &self.program.code[at];
            Conflict { instruction: inst.text.to_string(), line: inst.line, passes, least }
        };
        let mut conflicts: Vec<Conflict> =
            by_instruction.iter().filter(|(_, [passes, least])| passes > least).map(conflict).collect();
        conflicts.sort_by_key(|c| (std::cmp::Reverse(c.passes - c.least), c.line));
        let printed = std::mem::take(&mut *lock(&self.printed));
        Report { findings, printed, counters, conflicts }
    }
}
