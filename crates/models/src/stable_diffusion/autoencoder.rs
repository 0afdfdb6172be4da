//! The KL autoencoder of pictures (Rombach et al. 2021).

use alloc::vec::Vec;

use yuragi_graph::Tensor;
use yuragi_nn::Scope;

use super::{
    bands::{Bands, Norm},
    layers::{Bias, Maps, attention, conv3, convolution, group_norm, halving, pointwise, residual},
};
use crate::autoencoder::Posterior;

/// Added to every variance.
const EPS: f32 = 1e-6;

const MAPS: Maps = Maps { names: ["to_q", "to_k", "to_v", "to_out.0"], bias: [Bias::Yes; 4] };

/// The extents of an autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct KlAutoencoder {
    /// Channels of the latent.
    pub latent: usize,
    /// Channels of each level, from the picture's size down; each level but the last halves it.
    pub channels: Vec<usize>,
    /// Residual blocks of a level of the encoder; the decoder has one more.
    pub layers: usize,
    /// Groups of normalisations.
    pub groups: usize,
    /// Whether the middle attends to itself.
    pub attention: bool,
    /// Whether a 1×1 convolution follows the encoder, and one precedes the decoder.
    pub quantised: [bool; 2],
    /// Latents are multiplied by it for the denoiser.
    pub scale: f32,
    /// Subtracted before.
    pub shift: f32,
    /// Where measured: each channel's mean and standard deviation, which `scale` then multiplies.
    pub statistics: Option<(Vec<f32>, Vec<f32>)>,
}

impl KlAutoencoder {
    /// Pixels for each of a latent's, along either axis.
    #[must_use]
    pub fn factor(&self) -> usize {
        1 << self.channels.len().saturating_sub(1)
    }

    /// Pictures `[N, H, W, 3]` in −1..1 → the posterior of their latents, as the denoiser wants them scaled only by
    /// [`scaled`](KlAutoencoder::scaled).
    #[track_caller]
    pub fn encode<'g>(&self, s: &Scope<'g>, picture: Tensor<'g>) -> Posterior<'g> {
        let e = s.enter("encoder");
        let mut x = conv3(&e.enter("conv_in"), picture, self.channels.first().copied().unwrap_or(1));
        let last = self.channels.len().saturating_sub(1);
        for (level, &channels) in self.channels.iter().enumerate() {
            let s = e.enter("down_blocks").enter(level);
            for layer in 0..self.layers {
                x = self.residual(&s, layer, x, channels);
            }
            if level < last {
                x = convolution(&s.enter("downsamplers.0.conv"), x, channels, halving([0, 1, 0, 1]), Bias::Yes);
            }
        }
        x = self.middle(&e.enter("mid_block"), x);
        x = group_norm(&e.enter("conv_norm_out"), x, self.groups, EPS).silu();
        x = conv3(&e.enter("conv_out"), x, 2 * self.latent);
        if self.quantised[0] {
            x = pointwise(&s.enter("quant_conv"), x, 2 * self.latent);
        }
        let bound = |value| s.builder().fill(&[1], value, x.dtype());
        Posterior {
            mean: x.slice(3, 0, self.latent),
            log_variance: x.slice(3, self.latent, 2 * self.latent).maximum(bound(-30.0)).minimum(bound(20.0)),
        }
    }

    /// Unscaled latents `[N, H, W, latent]` → pictures `[N, H·factor, W·factor, 3]`, about −1..1.
    #[track_caller]
    pub fn decode<'g>(&self, s: &Scope<'g>, latent: Tensor<'g>) -> Tensor<'g> {
        self.decoded(s, latent, None)
    }

    /// [`decode`](KlAutoencoder::decode), its last two levels in bands of about so many pixels, 64 at the most: half the
    /// memory. A backend that measures runs of pixels as [`group_norm_run`](yuragi_graph::op::group_norm_run) says gives one picture the
    /// same bits; others sum its norms in another order.
    #[track_caller]
    pub fn decode_in_bands<'g>(&self, s: &Scope<'g>, latent: Tensor<'g>, pixels: usize) -> Tensor<'g> {
        self.decoded(s, latent, Some(pixels))
    }

    #[track_caller]
    fn decoded<'g>(&self, s: &Scope<'g>, latent: Tensor<'g>, pixels: Option<usize>) -> Tensor<'g> {
        let latent =
            if self.quantised[1] { pointwise(&s.enter("post_quant_conv"), latent, self.latent) } else { latent };
        let d = s.enter("decoder");
        let x = conv3(&d.enter("conv_in"), latent, self.channels.last().copied().unwrap_or(1));
        let mut x = Bands::whole(self.middle(&d.enter("mid_block"), x), Norm { groups: self.groups, eps: EPS });
        for (level, &channels) in self.channels.iter().rev().enumerate() {
            let s = d.enter("up_blocks").enter(level);
            for layer in 0..=self.layers {
                x = x.residual(&s.enter("resnets").enter(layer), channels);
            }
            if let Some(&next) = self.channels.iter().rev().nth(level + 1) {
                // A level has a quarter of the next one's pixels, and twice its channels at the most.
                let pixels = pixels.filter(|_| level + 3 >= self.channels.len());
                x = x.upsampled(&s.enter("upsamplers.0.conv"), next, pixels);
            }
        }
        x.ended(&d.enter("conv_norm_out"), &d.enter("conv_out"), 3).unwrap_or(latent)
    }

    /// Latents as the denoiser wants them.
    #[track_caller]
    pub fn scaled<'g>(&self, latent: Tensor<'g>) -> Tensor<'g> {
        match self.measured(latent) {
            Some([mean, deviation]) => (latent - mean) * self.scale / deviation,
            None => (latent - self.shift) * self.scale,
        }
    }

    /// Standard deviations of latents as the denoiser has them.
    #[track_caller]
    pub fn scaled_deviation<'g>(&self, deviation: Tensor<'g>) -> Tensor<'g> {
        match self.measured(deviation) {
            Some([_, measured]) => deviation * self.scale / measured,
            None => deviation * self.scale,
        }
    }

    /// Latents of the denoiser as the decoder wants them.
    #[track_caller]
    pub fn unscaled<'g>(&self, latent: Tensor<'g>) -> Tensor<'g> {
        match self.measured(latent) {
            Some([mean, deviation]) => latent * deviation * (1.0 / self.scale) + mean,
            None => latent * (1.0 / self.scale) + self.shift,
        }
    }

    #[track_caller]
    fn measured<'g>(&self, like: Tensor<'g>) -> Option<[Tensor<'g>; 2]> {
        let (mean, deviation) = self.statistics.as_ref()?;
        let literal = |values: &[f32]| like.builder().literal(&[values.len()], values);
        Some([literal(mean), literal(deviation)])
    }

    #[track_caller]
    fn residual<'g>(&self, s: &Scope<'g>, number: usize, x: Tensor<'g>, channels: usize) -> Tensor<'g> {
        residual(&s.enter("resnets").enter(number), x, None, channels, self.groups, EPS)
    }

    #[track_caller]
    fn middle<'g>(&self, s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
        let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
        let mut x = self.residual(s, 0, x, c);
        if self.attention {
            let s = s.enter("attentions.0");
            let y = group_norm(&s.enter("group_norm"), x, self.groups, EPS).reshape(&[n, h * w, c]);
            x = x + attention(&s, y, y, 1, None, MAPS).reshape(&[n, h, w, c]);
        }
        self.residual(s, 1, x, c)
    }
}
