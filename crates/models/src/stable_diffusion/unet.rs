//! The denoiser of Stable Diffusion (Rombach et al. 2021; Podell et al. 2023): residual blocks told the time, and
//! transformers that attend to the picture and to the words.

use alloc::{vec, vec::Vec};

use yuragi_graph::Tensor;
use yuragi_nn::{Scope, timestep_embedding, upsample};

use super::layers::{
    Bias, PLAIN, attention, conv3, convolution, group_norm, halving, layer_norm, linear, pointwise, residual,
};

/// Added to the variances of the transformers' normalisations.
const TRANSFORMER_EPS: [f32; 2] = [1e-6, 1e-5];

/// One level of the U-Net, from the widest down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Channels.
    pub channels: usize,
    /// Residual blocks on the way down; one more on the way up.
    pub layers: usize,
    /// Transformer blocks after each residual block; 0 for none.
    pub transformers: usize,
    /// Heads of their attention; divides the channels.
    pub heads: usize,
}

/// What a U-Net is told beside time and words: sizes and the whole text's features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Channels of the pooled text.
    pub pooled: usize,
    /// Numbers that are embedded like times.
    pub numbers: usize,
    /// Channels of each.
    pub width: usize,
}

/// The extents of a U-Net.
#[derive(Clone, Debug, PartialEq)]
pub struct UNet {
    /// Channels of what it reads: the latent's, and for inpainting a mask and the masked picture's latent.
    pub inputs: usize,
    /// Channels of its prediction.
    pub outputs: usize,
    /// From the widest down.
    pub levels: Vec<Level>,
    /// Transformer blocks in the middle, of the last level's heads.
    pub middle: usize,
    /// Channels of the words' features.
    pub context: usize,
    /// Channels of the time's embedding.
    pub time: usize,
    /// Whether transformers begin and end with linear maps, not with 1×1 convolutions (the file's shapes differ).
    pub linear: bool,
    /// Groups of normalisations.
    pub groups: usize,
    /// Added to their variances.
    pub eps: f32,
    /// What else it is told.
    pub addition: Option<Addition>,
    /// Channels of an embedded guidance weight, for networks that were taught to guide themselves.
    pub guidance: Option<usize>,
}

/// What a U-Net is told.
#[derive(Clone, Copy)]
pub struct Told<'g> {
    /// Times, `[N]`.
    pub time: Tensor<'g>,
    /// Features of the words, `[N, L, context]`.
    pub tokens: Tensor<'g>,
    /// The pooled text `[N, pooled]` and the numbers `[N, numbers]` of [`Addition`].
    pub addition: Option<(Tensor<'g>, Tensor<'g>)>,
    /// The embedded guidance weight `[N, guidance]`.
    pub guidance: Option<Tensor<'g>>,
}

/// What every block needs.
#[derive(Clone, Copy)]
struct Context<'a, 'g> {
    of: &'a UNet,
    time: Tensor<'g>,
    tokens: Tensor<'g>,
}

impl UNet {
    /// The prediction `[N, H, W, outputs]` from `x [N, H, W, inputs]`.
    #[track_caller]
    pub fn predict<'g>(&self, s: &Scope<'g>, x: Tensor<'g>, told: Told<'g>) -> Tensor<'g> {
        let context = Context { of: self, time: self.condition(s, told), tokens: told.tokens };
        let last = self.levels.len().saturating_sub(1);
        let mut x = conv3(&s.enter("conv_in"), x, self.levels.first().map_or(1, |level| level.channels));
        let mut skips = vec![x];
        for (number, level) in self.levels.iter().enumerate() {
            let s = s.enter("down_blocks").enter(number);
            for layer in 0..level.layers {
                x = context.layer(&s, layer, x, level.channels, level.transformers, level.heads);
                skips.push(x);
            }
            if number < last {
                let s = s.enter("downsamplers.0.conv");
                x = convolution(&s, x, level.channels, halving([1; 4]), Bias::Yes);
                skips.push(x);
            }
        }
        if let Some(level) = self.levels.last() {
            let s = s.enter("mid_block");
            x = context.layer(&s, 0, x, level.channels, self.middle, level.heads);
            x = context.residual(&s, 1, x, level.channels);
        }
        for (number, level) in self.levels.iter().rev().enumerate() {
            let s = s.enter("up_blocks").enter(number);
            for layer in 0..=level.layers {
                let joined = skips.pop().map_or(x, |skip| x.concat(&[skip], -1));
                x = context.layer(&s, layer, joined, level.channels, level.transformers, level.heads);
            }
            if number < last {
                x = conv3(&s.enter("upsamplers.0.conv"), doubled(x, skips.last()), level.channels);
            }
        }
        let x = group_norm(&s.enter("conv_norm_out"), x, self.groups, self.eps).silu();
        conv3(&s.enter("conv_out"), x, self.outputs)
    }

    /// The embedding of the time and of what else is told: `[N, time]`.
    #[track_caller]
    fn condition<'g>(&self, s: &Scope<'g>, told: Told<'g>) -> Tensor<'g> {
        let first = self.levels.first().map_or(1, |level| level.channels);
        let embed = |name: &str, x: Tensor<'g>| {
            let s = s.enter(name);
            let h = linear(&s.enter("linear_1"), x, self.time, Bias::Yes).silu();
            linear(&s.enter("linear_2"), h, self.time, Bias::Yes)
        };
        let mut sinusoids = timestep_embedding(s, told.time, first, 10_000.0);
        if let Some(guidance) = told.guidance {
            sinusoids = sinusoids + linear(&s.enter("time_embedding.cond_proj"), guidance, first, Bias::No);
        }
        let time = embed("time_embedding", sinusoids);
        match (self.addition, told.addition) {
            (Some(addition), Some((pooled, numbers))) => {
                let batch = numbers.dim(0);
                let numbers = timestep_embedding(s, numbers, addition.width, 10_000.0);
                let numbers = numbers.reshape(&[batch, addition.numbers * addition.width]);
                time + embed("add_embedding", pooled.concat(&[numbers], -1))
            }
            _ => time,
        }
    }
}

/// Every pixel doubled; an odd size of the skip that follows cuts the last row or column off.
#[track_caller]
fn doubled<'g>(x: Tensor<'g>, skip: Option<&Tensor<'g>>) -> Tensor<'g> {
    let x = upsample(x);
    let Some(skip) = skip else { return x };
    x.slice(1, 0, skip.dim(1)).slice(2, 0, skip.dim(2))
}

impl<'g> Context<'_, 'g> {
    /// A residual block and, where there are transformer blocks, their stack.
    #[track_caller]
    fn layer(
        &self,
        s: &Scope<'g>,
        number: usize,
        x: Tensor<'g>,
        channels: usize,
        blocks: usize,
        heads: usize,
    ) -> Tensor<'g> {
        let x = self.residual(s, number, x, channels);
        if blocks == 0 { x } else { self.transformer(&s.enter("attentions").enter(number), x, blocks, heads) }
    }

    #[track_caller]
    fn residual(&self, s: &Scope<'g>, number: usize, x: Tensor<'g>, channels: usize) -> Tensor<'g> {
        residual(&s.enter("resnets").enter(number), x, Some(self.time), channels, self.of.groups, self.of.eps)
    }

    /// Transformer blocks over the pixels of `x [N, H, W, C]`.
    #[track_caller]
    fn transformer(&self, s: &Scope<'g>, x: Tensor<'g>, blocks: usize, heads: usize) -> Tensor<'g> {
        let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
        let [outer, inner] = TRANSFORMER_EPS;
        let project = |name: &str, x: Tensor<'g>| {
            let s = s.enter(name);
            if self.of.linear { linear(&s, x, c, Bias::Yes) } else { pointwise(&s, x, c) }
        };
        let pixels = group_norm(&s.enter("norm"), x, self.of.groups, outer).reshape(&[n, h * w, c]);
        let mut y = project("proj_in", pixels);
        for block in 0..blocks {
            let s = s.enter("transformer_blocks").enter(block);
            let norm = |name: &str, y| layer_norm(&s.enter(name), y, inner);
            let own = norm("norm1", y);
            y = y + attention(&s.enter("attn1"), own, own, heads, None, PLAIN);
            y = y + attention(&s.enter("attn2"), norm("norm2", y), self.tokens, heads, None, PLAIN);
            let both = linear(&s.enter("ff.net.0.proj"), norm("norm3", y), 8 * c, Bias::Yes);
            let gated = both.slice(2, 0, 4 * c) * both.slice(2, 4 * c, 8 * c).gelu();
            y = y + linear(&s.enter("ff.net.2"), gated, c, Bias::Yes);
        }
        x + project("proj_out", y).reshape(&[n, h, w, c])
    }
}
