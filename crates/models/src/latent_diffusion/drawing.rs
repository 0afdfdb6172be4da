//! The latent diffusion model as a generator draws with it.

use alloc::{format, vec, vec::Vec};

use yuragi_diffusion::{Ladder, Prediction, config::Plan};
use yuragi_graph::Graph;

use super::{decode, denoise, encode, encode_text};
use crate::{
    Settings,
    generator::{Batch, Error, Network, Pipeline, Sampling, Words},
    tokenizer::Tokenizer,
};

/// A latent diffusion model's extents and its reader of prompts.
#[derive(Clone, Debug)]
pub struct Drawing {
    settings: Settings,
    tokenizer: Tokenizer,
}

impl Drawing {
    /// Settings that hold together, and a tokenizer whose ids the text encoder knows.
    ///
    /// # Errors
    /// [`Error::Settings`], [`Error::Vocabulary`].
    pub fn new(settings: Settings, tokenizer: Tokenizer) -> Result<Drawing, Error> {
        settings.check()?;
        let (have, known) = (tokenizer.vocab_size(), settings.text.vocabulary);
        if have > known {
            return Err(Error::Vocabulary { have, known });
        }
        Ok(Drawing { settings, tokenizer })
    }

    /// The model's extents.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Pipeline for Drawing {
    fn size(&self) -> [usize; 2] {
        [self.settings.size; 2]
    }

    fn sampling(&self) -> Sampling {
        Sampling::default()
    }

    fn latent(&self, _size: [usize; 2]) -> [usize; 3] {
        let side = self.settings.latent_size();
        [side, side, self.settings.autoencoder.latent]
    }

    fn graph(&self, network: Network, batch: Batch) -> Result<Graph, Error> {
        if batch.size != self.size() {
            let side = self.settings.size;
            return Err(Error::Size { have: batch.size, legal: format!("{side}x{side}") });
        }
        let graph = match network {
            Network::Text => encode_text,
            Network::Denoise => denoise,
            Network::Decode => decode,
            Network::Encode => encode,
        };
        Ok(graph(&self.settings, batch.pictures)?)
    }

    fn chunks(&self, _text: &str) -> usize {
        1
    }

    fn read(&self, text: &str, _chunks: usize) -> Vec<Words> {
        vec![Words::I32(self.tokenizer.ids(text, self.settings.text.length))]
    }

    fn plan(&self, sampling: &Sampling) -> Result<Plan, Error> {
        let ladder = match sampling.spacing {
            None => Ladder::flow(sampling.steps, sampling.shift)?,
            Some(spacing) => Ladder::flow_spaced(sampling.steps, sampling.shift, spacing)?,
        };
        Ok(Plan::new(sampling.sampler, ladder, Prediction::Sample)?)
    }

    fn colours(&self, latent: &[f32]) -> Option<Vec<f32>> {
        self.settings.latents.colours(latent)
    }
}
