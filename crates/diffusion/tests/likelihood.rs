//! T29: likelihoods by the probability-flow ODE against those of mixtures.

mod common;

use common::{Mixture, mixture};
use yuragi_diffusion::likelihood::{Trace, log_likelihood};
use yuragi_diffusion::{Ladder, Point, Sde};

/// ln q(x) of a mixture, at the noise of a point.
fn log_density(data: &Mixture, at: Point, x: f64) -> f64 {
    let density = |&(weight, mean, variance): &(f64, f64, f64)| {
        let total = at.alpha * at.alpha * variance + at.sigma * at.sigma;
        let distance = x - at.alpha * mean;
        weight / (2.0 * std::f64::consts::PI * total).sqrt() * (-0.5 * distance * distance / total).exp()
    };
    data.0.iter().map(density).sum::<f64>().ln()
}

fn ladders() -> [Ladder; 4] {
    [
        Ladder::karras(600, 0.01, 80.0, 7.0).unwrap(),
        Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }.ladder(2000, 0.003).unwrap(),
        Sde::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 }.ladder(2000, 0.05).unwrap(),
        Ladder::flow(800, 1.0).unwrap(),
    ]
}

/// In one dimension with the exact derivative, on every kind of process.
#[test]
fn t29_probability_flow_likelihood_is_the_mixtures() {
    let data = mixture();
    for (i, ladder) in ladders().iter().enumerate() {
        let least = *ladder.points().iter().rev().find(|p| p.sigma > 0.0).unwrap();
        for start in [-1.3f32, -0.9, 0.1, 0.5, 1.45] {
            let mut x = [start];
            let found = log_likelihood(ladder, &mut x, &mut [0.0; 3], |at, x, x0| {
                let (x, h) = (f64::from(x[0]), 1e-4 * (at.sigma + at.alpha));
                x0[0] = data.denoise(at, x) as f32;
                (data.denoise(at, x + h) - data.denoise(at, x - h)) / (2.0 * h)
            })
            .unwrap();
            let exact = log_density(&data, least, least.alpha * f64::from(start)) + least.alpha.ln();
            assert!((found - exact).abs() < 4e-3, "ladder {i}, x {start}: {found}, not {exact}");
            assert!(x[0].abs() < 6.0 * ladder.start() as f32, "the noise of {start} is {}", x[0]);
        }
    }
}

/// Over independent values it adds up, by differences value by value and by
/// Hutchinson's estimate.
#[test]
fn t29_traces_are_exact_and_estimated() {
    const N: usize = 6;
    let data = mixture();
    let start: Vec<f32> = (0..N).map(|i| -1.2 + 0.5 * i as f32).collect();
    let ladder = Ladder::karras(150, 0.02, 80.0, 7.0).unwrap();
    let least = ladder.points()[149];
    let exact: f64 = start.iter().map(|x| log_density(&data, least, f64::from(*x))).sum();
    let run = |trace: Trace, seed: u32| {
        let (mut x, mut space, mut call) = (start.clone(), vec![0.0; 4 * N], 0);
        log_likelihood(&ladder, &mut x, &mut [0.0; 3 * N], |at, x, x0| {
            x0.copy_from_slice(&data.denoise_all(at, x));
            call += 1;
            let denoise = |x: &[f32], out: &mut [f32]| out.copy_from_slice(&data.denoise_all(at, x));
            trace.of(x, 0.01 * at.sigma as f32, &mut space, (&mut [seed, 0], call), denoise).unwrap()
        })
        .unwrap()
    };
    let found = run(Trace::Exact, 0);
    assert!((found - exact).abs() < 0.02, "{found}, not {exact}");
    // The derivative is diagonal: for signs, v·Jv is its trace, whatever they are.
    let estimated = run(Trace::Hutchinson { probes: 1 }, 1);
    assert!((estimated - exact).abs() < 0.02, "{estimated}, not {exact}");
}

/// Of a matrix that is not diagonal, the estimate is unbiased, with the
/// variance 2·(‖A‖² − ‖diag A‖²) of symmetric matrices.
#[test]
fn t29_hutchinsons_estimate_is_unbiased() {
    let rows = [[1.0f32, 0.5, -0.3], [0.5, -2.0, 0.8], [-0.3, 0.8, 0.5]];
    let apply = |x: &[f32], out: &mut [f32]| {
        for (out, row) in out.iter_mut().zip(rows) {
            *out = row.iter().zip(x).map(|(a, x)| a * x).sum();
        }
    };
    let x = [0.2, -0.1, 0.7];
    let mut space = [0.0; 12];
    let exact = Trace::Exact.of(&x, 0.1, &mut space, (&mut [0, 0], 0), apply).unwrap();
    assert!((exact + 0.5).abs() < 1e-5, "{exact}");
    const PROBES: usize = 20_000;
    let estimate = Trace::Hutchinson { probes: PROBES }.of(&x, 0.1, &mut space, (&mut [9, 0], 3), apply).unwrap();
    let variance = 2.0 * 2.0 * (0.25 + 0.09 + 0.64);
    assert!((estimate + 0.5).abs() < 4.5 * (variance / PROBES as f64).sqrt(), "{estimate}");
    assert!(Trace::Hutchinson { probes: 0 }.of(&x, 0.1, &mut space, (&mut [0, 0], 0), apply).is_err());
    assert!(Trace::Exact.of(&x, 0.0, &mut space, (&mut [0, 0], 0), apply).is_err());
    assert!(Trace::Exact.of(&x, 0.1, &mut space[1..], (&mut [0, 0], 0), apply).is_err());
}

#[test]
fn t29_what_has_no_likelihood_is_an_error() {
    let ladder = Ladder::karras(5, 0.1, 10.0, 7.0).unwrap();
    let broken = log_likelihood(&ladder, &mut [0.0], &mut [0.0; 3], |_, _, x0| {
        x0[0] = f32::NAN;
        0.0
    });
    assert_eq!(broken.unwrap_err().to_string(), "the network's output 0 at evaluation 1 of 8 is NaN");
    assert!(log_likelihood(&ladder, &mut [0.0], &mut [0.0; 2], |_, _, _| 0.0).is_err());
    let short = Ladder::karras(1, 0.1, 10.0, 7.0).unwrap();
    assert!(log_likelihood(&short, &mut [0.0], &mut [0.0; 3], |_, _, _| 0.0).is_err());
}
