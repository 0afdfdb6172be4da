use super::{Spins, spin, spin32};
use alloc::vec::Vec;

/// A symmetric matrix J without a diagonal, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Couplings {
    /// Compressed sparse rows, columns ascending.
    Sparse { starts: Vec<usize>, columns: Vec<u32>, weights: Vec<f64>, rounded: Vec<f32> },
    /// Every entry.
    Dense { len: usize, weights: Vec<f64>, rounded: Vec<f32> },
}

/// One row, of either kind.
enum Row<S, D> {
    Sparse(S),
    Dense(D),
}

impl<T, S: Iterator<Item = T>, D: Iterator<Item = T>> Iterator for Row<S, D> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Sparse(row) => row.next(),
            Self::Dense(row) => row.next(),
        }
    }
}

impl Couplings {
    /// From terms (k, l, J_kl) with k < l, sorted and each pair once.
    pub fn sparse(len: usize, terms: &[(u32, u32, f64)]) -> Self {
        let mut starts = alloc::vec![0; len + 1];
        for &(k, l, _) in terms {
            starts[k as usize + 1] += 1;
            starts[l as usize + 1] += 1;
        }
        for k in 0..len {
            starts[k + 1] += starts[k];
        }
        let mut next = starts.clone();
        let mut columns = alloc::vec![0; 2 * terms.len()];
        let mut weights = alloc::vec![0.0; 2 * terms.len()];
        let mut put = |row: u32, column: u32, weight: f64| {
            let at = &mut next[row as usize];
            (columns[*at], weights[*at]) = (column, weight);
            *at += 1;
        };
        // Lower neighbours first, each in ascending order because the terms are sorted by (k, l).
        terms.iter().for_each(|&(k, l, weight)| put(l, k, weight));
        terms.iter().for_each(|&(k, l, weight)| put(k, l, weight));
        let rounded = weights.iter().map(|&w| w as f32).collect();
        Self::Sparse { starts, columns, weights, rounded }
    }

    pub fn from_dense(len: usize, weights: Vec<f64>) -> Self {
        let rounded = weights.iter().map(|&w| w as f32).collect();
        Self::Dense { len, weights, rounded }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Sparse { starts, .. } => starts.len() - 1,
            Self::Dense { len, .. } => *len,
        }
    }

    pub fn is_dense(&self) -> bool {
        matches!(self, Self::Dense { .. })
    }

    /// (l, J_kl) of row k; nothing beyond the last row.
    pub fn row(&self, k: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        match self {
            Self::Sparse { starts, columns, weights, .. } => {
                let row = if k + 1 < starts.len() { starts[k]..starts[k + 1] } else { 0..0 };
                let columns = columns[row.clone()].iter().map(|&l| l as usize);
                Row::Sparse(columns.zip(weights[row].iter().copied()))
            }
            Self::Dense { len, weights, .. } => {
                let row = if k < *len { &weights[k * len..][..*len] } else { &[] };
                Row::Dense(row.iter().copied().enumerate())
            }
        }
    }

    /// Σ_l J_kl x_l in f64.
    #[inline(always)]
    pub fn spin_sum(&self, k: usize, values: &[u8]) -> f64 {
        match self {
            Self::Sparse { starts, columns, weights, .. } => {
                let row = starts[k]..starts[k + 1];
                columns[row.clone()].iter().zip(&weights[row]).map(|(&l, w)| w * spin(values[l as usize])).sum()
            }
            Self::Dense { len, weights, .. } => {
                // Eight sums in a fixed order leave room for vectors.
                let (row, mut sums) = (&weights[k * len..][..*len], [0.0; 8]);
                for (row, values) in row.chunks(8).zip(values.chunks(8)) {
                    for (sum, (weight, &value)) in sums.iter_mut().zip(row.iter().zip(values)) {
                        *sum += weight * spin(value);
                    }
                }
                sums.iter().sum()
            }
        }
    }

    /// start + Σ_l J_kl x_l in f32, added in order.
    #[inline(always)]
    pub fn add_spins(&self, start: f32, k: usize, values: &[u8]) -> f32 {
        match self {
            Self::Sparse { starts, columns, rounded, .. } => {
                Spins { starts, columns, weights: rounded, fields: &[] }.add_spins(start, k, values)
            }
            Self::Dense { len, rounded, .. } => {
                let row = &rounded[k * len..][..*len];
                row.iter().zip(values).fold(start, |sum, (weight, &value)| sum + weight * spin32(value))
            }
        }
    }

    /// start + Σ_l J_kl δ(value, x_l) in f32, added in order.
    #[inline(always)]
    pub fn add_equal(&self, start: f32, k: usize, value: u8, values: &[u8]) -> f32 {
        let mut sum = start;
        match self {
            Self::Sparse { starts, columns, rounded, .. } => {
                let row = starts[k]..starts[k + 1];
                for (&l, weight) in columns[row.clone()].iter().zip(&rounded[row]) {
                    sum += if values[l as usize] == value { *weight } else { 0.0 };
                }
            }
            Self::Dense { len, rounded, .. } => {
                for (weight, &other) in rounded[k * len..][..*len].iter().zip(values) {
                    sum += if other == value { *weight } else { 0.0 };
                }
            }
        }
        sum
    }

    /// All rounded weights of a dense matrix, row by row, else nothing.
    #[inline(always)]
    pub fn dense(&self) -> &[f32] {
        match self {
            Self::Sparse { .. } => &[],
            Self::Dense { rounded, .. } => rounded,
        }
    }

    /// The row of rounded weights of a dense matrix, else nothing.
    #[inline(always)]
    pub fn dense_row(&self, k: usize) -> &[f32] {
        match self {
            Self::Sparse { .. } => &[],
            Self::Dense { len, rounded, .. } => &rounded[k * len..][..*len],
        }
    }

    /// The rounded J_kl, 0 if they are not coupled.
    pub fn rounded(&self, k: usize, l: usize) -> f32 {
        match self {
            Self::Sparse { starts, columns, rounded, .. } => {
                let row = starts[k]..starts[k + 1];
                let found = columns[row.clone()].binary_search(&(l as u32));
                found.map_or(0.0, |at| rounded[row.start + at])
            }
            Self::Dense { len, rounded, .. } => rounded[k * len + l],
        }
    }
}
