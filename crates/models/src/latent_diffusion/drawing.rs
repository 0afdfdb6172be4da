//! The latent diffusion model as a generator draws with it.

use alloc::{format, string::String, vec, vec::Vec};

use yuragi_diffusion::{Ladder, Prediction, config::Plan};
use yuragi_graph::Graph;

use super::{decode, denoise, encode, encode_text};
use crate::{
    Settings,
    generator::{Batch, Error, Network, Pipeline, Sampling, Side, Words},
    prompt::{Piece, weighted_by_numbers},
    text_encoder::HIDDEN,
    tokenizer::{BEGIN, END, PAD, Tokenizer},
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

    /// The ids of a text, and the weight of each if any is not 1.
    fn ids(&self, text: &str) -> (Vec<i32>, Option<Vec<f32>>) {
        let length = self.settings.text.length;
        let pieces = weighted_by_numbers(text);
        let texts = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text, weight) => Some((text.as_str(), *weight as f32)),
            Piece::Break => None,
        });
        if texts.clone().all(|(_, weight)| weight == 1.0) {
            let whole: String = texts.map(|(text, _)| text).collect();
            return (self.tokenizer.ids(&whole, length), None);
        }
        let mut tokens = vec![(BEGIN, 1.0)];
        for (text, weight) in texts {
            let (ids, count) = self.tokenizer.encode(text, length);
            let inside = ids.get(1..count.saturating_sub(1)).unwrap_or_default();
            tokens.extend(inside.iter().map(|id| (*id, weight)));
        }
        tokens.truncate(length.saturating_sub(1));
        tokens.push((END, 1.0));
        tokens.resize(length, (PAD, 1.0));
        let (ids, weights) = tokens.into_iter().map(|(id, weight)| (id.cast_signed(), weight)).unzip();
        (ids, Some(weights))
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
            Network::DecodeInBands => return Err(Error::Lacks("decoder in bands")),
            Network::Encode => encode,
            Network::Preview => return Err(Error::Lacks("tiny autoencoder for previews")),
        };
        Ok(graph(&self.settings, batch.pictures)?)
    }

    fn chunks(&self, _text: &str) -> usize {
        1
    }

    fn read(&self, text: &str, _chunks: usize) -> Vec<Words> {
        vec![Words::I32(self.ids(text).0)]
    }

    /// A weight w adds ln w to the scores of a token in cross-attention: it is looked at w times as much.
    fn revise(&self, output: &str, text: &str, _side: Side, values: &mut [f32]) {
        // Without a bracket there is no weight, and nothing is allocated.
        if !text.contains('(') {
            return;
        }
        if let ("mask", (_, Some(weights))) = (output, self.ids(text)) {
            for (score, weight) in values.iter_mut().zip(weights) {
                *score += if weight > 0.0 { libm::logf(weight) } else { HIDDEN };
            }
        }
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
