//! A variational autoencoder of pictures with a Gaussian latent of a quarter of the width and height
//! (Kingma & Welling 2013; as the first stage of latent diffusion, Rombach et al. 2021).
//!
//! ```text
//! picture 64×64×3 ─ 2×2 pixels to channels ─ conv ─ blocks ─ ↓2 conv ─ blocks ─ norm ─ conv ─ mean, log variance
//! latent  16×16×z ─ conv ─ blocks ─ ↑2 conv ─ blocks ─ norm ─ conv ─ channels to 2×2 pixels ─ picture
//! ```
//!
//! Where the decoder has a finer level, pictures are twice as large: the encoder sees their means over 2×2 pixels, so that
//! latents, and all that was learned about them, stay what they were, and the decoder adds what it knows of the details (an
//! asymmetric autoencoder, Zhu et al. 2023).
//!
//! ```text
//! picture 128×128×3 ─ means of 2×2 pixels ─ the encoder above
//! latent    16×16×z ─ conv ─ blocks ─ ↑2 conv ─ blocks ─ ↑2 conv ─ blocks ─ norm ─ conv ─ channels to 2×2 pixels ─ picture
//! ```

use yuragi_graph::{Init, Tensor};
use yuragi_nn::{Conv2d, Scope, conv2d, depth_to_space, group_norm, init, loss, mean_pool, space_to_depth, upsample};

/// Groups of every normalisation.
const GROUPS: usize = 8;
/// Channels of a picture.
const COLOURS: usize = 3;

/// The extents of an autoencoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoencoder {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels at half and at a quarter of the picture's width; multiples of 8.
    pub channels: [usize; 2],
    /// Residual blocks at each of both.
    pub blocks: [usize; 2],
    /// A finer level of the decoder alone.
    pub fine: Fine,
}

/// A level of the decoder for pictures twice as large as the encoder's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fine {
    /// Channels at half of the large picture's width, a multiple of 8; 0 where there is no such level.
    pub channels: usize,
    /// Residual blocks there.
    pub blocks: usize,
}

/// The Gaussian q(z | picture), both `[N, H/f, W/f, Z]` for the autoencoder's [factor](Autoencoder::factor) f.
#[derive(Clone, Copy)]
pub struct Posterior<'g> {
    /// The mean.
    pub mean: Tensor<'g>,
    /// The logarithm of the variance, within ±20.
    pub log_variance: Tensor<'g>,
}

impl<'g> Posterior<'g> {
    /// A sample, from standard normal noise of the mean's shape.
    #[track_caller]
    pub fn sample(self, noise: Tensor<'g>) -> Tensor<'g> {
        self.mean + (self.log_variance * 0.5).exp() * noise
    }

    /// Its divergence from the standard normal, as a mean over the latent's elements.
    #[track_caller]
    pub fn kl(self) -> Tensor<'g> {
        loss::gaussian_kl(self.mean, self.log_variance).mean_all()
    }
}

impl Autoencoder {
    /// How many times wider a picture is than its latent: 4, or 8 with a finer level.
    pub fn factor(&self) -> usize {
        if self.fine.channels > 0 { 8 } else { 4 }
    }

    /// Pictures `[N, H, W, 3]` in −1..1 → the posterior of their latents; H and W are multiples of the
    /// [factor](Self::factor).
    #[track_caller]
    pub fn encode<'g>(&self, s: &Scope<'g>, picture: Tensor<'g>) -> Posterior<'g> {
        let [half, quarter] = self.channels;
        let picture = if self.fine.channels > 0 { mean_pool(picture, 2) } else { picture };
        let x = conv2d(&s.enter("in"), space_to_depth(picture, 2), half, 3);
        let x = blocks(&s.enter("half"), x, self.blocks[0]);
        let x = Conv2d::new(quarter, 3).stride(2).apply(&s.enter("down"), x);
        let x = blocks(&s.enter("quarter"), x, self.blocks[1]);
        let x = group_norm(&s.enter("norm"), x, GROUPS).silu();
        let z = self.latent;
        let both = conv2d(&s.enter("out"), x, 2 * z, 3);
        let bound = |value| s.builder().fill(&[1], value, both.dtype());
        Posterior {
            mean: both.slice(3, 0, z),
            log_variance: both.slice(3, z, 2 * z).maximum(bound(-20.0)).minimum(bound(20.0)),
        }
    }

    /// Latents `[N, H, W, Z]` → pictures `[N, f·H, f·W, 3]` for the [factor](Self::factor) f, in −1..1 where the training
    /// pictures were.
    #[track_caller]
    pub fn decode<'g>(&self, s: &Scope<'g>, latent: Tensor<'g>) -> Tensor<'g> {
        let [half, quarter] = self.channels;
        let x = conv2d(&s.enter("in"), latent, quarter, 3);
        let x = blocks(&s.enter("quarter"), x, self.blocks[1]);
        let x = conv2d(&s.enter("up"), upsample(x), half, 3);
        let x = blocks(&s.enter("half"), x, self.blocks[0]);
        let Fine { channels, blocks: count } = self.fine;
        if channels == 0 {
            return pixels(s, x);
        }
        let s = s.enter("fine");
        let x = conv2d(&s.enter("up"), upsample(x), channels, 3);
        pixels(&s, blocks(&s, x, count))
    }
}

/// Features at half of a picture's width to the picture.
#[track_caller]
fn pixels<'g>(s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let x = group_norm(&s.enter("norm"), x, GROUPS).silu();
    depth_to_space(conv2d(&s.enter("out"), x, 2 * 2 * COLOURS, 3), 2)
}

/// Residual blocks (He et al. 2016), each `x + conv(silu(norm(conv(silu(norm(x))))))`.
#[track_caller]
fn blocks<'g>(s: &Scope<'g>, x: Tensor<'g>, count: usize) -> Tensor<'g> {
    let half = |s: &Scope<'g>, x: Tensor<'g>, name: &str, init: Init| {
        let h = group_norm(&s.enter(format_args!("norm{name}")), x, GROUPS).silu();
        Conv2d::new(x.dim(-1), 3).init(init).apply(&s.enter(format_args!("conv{name}")), h)
    };
    (0..count).fold(x, |x, block| {
        let s = s.enter(block);
        let h = half(&s, x, "1", init::standard(9 * x.dim(-1)));
        x + half(&s, h, "2", init::ZERO)
    })
}
