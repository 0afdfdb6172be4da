//! Learning: CD-k and PCD with momentum, weight decay and centring.

use super::Rbm;
use super::layers::{self, Scratch};
use super::slices::{Slices, Sums};
use crate::draw::Draws;
use crate::error::{Error, length, range};
use alloc::vec::Vec;
use yuragi_numeric::simd::{Task, vectorize};
use yuragi_numeric::tree::Tree;

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
    pub(crate) fn check(&self) -> Result<(), Error> {
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
    /// PCD: visible rows, of each slice.
    chains: Vec<Vec<f32>>,
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
    sums: Vec<f32>,
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
        self.learn_on(rbm, batch, Slices::ONE, going)
    }

    /// Learns from one batch in slices, each with draws and chains of its own; of the batch, a rank gives the rows at
    /// [`Slices::places`]. The machine and the error are the same on all ranks, to the last bit, and for any number of them.
    /// Where there are several, `going` must be true on all or on none.
    ///
    /// ```
    /// use yuragi_energy::rbm::{Rbm, Slices, Units, train::{Settings, Trainer}};
    /// let mut rbm = Rbm::new(2, 3, Units::Binary, Units::Binary)?;
    /// let mut trainer = Trainer::new(&rbm, Settings::default(), 1)?;
    /// let slices = Slices { count: 2, ..Slices::ONE };
    /// trainer.learn_on(&mut rbm, &[1.0, 0.0, 0.0, 1.0], slices, &mut || true)?;
    /// # Ok::<(), yuragi_energy::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`learn_while`](Self::learn_while), fewer slices than ranks, or a rank that is gone.
    pub fn learn_on(
        &mut self,
        rbm: &mut Rbm,
        batch: &[f32],
        slices: Slices<'_>,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<f32, Error> {
        let reconstruction = self.estimate(rbm, batch, slices, going)?;
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
        let reconstruction = self.estimate(rbm, batch, Slices::ONE, &mut || true)?;
        Ok((self.gradient.clone(), reconstruction))
    }

    /// Leaves the gradient in `self.gradient`.
    fn estimate(
        &mut self,
        rbm: &Rbm,
        batch: &[f32],
        slices: Slices<'_>,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<f32, Error> {
        let rows = rbm.rows(batch)?;
        range("the number of rows", rows as f64, rows > 0, "at least 1")?;
        let each = rows / slices.own().len().max(1);
        slices.check(each * slices.count)?;
        length("the weights", rbm.weights.len(), self.velocity.weights.len())?;
        length("the visible biases", rbm.visible(), self.velocity.visible_bias.len())?;
        let Settings { steps, persistent, centred, .. } = self.settings;
        let (first, all) = (self.step, self.draws);
        self.step = first.wrapping_add(steps);
        let columns = (rbm.visible(), rbm.hidden());
        let Self { gradient, buffers, chains, .. } = self;
        let Buffers { positive, hidden, means, negative, model, slopes, sums, scratch } = buffers;
        let mut tree = Tree::new(slices.count);
        let mut of = Sums::new(columns, slices.count, [each; 2]);
        for (turn, (slice, batch)) in slices.parts(batch)?.enumerate() {
            let draws = all.part(slice as u64);
            if persistent && chains.len() == turn {
                chains.push(rbm.start(each as u32, draws));
            }
            rbm.hidden_fields_to(positive, batch, scratch);
            hidden.clone_from(positive);
            layers::means(rbm.hidden_units(), positive);
            // Sites of their own for the data's hidden units beside those of persistent chains.
            let site = if persistent { rbm.visible() + rbm.hidden() } else { rbm.visible() };
            super::sample(rbm.hidden_units(), hidden, rbm.hidden(), draws, (first, site as u32, 0));
            rbm.visible_fields_to(model, hidden, scratch);
            means.clone_from(model);
            layers::means(rbm.visible_units(), means);
            let error = vectorize(SquaredError(means, batch));
            let model = if persistent {
                let chains = &mut chains[turn];
                rbm.gibbs_to(chains, hidden, steps, (draws, first), scratch, going)?;
                of = Sums::new(columns, slices.count, [each, chains.len() / columns.0]);
                chains
            } else {
                rbm.draw_visible(model, draws, (first, 0));
                rbm.gibbs_to(model, hidden, steps - 1, (draws, first.wrapping_add(1)), scratch, going)?;
                &mut *model
            };
            rbm.hidden_fields_to(negative, model, scratch);
            layers::means(rbm.hidden_units(), negative);
            let mut sum = core::mem::take(sums);
            sum.clear();
            of.write([(batch, positive), (model, negative)], (scratch, slopes), &mut sum);
            sum.push(error);
            tree.add(slice..slice + 1, sum);
            *sums = tree.room();
        }
        let mut sum = slices.sum(tree, of.len() + 1)?;
        let error = sum.pop().unwrap_or(f32::NAN);
        let [data, chains] = of.moments(&mut sum);
        // The room of the last gradient is that of the next sum.
        *sums = core::mem::replace(&mut gradient.weights, sum);
        gradient.biases(&data, &chains);
        if centred {
            let offsets = Offsets::new(&data, &chains);
            gradient.centre_weights(&offsets);
            gradient.centre_biases(&offsets);
        }
        Ok(error / (each * slices.count * columns.0) as f32)
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

/// Σ (a − b)².
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
}

impl Moments {
    /// Of sums over rows, by 1/rows.
    pub(crate) fn new(visible: &[f32], hidden: &[f32], share: f32) -> Self {
        let [visible, hidden] = [visible, hidden].map(|sums| sums.iter().map(|sum| sum * share).collect());
        Self { visible, hidden }
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
