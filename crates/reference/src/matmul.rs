//! Products of (batches of) matrices.

use alloc::{vec, vec::Vec};

use yuragi_graph::{DType, op::MatMul};

use crate::Number;

/// c[i, j] = Σₖ a[i, k]·b[k, j] in every batch, for these extents (M, N, K) and this type of a and b.
pub(crate) fn matmul<T: Number>(
    op: MatMul,
    a: &[T],
    b: &[T],
    batches: usize,
    (m, n, k): (usize, usize, usize),
    factors: DType,
) -> Vec<T> {
    let at = |row: usize, column: usize, rows: usize, columns: usize, transposed: bool| {
        if transposed { column * rows + row } else { row * columns + column }
    };
    let mut totals = vec![T::Total::default(); batches * m * n];
    for batch in 0..batches {
        for i in 0..m {
            let row = &mut totals[(batch * m + i) * n..][..n];
            for l in 0..k {
                let a = a[batch * m * k + at(i, l, m, k, op.transpose_a)];
                for (j, total) in row.iter_mut().enumerate() {
                    T::accumulate(total, a, b[batch * k * n + at(l, j, k, n, op.transpose_b)]);
                }
            }
        }
    }
    totals.into_iter().map(|total| T::product(total, factors)).collect()
}
