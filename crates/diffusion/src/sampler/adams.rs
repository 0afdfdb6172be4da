//! Adams's methods: SA-Solver, and the improved PNDM.

use super::linear::{Linear, Register};
use super::multistep::{Form, History, integrate, writes};
use super::onestep::Straight;
use super::pndm::WEIGHTS;
use super::program::{Program, carry, memory, noise, state};
use crate::error::{Error, range};
use crate::schedule::Point;
use alloc::vec::Vec;

/// The highest order of predictor and corrector.
const MOST: usize = 4;

/// The numbers of SA-Solver (Xue et al. 2023, arXiv 2309.05019): an Adams
/// method for the reverse SDE of any amount of noise τ, which here is 1 at
/// timesteps from 200 to 800 of 1000, as the authors have it for latents (from
/// 0.2 to 0.8 where time begins at 1 or below), and else 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaSolver {
    /// The order of the predictor, 1 to 4 (`predictor_order`).
    pub predictor: usize,
    /// The order of the corrector, 1 to 4 (`corrector_order`).
    pub corrector: usize,
    /// What is remembered: x₀ (`data_prediction`) or ε (`noise_prediction`).
    pub form: Form,
    /// The orders fall over the last steps (`lower_order_final`).
    pub lower_final: bool,
}

impl Default for SaSolver {
    fn default() -> Self {
        Self { predictor: 2, corrector: 2, form: Form::Data, lower_final: true }
    }
}

/// τ at a point of a ladder whose time begins at `start`.
fn stochasticity(at: Point, start: f64) -> f64 {
    let time = if start <= 1.0 { 1000.0 * at.time } else { at.time };
    if (200.0..=800.0).contains(&time) { 1.0 } else { 0.0 }
}

impl SaSolver {
    /// The factors of the state and of the noise over a step.
    fn keep(&self, from: Point, to: Point, tau: f64) -> (f64, f64) {
        let (h, square) = (to.lambda() - from.lambda(), tau * tau);
        match self.form {
            Form::Data => {
                (libm::exp(-square * h) * to.sigma / from.sigma, to.sigma * libm::sqrt(-libm::expm1(-2.0 * square * h)))
            }
            Form::Noise => (to.alpha / from.alpha, tau * to.sigma * libm::sqrt(libm::expm1(2.0 * h))),
        }
    }

    /// What the estimates at their λ, the latest first, add over a step.
    fn gradient(&self, from: Point, to: Point, tau: f64, estimates: &[(Linear, f64)]) -> Linear {
        let (h, end) = (to.lambda() - from.lambda(), to.lambda());
        let rate = 1.0 + tau * tau;
        let mut weights = match self.form {
            Form::Data => {
                let nodes: Vec<f64> = estimates.iter().map(|(_, node)| rate * (node - end)).collect();
                integrate(&nodes, -rate * h, 0.0, true)
            }
            Form::Noise => {
                let nodes: Vec<f64> = estimates.iter().map(|(_, node)| end - node).collect();
                integrate(&nodes, 0.0, h, true).into_iter().map(|w| -rate * w).collect()
            }
        };
        // A term of the third order, which the second may choose.
        if let (Form::Data, [(_, latest), (_, before)], [a, b]) = (self.form, estimates, &mut weights[..]) {
            let z = rate * h;
            let more = (0.5 * h * h * rate - (z + libm::expm1(-z)) / rate) / (latest - before);
            *a += more;
            *b -= more;
        }
        let size = if self.form == Form::Data { to.alpha } else { to.sigma };
        estimates.iter().zip(weights).fold(Linear::default(), |sum, ((m, _), w)| sum + *m * (size * w))
    }
}

/// SA-Solver: at every evaluation, the state is corrected with what the
/// network says there, and then moved on.
pub fn sa_solver(program: &mut Program<'_>, solver: SaSolver) -> Result<(), Error> {
    for (what, order) in [("the predictor's order", solver.predictor), ("the corrector's order", solver.corrector)] {
        range(what, order as f64, (1..=MOST).contains(&order), "from 1 to 4")?;
    }
    let (points, _) = program.ladder.whole();
    let (total, start) = (points.len() - 1, points[0].time);
    let slots = solver.predictor.max(solver.corrector) - 1;
    let mut history = History::new(0, slots);
    // The step before, and the corrector's order at its end.
    let mut previous = None::<(Point, usize)>;
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let (lambda, tau) = (from.lambda(), stochasticity(from, start));
        let estimate = if solver.form == Form::Data { view.sample } else { view.epsilon };
        let estimates = |order: usize| -> Vec<(Linear, f64)> {
            let earlier = (1..=history.usable(order - 1)).filter_map(|back| history.get(back));
            [(estimate, lambda)].into_iter().chain(earlier).collect()
        };
        let corrected = match previous {
            Some((before, order)) => {
                memory(slots) + solver.gradient(before, from, stochasticity(before, start), &estimates(order))
            }
            None => state(),
        };
        let left = if solver.lower_final { total - place } else { MOST };
        let h = to.lambda() - lambda;
        let (next, base) = if h.is_finite() && h != 0.0 {
            let (keep, u) = solver.keep(from, to, tau);
            let base = corrected * keep + noise() * u;
            (base + solver.gradient(from, to, tau, &estimates(solver.predictor.min(left))), Some(base))
        } else if h == 0.0 {
            (corrected, None)
        } else {
            // From where there is no signal, or to data.
            (carry(&view, to.alpha, to.sigma), None)
        };
        previous = base.map(|_| (from, solver.corrector.min(left + 1)));
        let mut all = writes(next, history.keep(lambda), estimate);
        all.extend(base.map(|base| (Register::Memory(slots as u8), base)));
        program.push(&view, &all)?;
    }
    Ok(())
}

/// The improved pseudo numerical method: Adams and Bashforth's over as many
/// slopes as there are, up to four, without a start of its own (Liu et al.
/// 2022 as `IPNDMScheduler`). With `blind`, x₀ is taken for 0 where there is
/// no signal, and the state goes by ε and σ/α all the same.
pub fn ipndm(program: &mut Program<'_>, blind: bool) -> Result<(), Error> {
    let line = if blind { Straight::ratio() } else { Straight::of(program.ladder) };
    let mut history = History::new(0, WEIGHTS.len() - 1);
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let slope = line.slope(&view);
        let weights = WEIGHTS[history.usable(WEIGHTS.len() - 1)];
        let earlier = (1..weights.len()).filter_map(|back| history.get(back)).zip(&weights[1..]);
        let mixed = earlier.fold(slope * weights[0], |sum, ((slope, _), w)| sum + slope * *w);
        let next = if blind && from.alpha == 0.0 { mixed * to.sigma } else { line.along(state(), mixed, from, to) };
        let kept = history.keep(place as f64);
        program.push(&view, &writes(next, kept, slope))?;
    }
    Ok(())
}
