//! A small transformer that reads a caption.

use yuragi_graph::{DType, Init, Tensor};
use yuragi_nn::{Scope, attention, embedding, feed_forward, layer_norm};

use crate::tokenizer::PAD;

/// The score added where attention meets padding.
pub(crate) const HIDDEN: f32 = -1e9;

/// Hidden channels of the block that knows what a whole caption means, for each channel of a token.
const RECALL: usize = 8;

/// The extents of a text encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextEncoder {
    /// Kinds of tokens: ids are below it.
    pub vocabulary: usize,
    /// Tokens of a caption, padding included.
    pub length: usize,
    /// Channels of a token's features.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; divides the width.
    pub heads: usize,
}

/// What a network needs to know of captions.
#[derive(Clone, Copy)]
pub struct Features<'g> {
    /// The features of each token, `[B, L, D]`.
    pub tokens: Tensor<'g>,
    /// Added to attention scores, `[B, L]`: 0 at a caption's tokens, −10⁹ at padding.
    pub mask: Tensor<'g>,
    /// The mean over a caption's tokens, standardised, and what a feed-forward block adds to it: `[B, D]`.
    pub pooled: Tensor<'g>,
}

impl TextEncoder {
    /// The features of captions given as `I32 [B, L]`, as [`Tokenizer::ids`](crate::tokenizer::Tokenizer::ids) lays them out (pre-norm
    /// transformer, learnt positions). Padding has id 0 and is seen by nothing.
    #[track_caller]
    pub fn encode<'g>(&self, s: &Scope<'g>, ids: Tensor<'g>) -> Features<'g> {
        let (batch, length) = (ids.dim(0), ids.dim(1));
        let padding = ids.cast(DType::F32).equal(s.builder().fill(&[batch, length], PAD as f32, DType::F32));
        let mask = padding * HIDDEN;

        let position = s.param("position", &[length, self.width], Init::Normal(0.02));
        let mut x = embedding(s, ids, self.vocabulary, self.width, 0.1) + position;
        for layer in 0..self.layers {
            let s = s.enter(layer);
            let h = layer_norm(&s.enter("norm1"), x);
            x = x + attention(&s.enter("attention"), h, h, self.heads, Some(mask));
            x = x + feed_forward(&s.enter("mlp"), layer_norm(&s.enter("norm2"), x), 4 * self.width);
        }
        let tokens = layer_norm(&s.enter("norm"), x);

        let kept = (1.0 - padding).reshape(&[batch, length, 1]);
        let mean = (tokens * kept).sum(&[1]) / (kept.sum(&[1]) + 1e-6);
        let pooled = layer_norm(&s.enter("pool"), mean.reshape(&[batch, self.width]));
        let pooled = pooled + feed_forward(&s.enter("recall"), pooled, RECALL * self.width);
        Features { tokens, mask, pooled }
    }
}
