//! CLIP's text encoders (Radford et al. 2021): OpenAI's and those of OpenCLIP.

use alloc::{vec, vec::Vec};

use yuragi_graph::{Init, Tensor};
use yuragi_nn::Scope;

use super::layers::{Bias, Maps, attention, layer_norm, linear};

/// The score added where a token would see a later one.
const HIDDEN: f32 = -1e9;

const MAPS: Maps = Maps { names: ["q_proj", "k_proj", "v_proj", "out_proj"], bias: [Bias::Yes; 4] };

/// The function between the two maps of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x·Φ(x): OpenCLIP's.
    Gelu,
    /// x·sigmoid(1.702·x): OpenAI's.
    QuickGelu,
}

impl Activation {
    #[track_caller]
    fn apply(self, x: Tensor<'_>) -> Tensor<'_> {
        match self {
            Activation::Gelu => x.gelu(),
            Activation::QuickGelu => x * (x * 1.702).sigmoid(),
        }
    }
}

/// The extents of a text encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Kinds of tokens: ids are below it.
    pub vocabulary: usize,
    /// Tokens of a chunk, begin and end included.
    pub length: usize,
    /// Channels of a token's features.
    pub width: usize,
    /// Channels inside a block's maps.
    pub hidden: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; divides the width.
    pub heads: usize,
    /// Between the maps.
    pub activation: Activation,
    /// Added to variances.
    pub eps: f32,
    /// Channels of the pooled features' projection, if there is one.
    pub projection: Option<usize>,
    /// The id that ends a text; at its first place, the features of the whole are read.
    pub end: u32,
}

/// Which block's tokens are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Blocks left out at the end.
    pub skipped: usize,
    /// Whether the final normalisation follows.
    pub normalised: bool,
}

/// What an encoder makes of texts.
#[derive(Clone, Copy)]
pub struct TextFeatures<'g> {
    /// Of each token, `[B, L, D]`.
    pub tokens: Tensor<'g>,
    /// Of the whole, `[B, P]`: the last block's at the end of the text, normalised, and projected where the encoder
    /// has a projection.
    pub pooled: Tensor<'g>,
}

impl Clip {
    /// The features of `ids I32 [B, L]`; `ends [B, L]` is 1 where a text ends, and 0 elsewhere.
    #[track_caller]
    pub fn encode<'g>(&self, s: &Scope<'g>, ids: Tensor<'g>, ends: Tensor<'g>, depth: Depth) -> TextFeatures<'g> {
        let (batch, length) = (ids.dim(0), ids.dim(1));
        let norm = |name: &str, s: &Scope<'g>, x| layer_norm(&s.enter(name), x, self.eps);
        let embeddings = s.enter("embeddings");
        let table = |name: &str, rows| embeddings.enter(name).param("weight", &[rows, self.width], Init::Normal(0.02));
        let positions = table("position_embedding", self.length).slice(0, 0, length);
        let mut x = table("token_embedding", self.vocabulary).gather(ids) + positions;

        let visible = (0..length * length).map(|i| if i % length > i / length { HIDDEN } else { 0.0 });
        let visible: Vec<f32> = visible.collect();
        let mask = s.builder().literal(&[1, 1, length, length], &visible);
        let kept = self.layers.saturating_sub(depth.skipped);
        let mut tokens = x;
        for layer in 0..self.layers {
            if layer == kept {
                tokens = x;
            }
            let s = s.enter("encoder.layers").enter(layer);
            let h = norm("layer_norm1", &s, x);
            x = x + attention(&s.enter("self_attn"), h, h, self.heads, Some(mask), MAPS);
            let h = linear(&s.enter("mlp.fc1"), norm("layer_norm2", &s, x), self.hidden, Bias::Yes);
            x = x + linear(&s.enter("mlp.fc2"), self.activation.apply(h), self.width, Bias::Yes);
        }
        if kept == self.layers {
            tokens = x;
        }
        let last = norm("final_layer_norm", s, x);
        let pooled = ends.reshape(&[batch, 1, length]).matmul(last).reshape(&[batch, self.width]);
        let pooled = match self.projection {
            Some(width) => linear(&s.enter("text_projection"), pooled, width, Bias::No),
            None => pooled,
        };
        let tokens = match (depth.normalised, kept == self.layers) {
            (true, true) => last,
            (true, false) => norm("final_layer_norm", s, tokens),
            (false, _) => tokens,
        };
        TextFeatures { tokens, pooled }
    }

    /// Where texts of [`length`](Clip::length) ids end, as [`encode`](Clip::encode) takes it; one without an end is read
    /// at its first place.
    #[must_use]
    pub fn ends(&self, ids: &[i32]) -> Vec<f32> {
        let mut ends = vec![0.0; ids.len()];
        let length = self.length.max(1);
        for (ends, text) in ends.chunks_exact_mut(length).zip(ids.chunks_exact(length)) {
            let place = text.iter().position(|id| id.cast_unsigned() == self.end).unwrap_or(0);
            ends[place] = 1.0;
        }
        ends
    }
}
