//! Batched matrix products.

use core::ops::Range;

use yuragi_graph::DType;

use super::{Buffers, Kernel, Scratch, align, reduce::SumParts};
use crate::simd::{Ahead, Base, Left, Level, Narrow, Pack, Panels, Source, Strip};

/// Rows of the left operand that share a panel of the right one in cache.
const BLOCK: usize = 128;

/// Terms summed in registers at a time: as many as let a panel stay in the
/// first-level cache.
pub(super) const DEPTH: usize = 192;

/// A sum that is little longer is not cut.
const LONGEST: usize = DEPTH + DEPTH / 8;

/// Elements of the result that stay in the second-level cache while the terms of their sums pass.
const RESULT: usize = 1 << 16;

/// Most elements of a block of the left operand that is copied as a whole.
const COPIED: usize = 1 << 20;

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
    /// The factors are bfloat16, and multiplied as pairs.
    pub pairs: bool,
    /// In which type B is stored; A and what is computed are of single precision.
    pub stored: DType,
}

/// A batched matrix product: inputs A, B and perhaps the bias, output C.
///
/// The right operand is packed into panels: all of it once, or, where few rows
/// share it, block by block as it is used. Blocks of a left operand that is
/// far from contiguous, or becomes pairs, are copied.
#[derive(Debug)]
pub(crate) struct Gemm {
    level: Level,
    product: Product,
    /// Which inputs are A and B: a matrix times a vector is computed as the
    /// transposed product.
    operands: [usize; 2],
    panels: Panels,
    /// Rows of a task.
    block: usize,
    /// Panels of a task.
    group: usize,
    /// Those of them over which the sum over k goes at a time.
    cluster: usize,
    /// The right operand is packed as a whole, before.
    packed: bool,
    /// Blocks of the left operand are copied.
    copied: bool,
    /// Elements of the sum over k, pairs counting as one.
    terms: usize,
    /// Fixed parts of the sum over k, added up at the end.
    parts: usize,
}

enum Stage {
    Pack,
    Multiply,
    Sum,
}

/// What one task multiplies.
struct Work {
    /// Which product of the batch.
    item: usize,
    rows: Range<usize>,
    panels: Range<usize>,
    part: usize,
}

impl Gemm {
    pub fn new(level: Level, mut product: Product) -> Self {
        let mut operands = [0, 1];
        if product.n == 1 && product.m > 1 && !product.bias && product.stored == DType::F32 {
            let Product { m, ta, a_stride, b_stride, .. } = product;
            (product.m, product.n) = (1, m);
            (product.ta, product.tb) = (false, !ta);
            (product.a_stride, product.b_stride) = (b_stride, a_stride);
            operands = [1, 0];
        }
        let Product { batch, m, n, k, ta, pairs, .. } = product;
        let panels = Panels::new(level, n);
        let whole = |rows: usize| rows.next_multiple_of(level.tile_rows());
        // A long sum into few rows, or too few rows, do not pay for a pass of packing.
        let packed = m > BLOCK / 4 && (m > 2 * BLOCK || k < 4 * m);
        let mut block = if packed { whole(BLOCK) } else { m };
        let tasks = |block: usize, group: usize| batch * m.div_ceil(block.max(1)) * panels.count().div_ceil(group);
        while packed && block > 32 && tasks(block, 1) < TASKS {
            block = whole(block / 2);
        }
        let mut group = panels.count().max(1);
        while group > 1 && tasks(block, group) < TASKS / 3 {
            group = group.div_ceil(2);
        }
        let parts = TASKS.checked_div(tasks(block, group)).unwrap_or(1).min(k / 1024).max(1);
        let copied = pairs || if ta { m > 2 * BLOCK } else { k > 2 * DEPTH && m > BLOCK };
        let terms = if pairs { k.div_ceil(2) } else { k };
        // Where a copy cannot be kept from one cluster to the next, all panels are one.
        let kept = terms > LONGEST && (!copied || block.min(m) * terms <= COPIED);
        let cluster = if kept { (RESULT / (block.min(m).max(1) * panels.widest().max(1))).max(1) } else { group };
        Self { level, product, operands, panels, block, group, cluster, packed, copied, terms, parts }
    }

    fn stage(&self, phase: usize) -> Stage {
        match (self.packed, phase) {
            (true, 0) => Stage::Pack,
            (true, 1) | (false, 0) => Stage::Multiply,
            _ => Stage::Sum,
        }
    }

    /// Blocks of rows and groups of panels of one product.
    fn blocks(&self) -> [usize; 2] {
        [self.product.m.div_ceil(self.block.max(1)), self.panels.count().div_ceil(self.group)]
    }

    /// Blocks of the sum over k: at least one, so that an empty sum is written.
    fn depths(&self) -> usize {
        if self.terms <= LONGEST { 1 } else { self.terms.div_ceil(DEPTH) }
    }

    /// The most terms of one block of the sum.
    fn depth(&self) -> usize {
        self.terms.div_ceil(self.depths())
    }

    /// The terms of one block of the sum.
    fn terms(&self, depth: usize) -> Range<usize> {
        self.terms * depth / self.depths()..self.terms * (depth + 1) / self.depths()
    }

    /// The factors in some terms.
    fn factors(&self, terms: &Range<usize>) -> Range<usize> {
        let Product { k, pairs, .. } = self.product;
        if pairs { 2 * terms.start..k.min(2 * terms.end) } else { terms.clone() }
    }

    /// How many right operands there are.
    fn rights(&self) -> usize {
        if self.product.b_stride == 0 { self.product.batch.min(1) } else { self.product.batch }
    }

    /// Elements of a packed right operand.
    fn packed_len(&self) -> usize {
        self.terms * self.panels.width()
    }

    /// Elements of all packed right operands.
    fn packed_total(&self) -> usize {
        if self.packed { align(self.rights() * self.packed_len()) } else { 0 }
    }

    /// Elements of a copied block of the left operand: of all its terms if several clusters of panels use it.
    fn copied_len(&self) -> usize {
        let terms = if self.cluster < self.group { self.terms } else { self.depth() };
        if self.copied { align(self.copied_rows() * terms) } else { 0 }
    }

    /// Rows of a copied block, whole tiles.
    fn copied_rows(&self) -> usize {
        self.block.min(self.product.m).next_multiple_of(self.level.tile_rows())
    }

    fn work(&self, index: usize) -> Work {
        let Product { batch, m, .. } = self.product;
        let [blocks, groups] = self.blocks();
        let (index, group) = (index / groups, index % groups);
        let (index, block) = (index / blocks, index % blocks);
        let part = |i: usize, size: usize, end: usize| i * size..end.min((i + 1) * size);
        Work {
            item: index % batch,
            rows: part(block, self.block, m),
            panels: part(group, self.group, self.panels.count()),
            part: index / batch,
        }
    }

    /// Packs the block of the right operand `b` that a panel multiplies.
    unsafe fn pack(&self, b: Source, panel: usize, terms: &Range<usize>, to: *mut f32) {
        let Product { n, k, tb, pairs, .. } = self.product;
        let columns = self.panels.columns(panel);
        let factors = self.factors(terms);
        let (offset, stride) =
            if tb { (columns.start * k + factors.start, k) } else { (factors.start * n + columns.start, n) };
        let pack = Pack {
            from: b.wrapping_add(offset),
            stride,
            transposed: tb,
            rows: factors.len(),
            cols: columns.len(),
            to,
            width: self.panels.padded(panel),
            turns: (1, 0),
        };
        // SAFETY: the block lies in B, and `to` holds it by the caller's promise.
        unsafe { if pairs { pack.run_pairs(self.level) } else { pack.run(self.level) } }
    }

    /// A block of the left operand `a`, perhaps copied to a place that it must `fill` or was copied to before.
    unsafe fn left(&self, a: *const f32, work: &Work, terms: &Range<usize>, to: *mut f32, fill: bool) -> Left {
        let Product { m, k, ta, pairs, .. } = self.product;
        let level = self.level;
        let height = level.tile_rows();
        let (begin, rows, len) = (work.rows.start, work.rows.len(), terms.len());
        let factors = self.factors(terms);
        let (from, stride) = if ta {
            (a.wrapping_add(factors.start * m + begin), m)
        } else {
            (a.wrapping_add(begin * k + factors.start), k)
        };
        if !self.copied {
            return if ta {
                Left { from, row: 1, tile: height, step: m }
            } else {
                Left { from, row: k, tile: height * k, step: 1 }
            };
        }
        let left = if ta {
            Left { from: to, row: 1, tile: height * len, step: height }
        } else {
            Left { from: to, row: len, tile: height * len, step: 1 }
        };
        if !fill || factors.is_empty() {
            return left;
        }
        let (transposed, factors) = (false, factors.len());
        // SAFETY: the block lies in A, and `to` holds it by the caller's promise.
        unsafe {
            match (ta, pairs) {
                (false, false) => {
                    let from = from.into();
                    Pack { from, stride, transposed, rows, cols: len, to, width: len, turns: (1, 0) }.run(level);
                }
                (false, true) => Narrow { from, stride, rows, cols: factors, to }.run(level),
                (true, _) => {
                    let (from, turns) = (from.into(), (1, 0));
                    let pack = Pack { from, stride, transposed, rows: factors, cols: rows, to, width: height, turns };
                    if pairs { pack.run_pairs(level) } else { pack.run(level) }
                }
            }
        }
        left
    }

    /// Multiplies one block of rows with some panels, over one part of the sum.
    unsafe fn multiply(&self, index: usize, buffers: Buffers<'_>) {
        let Product { m, n, a_stride, b_stride, bias, batch, pairs, stored, .. } = self.product;
        let work = self.work(index);
        let [a, b] = self.operands.map(|operand| buffers.inputs[operand]);
        let a = a.wrapping_add(work.item * a_stride);
        let b = Source::new(stored, b).wrapping_add(work.item * b_stride);
        let packed = buffers.shared.wrapping_add(if b_stride == 0 { 0 } else { work.item * self.packed_len() });
        let out = if self.parts == 1 {
            buffers.outputs[0]
        } else {
            buffers.shared.wrapping_add(self.packed_total() + work.part * batch * m * n)
        };
        let out = out.wrapping_add((work.item * m + work.rows.start) * n);
        let depths = self.depths() * work.part / self.parts..self.depths() * (work.part + 1) / self.parts;
        for first in work.panels.clone().step_by(self.cluster) {
            let cluster = first..work.panels.end.min(first + self.cluster);
            for depth in depths.clone() {
                let terms = self.terms(depth);
                let offset = if self.cluster < self.group { self.copied_rows() * terms.start } else { 0 };
                let (to, fill) = (buffers.local.wrapping_add(offset), first == work.panels.start);
                // SAFETY: the local area holds a block of A, then one of B.
                let left = unsafe { self.left(a, &work, &terms, to, fill) };
                for panel in cluster.clone() {
                    let columns = self.panels.columns(panel);
                    let width = self.panels.padded(panel);
                    let right = if self.packed {
                        self.packed_at(packed, panel, &terms)
                    } else {
                        let to = buffers.local.wrapping_add(self.copied_len());
                        // SAFETY: as above.
                        unsafe { self.pack(b, panel, &terms, to) };
                        to
                    };
                    let base = match (depth == depths.start, bias && work.part == 0) {
                        (true, true) => Base::Row(buffers.inputs[2].wrapping_add(columns.start)),
                        (true, false) => Base::Zero,
                        (false, _) => Base::Out,
                    };
                    let next = if panel + 1 < cluster.end { panel + 1 } else { cluster.start };
                    let next = if self.packed { self.packed_at(packed, next, &terms) } else { right };
                    let tiles = work.rows.len().div_ceil(self.level.tile_rows());
                    let share = (terms.len() * width).div_ceil(tiles.max(1));
                    let ahead = Ahead { from: next, rows: 1, len: share, row: 0, tile: share };
                    let strip = Strip {
                        left,
                        right,
                        len: terms.len(),
                        width,
                        pairs,
                        base,
                        out: (out.wrapping_add(columns.start), n),
                        rows: work.rows.len(),
                        cols: columns.len(),
                        ahead: (next != right).then_some(ahead),
                    };
                    // SAFETY: its tiles lie within A, the packed panel and C.
                    unsafe { self.level.strip(&strip) }
                }
            }
        }
    }

    /// Where some terms of a panel of a packed right operand stand.
    fn packed_at(&self, packed: *mut f32, panel: usize, terms: &Range<usize>) -> *mut f32 {
        let first = self.panels.columns(panel).start * self.terms;
        packed.wrapping_add(first + terms.start * self.panels.padded(panel))
    }
}

impl Kernel for Gemm {
    fn scratch(&self) -> Scratch {
        let Product { batch, m, n, .. } = self.product;
        let parts = if self.parts == 1 { 0 } else { self.parts * batch * m * n };
        let right = if self.packed { 0 } else { self.depth() * self.panels.widest() };
        Scratch { shared: self.packed_total() + parts, local: self.copied_len() + right }
    }

    fn phases(&self) -> usize {
        1 + usize::from(self.packed) + usize::from(self.parts > 1)
    }

    fn tasks(&self, phase: usize) -> usize {
        let Product { batch, m, n, .. } = self.product;
        match self.stage(phase) {
            Stage::Pack => self.rights() * self.panels.count() * self.depths(),
            Stage::Multiply => self.parts * batch * self.blocks().iter().product::<usize>(),
            Stage::Sum => SumParts::tasks(batch * m * n),
        }
    }

    unsafe fn task(&self, phase: usize, index: usize, buffers: Buffers<'_>) {
        let Product { batch, m, n, b_stride, stored, .. } = self.product;
        match self.stage(phase) {
            Stage::Pack => {
                let (rest, depth) = (index / self.depths(), index % self.depths());
                let (item, panel) = (rest / self.panels.count(), rest % self.panels.count());
                let terms = self.terms(depth);
                let b = Source::new(stored, buffers.inputs[self.operands[1]]);
                let offset = self.panels.columns(panel).start * self.terms + terms.start * self.panels.padded(panel);
                let to = buffers.shared.wrapping_add(item * self.packed_len() + offset);
                // SAFETY: this panel's place in the shared area.
                unsafe { self.pack(b.wrapping_add(item * b_stride), panel, &terms, to) }
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

    use super::super::testing::{Sum, check, halves, numbers, stored_as};
    use super::*;

    fn case(product: Product) {
        let Product { batch, m, n, k, ta, tb, a_stride, b_stride, bias, pairs, stored } = product;
        let copies = |stride| if stride == 0 { 1 } else { batch };
        let factors = if pairs { halves } else { numbers };
        let a = factors(1, copies(a_stride) * m * k);
        let (b, b_stored) = stored_as(stored, factors(2, copies(b_stride) * k * n));
        let c = numbers(3, n);
        let mut expected = Vec::new();
        for item in 0..batch {
            for i in 0..m {
                for (j, &c) in c.iter().enumerate() {
                    let mut sum = Sum::starting_at(if bias { c } else { 0.0 });
                    for l in 0..k {
                        let at = if ta { l * m + i } else { i * k + l };
                        let bt = if tb { j * k + l } else { l * n + j };
                        sum.add(a[item * a_stride + at], b[item * b_stride + bt]);
                    }
                    expected.push(sum.bounded());
                }
            }
        }
        let inputs: [&[f32]; 3] = [&a, &b_stored, &c];
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
            (270, 60, 400),
        ];
        for (m, n, k) in sizes {
            for flags in 0..16 {
                let [ta, tb, bias, pairs] = core::array::from_fn(|i| flags >> i & 1 == 1);
                for stored in [DType::F32, DType::F16, DType::BF16] {
                    let pairs = pairs && stored == DType::F32;
                    case(Product { batch: 1, m, n, k, ta, tb, a_stride: 0, b_stride: 0, bias, pairs, stored });
                }
            }
        }
    }

    #[test]
    fn matches_the_sum_in_batches() {
        for (m, n, k) in [(1, 1, 1), (5, 17, 9), (40, 50, 60), (33, 20, 1100)] {
            for flags in 0..32 {
                let bit = |i: usize| flags >> i & 1;
                let (a_stride, b_stride) = (bit(0) * m * k, bit(1) * k * n);
                let (ta, tb, pairs) = (bit(2) == 1, bit(3) == 1, bit(4) == 1);
                for batch in [0, 1, 3] {
                    let stored = if pairs { DType::F32 } else { DType::F16 };
                    case(Product { batch, m, n, k, ta, tb, a_stride, b_stride, bias: false, pairs, stored });
                    case(Product {
                        batch,
                        m,
                        n,
                        k,
                        ta,
                        tb,
                        a_stride,
                        b_stride,
                        bias: false,
                        pairs,
                        stored: DType::F32,
                    });
                }
            }
        }
    }
}
