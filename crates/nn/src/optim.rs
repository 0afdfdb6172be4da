//! Optimisers as updates of the graph: one run of it is one whole training step.
//!
//! What changes from step to step (learning rate, bias corrections, decay of the average) comes in
//! one small input, `hyper`; the rest is fixed in the graph. Every parameter's update is one
//! elementwise expression over its shape, which a backend can compute in one pass.
//!
//! The state lies in the same store as the weights: `adam.m.NAME`, `adam.v.NAME`, `sgd.m.NAME`, the scale of the loss
//! `scaling.scale` and the steps since it changed `scaling.steps` (of a graph's second loss `scaling.2.scale`), and the averaged weights `ema.NAME`.

use alloc::{format, string::String, vec::Vec};

use yuragi_graph::{Builder, DType, Init, ParamSpec, Params, Tensor};

use crate::init;

/// The prefix of the averaged weights' names.
pub const AVERAGE: &str = "ema.";
/// The prefix of the names under which the power iteration of [`curvature`](crate::curvature) keeps its state in the
/// store.
pub const CURVATURE: &str = "curvature.";
const FIRST_MOMENT: &str = "adam.m.";
const SECOND_MOMENT: &str = "adam.v.";
const MOMENTUM: &str = "sgd.m.";
const SCALING: &str = "scaling.";

/// The direction of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// m ← momentum·m + g; the step is m.
    Sgd {
        /// 0 for plain gradient descent.
        momentum: f32,
    },
    /// Kingma & Ba 2014: moving averages m of g and v of g², both corrected for their beginning at 0;
    /// the step is m/(√v + eps).
    Adam {
        /// The decays of m and v.
        betas: [f32; 2],
        /// Added to √v.
        eps: f32,
    },
}

/// How one parameter is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Factor of the learning rate.
    pub rate: f32,
    /// Whether the parameter decays.
    pub decay: bool,
}

impl Group {
    /// Matrices and kernels decay; gains and biases do not.
    pub fn standard(spec: &ParamSpec) -> Group {
        Group { rate: 1.0, decay: spec.shape.rank() >= 2 }
    }
}

/// Keeps gradients within the range of 16-bit products (Micikevicius et al. 2018, "Mixed precision training", section
/// 3.2): the loss is multiplied by a power of two and the gradient divided by it. A step whose gradient is not finite
/// changes nothing but the scale, which is halved; after `interval` steps without one it is doubled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// The first scale.
    pub start: f32,
    /// Steps after which a larger scale is tried.
    pub interval: f32,
}

impl Default for Scaling {
    /// 2^16, and 2000 steps.
    fn default() -> Scaling {
        Scaling { start: 65_536.0, interval: 2000.0 }
    }
}

impl Scaling {
    /// The scale's bounds: no gradient is finite with more, and none is lost with less.
    const RANGE: [f32; 2] = [1.0 / 16_777_216.0, 16_777_216.0];
}

/// A way of stepping against the gradient. The default is AdamW without decay, clipping, average and scaled loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    /// The direction.
    pub rule: Rule,
    /// Weights shrink by this times the learning rate at every step, apart from the rule's step
    /// (decoupled decay, Loshchilov & Hutter 2017).
    pub weight_decay: f32,
    /// The gradient is scaled down to this norm where it is longer (Pascanu et al. 2013).
    pub clip: f32,
    /// Whether an exponential moving average of the weights is kept, too.
    pub average: bool,
    /// How the loss is scaled, if it is: what products in half precision need.
    pub scaling: Option<Scaling>,
}

impl Default for Optimizer {
    fn default() -> Optimizer {
        let rule = Rule::Adam { betas: [0.9, 0.999], eps: 1e-8 };
        Optimizer { rule, weight_decay: 0.0, clip: f32::INFINITY, average: false, scaling: None }
    }
}

impl Optimizer {
    /// Declares the input `hyper [4]`, which takes what [`hyper`](Optimizer::hyper) gives.
    #[track_caller]
    pub fn input(builder: &Builder) -> Tensor<'_> {
        builder.input("hyper", &[4], DType::F32)
    }

    /// The `hyper` input at a step counted from 0: the learning rate, Adam's corrections
    /// 1/(1 − β₁ᵗ) and 1/√(1 − β₂ᵗ) with t = step + 1, and the average's decay. That is the smaller
    /// of `average` and step/(step + 10), so that the average begins at the first weights.
    pub fn hyper(&self, step: u64, rate: f32, average: f32) -> [f32; 4] {
        let t = step as f64 + 1.0;
        let rest = |beta: f32| 1.0 - libm::pow(f64::from(beta), t);
        let (first, second) = match self.rule {
            Rule::Sgd { .. } => (1.0, 1.0),
            Rule::Adam { betas, .. } => (1.0 / rest(betas[0]), 1.0 / libm::sqrt(rest(betas[1]))),
        };
        let young = step as f64 / (step as f64 + 10.0);
        [rate, first as f32, second as f32, average.min(young as f32)]
    }

    /// Extends the graph by one step against the gradient of `loss` for every parameter declared so
    /// far that `group` does not freeze with `None`; the gradients are [cuts](Builder::cut), so that a
    /// [`Step`](crate::step::Step) can be made of parts of a batch. Returns the gradient's norm before clipping; where the loss is scaled
    /// and the norm is not finite, the step changes no parameter.
    #[track_caller]
    pub fn minimize<'g>(
        &self,
        loss: Tensor<'g>,
        hyper: Tensor<'g>,
        group: impl Fn(&ParamSpec) -> Option<Group>,
    ) -> Tensor<'g> {
        let b: &'g Builder = loss.builder();
        self.descend(b, hyper, group, |scale, _, weights| {
            b.grad(scale.map_or(loss, |scale| (loss * scale).reshape(&[])), weights)
        })
    }

    /// The same along gradients of the caller's making: `gradients` gets the factor that they must have, if any, and the
    /// weights, what they are and as tensors.
    #[track_caller]
    pub fn descend<'g>(
        &self,
        b: &'g Builder,
        hyper: Tensor<'g>,
        group: impl Fn(&ParamSpec) -> Option<Group>,
        gradients: impl FnOnce(Option<Tensor<'g>>, &[(ParamSpec, Group)], &[Tensor<'g>]) -> Vec<Tensor<'g>>,
    ) -> Tensor<'g> {
        let scalar = |i: usize| hyper.slice(0, i, i + 1).reshape(&[]);
        let (rate, first, second, average) = (scalar(0), scalar(1), scalar(2), scalar(3));
        let chosen: Vec<(ParamSpec, Group)> = b
            .params()
            .into_iter()
            .filter(|spec| !is_state(&spec.name))
            .filter_map(|spec| group(&spec).map(|group| (spec, group)))
            .collect();
        let weights: Vec<Tensor<'g>> =
            chosen.iter().map(|(spec, _)| b.param(&spec.name, &spec.shape, spec.dtype, spec.init)).collect();
        let own = scaling_names(b);
        let scale = self.scaling.map(|scaling| state(b, &format!("{own}scale"), scaling.start));
        let gradients = gradients(scale, &chosen, &weights);
        gradients.iter().for_each(|gradient| b.cut(*gradient));
        let norm = global_norm(b, &gradients);
        let inverse = scale.map(Tensor::recip);
        let norm = inverse.map_or(norm, |inverse| norm * inverse);
        let fill = |value| b.fill(&[], value, DType::F32);
        let clip = self.clip.is_finite().then(|| (fill(self.clip) / (norm + 1e-6)).minimum(fill(1.0)));
        let factor = match (inverse, clip) {
            (Some(inverse), Some(clip)) => Some(inverse * clip),
            (inverse, clip) => inverse.or(clip),
        };
        // Of a number that is none, nothing is less.
        let finite = scale.map(|_| norm.less(fill(f32::INFINITY)));
        let update = |old: Tensor<'g>, new: Tensor<'g>| {
            b.update(old, finite.map_or(new, |finite| finite.select(new, old)));
        };
        if let (Some(scale), Some(finite), Some(Scaling { interval, .. })) = (scale, finite, self.scaling) {
            let steps = state(b, &format!("{own}steps"), 0.0);
            let done = steps + 1.0;
            let due = fill(interval - 0.5).less(done);
            let [least, most] = Scaling::RANGE.map(fill);
            let larger = due.select((scale * 2.0).minimum(most), scale);
            b.update(scale, finite.select(larger, (scale * 0.5).maximum(least)));
            b.update(steps, finite.select(due.select(fill(0.0), done), fill(0.0)));
        }
        for (((spec, group), weight), gradient) in chosen.iter().zip(weights).zip(gradients) {
            let state = |prefix: &str| {
                let name: String = format!("{prefix}{}", spec.name);
                b.param(&name, &spec.shape, spec.dtype, init::ZERO)
            };
            let rate = rate * group.rate;
            let g = factor.map_or(gradient, |factor| gradient * factor);
            let step = match self.rule {
                Rule::Sgd { momentum: 0.0 } => g * rate,
                Rule::Sgd { momentum } => {
                    let old = state(MOMENTUM);
                    let new = old * momentum + g;
                    update(old, new);
                    new * rate
                }
                Rule::Adam { betas: [beta1, beta2], eps } => {
                    let (m, v) = (state(FIRST_MOMENT), state(SECOND_MOMENT));
                    let new_m = m * beta1 + g * (1.0 - beta1);
                    let new_v = v * beta2 + g * g * (1.0 - beta2);
                    update(m, new_m);
                    update(v, new_v);
                    new_m * (rate * first) / (new_v.sqrt() * second + eps)
                }
            };
            let decay = if group.decay { self.weight_decay } else { 0.0 };
            let kept = if decay == 0.0 { weight } else { weight * (1.0 - rate * decay) };
            let new = kept - step;
            update(weight, new);
            if self.average {
                let old = state(AVERAGE);
                update(old, old * average + new * (1.0 - average));
            }
        }
        norm
    }
}

/// How the names of the next loss's scale begin.
fn scaling_names(b: &Builder) -> String {
    let mut names = String::from(SCALING);
    let mut number = 2;
    while b.params().iter().any(|spec| spec.name == format!("{names}scale")) {
        names = format!("{SCALING}{number}.");
        number += 1;
    }
    names
}

/// A number of the optimiser's own.
#[track_caller]
fn state<'g>(b: &'g Builder, name: &str, start: f32) -> Tensor<'g> {
    b.param(name, &[], DType::F32, Init::Constant(start))
}

/// The length of all tensors as one vector.
#[track_caller]
pub fn global_norm<'g>(builder: &'g Builder, tensors: &[Tensor<'g>]) -> Tensor<'g> {
    let squares: Vec<Tensor<'g>> = tensors.iter().map(|&t| (t * t).sum_all().reshape(&[1])).collect();
    match squares.split_first() {
        Some((&first, rest)) => first.concat(rest, 0).sum_all().sqrt(),
        None => builder.fill(&[], 0.0, DType::F32),
    }
}

/// Whether a name belongs to an optimiser's state, to [`curvature`](crate::curvature)'s or to the averaged
/// weights.
pub fn is_state(name: &str) -> bool {
    [AVERAGE, FIRST_MOMENT, SECOND_MOMENT, MOMENTUM, SCALING, CURVATURE].iter().any(|prefix| name.starts_with(prefix))
}

/// The weights alone, without an optimiser's state; where an average was kept, it takes the weight's place.
pub fn averaged(params: &Params) -> Params {
    let mut weights = Params::new();
    for (name, tensor) in params.iter().filter(|(name, _)| !is_state(name)) {
        weights.insert(name, params.get(&format!("{AVERAGE}{name}")).unwrap_or(tensor).clone());
    }
    weights
}
