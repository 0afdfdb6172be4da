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

/// ln((1/n) Σ eˣ) of independent x, without overflow; the error is that of the mean, divided by the
/// mean. Heavy tails of x make it, and the value, too small: see [`effective_sample_size`].
pub fn log_mean_exp(values: &[f64]) -> Estimate {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return Estimate { value: if values.is_empty() { f64::NAN } else { largest }, error: f64::INFINITY };
    }
    let scaled: Vec<f64> = values.iter().map(|x| libm::exp(x - largest)).collect();
    let mean = mean(&scaled);
    Estimate { value: largest + libm::log(mean.value), error: mean.error / mean.value }
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
