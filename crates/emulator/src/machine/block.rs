//! A block: its warps, its shared memory, its barriers.

use std::collections::HashMap;

use super::{
    engine::{Engine, Problem},
    fragments::Fragments,
    meeting::{Meeting, Visits},
    phase::{Boxed, Phase},
    warp::{Place, Warp},
};
use crate::{
    counters::{Counters, Tally},
    finding::Kind,
    memory::{bytes::Bytes, quads::Shadows, shadow::Clocks},
};

/// A block, or those of a cluster, one behind the other.
pub(crate) struct Block {
    /// Of the block, or of the cluster.
    pub number: u32,
    pub warps: Vec<Warp>,
    pub memory: Shared,
    pub counters: Counters,
    /// The instructions of warps before it began.
    pub(super) begun: u64,
    /// What each instruction of the program did.
    pub profile: Vec<Tally>,
    pub(super) fragments: Fragments,
    pub(super) arrived: HashMap<u32, Arrived>,
    /// The barrier of the cluster.
    pub(super) meeting: Meeting,
    /// Instructions that another thread could see the effect of, or that could see another's.
    pub(super) events: u64,
    /// Turns of warps that ended with a wait in vain.
    pub(super) vain_turns: u64,
    /// Turns of all warps, the last ones in a row, in which nothing else happened.
    pub(super) idle: u32,
}

/// A barrier to which some only arrive.
#[derive(Default)]
pub(super) struct Arrived {
    pub threads: u32,
    pub clocks: Option<Clocks>,
}

/// What the warps of a block share.
pub(crate) struct Shared {
    pub bytes: Bytes,
    /// The last accesses to each word.
    pub shadows: Shadows,
    /// What was published by atomics on shared memory, by offset.
    pub published: HashMap<u64, Clocks>,
    /// What is wrong with accesses by which instructions, as far as it was reported, and how often again.
    pub reported: HashMap<(Kind, usize), u64>,
    /// The allocation that was last found.
    pub recent: usize,
    /// Barriers in memory, by offset.
    pub phases: HashMap<u64, Phase>,
    /// Ranges that the barriers in memory remember, in all.
    pub ranges: usize,
    /// Where boxes of tensors were copied to.
    pub boxes: Vec<Boxed>,
    /// Of each warp, the time up to which bulk copies see its writes.
    pub proxied: Vec<u32>,
    pub visits: Visits,
}

impl Block {
    /// A block at the beginning of a program, in the room of one that is over: what that did is counted on in it.
    pub fn new(engine: &Engine<'_>, number: u32, spare: Option<Block>) -> Block {
        let program = engine.program;
        let total = program.shared_bytes(engine.dynamic_shared);
        let (_, reserved) = program.all_shared_bytes(engine.dynamic_shared);
        let layout = &engine.layout;
        let place = |rank: u32| Place {
            block: engine.block_place(number, rank),
            grid: engine.grid,
            threads: engine.threads,
            cluster: engine.cluster,
            rank,
            layout: *layout,
            sm: (number * layout.blocks + rank) % engine.properties.multiprocessors.max(1),
            sms: engine.properties.multiprocessors,
            launch: engine.launch,
            dynamic_shared: engine.dynamic_shared,
            total_shared: total as u32,
            workspace: engine.workspace,
            reserved: reserved as u32,
            dependent: engine.dependent,
        };
        let (mut registers, mut shadows, mut bytes, counters, profile, fragments) = match spare {
            Some(Block { warps, memory: Shared { shadows, bytes, .. }, counters, profile, fragments, .. }) => {
                let registers: Vec<_> = warps.into_iter().map(|warp| warp.registers).collect();
                (registers, shadows, bytes, counters, profile, fragments)
            }
            None => {
                let profile = vec![Tally::default(); program.code.len()];
                (Vec::new(), Shadows::default(), Bytes::default(), Counters::default(), profile, Fragments::default())
            }
        };
        let whole = layout.all_bytes() as usize;
        shadows.clear(if engine.check { whole.div_ceil(4) } else { 0 });
        bytes.clear(whole);
        // What CUDA keeps begins as zeros.
        for begin in (0..layout.blocks).map(|rank| layout.of_rank(0, rank) as usize) {
            (reserved as usize..layout.bytes as usize).step_by(8).for_each(|at| bytes.write(begin + at, 8, 0));
        }
        let all = layout.blocks as usize * layout.warps;
        let mut warps = Vec::with_capacity(all);
        for rank in 0..layout.blocks {
            let place = place(rank);
            for warp in 0..layout.warps {
                warps.push(Warp::new(program, &place, warp, (warps.len(), all), registers.pop()));
            }
        }
        Block {
            number,
            warps,
            memory: Shared {
                bytes,
                shadows,
                published: HashMap::new(),
                reported: HashMap::new(),
                recent: 0,
                phases: HashMap::new(),
                ranges: 0,
                boxes: Vec::new(),
                proxied: Vec::new(),
                visits: Visits::default(),
            },
            begun: counters.warp_instructions,
            counters,
            profile,
            fragments,
            arrived: HashMap::new(),
            meeting: Meeting::default(),
            events: 0,
            vain_turns: 0,
            idle: 0,
        }
    }

    /// Reports something that is wrong with an instruction, by the first of some lanes.
    pub fn problem(&self, engine: &Engine<'_>, kind: Kind, warp: usize, lanes: u32, at: usize, note: String) {
        let thread = warp as u32 * 32 + lanes.trailing_zeros().min(31);
        engine.report(Problem { kind, at, block: self.number, thread, access: None, other: None, note });
    }
}
