use crate::draw::{Draws, Stream};
use crate::error::{Error, range};
use alloc::vec::Vec;

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
    let count = log_weights.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let legal = |x: f64| !x.is_nan() && x < f64::INFINITY;
    log_weights.iter().try_for_each(|&x| range("a log-weight", x, legal(x), "a number below infinity"))?;
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    range("the largest log-weight", largest, largest.is_finite(), "finite")?;
    let mut weights: Vec<f64> = log_weights.iter().map(|x| libm::exp(x - largest)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight *= count as f64 / total);

    let mut parents = Vec::with_capacity(count);
    if kind == Resampling::Residual {
        for (i, weight) in (0..).zip(&mut weights) {
            let whole = libm::floor(*weight);
            let room = count - parents.len();
            parents.extend(core::iter::repeat_n(i, (whole as usize).min(room)));
            *weight -= whole;
        }
    }
    let rest = count - parents.len();
    let total: f64 = weights.iter().sum();
    let uniform = |i: usize| (f64::from(draws.word(step, 0, Stream::Resample, i as u32)) + 0.5) / 4_294_967_296.0;
    let mut positions: Vec<f64> = match kind {
        Resampling::Systematic => (0..rest).map(|i| (i as f64 + uniform(0)) / rest as f64).collect(),
        Resampling::Multinomial | Resampling::Residual => (0..rest).map(uniform).collect(),
    };
    positions.sort_by(f64::total_cmp);
    let (mut member, mut end) = (0, weights[0]);
    for position in positions {
        while end < position * total && member + 1 < count {
            member += 1;
            end += weights[member];
        }
        // Rounding must not choose a member without weight.
        let chosen = (0..=member).rev().find(|&i| log_weights[i] > f64::NEG_INFINITY).unwrap_or(member);
        parents.push(chosen as u32);
    }
    parents.sort_unstable();
    Ok(parents)
}
