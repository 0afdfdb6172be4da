//! Pictures from words, on any backend, in slices of any size.
//!
//! A [`Generator`] compiles the networks once; a [`Job`] is one batch of pictures under way. A game
//! gives it a few launches per frame; dropping it cancels it. After [`start`](Generator::start)
//! nothing is allocated.

mod error;
mod job;

use alloc::vec::Vec;
use core::borrow::Borrow;

use yuragi_diffusion::{Kind, Rng};
use yuragi_graph::{Backend, Plan};

pub use self::{
    error::Error,
    job::{Done, Job},
};
use crate::{Settings, latent_diffusion as graphs, tokenizer::Tokenizer};

/// The most pictures in a batch.
pub const MOST_PICTURES: usize = 1024;
/// The most steps of a sampler.
pub const MOST_STEPS: usize = 10_000;

/// What to draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// What the picture shows.
    pub prompt: &'a str,
    /// What guidance leads away from; usually nothing.
    pub negative: &'a str,
    /// The picture's noise: equal requests with equal seeds give equal pictures, whatever stands beside them.
    pub seed: u64,
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
    /// The generator that a request's seed is for.
    pub rng: Rng,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { sampler: Kind::Euler, steps: 8, guidance: 1.5, shift: 1.0, rng: Rng::Yuragi }
    }
}

/// The networks of a latent diffusion model, compiled for a number of pictures at a time. The store
/// of parameters may be owned, borrowed or shared.
///
/// ```
/// use yuragi_graph::Backend;
/// use yuragi_models::generator::{Error, Generator, Request, Sampling};
///
/// fn draw<B: Backend>(generator: &Generator<B>, prompt: &str) -> Result<Option<Vec<u8>>, Error> {
///     let request = Request { prompt, negative: "", seed: 42 };
///     let mut job = generator.start(&[request], &Sampling::default())?;
///     while !job.advance(50)?.is_all() {
///         // the rest of a frame
///     }
///     Ok(job.rgb8(0))
/// }
/// ```
pub struct Generator<B: Backend, S: Borrow<B::Store> = <B as Backend>::Store> {
    settings: Settings,
    tokenizer: Tokenizer,
    count: usize,
    store: S,
    text: B::Plan,
    denoise: B::Plan,
    guided: B::Plan,
    decode: B::Plan,
}

impl<B: Backend, S: Borrow<B::Store>> Generator<B, S> {
    /// Compiles the networks for batches of `count` pictures.
    ///
    /// # Errors
    /// Settings that cannot be built, a tokenizer with more ids than the text encoder knows, a count
    /// outside 1 to [`MOST_PICTURES`], or a backend that lacks a kernel.
    pub fn new(backend: &B, store: S, settings: Settings, tokenizer: Tokenizer, count: usize) -> Result<Self, Error> {
        settings.check()?;
        let (have, known) = (tokenizer.vocab_size(), settings.text.vocabulary);
        if have > known {
            return Err(Error::Vocabulary { have, known });
        }
        if !(1..=MOST_PICTURES).contains(&count) {
            return Err(Error::Count { have: count, most: MOST_PICTURES });
        }
        Ok(Generator {
            text: backend.compile(&graphs::encode_text(&settings, 2 * count)?)?,
            denoise: backend.compile(&graphs::denoise(&settings, count)?)?,
            guided: backend.compile(&graphs::denoise(&settings, 2 * count)?)?,
            decode: backend.compile(&graphs::decode(&settings, count)?)?,
            settings,
            tokenizer,
            count,
            store,
        })
    }

    /// The model's extents.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Pictures in a batch.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes of a guided [`Job`]'s arenas.
    pub fn memory(&self) -> usize {
        [&self.text, &self.guided, &self.decode].iter().map(|plan| plan.memory().arena).sum()
    }

    /// Begins up to [`count`](Generator::count) pictures; nothing is computed yet.
    ///
    /// # Errors
    /// No request or too many, a sampler that refuses its settings, or a store that lacks a parameter.
    pub fn start(&self, requests: &[Request<'_>], sampling: &Sampling) -> Result<Job<'_, B, S>, Error> {
        let length = self.settings.text.length;
        let tokens = |text: &str| self.tokenizer.ids(text, length);
        let captions: Vec<[Vec<i32>; 2]> = requests.iter().map(|r| [tokens(r.negative), tokens(r.prompt)]).collect();
        let captions: Vec<[&[i32]; 2]> = captions.iter().map(|[n, p]| [n.as_slice(), p.as_slice()]).collect();
        let seeds: Vec<u64> = requests.iter().map(|r| r.seed).collect();
        self.start_ids(&captions, &seeds, sampling)
    }

    /// As [`start`](Generator::start), from the ids of each picture's negative prompt and prompt and its seed.
    ///
    /// # Errors
    /// As for [`start`](Generator::start); also other numbers of captions and seeds.
    pub fn start_ids(
        &self,
        captions: &[[&[i32]; 2]],
        seeds: &[u64],
        sampling: &Sampling,
    ) -> Result<Job<'_, B, S>, Error> {
        if captions.is_empty() || captions.len() > self.count || seeds.len() != captions.len() {
            return Err(Error::Count { have: captions.len(), most: self.count });
        }
        let range = |what, value, legal, ok: bool| {
            ok.then_some(()).ok_or(yuragi_diffusion::Error::Range { what, value, legal })
        };
        range(
            "the number of steps",
            sampling.steps as f64,
            "from 1 to 10000",
            (1..=MOST_STEPS).contains(&sampling.steps),
        )?;
        range("the guidance", sampling.guidance.into(), "finite", sampling.guidance.is_finite())?;
        Job::new(self, captions, seeds, sampling)
    }
}
