//! The registers of a program in as few places as hold them, so that those of a warp stay near.
//!
//! Compilers write PTX with a register for each value. A lane has its own part of each register, and writes no other
//! lane's: two registers may share a place where, on every path of a lane, the one's last value is read before the other's
//! first is written. What is not defined in PTX may differ by it: the value that a shuffle takes from a lane that does not
//! take part.

use super::{
    code::{BarrierKind, Given, Inst, Op, Program},
    hopper::{MBarrier, Side},
    place::Slot,
};

/// How an instruction uses a register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

impl Op {
    /// Calls a function with every general register that the instruction names.
    fn registers(&mut self, f: &mut impl FnMut(&mut Slot, Use)) {
        use Use::{Read, Write};
        match self {
            Op::Map { d, a, .. } => {
                a.iter_mut().for_each(|a| f(a, Read));
                f(d, Write);
            }
            Op::Compare { a, b, .. } => [a, b].into_iter().for_each(|slot| f(slot, Read)),
            Op::Set { a, b, d, .. } | Op::Select { a, b, d, .. } | Op::Carry { a, b, d, .. } => {
                [a, b].into_iter().for_each(|slot| f(slot, Read));
                f(d, Write);
            }
            Op::MadCarry { d, a, b, c, .. } => {
                [a, b, c].into_iter().for_each(|slot| f(slot, Read));
                f(d, Write);
            }
            Op::Pack { d, a, .. } => {
                a.iter_mut().for_each(|a| f(a, Read));
                f(d, Write);
            }
            Op::Unpack { d, a, .. } => {
                f(a, Read);
                d.iter_mut().flatten().for_each(|d| f(d, Write));
            }
            Op::Clock { d, .. } | Op::ActiveMask { d } => f(d, Write),
            Op::Load { address, d, .. } => {
                f(&mut address.base, Read);
                d.iter_mut().flatten().for_each(|d| f(d, Write));
            }
            Op::Store { address, a, .. } | Op::StoreMatrix { address, a, .. } => {
                f(&mut address.base, Read);
                a.iter_mut().for_each(|a| f(a, Read));
            }
            Op::Atomic { address, d, b, c, .. } => {
                [&mut address.base, c].into_iter().for_each(|slot| f(slot, Read));
                b.iter_mut().for_each(|b| f(b, Read));
                d.iter_mut().flatten().for_each(|d| f(d, Write));
            }
            Op::Convert { d, a, .. } | Op::TransposeMatrix { d, a } => {
                f(a, Read);
                f(d, Write);
            }
            Op::IsSpace { a, .. } => f(a, Read),
            Op::AsyncCopy { to, from, given, .. } => {
                [&mut to.base, &mut from.base].into_iter().for_each(|slot| f(slot, Read));
                if let Given::Bytes(bytes) = given {
                    f(bytes, Read);
                }
            }
            Op::BranchTable { index, .. } => f(index, Read),
            Op::Call { index, .. } => index.iter_mut().for_each(|index| f(index, Read)),
            Op::Barrier { id, threads, kind, .. } => {
                f(id, Read);
                threads.iter_mut().for_each(|threads| f(threads, Read));
                if let BarrierKind::Reduce { d: Some(d), .. } = kind {
                    f(d, Write);
                }
            }
            Op::WarpBarrier { mask } => f(mask, Read),
            Op::Vote { d, mask, .. } | Op::Elect { d, mask, .. } => {
                f(mask, Read);
                d.iter_mut().for_each(|d| f(d, Write));
            }
            Op::Shuffle { d, a, b, c, mask, .. } => {
                [a, b, c, mask].into_iter().for_each(|slot| f(slot, Read));
                f(d, Write);
            }
            Op::Match { d, a, mask, .. } | Op::Reduce { d, a, mask, .. } => {
                [a, mask].into_iter().for_each(|slot| f(slot, Read));
                f(d, Write);
            }
            Op::LoadMatrix { address, d, .. } => {
                f(&mut address.base, Read);
                d.iter_mut().for_each(|d| f(d, Write));
            }
            Op::MatrixProduct(product) => {
                let [a, b, c] = [&mut product.a, &mut product.b, &mut product.c];
                [a, b, c].into_iter().flatten().for_each(|slot| f(slot, Read));
                product.d.iter_mut().for_each(|d| f(d, Write));
            }
            Op::FragmentProduct(product) => {
                let [a, b, c] = [&mut product.a, &mut product.b, &mut product.c];
                [a, b, c].into_iter().flatten().for_each(|slot| f(slot, Read));
                product.d.iter_mut().for_each(|d| f(d, Write));
            }
            Op::Fragment(fragment) => {
                f(&mut fragment.address.base, Read);
                fragment.stride.iter_mut().for_each(|stride| f(stride, Read));
                let how = if fragment.store { Read } else { Write };
                fragment.registers.iter_mut().for_each(|slot| f(slot, how));
            }
            Op::GroupProduct(product) => {
                [&mut product.a, &mut product.b].into_iter().for_each(|slot| f(slot, Read));
                product.a_registers.iter_mut().flatten().for_each(|a| f(a, Read));
                // Read first, and what is read is renamed as what is written.
                for sum in &mut product.sums {
                    let mut read = *sum;
                    f(&mut read, Read);
                    f(sum, Write);
                }
            }
            Op::MBarrier { kind, address, d } => {
                f(&mut address.base, Read);
                match kind {
                    MBarrier::Init { count: slot }
                    | MBarrier::Expect { bytes: slot }
                    | MBarrier::Complete { bytes: slot }
                    | MBarrier::Wait { state: slot, .. } => f(slot, Read),
                    MBarrier::Arrive { count, bytes, .. } => {
                        [count, bytes].into_iter().flatten().for_each(|slot| f(slot, Read));
                    }
                    MBarrier::Invalidate | MBarrier::ArriveAfterCopies { .. } => {}
                }
                d.iter_mut().for_each(|d| f(d, Write));
            }
            Op::Bulk(bulk) => {
                f(&mut bulk.shared.base, Read);
                match &mut bulk.far {
                    Side::Linear { address, bytes } => {
                        [&mut address.base, bytes].into_iter().for_each(|slot| f(slot, Read))
                    }
                    Side::Tensor { map, coordinates } => {
                        f(&mut map.base, Read);
                        coordinates.iter_mut().for_each(|slot| f(slot, Read));
                    }
                }
                bulk.barrier.iter_mut().for_each(|address| f(&mut address.base, Read));
                bulk.blocks.iter_mut().for_each(|blocks| f(blocks, Read));
            }
            Op::Signalled(store) => {
                [&mut store.address.base, &mut store.barrier.base].into_iter().for_each(|slot| f(slot, Read));
                store.a.iter_mut().for_each(|a| f(a, Read));
            }
            Op::Fetch(fetch) => {
                f(&mut fetch.object, Read);
                fetch.coordinates.iter_mut().for_each(|slot| f(slot, Read));
                fetch.d.iter_mut().flatten().for_each(|d| f(d, Write));
            }
            Op::Surface(access) => {
                f(&mut access.object, Read);
                access.coordinates.iter_mut().for_each(|slot| f(slot, Read));
                let how = if access.store { Read } else { Write };
                access.registers.iter_mut().flatten().for_each(|slot| f(slot, how));
            }
            Op::Query(query) => {
                f(&mut query.object, Read);
                f(&mut query.d, Write);
            }
            Op::ChangeMap { address, value, .. } => {
                [&mut address.base, value].into_iter().for_each(|slot| f(slot, Read))
            }
            Op::CopyMap { to, from } => [&mut to.base, &mut from.base].into_iter().for_each(|slot| f(slot, Read)),
            Op::Predicate { .. }
            | Op::PredicateFill { .. }
            | Op::Fence
            | Op::ClusterBarrier { .. }
            | Op::AsyncCommit
            | Op::AsyncWait(_)
            | Op::Branch(_)
            | Op::Return
            | Op::Exit
            | Op::Assert { .. }
            | Op::Print { .. }
            | Op::Allocate { .. }
            | Op::Free { .. }
            | Op::Trap
            | Op::Nothing
            | Op::AwaitLaunch
            | Op::ProxyFence
            | Op::GroupWait => {}
        }
    }
}

/// Registers by a bit each.
#[derive(Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn new(len: usize) -> Set {
        Set(vec![0; len.div_ceil(64)])
    }

    fn insert(&mut self, slot: Slot) {
        self.0[slot as usize / 64] |= 1 << (slot % 64);
    }

    fn holds(&self, slot: Slot) -> bool {
        self.0[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    fn each(&self, mut f: impl FnMut(usize)) {
        for (place, &word) in self.0.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                f(64 * place + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }
}

/// Instructions in a row that are only entered at the first.
struct Part {
    begin: usize,
    end: usize,
    next: Vec<usize>,
    /// What is read before it is written, what is written, and what is live at the beginning and the end.
    reads: Set,
    writes: Set,
    live: Set,
    live_after: Set,
}

/// Bits of all sets of a program, and of those along its jumps; where they are more, it stays as it is.
const MOST_BITS: usize = 1 << 24;
/// Passes over a program, of which loops in each other need one each.
const MOST_PASSES: usize = 64;
/// Registers that stay near in any case.
const FEW: usize = 64;

/// Gives the registers of a program new places; one that calls functions stays as it is, since these have registers of
/// their own to save.
pub(crate) fn compact(program: &mut Program) {
    let slots = program.slots;
    if program.slots <= FEW || program.entry != 0 || program.code.iter().any(|inst| matches!(inst.op, Op::Call { .. }))
    {
        return;
    }
    let Some(mut parts) = parts(program) else { return };
    if !liveness(&mut parts) {
        return;
    }
    let mut pinned = Set::new(slots);
    let fixed = program.constants.iter().map(|(slot, _)| *slot).chain(program.specials.iter().map(|(slot, _)| *slot));
    [0].into_iter().chain(fixed).for_each(|slot| pinned.insert(slot));
    // From the first to the last instruction at which each may hold what is still read.
    let mut spans: Vec<(usize, usize)> = vec![(usize::MAX, 0); slots];
    let mut extend = |slot: usize, at: usize| spans[slot] = (spans[slot].0.min(at), spans[slot].1.max(at));
    for part in &parts {
        part.live.each(|slot| extend(slot, part.begin));
        part.live_after.each(|slot| extend(slot, part.end));
        for at in part.begin..part.end {
            program.code[at].op.registers(&mut |slot, _| extend(*slot as usize, at));
        }
    }
    let mut places = vec![0; slots];
    let mut count = 0;
    pinned.each(|slot| {
        places[slot] = count;
        count += 1;
    });
    let mut order: Vec<usize> = (0..slots).filter(|&slot| spans[slot].0 != usize::MAX).collect();
    order.retain(|&slot| !pinned.holds(slot as Slot));
    order.sort_unstable_by_key(|&slot| spans[slot]);
    // Places with the last instruction that needs them.
    let mut taken: std::collections::BinaryHeap<std::cmp::Reverse<(usize, Slot)>> = Default::default();
    for slot in order {
        let (begin, end) = spans[slot];
        let free = taken.peek().is_some_and(|std::cmp::Reverse((last, _))| *last < begin);
        let place = match taken.pop().filter(|_| free) {
            Some(std::cmp::Reverse((_, place))) => place,
            None => {
                count += 1;
                count - 1
            }
        };
        places[slot] = place;
        taken.push(std::cmp::Reverse((end, place)));
    }
    let first = parts.iter().find(|part| part.begin == 0);
    let mut unwritten = Vec::new();
    first.into_iter().for_each(|part| part.live.each(|slot| unwritten.push(slot)));
    unwritten.retain(|&slot| !pinned.holds(slot as Slot));
    program.unwritten = Some(unwritten.into_iter().map(|slot| places[slot]).collect());
    for inst in &mut program.code {
        inst.op.registers(&mut |slot, _| *slot = places[*slot as usize]);
    }
    program.constants.iter_mut().for_each(|(slot, _)| *slot = places[*slot as usize]);
    program.specials.iter_mut().for_each(|(slot, _)| *slot = places[*slot as usize]);
    program.slots = count as usize;
}

/// The parts of a program, unless they are too many.
fn parts(program: &mut Program) -> Option<Vec<Part>> {
    let (code, slots) = (&mut program.code, program.slots);
    let len = code.len();
    let mut begins = vec![false; len + 1];
    begins[0] = true;
    for (at, inst) in code.iter().enumerate() {
        match &inst.op {
            Op::Branch(to) => begins[(*to).min(len)] = true,
            Op::BranchTable { targets, .. } => targets.iter().for_each(|&to| begins[to.min(len)] = true),
            Op::Return | Op::Exit | Op::Trap | Op::Assert { .. } => {}
            _ => continue,
        }
        begins[at + 1] = true;
    }
    let firsts: Vec<usize> = (0..len).filter(|&at| begins[at]).collect();
    let jumps = |inst: &Inst| match &inst.op {
        Op::BranchTable { targets, .. } => targets.len(),
        _ => 0,
    };
    let edges = code.iter().map(jumps).fold(firsts.len(), usize::saturating_add);
    if edges.saturating_mul(slots) > MOST_BITS {
        return None;
    }
    let number = |at: usize| firsts.binary_search(&at).ok();
    let part = |(place, &begin): (usize, &usize)| {
        let end = firsts.get(place + 1).copied().unwrap_or(len);
        let (mut reads, mut writes) = (Set::new(slots), Set::new(slots));
        for inst in &mut code[begin..end] {
            let always = inst.guard.is_none();
            inst.op.registers(&mut |slot, how| match how {
                Use::Read if !writes.holds(*slot) => reads.insert(*slot),
                Use::Write if always => writes.insert(*slot),
                _ => {}
            });
        }
        let last = &code[end - 1];
        let mut next: Vec<usize> = match &last.op {
            Op::Branch(to) => number(*to).into_iter().collect(),
            Op::BranchTable { targets, .. } => targets.iter().filter_map(|&to| number(to)).collect(),
            _ => Vec::new(),
        };
        let ends = matches!(last.op, Op::Branch(_) | Op::BranchTable { .. } | Op::Return | Op::Exit | Op::Trap);
        if last.guard.is_some() || !ends {
            next.extend(number(end));
        }
        next.sort_unstable();
        next.dedup();
        Part { begin, end, next, reads, writes, live: Set::new(slots), live_after: Set::new(slots) }
    };
    Some(firsts.iter().enumerate().map(part).collect())
}

/// Finds what is live at the beginnings and ends of parts: from their ends to their beginnings until nothing changes;
/// whether that was soon.
fn liveness(parts: &mut [Part]) -> bool {
    for _ in 0..MOST_PASSES {
        let mut changed = false;
        for number in (0..parts.len()).rev() {
            for i in 0..parts[number].live_after.0.len() {
                let after = parts[number].next.iter().fold(0, |all, &next| all | parts[next].live.0[i]);
                let part = &mut parts[number];
                part.live_after.0[i] = after;
                let live = part.reads.0[i] | after & !part.writes.0[i];
                changed |= live != part.live.0[i];
                part.live.0[i] = live;
            }
        }
        if !changed {
            return true;
        }
    }
    false
}
