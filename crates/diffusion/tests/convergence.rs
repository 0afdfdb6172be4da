//! T29, T30: the order at which deterministic samplers converge to the
//! probability-flow ODE of Gaussian data, whose solution is known.

mod common;

use common::{Mixture, run};
use yuragi_diffusion::{Coordinate, Kind, Ladder, Point, Sampler, Sde};

const MEAN: f64 = 0.7;
const VARIANCE: f64 = 0.3;

/// The largest error over a few starting values.
fn error(kind: Kind, ladder: &Ladder) -> f64 {
    let data = Mixture::gaussian(MEAN, VARIANCE);
    let (first, last) = (ladder.points()[0], *ladder.points().last().unwrap());
    let spread = |p: Point| (p.alpha * p.alpha * VARIANCE + p.sigma * p.sigma).sqrt();
    let start: Vec<f64> = (-4..=4).map(|k| first.alpha * MEAN + 0.5 * f64::from(k) * spread(first)).collect();
    let mut state: Vec<f32> = start.iter().map(|x| *x as f32).collect();
    let mut sampler = Sampler::new(kind, ladder, state.len()).unwrap();
    run(&mut sampler, &mut state, &mut [0, 0], |at, x| data.denoise_all(at, x));
    let exact = |x: f64| last.alpha * MEAN + (x - first.alpha * MEAN) * spread(last) / spread(first);
    state.iter().zip(start).map(|(x, start)| (f64::from(*x) - exact(start)).abs()).fold(0.0, f64::max)
}

/// A path of noise levels over s from 0 to 1.
type Path = (&'static str, fn(f64) -> Point, Coordinate);

fn preserving(s: f64) -> Point {
    Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }.point(1.0 - 0.98 * s)
}

fn sub_preserving(s: f64) -> Point {
    Sde::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 }.point(1.0 - 0.9 * s)
}

fn exploding(s: f64) -> Point {
    Sde::VarianceExploding { sigma_min: 0.05, sigma_max: 20.0 }.point(1.0 - s)
}

fn edm(s: f64) -> Point {
    let root = |sigma: f64| sigma.powf(1.0 / 7.0);
    let sigma = (root(10.0) + s * (root(0.02) - root(10.0))).powi(7);
    Point { time: sigma, alpha: 1.0, sigma }
}

fn flow(s: f64) -> Point {
    let t = 1.0 - 0.95 * s;
    Point { time: t, alpha: 1.0 - t, sigma: t }
}

/// α = 1 and σ in equal steps.
fn even(s: f64) -> Point {
    let sigma = 3.0 - 2.0 * s;
    Point { time: sigma, alpha: 1.0, sigma }
}

/// The same where the data's deviation bends the path.
fn bent(s: f64) -> Point {
    let sigma = 0.5 - 0.1 * s;
    Point { time: sigma, alpha: 1.0, sigma }
}

const PATHS: [Path; 5] = [
    ("preserving", preserving, Coordinate::Sigma),
    ("sub-preserving", sub_preserving, Coordinate::Sigma),
    ("exploding", exploding, Coordinate::Sigma),
    ("edm", edm, Coordinate::Sigma),
    ("flow", flow, Coordinate::Flow),
];

fn ladder((_, point, coordinate): Path, places: impl Iterator<Item = f64>) -> Ladder {
    // Times at which SA-Solver adds no noise; nothing else reads them.
    let timed = |s| Point { time: 900.0 + point(s).time, ..point(s) };
    Ladder::new(places.map(timed), coordinate).unwrap()
}

fn uniform(n: usize) -> impl Iterator<Item = f64> {
    (0..=n).map(move |i| i as f64 / n as f64)
}

/// Equal steps of which the first and last are halved again and again, so that
/// what a sampler does there at a lower order is not seen.
fn graded(n: usize) -> impl Iterator<Item = f64> {
    const TIMES: i32 = 9;
    let h = 1.0 / n as f64;
    let halves = move |k: i32| h * 0.5f64.powi(k);
    let rise = [0.0].into_iter().chain((0..=TIMES).rev().map(halves));
    rise.chain((2..n - 1).map(move |i| i as f64 * h)).chain((0..=TIMES).map(move |k| 1.0 - halves(k))).chain([1.0])
}

/// The slopes of log error against log steps.
fn orders(errors: [f64; 3], steps: [usize; 3]) -> [f64; 2] {
    let slope = |i: usize| (errors[i] / errors[i + 1]).ln() / (steps[i + 1] as f64 / steps[i] as f64).ln();
    [slope(0), slope(1)]
}

/// Measures on every path; the median of the orders must be the theory's. (On
/// one path, parts of the error may cancel.)
fn check<I: Iterator<Item = f64>>(kind: Kind, order: f64, steps: [usize; 3], paths: &[Path], mesh: fn(usize) -> I) {
    let mut all = Vec::new();
    for path in paths {
        let errors = steps.map(|n| error(kind, &ladder(*path, mesh(n))));
        let found = orders(errors, steps);
        let [a, b, c] = errors;
        println!("{kind} on {}: order {found:.2?}, in theory {order}; errors {a:.1e} {b:.1e} {c:.1e}", path.0);
        all.extend(found);
    }
    all.sort_by(f64::total_cmp);
    let median = 0.5 * (all[(all.len() - 1) / 2] + all[all.len() / 2]);
    println!("{kind}: order {median:.2}, in theory {order}");
    assert!((median - order).abs() < 0.35, "{kind}: order {median}, not {order}");
}

#[test]
fn t29_euler_and_heun_converge_at_their_orders() {
    check(Kind::Euler, 1.0, [64, 128, 256], &PATHS, uniform);
    check(Kind::Heun, 2.0, [16, 32, 64], &PATHS, uniform);
}

/// The samplers that remember nothing, and so have no start.
#[test]
fn t30_one_step_samplers_converge_at_their_orders() {
    check(Kind::Ddim { eta: 0.0 }, 1.0, [64, 128, 256], &PATHS, uniform);
    check(Kind::Tcd { gamma: 0.0 }, 1.0, [64, 128, 256], &PATHS, uniform);
    check(Kind::Dpm2, 2.0, [16, 32, 64], &PATHS, uniform);
    check(Kind::DpmPlusPlus2S, 2.0, [64, 128, 256], &PATHS, graded);
    check(Kind::DpmPlusPlus3S, 3.0, [24, 48, 72], &PATHS, uniform);
}

/// The samplers that remember, apart from their start and end.
#[test]
fn t30_multistep_samplers_converge_at_their_orders() {
    for kind in [Kind::Dpm2M, Kind::DpmPlusPlus2M, Kind::Deis, Kind::SaSolver] {
        check(kind, 2.0, [64, 128, 256], &PATHS, graded);
    }
    // The third-order formula in use counts the second difference once, where the third order needs it twice.
    for kind in [Kind::Dpm3M, Kind::DpmPlusPlus3M] {
        check(kind, 2.0, [48, 96, 192], &PATHS, graded);
    }
    check(Kind::UniPc, 3.0, [64, 96, 144], &PATHS, graded);
    check(Kind::Lms, 4.0, [32, 48, 72], &PATHS, graded);
}

/// Adams and Bashforth's weights are those of equal steps of σ/α, or of t in
/// flow matching; begun with Runge and Kutta's steps the fourth order is there
/// from the beginning, else the third.
#[test]
fn t30_pndm_converges_at_its_order_over_equal_steps() {
    let paths = [("even", even as fn(f64) -> Point, Coordinate::Sigma)];
    check(Kind::Pndm, 4.0, [24, 32, 40], &paths, uniform);
    check(Kind::Plms, 3.0, [24, 40, 64], &paths, uniform);
    // Without a start of its own, its first step is Euler's: the more so where the path bends at once.
    let paths = [("bent", bent as fn(f64) -> Point, Coordinate::Sigma)];
    check(Kind::Ipndm, 2.0, [8, 16, 32], &paths, uniform);
}

/// A sampler of higher order beats Euler's at the same number of evaluations.
#[test]
fn t30_higher_order_pays_off() {
    for path in PATHS {
        let euler = error(Kind::Euler, &ladder(path, uniform(40)));
        for kind in [Kind::Heun, Kind::Dpm2] {
            assert!(error(kind, &ladder(path, uniform(20))) < euler / 2.0, "{kind} on {}", path.0);
        }
        let kinds = [
            Kind::DpmPlusPlus2M,
            Kind::DpmPlusPlus3M,
            Kind::Dpm2M,
            Kind::DpmPlusPlus2S,
            Kind::Deis,
            Kind::UniPc,
            Kind::SaSolver,
        ];
        for kind in kinds {
            assert!(error(kind, &ladder(path, uniform(40))) < euler / 2.0, "{kind} on {}", path.0);
        }
    }
}
