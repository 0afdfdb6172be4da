use super::census::gather_pair;
use crate::draw::{Draws, Stream};
use crate::error::{Error, range};
use crate::replicas::parents;
use alloc::vec::Vec;
use yuragi_graph::{Alone, Collective};

/// How a weighted population becomes an unweighted one of the same size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resampling {
    /// Positions (i + u)/R with one uniform u: member i has ⌊R w_i⌋ or ⌈R w_i⌉ children.
    #[default]
    Systematic,
    /// R independent draws.
    Multinomial,
    /// ⌊R w_i⌋ children each, the rest by independent draws from what is left of the weights.
    Residual,
}

/// The parents of the next population, ascending, for weights e^x that need not be normalised. `step`
/// numbers the draws.
///
/// # Errors
/// A weight that is NaN or infinite, or no weight above 0.
///
/// ```
/// use yuragi_energy::{draw::Draws, sampler::{Resampling, resample}};
/// let weights = [0.0, f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY];
/// assert_eq!(resample(Resampling::Systematic, &weights, Draws::new(1), 0)?, [0, 0, 2, 2]);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn resample(kind: Resampling, log_weights: &[f64], draws: Draws, step: u32) -> Result<Vec<u32>, Error> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    check(log_weights)?;
    if log_weights.is_empty() {
        return Ok(Vec::new());
    }
    range("the largest log-weight", largest, largest.is_finite(), "finite")?;
    let weights: Vec<u64> = log_weights.iter().map(|x| whole(libm::exp(x - largest))).collect();
    let (children, _) = children(&Alone, kind, &weights, log_weights.len(), (draws, step))?;
    Ok(parents(&children))
}

/// `Ok` if these are logarithms of weights.
pub(super) fn check(log_weights: &[f64]) -> Result<(), Error> {
    let legal = |x: f64| !x.is_nan() && x < f64::INFINITY;
    log_weights.iter().try_for_each(|&x| range("a log-weight", x, legal(x), "a number below infinity"))
}

/// A weight of 1 as a whole number. Sums of whole numbers are the same in any order, and so on any number of ranks.
const ONE: f64 = (1u64 << 62) as f64;
/// Positions are odd multiples of 2⁻³³.
const BITS: u32 = 33;

/// A weight from 0 to 1 as a whole number.
pub(super) fn whole(weight: f64) -> u64 {
    (weight * ONE) as u64
}

/// The children of each member on this rank, of which all ranks have `members`, for weights of [`whole`]; and the place of
/// the first child among those of all ranks. Ranks tell each other no more than sums.
pub(super) fn children(
    ranks: &dyn Collective,
    kind: Resampling,
    weights: &[u64],
    members: usize,
    (draws, step): (Draws, u32),
) -> Result<(Vec<u32>, usize), Error> {
    let before = |sums: &[[u128; 2]]| sums[..ranks.rank()].iter().fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    // A member's part of the positions 0 to `members` is members·w/Σw, and here everything is Σw times as large.
    let members = members as u128;
    let part = |&weight: &u64| members * u128::from(weight);
    let sums = gather_pair(ranks, [weights.iter().map(|&weight| u128::from(weight)).sum(), 0])?;
    let unit: u128 = sums.iter().map(|sum| sum[0]).sum::<u128>().max(1);
    let residual = kind == Resampling::Residual;
    let certain = |weight: &u64| if residual { part(weight) / unit } else { 0 };
    let left = |weight: &u64| part(weight) - certain(weight) * unit;
    let (mut place, mut end, rest) = if residual {
        let own = [weights.iter().map(certain).sum(), weights.iter().map(left).sum()];
        let sums = gather_pair(ranks, own)?;
        let [certain, left] = before(&sums);
        (certain, left, members - sums.iter().map(|sum| sum[0]).sum::<u128>().min(members))
    } else {
        (0, members * before(&sums)[0], members)
    };
    let odd = |i: u32| 2 * u128::from(draws.word(step, 0, Stream::Resample, i)) + 1;
    let mut positions: Vec<u128> = match kind {
        Resampling::Systematic => Vec::new(),
        Resampling::Multinomial | Resampling::Residual => (0..rest as u32).map(|i| odd(i) * rest).collect(),
    };
    positions.sort_unstable();
    // The positions below an end.
    let first = odd(0);
    let below = |end: u128| -> u128 {
        let end = ((end / unit) << BITS) + ((end % unit) << BITS).div_ceil(unit);
        match kind {
            Resampling::Systematic => end.saturating_sub(first).div_ceil(1 << BITS),
            Resampling::Multinomial | Resampling::Residual => positions.partition_point(|x| *x < end) as u128,
        }
    };
    let mut done = below(end);
    place += done;
    let count = |weight: &u64| {
        end += left(weight);
        let now = below(end);
        let count = certain(weight) + now - core::mem::replace(&mut done, now);
        count as u32
    };
    Ok((weights.iter().map(count).collect(), place as usize))
}
