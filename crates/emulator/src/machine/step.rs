//! One instruction of a warp.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    block::Block,
    engine::Engine,
    flow::{Flow, Turn},
    lanes::each,
};
use crate::{
    finding::Kind,
    memory::{self, Memory, global::Allocation},
    program::{Inst, Op},
    ptx::Space,
};

impl Block {
    /// Executes one instruction for the lanes of a group.
    pub(super) fn step(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        group: usize,
        inst: &Inst,
        at: usize,
        lanes: u32,
    ) -> Flow {
        let warp = &self.warps[number];
        let active = inst.guard.map_or(lanes, |(p, negated)| lanes & warp.predicate(p, negated));
        if active & !warp.awaited_launch != 0 {
            self.check_dependency(engine, number, inst, at, active & !warp.awaited_launch);
        }
        let warp = &mut self.warps[number];
        let counters = &mut self.counters;
        counters.warp_instructions += 1;
        let tally = &mut self.profile[at];
        tally.issued += 1;
        tally.lanes += u64::from(active.count_ones());
        if active == 0 {
            return Flow::Next;
        }
        if warp.compute(&inst.op, active) {
            return Flow::Next;
        }
        let turn = Turn { number, group, inst, at, lanes, active };
        match &inst.op {
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
                self.events += 1;
                let now = counters.warp_instructions - self.begun;
                let value = match bits {
                    0 => now >> 32,
                    32 => now & 0xffff_ffff,
                    _ => now,
                };
                warp.set(*d, active, &[value; 32]);
            }
            Op::ActiveMask { d } => warp.set(*d, active, &[active.into(); 32]),
            Op::Convert { d, a, space, to_generic } => {
                let window = match space {
                    Space::Shared | Space::Cluster => memory::SHARED_WINDOW,
                    Space::Local => memory::LOCAL_WINDOW,
                    Space::Param => memory::PARAM_WINDOW,
                    _ => 0,
                };
                let to = |x: u64| if *to_generic { x.wrapping_add(window) } else { x.wrapping_sub(window) };
                let values = warp.get(*a).map(to);
                warp.set(*d, active, &values);
            }
            Op::IsSpace { p, a, memory: meant, constant, cluster } => {
                let rank = warp.rank;
                let is = |address: u64| {
                    let (found, offset) = memory::resolve(address);
                    let space = if *cluster { Space::Cluster } else { Space::Shared };
                    if found == Memory::Shared && !engine.layout.is_of(rank, space, offset) {
                        return false;
                    }
                    let holds = |a: &Arc<Allocation>| a.holds(address, 1);
                    let is_constant = || engine.allocations.iter().any(|a| a.constant && holds(a));
                    found == *meant && (found != Memory::Global || is_constant() == *constant)
                };
                let bits = warp.get(*a).iter().zip(0..).map(|(&x, lane)| u32::from(is(x)) << lane).sum();
                warp.set_predicate(*p, active, bits);
            }
            Op::Load { .. } | Op::Store { .. } | Op::Atomic { .. } => {
                self.events += 1;
                self.access(engine, number, inst, at, active);
            }
            Op::AsyncCopy { .. } => {
                self.events += 1;
                self.async_copy(engine, number, inst, at, active);
            }
            Op::MBarrier { .. } => self.mbarrier(engine, number, inst, at, active),
            Op::Bulk(_) => {
                self.events += 1;
                self.bulk(engine, number, inst, at, active);
            }
            Op::Signalled(_) => {
                self.events += 1;
                self.signalled(engine, number, inst, at, active);
            }
            Op::Fetch(_) => self.fetch(engine, number, inst, at, active),
            Op::Surface(_) => self.surface(engine, number, inst, at, active),
            Op::Query(_) => self.query(engine, number, inst, at, active),
            Op::ChangeMap { .. } => self.change_map(engine, number, inst, at, active),
            Op::CopyMap { .. } => self.copy_map(engine, number, inst, at, active),
            Op::ProxyFence => self.proxy_fence(number),
            Op::GroupWait => warp.tick(),
            Op::Fence => {
                if let Some(awaited) = warp.awaited.take() {
                    let own = warp.time();
                    warp.clocks.join(&awaited);
                    warp.clocks.warps[number] = own;
                }
                warp.fenced = Some(warp.clocks.clone());
                warp.tick();
            }
            Op::AsyncCommit => {
                each(active, |lane| warp.committed[lane] = warp.committed[lane].saturating_add(1));
            }
            Op::AsyncWait(most) => self.wait_copies(number, active, *most),
            Op::Branch(to) => return Flow::Jump(active, *to),
            Op::BranchTable { .. } => return self.branch_table(engine, turn),
            Op::Call { .. } => return self.call(engine, turn),
            Op::Return => {
                let flow = self.give_back(engine, turn);
                self.leave(engine, number);
                return flow;
            }
            Op::Exit => {
                self.events += 1;
                warp.live &= !active;
                self.leave(engine, number);
                return self.split(turn, &[]);
            }
            Op::Trap => {
                self.problem(engine, Kind::Trap, number, active, at, String::new());
                engine.stop();
                return Flow::Gone;
            }
            Op::Assert { arguments } => {
                let note = self.assertion(engine, number, active, arguments);
                self.problem(engine, Kind::Assertion, number, active, at, note);
                engine.stop();
                return Flow::Gone;
            }
            Op::Print { arguments, result } => self.print(engine, number, active, *arguments, *result),
            Op::Allocate { bytes, result } => self.allocate(engine, number, active, *bytes, *result),
            Op::Free { address } => self.free(engine, number, active, at, *address),
            Op::Map { .. }
            | Op::Compare { .. }
            | Op::Set { .. }
            | Op::Select { .. }
            | Op::Predicate { .. }
            | Op::PredicateFill { .. }
            | Op::Nothing => {}
            Op::AwaitLaunch => {
                warp.awaited_launch |= active;
                if engine.dependent {
                    engine.awaited.store(true, Relaxed);
                }
            }
            Op::Barrier { .. } => return self.barrier(engine, turn),
            Op::ClusterBarrier { .. } => return self.cluster_barrier(engine, turn),
            Op::WarpBarrier { .. }
            | Op::Vote { .. }
            | Op::Shuffle { .. }
            | Op::Match { .. }
            | Op::Reduce { .. }
            | Op::Elect { .. }
            | Op::LoadMatrix { .. }
            | Op::StoreMatrix { .. }
            | Op::TransposeMatrix { .. }
            | Op::MatrixProduct(_)
            | Op::Fragment(_)
            | Op::FragmentProduct(_)
            | Op::GroupProduct(_) => {
                let waiting = self.collectives(engine, number, inst, at, active);
                if waiting != 0 {
                    return self.meet(Turn { active: waiting, ..turn });
                }
            }
        }
        Flow::Next
    }
}
