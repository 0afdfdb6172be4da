//! The variational diffusion model (Kingma, Salimans, Poole & Ho 2021): its bound of ln p(x), in discrete and continuous
//! time, and its network.
//!
//! With z_t = α·x + σ·ε of [`Gamma`], the bound is the sum of three terms:
//!
//! ```text
//! −ln p(x) ≤ D(q(z₁|x)‖N(0,1))  −  ⟨ln p(x|z₀)⟩  +  L
//! L_∞ = ½·⟨γ′(t)·‖ε − ε̂(z_t, γ(t))‖²⟩,  t uniform in 0..1
//! L_T = ½·T·⟨(e^(γ(t)−γ(s)) − 1)·‖ε − ε̂(z_t, γ(t))‖²⟩,  t = i/T, s = (i − 1)/T, i uniform in 1..T
//! ```
//!
//! L_∞ depends on γ only through its ends: the path between them changes the variance of its estimate, which a learned
//! path makes small.
//!
//! In terms of ᾱ = α², q(z_t|x) = N(√ᾱ·x, 1 − ᾱ), and the mean of q(z_s|z_t, x) is a sum of z_t and x. (The lecture slides
//! that this follows print 1 − √ᾱ for the variance, and leave z_t out of that mean; here both are put right.)
//!
//! | graph | inputs | outputs |
//! |---|---|---|
//! | [`Vdm::training`] | x, key, hyper | loss (−bound), reconstruction, diffusion, norm |
//! | [`Vdm::bound`] | x, key | elbo, prior, reconstruction, diffusion, each `[B]` |
//! | [`Vdm::start`] | key | z₁ |
//! | [`Vdm::step`] | z, times, key | z, x: one ancestral step from t to s, and the estimate of the data |
//! | [`Vdm::noised`] | x, times, key | z, x: data at time t, and what the network makes of them |
//! | [`Vdm::curve`] | t | γ |
//!
//! Shapes: x and z `[B, D]`; times `[2]`, t then s; t `[N, 1]`.

use alloc::{format, string::String, vec::Vec};
use core::panic::Location;

use yuragi_graph::{BuildError, Builder, DType, Graph, ParamSpec, Tensor, op::Distribution};
use yuragi_nn::{
    Conv2d, Linear, Scope, conv2d, depth_to_space, group_norm, layer_norm, linear,
    optim::{Group, Optimizer, Rule},
    space_to_depth, timestep_embedding,
};

use crate::{
    gamma::{Gamma, PATH},
    likelihood::{HALF_BIN, HALF_LN_TAU, LEVELS, Likelihood},
    unet::{GROUPS, residual},
};

/// Adam with averaged weights.
pub const OPTIMIZER: Optimizer = Optimizer {
    rule: Rule::Adam { betas: [0.9, 0.99], eps: 1e-8 },
    weight_decay: 0.0,
    clip: f32::INFINITY,
    average: true,
    scaling: None,
};

/// Levels to either side that a training step's reconstruction sums over. While γ₀ < −8 those beyond weigh less than 10⁻⁵ on
/// the average; above that, which no bound is better for, the loss is told a little too low, but still grows with γ₀.
const REACH: usize = 15;

/// Streams of random numbers.
const NOISE: u32 = 0;
const TIME: u32 = 1;
const FIRST: u32 = 2;

/// The extents of a variational diffusion model.
#[derive(Clone, Debug, PartialEq)]
pub struct Vdm {
    /// The shape of an example; `[H, W]` and `[H, W, C]` with even sides are pictures and get a convolutional network,
    /// all else a perceptron.
    pub shape: Vec<usize>,
    /// [`Likelihood::Logistic`] for 8-bit levels, [`Likelihood::Gaussian`] for real numbers: p(x|z₀) ∝ q(z₀|x) over all
    /// levels, or the normal law about z₀/α₀.
    pub likelihood: Likelihood,
    /// Channels, or units; a multiple of 8.
    pub channels: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Steps of the discrete bound; 0 for continuous time.
    pub steps: usize,
    /// The noise.
    pub gamma: Gamma,
}

/// The terms of the bound of B examples, in nats: `[B]` each; ln p(x) ≥ −(prior + reconstruction + diffusion).
#[derive(Clone, Copy)]
pub struct Terms<'g> {
    /// D(q(z₁|x)‖N(0, 1)).
    pub prior: Tensor<'g>,
    /// −ln p(x|z₀), by one draw (exact for real numbers).
    pub reconstruction: Tensor<'g>,
    /// L_T or L_∞, by the draws of t and ε.
    pub diffusion: Tensor<'g>,
}

impl<'g> Terms<'g> {
    /// −bound.
    #[track_caller]
    pub fn total(self) -> Tensor<'g> {
        self.prior + self.reconstruction + self.diffusion
    }
}

/// The bound of examples x `[B, D]` with any noise and denoiser: `denoise(z, γ)` gives ε̂ of z `[N, D]` at γ `[N, 1]`.
/// Times are spread evenly over the batch and the `samples` draws of each example. `steps` as in [`Vdm::steps`].
#[track_caller]
pub fn terms<'g>(
    s: &Scope<'g>,
    x: Tensor<'g>,
    key: Tensor<'g>,
    (gamma, likelihood): (Gamma, Likelihood),
    (samples, steps): (usize, usize),
    denoise: impl FnOnce(Tensor<'g>, Tensor<'g>) -> Tensor<'g>,
) -> Terms<'g> {
    noised_terms(s, x, key, (gamma, likelihood), (samples, steps, LEVELS - 1), denoise).0
}

/// The [`terms`], with the reconstruction's reach, and what the diffusion term is computed of γ's path: two of `[N, 1]`.
#[track_caller]
fn noised_terms<'g>(
    s: &Scope<'g>,
    x: Tensor<'g>,
    key: Tensor<'g>,
    (gamma, likelihood): (Gamma, Likelihood),
    (samples, steps, reach): (usize, usize, usize),
    denoise: impl FnOnce(Tensor<'g>, Tensor<'g>) -> Tensor<'g>,
) -> (Terms<'g>, [Tensor<'g>; 2]) {
    let (b, batch, columns) = (s.builder(), x.dim(0), x.dim(1));
    let rows = batch * samples;
    let sum = |each: Tensor<'g>| each.sum(&[1]).reshape(&[batch]);
    let [low, high] = gamma.ends(s);

    // ½(σ² + α²x² − 1 − ln σ²) at t = 1.
    let prior = (high.sigmoid() + x * x * (-high).sigmoid() - 1.0 + (-high).softplus()) * 0.5;
    let reconstruction = match likelihood {
        // The normal law N(z₀/α₀, e^γ₀) is ½(ε² + γ₀ + ln 2π) away, whose mean is known.
        Likelihood::Gaussian => (low * 0.5 + (0.5 + HALF_LN_TAU)).broadcast(&x.shape()),
        Likelihood::Logistic | Likelihood::Bernoulli => {
            let noise = b.random(Distribution::Normal, key, FIRST, &x.shape());
            level_loss(x, noise, low, reach)
        }
    };

    // Times at equal distances from a random first one.
    let places: Vec<f32> =
        (0..rows).map(|row| ((row % samples * batch + row / samples) as f64 / rows as f64) as f32).collect();
    let t = b.literal(&[rows, 1], &places) + b.random(Distribution::Uniform, key, TIME, &[1, 1]);
    let t = t - t.floor();
    let (at, second, weight) = if steps == 0 {
        let [at, slope] = gamma.at(s, t);
        (at, slope, slope)
    } else {
        let count = steps as f32;
        let step = (t * count).floor().minimum(b.fill(&[1, 1], count - 1.0, DType::F32));
        let [at, _] = gamma.at(s, (step + 1.0) * (1.0 / count));
        let [before, _] = gamma.at(s, step * (1.0 / count));
        (at, before, ((at - before).exp() - 1.0) * count)
    };
    let repeated = x.reshape(&[batch, 1, columns]).broadcast(&[batch, samples, columns]).reshape(&[rows, columns]);
    let noise = b.random(Distribution::Normal, key, NOISE, &[rows, columns]);
    let z = repeated * (-at).sigmoid().sqrt() + noise * at.sigmoid().sqrt();
    let error = noise - denoise(z, at);
    let each = (error * error).sum(&[1]) * weight * 0.5;
    let diffusion = each.reshape(&[batch, samples]).mean(&[1]).reshape(&[batch]);
    (Terms { prior: sum(prior), reconstruction: sum(reconstruction), diffusion }, [at, second])
}

/// −ln p(x|z₀) of levels, with p(x|z₀) ∝ q(z₀|x): of the level at distance d, ln q falls by ½e^(−γ₀)d² − e^(−γ₀/2)·d·ε.
/// Only levels within `reach` are summed; with all of [`LEVELS`] less one, every level is.
fn level_loss<'g>(x: Tensor<'g>, noise: Tensor<'g>, low: Tensor<'g>, reach: usize) -> Tensor<'g> {
    let (b, batch, columns) = (x.builder(), x.dim(0), x.dim(1));
    let x = x.reshape(&[batch, columns, 1]);
    let (distance, inside) = if reach + 1 < LEVELS {
        let away: Vec<f32> = (0..=2 * reach).map(|k| (k as f32 - reach as f32) * 2.0 * HALF_BIN).collect();
        let distance = b.literal(&[1, 1, away.len()], &away);
        (distance, Some((x + distance).abs().less(b.fill(&[1], 1.0, x.dtype()))))
    } else {
        let levels: Vec<f32> = (0..LEVELS).map(|k| (2 * k + 1) as f32 * HALF_BIN - 1.0).collect();
        (b.literal(&[1, 1, LEVELS], &levels) - x, None)
    };
    let scaled = distance * (low * -0.5).exp().reshape(&[1, 1, 1]);
    let each = (scaled * noise.reshape(&[batch, columns, 1]) - scaled * scaled * 0.5).exp();
    inside.map_or(each, |inside| each * inside).sum(&[2]).ln().reshape(&[batch, columns])
}

impl Vdm {
    /// Numbers of an example.
    pub fn columns(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether networks of these extents can be built.
    ///
    /// # Errors
    /// What is out of range, with the legal one.
    pub fn check(&self) -> Result<(), String> {
        let columns = self.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        if !columns.is_some_and(|columns| (1..=1 << 24).contains(&columns)) {
            return Err(format!("an example of shape {:?}: it must have 1 to 16777216 numbers", self.shape));
        }
        if self.likelihood == Likelihood::Bernoulli {
            return Err("a diffusion model takes `logistic` (8-bit levels) or `gaussian` (real numbers)".into());
        }
        if !(8..=4096).contains(&self.channels) || !self.channels.is_multiple_of(8) {
            return Err(format!("{} channels: it must be a multiple of 8 from 8 to 4096", self.channels));
        }
        if self.blocks > 64 || self.gamma.hidden > 4096 || self.steps > 1_000_000 {
            return Err("at most 64 blocks, 4096 units of γ and 1000000 steps".into());
        }
        let [low, high] = self.gamma.ends;
        if !(-30.0..=30.0).contains(&low) || !(-30.0..=30.0).contains(&high) || high - low < 1e-2 {
            return Err(format!("γ from {low} to {high}: it must rise, from -30 to 30"));
        }
        Ok(())
    }

    /// One training step. All weights descend the bound but those of γ's path, which descend the variance of its estimate.
    /// The loss sums over near levels only, and is below the bound where γ₀ > −8.
    ///
    /// # Errors
    /// What [`check`](Vdm::check) refuses, or sizes too large to be addressed.
    #[track_caller]
    pub fn training(&self, batch: usize, samples: usize) -> Result<Graph, BuildError> {
        self.training_by(&OPTIMIZER, batch, samples)
    }

    /// [`training`](Vdm::training) by another optimiser, such as one that scales the loss for products in half precision.
    ///
    /// # Errors
    /// As [`training`](Vdm::training).
    #[track_caller]
    pub fn training_by(&self, optimizer: &Optimizer, batch: usize, samples: usize) -> Result<Graph, BuildError> {
        let b = self.builder(samples)?;
        let x = self.input(&b, batch, "x");
        let key = b.input("key", &[2], DType::U32);
        let hyper = Optimizer::input(&b);
        let s = Scope::new(&b);
        let (terms, of_path) =
            noised_terms(&s, x, key, (self.gamma, self.likelihood), (samples, self.steps, REACH), |z, at| {
                self.denoise(&s, z, at)
            });
        let total = terms.total().mean_all();
        let path = |name: &str| name.starts_with(PATH);
        let norm = optimizer.minimize(total, hyper, |p| (!path(&p.name)).then(|| Group::standard(p)));
        if self.gamma.hidden > 0 {
            // Of ⟨L²⟩, by what the bound's own gradient has at γ: an example's L depends on no other's.
            let twice =
                terms.diffusion.reshape(&[batch, 1]).broadcast(&[batch, samples]).reshape(&[batch * samples, 1]);
            let group = |p: &ParamSpec| path(&p.name).then(|| Group::standard(p));
            optimizer.descend(&b, hyper, group, |scale, _, weights| {
                let slopes = b.grad(scale.map_or(total, |scale| (total * scale).reshape(&[])), &of_path);
                let parts =
                    of_path.into_iter().zip(slopes).map(|(of, slope)| b.pullback(of, slope * twice * 2.0, weights));
                parts.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a + b).collect()).unwrap_or_default()
            });
        }
        let means = [terms.reconstruction, terms.diffusion].map(Tensor::mean_all);
        b.finish(&[("loss", total), ("reconstruction", means[0]), ("diffusion", means[1]), ("norm", norm)])
    }

    /// The bound of each example and its terms, by `samples` draws of time and noise.
    ///
    /// # Errors
    /// As [`training`](Vdm::training).
    #[track_caller]
    pub fn bound(&self, batch: usize, samples: usize) -> Result<Graph, BuildError> {
        let b = self.builder(samples)?;
        let x = self.input(&b, batch, "x");
        let key = b.input("key", &[2], DType::U32);
        let terms = self.terms(&Scope::new(&b), x, key, samples);
        let Terms { prior, reconstruction, diffusion } = terms;
        let elbo = -terms.total();
        b.finish(&[("elbo", elbo), ("prior", prior), ("reconstruction", reconstruction), ("diffusion", diffusion)])
    }

    #[track_caller]
    fn terms<'g>(&self, s: &Scope<'g>, x: Tensor<'g>, key: Tensor<'g>, samples: usize) -> Terms<'g> {
        let noise = (self.gamma, self.likelihood);
        terms(s, x, key, noise, (samples, self.steps), |z, at| self.denoise(s, z, at))
    }

    /// z₁: `[B, D]` of standard normal numbers.
    ///
    /// # Errors
    /// As [`training`](Vdm::training).
    #[track_caller]
    pub fn start(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let key = b.input("key", &[2], DType::U32);
        b.finish(&[("z", b.random(Distribution::Normal, key, FIRST, &[batch, self.columns()]))])
    }

    /// One ancestral step from time t down to s (p(z_s|z_t) of the paper's equation 33), and x̂ = (z_t − σ·ε̂)/α.
    ///
    /// # Errors
    /// As [`training`](Vdm::training).
    #[track_caller]
    pub fn step(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let s = Scope::new(&b);
        let z = self.input(&b, batch, "z");
        let times = b.input("times", &[2], DType::F32);
        let key = b.input("key", &[2], DType::U32);
        let [at, before] = [0, 1].map(|i| self.gamma.at(&s, times.slice(0, i, i + 1).reshape(&[1, 1]))[0]);
        let error = self.denoise(&s, z, at.broadcast(&[batch, 1]));
        let (alpha, sigma) = ((-at).sigmoid().sqrt(), at.sigmoid().sqrt());
        // −expm1(γ(s) − γ(t)): the share of the noise that is new.
        let share = 1.0 - (before - at).exp();
        let mean = (z - error * (share * sigma)) * ((-before).sigmoid().sqrt() / alpha);
        let noise = b.random(Distribution::Normal, key, NOISE, &z.shape());
        let next = mean + noise * (before.sigmoid() * share).sqrt();
        b.finish(&[("z", next), ("x", (z - error * sigma) / alpha)])
    }

    /// Examples at time t (the first of times) and the network's estimates of them.
    ///
    /// # Errors
    /// As [`training`](Vdm::training).
    #[track_caller]
    pub fn noised(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let s = Scope::new(&b);
        let x = self.input(&b, batch, "x");
        let times = b.input("times", &[2], DType::F32);
        let key = b.input("key", &[2], DType::U32);
        let [at, _] = self.gamma.at(&s, times.slice(0, 0, 1).reshape(&[1, 1]));
        let (alpha, sigma) = ((-at).sigmoid().sqrt(), at.sigmoid().sqrt());
        let z = x * alpha + b.random(Distribution::Normal, key, NOISE, &x.shape()) * sigma;
        let error = self.denoise(&s, z, at.broadcast(&[batch, 1]));
        b.finish(&[("z", z), ("x", (z - error * sigma) / alpha)])
    }

    /// γ at times t `[N, 1]`.
    ///
    /// # Errors
    /// As [`training`](Vdm::training).
    #[track_caller]
    pub fn curve(&self, count: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let t = b.input("t", &[count, 1], DType::F32);
        b.finish(&[("gamma", self.gamma.at(&Scope::new(&b), t)[0])])
    }

    /// ε̂ = σ·z + network(z, γ), which begins as the best guess for standardised data: z `[N, D]`, γ `[N, 1]`.
    #[track_caller]
    pub fn denoise<'g>(&self, s: &Scope<'g>, z: Tensor<'g>, at: Tensor<'g>) -> Tensor<'g> {
        let guess = z * at.sigmoid().sqrt();
        let s = s.enter("denoiser");
        let rows = z.dim(0);
        let [low, high] = self.gamma.ends;
        let time = ((at - low) * (1000.0 / (high - low))).reshape(&[rows]);
        let time =
            linear(&s.enter("time.0"), timestep_embedding(&s, time, self.channels, 10_000.0), self.channels).silu();
        let condition = linear(&s.enter("time.1"), time, self.channels).silu();
        let features = self.features(z);
        let out = match self.picture() {
            Some([height, width, colours]) => {
                let parts: Vec<Tensor<'g>> =
                    features.iter().map(|f| f.reshape(&[rows, height, width, colours])).collect();
                let x = space_to_depth(parts[0].concat(&parts[1..], 3), 2);
                let x = conv2d(&s.enter("in"), x, self.channels, 3);
                let x = (0..self.blocks).fold(x, |x, i| residual(&s.enter(i), x, self.channels, condition));
                let x = group_norm(&s.enter("norm"), x, GROUPS).silu();
                depth_to_space(Conv2d::new(4 * colours, 3).zero().apply(&s.enter("out"), x), 2)
            }
            None => {
                let x = linear(&s.enter("in"), features[0].concat(&features[1..], 1), self.channels);
                let x = (0..self.blocks).fold(x, |x, i| {
                    let s = s.enter(i);
                    let h = layer_norm(&s.enter("norm"), x) + linear(&s.enter("time"), condition, self.channels);
                    x + linear(&s.enter("1"), linear(&s.enter("0"), h, 2 * self.channels).silu(), self.channels)
                });
                Linear::new(self.columns()).zero().apply(&s.enter("out"), layer_norm(&s.enter("norm"), x).silu())
            }
        };
        guess + out.reshape(&[rows, self.columns()])
    }

    /// z, and of levels the sines and cosines of 2⁶πz and 2⁷πz, which tell single levels apart.
    fn features<'g>(&self, z: Tensor<'g>) -> Vec<Tensor<'g>> {
        let mut features = alloc::vec![z];
        if self.likelihood == Likelihood::Logistic {
            for power in [64.0, 128.0] {
                let angle = z * (power * core::f32::consts::PI);
                features.extend([angle.sin(), angle.cos()]);
            }
        }
        features
    }

    fn picture(&self) -> Option<[usize; 3]> {
        match self.shape[..] {
            [height, width] if height % 2 == 0 && width % 2 == 0 => Some([height, width, 1]),
            [height, width, colours] if height % 2 == 0 && width % 2 == 0 => Some([height, width, colours]),
            _ => None,
        }
    }

    fn input<'g>(&self, b: &'g Builder, batch: usize, name: &str) -> Tensor<'g> {
        b.input(name, &[batch, self.columns()], DType::F32)
    }

    #[track_caller]
    fn builder(&self, samples: usize) -> Result<Builder, BuildError> {
        let location = Location::caller();
        let checked = match samples {
            0 => Err("0 samples: a bound takes at least 1".into()),
            _ => self.check(),
        };
        checked.map_err(|message| BuildError { message, location })?;
        Ok(Builder::new())
    }
}
