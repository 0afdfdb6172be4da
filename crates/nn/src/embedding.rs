use alloc::vec::Vec;

use yuragi_graph::{Init, Tensor};

use crate::Scope;

/// Learnt vectors for indices: row `indices[..]` of the parameter `embedding [rows, width]`, which
/// begins normal with this deviation.
#[track_caller]
pub fn embedding<'g>(s: &Scope<'g>, indices: Tensor<'g>, rows: usize, width: usize, deviation: f32) -> Tensor<'g> {
    s.param("embedding", &[rows, width], Init::Normal(deviation)).gather(indices)
}

/// Sinusoids of time (Vaswani et al. 2017; Ho et al. 2020): `[B]` → `[B, width]`, first the cosines,
/// then the sines of t·f with width/2 frequencies f that fall geometrically from 1 to 1/`period`
/// (radians; 10000 is usual). The width is even.
#[track_caller]
pub fn timestep_embedding<'g>(s: &Scope<'g>, t: Tensor<'g>, width: usize, period: f32) -> Tensor<'g> {
    let half = width / 2;
    let step = -libm::logf(period) / half.max(1) as f32;
    let frequencies: Vec<f32> = (0..half).map(|i| libm::expf(step * i as f32)).collect();
    let angle = t.reshape(&[t.shape().count(), 1]) * s.builder().literal(&[1, half], &frequencies);
    angle.cos().concat(&[angle.sin()], -1)
}
