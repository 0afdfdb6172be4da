//! The unified predictor–corrector (Zhao et al. 2023, arXiv 2302.04867).

use super::linear::{Linear, Register};
use super::multistep::{Form, History};
use super::program::{Program, carry, memory, state};
use crate::error::{Error, range};
use crate::schedule::Point;
use alloc::vec::Vec;

/// The highest order.
const MOST: usize = 4;

/// The numbers of UniPC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniPc {
    /// The order, 1 to 4.
    pub order: usize,
    /// What is remembered: x₀ (`predict_x0`) or ε.
    pub form: Form,
    /// B(h) = e^h − 1 (`bh2`) instead of h (`bh1`).
    pub exponential: bool,
    /// The order falls over the last steps (`lower_order_final`).
    pub lower_final: bool,
}

/// An estimate, and the λ where it was made.
type Node = (Linear, f64);

impl UniPc {
    /// x at `to`, given x at `from`, the estimate there, earlier ones, and for
    /// the corrector the one at `to`.
    fn step(&self, from: Point, to: Point, x: Linear, m0: Linear, earlier: &[Node], new: Option<Linear>) -> Linear {
        let h = to.lambda() - from.lambda();
        if h == 0.0 {
            return x;
        }
        let (hh, keep, size) = match self.form {
            Form::Data => (-h, to.sigma / from.sigma, to.alpha),
            Form::Noise => (h, to.alpha / from.alpha, to.sigma),
        };
        let phi = libm::expm1(hh);
        let b_h = if self.exponential { phi } else { hh };
        let mut ratios: Vec<f64> = earlier.iter().map(|(_, node)| (node - from.lambda()) / h).collect();
        let mut slopes: Vec<Linear> = earlier.iter().zip(&ratios).map(|((m, _), r)| (*m - m0) * (1.0 / r)).collect();
        if let Some(new) = new {
            ratios.push(1.0);
            slopes.push(new - m0);
        }
        let weights = weights(&ratios, hh, b_h);
        let base = x * keep - m0 * (size * phi);
        slopes.iter().zip(weights).fold(base, |x, (slope, w)| x - *slope * (size * b_h * w))
    }
}

/// The weights of the slopes at `ratios`: the first and only one is ½, else
/// Σ w_k r_k^i = i!·φ_{i+1}/B for i = 0, 1, ….
fn weights(ratios: &[f64], hh: f64, b_h: f64) -> [f64; MOST] {
    let n = ratios.len();
    let mut solution = [0.0; MOST];
    if n == 0 {
        return solution;
    }
    // The predictor of second order and the corrector of first.
    if n == 1 {
        solution[0] = 0.5;
        return solution;
    }
    let (mut phi, mut factorial) = (libm::expm1(hh) / hh - 1.0, 1.0);
    let mut rows = [[0.0; MOST + 1]; MOST];
    for (i, row) in rows.iter_mut().enumerate().take(n) {
        for (cell, r) in row.iter_mut().zip(ratios) {
            *cell = libm::pow(*r, i as f64);
        }
        row[n] = phi * factorial / b_h;
        factorial *= (i + 2) as f64;
        phi = phi / hh - 1.0 / factorial;
    }
    // Elimination with row exchanges.
    for column in 0..n {
        let pivot = (column..n)
            .max_by(|a, b| libm::fabs(rows[*a][column]).total_cmp(&libm::fabs(rows[*b][column])))
            .unwrap_or(column);
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let pivot = above[column];
        for row in &mut below[..n - column - 1] {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(pivot).for_each(|(cell, p)| *cell -= factor * p);
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| rows[i][k] * solution[k]).sum();
        solution[i] = (rows[i][n] - known) / rows[i][i];
    }
    solution
}

/// UniPC: at every evaluation, the state is corrected with what the network
/// says there, and then moved on.
pub fn unipc(program: &mut Program<'_>, solver: UniPc) -> Result<(), Error> {
    range("the solver's order", solver.order as f64, (1..=MOST).contains(&solver.order), "from 1 to 4")?;
    let total = program.ladder.whole().0.len() - 1;
    let (mut history, last) = (History::new(0, solver.order), solver.order);
    let (mut previous, mut order) = (None::<Point>, 0);
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let (lambda, estimate) = (from.lambda(), if solver.form == Form::Data { view.sample } else { view.epsilon });
        let node = |history: &History, back: usize| history.get(back).filter(|(_, node)| node.is_finite());
        let corrected = match (previous.filter(|p| p.alpha > 0.0), history.get(1)) {
            (Some(before), Some((m0, _))) => {
                let earlier: Vec<Node> = (2..=order).map_while(|back| node(&history, back)).collect();
                solver.step(before, from, memory(last), m0, &earlier, Some(estimate))
            }
            _ => state(),
        };
        order = if to.sigma == 0.0 {
            1
        } else if solver.lower_final {
            solver.order.min(total - place)
        } else {
            solver.order
        };
        let most = if lambda.is_finite() { order - 1 } else { 0 };
        let earlier: Vec<Node> = (1..=most).map_while(|back| node(&history, back)).collect();
        order = earlier.len() + 1;
        let next = if previous.is_none() && earlier.is_empty() {
            carry(&view, to.alpha, to.sigma)
        } else if to.sigma == 0.0 && solver.form == Form::Noise {
            corrected * (to.alpha / from.alpha) - estimate * (to.alpha * from.ratio())
        } else {
            solver.step(from, to, corrected, estimate, &earlier, None)
        };
        let mut writes = alloc::vec![(Register::State, next), (Register::Memory(last as u8), corrected)];
        writes.extend(history.keep(lambda).map(|slot| (slot, estimate)));
        program.push(&view, &writes)?;
        previous = Some(from);
    }
    Ok(())
}
