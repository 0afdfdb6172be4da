//! Scaled dot-product attention, in blocks of queries and keys.

use core::slice;

use super::{Buffers, Kernel, Scratch, align};
use crate::simd::{Base, Left, Level, Op, Pack, Panels, Strip, Vector, weight};

/// Keys whose scores are held at a time.
const KEYS: usize = 96;

/// A mask \[batch or 1, queries or 1, keys\], added to the scaled scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    pub per_batch: bool,
    pub per_query: bool,
}

/// The sizes of softmax(scale · Q·Kᵀ + mask) · V over q \[batch, queries, depth\],
/// k \[batch, keys, depth\], v \[batch, keys, value_depth\]; heads count as batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub batch: usize,
    pub queries: usize,
    pub keys: usize,
    pub depth: usize,
    pub value_depth: usize,
    pub scale: f32,
    pub mask: Option<Mask>,
}

/// Attention; inputs q, k, v and perhaps the mask.
///
/// A task takes as many queries as a panel has columns. It computes the scores
/// transposed, a row a key, and the weighted values, a row a column of v, so that
/// softmax and products run along whole vectors of queries, and corrects the
/// running sums where a later block of keys has a larger score.
#[derive(Debug)]
pub(crate) struct Attention {
    level: Level,
    shape: Shape,
    /// ln Σ e^score of every query is wanted alone; there are no values among the inputs.
    log_sums: bool,
    /// Panels of queries.
    queries: Panels,
    local: Local,
}

/// Offsets in a task's own memory.
#[derive(Clone, Copy, Debug)]
struct Local {
    /// scale · Qᵀ \[depth, width\].
    queries: usize,
    /// Scores, then weights \[KEYS, width\].
    scores: usize,
    /// The mask \[KEYS, width\].
    mask: usize,
    /// (Σ weights · values)ᵀ \[value_depth, width\].
    sums: usize,
    /// Largest scores, their changes as factors, Σ weights: \[3, width\].
    running: usize,
    end: usize,
}

impl Local {
    fn new(shape: &Shape, queries: Panels) -> Self {
        let width = queries.widest();
        let keys = shape.keys.min(KEYS);
        let scores = align(shape.depth * width);
        let mask = scores + align(keys * width);
        let per_query = shape.mask.is_some_and(|mask| mask.per_query);
        let sums = mask + if per_query { align(keys * width) } else { 0 };
        let running = sums + align(width * shape.value_depth);
        Self { queries: 0, scores, mask, sums, running, end: running + 3 * width }
    }
}

impl Attention {
    pub fn new(level: Level, shape: Shape) -> Self {
        let queries = Panels::new(level, shape.queries);
        Self { level, shape, log_sums: false, queries, local: Local::new(&shape, queries) }
    }

    /// The logarithms of what the weights are divided by; inputs q and k.
    pub fn log_sums(level: Level, shape: Shape) -> Self {
        Self { log_sums: true, ..Self::new(level, Shape { value_depth: 0, mask: None, ..shape }) }
    }

    /// Scores of a block of keys for the packed queries.
    unsafe fn score(&self, k: *const f32, keys: usize, width: usize, memory: *mut f32) {
        let depth = self.shape.depth;
        let queries = memory.wrapping_add(self.local.queries);
        let scores = (memory.wrapping_add(self.local.scores), width);
        // SAFETY: the keys lie in k, the scores in the local area.
        unsafe { product(self.level, keys, depth, (k, depth, 1), queries, scores, Base::Zero) }
    }

    /// Adds a block's weighted values to the sums.
    unsafe fn add(&self, v: *const f32, keys: usize, width: usize, first: bool, memory: *mut f32) {
        let n = self.shape.value_depth;
        let weights = memory.wrapping_add(self.local.scores);
        let sums = (memory.wrapping_add(self.local.sums), width);
        let base = if first { Base::Zero } else { Base::Out };
        // SAFETY: the values lie in v, weights and sums in the local area.
        unsafe { product(self.level, n, keys, (v, 1, n), weights, sums, base) }
    }
}

/// `rows` rows of `width` columns at `to`, each the sum of `len` terms: elements of a row of `left`, whose rows and elements
/// are so far apart, times rows of `right` \[len, width\].
pub(super) unsafe fn product(
    level: Level,
    rows: usize,
    len: usize,
    (from, row, step): (*const f32, usize, usize),
    right: *const f32,
    (to, width): (*mut f32, usize),
    base: Base,
) {
    let strip = Strip {
        left: Left { from, row, tile: level.tile_rows() * row, step },
        right,
        len,
        width,
        pairs: false,
        base,
        out: (to, width),
        rows,
        cols: width,
        ahead: None,
    };
    // SAFETY: passed on.
    unsafe { level.strip(&strip) }
}

impl Kernel for Attention {
    fn scratch(&self) -> Scratch {
        Scratch { shared: 0, local: self.local.end }
    }

    fn tasks(&self, _: usize) -> usize {
        self.shape.batch * self.queries.count()
    }

    unsafe fn task(&self, _: usize, index: usize, buffers: Buffers<'_>) {
        let Shape { batch: _, queries: q_len, keys: k_len, depth, value_depth, scale, mask } = self.shape;
        let (item, panel) = (index / self.queries.count(), index % self.queries.count());
        let columns = self.queries.columns(panel);
        let (queries, width) = (columns.len(), self.queries.padded(panel));
        let memory = buffers.local;
        let q = buffers.inputs[0].wrapping_add((item * q_len + columns.start) * depth);
        let k = buffers.inputs[1].wrapping_add(item * k_len * depth);
        let v = if self.log_sums { k } else { buffers.inputs[2].wrapping_add(item * k_len * value_depth) };
        let row = if self.log_sums { 1 } else { value_depth };
        let out = buffers.outputs[0].wrapping_add((item * q_len + columns.start) * row);
        let pack = Pack {
            from: q.into(),
            stride: depth,
            transposed: true,
            rows: depth,
            cols: queries,
            to: memory.wrapping_add(self.local.queries),
            width,
            turns: (1, 0),
        };
        let running = memory.wrapping_add(self.local.running);
        // SAFETY: queries, keys, values and mask are indexed within their sizes,
        // all else lies in the local area.
        unsafe {
            pack.run(self.level);
            let (packed, sums) = (memory.add(self.local.queries), memory.add(self.local.sums));
            self.level.run(Scale { rows: depth, width, by: Factor::All(scale), at: packed });
            self.level.run(Start { running, width });
            for first in (0..k_len).step_by(KEYS) {
                let keys = KEYS.min(k_len - first);
                self.score(k.add(first * depth), keys, width, memory);
                let mask = mask.map(|mask| {
                    let rows = if mask.per_query { q_len } else { 1 };
                    let row = if mask.per_batch { item * rows } else { 0 };
                    if !mask.per_query {
                        return MaskBlock::Keys(buffers.inputs[3].add(row * k_len + first));
                    }
                    let to = memory.wrapping_add(self.local.mask);
                    let from = buffers.inputs[3].add((row + columns.start) * k_len + first).into();
                    let (rows, cols, turns) = (keys, queries, (1, 0));
                    Pack { from, stride: k_len, transposed: true, rows, cols, to, width, turns }.run(self.level);
                    MaskBlock::Scores(to)
                });
                self.level.run(Weigh { scores: memory.add(self.local.scores), keys, width, mask, running });
                if first > 0 {
                    let by = Factor::Each(running.add(width));
                    self.level.run(Scale { rows: value_depth, width, by, at: sums });
                }
                self.add(v.add(first * value_depth), keys, width, first == 0, memory);
            }
            if self.log_sums {
                let [maxima, _, weights] =
                    core::array::from_fn(|i| slice::from_raw_parts(running.add(i * width), queries));
                for (i, (max, weight)) in maxima.iter().zip(weights).enumerate() {
                    *out.add(i) = libm::logf(*weight) + max;
                }
                return;
            }
            if k_len == 0 {
                sums.write_bytes(0, value_depth * width);
            }
            self.level.run(Invert { running, width });
            let by = Factor::Each(running.add(width));
            self.level.run(Scale { rows: value_depth, width, by, at: sums });
            let (from, rows, cols) = (sums.into(), queries, value_depth);
            Pack { from, stride: width, transposed: true, rows, cols, to: out, width: cols, turns: (1, 0) }
                .run(self.level);
        }
    }
}

/// No score yet.
struct Start {
    running: *mut f32,
    width: usize,
}

impl Op for Start {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // SAFETY: three rows of `width`.
        unsafe {
            slice::from_raw_parts_mut(self.running, self.width).fill(f32::NEG_INFINITY);
            slice::from_raw_parts_mut(self.running.add(self.width), 2 * self.width).fill(0.0);
        }
    }
}

#[derive(Clone, Copy)]
enum MaskBlock {
    /// One number a key.
    Keys(*const f32),
    /// One number a score, laid out as the scores.
    Scores(*const f32),
}

/// Turns a block of scores into weights e^(score − max), updating the running
/// maxima and sums, and leaves the factors for what was summed before.
struct Weigh {
    scores: *mut f32,
    keys: usize,
    width: usize,
    mask: Option<MaskBlock>,
    running: *mut f32,
}

impl Op for Weigh {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { scores, keys, width, mask, running } = self;
        let (maxima, factors, sums) = (running, running.wrapping_add(width), running.wrapping_add(2 * width));
        for at in (0..width).step_by(V::LANES) {
            // SAFETY: whole vectors of the local area, and the mask of each key.
            unsafe {
                let old = V::load(maxima.add(at));
                let mut max = old;
                for key in 0..keys {
                    let place = scores.add(key * width + at);
                    let score = V::load(place);
                    let mask = match mask {
                        None => {
                            max = max.max(score);
                            continue;
                        }
                        Some(MaskBlock::Keys(mask)) => V::splat(*mask.add(key)),
                        Some(MaskBlock::Scores(mask)) => V::load(mask.add(key * width + at)),
                    };
                    let score = score.add(mask);
                    score.store(place);
                    max = max.max(score);
                }
                max.store(maxima.add(at));
                // Where all scores are −∞, any finite shift gives weights 0.
                let shift = max.max(V::splat(f32::MIN));
                let factor = weight(old.sub(shift));
                factor.store(factors.add(at));
                let mut sum = V::load(sums.add(at)).mul(factor);
                for key in 0..keys {
                    let place = scores.add(key * width + at);
                    let weight = weight(V::load(place).sub(shift));
                    weight.store(place);
                    sum = sum.add(weight);
                }
                sum.store(sums.add(at));
            }
        }
    }
}

/// Replaces the factors by one over the sums.
struct Invert {
    running: *mut f32,
    width: usize,
}

impl Op for Invert {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for i in 0..self.width {
            // SAFETY: three rows of `width`.
            unsafe { *self.running.add(self.width + i) = 1.0 / *self.running.add(2 * self.width + i) };
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Factor {
    All(f32),
    /// One for each column.
    Each(*const f32),
}

/// Multiplies `rows` rows of `width` by factors.
pub(super) struct Scale {
    pub rows: usize,
    pub width: usize,
    pub by: Factor,
    pub at: *mut f32,
}

impl Op for Scale {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for column in (0..self.width).step_by(V::LANES) {
            // SAFETY: whole vectors of the rows and of the factors.
            unsafe {
                let factor = match self.by {
                    Factor::All(factor) => V::splat(factor),
                    Factor::Each(factors) => V::load(factors.add(column)),
                };
                for row in 0..self.rows {
                    let at = self.at.add(row * self.width + column);
                    V::load(at).mul(factor).store(at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::testing::{U, check, numbers};
    use super::*;

    fn case(shape: Shape) {
        let Shape { batch, queries, keys, depth, value_depth, scale, mask } = shape;
        let q = numbers(1, batch * queries * depth);
        let k = numbers(2, batch * keys * depth);
        let v = numbers(3, batch * keys * value_depth);
        let mut m = numbers(4, batch * queries * keys);
        for (i, m) in m.iter_mut().enumerate() {
            // Every query sees the last key; the first blocks may be all hidden.
            if (i % keys + 1 != keys) && (i % 3 == 0 || keys > KEYS && i % keys < KEYS) {
                *m = f32::NEG_INFINITY;
            }
        }
        let mut expected = Vec::new();
        for (b, i) in (0..batch).flat_map(|b| (0..queries).map(move |i| (b, i))) {
            let mut size: f64 = 0.0;
            let scores: Vec<f64> = (0..keys)
                .map(|j| {
                    let row = |x: &[f32], at: usize| x[at * depth..(at + 1) * depth].to_vec();
                    let (q, k) = (row(&q, b * queries + i), row(&k, b * keys + j));
                    let products = || q.iter().zip(&k).map(|(&q, &k)| f64::from(q) * f64::from(k) * f64::from(scale));
                    let mask = mask.map_or(0.0, |mask| {
                        let rows = if mask.per_query { queries } else { 1 };
                        let (b, i) = (if mask.per_batch { b } else { 0 }, if mask.per_query { i } else { 0 });
                        f64::from(m[(b * rows + i) * keys + j])
                    });
                    let absolute =
                        products().map(f64::abs).sum::<f64>() + if mask.is_finite() { mask.abs() } else { 0.0 };
                    size = size.max(absolute);
                    products().sum::<f64>() + mask
                })
                .collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| libm::exp(s - max)).collect();
            let sum: f64 = weights.iter().sum();
            // Each score errs by (depth + 3) u size and its distance from the
            // largest by 2 u size; weights and their sum suffer that twice, and
            // the rescaling of each block of keys, exp and the sums add theirs.
            let blocks = keys.div_ceil(KEYS) as f64;
            let relative =
                2.0 * (depth as f64 + 5.0) * size + 2.0 * keys as f64 + 2.0 * (4.0 + 2.0 * size) * blocks + 8.0;
            for d in 0..value_depth {
                let term = |j: usize| weights[j] / sum * f64::from(v[(b * keys + j) * value_depth + d]);
                let total: f64 = (0..keys).map(|j| term(j).abs()).sum();
                expected.push(((0..keys).map(term).sum(), relative * U * total));
            }
        }
        let inputs: [&[f32]; 4] = [&q, &k, &v, &m];
        check(|level| Attention::new(level, shape), &inputs, &expected, &shape);
    }

    #[test]
    fn matches_the_definition() {
        let sizes = [
            (1, 1, 1, 1, 1),
            (0, 2, 2, 3, 3),
            (2, 0, 2, 3, 3),
            (2, 3, 0, 4, 4),
            (2, 3, 5, 4, 6),
            (1, 64, 64, 32, 32),
            (2, 100, 77, 24, 40),
            (1, 49, 300, 16, 65),
            (1, 5, 129, 0, 3),
        ];
        for (batch, queries, keys, depth, value_depth) in sizes {
            for kind in 0..5 {
                let mask = (kind < 4).then_some(Mask { per_batch: kind & 1 != 0, per_query: kind & 2 != 0 });
                if keys > 0 {
                    let scale = 2.5;
                    case(Shape { batch, queries, keys, depth, value_depth, scale, mask });
                }
            }
        }
    }

    #[test]
    fn no_key_gives_no_number() {
        let shape = Shape { batch: 1, queries: 2, keys: 0, depth: 3, value_depth: 2, scale: 1.0, mask: None };
        let kernel = Attention::new(Level::detect(), shape);
        let q = numbers(1, 6);
        let mut out = [0.0; 4];
        let mut scratch = alloc::vec![0.0; kernel.scratch().total(1)];
        let pool = crate::threads::Threads::new(1);
        let empty = [0.0; 0];
        // SAFETY: buffers of the right sizes.
        unsafe {
            let inputs = [q.as_ptr(), empty.as_ptr(), empty.as_ptr()];
            super::super::run(&kernel, &pool, &inputs, &[out.as_mut_ptr()], scratch.as_mut_ptr());
        }
        assert!(out.iter().all(|x| x.is_nan()));
    }
}
