//! Barriers of a block: who has come, and who may go on.

use super::{
    block::Block,
    engine::Engine,
    flow::{Flow, Turn},
    warp::{Group, State, Warp, members},
};
use crate::{
    finding::Kind,
    memory::shadow::Clocks,
    program::{BarrierKind, Op, Vote},
};

/// A block's barriers, which have the numbers from 0 on; those of the next block of a cluster have the next numbers.
const BARRIERS: u32 = 16;

impl Block {
    /// Arrives at a barrier, and waits there if it is of that kind.
    pub(super) fn barrier(&mut self, engine: &Engine<'_>, turn: Turn<'_>) -> Flow {
        let Turn { number, inst, at, active, .. } = turn;
        let Op::Barrier { id, threads, kind, .. } = &inst.op else { return Flow::Next };
        let warp = &mut self.warps[number];
        let first = active.trailing_zeros() as usize;
        let id = warp.get(*id)[first] as u32;
        let threads = threads.map(|slot| warp.get(slot)[first] as u32);
        if id >= BARRIERS || threads.is_some_and(|threads| threads == 0 || threads % 32 != 0) {
            let note = match id {
                BARRIERS.. => format!("barrier {id}; legal are 0 to 15"),
                _ => format!("for {} threads; legal are multiples of 32", threads.unwrap_or(0)),
            };
            self.problem(engine, Kind::DivergentBarrier, number, active, at, note);
            engine.stop();
            return Flow::Gone;
        }
        let id = warp.rank * BARRIERS + id;
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
        self.wait(turn, State::AtBarrier(id, threads))
    }

    /// Lets every barrier pass that all its threads have reached; whether one did.
    pub(super) fn release_barriers(&mut self, engine: &Engine<'_>) -> bool {
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
                return block.warps.iter().all(|warp| warp.rank != id / BARRIERS || lanes(warp) == warp.live);
            };
            let here = block.warps.iter().map(|warp| match lanes(warp) {
                0 => 0,
                lanes if lanes == warp.live => 32,
                lanes => lanes.count_ones(),
            });
            here.sum::<u32>().saturating_add(block.arrived.get(&id).map_or(0, |arrived| arrived.threads)) >= threads
        };
        let mut released = self.release_cluster(engine);
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
            if places.is_empty() {
                continue;
            }
            self.together(engine, number, &places);
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

    /// Reports lanes of a warp that come to a barrier apart, where they must come together.
    pub(super) fn together(&self, engine: &Engine<'_>, number: usize, places: &[Group]) {
        let warp = &self.warps[number];
        let gone = warp.lanes & !warp.live;
        let is_aligned = |g: &Group| {
            let op = &engine.program.code[g.at].op;
            matches!(op, Op::Barrier { aligned: true, .. } | Op::ClusterBarrier { aligned: true, .. })
        };
        let Some(first) = places.first().filter(|_| places.iter().any(is_aligned)) else { return };
        let note = match places.get(1) {
            Some(other) => {
                let line = engine.program.code[other.at].line;
                format!("lanes {:#010x} of the warp are at another one, in line {line}", other.lanes)
            }
            None if gone != 0 => format!("lanes {gone:#010x} of the warp have exited without reaching it"),
            None => return,
        };
        self.problem(engine, Kind::DivergentBarrier, number, first.lanes, first.at, note);
    }

    /// When nothing can go on: lets the lanes at a warp-wide instruction go on without those that never
    /// come, or says which barrier is never reached. False where the block cannot go on.
    pub(super) fn force(&mut self, engine: &Engine<'_>) -> bool {
        for number in 0..self.warps.len() {
            let waits = |g: &Group| g.state == State::AtWarp;
            if let Some(place) = self.warps[number].groups.iter().position(waits) {
                let group = self.warps[number].groups[place];
                let inst = &engine.program.code[group.at];
                let mut left = group.lanes;
                while left != 0 {
                    let (needed, members) = members(&self.warps[number].registers, &inst.op, left);
                    let note = format!("lanes {:#010x} of its mask do not come to it", needed & !members);
                    self.problem(engine, Kind::DivergentWarp, number, members, group.at, note);
                    self.collective(engine, number, inst, group.at, members);
                    left &= !members;
                }
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
                    .map(|(warp, at)| {
                        let line = engine.program.code[at].line;
                        match engine.layout.blocks {
                            1 => format!("warp {warp} waits in line {line}"),
                            _ => format!("{} waits in line {line}", engine.named(self.number, 32 * warp as u32)),
                        }
                    })
                    .collect();
                let note = match elsewhere.is_empty() {
                    true => "it waits for more threads than come".to_owned(),
                    false => elsewhere.join(", "),
                };
                let note = self.not_met(engine).map_or(note.clone(), |met| format!("{met}; {note}"));
                self.problem(engine, Kind::DivergentBarrier, number, group.lanes, group.at, note);
                break;
            }
        }
        false
    }
}
