use yuragi_energy::rbm::Units;
use yuragi_io::{Table, table::Values};
use yuragi_models::likelihood::{HALF_BIN, LEVELS, Likelihood};
use yuragi_numeric::{fill, fnv::Fnv1a, philox};

use crate::{
    Failure,
    fit::{Binarize, Meaning, Rows},
};

/// Apart from the streams of other draws.
const STREAM: u32 = 0x7465_7374;
/// The key that fixes the binarised form of test sets.
const TEST_KEY: u64 = 0;

/// A table as a likelihood sees it: probabilities of 1, standardised real numbers, or the middles of 256 bins in −1..1.
#[derive(Clone, Debug)]
pub struct Examples {
    rows: Rows,
    likelihood: Likelihood,
    /// Of bytes, what each becomes.
    lookup: Option<Box<[f32; 256]>>,
}

impl Examples {
    /// The table for this likelihood; `scale` is what its numbers are divided by. Real numbers are standardised by
    /// `moments`, or by their own where none are given.
    ///
    /// # Errors
    /// A number that is missing, infinite or outside what the likelihood takes, naming its place.
    pub fn new(
        table: Table,
        likelihood: Likelihood,
        scale: Option<f64>,
        moments: &[(f64, f64)],
    ) -> Result<Examples, Failure> {
        let units = if likelihood == Likelihood::Gaussian { Units::Gaussian } else { Units::Binary };
        let meaning = Meaning::of(&table, units, scale);
        let rows = Rows::with_meaning(table, meaning, units, Binarize::Means, 0)?;
        let rows = if moments.is_empty() { rows } else { rows.standardised_by(moments.to_vec()) };
        let mut examples = Examples { rows, likelihood, lookup: None };
        if likelihood == Likelihood::Logistic {
            examples.check_levels()?;
        }
        if let (Values::Bytes(_), Units::Binary) = (examples.rows.table().values(), units) {
            let scale = meaning.scale(examples.rows.table()) as f32;
            let of = |byte: usize| seen(likelihood, byte as f32 / scale);
            examples.lookup = Some(Box::new(std::array::from_fn(of)));
        }
        Ok(examples)
    }

    fn check_levels(&self) -> Result<(), Failure> {
        let (columns, mut row) = (self.columns(), Vec::new());
        for at in 0..self.len() {
            row.clear();
            self.rows.push(at, 0, &mut row);
            let level = |value: &f32| value * (LEVELS - 1) as f32;
            if let Some(column) = row.iter().position(|value| (level(value) - level(value).round()).abs() > 1e-3) {
                let value = row[column];
                return Err(Failure::new(format!(
                    "row {}, column {} of {columns} is {value}; it must be a multiple of 1/255, as bytes are",
                    at + 1,
                    column + 1
                )));
            }
        }
        Ok(())
    }

    /// The number of examples.
    #[allow(clippy::len_without_is_empty)] // a table has rows
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Numbers of an example.
    pub fn columns(&self) -> usize {
        self.rows.table().columns()
    }

    /// The shape of an example.
    pub fn shape(&self) -> &[usize] {
        self.rows.table().shape()
    }

    /// Mean and deviation by which each column is standardised; else empty.
    pub fn moments(&self) -> &[(f64, f64)] {
        self.rows.moments()
    }

    /// Mean values of the columns, as rows show them.
    pub fn means(&self) -> Vec<f32> {
        self.rows.means()
    }

    /// Appends an example.
    pub fn push(&self, row: usize, out: &mut Vec<f32>) {
        match (self.rows.table().values(), &self.lookup) {
            (Values::Bytes(bytes), Some(lookup)) => {
                let columns = self.columns();
                out.extend(bytes[row * columns..][..columns].iter().map(|&byte| lookup[usize::from(byte)]));
            }
            _ => {
                let start = out.len();
                self.rows.push(row, 0, out);
                out[start..].iter_mut().for_each(|value| *value = seen(self.likelihood, *value));
            }
        }
    }

    /// Appends an example as a test set has it: numbers between 0 and 1 for a Bernoulli law are drawn, always alike,
    /// whatever the model and its seed.
    pub fn push_fixed(&self, row: usize, out: &mut Vec<f32>) {
        let (start, columns) = (out.len(), self.columns());
        self.push(row, out);
        if self.likelihood == Likelihood::Bernoulli {
            let mut draws = vec![0.0; columns];
            fill::uniform(philox::key(TEST_KEY), STREAM, (row * columns) as u64, &mut draws);
            out[start..].iter_mut().zip(draws).for_each(|(x, u)| *x = f32::from(u8::from(u < *x)));
        }
    }

    /// Nats of an example that standardising took from the logarithm of its density.
    pub fn log_volume(&self) -> f64 {
        self.moments().iter().map(|(_, deviation)| deviation.ln()).sum()
    }

    /// Tells data sets apart: a hash (FNV-1a) of shape and numbers as they are seen.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Fnv1a::default();
        let mut add = |word: u32| hash.word(word.into());
        self.shape().iter().for_each(|&side| add(side as u32));
        let mut values = Vec::new();
        for row in 0..self.len() {
            values.clear();
            self.push(row, &mut values);
            values.iter().for_each(|value| add(value.to_bits()));
        }
        hash.value()
    }
}

/// A number of a table (0 to 1, or standardised) as the likelihood sees it.
fn seen(likelihood: Likelihood, value: f32) -> f32 {
    match likelihood {
        Likelihood::Bernoulli | Likelihood::Gaussian => value,
        Likelihood::Logistic => (value * (LEVELS - 1) as f32).round() * (2.0 * HALF_BIN) + (HALF_BIN - 1.0),
    }
}

/// What the likelihood sees, as grey levels from 0 to 1.
pub(super) fn grey(likelihood: Likelihood, moments: &[(f64, f64)], values: &[f32]) -> Vec<f32> {
    restored(likelihood, moments, values).into_iter().map(|value| value as f32).collect()
}

/// What the likelihood sees, as the table had it (bytes divided by 255).
pub(super) fn restored(likelihood: Likelihood, moments: &[(f64, f64)], values: &[f32]) -> Vec<f64> {
    let column = |i: usize| moments.get(i % moments.len().max(1)).copied().unwrap_or((0.0, 1.0));
    let level = |x: f32| f64::from((x - (HALF_BIN - 1.0)) / (2.0 * HALF_BIN)) / (LEVELS - 1) as f64;
    let value = |(i, &x): (usize, &f32)| match likelihood {
        Likelihood::Bernoulli => f64::from(x),
        Likelihood::Gaussian => column(i).0 + column(i).1 * f64::from(x),
        Likelihood::Logistic => level(x),
    };
    values.iter().enumerate().map(value).collect()
}
