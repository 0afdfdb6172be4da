//! One pass over data: densities, responsibilities and their moments, block by block.
//!
//! Points are cut into pieces by their number alone, and the pieces' sums are added in one tree over their numbers: results do
//! not depend on threads, nor on how many processes share the pieces.

use alloc::vec;
use alloc::vec::Vec;

use yuragi_numeric::simd::{Task, vectorize};
use yuragi_numeric::special::Sum;
use yuragi_numeric::tree::Tree;

use super::block::{
    Apart, BLOCK, HALF, LANES, Line, ROWS, ZERO, across, center, distances, gather, log_densities, normalize, outer,
    outer_together, packed_at, packed_index, packed_len, padded, product, scaled_distances, total, weigh,
};
use crate::parallel::{self, Going, Team};
use crate::{Data, Error};

/// A component with less than this share of the data has no points; it keeps its mean and covariance.
pub(crate) const EMPTY: f64 = 1e-14;

/// A mixture in the order in which a pass reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    pub d: usize,
    /// K×padded(d), zero beyond d.
    pub means: Vec<f64>,
    /// ln C_k − ½d ln 2π − ½ ln det Σ_k.
    pub constants: Vec<f64>,
    pub shape: Shape,
}

/// L⁻¹ of every component.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// [`pack`](super::block::pack)ed; one component's worth if all share it.
    Full(Vec<[f64; ROWS]>),
    /// The diagonal, K×padded(d), zero beyond d.
    Diagonal(Vec<f64>),
}

impl Packed {
    pub fn components(&self) -> usize {
        self.constants.len()
    }

    pub fn mean(&self, k: usize) -> &[f64] {
        let width = padded(self.d);
        &self.means[k * width..][..width]
    }

    /// Puts means (K×d) in their places.
    pub fn set_means(&mut self, means: &[f64]) {
        for (padded, mean) in self.means.chunks_exact_mut(padded(self.d)).zip(means.chunks_exact(self.d)) {
            padded[..self.d].copy_from_slice(mean);
        }
    }

    /// ln q(x, k) into one line for every k; `z` is scratch of x.len() places. False if it was stopped.
    #[inline(always)]
    fn log_joint(&self, x: &[Line], z: &mut [Line], out: &mut [Line], going: Going<'_>) -> bool {
        for (k, out) in out.iter_mut().enumerate() {
            if !going() {
                return false;
            }
            match &self.shape {
                Shape::Full(panels) => {
                    let len = packed_len(self.d);
                    let panels = if panels.len() == len { &panels[..] } else { &panels[k * len..][..len] };
                    center(x, self.mean(k), z);
                    distances(panels, z, out);
                }
                Shape::Diagonal(scales) => {
                    let width = padded(self.d);
                    scaled_distances(&scales[k * width..][..width], self.mean(k), x, out);
                }
            }
            log_densities(self.constants[k], out);
        }
        true
    }
}

/// What the M step needs, about the means of the model that the pass was made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Σᵢ wᵢ ln q(xᵢ).
    pub log_likelihood: Sum,
    /// N_k = Σᵢ γ_ik, K values.
    pub counts: Vec<f64>,
    /// Σᵢ γ_ik(xᵢ−μ_k), K×padded(d), still apart for every lane: see [`Moments::first`].
    first: Vec<[f64; LANES]>,
    /// Σᵢ γ_ik(xᵢ−μ_k)(xᵢ−μ_k)ᵀ.
    pub second: Second,
}

/// Second moments of every component.
#[derive(Clone, Debug, PartialEq)]
pub enum Second {
    /// K [`pack`](super::block::pack)ed matrices.
    Full(Vec<[f64; ROWS]>),
    /// The diagonals, K×padded(d).
    Diagonal(Vec<f64>),
}

impl Second {
    /// Element (i, j), j ≤ i, of component k in d dimensions; off the diagonal 0 where it is not kept.
    pub fn at(&self, k: usize, d: usize, i: usize, j: usize) -> f64 {
        match self {
            Self::Full(sums) => packed_at(&sums[k * packed_len(d)..], i, j),
            Self::Diagonal(sums) if i == j => sums[k * padded(d) + i],
            Self::Diagonal(_) => 0.0,
        }
    }

    /// Adds to element (i, j), if it is kept.
    pub fn add(&mut self, k: usize, d: usize, i: usize, j: usize, value: f64) {
        match self {
            Self::Full(sums) => sums[k * packed_len(d) + packed_index(i, j)][i % ROWS] += value,
            Self::Diagonal(sums) if i == j => sums[k * padded(d) + i] += value,
            Self::Diagonal(_) => {}
        }
    }
}

impl Moments {
    pub fn zero(k: usize, d: usize, full: bool) -> Self {
        let width = padded(d);
        let second = match full {
            true => Second::Full(vec![[0.0; ROWS]; k * packed_len(d)]),
            false => Second::Diagonal(vec![0.0; k * width]),
        };
        Self { log_likelihood: Sum::default(), counts: vec![0.0; k], first: vec![[0.0; LANES]; k * width], second }
    }

    /// Σᵢ γ_ik(xᵢ−μ_k) of coordinate j.
    pub fn first(&self, k: usize, d: usize, j: usize) -> f64 {
        across(&self.first[k * padded(d) + j])
    }

    /// The sums over all components, as if they were one.
    pub fn pooled(&self, d: usize) -> Self {
        let (full, width) = (matches!(self.second, Second::Full(_)), padded(d));
        let mut pooled = Self::zero(1, d, full);
        for k in 0..self.counts.len() {
            let first = self.first[k * width..][..width].to_vec();
            let second = match &self.second {
                Second::Full(sums) => Second::Full(sums[k * packed_len(d)..][..packed_len(d)].to_vec()),
                Second::Diagonal(sums) => Second::Diagonal(sums[k * width..][..width].to_vec()),
            };
            pooled.add(&Self { log_likelihood: Sum::default(), counts: vec![self.counts[k]], first, second });
        }
        pooled
    }

    /// All numbers, one after another.
    fn to_numbers(&self) -> Vec<f64> {
        let second = match &self.second {
            Second::Full(sums) => sums.as_flattened(),
            Second::Diagonal(sums) => sums,
        };
        [&[self.log_likelihood.value()], &self.counts[..], self.first.as_flattened(), second].concat()
    }

    /// As many numbers as these, in their places.
    fn set_numbers(&mut self, numbers: &[f64]) {
        let Some((log_likelihood, numbers)) = numbers.split_first() else { return };
        self.log_likelihood = [*log_likelihood].into_iter().collect();
        let second = match &mut self.second {
            Second::Full(sums) => sums.as_flattened_mut(),
            Second::Diagonal(sums) => sums,
        };
        let places = self.counts.iter_mut().chain(self.first.as_flattened_mut()).chain(second);
        places.zip(numbers).for_each(|(place, number)| *place = *number);
    }

    fn add(&mut self, other: &Self) {
        fn add(sums: &mut [f64], values: &[f64]) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        self.log_likelihood += other.log_likelihood.value();
        add(&mut self.counts, &other.counts);
        add(self.first.as_flattened_mut(), other.first.as_flattened());
        match (&mut self.second, &other.second) {
            (Second::Full(sums), Second::Full(values)) => add(sums.as_flattened_mut(), values.as_flattened()),
            (Second::Diagonal(sums), Second::Diagonal(values)) => add(sums, values),
            _ => {}
        }
    }
}

/// What a model becomes for points that lack some coordinates.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The marginal law of the coordinates that are there.
    pub marginal: Packed,
    /// Those coordinates.
    pub given: Vec<usize>,
    /// The others.
    pub lacking: Vec<usize>,
    /// Σ_mo Σ_oo⁻¹ of every component, lacking × given.
    pub regression: Vec<Vec<f64>>,
    /// Σ_mm − Σ_mo Σ_oo⁻¹ Σ_om of every component, lacking × lacking.
    pub remainder: Vec<Vec<f64>>,
}

/// Rows that are worked on together.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// The group of [`Missing`](crate::data::Missing), if these rows lack anything.
    pub group: Option<usize>,
    pub rows: Rows<'a>,
}

#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// From the first, so many.
    Range(usize, usize),
    Listed(&'a [usize]),
}

impl Rows<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Range(_, len) => *len,
            Self::Listed(rows) => rows.len(),
        }
    }

    #[inline(always)]
    pub fn at(&self, i: usize) -> usize {
        match self {
            Self::Range(first, _) => first + i,
            Self::Listed(rows) => rows[i],
        }
    }
}

/// All rows of the data, in pieces of at least some thousand.
pub fn pieces<'a>(data: &'a Data<'_>) -> Vec<Piece<'a>> {
    // At most about 64 pieces without missing values, so that their sums take little memory.
    let step = data.len().div_ceil(64).next_multiple_of(BLOCK).max(64 * BLOCK);
    let Some(missing) = data.missing() else {
        let starts = (0..data.len()).step_by(step);
        let rows = starts.map(|first| Rows::Range(first, step.min(data.len() - first)));
        return rows.map(|rows| Piece { group: None, rows }).collect();
    };
    let complete = missing.complete.chunks(step).map(|rows| Piece { group: None, rows: Rows::Listed(rows) });
    let groups = missing.groups.iter().enumerate();
    let lacking = groups.flat_map(|(group, (_, rows))| {
        rows.chunks(step).map(move |rows| Piece { group: Some(group), rows: Rows::Listed(rows) })
    });
    complete.chain(lacking).collect()
}

/// Everything that a pass reads.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    pub packed: &'a Packed,
    pub data: &'a Data<'a>,
    pub threads: usize,
    /// The component of each point, instead of γ.
    pub labels: Option<&'a [usize]>,
    /// The model for a group of rows that lack something.
    pub pattern: &'a (dyn Fn(usize) -> Result<Pattern, Error> + Sync),
    /// Whether to go on.
    pub going: Going<'a>,
}

/// The moments about `means` (K×d) of points each of which belongs to one component alone, nothing missing.
pub fn hard_moments(
    data: &Data<'_>,
    labels: &[usize],
    means: &[f64],
    full: bool,
    (threads, team, going): (usize, &dyn Team, Going<'_>),
) -> Result<Moments, Error> {
    let d = data.dimension();
    let k = means.len() / d;
    // Only the kind of the shape counts: no density is computed.
    let shape = if full { Shape::Full(Vec::new()) } else { Shape::Diagonal(Vec::new()) };
    let mut packed = Packed { d, means: vec![0.0; k * padded(d)], constants: vec![0.0; k], shape };
    packed.set_means(means);
    let none = |_| Err(Error::Length { what: "the labels", got: 0, expected: data.len() });
    Pass { packed: &packed, data, threads, labels: Some(labels), pattern: &none, going }.moments(team)
}

impl Pass<'_> {
    /// The E step, of which each process of a team makes its share.
    pub fn moments(self, team: &dyn Team) -> Result<Moments, Error> {
        let pieces = pieces(self.data);
        // A piece of a pattern is small when there are many patterns: several make one sum.
        let bundles: Vec<_> = pieces.chunks(pieces.len().div_ceil(64).max(1)).collect();
        let (own, mut tree) = (team.share(bundles.len()), Tree::new(bundles.len()));
        let mut next = own.start;
        // In waves, so that few sums are held at once.
        for wave in bundles[own].chunks(if self.threads > 1 { 4 * self.threads } else { 1 }) {
            let parts = parallel::map(self.threads, wave.len(), |i| {
                let mut moments = self.zero();
                wave[i].iter().try_for_each(|piece| self.piece(*piece, &mut Want::Moments(&mut moments)))?;
                Ok(moments)
            });
            for part in parts {
                tree.add(next..next + 1, part?.to_numbers());
                next += 1;
            }
        }
        let mut sum = self.zero();
        let numbers = team.sum(tree, sum.to_numbers().len())?;
        sum.set_numbers(&numbers);
        Ok(sum)
    }

    fn zero(&self) -> Moments {
        Moments::zero(self.packed.components(), self.packed.d, matches!(self.packed.shape, Shape::Full(_)))
    }

    /// ln q(xᵢ) of every point: the density of the coordinates that are there.
    pub fn scores(self) -> Result<Vec<f64>, Error> {
        self.each(1, |scores| Want::Scores(scores))
    }

    /// γ_ik, K a point.
    pub fn responsibilities(self) -> Result<Vec<f64>, Error> {
        self.each(self.packed.components(), |gamma| Want::Responsibilities(gamma))
    }

    /// The points with E[x_m|x_o] in the place of missing coordinates.
    pub fn imputed(self) -> Result<Vec<f64>, Error> {
        self.each(self.packed.d, |points| Want::Imputed(points))
    }

    fn each(self, width: usize, want: impl Fn(&mut [f64]) -> Want<'_> + Sync) -> Result<Vec<f64>, Error> {
        let pieces = pieces(self.data);
        let parts = parallel::map(self.threads, pieces.len(), |i| {
            let mut part = vec![0.0; pieces[i].rows.len() * width];
            self.piece(pieces[i], &mut want(&mut part))?;
            Ok(part)
        });
        let mut out = vec![0.0; self.data.len() * width];
        for (piece, part) in pieces.iter().zip(parts) {
            for (i, values) in part?.chunks_exact(width).enumerate() {
                out[piece.rows.at(i) * width..][..width].copy_from_slice(values);
            }
        }
        Ok(out)
    }

    fn piece(self, piece: Piece<'_>, want: &mut Want<'_>) -> Result<(), Error> {
        let pattern = piece.group.map(|group| (self.pattern)(group)).transpose()?;
        let done = vectorize(Work { pass: self, rows: piece.rows, pattern: pattern.as_ref(), want });
        if done { Ok(()) } else { Err(Error::Stopped) }
    }
}

/// What is made of a block.
enum Want<'a> {
    Moments(&'a mut Moments),
    /// One value for every row of the piece.
    Scores(&'a mut [f64]),
    /// K values for every row of the piece.
    Responsibilities(&'a mut [f64]),
    /// d values for every row of the piece.
    Imputed(&'a mut [f64]),
}

struct Work<'a, 'b, 'c> {
    pass: Pass<'a>,
    rows: Rows<'a>,
    pattern: Option<&'a Pattern>,
    want: &'b mut Want<'c>,
}

impl Task for Work<'_, '_, '_> {
    /// False if it was stopped.
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Self { pass, rows, pattern, want } = self;
        let packed = pass.packed;
        let (components, width) = (packed.components(), padded(packed.d));
        let marginal = pattern.map_or(packed, |pattern| &pattern.marginal);
        let every: Vec<usize> = (0..packed.d).collect();
        let columns = pattern.map_or(&every[..], |pattern| &pattern.given[..]);
        let mut x = vec![ZERO; padded(marginal.d)];
        let (mut z, mut gz) = (vec![ZERO; width], vec![ZERO; width]);
        let mut centred = vec![ZERO; width];
        // Sums stay apart for every lane up to the end where there is room for all components'.
        let len = match want {
            Want::Moments(Moments { second: Second::Full(_), .. }) => packed_len(packed.d),
            _ => 0,
        };
        let together = components * len <= APART;
        let mut apart = vec![[[0.0; HALF]; ROWS]; if together { components * len } else { 0 }];
        let zeros = vec![0.0; width];
        let mut gamma = vec![ZERO; components];
        let (mut weights, mut evidence) = (ZERO, ZERO);
        for start in (0..rows.len()).step_by(BLOCK) {
            let count = BLOCK.min(rows.len() - start);
            load(pass.data, rows, start, count, columns, &mut x, &mut weights);
            if !matches!(want, Want::Moments(_)) {
                weights = [[1.0; LANES]; BLOCK / LANES];
            }
            if let Some(labels) = pass.labels {
                if !(pass.going)() {
                    return false;
                }
                gamma.fill(ZERO);
                for i in 0..count {
                    let (t, lane) = (i / LANES, i % LANES);
                    gamma[labels[rows.at(start + i)]][t][lane] = weights[t][lane];
                }
            } else {
                if !marginal.log_joint(&x, &mut centred[..x.len()], &mut gamma, pass.going) {
                    return false;
                }
                normalize(&mut gamma, &weights, &mut evidence);
            }
            match want {
                Want::Moments(moments) => {
                    let mut terms = ZERO;
                    product(&weights, &evidence, &mut terms);
                    moments.log_likelihood += total(&terms);
                    for (k, gamma) in gamma.iter().enumerate() {
                        if !(pass.going)() {
                            return false;
                        }
                        let (x, mean) = match pattern {
                            None => (&x, packed.mean(k)),
                            Some(_) => {
                                complete(packed, pattern, k, &x, &mut z);
                                (&z, &zeros[..])
                            }
                        };
                        let apart = if together { &mut apart[k * len..][..len] } else { &mut [][..] };
                        moments.collect(packed.d, pattern, k, gamma, x, mean, (&mut centred, &mut gz), apart);
                    }
                }
                Want::Scores(out) => {
                    let values = evidence.iter().flatten();
                    out[start..start + count].iter_mut().zip(values).for_each(|(out, value)| *out = *value);
                }
                Want::Responsibilities(out) => {
                    for (i, out) in out[start * components..].chunks_exact_mut(components).take(count).enumerate() {
                        out.iter_mut().zip(&gamma).for_each(|(out, line)| *out = line[i / LANES][i % LANES]);
                    }
                }
                Want::Imputed(out) => {
                    let mut mixed = vec![ZERO; width];
                    for (k, gamma) in gamma.iter().enumerate() {
                        complete(packed, pattern, k, &x, &mut z);
                        for ((mixed, z), mean) in mixed.iter_mut().zip(&z).zip(packed.mean(k)) {
                            for ((mixed, z), gamma) in
                                mixed.as_flattened_mut().iter_mut().zip(z.as_flattened()).zip(gamma.as_flattened())
                            {
                                *mixed += gamma * (z + mean);
                            }
                        }
                    }
                    for (column, j) in columns.iter().enumerate() {
                        mixed[*j] = x[column];
                    }
                    for (i, out) in out[start * packed.d..].chunks_exact_mut(packed.d).take(count).enumerate() {
                        out.iter_mut().zip(&mixed).for_each(|(out, line)| *out = line[i / LANES][i % LANES]);
                    }
                }
            }
        }
        if let Want::Moments(moments) = want {
            apart.chunks_exact_mut(len.max(1)).enumerate().for_each(|(k, apart)| moments.gather(k, apart));
        }
        true
    }
}

/// Room for sums that stay apart, so many columns of them: 256 KiB, of which an L2 cache holds more.
const APART: usize = 2048;

/// Turns rows into lines. Places beyond `count` hold zeros and have no weight.
#[inline(always)]
fn load(
    data: &Data<'_>,
    rows: Rows<'_>,
    start: usize,
    count: usize,
    columns: &[usize],
    x: &mut [Line],
    weights: &mut Line,
) {
    if count < BLOCK {
        x.fill(ZERO);
        *weights = ZERO;
    }
    let d = data.dimension();
    for i in 0..count {
        let row = rows.at(start + i);
        let (t, lane) = (i / LANES, i % LANES);
        weights[t][lane] = data.weight(row);
        let values = &data.values()[row * d..][..d];
        if columns.len() == d {
            x.iter_mut().zip(values).for_each(|(x, value)| x[t][lane] = *value);
        } else {
            x.iter_mut().zip(columns).for_each(|(x, j)| x[t][lane] = values[*j]);
        }
    }
}

/// z = E[x|x_o, k] − μ_k: the centred coordinates that are there, and the regression on them elsewhere.
#[inline(always)]
fn complete(packed: &Packed, pattern: Option<&Pattern>, k: usize, x: &[Line], z: &mut [Line]) {
    let Some(pattern) = pattern else { return center(x, packed.mean(k), z) };
    z.fill(ZERO);
    for (column, j) in pattern.given.iter().enumerate() {
        center(&x[column..=column], &pattern.marginal.mean(k)[column..=column], &mut z[*j..=*j]);
    }
    for (m, i) in pattern.lacking.iter().enumerate() {
        let mut sum = ZERO;
        let row = &pattern.regression[k][m * pattern.given.len()..];
        for (j, b) in pattern.given.iter().zip(row) {
            for (sum, z) in sum.as_flattened_mut().iter_mut().zip(z[*j].as_flattened()) {
                *sum += b * z;
            }
        }
        z[*i] = sum;
    }
}

impl Moments {
    /// Adds component k's second moments that were kept apart.
    #[inline(always)]
    fn gather(&mut self, k: usize, apart: &mut [Apart]) {
        if let Second::Full(second) = &mut self.second {
            gather(apart, &mut second[k * apart.len()..][..apart.len()]);
        }
    }

    /// Adds a block's share for component k, with coordinates about `mean`: full second moments to `apart` if it has room.
    /// `z` and `gz` are scratch of x.len() places.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn collect(
        &mut self,
        d: usize,
        pattern: Option<&Pattern>,
        k: usize,
        gamma: &Line,
        x: &[Line],
        mean: &[f64],
        (z, gz): (&mut [Line], &mut [Line]),
        apart: &mut [Apart],
    ) {
        let width = x.len();
        let count = total(gamma);
        self.counts[k] += count;
        let places = z.iter_mut().zip(&mut *gz).zip(&mut self.first[k * width..][..width]);
        for ((x, mean), ((z, gz), sums)) in x.iter().zip(mean).zip(places) {
            weigh(x, *mean, gamma, z, gz, sums);
        }
        match &mut self.second {
            Second::Full(second) if apart.is_empty() => {
                let len = packed_len(d);
                outer_together(z, gz, &mut second[k * len..][..len]);
            }
            Second::Full(_) => outer(z, gz, apart),
            Second::Diagonal(second) => {
                let mut squares = ZERO;
                for ((z, gz), second) in z.iter().zip(&*gz).zip(&mut second[k * width..][..width]) {
                    product(z, gz, &mut squares);
                    *second += total(&squares);
                }
            }
        }
        // The spread of what is missing about its regression.
        if let Some(pattern) = pattern {
            for (m, i) in pattern.lacking.iter().enumerate() {
                for (n, j) in pattern.lacking[..=m].iter().enumerate() {
                    let spread = count * pattern.remainder[k][m * pattern.lacking.len() + n];
                    self.second.add(k, d, *i, *j, spread);
                }
            }
        }
    }
}
