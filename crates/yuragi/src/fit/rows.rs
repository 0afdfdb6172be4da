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

/// What the numbers of a table mean to units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Meaning {
    /// What bytes are divided by; if nothing is said, 255 where one is above 1.
    bytes: Option<f64>,
    /// What other numbers are divided by.
    others: f64,
    /// Numbers are means of spins, from −1 to 1, and no probabilities.
    signed: bool,
}

impl Meaning {
    /// What the numbers of this whole table mean, divided by `scale` if it is given.
    ///
    /// Bytes of which one is above 1 are divided by 255, so that they lie in \[0, 1\]; true, false and other numbers stay.
    /// Where spins are wanted and a number is negative, they are means of spins.
    #[must_use]
    pub fn of(table: &Table, units: Units, scale: Option<f64>) -> Meaning {
        let bytes = match table.values() {
            Values::Bytes(values) => Some(if values.iter().any(|&value| value > 1) { 255.0 } else { 1.0 }),
            _ => None,
        };
        let negative = matches!(table.values(), Values::Reals(values) if values.iter().any(|&value| value < 0.0));
        Meaning { bytes: scale.or(bytes), others: scale.unwrap_or(1.0), signed: units == Units::Spin && negative }
    }

    /// What the numbers of a table are divided by.
    pub(crate) fn scale(self, table: &Table) -> f64 {
        match table.values() {
            Values::Bytes(_) => self.bytes.or(Self::of(table, Units::Binary, None).bytes).unwrap_or(self.others),
            _ => self.others,
        }
    }

    /// What is worth saying of this reading of a table, in words.
    #[must_use]
    pub fn notes(self, table: &Table, units: Units) -> Vec<String> {
        let scale = self.scale(table);
        let mut notes = Vec::new();
        match table.values() {
            _ if scale != 1.0 => notes.push(format!("its numbers are divided by {scale}; `--scale` overrules")),
            Values::Bytes(_) => {
                notes
                    .push("its bytes are taken as they are, none being above 1; `--scale 255` divides them".to_owned());
            }
            _ => {}
        }
        if units == Units::Spin {
            let range =
                if self.signed { "from -1 to 1 as means of spins" } else { "from 0 to 1 as probabilities of +1" };
            notes.push(format!("its numbers are read {range}"));
        }
        notes
    }
}

/// A table as the visible units of a machine see it.
///
/// What goes to two-state units must lie in \[0, 1\], or be means of spins in \[−1, 1\]; see [`Meaning`]. For Gaussian
/// units, every column is shifted and scaled to mean 0 and variance 1.
#[derive(Clone, Debug)]
pub struct Rows {
    table: Table,
    meaning: Meaning,
    scale: f64,
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
    /// A missing or infinite number, or one outside \[0, 1\] for two-state units (\[−1, 1\] for spins where any is
    /// negative).
    pub fn new(table: Table, units: Units, binarize: Binarize, seed: u64) -> Result<Rows, Failure> {
        let meaning = Meaning::of(&table, units, None);
        Rows::with_meaning(table, meaning, units, binarize, seed)
    }

    /// The table for these units, its numbers read in this way.
    ///
    /// # Errors
    /// As [`Rows::new`].
    pub fn with_meaning(
        table: Table,
        meaning: Meaning,
        units: Units,
        binarize: Binarize,
        seed: u64,
    ) -> Result<Rows, Failure> {
        let scale = meaning.scale(&table);
        let mut rows = Rows { table, meaning, scale, units, binarize, moments: Vec::new(), seed };
        rows.check()?;
        if units == Units::Gaussian {
            rows.moments = rows.columns_moments();
        }
        Ok(rows)
    }

    /// Another table, read as this one.
    ///
    /// # Errors
    /// As [`Rows::new`].
    pub fn alike(&self, table: Table) -> Result<Rows, Failure> {
        let rows = Rows::with_meaning(table, self.meaning, self.units, self.binarize, self.seed)?;
        Ok(Rows { moments: self.moments.clone(), ..rows })
    }

    /// The same, each column shifted and scaled by a mean and deviation that are given, for Gaussian units.
    #[must_use]
    pub(crate) fn standardised_by(self, moments: Vec<(f64, f64)>) -> Rows {
        Rows { moments, ..self }
    }

    fn check(&self) -> Result<(), Failure> {
        let (low, range) = match (self.units, self.meaning.signed) {
            (Units::Gaussian, _) => (f64::NEG_INFINITY, "a finite number"),
            (Units::Spin, true) => (-1.0, "from -1 to 1 for spins"),
            _ => (0.0, "from 0 to 1 for two-state units"),
        };
        let high = if self.units == Units::Gaussian { f64::INFINITY } else { 1.0 };
        let (count, columns) = (self.len() * self.table.columns(), self.table.columns());
        let legal = |value: f64| value.is_finite() && (low..=high).contains(&value);
        let Some(at) = (0..count).find(|&at| !legal(self.value(at))) else { return Ok(()) };
        let (row, column, value) = (1 + at / columns, 1 + at % columns, self.value(at));
        let all = || (0..count).map(|at| self.value(at));
        let (least, most) = all().fold((0.0f64, 0.0f64), |(least, most), v| (least.min(v), most.max(v)));
        let hint = if self.scale != 1.0 {
            format!(" (divided by {})", self.scale)
        } else if self.units == Units::Binary && all().all(|value| value.abs() == 1.0) {
            "; `--units spin` takes -1 and +1".to_owned()
        } else if least == 0.0 && most.is_finite() && most > 1.0 && all().all(f64::is_finite) {
            format!("; `--scale {most}` divides by the largest")
        } else {
            String::new()
        };
        Err(Failure::new(format!("row {row}, column {column} is {value}; it must be {range}{hint}")))
    }

    /// A number of the table, scaled.
    fn value(&self, at: usize) -> f64 {
        match self.table.values() {
            Values::Bits(values) => f64::from(values[at]) / self.scale,
            Values::Bytes(values) if self.units == Units::Gaussian => f64::from(values[at]) / self.scale,
            // Rounded as the units take it.
            Values::Bytes(values) => (f32::from(values[at]) / self.scale as f32).into(),
            Values::Reals(values) => values[at] / self.scale,
        }
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

    /// Mean and deviation of each column; a deviation of 0 becomes 1. Sums are about the column's first value.
    fn columns_moments(&self) -> Vec<(f64, f64)> {
        let (columns, rows) = (self.table.columns(), self.len());
        let column = |column: usize| (0..rows).map(move |row| self.value(row * columns + column));
        (0..columns)
            .map(|c| {
                let first = column(c).next().unwrap_or(0.0);
                let shift = column(c).map(|v| v - first).sum::<f64>() / rows as f64;
                let variance = column(c).map(|v| ((v - first) - shift).powi(2)).sum::<f64>() / rows as f64;
                let deviation = variance.sqrt();
                (first + shift, if deviation > 0.0 { deviation } else { 1.0 })
            })
            .collect()
    }

    /// The mean of a unit: in \[0, 1\], \[−1, 1\], or standardised.
    fn expected(&self, row: usize, column: usize) -> f32 {
        let at = row * self.table.columns() + column;
        let value = self.value(at);
        match self.units {
            Units::Binary => value as f32,
            Units::Spin if self.meaning.signed => value as f32,
            Units::Spin => 2.0 * value as f32 - 1.0,
            // Rounded last: a mean that is large beside the deviation must not take its places.
            Units::Gaussian => {
                let (mean, deviation) = self.moments[column];
                ((value - mean) / deviation) as f32
            }
        }
    }
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

    fn table(values: Values) -> Table {
        Table::new(vec![2], values).unwrap()
    }

    #[test]
    fn what_says_0_and_1_is_0_and_1() {
        let bits = vec![0, 1, 1, 1];
        for values in [
            Values::Bits(bits.clone()),
            Values::Bytes(bits.clone()),
            Values::Reals(bits.iter().map(|&bit| bit.into()).collect()),
        ] {
            assert_eq!(rows(values.clone(), Units::Binary, Binarize::Means).means(), [0.5, 1.0]);
            assert_eq!(rows(values.clone(), Units::Spin, Binarize::Means).means(), [0.0, 1.0]);
            assert_eq!(rows(values, Units::Gaussian, Binarize::Means).moments(), [(0.5, 0.5), (1.0, 1.0)]);
        }
    }

    #[test]
    fn a_second_table_is_read_as_the_first() {
        let pixels = rows(Values::Bytes(vec![0, 255, 51, 102]), Units::Binary, Binarize::Means);
        // A table of dark pixels alone is divided, too; truth values are not.
        assert_eq!(pixels.alike(table(Values::Bytes(vec![0, 1]))).unwrap().means(), [0.0, 1.0 / 255.0]);
        assert_eq!(pixels.alike(table(Values::Bits(vec![0, 1]))).unwrap().means(), [0.0, 1.0]);
        let bits = rows(Values::Bytes(vec![0, 1, 1, 1]), Units::Binary, Binarize::Means);
        let refused = bits.alike(table(Values::Bytes(vec![0, 255]))).unwrap_err().to_string();
        assert!(refused.contains("row 1, column 2 is 255") && refused.contains("--scale 255"), "{refused}");
        let shares = rows(Values::Reals(vec![0.0, 0.5]), Units::Spin, Binarize::Means);
        assert!(shares.alike(table(Values::Reals(vec![-1.0, 1.0]))).is_err());
    }

    #[test]
    fn negative_numbers_are_spins() {
        let spins = || Values::Reals(vec![-1.0, 1.0, 1.0, 0.5]);
        assert_eq!(rows(spins(), Units::Spin, Binarize::Means).means(), [0.0, 0.75]);
        assert_eq!(row(&rows(spins(), Units::Spin, Binarize::Sample), 0, 3), [-1.0, 1.0]);
        assert_eq!(row(&rows(spins(), Units::Spin, Binarize::Threshold), 1, 0), [1.0, 1.0]);
        let refused = Rows::new(table(Values::Reals(vec![-1.0, 1.0])), Units::Binary, Binarize::Sample, 0);
        assert!(refused.unwrap_err().to_string().contains("--units spin"));
        let refused = Rows::new(table(Values::Reals(vec![-1.5, 1.0])), Units::Spin, Binarize::Sample, 0);
        assert!(refused.unwrap_err().to_string().contains("is -1.5; it must be from -1 to 1"));
    }

    #[test]
    fn a_scale_divides_whatever_there_is() {
        for values in [Values::Bytes(vec![0, 16]), Values::Reals(vec![0.0, 16.0])] {
            let meaning = Meaning::of(&table(values.clone()), Units::Binary, Some(16.0));
            let rows = Rows::with_meaning(table(values), meaning, Units::Binary, Binarize::Means, 0).unwrap();
            assert_eq!(rows.means(), [0.0, 1.0]);
        }
        let refused = Rows::new(table(Values::Reals(vec![0.0, 16.0])), Units::Binary, Binarize::Sample, 0);
        assert!(refused.unwrap_err().to_string().contains("`--scale 16`"));
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
