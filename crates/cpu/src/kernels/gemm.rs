//! Batched matrix products.

use core::ops::Range;

use super::{Buffers, Kernel, Scratch, align, reduce::SumParts};
use crate::simd::{Base, Level, Pack, Panels, Segment, Tile};

/// Rows of the left operand that share a panel of the right one in cache.
const BLOCK: usize = 128;

/// Terms summed in registers at a time: as many as let a panel stay in the
/// first-level cache.
pub(super) const DEPTH: usize = 160;

/// Tasks wanted, so that several threads share the work evenly.
pub(super) const TASKS: usize = 16;

/// The sizes of C\[b\] = op(A\[b\]) · op(B\[b\]) + bias, all row-major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// A is stored k×m rather than m×k.
    pub ta: bool,
    /// B is stored n×k rather than k×n.
    pub tb: bool,
    /// Elements from one A to the next; 0: one for all.
    pub a_stride: usize,
    /// Elements from one B to the next; 0: one for all.
    pub b_stride: usize,
    /// A third input of n elements is added to every row.
    pub bias: bool,
}

/// A batched matrix product: inputs A, B and perhaps the bias, output C.
///
/// The right operand is packed into panels: all of it once, or, where few rows
/// share it, block by block as it is used.
#[derive(Debug)]
pub(crate) struct Gemm {
    level: Level,
    product: Product,
    panels: Panels,
    /// Rows of a block.
    block: usize,
    /// The right operand is packed as a whole, before.
    packed: bool,
    /// Fixed parts of the sum over k, added up at the end.
    parts: usize,
}

enum Stage {
    Pack,
    Multiply,
    Sum,
}

impl Gemm {
    pub fn new(level: Level, product: Product) -> Self {
        let Product { batch, m, n, k, .. } = product;
        let panels = Panels::new(level, n);
        let whole = |rows: usize| rows.next_multiple_of(level.tile_rows());
        let columns = batch * panels.count();
        // A long sum into few rows, or too few rows to pay for a pass of packing.
        let packed = m > BLOCK / 4 && (m > 2 * BLOCK || k < 4 * m);
        let mut block = if packed { whole(BLOCK) } else { m };
        while packed && block > 32 && columns * m.div_ceil(block) < TASKS {
            block = whole(block / 2);
        }
        let tasks = columns * m.div_ceil(block.max(1));
        let parts = TASKS.checked_div(tasks).unwrap_or(1).min(k / 1024).max(1);
        Self { level, product, panels, block, packed, parts }
    }

    fn stage(&self, phase: usize) -> Stage {
        match (self.packed, phase) {
            (true, 0) => Stage::Pack,
            (true, 1) | (false, 0) => Stage::Multiply,
            _ => Stage::Sum,
        }
    }

    /// Blocks of the sum over k: at least one, so that an empty sum is written.
    fn depths(&self) -> usize {
        self.product.k.div_ceil(DEPTH).max(1)
    }

    /// The terms of one block of the sum.
    fn terms(&self, depth: usize) -> Range<usize> {
        let Product { k, .. } = self.product;
        k * depth / self.depths()..k * (depth + 1) / self.depths()
    }

    /// How many right operands there are.
    fn rights(&self) -> usize {
        if self.product.b_stride == 0 { self.product.batch.min(1) } else { self.product.batch }
    }

    /// Elements of a packed right operand.
    fn packed_len(&self) -> usize {
        self.product.k * self.panels.width()
    }

    /// Elements of all packed right operands.
    fn packed_total(&self) -> usize {
        if self.packed { align(self.rights() * self.packed_len()) } else { 0 }
    }

    /// Packs the block of the right operand at `b` that a panel multiplies.
    unsafe fn pack(&self, b: *const f32, panel: usize, terms: &Range<usize>, to: *mut f32) {
        let Product { n, k, tb, .. } = self.product;
        let columns = self.panels.columns(panel);
        let (offset, stride) =
            if tb { (columns.start * k + terms.start, k) } else { (terms.start * n + columns.start, n) };
        let pack = Pack {
            from: b.wrapping_add(offset),
            stride,
            transposed: tb,
            rows: terms.len(),
            cols: columns.len(),
            to,
            width: self.panels.padded(panel),
        };
        // SAFETY: the block lies in B, and `to` holds it by the caller's promise.
        unsafe { pack.run(self.level) }
    }

    /// Multiplies one block of rows with one panel, over one part of the sum.
    unsafe fn multiply(&self, index: usize, buffers: Buffers<'_>) {
        let Product { m, n, k, ta, a_stride, b_stride, bias, batch, .. } = self.product;
        let blocks = m.div_ceil(self.block);
        let (index, panel) = (index / self.panels.count(), index % self.panels.count());
        let (index, block) = (index / blocks, index % blocks);
        let (part, item) = (index / batch, index % batch);
        let columns = self.panels.columns(panel);
        let width = self.panels.padded(panel);
        let a = buffers.inputs[0].wrapping_add(item * a_stride);
        let b = buffers.inputs[1].wrapping_add(item * b_stride);
        let packed = buffers.shared.wrapping_add(if b_stride == 0 { 0 } else { item * self.packed_len() });
        let out = if self.parts == 1 {
            buffers.outputs[0]
        } else {
            buffers.shared.wrapping_add(self.packed_total() + part * batch * m * n)
        };
        let out = out.wrapping_add(item * m * n + columns.start);
        let (row, step) = if ta { (1, m) } else { (k, 1) };
        let depths = self.depths() * part / self.parts..self.depths() * (part + 1) / self.parts;
        for depth in depths.clone() {
            let terms = self.terms(depth);
            let right = if self.packed {
                packed.wrapping_add(columns.start * k + terms.start * width)
            } else {
                // SAFETY: the local area holds the widest panel of the longest block.
                unsafe { self.pack(b, panel, &terms, buffers.local) };
                buffers.local
            };
            let base = match (depth == depths.start, bias && part == 0) {
                (true, true) => Base::Row(buffers.inputs[2].wrapping_add(columns.start)),
                (true, false) => Base::Zero,
                (false, _) => Base::Out,
            };
            let end = m.min((block + 1) * self.block);
            for first in (block * self.block..end).step_by(self.level.tile_rows()) {
                let rows = self.level.tile_rows().min(end - first);
                let at = |i: usize| first + i.min(rows - 1);
                let left = |i| a.wrapping_add(at(i) * row + terms.start * step);
                let tile = Tile {
                    segments: &[Segment { a: core::array::from_fn(left), b: right }],
                    len: terms.len(),
                    step,
                    width,
                    base,
                    out: core::array::from_fn(|i| out.wrapping_add(at(i) * n)),
                    rows,
                    cols: columns.len(),
                };
                // SAFETY: the tile lies within A, the packed panel and C.
                unsafe { self.level.tile(&tile) }
            }
        }
    }
}

impl Kernel for Gemm {
    fn scratch(&self) -> Scratch {
        let Product { batch, m, n, .. } = self.product;
        let parts = if self.parts == 1 { 0 } else { self.parts * batch * m * n };
        let depth = self.product.k.min(DEPTH);
        Scratch {
            shared: self.packed_total() + parts,
            local: if self.packed { 0 } else { depth * self.panels.widest() },
        }
    }

    fn phases(&self) -> usize {
        1 + usize::from(self.packed) + usize::from(self.parts > 1)
    }

    fn tasks(&self, phase: usize) -> usize {
        let Product { batch, m, n, .. } = self.product;
        match self.stage(phase) {
            Stage::Pack => self.rights() * self.panels.count() * self.depths(),
            Stage::Multiply if m == 0 => 0,
            Stage::Multiply => self.parts * batch * m.div_ceil(self.block) * self.panels.count(),
            Stage::Sum => SumParts::tasks(batch * m * n),
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        let Product { batch, m, n, k, b_stride, .. } = self.product;
        match self.stage(phase) {
            Stage::Pack => {
                let (rest, depth) = (index / self.depths(), index % self.depths());
                let (item, panel) = (rest / self.panels.count(), rest % self.panels.count());
                let terms = self.terms(depth);
                let offset = self.panels.columns(panel).start * k + terms.start * self.panels.padded(panel);
                let to = buffers.shared.wrapping_add(item * self.packed_len() + offset);
                // SAFETY: this panel's place in the shared area.
                unsafe { self.pack(buffers.inputs[1].wrapping_add(item * b_stride), panel, &terms, to) }
            }
            // SAFETY: passed on.
            Stage::Multiply => unsafe { self.multiply(index, buffers) },
            Stage::Sum => {
                let from = buffers.shared.wrapping_add(self.packed_total());
                let sum = SumParts { from, parts: self.parts, len: batch * m * n, to: buffers.outputs[0] };
                // SAFETY: the parts are complete.
                unsafe { sum.run(self.level, index) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::testing::{Sum, check, numbers};
    use super::*;

    fn case(product: Product) {
        let Product { batch, m, n, k, ta, tb, a_stride, b_stride, bias } = product;
        let copies = |stride| if stride == 0 { 1 } else { batch };
        let a = numbers(1, copies(a_stride) * m * k);
        let b = numbers(2, copies(b_stride) * k * n);
        let c = numbers(3, n);
        let mut expected = Vec::new();
        for item in 0..batch {
            for i in 0..m {
                for j in 0..n {
                    let mut sum = Sum::starting_at(if bias { c[j] } else { 0.0 });
                    for l in 0..k {
                        let at = if ta { l * m + i } else { i * k + l };
                        let bt = if tb { j * k + l } else { l * n + j };
                        sum.add(a[item * a_stride + at], b[item * b_stride + bt]);
                    }
                    expected.push(sum.bounded());
                }
            }
        }
        let inputs: [&[f32]; 3] = [&a, &b, &c];
        check(|level| Gemm::new(level, product), &inputs, &expected, &product);
    }

    #[test]
    fn matches_the_sum() {
        let sizes = [
            (1, 1, 1),
            (0, 3, 2),
            (3, 0, 2),
            (3, 2, 0),
            (1, 100, 37),
            (100, 1, 37),
            (7, 5, 3),
            (8, 48, 16),
            (9, 49, 17),
            (33, 31, 200),
            (130, 97, 161),
            (300, 33, 20),
            (5, 64, 3000),
            (40, 20, 2500),
            (129, 200, 1),
            (61, 7, 330),
        ];
        for (m, n, k) in sizes {
            for flags in 0..8 {
                let (ta, tb, bias) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
                case(Product { batch: 1, m, n, k, ta, tb, a_stride: 0, b_stride: 0, bias });
            }
        }
    }

    #[test]
    fn matches_the_sum_in_batches() {
        for (m, n, k) in [(1, 1, 1), (5, 17, 9), (40, 50, 60), (33, 20, 1100)] {
            for flags in 0..16 {
                let bit = |i: usize| flags >> i & 1;
                let (a_stride, b_stride) = (bit(0) * m * k, bit(1) * k * n);
                let (ta, tb) = (bit(2) == 1, bit(3) == 1);
                for batch in [0, 1, 3] {
                    case(Product { batch, m, n, k, ta, tb, a_stride, b_stride, bias: false });
                }
            }
        }
    }
}
