//! The second stage: words and noise to latents.

use std::mem;

use yuragi_graph::{Backend, Collective, Params, Slice};
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
    codec::{Codec, Encoder},
    data::{Batches, Data, Pick},
    device::{For, Sharing, Trainer},
};
use crate::{Failure, machine::Machine};

/// Steps in which the learning rate rises: one in so many, at most so many.
const WARM_SHARE: u64 = 20;
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
    trainer: Trainer<'a>,
    machine: Machine,
    settings: Settings,
    tokenizer: Tokenizer,
    seed: u64,
    steps: u64,
    peak: f32,
    batch: usize,
    codec: Codec,
    encoder: Encoder,
    /// The latents of items, as far as they were met: the data's own from the begin, composed ones when they come.
    latents: Vec<Option<Box<[f32]>>>,
    /// The latents and captions of a batch.
    input: Vec<f32>,
    ids: Vec<i32>,
}

impl<'a> Diffusion<'a> {
    /// Goes on with a run; missing weights and optimiser state are drawn from its seed.
    pub fn new(
        run: &mut Run,
        data: &'a Data,
        machine: &Machine,
        ranks: &'a dyn Collective,
        tell: Tell<'_>,
    ) -> Result<Diffusion<'a>, Failure> {
        let options = run.options.clone();
        let slice = options.batch / options.slices;
        let graph = latent_diffusion::diffusion_training_by(&machine.optimizer(OPTIMIZER), &run.settings, slice)?;
        run.prepare(graph.params());
        let sharing = Sharing { slices: options.slices, ranks, exchange: run.exchange };
        let codec = Codec::new(&run.settings, machine)?;
        let mut encoder = codec.encoder(&run.params)?;
        let pictures: Vec<&Picture> = data.items[..data.own].iter().map(|i| &i.picture).collect();
        let total = pictures.len().div_ceil(ranks.size());
        let own = codec.encode_on(ranks, &mut encoder, &pictures, |done| {
            // An interruption is heard before the first step, too.
            let _ = tell(&News::Encoding { done, total });
        })?;
        let mut latents: Vec<Option<Box<[f32]>>> =
            own.chunks(run.settings.latent_len()).map(|latent| Some(latent.into())).collect();
        latents.resize(data.items.len(), None);
        Ok(Diffusion {
            data,
            batches: Batches::new(data, options.seed ^ 2, options.batch),
            trainer: Trainer::new(machine, &graph, mem::take(&mut run.params), sharing)?,
            machine: machine.clone(),
            settings: run.settings.clone(),
            tokenizer: run.tokenizer.clone(),
            seed: options.seed,
            steps: options.steps,
            peak: options.rate as f32,
            batch: options.batch,
            codec,
            encoder,
            latents,
            input: Vec::new(),
            ids: Vec::new(),
        })
    }
}

impl Diffusion<'_> {
    /// Encodes those of the items that were not met.
    fn meet(&mut self, items: impl Iterator<Item = usize>) -> Result<(), Failure> {
        let mut new: Vec<usize> = items.filter(|&item| self.latents[item].is_none()).collect();
        new.sort_unstable();
        new.dedup();
        let pictures: Vec<&Picture> = new.iter().map(|&item| &self.data.items[item].picture).collect();
        let latents = self.codec.encode_by(&mut self.encoder, &pictures, |_| {})?;
        for (item, latent) in new.into_iter().zip(latents.chunks(self.settings.latent_len())) {
            self.latents[item] = Some(latent.into());
        }
        Ok(())
    }
}

impl Learner for Diffusion<'_> {
    fn step(&mut self, step: u64) -> Result<Report, Failure> {
        self.input.clear();
        self.ids.clear();
        let places = self.trainer.places(self.batch);
        let picks: Vec<Pick> = places.map(|place| self.batches.pick(step, place)).collect();
        self.meet(picks.iter().map(|pick| pick.item))?;
        for pick in picks {
            self.input.extend_from_slice(self.latents[pick.item].as_deref().unwrap_or_default());
            let caption = captions::draw(&self.data.items[pick.item], pick.draws);
            self.ids.extend(self.tokenizer.ids(&caption, self.settings.text.length));
        }
        let rate = self.peak
            * rate::warmup(step, WARM.min(self.steps / WARM_SHARE))
            * rate::cosine_tail(step, self.steps, TAIL);
        let hyper = OPTIMIZER.hyper(step, rate, AVERAGE);
        let key = [step as u32, (self.seed as u32) ^ 0x6469_6666];
        let inputs = [Slice::F32(&self.input), Slice::I32(&self.ids), Slice::U32(&key), Slice::F32(&hyper)];
        let [loss, _mse, _colour, norm] = self.trainer.step(&inputs)?;
        Ok(Report { loss: loss.into(), norm: norm.into(), rate: rate.into(), scaled: self.trainer.is_scaled() })
    }

    fn params(&self, whose: For) -> Result<Params, Failure> {
        self.trainer.params(whose)
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
