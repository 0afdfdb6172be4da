//! Plain loads and stores whose lanes all lie in one allocation, or in shared memory, at legal addresses: what most
//! accesses are, done with the checks of all lanes in one pass.

use std::sync::MutexGuard;

use super::{
    access::{Reach, Span, Words, element, gather, put},
    block::Shared,
    lanes::each,
    warp::Warp,
};
use crate::{
    finding::Kind,
    memory::{
        Memory,
        bytes::Bytes,
        global::Allocation,
        shadow::{Manner, Page, Record, Shadow, Word},
    },
    program::{Extend, Slot},
};

/// The memory that all lanes of an access lie in.
enum Ground<'e> {
    Global(&'e Allocation),
    Shared,
}

/// A page of shadow words in hand.
type Held<'e> = Option<(usize, MutexGuard<'e, Page>)>;

/// Some words' shadows: of shared memory, or of an allocation, whose page is kept in hand for the next ones.
#[inline(always)]
fn shadows<'a, 'e>(
    ground: &Ground<'e>,
    shared: &'a mut [Word],
    held: &'a mut Held<'e>,
    launch: u64,
    (first, count): (usize, usize),
) -> &'a mut [Word] {
    match *ground {
        Ground::Shared => &mut shared[first..][..count],
        Ground::Global(allocation) => {
            let number = Shadow::page_of(first);
            if held.as_ref().is_none_or(|(page, _)| *page != number) {
                // One is given back before another is taken: two warps never wait for each other's.
                *held = None;
                *held = Some((number, allocation.shadow.page(first, launch)));
            }
            match held {
                Some((_, page)) => page.words(first, count),
                None => &mut [],
            }
        }
    }
}

#[inline(always)]
fn look(ground: &Ground<'_>, shared: &Bytes, offset: usize, bytes: usize) -> (Words, bool) {
    match ground {
        Ground::Global(a) => (gather(bytes, |at, len| a.read(offset + at, len)), a.is_written(offset, bytes)),
        Ground::Shared => (gather(bytes, |at, len| shared.read(offset + at, len)), shared.is_written(offset, bytes)),
    }
}

impl<'e> Reach<'_, 'e> {
    /// Where the spans of some lanes lie, and at which address that begins.
    fn ground(&mut self, spans: &[Span; 32], active: u32, write: bool) -> Option<(Ground<'e>, u64)> {
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
        match first.memory {
            Memory::Shared => self.shared.bytes.holds(low, usize::try_from(len).ok()?).then_some((Ground::Shared, 0)),
            Memory::Global => {
                let place = self.allocation(Span { address: low, bytes: usize::try_from(len).ok()?, ..first })?;
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
        let Some((ground, base)) = self.ground(spans, active, false) else { return false };
        let (check, launch) = (self.engine.check, self.engine.launch);
        let record = self.record(warp, 0, spans[0], Manner::Weak);
        let (whole, bytes) = (spans[0].bytes, spans[0].bytes / d.len());
        let (unused, kept) = (64 - 8 * bytes as u32, u64::MAX >> (64 - extend.to));
        let (mut held, mut unwritten, mut races) = (None, 0_u32, Vec::new());
        let Warp { registers, clocks, .. } = warp;
        let Shared { bytes: near, words, .. } = &mut *self.shared;
        each(active, |lane| {
            let offset = (spans[lane].address - base) as usize;
            let (found, written) = look(&ground, near, offset, whole);
            if check {
                unwritten |= u32::from(!written) << lane;
                let now = record.of_lane(lane, offset, whole);
                let mut race = None;
                for word in shadows(&ground, words, &mut held, launch, (offset / 4, whole.div_ceil(4))) {
                    race = race.or(word.read(now, clocks));
                }
                races.extend(race.map(|other| (lane, other)));
            }
            for (i, slot) in d.iter().enumerate() {
                let value = element(&found, i, bytes) << unused;
                let value = if extend.signed { (value as i64 >> unused) as u64 } else { value >> unused };
                if let Some(slot) = slot {
                    registers[*slot as usize][lane] = value & kept;
                }
            }
        });
        drop(held);
        each(unwritten, |lane| {
            self.report(Kind::Uninitialized, lane, spans[lane], false, None, |_| {
                "nothing has written these bytes".into()
            });
        });
        self.collide(spans, &races, false);
        true
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
        let Some((ground, base)) = self.ground(spans, active, true) else { return false };
        let (check, launch) = (self.engine.check, self.engine.launch);
        let record = self.record(warp, 0, spans[0], Manner::Weak);
        let (whole, bytes) = (spans[0].bytes, spans[0].bytes / a.len());
        let (mut held, mut races) = (None, Vec::new());
        let known = warp.fenced.as_ref();
        let Shared { bytes: near, words: shadow, .. } = &mut *self.shared;
        each(active, |lane| {
            let offset = (spans[lane].address - base) as usize;
            let mut words = [0; 4];
            for (i, &slot) in a.iter().enumerate() {
                let value = warp.get(slot)[lane];
                let value = if narrow { (f64::from_bits(value) as f32).to_bits().into() } else { value };
                put(&mut words, i, bytes, value);
            }
            if check {
                let (old, written) = look(&ground, near, offset, whole);
                let now = record.of_lane(lane, offset, whole);
                let mut race = None;
                let shadows = shadows(&ground, shadow, &mut held, launch, (offset / 4, whole.div_ceil(4)));
                for (i, word) in shadows.iter_mut().enumerate() {
                    let same = written && ((old[i / 2] ^ words[i / 2]) >> (32 * (i % 2))) as u32 == 0;
                    race = race.or(word.write(now, same, &warp.clocks, known));
                }
                races.extend(race.map(|other| (lane, other)));
            }
            for (i, &word) in words.iter().enumerate().take(whole.div_ceil(8)) {
                match ground {
                    Ground::Global(allocation) => allocation.write(offset + 8 * i, whole.min(8), word),
                    Ground::Shared => near.write(offset + 8 * i, whole.min(8), word),
                }
            }
        });
        drop(held);
        self.collide(spans, &races, true);
        true
    }

    fn collide(&mut self, spans: &[Span; 32], races: &[(usize, Record)], write: bool) {
        for &(lane, other) in races {
            self.collision(lane, spans[lane], other, write);
        }
    }
}
