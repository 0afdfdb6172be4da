//! The second stage: words and noise to latents.

use std::mem;

use yuragi_graph::{Backend, Params, Slice};
use yuragi_io::{Picture, picture::contact_sheet};
use yuragi_models::{
    Settings,
    generator::{Generator, Request, Sampling},
    latent_diffusion::{self, OPTIMIZER},
    tokenizer::Tokenizer,
};
use yuragi_nn::{optim, rate};

use super::{
    Learner, News, Report, Run, Tell, captions,
    codec::Codec,
    data::{Batches, Data},
    device::{Trainer, optimizer},
};
use crate::{Failure, machine::Machine};

/// Steps in which the learning rate rises.
const WARM: u64 = 500;
/// The share of the steps over which it falls.
const TAIL: f32 = 0.4;
/// Decay of the averaged weights.
const AVERAGE: f32 = 0.999;
/// Pictures on a sheet.
const SHOWN: usize = 32;

/// Trains U-Net and text encoder on the latents of all pictures.
pub struct Diffusion<'a> {
    data: &'a Data,
    batches: Batches<'a>,
    trainer: Trainer,
    machine: Machine,
    settings: Settings,
    tokenizer: Tokenizer,
    seed: u64,
    steps: u64,
    peak: f32,
    batch: usize,
    /// The latents of all items.
    latents: Vec<f32>,
    /// The latents and captions of a batch.
    input: Vec<f32>,
    ids: Vec<i32>,
}

impl<'a> Diffusion<'a> {
    /// Goes on with a run; missing weights and optimiser state are drawn from its seed.
    pub fn new(run: &mut Run, data: &'a Data, machine: &Machine, tell: Tell<'_>) -> Result<Diffusion<'a>, Failure> {
        let options = run.options.clone();
        let graph = latent_diffusion::diffusion_training_by(&optimizer(machine), &run.settings, options.batch)?;
        run.prepare(graph.params());
        let pictures: Vec<&Picture> = data.items.iter().map(|i| &i.picture).collect();
        let codec = Codec::new(&run.settings, machine)?;
        let total = pictures.len();
        let latents = codec.encode(&run.params, &pictures, |done| {
            // An interruption is heard before the first step, too.
            let _ = tell(&News::Encoding { done, total });
        })?;
        Ok(Diffusion {
            data,
            batches: Batches::new(data, options.seed ^ 2, options.batch),
            trainer: Trainer::new(machine, &graph, mem::take(&mut run.params))?,
            machine: machine.clone(),
            settings: run.settings.clone(),
            tokenizer: run.tokenizer.clone(),
            seed: options.seed,
            steps: options.steps,
            peak: options.rate as f32,
            batch: options.batch,
            latents,
            input: Vec::new(),
            ids: Vec::new(),
        })
    }
}

impl Learner for Diffusion<'_> {
    fn step(&mut self, step: u64) -> Result<Report, Failure> {
        let latent = self.settings.latent_len();
        self.input.clear();
        self.ids.clear();
        for place in 0..self.batch {
            let pick = self.batches.pick(step, place);
            self.input.extend_from_slice(&self.latents[pick.item * latent..][..latent]);
            let caption = captions::draw(&self.data.items[pick.item], pick.draws);
            self.ids.extend(self.tokenizer.ids(&caption, self.settings.text.length));
        }
        let rate = self.peak * rate::warmup(step, WARM) * rate::cosine_tail(step, self.steps, TAIL);
        let hyper = OPTIMIZER.hyper(step, rate, AVERAGE);
        let key = [step as u32, (self.seed as u32) ^ 0x6469_6666];
        let inputs = [Slice::F32(&self.input), Slice::I32(&self.ids), Slice::U32(&key), Slice::F32(&hyper)];
        let [loss, _mse, _colour, norm] = self.trainer.step(&inputs)?;
        Ok(Report { loss: loss.into(), norm: norm.into(), rate: rate.into(), scaled: self.trainer.is_scaled() })
    }

    fn params(&self) -> Result<Params, Failure> {
        self.trainer.params()
    }

    /// Samples for captions of the data, those that are held out included, always from the same noise.
    fn sheet(&mut self, params: &Params) -> Result<Picture, Failure> {
        let items = &self.data.dataset.items;
        let every = (items.len() / SHOWN).max(1);
        let captions: Vec<&str> = items.iter().step_by(every).take(SHOWN).map(|i| i.title()).collect();
        let store = self.machine.upload(optim::averaged(params))?;
        let generator =
            Generator::new(&self.machine, store, self.settings.clone(), self.tokenizer.clone(), captions.len())?;
        let requests: Vec<Request<'_>> =
            captions.iter().zip(0u64..).map(|(&prompt, seed)| Request { prompt, seed, ..Request::default() }).collect();
        let mut job = generator.start(&requests, &Sampling::default())?;
        while !job.advance(usize::MAX)?.is_all() {}
        let side = self.settings.size;
        let pictures: Result<Vec<Picture>, _> =
            (0..captions.len()).filter_map(|i| job.rgb8(i)).map(|rgb| Picture::new(side, side, rgb)).collect();
        Ok(contact_sheet(&pictures?, 8, 2)?)
    }
}
