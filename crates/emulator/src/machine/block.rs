//! A block: its warps, its shared memory, its barriers.

use std::collections::HashMap;

use super::{
    engine::{Conflicts, Engine, Problem},
    hopper::{Boxed, Phase},
    program::{BarrierKind, Inst, Lanes, Op, Target, Vote},
    warp::{Frame, Group, Place, State, Warp},
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

/// A barrier to which some only arrive.
#[derive(Default)]
struct Arrived {
    threads: u32,
    clocks: Option<Clocks>,
}

/// A block.
pub(crate) struct Block {
    pub number: u32,
    pub warps: Vec<Warp>,
    pub memory: Shared,
    pub counters: Counters,
    arrived: HashMap<u32, Arrived>,
}

/// What the warps of a block share.
pub(crate) struct Shared {
    pub bytes: Bytes,
    /// The last accesses to each word.
    pub words: Vec<Word>,
    /// What was published by atomics on shared memory, by offset.
    pub published: HashMap<u64, Clocks>,
    /// The allocation that was last found.
    pub recent: usize,
    pub conflicts: Conflicts,
    /// Barriers in memory, by offset.
    pub phases: HashMap<u64, Phase>,
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
                recent: 0,
                conflicts: HashMap::new(),
                phases: HashMap::new(),
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

    /// Executes one instruction for the lanes of a group.
    fn step(&mut self, engine: &Engine<'_>, number: usize, group: usize, inst: &Inst, at: usize, lanes: u32) -> Flow {
        let warp = &mut self.warps[number];
        let active = inst.guard.map_or(lanes, |(p, negated)| lanes & warp.predicate(p, negated));
        let counters = &mut self.counters;
        counters.warp_instructions += 1;
        counters.by_class[inst.class as usize] += 1;
        counters.lane_instructions += u64::from(active.count_ones());
        if active == 0 {
            return Flow::Next;
        }
        match &inst.op {
            Op::Map { f, d, a } => {
                let mut result: Lanes = [0; 32];
                f(&mut result, a.map(|slot| warp.get(slot)));
                warp.set(*d, active, &result);
                if matches!(
                    inst.class,
                    super::program::Class::Float32 | super::program::Class::Float64 | super::program::Class::Half
                ) {
                    let each = if a[2] != 0 { 2 } else { 1 };
                    counters.flops += each * u64::from(active.count_ones());
                }
            }
            Op::Compare { f, a, b, p, q, upper, combine } => {
                let holds = f(warp.get(*a), warp.get(*b));
                let other = upper.as_ref().map_or(!holds, |upper| upper(warp.get(*a), warp.get(*b)));
                let (yes, no) = match combine {
                    Some(c) => {
                        let with = warp.predicate(c.with, c.negated);
                        ((c.f)(holds, with), (c.f)(other, with))
                    }
                    None => (holds, other),
                };
                p.iter().for_each(|&p| warp.set_predicate(p, active, yes));
                q.iter().for_each(|&q| warp.set_predicate(q, active, no));
            }
            Op::Set { f, a, b, d, yes, combine } => {
                let holds = f(warp.get(*a), warp.get(*b));
                let holds = combine.map_or(holds, |c| (c.f)(holds, warp.predicate(c.with, c.negated)));
                let values = std::array::from_fn(|lane| if holds >> lane & 1 == 1 { *yes } else { 0 });
                warp.set(*d, active, &values);
            }
            Op::Select { d, a, b, p, negated } => {
                let p = warp.predicate(*p, *negated);
                let (a, b) = (warp.get(*a), warp.get(*b));
                let values = std::array::from_fn(|lane| if p >> lane & 1 == 1 { a[lane] } else { b[lane] });
                warp.set(*d, active, &values);
            }
            Op::Predicate { f, p, a, b } => {
                let value = f(warp.predicates[*a as usize], warp.predicates[*b as usize]);
                warp.set_predicate(*p, active, value);
            }
            Op::PredicateFill { p, value } => warp.set_predicate(*p, active, if *value { u32::MAX } else { 0 }),
            Op::Carry { d, a, b, subtract, take, keep, bits } => {
                let (a, b, mut values, mut flags) = (warp.get(*a), warp.get(*b), [0; 32], 0);
                for lane in 0..32 {
                    let mask = u128::from(u64::MAX) >> (64 - bits);
                    let flag = if *take { u128::from(warp.carry >> lane & 1) } else { 0 };
                    let (a, b) = (u128::from(a[lane]) & mask, u128::from(b[lane]) & mask);
                    let sum = if *subtract { a.wrapping_sub(b).wrapping_sub(flag) } else { a + b + flag };
                    values[lane] = (sum & mask) as u64;
                    flags |= u32::from(sum > mask) << lane;
                }
                warp.set(*d, active, &values);
                if *keep {
                    warp.carry = warp.carry & !active | flags & active;
                }
            }
            Op::MadCarry { d, a, b, c, high, signed, take, keep, bits } => {
                let (a, b, c, mut values, mut flags) = (warp.get(*a), warp.get(*b), warp.get(*c), [0; 32], 0);
                let mask = u64::MAX >> (64 - bits);
                let wide = |x: u64| match signed {
                    true => i128::from(((x << (64 - bits)) as i64) >> (64 - bits)),
                    false => i128::from(x & mask),
                };
                for lane in 0..32 {
                    let product = wide(a[lane]).wrapping_mul(wide(b[lane]));
                    let part = (if *high { product >> bits } else { product }) as u64 & mask;
                    let flag = if *take { u128::from(warp.carry >> lane & 1) } else { 0 };
                    let sum = u128::from(part) + u128::from(c[lane] & mask) + flag;
                    values[lane] = sum as u64 & mask;
                    flags |= u32::from(sum > u128::from(mask)) << lane;
                }
                warp.set(*d, active, &values);
                if *keep {
                    warp.carry = warp.carry & !active | flags & active;
                }
            }
            Op::Pack { d, a, bits } => {
                let mask = u64::MAX >> (64 - bits);
                let part = |lane: usize| {
                    let parts = a.iter().zip(0_u32..);
                    parts.map(|(&slot, i)| (warp.get(slot)[lane] & mask) << (i * bits)).fold(0, |all, one| all | one)
                };
                let values = std::array::from_fn(part);
                warp.set(*d, active, &values);
            }
            Op::Unpack { d, a, bits } => {
                let (whole, mask) = (*warp.get(*a), u64::MAX >> (64 - bits));
                for (slot, i) in d.iter().zip(0_u32..) {
                    if let Some(slot) = slot {
                        warp.set(*slot, active, &whole.map(|value| value >> (i * bits) & mask));
                    }
                }
            }
            Op::Clock { d, bits } => {
                let now = counters.warp_instructions;
                let value = match bits {
                    0 => now >> 32,
                    32 => now & 0xffff_ffff,
                    _ => now,
                };
                warp.set(*d, active, &[value; 32]);
            }
            Op::ActiveMask { d } => warp.set(*d, active, &[active.into(); 32]),
            Op::Convert { d, a, space, to_generic } => {
                use crate::{memory, ptx::Space};
                let window = match space {
                    Space::Shared => memory::SHARED_WINDOW,
                    Space::Local => memory::LOCAL_WINDOW,
                    Space::Param => memory::PARAM_WINDOW,
                    _ => 0,
                };
                let to = |x: u64| if *to_generic { x.wrapping_add(window) } else { x.wrapping_sub(window) };
                let values = warp.get(*a).map(to);
                warp.set(*d, active, &values);
            }
            Op::IsSpace { p, a, memory, constant } => {
                let is = |address: u64| {
                    let (found, _) = crate::memory::resolve(address);
                    let holds = |a: &std::sync::Arc<crate::memory::global::Allocation>| a.holds(address, 1);
                    let is_constant = || engine.allocations.iter().any(|a| a.constant && holds(a));
                    found == *memory && (found != crate::memory::Memory::Global || is_constant() == *constant)
                };
                let bits = warp.get(*a).iter().zip(0..).map(|(&x, lane)| u32::from(is(x)) << lane).sum();
                warp.set_predicate(*p, active, bits);
            }
            Op::Load { .. } | Op::Store { .. } | Op::Atomic { .. } | Op::AsyncCopy { .. } => {
                self.access(engine, number, inst, at, active);
            }
            Op::MBarrier { .. } => self.mbarrier(engine, number, inst, at, active),
            Op::Bulk(_) => self.bulk(engine, number, inst, at, active),
            Op::ProxyFence => self.proxy_fence(number),
            Op::Fence => {
                warp.fenced = Some(warp.clocks.clone());
                warp.tick();
            }
            Op::AsyncCommit => {
                each(active, |lane| warp.committed[lane] = warp.committed[lane].saturating_add(1));
            }
            Op::AsyncWait(most) => self.settle(number, active, *most),
            Op::Branch(to) => return Flow::Jump(active, *to),
            Op::BranchTable { index, targets } => {
                let chosen = *warp.get(*index);
                let rest = lanes & !active;
                let mut places: Vec<(usize, u32)> = Vec::new();
                let mut lost = 0;
                each(active, |lane| match targets.get(chosen[lane] as u32 as usize) {
                    Some(&to) => match places.iter_mut().find(|(place, _)| *place == to) {
                        Some((_, lanes)) => *lanes |= 1 << lane,
                        None => places.push((to, 1 << lane)),
                    },
                    None => lost |= 1 << lane,
                });
                if lost != 0 {
                    let note = format!("an index beyond a table of {}", targets.len());
                    self.problem(engine, Kind::Jump, number, lost, at, note);
                    engine.stop();
                    return Flow::Gone;
                }
                return self.split(number, group, at, rest, &places);
            }
            Op::Call { index, targets } => {
                let addresses = index.map(|slot| *warp.get(slot));
                let mut places: Vec<(usize, u32)> = Vec::new();
                let (mut lost, mut again) = (0, 0);
                each(active, |lane| {
                    let is_meant = |t: &Target| addresses.is_none_or(|addresses| addresses[lane] == t.address);
                    let Some(choice) = targets.iter().position(is_meant) else {
                        lost |= 1 << lane;
                        return;
                    };
                    let Target { begin, arguments, .. } = &targets[choice];
                    again |= u32::from(warp.calls[lane].iter().any(|frame| frame.begin == *begin)) << lane;
                    warp.local.get_mut(lane).into_iter().for_each(|local| copy_local(local, arguments));
                    warp.calls[lane].push(Frame { at, choice, begin: *begin });
                    match places.iter_mut().find(|(place, _)| place == begin) {
                        Some((_, lanes)) => *lanes |= 1 << lane,
                        None => places.push((*begin, 1 << lane)),
                    }
                });
                if lost | again != 0 {
                    let note = match lost {
                        0 => "the function is called while it runs: recursion is not supported",
                        _ => "no function with such parameters has this address",
                    };
                    self.problem(engine, Kind::Jump, number, if lost != 0 { lost } else { again }, at, note.to_owned());
                    engine.stop();
                    return Flow::Gone;
                }
                return match places.as_slice() {
                    [(begin, _)] => Flow::Jump(active, *begin),
                    _ => self.split(number, group, at, lanes & !active, &places),
                };
            }
            Op::Return => {
                let mut places: Vec<(usize, u32)> = Vec::new();
                let mut over = 0;
                each(active, |lane| match warp.calls[lane].pop() {
                    Some(Frame { at: from, choice, .. }) => {
                        if let Op::Call { targets, .. } = &engine.program.code[from].op {
                            let results = &targets[choice].results;
                            warp.local.get_mut(lane).into_iter().for_each(|local| copy_local(local, results));
                        }
                        let to = from + 1;
                        match places.iter_mut().find(|(place, _)| *place == to) {
                            Some((_, lanes)) => *lanes |= 1 << lane,
                            None => places.push((to, 1 << lane)),
                        }
                    }
                    None => over |= 1 << lane,
                });
                warp.live &= !over;
                return self.split(number, group, at, lanes & !active, &places);
            }
            Op::Exit => {
                warp.live &= !active;
                return self.split(number, group, at, lanes & !active, &[]);
            }
            Op::Trap => {
                self.problem(engine, Kind::Trap, number, active, at, String::new());
                engine.stop();
                return Flow::Gone;
            }
            Op::Nothing => {}
            Op::Barrier { id, threads, kind } => {
                let first = active.trailing_zeros() as usize;
                let id = warp.get(*id)[first] as u32;
                let threads = threads.map(|slot| warp.get(slot)[first] as u32);
                if id > 15 || threads.is_some_and(|threads| threads == 0 || threads % 32 != 0) {
                    let note = match id {
                        16.. => format!("barrier {id}; legal are 0 to 15"),
                        _ => format!("for {} threads; legal are multiples of 32", threads.unwrap_or(0)),
                    };
                    self.problem(engine, Kind::DivergentBarrier, number, active, at, note);
                    engine.stop();
                    return Flow::Gone;
                }
                if matches!(kind, BarrierKind::Arrive) {
                    let count = if active == warp.live { 32 } else { active.count_ones() };
                    let arrived = self.arrived.entry(id).or_default();
                    arrived.threads = arrived.threads.saturating_add(count);
                    let mut clocks = warp.clocks.clone();
                    if let Some(earlier) = &arrived.clocks {
                        clocks.join(earlier);
                    }
                    arrived.clocks = Some(clocks);
                    warp.tick();
                    return Flow::Next;
                }
                return self.wait(number, group, at, lanes, active, State::AtBarrier(id, threads));
            }
            Op::WarpBarrier { .. }
            | Op::Vote { .. }
            | Op::Shuffle { .. }
            | Op::Match { .. }
            | Op::Reduce { .. }
            | Op::Elect { .. }
            | Op::LoadMatrix { .. }
            | Op::StoreMatrix { .. }
            | Op::MatrixProduct(_)
            | Op::GroupProduct(_) => {
                let needed = warp.lanes_needed(&inst.op, active) & warp.live;
                if needed & !active != 0 {
                    return self.meet(engine, number, group, at, lanes, active);
                }
                self.collective(engine, number, inst, at, active);
            }
        }
        Flow::Next
    }

    /// Replaces a group by its parts at several places; `rest` goes on.
    fn split(&mut self, number: usize, group: usize, at: usize, rest: u32, places: &[(usize, u32)]) -> Flow {
        let groups = &mut self.warps[number].groups;
        groups.swap_remove(group);
        if rest != 0 {
            groups.push(Group { at: at + 1, lanes: rest, state: State::Ready });
        }
        groups.extend(places.iter().map(|&(at, lanes)| Group { at, lanes, state: State::Ready }));
        Flow::Gone
    }

    /// Lets the active lanes of a group wait here.
    fn wait(&mut self, number: usize, group: usize, at: usize, lanes: u32, active: u32, state: State) -> Flow {
        let rest = lanes & !active;
        let flow = self.split(number, group, at, rest, &[]);
        let warp = &mut self.warps[number];
        warp.groups.push(Group { at, lanes: active, state });
        let last = warp.groups.len() - 1;
        warp.merge(last);
        flow
    }

    /// Lets lanes wait at a warp-wide instruction for the others of its mask; the last to come executes it.
    fn meet(&mut self, engine: &Engine<'_>, number: usize, group: usize, at: usize, lanes: u32, active: u32) -> Flow {
        let flow = self.wait(number, group, at, lanes, active, State::AtWarp);
        let warp = &mut self.warps[number];
        if let Some(met) = warp.groups.iter_mut().find(|g| g.state == State::AtWarp && g.at == at) {
            let op = &engine.program.code[at].op;
            let (lanes, live) = (met.lanes, warp.live);
            let needed = super::warp::lanes_needed(&warp.registers, op, lanes) & live;
            if needed & !lanes == 0 {
                met.state = State::Ready;
            }
        }
        flow
    }

    /// Ends copies that lanes began: all but the latest `most` groups, or every one.
    fn settle(&mut self, number: usize, active: u32, most: Option<u32>) {
        let warp = &mut self.warps[number];
        let time = warp.time();
        let (copies, words) = (&mut warp.copies, &mut self.memory.words);
        each(active, |lane| {
            let end = match most {
                Some(most) => warp.committed[lane].saturating_sub(most),
                None => u32::MAX,
            };
            while copies[lane].front().is_some_and(|copy| copy.group < end) {
                let Some(copy) = copies[lane].pop_front() else { break };
                let thread = (number * 32 + lane) as u16;
                let touched = words.iter_mut().skip(copy.offset / 4).take(copy.bytes / 4);
                touched.for_each(|word| word.settle_at(thread, time));
            }
        });
    }

    /// Lets every barrier pass that all its threads have reached; whether one did.
    fn release_barriers(&mut self, engine: &Engine<'_>) -> bool {
        let mut waiting: Vec<(u32, Option<u32>)> = Vec::new();
        for group in self.warps.iter().flat_map(|warp| &warp.groups) {
            if let State::AtBarrier(id, threads) = group.state
                && !waiting.iter().any(|(other, _)| *other == id)
            {
                waiting.push((id, threads));
            }
        }
        let complete = |block: &Block, id: u32, threads: Option<u32>| {
            let at = |group: &&Group| matches!(group.state, State::AtBarrier(other, _) if other == id);
            let lanes = |warp: &Warp| warp.groups.iter().filter(at).fold(0, |lanes, g| lanes | g.lanes);
            let Some(threads) = threads else {
                return block.warps.iter().all(|warp| lanes(warp) == warp.live);
            };
            let here = block.warps.iter().map(|warp| match lanes(warp) {
                0 => 0,
                lanes if lanes == warp.live => 32,
                lanes => lanes.count_ones(),
            });
            here.sum::<u32>().saturating_add(block.arrived.get(&id).map_or(0, |arrived| arrived.threads)) >= threads
        };
        let mut released = false;
        for (id, threads) in waiting {
            if complete(self, id, threads) {
                self.pass(engine, id);
                released = true;
            }
        }
        released
    }

    /// Lets all threads at a barrier go on, each knowing what all of them did.
    fn pass(&mut self, engine: &Engine<'_>, id: u32) {
        self.counters.barriers += 1;
        let mut known: Option<Clocks> = self.arrived.remove(&id).and_then(|arrived| arrived.clocks);
        let at = |group: &Group| matches!(group.state, State::AtBarrier(other, _) if other == id);
        let (mut all, mut any, mut count) = (true, false, 0);
        for number in 0..self.warps.len() {
            let places: Vec<Group> = self.warps[number].groups.iter().filter(|g| at(g)).copied().collect();
            let Some(first) = places.first() else { continue };
            let warp = &self.warps[number];
            let gone = warp.lanes & !warp.live;
            if let Some(other) = places.get(1) {
                let line = engine.program.code[other.at].line;
                let note = format!("lanes {:#010x} of the warp are at another one, in line {line}", other.lanes);
                self.problem(engine, Kind::DivergentBarrier, number, first.lanes, first.at, note);
            } else if gone != 0 {
                let note = format!("lanes {gone:#010x} of the warp have exited without reaching it");
                self.problem(engine, Kind::DivergentBarrier, number, first.lanes, first.at, note);
            }
            let warp = &self.warps[number];
            for group in &places {
                if let Op::Barrier { kind: BarrierKind::Reduce { a, negated, .. }, .. } =
                    &engine.program.code[group.at].op
                {
                    let votes = warp.predicate(*a, *negated) & group.lanes;
                    all &= votes == group.lanes;
                    any |= votes != 0;
                    count += votes.count_ones();
                }
            }
            match &mut known {
                Some(known) => known.join(&warp.clocks),
                None => known = Some(warp.clocks.clone()),
            }
        }
        for warp in &mut self.warps {
            let mut here = false;
            let mut results = Vec::new();
            for group in warp.groups.iter_mut().filter(|g| at(g)) {
                if let Op::Barrier { kind: BarrierKind::Reduce { vote, d, p, .. }, .. } =
                    &engine.program.code[group.at].op
                {
                    results.push((group.lanes, *vote, *d, *p));
                }
                group.at += 1;
                group.state = State::Ready;
                here = true;
            }
            for (lanes, vote, d, p) in results {
                let holds = if vote == Some(Vote::Any) { any } else { all };
                p.iter().for_each(|&p| warp.set_predicate(p, lanes, if holds { u32::MAX } else { 0 }));
                d.iter().for_each(|&d| warp.set(d, lanes, &[count.into(); 32]));
            }
            if let (true, Some(known)) = (here, &known) {
                warp.clocks.join(known);
                warp.tick();
            }
        }
    }

    /// When nothing can go on: lets the lanes at a warp-wide instruction go on without those that never
    /// come, or says which barrier is never reached. False where the block cannot go on.
    fn force(&mut self, engine: &Engine<'_>) -> bool {
        for number in 0..self.warps.len() {
            let waits = |g: &Group| g.state == State::AtWarp;
            if let Some(place) = self.warps[number].groups.iter().position(waits) {
                let group = self.warps[number].groups[place];
                let inst = &engine.program.code[group.at];
                let needed = self.warps[number].lanes_needed(&inst.op, group.lanes) & !group.lanes;
                let note = format!("lanes {needed:#010x} of its mask do not come to it");
                self.problem(engine, Kind::DivergentWarp, number, group.lanes, group.at, note);
                self.collective(engine, number, inst, group.at, group.lanes);
                self.warps[number].groups[place] = Group { at: group.at + 1, lanes: group.lanes, state: State::Ready };
                return true;
            }
        }
        for number in 0..self.warps.len() {
            if let Some(group) = self.warps[number].groups.first().copied() {
                let elsewhere: Vec<String> = (0..self.warps.len())
                    .flat_map(|other| self.warps[other].groups.iter().map(move |g| (other, g.at)))
                    .filter(|(_, at)| *at != group.at)
                    .take(3)
                    .map(|(warp, at)| format!("warp {warp} waits in line {}", engine.program.code[at].line))
                    .collect();
                let note = match elsewhere.is_empty() {
                    true => "it waits for more threads than come".to_owned(),
                    false => elsewhere.join(", "),
                };
                self.problem(engine, Kind::DivergentBarrier, number, group.lanes, group.at, note);
                break;
            }
        }
        false
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

fn copy_local(local: &mut Bytes, copies: &[super::program::Copy]) {
    for copy in copies {
        for i in 0..copy.bytes as usize {
            let (from, to) = (copy.from as usize + i, copy.to as usize + i);
            if local.is_written(from, 1) {
                let byte = local.read(from, 1);
                local.write(to, 1, byte);
            }
        }
    }
}
