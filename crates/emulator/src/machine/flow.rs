//! Where lanes go: splits of groups, branch tables, calls, and waits for other lanes.

use super::{
    block::Block,
    engine::Engine,
    lanes::each,
    warp::{Frame, Group, State, meets},
};
use crate::{
    finding::Kind,
    memory::bytes::Bytes,
    program::{self, Inst, Op, Target},
};

/// Where a group goes after an instruction.
pub(crate) enum Flow {
    Next,
    /// Some lanes to another place, the rest on.
    Jump(u32, usize),
    /// The group has left, or waits.
    Gone,
}

/// Lanes by the place that they go to.
#[derive(Default)]
struct Places(Vec<(usize, u32)>);

impl Places {
    fn add(&mut self, to: usize, lane: usize) {
        match self.0.iter_mut().find(|(place, _)| *place == to) {
            Some((_, lanes)) => *lanes |= 1 << lane,
            None => self.0.push((to, 1 << lane)),
        }
    }
}

/// A group of a warp at an instruction.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    /// The warp.
    pub number: usize,
    pub group: usize,
    pub inst: &'a Inst,
    /// The instruction's place.
    pub at: usize,
    /// The group's lanes, and those of them that execute the instruction.
    pub lanes: u32,
    pub active: u32,
}

impl Block {
    /// Sends each lane to the entry of a table that its index names.
    pub(super) fn branch_table(&mut self, engine: &Engine<'_>, turn: Turn<'_>) -> Flow {
        let Turn { number, at, active, inst, .. } = turn;
        let Op::BranchTable { index, targets } = &inst.op else { return Flow::Next };
        let chosen = self.warps[number].get(*index);
        let mut places = Places::default();
        let mut lost = 0;
        each(active, |lane| match targets.get(chosen[lane] as u32 as usize) {
            Some(&to) => places.add(to, lane),
            None => lost |= 1 << lane,
        });
        if lost != 0 {
            let note = format!("an index beyond a table of {}", targets.len());
            self.problem(engine, Kind::Jump, number, lost, at, note);
            engine.stop();
            return Flow::Gone;
        }
        self.split(turn, &places.0)
    }

    /// Calls a function, or for each lane that whose address its register holds.
    pub(super) fn call(&mut self, engine: &Engine<'_>, turn: Turn<'_>) -> Flow {
        let Turn { number, at, active, inst, .. } = turn;
        let Op::Call { index, targets } = &inst.op else { return Flow::Next };
        let warp = &mut self.warps[number];
        let addresses = index.map(|slot| *warp.get(slot));
        if warp.calls.is_empty() {
            warp.calls.resize_with(32, Vec::new);
        }
        let mut places = Places::default();
        let (mut lost, mut deep, mut named) = (0, 0, 0);
        each(active, |lane| {
            let is_meant = |t: &Target| addresses.is_none_or(|addresses| addresses[lane] == t.address);
            let Some(choice) = targets.iter().position(is_meant) else {
                lost |= 1 << lane;
                return;
            };
            let Target { begin, arguments, room, .. } = &targets[choice];
            let again = warp.calls[lane].iter().any(|frame| frame.begin == *begin);
            let nested = || warp.calls[lane].iter().filter(|frame| frame.saved.is_some()).count();
            deep |= u32::from(again && nested() >= MOST_CALLS) << lane;
            named |= u32::from(again && room.has_variables) << lane;
            let saved = again.then(|| warp.save(room, lane));
            warp.local.get_mut(lane).into_iter().for_each(|local| copy_local(local, arguments));
            warp.calls[lane].push(Frame { at, choice, begin: *begin, saved });
            places.add(*begin, lane);
        });
        let wrong = [
            (lost, "no function with such parameters has this address".to_owned()),
            (deep, format!("functions call themselves more than {MOST_CALLS} times deep")),
            (named, "a function with variables in local memory is called while it runs: not supported".to_owned()),
        ];
        if let Some((lanes, note)) = wrong.into_iter().find(|(lanes, _)| *lanes != 0) {
            self.problem(engine, Kind::Jump, number, lanes, at, note);
            engine.stop();
            return Flow::Gone;
        }
        match places.0.as_slice() {
            [(begin, _)] => Flow::Jump(active, *begin),
            _ => self.split(turn, &places.0),
        }
    }

    /// Returns from the functions that lanes are in, or ends them where they are in none.
    pub(super) fn give_back(&mut self, engine: &Engine<'_>, turn: Turn<'_>) -> Flow {
        let Turn { number, active, .. } = turn;
        let warp = &mut self.warps[number];
        let mut places = Places::default();
        let mut over = 0;
        each(active, |lane| match warp.calls.get_mut(lane).and_then(Vec::pop) {
            Some(Frame { at: from, choice, saved, .. }) => {
                if let Op::Call { targets, .. } = &engine.program.code[from].op {
                    let Target { results, room, .. } = &targets[choice];
                    match saved {
                        None => warp.local.get_mut(lane).into_iter().for_each(|local| copy_local(local, results)),
                        Some(saved) => {
                            // The results lie where the earlier call has its own.
                            let given: Vec<_> = warp.local.get(lane).map(|l| taken(l, results)).unwrap_or_default();
                            warp.restore(room, lane, &saved);
                            let local = warp.local.get_mut(lane);
                            local.into_iter().for_each(|l| given.iter().for_each(|&(to, byte)| l.write(to, 1, byte)));
                        }
                    }
                }
                places.add(from + 1, lane);
            }
            None => over |= 1 << lane,
        });
        warp.live &= !over;
        self.split(turn, &places.0)
    }

    /// Replaces a group by its parts at several places; lanes that are not active go on.
    pub(super) fn split(&mut self, turn: Turn<'_>, places: &[(usize, u32)]) -> Flow {
        let groups = &mut self.warps[turn.number].groups;
        groups.swap_remove(turn.group);
        let rest = turn.lanes & !turn.active;
        if rest != 0 {
            groups.push(Group { at: turn.at + 1, lanes: rest, state: State::Ready });
        }
        groups.extend(places.iter().map(|&(at, lanes)| Group { at, lanes, state: State::Ready }));
        Flow::Gone
    }

    /// Lets the active lanes of a group wait here.
    pub(super) fn wait(&mut self, turn: Turn<'_>, state: State) -> Flow {
        let flow = self.split(turn, &[]);
        let warp = &mut self.warps[turn.number];
        warp.groups.push(Group { at: turn.at, lanes: turn.active, state });
        let last = warp.groups.len() - 1;
        warp.merge(last);
        flow
    }

    /// Lets lanes wait at a warp-wide instruction for the others of their mask; the last to come execute it.
    pub(super) fn meet(&mut self, turn: Turn<'_>) -> Flow {
        let flow = self.wait(turn, State::AtWarp);
        let warp = &mut self.warps[turn.number];
        let at_warp = |g: &&mut Group| g.state == State::AtWarp && g.at == turn.at;
        if let Some(met) = warp.groups.iter_mut().find(at_warp)
            && meets(&warp.registers, &turn.inst.op, met.lanes, warp.live)
        {
            met.state = State::Ready;
        }
        flow
    }
}

/// The most calls of a lane that have not returned and are of functions that ran already.
const MOST_CALLS: usize = 512;

/// The bytes that copies would write, each with its place.
fn taken(local: &Bytes, copies: &[program::Copy]) -> Vec<(usize, u64)> {
    let bytes = copies.iter().flat_map(|copy| (0..copy.bytes as usize).map(move |i| (copy, i)));
    let written = bytes.filter(|(copy, i)| local.is_written(copy.from as usize + i, 1));
    written.map(|(copy, i)| (copy.to as usize + i, local.read(copy.from as usize + i, 1))).collect()
}

fn copy_local(local: &mut Bytes, copies: &[program::Copy]) {
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
