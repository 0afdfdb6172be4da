//! Stable Diffusion 1, 2 and XL (Rombach et al. 2021; Podell et al. 2023), and TAESD: their networks as graphs over the
//! weights of the checkpoints that people have.
//!
//! Parameters have the names and layouts of diffusers' folders, each component's behind its own name: `unet.…`, `vae.…`,
//! `text_encoder.…`, `text_encoder_2.…`, `taesd.…`.
//!
//! | graph | inputs | outputs |
//! |---|---|---|
//! | [`encode_text`] | ids, ends; of a second encoder ids_2, ends_2 | tokens, pooled |
//! | [`denoise`] | x, t, tokens; as the model wants pooled, numbers; guidance; given | prediction |
//! | [`encode`] | picture | mean, deviation |
//! | [`decode`], [`decode_in_bands`] | latent | picture |
//! | [`preview`] | latent | picture |
//! | [`adapter_training`] | mean, deviation, key, levels, hyper; tokens, .. | loss, norm |
//!
//! Shapes, for B pictures of W×H pixels in latents of w×h, with words in C chunks of L tokens: ids `I32 [B·C, L]` and
//! ends `[B·C, L]` as [`Clip::ends`] gives them; tokens `[B, C·L, D]`; pooled `[B, P]`, of each first chunk; x, latent,
//! mean, deviation and prediction `[B, h, w, Z]`, scaled as the denoiser has them; t `[B]`, in steps of the training
//! schedule; numbers `[B, 6]`; guidance `[B, G]` as [`guidance_embedding`] gives it; given `[B, h, w, inputs − Z]`: for
//! inpainting the mask and the latent of the masked picture; picture `[B, H, W, 3]`, about −1..1.

mod adapter;
mod autoencoder;
mod bands;
mod clip;
mod drawing;
mod extents;
mod layers;
mod tiny;
mod unet;

use alloc::vec::Vec;

use yuragi_diffusion::Config;
use yuragi_graph::{BuildError, Builder, DType, Graph, Tensor};
use yuragi_nn::Scope;

pub use self::{
    adapter::{Adapter, Targets, adapter_training, is_adapter},
    autoencoder::KlAutoencoder,
    clip::{Activation, Clip, Depth, TextFeatures},
    drawing::{BAND, Drawing},
    layers::ADAPTER,
    tiny::TinyAutoencoder,
    unet::{Addition, Level, Told, UNet},
};
pub use crate::generator::Batch;

/// The names of the text encoders' parameters begin so.
pub const ENCODERS: [&str; 2] = ["text_encoder", "text_encoder_2"];

/// The extents of a checkpoint, and how its parts are used together.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The denoiser.
    pub unet: UNet,
    /// The autoencoder.
    pub vae: KlAutoencoder,
    /// The text encoders by their places in [`ENCODERS`]; a refiner has only the second.
    pub text: [Option<Clip>; 2],
    /// Which of their features the denoiser reads.
    pub depth: Depth,
    /// The noise that the denoiser knows, and what it predicts.
    pub scheduler: Config,
    /// Whether an empty negative prompt is told as zeros, not as the features of no words.
    pub silent_negative: bool,
    /// Width and height of the pictures that it was trained on, in pixels.
    pub size: usize,
}

impl Checkpoint {
    /// Width and height of pictures are multiples of it.
    #[must_use]
    pub fn step(&self) -> usize {
        self.vae.factor()
    }

    /// Height, width and channels of a latent.
    #[must_use]
    pub fn latent(&self, size: [usize; 2]) -> [usize; 3] {
        let [width, height] = size.map(|pixels| pixels / self.step().max(1));
        [height, width, self.vae.latent]
    }

    /// Tokens of a chunk.
    #[must_use]
    pub fn length(&self) -> usize {
        self.text.iter().flatten().map(|clip| clip.length).next().unwrap_or(0)
    }
}

/// Words to what the denoiser reads of them.
///
/// # Errors
/// Extents that [`Checkpoint::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn encode_text(model: &Checkpoint, batch: Batch) -> Result<Graph, BuildError> {
    let b = Builder::new();
    match text(&b, model, batch) {
        Some([tokens, pooled]) => b.finish(&[("tokens", tokens), ("pooled", pooled)]),
        None => b.finish(&[]),
    }
}

/// What the text encoders make of inputs for words: tokens and pooled; `None` without an encoder.
#[track_caller]
fn text<'g>(b: &'g Builder, model: &Checkpoint, batch: Batch) -> Option<[Tensor<'g>; 2]> {
    let rows = batch.pictures * batch.chunks;
    let depth = Depth { skipped: model.depth.skipped + batch.skip, ..model.depth };
    let mut features: Vec<TextFeatures<'_>> = Vec::new();
    for ((clip, name), [ids, ends]) in model.text.iter().zip(ENCODERS).zip([["ids", "ends"], ["ids_2", "ends_2"]]) {
        let Some(clip) = clip else { continue };
        let ids = b.input(ids, &[rows, clip.length], DType::I32);
        let ends = b.input(ends, &[rows, clip.length], DType::F32);
        features.push(clip.encode(&Scope::new(b).enter(name), ids, ends, depth));
    }
    let (first, rest) = features.split_first()?;
    let others: Vec<Tensor<'_>> = rest.iter().map(|other| other.tokens).collect();
    let tokens = if others.is_empty() { first.tokens } else { first.tokens.concat(&others, -1) };
    let tokens = tokens.reshape(&[batch.pictures, batch.chunks * tokens.dim(1), tokens.dim(2)]);
    let pooled = rest.last().unwrap_or(first).pooled;
    let pooled = pooled.reshape(&[batch.pictures, batch.chunks, pooled.dim(1)]).slice(1, 0, 1);
    Some([tokens, pooled.reshape(&[batch.pictures, pooled.dim(2)])])
}

/// Noisy latents, their times and what is told to the U-Net's prediction.
///
/// # Errors
/// As for [`encode_text`].
#[track_caller]
pub fn denoise(model: &Checkpoint, batch: Batch) -> Result<Graph, BuildError> {
    let b = Builder::new();
    let (n, [h, w, z]) = (batch.pictures, model.latent(batch.size));
    let x = b.input("x", &[n, h, w, z], DType::F32);
    let time = b.input("t", &[n], DType::F32);
    let prediction = denoiser(&b, model, batch, [x, time], None);
    b.finish(&[("prediction", prediction)])
}

/// The U-Net's prediction from latents `[B, h, w, Z]` at times `[B]`, from tokens and pooled words or inputs for them, and
/// from inputs for what else it is told.
#[track_caller]
fn denoiser<'g>(
    b: &'g Builder,
    model: &Checkpoint,
    batch: Batch,
    [x, time]: [Tensor<'g>; 2],
    words: Option<[Tensor<'g>; 2]>,
) -> Tensor<'g> {
    let (n, [h, w, z]) = (batch.pictures, model.latent(batch.size));
    let float = |name: &str, extents: &[usize]| b.input(name, extents, DType::F32);
    let tokens = match words {
        Some([tokens, _]) => tokens,
        None => float("tokens", &[n, batch.chunks * model.length(), model.unet.context]),
    };
    let pooled = |channels: usize| words.map_or_else(|| float("pooled", &[n, channels]), |[_, pooled]| pooled);
    let addition = model.unet.addition.map(|a| (pooled(a.pooled), float("numbers", &[n, a.numbers])));
    let guidance = model.unet.guidance.map(|width| float("guidance", &[n, width]));
    let x = match model.unet.inputs.saturating_sub(z) {
        0 => x,
        more => x.concat(&[float("given", &[n, h, w, more])], -1),
    };
    let told = Told { time, tokens, addition, guidance };
    model.unet.predict(&Scope::new(b).enter("unet"), x, told)
}

/// Pictures to the means and standard deviations of their latents.
///
/// # Errors
/// As for [`encode_text`].
#[track_caller]
pub fn encode(model: &Checkpoint, batch: Batch) -> Result<Graph, BuildError> {
    let b = Builder::new();
    let [width, height] = batch.size;
    let picture = b.input("picture", &[batch.pictures, height, width, 3], DType::F32);
    let posterior = model.vae.encode(&Scope::new(&b).enter("vae"), picture);
    let mean = model.vae.scaled(posterior.mean);
    let deviation = model.vae.scaled_deviation((posterior.log_variance * 0.5).exp());
    b.finish(&[("mean", mean), ("deviation", deviation)])
}

/// Latents to pictures.
///
/// # Errors
/// As for [`encode_text`].
#[track_caller]
pub fn decode(model: &Checkpoint, batch: Batch) -> Result<Graph, BuildError> {
    decoded(model, batch, |vae, s, latent| vae.decode(s, latent))
}

/// [`decode`], in bands of about so many pixels, for memory: see [`KlAutoencoder::decode_in_bands`].
///
/// # Errors
/// As for [`encode_text`].
#[track_caller]
pub fn decode_in_bands(model: &Checkpoint, batch: Batch, pixels: usize) -> Result<Graph, BuildError> {
    decoded(model, batch, |vae, s, latent| vae.decode_in_bands(s, latent, pixels))
}

#[track_caller]
fn decoded(
    model: &Checkpoint,
    batch: Batch,
    by: impl for<'g> Fn(&KlAutoencoder, &Scope<'g>, Tensor<'g>) -> Tensor<'g>,
) -> Result<Graph, BuildError> {
    let b = Builder::new();
    let [h, w, z] = model.latent(batch.size);
    let latent = b.input("latent", &[batch.pictures, h, w, z], DType::F32);
    let picture = by(&model.vae, &Scope::new(&b).enter("vae"), model.vae.unscaled(latent));
    b.finish(&[("picture", picture)])
}

/// Latents to pictures by the tiny autoencoder.
///
/// # Errors
/// As for [`encode_text`].
#[track_caller]
pub fn preview(tiny: &TinyAutoencoder, pictures: usize, latent: [usize; 2]) -> Result<Graph, BuildError> {
    let b = Builder::new();
    let [h, w] = latent;
    let latent = b.input("latent", &[pictures, h, w, tiny.latent], DType::F32);
    b.finish(&[("picture", tiny.decode(&Scope::new(&b).enter("taesd"), latent))])
}

/// A guidance weight as networks that guide themselves are told it (Meng et al. 2022; Luo et al. 2023): sines, then
/// cosines, of 1000·(weight − 1) at `width`/2 frequencies from 1 to 10⁻⁴.
#[must_use]
pub fn guidance_embedding(weight: f32, width: usize) -> Vec<f32> {
    let half = width / 2;
    let angle = |i: usize| {
        let step = -libm::logf(10_000.0) / half.saturating_sub(1).max(1) as f32;
        (weight - 1.0) * 1000.0 * libm::expf(step * i as f32)
    };
    let sines = (0..half).map(|i| libm::sinf(angle(i)));
    let mut values: Vec<f32> = sines.chain((0..half).map(|i| libm::cosf(angle(i)))).collect();
    values.resize(width, 0.0);
    values
}
