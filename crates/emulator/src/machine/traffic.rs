//! What accesses cost: sectors of global memory, passes over the banks of shared memory.

use super::{
    access::Reach,
    hopper::{Piece, Ranges},
    lanes::each,
    span::Span,
};
use crate::memory::Memory;

impl Reach<'_, '_> {
    /// Counts an access by some lanes.
    pub(super) fn count(&mut self, spans: &[Span; 32], active: u32, write: bool) {
        let first = &spans[active.trailing_zeros().min(31) as usize];
        if is_contiguous(spans, active) {
            return self.count_row(first, write);
        }
        let mut bytes = 0;
        each(active, |lane| bytes += spans[lane].bytes as u64);
        match first.memory {
            Memory::Global if bytes == 0 => {}
            Memory::Global => {
                let (sectors, count) = sectors(spans, active);
                self.count_sectors(&sectors[..count], bytes);
                *(if write { &mut self.counters.global_written } else { &mut self.counters.global_read }) += bytes;
            }
            Memory::Shared => {
                let (passes, least) = passes(spans, active);
                self.count_passes(passes, least, bytes);
            }
            Memory::Local => self.counters.local_bytes += bytes,
            Memory::Param => {}
        }
    }

    /// Counts an access to bytes in a row by all lanes, from that of the first on.
    pub(super) fn count_row(&mut self, first: &Span, write: bool) {
        let bytes = 32 * first.bytes as u64;
        match first.memory {
            Memory::Global => {
                let (begin, end) = (first.address / 32, (first.address + bytes - 1) / 32);
                self.counters.global_requests += 1;
                self.counters.global_sectors += end + 1 - begin;
                self.tally.sectors += end + 1 - begin;
                self.tally.least_sectors += bytes.div_ceil(32);
                self.touch(32 * begin, (end + 1 - begin) as usize);
                *(if write { &mut self.counters.global_written } else { &mut self.counters.global_read }) += bytes;
            }
            Memory::Shared => {
                let passes = bytes.div_ceil(128);
                self.count_passes(passes, passes, bytes);
            }
            Memory::Local => self.counters.local_bytes += bytes,
            Memory::Param => {}
        }
    }

    /// Counts a read of the same bytes by all lanes.
    pub(super) fn count_same(&mut self, span: &Span) {
        let bytes = 32 * span.bytes as u64;
        match span.memory {
            Memory::Global => {
                self.count_sectors(&[span.address / 32], bytes);
                self.counters.global_read += bytes;
            }
            Memory::Shared => {
                let passes = (span.bytes as u64 / 4).max(1);
                self.count_passes(passes, passes, bytes);
            }
            Memory::Local | Memory::Param => {}
        }
    }

    /// Counts an access to shared memory in so many passes over its banks.
    fn count_passes(&mut self, passes: u64, least: u64, bytes: u64) {
        self.tally.passes += passes;
        self.tally.least_passes += least;
        self.counters.shared_requests += 1;
        self.counters.shared_passes += passes;
        self.counters.shared_least_passes += least;
        self.counters.shared_bytes += bytes;
    }

    /// Counts a bulk copy of pieces of shared memory, those of them that have a counterpart in global memory.
    pub(super) fn count_pieces(&mut self, ranges: &Ranges, write: bool) {
        if ranges.memory != Memory::Global {
            return;
        }
        let mut sectors = Vec::new();
        let mut bytes = 0;
        for &Piece { far, bytes: len, .. } in &ranges.pieces {
            let Some(global) = far.filter(|_| len > 0) else { continue };
            bytes += len as u64;
            let first = sectors.last().map_or(0, |last| last + 1).max(global / 32);
            // Within a row addresses rise; where another one begins lower, all its sectors are new.
            let first = if sectors.last().is_some_and(|&last| last > global / 32) { global / 32 } else { first };
            sectors.extend(first..=global.saturating_add(len as u64 - 1) / 32);
        }
        if bytes > 0 {
            self.count_sectors(&sectors, bytes);
        }
        *(if write { &mut self.counters.global_written } else { &mut self.counters.global_read }) += bytes;
    }

    /// Counts a request for so many bytes in different sectors of global memory, given as their addresses divided by 32.
    pub(super) fn count_sectors(&mut self, sectors: &[u64], bytes: u64) {
        self.tally.sectors += sectors.len() as u64;
        self.tally.least_sectors += bytes.div_ceil(32).min(sectors.len() as u64);
        self.counters.global_requests += 1;
        self.counters.global_sectors += sectors.len() as u64;
        for row in sectors.chunk_by(|one, next| next.wrapping_sub(*one) == 1) {
            self.touch(32 * row[0], row.len());
        }
    }
}

/// Whether all lanes touch a row of words, from an address that is a multiple of what one of them touches.
fn is_contiguous(spans: &[Span; 32], active: u32) -> bool {
    let Span { memory, address, bytes } = spans[0];
    let row = |(lane, span): (u64, &Span)| {
        span.memory == memory && span.bytes == bytes && span.address == address.wrapping_add(lane * bytes as u64)
    };
    let legal = active == u32::MAX && bytes >= 4 && address.is_multiple_of(bytes as u64) && address < u64::MAX / 2;
    legal && (0..).zip(spans).all(row)
}

/// The different sectors of 32 bytes that lanes touch, as their addresses divided by 32, and their number.
fn sectors(spans: &[Span; 32], active: u32) -> ([u64; 64], usize) {
    let mut found = [0_u64; 64];
    let mut count = 0;
    each(active, |lane| {
        let span = spans[lane];
        if span.bytes == 0 {
            return;
        }
        let last = span.address.saturating_add(span.bytes as u64 - 1) / 32;
        for sector in span.address / 32..=last {
            if count == 0 || found[count - 1] != sector {
                found[count.min(63)] = sector;
                count = (count + 1).min(64);
            }
        }
    });
    let distinct = distinct(&mut found[..count]);
    (found, distinct)
}

/// Puts the different ones of some numbers first, in their order; gives how many they are.
pub(super) fn distinct(numbers: &mut [u64]) -> usize {
    numbers.sort_unstable();
    let mut count = 0;
    for i in 0..numbers.len() {
        if count == 0 || numbers[count - 1] != numbers[i] {
            (numbers[count], count) = (numbers[i], count + 1);
        }
    }
    count
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
        // Where no two lanes meet in a bank one pass does.
        let (mut banks, mut bits) = (0_u32, 0);
        each(lanes, |lane| {
            banks |= 1 << (spans[lane].address >> bytes.trailing_zeros() & (together as u64 - 1));
            bits |= spans[lane].address;
        });
        let aligned = bytes == 4 || bytes.is_power_of_two() && bits & (bytes as u64 - 1) == 0;
        if aligned && banks.count_ones() == lanes.count_ones() {
            (passes, least) = (passes + 1, least + 1);
            continue;
        }
        // The first word of each bank, and the others of all banks together.
        let (mut first, mut seen, mut others, mut extra) = ([0_u64; 32], 0_u32, [0_u64; 32], 0);
        let mut counts = [0_u8; 32];
        each(lanes, |lane| {
            for i in 0..bytes as u64 / 4 {
                let word = spans[lane].address / 4 + i;
                let bank = (word % 32) as usize;
                if seen >> bank & 1 == 0 {
                    (first[bank], seen) = (word, seen | 1 << bank);
                } else if first[bank] != word && extra < 32 && !others[..extra].contains(&word) {
                    (others[extra], extra) = (word, extra + 1);
                    counts[bank] += 1;
                }
            }
        });
        passes += 1 + u64::from(counts.iter().copied().max().unwrap_or(0));
        least += (seen.count_ones() as usize + extra).div_ceil(32) as u64;
    }
    (passes, least)
}
