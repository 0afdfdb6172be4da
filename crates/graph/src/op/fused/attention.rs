use alloc::vec::Vec;

use super::{Factor, Fused};
use crate::{DType, Tensor, op::Scalar};

/// q·kᵀ·scale + mask in single precision.
fn scores<'g>(q: Tensor<'g>, k: Tensor<'g>, mask: Option<&Tensor<'g>>, scale: f32) -> Tensor<'g> {
    let scores = q.cast(DType::F32).matmul(k.cast(DType::F32).transpose()) * scale;
    mask.map_or(scores, |mask| scores + mask.cast(DType::F32))
}

/// Of (q, k, mask).
pub(super) fn log_sum<'g>(x: &[Tensor<'g>], scale: f32) -> Tensor<'g> {
    let scores = scores(x[0], x[1], x.get(2), scale);
    let most = scores.max(&[-1]);
    (scores - most).exp().sum(&[-1]).ln() + most
}

/// The weights, and the gradient of the scores, from (g, q, k, v, log_sum, delta, mask).
fn weights<'g>(x: &[Tensor<'g>], scale: f32) -> (Tensor<'g>, Tensor<'g>) {
    let weights = (scores(x[1], x[2], x.get(6), scale) - x[4]).exp();
    let of_weights = x[0].cast(DType::F32).matmul(x[3].cast(DType::F32).transpose());
    (weights, weights * (of_weights - x[5]))
}

/// Of (g, q, k, v, log_sum, delta, mask).
pub(super) fn grad<'g>(x: &[Tensor<'g>], scale: f32, of: Factor) -> Tensor<'g> {
    let (weights, of_scores) = weights(x, scale);
    let dtype = x[0].dtype();
    match of {
        Factor::Query => of_scores.cast(dtype).matmul(x[2]) * scale,
        Factor::Key => of_scores.cast(dtype).transpose().matmul(x[1]) * scale,
        Factor::Value => weights.cast(dtype).transpose().matmul(x[0]),
    }
}

/// The gradients of attention's operands (q, k, v, mask).
pub(super) fn grads<'g>(g: Tensor<'g>, x: &[Tensor<'g>], y: Tensor<'g>, scale: Scalar) -> Vec<Tensor<'g>> {
    let (q, k, v) = (x[0], x[1], x[2]);
    let mask = x.get(3).copied();
    let log_sum = q.fused(Fused::AttentionLogSum { scale }, &[k].into_iter().chain(mask).collect::<Vec<_>>());
    let delta = (g.cast(DType::F32) * y.cast(DType::F32)).sum(&[-1]);
    let operands: Vec<_> = [q, k, v, log_sum, delta].into_iter().chain(mask).collect();
    let mut grads: Vec<_> =
        Factor::ALL.into_iter().map(|of| g.fused(Fused::AttentionGrad { scale, of }, &operands)).collect();
    grads.extend(mask.map(|mask| {
        let all: Vec<_> = [g].into_iter().chain(operands).collect();
        let (_, of_scores) = weights(&all, scale.get());
        let shape = mask.shape();
        let repeated: Vec<isize> =
            (0..shape.rank()).filter(|&axis| shape[axis] == 1).map(|axis| axis as isize).collect();
        of_scores.sum(&repeated).cast(mask.dtype())
    }));
    grads
}
