//! The curvature of a loss, and gradient descent as majorise–minimise.
//!
//! The surrogate m(θ) = f(θ₀) + ∇f(θ₀)·(θ−θ₀) + |θ−θ₀|²/2η touches f at θ₀, and lies above it at every θ
//! to which the way is nowhere curved by more than 1/η, that is, where the Hessian's largest eigenvalue
//! stays at or below 1/η between θ₀ and θ. The surrogate's minimum θ₁ = θ₀ − η∇f(θ₀) is a step of
//! gradient descent. So with η ≤ 1/λ_max the step lowers f by at least what it lowers the surrogate by:
//! f(θ₁) ≤ m(θ₁) = f(θ₀) − ½η|∇f(θ₀)|² (Hunter and Lange, *A tutorial on MM algorithms*, 2004).
//!
//! Both the curvature's measurement and the step are updates of the graph. One run of this graph is one
//! round of the power iteration for λ_max and one step with 1/λ_max:
//!
//! ```
//! use yuragi_graph::{Builder, DType};
//! use yuragi_nn::{Scope, curvature, init};
//! let b = Builder::new();
//! let x = Scope::new(&b).param("x", &[2], init::ONE);
//! let loss = (x * x * b.literal(&[2], &[0.5, 2.0])).sum_all(); // Hessian diag(1, 4)
//! let curvature = curvature::largest(loss, |_| true);
//! let surrogate = curvature::majorize(loss, curvature.rate(1e3), |_| true);
//! let graph = b.finish(&[("loss", loss), ("surrogate", surrogate), ("largest", curvature.largest)])?;
//! assert_eq!(graph.updates().len(), 3); // x, the iteration's direction and its shift
//! # Ok::<(), yuragi_graph::BuildError>(())
//! ```

use alloc::{format, vec::Vec};

use yuragi_graph::{Builder, DType, ParamSpec, Tensor};

use crate::{
    init,
    optim::{global_norm, is_state},
};

pub use crate::optim::CURVATURE as STATE;

/// H·v, the Hessian of `loss` times a direction, as ∇⟨∇f, v⟩ (Pearlmutter 1994): twice the work of a
/// gradient, and no matrix. `v` has a tensor in the shape of each of `wrt`, on which it must not depend.
#[track_caller]
pub fn hessian_vector<'g>(loss: Tensor<'g>, wrt: &[Tensor<'g>], v: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
    let b: &'g Builder = loss.builder();
    b.grad(inner(b, &b.grad(loss, wrt), v), wrt)
}

/// What a round of the power iteration has found.
#[derive(Clone, Copy)]
pub struct Curvature<'g> {
    /// r = u·Hu for the round's unit vector u, which nears λ_max and is never above it.
    pub largest: Tensor<'g>,
    /// |Hu − ru|: the Hessian has an eigenvalue within this of r.
    pub residual: Tensor<'g>,
}

impl<'g> Curvature<'g> {
    /// η = 1/(r + residual), but at most `most` (above 0): where nothing curves upwards, any step majorises.
    #[track_caller]
    pub fn rate(self, most: f32) -> Tensor<'g> {
        let bound = self.largest + self.residual;
        1.0 / bound.maximum(bound.builder().fill(&[], 1.0 / most, DType::F32))
    }
}

/// Extends the graph by one round of the power iteration for the largest eigenvalue λ_max of the Hessian
/// of `loss`, in all parameters declared so far that `chosen` keeps.
///
/// v ← (H + s)v by a Hessian-vector product. A power iteration alone finds the eigenvalue of largest
/// size, which of an indefinite Hessian may be the lowest. So the shift s rises to half of the largest
/// |Hu| − u·Hu met so far: 0 for an eigenvector that curves upwards, |λ| for one that curves
/// downwards, and between them where λ and −λ compete. The directions (normal at first) and the shift
/// lie in the store under [`STATE`]; after the weights have moved, the iteration goes on from where it was.
#[track_caller]
pub fn largest<'g>(loss: Tensor<'g>, chosen: impl Fn(&ParamSpec) -> bool) -> Curvature<'g> {
    let b: &'g Builder = loss.builder();
    let (specs, weights) = choose(b, chosen);
    let directions: Vec<Tensor<'g>> = specs
        .iter()
        .map(|spec| b.param(&format!("{STATE}v.{}", spec.name), &spec.shape, spec.dtype, init::lecun(1)))
        .collect();
    let shift = b.param(&format!("{STATE}shift"), &[], DType::F32, init::ZERO);

    let length = global_norm(b, &directions);
    let unit: Vec<Tensor<'g>> = directions.iter().map(|&v| v / length).collect();
    let curved = hessian_vector(loss, &weights, &unit);
    let largest = inner(b, &unit, &curved);
    let rest: Vec<Tensor<'g>> = curved.iter().zip(&unit).map(|(&h, &u)| h - u * largest).collect();

    let new_shift = shift.maximum((global_norm(b, &curved) - largest) * 0.5);
    let moved: Vec<Tensor<'g>> = curved.iter().zip(&unit).map(|(&h, &u)| h + u * new_shift).collect();
    // Without any curvature the direction stays.
    let flat = global_norm(b, &moved).equal(b.fill(&[], 0.0, DType::F32));
    for ((&direction, moved), unit) in directions.iter().zip(moved).zip(unit) {
        b.update(direction, moved + unit * flat);
    }
    b.update(shift, new_shift);
    Curvature { largest, residual: global_norm(b, &rest) }
}

/// Extends the graph by one step θ ← θ − η∇f, η being `rate` (one number), for all parameters declared so
/// far that `chosen` keeps. Gives the surrogate's value there, f − ½η|∇f|²: the next run's loss is at
/// most this if η ≤ 1/λ_max between the old weights and the new.
#[track_caller]
pub fn majorize<'g>(loss: Tensor<'g>, rate: Tensor<'g>, chosen: impl Fn(&ParamSpec) -> bool) -> Tensor<'g> {
    let b: &'g Builder = loss.builder();
    let (_, weights) = choose(b, chosen);
    let gradients = b.grad(loss, &weights);
    for (&weight, &gradient) in weights.iter().zip(&gradients) {
        b.update(weight, weight - gradient * rate);
    }
    loss - inner(b, &gradients, &gradients) * rate * 0.5
}

/// Parameters that are weights, and kept.
#[track_caller]
fn choose(b: &Builder, chosen: impl Fn(&ParamSpec) -> bool) -> (Vec<ParamSpec>, Vec<Tensor<'_>>) {
    let specs: Vec<ParamSpec> = b.params().into_iter().filter(|spec| !is_state(&spec.name) && chosen(spec)).collect();
    let weights = specs.iter().map(|spec| b.param(&spec.name, &spec.shape, spec.dtype, spec.init)).collect();
    (specs, weights)
}

/// Σ aᵢ·bᵢ over all tensors as one vector.
#[track_caller]
fn inner<'g>(builder: &'g Builder, a: &[Tensor<'g>], b: &[Tensor<'g>]) -> Tensor<'g> {
    let terms = a.iter().zip(b).map(|(&a, &b)| (a * b).sum_all().reshape(&[]));
    terms.reduce(|sum, term| sum + term).unwrap_or_else(|| builder.fill(&[], 0.0, DType::F32))
}
