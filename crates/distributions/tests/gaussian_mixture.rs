//! T08: Gaussian mixtures learned by EM.

mod common;
#[path = "golden/gaussian_mixture.rs"]
mod golden;

use core::ops::ControlFlow::{Break, Continue};

use common::{covariance, distance, rng};
use yuragi_distributions::em::{End, ExpectationMaximization, Limits, ascend};
use yuragi_distributions::random::{index, standard_normal, uniform};
use yuragi_distributions::score::{bic, log_likelihood};
use yuragi_distributions::{
    Covariance, Data, Distribution, Fit, GaussianMixture, Information, MultivariateGaussian, Options, Start,
};

const KINDS: [Covariance; 4] = [Covariance::Full, Covariance::Diagonal, Covariance::Tied, Covariance::Spherical];

/// Unit covariances of this kind.
fn unit(kind: Covariance, k: usize, d: usize) -> Vec<f64> {
    match kind {
        Covariance::Full | Covariance::Tied => {
            (0..kind.len(k, d)).map(|at| if (at % (d * d)).is_multiple_of(d + 1) { 1.0 } else { 0.0 }).collect()
        }
        _ => vec![1.0; kind.len(k, d)],
    }
}

/// `n` points about `k` centres that lie `apart` deviations from the origin.
fn clusters(seed: u32, n: usize, d: usize, k: usize, apart: f64) -> Vec<f64> {
    let mut rng = rng(seed);
    let centres: Vec<f64> = (0..k * d).map(|_| apart * standard_normal(&mut rng)).collect();
    let scales: Vec<f64> = (0..k * d).map(|_| 0.4 + uniform(&mut rng)).collect();
    let mut points = Vec::with_capacity(n * d);
    for _ in 0..n {
        let at = index(&mut rng, k) * d;
        points.extend((at..at + d).map(|j| centres[j] + scales[j] * standard_normal(&mut rng)));
    }
    points
}

/// The same points with about one coordinate in `every` missing, seldom a whole point.
fn with_gaps(points: &[f64], every: usize, seed: u32) -> Vec<f64> {
    let mut rng = rng(seed);
    points.iter().map(|x| if index(&mut rng, every) == 0 { f64::NAN } else { *x }).collect()
}

/// Bounds are sums of n terms of size 10, averaged: this is their rounding.
const ROUNDING: f64 = 1e-12;

fn never_falls(bounds: &[f64]) {
    for pair in bounds.windows(2) {
        assert!(pair[1] >= pair[0] - ROUNDING * pair[0].abs().max(1.0), "{} after {}", pair[1], pair[0]);
    }
}

#[test]
fn t08_likelihood_never_falls() {
    let (mut climbed, mut fits) = (0, 0);
    for (seed, (n, d, k)) in [(60, 2, 3), (500, 5, 4), (333, 1, 6), (1000, 9, 2)].into_iter().enumerate() {
        let points = clusters(seed as u32, n, d, k, 1.5);
        let gaps = with_gaps(&points, 6, seed as u32);
        let weights: Vec<f64> = (0..n).map(|i| (i % 4) as f64 * 0.7).collect();
        for data in [
            Data::new(&points, d).unwrap(),
            Data::new(&points, d).unwrap().weighted(&weights).unwrap(),
            Data::with_missing(&gaps, d).unwrap(),
        ] {
            for covariance in KINDS {
                // From seeds alone, so that there is much to climb.
                let limits = Limits { iterations: 40, tolerance: 0.0 };
                let options = Options { covariance, start: Start::KMeansPlusPlus, limits, ..Options::default() };
                let fitted = GaussianMixture::fit(&data, k, &options).unwrap();
                let bounds = &fitted.ascent.bounds;
                never_falls(bounds);
                fits += 1;
                climbed += usize::from(fitted.ascent.bound() > bounds[0] + 1e-3);
                // The bound is the mean log-likelihood of the mixture that was returned.
                let score = fitted.mixture.log_likelihood(&data).unwrap();
                assert!((score - fitted.ascent.bound()).abs() < ROUNDING * score.abs().max(1.0));
            }
        }
    }
    assert!(4 * climbed > 3 * fits, "only {climbed} of {fits} had anything to climb");
}

#[test]
fn t08_fit_equals_scikit_learn_from_the_same_start() {
    let data = Data::new(golden::POINTS, 2).unwrap();
    for case in golden::CASES {
        let start = unit(case.kind, 3, 2);
        let mut mixture = GaussianMixture::new(&[1.0; 3], &golden::POINTS[..6], &start, case.kind).unwrap();
        let limits = Limits { iterations: golden::STEPS, tolerance: f64::NEG_INFINITY };
        let ascent = ascend(&mut mixture, &data, &limits, |_| Continue(())).unwrap();
        assert_eq!(ascent.iterations(), golden::STEPS);
        // scikit-learn adds 2·10⁻¹⁵ to every N_k; a step of EM widens no difference much.
        let kind = case.kind;
        assert!(distance(mixture.weights(), case.weights) < 1e-12, "{kind:?}");
        assert!(distance(mixture.means(), case.means) < 1e-11, "{kind:?}");
        assert!(distance(mixture.covariances(), case.covariances) < 1e-11, "{kind:?}");
        assert!((mixture.log_likelihood(&data).unwrap() - case.log_likelihood).abs() < 1e-12, "{kind:?}");
        assert!((mixture.bic(&data).unwrap() - case.bic).abs() < 1e-9, "{kind:?}");
        assert!((mixture.aic(&data).unwrap() - case.aic).abs() < 1e-9, "{kind:?}");
        let gamma = mixture.responsibilities(&data).unwrap();
        assert!(distance(&gamma[..15], case.responsibilities) < 1e-11, "{kind:?}");
    }
}

/// One step against the sums that define it.
fn step_is_its_formula(kind: Covariance, n: usize, d: usize, k: usize) {
    let points = clusters(3, n, d, 3, 2.0);
    let data = Data::new(&points, d).unwrap();
    let mut mixture = GaussianMixture::new(&vec![1.0; k], &points[..k * d], &unit(kind, k, d), kind).unwrap();
    let gamma = mixture.responsibilities(&data).unwrap();
    let (_, expected) = mixture.expectation(&data).unwrap();
    let counts = expected.counts().to_vec();
    mixture.maximization(&data, expected).unwrap();
    let each = || gamma.chunks_exact(k).zip(data.rows());
    // Sums of n terms of size 10.
    let allowance = 1e-15 * n as f64;
    assert!(each().all(|(gamma, _)| (gamma.iter().sum::<f64>() - 1.0).abs() < 1e-14));
    let mut scatter = vec![0.0; k * d * d];
    for (c, count) in counts.iter().enumerate() {
        // C_k = Σᵢ γ_ik/n (Lagrange) and μ_k = Σᵢ γ_ik xᵢ/N_k.
        let share: f64 = each().map(|(gamma, _)| gamma[c]).sum();
        assert!((count - share).abs() < allowance && (mixture.weights()[c] - share / n as f64).abs() < 1e-13);
        let mean = &mixture.means()[c * d..][..d];
        let sums: Vec<f64> = (0..d).map(|j| each().map(|(g, x)| g[c] * x[j]).sum::<f64>() / count).collect();
        assert!(distance(&sums, mean) < 10.0 * allowance);
        // Σᵢ γ_ik (x−μ_k)(x−μ_k)ᵀ.
        for (gamma, x) in each() {
            for (at, sum) in scatter[c * d * d..][..d * d].iter_mut().enumerate() {
                *sum += gamma[c] * (x[at / d] - mean[at / d]) * (x[at % d] - mean[at % d]);
            }
        }
    }
    // Σ_k is that over N_k, reduced to what the kind allows.
    for (c, count) in counts.iter().enumerate() {
        let own = &scatter[c * d * d..][..d * d];
        for (at, got) in mixture.covariance(c).unwrap().iter().enumerate() {
            let expected = match kind {
                Covariance::Full => own[at] / count,
                Covariance::Tied => scatter.iter().skip(at).step_by(d * d).sum::<f64>() / n as f64,
                _ if at / d != at % d => 0.0,
                Covariance::Diagonal => own[at] / count,
                Covariance::Spherical => own.iter().step_by(d + 1).sum::<f64>() / count / d as f64,
            };
            assert!((got - expected).abs() < 100.0 * allowance, "{kind:?} {c} {at}: {got} {expected}");
        }
    }
    assert!(mixture.covariance(k).is_none());
}

#[test]
fn t08_steps_are_the_weighted_moments() {
    for kind in KINDS {
        step_is_its_formula(kind, 300, 3, 3);
        step_is_its_formula(kind, 500, 8, 2);
    }
    // More second moments than one block's sums have room for.
    step_is_its_formula(Covariance::Full, 5000, 24, 30);
}

#[test]
fn t08_densities_are_those_of_the_formula() {
    let mut rng = rng(4);
    for d in [1, 2, 3, 4, 5, 17] {
        let means: Vec<f64> = (0..3 * d).map(|_| standard_normal(&mut rng)).collect();
        let sigmas: Vec<f64> = (0..3).flat_map(|_| covariance(&mut rng, d)).collect();
        let weights = [0.2, 0.5, 0.3];
        let mixture = GaussianMixture::new(&weights, &means, &sigmas, Covariance::Full).unwrap();
        let parts: Vec<MultivariateGaussian> = (0..3)
            .map(|k| MultivariateGaussian::new(&means[k * d..][..d], &sigmas[k * d * d..][..d * d]).unwrap())
            .collect();
        // Two blocks and a part of one.
        let points: Vec<f64> = (0..150 * d).map(|_| 3.0 * standard_normal(&mut rng)).collect();
        let data = Data::new(&points, d).unwrap();
        let scores = mixture.score_samples(&data).unwrap();
        let labels = mixture.predict(&data).unwrap();
        for ((x, score), label) in data.rows().zip(scores).zip(labels) {
            let joint: Vec<f64> = weights.iter().zip(&parts).map(|(w, q)| w.ln() + q.log_density(x)).collect();
            let largest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let expected = largest + joint.iter().map(|j| (j - largest).exp()).sum::<f64>().ln();
            let allowance = 1e-12 * (1.0 + expected.abs());
            assert!((score - expected).abs() < allowance, "{d}: {score} {expected}");
            assert!((mixture.log_density(x) - expected).abs() < allowance);
            assert!(distance(&mixture.log_joint(x), &joint) < allowance * 10.0);
            assert_eq!(joint[label], largest);
        }
        assert_eq!(mixture.parameters(), 2 + 3 * d + 3 * d * (d + 1) / 2);
    }
}

#[test]
fn t08_one_component_is_the_gaussian() {
    let points = clusters(5, 200, 3, 2, 1.0);
    let data = Data::new(&points, 3).unwrap();
    let options = Options { floor: 0.0, ..Options::default() };
    let mixture = GaussianMixture::fit(&data, 1, &options).unwrap().mixture;
    let q = MultivariateGaussian::fit(&data).unwrap();
    assert!(distance(mixture.means(), q.mean()) < 1e-13);
    assert!(distance(mixture.covariances(), q.covariance()) < 1e-13);
    assert!((mixture.bic(&data).unwrap() - bic(&q, &data)).abs() < 1e-9);
    assert!((mixture.log_likelihood(&data).unwrap() - log_likelihood(&q, &data)).abs() < 1e-12);
}

#[test]
fn t08_weights_count_points() {
    let (n, d) = (200, 3);
    let points = clusters(6, n, d, 3, 2.0);
    let gaps = with_gaps(&points, 8, 6);
    let weights: Vec<f64> = (0..n).map(|i| (i % 4) as f64).collect();
    for points in [points, gaps] {
        let repeated: Vec<f64> = points.chunks_exact(d).enumerate().flat_map(|(i, x)| x.repeat(i % 4)).collect();
        let weighted = Data::with_missing(&points, d).unwrap().weighted(&weights).unwrap();
        let repeated = Data::with_missing(&repeated, d).unwrap();
        assert_eq!(weighted.total_weight(), repeated.len() as f64);
        for kind in KINDS {
            let means: Vec<f64> = points[..9 * d].iter().copied().filter(|x| !x.is_nan()).take(3 * d).collect();
            let mut once = GaussianMixture::new(&[1.0; 3], &means, &unit(kind, 3, d), kind).unwrap();
            let mut often = once.clone();
            let limits = Limits { iterations: 8, tolerance: f64::NEG_INFINITY };
            ascend(&mut once, &weighted, &limits, |_| Continue(())).unwrap();
            ascend(&mut often, &repeated, &limits, |_| Continue(())).unwrap();
            // Sums in another order.
            assert!(distance(once.means(), often.means()) < 1e-10, "{kind:?}");
            assert!(distance(once.covariances(), often.covariances()) < 1e-10, "{kind:?}");
            assert!(distance(once.weights(), often.weights()) < 1e-11, "{kind:?}");
            let (a, b) = (once.bic(&weighted).unwrap(), often.bic(&repeated).unwrap());
            assert!((a - b).abs() < 1e-8, "{kind:?}");
        }
    }
}

#[test]
fn t08_missing_values_are_integrated_out() {
    let mut rng = rng(7);
    let means = [0.0, 0.0, 0.0, 2.0, -1.0, 1.0];
    let sigmas = [covariance(&mut rng, 3), covariance(&mut rng, 3)].concat();
    let mixture = GaussianMixture::new(&[0.4, 0.6], &means, &sigmas, Covariance::Full).unwrap();
    let nan = f64::NAN;
    let points = [0.3, nan, -0.7, nan, nan, 1.0, nan, nan, nan, 0.5, 0.5, 0.5];
    let data = Data::with_missing(&points, 3).unwrap();
    // The marginal of a Gaussian has the rows and columns that are left.
    let marginal = |keep: &[usize]| {
        let means: Vec<f64> = (0..2).flat_map(|k| keep.iter().map(move |i| means[k * 3 + i])).collect();
        let sigmas: Vec<f64> = (0..2)
            .flat_map(|k| keep.iter().flat_map(move |i| keep.iter().map(move |j| k * 9 + i * 3 + j)))
            .map(|at| sigmas[at])
            .collect();
        GaussianMixture::new(&[0.4, 0.6], &means, &sigmas, Covariance::Full).unwrap()
    };
    let expected = [
        marginal(&[0, 2]).log_density(&[0.3, -0.7]),
        marginal(&[2]).log_density(&[1.0]),
        0.0,
        mixture.log_density(&[0.5, 0.5, 0.5]),
    ];
    assert!(distance(&mixture.score_samples(&data).unwrap(), &expected) < 1e-13);
    // The expectation of what is missing: against the integral over it, by the trapezoid rule.
    let imputed = mixture.impute(&data).unwrap();
    let (mut mass, mut moment) = (0.0, 0.0);
    for i in -4000..=4000 {
        let y = f64::from(i) * 0.01;
        let density = mixture.log_density(&[0.3, y, -0.7]).exp();
        (mass, moment) = (mass + density, moment + y * density);
    }
    assert!((imputed[1] - moment / mass).abs() < 1e-11, "{} {}", imputed[1], moment / mass);
    assert_eq!([imputed[0], imputed[2], imputed[5], imputed[9]], [0.3, -0.7, 1.0, 0.5]);
    // Nothing known: the mean of the mixture.
    assert!(distance(&imputed[6..9], &[1.2, -0.6, 0.6]) < 1e-13);
    // A point without any coordinate has the weights as responsibilities.
    assert!(distance(&mixture.responsibilities(&data).unwrap()[4..6], &[0.4, 0.6]) < 1e-15);
}

#[test]
fn t08_learns_from_gaps_what_it_learns_without() {
    let (n, d) = (20_000, 2);
    let sigmas = [1.0, 0.8, 0.8, 1.0, 1.0, -0.5, -0.5, 2.0];
    let truth = GaussianMixture::new(&[0.35, 0.65], &[-4.0, 0.0, 4.0, 1.0], &sigmas, Covariance::Full).unwrap();
    let points = truth.sample(&mut rng(8), n);
    let gaps = with_gaps(&points, 4, 9);
    let limits = Limits { iterations: 300, tolerance: 1e-10 };
    let options = Options { limits, ..Options::default() };
    let fitted = GaussianMixture::fit(&Data::with_missing(&gaps, d).unwrap(), 2, &options).unwrap();
    never_falls(&fitted.ascent.bounds);
    assert_eq!(fitted.ascent.end, End::Converged);
    let mixture = fitted.mixture;
    let first = usize::from(mixture.weights()[0] > 0.5);
    for (k, at) in [(0, first), (1, 1 - first)] {
        // Few are between the clusters: errors are those of the known coordinates' means and moments, and
        // a gap takes a quarter. 4.5 deviations, with 1/√(¾·0.35·n) of a coordinate's deviation of 1.5.
        let error = 4.5 * 1.5 / (0.75 * 0.35 * n as f64).sqrt();
        assert!((mixture.weights()[at] - truth.weights()[k]).abs() < error);
        assert!(distance(&mixture.means()[at * d..][..d], &truth.means()[k * d..][..d]) < error);
        // (Σ_ii Σ_jj + Σ_ij²)/n is at most 8/n, over pairs of which (¾)² are known.
        let error = 4.5 * (8.0 / (0.5625 * 0.35 * n as f64)).sqrt();
        assert!(distance(&mixture.covariances()[at * 4..][..4], &truth.covariances()[k * 4..][..4]) < error);
    }
    // What is filled in is the conditional expectation: residuals are orthogonal to what is known.
    let imputed = truth.impute(&Data::with_missing(&gaps, d).unwrap()).unwrap();
    for j in 0..d {
        let rows = gaps.chunks_exact(d).zip(points.chunks_exact(d)).zip(imputed.chunks_exact(d));
        let lacking: Vec<(f64, f64)> = rows
            .filter(|((gap, _), _)| gap[j].is_nan() && !gap[1 - j].is_nan())
            .map(|((gap, x), guess)| (x[j] - guess[j], gap[1 - j]))
            .collect();
        assert!(lacking.len() > n / 8);
        for power in 0..3 {
            let terms = || lacking.iter().map(|(residual, known)| residual * known.powi(power));
            let count = lacking.len() as f64;
            let (mean, square) = (terms().sum::<f64>() / count, terms().map(|x| x * x).sum::<f64>() / count);
            assert!(mean.abs() < 4.5 * (square / count).sqrt(), "{j} {power}: {mean}");
        }
    }
}

#[test]
fn t08_bic_finds_the_number_of_components() {
    let means = [0.0, 0.0, 8.0, 0.0, 0.0, 8.0];
    let truth = GaussianMixture::new(&[1.0; 3], &means, &unit(Covariance::Full, 3, 2), Covariance::Full).unwrap();
    let points = truth.sample(&mut rng(10), 900);
    let data = Data::new(&points, 2).unwrap();
    let options = Options { restarts: 3, ..Options::default() };
    let scores: Vec<f64> =
        (1..=5).map(|k| GaussianMixture::fit(&data, k, &options).unwrap().mixture.bic(&data).unwrap()).collect();
    assert!((0..5).all(|k| k == 2 || scores[2] < scores[k]), "{scores:?}");
    // The true law is spherical, so that kind is the cheapest of those that hold it.
    let of = |covariance| {
        let fitted = GaussianMixture::fit(&data, 3, &Options { covariance, ..options }).unwrap();
        fitted.mixture.bic(&data).unwrap()
    };
    assert!(of(Covariance::Spherical) < of(Covariance::Diagonal) && of(Covariance::Diagonal) < scores[2]);
}

#[test]
fn t08_samples_have_the_moments_and_shares() {
    let n = 50_000;
    for kind in KINDS {
        let sigma = match kind {
            Covariance::Full => vec![1.0, 0.6, 0.6, 1.0, 2.0, -0.5, -0.5, 0.5],
            Covariance::Tied => vec![1.0, 0.6, 0.6, 1.0],
            Covariance::Diagonal => vec![1.0, 0.5, 2.0, 0.2],
            Covariance::Spherical => vec![0.5, 2.0],
        };
        let truth = GaussianMixture::new(&[3.0, 1.0], &[-1.0, 0.0, 3.0, 2.0], &sigma, kind).unwrap();
        let (points, labels) = truth.sample_labelled(&mut rng(11), n);
        let share = labels.iter().filter(|k| **k == 0).count() as f64 / n as f64;
        assert!((share - 0.75).abs() < 4.5 * (0.75 * 0.25 / n as f64).sqrt(), "{kind:?}");
        for k in 0..2 {
            let own: Vec<f64> = points
                .chunks_exact(2)
                .zip(&labels)
                .filter(|(_, label)| **label == k)
                .flat_map(|(x, _)| x.to_vec())
                .collect();
            let count = own.len() as f64 / 2.0;
            let fitted = MultivariateGaussian::fit(&Data::new(&own, 2).unwrap()).unwrap();
            let exact = MultivariateGaussian::new(&truth.means()[k * 2..][..2], &truth.covariance(k).unwrap()).unwrap();
            // χ² of five degrees of freedom: above 31 once in 10⁵.
            assert!(2.0 * count * fitted.kl(&exact) < 31.0, "{kind:?} {k}");
        }
        assert_eq!(truth.sample(&mut rng(11), n), points);
    }
}

#[test]
fn t08_results_depend_on_the_seed_alone() {
    let points = clusters(12, 3000, 4, 5, 2.0);
    let data = Data::new(&points, 4).unwrap();
    let options = Options { seed: 5, restarts: 2, ..Options::default() };
    let once = GaussianMixture::fit(&data, 5, &options).unwrap();
    assert_eq!(once, GaussianMixture::fit(&data, 5, &options).unwrap());
    let threaded = GaussianMixture::fit(&data, 5, &Options { threads: 3, ..options }).unwrap();
    assert_eq!(once.ascent, threaded.ascent);
    assert_eq!(once.mixture.covariances(), threaded.mixture.covariances());
    let other = GaussianMixture::fit(&data, 5, &Options { seed: 6, ..options }).unwrap();
    assert_ne!(once.ascent.bounds[0], other.ascent.bounds[0]);
    // More starts never end lower.
    let more = GaussianMixture::fit(&data, 5, &Options { restarts: 6, ..options }).unwrap();
    assert!(more.ascent.bound() >= once.ascent.bound());
    // Units of coordinates do not matter: powers of two change no bit of what was scaled.
    let scaled: Vec<f64> = points.chunks_exact(4).flat_map(|x| [x[0] * 1024.0, x[1], x[2] / 64.0, x[3]]).collect();
    let scaled = GaussianMixture::fit(&Data::new(&scaled, 4).unwrap(), 5, &options).unwrap();
    assert_eq!(scaled.ascent.iterations(), once.ascent.iterations());
    let shift = 1024f64.ln() - 64f64.ln();
    assert!((scaled.ascent.bound() + shift - once.ascent.bound()).abs() < 1e-11);
}

#[test]
fn t08_hook_sees_every_iteration_and_can_end_it() {
    let points = clusters(13, 400, 2, 3, 1.0);
    let data = Data::new(&points, 2).unwrap();
    let limits = Limits { iterations: 10, tolerance: f64::NEG_INFINITY };
    let options = Options { restarts: 3, limits, ..Options::default() };
    let mut told = Vec::new();
    let fitted = GaussianMixture::fit_with(&data, 3, &options, |restart, progress| {
        told.push((restart, progress.iteration));
        if restart == 1 && progress.iteration == 4 { Break(()) } else { Continue(()) }
    });
    let expected: Vec<_> = (0..=10).map(|i| (0, i)).chain((0..=4).map(|i| (1, i))).collect();
    assert_eq!(told, expected);
    let fitted = fitted.unwrap();
    assert_eq!(fitted.ascent.end, if fitted.restart == 1 { End::Cancelled } else { End::Iterations });
}
