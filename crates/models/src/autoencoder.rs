//! A variational autoencoder of pictures with a Gaussian latent of a quarter of the width and height
//! (Kingma & Welling 2013; as the first stage of latent diffusion, Rombach et al. 2021).
//!
//! ```text
//! picture 64×64×3 ─ 2×2 pixels to channels ─ conv ─ blocks ─ ↓2 conv ─ blocks ─ norm ─ conv ─ mean, log variance
//! latent  16×16×z ─ conv ─ blocks ─ ↑2 conv ─ blocks ─ norm ─ conv ─ channels to 2×2 pixels ─ picture
//! ```

use yuragi_graph::{Init, Tensor};
use yuragi_nn::{Conv2d, Scope, conv2d, depth_to_space, group_norm, init, loss, space_to_depth, upsample};

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
}

/// The Gaussian q(z | picture), both `[N, H/4, W/4, Z]`.
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
    /// Pictures `[N, H, W, 3]` in −1..1 → the posterior of their latents; H and W are multiples of 4.
    #[track_caller]
    pub fn encode<'g>(&self, s: &Scope<'g>, picture: Tensor<'g>) -> Posterior<'g> {
        let [half, quarter] = self.channels;
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

    /// Latents `[N, H, W, Z]` → pictures `[N, 4H, 4W, 3]`, in −1..1 where the training pictures were.
    #[track_caller]
    pub fn decode<'g>(&self, s: &Scope<'g>, latent: Tensor<'g>) -> Tensor<'g> {
        let [half, quarter] = self.channels;
        let x = conv2d(&s.enter("in"), latent, quarter, 3);
        let x = blocks(&s.enter("quarter"), x, self.blocks[1]);
        let x = conv2d(&s.enter("up"), upsample(x), half, 3);
        let x = blocks(&s.enter("half"), x, self.blocks[0]);
        let x = group_norm(&s.enter("norm"), x, GROUPS).silu();
        depth_to_space(conv2d(&s.enter("out"), x, 2 * 2 * COLOURS, 3), 2)
    }
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
