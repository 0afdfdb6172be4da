//! Samplers that remember the estimates of earlier steps.
//!
//! All stand on the exact solution of the probability-flow ODE over a step
//! (Lu et al. 2022, equation 3.4 and its kin), with h = λ′ − λ, λ = ln(α/σ):
//!
//! ```text
//! x′ = σ′/σ·x + σ′·∫ e^λ x₀ dλ      in x₀ ("data")
//! x′ = α′/α·x − α′·∫ e^−λ ε dλ      in ε  ("noise")
//! ```
//!
//! and put a polynomial through earlier estimates for what stands under the
//! integral. Estimates from where there was no signal (λ = −∞) are left out.

use super::linear::{Linear, Register};
use super::onestep::Straight;
use super::program::{Program, View, carry, memory, noise, state};
use crate::error::{Error, range};
use crate::schedule::Point;
use alloc::vec::Vec;

/// Under which steps an order lower than the highest is taken at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// With fewer than 15 steps, the order falls over the last ones
    /// (`lower_order_final`).
    pub lower: bool,
    /// The last step is of first order (`euler_at_final`).
    pub euler: bool,
}

/// The estimate that a DPM-Solver takes a polynomial through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// x₀: DPM-Solver++.
    Data,
    /// ε: DPM-Solver.
    Noise,
}

/// The numbers of a DPM-Solver (Lu et al. 2022, arXiv 2206.00927 and
/// 2211.01095).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solver {
    /// What is remembered.
    pub form: Form,
    /// Whether the reverse SDE is solved, with fresh noise, instead of the
    /// ODE.
    pub sde: bool,
    /// The order, 1 to 3.
    pub order: usize,
    /// `solver_type: heun` instead of `midpoint`.
    pub heun: bool,
    /// The order at the end.
    pub ends: Ends,
    /// Take the third order of the SDE with the sign that diffusers 0.42
    /// gives one term, (…)/(2h)² − ½ where it vanishes with h only as + ½.
    pub flawed: bool,
}

impl Solver {
    /// The order, checked.
    pub(crate) fn check(&self) -> Result<(), Error> {
        range("the solver's order", self.order as f64, (1..=3).contains(&self.order), "from 1 to 3")?;
        let none = self.form == Form::Noise && self.sde && self.order == 3;
        range("the solver's order", 3.0, !none, "1 or 2 for the SDE in epsilon")
    }

    fn estimate(&self, view: &View) -> Linear {
        match self.form {
            Form::Data => view.sample,
            Form::Noise => view.epsilon,
        }
    }

    /// x′ of a step of first order.
    fn first(&self, view: &View, to: Point) -> Linear {
        if self.sde {
            self.step(view.at, to, state(), self.estimate(view), None, None)
        } else {
            carry(view, to.alpha, to.sigma)
        }
    }

    /// x′ of a step, given x at its beginning, the estimate d0 there, and the
    /// first two divided differences over h of estimates.
    fn step(&self, from: Point, to: Point, x: Linear, d0: Linear, d1: Option<Linear>, d2: Option<Linear>) -> Linear {
        let h = to.lambda() - from.lambda();
        if h == 0.0 {
            return x;
        }
        let third = d2.is_some();
        let straight = !third && !self.heun;
        // s·(∫ of 1, of λ/h and of (λ/h)² over the step), s the estimate's size.
        let (keep, s, [p0, p1, p2], u) = match (self.form, self.sde) {
            (Form::Data, false) => (to.sigma / from.sigma, to.alpha, phi(-h, true), 0.0),
            (Form::Data, true) => {
                let [p0, p1, p2] = phi(-2.0 * h, true);
                let u = to.sigma * libm::sqrt(-libm::expm1(-2.0 * h));
                let p2 = if self.flawed { p2 - 1.0 } else { p2 };
                (to.sigma / from.sigma * libm::exp(-h), to.alpha, [p0, p1, p2], u)
            }
            (Form::Noise, sde) => {
                let twice = if sde { 2.0 } else { 1.0 };
                let u = if sde { to.sigma * libm::sqrt(libm::expm1(2.0 * h)) } else { 0.0 };
                (to.alpha / from.alpha, -to.sigma * twice, phi(h, false), u)
            }
        };
        let d1_factor = if straight { 0.5 * p0 } else { p1 };
        let mut next = x * keep + d0 * (s * p0) + noise() * u;
        if let Some(d1) = d1 {
            next = next + d1 * (s * d1_factor);
        }
        if let Some(d2) = d2 {
            next = next + d2 * (s * p2);
        }
        next
    }
}

/// φ functions of the exponential integrators: for `data`, with z = −h or
/// −2h, 1 − e^z, (e^z − 1)/(−z) + 1 and ½ − (e^z − 1 − z)/z²; else e^z − 1,
/// (e^z − 1)/z − 1 and (e^z − 1 − z)/z² − ½.
fn phi(z: f64, data: bool) -> [f64; 3] {
    let e = libm::expm1(z);
    if z == f64::NEG_INFINITY {
        return [1.0, 1.0, 0.5];
    }
    let (one, two) = (e / z - 1.0, (e - z) / (z * z) - 0.5);
    if data { [-e, -one, -two] } else { [e, one, two] }
}

/// Estimates of earlier evaluations, in a ring of slots.
pub(super) struct History {
    /// Where the ring's slots begin, and how many there are.
    first: usize,
    size: usize,
    /// How many estimates were kept, and at which λ or coordinate.
    nodes: Vec<f64>,
}

impl History {
    pub fn new(first: usize, size: usize) -> Self {
        Self { first, size, nodes: Vec::new() }
    }

    /// The estimate kept `back` evaluations ago (1 is the last one) and its
    /// node, if it is still there.
    pub fn get(&self, back: usize) -> Option<(Linear, f64)> {
        let i = self.nodes.len().checked_sub(back).filter(|_| back <= self.size)?;
        Some((memory(self.first + i % self.size), self.nodes[i]))
    }

    /// Keeps an estimate; gives the slot to write.
    pub fn keep(&mut self, node: f64) -> Option<Register> {
        self.nodes.push(node);
        let i = self.nodes.len() - 1;
        (self.size > 0).then(|| Register::Memory((self.first + i % self.size) as u8))
    }

    /// How many of the last `most` estimates have finite nodes.
    pub fn usable(&self, most: usize) -> usize {
        (1..=most).take_while(|back| self.get(*back).is_some_and(|(_, node)| node.is_finite())).count()
    }
}

/// What an update writes: the state, and the estimate it keeps.
pub(super) fn writes(state: Linear, kept: Option<Register>, estimate: Linear) -> Vec<(Register, Linear)> {
    let mut all = alloc::vec![(Register::State, state)];
    all.extend(kept.map(|slot| (slot, estimate)));
    all
}

/// The order that the end of `total` steps allows at step `i`.
fn order_at(order: usize, ends: Ends, i: usize, total: usize, to: Point) -> usize {
    let left = total - i;
    if to.sigma == 0.0 || left == 1 && ends.euler {
        1
    } else if ends.lower && total < 15 {
        order.min(left)
    } else {
        order
    }
}

/// Multistep DPM-Solver and DPM-Solver++.
pub fn dpm(program: &mut Program<'_>, solver: Solver) -> Result<(), Error> {
    solver.check()?;
    let total = program.ladder.whole().0.len() - 1;
    let mut history = History::new(0, solver.order - 1);
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let (m0, lambda) = (solver.estimate(&view), from.lambda());
        let order = order_at(solver.order, solver.ends, place, total, to);
        let h = to.lambda() - lambda;
        let usable = if lambda.is_finite() { history.usable(order - 1) } else { 0 };
        let (d1, d2) = match (usable, history.get(1), history.get(2)) {
            (1, Some((m1, node)), _) => (Some((m0 - m1) * (h / (lambda - node))), None),
            (2, Some((m1, node_1)), Some((m2, node_2))) => {
                let (r0, r1) = ((lambda - node_1) / h, (node_1 - node_2) / h);
                let (a, b) = ((m0 - m1) * (1.0 / r0), (m1 - m2) * (1.0 / r1));
                (Some(a + (a - b) * (r0 / (r0 + r1))), Some((a - b) * (1.0 / (r0 + r1))))
            }
            _ => (None, None),
        };
        let next = match d1 {
            None => solver.first(&view, to),
            d1 => solver.step(from, to, state(), m0, d1, d2),
        };
        let kept = history.keep(lambda);
        program.push(&view, &writes(next, kept, m0))?;
    }
    Ok(())
}

/// The orders of singlestep DPM-Solver's steps.
fn orders(order: usize, lower: bool, total: usize, ends_at_data: bool) -> Vec<usize> {
    if total == 0 {
        return Vec::new();
    }
    let lower = lower || ends_at_data || !total.is_multiple_of(order);
    let block = |k: usize| 1..=k;
    let mut all: Vec<usize> = match (order, lower) {
        (1, _) => alloc::vec![1; total],
        (k, false) => (0..total / k).flat_map(|_| block(k)).collect(),
        (2, true) => {
            let pairs = if total.is_multiple_of(2) { total / 2 - 1 } else { total / 2 };
            let rest = total - 2 * pairs;
            (0..pairs).flat_map(|_| block(2)).chain((0..rest).map(|_| 1)).collect()
        }
        (_, true) => {
            let threes = if total.is_multiple_of(3) { total / 3 - 1 } else { total / 3 };
            let rest: &[usize] = match total % 3 {
                0 => &[1, 2, 1],
                1 => &[1],
                _ => &[1, 2],
            };
            (0..threes).flat_map(|_| block(3)).chain(rest.iter().copied()).collect()
        }
    };
    if let (Some(last), true) = (all.last_mut(), ends_at_data) {
        *last = 1;
    }
    all
}

/// Singlestep DPM-Solver and DPM-Solver++: steps in blocks of rising order
/// that all begin at the block's first point.
pub fn singlestep(program: &mut Program<'_>, solver: Solver) -> Result<(), Error> {
    solver.check()?;
    let (points, first) = program.ladder.whole();
    let total = points.len() - 1;
    let ends_at_data = points[total].sigma == 0.0;
    let mut orders = orders(solver.order, solver.ends.lower, total, ends_at_data);
    // A step from where there is no signal is a block by itself.
    if points[first].alpha == 0.0 {
        let rest = self::orders(solver.order, solver.ends.lower, total - first - 1, ends_at_data);
        orders.truncate(first);
        orders.push(1);
        orders.extend(rest);
    }
    let start = solver.order - 1;
    let mut history = History::new(0, solver.order - 1);
    let mut begin = 0;
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let m0 = solver.estimate(&view);
        let order = orders[place].min(place - first + 1);
        if order == 1 {
            begin = place;
        }
        let (x, origin) = if order == 1 { (state(), from) } else { (memory(start), program.ladder.step(begin).0) };
        // λ of the block's first, second and present point.
        let h = to.lambda() - origin.lambda();
        let r = |node: f64| (node - origin.lambda()) / h;
        let next = match (order, history.get(1), history.get(2)) {
            (2, Some((m1, _)), _) => {
                let d1 = (m0 - m1) * (1.0 / r(from.lambda()));
                solver.step(origin, to, x, m1, Some(d1), None)
            }
            (3, Some((m1, node_1)), Some((m2, _))) => {
                let (r0, r1) = (r(from.lambda()), r(node_1));
                let (a, b) = ((m1 - m2) * (1.0 / r1), (m0 - m2) * (1.0 / r0));
                if solver.heun {
                    let d1 = (a * r0 - b * r1) * (1.0 / (r0 - r1));
                    let d2 = (b - a) * (2.0 / (r0 - r1));
                    solver.step(origin, to, x, m2, Some(d1), Some(d2))
                } else {
                    // The midpoint's third order has φ₂ and no second difference.
                    solver.step(origin, to, x, m2, Some(b), Some(Linear::default()))
                }
            }
            _ => solver.first(&view, to),
        };
        let mut all = writes(next, history.keep(from.lambda()), m0);
        if order == 1 && solver.order > 1 {
            all.push((Register::Memory(start as u8), state()));
        }
        program.push(&view, &all)?;
    }
    Ok(())
}

/// The weights of a polynomial through values at `nodes`, integrated from
/// `from` to `to` with weight e^τ if `exponential`, else 1 (Gauss and
/// Legendre, eight points: exact for polynomials of degree 15).
pub(super) fn integrate(nodes: &[f64], from: f64, to: f64, exponential: bool) -> Vec<f64> {
    const PLACES: [(f64, f64); 4] = [
        (0.183_434_642_495_649_8, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887_3),
        (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
        (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
    ];
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    let lagrange = |j: usize, x: f64| -> f64 {
        let others = nodes.iter().enumerate().filter(|(k, _)| *k != j);
        others.map(|(_, node)| (x - node) / (nodes[j] - node)).product()
    };
    let value = |j: usize, x: f64| lagrange(j, x) * if exponential { libm::exp(x) } else { 1.0 };
    let pair = |j: usize, place: f64| value(j, middle - half * place) + value(j, middle + half * place);
    (0..nodes.len()).map(|j| half * PLACES.iter().map(|(place, w)| w * pair(j, *place)).sum::<f64>()).collect()
}

/// The linear multistep method of order 4 in the ladder's coordinate.
pub fn lms(program: &mut Program<'_>, whole: bool) -> Result<(), Error> {
    const ORDER: usize = 4;
    let line = Straight::of(program.ladder);
    let mut history = History::new(0, ORDER - 1);
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let slope = line.slope(&view);
        let mut slopes = alloc::vec![slope];
        let mut nodes = alloc::vec![line.at(from)];
        for (estimate, node) in (1..ORDER).map_while(|back| history.get(back)) {
            slopes.push(estimate);
            nodes.push(node);
        }
        if whole {
            let missing = (nodes.len()..ORDER.min(place + 1)).map(|back| line.at(program.ladder.step(place - back).0));
            nodes.extend(missing);
        }
        let k = line.k(to.alpha, to.sigma);
        let weights = integrate(&nodes, nodes[0], line.at(to), false);
        let start = state() * (k / line.k(from.alpha, from.sigma));
        let next = slopes.iter().zip(weights).fold(start, |x, (slope, w)| x + *slope * (k * w));
        let kept = history.keep(line.at(from));
        program.push(&view, &writes(next, kept, slope))?;
    }
    Ok(())
}

/// DEIS (Zhang and Chen 2023): a polynomial in ln(σ/α) for ε.
pub fn deis(program: &mut Program<'_>, order: usize, ends: Ends) -> Result<(), Error> {
    range("the solver's order", order as f64, (1..=3).contains(&order), "from 1 to 3")?;
    let total = program.ladder.whole().0.len() - 1;
    let mut history = History::new(0, order - 1);
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let node = -from.lambda();
        let now = order_at(order, ends, place, total, to);
        let usable = if node.is_finite() { history.usable(now - 1) } else { 0 };
        let next = if usable == 0 {
            carry(&view, to.alpha, to.sigma)
        } else {
            // From the present ln(σ/α), so that the exponential is of order 1.
            let mut estimates = alloc::vec![view.epsilon];
            let mut nodes = alloc::vec![0.0];
            for (estimate, earlier) in (1..=usable).filter_map(|back| history.get(back)) {
                estimates.push(estimate);
                nodes.push(earlier - node);
            }
            let weights = integrate(&nodes, 0.0, -to.lambda() - node, true);
            let start = state() * (to.alpha / from.alpha);
            let scale = to.alpha * from.ratio();
            estimates.iter().zip(weights).fold(start, |x, (estimate, w)| x + *estimate * (scale * w))
        };
        let kept = history.keep(node);
        program.push(&view, &writes(next, kept, view.epsilon))?;
    }
    Ok(())
}
