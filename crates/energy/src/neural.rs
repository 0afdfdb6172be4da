//! Neural energies: any differentiable E_θ that is a function of the graph, q(x) ∝ exp(−E_θ(x)).
//!
//! An energy is a closure from rows `[B, N]` to B numbers. The functions here extend its graph: objectives, whose
//! gradients in θ the graph then has, and Markov chains, whose draws are those of a run-time key. Discrete variables
//! learn by [`probability_flow`] or [`contrastive_divergence`] with [`gibbs`]; continuous ones by
//! [`contrastive_divergence`] with [`langevin`].
//!
//! One run of this graph is one step of persistent contrastive divergence. Its chains are a parameter: they enter
//! the gradient as numbers, and the run leaves them moved on.
//!
//! ```
//! use yuragi_energy::{Vartype, neural};
//! use yuragi_graph::{Builder, DType, Tensor};
//! use yuragi_nn::{Scope, init, mlp, optim::{Group, Optimizer}};
//! let b = Builder::new();
//! let energy = |x| mlp(&Scope::new(&b).enter("energy"), x, &[32, 1], Tensor::tanh);
//! let data = b.input("data", &[100, 6], DType::F32);
//! let chains = b.param("chains", &[50, 6], DType::F32, init::ONE);
//! let loss = neural::contrastive_divergence(energy, data, chains);
//! Optimizer::default().minimize(loss, Optimizer::input(&b), |p| (p.name != "chains").then(|| Group::standard(p)));
//! let key = b.input("key", &[2], DType::U32);
//! b.update(chains, neural::gibbs(energy, chains, Vartype::Spin, (key, 0), 1));
//! let graph = b.finish(&[("loss", loss)])?;
//! assert_eq!(graph.updates().len(), 4 * 3 + 1); // weights with two moments each, and the chains
//! # Ok::<(), yuragi_graph::BuildError>(())
//! ```

use crate::error::{Error, range};
use crate::problem::Vartype;
use alloc::vec::Vec;
use yuragi_graph::op::Distribution;
use yuragi_graph::{Builder, Tensor};

/// The most variables that [`log_z`] enumerates.
pub const LARGEST: usize = 16;

/// The lower value of a variable.
fn low(variables: Vartype) -> f32 {
    match variables {
        Vartype::Spin => -1.0,
        Vartype::Binary => 0.0,
    }
}

/// E of rows, as `[B, 1]`.
#[track_caller]
fn column<'g>(energy: impl Fn(Tensor<'g>) -> Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
    energy(x).reshape(&[x.dim(0), 1])
}

/// ln Z = ln Σ_x e^−E(x) over all states of `variables` two-state variables, as a scalar: with it the exact
/// −⟨ln q⟩ = ⟨E⟩ + ln Z of data, to be minimised.
///
/// # Errors
/// No variable, or more than [`LARGEST`].
#[track_caller]
pub fn log_z<'g>(
    b: &'g Builder,
    energy: impl Fn(Tensor<'g>) -> Tensor<'g>,
    variables: usize,
    kind: Vartype,
) -> Result<Tensor<'g>, Error> {
    range("the number of variables", variables as f64, (1..=LARGEST).contains(&variables), "from 1 to 16")?;
    let rows = 1usize << variables;
    let value = |at: usize| if (at / variables) >> (at % variables) & 1 == 1 { 1.0 } else { low(kind) };
    let states: Vec<f32> = (0..rows * variables).map(value).collect();
    let exponents = -column(energy, b.literal(&[rows, variables], &states)).reshape(&[1, rows]);
    let largest = exponents.max(&[-1]);
    Ok(((exponents - largest).exp().sum(&[-1]).ln() + largest).reshape(&[]))
}

/// Minimum probability flow (Sohl-Dickstein, Battaglino and DeWeese, *PRL* 107, 220601 (2011)) of each row x `[B, N]`:
/// Σ_k exp(½(E(x) − E(x with x_k flipped))), as `[B]`. Its mean over the data is to be minimised: no sampling, and
/// where the data have the model's distribution its gradient is 0. Takes (N + 1) B energies.
#[track_caller]
pub fn probability_flow<'g>(
    energy: impl Fn(Tensor<'g>) -> Tensor<'g>,
    x: Tensor<'g>,
    variables: Vartype,
) -> Tensor<'g> {
    let (b, rows, n) = (x.builder(), x.dim(0), x.dim(-1));
    let entries =
        |on: f32, off: f32| -> Vec<f32> { (0..n * n).map(|at| if at / n == at % n { on } else { off }).collect() };
    let states = x.reshape(&[rows, 1, n]);
    // x_k becomes −x_k, or 1 − x_k.
    let mut flipped = states * b.literal(&[1, n, n], &entries(-1.0, 1.0));
    if variables == Vartype::Binary {
        flipped = flipped + b.literal(&[1, n, n], &entries(1.0, 0.0));
    }
    let here = column(&energy, x);
    let there = column(&energy, flipped.reshape(&[rows * n, n])).reshape(&[rows, n]);
    ((here - there) * 0.5).exp().sum(&[-1]).reshape(&[rows])
}

/// ⟨E⟩ over the data less ⟨E⟩ over draws of the model, as a scalar: its gradient is that of −⟨ln q⟩ when the draws are
/// exact, and contrastive divergence (Hinton, *Neural Computation* 14, 1771 (2002)) when they are a few steps of a chain
/// from the data.
///
/// The draws must not depend on θ in the graph's eyes. Those of [`gibbs`] do not. Chains by [`langevin`] do: let
/// them be an input or a parameter, as in the [module's example](self).
#[track_caller]
pub fn contrastive_divergence<'g>(
    energy: impl Fn(Tensor<'g>) -> Tensor<'g>,
    data: Tensor<'g>,
    draws: Tensor<'g>,
) -> Tensor<'g> {
    column(&energy, data).mean_all() - column(&energy, draws).mean_all()
}

/// `sweeps` sweeps of Gibbs sampling from rows x `[B, N]`: each variable in turn is 1 with probability
/// σ(E(x with the lower value) − E(x with 1)). Takes 2 N B energies a sweep, and the random streams of
/// `(key, first)` from `first` on, one for each variable of each sweep.
#[track_caller]
pub fn gibbs<'g>(
    energy: impl Fn(Tensor<'g>) -> Tensor<'g>,
    x: Tensor<'g>,
    variables: Vartype,
    (key, first): (Tensor<'g>, u32),
    sweeps: u32,
) -> Tensor<'g> {
    let (b, rows, n) = (x.builder(), x.dim(0), x.dim(-1));
    let low = low(variables);
    let mut x = x;
    for sweep in 0..sweeps {
        for k in 0..n {
            let one_hot = |on: f32, off: f32| -> Vec<f32> { (0..n).map(|i| if i == k { on } else { off }).collect() };
            let rest = x * b.literal(&[1, n], &one_hot(0.0, 1.0));
            let [ups, downs] = [1.0, low].map(|value| rest + b.literal(&[1, n], &one_hot(value, 0.0)));
            let energies = column(&energy, ups.concat(&[downs], 0));
            let gap = energies.slice(0, rows, 2 * rows) - energies.slice(0, 0, rows);
            let stream = first.wrapping_add(sweep.wrapping_mul(n as u32)).wrapping_add(k as u32);
            let up = b.random(Distribution::Uniform, key, stream, &[rows, 1]).less(gap.sigmoid());
            x = rest + (up * (1.0 - low) + low) * b.literal(&[1, n], &one_hot(1.0, 0.0));
        }
    }
    x
}

/// `steps` steps of Langevin dynamics from rows x `[B, N]` (Welling and Teh, *ICML* 2011):
/// x ← x − ½ε² ∇E(x) + ε ξ with ε = `size` and standard normal ξ, of the random streams from `first` on, one a
/// step. Without a test of acceptance the chain's distribution differs from q by O(ε²).
#[track_caller]
pub fn langevin<'g>(
    energy: impl Fn(Tensor<'g>) -> Tensor<'g>,
    x: Tensor<'g>,
    size: f32,
    (key, first): (Tensor<'g>, u32),
    steps: u32,
) -> Tensor<'g> {
    let b = x.builder();
    let mut x = x;
    for step in 0..steps {
        let slope = b.grad(column(&energy, x).sum_all(), &[x])[0];
        let noise = b.random(Distribution::Normal, key, first.wrapping_add(step), &x.shape());
        x = x - slope * (0.5 * size * size) + noise * size;
    }
    x
}
