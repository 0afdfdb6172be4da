//! Points to learn from, checked once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Error;
use crate::error::{length, range};

/// Entries must be smaller in size, so that no sum of squares overflows.
pub(crate) const LIMIT: f64 = 1e140;

/// Points of one dimension or several, with or without weights.
///
/// Every entry is finite and below 10¹⁴⁰ in size; a weight says how often its point counts, as if it
/// stood there so many times.
///
/// ```
/// use yuragi_distributions::Data;
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let plane = Data::new(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2)?;
/// assert_eq!(plane.len(), 3);
/// assert_eq!(plane.row(1), Some(&[2.0, 3.0][..]));
/// let line = Data::scalars(&[0.5, 1.5])?.weighted(&[1.0, 3.0])?;
/// assert_eq!(line.total_weight(), 4.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Data<'a> {
    values: &'a [f64],
    dimension: usize,
    weights: Option<&'a [f64]>,
    total: f64,
    missing: Option<Missing>,
}

/// Which rows lack what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Missing {
    /// The rows that lack nothing.
    pub complete: Vec<usize>,
    /// Rows by what they lack: `true` for a missing coordinate.
    pub groups: Vec<(Vec<bool>, Vec<usize>)>,
}

impl<'a> Data<'a> {
    /// Points of one dimension.
    ///
    /// # Errors
    /// No points, or an entry that is not finite or not below 10¹⁴⁰ in size.
    pub fn scalars(values: &'a [f64]) -> Result<Self, Error> {
        Self::new(values, 1)
    }

    /// Points of `dimension` coordinates, one after another.
    ///
    /// # Errors
    /// No points, a length that is no multiple of `dimension`, or an entry that is not finite or not
    /// below 10¹⁴⁰ in size.
    pub fn new(values: &'a [f64], dimension: usize) -> Result<Self, Error> {
        Self::checked(values, dimension, |value| value.abs() < LIMIT, "finite and below 1e140 in size")
    }

    /// Points some of whose coordinates are missing: NaN. Gaussian mixtures learn from them; other
    /// distributions refuse them.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), but for NaN.
    pub fn with_missing(values: &'a [f64], dimension: usize) -> Result<Self, Error> {
        let legal = |value: f64| value.is_nan() || value.abs() < LIMIT;
        let data = Self::checked(values, dimension, legal, "NaN, or finite and below 1e140 in size")?;
        let mut groups = BTreeMap::<Vec<bool>, Vec<usize>>::new();
        let mut complete = Vec::new();
        for (i, row) in data.rows().enumerate() {
            if row.iter().any(|x| x.is_nan()) {
                groups.entry(row.iter().map(|x| x.is_nan()).collect()).or_default().push(i);
            } else {
                complete.push(i);
            }
        }
        let missing = (!groups.is_empty()).then(|| Missing { complete, groups: groups.into_iter().collect() });
        Ok(Self { missing, ..data })
    }

    fn checked(
        values: &'a [f64],
        dimension: usize,
        legal: impl Fn(f64) -> bool,
        words: &'static str,
    ) -> Result<Self, Error> {
        range("the dimension", dimension as f64, dimension >= 1, "at least 1")?;
        range("the number of points", 0.0, !values.is_empty(), "at least 1")?;
        length("the last point", values.len() % dimension, 0).map_err(|_| Error::Length {
            what: "the last point",
            got: values.len() % dimension,
            expected: dimension,
        })?;
        if let Some(i) = values.iter().position(|value| !legal(*value)) {
            return Err(Error::Value { row: i / dimension, column: i % dimension, value: values[i], legal: words });
        }
        let total = (values.len() / dimension) as f64;
        Ok(Self { values, dimension, weights: None, total, missing: None })
    }

    /// The same points, point i counting `weights[i]` times.
    ///
    /// # Errors
    /// Not one weight a point, a weight that is negative or not finite, or a sum that is 0 or not finite.
    pub fn weighted(self, weights: &'a [f64]) -> Result<Self, Error> {
        length("the weights", weights.len(), self.len())?;
        for weight in weights {
            range("a weight", *weight, *weight >= 0.0 && weight.is_finite(), "finite and at least 0")?;
        }
        let total = yuragi_numeric::special::sum(weights.iter().copied());
        range("the sum of the weights", total, total > 0.0 && total.is_finite(), "finite and above 0")?;
        Ok(Self { weights: Some(weights), total, ..self })
    }

    /// The points with other weights, for a while.
    pub(crate) fn reweighted<'b>(&'b self, weights: &'b [f64]) -> Result<Data<'b>, Error> {
        let Self { values, dimension, total, .. } = *self;
        Data { values, dimension, weights: None, total, missing: self.missing.clone() }.weighted(weights)
    }

    /// The same points elsewhere: `values` has a number, or NaN, where these have.
    pub(crate) fn moved<'b>(&'b self, values: &'b [f64]) -> Data<'b> {
        Data { values, missing: self.missing.clone(), ..*self }
    }

    /// The same points, nothing missing.
    pub(crate) fn filled<'b>(&'b self, values: &'b [f64]) -> Data<'b> {
        Data { values, missing: None, ..*self }
    }

    /// How many points there are; at least one.
    #[allow(clippy::len_without_is_empty)] // there is always a point
    pub fn len(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// How many coordinates a point has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// All coordinates, point after point.
    pub fn values(&self) -> &'a [f64] {
        self.values
    }

    /// The points in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f64]> + Clone {
        self.values.chunks_exact(self.dimension)
    }

    /// Point `i`.
    pub fn row(&self, i: usize) -> Option<&'a [f64]> {
        self.values.chunks_exact(self.dimension).nth(i)
    }

    /// How often point `i` counts: 1 without weights.
    pub fn weight(&self, i: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights.get(i).copied().unwrap_or(0.0))
    }

    /// The points with their weights.
    pub fn weighted_rows(&self) -> impl Iterator<Item = (&'a [f64], f64)> + Clone {
        let weights = self.weights;
        self.rows().enumerate().map(move |(i, row)| (row, weights.map_or(1.0, |weights| weights[i])))
    }

    /// The sum of the weights; the number of points without weights.
    pub fn total_weight(&self) -> f64 {
        self.total
    }

    /// True if a coordinate is missing.
    pub fn has_missing(&self) -> bool {
        self.missing.is_some()
    }

    pub(crate) fn missing(&self) -> Option<&Missing> {
        self.missing.as_ref()
    }

    /// `Ok` if no coordinate is missing and the dimension is `dimension`.
    pub(crate) fn complete(&self, dimension: usize) -> Result<(), Error> {
        length("a point", self.dimension, dimension)?;
        let first = self.missing.as_ref().and_then(|missing| missing.groups.first());
        if let Some((lacks, rows)) = first {
            let column = lacks.iter().position(|lacks| *lacks).unwrap_or(0);
            let row = rows.first().copied().unwrap_or(0);
            return Err(Error::Value {
                row,
                column,
                value: f64::NAN,
                legal: "given: only Gaussian mixtures learn from missing values",
            });
        }
        Ok(())
    }

    /// The weighted mean of every coordinate, without the missing ones; 0 where all are missing.
    pub(crate) fn means(&self) -> Vec<f64> {
        (0..self.dimension).map(|j| self.column_mean(|row| row[j])).collect()
    }

    /// The weighted mean of f over the rows where it is a number; 0 where there is none.
    pub(crate) fn column_mean(&self, f: impl Fn(&[f64]) -> f64) -> f64 {
        let (mut sum, mut total) = (yuragi_numeric::special::Sum::default(), yuragi_numeric::special::Sum::default());
        for (row, weight) in self.weighted_rows() {
            let value = f(row);
            if !value.is_nan() {
                sum += weight * value;
                total += weight;
            }
        }
        if total.value() > 0.0 { sum.value() / total.value() } else { 0.0 }
    }
}
