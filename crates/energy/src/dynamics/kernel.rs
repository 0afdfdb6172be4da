use super::Rule;
use yuragi_numeric::elementary::{exp, sigmoid};

/// How one variable is drawn anew, given the weights of its values.
pub trait Kernel: Copy + Send + Sync {
    /// The probabilities of going from value `current` to each value, for weights w_s ∝ π(s), of which
    /// the largest is 1. `out` is as long as `weights`.
    fn probabilities(&self, weights: &[f64], current: usize, out: &mut [f64]);

    /// The probability to flip a two-state variable whose energy would rise by x/β.
    fn flip(&self, x: f32) -> f32;

    /// The same for one spin, as thresholds are drawn.
    fn rule(&self) -> Rule;
}

/// Propose one of the other values, accept with min{1, π(x′)/π(x)}.
///
/// Moves that cost nothing are always made. Visiting a chain of equal couplings in order, this only carries
/// domain walls along and hardly ever lets two meet (Friedberg and Cameron, *J. Chem. Phys.* 52, 6049 (1970)):
/// choose [`HeatBath`], or sites at random, for one-dimensional problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metropolis;

/// Draw from the conditional distribution: Gibbs sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeatBath;

/// Suwa and Todo's landfill of weights, which rejects least: on three values or more it keeps balance
/// without detailed balance; on two values it is [`Metropolis`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SuwaTodo;

impl Kernel for Metropolis {
    fn probabilities(&self, weights: &[f64], current: usize, out: &mut [f64]) {
        let others = weights.len() as f64 - 1.0;
        let mut stay = 1.0;
        for (s, (out, &weight)) in out.iter_mut().zip(weights).enumerate() {
            *out = 0.0;
            if s != current {
                // A weight of 0 is one that underflowed: anything is likelier.
                *out = if weight >= weights[current] { 1.0 } else { weight / weights[current] } / others;
                stay -= *out;
            }
        }
        out[current] = stay.max(0.0);
    }

    #[inline(always)]
    fn flip(&self, x: f32) -> f32 {
        if x > 0.0 { exp(-x) } else { 1.0 }
    }

    #[inline(always)]
    fn rule(&self) -> Rule {
        Rule::Metropolis
    }
}

impl Kernel for HeatBath {
    fn probabilities(&self, weights: &[f64], _: usize, out: &mut [f64]) {
        let total: f64 = weights.iter().sum();
        for (out, weight) in out.iter_mut().zip(weights) {
            *out = weight / total;
        }
    }

    #[inline(always)]
    fn flip(&self, x: f32) -> f32 {
        sigmoid(-x)
    }

    #[inline(always)]
    fn rule(&self) -> Rule {
        Rule::HeatBath
    }
}

/// A value of less weight than this share of the largest is left for the largest at once: the flows are
/// differences of sums, and what they miss by balance is less than rounding to f32 misses.
const NEGLIGIBLE: f64 = 1e-9;

impl Kernel for SuwaTodo {
    /// v_ij = max{0, min(Δ_ij, w_i + w_j − Δ_ij, w_i, w_j)} with Δ_ij = S_i − S_{j−1} + w_1,
    /// S_i = w_1 + … + w_i, S_0 = S_n, and w_1 the largest weight; p(i → j) = v_ij/w_i.
    fn probabilities(&self, weights: &[f64], current: usize, out: &mut [f64]) {
        let first = (0..weights.len()).fold(0, |first, s| if weights[s] > weights[first] { s } else { first });
        // The largest comes first by changing places with value 0.
        let place = |s: usize| {
            if s == first {
                0
            } else if s == 0 {
                first
            } else {
                s
            }
        };
        let weight = |i: usize| weights[place(i)];
        let total: f64 = (0..weights.len()).map(weight).sum();
        let i = place(current);
        let w_i = weight(i);
        let s_i: f64 = (0..=i).map(weight).sum();
        let mut before = total;
        for j in 0..weights.len() {
            let w_j = weight(j);
            let delta = s_i - before + weight(0);
            let flow = delta.min(w_i + w_j - delta).min(w_i).min(w_j).max(0.0);
            out[place(j)] = if w_i < NEGLIGIBLE { f64::from(u8::from(j == 0)) } else { flow / w_i };
            before = if j == 0 { w_j } else { before + w_j };
        }
    }

    #[inline(always)]
    fn flip(&self, x: f32) -> f32 {
        Metropolis.flip(x)
    }

    #[inline(always)]
    fn rule(&self) -> Rule {
        Rule::Metropolis
    }
}
