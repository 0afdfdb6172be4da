//! A checkpoint as a generator draws with it.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::ops::Range;

use yuragi_diffusion::{Choice, Kind, config::Plan};
use yuragi_graph::{DType, Graph, Params};

use super::{Checkpoint, ENCODERS, decode, denoise, encode, encode_text, guidance_embedding};
use crate::{
    generator::{Batch, Error, Network, Pipeline, Sampling, Side, Words},
    prompt::{self, Chunk, Emphasis},
    tokenizer::{CLIP_LENGTH, Clip as Reader},
};

/// How beautiful a refiner is told that a picture is, and one that it should keep away from (Podell et al. 2023).
const BEAUTY: [f32; 2] = [6.0, 2.5];

/// A checkpoint, its readers of prompts, and the types in which its weights are stored.
pub struct Drawing {
    model: Checkpoint,
    readers: [Option<Reader>; 2],
    stored: BTreeMap<String, DType>,
}

impl Drawing {
    /// A checkpoint with a reader for each of its text encoders, and the parameters that it will draw with.
    ///
    /// # Errors
    /// Extents that contradict each other, an encoder without a reader, or a reader with ids that its encoder lacks.
    pub fn new(model: Checkpoint, readers: [Option<Reader>; 2], params: &Params) -> Result<Drawing, Error> {
        model.check()?;
        for ((clip, reader), name) in model.text.iter().zip(&readers).zip(ENCODERS) {
            let Some(clip) = clip else { continue };
            let have = reader.as_ref().ok_or(Error::Lacks(name))?.vocab_size();
            if have > clip.vocabulary {
                return Err(Error::Vocabulary { have, known: clip.vocabulary });
            }
            if clip.length != CLIP_LENGTH {
                return Err(Error::Lacks("text encoder of 77 tokens"));
            }
        }
        let wide = model.unet.inputs - model.vae.latent;
        if wide != 0 && wide != model.vae.latent + 1 {
            return Err(Error::Lacks("use for what its U-Net reads beside latents"));
        }
        let stored = params.iter().map(|(name, tensor)| (name.into(), tensor.dtype())).collect();
        Ok(Drawing { model, readers, stored })
    }

    /// The checkpoint's extents.
    pub fn model(&self) -> &Checkpoint {
        &self.model
    }

    /// The rows of a text for an encoder, with the weights of their tokens.
    fn rows(&self, encoder: usize, text: &str, chunks: usize) -> Vec<Chunk> {
        let Some(reader) = &self.readers[encoder] else { return Vec::new() };
        let mut rows = prompt::chunks(reader, &prompt::weighted(text), &[]);
        rows.resize(chunks, Chunk::empty(reader));
        rows
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
        let rows = |reader: &Reader, text: &str| prompt::chunks(reader, &prompt::weighted(text), &[]).len();
        let texts = prompt::texts(text);
        let all = texts.iter().flat_map(|text| self.readers.iter().flatten().map(move |reader| rows(reader, text)));
        all.max().unwrap_or(1)
    }

    fn read(&self, text: &str, chunks: usize) -> Vec<Words> {
        let mut words = Vec::new();
        for (encoder, clip) in self.model.text.iter().enumerate() {
            let Some(clip) = clip else { continue };
            let ids: Vec<i32> = self.rows(encoder, text, chunks).into_iter().flat_map(|row| row.ids).collect();
            let ends = clip.ends(&ids);
            words.extend([Words::I32(ids), Words::F32(ends)]);
        }
        words
    }

    fn revise(&self, output: &str, text: &str, side: Side, values: &mut [f32]) {
        if self.is_silent(text, side) {
            return values.fill(0.0);
        }
        if output != "tokens" {
            return;
        }
        let rows = CLIP_LENGTH * self.model.unet.context;
        let chunks = values.len() / rows;
        let mut first = 0;
        for (encoder, clip) in self.model.text.iter().enumerate() {
            let Some(clip) = clip else { continue };
            let part = first..first + clip.width;
            first = part.end;
            for (row, values) in self.rows(encoder, text, chunks).iter().zip(values.chunks_exact_mut(rows)) {
                weigh(values, self.model.unet.context, part.clone(), &row.weights);
            }
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

/// Multiplies some columns of a chunk's features by the weights of its tokens; their mean stays what it was.
fn weigh(values: &mut [f32], width: usize, columns: Range<usize>, weights: &[f32]) {
    if weights.iter().all(|weight| *weight == 1.0) {
        return;
    }
    let mut part: Vec<f32> = values.chunks_exact(width).flat_map(|row| &row[columns.clone()]).copied().collect();
    prompt::scale(&mut part, weights, Emphasis::RestoredMean);
    for (row, part) in values.chunks_exact_mut(width).zip(part.chunks_exact(columns.len().max(1))) {
        row[columns.clone()].copy_from_slice(part);
    }
}
