//! Where buffers lie in one arena, from the times at which each is alive.

use alloc::{vec, vec::Vec};
use core::cmp::Reverse;

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

/// How often the buffer that ends highest is tried as the first to be placed.
const ROUNDS: usize = 32;
/// The share of what is needed at once by which an arena may be larger before another round is tried.
const SLACK: usize = 64;

/// Gives each buffer an offset, so that buffers alive at the same step never overlap: first those alive when most is needed,
/// of these the largest, each at the lowest place that fits (Pisarchyk & Lee 2020, "greedy by breadth"). As long as the
/// arena is a 64th larger than what is needed at once, the buffer that ends highest is tried as the first, up to 32
/// times, and then all of it with the largest first ("greedy by size"); the smallest arena stays.
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
    let sizes: Vec<usize> =
        buffers.iter().map(|b| b.size.checked_next_multiple_of(align).unwrap_or(usize::MAX)).collect();
    // The need is largest where a buffer begins.
    let mut begins: Vec<usize> = buffers.iter().map(|b| b.first).collect();
    begins.sort_unstable();
    begins.dedup();
    let span = |b: &Lifetime| {
        let first = begins.partition_point(|&begin| begin < b.first);
        first..begins.partition_point(|&begin| begin <= b.last).max(first)
    };
    let mut needs = vec![0_usize; begins.len()];
    for (buffer, &size) in buffers.iter().zip(&sizes) {
        needs[span(buffer)].iter_mut().for_each(|need| *need = need.saturating_add(size));
    }
    let breadths: Vec<usize> = buffers.iter().map(|b| needs[span(b)].iter().copied().max().unwrap_or(0)).collect();
    let needed = needs.iter().max().copied().unwrap_or(0);
    let enough = |arena: usize| arena.saturating_sub(needed) <= needed / SLACK;
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (Reverse(breadths[i]), Reverse(sizes[i]), buffers[i].first));
    let mut best = promoted(buffers, &sizes, &mut order, enough);
    if !enough(best.arena) {
        order.sort_by_key(|&i| (Reverse(sizes[i]), buffers[i].first));
        let by_size = promoted(buffers, &sizes, &mut order, enough);
        if by_size.arena < best.arena {
            best = by_size;
        }
    }
    (best.offsets, best.arena)
}

/// The smallest arena of an order and of those in which the buffer that ended highest became the first, in turn.
fn promoted(buffers: &[Lifetime], sizes: &[usize], order: &mut [usize], enough: impl Fn(usize) -> bool) -> Placed {
    let mut best = in_order(buffers, sizes, order);
    let mut highest = best.highest;
    for _ in 0..ROUNDS {
        if enough(best.arena) {
            break;
        }
        match order.iter().position(|&i| i == highest) {
            Some(place @ 1..) => order[..=place].rotate_right(1),
            Some(0) | None => break,
        }
        let next = in_order(buffers, sizes, order);
        highest = next.highest;
        if next.arena < best.arena {
            best = next;
        }
    }
    best
}

struct Placed {
    offsets: Vec<usize>,
    arena: usize,
    /// The buffer that ends where the arena does.
    highest: usize,
}

/// Places one buffer after another, each at the lowest place that fits.
fn in_order(buffers: &[Lifetime], sizes: &[usize], order: &[usize]) -> Placed {
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<(usize, usize, usize)> = Vec::with_capacity(buffers.len());
    let (mut arena, mut highest) = (0, 0);
    for &index in order {
        let (buffer, size) = (buffers[index], sizes[index]);
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
        if end > arena {
            (arena, highest) = (end, index);
        }
        let at = placed.partition_point(|&(start, ..)| start < offset);
        placed.insert(at, (offset, end, index));
    }
    Placed { offsets, arena, highest }
}
