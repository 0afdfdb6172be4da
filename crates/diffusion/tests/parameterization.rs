//! T27: predictions and their conversions.

use yuragi_diffusion::{Error, Point, Prediction};
use yuragi_numeric::fill::normal;

const ALL: [Prediction; 6] = [
    Prediction::Sample,
    Prediction::Epsilon,
    Prediction::Velocity,
    Prediction::Flow,
    Prediction::Score,
    Prediction::Edm,
];

const POINTS: [Point; 4] = [
    Point { time: 0.0, alpha: 0.8, sigma: 0.6 },
    Point { time: 0.0, alpha: 0.25, sigma: 0.75 },
    Point { time: 0.0, alpha: 1.0, sigma: 3.0 },
    Point { time: 0.0, alpha: 0.995, sigma: 0.1 },
];

fn pair() -> ([f32; 64], [f32; 64]) {
    let (mut x0, mut epsilon) = ([0.0; 64], [0.0; 64]);
    normal([27, 0], 0, 0, &mut x0);
    normal([27, 0], 1, 0, &mut epsilon);
    (x0, epsilon)
}

#[test]
fn t27_every_conversion_gives_the_definition() {
    let (x0, epsilon) = pair();
    for point in POINTS {
        let (a, s) = (point.alpha as f32, point.sigma as f32);
        let x: Vec<f32> = x0.iter().zip(&epsilon).map(|(x0, e)| a * x0 + s * e).collect();
        let define = |kind: Prediction, x0: f32, e: f32| match kind {
            Prediction::Sample => x0,
            Prediction::Epsilon => e,
            Prediction::Velocity => a * e - s * x0,
            Prediction::Flow => e - x0,
            Prediction::Score => -e / s,
            Prediction::Edm => s * x0 - a * e,
        };
        for from in ALL {
            let mut target = [0.0; 64];
            from.target(point, &x0, &epsilon, &mut target).unwrap();
            for to in ALL {
                let mut values = target;
                from.convert(to, point, &x, &mut values).unwrap();
                for i in 0..64 {
                    let exact = define(to, x0[i], epsilon[i]);
                    let (cx, cp) = from.to(to, point).unwrap();
                    let scale = (cx as f32 * x[i]).abs() + (cp as f32 * target[i]).abs() + exact.abs();
                    assert!((values[i] - exact).abs() <= 1e-6 * scale, "{from} to {to}: {} for {exact}", values[i]);
                }
            }
        }
    }
}

#[test]
fn t27_conversions_are_exact_inverses() {
    for point in POINTS {
        for from in ALL {
            for to in ALL {
                let (ax, ap) = from.to(to, point).unwrap();
                let (bx, bp) = to.to(from, point).unwrap();
                assert!((bp * ap - 1.0).abs() < 1e-13, "{from} to {to}");
                assert!((bx + bp * ax).abs() < 1e-12 * (1.0 + bx.abs()), "{from} to {to}");
            }
        }
    }
}

#[test]
fn t27_losses_agree_after_weighting() {
    let (x0, epsilon) = pair();
    for point in POINTS {
        let x: Vec<f64> =
            x0.iter().zip(&epsilon).map(|(x, e)| point.alpha * f64::from(*x) + point.sigma * f64::from(*e)).collect();
        // A wrong answer, the same one in every parameterisation.
        let wrong: Vec<f64> = x0.iter().map(|x| 0.5 * f64::from(*x) + 0.125).collect();
        let losses = ALL.map(|kind| {
            let (cx, cp) = Prediction::Sample.to(kind, point).unwrap();
            let loss: f64 = (0..64)
                .map(|i| {
                    let truth = cx * x[i] + cp * f64::from(x0[i]);
                    let predicted = cx * x[i] + cp * wrong[i];
                    (truth - predicted).powi(2)
                })
                .sum();
            loss * kind.weight(point).unwrap()
        });
        for loss in losses {
            assert!((loss / losses[0] - 1.0).abs() < 1e-12, "{losses:?}");
        }
    }
}

#[test]
fn t27_singular_conversions_are_errors() {
    let noise = Point { time: 1.0, alpha: 0.0, sigma: 1.0 };
    let clean = Point { time: 0.0, alpha: 1.0, sigma: 0.0 };
    let error = Prediction::Epsilon.to(Prediction::Sample, noise).unwrap_err();
    assert_eq!(error, Error::Singular { from: "epsilon", to: "sample", alpha: 0.0, sigma: 1.0 });
    assert_eq!(error.to_string(), "epsilon does not determine sample at alpha 0, sigma 1");
    assert!(Prediction::Score.to(Prediction::Sample, noise).is_err());
    assert!(Prediction::Sample.to(Prediction::Epsilon, clean).is_err());
    // At pure noise v = −x₀ and u = x − x₀ still tell x₀.
    assert_eq!(Prediction::Velocity.to(Prediction::Sample, noise).unwrap(), (0.0, -1.0));
    assert_eq!(Prediction::Flow.to(Prediction::Sample, noise).unwrap(), (1.0, -1.0));
}

#[test]
fn t27_names() {
    for kind in ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "noise".parse::<Prediction>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown prediction \"noise\"; legal are sample, epsilon, velocity, flow, score, edm"
    );
}
