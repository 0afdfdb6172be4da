//! Accesses to memory by the lanes of a warp, each one checked.

use super::{
    block::{Block, Shared, each},
    engine::{Engine, Problem},
    program::{Address, Inst, Op, Order},
    warp::{AsyncCopy, Warp},
};
use crate::{
    counters::Counters,
    finding::{Access, Kind},
    memory::{
        self, Memory,
        global::Allocation,
        shadow::{Manner, Page, Record, Shadow},
    },
    ptx::Space,
};
use std::sync::MutexGuard;

/// The bytes that one lane touches.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub memory: Memory,
    /// An address of global memory, or an offset.
    pub address: u64,
    pub bytes: usize,
}

/// Everything that an access may touch, beside the warp's registers.
pub(super) struct Reach<'a, 'e> {
    engine: &'e Engine<'e>,
    shared: &'a mut Shared,
    counters: &'a mut Counters,
    block: u32,
    warp: usize,
    at: usize,
    /// The page of shadow words in hand: its allocation and number.
    page: Option<(usize, usize, MutexGuard<'e, Page>)>,
}

impl Block {
    /// A warp, and all that its accesses may touch.
    pub(super) fn reach<'a, 'e>(
        &'a mut self,
        engine: &'e Engine<'e>,
        number: usize,
        at: usize,
    ) -> (&'a mut Warp, Reach<'a, 'e>) {
        let reach = Reach {
            engine,
            shared: &mut self.memory,
            counters: &mut self.counters,
            block: self.number,
            warp: number,
            at,
            page: None,
        };
        (&mut self.warps[number], reach)
    }

    /// Executes a load, a store, an atomic operation or an asynchronous copy.
    pub(super) fn access(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let (warp, mut reach) = self.reach(engine, number, at);
        match &inst.op {
            Op::Load { address, d, bytes, extend, order } => {
                let spans = spans(warp, address, bytes * d.len());
                reach.count(&spans, active, false);
                let mut values = vec![[0; 32]; d.len()];
                each(active, |lane| {
                    let whole = reach.may_touch(warp, lane, spans[lane], false);
                    if order.strong && whole {
                        reach.acquire(warp, spans[lane]);
                    }
                    for (i, values) in values.iter_mut().enumerate().filter(|_| whole) {
                        let span = part(spans[lane], i, *bytes);
                        let value = reach.read(warp, lane, span, manner(*order));
                        values[lane] = match extend.signed {
                            true => (value << (64 - 8 * bytes)) as i64 as u64 as i64 >> (64 - 8 * bytes),
                            false => value as i64,
                        } as u64
                            & (u64::MAX >> (64 - extend.to));
                    }
                });
                drop(reach);
                for (slot, values) in d.iter().zip(&values) {
                    if let Some(slot) = slot {
                        warp.set(*slot, active, values);
                    }
                }
            }
            Op::Store { address, a, bytes, order } => {
                let spans = spans(warp, address, bytes * a.len());
                reach.count(&spans, active, true);
                each(active, |lane| {
                    if !reach.may_touch(warp, lane, spans[lane], true) {
                        return;
                    }
                    if order.strong {
                        reach.publish(warp, spans[lane], order.release);
                    }
                    for (i, slot) in a.iter().enumerate() {
                        let value = warp.get(*slot)[lane];
                        reach.write(warp, lane, part(spans[lane], i, *bytes), value, manner(*order));
                    }
                });
                if order.release {
                    drop(reach);
                    warp.tick();
                }
            }
            Op::Atomic { f, address, d, b, c, bytes, order } => {
                let spans = spans(warp, address, bytes * b.len());
                reach.count(&spans, active, true);
                reach.counters.atomics += u64::from(active.count_ones());
                let c = *warp.get(*c);
                let mut old = vec![[0; 32]; b.len()];
                each(active, |lane| {
                    if !reach.may_touch(warp, lane, spans[lane], true) {
                        return;
                    }
                    reach.publish(warp, spans[lane], order.release);
                    reach.acquire(warp, spans[lane]);
                    for (i, (old, slot)) in old.iter_mut().zip(b).enumerate() {
                        let b = warp.get(*slot)[lane];
                        old[lane] = reach.update(warp, lane, part(spans[lane], i, *bytes), |x| f(x, b, c[lane]));
                    }
                });
                drop(reach);
                if order.release {
                    warp.tick();
                }
                for (slot, old) in d.iter().zip(&old) {
                    slot.iter().for_each(|&slot| warp.set(slot, active, old));
                }
            }
            Op::AsyncCopy { to, from, bytes, given } => {
                let (targets, sources) = (spans(warp, to, *bytes), spans(warp, from, *bytes));
                let given = given.map(|slot| *warp.get(slot));
                reach.count(&sources, active, false);
                reach.count(&targets, active, true);
                each(active, |lane| {
                    let given = given.map_or(*bytes, |g| (g[lane] as u32 as usize).min(*bytes));
                    let source = Span { bytes: given, ..sources[lane] };
                    let aligned = reach.is_aligned(lane, Span { bytes: *bytes, ..source }, false);
                    if !aligned || given > 0 && !reach.is_inside(warp, lane, source, false) {
                        return;
                    }
                    if !reach.may_touch(warp, lane, targets[lane], true) {
                        return;
                    }
                    for i in 0..bytes / 4 {
                        let whole = part(source, i, 4);
                        let value = match given.saturating_sub(4 * i) {
                            0 => 0,
                            left if left < 4 => (0..left)
                                .map(|byte| reach.read(warp, lane, part(whole, byte, 1), Manner::Weak) << (8 * byte))
                                .sum(),
                            _ => reach.read(warp, lane, whole, Manner::Weak),
                        };
                        reach.write(warp, lane, part(targets[lane], i, 4), value, Manner::Pending);
                    }
                    if targets[lane].memory == Memory::Shared {
                        let group = warp.committed[lane];
                        // One that is never waited for is forgotten in the end, and then never over.
                        if warp.copies[lane].len() >= MOST_COPIES {
                            warp.copies[lane].pop_front();
                        }
                        warp.copies[lane].push_back(AsyncCopy {
                            group,
                            offset: targets[lane].address as usize,
                            bytes: *bytes,
                        });
                    }
                });
            }
            _ => {}
        }
    }

    /// The rows of 16 bytes of a matrix load or store: reads or writes one word of a row for a lane.
    pub(super) fn matrix_rows(
        &mut self,
        engine: &Engine<'_>,
        number: usize,
        at: usize,
        address: &Address,
        count: usize,
        stored: Option<&dyn Fn(usize, usize) -> [u16; 8]>,
    ) -> Vec<[u16; 8]> {
        let (warp, mut reach) = self.reach(engine, number, at);
        let all = spans(warp, address, 16);
        let lanes = if count == 4 { u32::MAX } else { (1 << (8 * count)) - 1 };
        reach.count(&all, lanes, stored.is_some());
        let mut rows = vec![[0; 8]; 8 * count];
        each(lanes, |lane| {
            if !reach.may_touch(warp, lane, all[lane], stored.is_some()) {
                return;
            }
            match stored {
                Some(stored) => {
                    let row = stored(lane / 8, lane % 8);
                    for i in 0..4 {
                        let word = u64::from(row[2 * i]) | u64::from(row[2 * i + 1]) << 16;
                        reach.write(warp, lane, part(all[lane], i, 4), word, Manner::Weak);
                    }
                }
                None => {
                    for i in 0..4 {
                        let word = reach.read(warp, lane, part(all[lane], i, 4), Manner::Weak);
                        (rows[lane][2 * i], rows[lane][2 * i + 1]) = (word as u16, (word >> 16) as u16);
                    }
                }
            }
        });
        rows
    }
}

/// The most asynchronous copies of a lane that are under way.
const MOST_COPIES: usize = 1 << 16;

fn manner(order: Order) -> Manner {
    if order.strong { Manner::Strong } else { Manner::Weak }
}

/// One element of a span.
fn part(span: Span, place: usize, bytes: usize) -> Span {
    Span { address: span.address + (place * bytes) as u64, bytes, ..span }
}

/// What each lane touches.
pub(super) fn spans(warp: &Warp, address: &Address, bytes: usize) -> [Span; 32] {
    let base = warp.get(address.base);
    std::array::from_fn(|lane| {
        let at = base[lane].wrapping_add_signed(address.offset);
        let (memory, address) = match address.space {
            Space::Generic => memory::resolve(at),
            Space::Global | Space::Constant => (Memory::Global, at),
            // These addresses have 32 bits.
            Space::Shared => (Memory::Shared, at & 0xffff_ffff),
            Space::Local => (Memory::Local, at & 0xffff_ffff),
            Space::Param => (Memory::Param, at & 0xffff_ffff),
        };
        Span { memory, address, bytes }
    })
}

impl<'e> Reach<'_, 'e> {
    fn report(&mut self, kind: Kind, lane: usize, span: Span, write: bool, other: Option<Record>, note: String) {
        // A page in hand is given back first: reporting may look at memory.
        self.page = None;
        let Span { memory, address, bytes } = span;
        let access = Some(Access { memory, address, bytes: bytes as u64, write });
        let thread = (self.warp * 32 + lane) as u32;
        self.engine.report(Problem { kind, at: self.at, block: self.block, thread, access, other, note });
    }

    fn is_aligned(&mut self, lane: usize, span: Span, write: bool) -> bool {
        let aligned = span.address.is_multiple_of(span.bytes as u64);
        if !aligned {
            let note = format!("the address is no multiple of {}", span.bytes);
            self.report(Kind::Misaligned, lane, span, write, None, note);
        }
        aligned
    }

    /// The allocation that holds a span.
    fn allocation(&mut self, span: Span) -> Option<usize> {
        let all = &self.engine.allocations;
        let holds = |a: &Allocation| a.holds(span.address, span.bytes as u64);
        if all.get(self.shared.recent).is_some_and(|a| holds(a)) {
            return Some(self.shared.recent);
        }
        let place = all.partition_point(|a| a.base <= span.address).checked_sub(1)?;
        holds(&all[place]).then(|| {
            self.shared.recent = place;
            place
        })
    }

    pub(super) fn is_inside(&mut self, warp: &Warp, lane: usize, span: Span, write: bool) -> bool {
        let note = match span.memory {
            Memory::Global => match self.allocation(span) {
                Some(place) if write && self.engine.allocations[place].constant => {
                    self.report(Kind::ReadOnly, lane, span, write, None, "it is constant memory".into());
                    return false;
                }
                Some(_) => return true,
                None => self.engine.global.describe(span.address),
            },
            Memory::Shared if self.shared.bytes.holds(span.address, span.bytes) => return true,
            Memory::Shared => format!("the block has {} bytes of shared memory", self.shared.bytes.len()),
            Memory::Local if warp.local.get(lane).is_some_and(|l| l.holds(span.address, span.bytes)) => return true,
            Memory::Local => format!("the thread has {} bytes of local memory", self.engine.program.local),
            Memory::Param if write => {
                self.report(Kind::ReadOnly, lane, span, write, None, "parameters cannot be written".into());
                return false;
            }
            Memory::Param if span.address + span.bytes as u64 <= self.engine.params.len() as u64 => return true,
            Memory::Param => format!("the kernel has {} bytes of parameters", self.engine.params.len()),
        };
        self.report(Kind::OutOfBounds, lane, span, write, None, note);
        false
    }

    fn may_touch(&mut self, warp: &Warp, lane: usize, span: Span, write: bool) -> bool {
        self.is_aligned(lane, span, write) && self.is_inside(warp, lane, span, write)
    }

    fn record(&self, warp: &Warp, lane: usize, span: Span, manner: Manner) -> Record {
        let bytes = match span.bytes {
            1 | 2 => ((1_u8 << span.bytes) - 1) << (span.address % 4),
            _ => 15,
        };
        Record {
            block: self.block,
            thread: (self.warp * 32 + lane) as u16,
            bytes,
            manner,
            clock: warp.time(),
            instruction: self.at as u32,
        }
    }

    /// The shadow page of a word of an allocation, kept in hand for the next one.
    fn page(&mut self, place: usize, word: usize) -> &mut Page {
        let number = Shadow::page_of(word);
        // Another page is given back before this one is taken: two warps never wait for each other's.
        let held = self.page.take().filter(|(p, n, _)| (*p, *n) == (place, number));
        let engine: &'e Engine<'e> = self.engine;
        let take = || (place, number, engine.allocations[place].shadow.page(word, engine.launch));
        let (_, _, page) = self.page.insert(held.unwrap_or_else(take));
        page
    }

    /// Notes a read or write in the shadow of each word; reports a race.
    fn note(&mut self, warp: &Warp, lane: usize, span: Span, manner: Manner, write: Option<bool>) {
        let record = self.record(warp, lane, span, manner);
        let mut found = None;
        for i in 0..span.bytes.div_ceil(4) as u64 {
            let address = span.address + 4 * i;
            let touch = |word: &mut memory::shadow::Word| match write {
                Some(same_value) => word.write(record, same_value, &warp.clocks),
                None => word.read(record, &warp.clocks),
            };
            let other = match span.memory {
                Memory::Shared => touch(&mut self.shared.words[(address / 4) as usize]),
                _ => {
                    let Some(place) = self.allocation(span) else { return };
                    let word = ((address - self.engine.allocations[place].base) / 4) as usize;
                    touch(self.page(place, word).word(word))
                }
            };
            found = found.or(other);
        }
        if let Some(other) = found {
            let (kind, note) = match other.manner {
                Manner::Pending if other.block == self.block => {
                    (Kind::NotWaited, "an asynchronous copy into these bytes has not been waited for".to_owned())
                }
                _ => (Kind::Race, race_note(self.block, &other, self.warp).to_owned()),
            };
            self.report(kind, lane, span, write.is_some(), Some(other), note);
        }
    }

    /// Reads 1, 2, 4 or 8 bytes that may be touched.
    pub(super) fn read(&mut self, warp: &Warp, lane: usize, span: Span, manner: Manner) -> u64 {
        let (offset, bytes) = (span.address as usize, span.bytes);
        let (value, written) = match span.memory {
            Memory::Global => {
                let Some(place) = self.allocation(span) else { return 0 };
                let allocation = &self.engine.allocations[place];
                let offset = (span.address - allocation.base) as usize;
                (allocation.read(offset, bytes), allocation.is_written(offset, bytes))
            }
            Memory::Shared => (self.shared.bytes.read(offset, bytes), self.shared.bytes.is_written(offset, bytes)),
            Memory::Local => (warp.local[lane].read(offset, bytes), warp.local[lane].is_written(offset, bytes)),
            Memory::Param => {
                let mut value = [0; 8];
                value[..bytes].copy_from_slice(&self.engine.params[offset..offset + bytes]);
                (u64::from_le_bytes(value), true)
            }
        };
        if self.engine.check {
            if !written {
                let note = "nothing has written these bytes".into();
                self.report(Kind::Uninitialized, lane, span, false, None, note);
            }
            if matches!(span.memory, Memory::Global | Memory::Shared) {
                self.note(warp, lane, span, manner, None);
            }
        }
        value
    }

    /// Writes 1, 2, 4 or 8 bytes that may be touched.
    pub(super) fn write(&mut self, warp: &mut Warp, lane: usize, span: Span, value: u64, manner: Manner) {
        let (offset, bytes) = (span.address as usize, span.bytes);
        let value = value & (u64::MAX >> (64 - 8 * bytes));
        let check = self.engine.check;
        match span.memory {
            Memory::Global => {
                let Some(place) = self.allocation(span) else { return };
                let engine = self.engine;
                let allocation = &engine.allocations[place];
                let offset = (span.address - allocation.base) as usize;
                if check {
                    let same = allocation.read(offset, bytes) == value && allocation.is_written(offset, bytes);
                    self.note(warp, lane, span, manner, Some(same));
                }
                allocation.write(offset, bytes, value);
            }
            Memory::Shared => {
                if check {
                    let memory = &self.shared.bytes;
                    let same = memory.read(offset, bytes) == value && memory.is_written(offset, bytes);
                    self.note(warp, lane, span, manner, Some(same));
                }
                self.shared.bytes.write(offset, bytes, value);
            }
            Memory::Local => warp.local[lane].write(offset, bytes, value),
            Memory::Param => {}
        }
    }

    /// Reports a word of shared memory that a bulk copy or group product may not see as it was written.
    pub(super) fn proxied(&mut self, warp: &Warp, lane: usize, span: Span) {
        let _ = warp;
        if !self.engine.check || span.memory != Memory::Shared {
            return;
        }
        let word = &self.shared.words[(span.address / 4) as usize];
        if let Some(other) = word.unfenced(&self.shared.proxied) {
            let note = "a thread wrote these bytes with no fence.proxy.async after".into();
            self.report(Kind::Proxy, lane, span, false, Some(other), note);
        }
    }

    /// Replaces bytes by a function of them in one step and gives the old ones.
    fn update(&mut self, warp: &mut Warp, lane: usize, span: Span, f: impl Fn(u64) -> u64) -> u64 {
        match span.memory {
            Memory::Global => {
                let Some(place) = self.allocation(span) else { return 0 };
                let engine = self.engine;
                let allocation = &engine.allocations[place];
                let offset = (span.address - allocation.base) as usize;
                if engine.check {
                    if !allocation.is_written(offset, span.bytes) {
                        let note = "nothing has written these bytes".into();
                        self.report(Kind::Uninitialized, lane, span, false, None, note);
                    }
                    self.note(warp, lane, span, Manner::Strong, Some(false));
                }
                // An update of 8 bytes takes the page itself.
                self.page = None;
                allocation.update(offset, span.bytes, f)
            }
            _ => {
                let old = self.read(warp, lane, span, Manner::Strong);
                self.write(warp, lane, span, f(old), Manner::Strong);
                old
            }
        }
    }

    /// Makes known, to those who read these bytes in an ordered manner, what the last fence saw.
    fn publish(&mut self, warp: &Warp, span: Span, release: bool) {
        let known = if release { Some(&warp.clocks) } else { warp.fenced.as_ref() };
        let Some(known) = known.filter(|_| self.engine.check) else { return };
        match span.memory {
            Memory::Global => self.engine.publish(span.address, self.block, known),
            Memory::Shared => match self.shared.published.get_mut(&span.address) {
                Some(earlier) => earlier.join(known),
                None => drop(self.shared.published.insert(span.address, known.clone())),
            },
            _ => {}
        }
    }

    fn acquire(&mut self, warp: &mut Warp, span: Span) {
        if !self.engine.check {
            return;
        }
        let own = warp.time();
        match span.memory {
            Memory::Global => self.engine.acquire(span.address, self.block, &mut warp.clocks),
            Memory::Shared => {
                if let Some(known) = self.shared.published.get(&span.address) {
                    warp.clocks.join(known);
                }
            }
            _ => {}
        }
        // What others know of a warp is never newer than the warp itself.
        warp.clocks.warps[warp.number] = own;
    }

    fn count(&mut self, spans: &[Span; 32], active: u32, write: bool) {
        let first = &spans[active.trailing_zeros().min(31) as usize];
        let bytes = first.bytes as u64 * u64::from(active.count_ones());
        match first.memory {
            Memory::Global => {
                self.counters.global_requests += 1;
                self.counters.global_sectors += sectors(spans, active);
                *(if write { &mut self.counters.global_written } else { &mut self.counters.global_read }) += bytes;
            }
            Memory::Shared => {
                let (passes, least) = passes(spans, active);
                if passes > least || self.shared.conflicts.contains_key(&self.at) {
                    let [sum, least_sum] = self.shared.conflicts.entry(self.at).or_default();
                    (*sum, *least_sum) = (*sum + passes, *least_sum + least);
                }
                self.counters.shared_requests += 1;
                self.counters.shared_passes += passes;
                self.counters.shared_least_passes += least;
                self.counters.shared_bytes += bytes;
            }
            Memory::Local => self.counters.local_bytes += bytes,
            Memory::Param => {}
        }
    }
}

fn race_note(block: u32, other: &Record, warp: usize) -> &'static str {
    if other.block != block {
        "another block touched these bytes, and nothing orders the two"
    } else if other.warp() != warp {
        "another warp touched these bytes, with no barrier between"
    } else {
        "another lane of the warp touched these bytes, with no barrier between"
    }
}

/// The sectors of 32 bytes that lanes touch.
fn sectors(spans: &[Span; 32], active: u32) -> u64 {
    let mut found = [0_u64; 64];
    let mut count = 0;
    each(active, |lane| {
        let span = spans[lane];
        let last = span.address.saturating_add(span.bytes.max(1) as u64 - 1) / 32;
        for sector in span.address / 32..=last {
            if count == 0 || found[count - 1] != sector {
                found[count.min(63)] = sector;
                count = (count + 1).min(64);
            }
        }
    });
    let found = &mut found[..count];
    found.sort_unstable();
    let mut distinct = 0;
    let mut before = None;
    for sector in found.iter() {
        distinct += u64::from(before != Some(*sector));
        before = Some(*sector);
    }
    distinct
}

/// Passes over the 32 banks of 4 bytes, and the least possible. Lanes of 8 and 16 bytes go in halves
/// and quarters of a warp.
fn passes(spans: &[Span; 32], active: u32) -> (u64, u64) {
    let bytes = spans[0].bytes.max(4);
    let together = (128 / bytes).clamp(1, 32);
    let (mut passes, mut least) = (0, 0);
    for begin in (0..32).step_by(together) {
        let lanes = active & (u32::MAX >> (32 - together)) << begin;
        if lanes == 0 {
            continue;
        }
        let mut words = [0_u64; 32];
        let mut count = 0;
        each(lanes, |lane| {
            for i in 0..bytes / 4 {
                let word = spans[lane].address / 4 + i as u64;
                if !words[..count].contains(&word) && count < 32 {
                    words[count] = word;
                    count += 1;
                }
            }
        });
        let mut banks = [0_u8; 32];
        words[..count].iter().for_each(|word| banks[(word % 32) as usize] += 1);
        passes += u64::from(banks.iter().copied().max().unwrap_or(0));
        least += count.div_ceil(32) as u64;
    }
    (passes, least)
}
