//! A checkpoint as a generator draws with it.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::ops::Range;

use yuragi_diffusion::{
    Choice, Kind,
    config::{Plan, PredictionType},
};
use yuragi_graph::{DType, Graph, Params};

use super::{
    Checkpoint, ENCODERS, TinyAutoencoder, decode, decode_in_bands, denoise, encode, encode_text, guidance_embedding,
    preview,
};
use crate::{
    generator::{Batch, Error, Network, Pipeline, Sampling, Side, Words},
    prompt::{self, Chunk, Insert},
    tokenizer::{CLIP_LENGTH, Clip as Reader},
};

/// How beautiful a refiner is told that a picture is, and one that it should keep away from (Podell et al. 2023).
const BEAUTY: [f32; 2] = [6.0, 2.5];

/// The usual linear maps of latents, and 1, to colours in −1..1: of versions 1 and 2, and of XL.
const COLOURS: [[f32; 3]; 5] = [
    [0.3512, 0.2297, 0.3227],
    [0.3250, 0.4974, 0.2350],
    [-0.2829, 0.1762, 0.2721],
    [-0.2120, -0.2616, -0.7177],
    [0.0; 3],
];
const COLOURS_XL: [[f32; 3]; 5] = [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
    [0.1084, -0.0175, -0.0011],
];

/// Pixels of a band of a decoder, about: those of large pictures have a 64th of them.
pub const BAND: usize = 1 << 14;

/// A checkpoint, its readers of prompts, and the types in which its weights are stored.
pub struct Drawing {
    model: Checkpoint,
    readers: [Option<Reader>; 2],
    inserts: Vec<Insert>,
    tiny: Option<TinyAutoencoder>,
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
        Ok(Drawing { model, readers, inserts: Vec::new(), tiny: None, stored })
    }

    /// The checkpoint's extents.
    pub fn model(&self) -> &Checkpoint {
        &self.model
    }

    /// Takes a tiny autoencoder for previews, whose weights stand beside the checkpoint's.
    ///
    /// # Errors
    /// One of other latents, or of another scale.
    pub fn preview_with(&mut self, tiny: TinyAutoencoder, params: &Params) -> Result<(), Error> {
        let factor = 1 << tiny.decoder.len().saturating_sub(1);
        if tiny.latent != self.model.vae.latent || factor != self.model.step() {
            return Err(Error::Lacks("latents of the tiny autoencoder's kind"));
        }
        self.stored.extend(params.iter().map(|(name, tensor)| (name.into(), tensor.dtype())));
        self.tiny = Some(tiny);
        Ok(())
    }

    /// A graph over weights of the types in which the checkpoint keeps them.
    #[must_use]
    pub fn stored(&self, graph: Graph) -> Graph {
        graph.with_stored(|spec| self.stored.get(&spec.name).copied())
    }

    /// Says what the denoiser predicts, where its files do not.
    pub fn predict(&mut self, prediction: PredictionType) {
        self.model.scheduler.prediction_type = Some(prediction);
    }

    /// The reader of prompts, the first encoder's where there are two.
    pub fn reader(&self) -> Option<&Reader> {
        self.readers.iter().flatten().next()
    }

    /// Takes words that stand for learnt vectors; `model` is the checkpoint with the vocabularies that hold them.
    pub fn insert(&mut self, model: Checkpoint, words: Insert) {
        self.model = model;
        self.inserts.push(words);
    }

    /// The rows of a text for an encoder, with the weights of their tokens.
    fn rows(&self, encoder: usize, text: &str, chunks: usize) -> Vec<Chunk> {
        let Some(reader) = &self.readers[encoder] else { return Vec::new() };
        let mut rows = prompt::chunks(reader, &prompt::weighted(text), &self.inserts);
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
        let sampler = self.model.scheduler.own().unwrap_or(Kind::DpmPlusPlus2M);
        let steps = if matches!(sampler, Kind::Lcm | Kind::Tcd { .. }) { 4 } else { 20 };
        Sampling { sampler, steps, guidance: 7.5, ..Sampling::default() }
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
        let blocks =
            self.model.text.iter().flatten().map(|clip| clip.layers - clip.layers.min(self.model.depth.skipped));
        if let Some(most) = blocks.min().map(|blocks| blocks.saturating_sub(1)).filter(|most| batch.skip > *most) {
            return Err(Error::Skip { have: batch.skip, most });
        }
        let graph = match network {
            Network::Text => encode_text(&self.model, batch)?,
            Network::Denoise => denoise(&self.model, batch)?,
            Network::Decode => decode(&self.model, batch)?,
            Network::DecodeInBands => decode_in_bands(&self.model, batch, BAND)?,
            Network::Encode => encode(&self.model, batch)?,
            Network::Preview => {
                let tiny = self.tiny.as_ref().ok_or(Error::Lacks("tiny autoencoder for previews"))?;
                let [height, width, _] = self.model.latent(batch.size);
                preview(tiny, batch.pictures, [height, width])?
            }
        };
        Ok(self.stored(graph))
    }

    fn has_bands(&self) -> bool {
        true
    }

    fn chunks(&self, text: &str) -> usize {
        let rows = |reader: &Reader, text: &str| prompt::chunks(reader, &prompt::weighted(text), &self.inserts).len();
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
        let scheduler = &self.model.scheduler;
        // With all of its own settings, of which a name says only some.
        let own = sampling.spacing.is_none() && scheduler.own() == Ok(sampling.sampler);
        let choice = Choice { kind: sampling.sampler, spacing: sampling.spacing };
        Ok(scheduler.plan(Some(choice).filter(|_| !own), sampling.steps)?)
    }

    fn colours(&self, latent: &[f32]) -> Option<Vec<f32>> {
        let large = self.model.unet.addition.is_some();
        let map = if large { &COLOURS_XL } else { &COLOURS };
        (self.model.vae.latent == map.len() - 1).then(|| {
            let (rows, constant) = (&map[..map.len() - 1], map[map.len() - 1]);
            let colour = |z: &[f32]| {
                let sum = z.iter().zip(rows).fold(constant, |sum, (z, row)| [0, 1, 2].map(|i| sum[i] + z * row[i]));
                sum.map(|x| (x * 0.5 + 0.5).clamp(0.0, 1.0))
            };
            latent.chunks_exact(rows.len()).flat_map(colour).collect()
        })
    }
}

/// Multiplies some columns of a chunk's features by the weights of its tokens; their mean stays what it was.
fn weigh(values: &mut [f32], width: usize, columns: Range<usize>, weights: &[f32]) {
    if weights.iter().all(|weight| *weight == 1.0) {
        return;
    }
    let mut part: Vec<f32> = values.chunks_exact(width).flat_map(|row| &row[columns.clone()]).copied().collect();
    prompt::scale(&mut part, weights);
    for (row, part) in values.chunks_exact_mut(width).zip(part.chunks_exact(columns.len().max(1))) {
        row[columns.clone()].copy_from_slice(part);
    }
}
