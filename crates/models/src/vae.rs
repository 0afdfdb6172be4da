//! Variational autoencoders (Kingma & Welling 2013; Rezende et al. 2014) of one or several layers of latents, and the
//! importance-weighted bound (Burda, Grosse & Salakhutdinov 2016).
//!
//! The latents are a Markov chain: of T layers,
//!
//! ```text
//! q(z | x) = q(z₁|x)·q(z₂|z₁)⋯q(z_T|z_{T−1})         p(x, z) = p(z_T)·p(z_{T−1}|z_T)⋯p(z₁|z₂)·p(x|z₁)
//! ```
//!
//! with p(z_T) = N(0, 1), every other conditional of latents a normal law whose mean and log variance a network gives,
//! and p(x|z₁) a [`Likelihood`]. With z ~ q and w = p(x, z)/q(z|x), the bounds are
//!
//! ```text
//! ELBO = ⟨ln w⟩ = ⟨ln p(x|z)⟩ − D(q(z|x)‖p(z))  ≤  L_k = ⟨ln (1/k) Σ w_i⟩  ≤  ln p(x)
//! ```
//!
//! The gradient of L_k may be taken along the draws as the bound is written ([`Estimator::Single`]), or doubly
//! reparameterised ([`Estimator::Double`]).
//!
//! | graph | inputs | outputs |
//! |---|---|---|
//! | [`Vae::training`] | x, key, hyper | loss (−bound), reconstruction, divergence, norm |
//! | [`Vae::bound`] | x, key | elbo `[B]`, importance `[B]` |
//! | [`Vae::encode`] | x | z: the means of the top latents |
//! | [`Vae::decode`] | z | x: means, each layer between at its mean |
//! | [`Vae::sample`] | key | x, mean |
//!
//! Shapes: x `[B, D]` as [`Vae::shape`] flattened; key `U32 [2]`, another for every step; hyper `[4]`; z `[B, Z]`.
//!
//! ```
//! use yuragi_graph::Params;
//! use yuragi_models::{likelihood::Likelihood, vae::{Layer, Vae}};
//! let layers = vec![Layer { hidden: vec![200, 200], latent: 50 }];
//! let vae = Vae { shape: vec![28, 28], likelihood: Likelihood::Bernoulli, layers, convolutional: false };
//! let graph = vae.training(20, 1)?;
//! let mut weights = Params::new();
//! weights.initialise(graph.params(), 42); // and the optimiser's state
//! # Ok::<(), yuragi_graph::BuildError>(())
//! ```

use alloc::{format, string::String, vec::Vec};
use core::{fmt, panic::Location, str::FromStr};

use yuragi_graph::{BuildError, Builder, DType, Graph, ParamSpec, Tensor, op::Distribution};
use yuragi_nn::{
    Conv2d, Linear, Scope, conv2d, init, loss,
    optim::{Group, Optimizer, Rule},
    upsample,
};

use crate::{autoencoder::Posterior, likelihood::Likelihood};

/// Adam as Burda et al. set it.
pub const OPTIMIZER: Optimizer = Optimizer {
    rule: Rule::Adam { betas: [0.9, 0.999], eps: 1e-4 },
    weight_decay: 0.0,
    clip: f32::INFINITY,
    average: false,
    scaling: None,
};

/// How the gradient of a bound of several draws is estimated. Both have its mean; of one draw they are the same here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// Along z = μ + σ·ε (Burda et al. 2016, equation 13). For the encoder, its signal falls against its noise with k
    /// (Rainforth et al. 2018).
    Single,
    /// What the encoder's weights change through ln q at a fixed z is reparameterised once more (Tucker, Lawson, Gu &
    /// Maddison 2019, equation 8): with the normalised weights w̃ = w/Σw,
    ///
    /// ```text
    /// ∇_φ L_k = ⟨Σ w̃ᵢ²·(∂ ln wᵢ/∂zᵢ)·∇_φ zᵢ⟩
    /// ```
    ///
    /// It has no noise where q is the posterior. In a chain, each layer's derivative is taken along the draws above it.
    #[default]
    Double,
}

impl Estimator {
    /// Both.
    pub const ALL: [Estimator; 2] = [Estimator::Single, Estimator::Double];

    /// As it is written: `single` or `double`.
    pub const fn name(self) -> &'static str {
        match self {
            Estimator::Single => "single",
            Estimator::Double => "double",
        }
    }
}

impl fmt::Display for Estimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Estimator {
    type Err = String;

    fn from_str(text: &str) -> Result<Estimator, String> {
        let found = Estimator::ALL.into_iter().find(|estimator| estimator.name() == text);
        found.ok_or_else(|| "it must be single or double".into())
    }
}

/// Streams of random numbers: layer l draws from stream l.
const BINARIZE: u32 = 1000;
const DATA: u32 = 1001;

/// One layer of latents, counted from the data up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Units of the deterministic layers below, from the data up; of a convolutional first layer, the channels at half
    /// and at a quarter of the width. The decoder has the same in reverse.
    pub hidden: Vec<usize>,
    /// Latents.
    pub latent: usize,
}

/// The extents of a variational autoencoder: one layer is the plain one, more a hierarchical one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vae {
    /// The shape of an example, such as `[28, 28]` or `[32, 32, 3]`.
    pub shape: Vec<usize>,
    /// The law of an example's numbers.
    pub likelihood: Likelihood,
    /// The layers of latents, from the data up; at least one.
    pub layers: Vec<Layer>,
    /// Whether the first layer's networks are convolutional; otherwise all are perceptrons with tanh.
    pub convolutional: bool,
}

/// The terms of ln w of B examples with k samples each: `[B, k]`, in nats.
#[derive(Clone, Copy)]
pub struct Terms<'g> {
    /// ln p(x | z₁).
    pub reconstruction: Tensor<'g>,
    /// ln q(z | x) − ln p(z), or its mean over the last layer's draw.
    pub divergence: Tensor<'g>,
}

impl<'g> Terms<'g> {
    /// ln w.
    #[track_caller]
    pub fn log_weights(self) -> Tensor<'g> {
        self.reconstruction - self.divergence
    }

    /// ln (1/k) Σ w of each example: `[B]`.
    #[track_caller]
    pub fn importance(self) -> Tensor<'g> {
        let log_weights = self.log_weights();
        let (batch, samples) = (log_weights.dim(0), log_weights.dim(1));
        if samples == 1 {
            return log_weights.reshape(&[batch]);
        }
        (loss::log_sum_exp(log_weights, 1) - libm::logf(samples as f32)).reshape(&[batch])
    }
}

/// One layer's latents.
#[derive(Clone, Copy)]
struct Draw<'g> {
    /// The law that they were drawn from.
    q: Posterior<'g>,
    /// Standard normal numbers.
    noise: Tensor<'g>,
    /// The latents.
    z: Tensor<'g>,
}

/// The gradients of −L_k by [`Estimator::Double`], `scale` times as large, for some weights.
#[track_caller]
fn doubly<'g>(
    terms: &Terms<'g>,
    draws: &[Draw<'g>],
    scale: Option<Tensor<'g>>,
    specs: &[(ParamSpec, Group)],
    weights: &[Tensor<'g>],
) -> Vec<Tensor<'g>> {
    let log_weights = terms.log_weights();
    let (b, batch, samples) = (log_weights.builder(), log_weights.dim(0), log_weights.dim(1));
    let normalised = log_weights.softmax();
    let seed = normalised * (-1.0 / batch as f32);
    let seed = scale.map_or(seed, |scale| seed * scale.reshape(&[1, 1]));
    // One way back through everything: for the decoder's weights, and for the latents of every layer. What ln w is written
    // in has no ln q of a layer's own latents at fixed mean and variance; its slope there is −ε/σ.
    let wanted: Vec<Tensor<'g>> = weights.iter().copied().chain(draws.iter().map(|draw| draw.z)).collect();
    let mut gradients = b.pullback(log_weights, seed, &wanted);
    let slopes = gradients.split_off(weights.len());
    let column = |t: Tensor<'g>| t.reshape(&[batch * samples, 1]);
    for (layer, (draw, slope)) in draws.iter().zip(slopes).enumerate() {
        let own = column(seed) * draw.noise * (draw.q.log_variance * -0.5).exp();
        let along = (slope + own) * column(normalised);
        let prefix = format!("encoder.{layer}.");
        let of_layer: Vec<usize> =
            (0..weights.len()).filter(|&place| specs[place].0.name.starts_with(&prefix)).collect();
        let chosen: Vec<Tensor<'g>> = of_layer.iter().map(|&place| weights[place]).collect();
        for (place, gradient) in of_layer.into_iter().zip(b.pullback(draw.z, along, &chosen)) {
            gradients[place] = gradient;
        }
    }
    gradients
}

impl Vae {
    /// Numbers of an example.
    pub fn columns(&self) -> usize {
        self.shape.iter().product()
    }

    /// Latents of the top layer.
    pub fn top(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.latent)
    }

    /// Whether networks of these extents can be built.
    ///
    /// # Errors
    /// What is out of range, with the legal one.
    pub fn check(&self) -> Result<(), String> {
        const WIDTH: core::ops::RangeInclusive<usize> = 1..=65_536;
        let columns = self.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        if !columns.is_some_and(|columns| (1..=1 << 24).contains(&columns)) {
            return Err(format!("an example of shape {:?}: it must have 1 to 16777216 numbers", self.shape));
        }
        if !(1..=64).contains(&self.layers.len()) {
            return Err(format!("{} layers of latents: it must be 1 to 64", self.layers.len()));
        }
        for layer in &self.layers {
            if let Some(bad) = layer.hidden.iter().chain([&layer.latent]).find(|width| !WIDTH.contains(width)) {
                return Err(format!("a layer of {bad} units: it must be 1 to 65536"));
            }
        }
        if self.convolutional {
            let sides = matches!(self.shape[..], [h, w] | [h, w, _] if h % 4 == 0 && w % 4 == 0);
            if !sides {
                return Err(format!(
                    "examples of shape {:?}: a convolutional autoencoder takes pictures whose sides are multiples of 4",
                    self.shape
                ));
            }
            if self.layers[0].hidden.len() != 2 {
                return Err("a convolutional first layer has two numbers of channels".into());
            }
        }
        Ok(())
    }

    /// One training step on the bound of `samples` draws. x are probabilities of 1 for Bernoulli numbers, drawn anew in
    /// every step. With one draw, the divergence of the top layer from its prior is taken exactly.
    ///
    /// # Errors
    /// What [`check`](Vae::check) refuses, or sizes too large to be addressed.
    #[track_caller]
    pub fn training(&self, batch: usize, samples: usize) -> Result<Graph, BuildError> {
        self.training_by(&OPTIMIZER, batch, samples, Estimator::default())
    }

    /// [`training`](Vae::training) by another optimiser, such as one that scales the loss for products in half precision,
    /// and along gradients that are estimated so.
    ///
    /// # Errors
    /// As [`training`](Vae::training).
    #[track_caller]
    pub fn training_by(
        &self,
        optimizer: &Optimizer,
        batch: usize,
        samples: usize,
        estimator: Estimator,
    ) -> Result<Graph, BuildError> {
        let b = self.builder(samples)?;
        let x = self.input(&b, batch);
        let key = b.input("key", &[2], DType::U32);
        let hyper = Optimizer::input(&b);
        let x = match self.likelihood {
            Likelihood::Bernoulli => b.random(Distribution::Uniform, key, BINARIZE, &x.shape()).less(x),
            Likelihood::Gaussian | Likelihood::Logistic => x,
        };
        let s = Scope::new(&b);
        let draws = self.draws(&s, x, key, samples);
        let terms = self.weighed(&s, x, &draws, samples, samples == 1);
        let total = -terms.importance().mean_all();
        let group = |spec: &ParamSpec| Some(Group::standard(spec));
        let norm = match estimator {
            Estimator::Double if samples > 1 => optimizer
                .descend(&b, hyper, group, |scale, specs, weights| doubly(&terms, &draws, scale, specs, weights)),
            Estimator::Single | Estimator::Double => optimizer.minimize(total, hyper, group),
        };
        let means = [terms.reconstruction, terms.divergence].map(Tensor::mean_all);
        b.finish(&[("loss", total), ("reconstruction", means[0]), ("divergence", means[1]), ("norm", norm)])
    }

    /// The bounds of each example, by `samples` draws: elbo = the mean of ln w, importance = ln of the mean of w.
    ///
    /// # Errors
    /// As [`training`](Vae::training).
    #[track_caller]
    pub fn bound(&self, batch: usize, samples: usize) -> Result<Graph, BuildError> {
        let b = self.builder(samples)?;
        let x = self.input(&b, batch);
        let key = b.input("key", &[2], DType::U32);
        let terms = self.terms(&Scope::new(&b), x, key, samples);
        let elbo = terms.log_weights().mean(&[1]).reshape(&[batch]);
        b.finish(&[("elbo", elbo), ("importance", terms.importance())])
    }

    /// Examples to the means of their top latents, each layer below at its mean.
    ///
    /// # Errors
    /// As [`training`](Vae::training).
    #[track_caller]
    pub fn encode(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let s = Scope::new(&b);
        let x = self.input(&b, batch);
        let z = (0..self.layers.len()).fold(x, |below, layer| self.posterior(&s, layer, below).mean);
        b.finish(&[("z", z)])
    }

    /// Top latents to the means of examples, each layer between at its mean.
    ///
    /// # Errors
    /// As [`training`](Vae::training).
    #[track_caller]
    pub fn decode(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let s = Scope::new(&b);
        let top = b.input("z", &[batch, self.top()], DType::F32);
        let z = (1..self.layers.len()).rev().fold(top, |z, layer| self.prior(&s, layer, z).mean);
        b.finish(&[("x", self.likelihood.mean(self.parameters(&s, z)))])
    }

    /// Draws from the model: examples, and the means that they were drawn from.
    ///
    /// # Errors
    /// As [`training`](Vae::training).
    #[track_caller]
    pub fn sample(&self, batch: usize) -> Result<Graph, BuildError> {
        let b = self.builder(1)?;
        let s = Scope::new(&b);
        let key = b.input("key", &[2], DType::U32);
        let noise = |layer: usize, latent| b.random(Distribution::Normal, key, layer as u32, &[batch, latent]);
        let last = self.layers.len() - 1;
        let top = noise(last, self.top());
        let z = (1..=last).rev().fold(top, |z, layer| {
            let prior = self.prior(&s, layer, z);
            prior.sample(noise(layer - 1, self.layers[layer - 1].latent))
        });
        let parameters = self.parameters(&s, z);
        let x = self.likelihood.sample(&s.enter("decoder.0"), parameters, key, DATA);
        b.finish(&[("x", x), ("mean", self.likelihood.mean(parameters))])
    }

    /// ln w of examples x `[B, D]`.
    #[track_caller]
    pub fn terms<'g>(&self, s: &Scope<'g>, x: Tensor<'g>, key: Tensor<'g>, samples: usize) -> Terms<'g> {
        self.weighed(s, x, &self.draws(s, x, key, samples), samples, false)
    }

    /// Latents of examples x `[B, D]`, from the data up: rows are the draws of the first example, then of the second.
    #[track_caller]
    fn draws<'g>(&self, s: &Scope<'g>, x: Tensor<'g>, key: Tensor<'g>, samples: usize) -> Vec<Draw<'g>> {
        let (b, batch) = (s.builder(), x.dim(0));
        // An example's latents of the first layer have one mean and variance for all samples.
        let repeated = |t: Tensor<'g>| {
            let z = t.dim(-1);
            t.reshape(&[batch, 1, z]).broadcast(&[batch, samples, z]).reshape(&[batch * samples, z])
        };
        let mut below = x;
        let layers = 0..self.layers.len();
        let draw = layers.map(|layer| {
            let mut q = self.posterior(s, layer, below);
            if layer == 0 {
                q = Posterior { mean: repeated(q.mean), log_variance: repeated(q.log_variance) };
            }
            let noise = b.random(Distribution::Normal, key, layer as u32, &q.mean.shape());
            below = q.sample(noise);
            Draw { q, noise, z: below }
        });
        draw.collect()
    }

    /// ln w of draws. `exact`: of the top layer, the divergence of q from the prior in place of the draw's ln q − ln p.
    #[track_caller]
    fn weighed<'g>(&self, s: &Scope<'g>, x: Tensor<'g>, draws: &[Draw<'g>], samples: usize, exact: bool) -> Terms<'g> {
        let (batch, top) = (x.dim(0), draws.len() - 1);
        let divergence = |layer: usize| {
            let Draw { q, noise, z } = draws[layer];
            let each = if layer == top {
                // ln N(z; μ, σ²) − ln N(z; 0, 1), or its mean ½(μ² + σ² − 1 − ln σ²).
                if exact {
                    loss::gaussian_kl(q.mean, q.log_variance)
                } else {
                    (z * z - noise * noise - q.log_variance) * 0.5
                }
            } else {
                let p = self.prior(s, layer + 1, draws[layer + 1].z);
                let away = z - p.mean;
                (away * away * (-p.log_variance).exp() + p.log_variance - noise * noise - q.log_variance) * 0.5
            };
            each.sum(&[1]).reshape(&[batch, samples])
        };
        let rest = (1..=top).fold(divergence(0), |sum, layer| sum + divergence(layer));
        let parameters = self.parameters(s, draws[0].z).reshape(&[batch, samples, self.columns()]);
        let x = x.reshape(&[batch, 1, self.columns()]);
        let each = self.likelihood.log_density(&s.enter("decoder.0"), parameters, x);
        Terms { reconstruction: each.sum(&[2]).reshape(&[batch, samples]), divergence: rest }
    }

    /// q(z | below) of a layer: below is x, or the latents of the layer below.
    #[track_caller]
    fn posterior<'g>(&self, s: &Scope<'g>, layer: usize, below: Tensor<'g>) -> Posterior<'g> {
        let s = s.enter("encoder").enter(layer);
        let h = match self.picture().filter(|_| layer == 0) {
            Some([height, width, colours]) => {
                let n = below.dim(0);
                let down = |h: Tensor<'g>, (i, &channels): (usize, &usize)| {
                    Conv2d::new(channels, 3).stride(2).apply(&s.enter(i), h).silu()
                };
                let channels = &self.layers[0].hidden;
                let h = channels.iter().enumerate().fold(below.reshape(&[n, height, width, colours]), down);
                h.reshape(&[n, h.dim(1) * h.dim(2) * h.dim(3)])
            }
            None => trunk(&s, below, self.layers[layer].hidden.iter()),
        };
        normal(&s, h, self.layers[layer].latent)
    }

    /// p(z_{layer−1} | z_layer), counted from 0: layer is at least 1.
    #[track_caller]
    fn prior<'g>(&self, s: &Scope<'g>, layer: usize, z: Tensor<'g>) -> Posterior<'g> {
        let s = s.enter("decoder").enter(layer);
        let h = trunk(&s, z, self.layers[layer].hidden.iter().rev());
        normal(&s, h, self.layers[layer - 1].latent)
    }

    /// What the likelihood takes: `[rows, D]`.
    #[track_caller]
    fn parameters<'g>(&self, s: &Scope<'g>, z: Tensor<'g>) -> Tensor<'g> {
        let s = s.enter("decoder").enter(0);
        let hidden = &self.layers[0].hidden;
        match (self.picture(), &hidden[..]) {
            (Some([height, width, colours]), &[half, quarter]) => {
                let n = z.dim(0);
                let h = affine(&s.enter("in"), z, (height / 4) * (width / 4) * quarter);
                let h = h.reshape(&[n, height / 4, width / 4, quarter]).silu();
                let h = conv2d(&s.enter("up"), upsample(h), half, 3).silu();
                conv2d(&s.enter("out"), upsample(h), colours, 3).reshape(&[n, self.columns()])
            }
            _ => affine(&s.enter("out"), trunk(&s, z, hidden.iter().rev()), self.columns()),
        }
    }

    /// Height, width and colours of convolutional examples.
    fn picture(&self) -> Option<[usize; 3]> {
        match self.shape[..] {
            [height, width] if self.convolutional => Some([height, width, 1]),
            [height, width, colours] if self.convolutional => Some([height, width, colours]),
            _ => None,
        }
    }

    fn input<'g>(&self, b: &'g Builder, batch: usize) -> Tensor<'g> {
        b.input("x", &[batch, self.columns()], DType::F32)
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

/// Linear maps, each followed by tanh, with the first weights of Glorot & Bengio (2010).
#[track_caller]
fn trunk<'g, 'w>(s: &Scope<'g>, x: Tensor<'g>, widths: impl Iterator<Item = &'w usize>) -> Tensor<'g> {
    widths.enumerate().fold(x, |h, (i, &width)| affine(&s.enter(i), h, width).tanh())
}

#[track_caller]
fn affine<'g>(s: &Scope<'g>, x: Tensor<'g>, outputs: usize) -> Tensor<'g> {
    Linear::new(outputs).init(init::xavier(x.dim(-1), outputs)).apply(s, x)
}

#[track_caller]
fn normal<'g>(s: &Scope<'g>, h: Tensor<'g>, latent: usize) -> Posterior<'g> {
    Posterior { mean: affine(&s.enter("mean"), h, latent), log_variance: affine(&s.enter("log_variance"), h, latent) }
}
