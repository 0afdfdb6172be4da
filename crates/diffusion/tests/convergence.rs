//! T29, T30: the order at which deterministic samplers converge to the
//! probability-flow ODE of Gaussian data, whose solution is known.

mod common;

use common::{Mixture, run, without_end};
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

/// The slopes of log error against log steps.
fn orders(kind: Kind, ladder: impl Fn(usize) -> Ladder, steps: [usize; 3]) -> [f64; 2] {
    let [a, b, c] = steps.map(|n| error(kind, &ladder(n)));
    let slope = |coarse: f64, fine: f64, n: usize, m: usize| (coarse / fine).ln() / (m as f64 / n as f64).ln();
    [slope(a, b, steps[0], steps[1]), slope(b, c, steps[1], steps[2])]
}

fn preserving(steps: usize) -> Ladder {
    Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }.ladder(steps, 0.02).unwrap()
}

fn exploding(steps: usize) -> Ladder {
    Sde::VarianceExploding { sigma_min: 0.05, sigma_max: 20.0 }.ladder(steps, 0.0).unwrap()
}

fn edm(steps: usize) -> Ladder {
    without_end(&Ladder::karras(steps + 1, 0.02, 10.0, 7.0).unwrap())
}

fn flow(steps: usize) -> Ladder {
    let points = (0..=steps).map(|i| {
        let t = 1.0 - 0.95 * i as f64 / steps as f64;
        Point { time: t, alpha: 1.0 - t, sigma: t }
    });
    Ladder::new(points, Coordinate::Flow).unwrap()
}

type Family = (&'static str, fn(usize) -> Ladder);
const LADDERS: [Family; 4] = [("preserving", preserving), ("exploding", exploding), ("edm", edm), ("flow", flow)];

fn check(kind: Kind, steps: [usize; 3], low: f64, high: f64) {
    for (name, ladder) in LADDERS {
        let orders = orders(kind, ladder, steps);
        assert!(orders.iter().all(|p| (low..high).contains(p)), "{kind} on {name}: orders {orders:?}");
    }
}

#[test]
fn t29_euler_converges_at_first_order() {
    check(Kind::Euler, [64, 128, 256], 0.9, 1.15);
}

#[test]
fn t30_ddim_converges_at_first_order() {
    check(Kind::Ddim { eta: 0.0 }, [64, 128, 256], 0.9, 1.15);
}

#[test]
fn t29_heun_converges_at_second_order() {
    check(Kind::Heun, [16, 32, 64], 1.8, 2.4);
}

#[test]
fn t30_dpm_plus_plus_2m_converges_at_second_order() {
    check(Kind::DpmPlusPlus2M, [32, 64, 128], 1.8, 2.4);
}

/// A second-order sampler beats Euler's at the same number of evaluations.
#[test]
fn t30_second_order_pays_off() {
    for (name, ladder) in LADDERS {
        let euler = error(Kind::Euler, &ladder(40));
        let heun = error(Kind::Heun, &ladder(20));
        let multistep = error(Kind::DpmPlusPlus2M, &ladder(40));
        assert!(heun < euler / 2.0 && multistep < euler / 2.0, "{name}: {euler} {heun} {multistep}");
    }
}
