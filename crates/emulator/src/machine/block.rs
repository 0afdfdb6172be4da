//! A block: its warps, its shared memory, its barriers.

use std::collections::{HashMap, HashSet};

use super::{
    barrier::Arrived,
    engine::{Conflicts, Engine, Problem},
    hopper::{Boxed, Phase},
    warp::{Group, Place, State, Warp},
};
use crate::{
    counters::Counters,
    decode,
    finding::Kind,
    memory::{
        bytes::Bytes,
        shadow::{Clocks, Word},
    },
};

/// Whether a block is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    Paused,
}

/// Where a group goes after an instruction.
pub(crate) enum Flow {
    Next,
    /// Some lanes to another place, the rest on.
    Jump(u32, usize),
    /// The group has left, or waits.
    Gone,
}

/// A block.
pub(crate) struct Block {
    pub number: u32,
    pub warps: Vec<Warp>,
    pub memory: Shared,
    pub counters: Counters,
    pub(super) arrived: HashMap<u32, Arrived>,
}

/// What the warps of a block share.
pub(crate) struct Shared {
    pub bytes: Bytes,
    /// The last accesses to each word.
    pub words: Vec<Word>,
    /// What was published by atomics on shared memory, by offset.
    pub published: HashMap<u64, Clocks>,
    /// What is wrong with accesses by which instructions, as far as it was reported.
    pub reported: HashSet<(Kind, usize)>,
    /// The allocation that was last found.
    pub recent: usize,
    pub conflicts: Conflicts,
    /// Barriers in memory, by offset.
    pub phases: HashMap<u64, Phase>,
    /// Ranges that the barriers in memory remember, in all.
    pub ranges: usize,
    /// Where boxes of tensors were copied to.
    pub boxes: Vec<Boxed>,
    /// Of each warp, the time up to which bulk copies see its writes.
    pub proxied: Vec<u32>,
}

impl Block {
    pub fn new(engine: &Engine<'_>, number: u32) -> Block {
        let program = engine.program;
        let total = match engine.dynamic_shared {
            0 => u64::from(program.shared),
            dynamic => decode::dynamic_begin(program.shared.into()) + u64::from(dynamic),
        };
        let place = Place {
            block: engine.block_place(number),
            grid: engine.grid,
            threads: engine.threads,
            cluster: engine.cluster,
            sm: number % engine.properties.multiprocessors.max(1),
            sms: engine.properties.multiprocessors,
            launch: engine.launch,
            dynamic_shared: engine.dynamic_shared,
            total_shared: total as u32,
        };
        let threads: u32 = engine.threads.iter().product();
        let warps = threads.div_ceil(32) as usize;
        let words = if engine.check { vec![Word::default(); (total as usize).div_ceil(4)] } else { Vec::new() };
        Block {
            number,
            warps: (0..warps).map(|warp| Warp::new(program, &place, warp, warps)).collect(),
            memory: Shared {
                bytes: Bytes::new(total as usize),
                words,
                published: HashMap::new(),
                reported: HashSet::new(),
                recent: 0,
                conflicts: HashMap::new(),
                phases: HashMap::new(),
                ranges: 0,
                boxes: Vec::new(),
                proxied: Vec::new(),
            },
            counters: Counters::default(),
            arrived: HashMap::new(),
        }
    }

    /// Runs until all threads have exited, or about so many instructions were executed.
    pub fn run(&mut self, engine: &Engine<'_>, slice: u64) -> Progress {
        let mut left = slice;
        loop {
            let mut moved = false;
            for warp in 0..self.warps.len() {
                // A turn is short where warps may wait for each other's memory.
                let done = self.run_warp(engine, warp, 4096);
                moved |= done > 0;
                left = left.saturating_sub(done);
                if engine.is_stopped() {
                    return Progress::Done;
                }
            }
            let released = self.release_barriers(engine);
            if self.warps.iter().all(|warp| warp.live == 0) {
                return Progress::Done;
            }
            if !moved && !released && !self.force(engine) {
                self.warps.iter_mut().for_each(|warp| warp.live = 0);
                return Progress::Done;
            }
            if left == 0 {
                return Progress::Paused;
            }
        }
    }

    /// Runs one warp until it waits, or for so many instructions; says how many it executed.
    fn run_warp(&mut self, engine: &Engine<'_>, number: usize, most: u64) -> u64 {
        let (mut done, program) = (0, engine.program);
        while done < most {
            let Some(chosen) = self.warps[number].choose() else { break };
            let chosen = self.warps[number].merge(chosen);
            // Until this place other groups are not met.
            let group = self.warps[number].groups[chosen];
            let ahead = self.warps[number].groups.iter().filter(|g| g.state == State::Ready && g.at > group.at);
            let meeting = ahead.map(|g| g.at).min().unwrap_or(usize::MAX);
            let alone = self.warps[number].groups.len() == 1;
            let (mut at, lanes) = (group.at, group.lanes);
            loop {
                let Some(inst) = program.code.get(at) else {
                    self.problem(engine, Kind::Jump, number, lanes, at, "outside of the program".into());
                    engine.stop();
                    return done;
                };
                done += 1;
                let flow = self.step(engine, number, chosen, inst, at, lanes);
                match flow {
                    Flow::Next => at += 1,
                    Flow::Jump(taken, to) if taken == lanes => {
                        let back = to <= at;
                        at = to;
                        if back && (!alone || done >= most) {
                            self.warps[number].groups[chosen].at = at;
                            break;
                        }
                    }
                    Flow::Jump(taken, to) => {
                        let rest = lanes & !taken;
                        self.warps[number].groups[chosen] = Group { at: at + 1, lanes: rest, state: State::Ready };
                        self.warps[number].groups.push(Group { at: to, lanes: taken, state: State::Ready });
                        break;
                    }
                    Flow::Gone => break,
                }
                if at >= meeting || done >= most {
                    self.warps[number].groups[chosen].at = at;
                    break;
                }
            }
            if engine.is_stopped() {
                return done;
            }
        }
        let warp = &mut self.warps[number];
        warp.patience = if warp.groups.len() > 1 { warp.patience.saturating_add(done as u32) } else { 0 };
        if done > 0 && !engine.may_go_on(done) {
            let (at, lanes) = self.warps[number].groups.first().map_or((0, 1), |g| (g.at, g.lanes));
            let note = format!("after {} instructions of warps", engine.properties.step_limit);
            self.problem(engine, Kind::StepLimit, number, lanes, at, note);
            engine.stop();
        }
        done
    }

    /// Reports something that is wrong with an instruction, by the first of some lanes.
    pub fn problem(&self, engine: &Engine<'_>, kind: Kind, warp: usize, lanes: u32, at: usize, note: String) {
        let thread = warp as u32 * 32 + lanes.trailing_zeros().min(31);
        engine.report(Problem { kind, at, block: self.number, thread, access: None, other: None, note });
    }
}

/// Calls a function with each lane of a set.
#[inline(always)]
pub(crate) fn each(mut lanes: u32, mut f: impl FnMut(usize)) {
    while lanes != 0 {
        f(lanes.trailing_zeros() as usize);
        lanes &= lanes - 1;
    }
}
