//! Limits of the estimate of x₀.

use crate::error::{Error, range};

/// How an estimate of x₀ is kept within what data can be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Clip {
    /// Not at all: latents have no bounds.
    #[default]
    None,
    /// To \[−bound, bound\], for pictures.
    Static {
        /// The bound, commonly 1.
        bound: f32,
    },
    /// Dynamic thresholding (Saharia et al. 2022, appendix A.1): a picture is
    /// clipped to \[−s, s\] and divided by s, where s is a quantile of its
    /// absolute values, at least 1 and at most `most`.
    Dynamic {
        /// The quantile, commonly 0.995.
        quantile: f32,
        /// The largest s.
        most: f32,
        /// Values of one picture; the state holds one picture after another.
        picture: usize,
    },
}

impl Clip {
    /// Checks the numbers, for states of `len` values.
    pub(crate) fn check(self, len: usize) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Static { bound } => {
                range("the clip's bound", bound.into(), bound > 0.0 && bound.is_finite(), "positive and finite")
            }
            Self::Dynamic { quantile, most, picture } => {
                range("the quantile", quantile.into(), (0.0..=1.0).contains(&quantile), "from 0 to 1")?;
                range("the largest threshold", most.into(), most >= 1.0 && most.is_finite(), "finite and at least 1")?;
                let fits = picture > 0 && len.is_multiple_of(picture);
                range("the picture's length", picture as f64, fits, "a divisor of the state's length")
            }
        }
    }

    /// How many values [`apply`](Self::apply) needs to work on.
    pub(crate) fn scratch(self) -> usize {
        match self {
            Self::Dynamic { picture, .. } => picture,
            _ => 0,
        }
    }

    /// Clips `samples`; `scratch` has [`scratch`](Self::scratch) values.
    pub(crate) fn apply(self, samples: &mut [f32], scratch: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Static { bound } => samples.iter_mut().for_each(|x| *x = x.clamp(-bound, bound)),
            Self::Dynamic { quantile, most, picture } => {
                for sample in samples.chunks_mut(picture) {
                    let magnitudes = &mut scratch[..sample.len()];
                    magnitudes.iter_mut().zip(&*sample).for_each(|(to, x)| *to = x.abs());
                    let s = self::quantile(magnitudes, quantile).max(1.0).min(most);
                    sample.iter_mut().for_each(|x| *x = x.clamp(-s, s) / s);
                }
            }
        }
    }
}

/// The quantile of at least one value, linear between two of them; reorders.
fn quantile(values: &mut [f32], q: f32) -> f32 {
    let place = q * (values.len() - 1) as f32;
    let below = (place as usize).min(values.len() - 1);
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let high = above.iter().copied().reduce(f32::min).unwrap_or(low);
    low + (high - low) * (place - below as f32)
}
