//! T01: the empirical distribution and the histogram, which becomes the density as n grows.

mod common;

use common::{distance, rng, slope_weights};
use yuragi_distributions::divergence::Divergence;
use yuragi_distributions::{
    Categorical, Data, Distribution, Empirical, Exponential, Gaussian, Histogram, Information, Scalar,
};

/// Histograms that a mean is over.
const REPEATS: usize = 200;
const FEW: usize = 24;
const LOW: f64 = -7.0;
const HIGH: f64 = 7.0;

/// E|K − t| for K binomial of n and p.
fn mean_distance(n: f64, p: f64, t: f64) -> f64 {
    let log_binomial = |k: f64| libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    // Beyond lies less than 10⁻¹⁶ (Bernstein's inequality).
    let width = 9.0 * (n * p).sqrt() + 30.0;
    let (first, last) = ((n * p - width).max(0.0).floor(), (n * p + width).min(n).ceil());
    let mut k = first;
    let mut probability = (log_binomial(k) + k * p.ln() + (n - k) * (-p).ln_1p()).exp();
    let mut sum = 0.0;
    while k <= last {
        sum += probability * (k - t).abs();
        probability *= (n - k) / (k + 1.0) * p / (1.0 - p);
        k += 1.0;
    }
    sum
}

/// The means of ½Σ|h − P| over `REPEATS` histograms, with what they must be.
fn to_binned_law(law: &Gaussian, n: usize, bins: usize) -> (f64, f64) {
    let mut sum = 0.0;
    let mut expected = 0.0;
    for repeat in 0..REPEATS {
        let points = law.sample(&mut rng((n + repeat) as u32), n);
        let histogram = Histogram::of(&Data::scalars(&points).unwrap(), LOW, HIGH, bins).unwrap();
        sum += histogram.total_variation_to_binned(law);
        if repeat == 0 {
            let n = n as f64;
            expected = histogram.binned(law).iter().map(|p| 0.5 * mean_distance(n, *p, n * p) / n).sum();
        }
    }
    (sum / REPEATS as f64, expected)
}

/// Moving one of n points moves 1/n of the histogram, so a total variation changes by at most 1/n: its
/// variance is at most 1/4n (Efron and Stein). This is 4.5 deviations of the mean of the repeats.
fn allowance(n: usize, repeats: usize) -> f64 {
    4.5 * 0.5 / ((n * repeats) as f64).sqrt()
}

/// The slope of ln y over ln n, and the part of its allowance that sampling takes.
fn measured_slope(sizes: &[usize], y: &[f64], repeats: usize) -> (f64, f64) {
    let x: Vec<f64> = sizes.iter().map(|n| (*n as f64).ln()).collect();
    let weights = slope_weights(&x);
    let slope = weights.iter().zip(y).map(|(w, y)| w * y.ln()).sum();
    let terms = weights.iter().zip(sizes).zip(y).map(|((w, n), y)| (w * allowance(*n, repeats) / y).powi(2));
    (slope, terms.sum::<f64>().sqrt())
}

#[test]
fn t01_with_fixed_bins_the_distance_to_the_binned_law_falls_like_the_root_of_n() {
    let law = Gaussian::new(0.3, 1.0).unwrap();
    let sizes = [500, 2000, 8000, 32_000];
    let mut measured = Vec::new();
    // E|K − nP| → √(2nP(1−P)/π): the law's constant.
    let histogram = Histogram::of(&Data::scalars(&[0.0]).unwrap(), LOW, HIGH, 14).unwrap();
    let constant: f64 =
        histogram.binned(&law).iter().map(|p| 0.5 * (2.0 * p * (1.0 - p) / core::f64::consts::PI).sqrt()).sum();
    let mut finite = 0.0f64;
    for n in sizes {
        let (mean, expected) = to_binned_law(&law, n, 14);
        assert!((mean - expected).abs() < allowance(n, REPEATS), "{n}: {mean} {expected}");
        finite = finite.max((expected * (n as f64).sqrt() / constant).ln().abs());
        measured.push(mean);
    }
    let (slope, sampling) = measured_slope(&sizes, &measured, REPEATS);
    // How far the exact mean is from the law n^(−1/2) at these sizes.
    let x: Vec<f64> = sizes.iter().map(|n| (*n as f64).ln()).collect();
    let bias = finite * slope_weights(&x).iter().map(|w| w.abs()).sum::<f64>();
    assert!(sampling + bias < 0.1, "{sampling} {bias}");
    assert!((slope + 0.5).abs() < sampling + bias, "{slope} within {sampling} + {bias}");
}

/// Bins for a width proportional to n^(−1/3).
fn bins(n: usize) -> usize {
    ((HIGH - LOW) / 3.49 * libm::cbrt(n as f64)).round() as usize
}

/// E ½∫|h − p| of a histogram of n points: the inner mean is exact, the integral by midpoints.
fn mean_to_density(law: &Gaussian, n: usize, bins: usize) -> f64 {
    const STEPS: usize = 16;
    let width = (HIGH - LOW) / bins as f64;
    let count = n as f64;
    let mut sum = 0.0;
    for bin in 0..bins {
        let left = LOW + width * bin as f64;
        let p = law.cdf(left + width) - law.cdf(left);
        for step in 0..STEPS {
            let density = law.log_density(left + width * (step as f64 + 0.5) / STEPS as f64).exp();
            sum += mean_distance(count, p, count * width * density) / count / STEPS as f64;
        }
    }
    0.5 * sum
}

#[test]
fn t01_with_bins_like_the_third_root_the_distance_to_the_density_falls_like_it() {
    let law = Gaussian::new(0.0, 1.0).unwrap();
    let sizes = [500, 4000, 32_000];
    let x: Vec<f64> = sizes.iter().map(|n| (*n as f64).ln()).collect();
    let (mut measured, mut exact) = (Vec::new(), Vec::new());
    for n in sizes {
        let mut sum = 0.0;
        for repeat in 0..FEW {
            let points = law.sample(&mut rng((n + repeat) as u32), n);
            let histogram = Histogram::of(&Data::scalars(&points).unwrap(), LOW, HIGH, bins(n)).unwrap();
            sum += Divergence::TotalVariation.by_quadrature(&histogram, &law);
        }
        let (mean, expected) = (sum / FEW as f64, mean_to_density(&law, n, bins(n)));
        // Midpoints of 16 steps miss a bin's bend by less than a part in a thousand.
        assert!((mean - expected).abs() < allowance(n, FEW) + 1e-3 * expected, "{n}: {mean} {expected}");
        measured.push(mean);
        exact.push(expected);
    }
    let (slope, sampling) = measured_slope(&sizes, &measured, FEW);
    let exact_slope: f64 = slope_weights(&x).iter().zip(&exact).map(|(w, y)| w * y.ln()).sum();
    assert!((slope - exact_slope).abs() < sampling + 2e-3, "{slope} {exact_slope}");
    // Where the expected count of a bin is below 1, the law does not hold yet. That is a share
    // ∝ n^(−1/3) of the distance, so the slope's distance from −1/3 falls like it.
    let distance = |n: usize| {
        let (near, far) = (mean_to_density(&law, n, bins(n)), mean_to_density(&law, 8 * n, bins(8 * n)));
        ((far / near).ln() / 8f64.ln() + 1.0 / 3.0).abs()
    };
    for n in [500, 4000, 32_000] {
        assert!(distance(n) < 1.0 / libm::cbrt(n as f64), "{n}: {}", distance(n));
    }
    assert!((slope + 1.0 / 3.0).abs() < sampling + 2e-3 + distance(500), "{slope}");
    assert!(sampling + distance(500) < 0.1, "neither −1/2 nor 0 would pass");
}

#[test]
fn t01_other_bin_widths_do_not_reach_the_third_root() {
    let law = Gaussian::new(0.0, 1.0).unwrap();
    let slope = |bins: fn(usize) -> usize| {
        let (near, far) = (mean_to_density(&law, 4000, bins(4000)), mean_to_density(&law, 256_000, bins(256_000)));
        (far / near).ln() / 64f64.ln()
    };
    let best = slope(bins);
    // Fixed bins keep their steps; bins like n^(−3/4) keep their noise.
    assert!(slope(|_| 14) > best + 0.2, "{best}");
    assert!(slope(|n| (2.0 * (n as f64).powf(0.75)) as usize) > best + 0.1, "{best}");
}

#[test]
fn t01_empirical_distribution_is_the_data() {
    let data = [2.0, -1.0, 2.0, 5.0];
    let p0 = Empirical::new(&Data::scalars(&data).unwrap()).unwrap();
    assert_eq!(p0.mean(), [2.0]);
    assert_eq!(p0.covariance(), [4.5]);
    assert_eq!([-2.0, -1.0, 2.0, 9.0].map(|x| p0.cdf(x)), [0.0, 0.25, 0.75, 1.0]);
    assert_eq!(p0.log_density(&[2.0]), 0.5f64.ln());
    assert_eq!(p0.log_density(&[0.0]), f64::NEG_INFINITY);
    // Two of four points are equal: ½ ln 2 + ½ ln 4.
    assert!((p0.entropy() - 1.5 * 2f64.ln()).abs() < 1e-15);
    let weighted = Data::scalars(&[2.0, -1.0, 5.0]).unwrap();
    let weighted = Empirical::new(&weighted.weighted(&[2.0, 1.0, 1.0]).unwrap()).unwrap();
    assert_eq!((weighted.mean(), weighted.covariance()), (p0.mean(), p0.covariance()));
    // The bootstrap: shares of 1/4 and 1/2 in 40 000 draws.
    let draws = p0.sample(&mut rng(1), 40_000);
    let share = draws.iter().filter(|x| **x == 2.0).count() as f64 / 40_000.0;
    assert!((share - 0.5).abs() < 4.5 * 0.5 / 200.0, "{share}");
    assert!(draws.iter().all(|x| data.contains(x)));
}

#[test]
fn t01_divergence_from_a_discrete_law_is_that_of_the_counts() {
    let q = Categorical::new(&[1.0, 2.0, 5.0]).unwrap();
    let points = q.sample(&mut rng(2), 300);
    let p0 = Empirical::new(&Data::scalars(&points).unwrap()).unwrap();
    let shares = [0.0, 1.0, 2.0].map(|k| p0.log_density(&[k]).exp());
    let kl = Divergence::KullbackLeibler.of_probabilities(&shares, q.probabilities()).unwrap();
    assert!((p0.kl(&q) - kl).abs() < 1e-13);
    // 2n D(P₀‖q) is χ² of two degrees of freedom: beyond 18.4 with probability 10⁻⁴.
    assert!(kl > 0.0 && 2.0 * 300.0 * kl < 18.4, "{kl}");
}

#[test]
fn t01_histogram_is_a_distribution() {
    let law = Exponential::new(1.5).unwrap();
    let points = law.sample(&mut rng(3), 5000);
    let histogram = Histogram::of(&Data::scalars(&points).unwrap(), 0.0, 2.0, 10).unwrap();
    assert_eq!(histogram.counts().iter().sum::<f64>() + histogram.outside(), 5000.0);
    assert!((histogram.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-14);
    assert_eq!((histogram.cdf(-1.0), histogram.cdf(2.0), histogram.cdf(3.0)), (0.0, 1.0, 1.0));
    let density: f64 = (0..10).map(|b| 0.2 * histogram.log_density(0.2 * b as f64 + 0.1).exp()).sum();
    assert!((density - 1.0).abs() < 1e-14);
    assert_eq!(histogram.log_density(2.1), f64::NEG_INFINITY);
    // Its own samples fill the bins alike: expected distance of 20 000 draws, and 4.5 deviations.
    let draws = histogram.sample(&mut rng(4), 20_000);
    let again = Histogram::of(&Data::scalars(&draws).unwrap(), 0.0, 2.0, 10).unwrap();
    let expected: f64 = histogram.probabilities().iter().map(|p| 0.5 * mean_distance(2e4, *p, 2e4 * p) / 2e4).sum();
    let measured = histogram.total_variation_to_binned(&again);
    assert!((measured - expected).abs() < 4.5 * 0.5 / 2e4f64.sqrt(), "{measured} {expected}");
    // Entropy and divergence are those of the bins.
    let uniform = Histogram::of(&Data::scalars(&[0.1, 1.1]).unwrap(), 0.0, 2.0, 2).unwrap();
    assert!((uniform.entropy() - 2f64.ln()).abs() < 1e-15);
    assert!(histogram.kl(&again) > 0.0 && histogram.kl(&histogram) == 0.0);
    let by_quadrature = Divergence::KullbackLeibler.by_quadrature(&histogram, &again);
    assert!((histogram.kl(&again) - by_quadrature).abs() < 1e-12);
    let edges = histogram.edges();
    assert!(distance(&edges, &(0..=10).map(|i| 0.2 * i as f64).collect::<Vec<_>>()) < 1e-15);
}

#[test]
fn t01_scott_chooses_the_width() {
    let law = Gaussian::new(10.0, 2.0).unwrap();
    let points = law.sample(&mut rng(5), 8000);
    let histogram = Histogram::scott(&Data::scalars(&points).unwrap()).unwrap();
    let edges = histogram.edges();
    // 3.49·2/20 = 0.349 with a measured deviation; rounding the number of bins makes it smaller.
    assert!((0.33..0.36).contains(&(edges[1] - edges[0])), "{}", edges[1] - edges[0]);
    assert_eq!(histogram.outside(), 0.0);
}
