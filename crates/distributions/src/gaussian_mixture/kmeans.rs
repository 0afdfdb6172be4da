//! Where components start: k-means++ and Lloyd's iterations.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::rand_core::Rng;
use yuragi_numeric::simd::{Task, vectorize};

use super::block::{BLOCK, LANES, Line, ZERO, scaled_distances};
use crate::parallel::Going;
use crate::random::{choose, index, uniform};
use crate::{Data, Error};

/// Points in units of each coordinate's deviation, so that the result does not depend on units.
/// Missing coordinates stand at the mean.
pub struct Points<'a> {
    /// d lines for every block.
    lines: Vec<Line>,
    d: usize,
    weights: Vec<f64>,
    data: &'a Data<'a>,
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl<'a> Points<'a> {
    pub fn new(data: &'a Data<'a>) -> Self {
        let d = data.dimension();
        let means = data.means();
        let deviations: Vec<f64> = means
            .iter()
            .enumerate()
            .map(|(j, mean)| libm::sqrt(data.column_mean(|row| (row[j] - mean) * (row[j] - mean))))
            .map(|deviation| if deviation > 1e-150 { deviation } else { 1.0 })
            .collect();
        let mut lines = vec![ZERO; data.len().div_ceil(BLOCK) * d];
        for (i, row) in data.rows().enumerate() {
            for (j, x) in row.iter().enumerate() {
                let place = i % BLOCK;
                let x = if x.is_nan() { 0.0 } else { (x - means[j]) / deviations[j] };
                lines[i / BLOCK * d + j][place / LANES][place % LANES] = x;
            }
        }
        let weights = (0..data.len()).map(|i| data.weight(i)).collect();
        Self { lines, d, weights, data, means, deviations }
    }

    fn point(&self, i: usize) -> Vec<f64> {
        let place = i % BLOCK;
        let block = &self.lines[i / BLOCK * self.d..][..self.d];
        block.iter().map(|line| line[place / LANES][place % LANES]).collect()
    }

    /// k-means++ (Arthur and Vassilvitskii 2007): each centre is drawn with a probability proportional to
    /// the squared distance from those before; of 2 + ⌊ln k⌋ draws the one that helps most is taken.
    pub fn seeds<R: Rng + ?Sized>(&self, k: usize, rng: &mut R, going: Going<'_>) -> Result<Vec<f64>, Error> {
        let n = self.data.len();
        let trials = 2 + libm::log(k as f64) as usize;
        let by_weight = cumulative(self.weights.iter().copied());
        let mut centres = self.point(choose(&by_weight, uniform(rng)));
        let mut nearest = self.distances(&centres);
        for _ in 1..k {
            let sums = cumulative(self.weights.iter().zip(&nearest).map(|(weight, distance)| weight * distance));
            let mut best: Option<(f64, usize, Vec<f64>)> = None;
            for _ in 0..trials {
                if !going() {
                    return Err(Error::Stopped);
                }
                // When every point is a centre, any will do.
                let none = sums.last().is_none_or(|sum| *sum <= 0.0);
                let i = if none { index(rng, n) } else { choose(&sums, uniform(rng)) };
                let mut distances = self.distances(&self.point(i));
                distances.iter_mut().zip(&nearest).for_each(|(new, old)| *new = new.min(*old));
                let potential: f64 = self.weights.iter().zip(&distances).map(|(weight, d)| weight * d).sum();
                if best.as_ref().is_none_or(|(least, ..)| potential < *least) {
                    best = Some((potential, i, distances));
                }
            }
            if let Some((_, i, distances)) = best {
                centres.extend(self.point(i));
                nearest = distances;
            }
        }
        Ok(centres)
    }

    /// Lloyd's iterations from `centres`: the nearest centre of every point, when that no longer
    /// changes or after `iterations`.
    pub fn lloyd(&self, centres: &mut [f64], iterations: usize, going: Going<'_>) -> Result<Vec<usize>, Error> {
        let mut labels = self.labels(centres, going)?;
        for _ in 0..iterations {
            let (mut sums, mut totals) = (vec![0.0; centres.len()], vec![0.0; centres.len() / self.d]);
            for (i, label) in labels.iter().enumerate() {
                let place = i % BLOCK;
                totals[*label] += self.weights[i];
                let block = &self.lines[i / BLOCK * self.d..][..self.d];
                for (sum, line) in sums[label * self.d..].iter_mut().zip(block) {
                    *sum += self.weights[i] * line[place / LANES][place % LANES];
                }
            }
            for ((centre, sum), total) in centres.chunks_exact_mut(self.d).zip(sums.chunks_exact(self.d)).zip(totals) {
                if total > 0.0 {
                    centre.iter_mut().zip(sum).for_each(|(centre, sum)| *centre = sum / total);
                }
            }
            let next = self.labels(centres, going)?;
            let settled = next == labels;
            labels = next;
            if settled {
                break;
            }
        }
        Ok(labels)
    }

    /// The inverse of [`restored`](Self::restored).
    pub fn standardized(&self, points: &[f64]) -> Vec<f64> {
        let coordinates = points.iter().enumerate();
        coordinates.map(|(i, x)| (x - self.means[i % self.d]) / self.deviations[i % self.d]).collect()
    }

    /// Centres in the data's own units.
    pub fn restored(&self, centres: &[f64]) -> Vec<f64> {
        let coordinates = centres.iter().enumerate();
        coordinates.map(|(i, x)| self.means[i % self.d] + self.deviations[i % self.d] * x).collect()
    }

    /// Point i in the data's own units, missing coordinates at the mean.
    pub fn original(&self, i: usize) -> impl Iterator<Item = f64> {
        let row = &self.data.values()[i * self.d..][..self.d];
        row.iter().zip(&self.means).map(|(x, mean)| if x.is_nan() { *mean } else { *x })
    }

    /// Squared distances of all points from one centre.
    fn distances(&self, centre: &[f64]) -> Vec<f64> {
        let mut out = vec![ZERO; self.data.len().div_ceil(BLOCK)];
        vectorize(Distances { points: self, centre, out: &mut out });
        let mut flat = out.as_flattened().as_flattened().to_vec();
        flat.truncate(self.data.len());
        flat
    }

    fn labels(&self, centres: &[f64], going: Going<'_>) -> Result<Vec<usize>, Error> {
        let mut out = vec![ZERO; self.data.len().div_ceil(BLOCK)];
        if !vectorize(Labels { points: self, centres, out: &mut out, going }) {
            return Err(Error::Stopped);
        }
        Ok(out.as_flattened().as_flattened()[..self.data.len()].iter().map(|label| *label as usize).collect())
    }
}

fn cumulative(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    values
        .map(|value| {
            sum += value;
            sum
        })
        .collect()
}

struct Distances<'a> {
    points: &'a Points<'a>,
    centre: &'a [f64],
    out: &'a mut [Line],
}

impl Task for Distances<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let ones = vec![1.0; self.points.d];
        for (block, out) in self.points.lines.chunks_exact(self.points.d).zip(self.out) {
            scaled_distances(&ones, self.centre, block, out);
        }
    }
}

struct Labels<'a> {
    points: &'a Points<'a>,
    centres: &'a [f64],
    out: &'a mut [Line],
    going: Going<'a>,
}

impl Task for Labels<'_> {
    /// False if it was stopped.
    type Output = bool;
    #[inline(always)]
    fn run(self) -> bool {
        let d = self.points.d;
        let ones = vec![1.0; d];
        for (block, out) in self.points.lines.chunks_exact(d).zip(self.out) {
            if !(self.going)() {
                return false;
            }
            let (mut least, mut distances) = ([[f64::INFINITY; LANES]; BLOCK / LANES], ZERO);
            for (k, centre) in self.centres.chunks_exact(d).enumerate() {
                scaled_distances(&ones, centre, block, &mut distances);
                let label = k as f64;
                for t in 0..BLOCK / LANES {
                    for lane in 0..LANES {
                        let nearer = distances[t][lane] < least[t][lane];
                        least[t][lane] = if nearer { distances[t][lane] } else { least[t][lane] };
                        out[t][lane] = if nearer { label } else { out[t][lane] };
                    }
                }
            }
        }
        true
    }
}
