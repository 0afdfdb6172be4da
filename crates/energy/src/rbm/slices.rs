//! A batch in slices: each is learned from with draws and chains of its own, and what they add up to is summed in a tree over
//! their numbers, so that the bits are the same for any number of ranks that share them.

use super::layers::{self, Matrix, Scratch};
use super::train::Moments;
use crate::error::{Error, length, range};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use yuragi_graph::{Alone, Collective, all_reduce};
use yuragi_numeric::tree::Tree;

/// The slices of every batch, and the ranks that share them.
#[derive(Clone, Copy)]
pub struct Slices<'r> {
    /// How many there are, at least 1 and as many as ranks.
    pub count: usize,
    /// Who shares them.
    pub ranks: &'r dyn Collective,
}

impl fmt::Debug for Slices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} slices on rank {} of {}", self.count, self.ranks.rank(), self.ranks.size())
    }
}

impl Slices<'static> {
    /// The batch in one piece, on one process.
    pub const ONE: Slices<'static> = Slices { count: 1, ranks: &Alone };
}

impl<'r> Slices<'r> {
    /// These; of one, which cannot be shared, that of this process, so that every rank learns all.
    #[must_use]
    pub fn or_all(self) -> Slices<'r> {
        if self.count == 1 { Slices::ONE } else { self }
    }

    /// The slices of this rank.
    pub fn own(&self) -> Range<usize> {
        self.ranks.share(self.count, 1, self.ranks.rank())
    }

    /// The places of this rank's rows in a batch of so many, which the slices divide.
    pub fn places(&self, rows: usize) -> Range<usize> {
        let (own, each) = (self.own(), rows / self.count.max(1));
        own.start * each..own.end * each
    }

    /// `Ok` if batches of so many rows are whole slices, of which each rank has one at least.
    ///
    /// # Errors
    /// They are not.
    pub fn check(&self, rows: usize) -> Result<(), Error> {
        let enough = self.count >= self.ranks.size().max(1);
        range("the number of slices", self.count as f64, enough, "at least that of the ranks that share them")?;
        range("the batch", rows as f64, rows.is_multiple_of(self.count), "a multiple of the number of its slices")
    }

    /// The values of each of this rank's slices, of a batch of which it has these.
    pub(crate) fn parts<'v>(&self, values: &'v [f32]) -> Result<impl Iterator<Item = (usize, &'v [f32])>, Error> {
        let own = self.own();
        let each = values.len() / own.len().max(1);
        length("the rows of a rank's slices", values.len(), each * own.len())?;
        Ok(own.zip(values.chunks(each.max(1))))
    }

    /// The sum over all slices, on all ranks.
    pub(crate) fn sum(&self, own: Tree<f32>, length: usize) -> Result<Vec<f32>, Error> {
        Ok(all_reduce(self.ranks, own, length)?)
    }
}

/// What slices of two layers add up to: Σ v hᵀ of the data less that of the model, each by its share, then Σ v and Σ h of each.
pub(crate) struct Sums {
    columns: (usize, usize),
    /// 1/rows of all slices, of the data and of the model.
    shares: [f32; 2],
}

impl Sums {
    /// Of so many slices of so many rows of the data and of the model.
    pub fn new(columns: (usize, usize), slices: usize, rows: [usize; 2]) -> Self {
        Self { columns, shares: rows.map(|rows| columns.0 as f32 / (rows * slices * columns.0) as f32) }
    }

    /// Their number.
    pub fn len(&self) -> usize {
        let (n, m) = self.columns;
        n * m + 2 * (n + m)
    }

    /// A slice's sums, over rows of visible and hidden values of the data and of the model.
    pub fn write(
        &self,
        [data, model]: [(&[f32], &[f32]); 2],
        (scratch, slopes): (&mut Scratch, &mut Vec<f32>),
        sums: &mut Vec<f32>,
    ) {
        let (n, m) = self.columns;
        sums.resize(n * m, 0.0);
        slopes.resize(n * m, 0.0);
        scratch.outer(Matrix::new(data.0, n), Matrix::new(data.1, m), sums);
        scratch.outer(Matrix::new(model.0, n), Matrix::new(model.1, m), slopes);
        layers::scaled_difference(sums, slopes, (self.shares[0], self.shares[1]));
        for (values, columns) in [(data.0, n), (data.1, m), (model.0, n), (model.1, m)] {
            let first = sums.len();
            sums.resize(first + columns, 0.0);
            for row in values.chunks(columns) {
                sums[first..].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// The means of data and model, of the sums over all slices, of which the weights' are left.
    pub fn moments(&self, sums: &mut Vec<f32>) -> [Moments; 2] {
        let (n, m) = self.columns;
        let moments = [0, 1].map(|phase| {
            let first = n * m + phase * (n + m);
            Moments::new(&sums[first..][..n], &sums[first + n..][..m], self.shares[phase])
        });
        sums.truncate(n * m);
        moments
    }
}
