//! Attention's gradients, from the logarithms of the sums that the weights were divided by, in blocks of queries and keys.

use yuragi_graph::op::Factor;

use super::attention::{Factor as By, Scale, Shape, product};
use super::{Buffers, Kernel, Scratch, align};
use crate::simd::{Base, Level, Op, Pack, Panels, Vector, exp};

/// Rows of weights that are held at a time.
const ROWS: usize = 96;

/// One operand's gradient of softmax(scale · Q·Kᵀ) · V, without a mask; inputs g \[batch, queries, value_depth\], q, k, v,
/// and log_sum and delta \[batch, queries\].
///
/// A task takes as many queries, or of k and v keys, as a panel has columns, and all keys or queries as rows, a block at a
/// time: the weights p = e^(scale·q·k − log_sum), of which a gradient sᵀ = p∘(g·v − delta) of the scores, summed up.
#[derive(Debug)]
pub(crate) struct AttentionGrad {
    level: Level,
    shape: Shape,
    of: Factor,
    columns: Panels,
    local: Local,
}

/// Offsets in a task's own memory.
#[derive(Clone, Copy, Debug, Default)]
struct Local {
    /// scale · Qᵀ or Kᵀ \[depth, width\].
    scored: usize,
    /// Gᵀ or Vᵀ \[value_depth, width\].
    valued: usize,
    /// Weights, or the gradient of the scores \[ROWS, width\].
    weights: usize,
    /// The gradient of the weights \[ROWS, width\].
    grads: usize,
    /// The result's transpose.
    sums: usize,
    /// log_sum and delta of the columns \[2, width\].
    columns: usize,
    end: usize,
}

impl AttentionGrad {
    pub fn new(level: Level, shape: Shape, of: Factor) -> Self {
        let columns = Panels::new(level, if of == Factor::Query { shape.queries } else { shape.keys });
        let width = columns.widest();
        let valued = align(shape.depth * width);
        let weights = valued + align(shape.value_depth * width);
        let grads = weights + align(ROWS * width);
        let sums = grads + align(ROWS * width);
        let mut grad =
            Self { level, shape, of, columns, local: Local { valued, weights, grads, sums, ..Local::default() } };
        grad.local.columns = sums + align(grad.result() * width);
        grad.local.end = grad.local.columns + 2 * width;
        grad
    }

    /// The depth of the result.
    fn result(&self) -> usize {
        if self.of == Factor::Value { self.shape.value_depth } else { self.shape.depth }
    }
}

impl Kernel for AttentionGrad {
    fn scratch(&self) -> Scratch {
        Scratch { shared: 0, local: self.local.end }
    }

    fn tasks(&self, _: usize) -> usize {
        if self.result() == 0 { 0 } else { self.shape.batch * self.columns.count() }
    }

    unsafe fn task(&self, _: usize, index: usize, buffers: Buffers<'_>) {
        let Shape { queries, keys, depth, value_depth, scale, .. } = self.shape;
        let Local { scored, valued, weights, grads, sums, columns: stats, .. } = self.local;
        let (item, panel) = (index / self.columns.count(), index % self.columns.count());
        let (columns, width) = (self.columns.columns(panel), self.columns.padded(panel));
        let place = |offset: usize| buffers.local.wrapping_add(offset);
        let of = |input: usize, len: usize| buffers.inputs[input].wrapping_add(item * len);
        let (g, q) = (of(0, queries * value_depth), of(1, queries * depth));
        let (k, v) = (of(2, keys * depth), of(3, keys * value_depth));
        let (log_sum, delta) = (of(4, queries), of(5, queries));
        let by_query = self.of == Factor::Query;
        // What meets in the scores and in the gradient of the weights: of rows, then of columns.
        let (rows, [row_scored, row_valued], [column_scored, column_valued]) =
            if by_query { (keys, [k, v], [q, g]) } else { (queries, [q, g], [k, v]) };
        let (summed, result) = (if self.of == Factor::Value { g } else { row_scored }, self.result());
        let pack = |from: *const f32, depth: usize, to: usize| {
            let from = from.wrapping_add(columns.start * depth).into();
            let (to, cols) = (place(to), columns.len());
            let pack = Pack { from, stride: depth, transposed: true, rows: depth, cols, to, width, turns: (1, 0) };
            // SAFETY: the columns lie in an operand, their transpose in the local area.
            unsafe { pack.run(self.level) }
        };
        // SAFETY: operands are indexed within their sizes, all else lies in the local area.
        unsafe {
            pack(column_scored, depth, scored);
            self.level.run(Scale { rows: depth, width, by: By::All(scale), at: place(scored) });
            if self.of != Factor::Value {
                pack(column_valued, value_depth, valued);
            }
            let of_columns = by_query.then(|| {
                for (row, from) in [log_sum, delta].into_iter().enumerate() {
                    let to = place(stats + row * width);
                    to.write_bytes(0, width);
                    to.copy_from_nonoverlapping(from.add(columns.start), columns.len());
                }
                [0, 1].map(|row| place(stats + row * width).cast_const())
            });
            if rows == 0 {
                place(sums).write_bytes(0, result * width);
            }
            for first in (0..rows).step_by(ROWS) {
                let count = ROWS.min(rows - first);
                let level = self.level;
                let left = (row_scored.wrapping_add(first * depth), depth, 1);
                product(level, count, depth, left, place(scored), (place(weights), width), Base::Zero);
                let of_weights = (self.of != Factor::Value).then(|| {
                    let left = (row_valued.wrapping_add(first * value_depth), value_depth, 1);
                    product(level, count, value_depth, left, place(valued), (place(grads), width), Base::Zero);
                    place(grads).cast_const()
                });
                let stats = match of_columns {
                    Some([log_sum, delta]) => Stats { log_sum, delta, each: Each::Column },
                    None => Stats { log_sum: log_sum.add(first), delta: delta.add(first), each: Each::Row },
                };
                self.level.run(Weigh { at: place(weights), rows: count, width, of_weights, stats });
                let base = if first == 0 { Base::Zero } else { Base::Out };
                let left = (summed.wrapping_add(first * result), 1, result);
                product(level, result, count, left, place(weights), (place(sums), width), base);
            }
            if self.of != Factor::Value {
                self.level.run(Scale { rows: result, width, by: By::All(scale), at: place(sums) });
            }
            let to = buffers.outputs[0]
                .wrapping_add((item * if by_query { queries } else { keys } + columns.start) * result);
            let (from, rows, cols) = (place(sums).into(), columns.len(), result);
            Pack { from, stride: width, transposed: true, rows, cols, to, width: cols, turns: (1, 0) }.run(self.level);
        }
    }
}

/// Whether queries are rows or columns of a block.
#[derive(Clone, Copy)]
enum Each {
    Row,
    Column,
}

/// log_sum and delta of the queries of a block.
#[derive(Clone, Copy)]
struct Stats {
    log_sum: *const f32,
    delta: *const f32,
    each: Each,
}

/// Turns scores into weights, or with the gradient of the weights into that of the scores.
struct Weigh {
    at: *mut f32,
    rows: usize,
    width: usize,
    of_weights: Option<*const f32>,
    stats: Stats,
}

impl Op for Weigh {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { at, rows, width, of_weights, stats } = self;
        for row in 0..rows {
            for column in (0..width).step_by(V::LANES) {
                // SAFETY: whole vectors of the local area, and the numbers of a block's queries.
                unsafe {
                    let of_query = |from: *const f32| match stats.each {
                        Each::Row => V::splat(*from.add(row)),
                        Each::Column => V::load(from.add(column)),
                    };
                    let place = at.add(row * width + column);
                    let weight = exp(V::load(place).sub(of_query(stats.log_sum)));
                    let value = match of_weights {
                        Some(grads) => weight.mul(V::load(grads.add(row * width + column)).sub(of_query(stats.delta))),
                        None => weight,
                    };
                    value.store(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::super::{
        attention::Attention,
        testing::{U, check, numbers},
    };
    use super::*;

    /// Σ a·b of two rows, and Σ |a·b|.
    fn dot(a: &[f32], b: &[f32]) -> (f64, f64) {
        let products = || a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        (products().sum(), products().map(f64::abs).sum())
    }

    /// Each gradient and its bound: of scores to first order in what their terms' sizes round away, of sums a rounding a
    /// term.
    fn case(shape: Shape) {
        let Shape { batch, queries, keys, depth, value_depth, scale, .. } = shape;
        let (q, k) = (numbers(1, batch * queries * depth), numbers(2, batch * keys * depth));
        let (v, g) = (numbers(3, batch * keys * value_depth), numbers(4, batch * queries * value_depth));
        let (log_sum, delta) = (numbers(5, batch * queries), numbers(6, batch * queries));
        let row = |x: &[f32], at: usize, len: usize| x[at * len..(at + 1) * len].to_vec();
        let scale = f64::from(scale);
        // Weights and gradients of scores of one query and key, and what both may err.
        let pair = |b: usize, i: usize, j: usize| {
            let (i, j) = (b * queries + i, b * keys + j);
            let (score, size) = dot(&row(&q, i, depth), &row(&k, j, depth));
            let (shift, size) = (f64::from(log_sum[i]), size * scale + f64::from(log_sum[i]).abs());
            let weight = libm::exp(score * scale - shift);
            let weight_error = weight * U * (2.0 * (depth as f64 + 6.0) * size + 8.0);
            let (grad, grads) = dot(&row(&g, i, value_depth), &row(&v, j, value_depth));
            let (grad, grads) = (grad - f64::from(delta[i]), grads + f64::from(delta[i]).abs());
            let error = weight_error * grad.abs() + weight * U * (value_depth as f64 + 4.0) * grads;
            ((weight, weight_error), (weight * grad, error))
        };
        for of in Factor::ALL {
            let (columns, rows) = if of == Factor::Query { (queries, keys) } else { (keys, queries) };
            let result = if of == Factor::Value { value_depth } else { depth };
            let mut expected = vec![(0.0, 0.0); batch * columns * result];
            for (b, (column, row)) in
                (0..batch).flat_map(|b| (0..columns).flat_map(move |c| (0..rows).map(move |r| (b, (c, r)))))
            {
                let (i, j) = if of == Factor::Query { (column, row) } else { (row, column) };
                let (weights, scores) = pair(b, i, j);
                let ((value, error), factor) = if of == Factor::Value { (weights, 1.0) } else { (scores, scale) };
                let (from, len) = match of {
                    Factor::Query => (&k, keys),
                    Factor::Key => (&q, queries),
                    Factor::Value => (&g, queries),
                };
                for d in 0..result {
                    let x = f64::from(from[(b * len + row) * result + d]) * factor;
                    let (sum, bound) = &mut expected[(b * columns + column) * result + d];
                    *sum += value * x;
                    *bound += (error + (rows as f64 + 6.0) * U * value.abs()) * x.abs();
                }
            }
            let inputs: [&[f32]; 6] = [&g, &q, &k, &v, &log_sum, &delta];
            check(|level| AttentionGrad::new(level, shape, of), &inputs, &expected, &(of, shape));
        }
        let sums: Vec<(f64, f64)> = (0..batch * queries)
            .map(|at| {
                let b = at / queries;
                let scores = (0..keys).map(|j| dot(&row(&q, at, depth), &row(&k, b * keys + j, depth)));
                let (scores, sizes): (Vec<f64>, Vec<f64>) = scores.map(|(s, size)| (s * scale, size * scale)).unzip();
                let size = sizes.iter().copied().fold(0.0, f64::max);
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|score| libm::exp(score - most)).sum();
                let blocks = keys.div_ceil(ROWS) as f64;
                let relative = (depth as f64 + 8.0) * (2.0 * size + 1.0) * (blocks + 1.0) + keys as f64;
                (libm::log(sum) + most, U * (relative + (libm::log(sum) + most).abs() * 4.0))
            })
            .collect();
        if keys > 0 {
            check(|level| Attention::log_sums(level, shape), &[&q, &k], &sums, &shape);
        }
    }

    #[test]
    fn matches_the_definition() {
        for (batch, queries, keys, depth, value_depth) in [
            (1, 1, 1, 1, 1),
            (0, 2, 2, 3, 3),
            (2, 0, 2, 3, 3),
            (2, 3, 0, 4, 4),
            (2, 3, 5, 4, 6),
            (1, 64, 64, 32, 32),
            (2, 100, 77, 24, 40),
            (1, 49, 300, 16, 65),
            (1, 5, 129, 0, 3),
            (1, 5, 9, 3, 0),
        ] {
            case(Shape { batch, queries, keys, depth, value_depth, scale: 0.75, mask: None });
        }
    }
}
