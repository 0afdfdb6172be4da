//! The first stage: pictures to latents and back.

use std::mem;

use yuragi_graph::{Collective, Params, Slice};
use yuragi_io::{Picture, picture::contact_sheet};
use yuragi_models::{
    Settings,
    latent_diffusion::{self, OPTIMIZER},
    latents::{Latents, Statistics},
};
use yuragi_nn::rate;

use super::{
    Learner, Report, Run,
    codec::Codec,
    data::{Batches, Data, stack},
    device::{For, Sharing, Trainer},
};
use crate::{Failure, machine::Machine};

/// Steps in which the learning rate rises.
pub(super) const WARM: u64 = 200;
/// The share of the steps over which it falls.
pub(super) const TAIL: f32 = 0.5;
/// Decay of the averaged weights.
pub(super) const AVERAGE: f32 = 0.998;
/// Pictures on a sheet, each above its reconstruction.
const SHOWN: usize = 24;

/// Trains the autoencoder.
pub struct Autoencoder<'a> {
    data: &'a Data,
    batches: Batches<'a>,
    trainer: Trainer<'a>,
    codec: Codec,
    seed: u64,
    steps: u64,
    peak: f32,
    batch: usize,
    pictures: Vec<f32>,
}

impl<'a> Autoencoder<'a> {
    /// Goes on with a run; missing weights and optimiser state are drawn from its seed.
    pub fn new(
        run: &mut Run,
        data: &'a Data,
        machine: &Machine,
        ranks: &'a dyn Collective,
    ) -> Result<Autoencoder<'a>, Failure> {
        let options = run.options.clone();
        let graph = latent_diffusion::autoencoder_training_by(
            &machine.optimizer(OPTIMIZER),
            &run.settings,
            options.autoencoder_batch / options.slices,
        )?;
        run.prepare(graph.params());
        let sharing = Sharing { slices: options.slices, ranks, exchange: run.exchange };
        Ok(Autoencoder {
            data,
            batches: Batches::new(data, options.seed ^ 1, options.autoencoder_batch),
            trainer: Trainer::new(machine, &graph, mem::take(&mut run.params), sharing)?,
            codec: Codec::new(&run.settings, machine)?,
            seed: options.seed,
            steps: options.autoencoder_steps,
            peak: options.autoencoder_rate as f32,
            batch: options.autoencoder_batch,
            pictures: Vec::new(),
        })
    }
}

impl Learner for Autoencoder<'_> {
    fn step(&mut self, step: u64) -> Result<Report, Failure> {
        let places = self.trainer.places(self.batch);
        let picks: Vec<usize> = places.map(|place| self.batches.pick(step, place).item).collect();
        stack(picks.iter().map(|&item| &self.data.items[item].picture), &mut self.pictures);
        let rate = self.peak * rate::warmup(step, WARM) * rate::cosine_tail(step, self.steps, TAIL);
        let hyper = OPTIMIZER.hyper(step, rate, AVERAGE);
        let key = [step as u32, (self.seed as u32) ^ 0x6175_746f];
        let inputs = [Slice::F32(&self.pictures), Slice::U32(&key), Slice::F32(&hyper)];
        let [loss, _l1, _mse, _edges, _kl, norm] = self.trainer.step(&inputs)?;
        Ok(Report { loss: loss.into(), norm: norm.into(), rate: rate.into(), scaled: self.trainer.is_scaled() })
    }

    fn params(&self, whose: For) -> Result<Params, Failure> {
        self.trainer.params(whose)
    }

    fn sheet(&mut self, params: &Params) -> Result<Picture, Failure> {
        let every = (self.data.items.len() / SHOWN).max(1);
        let shown: Vec<&Picture> = self.data.items.iter().step_by(every).take(SHOWN).map(|i| &i.picture).collect();
        let latents = self.codec.encode(params, &shown, |_| {})?;
        let decoded = self.codec.decode(params, &latents)?;
        let columns = 8;
        let mut sheet = Vec::new();
        for (row, decoded) in shown.chunks(columns).zip(decoded.chunks(columns)) {
            sheet.extend(row.iter().map(|p| (*p).clone()));
            sheet.extend_from_slice(decoded);
        }
        Ok(contact_sheet(&sheet, columns, 2)?)
    }
}

/// Measures the latents of all pictures, so that the second stage meets channels of mean 0 and variance 1.
pub fn measure(run: &Run, data: &Data, machine: &Machine, ranks: &dyn Collective) -> Result<Latents, Failure> {
    let settings = &Settings { latents: Latents::default(), ..run.settings.clone() };
    let pictures: Vec<&Picture> = data.items.iter().map(|i| &i.picture).collect();
    let codec = Codec::new(settings, machine)?;
    let latents = codec.encode_on(ranks, &mut codec.encoder(&run.params)?, &pictures, |_| {})?;
    let mut statistics = Statistics::new(settings.autoencoder.latent);
    for (picture, latent) in pictures.iter().zip(latents.chunks_exact(settings.latent_len())) {
        statistics.add(latent, &picture.to_f32(), settings.latent_size(), settings.autoencoder.factor());
    }
    statistics
        .measure()
        .ok_or_else(|| Failure::new("the autoencoder gives the same latent for every picture: train it longer"))
}
