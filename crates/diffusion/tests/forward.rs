//! T26: the forward process, its posterior and the bound.

mod common;

use common::{Mixture, moments};
use yuragi_diffusion::forward::{
    Bound, Posterior, discrete_reconstruction_term, gaussian_reconstruction_term, path_term, perturb, prior_term,
};
use yuragi_diffusion::{Discrete, Error, Point, Sde};
use yuragi_numeric::fill::normal;

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * b.abs().max(1e-300), "{a} is not {b}");
}

#[test]
fn t26_chain_marginals_equal_the_closed_form() {
    let schedule = Discrete::linear(1000, 1e-4, 0.02).unwrap();
    let (mut alpha, mut variance) = (1.0, 0.0);
    for (t, beta) in schedule.betas().iter().enumerate() {
        alpha *= (1.0 - beta).sqrt();
        variance = (1.0 - beta) * variance + beta;
        let point = schedule.point(t).unwrap();
        close(point.alpha, alpha, 1e-12);
        close(point.sigma * point.sigma, variance, 1e-11);
    }
}

#[test]
fn t26_a_simulated_chain_has_the_marginal() {
    const N: usize = 1 << 15;
    let schedule = Discrete::cosine(40).unwrap();
    let (mut z, mut noise) = (vec![1.5f32; N], vec![0.0; N]);
    for (t, beta) in schedule.betas().iter().enumerate() {
        normal([26, 0], t as u32, 0, &mut noise);
        let step = Point { time: 0.0, alpha: (1.0 - beta).sqrt(), sigma: beta.sqrt() };
        let before = z.clone();
        perturb(step, &before, &noise, &mut z).unwrap();
        let (point, (mean, variance)) = (schedule.point(t).unwrap(), moments(&z));
        let deviation = point.sigma / (N as f64).sqrt();
        assert!((mean - 1.5 * point.alpha).abs() < 4.5 * deviation, "mean at {t}");
        let expected = point.sigma * point.sigma;
        assert!((variance / expected - 1.0).abs() < 4.5 * (2.0 / N as f64).sqrt(), "variance at {t}");
    }
}

#[test]
fn t26_posterior_is_the_printed_formula() {
    let schedule = Discrete::scaled_linear(1000, 0.00085, 0.012).unwrap();
    for t in 1..1000 {
        let (bar, bar_before) = (schedule.alpha_bars()[t], schedule.alpha_bars()[t - 1]);
        let alpha = 1.0 - schedule.betas()[t];
        let posterior = Posterior::new(schedule.point(t).unwrap(), schedule.point(t - 1).unwrap()).unwrap();
        close(posterior.z, alpha.sqrt() * (1.0 - bar_before) / (1.0 - bar), 1e-10);
        close(posterior.x, bar_before.sqrt() * (1.0 - alpha) / (1.0 - bar), 1e-9);
        close(posterior.variance, (1.0 - alpha) * (1.0 - bar_before) / (1.0 - bar), 1e-9);
    }
}

/// q(z_s | x) must come back from q(z_t | x) and the posterior, for any process.
#[test]
fn t26_posterior_is_consistent_with_the_marginals() {
    let vp = Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    let ve = Sde::VarianceExploding { sigma_min: 0.01, sigma_max: 50.0 };
    let flow = |t: f64| Point { time: t, alpha: 1.0 - t, sigma: t };
    for (t, s) in [
        (vp.point(0.7), vp.point(0.2)),
        (ve.point(0.9), ve.point(0.85)),
        (flow(1.0), flow(0.4)),
        (flow(0.5), flow(0.0)),
    ] {
        let posterior = Posterior::new(t, s).unwrap();
        close(posterior.z * t.alpha + posterior.x, s.alpha, 1e-12);
        let variance = posterior.z.powi(2) * t.sigma.powi(2) + posterior.variance;
        assert!((variance - s.sigma.powi(2)).abs() < 1e-12 * variance.max(1.0));
        let mut mean = [0.0];
        posterior.mean(&[2.0], &[3.0], &mut mean).unwrap();
        close(f64::from(mean[0]), 2.0 * posterior.z + 3.0 * posterior.x, 1e-6);
    }
    assert!(matches!(Posterior::new(flow(0.4), flow(0.5)), Err(Error::Range { .. })));
}

/// ½‖μ_q − μ_θ‖²/σ_q², computed from the posteriors themselves.
#[test]
fn t26_path_term_is_the_divergence_of_the_posteriors() {
    let schedule = Discrete::linear(1000, 1e-4, 0.02).unwrap();
    let (x, estimate) = ([0.5f32, -0.25, 0.75], [0.25f32, -0.5, 0.875]);
    for t in [1, 2, 500, 999] {
        let (t, s) = (schedule.point(t).unwrap(), schedule.point(t - 1).unwrap());
        let posterior = Posterior::new(t, s).unwrap();
        let square: f64 = x.iter().zip(&estimate).map(|(x, y)| (posterior.x * f64::from(x - y)).powi(2)).sum();
        close(path_term(t, s, &x, &estimate).unwrap(), square / (2.0 * posterior.variance), 1e-8);
    }
}

/// Gaussian data and the perfect denoiser: the three terms add up to the
/// entropy of the data as the steps grow finer, from above.
#[test]
fn t26_the_three_terms_add_up_to_the_bound() {
    const N: usize = 1 << 12;
    let variance: f64 = 0.25;
    let data = Mixture::gaussian(0.0, variance);
    let (mut x, mut noise, mut z) = (vec![0.0; N], vec![0.0; N], vec![0.0; N]);
    normal([1, 0], 0, 0, &mut x);
    x.iter_mut().for_each(|x| *x *= variance.sqrt() as f32);
    let negative_log_density = 0.5 * (2.0 * std::f64::consts::PI * variance).ln() * N as f64
        + x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / (2.0 * variance);
    let gap = |steps: usize| {
        // Equal steps of λ from −5 to 5.
        let points: Vec<Point> = (0..=steps)
            .map(|i| {
                let ratio = (5.0 - 10.0 * i as f64 / steps as f64).exp();
                let alpha = 1.0 / (1.0 + ratio * ratio).sqrt();
                Point { time: 0.0, alpha, sigma: ratio * alpha }
            })
            .collect();
        let mut bound = Bound {
            reconstruction: gaussian_reconstruction_term(points[steps], N),
            prior: prior_term(points[0], &x),
            path: 0.0,
        };
        for (i, pair) in points.windows(2).enumerate() {
            let mut noise_now = std::mem::take(&mut noise);
            normal([2, 0], i as u32, 0, &mut noise_now);
            perturb(pair[0], &x, &noise_now, &mut z).unwrap();
            bound.path += path_term(pair[0], pair[1], &x, &data.denoise_all(pair[0], &z)).unwrap();
            noise = noise_now;
        }
        assert_eq!(bound.total(), bound.reconstruction + bound.prior + bound.path);
        close(bound.bits_per_dim(N), bound.total() / (N as f64 * 2f64.ln()), 1e-12);
        (bound.total() - negative_log_density) / N as f64
    };
    let gaps = [40, 320, 2560].map(gap);
    assert!(gaps[0] > gaps[1] && gaps[1] > gaps[2] && gaps[2] > 0.0, "{gaps:?}");
    assert!(gaps[2] < 0.03, "{gaps:?}");
    assert!((gaps[1] / gaps[2] - 8.0).abs() < 1.0, "first order in the step: {gaps:?}");
}

#[test]
fn t26_prior_term_is_a_divergence() {
    let pure = Point { time: 1.0, alpha: 0.0, sigma: 1.0 };
    assert_eq!(prior_term(pure, &[3.0, -4.0]), 0.0);
    let point = Point { time: 1.0, alpha: 0.6, sigma: 0.8 };
    // ½(σ² + μ² − 1 − ln σ²) with μ = 0.6
    close(prior_term(point, &[1.0]), 0.5 * (0.64 + 0.36 - 1.0 - 0.64f64.ln()) + 0.0, 1e-12);
}

#[test]
fn t26_discrete_decoder_is_a_distribution_over_the_levels() {
    let first = Point { time: 0.0, alpha: 0.999, sigma: 0.2 };
    let z = 0.3f32;
    let level = |k: u32| -1.0 + 2.0 * k as f32 / 15.0;
    let total: f64 =
        (0..16).map(|k| (-discrete_reconstruction_term(first, 16, &[level(k)], &[z]).unwrap()).exp()).sum();
    close(total, 1.0, 1e-6);
    let sharp = Point { time: 0.0, alpha: 1.0, sigma: 1e-4 };
    let x = [level(3), level(12)];
    assert!(discrete_reconstruction_term(sharp, 16, &x, &x).unwrap().abs() < 1e-6);
    assert!(discrete_reconstruction_term(sharp, 1, &x, &x).is_err());
    assert!(discrete_reconstruction_term(Point { sigma: 0.0, ..sharp }, 16, &x, &x).is_err());
}

#[test]
fn t26_lengths_are_checked() {
    let point = Point { time: 0.0, alpha: 1.0, sigma: 1.0 };
    let expected = Error::Length { what: "the noise", got: 1, expected: 2 };
    assert_eq!(perturb(point, &[0.0; 2], &[0.0; 1], &mut [0.0; 2]), Err(expected));
    assert!(perturb(point, &[0.0; 3], &[0.0; 2], &mut [0.0; 2]).is_err());
}

/// With the perfect estimate of normal data, the three terms fall to −ln p(x)
/// itself as the steps become finer.
#[test]
fn t26_the_bound_is_the_log_likelihood_in_the_limit() {
    const V: f64 = 0.3;
    for x in [-1.1f64, 0.2, 0.8] {
        let exact = 0.5 * ((2.0 * std::f64::consts::PI * V).ln() + x * x / V);
        let gap = |steps: usize| {
            // Equal steps of ln(σ/α) from ln 100 to ln 0.005.
            let point = |i: usize| {
                let ratio = 100.0 * (0.005f64 / 100.0).powf(i as f64 / steps as f64);
                let alpha = 1.0 / ratio.hypot(1.0);
                Point { time: 0.0, alpha, sigma: ratio * alpha }
            };
            let points: Vec<Point> = (0..=steps).map(point).collect();
            let mut total = gaussian_reconstruction_term(points[steps], 1) + prior_term(points[0], &[x as f32]);
            for pair in points.windows(2) {
                // E over z of (x − x̂)² with x̂ = gain·z.
                let (t, s) = (pair[0], pair[1]);
                let gain = t.alpha * V / (t.alpha * t.alpha * V + t.sigma * t.sigma);
                let square = ((1.0 - gain * t.alpha) * x).powi(2) + (gain * t.sigma).powi(2);
                total += path_term(t, s, &[0.0], &[square.sqrt() as f32]).unwrap();
            }
            total - exact
        };
        let (coarse, fine) = (gap(200), gap(3200));
        assert!(fine > 0.0 && fine < coarse / 8.0 && fine < 0.02, "x {x}: {coarse}, then {fine}");
    }
}
