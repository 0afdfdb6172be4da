//! Plain loads and stores by all lanes of a warp whose addresses follow each other so that whole sectors of 32 bytes are
//! touched, or one place by all: what is checked, counted and remembered of a lane is so of them at once.

use yuragi_numeric::simd::{Task, vectorize};

use super::{
    access::{Reach, element},
    block::Shared,
    lanes::each,
    span::{Span, located, spans},
    together::{Ground, Held, look},
    traffic::distinct,
    warp::Warp,
};
use crate::{
    memory::{
        Memory, PARAM_BEGIN,
        bytes::Bytes,
        quads::{QUAD, Run},
        shadow::Record,
    },
    program::{Address, Extend, Lanes, Slot},
};

/// How the addresses of a warp follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Steps {
    /// All are the same.
    None,
    /// Each is that of the lane before and the bytes of one.
    Row,
    /// So are those of lanes that together touch 32 bytes.
    Sectors,
    Other,
}

struct Compare<'a> {
    addresses: &'a Lanes,
    bytes: u64,
}

impl Task for Compare<'_> {
    type Output = Steps;

    #[inline(always)]
    fn run(self) -> Steps {
        let first = self.addresses[0];
        let (mut same, mut row) = (0, 0);
        for (lane, &address) in (0_u64..).zip(self.addresses) {
            same |= address ^ first;
            row |= address ^ first.wrapping_add(lane * self.bytes);
        }
        let sectors = match self.bytes {
            _ if same == 0 => return Steps::None,
            _ if row == 0 => return Steps::Row,
            4 => self.is_in_sectors::<8>(),
            8 => self.is_in_sectors::<4>(),
            16 => self.is_in_sectors::<2>(),
            bytes => bytes == 32,
        };
        if sectors { Steps::Sectors } else { Steps::Other }
    }
}

impl Compare<'_> {
    #[inline(always)]
    fn is_in_sectors<const LANES: usize>(&self) -> bool {
        let mut differs = 0;
        for lanes in self.addresses.chunks_exact(LANES) {
            for (lane, &address) in (0_u64..).zip(lanes) {
                differs |= address ^ lanes[0].wrapping_add(lane * self.bytes);
            }
        }
        differs == 0
    }
}

/// Words of a sector.
const WORDS: usize = 8;

/// Whole sectors that the lanes of a warp touch, each by lanes in a row.
struct Sectors<'e> {
    ground: Ground<'e>,
    /// Where each begins in that, and their number.
    offsets: [usize; 32],
    count: usize,
    /// Bytes of a lane.
    bytes: usize,
}

impl Sectors<'_> {
    fn offsets(&self) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        self.offsets[..self.count].iter().copied().enumerate()
    }

    /// The access to words of one of them from this on, by that of the first lane.
    fn run(&self, number: usize, word: usize, first: Record) -> Run {
        let thread = first.thread + self.lane(number, word) as u16;
        Run { record: Record { thread, ..first }, step: (self.bytes / 4).trailing_zeros() as u8 }
    }

    /// Of the lanes that touch one of them, those whose bytes were not all written.
    fn unwritten(&self, near: &Bytes, number: usize, offset: usize) -> u32 {
        let written = |place: usize| look(&self.ground, near, offset + place, self.bytes).1;
        let lanes = (0..32).step_by(self.bytes).map(|place| (self.lane(number, place / 4), written(place)));
        lanes.fold(0, |all, (lane, written)| all | u32::from(!written) << lane)
    }

    /// The lane that touches a word of one of them.
    fn lane(&self, number: usize, word: usize) -> usize {
        (32 * number + 4 * word) / self.bytes
    }
}

impl<'e> Reach<'_, 'e> {
    /// The sectors that all lanes touch and may, counted.
    fn sectors(
        &mut self,
        warp: &Warp,
        address: &Address,
        bytes: usize,
        steps: Steps,
        write: bool,
    ) -> Option<Sectors<'e>> {
        if bytes < 4 || !matches!(steps, Steps::Row | Steps::Sectors) {
            return None;
        }
        let base = warp.get(address.base);
        let (count, lanes) = (bytes, 32 / bytes);
        let mut starts = [0; 32];
        let (memory, first) = located(warp, address, base[0]);
        let (mut low, mut high, mut bits, mut alike, mut rises) = (first, first, 0, true, true);
        for number in 0..count {
            let (of, start) = located(warp, address, base[number * lanes]);
            alike &= of == memory;
            rises &= number == 0 || start > starts[number - 1];
            (low, high, bits) = (low.min(start), high.max(start), bits | start);
            starts[number] = start;
        }
        let len = (high - low).checked_add(32)?;
        let is_row = steps == Steps::Row && len == 32 * count as u64;
        // In shared memory only a row is known to meet in no bank.
        if bits % 32 != 0 || !alike || memory == Memory::Shared && !is_row {
            return None;
        }
        let (ground, begin) = self.ground_of(warp.rank, memory, low, len, write)?;
        if is_row {
            self.count_row(&Span { memory, address: first, bytes }, write);
        } else {
            let moved = 32 * count as u64;
            let mut touched = starts.map(|start| start / 32);
            let distinct = if rises { count } else { distinct(&mut touched[..count]) };
            self.count_sectors(&touched[..distinct], moved);
            *(if write { &mut self.counters.global_written } else { &mut self.counters.global_read }) += moved;
        }
        Some(Sectors { ground, offsets: starts.map(|start| start.wrapping_sub(begin) as usize), count, bytes })
    }

    /// Loads, if the lanes of a whole warp lie in order and may; whether they do.
    pub(super) fn load_in_order(
        &mut self,
        warp: &mut Warp,
        address: &Address,
        d: &[Option<Slot>],
        bytes: usize,
        extend: Extend,
    ) -> bool {
        let whole = bytes * d.len();
        let steps = vectorize(Compare { addresses: warp.get(address.base), bytes: whole as u64 });
        if steps == Steps::None {
            return self.load_same(warp, address, d, bytes, extend);
        }
        let Some(sectors) = self.sectors(warp, address, whole, steps, false) else { return false };
        let (check, launch) = (self.engine.check, self.engine.launch);
        let first = self.first_record(warp);
        let (mut held, mut unwritten, mut races): (Held<'e>, u32, Vec<(usize, Record)>) = (None, 0, Vec::new());
        let Shared { bytes: near, shadows, .. } = &mut *self.shared;
        let mut words = [[0_u32; WORDS]; 32];
        for (number, offset) in sectors.offsets() {
            let (found, written) = sectors.ground.sector(near, offset);
            words[number] = found;
            if !check {
                continue;
            }
            if !written {
                unwritten |= sectors.unwritten(near, number, offset);
            }
            let (shadows, word) = sectors.ground.shadows(shadows, &mut held, launch, offset / 4);
            for begin in (0..WORDS).step_by(QUAD) {
                let now = sectors.run(number, begin, first);
                if shadows.read_quad((word + begin) / QUAD, now, &warp.clocks) {
                    continue;
                }
                for (i, word) in (begin..).zip(shadows.words(word + begin, QUAD)) {
                    let lane = sectors.lane(number, i);
                    let race = word.read(first.of_lane(lane, 0, 4), &warp.clocks);
                    let race = race.filter(|_| races.last().is_none_or(|(last, _)| *last != lane));
                    races.extend(race.map(|other| (lane, other)));
                }
            }
        }
        drop(held);
        if unwritten != 0 || !races.is_empty() {
            let spans = spans(warp, address, whole);
            each(unwritten, |lane| self.nothing_written(lane, spans[lane]));
            self.collide(&spans, &races, false);
        }
        let (words, per) = (words.as_flattened(), whole / 4);
        for (i, slot) in d.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let register = &mut warp.registers[*slot as usize];
            match bytes {
                8 => {
                    for (to, from) in register.iter_mut().zip(words.chunks_exact(per)) {
                        *to = extend.of(u64::from(from[2 * i]) | u64::from(from[2 * i + 1]) << 32, 8);
                    }
                }
                4 => {
                    for (to, from) in register.iter_mut().zip(words.chunks_exact(per)) {
                        *to = extend.of(from[i].into(), 4);
                    }
                }
                _ => {
                    for (to, from) in register.iter_mut().zip(words.chunks_exact(per)) {
                        *to = extend.of(u64::from(from[i * bytes / 4] >> (i * bytes % 4 * 8)), bytes);
                    }
                }
            }
        }
        true
    }

    /// Loads from one address, if all lanes may; whether they do.
    fn load_same(
        &mut self,
        warp: &mut Warp,
        address: &Address,
        d: &[Option<Slot>],
        bytes: usize,
        extend: Extend,
    ) -> bool {
        let whole = bytes * d.len();
        let (memory, at) = located(warp, address, warp.get(address.base)[0]);
        let words = if memory == Memory::Param {
            let all = self.engine.params;
            let legal = (PARAM_BEGIN + at).is_multiple_of(whole as u64) && at + whole as u64 <= all.len() as u64;
            if !legal {
                return false;
            }
            self.look(warp, 0, Span { memory, address: at, bytes: whole }).0
        } else {
            let Some((ground, begin)) = self.ground_of(warp.rank, memory, at, whole as u64, false) else {
                return false;
            };
            if !at.is_multiple_of(whole as u64) {
                return false;
            }
            let offset = (at - begin) as usize;
            let (words, written) = look(&ground, &self.shared.bytes, offset, whole);
            if self.engine.check {
                let first = self.first_record(warp).of_lane(0, offset, whole);
                let mut held = None;
                let (shadows, word) =
                    ground.shadows(&mut self.shared.shadows, &mut held, self.engine.launch, offset / 4);
                let mut words = shadows.words(word, whole.div_ceil(4)).iter_mut();
                if !written || !words.all(|word| word.read_by_warp(first, &warp.clocks)) {
                    return false;
                }
            }
            self.count_same(&Span { memory, address: at, bytes: whole });
            words
        };
        for (i, slot) in d.iter().enumerate() {
            let Some(slot) = slot else { continue };
            warp.registers[*slot as usize] = [extend.of(element(&words, i, bytes), bytes); 32];
        }
        true
    }

    /// Stores, if the lanes of a whole warp lie in order and may; whether they do.
    pub(super) fn store_in_order(&mut self, warp: &Warp, address: &Address, a: &[Slot], bytes: usize) -> bool {
        let whole = bytes * a.len();
        let steps = vectorize(Compare { addresses: warp.get(address.base), bytes: whole as u64 });
        let Some(sectors) = self.sectors(warp, address, whole, steps, true) else { return false };
        let mut words = [[0_u32; WORDS]; 32];
        let per = whole / 4;
        for (i, &slot) in a.iter().enumerate() {
            let lanes = warp.get(slot).iter().zip(words.as_flattened_mut().chunks_exact_mut(per));
            match bytes {
                8 => lanes.for_each(|(&from, to)| (to[2 * i], to[2 * i + 1]) = (from as u32, (from >> 32) as u32)),
                4 => lanes.for_each(|(&from, to)| to[i] = from as u32),
                _ => {
                    let (place, shift) = (i * bytes / 4, i * bytes % 4 * 8);
                    let mask = (1_u32 << (8 * bytes)) - 1;
                    lanes.for_each(|(&from, to)| to[place] |= (from as u32 & mask) << shift);
                }
            }
        }
        let (check, launch) = (self.engine.check, self.engine.launch);
        let first = self.first_record(warp);
        let (mut held, mut races): (Held<'e>, Vec<(usize, Record)>) = (None, Vec::new());
        let Shared { bytes: near, shadows, .. } = &mut *self.shared;
        for (number, offset) in sectors.offsets() {
            let new = &words[number];
            if check {
                let (shadows, word) = sectors.ground.shadows(shadows, &mut held, launch, offset / 4);
                for begin in (0..WORDS).step_by(QUAD) {
                    let now = sectors.run(number, begin, first);
                    if shadows.write_quad((word + begin) / QUAD, now, &warp.clocks) {
                        continue;
                    }
                    let (old, _) = sectors.ground.sector(near, offset);
                    let unwritten = sectors.unwritten(near, number, offset);
                    for (i, word) in (begin..).zip(shadows.words(word + begin, QUAD)) {
                        let lane = sectors.lane(number, i);
                        let same = unwritten >> lane & 1 == 0 && old[i] == new[i];
                        let race = word.write(first.of_lane(lane, 0, 4), same, &warp.clocks, warp.fenced.as_ref());
                        let race = race.filter(|_| races.last().is_none_or(|(last, _)| *last != lane));
                        races.extend(race.map(|other| (lane, other)));
                    }
                }
            }
            sectors.ground.put_sector(near, offset, new);
        }
        drop(held);
        if !races.is_empty() {
            self.collide(&spans(warp, address, whole), &races, true);
        }
        true
    }
}
