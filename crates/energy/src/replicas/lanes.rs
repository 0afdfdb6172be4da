//! 32 reads in the lanes of f32 vectors: any couplings, any temperatures.

use super::chunk::Sweep;
use super::planes::{Word, planes};
use crate::draw::{CERTAIN, Stream};
use crate::dynamics::{Rule, spin_probability, spin_threshold};
use crate::problem::{Couplings, Problem};
use yuragi_numeric::simd::{Task, vectorize};

/// One number for each read of a group.
pub(crate) type Lanes<T> = [T; 32];

/// One sweep of a chunk of sparsely coupled spins; `words` are those of its sites.
pub(super) fn sweep(sweep: Sweep<'_>, problem: &Problem, betas: &[Lanes<f32>; 8], words: &mut [Word]) {
    vectorize(Chunk { sweep, problem, betas, words });
}

/// The bits of group 0 … 7 of a word.
#[inline(always)]
pub(super) fn half(word: Word, group: usize) -> u32 {
    (word[group / 2] >> (32 * (group % 2))) as u32
}

struct Chunk<'a> {
    sweep: Sweep<'a>,
    problem: &'a Problem,
    betas: &'a [Lanes<f32>; 8],
    words: &'a mut [Word],
}

impl Task for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { sweep, problem, betas, words } = self;
        for &site in sweep.visits {
            let k = site as usize;
            let draw = |quad| planes(sweep.keys, sweep.sweep, site, Stream::Accept, quad, sweep.chunk);
            let bits = [draw(0), draw(1)];
            for (group, betas) in betas.iter().enumerate() {
                let active = half(sweep.active, group);
                if active == 0 {
                    continue;
                }
                let own = half(words[k], group);
                let sums = sparse_fields(problem, words, k, group);
                let mut high = [0; 8];
                for (plane, high) in high.iter_mut().enumerate() {
                    *high = half(bits[plane / 4][plane % 4], group);
                }
                let decided = decide(sweep.rule, own, &sums, betas, high);
                let below = add_decided(&sweep, site, group, own, &sums, betas, decided, active);
                let new = match sweep.rule {
                    Rule::Metropolis => own ^ below,
                    Rule::HeatBath => below,
                };
                words[k][group / 2] ^= u64::from(own ^ new) << (32 * (group % 2));
            }
        }
    }
}

/// Where u < threshold, the ties decided by all bits.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the state of one site")]
pub(super) fn add_decided(
    sweep: &Sweep<'_>,
    site: u32,
    group: usize,
    own: u32,
    sums: &Lanes<f32>,
    betas: &Lanes<f32>,
    (below, tied): (u32, u32),
    active: u32,
) -> u32 {
    let (mut below, mut tied) = (below & active, tied & active);
    while tied != 0 {
        let read = tied.trailing_zeros();
        tied &= tied - 1;
        let lane = read as usize;
        let threshold = spin_threshold(sweep.rule, (own >> read & 1) as u8, sums[lane], betas[lane]);
        let number = 256 * sweep.chunk + 32 * group as u32 + read;
        let hit = sweep.draws.chance(sweep.sweep, site, Stream::Accept, number, threshold);
        below |= u32::from(hit) << read;
    }
    below
}

/// −1 or +1 in the sign bit: all ones there for a bit that is 0.
#[inline(always)]
pub(crate) fn sign(bits: u32, lane: usize) -> u32 {
    !(bits << (31 - lane)) & 0x8000_0000
}

/// λ_k of every read, added in the order of the neighbours.
#[inline(always)]
fn sparse_fields(problem: &Problem, words: &[Word], k: usize, group: usize) -> Lanes<f32> {
    let mut sums = [problem.rounded_fields()[k]; 32];
    if let Couplings::Sparse { starts, columns, rounded, .. } = problem.table() {
        let row = starts[k]..starts[k + 1];
        for (&l, weight) in columns[row.clone()].iter().zip(&rounded[row]) {
            let bits = half(words[l as usize], group);
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum += f32::from_bits(weight.to_bits() ^ sign(bits, lane));
            }
        }
    }
    sums
}

/// Where u < threshold by the eight highest bits of u, and where these leave it open.
#[inline(always)]
pub(super) fn decide(rule: Rule, own: u32, sums: &Lanes<f32>, betas: &Lanes<f32>, high: [u32; 8]) -> (u32, u32) {
    // One match for all lanes, so that each loop is straight code.
    let mut probabilities = [0.0; 32];
    match rule {
        Rule::Metropolis => {
            for lane in 0..32 {
                let aligned = f32::from_bits(sums[lane].to_bits() ^ sign(own, lane));
                probabilities[lane] = spin_probability(Rule::Metropolis, aligned, sums[lane], betas[lane]);
            }
        }
        Rule::HeatBath => {
            for lane in 0..32 {
                probabilities[lane] = spin_probability(Rule::HeatBath, 0.0, sums[lane], betas[lane]);
            }
        }
    }
    compare(&probabilities, high)
}

/// Where u is below the probability by its eight highest bits, and where these leave it open.
#[inline(always)]
pub(crate) fn compare(probabilities: &Lanes<f32>, high: [u32; 8]) -> (u32, u32) {
    let mut digits = [0u32; 32];
    for plane in high {
        for (lane, digit) in digits.iter_mut().enumerate() {
            *digit = *digit << 1 | (plane >> lane & 1);
        }
    }
    let (mut below, mut tied) = (0, 0);
    for lane in 0..32 {
        // 256 if it is certain.
        let (digit, wanted) = (digits[lane] as i32, (probabilities[lane] * 256.0) as i32);
        below |= u32::from(digit < wanted) << lane;
        tied |= u32::from(digit == wanted) << lane;
    }
    (below, tied)
}

/// E of 32 reads, with the additions of [`Problem::energy`] in their order.
pub(super) fn energies(problem: &Problem, words: &[Word], group: usize) -> Lanes<f64> {
    vectorize(Energies { problem, words, group })
}

struct Energies<'a> {
    problem: &'a Problem,
    words: &'a [Word],
    group: usize,
}

impl Task for Energies<'_> {
    type Output = Lanes<f64>;

    #[inline(always)]
    fn run(self) -> Lanes<f64> {
        let Self { problem, words, group } = self;
        let flip = |x: f64, bits: u32, lane: usize| f64::from_bits(x.to_bits() ^ u64::from(sign(bits, lane)) << 32);
        let (mut twice, mut fields) = ([0.0; 32], [0.0; 32]);
        if let Couplings::Sparse { starts, columns, weights, .. } = problem.table() {
            for (k, field) in problem.fields().iter().enumerate() {
                let mut sums = [-0.0; 32];
                let row = starts[k]..starts[k + 1];
                for (&l, &weight) in columns[row.clone()].iter().zip(&weights[row]) {
                    let bits = half(words[l as usize], group);
                    for (lane, sum) in sums.iter_mut().enumerate() {
                        *sum += flip(weight, bits, lane);
                    }
                }
                let own = half(words[k], group);
                for lane in 0..32 {
                    twice[lane] += flip(sums[lane], own, lane);
                    fields[lane] += flip(*field, own, lane);
                }
            }
        }
        core::array::from_fn(|lane| problem.offset() - 0.5 * twice[lane] - fields[lane])
    }
}

const _: () = assert!(CERTAIN >> 24 == 256);
