//! The warps of a block by turns.

use super::{
    block::Block,
    engine::Engine,
    flow::Flow,
    phase::Phase,
    span::spans,
    warp::{Group, PATIENCE, State, Warp},
};
use crate::{
    finding::Kind,
    program::{Inst, MBarrier, Op},
};

/// Whether a block is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    Paused,
}

/// The most threads that a message names.
const MOST_NAMED: usize = 4;
/// After so many turns of all warps in which nothing but waits in vain happened, nothing will.
const MOST_IDLE: u32 = 20_000;

impl Block {
    /// Runs until all threads have exited, or about so many instructions were executed.
    pub fn run(&mut self, engine: &Engine<'_>, slice: u64) -> Progress {
        let mut left = slice;
        loop {
            let (mut moved, events, vain) = (false, self.events, self.vain_turns);
            let mut turns = 0;
            for warp in 0..self.warps.len() {
                // A turn is short where warps may wait for each other's memory.
                let done = self.run_warp(engine, warp, 4096);
                moved |= done > 0;
                turns += u64::from(done > 0);
                left = left.saturating_sub(done);
                if engine.is_stopped() {
                    return Progress::Done;
                }
            }
            let released = self.release_barriers(engine);
            let idle = moved && !released && self.events == events && self.vain_turns - vain == turns;
            self.idle = if idle { self.idle + 1 } else { 0 };
            if self.idle > MOST_IDLE {
                self.deadlock(engine);
                return Progress::Done;
            }
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
        let (mut done, mut vain, program) = (0, 0, engine.program);
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
                let before = at;
                at = self.compute(&program.code, number, lanes, at, meeting.min(at + (most - done) as usize));
                done += (at - before) as u64;
                if at >= meeting || done >= most {
                    self.warps[number].groups[chosen].at = at;
                    break;
                }
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
                let warp = &mut self.warps[number];
                if std::mem::take(&mut warp.waits) {
                    // Another group goes on, or another warp.
                    (warp.groups[chosen].at, warp.patience) = (at, PATIENCE);
                    vain += 1;
                    break;
                }
                if at >= meeting || done >= most {
                    warp.groups[chosen].at = at;
                    break;
                }
            }
            if engine.is_stopped() {
                return done;
            }
            if vain > 0 && vain >= self.warps[number].groups.len() {
                self.vain_turns += 1;
                break;
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

    /// Executes instructions that touch nothing but registers, from one on and before another one; gives the next.
    fn compute(&mut self, code: &[Inst], number: usize, lanes: u32, begin: usize, end: usize) -> usize {
        let (warp, tallies) = (&mut self.warps[number], &mut self.profile);
        let all = u64::from(lanes.count_ones());
        let mut at = begin;
        while at < end {
            let Some(inst) = code.get(at) else { break };
            let (active, count) = match inst.guard {
                None => (lanes, all),
                Some((p, negated)) => {
                    let active = lanes & warp.predicate(p, negated);
                    (active, u64::from(active.count_ones()))
                }
            };
            if active != 0 && !warp.compute(&inst.op, active) {
                break;
            }
            let tally = &mut tallies[at];
            (tally.issued, tally.lanes) = (tally.issued + 1, tally.lanes + count);
            at += 1;
        }
        self.counters.warp_instructions += (at - begin) as u64;
        at
    }

    /// Who has not arrived at a barrier that waits for no more than those, or else who has.
    fn absent(&self, engine: &Engine<'_>, phase: &Phase) -> String {
        let came =
            |thread: u32| phase.came.get(thread as usize / 32).is_some_and(|lanes| lanes >> (thread % 32) & 1 == 1);
        let exists = |&thread: &u32| self.warps[thread as usize / 32].lanes >> (thread % 32) & 1 == 1;
        let all = (0..32 * self.warps.len() as u32).filter(exists);
        let (here, missing): (Vec<u32>, Vec<u32>) = all.partition(|&thread| came(thread));
        let said = |list: &[u32]| {
            let one = |&thread: &u32| {
                let gone = self.warps[thread as usize / 32].live >> (thread % 32) & 1 == 0;
                format!("{}{}", engine.named(self.number, thread), if gone { ", which has exited" } else { "" })
            };
            let more =
                if list.len() > MOST_NAMED { format!(" and {} more", list.len() - MOST_NAMED) } else { String::new() };
            list.iter().take(MOST_NAMED).map(one).collect::<Vec<_>>().join(", ") + &more
        };
        match (phase.pending, missing.len() as u32) {
            (0, _) => String::new(),
            (pending, absent) if absent <= pending => format!("; not there: {}", said(&missing)),
            _ if here.is_empty() => "; nobody has arrived".into(),
            _ => format!("; there is only {}", said(&here)),
        }
    }

    /// Reports that all threads wait for barriers in memory.
    fn deadlock(&mut self, engine: &Engine<'_>) {
        let is_wait =
            |at: &usize| matches!(&engine.program.code[*at].op, Op::MBarrier { kind: MBarrier::Wait { .. }, .. });
        // Of those who wait, the first that waits for a barrier in memory.
        let ready = |warp: &&Warp| warp.groups.iter().any(|group| group.state == State::Ready);
        let warp = self.warps.iter().find(ready).or(self.warps.iter().find(|warp| !warp.groups.is_empty()));
        if let Some((warp, group)) = warp.and_then(|warp| Some((warp, *warp.groups.first()?))) {
            let at = (0..=group.at).rev().find(is_wait).unwrap_or(group.at);
            let its = match &engine.program.code[at].op {
                Op::MBarrier { address, .. } => {
                    Some(spans(warp, address, 8)[group.lanes.trailing_zeros() as usize & 31].address)
                }
                _ => None,
            };
            let is_open = |(_, phase): &(&u64, &Phase)| phase.pending > 0 || phase.bytes != 0;
            let of_it = self.memory.phases.get_key_value(&its.unwrap_or(u64::MAX)).filter(is_open);
            let open = self.memory.phases.iter().filter(is_open).min_by_key(|(offset, _)| **offset);
            let note = match of_it.or(open) {
                Some((offset, phase)) => format!(
                    "every thread waits; the barrier at shared {:#x} still expects {} arrivals and {} bytes in its phase {}{}",
                    engine.layout.address(*offset),
                    phase.pending,
                    phase.bytes,
                    phase.number,
                    self.absent(engine, phase)
                ),
                None => "every thread waits for a phase that does not begin".to_owned(),
            };
            let note = self.not_met(engine).map_or(note.clone(), |met| format!("{note}; {met}"));
            self.problem(engine, Kind::Deadlock, warp.number, group.lanes, at, note);
        }
        engine.stop();
    }
}
