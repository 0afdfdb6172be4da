use alloc::vec::Vec;

use super::winograd;
use crate::{Tensor, op::Scalar};

/// An operation that many backends compute at once. Its meaning is its expansion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fused {
    /// `(x)`: e^x over its sum along the last axis.
    Softmax,
    /// `(x, gain [C], bias [C])`: standardises the last axis (Ba et al. 2016).
    LayerNorm {
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
    /// `(q [.., L, D], k [.., S, D], v [.., S, V])` and optionally an additive mask that broadcasts to
    /// `[.., L, S]`: softmax(q·kᵀ·scale + mask)·v (Vaswani et al. 2017).
    Attention {
        /// Usually 1/√D.
        scale: Scalar,
    },
    /// `(x [N, H, W, C], w [3, 3, C, O])`, in single precision: the convolution with stride 1 by minimal filtering
    /// F(4×4, 3×3) (Lavin & Gray 2016): a quarter of the multiplications, with larger rounding errors.
    Winograd {
        /// Zeros above, below, left and right.
        padding: [usize; 4],
    },
}

impl Fused {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Fused::Softmax => "softmax",
            Fused::LayerNorm { .. } => "layer_norm",
            Fused::GroupNorm { .. } => "group_norm",
            Fused::Attention { .. } => "attention",
            Fused::Winograd { .. } => "winograd",
        }
    }

    /// What the operation means, in primitive operations (and simpler fused ones).
    pub(crate) fn expand<'g>(self, x: &[Tensor<'g>]) -> Tensor<'g> {
        match self {
            Fused::Softmax => {
                let e = (x[0] - x[0].max(&[-1])).exp();
                e / e.sum(&[-1])
            }
            Fused::LayerNorm { eps } => {
                let (normal, _) = standardised(x[0], &[-1], eps.get());
                normal * x[1] + x[2]
            }
            Fused::GroupNorm { groups, eps } => {
                let (normal, _) = standardised(grouped(x[0], groups), &[1, 3], eps.get());
                normal.reshape(&x[0].shape()) * x[1] + x[2]
            }
            Fused::Attention { scale } => {
                let scores = x[0].matmul(x[1].transpose()) * scale.get();
                let scores = if let Some(&mask) = x.get(3) { scores + mask } else { scores };
                scores.softmax().matmul(x[2])
            }
            Fused::Winograd { padding } => winograd::expand(x[0], x[1], padding),
        }
    }

    /// The gradients for the operands where a shorter form than the expansion's is known.
    pub(crate) fn grad<'g>(self, g: Tensor<'g>, x: &[Tensor<'g>], y: Tensor<'g>) -> Option<[Tensor<'g>; 3]> {
        match self {
            Fused::Softmax => {
                let dx = y * (g - (g * y).sum(&[-1]));
                Some([dx; 3])
            }
            Fused::LayerNorm { eps } => Some(layer_norm_grad(g, x, eps.get())),
            Fused::GroupNorm { groups, eps } => Some(group_norm_grad(g, x, groups, eps.get())),
            Fused::Attention { .. } => None,
            Fused::Winograd { padding } => {
                let [dx, dw] = winograd::grad(g, x[0], x[1], padding);
                Some([dx, dw, dw])
            }
        }
    }
}

/// `[N, .., C]` as `[N, pixels, groups, C/groups]`.
fn grouped(x: Tensor<'_>, groups: usize) -> Tensor<'_> {
    let shape = x.shape();
    let (n, c) = (shape[0], shape[shape.rank() - 1]);
    let pixels = shape[1..shape.rank() - 1].iter().product();
    x.reshape(&[n, pixels, groups, c / groups])
}

/// `(x - mean) / √(variance + eps)` over these axes, and the reciprocal root.
fn standardised<'g>(x: Tensor<'g>, axes: &[isize], eps: f32) -> (Tensor<'g>, Tensor<'g>) {
    let centred = x - x.mean(axes);
    let rstd = ((centred * centred).mean(axes) + eps).sqrt().recip();
    (centred * rstd, rstd)
}

/// dx = rstd·(h − mean h − x̂·mean(h·x̂)) with h = g·gain; the gain's gradient sums g·x̂, the bias's sums g.
fn layer_norm_grad<'g>(g: Tensor<'g>, x: &[Tensor<'g>], eps: f32) -> [Tensor<'g>; 3] {
    let (normal, rstd) = standardised(x[0], &[-1], eps);
    let h = g * x[1];
    let dx = (h - h.mean(&[-1]) - normal * (h * normal).mean(&[-1])) * rstd;
    let leading: Vec<isize> = (0..g.shape().rank() as isize - 1).collect();
    let per_channel = |t: Tensor<'g>| t.sum(&leading).reshape(&x[1].shape());
    [dx, per_channel(g * normal), per_channel(g)]
}

/// As for the layer norm, with one mean per group. Sums over the pixels of each channel come first,
/// so that all that meets the picture is one number per channel.
fn group_norm_grad<'g>(g: Tensor<'g>, x: &[Tensor<'g>], groups: usize, eps: f32) -> [Tensor<'g>; 3] {
    let shape = x[0].shape();
    let (n, c) = (shape[0], shape[shape.rank() - 1]);
    let pixels = shape[1..shape.rank() - 1].iter().product();
    let (g, picture) = (g.reshape(&[n, pixels, c]), x[0].reshape(&[n, pixels, c]));
    let group_mean = |sums: Tensor<'g>| {
        let mean = sums.reshape(&[n, 1, groups, c / groups]).mean(&[-1]) * (1.0 / pixels as f32);
        mean.broadcast(&[n, 1, groups, c / groups]).reshape(&[n, 1, c])
    };
    let centred = picture - group_mean(picture.sum(&[1]));
    let rstd = (group_mean((centred * centred).sum(&[1])) + eps).sqrt().recip();
    let normal = centred * rstd;
    let (gain, bias) = ((g * normal).sum(&[1]), g.sum(&[1]));
    let dx = (g * x[1] - group_mean(bias * x[1]) - normal * group_mean(gain * x[1])) * rstd;
    let per_channel = |t: Tensor<'g>| t.sum(&[0]).reshape(&[c]);
    [dx.reshape(&shape), per_channel(gain), per_channel(bias)]
}
