use alloc::{vec, vec::Vec};
use core::borrow::Borrow;

use yuragi_diffusion::{
    Noise, Sampler, Source,
    guidance::{Interval, classifier_free_rescaled},
    sampler::Batch as Sources,
};
use yuragi_graph::{Backend, Plan, Progress, Slice, SliceMut};
use yuragi_numeric::level;

use super::{
    Begin, Done, Error, Generator, Pipeline, Request, Sampling, Side, Words,
    beginning::Beginning,
    stages::{Compiled, Stage},
};
use crate::{
    latent_diffusion::Drawing,
    prompt::{self, Schedule},
};

/// The most inputs and outputs of a network.
const MOST: usize = 12;

/// A batch of pictures under way. Batches hold negative prompts first, then prompts.
pub struct Job<'a, B: Backend, S: Borrow<B::Store> = <B as Backend>::Store, P: Pipeline = Drawing> {
    generator: &'a Generator<B, S, P>,
    requests: usize,
    guided: bool,
    guidance: f32,
    rescale: f32,
    interval: Interval,
    stage: Stage,
    /// The arenas of the text network, the encoder, the denoiser and the decoder.
    states: [Option<<B::Plan as Plan>::State>; 4],
    /// Launches left of the network that runs; `None` before it has begun.
    remaining: Option<usize>,
    done: usize,
    sampler: Sampler,
    noise: Vec<Source>,
    /// The inputs of the text network.
    words: Vec<Words>,
    /// What the prompts say at which step.
    schedules: Vec<[Schedule; 2]>,
    /// Steps that are taken.
    steps: usize,
    /// How often the prompts are read.
    readings: usize,
    /// Its outputs.
    features: Vec<Vec<f32>>,
    /// Where the denoiser's inputs come from, and what else it is told.
    feeds: Vec<Feed>,
    told: Vec<Vec<f32>>,
    latents: Vec<f32>,
    /// The latents, once for each half of the batch.
    x: Vec<f32>,
    t: Vec<f32>,
    samples: Vec<f32>,
    pictures: Vec<f32>,
    /// The tile that is decoded, and its latents and pictures if it is not the whole.
    tile: usize,
    cut: Vec<f32>,
    pasted: Vec<f32>,
    begin: Option<Beginning>,
}

/// A guess of a picture while it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Width and height: the picture's, or the latent's.
    pub size: [usize; 2],
    /// Colours in 0..1, row by row.
    pub rgb: Vec<f32>,
}

/// An input of the denoiser.
#[derive(Clone, Copy)]
enum Feed {
    Latents,
    Time,
    Feature(usize),
    Told(usize),
    Given,
}

impl<'a, B: Backend, S: Borrow<B::Store>, P: Pipeline> Job<'a, B, S, P> {
    /// A job for 1 to `generator.count` requests that were checked.
    pub(super) fn new(
        generator: &'a Generator<B, S, P>,
        requests: &[Request<'_>],
        words: Vec<[Vec<Words>; 2]>,
        sampling: &Sampling,
        guided: bool,
    ) -> Result<Job<'a, B, S, P>, Error> {
        let (pipeline, n, size) = (&generator.pipeline, generator.batch.pictures, generator.batch.size);
        let [height, width, channels] = pipeline.latent(size);
        let latent = height * width * channels;
        let rows = if guided { 2 * n } else { n };
        let from_pictures = requests.iter().any(|request| matches!(request.begin, Begin::Picture(..)));
        let from_drawn = requests.iter().any(|request| matches!(request.begin, Begin::Drawn(_)));
        if from_pictures && !generator.plans.has_encoder() {
            return Err(Error::Lacks("encoder of pictures in this generator"));
        }
        let mut plan = pipeline.plan(sampling)?;
        let start = plan.sampler(latent, latent)?.deviation();
        if from_pictures || from_drawn {
            let steps = (plan.ladder.steps() as f64 * sampling.strength) as usize;
            plan = plan.tail(steps.max(1))?;
        }
        let steps = plan.ladder.steps();
        let texts = requests.iter().map(|request| [request.negative, request.prompt]);
        let schedules = texts.map(|both| both.map(|text| prompt::schedule(text, sampling.steps))).collect();
        let seed = |place: usize| requests.get(place).map_or(0, |request| request.seed);
        let source = |place| Source::new(sampling.rng, seed(place), latent, channels);
        let denoise = generator.plans.get(Stage::Denoise, guided);
        let text = generator.plans.get(Stage::Text, guided);
        let mut told = Vec::new();
        let mut feeds = Vec::new();
        for (name, count) in &denoise.inputs {
            let feature = text.outputs.iter().position(|(output, _)| output == name);
            feeds.push(match (name.as_str(), feature) {
                ("x", _) => Feed::Latents,
                ("t", _) => Feed::Time,
                ("given", _) => Feed::Given,
                (_, Some(feature)) => Feed::Feature(feature),
                (name, None) => {
                    let row = |row: usize| {
                        let side = if guided && row < n { Side::Negative } else { Side::Prompt };
                        pipeline.told(name, side, size, sampling.guidance)
                    };
                    let mut values: Vec<f32> = (0..rows).filter_map(row).flatten().collect();
                    values.resize(*count, 0.0);
                    told.push(values);
                    Feed::Told(told.len() - 1)
                }
            });
        }
        let wants_given = denoise.inputs.iter().find(|(name, _)| name == "given").map(|(_, count)| *count);
        if wants_given.is_some() && !from_pictures {
            return Err(Error::Lacks("use for words alone: it paints into pictures, so name one and a mask"));
        }
        let tiled = generator.tiles.are_parts();
        let decode = generator.plans.get(Stage::Decode, guided);
        let buffer = |count: Option<usize>| vec![0.0; count.filter(|_| tiled).unwrap_or(0)];
        let sampler = plan.sampler(n * latent, latent)?;
        if sampler.outputs() != n * latent {
            return Err(Error::Lacks(
                "output for variances, which this ddpm reads beside the prediction: choose another sampler",
            ));
        }
        let first = sampler.request();
        let mut job = Job {
            generator,
            requests: requests.len(),
            guided,
            guidance: sampling.guidance,
            rescale: sampling.rescale,
            interval: sampling.interval,
            stage: Stage::Text,
            states: [None, None, None, None],
            remaining: None,
            done: 0,
            sampler,
            noise: (0..n).map(source).collect::<Result<_, _>>()?,
            words: Words::arranged(&text.inputs, &words, n),
            schedules,
            steps,
            readings: 1,
            features: text.outputs.iter().map(|(_, count)| vec![0.0; *count]).collect(),
            feeds,
            told,
            latents: vec![0.0; n * latent],
            x: vec![0.0; rows * latent],
            t: vec![0.0; rows],
            samples: vec![0.0; rows * latent],
            pictures: vec![0.0; n * size[0] * size[1] * 3],
            tile: 0,
            cut: buffer(decode.inputs.first().map(|(_, count)| *count)),
            pasted: buffer(decode.outputs.first().map(|(_, count)| *count)),
            begin: None,
        };
        if let (true, Some(first)) = (from_pictures || from_drawn, first) {
            let whole = sampling.strength >= 1.0;
            let mut begin = Beginning::new(requests, n, size, [height, width, channels], whole.then_some(start), first);
            if let Some(count) = wants_given {
                begin.give(count);
            }
            Sources::new(&mut job.noise, latent)?.fill(0, 0, &mut begin.noise);
            job.sampler.restart();
            job.begin = Some(begin);
        } else {
            job.sampler.start(&mut job.latents, &mut Sources::new(&mut job.noise, latent)?)?;
            for (to, request) in job.latents.chunks_exact_mut(latent.max(1)).zip(requests) {
                if let Begin::Latents(from) = request.begin {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = from * start);
                }
            }
        }
        job.readings += (1..job.sampler.evaluations()).filter(|evaluation| job.changes(*evaluation)).count();
        Ok(job)
    }

    /// With the arenas that it will need, unless the generator is frugal.
    pub(super) fn furnished(mut self) -> Result<Self, Error> {
        self.furnish_all()?;
        Ok(self)
    }

    fn furnish_all(&mut self) -> Result<(), Error> {
        if self.generator.frugal {
            return Ok(());
        }
        if self.begin.as_ref().is_some_and(|begin| !begin.drawn) {
            self.furnish(Stage::Encode { kept: false })?;
        }
        [Stage::Text, Stage::Denoise, Stage::Decode].into_iter().try_for_each(|stage| self.furnish(stage))
    }

    /// Cancels what is under way and begins other pictures in the same arenas: all that is allocated is what
    /// [`start`](Generator::start) takes beside them.
    ///
    /// # Errors
    /// As for [`start`](Generator::start); what is under way then goes on.
    ///
    /// ```
    /// use yuragi_graph::Backend;
    /// use yuragi_models::generator::{Error, Generator, Job, Request, Sampling};
    ///
    /// fn think_again<B: Backend>(job: &mut Job<'_, B>) -> Result<(), Error> {
    ///     job.restart(&[Request { prompt: "a dog", seed: 8, ..Request::default() }], &Sampling::default())
    /// }
    /// ```
    pub fn restart(&mut self, requests: &[Request<'_>], sampling: &Sampling) -> Result<(), Error> {
        let mut next = self.generator.prepare(requests, sampling)?;
        next.states = core::mem::take(&mut self.states);
        if next.guided != self.guided {
            // The denoiser is another plan.
            next.states[Stage::Denoise.arena()] = None;
        }
        *self = next;
        self.furnish_all()
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
            let plan = &self.network().plan;
            let Some(state) = &mut self.states[self.stage.arena()] else { break };
            let after = match plan.advance(state, generator.store.borrow(), left)? {
                Progress::Running(remaining) => remaining,
                Progress::Done => 0,
            };
            let made = before.saturating_sub(after);
            (self.done, left) = (self.done + made, left.saturating_sub(made.max(1)));
            self.remaining = Some(after);
            if after == 0 {
                let ended = self.stage;
                self.finish()?;
                self.remaining = None;
                if generator.frugal && self.stage.arena() != ended.arena() {
                    self.states[ended.arena()] = None;
                }
            }
        }
        Ok(self.progress())
    }

    /// How far the job is.
    pub fn progress(&self) -> Done {
        let launches = |stage| self.generator.plans.get(stage, self.guided).plan.launches();
        let denoise = launches(Stage::Denoise) * self.sampler.evaluations();
        let of_pictures = self.begin.as_ref().filter(|begin| !begin.drawn);
        let encoded = of_pictures.map_or(0, |begin| 1 + usize::from(!begin.given.is_empty()));
        let encode = encoded * launches(Stage::Encode { kept: false });
        let total = self.readings * launches(Stage::Text)
            + encode
            + denoise
            + self.generator.tiles.count(self.requests) * launches(Stage::Decode);
        Done { done: self.done, total }
    }

    /// The picture of a request: `[H, W, 3]` in 0..1, row by row. `None` before the end and for
    /// requests that were not made.
    pub fn picture(&self, request: usize) -> Option<&[f32]> {
        let there = self.stage == Stage::Done && request < self.requests;
        let [width, height] = self.generator.batch.size;
        self.pictures.chunks_exact((width * height * 3).max(1)).nth(request).filter(|_| there)
    }

    /// [`picture`](Job::picture) in bytes.
    pub fn rgb8(&self, request: usize) -> Option<Vec<u8>> {
        Some(self.picture(request)?.iter().copied().map(level).collect())
    }

    /// The latents under way, `[count, h, w, Z]`, as the denoiser has them.
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// The number of requests that were made.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Width and height of a picture in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.generator.batch.size
    }

    /// Height, width and channels of each latent.
    pub fn latent(&self) -> [usize; 3] {
        self.generator.pipeline.latent(self.generator.batch.size)
    }

    /// A guess of a request's picture while it is drawn: `[h, w, 3]` in 0..1. `None` before the
    /// first step, and where nothing is known of the latents' colours.
    pub fn preview(&self, request: usize) -> Option<Vec<f32>> {
        let guesses = self.samples.get(self.samples.len() - self.latents.len()..)?;
        let there = self.sampler.done() > 0 && request < self.requests;
        let latent: usize = self.latent().iter().product();
        let guess = guesses.chunks_exact(latent.max(1)).nth(request).filter(|_| there)?;
        self.generator.pipeline.colours(guess)
    }

    /// Evaluations of the denoiser that were made; most samplers make one a step.
    pub fn evaluated(&self) -> usize {
        self.sampler.done()
    }

    /// Whether the latents are those of the end: only decoding is left, or nothing.
    pub fn is_denoised(&self) -> bool {
        matches!(self.stage, Stage::Decode | Stage::Done)
    }

    /// A guess of a request's picture while it is drawn: by the network of
    /// [`with_preview`](Generator::with_preview), which then runs, or else the [`preview`](Job::preview). `None` as there.
    ///
    /// # Errors
    /// What the backend reports.
    pub fn draft(&self, request: usize) -> Result<Option<Draft>, Error> {
        let [h, w, _] = self.latent();
        let Some(network) = self.generator.plans.preview() else {
            return Ok(self.preview(request).map(|rgb| Draft { size: [w, h], rgb }));
        };
        if self.sampler.done() == 0 || request >= self.requests {
            return Ok(None);
        }
        let guesses = &self.samples[self.samples.len() - self.latents.len()..];
        let mut pictures = vec![0.0; self.pictures.len()];
        let store = self.generator.store.borrow();
        let mut state = network.plan.state(store)?;
        network.plan.run(&mut state, store, &[Slice::F32(guesses)], &mut [SliceMut::F32(&mut pictures)])?;
        let size = self.generator.batch.size;
        let one = pictures.chunks_exact((size[0] * size[1] * 3).max(1)).nth(request);
        Ok(one.map(|one| Draft { size, rgb: one.iter().map(|x| (x * 0.5 + 0.5).clamp(0.0, 1.0)).collect() }))
    }

    fn network(&self) -> &'a Compiled<B::Plan> {
        self.generator.plans.get(self.stage, self.guided)
    }

    /// Makes the arena of a stage, if it is not there.
    fn furnish(&mut self, stage: Stage) -> Result<(), Error> {
        let plan = &self.generator.plans.get(stage, self.guided).plan;
        let state = &mut self.states[stage.arena()];
        if state.is_none() {
            *state = Some(plan.state(self.generator.store.borrow())?);
        }
        Ok(())
    }

    /// Begins the stage's network; returns its launches.
    fn begin(&mut self) -> Result<usize, Error> {
        self.furnish(self.stage)?;
        let plan = &self.network().plan;
        if self.stage == Stage::Denoise {
            self.t.fill(self.sampler.request().map_or(0.0, |point| point.time as f32));
            let scale = self.sampler.scale();
            for half in self.x.chunks_exact_mut(self.latents.len()) {
                half.iter_mut().zip(&self.latents).for_each(|(to, from)| *to = scale * from);
            }
        }
        if self.stage == Stage::Decode && !self.cut.is_empty() {
            let [_, _, channels] = self.latent();
            self.generator.tiles.cut(self.tile, &self.latents, channels, &mut self.cut);
        }
        let Job { states, words, feeds, features, told, x, t, guided, begin, latents, stage, cut, .. } = self;
        let Some(state) = &mut states[stage.arena()] else { return Ok(0) };
        let mut views = [Slice::F32(&[]); MOST];
        let count = match *stage {
            Stage::Text => {
                let views = views.iter_mut().zip(words.iter());
                views.fold(0, |count, (view, words)| {
                    *view = match words {
                        Words::I32(values) => Slice::I32(values),
                        Words::F32(values) => Slice::F32(values),
                    };
                    count + 1
                })
            }
            Stage::Denoise => {
                let half = |all: &'_ Vec<f32>| if *guided { 0 } else { all.len() / 2 };
                let given = begin.as_ref().map_or(&[][..], |begin| &begin.given);
                for (view, feed) in views.iter_mut().zip(feeds.iter()) {
                    *view = Slice::F32(match *feed {
                        Feed::Latents => x,
                        Feed::Time => t,
                        Feed::Feature(place) => &features[place][half(&features[place])..],
                        Feed::Told(place) => &told[place],
                        Feed::Given => given,
                    });
                }
                feeds.len().min(MOST)
            }
            Stage::Encode { kept } => {
                let of = begin.as_ref().map(|begin| if kept { &begin.kept } else { &begin.pictures });
                views[0] = Slice::F32(of.map_or(&[], Vec::as_slice));
                1
            }
            Stage::Decode | Stage::Done => {
                views[0] = Slice::F32(if cut.is_empty() { latents } else { cut });
                1
            }
        };
        plan.begin(state, &views[..count])?;
        Ok(plan.launches())
    }

    /// Takes in what the stage's network gave.
    fn finish(&mut self) -> Result<(), Error> {
        let compiled = self.network();
        let Some(state) = &self.states[self.stage.arena()] else { return Ok(()) };
        match self.stage {
            Stage::Text => {
                let mut views: [SliceMut<'_>; MOST] = core::array::from_fn(|_| SliceMut::F32(&mut []));
                let count = self.features.len().min(MOST);
                views.iter_mut().zip(&mut self.features).for_each(|(view, values)| *view = SliceMut::F32(values));
                compiled.plan.finish(state, &mut views[..count])?;
                self.revise();
                self.stage = Stage::Denoise;
                if let Some(begin) = self.begin.as_mut().filter(|_| self.sampler.done() == 0) {
                    if begin.drawn {
                        begin.start(&mut self.latents);
                    } else {
                        self.stage = Stage::Encode { kept: false };
                    }
                }
            }
            Stage::Encode { kept } => {
                let Some(begin) = &mut self.begin else { return Ok(()) };
                let deviation = &mut self.samples[..self.latents.len()];
                let latents = if kept { &mut begin.kept_latents } else { &mut begin.latents };
                let mut views = [SliceMut::F32(latents), SliceMut::F32(deviation)];
                let count = compiled.outputs.len().min(2);
                compiled.plan.finish(state, &mut views[..count])?;
                if !begin.given.is_empty() && !kept {
                    self.stage = Stage::Encode { kept: true };
                } else {
                    begin.start(&mut self.latents);
                    self.samples.fill(0.0);
                    self.stage = Stage::Denoise;
                }
            }
            Stage::Denoise => {
                compiled.plan.finish(state, &mut [SliceMut::F32(&mut self.samples)])?;
                self.step()?;
            }
            Stage::Decode | Stage::Done => {
                let tiled = !self.cut.is_empty();
                let to = if tiled { &mut self.pasted } else { &mut self.pictures };
                compiled.plan.finish(state, &mut [SliceMut::F32(to)])?;
                if tiled {
                    let tiles = &self.generator.tiles;
                    tiles.paste(self.tile, &self.pasted, &mut self.pictures);
                    self.tile += 1;
                    if self.tile < tiles.count(self.requests) {
                        return Ok(());
                    }
                }
                self.pictures.iter_mut().for_each(|x| *x = (*x * 0.5 + 0.5).clamp(0.0, 1.0));
                self.stage = Stage::Done;
            }
        }
        Ok(())
    }

    /// One step of the sampler with the denoiser's prediction.
    fn step(&mut self) -> Result<(), Error> {
        let latent: usize = self.latent().iter().product();
        let (negative, prediction) = self.samples.split_at_mut(self.x.len() - self.latents.len());
        let acts = self.sampler.request().is_some_and(|point| self.interval.contains(point));
        if !negative.is_empty() && acts {
            for (negative, prediction) in negative.chunks_exact(latent).zip(prediction.chunks_exact_mut(latent)) {
                classifier_free_rescaled(negative, prediction, self.guidance, self.rescale)?;
            }
        }
        // Afterwards, the prediction is a guess of the picture.
        let (of_latent, of_prediction) = self.sampler.estimate();
        let guess = of_latent / self.sampler.scale();
        self.sampler.advance(&mut self.latents, prediction, &mut Sources::new(&mut self.noise, latent)?)?;
        for (prediction, x) in prediction.iter_mut().zip(&self.x) {
            *prediction = guess * x + of_prediction * *prediction;
        }
        let next = self.sampler.request();
        if let Some(begin) = &self.begin {
            begin.keep(&mut self.latents, next);
        }
        if next.is_none() {
            self.stage = Stage::Decode;
        } else if self.changes(self.sampler.done()) {
            self.read();
            self.stage = Stage::Text;
        }
        Ok(())
    }

    /// The step to which an evaluation of the denoiser belongs, from 1 on.
    fn step_of(&self, evaluation: usize) -> usize {
        1 + evaluation * self.steps / self.sampler.evaluations().max(1)
    }

    /// Whether an evaluation is told something else than the one before.
    fn changes(&self, evaluation: usize) -> bool {
        let text = |schedule, evaluation| prompt::at(schedule, self.step_of(evaluation));
        self.schedules.iter().flatten().any(|schedule: &Schedule| {
            schedule.len() > 1 && text(schedule, evaluation) != text(schedule, evaluation - 1)
        })
    }

    /// Reads what the prompts say now.
    fn read(&mut self) {
        let (generator, step) = (self.generator, self.step_of(self.sampler.done()));
        let read = |schedule: &Schedule| generator.pipeline.read(prompt::at(schedule, step), generator.batch.chunks);
        let words: Vec<[Vec<Words>; 2]> = self.schedules.iter().map(|both| both.each_ref().map(read)).collect();
        let text = generator.plans.get(Stage::Text, self.guided);
        self.words = Words::arranged(&text.inputs, &words, generator.batch.pictures);
    }

    /// Lets the pipeline revise what the text network gave, text by text.
    fn revise(&mut self) {
        let n = self.generator.batch.pictures;
        let outputs = &self.network().outputs;
        let step = self.step_of(self.sampler.done());
        for ((name, _), values) in outputs.iter().zip(&mut self.features) {
            let row = values.len() / (2 * n);
            for (place, values) in values.chunks_exact_mut(row.max(1)).enumerate() {
                let (side, half) = if place < n { (Side::Negative, 0) } else { (Side::Prompt, 1) };
                if let Some(schedules) = self.schedules.get(place % n) {
                    self.generator.pipeline.revise(name, prompt::at(&schedules[half], step), side, values);
                }
            }
        }
    }
}
