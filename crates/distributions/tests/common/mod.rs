//! What the tests of this crate share.
#![allow(dead_code, reason = "each test program uses a part")]

use yuragi_distributions::random::{standard_normal, uniform};
use yuragi_numeric::philox::Philox;

pub fn rng(seed: u32) -> Philox {
    Philox::new([seed, 2718], 0)
}

/// Uniform on [low, high).
pub fn between(rng: &mut Philox, low: f64, high: f64) -> f64 {
    low + (high - low) * uniform(rng)
}

/// `n` probabilities, from nearly equal to nearly all in one place.
pub fn probabilities(rng: &mut Philox, n: usize) -> Vec<f64> {
    let power = between(rng, 0.5, 8.0);
    let weights: Vec<f64> = (0..n).map(|_| uniform(rng).powf(power) + 1e-12).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// A·Aᵀ + d·I/10 with standard normal entries in A: positive definite.
pub fn covariance(rng: &mut Philox, d: usize) -> Vec<f64> {
    let a: Vec<f64> = (0..d * d).map(|_| standard_normal(rng)).collect();
    let mut sigma = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..d {
            sigma[i * d + j] = (0..d).map(|k| a[i * d + k] * a[j * d + k]).sum();
        }
        sigma[i * d + i] += 0.1 * d as f64;
    }
    sigma
}

/// The weights w with Σ w·y = the slope of the line of least squares through (x, y).
pub fn slope_weights(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let squares: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    x.iter().map(|x| (x - mean) / squares).collect()
}

/// The largest difference of two lists of the same length.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |max, (a, b)| {
        let difference = (a - b).abs();
        if difference.is_nan() { f64::NAN } else { max.max(difference) }
    })
}
