use crate::error::Error;
use crate::problem::{Problem, spin};
use crate::schedule::Schedule;
use alloc::vec::Vec;

/// What a sampler found: configurations with their energies.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSet {
    variables: usize,
    values: Vec<u8>,
    energies: Vec<f64>,
    counts: Vec<u32>,
    schedule: Schedule,
}

/// One row of a [`SampleSet`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The configuration.
    pub values: &'a [u8],
    /// Its energy.
    pub energy: f64,
    /// How many reads found it.
    pub count: u32,
}

impl Sample<'_> {
    /// The configuration as spins ±1.
    pub fn spins(&self) -> impl Iterator<Item = f64> + '_ {
        self.values.iter().map(|&value| spin(value))
    }
}

impl SampleSet {
    /// One row a read, in order; `values` is the reads' configurations, one after another.
    ///
    /// # Errors
    /// Values that do not fit the problem.
    pub fn new(problem: &Problem, values: Vec<u8>, schedule: Schedule) -> Result<Self, Error> {
        let variables = problem.len();
        let energies: Vec<f64> = values.chunks(variables).map(|row| problem.energy(row)).collect::<Result<_, _>>()?;
        let counts = alloc::vec![1; energies.len()];
        Ok(Self { variables, values, energies, counts, schedule })
    }

    /// The rows of all parts in order.
    pub(crate) fn joined(parts: Vec<Self>, problem: &Problem, schedule: &Schedule) -> Result<Self, Error> {
        let mut joined = Self::new(problem, Vec::new(), schedule.clone())?;
        for part in parts {
            joined.values.extend(part.values);
            joined.energies.extend(part.energies);
            joined.counts.extend(part.counts);
        }
        Ok(joined)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.energies.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.energies.is_empty()
    }

    /// The energies of the rows.
    pub fn energies(&self) -> &[f64] {
        &self.energies
    }

    /// The inverse temperatures that were used.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Row number `row`.
    pub fn get(&self, row: usize) -> Option<Sample<'_>> {
        let values = self.values.chunks(self.variables).nth(row)?;
        Some(Sample { values, energy: *self.energies.get(row)?, count: *self.counts.get(row)? })
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Sample<'_>> + '_ {
        let rows = self.values.chunks(self.variables).zip(&self.energies).zip(&self.counts);
        rows.map(|((values, &energy), &count)| Sample { values, energy, count })
    }

    /// The first row of lowest energy.
    pub fn best(&self) -> Option<Sample<'_>> {
        self.iter().reduce(|best, sample| if sample.energy < best.energy { sample } else { best })
    }

    /// The mean of the energies over the reads; NaN without rows.
    pub fn mean_energy(&self) -> f64 {
        let reads: f64 = self.counts.iter().map(|&count| f64::from(count)).sum();
        self.iter().map(|sample| sample.energy * f64::from(sample.count)).sum::<f64>() / reads
    }

    /// Equal configurations in one row with their count, lowest energy first.
    pub fn aggregated(&self) -> Self {
        let mut rows: Vec<Sample<'_>> = self.iter().collect();
        rows.sort_by(|a, b| a.energy.total_cmp(&b.energy).then_with(|| a.values.cmp(b.values)));
        rows.dedup_by(|next, first| {
            let same = next.values == first.values;
            if same {
                first.count = first.count.saturating_add(next.count);
            }
            same
        });
        Self {
            variables: self.variables,
            values: rows.iter().flat_map(|sample| sample.values.iter().copied()).collect(),
            energies: rows.iter().map(|sample| sample.energy).collect(),
            counts: rows.iter().map(|sample| sample.count).collect(),
            schedule: self.schedule.clone(),
        }
    }
}
