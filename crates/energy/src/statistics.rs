//! Estimates with their errors, and autocorrelation times.

use alloc::vec::Vec;
use yuragi_numeric::special::sum;

/// An estimate and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// One standard deviation of it; infinite if it cannot be told.
    pub error: f64,
}

/// The mean of independent numbers. Without any, NaN; of one number the error is infinite.
///
/// ```
/// let mean = yuragi_energy::statistics::mean(&[1.0, 2.0, 3.0]);
/// assert_eq!((mean.value, mean.error), (2.0, (1.0f64 / 3.0).sqrt()));
/// ```
pub fn mean(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let value = sum(values.iter().copied()) / n;
    let squares = sum(values.iter().map(|x| (x - value) * (x - value)));
    let error = if values.len() < 2 { f64::INFINITY } else { libm::sqrt(squares / (n * (n - 1.0))) };
    Estimate { value, error }
}

/// ln((1/n) Σ eˣ) of independent x, without overflow. Its expectation is at most ln⟨eˣ⟩: [`log_expectation`] corrects
/// it. The error is √ln(1 + ρ/n) as in
/// [`log_expectation`].
pub fn log_mean_exp(values: &[f64]) -> Estimate {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return Estimate { value: if values.is_empty() { f64::NAN } else { largest }, error: f64::INFINITY };
    }
    let total = sum(values.iter().map(|x| libm::exp(x - largest)));
    let value = largest + libm::log(total / values.len() as f64);
    Estimate { value, error: Tilted::new(values).error() }
}

/// ln⟨eˣ⟩ of the distribution that independent x are draws of, with the bias of a logarithm of a mean and the weight
/// of tails that the draws have missed corrected.
///
/// K(t) = ln⟨e^(tx)⟩ is estimated from the draws as far as they tell it: up to the largest t ≤ 1 at which the weights
/// e^(tx) are still worth a sixth of the draws (and 60 of them). Beyond, the variance K″ is taken to stay what it is there,
/// as that of normal x does. Where e^x itself is well sampled, this is ln((1/n) Σ eˣ) plus half its squared error.
///
/// The error is √ln(1 + ρ/n), and half of what was added to ln((1/n) Σ eˣ), with ln(1 + ρ) = K(2) − 2K(1), the relative variance of eˣ, continued alike: small errors are
/// those of the mean divided by it; where ρ is beyond n, the sum is that of few draws, and the error says by how many
/// powers of e it may be off (Fenton and Wilkinson's sum of log-normal numbers, *IRE Trans. Commun. Syst.* 8, 57 (1960)).
///
/// ```
/// use yuragi_energy::statistics::{log_expectation, log_mean_exp};
/// // Quantiles of a normal distribution with variance 16: the mean of eˣ is e⁸, far beyond what 99 draws show.
/// let x: Vec<f64> = (1..100).map(|i| 4.0 * 1.702f64.recip() * (f64::from(i) / f64::from(100 - i)).ln()).collect();
/// assert!(log_mean_exp(&x).value < 7.0);
/// let estimate = log_expectation(&x);
/// assert!((estimate.value - 8.0).abs() < estimate.error && (2.0..4.0).contains(&estimate.error));
/// ```
pub fn log_expectation(values: &[f64]) -> Estimate {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return log_mean_exp(values);
    }
    let (tilted, Estimate { value: plain, error }) = (Tilted::new(values), log_mean_exp(values));
    let value = tilted.value();
    Estimate { value, error: libm::hypot(error, 0.5 * (value - plain)) }
}

/// K″(t) on a grid of t from 0 to 2, as far as draws tell it.
struct Tilted {
    count: f64,
    /// K, K′, K″ and the weights' worth at the largest well sampled t ≤ 1.
    last: [f64; 4],
    /// That t.
    tilt: f64,
    /// K″ at 0, [`STEP`], … as far as it is well sampled.
    variances: Vec<f64>,
    /// ln of the share of draws above −∞.
    log_share: f64,
    /// ln(n Σ w²/(Σ w)²) of the weights themselves.
    log_ratio: f64,
}

/// Steps of t from 0 to 1.
const STEPS: usize = 20;

/// The weights must be worth this share of the draws.
const SHARE: f64 = 1.0 / 6.0;
/// So many draws at the least.
const LEAST: f64 = 60.0;

impl Tilted {
    fn new(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let finite: Vec<f64> = values.iter().map(|x| x - largest).filter(|x| x.is_finite()).collect();
        let mut tilted = Self {
            count: n,
            last: [largest, 0.0, 0.0, n],
            tilt: 0.0,
            variances: Vec::new(),
            log_share: libm::log(finite.len() as f64 / n),
            log_ratio: 0.0,
        };
        let least = (SHARE * n).max(LEAST.min(n));
        let factors: Vec<f64> = finite.iter().map(|x| libm::exp(x / STEPS as f64)).collect();
        let mut weights = alloc::vec![1.0; finite.len()];
        let mut sampled = true;
        for step in 0..=2 * STEPS {
            let t = step as f64 / STEPS as f64;
            let total: f64 = weights.iter().sum();
            let squares: f64 = weights.iter().map(|w| w * w).sum();
            let worth = total * total / squares;
            sampled &= step == 0 || worth >= least;
            if sampled {
                let mean = weights.iter().zip(&finite).map(|(w, x)| w * x).sum::<f64>() / total;
                let spread = weights.iter().zip(&finite).map(|(w, x)| w * (x - mean) * (x - mean)).sum::<f64>() / total;
                // Of so many draws as the weights are worth.
                let variance = spread * worth / (worth - 1.0).max(1.0);
                tilted.variances.push(variance);
                if step <= STEPS {
                    tilted.tilt = t;
                    tilted.last = [libm::log(total / n) + t * largest, mean + largest, variance, worth];
                }
            }
            if step == STEPS {
                tilted.log_ratio = libm::log(n * squares / (total * total));
            } else if !sampled && step > STEPS {
                break;
            }
            weights.iter_mut().zip(&factors).for_each(|(weight, factor)| *weight *= factor);
        }
        tilted
    }

    /// K(1), the bias of a logarithm corrected.
    fn value(&self) -> f64 {
        let [k, mean, variance, worth] = self.last;
        let rest = 1.0 - self.tilt;
        let log = libm::log1p((1.0 / worth - 1.0 / self.count).max(0.0));
        k + rest * (mean + 0.5 * rest * variance) + 0.5 * log
    }

    /// √ln(1 + ρ/n).
    fn error(&self) -> f64 {
        let n = self.count;
        if n < 2.0 || !self.last[0].is_finite() {
            return f64::INFINITY;
        }
        // K(2) − 2K(1) + K(0) is the integral of K″ under a triangle.
        let last = self.variances.last().copied().unwrap_or(0.0);
        let variance = |step: usize| self.variances.get(step).copied().unwrap_or(last);
        let under: f64 = (0..=2 * STEPS).map(|step| (STEPS - STEPS.abs_diff(step)) as f64 * variance(step)).sum();
        let log = (under / (STEPS * STEPS) as f64 - self.log_share).max(self.log_ratio);
        // ln(1 + (eˡ − 1)/n), also where eˡ overflows; n draws have n − 1 differences.
        let rest = if log < 700.0 { libm::log1p(libm::expm1(log) / (n - 1.0)) } else { log - libm::log(n - 1.0) };
        libm::sqrt(rest.max(0.0))
    }
}

/// (Σ w)²/Σ w² of weights w = eˣ: how many equal weights would do as well.
pub fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0.0;
    }
    let weights = log_weights.iter().map(|x| libm::exp(x - largest));
    let (total, squares) = weights.fold((0.0, 0.0), |(total, squares), w| (total + w, squares + w * w));
    total * total / squares
}

/// The integrated autocorrelation time τ = ½ + Σ_{t≥1} ρ(t) of a stationary series, in steps: the
/// variance of its mean is 2τ/n times that of one value. The sum ends at the first t ≥ 6 τ(t), and the
/// error is Madras and Sokal's, τ √(2(2t + 1)/n) (*J. Stat. Phys.* 50, 109 (1988)).
///
/// A constant or empty series gives NaN.
pub fn autocorrelation_time(series: &[f64]) -> Estimate {
    const WINDOW: f64 = 6.0;
    let n = series.len();
    let mean = mean(series).value;
    let deviations: Vec<f64> = series.iter().map(|x| x - mean).collect();
    let correlation = |t: usize| {
        let products = deviations.iter().zip(&deviations[t..]).map(|(x, y)| x * y);
        products.sum::<f64>() / (n - t) as f64
    };
    if n == 0 {
        return Estimate { value: f64::NAN, error: f64::INFINITY };
    }
    let variance = correlation(0);
    let (mut tau, mut t) = (0.5, 1);
    while t < n && (t as f64) < WINDOW * tau {
        tau += correlation(t) / variance;
        t += 1;
    }
    Estimate { value: tau, error: tau * libm::sqrt(2.0 * (2.0 * t as f64 + 1.0) / n as f64) }
}
