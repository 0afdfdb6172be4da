use std::{fmt, str::FromStr};

use yuragi_energy::rbm::Units;
use yuragi_io::{Table, table::Values};
use yuragi_numeric::{fill, philox};

use crate::Failure;

/// How numbers between 0 and 1 become values of two-state units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binarize {
    /// Each number is the probability to be up, drawn anew in each epoch.
    #[default]
    Sample,
    /// Up from ½ on.
    Threshold,
    /// The numbers stay what they are: means of units.
    Means,
}

impl FromStr for Binarize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sample" => Ok(Self::Sample),
            "threshold" => Ok(Self::Threshold),
            "means" => Ok(Self::Means),
            _ => Err("it must be sample, threshold or means".to_owned()),
        }
    }
}

impl fmt::Display for Binarize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sample => "sample",
            Self::Threshold => "threshold",
            Self::Means => "means",
        })
    }
}

/// Apart from the streams of other draws.
const STREAM: u32 = 0x726f_7773;

/// A table as the visible units of a machine see it.
///
/// Bytes are scaled to \[0, 1\]; what goes to two-state units must lie there. For Gaussian units, every column is shifted
/// and scaled to mean 0 and variance 1.
#[derive(Clone, Debug)]
pub struct Rows {
    table: Table,
    units: Units,
    binarize: Binarize,
    /// Mean and deviation of each column, for Gaussian units.
    moments: Vec<(f64, f64)>,
    seed: u64,
}

impl Rows {
    /// The table for these units.
    ///
    /// # Errors
    /// A missing or infinite number, or one outside \[0, 1\] for two-state units.
    pub fn new(table: Table, units: Units, binarize: Binarize, seed: u64) -> Result<Rows, Failure> {
        if let Values::Reals(values) = table.values() {
            let legal = |v: f64| if units == Units::Gaussian { v.is_finite() } else { (0.0..=1.0).contains(&v) };
            if let Some(at) = values.iter().position(|&v| !legal(v)) {
                let (row, column) = (1 + at / table.columns(), 1 + at % table.columns());
                let range =
                    if units == Units::Gaussian { "a finite number" } else { "from 0 to 1 for two-state units" };
                let value = values[at];
                return Err(Failure::new(format!("row {row}, column {column} is {value}; it must be {range}")));
            }
        }
        let moments = if units == Units::Gaussian { moments(&table) } else { Vec::new() };
        Ok(Rows { table, units, binarize, moments, seed })
    }

    /// The same numbers as those of a machine that was trained on `moments`.
    #[must_use]
    pub fn with_moments(self, moments: Vec<(f64, f64)>) -> Rows {
        Rows { moments, ..self }
    }

    /// The first `count` rows (at least one) alone, drawn as they are here.
    #[must_use]
    pub fn first(&self, count: usize) -> Rows {
        Rows { table: self.table.first(count), moments: self.moments.clone(), ..*self }
    }

    /// The number of rows.
    #[allow(clippy::len_without_is_empty)] // a table has rows
    pub fn len(&self) -> usize {
        self.table.rows()
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The units.
    pub fn units(&self) -> Units {
        self.units
    }

    /// Mean and deviation of each column, for Gaussian units; else empty.
    pub fn moments(&self) -> &[(f64, f64)] {
        &self.moments
    }

    /// The mean value of each unit.
    pub fn means(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.table.columns()];
        (0..self.len()).for_each(|row| {
            sums.iter_mut().enumerate().for_each(|(column, sum)| *sum += f64::from(self.expected(row, column)));
        });
        sums.iter().map(|sum| (sum / self.len() as f64) as f32).collect()
    }

    /// All rows as they are drawn in epoch `epoch`.
    pub fn drawn(&self, epoch: u64) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.len() * self.table.columns());
        (0..self.len()).for_each(|row| self.push(row, epoch, &mut values));
        values
    }

    /// Appends row `row` as it is drawn in epoch `epoch`.
    pub fn push(&self, row: usize, epoch: u64, out: &mut Vec<f32>) {
        let (columns, start) = (self.table.columns(), out.len());
        let sampled = self.binarize == Binarize::Sample && self.units != Units::Gaussian;
        if !sampled {
            out.extend((0..columns).map(|column| {
                let value = self.expected(row, column);
                match (self.units, self.binarize) {
                    (Units::Gaussian, _) | (_, Binarize::Means | Binarize::Sample) => value,
                    (Units::Spin, Binarize::Threshold) => {
                        if value >= 0.0 {
                            1.0
                        } else {
                            -1.0
                        }
                    }
                    (Units::Binary, Binarize::Threshold) => {
                        if value >= 0.5 {
                            1.0
                        } else {
                            0.0
                        }
                    }
                }
            }));
            return;
        }
        out.resize(start + columns, 0.0);
        // Every epoch has a key of its own.
        fill::uniform(philox::key(self.seed ^ epoch), STREAM, (row * columns) as u64, &mut out[start..]);
        for (column, value) in out[start..].iter_mut().enumerate() {
            let expected = self.expected(row, column);
            *value = match self.units {
                Units::Spin => {
                    if 2.0 * *value - 1.0 < expected {
                        1.0
                    } else {
                        -1.0
                    }
                }
                _ => {
                    if *value < expected {
                        1.0
                    } else {
                        0.0
                    }
                }
            };
        }
    }

    /// The mean of a unit: in \[0, 1\], \[−1, 1\], or standardised.
    fn expected(&self, row: usize, column: usize) -> f32 {
        let at = row * self.table.columns() + column;
        let value = match self.table.values() {
            Values::Bytes(values) if self.units == Units::Gaussian => f64::from(values[at]) / 255.0,
            Values::Bytes(values) => (f32::from(values[at]) / 255.0).into(),
            Values::Reals(values) => values[at],
        };
        match self.units {
            Units::Binary => value as f32,
            Units::Spin => 2.0 * value as f32 - 1.0,
            // Rounded last: a mean that is large beside the deviation must not take its places.
            Units::Gaussian => {
                let (mean, deviation) = self.moments[column];
                ((value - mean) / deviation) as f32
            }
        }
    }
}

/// Mean and deviation of each column; a deviation of 0 becomes 1. Sums are about the column's first value.
fn moments(table: &Table) -> Vec<(f64, f64)> {
    let scale = if matches!(table.values(), Values::Bytes(_)) { 1.0 / 255.0 } else { 1.0 };
    let (values, columns, rows) = (table.to_f64(), table.columns(), table.rows() as f64);
    let column = |column: usize| values.iter().skip(column).step_by(columns).map(move |v| v * scale);
    (0..columns)
        .map(|c| {
            let first = column(c).next().unwrap_or(0.0);
            let shift = column(c).map(|v| v - first).sum::<f64>() / rows;
            let variance = column(c).map(|v| ((v - first) - shift).powi(2)).sum::<f64>() / rows;
            let deviation = variance.sqrt();
            (first + shift, if deviation > 0.0 { deviation } else { 1.0 })
        })
        .collect()
}

#[cfg(test)]
impl Rows {
    /// A hundred rows of two patterns by turns, each the other's negative.
    pub(super) fn two_patterns() -> Rows {
        let pattern = [255u8, 255, 255, 0, 0, 0];
        let values: Vec<u8> = (0..100).flat_map(|i| pattern.map(|p| if i % 2 == 0 { p } else { 255 - p })).collect();
        Rows::new(Table::new(vec![2, 3], Values::Bytes(values)).unwrap(), Units::Binary, Binarize::Sample, 0).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: Values, units: Units, binarize: Binarize) -> Rows {
        Rows::new(Table::new(vec![2], values).unwrap(), units, binarize, 1).unwrap()
    }

    fn row(rows: &Rows, row: usize, epoch: u64) -> Vec<f32> {
        let mut out = vec![7.0];
        rows.push(row, epoch, &mut out);
        out.split_off(1)
    }

    #[test]
    fn numbers_become_values_of_units() {
        let reals = || Values::Reals(vec![0.0, 0.4, 0.5, 1.0]);
        assert_eq!(row(&rows(reals(), Units::Binary, Binarize::Threshold), 1, 0), [1.0, 1.0]);
        assert_eq!(row(&rows(reals(), Units::Spin, Binarize::Threshold), 0, 0), [-1.0, -1.0]);
        assert_eq!(row(&rows(reals(), Units::Binary, Binarize::Means), 0, 0), [0.0, 0.4]);
        assert_eq!(rows(Values::Bytes(vec![0, 51, 255, 51]), Units::Binary, Binarize::Means).means(), [0.5, 0.2]);
        let gaussian = rows(Values::Reals(vec![1.0, 5.0, 3.0, 5.0]), Units::Gaussian, Binarize::Sample);
        assert_eq!((row(&gaussian, 0, 0), row(&gaussian, 1, 3)), (vec![-1.0, 0.0], vec![1.0, 0.0]));
    }

    #[test]
    fn drawn_values_have_their_means_and_differ_between_epochs() {
        for (units, low) in [(Units::Binary, 0.0), (Units::Spin, -1.0)] {
            let rows = rows(Values::Reals(vec![0.25, 1.0]), units, Binarize::Sample);
            let drawn: Vec<Vec<f32>> = (0..4000).map(|epoch| row(&rows, 0, epoch)).collect();
            assert_eq!(drawn[5], row(&rows, 0, 5));
            assert!(drawn.iter().all(|row| row[1] == 1.0 && (row[0] == low || row[0] == 1.0)));
            let ups = drawn.iter().filter(|row| row[0] == 1.0).count() as f64;
            // Five deviations of a binomial count.
            assert!((ups - 1000.0).abs() < 5.0 * (4000.0f64 * 0.25 * 0.75).sqrt(), "{ups}");
        }
    }

    #[test]
    fn a_mean_far_from_zero_takes_no_places_of_the_deviation() {
        for offset in [0.0, 1e8, -1.7e9, 3e14] {
            let values: Vec<f64> = (0..40).flat_map(|i| [offset + f64::from(i), 1e-3 * f64::from(i % 2)]).collect();
            let rows = rows(Values::Reals(values), Units::Gaussian, Binarize::Sample);
            let (mean, deviation) = rows.moments()[0];
            assert_eq!((mean, deviation), (offset + 19.5, (1599.0f64 / 12.0).sqrt()), "{offset}");
            let expected = [0, 39].map(|i| ((f64::from(i) - 19.5) / deviation) as f32);
            assert_eq!([row(&rows, 0, 0)[0], row(&rows, 39, 0)[0]], expected, "{offset}");
        }
    }

    #[test]
    fn numbers_outside_are_named() {
        let refuse = |value, units| {
            let table = Table::new(vec![2], Values::Reals(vec![0.0, 0.0, 0.0, value])).unwrap();
            Rows::new(table, units, Binarize::Sample, 0).unwrap_err().to_string()
        };
        assert!(refuse(1.5, Units::Binary).contains("row 2, column 2 is 1.5; it must be from 0 to 1"));
        assert!(refuse(f64::NAN, Units::Spin).contains("NaN"));
        assert!(refuse(f64::INFINITY, Units::Gaussian).contains("finite"));
    }
}
