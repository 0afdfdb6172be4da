//! A checkpoint as a generator draws with it.

use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec, vec::Vec};

use yuragi_diffusion::{Choice, Kind, config::Plan};
use yuragi_graph::{DType, Graph, Params};

use super::{Checkpoint, ENCODERS, decode, denoise, encode, encode_text, guidance_embedding};
use crate::generator::{Batch, Error, Network, Pipeline, Sampling, Side, Words};

/// How beautiful a refiner is told that a picture is, and one that it should keep away from (Podell et al. 2023).
const BEAUTY: [f32; 2] = [6.0, 2.5];

/// Reads texts for one text encoder.
pub trait Tokens {
    /// The tokens of a text between begin and end, in chunks of at most `most`: at least one chunk, which may be empty.
    fn chunks(&self, text: &str, most: usize) -> Vec<Vec<u32>>;
    /// The ids that begin a chunk, end it, and fill it up.
    fn marks(&self) -> [u32; 3];
}

/// A checkpoint, its readers of prompts, and the types in which its weights are stored.
pub struct Drawing {
    model: Checkpoint,
    tokens: [Option<Box<dyn Tokens + Send + Sync>>; 2],
    stored: BTreeMap<String, DType>,
}

impl Drawing {
    /// A checkpoint with a reader for each of its text encoders, and the parameters that it will draw with.
    ///
    /// # Errors
    /// Extents that contradict each other, an encoder without a reader, or a reader with ids that its encoder lacks.
    pub fn new(
        model: Checkpoint,
        tokens: [Option<Box<dyn Tokens + Send + Sync>>; 2],
        params: &Params,
    ) -> Result<Drawing, Error> {
        model.check()?;
        for ((clip, tokens), name) in model.text.iter().zip(&tokens).zip(ENCODERS) {
            let Some(clip) = clip else { continue };
            let marks = tokens.as_ref().ok_or(Error::Lacks(name))?.marks();
            let have = marks.into_iter().max().map_or(0, |id| id as usize + 1);
            if have > clip.vocabulary {
                return Err(Error::Vocabulary { have, known: clip.vocabulary });
            }
        }
        let wide = model.unet.inputs - model.vae.latent;
        if wide != 0 && wide != model.vae.latent + 1 {
            return Err(Error::Lacks("use for what its U-Net reads beside latents"));
        }
        let stored = params.iter().map(|(name, tensor)| (name.into(), tensor.dtype())).collect();
        Ok(Drawing { model, tokens, stored })
    }

    /// The checkpoint's extents.
    pub fn model(&self) -> &Checkpoint {
        &self.model
    }

    /// The ids of a text for an encoder: chunks of begin, tokens, end and padding.
    fn ids(&self, encoder: usize, text: &str, chunks: usize) -> Vec<i32> {
        let (Some(clip), Some(tokens)) = (self.model.text[encoder], &self.tokens[encoder]) else {
            return Vec::new();
        };
        let [begin, end, pad] = tokens.marks().map(u32::cast_signed);
        let most = clip.length.saturating_sub(2);
        let parts = tokens.chunks(text, most);
        let mut ids = Vec::with_capacity(chunks * clip.length);
        for chunk in 0..chunks {
            let part = parts.get(chunk).map_or(&[][..], Vec::as_slice);
            ids.push(begin);
            // What an encoder has no id for, it reads as the end.
            let known = |id: &u32| if (*id as usize) < clip.vocabulary { id.cast_signed() } else { end };
            ids.extend(part.iter().take(most).map(known));
            ids.push(end);
            ids.resize((chunk + 1) * clip.length, pad);
        }
        ids
    }

    /// Whether a text is told as zeros.
    fn is_silent(&self, text: &str, side: Side) -> bool {
        side == Side::Negative && self.model.silent_negative && text.is_empty()
    }
}

impl Pipeline for Drawing {
    fn size(&self) -> [usize; 2] {
        [self.model.size; 2]
    }

    fn sampling(&self) -> Sampling {
        Sampling { sampler: Kind::DpmPlusPlus2M, steps: 20, guidance: 7.5, ..Sampling::default() }
    }

    fn latent(&self, size: [usize; 2]) -> [usize; 3] {
        self.model.latent(size)
    }

    fn graph(&self, network: Network, batch: Batch) -> Result<Graph, Error> {
        // A latent must be halved as often as the U-Net does, down to one pixel at least.
        let step = self.model.step();
        let least = step << (self.model.unet.levels.len() - 1);
        let [width, height] = batch.size;
        let fits = |pixels: usize| pixels.is_multiple_of(step) && (least..=8192).contains(&pixels);
        if !fits(width) || !fits(height) {
            return Err(Error::Size { have: batch.size, legal: format!("multiples of {step} from {least} to 8192") });
        }
        let graph = match network {
            Network::Text => encode_text(&self.model, batch)?,
            Network::Denoise => denoise(&self.model, batch)?,
            Network::Decode => decode(&self.model, batch)?,
            Network::Encode => encode(&self.model, batch)?,
        };
        Ok(graph.with_stored(|spec| self.stored.get(&spec.name).copied()))
    }

    fn chunks(&self, text: &str) -> usize {
        let chunks = |(clip, tokens): (&Option<super::Clip>, &Option<Box<dyn Tokens + Send + Sync>>)| {
            let most = clip.as_ref()?.length.saturating_sub(2);
            Some(tokens.as_ref()?.chunks(text, most).len())
        };
        self.model.text.iter().zip(&self.tokens).filter_map(chunks).max().unwrap_or(1).max(1)
    }

    fn read(&self, text: &str, chunks: usize) -> Vec<Words> {
        let mut words = Vec::new();
        for (encoder, clip) in self.model.text.iter().enumerate() {
            let Some(clip) = clip else { continue };
            let ids = self.ids(encoder, text, chunks);
            let ends = clip.ends(&ids);
            words.extend([Words::I32(ids), Words::F32(ends)]);
        }
        words
    }

    fn revise(&self, _output: &str, text: &str, side: Side, values: &mut [f32]) {
        if self.is_silent(text, side) {
            values.fill(0.0);
        }
    }

    fn told(&self, input: &str, side: Side, size: [usize; 2], guidance: f32) -> Option<Vec<f32>> {
        let [width, height] = size.map(|pixels| pixels as f32);
        match input {
            "numbers" => Some(match self.model.unet.addition?.numbers {
                5 => vec![height, width, 0.0, 0.0, BEAUTY[usize::from(side == Side::Negative)]],
                _ => vec![height, width, 0.0, 0.0, height, width],
            }),
            "guidance" => Some(guidance_embedding(guidance, self.model.unet.guidance?)),
            _ => None,
        }
    }

    fn guides_itself(&self) -> bool {
        self.model.unet.guidance.is_some()
    }

    fn plan(&self, sampling: &Sampling) -> Result<Plan, Error> {
        let choice = Choice { kind: sampling.sampler, spacing: sampling.spacing };
        Ok(self.model.scheduler.plan(Some(choice), sampling.steps)?)
    }

    fn colours(&self, _latent: &[f32]) -> Option<Vec<f32>> {
        None
    }
}
