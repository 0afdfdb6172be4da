//! Updates as they are derived: in f64, one evaluation after another.

use super::linear::{Linear, Register};
use crate::error::{Error, range};
use crate::parameterization::Prediction;
use crate::schedule::{Ladder, Point};
use alloc::vec::Vec;
use yuragi_numeric::elementary::exp;

/// One term of an [`Update`](super::Update): `to ← … + factor·from`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// What is written.
    pub to: Register,
    /// What is read, as it was before the update.
    pub from: Register,
    /// The factor.
    pub factor: f32,
}

/// The deviation of the noise, as the network tells it for each value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// e^(`offset` + `factor`·output): between two variances, by the share of
    /// their logarithms that is ½(output + 1) (Nichol and Dhariwal 2021,
    /// equation 15).
    Between {
        /// Half the mean of the logarithms.
        offset: f32,
        /// A quarter of their difference.
        factor: f32,
    },
    /// √output: the output is the variance.
    Variance,
}

impl Spread {
    /// Between the variances `low` and `high`.
    pub(crate) fn between(low: f64, high: f64) -> Self {
        let (low, high) = (libm::log(low), libm::log(high));
        Self::Between { offset: (0.25 * (low + high)) as f32, factor: (0.25 * (high - low)) as f32 }
    }

    /// The deviation that an output means; none where it is a negative
    /// variance.
    pub fn deviation(self, told: f32) -> f32 {
        match self {
            Self::Between { offset, factor } => exp(offset + factor * told),
            Self::Variance => libm::sqrtf(told.max(0.0)),
        }
    }
}

/// An update without its terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub at: Point,
    /// The factor between the state and what the network reads.
    pub scale: f32,
    /// x₀ = `estimate.0`·state + `estimate.1`·output, before it is clipped.
    pub estimate: (f32, f32),
    /// Where its terms end; they begin where those of the step before end.
    pub end: usize,
    /// What its noise is multiplied by.
    pub spread: Option<Spread>,
}

/// What the network knows at a point, in terms of the state and its output.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub at: Point,
    scale: f64,
    estimate: (f64, f64),
    /// The estimate of x₀, clipped if the sampler clips.
    pub sample: Linear,
    /// The estimate of ε that fits `sample`.
    pub epsilon: Linear,
    /// The estimate of ε that the output itself is.
    pub raw_epsilon: Linear,
}

/// The updates of a sampler.
pub(crate) struct Program<'a> {
    pub ladder: &'a Ladder,
    prediction: Prediction,
    clips: bool,
    pub steps: Vec<Step>,
    pub terms: Vec<Term>,
    /// The standard deviation of the noise to begin from.
    pub start: f64,
    /// What the noise of the evaluations to come is multiplied by.
    pub spread: Option<Spread>,
}

impl<'a> Program<'a> {
    pub fn new(ladder: &'a Ladder, prediction: Prediction, clips: bool) -> Self {
        let start = ladder.start();
        Self { ladder, prediction, clips, steps: Vec::new(), terms: Vec::new(), start, spread: None }
    }

    /// What the network knows at `at`.
    pub fn view(&self, at: Point) -> Result<View, Error> {
        let (scale, data, frame) = self.ladder.input().frame(at);
        let (x, output) = (Linear::from(Register::State), Linear::from(Register::Output));
        let convert = |to| -> Result<(f64, f64), Error> {
            let (of_x, of_output) = self.prediction.to(to, frame)?;
            Ok((of_x * scale, of_output))
        };
        let (sample_x, sample_output) = convert(Prediction::Sample)?;
        let (epsilon_x, epsilon_output) = convert(Prediction::Epsilon)?;
        let estimate = (data * sample_x, data * sample_output);
        let raw_epsilon = x * epsilon_x + output * epsilon_output;
        let (sample, epsilon) = if self.clips {
            let sample = Linear::from(Register::Sample);
            (sample, (x - sample * at.alpha) * (1.0 / at.sigma))
        } else {
            (x * estimate.0 + output * estimate.1, raw_epsilon)
        };
        Ok(View { at, scale, estimate, sample, epsilon, raw_epsilon })
    }

    /// The same where x₀ is `estimate.0`·state + `estimate.1`·output.
    pub fn view_as(&self, at: Point, estimate: (f64, f64)) -> Result<View, Error> {
        let view = self.view(at)?;
        let sample = match self.clips {
            true => view.sample,
            false => state() * estimate.0 + self.output() * estimate.1,
        };
        Ok(View { estimate, sample, epsilon: (state() - sample * at.alpha) * (1.0 / at.sigma), ..view })
    }

    /// x₀ for an x at `at`, of which the output is what the network predicts;
    /// without clipping.
    pub fn sample_of(&self, x: Linear, at: Point) -> Result<Linear, Error> {
        let (of_x, of_output) = self.view(at)?.estimate;
        Ok(x * of_x + self.output() * of_output)
    }

    /// The network's output itself; without clipping.
    pub fn output(&self) -> Linear {
        Register::Output.into()
    }

    /// What the network predicts.
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// One evaluation, and what it writes.
    pub fn push(&mut self, view: &View, writes: &[(Register, Linear)]) -> Result<(), Error> {
        for (to, linear) in writes {
            for (from, factor) in linear.terms() {
                range("a sampler's coefficient", factor, factor.is_finite(), "finite: take another sampler or ladder")?;
                self.terms.push(Term { to: *to, from, factor: factor as f32 });
            }
            if linear.terms().next().is_none() {
                self.terms.push(Term { to: *to, from: Register::State, factor: 0.0 });
            }
        }
        let (x, output) = view.estimate;
        self.steps.push(Step {
            at: view.at,
            scale: view.scale as f32,
            estimate: (x as f32, output as f32),
            end: self.terms.len(),
            spread: self.spread,
        });
        Ok(())
    }

    /// The same for a sampler that writes the state alone.
    pub fn push_state(&mut self, view: &View, state: Linear) -> Result<(), Error> {
        self.push(view, &[(Register::State, state)])
    }
}

/// α′·x₀ + d·ε: a step without noise to signal α′ and noise d.
pub(crate) fn carry(view: &View, alpha: f64, d: f64) -> Linear {
    view.sample * alpha + view.epsilon * d
}

/// ρ = σ′α/(α′σ) = e^(−h) with h = λ′ − λ; in [0, 1] on any ladder.
fn rho(from: Point, to: Point) -> f64 {
    to.sigma * from.alpha / (to.alpha * from.sigma)
}

/// u = η·σ′·√(1 − ρ²): the standard deviation of the posterior, times η.
pub(crate) fn fresh(eta: f64, from: Point, to: Point) -> f64 {
    let rho = rho(from, to);
    eta * to.sigma * libm::sqrt(((1.0 - rho) * (1.0 + rho)).max(0.0))
}

/// d with d² + u² = σ′².
pub(crate) fn remainder(to: Point, u: f64) -> f64 {
    libm::sqrt((to.sigma - u) * (to.sigma + u)).max(0.0)
}

pub(crate) fn noise() -> Linear {
    Register::Noise.into()
}

pub(crate) fn state() -> Linear {
    Register::State.into()
}

pub(crate) fn memory(slot: usize) -> Linear {
    Register::Memory(slot as u8).into()
}
