//! Plain loads and stores whose lanes all lie in one allocation, or in shared memory, at legal addresses: what most
//! accesses are, done with the checks of all lanes in one pass.

use std::sync::MutexGuard;

use super::{
    access::{Reach, Words, element, gather, put},
    block::Shared,
    lanes::each,
    span::Span,
    warp::Warp,
};
use crate::{
    memory::{
        Memory,
        bytes::Bytes,
        global::Allocation,
        pages::{PAGE, Page},
        quads::{QUAD, Run, Shadows},
        shadow::{Clocks, Manner, Record},
    },
    program::{Extend, Slot},
};

/// The memory that all lanes of an access lie in.
pub(super) enum Ground<'e> {
    Global(&'e Allocation),
    Shared,
}

/// A page of shadow words in hand.
pub(super) type Held<'e> = Option<(usize, MutexGuard<'e, Page>)>;

impl<'e> Ground<'e> {
    /// The shadows of some words, and the first one's place in them: those of shared memory, or of an allocation's page,
    /// which is kept in hand for the next ones.
    #[inline(always)]
    pub(super) fn shadows<'a>(
        &self,
        shared: &'a mut Shadows,
        held: &'a mut Held<'e>,
        launch: u64,
        first: usize,
    ) -> (&'a mut Shadows, usize) {
        match *self {
            Ground::Shared => (shared, first),
            Ground::Global(allocation) => {
                let number = first / PAGE;
                // One is given back before another is taken: two warps never wait for each other's.
                let mut page = held.take().filter(|(page, _)| *page == number);
                let (_, page) = held.insert(match page.take() {
                    Some(page) => page,
                    None => (number, allocation.shadow.page(first, launch)),
                });
                (&mut page.shadows, first % PAGE)
            }
        }
    }

    /// Of some lanes, the first and those behind it whose shadows are at hand with its own.
    #[inline(always)]
    fn near(&self, lanes: u32, offset: impl Fn(usize) -> usize) -> u32 {
        if matches!(self, Ground::Shared) {
            return lanes;
        }
        let page = |lanes: u32| offset(lanes.trailing_zeros() as usize & 31) / (4 * PAGE);
        let (first, mut left) = (page(lanes), lanes);
        while left != 0 && page(left) == first {
            left &= left - 1;
        }
        lanes & !left
    }

    /// What lies in a sector, and whether all of it was written.
    #[inline(always)]
    pub(super) fn sector(&self, shared: &Bytes, offset: usize) -> ([u32; 8], bool) {
        match self {
            Ground::Global(allocation) => allocation.sector(offset),
            Ground::Shared => shared.sector(offset),
        }
    }

    #[inline(always)]
    pub(super) fn put_sector(&self, shared: &mut Bytes, offset: usize, words: &[u32; 8]) {
        match self {
            Ground::Global(allocation) => allocation.put_sector(offset, words),
            Ground::Shared => shared.put_sector(offset, words),
        }
    }
}

/// The words of so many bytes from one on: whole quads, or those of less than one.
#[inline(always)]
fn pieces(first: usize, bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let (count, step) = (bytes.div_ceil(4), if bytes.is_multiple_of(4 * QUAD) { QUAD } else { bytes.div_ceil(4) });
    (first..first + count).step_by(step).map(move |begin| (begin, step))
}

/// The lanes from one on that touch a quad as a whole, in a row and each a part of it; none where they do not.
#[inline(always)]
fn quad(spans: &[Span; 32], active: u32, lane: usize) -> u32 {
    let Span { address, bytes, .. } = spans[lane];
    let count = match bytes {
        16 => return 1 << lane,
        4 | 8 if address % 16 == 0 => 16 / bytes,
        _ => return 0,
    };
    let lanes = (((1_u64 << count) - 1) << lane) as u32;
    let is_next = |i: usize| spans[(lane + i) & 31].address == address + (i * bytes) as u64;
    let whole = lanes & active == lanes && lanes.count_ones() as usize == count && (1..count).all(is_next);
    if whole { lanes } else { 0 }
}

/// The access to a quad by lanes of so many bytes from one on.
#[inline(always)]
fn run(record: Record, lane: usize, bytes: usize) -> Run {
    Run { record: record.of_lane(lane, 0, 4), step: (bytes / 4).trailing_zeros() as u8 }
}

#[inline(always)]
pub(super) fn look(ground: &Ground<'_>, shared: &Bytes, offset: usize, bytes: usize) -> (Words, bool) {
    match ground {
        Ground::Global(a) => (gather(bytes, |at, len| a.read(offset + at, len)), a.is_written(offset, bytes)),
        Ground::Shared => (gather(bytes, |at, len| shared.read(offset + at, len)), shared.is_written(offset, bytes)),
    }
}

impl<'e> Reach<'_, 'e> {
    /// Where the spans of some lanes lie, and at which address that begins.
    fn ground(&mut self, rank: u32, spans: &[Span; 32], active: u32, write: bool) -> Option<(Ground<'e>, u64)> {
        let first = spans[active.trailing_zeros() as usize & 31];
        let (mut low, mut high, mut low_bits, mut alike) = (first.address, first.address, 0, true);
        each(active, |lane| {
            let span = &spans[lane];
            alike &= span.memory == first.memory;
            (low, high, low_bits) = (low.min(span.address), high.max(span.address), low_bits | span.address);
        });
        let len = (high - low).checked_add(first.bytes as u64)?;
        if !alike || low_bits & (first.bytes as u64 - 1) != 0 {
            return None;
        }
        self.ground_of(rank, first.memory, low, len, write)
    }

    /// What a range of bytes lies in, and at which address that begins; nothing where it is another block's of the cluster.
    pub(super) fn ground_of(
        &mut self,
        rank: u32,
        memory: Memory,
        address: u64,
        len: u64,
        write: bool,
    ) -> Option<(Ground<'e>, u64)> {
        let bytes = usize::try_from(len).ok()?;
        match memory {
            Memory::Shared => {
                let layout = &self.engine.layout;
                let own = layout.holds(address, bytes) && layout.rank_of(address) == rank as usize;
                own.then_some((Ground::Shared, 0))
            }
            Memory::Global => {
                let place = self.allocation(Span { memory, address, bytes })?;
                let engine = self.engine;
                let allocation = &*engine.allocations[place];
                let plain = allocation.heap.is_none() && !(write && allocation.constant);
                plain.then_some((Ground::Global(allocation), allocation.base))
            }
            Memory::Local | Memory::Param => None,
        }
    }

    /// Loads, if the spans of all lanes lie so; whether they do.
    pub(super) fn load_together(
        &mut self,
        warp: &mut Warp,
        spans: &[Span; 32],
        active: u32,
        d: &[Option<Slot>],
        extend: Extend,
    ) -> bool {
        let Some(ground) = self.ground(warp.rank, spans, active, false) else { return false };
        let bytes = spans[0].bytes / d.len();
        let record = self.record(warp, 0, spans[0], Manner::Weak);
        let Warp { registers, clocks, .. } = warp;
        self.read_together(clocks, record, ground, spans, active, |lane, found| {
            for (i, slot) in d.iter().enumerate() {
                if let Some(slot) = slot {
                    registers[*slot as usize][lane] = extend.of(element(found, i, bytes), bytes);
                }
            }
        });
        true
    }

    /// Reads the rows of a matrix, if the spans of all lanes lie so.
    pub(super) fn rows_together(&mut self, warp: &Warp, spans: &[Span; 32], active: u32) -> Option<[[u64; 2]; 32]> {
        let ground = self.ground(warp.rank, spans, active, false)?;
        let mut rows = [[0; 2]; 32];
        let record = self.record(warp, 0, spans[0], Manner::Weak);
        self.read_together(&warp.clocks, record, ground, spans, active, |lane, found| {
            rows[lane] = [found[0], found[1]]
        });
        Some(rows)
    }

    /// Reads plainly what lanes have in a memory, and calls a function with each of them; the record is that of the first.
    #[inline(always)]
    fn read_together(
        &mut self,
        clocks: &Clocks,
        record: Record,
        (ground, base): (Ground<'e>, u64),
        spans: &[Span; 32],
        active: u32,
        mut f: impl FnMut(usize, &Words),
    ) {
        let (launch, whole) = (self.engine.launch, spans[0].bytes);
        let offset = |lane: usize| (spans[lane].address - base) as usize;
        let (mut held, mut unwritten, mut races) = (None, 0_u32, Vec::new());
        let Shared { bytes: near, shadows, .. } = &mut *self.shared;
        // All of the memory first, and of the shadows a line each: what is far comes together.
        each(active, |lane| {
            let (words, written) = look(&ground, near, offset(lane), whole);
            unwritten |= u32::from(!written) << lane;
            f(lane, &words);
        });
        let mut left = if self.engine.check { active } else { 0 };
        while left != 0 {
            let lanes = ground.near(left, offset);
            left &= !lanes;
            let begin = offset(lanes.trailing_zeros() as usize & 31) / 4;
            let (shadows, first) = ground.shadows(shadows, &mut held, launch, begin);
            let word = |lane: usize| offset(lane) / 4 - (begin - first);
            let mut open = lanes & !shadows.spread(lanes, word);
            let mut alone = lanes;
            while open != 0 {
                let lane = open.trailing_zeros() as usize & 31;
                let together = quad(spans, lanes, lane);
                open &= !(together | 1 << lane);
                if together != 0 && shadows.read_quad(word(lane) / QUAD, run(record, lane, whole), clocks) {
                    alone &= !together;
                }
            }
            each(alone, |lane| {
                let now = record.of_lane(lane, offset(lane), whole);
                let mut race = None;
                for (begin, count) in pieces(word(lane), whole) {
                    if count == QUAD && shadows.read_quad(begin / QUAD, Run::of_lane(now), clocks) {
                        continue;
                    }
                    for word in shadows.words(begin, count) {
                        race = race.or(word.read(now, clocks));
                    }
                }
                races.extend(race.map(|other| (lane, other)));
            });
        }
        drop(held);
        if self.engine.check {
            each(unwritten, |lane| self.nothing_written(lane, spans[lane]));
            self.collide(spans, &races, false);
        }
    }

    /// Stores, if the spans of all lanes lie so; whether they do.
    pub(super) fn store_together(
        &mut self,
        warp: &Warp,
        spans: &[Span; 32],
        active: u32,
        a: &[Slot],
        narrow: bool,
    ) -> bool {
        let Some(ground) = self.ground(warp.rank, spans, active, true) else { return false };
        let bytes = spans[0].bytes / a.len();
        self.write_together(warp, Manner::Weak, ground, spans, active, |lane| {
            let mut words = [0; 4];
            for (i, &slot) in a.iter().enumerate() {
                let value = warp.get(slot)[lane];
                let value = if narrow { (f64::from_bits(value) as f32).to_bits().into() } else { value };
                put(&mut words, i, bytes, value);
            }
            words
        });
        true
    }

    /// Copies as many bytes of each lane from one memory to another, asynchronously, if the spans of all lanes lie so;
    /// whether they do.
    pub(super) fn copy_together(
        &mut self,
        warp: &Warp,
        sources: &[Span; 32],
        targets: &[Span; 32],
        active: u32,
    ) -> bool {
        let Some(to) = self.ground(warp.rank, targets, active, true) else { return false };
        let Some(from) = self.ground(warp.rank, sources, active, false) else { return false };
        let record = self.record(warp, 0, sources[0], Manner::Weak);
        let mut all = [[0; 4]; 32];
        self.read_together(&warp.clocks, record, from, sources, active, |lane, found| all[lane] = *found);
        self.write_together(warp, Manner::Pending, to, targets, active, |lane| all[lane]);
        true
    }

    /// Writes what a function gives of each lane.
    #[inline(always)]
    fn write_together(
        &mut self,
        warp: &Warp,
        manner: Manner,
        (ground, base): (Ground<'e>, u64),
        spans: &[Span; 32],
        active: u32,
        f: impl Fn(usize) -> Words,
    ) {
        let (check, launch, whole) = (self.engine.check, self.engine.launch, spans[0].bytes);
        let record = self.record(warp, 0, spans[0], manner);
        let (mut held, mut races) = (None, Vec::new());
        let known = warp.fenced.as_ref();
        let Shared { bytes: near, shadows, .. } = &mut *self.shared;
        // Lanes whose quad was noted with that of one before.
        let mut noted = 0_u32;
        each(active, |lane| {
            let offset = (spans[lane].address - base) as usize;
            let words = f(lane);
            if check && noted >> lane & 1 == 0 {
                let now = record.of_lane(lane, offset, whole);
                let (shadows, first) = ground.shadows(shadows, &mut held, launch, offset / 4);
                let together = quad(spans, active, lane);
                if together != 0 && shadows.write_quad(first / QUAD, run(record, lane, whole), &warp.clocks) {
                    noted |= together;
                } else {
                    let mut race = None;
                    for (begin, count) in pieces(first, whole) {
                        if count == QUAD && shadows.write_quad(begin / QUAD, Run::of_lane(now), &warp.clocks) {
                            continue;
                        }
                        let (old, written) = look(&ground, near, offset, whole);
                        for (i, word) in (begin - first..).zip(shadows.words(begin, count)) {
                            let same = written && ((old[i / 2] ^ words[i / 2]) >> (32 * (i % 2))) as u32 == 0;
                            race = race.or(word.write(now, same, &warp.clocks, known));
                        }
                    }
                    races.extend(race.map(|other| (lane, other)));
                }
            }
            match ground {
                Ground::Shared if whole == 16 => near.write_wide(offset, [words[0], words[1]]),
                _ => {
                    for (i, &word) in words.iter().enumerate().take(whole.div_ceil(8)) {
                        match ground {
                            Ground::Global(allocation) => allocation.write(offset + 8 * i, whole.min(8), word),
                            Ground::Shared => near.write(offset + 8 * i, whole.min(8), word),
                        }
                    }
                }
            }
        });
        drop(held);
        self.collide(spans, &races, true);
    }

    pub(super) fn collide(&mut self, spans: &[Span; 32], races: &[(usize, Record)], write: bool) {
        for &(lane, other) in races {
            self.collision(lane, spans[lane], other, write);
        }
    }
}
