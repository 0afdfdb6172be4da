//! Who touched which bytes last, so that two accesses that nothing orders are seen (as FastTrack does,
//! Flanagan & Freund 2009, with a bounded number of readers remembered).

use std::{collections::HashMap, sync::Arc};

/// The manner of an access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// There was no access.
    #[default]
    None,
    /// A plain one.
    Weak,
    /// A `.volatile` one of shared memory with no fence before: ordered with nothing but atomic operations and their like.
    Volatile,
    /// `.relaxed`, `.acquire`, `.release`, an atomic operation, or a `.volatile` write after a fence: never a race with
    /// its like.
    Strong,
    /// The same after a plain write of its block that no fence made known: a race with all that other blocks do.
    Covering,
    /// Written by a bulk copy that was waited for.
    Bulk,
    /// Under way: bytes that an asynchronous copy writes at an unknown time before it is waited for.
    Pending,
}

/// One access to some bytes of a word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    pub block: u32,
    /// Warp · 32 + lane.
    pub thread: u16,
    /// A bit for each byte of the word.
    pub bytes: u8,
    pub manner: Manner,
    /// The warp's time.
    pub clock: u32,
    /// The instruction's place in its program, and above it the phase.
    pub(crate) place: u32,
}

/// Bits of an instruction's place.
const PLACE_BITS: u32 = 24;

impl Record {
    /// The same, made by an instruction in a phase of its warp. A new phase begins when all lanes come together, as in a
    /// shuffle: what they read before is read, though what they wrote need not be seen.
    pub fn at(self, instruction: usize, phase: u8) -> Record {
        let most = (1 << PLACE_BITS) - 1;
        Record { place: u32::from(phase) << PLACE_BITS | (instruction as u32).min(most), ..self }
    }

    /// The same by another lane of the warp, on some bytes.
    #[inline(always)]
    pub fn of_lane(self, lane: usize, offset: usize, bytes: usize) -> Record {
        let bytes = if bytes < 4 { ((1_u8 << bytes) - 1) << (offset % 4) } else { 15 };
        Record { thread: self.thread & !31 | lane as u16, bytes, ..self }
    }

    /// The instruction's place in its program.
    pub fn instruction(&self) -> usize {
        (self.place & ((1 << PLACE_BITS) - 1)) as usize
    }

    /// Whether a read was in an earlier phase than another access of the same warp at the same time.
    fn is_read_before(&self, now: &Record) -> bool {
        let same_warp = self.block == now.block && self.warp() == now.warp();
        same_warp && self.clock == now.clock && self.place >> PLACE_BITS != now.place >> PLACE_BITS
    }

    pub fn warp(&self) -> usize {
        usize::from(self.thread / 32)
    }

    fn same_thread(&self, other: &Record) -> bool {
        self.block == other.block && self.thread == other.thread
    }

    /// Whether both touch a common byte, from different threads, and not both in an ordered manner.
    fn meets(&self, other: &Record) -> bool {
        !self.is_ordered_with(other) && self.bytes & other.bytes != 0 && !self.same_thread(other)
    }

    /// Whether the manners of an earlier access and of another one make these no race.
    pub(super) fn is_ordered_with(&self, other: &Record) -> bool {
        match (self.manner, other.manner) {
            (Manner::None, _) => true,
            (Manner::Strong, Manner::Strong | Manner::Volatile) | (Manner::Volatile, Manner::Strong) => true,
            (Manner::Covering, Manner::Strong | Manner::Volatile) => self.block == other.block,
            _ => false,
        }
    }
}

/// What one warp knows of the others: of which accesses it is certain that they are over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    /// The time of each warp of the block up to which its accesses are over; the warp's own is its present.
    pub warps: Vec<u32>,
    /// The same of other blocks, learned through atomics after fences.
    pub blocks: HashMap<u32, Arc<[u32]>>,
}

impl Clocks {
    /// Those of a warp that knows nothing of the others.
    pub fn new(warp: usize, warps: usize) -> Clocks {
        Clocks { warps: (0..warps).map(|other| u32::from(other == warp)).collect(), blocks: HashMap::new() }
    }

    /// Learns all that another knows.
    pub fn join(&mut self, other: &Clocks) {
        self.warps.iter_mut().zip(&other.warps).for_each(|(mine, &theirs)| *mine = theirs.max(*mine));
        for (&block, clocks) in &other.blocks {
            self.learn(block, clocks);
        }
    }

    /// Learns of another block.
    pub fn learn(&mut self, block: u32, clocks: &Arc<[u32]>) {
        let known = self.blocks.entry(block).or_insert_with(|| clocks.clone());
        if known.iter().zip(clocks.iter()).any(|(a, b)| a < b) {
            *known = known.iter().zip(clocks.iter()).map(|(a, b)| *a.max(b)).collect();
        }
    }

    /// Whether an access is over as seen from a warp of a block.
    pub(super) fn is_over(&self, record: &Record, block: u32, warp: usize) -> bool {
        if record.block != block {
            let known = self.blocks.get(&record.block).and_then(|clocks| clocks.get(record.warp()));
            return known.is_some_and(|&time| record.clock <= time);
        }
        let time = self.warps.get(record.warp()).copied().unwrap_or(0);
        if record.warp() == warp { record.clock < time } else { record.clock <= time }
    }
}

/// The last accesses to a word: a write, and two reads by different threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word {
    pub(super) write: Record,
    pub(super) reads: [Record; 2],
}

impl Word {
    /// Notes a read by all lanes of a warp, the first of which is given; whether it races with no earlier write.
    #[inline(always)]
    pub fn read_by_warp(&mut self, first: Record, clocks: &Clocks) -> bool {
        let write = &self.write;
        let sound = write.is_ordered_with(&first)
            || write.manner != Manner::Pending && clocks.is_over(write, first.block, first.warp());
        if sound {
            // Those of the last two lanes.
            self.reads = [31, 30].map(|lane| Record { thread: first.thread & !31 | lane, ..first });
        }
        sound
    }

    /// Notes a read; gives an earlier write that it races with.
    pub fn read(&mut self, now: Record, clocks: &Clocks) -> Option<Record> {
        let unordered = |earlier: &Record| !clocks.is_over(earlier, now.block, now.warp());
        let pending = self.write.manner == Manner::Pending && self.write.bytes & now.bytes != 0;
        let found = pending || self.write.meets(&now) && unordered(&self.write);
        let [latest, other] = &mut self.reads;
        if latest.same_thread(&now) && latest.manner != Manner::None {
            let bytes = if latest.clock == now.clock { latest.bytes } else { 0 };
            *latest = Record { bytes: bytes | now.bytes, ..now };
        } else {
            *other = *latest;
            *latest = now;
        }
        found.then_some(self.write)
    }

    /// Notes a write; gives an earlier access that it races with. Two writes of the same value do not. `known` is what
    /// it makes known to who reads it.
    pub fn write(&mut self, now: Record, same_value: bool, clocks: &Clocks, known: Option<&Clocks>) -> Option<Record> {
        let races = |earlier: &Record| {
            let pending = earlier.manner == Manner::Pending && earlier.bytes & now.bytes != 0;
            pending || earlier.meets(&now) && !clocks.is_over(earlier, now.block, now.warp())
        };
        let read = self.reads.iter().find(|read| races(read) && !read.is_read_before(&now)).copied();
        let write = (!same_value || self.write.manner == Manner::Pending).then_some(self.write).filter(races);
        let before = self.write;
        let together = before.same_thread(&now) && before.clock == now.clock;
        let joined = together && before.manner == now.manner;
        self.write = Record { bytes: now.bytes | if joined { before.bytes } else { 0 }, ..now };
        // A plain write is not made an ordered one by an atomic operation of the same thread after it.
        if together && before.manner == Manner::Weak && now.manner == Manner::Strong && before.bytes & now.bytes != 0 {
            self.write = Record { bytes: before.bytes | now.bytes, ..before };
        } else if now.manner == Manner::Strong
            && matches!(before.manner, Manner::Weak | Manner::Covering)
            && before.block == now.block
            && before.bytes & now.bytes != 0
            && known.is_none_or(|known| known.warps.get(before.warp()).is_none_or(|&time| before.clock > time))
        {
            self.write = Record { manner: Manner::Covering, ..self.write };
        }
        write.or(read)
    }

    /// Ends the write under way that a thread began.
    pub(super) fn settle(&mut self, thread: u16, how: impl Fn(Record) -> Record) {
        if self.write.manner == Manner::Pending && self.write.thread == thread {
            self.write = how(self.write);
        }
    }

    /// The last write, if a thread made it itself and it is younger than its warp's fence.
    pub fn unfenced(&self, fences: &[u32]) -> Option<Record> {
        use Manner::{Covering, Strong, Volatile, Weak};
        let own = matches!(self.write.manner, Weak | Volatile | Strong | Covering);
        let fence = fences.get(self.write.warp()).copied().unwrap_or(0);
        (own && self.write.clock > fence).then_some(self.write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(block: u32, thread: u16, clock: u32) -> Record {
        Record { block, thread, bytes: 15, manner: Manner::Weak, clock, place: 0 }
    }

    #[test]
    fn a_barrier_orders_what_a_program_order_does_not() {
        let mut word = Word::default();
        let clocks = Clocks::new(0, 2);
        assert!(word.write(record(0, 3, 1), false, &clocks, None).is_none());
        assert!(word.read(record(0, 3, 1), &clocks).is_none(), "a thread sees its own write");
        assert!(word.read(record(0, 4, 1), &clocks).is_some(), "lanes are not ordered");
        let mut clocks = Clocks::new(1, 2);
        assert!(word.read(record(0, 32, 1), &clocks).is_some());
        clocks.warps[0] = 1;
        assert!(word.read(record(0, 32, 1), &clocks).is_none());
    }

    #[test]
    fn reads_are_remembered_and_equal_values_forgiven() {
        let clocks = Clocks::new(0, 1);
        let mut word = Word::default();
        for thread in 0..4 {
            assert!(word.read(record(0, thread, 1), &clocks).is_none());
        }
        assert!(word.write(record(0, 3, 1), false, &clocks, None).is_some(), "another thread's read is remembered");
        let mut word = Word::default();
        assert!(word.write(record(0, 0, 1), false, &clocks, None).is_none());
        assert!(word.write(record(0, 1, 1), true, &clocks, None).is_none());
        assert!(word.write(record(0, 2, 1), false, &clocks, None).is_some());
        let part = Record { bytes: 0b0011, ..record(0, 3, 1) };
        let mut word = Word::default();
        assert!(word.write(part, false, &clocks, None).is_none());
        assert!(word.write(Record { bytes: 0b1100, thread: 4, ..part }, false, &clocks, None).is_none());
    }

    #[test]
    fn a_plain_write_is_remembered_behind_an_atomic_of_its_thread() {
        let mut word = Word::default();
        let clocks = Clocks::new(0, 1);
        let atomic = |block| Record { manner: Manner::Strong, ..record(block, 0, 1) };
        assert!(word.write(record(0, 0, 1), false, &clocks, None).is_none());
        assert!(word.write(atomic(0), false, &clocks, None).is_none());
        assert!(word.write(atomic(1), false, &clocks, None).is_some());
        let mut word = Word::default();
        assert!(word.write(record(0, 0, 1), false, &clocks, None).is_none());
        let later = Record { clock: 2, ..atomic(0) };
        assert!(word.write(later, false, &clocks, Some(&clocks)).is_none());
        assert!(word.write(atomic(1), false, &clocks, None).is_none(), "a fence stood between");
    }

    #[test]
    fn a_plain_write_is_remembered_behind_an_atomic_of_its_block() {
        // Thread 0 writes, all meet at a barrier, and a thread of another warp adds.
        let later = |manner| Record { manner, ..record(0, 40, 1) };
        let (mut own, other) = (Clocks::new(1, 2), Clocks::new(0, 2));
        own.warps[0] = 1;
        for (known, races) in [(None, true), (Some(&own), false)] {
            let mut word = Word::default();
            assert!(word.write(record(0, 0, 1), false, &own, None).is_none());
            assert!(word.write(later(Manner::Strong), false, &own, known).is_none());
            assert!(word.write(Record { thread: 41, ..later(Manner::Strong) }, false, &own, known).is_none());
            let add = Record { manner: Manner::Strong, ..record(1, 0, 1) };
            assert_eq!(word.write(add, false, &other, None).is_some(), races);
        }
    }

    #[test]
    fn volatile_accesses_are_ordered_by_fences_and_atomics_alone() {
        let clocks = Clocks::new(0, 2);
        let by = |thread, manner| Record { manner, ..record(0, thread, 1) };
        for (write, read, races) in [
            (Manner::Volatile, Manner::Volatile, true),
            (Manner::Volatile, Manner::Weak, true),
            (Manner::Weak, Manner::Volatile, true),
            (Manner::Strong, Manner::Volatile, false),
            (Manner::Volatile, Manner::Strong, false),
        ] {
            let mut word = Word::default();
            assert!(word.write(by(40, write), false, &clocks, None).is_none());
            assert_eq!(word.read(by(0, read), &clocks).is_some(), races, "{write:?} {read:?}");
        }
    }

    #[test]
    fn what_all_lanes_read_before_they_met_is_read() {
        let clocks = Clocks::new(0, 1);
        for (phase, races) in [(3, true), (4, false)] {
            let mut word = Word::default();
            assert!(word.read(record(0, 5, 1).at(7, 3), &clocks).is_none());
            assert_eq!(word.write(record(0, 0, 1).at(9, phase), false, &clocks, None).is_some(), races);
        }
        let mut word = Word::default();
        assert!(word.write(record(0, 5, 1).at(7, 3), false, &clocks, None).is_none());
        assert!(word.read(record(0, 0, 1).at(9, 4), &clocks).is_some(), "what was written need not be seen");
    }

    #[test]
    fn blocks_are_ordered_only_by_what_was_learned() {
        let mut word = Word::default();
        let mut clocks = Clocks::new(0, 1);
        assert!(word.write(record(7, 0, 2), false, &clocks, None).is_none());
        assert!(word.read(record(8, 0, 1), &clocks).is_some());
        clocks.learn(7, &Arc::from([1]));
        assert!(word.read(record(8, 0, 1), &clocks).is_some());
        clocks.learn(7, &Arc::from([2]));
        assert!(word.read(record(8, 0, 1), &clocks).is_none());
    }
}
