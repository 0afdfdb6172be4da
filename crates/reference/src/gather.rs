//! Rows read from and summed into tables.

use alloc::{vec, vec::Vec};

use yuragi_graph::RunError;

use crate::Number;

/// The row that an index names.
fn row<T: Number>(index: T, rows: usize) -> Result<usize, RunError> {
    let index = index.value() as i64;
    usize::try_from(index).ok().filter(|&row| row < rows).ok_or(RunError::Index { index, rows })
}

/// Rows of `width` elements.
pub(crate) fn gather<T: Number>(table: &[T], rows: usize, width: usize, indices: &[T]) -> Result<Vec<T>, RunError> {
    let mut out = Vec::with_capacity(indices.len() * width);
    for &index in indices {
        let first = row(index, rows)? * width;
        out.extend(table[first..first + width].iter().map(|x| x.indexed_by(index)));
    }
    Ok(out)
}

/// A table of `rows` rows of `width` elements.
pub(crate) fn scatter_add<T: Number>(
    indices: &[T],
    values: &[T],
    rows: usize,
    width: usize,
) -> Result<Vec<T>, RunError> {
    let mut totals = vec![T::Total::default(); rows * width];
    for (i, &index) in indices.iter().enumerate() {
        let first = row(index, rows)? * width;
        for (total, &x) in totals[first..first + width].iter_mut().zip(&values[i * width..]) {
            T::accumulate(total, x.indexed_by(index), T::exact(1.0));
        }
    }
    Ok(totals.into_iter().map(T::total).collect())
}
