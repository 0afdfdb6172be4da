//! From noise to time, for the noise levels between a ladder's points.

use super::{Point, Sde};
use alloc::vec::Vec;

/// What a network is told at a noise level.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Clock {
    /// Nothing is known but a ladder's own points.
    Points,
    /// ln(σ/α) at the timesteps 0, 1, …, rising; between them a fraction.
    Table(Vec<f64>),
    /// σ/α.
    Ratio,
    /// ¼ ln(σ/α) (Karras et al. 2022).
    QuarterLog,
    /// σ/(α+σ), times a factor.
    Share(f64),
    /// The time of a process.
    Process(Sde),
}

/// How α and σ hang together.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    /// α² + σ² = 1.
    Preserving,
    /// α = 1.
    Exploding,
    /// α + σ = 1.
    Flow,
    /// α² + σ = 1.
    SubPreserving,
}

impl Path {
    /// The path through two points, by the one that they keep best.
    fn of(from: Point, to: Point) -> Self {
        let all = [Self::Preserving, Self::Exploding, Self::Flow, Self::SubPreserving];
        let miss = |path: &Self| [from, to].map(|p| libm::fabs(path.constant(p) - 1.0)).into_iter().sum::<f64>();
        all.into_iter().min_by(|a, b| miss(a).total_cmp(&miss(b))).unwrap_or(Self::Preserving)
    }

    fn constant(self, Point { alpha, sigma, .. }: Point) -> f64 {
        match self {
            Self::Preserving => alpha * alpha + sigma * sigma,
            Self::Exploding => alpha,
            Self::Flow => alpha + sigma,
            Self::SubPreserving => alpha * alpha + sigma,
        }
    }

    /// α at a finite σ/α.
    fn alpha(self, ratio: f64) -> f64 {
        match self {
            Self::Preserving => 1.0 / libm::hypot(1.0, ratio),
            Self::Exploding => 1.0,
            Self::Flow => 1.0 / (1.0 + ratio),
            Self::SubPreserving => 2.0 / (ratio + libm::hypot(ratio, 2.0)),
        }
    }
}

impl Clock {
    /// The point at a finite σ/α between two points of a ladder.
    pub fn between(&self, from: Point, to: Point, ratio: f64) -> Point {
        let alpha = Path::of(from, to).alpha(ratio);
        Point { time: self.time(from, to, ratio), alpha, sigma: ratio * alpha }
    }

    fn time(&self, from: Point, to: Point, ratio: f64) -> f64 {
        match self {
            Self::Points => {
                let share = ratio / (1.0 + ratio);
                let done = (from.share() - share) / (from.share() - to.share());
                from.time + done * (to.time - from.time)
            }
            Self::Table(logs) => timestep(logs, libm::log(ratio)),
            Self::Ratio => ratio,
            Self::QuarterLog => 0.25 * libm::log(ratio),
            Self::Share(factor) => factor * ratio / (1.0 + ratio),
            Self::Process(sde) => sde.time(ratio),
        }
    }

    /// The point whose time is `factor` (0 to 1) times that of `to`, on the
    /// way that leads to `to`; of a table, a whole timestep.
    pub fn earlier(&self, from: Point, to: Point, factor: f64) -> Point {
        let ratio = match self {
            Self::Table(logs) => {
                let last = logs.len().saturating_sub(1);
                let t = (libm::floor(factor * to.time) as usize).min(last);
                logs.get(t).map_or(to.ratio(), |log| libm::exp(*log))
            }
            Self::Share(_) => {
                let share = factor * to.share();
                share / (1.0 - share)
            }
            Self::Process(sde) => sde.point(factor * to.time).ratio(),
            Self::Points | Self::Ratio | Self::QuarterLog => factor * to.ratio(),
        };
        let point = self.between(from, to, ratio);
        Point { time: if ratio == 0.0 { 0.0 } else { point.time }, ..point }
    }
}

/// The fractional timestep at which a rising table of ln(σ/α) has the value.
pub(crate) fn timestep(logs: &[f64], value: f64) -> f64 {
    match logs.partition_point(|&log| log < value) {
        0 => 0.0,
        t if t == logs.len() => (t - 1) as f64,
        t => (t - 1) as f64 + (value - logs[t - 1]) / (logs[t] - logs[t - 1]),
    }
}
