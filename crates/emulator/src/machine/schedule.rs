//! The blocks of a launch, spread over the host's threads.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use super::{
    block::Block,
    engine::{Engine, lock},
    turns::Progress,
};
use crate::{
    counters::{Class, Conflict, Counters, Line, Tally},
    program::{Inst, Op},
    report::Report,
};

/// Instructions of a warp after which another block may run.
const SLICE: u64 = 1 << 20;

/// The same where all blocks wait for each other.
const COOPERATIVE_SLICE: u64 = 1 << 13;
/// Instructions of warps after which a launch is worth a second thread of the host.
const WORTH_A_THREAD: u64 = 1 << 14;

/// How often a thread looks for a block in vain before it sleeps, and how long.
const MOST_VAIN: u32 = 64;
const PAUSE: Duration = Duration::from_micros(50);

/// The most bytes that blocks which run by turns take, where one does not take more.
const MOST_RESIDENT_BYTES: u64 = 2 << 30;

/// What blocks did, in all and by instruction.
#[derive(Default)]
struct Sums {
    counters: Counters,
    profile: Vec<Tally>,
}

impl Sums {
    fn add(&mut self, counters: &Counters, profile: &[Tally]) {
        self.counters.add(counters);
        if self.profile.len() < profile.len() {
            self.profile.resize(profile.len(), Tally::default());
        }
        self.profile.iter_mut().zip(profile).for_each(|(sum, one)| sum.add(one));
    }

    fn add_block(&mut self, block: &Block) {
        self.add(&block.counters, &block.profile);
    }

    /// Fills in what follows from how often each instruction was executed.
    fn complete(mut self, code: &[Inst]) -> Sums {
        let counters = &mut self.counters;
        for (inst, tally) in code.iter().zip(&self.profile) {
            counters.by_class[inst.class as usize] += tally.issued;
            counters.lane_instructions += tally.lanes;
            counters.flops += match &inst.op {
                Op::Map { a, .. } if matches!(inst.class, Class::Float32 | Class::Float64 | Class::Half) => {
                    tally.lanes * if a[2] != 0 { 2 } else { 1 }
                }
                _ => 0,
            };
        }
        self
    }
}

impl Engine<'_> {
    /// Runs all blocks.
    pub fn run(self) -> Report {
        // Clusters, of one block where nothing else was asked for.
        let blocks = u64::from(self.layout.blocks);
        let count = self.grid.iter().map(|&n| u64::from(n)).product::<u64>() / blocks;
        let next = AtomicU64::new(0);
        let paused: Mutex<VecDeque<Block>> = Mutex::default();
        let total: Mutex<Sums> = Mutex::default();
        let threads = self.properties.host_threads.max(1).min(usize::try_from(count).unwrap_or(usize::MAX));
        let block_threads = self.threads.iter().product();
        let block_bytes =
            self.program.block_bytes(block_threads, u64::from(self.program.shared) + u64::from(self.dynamic_shared));
        let room = MOST_RESIDENT_BYTES / block_bytes.max(1);
        let resident = (u64::from(self.properties.resident_blocks).min(room) / blocks).max(1);
        let finished = AtomicU64::new(0);
        let slice = if self.workspace == 0 { SLICE } else { COOPERATIVE_SLICE };
        let work = |alone: bool| {
            let mut sums = Sums::default();
            // Of a block that is over its room is used again.
            let (mut spare, mut vain) = (None, 0_u32);
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
                    Some(number) => Some(Block::new(&self, number as u32, spare.take())),
                    None => lock(&paused).pop_front(),
                };
                let Some(mut block) = block else {
                    vain += 1;
                    if vain < MOST_VAIN {
                        thread::yield_now()
                    } else {
                        thread::sleep(PAUSE)
                    }
                    continue;
                };
                vain = 0;
                match block.run(&self, slice) {
                    Progress::Done => {
                        self.count_again(&block.memory.reported);
                        spare.replace(block).iter().for_each(|block| sums.add_block(block));
                        finished.fetch_add(1, Relaxed);
                    }
                    Progress::Paused => lock(&paused).push_back(block),
                }
            }
            spare.iter().for_each(|block| sums.add_block(block));
            lock(&total).add(&sums.counters, &sums.profile);
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
            self.count_again(&block.memory.reported);
            lock(&total).add_block(block);
        }
        self.check_awaited();
        let mut findings = lock(&self.findings).list.split_off(0);
        findings.sort_by_key(|f| (f.at.line, f.kind));
        let Sums { counters, profile } = std::mem::take(&mut *lock(&total)).complete(&self.program.code);
        let executed = self.program.code.iter().zip(profile).filter(|(_, tally)| tally.issued > 0);
        let line = |(inst, tally): (&Inst, Tally)| Line {
            line: inst.line,
            source: inst.source.clone(),
            instruction: inst.text.clone(),
            tally,
        };
        let mut lines: Vec<Line> = executed.map(line).collect();
        lines.sort_by_key(|line| line.line);
        let conflict = |line: &Line| {
            let Tally { passes, least_passes: least, .. } = line.tally;
            Conflict { instruction: line.instruction.to_string(), line: line.line, passes, least }
        };
        let mut conflicts: Vec<Conflict> = lines.iter().map(conflict).filter(|c| c.passes > c.least).collect();
        conflicts.sort_by_key(|c| (std::cmp::Reverse(c.passes - c.least), c.line));
        let printed = std::mem::take(&mut *lock(&self.printed));
        Report { findings, printed, counters, lines, conflicts }
    }
}
