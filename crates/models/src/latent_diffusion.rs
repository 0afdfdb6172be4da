//! Latent diffusion (Rombach et al. 2021) by flow matching (Lipman et al. 2022; Liu et al. 2022):
//! each stage's training step and use as one graph.
//!
//! Parameters are named `encoder.…`, `decoder.…`, `text.…` and `unet.…`.
//!
//! | graph | inputs | outputs |
//! |---|---|---|
//! | [`autoencoder_training`] | picture, key, hyper | loss, l1, mse, edges, kl, norm |
//! | [`decoder_training`] | picture, key, hyper | loss, l1, mse, edges, norm |
//! | [`diffusion_training`] | latent, caption, key, hyper | loss, mse, colour, norm |
//! | [`encode`] | picture | latent |
//! | [`decode`] | latent | picture |
//! | [`encode_text`] | caption | tokens, mask, pooled |
//! | [`denoise`] | x, t, tokens, mask, pooled | sample |
//!
//! Shapes: picture `[B, S, S, 3]` in −1..1; latent, x and sample `[B, S/f, S/f, Z]` for the autoencoder's
//! [factor](crate::autoencoder::Autoencoder::factor) f, standardised;
//! caption `I32 [B, L]` as [`Tokenizer::ids`](crate::tokenizer::Tokenizer::ids) gives it; key `U32 [2]`, another
//! for every step; hyper `[4]` as [`Optimizer::hyper`] gives it; tokens `[B, L, D]`, mask `[B, L]`,
//! pooled `[B, D]`; t `[B]`. Graphs that only draw take large weights in the element type of [`Settings::weights`].
//!
//! ```
//! use yuragi_graph::Params;
//! use yuragi_models::{Settings, latent_diffusion};
//! let graph = latent_diffusion::diffusion_training(&Settings::default(), 8)?;
//! let mut weights = Params::new();
//! weights.initialise(graph.params(), 42); // and the optimiser's state
//! # Ok::<(), yuragi_graph::BuildError>(())
//! ```

mod drawing;

use alloc::string::ToString;
use core::panic::Location;

use yuragi_graph::{BuildError, Builder, DType, Graph, ParamSpec, Tensor, op::Distribution};
use yuragi_nn::{
    Scope, loss, mean_pool,
    optim::{Group, Optimizer, Rule},
};

pub use self::drawing::Drawing;
use crate::{Settings, latents::Latents, text_encoder::Features};

/// What begins the names of the decoder's weights.
pub const DECODER: &str = "decoder.";

/// How all stages step: AdamW, with averaged weights.
pub const OPTIMIZER: Optimizer = Optimizer {
    rule: Rule::Adam { betas: [0.9, 0.99], eps: 1e-8 },
    weight_decay: 0.01,
    clip: 1.0,
    average: true,
    scaling: None,
};

/// One training step of the autoencoder:
/// L1 + 2·(squared error) + ½·(L1 of neighbours' differences) + 2·10⁻⁴·KL.
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn autoencoder_training(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    autoencoder_training_by(&OPTIMIZER, settings, batch)
}

/// [`autoencoder_training`] by another optimiser, such as one that scales the loss for products in half precision.
///
/// # Errors
/// As for [`autoencoder_training`].
#[track_caller]
pub fn autoencoder_training_by(optimizer: &Optimizer, settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let Autoencoded { reconstruction, kl, hyper } = autoencoded(&b, settings, batch);
    let total = reconstruction.total() + kl * 2e-4;
    let norm = optimizer.minimize(total, hyper, |spec| Some(Group::standard(spec)));
    let Reconstruction { l1, mse, edges } = reconstruction;
    b.finish(&[("loss", total), ("l1", l1), ("mse", mse), ("edges", edges), ("kl", kl), ("norm", norm)])
}

/// One training step of the decoder alone, to pictures from latents that stay as they are: the autoencoder's loss without its
/// KL. Parameters and inputs are those of [`autoencoder_training`].
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn decoder_training(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    decoder_training_by(&OPTIMIZER, settings, batch)
}

/// [`decoder_training`] by another optimiser, such as one that scales the loss for products in half precision.
///
/// # Errors
/// As for [`decoder_training`].
#[track_caller]
pub fn decoder_training_by(optimizer: &Optimizer, settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let Autoencoded { reconstruction, hyper, .. } = autoencoded(&b, settings, batch);
    let total = reconstruction.total();
    let decodes = |spec: &ParamSpec| spec.name.starts_with(DECODER);
    let norm = optimizer.minimize(total, hyper, |spec| decodes(spec).then(|| Group::standard(spec)));
    let Reconstruction { l1, mse, edges } = reconstruction;
    b.finish(&[("loss", total), ("l1", l1), ("mse", mse), ("edges", edges), ("norm", norm)])
}

/// One training step of the U-Net and the text encoder together.
///
/// Of each latent x₀ the graph makes x = (1 − t)·x₀ + t·ε with t = sigmoid(N(1.1, 1.2)), or t = 1
/// (nothing to go by but the caption) for a share of 0.4, and minimises the squared error of the
/// network's x̂₀, weighted by 1/max(t, ¼)² (the error of the flow ε − x₀, tamed near t = 0); where
/// [`Latents::colour`] was measured, also half of that of the colours it gives, and of their means
/// over 4×4.
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn diffusion_training(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    diffusion_training_by(&OPTIMIZER, settings, batch)
}

/// [`diffusion_training`] by another optimiser, such as one that scales the loss for products in half precision.
///
/// # Errors
/// As for [`diffusion_training`].
#[track_caller]
pub fn diffusion_training_by(optimizer: &Optimizer, settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let s = Scope::new(&b);
    let x0 = latent_input(&b, settings, batch, "latent");
    let caption = b.input("caption", &[batch, settings.text.length], DType::I32);
    let key = b.input("key", &[2], DType::U32);
    let hyper = Optimizer::input(&b);

    let noise = b.random(Distribution::Normal, key, 0, &x0.shape());
    let times = times(&b, key, batch);
    let t = times.reshape(&[batch, 1, 1, 1]);
    let x = x0 * (1.0 - t) + noise * t;
    let text = settings.text.encode(&s.enter("text"), caption);
    let error = settings.unet.denoise(&s.enter("unet"), x, times, text) - x0;

    let weight = t.maximum(b.fill(&[1], 0.25, DType::F32)).recip();
    let weighted = |e| (mean_square(e) * weight * weight).mean_all();
    let mse = weighted(error);
    let colour = match colour_of(&settings.latents, error) {
        Some(colours) => weighted(colours) + weighted(mean_pool(colours, 4)),
        None => b.fill(&[], 0.0, DType::F32),
    };
    let total = mse + colour * 0.5;
    let norm = optimizer.minimize(total, hyper, group);
    b.finish(&[("loss", total), ("mse", mse), ("colour", colour), ("norm", norm)])
}

/// Pictures to the standardised means of their latents.
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn encode(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let picture = picture_input(&b, settings, batch);
    let mean = settings.autoencoder.encode(&Scope::new(&b).enter("encoder"), picture).mean;
    let latent = match channels(&b, &settings.latents) {
        Some((centre, deviation)) => (mean - centre) / deviation,
        None => mean,
    };
    Ok(stored(settings, &b.finish(&[("latent", latent)])?))
}

/// Standardised latents to pictures.
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn decode(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let latent = latent_input(&b, settings, batch, "latent");
    let latent = match channels(&b, &settings.latents) {
        Some((centre, deviation)) => latent * deviation + centre,
        None => latent,
    };
    let picture = settings.autoencoder.decode(&Scope::new(&b).enter("decoder"), latent);
    Ok(stored(settings, &b.finish(&[("picture", picture)])?))
}

/// Captions to their features.
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn encode_text(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let caption = b.input("caption", &[batch, settings.text.length], DType::I32);
    let text = settings.text.encode(&Scope::new(&b).enter("text"), caption);
    Ok(stored(settings, &b.finish(&[("tokens", text.tokens), ("mask", text.mask), ("pooled", text.pooled)])?))
}

/// Noisy latents, their times and their captions' features to estimates of the clean latents.
///
/// # Errors
/// Settings that [`Settings::check`] refuses, or a batch too large to be addressed.
#[track_caller]
pub fn denoise(settings: &Settings, batch: usize) -> Result<Graph, BuildError> {
    let b = builder(settings)?;
    let (length, width) = (settings.text.length, settings.text.width);
    let x = latent_input(&b, settings, batch, "x");
    let t = b.input("t", &[batch], DType::F32);
    let tokens = b.input("tokens", &[batch, length, width], DType::F32);
    let mask = b.input("mask", &[batch, length], DType::F32);
    let pooled = b.input("pooled", &[batch, width], DType::F32);
    let sample = settings.unet.denoise(&Scope::new(&b).enter("unet"), x, t, Features { tokens, mask, pooled });
    Ok(stored(settings, &b.finish(&[("sample", sample)])?))
}

/// How far pictures are from what a decoder makes of samples of their latents.
struct Reconstruction<'g> {
    l1: Tensor<'g>,
    mse: Tensor<'g>,
    edges: Tensor<'g>,
}

impl<'g> Reconstruction<'g> {
    #[track_caller]
    fn total(&self) -> Tensor<'g> {
        self.l1 + self.mse * 2.0 + self.edges * 0.5
    }
}

/// Pictures through the autoencoder, and the optimiser's input.
struct Autoencoded<'g> {
    reconstruction: Reconstruction<'g>,
    kl: Tensor<'g>,
    hyper: Tensor<'g>,
}

#[track_caller]
fn autoencoded<'g>(b: &'g Builder, settings: &Settings, batch: usize) -> Autoencoded<'g> {
    let s = Scope::new(b);
    let picture = picture_input(b, settings, batch);
    let key = b.input("key", &[2], DType::U32);
    let hyper = Optimizer::input(b);
    let posterior = settings.autoencoder.encode(&s.enter("encoder"), picture);
    let noise = b.random(Distribution::Normal, key, 0, &posterior.mean.shape());
    let output = settings.autoencoder.decode(&s.enter("decoder"), posterior.sample(noise));
    let (l1, mse) = (loss::l1(output, picture), loss::mse(output, picture));
    let edges = loss::edges(output, picture);
    Autoencoded { reconstruction: Reconstruction { l1, mse, edges }, kl: posterior.kl(), hyper }
}

/// The graph with weights as they are in memory.
fn stored(settings: &Settings, graph: &Graph) -> Graph {
    graph.with_stored(|spec| Some(settings.stored(&spec.shape)))
}

/// A graph for settings that hold together.
#[track_caller]
fn builder(settings: &Settings) -> Result<Builder, BuildError> {
    let location = Location::caller();
    settings.check().map_err(|error| BuildError { message: error.to_string(), location })?;
    Ok(Builder::new())
}

/// Embeddings learn six times as fast, each being touched by few captions, and do not decay.
fn group(spec: &ParamSpec) -> Option<Group> {
    let standard = Group::standard(spec);
    let rare = spec.name.ends_with("embedding");
    Some(if rare { Group { rate: 6.0, decay: false } } else { standard })
}

/// The share of samples of which nothing is left but noise. Latents of 1024 numbers are known from one another long
/// before: it is here that the meaning of captions is learnt.
const BLIND: f32 = 0.4;

/// t = sigmoid(N(1.1, 1.2)), or 1 for a share of [`BLIND`]: `[batch]`.
fn times<'g>(b: &'g Builder, key: Tensor<'g>, batch: usize) -> Tensor<'g> {
    let fill = |value| b.fill(&[batch], value, DType::F32);
    let t = (b.random(Distribution::Normal, key, 1, &[batch]) * 1.2 + 1.1).sigmoid();
    b.random(Distribution::Uniform, key, 2, &[batch]).less(fill(BLIND)).select(fill(1.0), t)
}

/// The mean square of each sample: `[B, 1, 1, 1]`.
fn mean_square(x: Tensor<'_>) -> Tensor<'_> {
    (x * x).mean(&[1, 2, 3])
}

fn picture_input<'g>(b: &'g Builder, settings: &Settings, batch: usize) -> Tensor<'g> {
    b.input("picture", &[batch, settings.size, settings.size, 3], DType::F32)
}

fn latent_input<'g>(b: &'g Builder, settings: &Settings, batch: usize, name: &str) -> Tensor<'g> {
    let size = settings.latent_size();
    b.input(name, &[batch, size, size, settings.autoencoder.latent], DType::F32)
}

/// The mean and deviation of each channel, if they were measured.
fn channels<'g>(b: &'g Builder, latents: &Latents) -> Option<(Tensor<'g>, Tensor<'g>)> {
    let literal = |values: &[f32]| b.literal(&[values.len()], values);
    let measured = !latents.mean.is_empty() && !latents.deviation.is_empty();
    measured.then(|| (literal(&latents.mean), literal(&latents.deviation)))
}

/// The difference of colours that a difference of latents makes.
fn colour_of<'g>(latents: &Latents, error: Tensor<'g>) -> Option<Tensor<'g>> {
    let (rows, _) = latents.colour.split_at_checked(3 * error.dim(-1))?;
    Some(error.matmul(error.builder().literal(&[error.dim(-1), 3], rows)))
}
