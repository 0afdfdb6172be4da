use alloc::{vec, vec::Vec};

use super::{Fused, group_norm_run};
use crate::{DType, Tensor, op::Scalar};

/// `(x - mean) / √(variance + eps)` over these axes, and the reciprocal root.
fn standardised<'g>(x: Tensor<'g>, axes: &[isize], eps: f32) -> (Tensor<'g>, Tensor<'g>) {
    let centred = x - x.mean(axes);
    let rstd = ((centred * centred).mean(axes) + eps).sqrt().recip();
    (centred * rstd, rstd)
}

/// Two tensors of one shape as one, with an axis of 2 before the others.
fn pair<'g>(a: Tensor<'g>, b: Tensor<'g>, extents: &[usize]) -> Tensor<'g> {
    let one: Vec<usize> = [1].iter().chain(extents).copied().collect();
    a.reshape(&one).concat(&[b.reshape(&one)], 0)
}

/// What [`pair`] joined, each under this shape.
fn parts<'g>(pair: Tensor<'g>, extents: &[usize]) -> [Tensor<'g>; 2] {
    [0, 1].map(|i| pair.slice(0, i, i + 1).reshape(extents))
}

/// Of (x, gain, bias).
pub(super) fn layer_norm<'g>(x: &[Tensor<'g>], eps: f32) -> Tensor<'g> {
    let (normal, _) = standardised(x[0], &[-1], eps);
    normal * x[1] + x[2]
}

/// Of (g, x).
pub(super) fn layer_norm_sums<'g>(x: &[Tensor<'g>], eps: f32) -> Tensor<'g> {
    let (g, x) = (x[0].cast(DType::F32), x[1].cast(DType::F32));
    let (normal, _) = standardised(x, &[-1], eps);
    let leading: Vec<isize> = (0..x.shape().rank() as isize - 1).collect();
    pair((g * normal).sum(&leading), g.sum(&leading), &[x.dim(-1)])
}

/// Of (g, x, gain): rstd·(h − mean h − x̂·mean(h·x̂)) with h = g·gain.
pub(super) fn layer_norm_grad<'g>(x: &[Tensor<'g>], eps: f32) -> Tensor<'g> {
    let [g, from, gain] = [x[0], x[1], x[2]].map(|t| t.cast(DType::F32));
    let (normal, rstd) = standardised(from, &[-1], eps);
    let h = g * gain;
    ((h - h.mean(&[-1]) - normal * (h * normal).mean(&[-1])) * rstd).cast(x[1].dtype())
}

/// The gradients of a layer norm's operands (x, gain, bias).
pub(super) fn layer_norm_grads<'g>(g: Tensor<'g>, x: &[Tensor<'g>], eps: Scalar) -> Vec<Tensor<'g>> {
    let dx = g.fused(Fused::LayerNormGrad { eps }, &[x[0], x[1]]);
    let sums = g.fused(Fused::LayerNormSums { eps }, &[x[0]]);
    let [gain, bias] = parts(sums, &x[1].shape()).map(|t| t.cast(x[1].dtype()));
    vec![dx, gain, bias]
}

/// Of (x, gain, bias).
pub(super) fn group_norm<'g>(x: &[Tensor<'g>], groups: usize, eps: f32) -> Tensor<'g> {
    let shape = x[0].shape();
    let (n, c) = (shape[0], shape[shape.rank() - 1]);
    let pixels = shape[1..shape.rank() - 1].iter().product();
    let (normal, _) = standardised(x[0].reshape(&[n, pixels, groups, c / groups]), &[1, 3], eps);
    normal.reshape(&shape) * x[1] + x[2]
}

/// Extents of a picture whose channels are in groups. Sums over the pixels of each channel come first, so that all that
/// meets the picture is one number per channel.
#[derive(Clone, Copy)]
struct Groups {
    samples: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
}

impl Groups {
    fn of(x: Tensor<'_>, groups: usize) -> Groups {
        let shape = x.shape();
        let pixels = shape[1..shape.rank() - 1].iter().product();
        Groups { samples: shape[0], pixels, channels: shape[shape.rank() - 1], groups }
    }

    /// `[N, pixels, C]` in single precision.
    fn picture(self, x: Tensor<'_>) -> Tensor<'_> {
        x.cast(DType::F32).reshape(&[self.samples, self.pixels, self.channels])
    }

    /// The mean of each group from its channels' sums `[N, 1, C]`: `[N, 1, groups, 1]`.
    fn mean(self, sums: Tensor<'_>) -> Tensor<'_> {
        let width = self.channels / self.groups;
        sums.reshape(&[self.samples, 1, self.groups, width]).mean(&[-1]) * (1.0 / self.pixels as f32)
    }

    /// A number of each group for each of its channels: `[N, 1, C]`.
    fn per_channel(self, x: Tensor<'_>) -> Tensor<'_> {
        let Groups { samples, channels, groups, .. } = self;
        let grouped = x.reshape(&[samples, 1, groups, 1]).broadcast(&[samples, 1, groups, channels / groups]);
        grouped.reshape(&[samples, 1, channels])
    }

    /// The standardised picture and the reciprocal deviations `[N, 1, C]`.
    fn standardised<'g>(self, x: Tensor<'g>, moments: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let [mean, rstd] = parts(moments, &[self.samples, self.groups]).map(|t| self.per_channel(t));
        ((self.picture(x) - mean) * rstd, rstd)
    }
}

/// Of x.
pub(super) fn group_moments(x: Tensor<'_>, groups: usize, eps: f32) -> Tensor<'_> {
    let of = Groups::of(x, groups);
    let picture = of.picture(x);
    let mean = of.mean(picture.sum(&[1]));
    let centred = picture - of.per_channel(mean);
    let rstd = (of.mean((centred * centred).sum(&[1])) + eps).sqrt().recip();
    pair(mean, rstd, &[of.samples, groups])
}

/// Of (g, x, moments).
pub(super) fn group_norm_sums<'g>(x: &[Tensor<'g>], groups: usize) -> Tensor<'g> {
    let of = Groups::of(x[1], groups);
    let (normal, _) = of.standardised(x[1], x[2]);
    let g = of.picture(x[0]);
    pair((g * normal).sum(&[1]), g.sum(&[1]), &[of.samples, of.channels])
}

/// Of (g, x, gain, moments, sums): rstd·(h − mean h − x̂·mean(h·x̂)) with h = g·gain and one mean per group.
pub(super) fn group_norm_grad<'g>(x: &[Tensor<'g>], groups: usize) -> Tensor<'g> {
    let of = Groups::of(x[1], groups);
    let (normal, rstd) = of.standardised(x[1], x[3]);
    let (g, gain) = (of.picture(x[0]), x[2].cast(DType::F32));
    let [with_normal, alone] =
        parts(x[4], &[of.samples, 1, of.channels]).map(|sums| of.per_channel(of.mean(sums * gain)));
    ((g * gain - alone - normal * with_normal) * rstd).reshape(&x[1].shape()).cast(x[1].dtype())
}

/// Of x: in each run of pixels.
pub(super) fn group_run_moments(x: Tensor<'_>, groups: usize) -> Tensor<'_> {
    let Groups { samples, pixels, channels, .. } = Groups::of(x, groups);
    let (run, width) = (group_norm_run(channels), channels / groups);
    let picture = x.reshape(&[samples, pixels, groups, width]);
    let moments = |first: usize, runs: usize, run: usize| {
        let part = picture.slice(1, first, first + runs * run).reshape(&[samples, runs, run, groups, width]);
        let mean = part.mean(&[2, 4]);
        let distance = part - mean;
        let extents = [samples, runs, groups, 1];
        let squares = (distance * distance).sum(&[2, 4]);
        mean.reshape(&extents).concat(&[squares.reshape(&extents)], -1)
    };
    match (pixels / run, pixels % run) {
        (runs, 0) => moments(0, runs, run),
        (0, rest) => moments(0, 1, rest),
        (runs, rest) => moments(0, runs, run).concat(&[moments(runs * run, 1, rest)], 1),
    }
}

/// Of (x, gain, bias, moments of the runs of the whole).
pub(super) fn group_norm_part<'g>(x: &[Tensor<'g>], groups: usize, eps: f32, pixels: usize) -> Tensor<'g> {
    let Groups { samples, pixels: part, channels, .. } = Groups::of(x[0], groups);
    let (run, width) = (group_norm_run(channels), channels / groups);
    let runs = pixels.div_ceil(run);
    let shares: Vec<f32> = (0..runs).map(|i| run.min(pixels - i * run) as f32 / pixels as f32).collect();
    let shares = x[0].builder().literal(&[runs, 1, 1], &shares);
    let [means, squares] = [0, 1].map(|i| x[3].slice(3, i, i + 1));
    let mean = (means * shares).sum(&[1]);
    let distance = means - mean;
    let variance = (squares * (1.0 / (pixels * width) as f32) + distance * distance * shares).sum(&[1]);
    let normal = (x[0].reshape(&[samples, part, groups, width]) - mean) * (variance + eps).sqrt().recip();
    normal.reshape(&x[0].shape()) * x[1] + x[2]
}

/// The gradients of a group norm's operands (x, gain, bias).
pub(super) fn group_norm_grads<'g>(g: Tensor<'g>, x: &[Tensor<'g>], groups: usize, eps: Scalar) -> Vec<Tensor<'g>> {
    let moments = x[0].fused(Fused::GroupMoments { groups, eps }, &[]);
    let sums = g.fused(Fused::GroupNormSums { groups }, &[x[0], moments]);
    let dx = g.fused(Fused::GroupNormGrad { groups }, &[x[0], x[1], moments, sums]);
    let [gain, bias] = parts(sums.sum(&[1]), &x[1].shape()).map(|t| t.cast(x[1].dtype()));
    vec![dx, gain, bias]
}
