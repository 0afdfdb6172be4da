//! Learning: CD-k and PCD with momentum, weight decay and centring.

use super::Rbm;
use super::layers::{self, Matrix, Scratch};
use crate::draw::Draws;
use crate::error::{Error, length, range};
use alloc::vec::Vec;
use yuragi_numeric::simd::{Task, vectorize};

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

impl Settings {
    pub(super) fn check(&self) -> Result<(), Error> {
        let &Self { rate, momentum, weight_decay, steps, .. } = self;
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        range("the momentum", momentum.into(), (0.0..1.0).contains(&momentum), "at least 0 and below 1")?;
        range("the weight decay", weight_decay.into(), weight_decay >= 0.0 && weight_decay.is_finite(), "at least 0")?;
        range("the number of Gibbs steps", steps.into(), steps >= 1, "at least 1")
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
    gradient: Gradient,
    buffers: Buffers,
}

/// What a step leaves behind for the next to write over.
#[derive(Clone, Debug, Default)]
struct Buffers {
    /// ⟨h⟩ of the data and of the model.
    positive: Vec<f32>,
    negative: Vec<f32>,
    hidden: Vec<f32>,
    /// The reconstruction, and visible draws.
    means: Vec<f32>,
    model: Vec<f32>,
    slopes: Vec<f32>,
    scratch: Scratch,
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
        settings.check()?;
        let (velocity, gradient) = (Gradient::zero(rbm), Gradient::zero(rbm));
        let draws = Draws::new(seed);
        Ok(Self { settings, draws, step: 0, chains: Vec::new(), velocity, gradient, buffers: Buffers::default() })
    }

    /// Another rate from now on.
    ///
    /// # Errors
    /// A rate that is not positive and finite.
    pub fn set_rate(&mut self, rate: f32) -> Result<(), Error> {
        range("the rate", rate.into(), rate > 0.0 && rate.is_finite(), "positive and finite")?;
        self.settings.rate = rate;
        Ok(())
    }

    /// Learns from one batch of rows; its mean squared reconstruction error (of ⟨v⟩ after one step) is returned.
    ///
    /// # Errors
    /// No row, or values that are not whole rows.
    pub fn learn(&mut self, rbm: &mut Rbm, batch: &[f32]) -> Result<f32, Error> {
        self.learn_while(rbm, batch, &mut || true)
    }

    /// [`learn`](Self::learn) that asks `going` before each Gibbs step whether to go on, and otherwise leaves the machine as
    /// it was.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn), or [`Error::Cancelled`].
    pub fn learn_while(&mut self, rbm: &mut Rbm, batch: &[f32], going: &mut dyn FnMut() -> bool) -> Result<f32, Error> {
        let reconstruction = self.estimate(rbm, batch, going)?;
        let Settings { rate, momentum, weight_decay, .. } = self.settings;
        let gradient = &self.gradient;
        let update = |velocity: &mut [f32], slope: &[f32], parameters: &mut [f32], decay: f32| {
            vectorize(Update { velocity, slope, parameters, momentum, rate, decay });
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
        let reconstruction = self.estimate(rbm, batch, &mut || true)?;
        Ok((self.gradient.clone(), reconstruction))
    }

    /// Leaves the gradient in `self.gradient`.
    fn estimate(&mut self, rbm: &Rbm, batch: &[f32], going: &mut dyn FnMut() -> bool) -> Result<f32, Error> {
        let rows = rbm.rows(batch)?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        length("the weights", rbm.weights.len(), self.velocity.weights.len())?;
        length("the visible biases", rbm.visible(), self.velocity.visible_bias.len())?;
        let Settings { steps, persistent, centred, .. } = self.settings;
        let (first, draws) = (self.step, self.draws);
        self.step = first.wrapping_add(steps);
        if persistent && self.chains.is_empty() {
            self.chains = rbm.start(rows as u32, draws);
        }
        let Self { gradient, buffers, chains, .. } = self;
        let Buffers { positive, hidden, means, negative, model, slopes, scratch } = buffers;
        rbm.hidden_fields_to(positive, batch, scratch);
        hidden.clone_from(positive);
        layers::means(rbm.hidden_units(), positive);
        // Sites of their own for the data's hidden units beside those of persistent chains.
        let site = if persistent { rbm.visible() + rbm.hidden() } else { rbm.visible() };
        super::sample(rbm.hidden_units(), hidden, rbm.hidden(), draws, (first, site as u32, 0));
        rbm.visible_fields_to(model, hidden, scratch);
        means.clone_from(model);
        layers::means(rbm.visible_units(), means);
        let reconstruction = squared_error(means, batch);
        let model = if persistent {
            rbm.gibbs_to(chains, hidden, steps, (draws, first), scratch, going)?;
            chains
        } else {
            rbm.draw_visible(model, draws, (first, 0));
            rbm.gibbs_to(model, hidden, steps - 1, (draws, first.wrapping_add(1)), scratch, going)?;
            model
        };
        rbm.hidden_fields_to(negative, model, scratch);
        layers::means(rbm.hidden_units(), negative);
        let columns = (rbm.visible(), rbm.hidden());
        let data = Moments::new(batch, positive, columns);
        let chains = Moments::new(model, negative, columns);
        let (v, h) = columns;
        scratch.outer(Matrix::new(batch, v), Matrix::new(positive, h), &mut gradient.weights);
        slopes.resize(gradient.weights.len(), 0.0);
        scratch.outer(Matrix::new(model, v), Matrix::new(negative, h), slopes);
        layers::scaled_difference(&mut gradient.weights, slopes, (data.share, chains.share));
        gradient.biases(&data, &chains);
        if centred {
            let offsets = Offsets::new(&data, &chains);
            gradient.centre_weights(&offsets);
            gradient.centre_biases(&offsets);
        }
        Ok(reconstruction)
    }
}

struct Update<'a> {
    velocity: &'a mut [f32],
    slope: &'a [f32],
    parameters: &'a mut [f32],
    momentum: f32,
    rate: f32,
    decay: f32,
}

impl Task for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((velocity, slope), parameter) in self.velocity.iter_mut().zip(self.slope).zip(self.parameters) {
            *velocity = self.momentum * *velocity + self.rate * (slope - self.decay * *parameter);
            *parameter += *velocity;
        }
    }
}

fn squared_error(a: &[f32], b: &[f32]) -> f32 {
    vectorize(SquaredError(a, b)) / b.len() as f32
}

struct SquaredError<'a>(&'a [f32], &'a [f32]);

impl Task for SquaredError<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let square = |(a, b): (&f32, &f32)| (a - b) * (a - b);
        let mut sums = [0.0; 16];
        let (a, b) = (self.0.chunks_exact(16), self.1.chunks_exact(16));
        let rest: f32 = a.remainder().iter().zip(b.remainder()).map(square).sum();
        for (a, b) in a.zip(b) {
            sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, pair)| *sum += square(pair));
        }
        sums.iter().sum::<f32>() + rest
    }
}

/// ⟨v⟩ and ⟨h⟩ of one phase.
pub(crate) struct Moments {
    visible: Vec<f32>,
    hidden: Vec<f32>,
    /// 1/rows.
    pub(crate) share: f32,
}

impl Moments {
    pub(crate) fn new(v: &[f32], h: &[f32], (visible, hidden): (usize, usize)) -> Self {
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
    pub(crate) fn zero(rbm: &Rbm) -> Self {
        Self {
            weights: alloc::vec![0.0; rbm.visible() * rbm.hidden()],
            visible_bias: alloc::vec![0.0; rbm.visible()],
            hidden_bias: alloc::vec![0.0; rbm.hidden()],
        }
    }

    /// ∇b and ∇c.
    pub(crate) fn biases(&mut self, data: &Moments, model: &Moments) {
        for (slopes, data, model) in [
            (&mut self.visible_bias, &data.visible, &model.visible),
            (&mut self.hidden_bias, &data.hidden, &model.hidden),
        ] {
            slopes.iter_mut().zip(data.iter().zip(model)).for_each(|(slope, (data, model))| *slope = data - model);
        }
    }

    /// ∇W ← ⟨(v−μ)(h−λ)ᵀ⟩_data − ⟨(v−μ)(h−λ)ᵀ⟩_model.
    pub(crate) fn centre_weights(&mut self, Offsets { mu, lambda }: &Offsets) {
        // Σ (v−μ)(h−λ)ᵀ = Σ v hᵀ − ⟨v⟩λᵀ − μ⟨h⟩ᵀ + μλᵀ; the last cancels between the phases.
        let rows = self.weights.chunks_mut(lambda.len()).zip(&self.visible_bias).zip(mu);
        for ((row, v), mu) in rows {
            for ((slope, h), lambda) in row.iter_mut().zip(&self.hidden_bias).zip(lambda) {
                *slope -= v * lambda + mu * h;
            }
        }
    }

    /// ∇b ← ∇b − ∇W λ, ∇c ← ∇c − ∇Wᵀ μ with centred ∇W.
    pub(crate) fn centre_biases(&mut self, Offsets { mu, lambda }: &Offsets) {
        for ((row, bias), mu) in self.weights.chunks(lambda.len()).zip(&mut self.visible_bias).zip(mu) {
            *bias -= row.iter().zip(lambda).map(|(slope, lambda)| slope * lambda).sum::<f32>();
            self.hidden_bias.iter_mut().zip(row).for_each(|(bias, slope)| *bias -= slope * mu);
        }
    }
}

/// μ and λ, the means of v and h over both phases, about which gradients are centred.
pub(crate) struct Offsets {
    mu: Vec<f32>,
    lambda: Vec<f32>,
}

impl Offsets {
    pub(crate) fn new(data: &Moments, model: &Moments) -> Self {
        let half = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| 0.5 * (a + b)).collect();
        Self { mu: half(&data.visible, &model.visible), lambda: half(&data.hidden, &model.hidden) }
    }
}
