use alloc::vec::Vec;
use core::slice::{from_raw_parts, from_raw_parts_mut};

use yuragi_graph::{
    Shape,
    op::{Axes, Reduce},
};

use super::{
    Buffers, Kernel, Scratch,
    program::{Place, Program, TILE, address},
};
use crate::simd::{Op, Vector};

/// Elements of one partial result: parts are fixed by the shape alone.
const PART: usize = 32 * TILE;
/// Independent partial sums along a run.
const LANES: usize = 16;

/// A reduction of an elementwise chain: `[outer, rows, block]` is folded along the rows into one
/// block per outer index, then inside the block.
///
/// The chain's value is never stored. Long reductions are cut into parts of a fixed size, whose
/// results are combined in order.
#[derive(Debug)]
pub(crate) struct Fold {
    chain: Program,
    /// The chain's value.
    value: Place,
    op: Reduce,
    outer: usize,
    rows: usize,
    block: usize,
    /// Runs inside a block: `(offset of the result, kept)` by axis, innermost last.
    inside: Vec<Axis>,
    /// Elements of a result per outer index.
    results: usize,
    /// Rows of one part.
    part: usize,
}

#[derive(Clone, Copy, Debug)]
struct Axis {
    extent: usize,
    kept: bool,
}

impl Fold {
    /// A reduction of `chain`, whose last instruction leaves its value in `value`.
    pub fn new(chain: Program, value: Place, op: Reduce, shape: &Shape, axes: Axes) -> Fold {
        let mut dims: Vec<Axis> = Vec::new();
        for (axis, &extent) in shape.iter().enumerate().filter(|(_, e)| **e != 1) {
            let kept = !axes.contains(axis);
            match dims.last_mut() {
                Some(last) if last.kept == kept => last.extent *= extent,
                _ => dims.push(Axis { extent, kept }),
            }
        }
        let mut rest = &dims[..];
        let mut outer = 1;
        if let [Axis { extent, kept: true }, tail @ ..] = rest
            && !tail.is_empty()
        {
            (outer, rest) = (*extent, tail);
        }
        let mut rows = 1;
        if let [Axis { extent, kept: false }, tail @ ..] = rest
            && !tail.is_empty()
        {
            (rows, rest) = (*extent, tail);
        }
        let block = rest.iter().map(|a| a.extent).product();
        let results = rest.iter().filter(|a| a.kept).map(|a| a.extent).product();
        let inside = rest.to_vec();
        let mut fold = Fold { chain, value, op, outer, rows, block, inside, results, part: 1 };
        // A long run is a column of tile-sized rows if it divides so.
        if fold.rows == 1 && results == 1 && block > TILE {
            let width = (1..=TILE).rev().find(|w| block % w == 0).unwrap_or(1);
            if width >= LANES {
                (fold.rows, fold.block) = (block / width, width);
                fold.inside = [Axis { extent: width, kept: false }].to_vec();
            }
        }
        fold.part = (PART / fold.block.max(1)).clamp(1, fold.rows.max(1));
        fold
    }

    fn parts(&self) -> usize {
        self.rows.div_ceil(self.part).max(1)
    }

    /// Outer indices of one task when each is a single part.
    fn together(&self) -> usize {
        if self.parts() > 1 { 1 } else { (PART / (self.rows * self.block).max(1)).max(1) }
    }

    fn start(&self) -> f32 {
        match self.op {
            Reduce::Sum => 0.0,
            Reduce::Max => f32::NEG_INFINITY,
        }
    }
}

impl Kernel for Fold {
    fn scratch(&self) -> Scratch {
        let parts = self.parts();
        let shared = if parts > 1 { self.outer * parts * self.block } else { 0 };
        Scratch { shared, local: self.chain.registers * TILE + self.block }
    }

    fn phases(&self) -> usize {
        if self.parts() > 1 { 2 } else { 1 }
    }

    fn tasks(&self, phase: usize) -> usize {
        match phase {
            0 => (self.outer * self.parts()).div_ceil(self.together()),
            _ => self.outer,
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        self.chain.level.run(Task { fold: self, phase, index, buffers });
    }
}

struct Task<'a> {
    fold: &'a Fold,
    phase: usize,
    index: usize,
    buffers: Buffers<'a>,
}

impl Op for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Task { fold, phase, index, buffers } = self;
        let parts = fold.parts();
        // SAFETY: the accumulator follows the registers in the task's own memory.
        let sum = unsafe { from_raw_parts_mut(buffers.local.add(fold.chain.registers * TILE), fold.block) };
        // SAFETY: every outer index owns its results.
        let result =
            |outer: usize| unsafe { from_raw_parts_mut(buffers.outputs[0].add(outer * fold.results), fold.results) };
        if phase == 1 {
            for part in 0..parts {
                let place = (index * parts + part) * fold.block;
                // SAFETY: the first phase wrote every part of the shared scratch.
                let values = unsafe { from_raw_parts(buffers.shared.add(place).cast_const(), fold.block) };
                if part == 0 { sum.copy_from_slice(values) } else { combine(fold.op, sum, values) }
            }
            return inside(fold, sum, result(index));
        }
        // SAFETY: passed on to the caller of the kernel.
        unsafe { fold.chain.prepare(buffers) };
        let together = fold.together();
        let end = (fold.outer * parts).min((index + 1) * together);
        for item in index * together..end {
            let (outer, part) = (item / parts, item % parts);
            let first = part * fold.part;
            let rows = fold.part.min(fold.rows - first.min(fold.rows));
            sum.fill(fold.start());
            column(fold, buffers, outer * fold.rows + first, rows, sum);
            if parts > 1 {
                // SAFETY: every part owns its place in the shared scratch.
                unsafe { from_raw_parts_mut(buffers.shared.add(item * fold.block), fold.block) }.copy_from_slice(sum);
            } else {
                inside(fold, sum, result(outer));
            }
        }
    }
}

/// Folds consecutive rows of the chain's value into `sum`.
#[inline(always)]
fn column(fold: &Fold, buffers: Buffers<'_>, first: usize, rows: usize, sum: &mut [f32]) {
    let block = fold.block;
    let (start, end) = (first * block, (first + rows) * block);
    let step = if block <= TILE { (TILE / block.max(1)) * block } else { TILE };
    let mut at = start;
    while at < end {
        let column = (at - start) % block;
        let length = step.min(end - at).min(if block > TILE { block - column } else { usize::MAX });
        // SAFETY: passed on to the caller of the kernel; the tile's value holds `length` elements.
        let values = unsafe {
            fold.chain.tile(buffers, at, length);
            from_raw_parts(address(fold.value, buffers, at).cast_const(), length)
        };
        if block > TILE {
            combine(fold.op, &mut sum[column..column + length], values);
        } else {
            values.chunks_exact(block).for_each(|row| combine(fold.op, sum, row));
        }
        at += length;
    }
}

#[inline(always)]
fn pair(op: Reduce, a: f32, b: f32) -> f32 {
    match op {
        Reduce::Sum => a + b,
        Reduce::Max if b > a || b.is_nan() => b,
        Reduce::Max => a,
    }
}

#[inline(always)]
fn combine(op: Reduce, sum: &mut [f32], values: &[f32]) {
    match op {
        Reduce::Sum => sum.iter_mut().zip(values).for_each(|(s, &v)| *s += v),
        Reduce::Max => sum.iter_mut().zip(values).for_each(|(s, &v)| *s = pair(Reduce::Max, *s, v)),
    }
}

/// Folds the reduced axes inside a block.
#[inline(always)]
fn inside(fold: &Fold, block: &[f32], result: &mut [f32]) {
    if block.is_empty() {
        return result.fill(fold.start());
    }
    match fold.inside[..] {
        [] => result[0] = block[0],
        [Axis { kept: true, .. }] => result.copy_from_slice(block),
        [Axis { kept: false, .. }] => result[0] = run(fold, block),
        [Axis { kept: true, .. }, Axis { kept: false, extent }] => {
            for (r, values) in result.iter_mut().zip(block.chunks_exact(extent)) {
                *r = run(fold, values);
            }
        }
        _ => {
            result.fill(fold.start());
            let inner = fold.inside[fold.inside.len() - 1];
            for (number, values) in block.chunks_exact(inner.extent).enumerate() {
                let (mut rest, mut place, mut size) = (number, 0, if inner.kept { inner.extent } else { 1 });
                for axis in fold.inside[..fold.inside.len() - 1].iter().rev() {
                    if axis.kept {
                        place += rest % axis.extent * size;
                        size *= axis.extent;
                    }
                    rest /= axis.extent;
                }
                if inner.kept {
                    combine(fold.op, &mut result[place..place + inner.extent], values);
                } else {
                    result[place] = pair(fold.op, result[place], run(fold, values));
                }
            }
        }
    }
}

/// Folds a run of numbers in [`LANES`] strands.
#[inline(always)]
fn run(fold: &Fold, values: &[f32]) -> f32 {
    let mut lanes = [fold.start(); LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = pair(fold.op, *lane, v);
        }
    }
    for (lane, &v) in lanes.iter_mut().zip(rest) {
        *lane = pair(fold.op, *lane, v);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = pair(fold.op, lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}
