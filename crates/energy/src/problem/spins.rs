use super::spin32;

/// Spins with sparse couplings, in slices that somebody owns: what a Markov chain reads of a [`Problem`](super::Problem).
///
/// Row k of the symmetric matrix J holds the columns `columns[starts[k]..starts[k + 1]]`, ascending, and at the same
/// places their weights (compressed sparse rows).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spins<'a> {
    pub(crate) starts: &'a [usize],
    pub(crate) columns: &'a [u32],
    pub(crate) weights: &'a [f32],
    /// h, or nothing for 0.
    pub(crate) fields: &'a [f32],
}

impl<'a> Spins<'a> {
    /// The number of spins.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// True without spins.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Columns and weights of row k, which exists.
    #[inline(always)]
    pub(crate) fn row(&self, k: usize) -> (&'a [u32], &'a [f32]) {
        let row = self.starts[k]..self.starts[k + 1];
        (&self.columns[row.clone()], &self.weights[row])
    }

    /// h_k.
    #[inline(always)]
    pub(crate) fn own(&self, k: usize) -> f32 {
        self.fields.get(k).copied().unwrap_or(0.0)
    }

    /// start + Σ_l J_kl x_l in f32, added in order.
    #[inline(always)]
    pub(crate) fn add_spins(&self, start: f32, k: usize, values: &[u8]) -> f32 {
        let (columns, weights) = self.row(k);
        columns.iter().zip(weights).fold(start, |sum, (&l, weight)| sum + weight * spin32(values[l as usize]))
    }

    /// λ_k = h_k + Σ_l J_kl x_l.
    #[inline(always)]
    pub(crate) fn field(&self, k: usize, values: &[u8]) -> f32 {
        self.add_spins(self.own(k), k, values)
    }
}
