//! Barriers in shared memory, and copies that complete on them (`mbarrier`, `cp.async.bulk`).

use super::{
    access::Span,
    block::Block,
    engine::{Engine, Problem},
    lanes::each,
    phase::{Boxed, MOST_RANGES, Phase},
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
        let spans = super::access::spans(&self.warps[number], address, 8);
        let mut states = [0; 32];
        let mut over = 0;
        let mut released = false;
        each(active, |lane| {
            let offset = spans[lane].address;
            let report = |block: &Block, kind, note: String| {
                let Span { memory, address, bytes } = spans[lane];
                let access = Some(Access { memory, address, bytes: bytes as u64, write: true });
                let thread = (number * 32 + lane) as u32;
                engine.report(Problem { kind, at, block: block.number, thread, access, other: None, note });
            };
            if spans[lane].memory != Memory::Shared || !self.memory.bytes.holds(offset, 8) {
                return report(
                    self,
                    Kind::OutOfBounds,
                    format!("the block has {} bytes of shared memory", self.memory.bytes.len()),
                );
            }
            if !offset.is_multiple_of(8) {
                return report(self, Kind::Misaligned, "the address is no multiple of 8".into());
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
                MBarrier::Arrive { count, bytes, dropped } => {
                    let count = count.map_or(1, |slot| warp.get(slot)[lane] as u32);
                    let more = bytes.map_or(0, |slot| i64::from(warp.get(slot)[lane] as u32));
                    phase.bytes += more;
                    if *dropped {
                        phase.expected = phase.expected.saturating_sub(count);
                    }
                    many = count > phase.pending;
                    phase.pending = phase.pending.saturating_sub(count);
                    phase.come(number, lane);
                    phase.join(&warp.clocks);
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
                    if self.memory.ranges + warp.copies[lane].len() <= MOST_RANGES {
                        self.memory.ranges += warp.copies[lane].len();
                        phase.copies.extend(warp.copies[lane].drain(..).map(|c| (c.offset, c.bytes, thread)));
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
                MBarrier::Wait { state, parity, .. } => {
                    let state = warp.get(*state)[lane];
                    let done = if *parity { phase.number & 1 != state & 1 } else { phase.number > state };
                    if done {
                        over |= 1 << lane;
                        let own = warp.time();
                        if let Some(arrived) = &phase.arrived {
                            warp.clocks.join(arrived);
                            warp.clocks.warps[number] = own;
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
            let ranges = match self.ranges(engine, number, lane, copy) {
                Ok(ranges) => ranges,
                Err((kind, note)) => {
                    let thread = (number * 32 + lane) as u32;
                    let problem = Problem { kind, at, block: self.number, thread, access: None, other: None, note };
                    return engine.report(problem);
                }
            };
            let load = copy.barrier.is_some();
            if load {
                self.note_box(number, lane, at, copy, &ranges);
            }
            let thread = (number * 32 + lane) as u16;
            let mut moved = 0;
            let mut written = Vec::new();
            let (warp, mut reach) = self.reach(engine, number, at);
            reach.count_pieces(&ranges.pieces, !load);
            for (shared, global, bytes) in ranges.pieces {
                moved += bytes as i64;
                let near = Span { memory: Memory::Shared, address: shared, bytes };
                let (ok_near, ok_far) = match global {
                    Some(global) => {
                        let far = Span { memory: Memory::Global, address: global, bytes };
                        (reach.is_inside(warp, lane, near, load), reach.is_inside(warp, lane, far, !load))
                    }
                    None => (reach.is_inside(warp, lane, near, load), true),
                };
                if !ok_near || !ok_far {
                    return;
                }
                for i in 0..bytes / 4 {
                    let word = |address: u64, memory| Span { memory, address: address + 4 * i as u64, bytes: 4 };
                    let near = word(shared, Memory::Shared);
                    if load {
                        let read = |g| reach.read(warp, lane, word(g, Memory::Global), Manner::Weak);
                        let value = global.map_or([0; 4], read);
                        reach.write(warp, lane, near, &value, Manner::Pending);
                    } else if let Some(global) = global {
                        reach.proxied(warp, lane, near);
                        let value = reach.read(warp, lane, near, Manner::Weak);
                        reach.write(warp, lane, word(global, Memory::Global), &value, Manner::Weak);
                    }
                }
                if load {
                    written.push((shared as usize, bytes, thread));
                }
            }
            if let Some(address) = &copy.barrier {
                let offset = super::access::spans(&self.warps[number], address, 8)[lane].address;
                let clocks = self.warps[number].clocks.clone();
                match self.memory.phases.get_mut(&offset) {
                    Some(phase) => {
                        if self.memory.ranges + written.len() <= MOST_RANGES {
                            self.memory.ranges += written.len();
                            phase.copies.append(&mut written);
                        }
                        phase.bytes -= moved;
                        phase.join(&clocks);
                        phase.advance();
                    }
                    None => {
                        let note = "no barrier was initialised here".into();
                        self.problem(engine, Kind::Uninitialized, number, 1 << lane, at, note);
                    }
                }
            }
        });
    }

    /// Remembers how the rows of a tensor's box lie in shared memory.
    fn note_box(&mut self, number: usize, lane: usize, at: usize, copy: &Bulk, ranges: &Ranges) {
        let begin = super::access::spans(&self.warps[number], &copy.shared, 16)[lane].address;
        let end = begin + ranges.pieces.iter().map(|(_, _, bytes)| *bytes as u64).sum::<u64>();
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
        let shared = super::access::spans(warp, &copy.shared, 16)[lane].address;
        match &copy.far {
            Side::Linear { address, bytes } => {
                let global = super::access::spans(warp, address, 16)[lane].address;
                let bytes = warp.get(*bytes)[lane] as u32 as usize;
                if !shared.is_multiple_of(16) || !global.is_multiple_of(16) || !bytes.is_multiple_of(16) {
                    let note =
                        format!("shared {shared:#x}, global {global:#x} and {bytes} bytes must be multiples of 16");
                    return Err((Kind::Misaligned, note));
                }
                Ok(Ranges { pieces: vec![(shared, Some(global), bytes)], swizzle: None })
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
                if size > self.memory.bytes.len() as u64 {
                    let note = format!("a box of {size} bytes, the block has {}", self.memory.bytes.len());
                    return Err((Kind::OutOfBounds, note));
                }
                let align = if map.swizzle.mask() == 0 { 128 } else { 128 * (map.swizzle.mask() + 1) };
                if !shared.is_multiple_of(align) {
                    return Err((Kind::Misaligned, format!("shared {shared:#x} must be a multiple of {align}")));
                }
                Ok(Ranges { pieces: pieces(&map, &corner, shared), swizzle: Some(map.swizzle) })
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

/// Pieces of shared memory, each with its counterpart in global memory if there is one, and its bytes.
type Pieces = Vec<(u64, Option<u64>, usize)>;

/// What a bulk copy moves.
struct Ranges {
    pieces: Pieces,
    /// Of a tensor's box.
    swizzle: Option<Swizzle>,
}

/// The words of a box: where each lies in shared memory, and in global memory if the tensor reaches there.
fn pieces(map: &TensorMap, corner: &[i64], shared: u64) -> Pieces {
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
        let unit = if map.element_bytes < 4 { 4 } else { map.element_bytes };
        for begin in (0..row_bytes).step_by(unit as usize) {
            let place = map.swizzle.apply(shared + row * row_bytes + begin);
            let first = corner[0] + (begin / map.element_bytes) as i64;
            let last = first + (unit / map.element_bytes) as i64 - 1;
            let reaches = inside && first >= 0 && last < map.extents[0] as i64;
            let from = address.wrapping_add_signed(first * map.element_bytes as i64);
            found.push((place, reaches.then_some(from), unit as usize));
        }
    }
    found
}
