mod attention;
mod norm;

use alloc::{vec, vec::Vec};

use super::{Conv, winograd};
use crate::{Tensor, op::Scalar};

/// An operation that many backends compute at once. Its meaning is its expansion.
///
/// Gradients of fused operations are fused operations too, one for each operand, so that a backend claims them like
/// others. What several of them need (moments, sums, the logarithms of normalisers) is an operand that they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fused {
    /// `(x)`: e^x over its sum along the last axis.
    Softmax,
    /// `(x, gain [C], bias [C])`: standardises the last axis (Ba et al. 2016).
    LayerNorm {
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(g, x [.., C])`: `F32 [2, C]`, the sums over all rows of g·x̂ and of g, where x̂ is the standardised x: a layer
    /// norm's gradients for gain and bias.
    LayerNormSums {
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(g, x [.., C], gain [C])`: a layer norm's gradient for x.
    LayerNormGrad {
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(x [N, .., C], gain [C], bias [C])`: standardises groups of channels of each sample (Wu & He 2018).
    GroupNorm {
        /// The number of groups; divides C.
        groups: usize,
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(x [N, .., C])`: `F32 [2, N, groups]`, each group's mean and 1/√(variance + eps).
    GroupMoments {
        /// The number of groups; divides C.
        groups: usize,
        /// Added to the variance.
        eps: Scalar,
    },
    /// `(g, x [N, .., C], moments F32 [2, N, groups])`: `F32 [2, N, C]`, the sums over the pixels of each channel of g·x̂
    /// and of g, where x̂ = (x − mean)·rstd of the channel's group.
    GroupNormSums {
        /// The number of groups; divides C.
        groups: usize,
    },
    /// `(g, x [N, .., C], gain [C], moments F32 [2, N, groups], sums F32 [2, N, C])`: a group norm's gradient for x.
    GroupNormGrad {
        /// The number of groups; divides C.
        groups: usize,
    },
    /// `(x F32 [N, .., C])`: `F32 [N, R, groups, 2]`, the mean and the sum of squared distances from it of each group in each
    /// of the R runs of [`group_norm_run`] pixels that x has, of which the last may be shorter. It is what a group norm has to
    /// know of a picture whose parts are not all there at a time.
    GroupRunMoments {
        /// The number of groups; divides C.
        groups: usize,
    },
    /// `(x F32 [N, .., C], gain [C], bias [C], moments F32 [N, R, groups, 2])`: the group norm of a part of a picture, from the
    /// [`GroupRunMoments`](Fused::GroupRunMoments) of the whole.
    GroupNormPart {
        /// The number of groups; divides C.
        groups: usize,
        /// Added to the variance.
        eps: Scalar,
        /// The pixels of the whole.
        pixels: usize,
    },
    /// `(q [.., L, D], k [.., S, D], v [.., S, V])` and optionally an additive mask that broadcasts to
    /// `[.., L, S]`: softmax(q·kᵀ·scale + mask)·v (Vaswani et al. 2017).
    Attention {
        /// Usually 1/√D.
        scale: Scalar,
    },
    /// `(q [.., L, D], k [.., S, D])` and optionally a mask: `F32 [.., L, 1]`, the logarithm of Σ e^(q·kᵀ·scale + mask)
    /// over the keys.
    AttentionLogSum {
        /// As attention's.
        scale: Scalar,
    },
    /// `(g [.., L, V], q [.., L, D], k [.., S, D], v [.., S, V], log_sum F32 [.., L, 1], delta F32 [.., L, 1])` and
    /// optionally a mask: attention's gradient for one operand. With the weights p = e^(q·kᵀ·scale + mask − log_sum) and
    /// the gradient s = p∘(g·vᵀ − delta) of the scores it is s·k·scale for q, sᵀ·q·scale for k and pᵀ·g for v
    /// (Dao et al. 2022, appendix B.2; delta is the sum of g∘y along the last axis). Factors of the products have the
    /// operands' type, everything else is of single precision.
    AttentionGrad {
        /// As attention's.
        scale: Scalar,
        /// The operand.
        of: Factor,
    },
    /// The convolution or gradient with stride 1 and 3×3 taps, of its operands, by minimal filtering F(4×4, 3×3)
    /// (Lavin & Gray 2016), in single precision: a quarter of the multiplications, with larger rounding errors. A
    /// gradient for the picture has at most two zeros on each side.
    Winograd(Conv),
}

/// Elements of a run of pixels, about.
const RUN: usize = 1 << 15;

/// Pixels of so many channels whose moments a group norm takes together: a backend that claims
/// [`GroupNorm`](Fused::GroupNorm), [`GroupRunMoments`](Fused::GroupRunMoments) and
/// [`GroupNormPart`](Fused::GroupNormPart) gives a picture the same bits as its parts, if it measures runs of so many.
#[must_use]
pub const fn group_norm_run(channels: usize) -> usize {
    let run = RUN / if channels == 0 { 1 } else { channels };
    if run == 0 { 1 } else { run }
}

/// An operand of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Factor {
    /// q.
    Query,
    /// k.
    Key,
    /// v.
    Value,
}

impl Factor {
    /// The whole family, in the order of attention's operands.
    pub const ALL: [Factor; 3] = [Factor::Query, Factor::Key, Factor::Value];
}

impl Fused {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Fused::Softmax => "softmax",
            Fused::LayerNorm { .. } => "layer_norm",
            Fused::LayerNormSums { .. } => "layer_norm_sums",
            Fused::LayerNormGrad { .. } => "layer_norm_grad",
            Fused::GroupNorm { .. } => "group_norm",
            Fused::GroupMoments { .. } => "group_moments",
            Fused::GroupNormSums { .. } => "group_norm_sums",
            Fused::GroupNormGrad { .. } => "group_norm_grad",
            Fused::GroupRunMoments { .. } => "group_run_moments",
            Fused::GroupNormPart { .. } => "group_norm_part",
            Fused::Attention { .. } => "attention",
            Fused::AttentionLogSum { .. } => "attention_log_sum",
            Fused::AttentionGrad { of: Factor::Query, .. } => "attention_query_grad",
            Fused::AttentionGrad { of: Factor::Key, .. } => "attention_key_grad",
            Fused::AttentionGrad { of: Factor::Value, .. } => "attention_value_grad",
            Fused::Winograd(Conv::Forward(_)) => "winograd",
            Fused::Winograd(Conv::InputGrad(_)) => "winograd_input_grad",
            Fused::Winograd(Conv::WeightGrad(_)) => "winograd_weight_grad",
        }
    }

    /// What the operation means, in primitive operations (and simpler fused ones).
    pub(crate) fn expand<'g>(self, x: &[Tensor<'g>]) -> Tensor<'g> {
        match self {
            Fused::Softmax => {
                let e = (x[0] - x[0].max(&[-1])).exp();
                e / e.sum(&[-1])
            }
            Fused::LayerNorm { eps } => norm::layer_norm(x, eps.get()),
            Fused::LayerNormSums { eps } => norm::layer_norm_sums(x, eps.get()),
            Fused::LayerNormGrad { eps } => norm::layer_norm_grad(x, eps.get()),
            Fused::GroupNorm { groups, eps } => norm::group_norm(x, groups, eps.get()),
            Fused::GroupMoments { groups, eps } => norm::group_moments(x[0], groups, eps.get()),
            Fused::GroupNormSums { groups } => norm::group_norm_sums(x, groups),
            Fused::GroupNormGrad { groups } => norm::group_norm_grad(x, groups),
            Fused::GroupRunMoments { groups } => norm::group_run_moments(x[0], groups),
            Fused::GroupNormPart { groups, eps, pixels } => norm::group_norm_part(x, groups, eps.get(), pixels),
            Fused::Attention { scale } => {
                let scores = x[0].matmul(x[1].transpose()) * scale.get();
                let scores = if let Some(&mask) = x.get(3) { scores + mask } else { scores };
                scores.softmax().matmul(x[2])
            }
            Fused::AttentionLogSum { scale } => attention::log_sum(x, scale.get()),
            Fused::AttentionGrad { scale, of } => attention::grad(x, scale.get(), of),
            Fused::Winograd(conv) => winograd::expand(conv, x[0], x[1]),
        }
    }

    /// The gradients for the operands where a shorter form than the expansion's is known.
    pub(crate) fn grad<'g>(self, g: Tensor<'g>, x: &[Tensor<'g>], y: Tensor<'g>) -> Option<Vec<Tensor<'g>>> {
        match self {
            Fused::Softmax => Some(vec![y * (g - (g * y).sum(&[-1]))]),
            Fused::LayerNorm { eps } => Some(norm::layer_norm_grads(g, x, eps)),
            Fused::GroupNorm { groups, eps } => Some(norm::group_norm_grads(g, x, groups, eps)),
            Fused::Attention { scale } => Some(attention::grads(g, x, y, scale)),
            Fused::Winograd(conv) => Some(conv.grad(g, x[0], x[1]).to_vec()),
            Fused::LayerNormSums { .. }
            | Fused::LayerNormGrad { .. }
            | Fused::GroupMoments { .. }
            | Fused::GroupNormSums { .. }
            | Fused::GroupNormGrad { .. }
            | Fused::GroupRunMoments { .. }
            | Fused::GroupNormPart { .. }
            | Fused::AttentionLogSum { .. }
            | Fused::AttentionGrad { .. } => None,
        }
    }
}
