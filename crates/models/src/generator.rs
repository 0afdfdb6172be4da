//! Pictures from words, on any backend, in slices of any size.
//!
//! A [`Generator`] compiles the networks of a [`Pipeline`] once; a [`Job`] is one batch of pictures under way. A game
//! gives it a few launches per frame; dropping it cancels it. After [`start`](Generator::start)
//! nothing is allocated, unless the generator is [frugal](Generator::frugal) or a prompt weighs words or
//! [changes](prompt::schedule).

mod beginning;
mod error;
mod job;
mod pipeline;
mod request;
mod stages;
mod tiles;

use alloc::vec::Vec;
use core::borrow::Borrow;

use yuragi_graph::Backend;

pub use self::{
    error::Error,
    job::{Draft, Job},
    pipeline::{Batch, Network, Pipeline, Side, Words},
    request::{Begin, MOST_STEPS, Request, Sampling},
    stages::Done,
};
use self::{stages::Plans, tiles::Tiles};
use crate::{Settings, latent_diffusion::Drawing, prompt, tokenizer::Tokenizer};

/// The most pictures in a batch.
pub const MOST_PICTURES: usize = 1024;
/// The networks of a model, compiled for a number of pictures at a time. The store of parameters may be owned, borrowed
/// or shared.
///
/// ```
/// use yuragi_graph::Backend;
/// use yuragi_models::generator::{Error, Generator, Request, Sampling};
///
/// fn draw<B: Backend>(generator: &Generator<B>, prompt: &str) -> Result<Option<Vec<u8>>, Error> {
///     let request = Request { prompt, seed: 42, ..Request::default() };
///     let mut job = generator.start(&[request], &Sampling::default())?;
///     while !job.advance(50)?.is_all() {
///         // the rest of a frame
///     }
///     Ok(job.rgb8(0))
/// }
/// ```
pub struct Generator<B: Backend, S: Borrow<B::Store> = <B as Backend>::Store, P: Pipeline = Drawing> {
    pipeline: P,
    batch: Batch,
    store: S,
    plans: Plans<B>,
    tiles: Tiles,
    frugal: bool,
}

impl<B: Backend, S: Borrow<B::Store>, P: Pipeline> Generator<B, S, P> {
    /// Compiles a pipeline's networks for batches of pictures.
    ///
    /// # Errors
    /// What the pipeline refuses, 0 pictures or more than [`MOST_PICTURES`], or a backend that lacks a kernel.
    pub fn of(backend: &B, store: S, pipeline: P, batch: Batch) -> Result<Self, Error> {
        if !(1..=MOST_PICTURES).contains(&batch.pictures) {
            return Err(Error::Count { have: batch.pictures, most: MOST_PICTURES });
        }
        let plans = Plans::new(backend, &pipeline, batch)?;
        let tiles = tiles(&pipeline, batch.size, batch.size);
        Ok(Generator { pipeline, batch, store, plans, tiles, frugal: false })
    }

    /// With the encoder of pictures, which jobs need that begin at one.
    ///
    /// # Errors
    /// As for [`of`](Generator::of).
    pub fn with_encoder(mut self, backend: &B) -> Result<Self, Error> {
        self.plans.add_encoder(backend, &self.pipeline, self.batch)?;
        Ok(self)
    }

    /// With the network for [drafts](Job::draft), which else have the colours of latents.
    ///
    /// # Errors
    /// As for [`of`](Generator::of); a pipeline without one.
    pub fn with_preview(mut self, backend: &B) -> Result<Self, Error> {
        self.plans.add_preview(backend, &self.pipeline, self.batch)?;
        Ok(self)
    }

    /// Decodes pictures in tiles of so many pixels a side, which takes memory for one of them. Tiles overlap by a quarter
    /// at least and fade into each other; the decoder does not see beyond a tile, so the picture is not the same to the bit
    /// unless one tile holds it whole.
    ///
    /// # Errors
    /// As for [`of`](Generator::of): a tile must be a picture that the model can draw.
    pub fn with_tiles(mut self, backend: &B, side: usize) -> Result<Self, Error> {
        let size = self.batch.size.map(|pixels| pixels.min(side));
        self.plans.decode_by(backend, &self.pipeline, (Network::Decode, Batch { size, ..self.batch }))?;
        self.tiles = tiles(&self.pipeline, self.batch.size, size);
        Ok(self)
    }

    /// Decodes one picture after another, each with less memory, where the pipeline knows how; others go on at once. On the
    /// processor the bits are the same.
    ///
    /// # Errors
    /// As for [`of`](Generator::of).
    pub fn with_bands(mut self, backend: &B) -> Result<Self, Error> {
        if !self.pipeline.has_bands() {
            return Ok(self);
        }
        let one = Batch { pictures: 1, ..self.batch };
        self.plans.decode_by(backend, &self.pipeline, (Network::DecodeInBands, one))?;
        self.tiles = tiles(&self.pipeline, self.batch.size, self.batch.size).apart(self.batch.pictures);
        Ok(self)
    }

    /// Whether a job keeps only the arena of the network that runs, taking and giving back memory as it goes on.
    #[must_use]
    pub fn frugal(self, frugal: bool) -> Self {
        Generator { frugal, ..self }
    }

    /// What is drawn with.
    pub fn pipeline(&self) -> &P {
        &self.pipeline
    }

    /// Pictures in a batch.
    pub fn count(&self) -> usize {
        self.batch.pictures
    }

    /// Width and height of a picture in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.batch.size
    }

    /// The most bytes of a guided [`Job`]'s arenas at a time.
    pub fn memory(&self) -> usize {
        let arenas = self.plans.arenas();
        if self.frugal { arenas.into_iter().max().unwrap_or(0) } else { arenas.into_iter().sum() }
    }

    /// Begins up to [`count`](Generator::count) pictures; nothing is computed yet. Prompts may [change on the
    /// way](prompt::schedule); their steps are those that are taken.
    ///
    /// # Errors
    /// No request or too many, latents, pictures or masks of another size, a sampler that refuses its settings, or a
    /// store that lacks a parameter.
    pub fn start(&self, requests: &[Request<'_>], sampling: &Sampling) -> Result<Job<'_, B, S, P>, Error> {
        self.prepare(requests, sampling)?.furnished()
    }

    /// A job without arenas.
    fn prepare(&self, requests: &[Request<'_>], sampling: &Sampling) -> Result<Job<'_, B, S, P>, Error> {
        let guided = self.is_guided(sampling);
        let words: Vec<[Vec<Words>; 2]> = requests
            .iter()
            .map(|request| {
                [request.negative, request.prompt].map(|text| {
                    let steps = prompt::schedule(text, sampling.steps);
                    self.pipeline.read(prompt::at(&steps, 1), self.batch.chunks)
                })
            })
            .collect();
        self.check(requests, sampling)?;
        Job::new(self, requests, words, sampling, guided)
    }

    /// Whether the denoiser runs for both prompts.
    fn is_guided(&self, sampling: &Sampling) -> bool {
        sampling.guidance != 1.0 && !self.pipeline.guides_itself()
    }

    /// As [`start`](Generator::start), with each text read already.
    pub(crate) fn start_read(
        &self,
        requests: &[Request<'_>],
        words: Vec<[Vec<Words>; 2]>,
        sampling: &Sampling,
    ) -> Result<Job<'_, B, S, P>, Error> {
        self.check(requests, sampling)?;
        Job::new(self, requests, words, sampling, self.is_guided(sampling))?.furnished()
    }

    fn check(&self, requests: &[Request<'_>], sampling: &Sampling) -> Result<(), Error> {
        if requests.is_empty() || requests.len() > self.batch.pictures {
            return Err(Error::Count { have: requests.len(), most: self.batch.pictures });
        }
        let range = |what, value, legal, ok: bool| {
            ok.then_some(()).ok_or(yuragi_diffusion::Error::Range { what, value, legal })
        };
        let (steps, strength) = (sampling.steps, sampling.strength);
        range("the number of steps", steps as f64, "from 1 to 10000", (1..=MOST_STEPS).contains(&steps))?;
        range("the guidance", sampling.guidance.into(), "finite", sampling.guidance.is_finite())?;
        range("the rescaling", sampling.rescale.into(), "from 0 to 1", (0.0..=1.0).contains(&sampling.rescale))?;
        range("the strength", strength, "from 0 to 1", (0.0..=1.0).contains(&strength))?;
        let [width, height] = self.batch.size;
        let latent: usize = self.pipeline.latent(self.batch.size).iter().product();
        let kind = |begin: &Begin<'_>| match begin {
            Begin::Noise | Begin::Latents(_) => 0,
            Begin::Drawn(_) => 1,
            Begin::Picture(..) => 2,
        };
        if requests.iter().any(|request| kind(&request.begin) != kind(&requests[0].begin)) {
            return Err(Error::Mixed);
        }
        let length = |what, have: usize, want: usize| match have == want {
            true => Ok(()),
            false => Err(Error::Length { what, have, want }),
        };
        for request in requests {
            match request.begin {
                Begin::Noise => {}
                Begin::Latents(latents) | Begin::Drawn(latents) => {
                    length("the latents to begin with", latents.len(), latent)?;
                }
                Begin::Picture(picture, mask) => {
                    length("the picture to begin with", picture.len(), width * height * 3)?;
                    length("the mask", mask.map_or(width * height, <[f32]>::len), width * height)?;
                }
            }
        }
        Ok(())
    }
}

/// The tiles of a pipeline's pictures.
fn tiles<P: Pipeline>(pipeline: &P, size: [usize; 2], tile: [usize; 2]) -> Tiles {
    let [[h, w, _], [th, tw, _]] = [size, tile].map(|size| pipeline.latent(size));
    Tiles::new([h, w], [th, tw], size[1].checked_div(h).unwrap_or(1))
}

impl<B: Backend, S: Borrow<B::Store>> Generator<B, S> {
    /// Compiles the networks of a latent diffusion model for batches of `count` pictures.
    ///
    /// # Errors
    /// Settings that cannot be built, a tokenizer with more ids than the text encoder knows, a count
    /// outside 1 to [`MOST_PICTURES`], or a backend that lacks a kernel.
    pub fn new(backend: &B, store: S, settings: Settings, tokenizer: Tokenizer, count: usize) -> Result<Self, Error> {
        let size = [settings.size; 2];
        let batch = Batch { pictures: count, size, chunks: 1, skip: 0 };
        Generator::of(backend, store, Drawing::new(settings, tokenizer)?, batch)
    }

    /// The model's extents.
    pub fn settings(&self) -> &Settings {
        self.pipeline.settings()
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
        if seeds.len() != captions.len() {
            return Err(Error::Count { have: captions.len(), most: self.count() });
        }
        let requests: Vec<Request<'_>> = seeds.iter().map(|&seed| Request { seed, ..Request::default() }).collect();
        let words = captions.iter().map(|both| both.map(|ids| alloc::vec![Words::I32(ids.into())])).collect();
        self.start_read(&requests, words, sampling)
    }
}
