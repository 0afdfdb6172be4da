use alloc::{vec, vec::Vec};
use core::borrow::Borrow;

use yuragi_diffusion::{Ladder, Sampler, Source, guidance::classifier_free, sampler::Batch};
use yuragi_graph::{Backend, Plan, Progress, Slice, SliceMut};

use super::{Error, Generator, Sampling};
use crate::tokenizer::PAD;

/// A batch of pictures under way. Batches hold negative prompts first, then prompts.
pub struct Job<'a, B: Backend, S: Borrow<B::Store> = <B as Backend>::Store> {
    generator: &'a Generator<B, S>,
    requests: usize,
    guidance: f32,
    stage: Stage,
    states: [<B::Plan as Plan>::State; 3],
    /// Launches left of the network that runs; `None` before it has begun.
    remaining: Option<usize>,
    done: usize,
    sampler: Sampler,
    noise: Vec<Source>,
    captions: Vec<i32>,
    tokens: Vec<f32>,
    mask: Vec<f32>,
    pooled: Vec<f32>,
    latents: Vec<f32>,
    /// The latents, once for each half of the batch.
    x: Vec<f32>,
    t: Vec<f32>,
    samples: Vec<f32>,
    pictures: Vec<f32>,
}

/// The networks in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Text = 0,
    Denoise = 1,
    Decode = 2,
    Done = 3,
}

/// How far a [`Job`] is, in launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Launches made.
    pub done: usize,
    /// Launches from start to end.
    pub total: usize,
}

impl Done {
    /// Whether the pictures are there.
    pub fn is_all(self) -> bool {
        self.done == self.total
    }
}

impl<'a, B: Backend, S: Borrow<B::Store>> Job<'a, B, S> {
    /// A job for 1 to `generator.count` pairs of captions.
    pub(super) fn new(
        generator: &'a Generator<B, S>,
        captions: &[[&[i32]; 2]],
        seeds: &[u64],
        sampling: &Sampling,
    ) -> Result<Job<'a, B, S>, Error> {
        let (settings, n) = (&generator.settings, generator.count);
        let (text, latent) = (&settings.text, settings.latent_len());
        let guided = sampling.guidance != 1.0;
        let rows = if guided { 2 * n } else { n };
        let ladder = Ladder::flow(sampling.steps, sampling.shift)?;
        let seed = |place: usize| seeds.get(place).copied().unwrap_or(0);
        let source = |place| Source::new(sampling.rng, seed(place), latent, settings.autoencoder.latent);
        let state = |stage| generator.plan(stage, guided).state(generator.store.borrow());
        let mut job = Job {
            generator,
            requests: captions.len(),
            guidance: sampling.guidance,
            stage: Stage::Text,
            states: [state(Stage::Text)?, state(Stage::Denoise)?, state(Stage::Decode)?],
            remaining: None,
            done: 0,
            sampler: Sampler::new(sampling.sampler, &ladder, n * latent)?,
            noise: (0..n).map(source).collect::<Result<_, _>>()?,
            captions: vec![PAD.cast_signed(); 2 * n * text.length],
            tokens: vec![0.0; 2 * n * text.length * text.width],
            mask: vec![0.0; 2 * n * text.length],
            pooled: vec![0.0; 2 * n * text.width],
            latents: vec![0.0; n * latent],
            x: vec![0.0; rows * latent],
            t: vec![0.0; rows],
            samples: vec![0.0; rows * latent],
            pictures: vec![0.0; n * settings.picture_len()],
        };
        let (negative, positive) = job.captions.split_at_mut(n * text.length);
        for (place, half) in [negative, positive].into_iter().enumerate() {
            for (row, caption) in half.chunks_exact_mut(text.length).zip(captions) {
                row.iter_mut().zip(caption[place]).for_each(|(to, from)| *to = *from);
            }
        }
        job.sampler.start(&mut job.latents, &mut Batch::new(&mut job.noise, latent)?)?;
        Ok(job)
    }

    /// Goes on for at most so many launches; `usize::MAX` runs to the end.
    ///
    /// # Errors
    /// What the backend reports; the job can then only be dropped.
    pub fn advance(&mut self, launches: usize) -> Result<Done, Error> {
        let generator = self.generator;
        let mut left = launches;
        while self.stage != Stage::Done && left > 0 {
            let before = match self.remaining {
                Some(remaining) => remaining,
                None => self.begin()?,
            };
            let plan = generator.plan(self.stage, self.is_guided());
            let state = &mut self.states[self.stage.network()];
            let after = match plan.advance(state, generator.store.borrow(), left)? {
                Progress::Running(remaining) => remaining,
                Progress::Done => 0,
            };
            let made = before.saturating_sub(after);
            (self.done, left) = (self.done + made, left.saturating_sub(made.max(1)));
            self.remaining = Some(after);
            if after == 0 {
                self.finish()?;
                self.remaining = None;
            }
        }
        Ok(self.progress())
    }

    /// How far the job is.
    pub fn progress(&self) -> Done {
        let launches = |stage| self.generator.plan(stage, self.is_guided()).launches();
        let denoise = launches(Stage::Denoise) * self.sampler.evaluations();
        Done { done: self.done, total: launches(Stage::Text) + denoise + launches(Stage::Decode) }
    }

    /// The picture of a request: `[S, S, 3]` in 0..1, row by row. `None` before the end and for
    /// requests that were not made.
    pub fn picture(&self, request: usize) -> Option<&[f32]> {
        let there = self.stage == Stage::Done && request < self.requests;
        self.pictures.chunks_exact(self.generator.settings.picture_len()).nth(request).filter(|_| there)
    }

    /// [`picture`](Job::picture) in bytes.
    pub fn rgb8(&self, request: usize) -> Option<Vec<u8>> {
        Some(self.picture(request)?.iter().map(|x| libm::roundf(x * 255.0) as u8).collect())
    }

    /// The latents under way, `[count, S/4, S/4, Z]`, standardised.
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// A guess of a request's picture while it is drawn: `[S/4, S/4, 3]` in 0..1. `None` before the
    /// first step, and where the settings have no colours of latents.
    pub fn preview(&self, request: usize) -> Option<Vec<f32>> {
        let settings = &self.generator.settings;
        let guesses = self.samples.get(self.samples.len() - self.latents.len()..)?;
        let there = self.sampler.done() > 0 && request < self.requests;
        let guess = guesses.chunks_exact(settings.latent_len()).nth(request).filter(|_| there)?;
        settings.latents.colours(guess)
    }

    fn is_guided(&self) -> bool {
        self.x.len() > self.latents.len()
    }

    /// Begins the stage's network; returns its launches.
    fn begin(&mut self) -> Result<usize, Error> {
        let guided = self.is_guided();
        let plan = self.generator.plan(self.stage, guided);
        let state = &mut self.states[self.stage.network()];
        match self.stage {
            Stage::Text => plan.begin(state, &[Slice::I32(&self.captions)])?,
            Stage::Denoise => {
                self.t.fill(self.sampler.request().map_or(0.0, |point| point.time as f32));
                self.x.chunks_exact_mut(self.latents.len()).for_each(|half| half.copy_from_slice(&self.latents));
                let of = |all| Slice::F32(if guided { all } else { all.split_at(all.len() / 2).1 });
                let text: [Slice<'_>; 3] = [&self.tokens, &self.mask, &self.pooled].map(|all| of(all.as_slice()));
                plan.begin(state, &[Slice::F32(&self.x), Slice::F32(&self.t), text[0], text[1], text[2]])?;
            }
            Stage::Decode | Stage::Done => plan.begin(state, &[Slice::F32(&self.latents)])?,
        }
        Ok(plan.launches())
    }

    /// Takes in what the stage's network gave.
    fn finish(&mut self) -> Result<(), Error> {
        let plan = self.generator.plan(self.stage, self.is_guided());
        let state = &self.states[self.stage.network()];
        match self.stage {
            Stage::Text => {
                let Job { tokens, mask, pooled, .. } = self;
                plan.finish(state, &mut [SliceMut::F32(tokens), SliceMut::F32(mask), SliceMut::F32(pooled)])?;
                self.stage = Stage::Denoise;
            }
            Stage::Denoise => {
                plan.finish(state, &mut [SliceMut::F32(&mut self.samples)])?;
                let (negative, sample) = self.samples.split_at_mut(self.x.len() - self.latents.len());
                if !negative.is_empty() {
                    classifier_free(negative, sample, self.guidance)?;
                }
                let mut noise = Batch::new(&mut self.noise, self.generator.settings.latent_len())?;
                self.sampler.advance(&mut self.latents, sample, &mut noise)?;
                if self.sampler.request().is_none() {
                    self.stage = Stage::Decode;
                }
            }
            Stage::Decode | Stage::Done => {
                plan.finish(state, &mut [SliceMut::F32(&mut self.pictures)])?;
                self.pictures.iter_mut().for_each(|x| *x = (*x * 0.5 + 0.5).clamp(0.0, 1.0));
                self.stage = Stage::Done;
            }
        }
        Ok(())
    }
}

impl Stage {
    /// The place of the network's state.
    fn network(self) -> usize {
        (self as usize).min(Stage::Decode as usize)
    }
}

impl<B: Backend, S: Borrow<B::Store>> Generator<B, S> {
    fn plan(&self, stage: Stage, guided: bool) -> &B::Plan {
        match stage {
            Stage::Text => &self.text,
            Stage::Denoise if guided => &self.guided,
            Stage::Denoise => &self.denoise,
            Stage::Decode | Stage::Done => &self.decode,
        }
    }
}
