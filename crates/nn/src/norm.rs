use yuragi_graph::Tensor;

use crate::{Scope, init};

/// Added to every variance.
const EPS: f32 = 1e-5;

/// Standardises the last axis (Ba et al. 2016); parameters `gain` and `bias`, both `[C]`.
#[track_caller]
pub fn layer_norm<'g>(s: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let channels = [x.dim(-1)];
    x.layer_norm(s.param("gain", &channels, init::ONE), s.param("bias", &channels, init::ZERO), EPS)
}

/// Standardises groups of channels of each sample of `[N, .., C]` (Wu & He 2018); parameters `gain`
/// and `bias`, both `[C]`. The number of groups divides C.
#[track_caller]
pub fn group_norm<'g>(s: &Scope<'g>, x: Tensor<'g>, groups: usize) -> Tensor<'g> {
    let channels = [x.dim(-1)];
    x.group_norm(groups, s.param("gain", &channels, init::ONE), s.param("bias", &channels, init::ZERO), EPS)
}

/// Adaptive group normalisation (Dhariwal & Nichol 2021): groups of channels of `[N, H, W, C]` are
/// standardised, then scaled by 1 + a and shifted by b, where `[a, b]` is a linear map (parameter
/// `modulation`, beginning as 0) of each sample's `condition [N, E]`.
#[track_caller]
pub fn modulated_group_norm<'g>(s: &Scope<'g>, x: Tensor<'g>, condition: Tensor<'g>, groups: usize) -> Tensor<'g> {
    let (b, n, c) = (s.builder(), x.dim(0), x.dim(-1));
    let fill = |value| b.fill(&[c], value, x.dtype());
    let modulation = crate::Linear::new(2 * c).zero().apply(&s.enter("modulation"), condition);
    let part = |i: usize| modulation.slice(1, i * c, (i + 1) * c).reshape(&[n, 1, 1, c]);
    x.group_norm(groups, fill(1.0), fill(0.0), EPS) * (part(0) + 1.0) + part(1)
}
