//! Products of a batch of rows with the weights.

use alloc::vec::Vec;
use yuragi_numeric::simd::{Task, vectorize};

/// Rows and columns of a tile that stays in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 16;

/// out\[r, j\] = bias\[j\] + Σ_i a\[r, i\] w\[i, j\] for (rows, inner, columns).
pub(super) fn product(a: &[f32], w: &[f32], shape: (usize, usize, usize), bias: &[f32], out: &mut [f32]) {
    vectorize(Product { a, w, shape, bias, out });
}

/// out\[r, i\] = bias\[i\] + Σ_j a\[r, j\] w\[i, j\] for (rows, inner, columns): w is columns × inner.
pub(super) fn product_transposed(a: &[f32], w: &[f32], shape: (usize, usize, usize), bias: &[f32], out: &mut [f32]) {
    let (_, inner, columns) = shape;
    let mut turned: Vec<f32> = alloc::vec![0.0; w.len()];
    for (i, row) in w.chunks(inner).enumerate() {
        for (j, &weight) in row.iter().enumerate() {
            turned[j * columns + i] = weight;
        }
    }
    product(a, &turned, shape, bias, out);
}

/// out\[i, j\] += scale · Σ_r a\[r, i\] b\[r, j\] for rows of lengths `columns` (a, b).
pub(super) fn outer(a: &[f32], b: &[f32], columns: (usize, usize), scale: f32, out: &mut [f32]) {
    let (first, second) = columns;
    let rows = a.len() / first;
    let mut turned: Vec<f32> = alloc::vec![0.0; a.len()];
    for (r, row) in a.chunks(first).enumerate() {
        for (i, &value) in row.iter().enumerate() {
            turned[i * rows + r] = scale * value;
        }
    }
    let mut sums = alloc::vec![0.0; out.len()];
    product(&turned, b, (first, rows, second), &[], &mut sums);
    out.iter_mut().zip(&sums).for_each(|(out, sum)| *out += sum);
}

struct Product<'a> {
    a: &'a [f32],
    w: &'a [f32],
    shape: (usize, usize, usize),
    /// No values: 0.
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl Task for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, w, shape: (_, inner, columns), bias, out } = self;
        // Each sum runs over i in order, whatever the tile.
        for (a, out) in a.chunks(ROWS * inner).zip(out.chunks_mut(ROWS * columns)) {
            let full = a.len() == ROWS * inner;
            for start in (0..columns).step_by(COLUMNS) {
                let width = COLUMNS.min(columns - start);
                if full && width == COLUMNS {
                    tile(a, w, inner, columns, start, bias, out);
                } else {
                    for (a, out) in a.chunks(inner).zip(out.chunks_mut(columns)) {
                        for (j, out) in out[start..start + width].iter_mut().enumerate() {
                            let mut sum = bias.get(start + j).copied().unwrap_or(0.0);
                            for (i, x) in a.iter().enumerate() {
                                sum += x * w[i * columns + start + j];
                            }
                            *out = sum;
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn tile(a: &[f32], w: &[f32], inner: usize, columns: usize, start: usize, bias: &[f32], out: &mut [f32]) {
    let mut sums = [[0.0f32; COLUMNS]; ROWS];
    if let Some(bias) = bias.get(start..).and_then(|rest| rest.first_chunk::<COLUMNS>()) {
        sums = [*bias; ROWS];
    }
    let (a0, rest) = a.split_at(inner);
    let (a1, rest) = rest.split_at(inner);
    let (a2, a3) = rest.split_at(inner);
    let rows = a0.iter().zip(a1).zip(a2).zip(a3).zip(w.chunks(columns));
    for ((((x0, x1), x2), x3), w) in rows {
        if let Some(w) = w[start..].first_chunk::<COLUMNS>() {
            for (sums, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum += x * w;
                }
            }
        }
    }
    for (row, sums) in out.chunks_mut(columns).zip(&sums) {
        row[start..start + COLUMNS].copy_from_slice(sums);
    }
}
