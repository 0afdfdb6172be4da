//! What accesses cost: sectors of global memory, passes over the banks of shared memory.

use super::{
    access::{Reach, Span},
    lanes::each,
};
use crate::memory::Memory;

impl Reach<'_, '_> {
    /// Counts an access by some lanes.
    pub(super) fn count(&mut self, spans: &[Span; 32], active: u32, write: bool) {
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
