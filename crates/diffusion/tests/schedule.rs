//! T28: schedules and ladders. T29: the continuous processes.

mod common;

use common::moments;
use yuragi_diffusion::sde::langevin;
use yuragi_diffusion::{Coordinate, Discrete, Error, Ladder, Point, Sde, Spacing};

fn schedules() -> [Discrete; 3] {
    [
        Discrete::linear(1000, 1e-4, 0.02).unwrap(),
        Discrete::scaled_linear(1000, 0.00085, 0.012).unwrap(),
        Discrete::cosine(1000).unwrap(),
    ]
}

const SPACINGS: [Spacing; 5] = [
    Spacing::Trailing,
    Spacing::Leading { offset: 0 },
    Spacing::Leading { offset: 1 },
    Spacing::Linspace,
    Spacing::Karras { rho: 7.0 },
];

const LINEAR_LAST: f64 = 4.0358297653756835e-05;
const SCALED_LAST: f64 = 0.00466009851307724;
const SCALED_MIDDLE: f64 = 0.2776696504564678;
const COSINE_MIDDLE: f64 = 0.4938435904406377;

#[test]
fn t28_schedules_preserve_variance_and_lose_signal() {
    for schedule in schedules() {
        assert!(schedule.alpha_bars().windows(2).all(|pair| pair[1] < pair[0]));
        for t in 0..1000 {
            let point = schedule.point(t).unwrap();
            assert!((point.alpha * point.alpha + point.sigma * point.sigma - 1.0).abs() < 1e-14);
            assert_eq!(point.time, t as f64);
        }
        assert_eq!(schedule.point(1000), None);
    }
}

/// Values of the published schedules: Ho et al.'s and Stable Diffusion's last
/// ᾱ, computed with 50 digits from their definitions.
#[test]
fn t28_schedules_have_the_published_values() {
    let [linear, scaled, cosine] = schedules();
    assert_eq!((linear.betas()[0], linear.betas()[999]), (1e-4, 0.02));
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-10, "{a} is not {b}");
    near(linear.alpha_bars()[999], LINEAR_LAST);
    near(scaled.alpha_bars()[999], SCALED_LAST);
    near(scaled.alpha_bars()[499], SCALED_MIDDLE);
    near(cosine.alpha_bars()[499], COSINE_MIDDLE);
    assert_eq!(cosine.betas()[999], 0.999);
}

#[test]
fn t28_every_ladder_descends_to_the_data() {
    for schedule in schedules() {
        for spacing in SPACINGS {
            for steps in [1, 2, 7, 20, 50, 333, 999] {
                let ladder = schedule.ladder(steps, spacing).unwrap();
                assert_eq!(ladder.steps(), steps, "{spacing:?}");
                let end = ladder.points()[steps];
                assert_eq!((end.alpha, end.sigma), (1.0, 0.0));
                for pair in ladder.points()[..steps].windows(2) {
                    assert!(pair[1].time < pair[0].time && pair[1].lambda() > pair[0].lambda());
                }
            }
        }
    }
}

#[test]
fn t28_spacings_visit_the_published_timesteps() {
    let schedule = &schedules()[1];
    let times = |steps, spacing| -> Vec<f64> {
        let ladder = schedule.ladder(steps, spacing).unwrap();
        ladder.points()[..steps].iter().map(|point| point.time).collect()
    };
    assert_eq!(times(5, Spacing::Trailing), [999.0, 799.0, 599.0, 399.0, 199.0]);
    assert_eq!(times(5, Spacing::Leading { offset: 1 }), [801.0, 601.0, 401.0, 201.0, 1.0]);
    assert_eq!(times(5, Spacing::Linspace), [999.0, 749.0, 500.0, 250.0, 0.0]);
    let all: Vec<f64> = (0..1000).rev().map(f64::from).collect();
    for spacing in [Spacing::Trailing, Spacing::Leading { offset: 0 }, Spacing::Linspace] {
        assert_eq!(times(1000, spacing), all);
    }
    let karras = times(6, Spacing::Karras { rho: 7.0 });
    assert_eq!((karras[0], karras[5]), (999.0, 0.0));
}

/// A fractional timestep's σ/α lies between those of its neighbours.
#[test]
fn t28_karras_timesteps_fit_their_noise() {
    let schedule = &schedules()[1];
    let ladder = schedule.ladder(25, Spacing::Karras { rho: 7.0 }).unwrap();
    for point in &ladder.points()[1..24] {
        let below = schedule.point(point.time.floor() as usize).unwrap();
        let above = schedule.point(point.time.ceil() as usize).unwrap();
        let share = point.time.fract();
        let expected = (1.0 - share) * below.lambda() + share * above.lambda();
        assert!((point.lambda() - expected).abs() < 1e-9, "{point:?}");
    }
    let ratios: Vec<f64> = ladder.points()[..25].iter().map(|p| (p.sigma / p.alpha).powf(1.0 / 7.0)).collect();
    let step = ratios[1] - ratios[0];
    assert!(ratios.windows(2).all(|pair| (pair[1] - pair[0] - step).abs() < 1e-9));
}

#[test]
fn t28_karras_and_flow_are_their_formulas() {
    let ladder = Ladder::karras(18, 0.002, 80.0, 7.0).unwrap();
    for (i, point) in ladder.points()[..18].iter().enumerate() {
        let (max, min) = (80f64.powf(1.0 / 7.0), 0.002f64.powf(1.0 / 7.0));
        let sigma = (max + i as f64 / 17.0 * (min - max)).powi(7);
        assert!((point.sigma / sigma - 1.0).abs() < 1e-11 && point.alpha == 1.0 && point.time == point.sigma);
    }
    let plain = Ladder::flow(10, 1.0).unwrap();
    let shifted = Ladder::flow(10, 3.0).unwrap();
    assert_eq!(plain.coordinate(), Coordinate::Flow);
    for (a, b) in plain.points().iter().zip(shifted.points()) {
        assert!((a.alpha + a.sigma - 1.0).abs() < 1e-15 && (b.alpha + b.sigma - 1.0).abs() < 1e-15);
        // The shift multiplies σ/α.
        assert!((b.sigma * a.alpha - 3.0 * a.sigma * b.alpha).abs() < 1e-15);
    }
    assert_eq!((plain.points()[0].alpha, plain.points()[10].sigma), (0.0, 0.0));
}

/// Kingma et al. 2021: with endless steps the bound depends on the schedule
/// only through its ends.
#[test]
fn t28_bound_is_invariant_to_the_path() {
    let variance = 0.5;
    let loss = |warp: fn(f64) -> f64, steps: usize| {
        let point = |i: usize| {
            let lambda = -4.0 + 9.0 * warp(i as f64 / steps as f64);
            let alpha = (1.0 / (1.0 + (-2.0 * lambda).exp())).sqrt();
            Point { time: 0.0, alpha, sigma: alpha * (-lambda).exp() }
        };
        (0..steps)
            .map(|i| {
                let (t, s) = (point(i), point(i + 1));
                // E‖x − E[x | z_t]‖² of Gaussian data
                let error = variance / (1.0 + t.snr() * variance);
                0.5 * (s.snr() - t.snr()) * error
            })
            .sum::<f64>()
    };
    let warps: [fn(f64) -> f64; 3] = [|u| u, |u| u * u, |u| (1.0 - (u * std::f64::consts::PI).cos()) / 2.0];
    let fine = warps.map(|warp| loss(warp, 200_000));
    // ½∫ dSNR/(1/v + SNR)
    let snr = |lambda: f64| (2.0 * lambda).exp();
    let exact = 0.5 * ((1.0 + variance * snr(5.0)) / (1.0 + variance * snr(-4.0))).ln();
    for value in fine {
        assert!((value / exact - 1.0).abs() < 2e-4, "{fine:?} for {exact}");
    }
    let coarse = warps.map(|warp| loss(warp, 10));
    assert!((coarse[0] / coarse[1] - 1.0).abs() > 0.05, "{coarse:?}");
}

#[test]
fn t28_illegal_arguments_are_errors() {
    let range = |result: Result<Ladder, Error>| assert!(matches!(result, Err(Error::Range { .. })), "{result:?}");
    let schedule = Discrete::cosine(10).unwrap();
    for spacing in SPACINGS {
        range(schedule.ladder(0, spacing));
        range(schedule.ladder(11, spacing));
    }
    range(schedule.ladder(10, Spacing::Leading { offset: 1 }));
    range(schedule.ladder(1, Spacing::Leading { offset: usize::MAX }));
    for rho in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        range(schedule.ladder(5, Spacing::Karras { rho }));
    }
    range(Ladder::karras(0, 0.1, 1.0, 7.0));
    range(Ladder::karras(4, 1.0, 1.0, 7.0));
    range(Ladder::karras(4, 0.0, 1.0, 7.0));
    range(Ladder::karras(4, 0.1, f64::NAN, 7.0));
    for shift in [0.0, -2.0, f64::NAN, f64::INFINITY] {
        range(Ladder::flow(4, shift));
    }
    range(Ladder::flow(0, 1.0));
    let point = |alpha, sigma| Point { time: 0.0, alpha, sigma };
    range(Ladder::new([point(1.0, 1.0)], Coordinate::Sigma));
    range(Ladder::new([point(1.0, 0.0), point(1.0, 0.0)], Coordinate::Sigma));
    range(Ladder::new([point(1.0, 1.0), point(1.0, 2.0)], Coordinate::Sigma));
    range(Ladder::new([point(0.0, 1.0), point(0.0, 0.5)], Coordinate::Sigma));
    range(Ladder::new([point(f64::NAN, 1.0), point(1.0, 0.5)], Coordinate::Sigma));
    range(schedule.ladder(4, Spacing::Trailing).unwrap().tail(5));
    range(schedule.ladder(4, Spacing::Trailing).unwrap().tail(0));
    for betas in [vec![], vec![0.0], vec![1.0], vec![0.1, f64::NAN]] {
        assert!(Discrete::from_betas(betas).is_err());
    }
    assert!(Discrete::scaled_linear(10, -0.1, 0.5).is_err());
    assert!(Discrete::linear(0, 0.1, 0.5).is_err() && Discrete::cosine(0).is_err());
}

#[test]
fn t28_a_tail_is_the_end_of_its_ladder() {
    let ladder = Ladder::flow(8, 1.0).unwrap();
    assert_eq!(ladder.tail(3).unwrap().points(), &ladder.points()[5..]);
    assert_eq!(ladder.tail(8).unwrap(), ladder);
}

const SDES: [Sde; 2] = [
    Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    Sde::VarianceExploding { sigma_min: 0.01, sigma_max: 50.0 },
];

/// α′ = f·α and (σ²)′ = 2f·σ² + g².
#[test]
fn t29_marginals_solve_the_moment_equations() {
    for sde in SDES {
        for i in 1..20 {
            let (t, h) = (f64::from(i) / 20.0, 1e-5);
            let (a, b, c) = (sde.point(t - h), sde.point(t), sde.point(t + h));
            let slope = (c.alpha - a.alpha) / (2.0 * h);
            assert!((slope - sde.drift(t) * b.alpha).abs() < 1e-6, "{sde:?} {t}");
            let slope = (c.sigma.powi(2) - a.sigma.powi(2)) / (2.0 * h);
            let exact = 2.0 * sde.drift(t) * b.sigma.powi(2) + sde.diffusion(t);
            assert!((slope - exact).abs() < 1e-6 * exact.abs().max(1.0), "{sde:?} {t}");
        }
    }
}

/// The reverse SDE and the probability-flow ODE carry the variance of
/// Gaussian data back along the forward marginals.
#[test]
fn t29_reverse_processes_keep_the_marginals() {
    let data = 0.3;
    for sde in SDES {
        let marginal = |t: f64| sde.point(t).alpha.powi(2) * data + sde.point(t).sigma.powi(2);
        for lambda in [0.0, 0.5, 1.0] {
            const STEPS: u32 = 400_000;
            let h = 1.0 / f64::from(STEPS);
            let mut variance = marginal(1.0);
            for i in (0..STEPS).rev() {
                let t = (f64::from(i) + 0.5) * h;
                let a = sde.reverse_drift(t, 1.0, -1.0 / marginal(t), lambda);
                let fresh = lambda * lambda * sde.diffusion(t);
                let middle = variance + 0.5 * h * (fresh - 2.0 * a * variance);
                variance += h * (fresh - 2.0 * a * middle);
            }
            assert!((variance / marginal(0.0) - 1.0).abs() < 1e-5, "{sde:?} {lambda}: {variance}");
        }
    }
}

#[test]
fn t29_langevin_reaches_its_stationary_variance() {
    const N: usize = 1 << 15;
    let (target, step) = (0.5, 0.1);
    let mut x = vec![0.0f32; N];
    for stream in 0..100 {
        let score: Vec<f32> = x.iter().map(|x| -(x - 1.0) / target as f32).collect();
        langevin(&mut x, &score, step, stream, &mut [29, 0]).unwrap();
    }
    let (mean, variance) = moments(&x);
    let stationary = target / (1.0 - step / (2.0 * target));
    assert!((mean - 1.0).abs() < 4.5 * (stationary / N as f64).sqrt(), "{mean}");
    assert!((variance / stationary - 1.0).abs() < 4.5 * (2.0 / N as f64).sqrt(), "{variance}");
    assert!(langevin(&mut x, &[0.0], step, 0, &mut [0, 0]).is_err());
    assert!(langevin(&mut [0.0], &[0.0], -1.0, 0, &mut [0, 0]).is_err());
}
