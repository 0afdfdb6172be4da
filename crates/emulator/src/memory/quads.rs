//! The last accesses to words of memory, kept for four words at once as long as lanes in a row touch them as a whole.

use super::shadow::{Clocks, Manner, Record, Word};

/// Words of a quad.
pub(crate) const QUAD: usize = 4;

/// An access to all bytes of a quad by lanes in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// That to the first word.
    pub record: Record,
    /// The logarithm to base 2 of the words of a lane, of 1 to 8.
    pub step: u8,
}

/// What the threads of two accesses have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// Of each word they are the same.
    Same,
    /// Of no word.
    Different,
    /// Of some words.
    Mixed,
}

impl Run {
    /// An access by one lane.
    pub fn of_lane(record: Record) -> Run {
        Run { record, step: QUAD.trailing_zeros() as u8 }
    }

    /// The access to one of the words.
    fn of_word(&self, word: usize) -> Record {
        let record = self.record;
        match record.manner {
            Manner::None => Record::default(),
            _ => Record { thread: record.thread + (word >> self.step) as u16, ..record },
        }
    }

    #[inline(always)]
    fn threads(&self, other: &Run) -> Threads {
        let (a, b) = (&self.record, &other.record);
        let last = |run: &Run| run.record.thread + ((QUAD - 1) >> run.step) as u16;
        if a.block != b.block || last(self) < b.thread || last(other) < a.thread {
            Threads::Different
        } else if a.thread == b.thread && self.step == other.step {
            Threads::Same
        } else {
            Threads::Mixed
        }
    }

    /// Whether an earlier access surely is no race with this one.
    #[inline(always)]
    fn is_sound_after(&self, earlier: &Run, clocks: &Clocks) -> bool {
        let (before, now) = (&earlier.record, &self.record);
        before.manner == Manner::None
            || before.manner != Manner::Pending
                && (before.is_ordered_with(now)
                    || earlier.threads(self) == Threads::Same
                    || clocks.is_over(before, now.block, now.warp()))
    }
}

/// The last accesses to four words.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))] // so that each is one line of the cache
pub(crate) struct Quad {
    write: Run,
    reads: [Run; 2],
    /// Whether its words have each their own.
    is_spread: bool,
}

impl Quad {
    /// Notes a plain read; not where words differ, or an earlier write may race with it.
    #[inline(always)]
    fn read(&mut self, now: Run, clocks: &Clocks) -> bool {
        let [latest, other] = &mut self.reads;
        let threads = if latest.record.manner == Manner::None { Threads::Different } else { latest.threads(&now) };
        if self.is_spread || threads == Threads::Mixed || !now.is_sound_after(&self.write, clocks) {
            return false;
        }
        if threads == Threads::Different {
            *other = *latest;
        }
        *latest = now;
        true
    }

    /// Notes a plain write, or one under way; not where words have their own accesses, or an earlier one may race with it.
    #[inline(always)]
    fn write(&mut self, now: Run, clocks: &Clocks) -> bool {
        let [latest, other] = &self.reads;
        let sound = !self.is_spread
            && now.is_sound_after(&self.write, clocks)
            && now.is_sound_after(latest, clocks)
            && now.is_sound_after(other, clocks);
        if sound {
            self.write = now;
        }
        sound
    }
}

/// The last accesses to words in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadows {
    quads: Vec<Quad>,
    /// Those of words in quads that are spread; none as long as no quad is.
    words: Vec<Word>,
}

impl Shadows {
    /// So many words that nobody touched.
    pub fn new(words: usize) -> Shadows {
        Shadows { quads: vec![Quad::default(); words.div_ceil(QUAD)], words: Vec::new() }
    }

    /// Becomes so many words that nobody touched.
    pub fn clear(&mut self, words: usize) {
        self.quads.clear();
        self.quads.resize(words.div_ceil(QUAD), Quad::default());
        if !self.words.is_empty() {
            self.words.resize(QUAD * self.quads.len(), Word::default());
        }
    }

    /// Some words, or those of them that there are, each with its own accesses.
    #[inline]
    pub fn words(&mut self, first: usize, count: usize) -> &mut [Word] {
        let end = (first + count).min(QUAD * self.quads.len());
        if first >= end {
            return &mut [];
        }
        for number in first / QUAD..=(end - 1) / QUAD {
            if !self.quads[number].is_spread {
                self.part(number);
            }
        }
        &mut self.words[first..end]
    }

    #[cold]
    fn part(&mut self, number: usize) {
        if self.words.is_empty() {
            self.words = vec![Word::default(); QUAD * self.quads.len()];
        }
        let quad = &mut self.quads[number];
        quad.is_spread = true;
        for (i, word) in self.words[QUAD * number..][..QUAD].iter_mut().enumerate() {
            *word = Word { write: quad.write.of_word(i), reads: quad.reads.map(|read| read.of_word(i)) };
        }
    }

    /// A word as it is.
    #[cfg(test)]
    fn word(&self, number: usize) -> Word {
        match self.quads[number / QUAD] {
            Quad { is_spread: true, .. } => self.words[number],
            Quad { write, reads, .. } => {
                Word { write: write.of_word(number % QUAD), reads: reads.map(|read| read.of_word(number % QUAD)) }
            }
        }
    }

    /// The last write to one of some words, if a thread made it itself and it is younger than its warp's fence.
    pub fn unfenced(&self, first: usize, count: usize, fences: &[u32]) -> Option<Record> {
        let mut at = first;
        while at < first + count {
            let quad = &self.quads[at / QUAD];
            let found = match quad.is_spread {
                true => self.words[at].unfenced(fences),
                // The lanes of its write are of one warp.
                false => Word { write: quad.write.of_word(at % QUAD), ..Word::default() }.unfenced(fences),
            };
            if found.is_some() {
                return found;
            }
            at = if quad.is_spread { at + 1 } else { (at / QUAD + 1) * QUAD };
        }
        None
    }

    /// Ends the writes under way to some words that a thread began.
    pub fn settle(&mut self, first: usize, count: usize, thread: u16, how: impl Fn(Record) -> Record) {
        let mut at = first;
        while at < first + count {
            let quad = self.quads.get_mut(at / QUAD).filter(|quad| !quad.is_spread && at.is_multiple_of(QUAD));
            if let Some(Quad { write: Run { record, step }, .. }) = quad
                && at + QUAD <= first + count
                && (record.manner != Manner::Pending || *step >= 2)
            {
                if record.manner == Manner::Pending && record.thread == thread {
                    *record = how(*record);
                }
                at += QUAD;
                continue;
            }
            self.words(at, 1).iter_mut().for_each(|word| word.settle(thread, &how));
            at += 1;
        }
    }

    /// Makes a word such as nobody ever touched.
    pub fn forget(&mut self, number: usize) {
        self.words(number, 1).fill(Word::default());
    }

    /// Of some lanes those whose word, by a function of the lane, lies in a quad that is spread.
    #[inline(always)]
    pub fn spread(&self, lanes: u32, word: impl Fn(usize) -> usize) -> u32 {
        let (mut left, mut spread) = (lanes, 0);
        while left != 0 {
            let lane = left.trailing_zeros();
            spread |= u32::from(self.quads[word(lane as usize) / QUAD].is_spread) << lane;
            left &= left - 1;
        }
        spread
    }

    /// Notes a plain read of a whole quad, by its number, if it surely is no race; otherwise nothing happens.
    #[inline(always)]
    pub fn read_quad(&mut self, number: usize, now: Run, clocks: &Clocks) -> bool {
        self.quads[number].read(now, clocks)
    }

    /// Notes a plain write of a whole quad, or one under way, by its number, if it surely is no race; otherwise nothing happens.
    #[inline(always)]
    pub fn write_quad(&mut self, number: usize, now: Run, clocks: &Clocks) -> bool {
        self.quads[number].write(now, clocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &Record, b: &Record) -> bool {
        let of = |r: &Record| (r.block, r.thread, r.bytes, r.clock, r.place);
        a.manner == b.manner && (a.manner == Manner::None || of(a) == of(b))
    }

    /// Accesses to whole quads and to single words leave in the words what the same accesses leave word by word, and
    /// find the same races.
    #[test]
    fn quads_know_what_their_words_would() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut together = 0;
        for _ in 0..20_000 {
            let (mut shadows, mut words) = (Shadows::new(QUAD), [Word::default(); QUAD]);
            for _ in 0..6 {
                let warp = random(2) as usize;
                let mut clocks = Clocks::new(warp, 2);
                clocks.warps = vec![random(3) as u32, random(3) as u32];
                let (step, write) = (random(4) as u8, random(2) == 1);
                let manner = if write && random(2) == 1 { Manner::Pending } else { Manner::Weak };
                let thread = (32 * warp as u64 + 8 * random(3) + random(2)) as u16;
                let record = Record {
                    block: random(2) as u32,
                    thread,
                    bytes: 15,
                    manner,
                    clock: clocks.warps[warp],
                    place: random(3) as u32,
                };
                let now = Run { record, step };
                let by_word = |words: &mut [Word]| {
                    let each = words.iter_mut().enumerate();
                    let races = each.map(|(i, word)| match write {
                        true => word.write(now.of_word(i), false, &clocks, None).is_some(),
                        false => word.read(now.of_word(i), &clocks).is_some(),
                    });
                    races.fold(false, |any, race| any | race)
                };
                let races = by_word(&mut words);
                let alone = match write {
                    true => shadows.write_quad(0, now, &clocks),
                    false => shadows.read_quad(0, now, &clocks),
                };
                together += u32::from(alone);
                let settles = random(3) == 0;
                assert!(if alone { !races } else { by_word(shadows.words(0, QUAD)) == races });
                if settles {
                    let how = |record| Record { manner: Manner::Bulk, ..record };
                    shadows.settle(0, QUAD, thread, how);
                    words.iter_mut().for_each(|word| word.settle(thread, how));
                }
                for (i, word) in words.iter().enumerate() {
                    let kept = shadows.word(i);
                    assert!(same(&kept.write, &word.write));
                    assert!(kept.reads.iter().zip(&word.reads).all(|(a, b)| same(a, b)), "{kept:?} {word:?}");
                }
            }
        }
        assert!(together > 20_000, "{together}");
    }
}
