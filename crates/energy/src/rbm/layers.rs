//! Products of a batch of rows with the weights, and the draws of whole layers.
//!
//! Rows of two values only, 0 or −1 and 1, need no products but sums of the weights' rows where they are 1, which in
//! most digits is at one pixel of five or less.

use super::Units;
use crate::draw::{Draws, Stream, threshold};
use alloc::vec::Vec;
use yuragi_numeric::double::{exp, ln};
use yuragi_numeric::elementary::{sigmoid, tanh};
use yuragi_numeric::simd::{Task, vectorize};

/// Rows and columns of a tile that stays in registers.
const ROWS: usize = 4;
const COLUMNS: usize = 16;
/// Columns that a sum of rows keeps in registers.
const WIDE: usize = 64;
/// Values that are looked at together for ones.
const PART: usize = 16;
/// Reads that share a block of draws.
const GROUP: usize = 32;

/// A matrix, row by row.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// What is held is the transpose.
    turned: bool,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Self {
        Self { values, rows: values.len() / columns, columns, turned: false }
    }

    pub(crate) fn turned(self) -> Self {
        Self { rows: self.columns, columns: self.rows, turned: !self.turned, ..self }
    }

    /// The columns from `start` on, as many as there are up to N, as rows of N.
    #[inline(always)]
    fn pack<const N: usize>(self, start: usize, panel: &mut [[f32; N]]) -> usize {
        let width = N.min(self.columns - start);
        if self.turned {
            // Squares of 8 keep to few lines of memory at once.
            for first in (0..width).step_by(8) {
                let last = width.min(first + 8);
                for (block, packed) in panel.chunks_mut(8).enumerate() {
                    for c in first..last {
                        let row = &self.values[(start + c) * self.rows + 8 * block..][..packed.len()];
                        row.iter().zip(packed.iter_mut()).for_each(|(x, packed)| packed[c] = *x);
                    }
                }
            }
        } else {
            for (packed, row) in panel.iter_mut().zip(self.values.chunks(self.columns)) {
                if let Some(row) = row[start..].first_chunk::<N>() {
                    *packed = *row;
                } else {
                    packed[..width].copy_from_slice(&row[start..]);
                }
            }
        }
        width
    }
}

/// Memory that products use again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    wide: Vec<[f32; WIDE]>,
    narrow: Vec<[f32; COLUMNS]>,
    copy: Vec<f32>,
    ones: Ones,
}

impl Scratch {
    /// out\[r, j\] = bias\[j\] + Σ_i a\[r, i\] w\[i, j\]; no bias is 0.
    pub(crate) fn product(&mut self, a: &[f32], w: Matrix<'_>, bias: &[f32], out: &mut Vec<f32>) {
        out.resize(a.len() / w.rows * w.columns, 0.0);
        vectorize(Product { a: Matrix::new(a, w.rows), w, bias, out, low: None, scratch: self });
    }

    /// [`product`](Self::product) of values of units. Where all are draws, a row's product does not depend on other rows.
    pub(crate) fn product_of(&mut self, units: Units, a: &[f32], w: Matrix<'_>, bias: &[f32], out: &mut Vec<f32>) {
        out.resize(a.len() / w.rows * w.columns, 0.0);
        let low = Some(units.two_state().0);
        vectorize(Product { a: Matrix::new(a, w.rows), w, bias, out, low, scratch: self });
    }

    /// out\[i, j\] = Σ_r a\[r, i\] b\[r, j\].
    pub(crate) fn outer(&mut self, a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
        vectorize(Product { a: a.turned(), w: b, bias: &[], out, low: None, scratch: self });
    }
}

/// Fields become means: tanh for spins, σ for 0/1 units.
pub(crate) fn means(units: Units, fields: &mut [f32]) {
    vectorize(Means { units, fields });
}

/// Fields of two-state units become draws: row r of `columns` units as read `read` + r, unit i as site `first` + i of sweep
/// `step`. The draws are those of [`Draws::chance`] with the probability [`threshold`]\(σ(s·field)).
pub(crate) fn draw(
    units: Units,
    fields: &mut [f32],
    columns: usize,
    draws: Draws,
    (step, first, read): (u32, u32, u32),
) {
    // Rows before the first whole group of reads, then groups.
    let lead = read as usize % GROUP;
    let head = if lead == 0 { 0 } else { fields.len().min((GROUP - lead) * columns) };
    let (head, fields) = fields.split_at_mut(head);
    let group = read / GROUP as u32;
    if !head.is_empty() {
        vectorize(Draw { units, fields: head, columns, draws, step, first, group, lead });
    }
    let group = group + u32::from(lead != 0);
    vectorize(Draw { units, fields, columns, draws, step, first, group, lead: 0 });
}

struct Product<'a> {
    a: Matrix<'a>,
    w: Matrix<'a>,
    /// No values: 0.
    bias: &'a [f32],
    out: &'a mut [f32],
    /// The lower of the two values that `a` may hold.
    low: Option<f32>,
    scratch: &'a mut Scratch,
}

impl Task for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { a, w, bias, out, low, scratch: Scratch { wide, narrow, copy, ones } } = self;
        let (inner, columns) = (w.rows, w.columns);
        if let Some(low) = ones.find(a, low) {
            wide.resize(inner, [0.0; WIDE]);
            for start in (0..columns).step_by(WIDE) {
                let width = w.pack(start, wide);
                let mut first = first(bias, start, width);
                let spins = low != 0.0;
                if spins {
                    for w in wide.iter() {
                        first.iter_mut().zip(w).for_each(|(first, w)| *first -= w);
                    }
                }
                for (r, out) in out.chunks_mut(columns).enumerate() {
                    let mut sums = if spins { [0.0; WIDE] } else { first };
                    gather(ones.row(r), wide, &mut sums);
                    if spins {
                        // Σ x w = 2 Σ over x = 1 of w − Σ w
                        sums.iter_mut().zip(&first).for_each(|(sum, first)| *sum = first + 2.0 * *sum);
                    }
                    if let Some(out) = out[start..].first_chunk_mut::<WIDE>() {
                        *out = sums;
                    } else {
                        out[start..].copy_from_slice(&sums[..width]);
                    }
                }
            }
            return;
        }
        let a = if a.turned {
            narrow.resize(a.rows, [0.0; COLUMNS]);
            copy.resize(a.values.len(), 0.0);
            for start in (0..a.columns).step_by(COLUMNS) {
                let width = a.pack(start, narrow);
                for (row, packed) in copy.chunks_mut(a.columns).zip(narrow.iter()) {
                    row[start..start + width].copy_from_slice(&packed[..width]);
                }
            }
            copy
        } else {
            a.values
        };
        narrow.resize(inner, [0.0; COLUMNS]);
        for start in (0..columns).step_by(COLUMNS) {
            let width = w.pack(start, narrow);
            let first = first(bias, start, width);
            for (a, out) in a.chunks(ROWS * inner).zip(out.chunks_mut(ROWS * columns)) {
                let mut sums = [first; ROWS];
                if a.len() == ROWS * inner {
                    tile(a, narrow, &mut sums);
                } else {
                    for (a, sums) in a.chunks(inner).zip(&mut sums) {
                        row(a, narrow, sums);
                    }
                }
                for (out, sums) in out.chunks_mut(columns).zip(&sums) {
                    out[start..start + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// The biases of `width` columns.
#[inline(always)]
fn first<const N: usize>(bias: &[f32], start: usize, width: usize) -> [f32; N] {
    let mut first = [0.0; N];
    if let Some(bias) = bias.get(start..start + width) {
        first[..width].copy_from_slice(bias);
    }
    first
}

/// Where the ones are, of a matrix of zeros and ones or of −1 and 1.
#[derive(Clone, Debug, Default)]
struct Ones {
    /// Where each row begins in `places`, and the end.
    starts: Vec<usize>,
    /// The columns of the ones.
    places: Vec<u32>,
    /// The same of the transpose, while it is turned.
    other: (Vec<usize>, Vec<u32>),
}

impl Ones {
    /// The lower of the two values, unless it is known; `None` if there are other values, or so many ones that products are
    /// as fast. These give zeros and ones the same sums, but not spins: if they are known to be spins, they are summed one way
    /// however many are up.
    #[inline(always)]
    fn find(&mut self, a: Matrix<'_>, known: Option<f32>) -> Option<f32> {
        let low = known.unwrap_or(if a.values.contains(&0.0) { 0.0 } else { -1.0 });
        let mut filled = 0;
        for part in a.values.chunks(1 << 12) {
            if part.iter().map(|&x| u32::from(x != low && x != 1.0)).sum::<u32>() != 0 {
                return None;
            }
            filled += part.iter().map(|&x| u32::from(x == 1.0)).sum::<u32>() as usize;
        }
        if filled > a.values.len() / 3 * 2 && known != Some(-1.0) {
            return None;
        }
        let width = if a.turned { a.rows } else { a.columns };
        self.scan(a.values, width, filled);
        if a.turned {
            self.turn(width);
        }
        Some(low)
    }

    /// The ones of rows of `width` values, `filled` in all.
    #[inline(always)]
    fn scan(&mut self, values: &[f32], width: usize, filled: usize) {
        let Self { starts, places, .. } = self;
        starts.clear();
        starts.push(0);
        // One place more takes what is written behind the last one.
        places.resize(filled + 1, 0);
        let mut end = 0;
        for row in values.chunks(width) {
            // Most parts of a digit are empty.
            for (first, part) in (0..).step_by(PART).zip(row.chunks(PART)) {
                if part.iter().map(|&x| u32::from(x > 0.0)).sum::<u32>() != 0 {
                    for (place, &x) in (first..).zip(part) {
                        places[end] = place;
                        end += usize::from(x > 0.0);
                    }
                }
            }
            starts.push(end);
        }
        places.truncate(filled);
    }

    /// Sorts them by columns, of which there are `width`.
    #[inline(always)]
    fn turn(&mut self, width: usize) {
        let Self { starts, places, other: (ends, turned) } = self;
        ends.clear();
        ends.resize(width + 1, 0);
        places.iter().for_each(|&place| ends[place as usize + 1] += 1);
        for column in 0..width {
            ends[column + 1] += ends[column];
        }
        turned.resize(places.len(), 0);
        for (row, pair) in (0..).zip(starts.windows(2)) {
            for &place in &places[pair[0]..pair[1]] {
                // From where a column begins to where it ends, which is where the next one begins.
                let end = &mut ends[place as usize];
                turned[*end] = row;
                *end += 1;
            }
        }
        ends.rotate_right(1);
        ends[0] = 0;
        core::mem::swap(starts, ends);
        core::mem::swap(places, turned);
    }

    #[inline(always)]
    fn row(&self, r: usize) -> &[u32] {
        &self.places[self.starts[r]..self.starts[r + 1]]
    }
}

/// sums += Σ over `ones` of the panel's rows.
#[inline(always)]
fn gather(ones: &[u32], panel: &[[f32; WIDE]], sums: &mut [f32; WIDE]) {
    let mut now = *sums;
    for &i in ones {
        if let Some(w) = panel.get(i as usize) {
            for (sum, w) in now.iter_mut().zip(w) {
                *sum += w;
            }
        }
    }
    *sums = now;
}

#[inline(always)]
fn tile(a: &[f32], panel: &[[f32; COLUMNS]], out: &mut [[f32; COLUMNS]; ROWS]) {
    let inner = panel.len();
    let (a0, rest) = a.split_at(inner);
    let (a1, rest) = rest.split_at(inner);
    let (a2, a3) = rest.split_at(inner);
    let mut sums = *out;
    for ((((x0, x1), x2), x3), w) in a0.iter().zip(a1).zip(a2).zip(a3).zip(panel) {
        for (sums, x) in sums.iter_mut().zip([x0, x1, x2, x3]) {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
    }
    *out = sums;
}

#[inline(always)]
fn row(a: &[f32], panel: &[[f32; COLUMNS]], out: &mut [f32; COLUMNS]) {
    let mut sums = *out;
    for (x, w) in a.iter().zip(panel) {
        for (sum, w) in sums.iter_mut().zip(w) {
            *sum += x * w;
        }
    }
    *out = sums;
}

/// out ← scales.0·out − scales.1·other.
pub(crate) fn scaled_difference(out: &mut [f32], other: &[f32], scales: (f32, f32)) {
    vectorize(Difference { out, other, scales });
}

struct Difference<'a> {
    out: &'a mut [f32],
    other: &'a [f32],
    scales: (f32, f32),
}

impl Task for Difference<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (own, others) = self.scales;
        self.out.iter_mut().zip(self.other).for_each(|(out, other)| *out = own * *out - others * other);
    }
}

struct Means<'a> {
    units: Units,
    fields: &'a mut [f32],
}

impl Task for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        match self.units {
            Units::Spin => self.fields.iter_mut().for_each(|x| *x = tanh(*x)),
            Units::Binary => self.fields.iter_mut().for_each(|x| *x = sigmoid(*x)),
            Units::Gaussian => {}
        }
    }
}

/// Σ over the fields x of two-state units of ln Σ e^(value·β·x).
pub(crate) fn log_sums(units: Units, beta: f64, fields: &[f32]) -> f64 {
    vectorize(LogSums { units, beta, fields })
}

struct LogSums<'a> {
    units: Units,
    beta: f64,
    fields: &'a [f32],
}

impl Task for LogSums<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Self { units, beta, fields } = self;
        // ln 2cosh x = |x| + ln(1 + e^(−2|x|)); ln(1 + eˣ) = max(x, 0) + ln(1 + e^(−|x|))
        let spin = units == Units::Spin;
        let term = |x: f32| {
            let x = beta * f64::from(x);
            let (size, linear) = if spin { (2.0 * x.abs(), x.abs()) } else { (x.abs(), x.max(0.0)) };
            linear + ln(1.0 + exp(-size))
        };
        let mut sums = [0.0; 8];
        let (chunks, rest) = fields.as_chunks::<8>();
        for x in chunks {
            sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += term(x));
        }
        sums.iter().sum::<f64>() + rest.iter().map(|&x| term(x)).sum::<f64>()
    }
}

struct Draw<'a> {
    units: Units,
    fields: &'a mut [f32],
    columns: usize,
    draws: Draws,
    step: u32,
    first: u32,
    /// The first row's group of reads, and its place there.
    group: u32,
    lead: usize,
}

impl Task for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (group, fields) in (self.group..).zip(self.fields.chunks_mut(GROUP * self.columns)) {
            for start in (0..self.columns).step_by(COLUMNS) {
                let width = COLUMNS.min(self.columns - start);
                let site = self.first.wrapping_add(start as u32);
                // The highest eight bits of each site's draws, a plane of 32 reads each.
                let mut planes = [[0u32; COLUMNS]; 8];
                for s in 0..COLUMNS {
                    let site = site.wrapping_add(s as u32);
                    for quad in 0..2 {
                        let block = self.draws.planes(self.step, site, Stream::Unit, quad, group);
                        for (plane, bits) in planes[4 * quad as usize..].iter_mut().zip(block) {
                            plane[s] = bits;
                        }
                    }
                }
                for byte in 0..8 {
                    // Those of the reads byte, byte + 8, .. as bytes.
                    let mut bytes = [0u32; COLUMNS];
                    for (k, plane) in planes.iter().enumerate() {
                        for (bytes, plane) in bytes.iter_mut().zip(plane) {
                            *bytes |= (plane >> byte & 0x0101_0101) << (7 - k);
                        }
                    }
                    for place in 0..4 {
                        let read: usize = byte + 8 * place;
                        let Some(row) = read.checked_sub(self.lead) else { continue };
                        let at = row * self.columns + start;
                        let Some(row) = fields.get_mut(at..at + width) else { break };
                        let read = (GROUP as u32 * group).wrapping_add(read as u32);
                        let mut digits = [0i32; COLUMNS];
                        for (digit, bytes) in digits.iter_mut().zip(&bytes) {
                            *digit = (bytes >> (8 * place) & 255) as i32;
                        }
                        let chance = |s: usize, p: f32| {
                            let site = site.wrapping_add(s as u32);
                            self.draws.chance(self.step, site, Stream::Unit, read, threshold(p))
                        };
                        if let Some(x) = row.first_chunk_mut::<COLUMNS>() {
                            decide(self.units, x, &digits, chance);
                        } else {
                            let mut x = [0.0; COLUMNS];
                            x[..width].copy_from_slice(row);
                            decide(self.units, &mut x, &digits, chance);
                            row.copy_from_slice(&x[..width]);
                        }
                    }
                }
            }
        }
    }
}

/// Fields become values, by the highest eight bits of their draws; where these leave it open, by `chance`.
#[inline(always)]
fn decide(units: Units, x: &mut [f32; COLUMNS], digits: &[i32; COLUMNS], chance: impl Fn(usize, f32) -> bool) {
    let (low, high, scale) = units.two_state();
    let mut probability = [0.0; COLUMNS];
    let mut ties = 0;
    for ((x, p), &digit) in x.iter_mut().zip(&mut probability).zip(digits) {
        *p = sigmoid(scale * *x);
        // A draw of digit/256 and less than 1/256 more; all of this is exact.
        let (draw, wanted) = (digit as f32, *p * 256.0);
        *x = if draw + 1.0 <= wanted { high } else { low };
        ties |= i32::from(draw <= wanted) & i32::from(draw + 1.0 > wanted);
    }
    if ties != 0 {
        for (s, (x, &p)) in x.iter_mut().zip(&probability).enumerate() {
            let (draw, wanted) = (digits[s] as f32, p * 256.0);
            if draw <= wanted && draw + 1.0 > wanted {
                *x = if chance(s, p) { high } else { low };
            }
        }
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
