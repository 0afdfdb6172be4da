//! The products that triangular factors of many rows spend their time in, block by block and in place.

use crate::simd::Task;

/// Rows and columns of a block.
pub(super) const BLOCK: usize = 64;
/// Columns of a tile, and its rows.
const WIDTH: usize = 16;
const HEIGHT: usize = 4;

/// One block column of Cholesky's factorisation, whose block on the diagonal is factored: the rows below it are
/// solved for, then their products leave what remains of the matrix. Meanwhile the column stands transposed above
/// the diagonal, where nothing else is.
pub(super) struct Column<'a> {
    pub a: &'a mut [f64],
    pub n: usize,
    pub first: usize,
    pub end: usize,
}

impl Task for Column<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, n, first, end } = self;
        for i in end..n {
            for j in first..end {
                a[j * n + i] = a[i * n + j];
            }
        }
        for j in first..end {
            let (above, rest) = a.split_at_mut(j * n);
            let (own, right) = rest[..n].split_at_mut(end);
            let (factors, pivot) = (&own[first..j], own[j]);
            for (c, values) in right.chunks_mut(BLOCK).enumerate() {
                let at = end + c * BLOCK;
                let mut sums = [0.0; BLOCK];
                sums[..values.len()].copy_from_slice(values);
                for (factor, row) in factors.iter().zip(above[first * n..].chunks_exact(n)) {
                    subtract(&mut sums[..values.len()], *factor, &row[at..]);
                }
                values.iter_mut().zip(&sums).for_each(|(value, sum)| *value = sum / pivot);
            }
        }
        for i in end..n {
            for j in first..end {
                a[i * n + j] = a[j * n + i];
            }
        }
        let (above, below) = a.split_at_mut(end * n);
        let panel = &above[first * n..];
        for column in (end..n).step_by(WIDTH) {
            for rows in below[(column - end) * n..].chunks_mut(HEIGHT * n) {
                if column + WIDTH <= n && rows.len() == HEIGHT * n {
                    tile(rows, n, panel, column, |row, k| row[first + k]);
                } else {
                    for row in rows.chunks_exact_mut(n) {
                        let (own, right) = row.split_at_mut(column);
                        let width = WIDTH.min(right.len());
                        for (factor, values) in own[first..end].iter().zip(panel.chunks_exact(n)) {
                            subtract(&mut right[..width], *factor, &values[column..]);
                        }
                    }
                }
            }
        }
    }
}

/// values −= factor · row.
#[inline(always)]
fn subtract(values: &mut [f64], factor: f64, row: &[f64]) {
    for (value, x) in values.iter_mut().zip(row) {
        *value -= factor * x;
    }
}

/// Subtracts Σ_k factor(row, k) · (row k of the panel) from one tile.
#[inline(always)]
fn tile(rows: &mut [f64], n: usize, panel: &[f64], column: usize, factor: impl Fn(&[f64], usize) -> f64) {
    let mut sums = [[0.0; WIDTH]; HEIGHT];
    for (sums, row) in sums.iter_mut().zip(rows.chunks_exact(n)) {
        sums.copy_from_slice(&row[column..][..WIDTH]);
    }
    let (top, bottom) = rows.split_at(2 * n);
    let own = [&top[..n], &top[n..], &bottom[..n], &bottom[n..]];
    for (k, values) in panel.chunks_exact(n).enumerate() {
        let Some(values) = values[column..].first_chunk::<WIDTH>() else { return };
        for r in 0..HEIGHT {
            let factor = factor(own[r], k);
            for c in 0..WIDTH {
                sums[r][c] -= factor * values[c];
            }
        }
    }
    for (sums, row) in sums.iter().zip(rows.chunks_exact_mut(n)) {
        row[column..][..WIDTH].copy_from_slice(sums);
    }
}

/// One block of rows of the inverse of a triangle, the rows before it being done and the block's own triangle
/// inverted: X = −D⁻¹·(the rows left of D)·(the rows done). Those rows stand transposed above the diagonal meanwhile.
pub(super) struct Rows<'a> {
    pub a: &'a mut [f64],
    pub n: usize,
    pub first: usize,
    pub end: usize,
}

impl Task for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, n, first, end } = self;
        for i in first..end {
            for j in 0..first {
                a[j * n + i] = core::mem::take(&mut a[i * n + j]);
            }
        }
        let (above, below) = a.split_at_mut(first * n);
        let block = &mut below[..(end - first) * n];
        // first is a multiple of BLOCK, and BLOCK one of WIDTH.
        for k in (0..first).step_by(BLOCK) {
            let panel = &above[k * n..][..BLOCK * n];
            for column in (0..k + BLOCK).step_by(WIDTH) {
                for (group, rows) in block.chunks_mut(HEIGHT * n).enumerate() {
                    let at = first + group * HEIGHT;
                    if rows.len() == HEIGHT * n {
                        inverse_tile(rows, n, panel, column, at);
                    } else {
                        for (r, row) in rows.chunks_exact_mut(n).enumerate() {
                            for values in panel.chunks_exact(n) {
                                subtract(&mut row[column..][..WIDTH], values[at + r], &values[column..]);
                            }
                        }
                    }
                }
            }
        }
        // From the last row up: row i needs those above it in the block as they are.
        for i in (0..end - first).rev() {
            let (earlier, rest) = block.split_at_mut(i * n);
            let (left, own) = rest[..n].split_at_mut(first);
            let diagonal = own[i];
            left.iter_mut().for_each(|value| *value *= diagonal);
            for (factor, row) in own[..i].iter().zip(earlier.chunks_exact(n)) {
                subtract(left, -factor, row);
            }
        }
        above.chunks_exact_mut(n).for_each(|row| row[first..end].fill(0.0));
    }
}

/// Subtracts Σ_k (panel\[k\]\[at + r\]) · (row k of the panel) from one tile.
#[inline(always)]
fn inverse_tile(rows: &mut [f64], n: usize, panel: &[f64], column: usize, at: usize) {
    let mut sums = [[0.0; WIDTH]; HEIGHT];
    for (sums, row) in sums.iter_mut().zip(rows.chunks_exact(n)) {
        sums.copy_from_slice(&row[column..][..WIDTH]);
    }
    for values in panel.chunks_exact(n) {
        let Some(factors) = values[at..].first_chunk::<HEIGHT>() else { return };
        let Some(values) = values[column..].first_chunk::<WIDTH>() else { return };
        for r in 0..HEIGHT {
            for c in 0..WIDTH {
                sums[r][c] -= factors[r] * values[c];
            }
        }
    }
    for (sums, row) in sums.iter().zip(rows.chunks_exact_mut(n)) {
        row[column..][..WIDTH].copy_from_slice(sums);
    }
}
