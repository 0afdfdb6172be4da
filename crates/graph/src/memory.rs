//! Where buffers lie in one arena, from the times at which each is alive.

use alloc::{vec, vec::Vec};

/// A buffer that is written at step `first` and last read at step `last` (both inclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Size in elements.
    pub size: usize,
    /// The step that writes it.
    pub first: usize,
    /// The last step that needs it.
    pub last: usize,
}

/// Gives each buffer an offset, so that buffers alive at the same step never overlap: largest
/// first, each at the lowest place that fits (Pisarchyk & Lee 2020, "greedy by size").
/// Offsets and the returned arena size are multiples of `align`; sizes that no memory has saturate.
///
/// ```
/// use yuragi_graph::memory::{Lifetime, place};
/// let buffers = [
///     Lifetime { size: 100, first: 0, last: 1 },
///     Lifetime { size: 100, first: 1, last: 2 },
///     Lifetime { size: 100, first: 2, last: 3 },
/// ];
/// let (offsets, arena) = place(&buffers, 16);
/// assert_eq!(offsets[0], offsets[2]);
/// assert_eq!(arena, 2 * 112);
/// ```
pub fn place(buffers: &[Lifetime], align: usize) -> (Vec<usize>, usize) {
    let align = align.max(1);
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (core::cmp::Reverse(buffers[i].size), buffers[i].first));
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<(usize, usize, usize)> = Vec::new();
    let mut arena = 0;
    for index in order {
        let buffer = buffers[index];
        let size = buffer.size.checked_next_multiple_of(align).unwrap_or(usize::MAX);
        let mut offset = 0_usize;
        for &(start, end, other) in &placed {
            if start >= offset.saturating_add(size) {
                break;
            }
            let together = buffers[other].first <= buffer.last && buffer.first <= buffers[other].last;
            if together && end > offset {
                offset = end;
            }
        }
        offsets[index] = offset;
        let end = offset.saturating_add(size);
        arena = arena.max(end);
        let at = placed.partition_point(|&(start, ..)| start < offset);
        placed.insert(at, (offset, end, index));
    }
    (offsets, arena)
}
