//! T30: samplers against their papers' formulas, their noise and their
//! conduct.

mod common;

use common::{Mixture, mixture, moments, run};
use yuragi_diffusion::sampler::{Batch, Churn, Stochastic};
use yuragi_diffusion::{Choice, Discrete, Error, Kind, Ladder, Noise, Point, Sampler, Spacing};
use yuragi_numeric::fill::normal;

/// Every sampler, those that can be told a number with more than one.
fn kinds() -> impl Iterator<Item = Kind> {
    let churned = ["euler:4", "heun:4:0.1:10:1.01", "dpm2:4:0:5"].map(|name| name.parse().unwrap());
    let more = [Kind::Ddim { eta: 0.5 }, Kind::Tcd { gamma: 0.0 }, Kind::Tcd { gamma: 1.0 }];
    Kind::all().chain(more).chain(churned)
}

fn schedule() -> Discrete {
    Discrete::scaled_linear(1000, 0.00085, 0.012).unwrap()
}

/// One value under `kind`, and what `formula` (a paper's loop in f64, told the
/// points, the denoiser and the noise of each step) makes of the same start.
fn compare(
    kind: Kind,
    ladder: &Ladder,
    tolerance: f64,
    formula: impl Fn(&[Point], &dyn Fn(usize, f64) -> f64, &[f64], f64) -> f64,
) {
    let data = mixture();
    let points = ladder.points();
    let steps: Vec<f64> = (0..ladder.steps()).map(|i| (i as f64 * 1.7).sin()).collect();
    for start in [-1.5, -0.2, 0.4, 2.0] {
        let scale = points[0].alpha.hypot(points[0].sigma);
        let mut state = [(start * scale) as f32];
        let mut noise = |stream: u32, _: usize, out: &mut [f32]| out.fill(steps[stream as usize - 1] as f32);
        let mut sampler = Sampler::new(kind, ladder, 1).unwrap();
        run(&mut sampler, &mut state, &mut noise, |at, x| data.denoise_all(at, x));
        let denoise = |i: usize, x: f64| data.denoise(points[i], x);
        let exact = formula(points, &denoise, &steps, f64::from((start * scale) as f32));
        let error = (f64::from(state[0]) - exact).abs();
        assert!(error < tolerance, "{kind} from {start}: {} for {exact}", state[0]);
    }
}

/// Ho et al. 2020, algorithm 2, with the posterior variance.
#[test]
fn t30_ddpm_is_ancestral_sampling() {
    let schedule = schedule();
    let ladder = schedule.ladder(1000, Spacing::Trailing).unwrap();
    compare(Kind::Ddpm, &ladder, 2e-4, |points, denoise, noise, mut x| {
        for (i, point) in points[..1000].iter().enumerate() {
            let t = 999 - i;
            let (beta, bar) = (schedule.betas()[t], schedule.alpha_bars()[t]);
            let before = if t > 0 { schedule.alpha_bars()[t - 1] } else { 1.0 };
            let epsilon = (x - point.alpha * denoise(i, x)) / point.sigma;
            let mean = (x - beta / (1.0 - bar).sqrt() * epsilon) / (1.0 - beta).sqrt();
            x = mean + (beta * (1.0 - before) / (1.0 - bar)).sqrt() * noise[i];
        }
        x
    });
}

/// Song et al. 2020, equations 12 and 16.
#[test]
fn t30_ddim_is_equation_12() {
    for eta in [0.0, 0.3, 1.0] {
        let ladder = schedule().ladder(25, Spacing::Leading { offset: 1 }).unwrap();
        compare(Kind::Ddim { eta }, &ladder, 1e-5, |points, denoise, noise, mut x| {
            for i in 0..25 {
                let (bar, before) = (points[i].alpha.powi(2), points[i + 1].alpha.powi(2));
                let x0 = denoise(i, x);
                let epsilon = (x - bar.sqrt() * x0) / (1.0 - bar).sqrt();
                let sigma = eta * ((1.0 - before) / (1.0 - bar)).sqrt() * (1.0 - bar / before).sqrt();
                x = before.sqrt() * x0 + (1.0 - before - sigma * sigma).max(0.0).sqrt() * epsilon + sigma * noise[i];
            }
            x
        });
    }
}

/// Euler's method on dx/dσ = (x − D)/σ, and with the σ_down and σ_up of
/// ancestral sampling.
#[test]
fn t30_euler_and_its_ancestral_form() {
    let ladder = Ladder::karras(20, 0.03, 15.0, 7.0).unwrap();
    compare(Kind::Euler, &ladder, 2e-5, |points, denoise, _, mut x| {
        for i in 0..20 {
            x += (points[i + 1].sigma - points[i].sigma) * (x - denoise(i, x)) / points[i].sigma;
        }
        x
    });
    compare(Kind::EulerAncestral, &ladder, 2e-5, |points, denoise, noise, mut x| {
        for i in 0..20 {
            let (from, to) = (points[i].sigma, points[i + 1].sigma);
            let up = (to * to * (from * from - to * to) / (from * from)).sqrt();
            let down = (to * to - up * up).sqrt();
            x += (down - from) * (x - denoise(i, x)) / from + up * noise[i];
        }
        x
    });
}

/// Euler's and Heun's methods on the flow dx/dt = u.
#[test]
fn t30_flow_samplers_integrate_the_velocity() {
    let ladder = Ladder::flow(20, 2.0).unwrap();
    let velocity = |point: Point, x0: f64, x: f64| (x - point.alpha * x0) / point.sigma - x0;
    compare(Kind::Euler, &ladder, 1e-5, |points, denoise, _, mut x| {
        for i in 0..20 {
            x += (points[i + 1].time - points[i].time) * velocity(points[i], denoise(i, x), x);
        }
        x
    });
    compare(Kind::Heun, &ladder, 1e-5, |points, denoise, _, mut x| {
        for i in 0..20 {
            let h = points[i + 1].time - points[i].time;
            let u = velocity(points[i], denoise(i, x), x);
            let y = x + h * u;
            let mean = if i < 19 { 0.5 * (u + velocity(points[i + 1], denoise(i + 1, y), y)) } else { u };
            x += h * mean;
        }
        x
    });
}

/// Karras et al. 2022, algorithm 2; from a first σ above S_tmax, so that the
/// start is that of algorithm 1.
#[test]
fn t30_heun_with_churn_is_algorithm_2() {
    let ladder = Ladder::karras(18, 0.03, 15.0, 7.0).unwrap();
    for (kind, second) in [("heun:9:0.05:10:1.01", true), ("euler:9:0.05:10:1.01", false)] {
        let kind: Kind = kind.parse().unwrap();
        let gamma =
            |sigma: f64| if (0.05..=10.0).contains(&sigma) { (9.0f64 / 18.0).min(2f64.sqrt() - 1.0) } else { 0.0 };
        let mut raised = ladder.points().to_vec();
        raised.iter_mut().for_each(|p| p.sigma *= 1.0 + gamma(p.sigma));
        let mut sampler = Sampler::new(kind, &ladder, 1).unwrap();
        let mut state = [0.0];
        let data = mixture();
        sampler.start(&mut state, &mut [7, 9]).unwrap();
        let mut x = f64::from(state[0]);
        let mut evaluation = 0;
        let mut denoise = |sampler: &mut Sampler, state: &mut [f32; 1], at: f64, x: f64| {
            let point = sampler.request().unwrap();
            assert!((point.sigma - at).abs() <= 1e-12 * at && point.time == point.sigma, "{point:?} is not at {at}");
            let output = data.denoise_all(point, state);
            sampler.advance(state, &output, &mut [7, 9]).unwrap();
            evaluation += 1;
            (f64::from(data.denoise_all(point, &[x as f32])[0]), evaluation)
        };
        for i in 0..18 {
            let (hat, to) = (raised[i].sigma, ladder.points()[i + 1].sigma);
            let (d0, mut noise) = denoise(&mut sampler, &mut state, hat, x);
            let d = (x - d0) / hat;
            let mut next = x + (to - hat) * d;
            if second && to > 0.0 {
                let (d1, later) = denoise(&mut sampler, &mut state, to, next);
                next = x + (to - hat) * 0.5 * (d + (next - d1) / to);
                noise = later;
            }
            let mut fresh = [0.0];
            Noise::fill(&mut [7, 9], noise, 0, &mut fresh);
            let up = (raised[i + 1].sigma.powi(2) - to * to).max(0.0).sqrt();
            x = next + 1.01 * up * f64::from(fresh[0]);
            assert!((x - f64::from(state[0])).abs() < 2e-5 * x.abs().max(1.0), "{kind} at {i}: {x} and {}", state[0]);
        }
        assert!(sampler.request().is_none());
    }
}

/// Churn on any path keeps a Gaussian's variance: it is that of the data at
/// the end, and that of the noise at the raised beginning.
#[test]
fn t30_churn_begins_at_the_noise_that_it_raises_to() {
    let ladder = Ladder::flow(10, 1.0).unwrap();
    for ladder in [Ladder::karras(10, 0.03, 15.0, 7.0).unwrap(), schedule().ladder(10, Spacing::Trailing).unwrap()] {
        let (mut plain, mut churned) = ([0.0; 4000], [0.0; 4000]);
        let first = |kind: &str, state: &mut [f32]| {
            let mut sampler = Sampler::new(kind.parse().unwrap(), &ladder, 4000).unwrap();
            sampler.start(state, &mut [1, 2]).unwrap();
            sampler.request().unwrap()
        };
        let (low, high) = (first("heun", &mut plain), first("heun:4", &mut churned));
        assert!((high.ratio() / low.ratio() - 1.4).abs() < 1e-12, "{low:?} {high:?}");
        let wanted = ((plain[0] * (high.alpha / low.alpha) as f32).powi(2)
            + (plain[0] / low.sigma.hypot(low.alpha) as f32).powi(2)
                * (high.alpha.powi(2) * (high.ratio().powi(2) - low.ratio().powi(2))) as f32)
            .sqrt();
        assert!((churned[0].abs() - wanted).abs() < 1e-5 * wanted, "{} {wanted}", churned[0]);
    }
    // There is no noise to be raised above pure noise.
    assert_eq!(Sampler::new("euler:4".parse().unwrap(), &ladder, 1).unwrap().request().unwrap().sigma, 1.0);
}

/// Karras et al. 2022, algorithm 1.
#[test]
fn t30_heun_is_algorithm_1() {
    let ladder = Ladder::karras(18, 0.03, 15.0, 7.0).unwrap();
    compare(Kind::Heun, &ladder, 2e-5, |points, denoise, _, mut x| {
        for i in 0..18 {
            let (from, to) = (points[i].sigma, points[i + 1].sigma);
            let d = (x - denoise(i, x)) / from;
            let y = x + (to - from) * d;
            x = if to == 0.0 { y } else { x + (to - from) * 0.5 * (d + (y - denoise(i + 1, y)) / to) };
        }
        x
    });
}

/// Lu et al. 2022 (DPM-Solver++), algorithm 2, in λ; the SDE form of its
/// appendix; the last step to σ = 0 at first order.
#[test]
fn t30_dpm_plus_plus_2m_is_algorithm_2() {
    let ladder = schedule().ladder(20, Spacing::Karras { rho: 7.0 }).unwrap();
    for sde in [false, true] {
        let kind = if sde { Kind::DpmPlusPlus2MSde } else { Kind::DpmPlusPlus2M };
        compare(kind, &ladder, 2e-5, |points, denoise, noise, mut x| {
            let (mut old, mut old_h) = (None, 0.0);
            for i in 0..20 {
                let (from, to) = (points[i], points[i + 1]);
                let x0 = denoise(i, x);
                if to.sigma == 0.0 {
                    return to.alpha * x0;
                }
                let h = to.lambda() - from.lambda();
                let d = old.map_or(x0, |old| x0 + h / (2.0 * old_h) * (x0 - old));
                x = if sde {
                    to.sigma / from.sigma * (-h).exp() * x
                        + to.alpha * -(-2.0 * h).exp_m1() * d
                        + to.sigma * (-(-2.0 * h).exp_m1()).sqrt() * noise[i]
                } else {
                    to.sigma / from.sigma * x - to.alpha * (-h).exp_m1() * d
                };
                (old, old_h) = (Some(x0), h);
            }
            x
        });
    }
}

#[test]
fn t30_lcm_returns_to_the_sample_and_adds_noise() {
    let ladder = schedule().ladder(4, Spacing::Trailing).unwrap();
    compare(Kind::Lcm, &ladder, 1e-5, |points, denoise, noise, mut x| {
        for i in 0..4 {
            x = points[i + 1].alpha * denoise(i, x) + points[i + 1].sigma * noise[i];
        }
        x
    });
}

/// With the perfect denoiser of Gaussian data every sampler ends in the data's
/// distribution.
#[test]
fn t30_every_sampler_samples_gaussian_data() {
    const N: usize = 1 << 14;
    let data = Mixture::gaussian(0.5, 0.64);
    let discrete = schedule();
    let ladders = [
        discrete.ladder(500, Spacing::Trailing).unwrap(),
        discrete.ladder(300, Spacing::Karras { rho: 7.0 }).unwrap(),
        Ladder::karras(300, 0.002, 80.0, 7.0).unwrap(),
        Ladder::flow(300, 1.0).unwrap(),
    ];
    for kind in kinds() {
        if matches!(kind, Kind::Lcm | Kind::Tcd { .. }) && kind != (Kind::Tcd { gamma: 0.0 }) {
            continue; // exact only where the network is a consistency function
        }
        for (i, ladder) in ladders.iter().enumerate() {
            let mut state = vec![0.0; N];
            let mut sampler = Sampler::new(kind, ladder, N).unwrap();
            sampler.start(&mut state, &mut [30, i as u32]).unwrap();
            run(&mut sampler, &mut state, &mut [30, i as u32], |at, x| data.denoise_all(at, x));
            let (mean, variance) = moments(&state);
            // 4.5 standard errors and 2 % for the finite steps.
            assert!((mean - 0.5).abs() < 4.5 * 0.8 / (N as f64).sqrt() + 0.01, "{kind} on ladder {i}: mean {mean}");
            let bound = 4.5 * (2.0 / N as f64).sqrt() + 0.02;
            assert!((variance / 0.64 - 1.0).abs() < bound, "{kind} on ladder {i}: variance {variance}");
        }
    }
}

#[test]
fn t30_one_seed_gives_one_picture() {
    let data = mixture();
    let ladder = schedule().ladder(6, Spacing::Trailing).unwrap();
    let sample = |kind: Kind, seed: u32| {
        let mut state = vec![0.0; 1000];
        let mut sampler = Sampler::new(kind, &ladder, 1000).unwrap();
        sampler.start(&mut state, &mut [seed, 0]).unwrap();
        run(&mut sampler, &mut state, &mut [seed, 0], |at, x| data.denoise_all(at, x));
        state
    };
    for kind in kinds() {
        let picture = sample(kind, 7);
        assert_eq!(picture, sample(kind, 7));
        assert_ne!(picture, sample(kind, 8));
    }
}

/// Stream 0 begins, stream k + 1 belongs to evaluation k: the promise that
/// keeps a seed's picture through later versions.
#[test]
fn t30_noise_comes_from_numbered_streams() {
    let ladder = Ladder::karras(5, 0.1, 8.0, 7.0).unwrap();
    let mut asked = Vec::new();
    let mut noise = |stream: u32, first: usize, out: &mut [f32]| {
        asked.push((stream, first, out.len()));
        out.fill(0.0);
    };
    let mut state = [1.0; 300];
    let mut sampler = Sampler::new(Kind::EulerAncestral, &ladder, 300).unwrap();
    sampler.start(&mut state, &mut noise).unwrap();
    run(&mut sampler, &mut state, &mut noise, |_, x| x.to_vec());
    let mut expected = vec![(0, 0, 300)];
    expected.extend((1..5).flat_map(|stream| [(stream, 0, 256), (stream, 256, 44)]));
    assert_eq!(asked, expected);
}

#[test]
fn t30_a_picture_in_a_batch_is_the_picture_alone() {
    let data = mixture();
    let ladder = schedule().ladder(5, Spacing::Trailing).unwrap();
    let mut keys = [[1, 0], [2, 0], [3, 9]];
    const EACH: usize = 345;
    for kind in kinds() {
        let mut together = vec![0.0; 3 * EACH];
        let mut batch = Batch::new(&mut keys, EACH).unwrap();
        let mut sampler = Sampler::new(kind, &ladder, together.len()).unwrap();
        sampler.start(&mut together, &mut batch).unwrap();
        run(&mut sampler, &mut together, &mut batch, |at, x| data.denoise_all(at, x));
        for (key, picture) in keys.into_iter().zip(together.chunks(EACH)) {
            let mut alone = vec![0.0; EACH];
            let mut sampler = Sampler::new(kind, &ladder, EACH).unwrap();
            sampler.start(&mut alone, &mut key.clone()).unwrap();
            run(&mut sampler, &mut alone, &mut key.clone(), |at, x| data.denoise_all(at, x));
            assert_eq!(alone, picture, "{kind}");
        }
    }
    let mut out = [9.0; 10];
    Batch::new(&mut keys[..1], 4).unwrap().fill(3, 2, &mut out);
    let mut expected = [0.0; 2];
    normal([1, 0], 3, 2, &mut expected);
    assert_eq!((&out[..2], &out[2..]), (&expected[..], &[0.0; 8][..]));
    assert!(Batch::new(&mut keys, 0).is_err());
}

/// The start has the standard deviation √(α² + σ²) of unit-variance data.
#[test]
fn t30_start_is_scaled_noise() {
    let mut noise = [0.0; 64];
    normal([5, 6], 0, 0, &mut noise);
    for (ladder, scale) in [
        (schedule().ladder(10, Spacing::Trailing).unwrap(), 1.0),
        (Ladder::flow(10, 1.0).unwrap(), 1.0),
        (Ladder::karras(10, 0.03, 15.0, 7.0).unwrap(), 226f32.sqrt()),
    ] {
        let mut state = [0.0; 64];
        Sampler::new(Kind::Euler, &ladder, 64).unwrap().start(&mut state, &mut [5, 6]).unwrap();
        for (x, n) in state.iter().zip(noise) {
            assert!((x - n * scale).abs() <= 1e-6 * (n * scale).abs());
        }
    }
}

#[test]
fn t30_the_machine_counts_its_evaluations() {
    let ladder = schedule().ladder(7, Spacing::Trailing).unwrap();
    for kind in kinds() {
        let mut sampler = Sampler::new(kind, &ladder, 2).unwrap();
        let evaluations = match kind {
            Kind::Heun | Kind::Dpm2 | Kind::Dpm2Ancestral | Kind::DpmPlusPlus2SAncestral | Kind::DpmPlusPlusSde => 13,
            Kind::Stochastic { method: Stochastic::Heun | Stochastic::Midpoint, .. } => 13,
            Kind::Plms => 8,
            Kind::Pndm => 16,
            _ => 7,
        };
        assert_eq!(sampler.evaluations(), evaluations, "{kind}");
        let mut state = [0.5, -0.5];
        for done in 0..evaluations {
            assert_eq!(sampler.done(), done);
            assert_eq!(sampler.update().map(|update| update.at), sampler.request());
            sampler.advance(&mut state, &[0.0, 0.0], &mut [0, 0]).unwrap();
        }
        assert_eq!((sampler.request(), sampler.update()), (None, None));
        assert_eq!(sampler.advance(&mut state, &[0.0; 2], &mut [0, 0]), Err(Error::Finished));
        // At σ = 0 the state is the last estimate, but for those that integrate up to it.
        if !matches!(kind, Kind::Lms | Kind::Plms | Kind::Pndm | Kind::Ipndm) {
            assert_eq!(state, [0.0, 0.0], "{kind}");
        }
    }
}

/// What an aborted run leaves behind does not reach the next one.
#[test]
fn t30_restart_forgets() {
    let ladder = schedule().ladder(4, Spacing::Trailing).unwrap();
    for kind in kinds() {
        let mut sampler = Sampler::new(kind, &ladder, 1).unwrap();
        let mut broken = [f32::NAN];
        sampler.advance(&mut broken, &[1e30], &mut [0, 0]).unwrap();
        let mut state = [0.0];
        sampler.start(&mut state, &mut [1, 1]).unwrap();
        run(&mut sampler, &mut state, &mut [1, 1], |_, x| x.to_vec());
        let mut fresh = [0.0];
        let mut sampler = Sampler::new(kind, &ladder, 1).unwrap();
        sampler.start(&mut fresh, &mut [1, 1]).unwrap();
        run(&mut sampler, &mut fresh, &mut [1, 1], |_, x| x.to_vec());
        assert_eq!(state, fresh, "{kind}");
    }
}

/// Saved after any evaluation and resumed in another sampler, the same bits.
#[test]
fn t30_a_saved_sampler_goes_on() {
    let data = mixture();
    let ladder = schedule().ladder(6, Spacing::Karras { rho: 7.0 }).unwrap();
    for kind in kinds() {
        let mut whole = [0.0; 300];
        let mut sampler = Sampler::new(kind, &ladder, 300).unwrap();
        sampler.start(&mut whole, &mut [4, 2]).unwrap();
        let mut saves = Vec::new();
        while let Some(at) = sampler.request() {
            saves.push((sampler.done(), sampler.memory().to_vec(), whole));
            let sample = data.denoise_all(at, &whole);
            sampler.advance(&mut whole, &sample, &mut [4, 2]).unwrap();
        }
        for (done, memory, mut state) in saves {
            let mut sampler = Sampler::new(kind, &ladder, 300).unwrap();
            sampler.resume(done, &memory).unwrap();
            run(&mut sampler, &mut state, &mut [4, 2], |at, x| data.denoise_all(at, x));
            assert_eq!(state, whole, "{kind} from {done}");
        }
        let memory = sampler.memory().to_vec();
        assert!(sampler.resume(sampler.evaluations() + 1, &memory).is_err());
        assert!(sampler.resume(0, &[0.0; 7]).is_err());
    }
}

/// A number that is none is named with its evaluation, and changes nothing.
#[test]
fn t30_a_broken_network_is_named() {
    let ladder = Ladder::flow(3, 1.0).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut sampler = Sampler::new(Kind::DpmPlusPlus2M, &ladder, 3).unwrap();
        let mut state = [1.0, 2.0, 3.0];
        sampler.advance(&mut state, &[0.5; 3], &mut [0, 0]).unwrap();
        let before = state;
        let error = sampler.advance(&mut state, &[0.0, bad, 0.0], &mut [0, 0]).unwrap_err();
        assert_eq!(error.to_string(), format!("the network's output 1 at evaluation 2 of 3 is {bad}"));
        assert_eq!((state, sampler.done()), (before, 1));
    }
}

#[test]
fn t30_misuse_is_an_error() {
    let ladder = Ladder::flow(3, 1.0).unwrap();
    let mut sampler = Sampler::new(Kind::Ddpm, &ladder, 4).unwrap();
    let (mut short, mut right) = ([0.0; 3], [0.0; 4]);
    assert!(matches!(sampler.start(&mut short, &mut [0, 0]), Err(Error::Length { .. })));
    assert!(matches!(sampler.advance(&mut short, &[0.0; 4], &mut [0, 0]), Err(Error::Length { .. })));
    assert!(matches!(sampler.advance(&mut right, &[0.0; 3], &mut [0, 0]), Err(Error::Length { .. })));
    assert_eq!(sampler.done(), 0);
    for eta in [-0.1, 1.1, f64::NAN] {
        assert!(Sampler::new(Kind::Ddim { eta }, &ladder, 4).is_err());
    }
    for gamma in [-0.1, 1.1, f64::NAN] {
        assert!(Sampler::new(Kind::Tcd { gamma }, &ladder, 4).is_err());
    }
    let mut empty = Sampler::new(Kind::Heun, &ladder, 0).unwrap();
    run(&mut empty, &mut [], &mut [0, 0], |_, x| x.to_vec());
}

/// α = 0 at the first point gives finite states with every sampler.
#[test]
fn t30_pure_noise_is_a_fair_start() {
    for kind in kinds() {
        let data = mixture();
        let mut state = [0.0; 16];
        let mut sampler = Sampler::new(kind, &Ladder::flow(9, 1.0).unwrap(), 16).unwrap();
        sampler.start(&mut state, &mut [3, 3]).unwrap();
        run(&mut sampler, &mut state, &mut [3, 3], |at, x| data.denoise_all(at, x));
        assert!(state.iter().all(|x| x.abs() < 3.0), "{kind}: {state:?}");
    }
}

fn stochastic(method: Stochastic, churn: Churn) -> Kind {
    Kind::Stochastic { method, churn }
}

#[test]
fn t30_names_are_read_as_people_write_them() {
    for kind in kinds() {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    for (name, kind) in [
        ("DDIM", Kind::Ddim { eta: 0.0 }),
        ("Euler a", Kind::EulerAncestral),
        ("euler_ancestral", Kind::EulerAncestral),
        ("DPM++ 2M", Kind::DpmPlusPlus2M),
        ("dpmpp_2m_sde", Kind::DpmPlusPlus2MSde),
        ("DPM++ 3M SDE", Kind::DpmPlusPlus3MSde),
        ("DPM++ 2S a", Kind::DpmPlusPlus2SAncestral),
        ("dpmpp_2s_ancestral", Kind::DpmPlusPlus2SAncestral),
        ("DPM++ SDE", Kind::DpmPlusPlusSde),
        ("k_dpm_2_a", Kind::Dpm2Ancestral),
        ("k_lms", Kind::Lms),
        ("uni_pc", Kind::UniPc),
        ("EulerAncestralDiscreteScheduler", Kind::EulerAncestral),
        ("UniPCMultistepScheduler", Kind::UniPc),
        ("KDPM2DiscreteScheduler", Kind::Dpm2),
        ("DPMSolverSDEScheduler", Kind::DpmPlusPlusSde),
        ("PNDMScheduler", Kind::Pndm),
        ("FlowMatchHeunDiscreteScheduler", Kind::Heun),
        ("tcd:0.5", Kind::Tcd { gamma: 0.5 }),
        ("ddim:0.25", Kind::Ddim { eta: 0.25 }),
        ("k_euler:40", stochastic(Stochastic::Euler, Churn { amount: 40.0, ..Churn::default() })),
        (
            "Heun:40:0.05:50:1.003",
            stochastic(Stochastic::Heun, Churn { amount: 40.0, from: 0.05, to: 50.0, noise: 1.003 }),
        ),
        ("dpm2:1:0.5:inf", stochastic(Stochastic::Midpoint, Churn { amount: 1.0, from: 0.5, ..Churn::default() })),
        ("tcd:5e-1", Kind::Tcd { gamma: 0.5 }),
    ] {
        assert_eq!(name.parse(), Ok(kind));
    }
    let error = "eular".parse::<Kind>().unwrap_err().to_string();
    assert!(error.starts_with("unknown sampler \"eular\"; legal are ddpm, ddim, ddim:ETA, pndm, "), "{error}");
    assert_eq!("ddim:2".parse::<Kind>().unwrap_err().to_string(), "eta is 2; it must be from 0 to 1");
    assert_eq!(
        "heun:nan".parse::<Kind>().unwrap_err().to_string(),
        "the churn is NaN; it must be finite and at least 0"
    );
    assert_eq!(
        "euler:-5".parse::<Kind>().unwrap_err().to_string(),
        "the churn is -5; it must be finite and at least 0"
    );
    assert!("SCMScheduler".parse::<Kind>().is_err(), "a sampler of its own");
    assert!("heun:1:2".parse::<Kind>().is_err() && "lms:40".parse::<Kind>().is_err());
    assert!("ddim:".parse::<Kind>().is_err() && "".parse::<Kind>().is_err());
}

#[test]
fn t30_a_name_may_end_with_a_spacing() {
    let karras = Some(Spacing::Karras { rho: 7.0 });
    for (name, kind, spacing, label) in [
        ("DPM++ 2M Karras", Kind::DpmPlusPlus2M, karras, "DPM++ 2M Karras"),
        ("dpmpp-2m-karras", Kind::DpmPlusPlus2M, karras, "DPM++ 2M Karras"),
        ("dpm++2m", Kind::DpmPlusPlus2M, None, "DPM++ 2M"),
        ("euler-a-exponential", Kind::EulerAncestral, Some(Spacing::Exponential), "Euler a Exponential"),
        ("Euler SGM Uniform", Kind::Euler, Some(Spacing::SgmUniform), "Euler SGM Uniform"),
        ("ddim:0.5-trailing", Kind::Ddim { eta: 0.5 }, Some(Spacing::Trailing), "DDIM:0.5 Trailing"),
        ("lms beta", Kind::Lms, Some(Spacing::Beta { shape: 0.6 }), "LMS Beta"),
    ] {
        let choice: Choice = name.parse().unwrap();
        assert_eq!((choice.kind, choice.spacing), (kind, spacing), "{name}");
        assert_eq!(choice.label(), label);
        assert_eq!(choice.to_string().parse(), Ok(choice));
        assert_eq!(choice.label().parse(), Ok(choice));
    }
    assert!("karras".parse::<Choice>().is_err() && "euler-kar".parse::<Choice>().is_err());
    for kind in kinds() {
        assert_eq!(kind.label().parse(), Ok(kind));
    }
}
