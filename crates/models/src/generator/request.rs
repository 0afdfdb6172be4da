//! What to draw, and how.

use yuragi_diffusion::{Kind, Rng, Spacing, guidance::Interval};

/// The most steps of a sampler.
pub const MOST_STEPS: usize = 10_000;

/// What to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request<'a> {
    /// What the picture shows.
    pub prompt: &'a str,
    /// What guidance leads away from; usually nothing.
    pub negative: &'a str,
    /// The picture's noise: equal requests with equal seeds give equal pictures, whatever stands beside them.
    pub seed: u64,
    /// Where the picture begins.
    pub begin: Begin<'a>,
}

/// Where a picture begins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Begin<'a> {
    /// At the noise of the seed.
    #[default]
    Noise,
    /// At this noise of unit variance, `[h, w, Z]`.
    Latents(&'a [f32]),
    /// At latents `[h, w, Z]` that are drawn already, as [`Job::latents`](super::Job::latents) gives them, of which
    /// [`Sampling::strength`] is drawn anew.
    Drawn(&'a [f32]),
    /// At a picture `[H, W, 3]` in −1..1, of which [`Sampling::strength`] is drawn anew; with a mask `[H, W]`, only
    /// where that is at least ½.
    Picture(&'a [f32], Option<&'a [f32]>),
}

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The sampler.
    pub sampler: Kind,
    /// Its steps, 1 to [`MOST_STEPS`].
    pub steps: usize,
    /// The weight of classifier-free guidance, finite; 1 is none and takes half the time.
    pub guidance: f32,
    /// More than 1 spends more of the steps on noisy latents.
    pub shift: f64,
    /// Where the steps lie, if not where the model has them.
    pub spacing: Option<Spacing>,
    /// How far guidance keeps the deviation of what it guides, 0 to 1.
    pub rescale: f32,
    /// The noise levels at which guidance acts.
    pub interval: Interval,
    /// The generator that a request's seed is for.
    pub rng: Rng,
    /// The share of the steps that a picture goes through which does not begin at noise, 0 to 1.
    pub strength: f64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            sampler: Kind::Euler,
            steps: 8,
            guidance: 1.5,
            shift: 1.0,
            spacing: None,
            rescale: 0.0,
            interval: Interval::default(),
            rng: Rng::Yuragi,
            strength: 1.0,
        }
    }
}
