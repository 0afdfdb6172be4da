//! Data whose perfect denoiser is known.
#![allow(dead_code)]

use yuragi_diffusion::{Ladder, Noise, Point, Sampler};

/// A mixture of one-dimensional Gaussians: (weight, mean, variance).
#[derive(Clone)]
pub struct Mixture(pub Vec<(f64, f64, f64)>);

impl Mixture {
    pub fn gaussian(mean: f64, variance: f64) -> Self {
        Self(vec![(1.0, mean, variance)])
    }

    /// For every component, its posterior probability and E[x₀ | x] in it.
    fn posterior(&self, at: Point, x: f64) -> Vec<(f64, f64)> {
        let terms: Vec<_> = self
            .0
            .iter()
            .map(|&(weight, mean, variance)| {
                let total = at.alpha * at.alpha * variance + at.sigma * at.sigma;
                let distance = x - at.alpha * mean;
                let log = weight.ln() - 0.5 * (total.ln() + distance * distance / total);
                (log, mean + at.alpha * variance / total * distance)
            })
            .collect();
        let max = terms.iter().fold(f64::NEG_INFINITY, |max, term| max.max(term.0));
        let sum: f64 = terms.iter().map(|term| (term.0 - max).exp()).sum();
        terms.into_iter().map(|(log, mean)| ((log - max).exp() / sum, mean)).collect()
    }

    /// The perfect denoiser E[x₀ | x].
    pub fn denoise(&self, at: Point, x: f64) -> f64 {
        self.posterior(at, x).iter().map(|(p, mean)| p * mean).sum()
    }

    /// The perfect denoiser over a state.
    pub fn denoise_all(&self, at: Point, x: &[f32]) -> Vec<f32> {
        if let [_] = self.0[..] {
            // One Gaussian: affine.
            let offset = self.denoise(at, 0.0);
            let gain = self.denoise(at, 1.0) - offset;
            return x.iter().map(|x| (offset + gain * f64::from(*x)) as f32).collect();
        }
        x.iter().map(|x| self.denoise(at, f64::from(*x)) as f32).collect()
    }
}

/// The mixture that the tests take where a Gaussian would be too simple.
pub fn mixture() -> Mixture {
    Mixture(vec![(0.5, -1.0, 0.04), (0.3, 0.4, 0.09), (0.2, 1.5, 0.01)])
}

/// Runs `sampler` to its end.
pub fn run(
    sampler: &mut Sampler,
    state: &mut [f32],
    noise: &mut impl Noise,
    denoise: impl Fn(Point, &[f32]) -> Vec<f32>,
) {
    while let Some(at) = sampler.request() {
        let sample = denoise(at, state);
        sampler.advance(state, &sample, noise).unwrap();
    }
}

/// The ladder without its last point, so that it ends above σ = 0.
pub fn without_end(ladder: &Ladder) -> Ladder {
    let points = &ladder.points()[..ladder.steps()];
    Ladder::new(points.iter().copied(), ladder.coordinate()).unwrap()
}

/// Mean and variance.
pub fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance)
}
