//! The layers of checkpoints: parameters named and laid out as PyTorch keeps them, so that a mapped file is used as it is.
//!
//! Linear weights are `[out, in]`, kernels `[out, in, KH, KW]`; normalisations have `weight` and `bias`.

use yuragi_graph::{
    Tensor,
    op::{MatMul, Window},
};
use yuragi_nn::{Scope, init};

/// How the parameters of an adapter end, below the name of the layer that they adapt: A `[r, in]`, B `[out, r]`, α `[]`.
pub const ADAPTER: [&str; 3] = ["lora_down.weight", "lora_up.weight", "alpha"];

/// Whether a layer adds a bias.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bias {
    Yes,
    No,
}

/// `[.., in]` → `[.., out]`.
#[track_caller]
pub(super) fn linear<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize, bias: Bias) -> Tensor<'g> {
    let weight = s.param("weight", &[outputs, x.dim(-1)], init::standard(x.dim(-1)));
    affine(s, x, weight, bias)
}

/// A 1×1 convolution of `[.., in]`, whose weight the file keeps as `[out, in, 1, 1]`.
#[track_caller]
pub(super) fn pointwise<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    let inputs = x.dim(-1);
    let weight = s.param("weight", &[outputs, inputs, 1, 1], init::standard(inputs));
    affine(s, x, weight.reshape(&[outputs, inputs]), Bias::Yes)
}

#[track_caller]
fn affine<'g>(s: &Scope<'g>, x: Tensor<'g>, weight: Tensor<'g>, bias: Bias) -> Tensor<'g> {
    let (shape, outputs) = (x.shape(), weight.dim(0));
    let inputs = x.dim(-1);
    let rows = shape.iter().rev().skip(1).product();
    let transposed = MatMul { transpose_b: true, ..MatMul::default() };
    let x = x.reshape(&[rows, inputs]);
    let y = x.matmul_with(weight, transposed);
    let y = if bias == Bias::Yes { y + s.param("bias", &[outputs], init::ZERO) } else { y };
    let y = adapted(s, x).map_or(y, |change| y + change);
    let mut extents = shape.to_vec();
    if let Some(last) = extents.last_mut() {
        *last = outputs;
    }
    y.reshape(&extents)
}

/// What a map's declared adapter adds to `x [rows, in]` times it: `[rows, out]`. None if there is none.
#[track_caller]
fn adapted<'g>(s: &Scope<'g>, x: Tensor<'g>) -> Option<Tensor<'g>> {
    let [down, up, alpha] = ADAPTER.map(|end| s.find(end));
    let (down, up) = (down?, up?);
    let transposed = MatMul { transpose_b: true, ..MatMul::default() };
    let change = x.matmul_with(down, transposed).matmul_with(up, transposed);
    Some(change * (alpha? * (1.0 / down.dim(0) as f32)))
}

/// A 3×3 convolution of `[N, H, W, in]` that keeps the size.
#[track_caller]
pub(super) fn conv3<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    convolution(s, x, outputs, Window::same(3), Bias::Yes)
}

/// A 3×3 convolution.
#[track_caller]
pub(super) fn convolution<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize, window: Window, bias: Bias) -> Tensor<'g> {
    let inputs = x.dim(-1);
    let weight = s.param("weight", &[outputs, inputs, 3, 3], init::standard(9 * inputs));
    let y = x.conv2d(weight.permute(&[2, 3, 1, 0]), window);
    if bias == Bias::Yes { y + s.param("bias", &[outputs], init::ZERO) } else { y }
}

/// Half the width and height, zeros all around (`[1; 4]`) or only below and to the right (`[0, 1, 0, 1]`).
pub(super) const fn halving(padding: [usize; 4]) -> Window {
    Window { stride: [2, 2], padding }
}

/// Standardises groups of channels of `[N, .., C]`.
#[track_caller]
pub(super) fn group_norm<'g>(s: &Scope<'g>, x: Tensor<'g>, groups: usize, eps: f32) -> Tensor<'g> {
    let channels = [x.dim(-1)];
    x.group_norm(groups, s.param("weight", &channels, init::ONE), s.param("bias", &channels, init::ZERO), eps)
}

/// Standardises the last axis.
#[track_caller]
pub(super) fn layer_norm<'g>(s: &Scope<'g>, x: Tensor<'g>, eps: f32) -> Tensor<'g> {
    let channels = [x.dim(-1)];
    x.layer_norm(s.param("weight", &channels, init::ONE), s.param("bias", &channels, init::ZERO), eps)
}

/// The names of an attention's four maps, and which of them have a bias.
#[derive(Clone, Copy)]
pub(super) struct Maps {
    pub names: [&'static str; 4],
    pub bias: [Bias; 4],
}

/// diffusers' names.
pub(super) const PLAIN: Maps =
    Maps { names: ["to_q", "to_k", "to_v", "to_out.0"], bias: [Bias::No, Bias::No, Bias::No, Bias::Yes] };

/// Multi-head attention of `x [N, L, D]` to `context [N, S, C]`: `[N, L, D]`; `mask` is added to the scores.
#[track_caller]
pub(super) fn attention<'g>(
    s: &Scope<'g>,
    x: Tensor<'g>,
    context: Tensor<'g>,
    heads: usize,
    mask: Option<Tensor<'g>>,
    maps: Maps,
) -> Tensor<'g> {
    let (batch, width) = (x.dim(0), x.dim(-1));
    let depth = width / heads.max(1);
    let split = |map: usize, tokens: Tensor<'g>| {
        let projected = linear(&s.enter(maps.names[map]), tokens, width, maps.bias[map]);
        projected.reshape(&[batch, tokens.dim(1), heads, depth]).permute(&[0, 2, 1, 3])
    };
    let (q, k, v) = (split(0, x), split(1, context), split(2, context));
    let mixed = q.attention(k, v, mask, 1.0 / libm::sqrtf(depth as f32));
    let merged = mixed.permute(&[0, 2, 1, 3]).reshape(&x.shape());
    linear(&s.enter(maps.names[3]), merged, width, maps.bias[3])
}

/// `x + conv(silu(norm(conv(silu(norm(x))) + time)))`, `time [N, E]` mapped linearly; where channels change, x is too.
#[track_caller]
pub(super) fn residual<'g>(
    s: &Scope<'g>,
    x: Tensor<'g>,
    time: Option<Tensor<'g>>,
    outputs: usize,
    groups: usize,
    eps: f32,
) -> Tensor<'g> {
    let h = conv3(&s.enter("conv1"), group_norm(&s.enter("norm1"), x, groups, eps).silu(), outputs);
    let h = match time {
        Some(time) => {
            let shift = linear(&s.enter("time_emb_proj"), time.silu(), outputs, Bias::Yes);
            h + shift.reshape(&[x.dim(0), 1, 1, outputs])
        }
        None => h,
    };
    let h = conv3(&s.enter("conv2"), group_norm(&s.enter("norm2"), h, groups, eps).silu(), outputs);
    let x = if x.dim(-1) == outputs { x } else { pointwise(&s.enter("conv_shortcut"), x, outputs) };
    x + h
}
