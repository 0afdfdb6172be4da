//! The continuous processes of Song et al. 2021 and Langevin dynamics.

use crate::error::{Error, length, range};
use crate::sampler::Noise;
pub use crate::schedule::Sde;

/// One step of unadjusted overdamped Langevin dynamics,
/// `x ← x + step·score + √(2·step)·n`; `stream` numbers the step.
///
/// For a Gaussian target of variance v its stationary variance is
/// v/(1 − step/(2v)).
///
/// # Errors
/// Slices that differ in length, or a step that is not positive and finite.
pub fn langevin(x: &mut [f32], score: &[f32], step: f64, stream: u32, noise: &mut impl Noise) -> Result<(), Error> {
    length("the score", score.len(), x.len())?;
    range("the step", step, step > 0.0 && step.is_finite(), "positive and finite")?;
    let (step, scale) = (step as f32, libm::sqrt(2.0 * step) as f32);
    let mut fresh = [0.0; 256];
    for (i, (x, score)) in x.chunks_mut(256).zip(score.chunks(256)).enumerate() {
        let fresh = &mut fresh[..x.len()];
        noise.fill(stream, i * 256, fresh);
        for ((x, score), n) in x.iter_mut().zip(score).zip(fresh) {
            *x += step * score + scale * *n;
        }
    }
    Ok(())
}
