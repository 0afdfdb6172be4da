//! Pictures to latents and back with the averaged weights of a training.

use yuragi_graph::{Backend, Collective, Params, Plan, Slice, SliceMut, all_gather};
use yuragi_io::Picture;
use yuragi_models::{Settings, latent_diffusion};
use yuragi_nn::optim;

use super::data::stack;
use crate::{
    Failure,
    machine::{Machine, MachinePlan, State, Store},
};

/// Pictures of one run.
const BATCH: usize = 16;

/// The two halves of the autoencoder, ready to run.
pub struct Codec {
    machine: Machine,
    encode: MachinePlan,
    decode: MachinePlan,
    size: usize,
    latent: usize,
}

/// Weights of an encoder where they compute.
pub struct Encoder {
    weights: Store,
    state: State,
}

impl Codec {
    /// Compiles both halves.
    pub fn new(settings: &Settings, machine: &Machine) -> Result<Codec, Failure> {
        Ok(Codec {
            machine: machine.clone(),
            encode: machine.compile(&latent_diffusion::encode(settings, BATCH)?)?,
            decode: machine.compile(&latent_diffusion::decode(settings, BATCH)?)?,
            size: settings.size,
            latent: settings.latent_len(),
        })
    }

    /// The latents of pictures, one after another; standardised where the settings were measured.
    /// `done` hears how many are ready.
    pub fn encode(&self, params: &Params, pictures: &[&Picture], done: impl FnMut(usize)) -> Result<Vec<f32>, Failure> {
        self.encode_by(&mut self.encoder(params)?, pictures, done)
    }

    /// An encoder's weights, to encode by more than once.
    pub fn encoder(&self, params: &Params) -> Result<Encoder, Failure> {
        let weights = self.machine.upload(optim::averaged(params))?;
        Ok(Encoder { state: self.encode.state(&weights)?, weights })
    }

    /// As [`encode`](Self::encode), by weights of this codec's own.
    pub fn encode_by(
        &self,
        Encoder { weights, state }: &mut Encoder,
        pictures: &[&Picture],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<f32>, Failure> {
        let (mut input, mut output) = (Vec::new(), vec![0.0; BATCH * self.latent]);
        let mut latents = Vec::with_capacity(pictures.len() * self.latent);
        for batch in pictures.chunks(BATCH) {
            stack(batch.iter().copied(), &mut input);
            input.resize(BATCH * self.size * self.size * 3, 0.0);
            self.encode.run(state, weights, &[Slice::F32(&input)], &mut [SliceMut::F32(&mut output)])?;
            latents.extend_from_slice(&output[..batch.len() * self.latent]);
            done(latents.len() / self.latent);
        }
        Ok(latents)
    }

    /// As [`encode_by`](Self::encode_by), on all of these ranks, each of which encodes its share.
    pub fn encode_on(
        &self,
        ranks: &dyn Collective,
        encoder: &mut Encoder,
        pictures: &[&Picture],
        done: impl FnMut(usize),
    ) -> Result<Vec<f32>, Failure> {
        let own = ranks.share(pictures.len(), BATCH, ranks.rank());
        Ok(all_gather(ranks, self.encode_by(encoder, &pictures[own], done)?)?)
    }

    /// The pictures of latents.
    pub fn decode(&self, params: &Params, latents: &[f32]) -> Result<Vec<Picture>, Failure> {
        let weights = self.machine.upload(optim::averaged(params))?;
        let mut state = self.decode.state(&weights)?;
        let picture = self.size * self.size * 3;
        let mut output = vec![0.0; BATCH * picture];
        let mut pictures = Vec::new();
        for batch in latents.chunks(BATCH * self.latent) {
            let count = batch.len() / self.latent;
            let mut input = batch.to_vec();
            input.resize(BATCH * self.latent, 0.0);
            self.decode.run(&mut state, &weights, &[Slice::F32(&input)], &mut [SliceMut::F32(&mut output)])?;
            pictures.extend(Picture::from_batch(self.size, self.size, &output[..count * picture])?);
        }
        Ok(pictures)
    }
}
