//! Accesses to memory by the lanes of a warp, each one checked.

use std::sync::MutexGuard;

use super::{
    block::{Block, Shared},
    engine::{Engine, Problem},
    lanes::each,
    layout::Layout,
    span::{Span, part, spans},
    warp::Warp,
};
use crate::{
    counters::{Counters, Tally},
    finding::{Access, Kind},
    memory::{
        Memory, PARAM_BEGIN,
        bytes::Bytes,
        global::Allocation,
        pages::{PAGE, Page},
        quads::{QUAD, Run},
        shadow::{Manner, Record},
    },
    program::{Inst, Op, Order},
};

/// Everything that an access may touch, beside the warp's registers.
pub(super) struct Reach<'a, 'e> {
    pub(super) engine: &'e Engine<'e>,
    pub(super) shared: &'a mut Shared,
    pub(super) counters: &'a mut Counters,
    /// Of the instruction.
    pub(super) tally: &'a mut Tally,
    block: u32,
    warp: usize,
    pub(super) at: usize,
    /// Whether what it writes makes known all that came before.
    releases: bool,
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
        let Block { warps, memory, counters, profile, number: block, .. } = self;
        (&mut warps[number], Reach::new(engine, memory, counters, &mut profile[at], (*block, number, at)))
    }

    /// Executes a load, a store or an atomic operation.
    pub(super) fn access(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Block { warps, memory, counters, profile, number: block, .. } = self;
        let warp = &mut warps[number];
        let mut reach = Reach::new(engine, memory, counters, &mut profile[at], (*block, number, at));
        match &inst.op {
            Op::Load { address, d, bytes, extend, order } => {
                if !order.strong && active == u32::MAX && reach.load_in_order(warp, address, d, *bytes, *extend) {
                    return;
                }
                let spans = spans(warp, address, bytes * d.len());
                reach.count(&spans, active, false);
                if !order.strong && reach.load_together(warp, &spans, active, d, *extend) {
                    return;
                }
                let mut values = vec![[0; 32]; d.len()];
                each(active, |lane| {
                    if !reach.may_touch(warp, lane, spans[lane], false) {
                        return;
                    }
                    if order.strong {
                        reach.acquire(warp, spans[lane]);
                    }
                    let words = reach.read(warp, lane, spans[lane], manner(*order, spans[lane].memory, false));
                    if order.strong {
                        // Another block may have published and written between.
                        reach.acquire(warp, spans[lane]);
                    }
                    for (i, values) in values.iter_mut().enumerate() {
                        values[lane] = extend.of(element(&words, i, *bytes), *bytes);
                    }
                });
                drop(reach);
                for (slot, values) in d.iter().zip(&values) {
                    if let Some(slot) = slot {
                        warp.set(*slot, active, values);
                    }
                }
            }
            Op::Store { address, a, bytes, order, narrow } => {
                reach.releases = order.release;
                if !order.strong && !narrow && active == u32::MAX && reach.store_in_order(warp, address, a, *bytes) {
                    return;
                }
                let spans = spans(warp, address, bytes * a.len());
                reach.count(&spans, active, true);
                if !order.strong && reach.store_together(warp, &spans, active, a, *narrow) {
                    return;
                }
                each(active, |lane| {
                    if !reach.may_touch(warp, lane, spans[lane], true) {
                        return;
                    }
                    if order.strong {
                        reach.publish(warp, spans[lane], order.release);
                    }
                    let mut words = [0; 4];
                    for (i, &slot) in a.iter().enumerate() {
                        let held = warp.get(slot)[lane];
                        let value = if *narrow { (f64::from_bits(held) as f32).to_bits().into() } else { held };
                        put(&mut words, i, *bytes, value);
                    }
                    reach.write(
                        warp,
                        lane,
                        spans[lane],
                        &words,
                        manner(*order, spans[lane].memory, warp.fenced.is_some()),
                    );
                });
                if order.release {
                    drop(reach);
                    warp.tick();
                }
            }
            Op::Atomic { f, address, d, b, c, bytes, order, flush } => {
                reach.releases = order.release;
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
                        let (b, span) = (warp.get(*slot)[lane], part(spans[lane], i, *bytes));
                        let flush = |x: u64| if *flush && span.memory == Memory::Global { flushed(x) } else { x };
                        old[lane] = reach.update(warp, lane, span, |x| flush(f(flush(x), flush(b), c[lane])));
                    }
                    // What was met may have been published and written since.
                    reach.acquire(warp, spans[lane]);
                });
                drop(reach);
                if order.release {
                    warp.tick();
                }
                for (slot, old) in d.iter().zip(&old) {
                    slot.iter().for_each(|&slot| warp.set(slot, active, old));
                }
            }
            _ => {}
        }
    }
}

/// What lies in up to 32 bytes, from the lowest.
pub(super) type Words = [u64; 4];

/// So many bytes, by a function that reads at most 8 at an offset.
#[inline(always)]
pub(super) fn gather(bytes: usize, read: impl Fn(usize, usize) -> u64) -> Words {
    match bytes {
        32 => [read(0, 8), read(8, 8), read(16, 8), read(24, 8)],
        16 => [read(0, 8), read(8, 8), 0, 0],
        _ => [read(0, bytes), 0, 0, 0],
    }
}

/// One element of so many bytes, with those above it.
#[inline(always)]
pub(super) fn element(words: &Words, place: usize, bytes: usize) -> u64 {
    words[place * bytes / 8] >> (place * bytes % 8 * 8)
}

/// Puts the low bytes of a value where an element lies.
#[inline(always)]
pub(super) fn put(words: &mut Words, place: usize, bytes: usize, value: u64) {
    words[place * bytes / 8] |= (value & (u64::MAX >> (64 - 8 * bytes))) << (place * bytes % 8 * 8);
}

/// A number in single precision, zero if it is subnormal.
fn flushed(bits: u64) -> u64 {
    if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// Polling a volatile flag of global memory is an old and sound habit; in shared memory volatile accesses stood for
/// barriers that today's GPUs need.
fn manner(order: Order, memory: Memory, fenced: bool) -> Manner {
    match order {
        Order { volatile: true, .. } if !fenced && memory == Memory::Shared => Manner::Volatile,
        Order { strong: true, .. } => Manner::Strong,
        _ => Manner::Weak,
    }
}

impl<'a, 'e> Reach<'a, 'e> {
    /// That of an instruction of a warp, by their numbers behind that of the block. It is made where it stays: it has
    /// small parts, which are slow to copy just after they were written.
    #[inline(always)]
    pub(super) fn new(
        engine: &'e Engine<'e>,
        shared: &'a mut Shared,
        counters: &'a mut Counters,
        tally: &'a mut Tally,
        (block, warp, at): (u32, usize, usize),
    ) -> Self {
        Reach { engine, shared, counters, tally, block, warp, at, releases: false, page: None }
    }
}

impl<'e> Reach<'_, 'e> {
    /// Reports what is wrong with an access: once for each kind and instruction, and only then in words.
    pub(super) fn report(
        &mut self,
        kind: Kind,
        lane: usize,
        span: Span,
        write: bool,
        other: Option<Record>,
        note: impl FnOnce(&mut Self) -> String,
    ) {
        if let Some(again) = self.shared.reported.get_mut(&(kind, self.at)) {
            *again += 1;
            return;
        }
        self.shared.reported.insert((kind, self.at), 0);
        // A page in hand is given back first: reporting may look at memory.
        self.page = None;
        let note = note(self);
        let Span { memory, address, bytes } = span;
        let access = Some(self.engine.shown(Access { memory, address, bytes: bytes as u64, write }));
        let thread = (self.warp * 32 + lane) as u32;
        self.engine.report(Problem { kind, at: self.at, block: self.block, thread, access, other, note });
    }

    pub(super) fn is_aligned(&mut self, lane: usize, span: Span, write: bool) -> bool {
        // The bytes are a power of two.
        let begin = if span.memory == Memory::Param { PARAM_BEGIN } else { 0 };
        let aligned = (begin + span.address) & (span.bytes as u64 - 1) == 0;
        if !aligned {
            let note = |_: &mut Self| format!("the address is no multiple of {}", span.bytes);
            self.report(Kind::Misaligned, lane, span, write, None, note);
        }
        aligned
    }

    /// The allocation that holds a span.
    pub(super) fn allocation(&mut self, span: Span) -> Option<usize> {
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

    /// Counts the sectors of global memory that the launch touches for the first time, of so many from an address on, a
    /// multiple of 32; they may lie in several allocations without a gap between them.
    pub(super) fn touch(&mut self, mut address: u64, mut count: usize) {
        while count > 0 {
            let first = Span { memory: Memory::Global, address, bytes: 1 };
            let Some(place) = self.allocation(first) else { return };
            let allocation = &self.engine.allocations[place];
            let offset = address - allocation.base;
            let inside = count.min((allocation.bytes - offset).div_ceil(32) as usize);
            self.counters.global_touched += allocation.touch(offset as usize, inside, self.engine.launch);
            (address, count) = (address + 32 * inside as u64, count - inside);
        }
    }

    pub(super) fn is_inside(&mut self, warp: &Warp, lane: usize, span: Span, write: bool) -> bool {
        let inside = match span.memory {
            Memory::Global => match self.allocation(span) {
                Some(place) if write && self.engine.allocations[place].constant => {
                    self.report(Kind::ReadOnly, lane, span, write, None, |_| "it is constant memory".into());
                    return false;
                }
                Some(place) => match &self.engine.allocations[place].heap {
                    Some(heap) => {
                        let offset = span.address - self.engine.allocations[place].base;
                        if !heap.holds(offset, span.bytes as u64) {
                            self.report(Kind::OutOfBounds, lane, span, write, None, |_| heap.describe(offset));
                            return false;
                        }
                        true
                    }
                    None => true,
                },
                None => false,
            },
            Memory::Shared => warp.layout.holds(span.address, span.bytes),
            Memory::Local => warp.local.get(lane).is_some_and(|l| l.holds(span.address, span.bytes)),
            Memory::Param if write => {
                self.report(Kind::ReadOnly, lane, span, write, None, |_| "parameters cannot be written".into());
                return false;
            }
            Memory::Param => span.address + span.bytes as u64 <= self.engine.params.len() as u64,
        };
        if inside {
            return span.memory != Memory::Shared || self.may_visit(warp, lane, span, write);
        }
        let note = |reach: &mut Self| match span.memory {
            Memory::Global => reach.engine.global.describe(span.address),
            Memory::Shared => warp.layout.describe(warp.rank, span.address),
            Memory::Local => format!("the thread has {} bytes of local memory", reach.engine.program.local),
            Memory::Param => format!("the kernel has {} bytes of parameters", reach.engine.params.len()),
        };
        self.report(Kind::OutOfBounds, lane, span, write, None, note);
        false
    }

    pub(super) fn may_touch(&mut self, warp: &Warp, lane: usize, span: Span, write: bool) -> bool {
        self.is_aligned(lane, span, write) && self.is_inside(warp, lane, span, write)
    }

    pub(super) fn record(&self, warp: &Warp, lane: usize, span: Span, manner: Manner) -> Record {
        let bytes = match span.bytes {
            1 | 2 => ((1_u8 << span.bytes) - 1) << (span.address % 4),
            _ => 15,
        };
        let thread = (self.warp * 32 + lane) as u16;
        let record = Record { block: self.block, thread, bytes, manner, clock: warp.time(), ..Record::default() };
        record.at(self.at, warp.phase)
    }

    /// That of the warp's first lane, plain and of a whole word.
    pub(super) fn first_record(&self, warp: &Warp) -> Record {
        self.record(warp, 0, Span { memory: Memory::Shared, address: 0, bytes: 4 }, Manner::Weak)
    }

    /// Reports a read of bytes that nothing has written.
    pub(super) fn nothing_written(&mut self, lane: usize, span: Span) {
        self.report(Kind::Uninitialized, lane, span, false, None, |_| "nothing has written these bytes".into());
    }

    /// The shadow page of a word of an allocation, kept in hand for the next one.
    fn page(&mut self, place: usize, word: usize) -> &mut Page {
        let number = word / PAGE;
        // Another page is given back before this one is taken: two warps never wait for each other's.
        let held = self.page.take().filter(|(p, n, _)| (*p, *n) == (place, number));
        let engine: &'e Engine<'e> = self.engine;
        let take = || (place, number, engine.allocations[place].shadow.page(word, engine.launch));
        let (_, _, page) = self.page.insert(held.unwrap_or_else(take));
        page
    }

    /// Notes a read, or a write with a bit for each word that keeps its value, in the words' shadows; reports a race.
    fn note(&mut self, warp: &Warp, lane: usize, span: Span, manner: Manner, write: Option<u32>) {
        let record = self.record(warp, lane, span, manner);
        let (count, releases) = (span.bytes.div_ceil(4), self.releases);
        let (shadows, first) = match span.memory {
            Memory::Shared => (&mut self.shared.shadows, (span.address / 4) as usize),
            _ => {
                let Some(place) = self.allocation(span) else { return };
                let first = ((span.address - self.engine.allocations[place].base) / 4) as usize;
                (&mut self.page(place, first).shadows, first % PAGE)
            }
        };
        if count == QUAD {
            let now = Run::of_lane(record);
            let is_noted = match (write, manner) {
                (Some(_), Manner::Weak | Manner::Pending) => shadows.write_quad(first / QUAD, now, &warp.clocks),
                (None, Manner::Weak) => shadows.read_quad(first / QUAD, now, &warp.clocks),
                _ => false,
            };
            if is_noted {
                return;
            }
        }
        let words = shadows.words(first, count);
        let mut found = None;
        let known = if releases { Some(&warp.clocks) } else { warp.fenced.as_ref() };
        for (word, i) in words.iter_mut().zip(0..) {
            let other = match write {
                Some(same) => word.write(record, same >> i & 1 == 1, &warp.clocks, known),
                None => word.read(record, &warp.clocks),
            };
            if other.is_some() && found.is_none() {
                found = other;
            }
        }
        if let Some(other) = found {
            self.collision(lane, span, other, write.is_some());
        }
    }

    /// Reports an access that another one is not ordered with.
    pub(super) fn collision(&mut self, lane: usize, span: Span, other: Record, write: bool) {
        let pending = other.manner == Manner::Pending && other.block == self.block;
        let kind = if pending { Kind::NotWaited } else { Kind::Race };
        let note = |reach: &mut Self| match pending {
            true => "an asynchronous copy into these bytes has not been waited for".to_owned(),
            false => race_note(&reach.engine.layout, reach.block, &other, reach.warp).to_owned(),
        };
        self.report(kind, lane, span, write, Some(other), note);
    }

    /// What lies in a span of 1, 2, 4, 8, 16 or 32 bytes that may be touched, and whether all of it was written.
    #[inline(always)]
    pub(super) fn look(&mut self, warp: &Warp, lane: usize, span: Span) -> (Words, bool) {
        let (offset, bytes) = (span.address as usize, span.bytes);
        let held =
            |held: &Bytes| (gather(bytes, |at, len| held.read(offset + at, len)), held.is_written(offset, bytes));
        match span.memory {
            Memory::Global => {
                let Some(place) = self.allocation(span) else { return ([0; 4], true) };
                let allocation = &self.engine.allocations[place];
                let offset = (span.address - allocation.base) as usize;
                (gather(bytes, |at, len| allocation.read(offset + at, len)), allocation.is_written(offset, bytes))
            }
            Memory::Shared => held(&self.shared.bytes),
            Memory::Local => held(&warp.local[lane]),
            Memory::Param => {
                let read = |at: usize, len: usize| {
                    let mut value = [0; 8];
                    value[..len].copy_from_slice(&self.engine.params[offset + at..offset + at + len]);
                    u64::from_le_bytes(value)
                };
                (gather(bytes, read), true)
            }
        }
    }

    /// Reads 1, 2, 4, 8, 16 or 32 bytes that may be touched.
    pub(super) fn read(&mut self, warp: &Warp, lane: usize, span: Span, manner: Manner) -> Words {
        let (words, written) = self.look(warp, lane, span);
        if self.engine.check {
            if !written {
                self.nothing_written(lane, span);
            }
            if matches!(span.memory, Memory::Global | Memory::Shared) {
                self.note(warp, lane, span, manner, None);
            }
        }
        words
    }

    /// Writes 1, 2, 4, 8, 16 or 32 bytes that may be touched; what is above them is 0.
    pub(super) fn write(&mut self, warp: &mut Warp, lane: usize, span: Span, words: &Words, manner: Manner) {
        let (offset, bytes) = (span.address as usize, span.bytes);
        if self.engine.check && matches!(span.memory, Memory::Global | Memory::Shared) {
            let (old, written) = self.look(warp, lane, span);
            let same = |i: usize| u32::from(((old[i / 2] ^ words[i / 2]) >> (32 * (i % 2))) as u32 == 0) << i;
            let same = if written { (0..bytes.div_ceil(4)).map(same).sum() } else { 0 };
            self.note(warp, lane, span, manner, Some(same));
        }
        let parts = words.iter().enumerate().take(bytes.div_ceil(8)).map(|(i, &word)| (8 * i, bytes.min(8), word));
        match span.memory {
            Memory::Global => {
                let Some(place) = self.allocation(span) else { return };
                let allocation = &self.engine.allocations[place];
                let offset = (span.address - allocation.base) as usize;
                parts.for_each(|(at, len, word)| allocation.write(offset + at, len, word));
            }
            Memory::Shared => parts.for_each(|(at, len, word)| self.shared.bytes.write(offset + at, len, word)),
            Memory::Local => parts.for_each(|(at, len, word)| warp.local[lane].write(offset + at, len, word)),
            Memory::Param => {}
        }
    }

    /// Reports words of shared memory that a bulk copy or group product may not see as it was written.
    pub(super) fn proxied(&mut self, lane: usize, span: Span) {
        if !self.engine.check || span.memory != Memory::Shared {
            return;
        }
        let (first, count) = ((span.address / 4) as usize, span.bytes.div_ceil(4));
        if let Some(other) = self.shared.shadows.unfenced(first, count, &self.shared.proxied) {
            let note = |_: &mut Self| "a thread wrote these bytes with no fence.proxy.async after".into();
            self.report(Kind::Proxy, lane, span, false, Some(other), note);
        }
    }

    /// Replaces bytes by a function of them in one step and gives the old ones.
    pub(super) fn update(&mut self, warp: &mut Warp, lane: usize, span: Span, f: impl Fn(u64) -> u64) -> u64 {
        match span.memory {
            Memory::Global => {
                let Some(place) = self.allocation(span) else { return 0 };
                let engine = self.engine;
                let allocation = &engine.allocations[place];
                let offset = (span.address - allocation.base) as usize;
                if engine.check {
                    if !allocation.is_written(offset, span.bytes) {
                        self.nothing_written(lane, span);
                    }
                    self.note(warp, lane, span, Manner::Strong, Some(0));
                }
                // An update of 8 bytes takes the page itself.
                self.page = None;
                allocation.update(offset, span.bytes, f)
            }
            _ => {
                let [old, ..] = self.read(warp, lane, span, Manner::Strong);
                let new = f(old) & (u64::MAX >> (64 - 8 * span.bytes));
                self.write(warp, lane, span, &[new, 0, 0, 0], Manner::Strong);
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
}

fn race_note(layout: &Layout, block: u32, other: &Record, warp: usize) -> &'static str {
    if other.manner == Manner::Covering && other.block != block {
        "another block wrote these bytes plainly before that, and nothing orders the two"
    } else if other.block != block {
        "another block touched these bytes, and nothing orders the two"
    } else if layout.rank_of_warp(other.warp()) != layout.rank_of_warp(warp) {
        "another block of the cluster touched these bytes, and nothing orders the two"
    } else if other.warp() != warp {
        "another warp touched these bytes, with no barrier between"
    } else {
        "another lane of the warp touched these bytes, with no barrier between"
    }
}
