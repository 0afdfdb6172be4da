//! The networks of published models at their full extents, without weights: what their plans would be.

use yuragi_graph::{BuildError, DType, Graph, Precision};
use yuragi_models::{
    Settings,
    latent_diffusion::diffusion_training,
    stable_diffusion::{
        Activation, Addition, Batch, Checkpoint, Clip, Depth, KlAutoencoder, Level, UNet, decode, denoise,
    },
};

use crate::{Work, settings};

/// A plan of a published model, or of one whose times are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// One evaluation of Stable Diffusion 1.5's U-Net for one guided picture of 512×512 (Rombach et al. 2021).
    Denoise15,
    /// One evaluation of Stable Diffusion XL's U-Net for one guided picture of 1024×1024 (Podell et al. 2023).
    DenoiseXl,
    /// One latent of Stable Diffusion to a picture of 512×512.
    Decode512,
    /// The same to 1024×1024.
    Decode1024,
    /// One training step of the built-in U-Net and text encoder, 64 latents of 32×32.
    Training,
}

/// Blocks of transformers, by levels and in the middle.
type Transformers<const N: usize> = ([usize; N], usize);

impl Published {
    /// All of them.
    pub const ALL: [Published; 5] =
        [Published::Denoise15, Published::DenoiseXl, Published::Decode512, Published::Decode1024, Published::Training];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Published::Denoise15 => "sd15-denoise",
            Published::DenoiseXl => "sdxl-denoise",
            Published::Decode512 => "vae-decode-512",
            Published::Decode1024 => "vae-decode-1024",
            Published::Training => "unet-training-64",
        }
    }

    /// The precision of the times that are published: half, in training bfloat16.
    pub fn precision(self) -> Precision {
        if self == Published::Training { Precision::BF16 } else { Precision::F16 }
    }

    /// Milliseconds of PyTorch 2.11, compiled and replayed as one graph, on an H100 in [that precision](Self::precision):
    /// its fastest way.
    pub fn compiled(self) -> f64 {
        match self {
            Published::Denoise15 => 6.79,
            Published::DenoiseXl => 32.5,
            Published::Decode512 => 7.76,
            Published::Decode1024 => 38.0,
            Published::Training => 9.55,
        }
    }

    /// Its graph. In 16 bits so are the weights of what is only evaluated, as in the files that people have.
    ///
    /// # Errors
    /// None.
    pub fn graph(self, precision: Precision) -> Result<Graph, BuildError> {
        match self {
            Published::Denoise15 => guided(&version15(), 1, 512, precision),
            Published::DenoiseXl => guided(&xl(), 1, 1024, precision),
            Published::Decode512 => stored(decode(&version15(), batch(1, 512))?, precision),
            Published::Decode1024 => stored(decode(&xl(), batch(1, 1024))?, precision),
            Published::Training => stored(diffusion_training(&Settings { size: 128, ..settings() }, 64)?, precision),
        }
    }

    /// The same of small networks and pictures, which the emulator computes in seconds.
    ///
    /// # Errors
    /// None.
    pub fn small(self, precision: Precision) -> Result<Graph, BuildError> {
        match self {
            Published::Denoise15 => guided(&tiny(), 1, 16, precision),
            Published::DenoiseXl => guided(&tiny_xl(), 1, 32, precision),
            Published::Decode512 => stored(decode(&tiny(), batch(1, 16))?, precision),
            Published::Decode1024 => stored(decode(&tiny(), batch(1, 32))?, precision),
            Published::Training => stored(Work::DiffusionTraining.small()?, precision),
        }
    }
}

/// One evaluation of Stable Diffusion 1.5's U-Net for so many guided pictures with sides of so many pixels.
///
/// # Errors
/// Sides that are no multiples of 64.
pub fn guided15(pictures: usize, size: usize, precision: Precision) -> Result<Graph, BuildError> {
    guided(&version15(), pictures, size, precision)
}

/// The same of a small network with sides of multiples of 16.
///
/// # Errors
/// Other sides.
pub fn guided_small(pictures: usize, size: usize, precision: Precision) -> Result<Graph, BuildError> {
    guided(&tiny(), pictures, size, precision)
}

fn guided(of: &Checkpoint, pictures: usize, size: usize, precision: Precision) -> Result<Graph, BuildError> {
    stored(denoise(of, batch(2 * pictures, size))?, precision)
}

fn batch(pictures: usize, size: usize) -> Batch {
    Batch { pictures, size: [size; 2], chunks: 1, skip: 0 }
}

/// With weights, where they have no optimiser, and products in a precision.
fn stored(graph: Graph, precision: Precision) -> Result<Graph, BuildError> {
    let stored = Some(precision.factors()).filter(|dtype| *dtype != DType::F32);
    Ok(graph.with_stored(|_| stored).in_precision(precision))
}

/// A U-Net of two residual blocks a level.
fn unet<const N: usize>(channels: [usize; N], (blocks, middle): Transformers<N>, heads: [usize; N]) -> UNet {
    let level = |i: usize| Level { channels: channels[i], layers: 2, transformers: blocks[i], heads: heads[i] };
    UNet {
        inputs: 4,
        outputs: 4,
        levels: (0..N).map(level).collect(),
        middle,
        context: 768,
        time: 1280,
        linear: false,
        groups: 32,
        eps: 1e-5,
        addition: None,
        guidance: None,
    }
}

fn clip(width: usize, layers: usize, activation: Activation, projection: Option<usize>) -> Clip {
    let (vocabulary, length, hidden, heads) = (49_408, 77, 4 * width, width / 64);
    Clip { vocabulary, length, width, hidden, layers, heads, activation, eps: 1e-5, projection, end: 49_407 }
}

/// Stable Diffusion 1.5.
fn version15() -> Checkpoint {
    Checkpoint {
        unet: unet([320, 640, 1280, 1280], ([1, 1, 1, 0], 1), [8; 4]),
        vae: KlAutoencoder {
            latent: 4,
            channels: vec![128, 256, 512, 512],
            layers: 2,
            groups: 32,
            attention: true,
            quantised: [true; 2],
            scale: 0.18215,
            shift: 0.0,
            statistics: None,
        },
        text: [Some(clip(768, 12, Activation::QuickGelu, None)), None],
        depth: Depth { skipped: 0, normalised: true },
        scheduler: Default::default(),
        silent_negative: false,
        size: 512,
    }
}

/// Stable Diffusion XL.
fn xl() -> Checkpoint {
    let smaller = version15();
    Checkpoint {
        unet: UNet {
            context: 2048,
            linear: true,
            addition: Some(Addition { pooled: 1280, numbers: 6, width: 256 }),
            ..unet([320, 640, 1280], ([0, 2, 10], 10), [5, 10, 20])
        },
        vae: KlAutoencoder { scale: 0.13025, ..smaller.vae },
        text: [Some(clip(768, 12, Activation::QuickGelu, None)), Some(clip(1280, 32, Activation::Gelu, Some(1280)))],
        depth: Depth { skipped: 1, normalised: false },
        size: 1024,
        ..smaller
    }
}

/// Stable Diffusion 1.5 with few channels and levels.
fn tiny() -> Checkpoint {
    let large = version15();
    let unet = UNet { groups: 4, context: 16, time: 16, ..unet([8, 16], ([1, 0], 1), [2; 2]) };
    let vae = KlAutoencoder { channels: vec![8, 8, 16, 16], groups: 4, ..large.vae };
    Checkpoint { unet, vae, text: [Some(clip(64, 1, Activation::QuickGelu, None)), None], ..large }
}

/// The same with what Stable Diffusion XL has beside.
fn tiny_xl() -> Checkpoint {
    let tiny = tiny();
    let addition = Some(Addition { pooled: 8, numbers: 6, width: 8 });
    Checkpoint { unet: UNet { linear: true, addition, ..tiny.unet }, ..tiny }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count;

    #[test]
    fn models_have_the_published_number_of_weights() {
        let weights = |work: Published| count(work.graph(Precision::F32).unwrap().params());
        assert_eq!(weights(Published::Denoise15), 859_520_964);
        assert_eq!(weights(Published::DenoiseXl), 2_567_463_684);
        assert_eq!(weights(Published::Decode512), 49_490_199);
    }
}
