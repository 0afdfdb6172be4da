//! Samplers that forget: every step begins anew.
//!
//! With a step from (α, σ) to (α′, σ′), one is
//!
//! ```text
//! x′ = α′·D + d·ε(D) + u·n,    d² + u² = σ′²,    n standard normal,
//! ```
//!
//! and the samplers differ in the part u of the noise that is fresh.

use super::churn::Churn;
use super::linear::{Linear, Register};
use super::program::{Program, Spread, View, carry, fresh, memory, noise, remainder, state};
use crate::error::Error;
use crate::schedule::{Coordinate, Ladder, Point};

/// The noise that DDPM adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// That of the posterior, β̃ (`fixed_small`).
    #[default]
    Small,
    /// That of the forward process, β (`fixed_large`); none at timestep 0.
    Large,
    /// What the network says (`learned`); none at timestep 0.
    Learned,
    /// Between the two, where the network says (`learned_range`; Nichol and
    /// Dhariwal 2021); none at timestep 0.
    LearnedRange,
}

/// DDIM (Song et al. 2020, equations 12 and 16); Euler's method at η = 0. With
/// `raw`, ε stays what the output is where x₀ is clipped.
pub fn ddim(program: &mut Program<'_>, eta: f64, raw: bool) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let u = fresh(eta, from, to);
        let epsilon = if raw { view.raw_epsilon } else { view.epsilon };
        program.push_state(&view, view.sample * to.alpha + epsilon * remainder(to, u) + noise() * u)?;
    }
    Ok(())
}

/// DDPM (Ho et al. 2020, algorithm 2).
pub fn ddpm(program: &mut Program<'_>, variance: Variance) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let u = fresh(1.0, from, to);
        let step = from.alpha / to.alpha;
        let beta = (1.0 - step) * (1.0 + step);
        program.spread = match variance {
            Variance::Small | Variance::Large => None,
            Variance::Learned => Some(Spread::Variance),
            Variance::LearnedRange => Some(Spread::between((u * u).max(1e-20), beta)),
        };
        let added = match variance {
            Variance::Small => u,
            _ if from.time == 0.0 => 0.0,
            Variance::Large => libm::sqrt(beta),
            Variance::Learned | Variance::LearnedRange => 1.0,
        };
        program.push_state(&view, carry(&view, to.alpha, remainder(to, u)) + noise() * added)?;
    }
    Ok(())
}

/// Euler's method with fresh noise before each step (Karras et al. 2022,
/// algorithm 2 without its second order).
pub fn euler(program: &mut Program<'_>, churn: Churn) -> Result<(), Error> {
    program.start = churn.start(program.ladder);
    for place in program.ladder.places() {
        let (from, to, next) = churn.step(program.ladder, place);
        let view = program.view(from)?;
        let x = carry(&view, to.alpha, to.sigma);
        program.push_state(&view, churn.lift(x, to, next))?;
    }
    Ok(())
}

/// The same as diffusers does it: the noise is added when the network has
/// spoken, and its answer then taken for one at the noise that there is now;
/// with `before`, for one at the noise before.
pub fn late_euler(program: &mut Program<'_>, churn: Churn, before: bool) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let raised = churn.raised(program.ladder, place);
        let view = program.view(from)?;
        let x = churn.lift(state(), from, raised);
        let sample = program.sample_of(x, if before { from } else { raised })?;
        let keep = to.sigma / raised.sigma;
        program.push_state(&view, x * keep + sample * (to.alpha - raised.alpha * keep))?;
    }
    Ok(())
}

/// Consistency models (Song et al. 2023, algorithm 1) as
/// `CMStochasticIterativeScheduler`: D = c_skip·x + c_out·F that is x at
/// `least`, for data of deviation `data`, and noise of `deviation` up to the
/// next step's.
pub fn consistency(program: &mut Program<'_>, least: f64, data: f64, deviation: f64) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let above = from.sigma - least;
        let skip = data * data / (above * above + data * data);
        let view = program.view_as(from, (skip, above * data / libm::hypot(from.sigma, data)))?;
        let up = libm::sqrt(((to.sigma - least) * (to.sigma + least)).max(0.0));
        program.push_state(&view, view.sample + noise() * (deviation * up))?;
    }
    Ok(())
}

/// LCM (Luo et al. 2023). `scaling` is that of the timestep in the boundary
/// condition, c_skip = s²/(τ² + s²), c_out = τ/√(τ² + s²), s = ½; `deviation`
/// is that of its noise.
pub fn lcm(program: &mut Program<'_>, scaling: Option<f64>, deviation: f64) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let sample = match scaling.map(|scaling| scaling * from.time) {
            None => view.sample,
            Some(time) => {
                let square = time * time + 0.25;
                view.sample * (time / libm::sqrt(square)) + state() * (0.25 / square)
            }
        };
        program.push_state(&view, sample * to.alpha + noise() * (to.sigma * deviation))?;
    }
    Ok(())
}

/// TCD (Zheng et al. 2024, algorithm 4): without noise to time (1−γ)·t′, with
/// noise up to t′.
pub fn tcd(program: &mut Program<'_>, gamma: f64) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let clean = to.sigma == 0.0 || gamma == 0.0;
        let s = if clean { to } else { program.ladder.clock().earlier(from, to, 1.0 - gamma) };
        let up = to.alpha / s.alpha;
        let u = if clean { 0.0 } else { remainder(to, up * s.sigma) };
        let back = view.sample * s.alpha + view.raw_epsilon * s.sigma;
        program.push_state(&view, back * up + noise() * u)?;
    }
    Ok(())
}

/// The coordinate τ = σ/k with z = x/k, k = α + c·σ, in which
/// dz/dτ = ε − c·x₀; c is 0 for σ/α and 1 for flow.
#[derive(Clone, Copy)]
pub struct Straight(f64);

impl Straight {
    /// The ladder's own; flow's where σ/α is infinite.
    pub fn of(ladder: &Ladder) -> Self {
        let infinite = ladder.points().first().is_some_and(|p| p.alpha == 0.0);
        Self(if ladder.coordinate() == Coordinate::Flow || infinite { 1.0 } else { 0.0 })
    }

    /// σ/α.
    pub fn ratio() -> Self {
        Self(0.0)
    }

    /// k.
    pub fn k(self, alpha: f64, sigma: f64) -> f64 {
        alpha + self.0 * sigma
    }

    /// τ.
    pub fn tau(self, alpha: f64, sigma: f64) -> f64 {
        sigma / self.k(alpha, sigma)
    }

    /// τ of a point.
    pub fn at(self, point: Point) -> f64 {
        self.tau(point.alpha, point.sigma)
    }

    /// x at `to` if dz/dτ is constant from `from` to there.
    pub fn along(self, x: Linear, slope: Linear, from: Point, to: Point) -> Linear {
        let (k, k_to) = (self.k(from.alpha, from.sigma), self.k(to.alpha, to.sigma));
        x * (k_to / k) + slope * (k_to * (self.at(to) - self.at(from)))
    }

    /// The point at the mean τ.
    pub fn halfway(self, ladder: &Ladder, from: Point, to: Point) -> Point {
        let tau = 0.5 * (self.at(from) + self.at(to));
        ladder.clock().between(from, to, tau / (1.0 - self.0 * tau))
    }

    /// dz/dτ.
    pub fn slope(self, view: &View) -> Linear {
        view.epsilon - view.sample * self.0
    }
}

/// Heun's method (Karras et al. 2022, algorithms 1 and 2).
pub fn heun(program: &mut Program<'_>, churn: Churn) -> Result<(), Error> {
    let line = Straight::of(program.ladder);
    program.start = churn.start(program.ladder);
    for place in program.ladder.places() {
        let (from, to, next) = churn.step(program.ladder, place);
        let view = program.view(from)?;
        if to.sigma == 0.0 {
            program.push_state(&view, view.sample * to.alpha)?;
            continue;
        }
        let (k, k_to) = (line.k(from.alpha, from.sigma), line.k(to.alpha, to.sigma));
        let half = 0.5 * (line.at(to) - line.at(from)) * k_to;
        let kept = state() * (k_to / k) + line.slope(&view) * half;
        let first = carry(&view, to.alpha, to.sigma);
        program.push(&view, &[(Register::State, first), (Register::Memory(0), kept)])?;
        let view = program.view(to)?;
        program.push_state(&view, churn.lift(memory(0) + line.slope(&view) * half, to, next))?;
    }
    Ok(())
}

/// The point halfway from `from` to a ratio σ/α: by the geometric mean, or in
/// flow's time, as always where σ/α is infinite.
fn halfway(ladder: &Ladder, from: Point, to: Point, ratio: f64, flow: bool) -> Point {
    let middle = if flow || from.alpha == 0.0 {
        let share = 0.5 * (from.share() + ratio / (1.0 + ratio));
        share / (1.0 - share)
    } else {
        libm::sqrt(from.ratio() * ratio)
    };
    ladder.clock().between(from, to, middle)
}

/// DPM-Solver-2: the midpoint method, with ancestral noise or without
/// (k-diffusion's DPM2 and DPM2 a).
pub fn midpoint(program: &mut Program<'_>, ancestral: bool, churn: Churn) -> Result<(), Error> {
    let line = Straight::of(program.ladder);
    program.start = churn.start(program.ladder);
    for place in program.ladder.places() {
        let (from, to, next) = churn.step(program.ladder, place);
        let view = program.view(from)?;
        let u = if ancestral { fresh(1.0, from, to) } else { 0.0 };
        let d = remainder(to, u);
        if d == 0.0 {
            // To data; or without signal at the start, where all noise is fresh.
            program.push_state(&view, view.sample * to.alpha + noise() * u)?;
            continue;
        }
        let middle = halfway(program.ladder, from, to, d / to.alpha, line.0 == 1.0);
        let kept = state() * (line.k(to.alpha, d) / line.k(from.alpha, from.sigma));
        let first = carry(&view, middle.alpha, middle.sigma);
        program.push(&view, &[(Register::State, first), (Register::Memory(0), kept)])?;
        let length = (line.tau(to.alpha, d) - line.at(from)) * line.k(to.alpha, d);
        let view = program.view(middle)?;
        let x = memory(0) + line.slope(&view) * length + noise() * u;
        program.push_state(&view, churn.lift(x, to, next))?;
    }
    Ok(())
}

/// DPM-Solver++ (2S) of two evaluations a step: with ancestral noise after
/// them (k-diffusion's DPM++ 2S a), or with noise on the way, too (DPM++ SDE).
pub fn two_stage(program: &mut Program<'_>, noisy_middle: bool) -> Result<(), Error> {
    for place in program.ladder.places() {
        let (from, to) = program.ladder.step(place);
        let view = program.view(from)?;
        let u = fresh(1.0, from, to);
        let d = remainder(to, u);
        if to.sigma == 0.0 {
            program.push_state(&view, view.sample * to.alpha)?;
            continue;
        }
        // Without signal at the start, d is 0: the noise is all fresh.
        let end = if noisy_middle || d == 0.0 { to.ratio() } else { d / to.alpha };
        let middle = halfway(program.ladder, from, to, end, false);
        let (stage, shared) = if noisy_middle {
            let up = fresh(1.0, from, middle);
            // One Brownian motion in σ/α drives both stages.
            let [a, b, c] = [from, middle, to].map(|p| if from.alpha == 0.0 { p.share() } else { p.ratio() });
            let part = (a - b) / (a - c);
            (carry(&view, middle.alpha, remainder(middle, up)) + noise() * up, part)
        } else {
            (carry(&view, middle.alpha, middle.sigma), 0.0)
        };
        let kept = state() * (d / from.sigma) + noise() * (u * libm::sqrt(shared));
        program.push(&view, &[(Register::State, stage), (Register::Memory(0), kept)])?;
        let view = program.view(middle)?;
        let sample = view.sample * (to.alpha - from.alpha * d / from.sigma);
        program.push_state(&view, memory(0) + sample + noise() * (u * libm::sqrt(1.0 - shared)))?;
    }
    Ok(())
}
