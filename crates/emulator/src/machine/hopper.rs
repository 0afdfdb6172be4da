//! Barriers in shared memory, and copies that complete on them (`mbarrier`, `cp.async.bulk`).

use super::{
    block::Block,
    engine::{Engine, Problem},
    lanes::each,
    phase::{Boxed, MOST_RANGES, Phase},
    span::{Span, part},
};
use crate::{
    finding::{Access, Kind},
    memory::{
        Memory,
        shadow::{Manner, Record},
    },
    program::{Bulk, Inst, MBarrier, Op, Side},
    tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap},
};

impl Block {
    /// Executes an operation on a barrier in memory, lane after lane.
    pub(super) fn mbarrier(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::MBarrier { kind, address, d } = &inst.op else { return };
        let is_wait = matches!(kind, MBarrier::Wait { .. });
        let spans = super::span::spans(&self.warps[number], address, 8);
        let mut states = [0; 32];
        let mut over = 0;
        let mut released = false;
        each(active, |lane| {
            let offset = spans[lane].address;
            let report = |block: &Block, kind, note: String| {
                let Span { memory, address, bytes } = spans[lane];
                let access = Some(engine.shown(Access { memory, address, bytes: bytes as u64, write: true }));
                let thread = (number * 32 + lane) as u32;
                engine.report(Problem { kind, at, block: block.number, thread, access, other: None, note });
            };
            let (layout, rank) = (&engine.layout, self.warps[number].rank);
            if spans[lane].memory != Memory::Shared || !layout.holds(offset, 8) {
                return report(self, Kind::OutOfBounds, layout.describe(rank, offset));
            }
            if !offset.is_multiple_of(8) {
                return report(self, Kind::Misaligned, "the address is no multiple of 8".into());
            }
            if !self.visit(engine, number, lane, at, offset) {
                return;
            }
            let warp = &mut self.warps[number];
            if let MBarrier::Init { count } = kind {
                let count = warp.get(*count)[lane] as u32;
                let phase = Phase { expected: count, pending: count, ..Phase::default() };
                let earlier = self.memory.phases.insert(offset, phase);
                self.memory.ranges -= earlier.map_or(0, |phase| phase.ranges());
                self.memory.bytes.write(offset as usize, 8, 0);
                return;
            }
            let Some(phase) = self.memory.phases.get_mut(&offset) else {
                return report(self, Kind::Uninitialized, "no barrier was initialised here".into());
            };
            states[lane] = phase.number;
            let mut many = false;
            match kind {
                MBarrier::Init { .. } => {}
                MBarrier::Invalidate => {
                    let earlier = self.memory.phases.remove(&offset);
                    self.memory.ranges -= earlier.map_or(0, |phase| phase.ranges());
                }
                MBarrier::Arrive { count, bytes, dropped, relaxed } => {
                    let count = count.map_or(1, |slot| warp.get(slot)[lane] as u32);
                    let more = bytes.map_or(0, |slot| i64::from(warp.get(slot)[lane] as u32));
                    phase.bytes += more;
                    if *dropped {
                        phase.expected = phase.expected.saturating_sub(count);
                    }
                    many = count > phase.pending;
                    phase.pending = phase.pending.saturating_sub(count);
                    phase.come(number, lane);
                    // What a relaxed arrival makes known is what a fence before it saw.
                    if let Some(known) = if *relaxed { warp.fenced.as_ref() } else { Some(&warp.clocks) } {
                        phase.join(known);
                    }
                    phase.advance();
                    released = true;
                }
                MBarrier::Expect { bytes } => phase.bytes += i64::from(warp.get(*bytes)[lane] as u32),
                MBarrier::Complete { bytes } => {
                    phase.bytes -= i64::from(warp.get(*bytes)[lane] as u32);
                    phase.advance();
                }
                MBarrier::ArriveAfterCopies { counted } => {
                    // The copies' bytes are there already; from here on they belong to the barrier.
                    let thread = (number * 32 + lane) as u16;
                    let copies = warp.copies.get_mut(lane).filter(|c| self.memory.ranges + c.len() <= MOST_RANGES);
                    if let Some(copies) = copies {
                        self.memory.ranges += copies.len();
                        phase.copies.extend(copies.drain(..).map(|c| (c.offset, c.bytes, thread)));
                    }
                    phase.join(&warp.clocks);
                    if *counted {
                        phase.pending = phase.pending.saturating_add(1);
                    }
                    many = phase.pending == 0;
                    phase.come(number, lane);
                    phase.pending = phase.pending.saturating_sub(1);
                    phase.advance();
                    released = true;
                }
                MBarrier::Wait { state, parity, relaxed, .. } => {
                    let state = warp.get(*state)[lane];
                    let done = if *parity { phase.number & 1 != state & 1 } else { phase.number > state };
                    if done {
                        over |= 1 << lane;
                        let own = warp.time();
                        match &phase.arrived {
                            Some(arrived) if *relaxed => match &mut warp.awaited {
                                Some(known) => known.join(arrived),
                                None => warp.awaited = Some(arrived.clone()),
                            },
                            Some(arrived) => {
                                warp.clocks.join(arrived);
                                warp.clocks.warps[number] = own;
                            }
                            None => {}
                        }
                        self.memory.ranges -= phase.ready.len();
                        for (begin, bytes, thread) in phase.ready.drain(..) {
                            let how = |record| Record { manner: Manner::Bulk, ..record };
                            self.memory.shadows.settle(begin / 4, bytes / 4, thread, how);
                        }
                    }
                }
            }
            if many {
                report(self, Kind::DivergentBarrier, "more threads arrive than the barrier was initialised for".into());
            }
        });
        let warp = &mut self.warps[number];
        if let MBarrier::Wait { p, .. } = kind {
            warp.set_predicate(*p, active, over);
            warp.waits = over == 0;
        }
        d.iter().for_each(|&d| warp.set(d, active, &states));
        self.events += u64::from(!is_wait || over != 0);
        let warp = &mut self.warps[number];
        // What came before an arrival is older than what follows; so is, for a warp's own lanes, what was waited for.
        if released || over != 0 {
            warp.tick();
        }
    }

    /// Executes a bulk copy for each lane.
    pub(super) fn bulk(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::Bulk(copy) = &inst.op else { return };
        each(active, |lane| {
            if let Err((kind, note)) = self.bulk_by(engine, number, lane, at, copy) {
                self.problem(engine, kind, number, 1 << lane, at, note);
            }
        });
    }

    fn bulk_by(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        lane: usize,
        at: usize,
        copy: &Bulk,
    ) -> Result<(), (Kind, String)> {
        let ranges = self.ranges(engine, number, lane, copy)?;
        let (layout, load) = (&engine.layout, copy.barrier.is_some());
        let (warp, mut reach) = self.reach(engine, number, at);
        let blocks = copy.blocks.map(|slot| warp.get(slot)[lane] as u32 & 0xffff);
        if let Some(absent) = blocks.filter(|&blocks| blocks == 0 || blocks >> layout.blocks != 0) {
            let note = format!("a copy to the blocks {absent:#x} of a cluster of {}, each a bit", layout.blocks);
            return Err((Kind::Illegal, note));
        }
        reach.count_pieces(&ranges, !load);
        drop(reach);
        let Some(barrier) = &copy.barrier else {
            self.move_pieces(engine, number, lane, at, &ranges, load);
            return Ok(());
        };
        let barrier = super::span::spans(&self.warps[number], barrier, 8)[lane].address;
        match blocks {
            None => self.receive(engine, number, lane, at, &ranges, barrier),
            Some(blocks) => (0..layout.blocks).filter(|rank| blocks >> rank & 1 == 1).try_for_each(|rank| {
                let pieces =
                    ranges.pieces.iter().map(|piece| Piece { near: layout.of_rank(piece.near, rank), ..*piece });
                let theirs = Ranges { pieces: pieces.collect(), begin: layout.of_rank(ranges.begin, rank), ..ranges };
                self.receive(engine, number, lane, at, &theirs, layout.of_rank(barrier, rank))
            }),
        }
    }

    /// Writes what a bulk copy brings, and counts it at a barrier.
    fn receive(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        lane: usize,
        at: usize,
        ranges: &Ranges,
        barrier: u64,
    ) -> Result<(), (Kind, String)> {
        self.note_box(number, lane, at, ranges);
        if !self.move_pieces(engine, number, lane, at, ranges, true) {
            return Ok(());
        }
        let thread = (number * 32 + lane) as u16;
        let written = ranges.pieces.iter().map(|piece| (piece.near as usize, piece.bytes, thread)).collect();
        self.signal(engine, number, lane, at, barrier, written)
    }

    /// Counts bytes that a lane wrote at a barrier; they are there when its phase is over.
    pub(super) fn signal(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        lane: usize,
        at: usize,
        barrier: u64,
        mut written: Vec<(usize, usize, u16)>,
    ) -> Result<(), (Kind, String)> {
        if !engine.layout.holds(barrier, 8) {
            return Err((Kind::OutOfBounds, engine.layout.describe(self.warps[number].rank, barrier)));
        }
        let of = |place: u64| engine.layout.rank_of(place);
        if let Some((there, ..)) = written.iter().find(|&&(place, ..)| of(place as u64) != of(barrier)) {
            let (there, here) = (of(*there as u64), of(barrier));
            let note = format!(
                "the barrier is of block {here} of the cluster, and counts what is written to block {there}: both must be of one"
            );
            return Err((Kind::Illegal, note));
        }
        if !self.visit(engine, number, lane, at, barrier) {
            return Ok(());
        }
        let none = || (Kind::Uninitialized, "no barrier was initialised here".to_owned());
        let phase = self.memory.phases.get_mut(&barrier).ok_or_else(none)?;
        phase.bytes -= written.iter().map(|(_, bytes, _)| *bytes as i64).sum::<i64>();
        if self.memory.ranges + written.len() <= MOST_RANGES {
            self.memory.ranges += written.len();
            phase.copies.append(&mut written);
        }
        phase.join(&self.warps[number].clocks);
        phase.advance();
        Ok(())
    }

    /// Copies pieces into shared memory or, if it is no load, out of it; whether all of them may be touched.
    fn move_pieces(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        lane: usize,
        at: usize,
        ranges: &Ranges,
        load: bool,
    ) -> bool {
        let (warp, mut reach) = self.reach(engine, number, at);
        for &Piece { near, far, bytes } in &ranges.pieces {
            let whole = Span { memory: Memory::Shared, address: near, bytes };
            let other = far.map(|address| Span { memory: ranges.memory, address, bytes });
            let inside = reach.is_inside(warp, lane, whole, load);
            if !inside || other.is_some_and(|other| !reach.is_inside(warp, lane, other, !load)) {
                return false;
            }
            let unit = if bytes.is_multiple_of(UNIT as usize) { UNIT as usize } else { 4 };
            for i in 0..bytes / unit {
                let near = part(whole, i, unit);
                let far = other.map(|other| part(other, i, unit));
                let (from, to, manner) =
                    if load { (far, Some(near), Manner::Pending) } else { (Some(near), far, Manner::Weak) };
                let Some(to) = to else { continue };
                let mut value = [0; 4];
                if let Some(from) = from {
                    // Nothing is to be seen of shared memory that a thread wrote and no fence follows.
                    reach.proxied(lane, from);
                    value = reach.read(warp, lane, from, Manner::Weak);
                }
                reach.write(warp, lane, to, &value, manner);
            }
        }
        true
    }

    /// Remembers how the rows of a tensor's box lie in shared memory.
    fn note_box(&mut self, number: usize, lane: usize, at: usize, ranges: &Ranges) {
        let begin = ranges.begin;
        let end = begin + ranges.pieces.iter().map(|piece| piece.bytes as u64).sum::<u64>();
        self.memory.boxes.retain(|b| b.end <= begin || end <= b.begin);
        if let Some(swizzle) = ranges.swizzle {
            let thread = (number * 32 + lane) as u16;
            let record = Record { block: self.number, thread, ..Record::default() }.at(at, 0);
            self.memory.boxes.push(Boxed { begin, end, swizzle, record });
        }
    }

    /// What a bulk copy moves: pieces of shared memory, and of global memory where the tensor has elements there.
    fn ranges(&self, engine: &Engine<'_>, number: usize, lane: usize, copy: &Bulk) -> Result<Ranges, (Kind, String)> {
        let warp = &self.warps[number];
        let shared = super::span::spans(warp, &copy.shared, 16)[lane].address;
        match &copy.far {
            Side::Linear { address, bytes } => {
                let Span { memory, address: far, .. } = super::span::spans(warp, address, 16)[lane];
                let bytes = warp.get(*bytes)[lane] as u32 as usize;
                if !shared.is_multiple_of(16) || !far.is_multiple_of(16) || !bytes.is_multiple_of(16) {
                    let note =
                        format!("shared {shared:#x}, {memory} {far:#x} and {bytes} bytes must be multiples of 16");
                    return Err((Kind::Misaligned, note));
                }
                if bytes as u64 > engine.layout.bytes {
                    let note = format!("a copy of {bytes} bytes, the block has {}", engine.layout.bytes);
                    return Err((Kind::OutOfBounds, note));
                }
                let pieces = vec![Piece { near: shared, far: Some(far), bytes }];
                Ok(Ranges { pieces, begin: shared, memory, swizzle: None })
            }
            Side::Tensor { map, coordinates } => {
                let at = warp.get(map.base)[lane].wrapping_add_signed(map.offset);
                let map = self.tensor_map(engine, at).ok_or_else(|| match at {
                    ..=MOST_PARAMETER => (
                        Kind::Misaligned,
                        format!("{at:#x} is no generic address; that of a parameter is made by `cvta.param`"),
                    ),
                    _ => (Kind::OutOfBounds, format!("no description of a tensor at {at:#x}")),
                })?;
                let corner: Vec<i64> = coordinates.iter().map(|&slot| i64::from(warp.get(slot)[lane] as i32)).collect();
                if corner.len() != map.extents.len() {
                    let note = format!("{} coordinates, the tensor has {} dimensions", corner.len(), map.extents.len());
                    return Err((Kind::OutOfBounds, note));
                }
                let first = corner[0].wrapping_mul(map.element_bytes as i64);
                if first % 16 != 0 {
                    let note =
                        format!("the first coordinate {} is {first} bytes; legal are multiples of 16", corner[0]);
                    return Err((Kind::Illegal, note));
                }
                let size = map.box_extents.iter().product::<u64>() * map.element_bytes;
                if size > engine.layout.bytes {
                    let note = format!("a box of {size} bytes, the block has {}", engine.layout.bytes);
                    return Err((Kind::OutOfBounds, note));
                }
                let align = if map.swizzle.mask() == 0 { 128 } else { 128 * (map.swizzle.mask() + 1) };
                if !shared.is_multiple_of(align) {
                    return Err((Kind::Misaligned, format!("shared {shared:#x} must be a multiple of {align}")));
                }
                let pieces = pieces(&map, &corner, shared);
                Ok(Ranges { pieces, begin: shared, memory: Memory::Global, swizzle: Some(map.swizzle) })
            }
        }
    }

    /// The description of a tensor at a generic address, in global memory or among the parameters.
    fn tensor_map(&self, engine: &Engine<'_>, address: u64) -> Option<TensorMap> {
        let (memory, offset) = crate::memory::resolve(address);
        let mut bytes = [0; TENSOR_MAP_BYTES];
        match memory {
            Memory::Param => {
                let from = offset as usize;
                bytes.copy_from_slice(engine.params.get(from..from.checked_add(TENSOR_MAP_BYTES)?)?);
            }
            Memory::Global => engine.global.read(offset, &mut bytes).ok()?,
            Memory::Shared | Memory::Local => return None,
        }
        TensorMap::decode(&bytes)
    }

    /// Makes a warp's writes, and those that it knows to be over, visible to bulk copies and group products.
    pub(super) fn proxy_fence(&mut self, number: usize) {
        let warp = &mut self.warps[number];
        let proxied = &mut self.memory.proxied;
        proxied.resize(warp.clocks.warps.len(), 0);
        proxied.iter_mut().zip(&warp.clocks.warps).for_each(|(seen, &time)| *seen = time.max(*seen));
        warp.tick();
    }
}

/// Parameters lie at addresses of at most this in their own space.
const MOST_PARAMETER: u64 = 1 << 16;

/// A piece of shared memory, its counterpart on the other side if there is one, and its bytes.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub near: u64,
    pub far: Option<u64>,
    pub bytes: usize,
}

/// What a bulk copy moves.
pub(super) struct Ranges {
    pub pieces: Vec<Piece>,
    /// The first byte in shared memory.
    begin: u64,
    /// What lies on the other side.
    pub memory: Memory,
    /// Of a tensor's box.
    swizzle: Option<Swizzle>,
}

/// The most bytes of a piece of a box: what a swizzle moves as a whole.
const UNIT: u64 = 16;

/// The pieces of a box: where each lies in shared memory, and in global memory if the tensor reaches there.
fn pieces(map: &TensorMap, corner: &[i64], shared: u64) -> Vec<Piece> {
    let row_bytes = map.box_extents[0] * map.element_bytes;
    let rows: u64 = map.box_extents[1..].iter().product();
    let mut found = Vec::new();
    for row in 0..rows {
        let mut left = row;
        let mut inside = true;
        let mut address = map.address;
        for (axis, &extent) in map.box_extents.iter().enumerate().skip(1) {
            let place = corner[axis] + (left % extent) as i64;
            left /= extent;
            inside &= (0..map.extents[axis] as i64).contains(&place);
            address = address.wrapping_add_signed(place.wrapping_mul(map.strides[axis - 1] as i64));
        }
        let element = map.element_bytes;
        // Words that the tensor has in part are moved element by element.
        for begin in (0..row_bytes).step_by(UNIT as usize) {
            let (first, count) = (corner[0] + (begin / element) as i64, (UNIT / element) as i64);
            let there = |first: i64, count: i64| inside && first >= 0 && first + count <= map.extents[0] as i64;
            let unit = match there(first, count) || !there(first, 1) {
                true => UNIT.min(row_bytes - begin),
                false => element.max(4),
            };
            for begin in (begin..(begin + UNIT).min(row_bytes)).step_by(unit as usize) {
                let near = map.swizzle.apply(shared + row * row_bytes + begin);
                let first = corner[0] + (begin / element) as i64;
                let from = address.wrapping_add_signed(first * element as i64);
                let far = there(first, (unit / element) as i64).then_some(from);
                found.push(Piece { near, far, bytes: unit as usize });
            }
        }
    }
    found
}
