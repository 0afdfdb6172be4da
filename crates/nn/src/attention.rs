use yuragi_graph::Tensor;

use crate::{Linear, Scope, linear};

/// Multi-head attention (Vaswani et al. 2017) of tokens `x [B, L, D]` to `context [B, S, C]`
/// (self-attention where both are one tensor): `[B, L, D]`. Parameters `query`, `key`, `value`
/// without bias, and `out`, which begins as 0.
///
/// `mask [B, S]` is added to the scores of the context's tokens: 0 keeps a token, a large negative
/// number hides it. `heads` divides D.
#[track_caller]
pub fn attention<'g>(
    s: &Scope<'g>,
    x: Tensor<'g>,
    context: Tensor<'g>,
    heads: usize,
    mask: Option<Tensor<'g>>,
) -> Tensor<'g> {
    let (batch, width) = (x.dim(0), x.dim(-1));
    let depth = width / heads.max(1);
    let split = |name: &str, tokens: Tensor<'g>| {
        let projected = Linear::new(width).unbiased().apply(&s.enter(name), tokens);
        projected.reshape(&[batch, tokens.dim(1), heads, depth]).permute(&[0, 2, 1, 3])
    };
    let (q, k, v) = (split("query", x), split("key", context), split("value", context));
    let mask = mask.map(|m| m.reshape(&[batch, 1, 1, context.dim(1)]));
    let mixed = q.attention(k, v, mask, 1.0 / libm::sqrtf(depth as f32));
    let merged = mixed.permute(&[0, 2, 1, 3]).reshape(&x.shape());
    Linear::new(width).zero().apply(&s.enter("out"), merged)
}

/// A transformer's two-layer map of each token through `hidden` channels and GELU; parameters `in`
/// and `out`, which begins as 0.
#[track_caller]
pub fn feed_forward<'g>(s: &Scope<'g>, x: Tensor<'g>, hidden: usize) -> Tensor<'g> {
    Linear::new(x.dim(-1)).zero().apply(&s.enter("out"), linear(&s.enter("in"), x, hidden).gelu())
}
