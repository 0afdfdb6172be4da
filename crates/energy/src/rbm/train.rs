//! Learning: CD-k and PCD with momentum, weight decay and centring.

use super::{Rbm, layers};
use crate::draw::Draws;
use crate::error::{Error, length, range};
use alloc::vec::Vec;

/// How a [`Trainer`] learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The step along the gradient of the mean log-likelihood.
    pub rate: f32,
    /// The share of the last step that is kept, in \[0, 1).
    pub momentum: f32,
    /// W shrinks by rate · this · W a step.
    pub weight_decay: f32,
    /// The number k of Gibbs steps of the negative phase, at least 1.
    pub steps: u32,
    /// Chains that go on, PCD; else the negative phase starts from the data, CD.
    pub persistent: bool,
    /// Gradients about the mean activities (Montavon and Müller 2012; Melchior, Fischer and Wiskott, *JMLR*
    /// 17 (2016)), which do not depend on how units are coded.
    pub centred: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rate: 0.05, momentum: 0.0, weight_decay: 0.0, steps: 1, persistent: false, centred: false }
    }
}

/// A learner with its chains and its momentum.
#[derive(Clone, Debug)]
pub struct Trainer {
    settings: Settings,
    draws: Draws,
    step: u32,
    /// PCD: visible rows.
    chains: Vec<f32>,
    velocity: Gradient,
}

/// ∂⟨ln q⟩/∂(W, b, c).
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// As [`Rbm::weights`].
    pub weights: Vec<f32>,
    /// As [`Rbm::visible_bias`].
    pub visible_bias: Vec<f32>,
    /// As [`Rbm::hidden_bias`].
    pub hidden_bias: Vec<f32>,
}

impl Trainer {
    /// A learner; of seed `seed` are all its draws.
    ///
    /// # Errors
    /// A number outside its range.
    pub fn new(rbm: &Rbm, settings: Settings, seed: u64) -> Result<Self, Error> {
        let Settings { rate, momentum, weight_decay, steps, .. } = settings;
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        range("the momentum", momentum.into(), (0.0..1.0).contains(&momentum), "at least 0 and below 1")?;
        range("the weight decay", weight_decay.into(), weight_decay >= 0.0 && weight_decay.is_finite(), "at least 0")?;
        range("the number of Gibbs steps", steps.into(), steps >= 1, "at least 1")?;
        Ok(Self { settings, draws: Draws::new(seed), step: 0, chains: Vec::new(), velocity: Gradient::zero(rbm) })
    }

    /// Learns from one batch of rows; its mean squared reconstruction error (of ⟨v⟩ after one step) is returned.
    ///
    /// # Errors
    /// No row, or values that are not whole rows.
    pub fn learn(&mut self, rbm: &mut Rbm, batch: &[f32]) -> Result<f32, Error> {
        let (gradient, reconstruction) = self.gradient(rbm, batch)?;
        let Settings { rate, momentum, weight_decay, .. } = self.settings;
        length("the weights", rbm.weights.len(), self.velocity.weights.len())?;
        let update = |velocity: &mut [f32], slope: &[f32], parameters: &mut [f32], decay: f32| {
            for ((velocity, slope), parameter) in velocity.iter_mut().zip(slope).zip(parameters) {
                *velocity = momentum * *velocity + rate * (slope - decay * *parameter);
                *parameter += *velocity;
            }
        };
        let velocity = &mut self.velocity;
        update(&mut velocity.weights, &gradient.weights, &mut rbm.weights, weight_decay);
        update(&mut velocity.visible_bias, &gradient.visible_bias, &mut rbm.visible_bias, 0.0);
        update(&mut velocity.hidden_bias, &gradient.hidden_bias, &mut rbm.hidden_bias, 0.0);
        Ok(reconstruction)
    }

    /// The estimated gradient of ⟨ln q⟩ over the batch; advances the draws and the persistent chains.
    ///
    /// # Errors
    /// No row, or values that are not whole rows.
    pub fn gradient(&mut self, rbm: &Rbm, batch: &[f32]) -> Result<(Gradient, f32), Error> {
        let rows = rbm.rows(batch)?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        let Settings { steps, persistent, centred, .. } = self.settings;
        let positive = rbm.hidden_means(batch)?;
        if persistent && self.chains.is_empty() {
            self.chains = rbm.start(rows as u32, self.draws);
        }
        let start = if persistent { &self.chains[..] } else { batch };
        let first = self.step;
        self.step = first.wrapping_add(steps);
        let hidden = rbm.sample_hidden(start, self.draws, first)?;
        let means = rbm.visible_means(&hidden)?;
        let mut model = rbm.sample_visible(&hidden, self.draws, first)?;
        let reconstruction = if persistent {
            let h = rbm.visible_means(&positive)?;
            squared_error(&h, batch)
        } else {
            squared_error(&means, batch)
        };
        model = rbm.gibbs(&model, steps - 1, self.draws, first.wrapping_add(1))?;
        let negative = rbm.hidden_means(&model)?;
        let mut gradient = Gradient::zero(rbm);
        let columns = (rbm.visible(), rbm.hidden());
        let data = Moments::new(batch, &positive, columns);
        let chains = Moments::new(&model, &negative, columns);
        layers::outer(batch, &positive, columns, data.share, &mut gradient.weights);
        layers::outer(&model, &negative, columns, -chains.share, &mut gradient.weights);
        difference(&data.visible, &chains.visible, &mut gradient.visible_bias);
        difference(&data.hidden, &chains.hidden, &mut gradient.hidden_bias);
        if centred {
            gradient.centre(&data, &chains);
        }
        if persistent {
            self.chains = model;
        }
        Ok((gradient, reconstruction))
    }
}

fn squared_error(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / b.len() as f32
}

fn difference(a: &[f32], b: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a - b);
}

/// ⟨v⟩ and ⟨h⟩ of one phase.
struct Moments {
    visible: Vec<f32>,
    hidden: Vec<f32>,
    /// 1/rows.
    share: f32,
}

impl Moments {
    fn new(v: &[f32], h: &[f32], (visible, hidden): (usize, usize)) -> Self {
        let share = visible as f32 / v.len() as f32;
        let mean = |values: &[f32], columns: usize| {
            let mut sums = alloc::vec![0.0; columns];
            for row in values.chunks(columns) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            sums.iter_mut().for_each(|sum| *sum *= share);
            sums
        };
        Self { visible: mean(v, visible), hidden: mean(h, hidden), share }
    }
}

impl Gradient {
    fn zero(rbm: &Rbm) -> Self {
        Self {
            weights: alloc::vec![0.0; rbm.visible() * rbm.hidden()],
            visible_bias: alloc::vec![0.0; rbm.visible()],
            hidden_bias: alloc::vec![0.0; rbm.hidden()],
        }
    }

    /// With μ and λ the means of v and h over both phases,
    /// ∇W ← ⟨(v−μ)(h−λ)ᵀ⟩_data − ⟨(v−μ)(h−λ)ᵀ⟩_model, ∇b ← ∇b − ∇W λ, ∇c ← ∇c − ∇Wᵀ μ.
    fn centre(&mut self, data: &Moments, model: &Moments) {
        let half = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| 0.5 * (a + b)).collect::<Vec<f32>>();
        let mu = half(&data.visible, &model.visible);
        let lambda = half(&data.hidden, &model.hidden);
        let columns = lambda.len();
        // Σ (v−μ)(h−λ)ᵀ = Σ v hᵀ − ⟨v⟩λᵀ − μ⟨h⟩ᵀ + μλᵀ; the last cancels between the phases.
        let rows = self.weights.chunks_mut(columns).zip(&self.visible_bias).zip(&mu);
        for ((row, v), mu) in rows {
            for ((slope, h), lambda) in row.iter_mut().zip(&self.hidden_bias).zip(&lambda) {
                *slope -= v * lambda + mu * h;
            }
        }
        for ((row, bias), mu) in self.weights.chunks(columns).zip(&mut self.visible_bias).zip(&mu) {
            *bias -= row.iter().zip(&lambda).map(|(slope, lambda)| slope * lambda).sum::<f32>();
            self.hidden_bias.iter_mut().zip(row).for_each(|(bias, slope)| *bias -= slope * mu);
        }
    }
}
