//! Blocks of a cluster that reach each other's shared memory, and meet.

use super::{
    access::{Reach, put},
    block::{Block, Shared},
    engine::{Engine, Problem},
    flow::{Flow, Turn},
    lanes::each,
    layout::Layout,
    meeting::{Meeting, Visit},
    span::{Span, spans},
    warp::{Group, State, Warp},
};
use crate::{
    finding::{Access, Kind},
    memory::{Memory, shadow::Manner},
    program::{Inst, Op, Signalled},
};

impl Shared {
    /// Notes an access to shared memory of another block of the cluster; says what is wrong with it.
    pub(super) fn visit(
        &mut self,
        layout: &Layout,
        warp: &Warp,
        lane: usize,
        at: usize,
        access: Access,
    ) -> Option<String> {
        let (own, rank) = (layout.rank_of_warp(warp.number), layout.rank_of(access.address));
        if rank == own {
            return None;
        }
        if self.visits.over >> rank & 1 == 1 {
            return Some(format!(
                "all threads of block {rank} of the cluster have exited, and with it its shared memory"
            ));
        }
        let theirs = rank * layout.warps..(rank + 1) * layout.warps;
        let times = [warp.met.get(theirs.clone()), warp.clocks.warps.get(theirs)];
        let begun = times.into_iter().flatten().flatten().any(|&time| time > 0);
        if !begun {
            return Some(format!(
                "block {rank} of the cluster may not have begun: nothing, such as a barrier of the cluster, says so"
            ));
        }
        let visits = &mut self.visits.latest;
        visits.resize(layout.blocks as usize, Vec::new());
        let visit = Visit { warp: warp.number, lane, clock: warp.time(), at, access };
        match visits[rank].iter_mut().find(|visit| visit.warp == warp.number) {
            Some(latest) => *latest = visit,
            None => visits[rank].push(visit),
        }
        None
    }
}

impl Reach<'_, '_> {
    /// Whether a span may be touched as far as it lies in another block's shared memory.
    #[inline(always)]
    pub(super) fn may_visit(&mut self, warp: &Warp, lane: usize, span: Span, write: bool) -> bool {
        warp.layout.blocks == 1 || self.visits(warp, lane, span, write)
    }

    fn visits(&mut self, warp: &Warp, lane: usize, span: Span, write: bool) -> bool {
        let Span { memory, address, bytes } = span;
        let access = Access { memory, address, bytes: bytes as u64, write };
        let Some(note) = self.shared.visit(&warp.layout, warp, lane, self.at, access) else { return true };
        self.report(Kind::Cluster, lane, span, write, None, |_| note);
        false
    }
}

impl Block {
    /// Notes a lane's access to a barrier in another block's shared memory; whether it is sound.
    pub(super) fn visit(&mut self, engine: &Engine<'_>, number: usize, lane: usize, at: usize, place: u64) -> bool {
        let access = Access { memory: Memory::Shared, address: place, bytes: 8, write: true };
        let note = self.memory.visit(&engine.layout, &self.warps[number], lane, at, access);
        let sound = note.is_none();
        if let Some(note) = note {
            let (kind, thread, access) = (Kind::Cluster, (32 * number + lane) as u32, engine.shown(access));
            engine.report(Problem { kind, at, block: self.number, thread, access: Some(access), other: None, note });
        }
        sound
    }

    /// After threads have exited: whether others may still be in the shared memory of a block that is over.
    pub(super) fn leave(&mut self, engine: &Engine<'_>, number: usize) {
        let layout = &engine.layout;
        let rank = layout.rank_of_warp(number);
        let own = rank * layout.warps..(rank + 1) * layout.warps;
        if layout.blocks == 1 || self.warps[own.clone()].iter().any(|warp| warp.live != 0) {
            return;
        }
        self.memory.visits.over |= 1 << rank;
        let Some(visits) = self.memory.visits.latest.get_mut(rank).map(std::mem::take) else { return };
        if !engine.check {
            return;
        }
        for Visit { warp, lane, clock, at, access } in visits {
            let knows = |one: &Warp| {
                let times = [one.clocks.warps.get(warp), one.met.get(warp)];
                times.into_iter().flatten().any(|&time| clock <= time)
            };
            if !self.warps[own.clone()].iter().any(knows) {
                let note = format!(
                    "block {rank} of the cluster may have exited before, and with it its shared memory: it waits for nothing that comes after this"
                );
                let (kind, thread, access) = (Kind::Cluster, (32 * warp + lane) as u32, Some(engine.shown(access)));
                engine.report(Problem { kind, at, block: self.number, thread, access, other: None, note });
            }
        }
    }

    /// Stores, or an atomic operation, by each lane, counted at a barrier of the same block.
    pub(super) fn signalled(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::Signalled(store) = &inst.op else { return };
        let Signalled { address, a, bytes, f, barrier } = &**store;
        let (warp, mut reach) = self.reach(engine, number, at);
        let (targets, barriers) = (spans(warp, address, bytes * a.len()), spans(warp, barrier, 8));
        reach.count(&targets, active, true);
        drop(reach);
        each(active, |lane| {
            let target = targets[lane];
            let (warp, mut reach) = self.reach(engine, number, at);
            if !reach.may_touch(warp, lane, target, true) {
                return;
            }
            let mut words = [0; 4];
            a.iter().enumerate().for_each(|(i, &slot)| put(&mut words, i, *bytes, warp.get(slot)[lane]));
            match f {
                Some(f) => drop(reach.update(warp, lane, target, |old| f(old, words[0], 0))),
                None => reach.write(warp, lane, target, &words, Manner::Pending),
            }
            drop(reach);
            let written = vec![(target.address as usize, target.bytes, (32 * number + lane) as u16)];
            if let Err((kind, note)) = self.signal(engine, number, lane, at, barriers[lane].address, written) {
                self.problem(engine, kind, number, 1 << lane, at, note);
            }
        });
    }

    /// Arrives at the cluster's barrier, or waits for those who have not.
    pub(super) fn cluster_barrier(&mut self, engine: &Engine<'_>, turn: Turn<'_>) -> Flow {
        let Turn { number, inst, at, active, .. } = turn;
        let Op::ClusterBarrier { arrives, relaxed, .. } = inst.op else { return Flow::Next };
        let count = self.warps.len();
        let Meeting { came, passed, arriving, coming, .. } = &mut self.meeting;
        [&mut *came, passed, coming].into_iter().for_each(|list| list.resize(count, 0));
        let warp = &mut self.warps[number];
        let wrong = match arrives {
            true => (came[number] | passed[number]) & active,
            false => active & !(came[number] | passed[number]),
        };
        if wrong != 0 {
            let note = match arrives {
                true => "it has arrived before, and not waited since".to_owned(),
                false => "it has not arrived, so it may wait for ever".to_owned(),
            };
            self.problem(engine, Kind::DivergentBarrier, number, wrong, at, note);
            engine.stop();
            return Flow::Gone;
        }
        if !arrives {
            if passed[number] & active != active {
                return self.wait(turn, State::AtCluster);
            }
            self.met(number, active);
            return Flow::Next;
        }
        came[number] |= active;
        coming[number] = warp.time();
        if let Some(known) = if relaxed { warp.fenced.as_ref() } else { Some(&warp.clocks) } {
            match arriving {
                Some(arriving) => arriving.join(known),
                None => *arriving = Some(known.clone()),
            }
        }
        warp.tick();
        self.events += 1;
        Flow::Next
    }

    /// Lanes go on from the cluster's barrier.
    fn met(&mut self, number: usize, lanes: u32) {
        self.events += 1;
        self.meeting.passed[number] &= !lanes;
        let warp = &mut self.warps[number];
        warp.met.clone_from(&self.meeting.gone);
        if let Some(arrived) = &self.meeting.arrived {
            let own = warp.time();
            warp.clocks.join(arrived);
            warp.clocks.warps[number] = own;
        }
        warp.tick();
    }

    /// Lets the cluster's barrier pass if all its threads have arrived; whether somebody goes on.
    pub(super) fn release_cluster(&mut self, engine: &Engine<'_>) -> bool {
        let Meeting { came, passed, arriving, arrived, coming, gone } = &mut self.meeting;
        if came.iter().all(|&lanes| lanes == 0) {
            return false;
        }
        if self.warps.iter().zip(&*came).any(|(warp, &came)| warp.live & !came != 0) {
            return false;
        }
        self.counters.barriers += 1;
        passed.iter_mut().zip(&mut *came).for_each(|(passed, came)| *passed |= std::mem::take(came));
        gone.resize(coming.len(), 0);
        gone.iter_mut().zip(&*coming).for_each(|(gone, &coming)| *gone = coming.max(*gone));
        if let Some(arriving) = arriving.take() {
            match arrived {
                Some(known) => known.join(&arriving),
                None => *arrived = Some(arriving),
            }
        }
        for number in 0..self.warps.len() {
            let at = |group: &&Group| group.state == State::AtCluster;
            let places: Vec<Group> = self.warps[number].groups.iter().filter(at).copied().collect();
            if places.is_empty() {
                continue;
            }
            self.together(engine, number, &places);
            let lanes = places.iter().fold(0, |all, group| all | group.lanes);
            self.met(number, lanes);
            for group in self.warps[number].groups.iter_mut().filter(|group| group.state == State::AtCluster) {
                (group.at, group.state) = (group.at + 1, State::Ready);
            }
        }
        true
    }

    /// Who has not arrived at the cluster's barrier, if others have.
    pub(super) fn not_met(&self, engine: &Engine<'_>) -> Option<String> {
        let came = &self.meeting.came;
        let absent = |(number, warp): (usize, &Warp)| {
            let missing = warp.live & !came.get(number).copied().unwrap_or(0);
            (missing != 0).then(|| engine.named(self.number, (32 * number) as u32 + missing.trailing_zeros()))
        };
        let somebody = came.iter().any(|&lanes| lanes != 0);
        let first = somebody.then(|| self.warps.iter().enumerate().find_map(absent))??;
        Some(format!("the barrier of the cluster waits for {first}"))
    }
}
