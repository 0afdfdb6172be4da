//! Pseudo numerical methods for diffusion models (Liu et al. 2022).

use super::linear::{Linear, Register};
use super::onestep::Straight;
use super::program::{Program, memory, state};
use crate::error::{Error, range};
use crate::parameterization::Prediction;
use crate::schedule::{Ladder, Point};
use alloc::vec::Vec;

/// One evaluation: where it is made, and from where to where the state is then
/// moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Move {
    pub at: Point,
    pub from: Point,
    pub to: Point,
}

/// The evaluations of PNDM, and how many of them are those of Runge and Kutta.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moves {
    pub all: Vec<Move>,
    pub runge_kutta: usize,
    /// Whether outputs are combined as they are, as `PNDMScheduler` does, and
    /// a combined v is told apart with the state that it moves.
    pub raw: bool,
}

impl Moves {
    /// Those along a ladder.
    pub fn along(ladder: &Ladder, runge_kutta: bool) -> Self {
        let (line, steps) = (Straight::of(ladder), ladder.steps());
        let mut steps_left: Vec<(Point, Point)> = ladder.places().map(|place| ladder.step(place)).collect();
        let mut all = Vec::new();
        if runge_kutta && steps >= 4 {
            for (from, to) in steps_left.drain(..3) {
                let middle = line.halfway(ladder, from, to);
                let places = [(from, middle), (middle, middle), (middle, to), (to, to)];
                all.extend(places.map(|(at, to)| Move { at, from, to }));
            }
        } else if let [(from, to), _, ..] = steps_left[..] {
            all.extend([Move { at: from, from, to }, Move { at: to, from, to }]);
            steps_left.remove(0);
        }
        let runge_kutta = if runge_kutta && steps >= 4 { 12 } else { 0 };
        all.extend(steps_left.into_iter().map(|(from, to)| Move { at: from, from, to }));
        Self { all, runge_kutta, raw: false }
    }
}

/// Adams and Bashforth's weights over the last one to four slopes, the present
/// first.
pub(super) const WEIGHTS: [&[f64]; 4] = [
    &[1.0],
    &[3.0 / 2.0, -1.0 / 2.0],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

/// The slots behind the three of the slopes.
const KEPT: usize = 3;
const SUM: usize = 4;

/// PNDM over the moves given.
pub fn pndm(program: &mut Program<'_>, moves: &Moves) -> Result<(), Error> {
    let line = Straight::of(program.ladder);
    let prediction = program.prediction();
    if moves.raw {
        let known = matches!(prediction, Prediction::Epsilon | Prediction::Velocity);
        range("the prediction", 0.0, known, "epsilon or velocity for PNDM")?;
    }
    let go = |x: Linear, e: Linear, Move { from, to, .. }: Move| {
        if !moves.raw {
            return line.along(x, e, from, to);
        }
        let e = if prediction == Prediction::Velocity { e * from.alpha + x * from.sigma } else { e };
        let keep = to.alpha / from.alpha;
        x * keep + e * (to.sigma - from.sigma * keep)
    };
    // Slopes are kept in a ring of three slots.
    let mut slopes = 0;
    let slot = |i: usize| i % 3;
    for (i, &step) in moves.all.iter().enumerate() {
        let view = program.view(step.at)?;
        let e = if moves.raw { program.output() } else { line.slope(&view) };
        let kept = (Register::Memory(KEPT as u8), state());
        let sum = |e: Linear| (Register::Memory(SUM as u8), e);
        let mut writes = Vec::new();
        if i < moves.runge_kutta {
            match i % 4 {
                0 => {
                    writes.extend([(Register::State, go(state(), e, step)), kept, sum(e * (1.0 / 6.0))]);
                    writes.push((Register::Memory(slot(slopes) as u8), e));
                    slopes += 1;
                }
                3 => writes.push((Register::State, go(memory(KEPT), memory(SUM) + e * (1.0 / 6.0), step))),
                _ => {
                    writes.extend([(Register::State, go(memory(KEPT), e, step)), sum(memory(SUM) + e * (1.0 / 3.0))]);
                }
            }
        } else if i == 1 {
            // The first step, once more with the mean of both its ends.
            writes.push((Register::State, go(memory(KEPT), (e + memory(slot(0))) * 0.5, step)));
        } else {
            let weights = WEIGHTS[slopes.min(3)];
            let earlier = |(back, w): (usize, &f64)| memory(slot(slopes - back - 1)) * *w;
            let mixed = weights[1..].iter().enumerate().map(earlier).fold(e * weights[0], |a, b| a + b);
            writes.push((Register::State, go(state(), mixed, step)));
            if i == 0 {
                writes.push(kept);
            }
            writes.push((Register::Memory(slot(slopes) as u8), e));
            slopes += 1;
        }
        program.push(&view, &writes)?;
    }
    Ok(())
}
