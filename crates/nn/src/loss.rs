//! What is minimised. Losses are scalars, means over all elements, unless said otherwise.

use alloc::vec::Vec;

use yuragi_graph::{DType, Tensor};

/// The mean squared error.
#[track_caller]
pub fn mse<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    let error = a - b;
    (error * error).mean_all()
}

/// The mean absolute error.
#[track_caller]
pub fn l1<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    (a - b).abs().mean_all()
}

/// The mean absolute error of the differences between neighbouring pixels of `[N, H, W, C]`, across
/// plus down: sharp edges where the target has them.
#[track_caller]
pub fn edges<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    let error = a - b;
    let along = |axis: usize| {
        let last = error.dim(axis as isize);
        (error.slice(axis, 1.min(last), last) - error.slice(axis, 0, last.saturating_sub(1))).abs().mean_all()
    };
    along(1) + along(2)
}

/// The cross-entropy of Bernoulli variables, −t·ln p − (1 − t)·ln(1 − p) with p = sigmoid(logit),
/// computed as softplus(x) − x·t. Elementwise.
#[track_caller]
pub fn bernoulli<'g>(logits: Tensor<'g>, targets: Tensor<'g>) -> Tensor<'g> {
    logits.softplus() - logits * targets
}

/// The mean of [`bernoulli`].
#[track_caller]
pub fn bce_with_logits<'g>(logits: Tensor<'g>, targets: Tensor<'g>) -> Tensor<'g> {
    bernoulli(logits, targets).mean_all()
}

/// ln Σ eˣ along an axis, which keeps length 1, without overflow.
#[track_caller]
pub fn log_sum_exp(x: Tensor<'_>, axis: isize) -> Tensor<'_> {
    let largest = x.max(&[axis]);
    (x - largest).exp().sum(&[axis]).ln() + largest
}

/// Logarithms of the softmax of the last axis.
#[track_caller]
pub fn log_softmax(logits: Tensor<'_>) -> Tensor<'_> {
    let shifted = logits - logits.max(&[-1]);
    shifted - shifted.exp().sum(&[-1]).ln()
}

/// The mean of −ln softmax(logits)\[class\], of `logits [.., K]` and `I32` classes `[..]`.
/// A class outside 0..K contributes 0.
#[track_caller]
pub fn cross_entropy<'g>(logits: Tensor<'g>, classes: Tensor<'g>) -> Tensor<'g> {
    let (k, rows) = (logits.dim(-1), classes.shape().count());
    let every: Vec<f32> = (0..k).map(|i| i as f32).collect();
    let one_hot = classes.cast(DType::F32).reshape(&[rows, 1]).equal(logits.builder().literal(&[1, k], &every));
    (log_softmax(logits).reshape(&[rows, k]) * one_hot).sum_all() * (-1.0 / rows.max(1) as f32)
}

/// The divergence of N(μ, σ²) from N(0, 1): ½(μ² + σ² − 1 − ln σ²), elementwise.
#[track_caller]
pub fn gaussian_kl<'g>(mean: Tensor<'g>, log_variance: Tensor<'g>) -> Tensor<'g> {
    (mean * mean + log_variance.exp() - 1.0 - log_variance) * 0.5
}
