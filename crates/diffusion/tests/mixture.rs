//! T26, T29, T30: what samplers draw from a mixture whose score is known.

mod common;

use common::{Mixture, mixture, moments, run};
use yuragi_diffusion::forward::Posterior;
use yuragi_diffusion::{Clip, Discrete, Input, Kind, Ladder, Point, Prediction, Sampler, Sde, Spacing};

/// The shares of values nearest to each of the mixture's means.
fn shares(values: &[f32]) -> [f64; 3] {
    let mut counts = [0.0; 3];
    for value in values {
        let place = if *value < -0.3 { 0 } else { 1 + usize::from(*value > 1.1) };
        counts[place] += 1.0 / values.len() as f64;
    }
    counts
}

/// The same of the mixture itself, by its distribution function.
fn exact_shares(data: &Mixture) -> [f64; 3] {
    let below = |x: f64| -> f64 {
        let normal = |z: f64| 0.5 * libm::erfc(-z / 2f64.sqrt());
        data.0.iter().map(|(w, m, v)| w * normal((x - m) / v.sqrt())).sum()
    };
    let (a, b) = (below(-0.3), below(1.1));
    [a, b - a, 1.0 - b]
}

/// Moments and the weights of modes within the sampling error of 8192 draws,
/// and 0.01 for finite steps.
#[test]
fn t30_every_sampler_draws_the_mixture() {
    const N: usize = 1 << 13;
    let data = mixture();
    let mean: f64 = data.0.iter().map(|(w, m, _)| w * m).sum();
    let variance = data.0.iter().map(|(w, m, v)| w * (v + m * m)).sum::<f64>() - mean * mean;
    let exact = exact_shares(&data);
    let ladder = Ladder::karras(120, 0.01, 40.0, 7.0).unwrap();
    let churned = ["euler:40:0.05:20", "heun:20", "dpm2:40"].map(|name| name.parse().unwrap());
    for kind in Kind::all().chain([Kind::Ddim { eta: 0.6 }]).chain(churned) {
        if matches!(kind, Kind::Lcm | Kind::Tcd { .. }) {
            continue; // for consistency functions alone
        }
        let mut state = vec![0.0; N];
        let mut sampler = Sampler::new(kind, &ladder, N).unwrap();
        sampler.start(&mut state, &mut [30, 7]).unwrap();
        run(&mut sampler, &mut state, &mut [30, 7], |at, x| data.denoise_all(at, x));
        let (found_mean, found_variance) = moments(&state);
        let error = |p: f64| 4.5 * (p * (1.0 - p) / N as f64).sqrt() + 0.01;
        assert!((found_mean - mean).abs() < 4.5 * (variance / N as f64).sqrt() + 0.01, "{kind}: mean {found_mean}");
        assert!((found_variance / variance - 1.0).abs() < 0.05, "{kind}: variance {found_variance}, not {variance}");
        for (found, exact) in shares(&state).into_iter().zip(exact) {
            assert!((found - exact).abs() < error(exact), "{kind}: a mode of {exact} was drawn {found}");
        }
    }
}

/// k-diffusion's `sample_dpmpp_2s_ancestral`, which diffusers has not.
#[test]
fn t30_dpm_plus_plus_2s_ancestral_is_k_diffusions() {
    let data = mixture();
    let ladder = Ladder::karras(12, 0.03, 15.0, 7.0).unwrap();
    let sigmas: Vec<f64> = ladder.points().iter().map(|p| p.sigma).collect();
    let denoise = |x: f64, sigma: f64| data.denoise(Point { time: sigma, alpha: 1.0, sigma }, x);
    for start in [-20.0, 3.0, 11.0] {
        let (mut x, mut streams) = (start, Vec::new());
        for i in 0..12 {
            let (from, to) = (sigmas[i], sigmas[i + 1]);
            let up = to.min((to * to * (from * from - to * to) / (from * from)).sqrt());
            let down = (to * to - up * up).sqrt();
            let d0 = denoise(x, from);
            if down == 0.0 {
                x += (x - d0) / from * (down - from);
                streams.push(0.0);
                continue;
            }
            let (t, next) = (-from.ln(), -down.ln());
            let h = next - t;
            let s = (-(t + 0.5 * h)).exp();
            let x2 = s / from * x - (-h * 0.5).exp_m1() * d0;
            // The first evaluation of a step has no noise.
            let n = (1.7 * (streams.len() + 1) as f64).sin() as f32;
            streams.extend([0.0, n]);
            x = down / from * x - (-h).exp_m1() * denoise(x2, s) + f64::from(n) * up;
        }
        let mut state = [start as f32];
        let mut sampler = Sampler::new(Kind::DpmPlusPlus2SAncestral, &ladder, 1).unwrap();
        let mut noise = |stream: u32, _: usize, out: &mut [f32]| out.fill(streams[stream as usize - 1]);
        run(&mut sampler, &mut state, &mut noise, |at, x| data.denoise_all(at, x));
        assert!((f64::from(state[0]) - x).abs() < 2e-5, "{} for {x}", state[0]);
    }
}

/// The posterior is Bayes' rule, by quadrature over z_s.
#[test]
fn t26_posterior_is_bayes_rule() {
    let schedule = Discrete::linear(1000, 1e-4, 0.02).unwrap();
    let normal = |x: f64, mean: f64, variance: f64| (-0.5 * (x - mean) * (x - mean) / variance).exp() / variance.sqrt();
    for (t, s, x, z) in [(1, 0, 0.3, 0.4), (500, 499, -1.0, 0.2), (900, 300, 0.7, -1.1)] {
        let (later, earlier) = (schedule.point(t).unwrap(), schedule.point(s).unwrap());
        // q(z_t | z_s) has the signal α_t/α_s and the rest of the noise.
        let step = later.alpha / earlier.alpha;
        let rest = later.sigma * later.sigma - step * step * earlier.sigma * earlier.sigma;
        let weight = |y: f64| normal(z, step * y, rest) * normal(y, earlier.alpha * x, earlier.sigma * earlier.sigma);
        let (mut sums, width) = ([0.0; 3], 12.0 * earlier.sigma);
        for i in 0..=40_000 {
            let y = earlier.alpha * x + width * (f64::from(i) / 20_000.0 - 1.0);
            [1.0, y, y * y].into_iter().zip(&mut sums).for_each(|(power, sum)| *sum += power * weight(y));
        }
        let mean = sums[1] / sums[0];
        let posterior = Posterior::new(later, earlier).unwrap();
        assert!((posterior.z * z + posterior.x * x - mean).abs() < 1e-9, "mean {mean}");
        let variance = sums[2] / sums[0] - mean * mean;
        assert!((posterior.variance / variance - 1.0).abs() < 1e-6, "variance {variance}");
    }
}

/// Preconditioned as in elucidated diffusion, a network of any prediction
/// gives the same states as its estimate of x₀ by itself.
#[test]
fn t29_every_prediction_and_input_is_the_same_generation() {
    let data = mixture();
    let preserving =
        Discrete::scaled_linear(1000, 0.00085, 0.012).unwrap().ladder(12, Spacing::Karras { rho: 7.0 }).unwrap();
    let ladders = [
        (Ladder::edm(12, 0.02, 40.0, 7.0, 0.5).unwrap(), 0.5),
        (Ladder::karras(12, 0.02, 40.0, 7.0).unwrap().with_input(Input::Scaled { data: 1.0 }), 1.0),
        (preserving, 1.0),
        (Sde::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 }.ladder(12, 0.05).unwrap(), 1.0),
    ];
    let all = [Prediction::Sample, Prediction::Epsilon, Prediction::Velocity, Prediction::Flow, Prediction::Edm];
    for (i, (ladder, size)) in ladders.iter().enumerate() {
        for kind in [Kind::Heun, Kind::DpmPlusPlus2MSde, Kind::UniPc, Kind::Plms, Kind::Dpm2Ancestral] {
            let mut ends = Vec::new();
            for prediction in all {
                let mut state = [0.0; 40];
                let mut sampler = Sampler::predicting(kind, ladder, prediction, Clip::None, 40).unwrap();
                sampler.start(&mut state, &mut [8, 8]).unwrap();
                while let Some(at) = sampler.request() {
                    let scale = sampler.scale();
                    let scaled = ladder.input() == Input::Plain;
                    // The network's own view: unit variance for data of the given size.
                    let norm = if scaled { 1.0 } else { (at.alpha * size).hypot(at.sigma) };
                    let own = Point { time: at.time, alpha: at.alpha * size / norm, sigma: at.sigma / norm };
                    let x: Vec<f32> = state.iter().map(|x| x * scale).collect();
                    let mut output: Vec<f32> = data
                        .denoise_all(at, &state)
                        .iter()
                        .map(|x| if scaled { *x } else { (f64::from(*x) / size) as f32 })
                        .collect();
                    Prediction::Sample.convert(prediction, own, &x, &mut output).unwrap();
                    sampler.advance(&mut state, &output, &mut [8, 8]).unwrap();
                }
                ends.push(state);
            }
            for (end, prediction) in ends.iter().zip(all) {
                let worst = end.iter().zip(&ends[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 2e-3, "{kind}, {prediction} on ladder {i}: {worst}");
            }
        }
    }
}

/// Without signal at the last timestep v still says x₀, and ε does not.
#[test]
fn t28_zero_terminal_signal() {
    let schedule = Discrete::scaled_linear(1000, 0.00085, 0.012).unwrap();
    let zero = schedule.zero_terminal_snr().unwrap();
    assert_eq!(zero.alpha_bars()[999], 0.0);
    assert!((zero.alpha_bars()[0] / schedule.alpha_bars()[0] - 1.0).abs() < 1e-12);
    assert!(zero.alpha_bars().windows(2).all(|pair| pair[1] < pair[0]));
    let ladder = zero.ladder(10, Spacing::Trailing).unwrap();
    assert_eq!((ladder.points()[0].alpha, ladder.points()[0].sigma), (0.0, 1.0));
    let data = mixture();
    for kind in Kind::all() {
        let error = Sampler::predicting(kind, &ladder, Prediction::Epsilon, Clip::None, 1).unwrap_err();
        assert_eq!(error.to_string(), "epsilon does not determine sample at alpha 0, sigma 1", "{kind}");
        let mut state = [0.0; 64];
        let mut sampler = Sampler::predicting(kind, &ladder, Prediction::Velocity, Clip::None, 64).unwrap();
        sampler.start(&mut state, &mut [2, 5]).unwrap();
        while let Some(at) = sampler.request() {
            let mut output = data.denoise_all(at, &state);
            Prediction::Sample.convert(Prediction::Velocity, at, &state, &mut output).unwrap();
            sampler.advance(&mut state, &output, &mut [2, 5]).unwrap();
        }
        assert!(state.iter().all(|x| x.abs() < 3.0), "{kind}: {state:?}");
    }
}

/// Clipping holds every estimate, picture by picture.
#[test]
fn t30_clipping_and_dynamic_thresholding() {
    let ladder = Ladder::karras(3, 0.1, 10.0, 7.0).unwrap();
    let end = |clip: Clip| {
        let mut sampler = Sampler::predicting(Kind::Euler, &ladder, Prediction::Sample, clip, 6).unwrap();
        let mut state = [0.0; 6];
        for _ in 0..3 {
            sampler
                .advance(&mut state, &[0.5, -4.0, 2.0, 0.1, 0.2, 0.3], &mut |_: u32, _: usize, _: &mut [f32]| {})
                .unwrap();
        }
        state
    };
    assert_eq!(end(Clip::Static { bound: 1.0 }), [0.5, -1.0, 1.0, 0.1, 0.2, 0.3]);
    // The median of the first picture is 2; that of the second is less than 1.
    let dynamic = Clip::Dynamic { quantile: 0.5, most: 3.0, picture: 3 };
    assert_eq!(end(dynamic), [0.25, -1.0, 1.0, 0.1, 0.2, 0.3]);
    assert_eq!(end(Clip::Dynamic { quantile: 1.0, most: 3.0, picture: 3 })[1], -1.0);
    for clip in [
        Clip::Static { bound: 0.0 },
        Clip::Static { bound: f32::NAN },
        Clip::Dynamic { quantile: 1.5, most: 3.0, picture: 3 },
        Clip::Dynamic { quantile: 0.5, most: 0.5, picture: 3 },
        Clip::Dynamic { quantile: 0.5, most: 2.0, picture: 4 },
        Clip::Dynamic { quantile: 0.5, most: 2.0, picture: 0 },
    ] {
        assert!(Sampler::predicting(Kind::Euler, &ladder, Prediction::Sample, clip, 6).is_err(), "{clip:?}");
    }
}
