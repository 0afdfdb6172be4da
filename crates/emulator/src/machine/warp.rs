//! A warp: 32 lanes with their registers, in groups that share a place in the program.

use std::collections::VecDeque;

use yuragi_numeric::simd::vectorize;

use super::layout::Layout;
use crate::{
    memory::{RANK_BIT, bytes::Bytes, shadow::Clocks},
    program::{Choose, Lanes, Op, Program, Put, Room, Slot, Special},
};

/// What keeps a group from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Ready,
    /// Lanes of the mask that have not come yet.
    AtWarp,
    /// The block's barrier of this number, and how many threads it is for.
    AtBarrier(u32, Option<u32>),
    /// The barrier of its cluster.
    AtCluster,
}

/// Lanes at one place of the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub at: usize,
    pub lanes: u32,
    pub state: State,
}

/// An asynchronous copy under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncCopy {
    /// The lane's group of copies that it belongs to.
    pub group: u32,
    pub offset: usize,
    pub bytes: usize,
}

/// What a function had before it was called again while it ran: of one lane, its registers, and the bytes of its local
/// memory that were written.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    registers: Vec<u64>,
    predicates: Vec<bool>,
    local: Vec<Option<u8>>,
}

/// A call that has not returned.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The instruction.
    pub at: usize,
    /// Which of its targets.
    pub choice: usize,
    /// The function's first instruction.
    pub begin: usize,
    pub saved: Option<Box<Saved>>,
}

/// A warp.
pub(crate) struct Warp {
    /// In its block, or among all of its cluster.
    pub number: usize,
    /// The rank of its block.
    pub rank: u32,
    pub layout: Layout,
    pub registers: Vec<Lanes>,
    pub predicates: Vec<u32>,
    /// The carry flags.
    pub carry: u32,
    /// Lanes that exist.
    pub lanes: u32,
    /// Lanes that have not exited.
    pub live: u32,
    pub groups: Vec<Group>,
    /// Of each lane, the calls that have not returned; of none before the first call.
    pub calls: Vec<Vec<Frame>>,
    /// Of each lane.
    pub local: Vec<Bytes>,
    pub clocks: Clocks,
    /// Of each warp of the cluster, the time at which it came to the cluster's last barrier.
    pub met: Vec<u32>,
    /// What was over at the last fence.
    pub fenced: Option<Clocks>,
    /// What relaxed waits have seen, and the next fence makes known.
    pub awaited: Option<Clocks>,
    /// Of each lane, the copies under way, of none before the first one, and the number of groups committed.
    pub copies: Vec<VecDeque<AsyncCopy>>,
    pub committed: [u32; 32],
    /// Instructions since another group was last preferred.
    pub patience: u32,
    /// How often all its lanes came together without a barrier.
    pub phase: u8,
    /// Lanes that may touch global memory: in a launch that begins early, those that have waited for the one before it.
    pub awaited_launch: u32,
    /// Whether the last instruction was a wait in vain, so that it is another warp's turn.
    pub waits: bool,
}

/// What a warp's special registers are computed from.
pub(crate) struct Place {
    pub block: [u32; 3],
    pub grid: [u32; 3],
    pub threads: [u32; 3],
    pub cluster: [u32; 3],
    pub rank: u32,
    pub layout: Layout,
    pub sm: u32,
    pub sms: u32,
    pub launch: u64,
    pub dynamic_shared: u32,
    pub total_shared: u32,
    pub workspace: u64,
    pub reserved: u32,
    pub dependent: bool,
}

impl Place {
    /// The thread of this number in its block.
    pub fn thread(&self, number: u32) -> [u32; 3] {
        let [x, y, _] = self.threads;
        [number % x, number / x % y, number / x / y]
    }

    /// A special register of all lanes.
    fn specials(&self, special: Special, warp: u32) -> Lanes {
        use Special::{Laneid, LanesAbove, LanesBelow, LanesEqual, LanesFrom, LanesUpTo, Tid};
        match special {
            Tid(0) if self.threads[0].is_multiple_of(32) => {
                let first = warp * 32 % self.threads[0];
                std::array::from_fn(|lane| u64::from(first) + lane as u64)
            }
            Tid(_) | Laneid | LanesEqual | LanesBelow | LanesUpTo | LanesAbove | LanesFrom => {
                std::array::from_fn(|lane| self.special(special, warp, lane as u32))
            }
            Special::Shared(address) => [address + (u64::from(self.rank) << RANK_BIT); 32],
            _ => [self.special(special, warp, 0); 32],
        }
    }

    fn special(&self, special: Special, warp: u32, lane: u32) -> u64 {
        let count: u32 = self.threads.iter().product();
        let in_cluster = |axis: usize| self.block[axis] % self.cluster[axis];
        u64::from(match special {
            // Known as a whole above.
            Special::Shared(_) => 0,
            Special::Tid(axis) => self.thread((warp * 32 + lane).min(count - 1))[axis],
            Special::Ntid(axis) => self.threads[axis],
            Special::Ctaid(axis) => self.block[axis],
            Special::Nctaid(axis) => self.grid[axis],
            Special::ClusterId(axis) => self.block[axis] / self.cluster[axis],
            Special::NclusterId(axis) => self.grid[axis] / self.cluster[axis],
            Special::ClusterCtaid(axis) => in_cluster(axis),
            Special::ClusterNctaid(axis) => self.cluster[axis],
            Special::ClusterCtarank => self.rank,
            Special::ClusterNctarank => self.cluster.iter().product(),
            Special::IsExplicitCluster => u32::from(self.cluster != [1; 3]),
            Special::Laneid => lane,
            Special::Warpid => warp,
            Special::Nwarpid => count.div_ceil(32),
            Special::Smid => self.sm,
            Special::Nsmid => self.sms,
            Special::Gridid => self.launch as u32,
            Special::LanesEqual => 1 << lane,
            Special::LanesBelow => (1 << lane) - 1,
            Special::LanesUpTo => ((1 << lane) - 1) | (1 << lane),
            Special::LanesAbove => !(((1 << lane) - 1) | (1 << lane)),
            Special::LanesFrom => !((1 << lane) - 1),
            Special::DynamicSharedBytes => self.dynamic_shared,
            Special::TotalSharedBytes => self.total_shared,
            Special::Reserved(offset) => self.reserved + offset + (self.rank << RANK_BIT),
            Special::Workspace(half) => (self.workspace >> (32 * half)) as u32,
        })
    }
}

impl Warp {
    /// A warp of a block at the beginning of a program, in the registers of an earlier one; `among` is its number among
    /// all warps of its cluster, and how many those are.
    pub fn new(
        program: &Program,
        place: &Place,
        number: usize,
        among: (usize, usize),
        spare: Option<Vec<Lanes>>,
    ) -> Warp {
        let threads: u32 = place.threads.iter().product();
        let count = (threads - 32 * number as u32).min(32);
        let lanes = if count == 32 { u32::MAX } else { (1 << count) - 1 };
        let mut registers = spare.unwrap_or_default();
        registers.resize(program.slots, [0; 32]);
        match &program.unwritten {
            Some(slots) => slots.iter().for_each(|&slot| registers[slot as usize] = [0; 32]),
            None => registers.as_flattened_mut().fill(0),
        }
        for &(slot, value) in &program.constants {
            registers[slot as usize] = [value; 32];
        }
        for &(slot, special) in &program.specials {
            registers[slot as usize] = place.specials(special, number as u32);
        }
        let has_local = program.local > 0;
        let (first, all) = among;
        Warp {
            number: first,
            rank: place.rank,
            layout: place.layout,
            registers,
            predicates: vec![0; program.predicates],
            carry: 0,
            lanes,
            live: lanes,
            groups: vec![Group { at: program.entry, lanes, state: State::Ready }],
            calls: Vec::new(),
            local: if has_local { vec![Bytes::new(program.local as usize); 32] } else { Vec::new() },
            clocks: Clocks::new(first, all),
            met: Vec::new(),
            fenced: None,
            awaited: None,
            copies: Vec::new(),
            committed: [0; 32],
            patience: 0,
            phase: 0,
            awaited_launch: if place.dependent { !lanes } else { u32::MAX },
            waits: false,
        }
    }

    /// What a function has now, of one lane.
    pub fn save(&self, room: &Room, lane: usize) -> Box<Saved> {
        let byte = |local: &Bytes, at: usize| local.is_written(at, 1).then(|| local.read(at, 1) as u8);
        let local = self.local.get(lane);
        let range = room.local.start as usize..room.local.end as usize;
        Box::new(Saved {
            registers: room.registers.clone().map(|slot| self.registers[slot as usize][lane]).collect(),
            predicates: room.predicates.clone().map(|p| self.predicates[p as usize] >> lane & 1 == 1).collect(),
            local: local.map(|local| range.map(|at| byte(local, at)).collect()).unwrap_or_default(),
        })
    }

    /// Gives that back.
    pub fn restore(&mut self, room: &Room, lane: usize, saved: &Saved) {
        for (slot, &value) in room.registers.clone().zip(&saved.registers) {
            self.registers[slot as usize][lane] = value;
        }
        for (p, &holds) in room.predicates.clone().zip(&saved.predicates) {
            self.set_predicate(p, 1 << lane, if holds { u32::MAX } else { 0 });
        }
        if let Some(local) = self.local.get_mut(lane) {
            let bytes = (room.local.start as usize..).zip(&saved.local);
            bytes.for_each(|(at, byte)| byte.iter().for_each(|&byte| local.write(at, 1, byte.into())));
        }
    }

    /// The warp's own time.
    pub fn time(&self) -> u32 {
        self.clocks.warps[self.number]
    }

    /// Makes all that was done so far older than all that follows.
    pub fn tick(&mut self) {
        let time = &mut self.clocks.warps[self.number];
        *time = time.saturating_add(1);
    }

    pub fn get(&self, slot: Slot) -> &Lanes {
        &self.registers[slot as usize]
    }

    /// Executes an instruction that touches nothing but registers; whether it is one.
    #[inline(always)]
    pub fn compute(&mut self, op: &Op, active: u32) -> bool {
        match op {
            Op::Map { f, d, a } => f(&mut self.registers, *d, a, active),
            Op::Compare { f, a, b, p, q, upper, combine } => {
                let holds = f(self.get(*a), self.get(*b));
                let other = upper.as_ref().map_or(!holds, |upper| upper(self.get(*a), self.get(*b)));
                let (yes, no) = match combine {
                    Some(c) => {
                        let with = self.predicate(c.with, c.negated);
                        ((c.f)(holds, with), (c.f)(other, with))
                    }
                    None => (holds, other),
                };
                p.iter().for_each(|&p| self.set_predicate(p, active, yes));
                q.iter().for_each(|&q| self.set_predicate(q, active, no));
            }
            Op::Set { f, a, b, d, yes, combine } => {
                let holds = f(self.get(*a), self.get(*b));
                let holds = combine.map_or(holds, |c| (c.f)(holds, self.predicate(c.with, c.negated)));
                let values = std::array::from_fn(|lane| if holds >> lane & 1 == 1 { *yes } else { 0 });
                self.set(*d, active, &values);
            }
            Op::Select { d, a, b, p, negated } => {
                let predicate = self.predicate(*p, *negated);
                let registers = &mut self.registers;
                vectorize(Choose { registers, to: *d, from: [*a, *b], predicate, lanes: active });
            }
            Op::Predicate { f, p, a, b } => {
                let value = f(self.predicates[*a as usize], self.predicates[*b as usize]);
                self.set_predicate(*p, active, value);
            }
            Op::PredicateFill { p, value } => self.set_predicate(*p, active, if *value { u32::MAX } else { 0 }),
            Op::Nothing => {}
            _ => return false,
        }
        true
    }

    /// Writes some lanes of a register.
    pub fn set(&mut self, slot: Slot, lanes: u32, values: &Lanes) {
        let register = &mut self.registers[slot as usize];
        vectorize(Put { register, values, lanes });
    }

    pub fn predicate(&self, slot: Slot, negated: bool) -> u32 {
        let value = self.predicates[slot as usize];
        if negated { !value } else { value }
    }

    pub fn set_predicate(&mut self, slot: Slot, lanes: u32, value: u32) {
        let predicate = &mut self.predicates[slot as usize];
        *predicate = *predicate & !lanes | value & lanes;
    }

    /// The ready group to run: that of the least place, so that groups meet again where their paths do;
    /// another one now and then, so that none waits for ever.
    pub fn choose(&mut self) -> Option<usize> {
        let ready = |group: &Group| group.state == State::Ready;
        let places = self.groups.iter().enumerate().filter(|(_, g)| ready(g));
        let least = places.clone().min_by_key(|(_, g)| g.at).map(|(i, _)| i)?;
        if self.patience < PATIENCE {
            return Some(least);
        }
        self.patience = 0;
        places.map(|(i, _)| i).find(|&i| i != least).or(Some(least))
    }

    /// Joins ready groups at the same place with that of this number; gives its new number.
    pub fn merge(&mut self, mut chosen: usize) -> usize {
        let Group { at, state, .. } = self.groups[chosen];
        let mut other = 0;
        while other < self.groups.len() {
            let group = self.groups[other];
            if other != chosen && group.at == at && group.state == state {
                self.groups[chosen].lanes |= group.lanes;
                self.groups.swap_remove(other);
                if chosen == self.groups.len() {
                    chosen = other;
                }
            } else {
                other += 1;
            }
        }
        chosen
    }
}

/// Of some lanes at a warp-wide instruction, those that execute it with the first one, since they have the
/// same mask; and before them the lanes of that mask.
pub(crate) fn members(registers: &[Lanes], op: &Op, lanes: u32) -> (u32, u32) {
    let mask = match op {
        Op::WarpBarrier { mask }
        | Op::Vote { mask, .. }
        | Op::Shuffle { mask, .. }
        | Op::Match { mask, .. }
        | Op::Reduce { mask, .. }
        | Op::Elect { mask, .. } => &registers[*mask as usize],
        _ => return (u32::MAX, lanes),
    };
    let first = mask[lanes.trailing_zeros().min(31) as usize] as u32;
    if mask.iter().fold(0, |differs, &mask| differs | (mask as u32 ^ first)) == 0 {
        return (first, lanes);
    }
    let alike = mask.iter().zip(0..).fold(0, |all, (&mask, lane)| all | u32::from(mask as u32 == first) << lane);
    (first, lanes & alike)
}

/// Whether for one of the masks that lanes bring to an instruction all its living lanes are among them.
pub(crate) fn meets(registers: &[Lanes], op: &Op, lanes: u32, live: u32) -> bool {
    let mut left = lanes;
    while left != 0 {
        let (needed, members) = members(registers, op, left);
        if needed & live & !members == 0 {
            return true;
        }
        left &= !members;
    }
    false
}

/// Instructions after which another group gets its turn.
pub(super) const PATIENCE: u32 = 20_000;
