//! Samplers as one stepping machine, driven from outside.
//!
//! On a ladder of points (α, σ), with x₀ what the network makes of x and
//! ε = (x − α·x₀)/σ, one step from (α, σ) to (α′, σ′) is
//!
//! ```text
//! x′ = α′·D + d·ε(D) + u·n,    d² + u² = σ′²,    n standard normal,
//! ```
//!
//! and the samplers differ only in the part u of the noise that is fresh and
//! in the estimate D:
//!
//! | sampler | u | D |
//! |---|---|---|
//! | DDIM (Song et al. 2020) | η·σ′·√(1 − ρ²), ρ = σ′α/(α′σ) | x₀ |
//! | Euler | 0 | x₀ |
//! | DDPM (Ho et al. 2020), Euler ancestral | σ′·√(1 − ρ²) | x₀ |
//! | DPM-Solver++ 2M (Lu et al. 2022) | 0 | x₀ + κ·(x₀ − previous x₀) |
//! | DPM-Solver++ 2M SDE | σ′·√(1 − ρ²) | x₀ + κ·(x₀ − previous x₀) |
//! | LCM (Luo et al. 2023) | σ′ | x₀ |
//!
//! with κ = ln ρ/(2 ln ρ₋), ρ₋ of the step before. Thus Euler is DDIM with
//! η = 0, and Euler ancestral is DDPM: in this view they are the same step.
//! Heun's method (Karras et al. 2022, algorithm 1) evaluates twice.
//!
//! Every evaluation is one [`Update`], its coefficients computed in f64
//! beforehand.

use crate::error::{Error, length, range};
use crate::schedule::{Coordinate, Ladder, Point};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use yuragi_numeric::fill;

/// The samplers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Ancestral sampling from the posterior q(z_s | z_t, x₀).
    Ddpm,
    /// Denoising diffusion implicit models; deterministic at `eta` 0.
    Ddim {
        /// The share of the ancestral noise, 0 to 1.
        eta: f64,
    },
    /// Euler's method on the probability-flow ODE: first order.
    Euler,
    /// Euler's method with ancestral noise.
    EulerAncestral,
    /// Heun's method: second order, two evaluations a step.
    Heun,
    /// The second-order multistep DPM-Solver++.
    DpmPlusPlus2M,
    /// The same for the reverse SDE, with ancestral noise.
    DpmPlusPlus2MSde,
    /// Latent consistency models: back to x₀ and fresh noise at every step.
    Lcm,
}

/// The names of samplers, as [`FromStr`] reads them.
pub const NAMES: &str = "ddpm, ddim, ddim:ETA, euler, euler-a, heun, dpm++2m, dpm++2m-sde, lcm";

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ddpm => "ddpm",
            Self::Ddim { eta: 0.0 } => "ddim",
            Self::Ddim { eta } => return write!(f, "ddim:{eta}"),
            Self::Euler => "euler",
            Self::EulerAncestral => "euler-a",
            Self::Heun => "heun",
            Self::DpmPlusPlus2M => "dpm++2m",
            Self::DpmPlusPlus2MSde => "dpm++2m-sde",
            Self::Lcm => "lcm",
        })
    }
}

/// Reads a name however its letters are cased and its words are joined:
/// `Euler a`, `euler_a` and `euler-a` are one.
impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let plain: alloc::string::String =
            name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
        let unknown = || Error::Name { what: "sampler", got: name.into(), legal: NAMES };
        Ok(match plain.as_str() {
            "ddpm" => Self::Ddpm,
            "ddim" => Self::Ddim { eta: 0.0 },
            "euler" => Self::Euler,
            "eulera" | "eulerancestral" => Self::EulerAncestral,
            "heun" => Self::Heun,
            "dpm++2m" | "dpmpp2m" => Self::DpmPlusPlus2M,
            "dpm++2msde" | "dpmpp2msde" => Self::DpmPlusPlus2MSde,
            "lcm" => Self::Lcm,
            other => {
                let eta = other.strip_prefix("ddim:").and_then(|eta| eta.parse().ok()).ok_or_else(unknown)?;
                check_eta(eta)?;
                Self::Ddim { eta }
            }
        })
    }
}

fn check_eta(eta: f64) -> Result<(), Error> {
    range("eta", eta, (0.0..=1.0).contains(&eta), "from 0 to 1")
}

/// A source of standard normal noise.
///
/// Stream 0 is the noise that a sampler starts from; stream k + 1 is that of
/// its k-th evaluation. A key is a source, so one seed gives one picture; a
/// [`Batch`] of sources gives each picture the noise it would have alone; a
/// [`Source`](crate::Source) is a seed of any generator, and a closure brings
/// noise from elsewhere.
pub trait Noise {
    /// Fills `out` with elements `first..` of `stream`.
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]);
}

impl Noise for [u32; 2] {
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]) {
        fill::normal(*self, stream, first as u64, out);
    }
}

impl<F: FnMut(u32, usize, &mut [f32])> Noise for F {
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]) {
        self(stream, first, out);
    }
}

/// One source a picture, the pictures standing one after another in the state.
#[derive(Debug)]
pub struct Batch<'a, N> {
    sources: &'a mut [N],
    len: usize,
}

impl<'a, N: Noise> Batch<'a, N> {
    /// The noise of `sources.len()` pictures of `len` values each. Values past
    /// the last picture get no noise.
    ///
    /// # Errors
    /// `len` is 0.
    pub fn new(sources: &'a mut [N], len: usize) -> Result<Self, Error> {
        range("the picture's length", len as f64, len > 0, "at least 1")?;
        Ok(Self { sources, len })
    }
}

impl<N: Noise> Noise for Batch<'_, N> {
    fn fill(&mut self, stream: u32, first: usize, mut out: &mut [f32]) {
        let mut inside = first % self.len;
        for source in self.sources.iter_mut().skip(first / self.len) {
            let (part, rest) = out.split_at_mut(out.len().min(self.len - inside));
            source.fill(stream, inside, part);
            (inside, out) = (0, rest);
        }
        out.fill(0.0);
    }
}

/// What becomes of the network's answer at one evaluation, for an engine that
/// keeps the state on a device:
///
/// ```text
/// state  ← x·state + sample·x₀ + memory·m + noise·n
/// m      ← keep_x·state + keep_sample·x₀          (the state before)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Where the network is evaluated.
    pub at: Point,
    /// The coefficient of the state.
    pub x: f32,
    /// The coefficient of the network's x₀.
    pub sample: f32,
    /// The coefficient of the memory.
    pub memory: f32,
    /// The coefficient of fresh standard normal noise.
    pub noise: f32,
    /// The state's coefficient in the new memory.
    pub keep_x: f32,
    /// The coefficient of x₀ in the new memory.
    pub keep_sample: f32,
}

/// A sampler in progress.
///
/// Drive it with [`start`](Self::start) once, then
/// [`request`](Self::request), evaluate the network, and
/// [`advance`](Self::advance) until `request` gives `None`. After
/// construction nothing is allocated.
#[derive(Clone, Debug)]
pub struct Sampler {
    updates: Vec<Update>,
    next: usize,
    memory: Vec<f32>,
    len: usize,
}

/// Values that are updated together, with their noise on the stack.
const CHUNK: usize = 256;

impl Sampler {
    /// A sampler for states of `len` values.
    ///
    /// # Errors
    /// An η outside 0 to 1; or a first point with α = 0 for Heun's method on a
    /// ladder in [`Coordinate::Sigma`], where σ/α is infinite.
    pub fn new(kind: Kind, ladder: &Ladder, len: usize) -> Result<Self, Error> {
        let updates = match kind {
            Kind::Ddpm | Kind::EulerAncestral => one_evaluation(ladder, fresh(1.0), false),
            Kind::Ddim { eta } => {
                check_eta(eta)?;
                one_evaluation(ladder, fresh(eta), false)
            }
            Kind::Euler => one_evaluation(ladder, fresh(0.0), false),
            Kind::DpmPlusPlus2M => one_evaluation(ladder, fresh(0.0), true),
            Kind::DpmPlusPlus2MSde => one_evaluation(ladder, fresh(1.0), true),
            Kind::Lcm => one_evaluation(ladder, |_, to| to.sigma, false),
            Kind::Heun => heun(ladder)?,
        };
        let remembers = updates.iter().any(|update| update.memory != 0.0);
        Ok(Self { updates, next: 0, memory: alloc::vec![0.0; if remembers { len } else { 0 }], len })
    }

    /// Fills `state` with the noise to begin from and returns to the first
    /// step: standard deviation √(α² + σ²), which data of unit variance have
    /// at the first point.
    ///
    /// # Errors
    /// A state of the wrong length.
    pub fn start(&mut self, state: &mut [f32], noise: &mut impl Noise) -> Result<(), Error> {
        length("the state", state.len(), self.len)?;
        self.restart();
        noise.fill(0, 0, state);
        if let Some(update) = self.updates.first() {
            let scale = libm::hypot(update.at.alpha, update.at.sigma) as f32;
            state.iter_mut().for_each(|x| *x *= scale);
        }
        Ok(())
    }

    /// Returns to the first step, for a state that the caller prepared.
    pub fn restart(&mut self) {
        self.next = 0;
        self.memory.fill(0.0);
    }

    /// The noise level at which the network must now be evaluated on the
    /// state, or `None` when the state is finished.
    pub fn request(&self) -> Option<Point> {
        self.updates.get(self.next).map(|update| update.at)
    }

    /// The update that [`advance`](Self::advance) will apply, or `None` when
    /// the state is finished.
    pub fn update(&self) -> Option<Update> {
        self.updates.get(self.next).copied()
    }

    /// How many times the network is evaluated from start to end.
    pub fn evaluations(&self) -> usize {
        self.updates.len()
    }

    /// How many evaluations are done.
    pub fn done(&self) -> usize {
        self.next
    }

    /// Takes in `sample`, the network's x₀ for the state at
    /// [`request`](Self::request), and moves the state on.
    ///
    /// # Errors
    /// A slice of the wrong length, or [`Error::Finished`]; nothing is changed
    /// then.
    pub fn advance(&mut self, state: &mut [f32], sample: &[f32], noise: &mut impl Noise) -> Result<(), Error> {
        length("the state", state.len(), self.len)?;
        length("the network's sample", sample.len(), self.len)?;
        let update = *self.updates.get(self.next).ok_or(Error::Finished)?;
        let stream = self.next as u32 + 1;
        let mut fresh = [0.0; CHUNK];
        for (i, (state, sample)) in state.chunks_mut(CHUNK).zip(sample.chunks(CHUNK)).enumerate() {
            let fresh = &mut fresh[..state.len()];
            if update.noise != 0.0 {
                noise.fill(stream, i * CHUNK, fresh);
            }
            if self.memory.is_empty() {
                for ((x, x0), n) in state.iter_mut().zip(sample).zip(fresh) {
                    *x = update.x * *x + update.sample * x0 + update.noise * *n;
                }
            } else {
                let memory = &mut self.memory[i * CHUNK..][..state.len()];
                for (((x, x0), n), m) in state.iter_mut().zip(sample).zip(fresh).zip(memory) {
                    let kept = update.keep_x * *x + update.keep_sample * x0;
                    *x = update.x * *x + update.sample * x0 + update.memory * *m + update.noise * *n;
                    *m = kept;
                }
            }
        }
        self.next += 1;
        Ok(())
    }
}

/// ρ = σ′α/(α′σ) = e^(−h) with h = λ′ − λ; in [0, 1) on any ladder.
fn rho(from: Point, to: Point) -> f64 {
    to.sigma * from.alpha / (to.alpha * from.sigma)
}

/// u = η·σ′·√(1 − ρ²): the standard deviation of the posterior, times η.
fn fresh(eta: f64) -> impl Fn(Point, Point) -> f64 {
    move |from, to| {
        let rho = rho(from, to);
        eta * to.sigma * libm::sqrt((1.0 - rho) * (1.0 + rho))
    }
}

/// The updates of the samplers with one evaluation a step; see the table above.
fn one_evaluation(ladder: &Ladder, fresh: impl Fn(Point, Point) -> f64, multistep: bool) -> Vec<Update> {
    let mut previous = None;
    let update = |pair: &[Point]| {
        let (from, to) = (pair[0], pair[1]);
        let u = fresh(from, to);
        let d = libm::sqrt((to.sigma - u) * (to.sigma + u)).max(0.0);
        let x = d / from.sigma;
        let log_rho = libm::log(rho(from, to));
        let kappa = match previous.replace(log_rho) {
            Some(previous) if multistep && to.sigma > 0.0 => log_rho / (2.0 * previous),
            _ => 0.0,
        };
        let sample = to.alpha - from.alpha * x;
        Update {
            at: from,
            x: x as f32,
            sample: (sample * (1.0 + kappa)) as f32,
            memory: (-sample * kappa) as f32,
            noise: u as f32,
            keep_x: 0.0,
            keep_sample: 1.0,
        }
    };
    ladder.points().windows(2).map(update).collect()
}

/// Heun's method in the ladder's coordinate τ: with z = x/k, dz/dτ = ε − c·x₀
/// where k = α + c·σ and τ = σ/k; c is 0 for σ/α and 1 for flow.
fn heun(ladder: &Ladder) -> Result<Vec<Update>, Error> {
    let c = match ladder.coordinate() {
        Coordinate::Sigma => 0.0,
        Coordinate::Flow => 1.0,
    };
    let k = |point: Point| point.alpha + c * point.sigma;
    let alpha = ladder.points()[0].alpha;
    range("the first alpha", alpha, alpha + c > 0.0, "positive for this sampler")?;
    let euler = one_evaluation(ladder, |_, _| 0.0, false);
    let mut updates = Vec::with_capacity(2 * euler.len());
    for (mut euler, pair) in euler.into_iter().zip(ladder.points().windows(2)) {
        let (from, to) = (pair[0], pair[1]);
        if to.sigma == 0.0 {
            updates.push(euler);
            continue;
        }
        // x′ = k′·(x/k + h/2·(slope + slope′)), slope = x/σ − (α/σ + c)·x₀
        let half = 0.5 * (to.sigma / k(to) - from.sigma / k(from)) * k(to);
        euler.keep_x = (k(to) / k(from) + half / from.sigma) as f32;
        euler.keep_sample = (-half * (from.alpha / from.sigma + c)) as f32;
        let corrector = Update {
            at: to,
            x: (half / to.sigma) as f32,
            sample: (-half * (to.alpha / to.sigma + c)) as f32,
            memory: 1.0,
            noise: 0.0,
            keep_x: 0.0,
            keep_sample: 0.0,
        };
        updates.extend([euler, corrector]);
    }
    Ok(updates)
}
