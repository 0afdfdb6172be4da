//! T31: guidance on a mixture whose guided ODE can be integrated otherwise.

mod common;

use common::{Mixture, run};
use yuragi_diffusion::guidance::{Interval, classifier, classifier_free, classifier_free_rescaled};
use yuragi_diffusion::{Kind, Ladder, Point, Prediction, Sampler, Sde};

const WEIGHT: f64 = 3.0;
const STARTS: usize = 401;

/// All data; those of the class, in two components of which one overlaps the
/// rest.
fn mixtures() -> (Mixture, Mixture) {
    let class = vec![(0.5, -1.2, 0.05), (0.5, 0.6, 0.08)];
    let mut all: Vec<_> = class.iter().map(|&(w, mean, variance)| (0.5 * w, mean, variance)).collect();
    all.push((0.5, 1.0, 0.1));
    (Mixture(all), Mixture(class))
}

fn guided(at: Point, x: f64) -> f64 {
    let (all, class) = mixtures();
    let unconditional = all.denoise(at, x);
    unconditional + WEIGHT * (class.denoise(at, x) - unconditional)
}

fn guided_all(at: Point, x: &[f32]) -> Vec<f32> {
    let (all, class) = mixtures();
    let mut sample = class.denoise_all(at, x);
    classifier_free(&all.denoise_all(at, x), &mut sample, WEIGHT as f32).unwrap();
    sample
}

const FROM: f64 = 10.0;
const TO: f64 = 0.01;

/// Quantiles of the noise at the start.
fn starts() -> Vec<f64> {
    (0..STARTS)
        .map(|i| {
            let p = (i as f64 + 0.5) / STARTS as f64;
            // Φ⁻¹ by bisection
            let (mut low, mut high) = (-8.0, 8.0);
            for _ in 0..60 {
                let middle: f64 = 0.5 * (low + high);
                let below = 0.5 * libm::erfc(-middle / 2f64.sqrt()) < p;
                if below { low = middle } else { high = middle }
            }
            FROM * low
        })
        .collect()
}

/// The guided probability-flow ODE dx/d(ln σ) = x − D, by the classical
/// Runge–Kutta method.
fn integrate(mut x: f64) -> f64 {
    const STEPS: usize = 800;
    let h = (TO / FROM).ln() / STEPS as f64;
    let slope = |u: f64, x: f64| {
        let sigma = u.exp();
        x - guided(Point { time: sigma, alpha: 1.0, sigma }, x)
    };
    for i in 0..STEPS {
        let u = FROM.ln() + h * i as f64;
        let a = slope(u, x);
        let b = slope(u + 0.5 * h, x + 0.5 * h * a);
        let c = slope(u + 0.5 * h, x + 0.5 * h * b);
        let d = slope(u + h, x + h * c);
        x += h / 6.0 * (a + 2.0 * b + 2.0 * c + d);
    }
    x
}

fn sampled(kind: Kind, ladder: &Ladder) -> Vec<f64> {
    let scale = ladder.points()[0].alpha;
    let mut state: Vec<f32> = starts().iter().map(|x| (x * scale) as f32).collect();
    let mut sampler = Sampler::new(kind, ladder, state.len()).unwrap();
    run(&mut sampler, &mut state, &mut [0, 0], guided_all);
    let end = ladder.points().last().unwrap().alpha;
    state.into_iter().map(|x| f64::from(x) / end).collect()
}

/// The share that ended left of the middle between the class's components.
fn left(values: &[f64]) -> f64 {
    values.iter().filter(|x| **x < -0.3).count() as f64 / values.len() as f64
}

/// The ladders from σ/α = FROM to TO, exploding and preserving.
fn ladders(steps: usize) -> [Ladder; 2] {
    let sde = Sde::VarianceExploding { sigma_min: TO, sigma_max: FROM };
    let exploding = sde.ladder(steps, 0.0).unwrap();
    let preserving = exploding.points().iter().map(|p| {
        let alpha = 1.0 / (1.0 + p.sigma * p.sigma).sqrt();
        Point { time: p.time, alpha, sigma: p.sigma * alpha }
    });
    let preserving = Ladder::new(preserving, exploding.coordinate()).unwrap();
    [exploding, preserving]
}

#[test]
fn t31_guided_samplers_follow_the_guided_ode() {
    let exact: Vec<f64> = starts().into_iter().map(integrate).collect();
    let share = left(&exact);
    assert!((0.2..0.95).contains(&share), "a test that can fail: {share}");
    for (kind, steps, tolerance) in [
        (Kind::Euler, 1000, 0.02),
        (Kind::Heun, 200, 0.005),
        (Kind::Dpm2, 200, 0.005),
        (Kind::DpmPlusPlus2M, 200, 0.005),
        (Kind::DpmPlusPlus3S, 210, 0.005),
        (Kind::Deis, 200, 0.005),
        (Kind::UniPc, 200, 0.005),
    ] {
        for ladder in ladders(steps) {
            let values = sampled(kind, &ladder);
            // One start of all may lie on the other side of the separatrix.
            assert!((left(&values) - share).abs() <= 1.0 / STARTS as f64 + 1e-12, "{kind}: {} {share}", left(&values));
            let far = values.iter().zip(&exact).filter(|(a, b)| (*a - *b).abs() > tolerance).count();
            assert!(far <= 2, "{kind}: {far} of {STARTS}");
        }
    }
}

/// The guided ODE does not sample p(x)·p(c|x)^w: its frequencies differ.
#[test]
fn t31_guidance_does_not_sample_the_tilted_density() {
    let (all, class) = mixtures();
    let density = |mixture: &Mixture, x: f64| -> f64 {
        mixture.0.iter().map(|(w, m, v)| w / v.sqrt() * (-(x - m) * (x - m) / (2.0 * v)).exp()).sum()
    };
    let grid = |i: i32| -4.0 + f64::from(i) * 1e-3;
    let tilted = |x: f64| density(&all, x) * (density(&class, x) / density(&all, x)).powf(WEIGHT);
    let total: f64 = (0..8000).map(|i| tilted(grid(i))).sum();
    let tilted_left = (0..3700).map(|i| tilted(grid(i))).sum::<f64>() / total;
    let exact: Vec<f64> = starts().into_iter().map(integrate).collect();
    assert!((left(&exact) - tilted_left).abs() > 0.02, "{} {tilted_left}", left(&exact));
}

/// Guiding x₀, ε or v is the same.
#[test]
fn t31_guidance_commutes_with_conversion() {
    let point = Point { time: 0.0, alpha: 0.8, sigma: 0.6 };
    let (x, u, c) = ([0.3f32, -0.7], [0.1f32, 0.2], [0.4f32, -0.2]);
    let mut direct = c;
    classifier_free(&u, &mut direct, 7.5).unwrap();
    for kind in [Prediction::Epsilon, Prediction::Velocity, Prediction::Flow, Prediction::Score] {
        let (mut u, mut c) = (u, c);
        Prediction::Sample.convert(kind, point, &x, &mut u).unwrap();
        Prediction::Sample.convert(kind, point, &x, &mut c).unwrap();
        classifier_free(&u, &mut c, 7.5).unwrap();
        kind.convert(Prediction::Sample, point, &x, &mut c).unwrap();
        for (a, b) in c.iter().zip(&direct) {
            assert!((a - b).abs() < 1e-5, "{kind}");
        }
    }
}

/// ∇ ln p(c|x) = ∇ ln p(x|c) − ∇ ln p(x), so classifier guidance of the
/// unconditional estimate by weight w is classifier-free guidance by w.
#[test]
fn t31_classifier_guidance_agrees_with_classifier_free() {
    let (all, class) = mixtures();
    let point = Point { time: 0.0, alpha: 0.8, sigma: 0.6 };
    for x in [-1.0f32, 0.1, 0.9] {
        let (mut u, mut c) = (all.denoise_all(point, &[x]), class.denoise_all(point, &[x]));
        let score = |x0: f32| -(x - 0.8 * x0) / 0.36;
        let gradient = [score(c[0]) - score(u[0])];
        let unconditional = u.clone();
        classifier(point, &gradient, &mut u, 3.0).unwrap();
        classifier_free(&unconditional, &mut c, 3.0).unwrap();
        assert!((u[0] - c[0]).abs() < 1e-4, "{} {}", u[0], c[0]);
    }
    let noise = Point { time: 0.0, alpha: 0.0, sigma: 1.0 };
    assert!(classifier(noise, &[0.0], &mut [0.0], 1.0).is_err());
}

#[test]
fn t31_rescaling_restores_the_deviation() {
    let unconditional = [0.1f32, -0.2, 0.3, 0.05];
    let conditional = [0.5f32, -0.6, 0.2, 0.4];
    let deviation = |v: &[f32]| {
        let mean = v.iter().sum::<f32>() / 4.0;
        (v.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 4.0).sqrt()
    };
    let mut plain = conditional;
    classifier_free(&unconditional, &mut plain, 5.0).unwrap();
    let (mut none, mut all) = (conditional, conditional);
    classifier_free_rescaled(&unconditional, &mut none, 5.0, 0.0).unwrap();
    classifier_free_rescaled(&unconditional, &mut all, 5.0, 1.0).unwrap();
    assert_eq!(none, plain);
    assert!((deviation(&all) / deviation(&conditional) - 1.0).abs() < 1e-5);
    assert!((all[0] / plain[0] - all[1] / plain[1]).abs() < 1e-5);
    let mut constant = [0.0f32; 4];
    classifier_free_rescaled(&[0.0; 4], &mut constant, 5.0, 1.0).unwrap();
    assert_eq!(constant, [0.0; 4]);
    assert!(classifier_free(&[0.0; 3], &mut constant, 1.0).is_err());
}

#[test]
fn t31_weight_one_is_the_condition_and_zero_is_none() {
    let (u, c) = ([0.25f32, -0.5], [1.0f32, 0.75]);
    for (weight, expected) in [(1.0, c), (0.0, u)] {
        let mut out = c;
        classifier_free(&u, &mut out, weight).unwrap();
        assert_eq!(out, expected);
    }
}

#[test]
fn t31_an_interval_is_of_shares_of_noise() {
    let interval = Interval::new(0.25, 0.75).unwrap();
    let at = |alpha: f64, sigma: f64| interval.contains(Point { time: 0.0, alpha, sigma });
    // In flow matching the share is t; at σ = α it is a half on any path.
    assert!(at(0.75, 0.25) && at(0.25, 0.75) && at(1.0, 1.0) && at(0.5f64.sqrt(), 0.5f64.sqrt()));
    assert!(!at(0.76, 0.24) && !at(0.24, 0.76) && !at(1.0, 0.0) && !at(0.0, 1.0));
    assert_eq!(interval.to_string().parse(), Ok(interval));
    let all = Interval::default();
    assert!(all.contains(Point { time: 0.0, alpha: 0.0, sigma: 1.0 }));
    assert_eq!(
        "0.5:0.2".parse::<Interval>().unwrap_err().to_string(),
        "the interval's end is 0.2; it must be from its beginning to 1"
    );
    for wrong in ["", "0.5", "a:b", "0:2", "-1:1", "NaN:1", "0:NaN"] {
        assert!(wrong.parse::<Interval>().is_err(), "{wrong}");
    }
}
