//! T02: divergences, their inequalities, and their three ways of being computed.

mod common;

use common::{between, covariance, probabilities, rng};
use yuragi_distributions::divergence::Divergence::TotalVariation;
use yuragi_distributions::divergence::Divergence::{self, JensenShannon, KullbackLeibler, ReverseKullbackLeibler};
use yuragi_distributions::random::{index, standard_normal};
use yuragi_distributions::{
    Bernoulli, Categorical, Distribution, Error, Exponential, Extent, Gaussian, Independent, Information, Laplace,
    Mixture, MultivariateGaussian, Poisson, Scalar, Uniform,
};
use yuragi_numeric::philox::Philox;

/// Sums of at most 20 terms of size 1 are rounded by less.
const ROUNDING: f64 = 1e-14;

fn of(divergence: Divergence, p: &[f64], q: &[f64]) -> f64 {
    divergence.of_probabilities(p, q).unwrap()
}

#[test]
fn t02_inequalities_hold_for_random_distributions() {
    let mut rng = rng(1);
    let (mut asymmetric, mut cases) = (0, 0);
    for case in 0..2000 {
        let n = 1 + index(&mut rng, 20);
        let mut lists = [(); 3].map(|()| probabilities(&mut rng, n));
        if case % 5 == 0 && n > 1 {
            // A state that only one of them has.
            let moved = std::mem::take(&mut lists[case % 3][0]);
            lists[case % 3][1] += moved;
        }
        let [p, q, other] = lists;
        let (forward, reverse) = (of(KullbackLeibler, &p, &q), of(ReverseKullbackLeibler, &p, &q));
        let (shannon, variation) = (of(JensenShannon, &p, &q), of(TotalVariation, &p, &q));
        // Gibbs: never negative, 0 for equals alone.
        for divergence in Divergence::ALL {
            let value = of(divergence, &p, &q);
            assert!(value >= 0.0 && (value > 0.0 || n == 1), "{divergence:?} {p:?} {q:?}");
            assert!(of(divergence, &p, &p) <= ROUNDING * ROUNDING, "{divergence:?} {p:?}");
        }
        assert_eq!(reverse, of(KullbackLeibler, &q, &p));
        cases += usize::from(n > 1);
        asymmetric += usize::from((forward - reverse).abs() > 1e-9 * forward.min(reverse));
        // Bounds and symmetry.
        assert!(shannon <= std::f64::consts::LN_2 + ROUNDING && variation <= 1.0 + ROUNDING);
        assert!((shannon - of(JensenShannon, &q, &p)).abs() <= ROUNDING);
        assert_eq!(variation, of(TotalVariation, &q, &p));
        // Pinsker; Bretagnolle and Huber; Lin.
        assert!(variation <= (0.5 * forward.min(reverse)).sqrt() + ROUNDING);
        assert!(variation <= (-(-forward).exp_m1()).sqrt() + ROUNDING);
        assert!(0.5 * variation * variation <= shannon + ROUNDING);
        assert!(shannon <= std::f64::consts::LN_2 * variation + ROUNDING);
        assert!(shannon <= 0.25 * (forward + reverse) + ROUNDING);
        // Distances: the total variation, and the root of Jensen and Shannon's.
        let through = |divergence| (of(divergence, &p, &other), of(divergence, &other, &q));
        let (a, b) = through(TotalVariation);
        assert!(variation <= a + b + ROUNDING);
        let (a, b) = through(JensenShannon);
        assert!(shannon.sqrt() <= a.sqrt() + b.sqrt() + ROUNDING);
        // Looking less closely brings distributions nearer.
        if n > 2 {
            let merged = |list: &[f64]| [&[list[0] + list[1]], &list[2..]].concat();
            for divergence in Divergence::ALL {
                assert!(of(divergence, &merged(&p), &merged(&q)) <= of(divergence, &p, &q) + ROUNDING);
            }
        }
        // Jensen, of which Gibbs is the case a = q/p.
        let a: Vec<f64> = (0..n).map(|_| between(&mut rng, -3.0, 3.0).exp()).collect();
        let mean: f64 = p.iter().zip(&a).map(|(p, a)| p * a).sum();
        let mean_log: f64 = p.iter().zip(&a).map(|(p, a)| p * a.ln()).sum();
        assert!(mean_log <= mean.ln() + ROUNDING);
    }
    assert!(asymmetric as f64 > 0.95 * cases as f64, "{asymmetric} of {cases}");
}

/// The closed forms against the integral, in both directions.
fn closed_equals_quadrature<D: Information + Scalar + std::fmt::Debug>(make: impl Fn(&mut Philox) -> D, seed: u32) {
    let mut rng = rng(seed);
    for _ in 0..40 {
        let (p, q) = (make(&mut rng), make(&mut rng));
        for (closed, divergence) in [(p.kl(&q), KullbackLeibler), (q.kl(&p), ReverseKullbackLeibler)] {
            let integral = divergence.by_quadrature(&p, &q);
            // The integral is good to 10⁻¹², and rounding of densities adds as much; extents leave out 10⁻¹⁷.
            assert!((closed - integral).abs() <= 4e-12 * closed + 1e-14, "{p:?} {q:?}: {closed} {integral}");
            assert!(closed >= 0.0);
        }
        assert!(p.kl(&p) <= 1e-30);
        assert!((p.entropy() - entropy_by_quadrature(&p)).abs() <= 1e-11 * (1.0 + p.entropy().abs()), "{p:?}");
    }
}

#[test]
fn t02_closed_forms_keep_their_digits_far_from_equality() {
    // D from a law 10⁻⁶ as wide is ½(10⁻¹² − 1 − ln 10⁻¹²); from one whose second state has 10⁻¹²,
    // ½ ln(½/(1−10⁻¹²)) + ½ ln(½/10⁻¹²).
    let (point, wide) = (Gaussian::new(0.0, 1e-6).unwrap(), Gaussian::new(0.0, 1.0).unwrap());
    let exact = 0.5 * (1e-12 - 1.0) + 6.0 * std::f64::consts::LN_10;
    assert!((point.kl(&wide) / exact - 1.0).abs() < 1e-15, "{} {exact}", point.kl(&wide));
    let exact = 6.0 * std::f64::consts::LN_10 - std::f64::consts::LN_2 - 0.5 * (-1e-12f64).ln_1p();
    let (coin, sure) = (Bernoulli::new(0.5).unwrap(), Bernoulli::new(1e-12).unwrap());
    assert!((coin.kl(&sure) / exact - 1.0).abs() < 1e-15, "{} {exact}", coin.kl(&sure));
    // Nearly equal: ½ε² to leading order, ε = 10⁻⁷; the next term is smaller by ε.
    let near = Gaussian::new(1e-7, 1.0).unwrap();
    assert!((near.kl(&wide) / 0.5e-14 - 1.0).abs() < 1e-15);
    let near = Bernoulli::new(0.5 + 1e-7).unwrap();
    assert!((near.kl(&coin) / 2e-14 - 1.0).abs() < 1e-7, "{}", near.kl(&coin));
}

/// H(p) = ln w − D(p‖u), where u is uniform on a range of w that covers p.
fn entropy_by_quadrature<D: Scalar>(p: &D) -> f64 {
    match p.extent() {
        Extent::Reals(marks) => {
            let (low, high) = (marks[0], marks[marks.len() - 1]);
            let u = Uniform::new(low, high).unwrap();
            (high - low).ln() - KullbackLeibler.by_quadrature(p, &u)
        }
        Extent::Integers(_, last) => {
            let u = Categorical::new(&vec![1.0; last as usize + 1]).unwrap();
            (last as f64 + 1.0).ln() - KullbackLeibler.by_quadrature(p, &u)
        }
    }
}

#[test]
fn t02_closed_forms_equal_quadrature() {
    let real = |rng: &mut Philox| between(rng, -3.0, 3.0);
    let positive = |rng: &mut Philox| between(rng, -1.5, 1.5).exp();
    closed_equals_quadrature(|rng| Gaussian::new(real(rng), positive(rng)).unwrap(), 10);
    closed_equals_quadrature(|rng| Laplace::new(real(rng), positive(rng)).unwrap(), 11);
    closed_equals_quadrature(|rng| Exponential::new(positive(rng)).unwrap(), 12);
    closed_equals_quadrature(|rng| Poisson::new(20.0 * positive(rng)).unwrap(), 13);
    closed_equals_quadrature(|rng| Bernoulli::new(between(rng, 0.001, 0.999)).unwrap(), 14);
    closed_equals_quadrature(|rng| Categorical::new(&probabilities(rng, 7)).unwrap(), 15);
}

#[test]
fn t02_total_variation_of_gaussians_equals_quadrature() {
    let mut rng = rng(2);
    for case in 0..200 {
        let narrow = if case % 4 == 0 { 1.0 } else { between(&mut rng, -2.0, 2.0).exp() };
        let p = Gaussian::new(between(&mut rng, -2.0, 2.0), 1.0).unwrap();
        let q = Gaussian::new(between(&mut rng, -2.0, 2.0), narrow).unwrap();
        let (closed, integral) = (p.total_variation(&q), TotalVariation.by_quadrature(&p, &q));
        assert!((closed - integral).abs() < 1e-12, "{p:?} {q:?}: {closed} {integral}");
        assert!((closed - q.total_variation(&p)).abs() < 1e-15);
    }
}

#[test]
fn t02_support_decides_what_is_infinite() {
    let (wide, narrow) = (Uniform::new(0.0, 2.0).unwrap(), Uniform::new(0.5, 1.0).unwrap());
    assert_eq!(wide.kl(&narrow), f64::INFINITY);
    assert_eq!(narrow.kl(&wide), 4f64.ln());
    assert!((KullbackLeibler.by_quadrature(&narrow, &wide) - 4f64.ln()).abs() < 1e-12);
    assert_eq!(KullbackLeibler.by_quadrature(&wide, &narrow), f64::INFINITY);
    assert!((TotalVariation.by_quadrature(&wide, &narrow) - 0.75).abs() < 1e-12);
    // No common support: the bounds are reached.
    let apart = Uniform::new(5.0, 6.0).unwrap();
    assert!((JensenShannon.by_quadrature(&wide, &apart) - 2f64.ln()).abs() < 1e-12);
    assert!((TotalVariation.by_quadrature(&wide, &apart) - 1.0).abs() < 1e-12);
    // A discrete and a continuous law have none.
    let counts = Poisson::new(1.0).unwrap();
    assert_eq!(KullbackLeibler.by_quadrature(&counts, &wide), f64::INFINITY);
    assert_eq!(TotalVariation.by_quadrature(&counts, &wide), 1.0);
    assert_eq!(of(KullbackLeibler, &[0.5, 0.5], &[1.0, 0.0]), f64::INFINITY);
    assert_eq!(of(KullbackLeibler, &[1.0, 0.0], &[0.5, 0.5]), 2f64.ln());
    let sampled = KullbackLeibler.by_sampling(&wide, &narrow, 100, &mut rng(3)).unwrap();
    assert_eq!((sampled.value, sampled.standard_error), (f64::INFINITY, f64::INFINITY));
    // Far apart, where every density underflows: the logarithm is still exact.
    let (here, there) = (Gaussian::new(0.0, 1.0).unwrap(), Gaussian::new(100.0, 1.0).unwrap());
    assert_eq!(here.kl(&there), 5000.0);
    assert!((KullbackLeibler.by_quadrature(&here, &there) - 5000.0).abs() < 1e-8);
}

#[test]
fn t02_multivariate_closed_form_has_its_symmetries() {
    let mut rng = rng(4);
    for d in 1..6 {
        let normal = |rng: &mut Philox| -> Vec<f64> { (0..d).map(|_| standard_normal(rng)).collect() };
        let (mean_p, mean_q) = (normal(&mut rng), normal(&mut rng));
        let (sigma_p, sigma_q) = (covariance(&mut rng, d), covariance(&mut rng, d));
        let p = MultivariateGaussian::new(&mean_p, &sigma_p).unwrap();
        let q = MultivariateGaussian::new(&mean_q, &sigma_q).unwrap();
        let kl = p.kl(&q);
        // y = A·x changes no divergence.
        let a = covariance(&mut rng, d);
        let image = |mean: &[f64], sigma: &[f64]| {
            let times = |left: &[f64], right: &[f64], columns: usize| -> Vec<f64> {
                let entry = |at: usize| {
                    (0..d).map(|k| left[at / columns * d + k] * right[k * columns + at % columns]).sum::<f64>()
                };
                (0..d * columns).map(entry).collect()
            };
            // A is symmetric: AΣAᵀ = A(ΣA).
            let mut square = times(&a, &times(sigma, &a, d), d);
            for i in 0..d {
                for j in 0..i {
                    square[j * d + i] = square[i * d + j];
                }
            }
            MultivariateGaussian::new(&times(&a, mean, 1), &square).unwrap()
        };
        let moved = image(&mean_p, &sigma_p).kl(&image(&mean_q, &sigma_q));
        // Condition numbers of A and Σ are below 10³ each.
        assert!((moved / kl - 1.0).abs() < 1e-9, "{d}: {kl} {moved}");
        assert!(p.kl(&p) < 1e-24 && kl > 0.0);
        // With diagonal covariances it is the sum over coordinates.
        let diagonal = |sigma: &[f64]| -> Vec<f64> {
            sigma.iter().enumerate().map(|(at, x)| if at % (d + 1) == 0 { *x } else { 0.0 }).collect()
        };
        let factors = |mean: &[f64], sigma: &[f64]| -> Vec<Gaussian> {
            (0..d).map(|j| Gaussian::new(mean[j], sigma[j * d + j].sqrt()).unwrap()).collect()
        };
        let p = MultivariateGaussian::new(&mean_p, &diagonal(&sigma_p)).unwrap();
        let q = MultivariateGaussian::new(&mean_q, &diagonal(&sigma_q)).unwrap();
        let single = factors(&mean_p, &sigma_p);
        let sum: f64 = single.iter().zip(factors(&mean_q, &sigma_q)).map(|(p, q)| p.kl(&q)).sum();
        assert!((p.kl(&q) - sum).abs() < 1e-12 * sum, "{d}");
        let independent = Independent::new(single).unwrap();
        assert!((independent.entropy() - p.entropy()).abs() < 1e-12);
    }
}

/// Squares of (estimate − exact)/error over seeds.
fn squared_scores<P: Distribution, Q: Distribution>(p: &P, q: &Q, which: Divergence, exact: f64) -> Vec<f64> {
    (0..50)
        .map(|seed| {
            let estimate = which.by_sampling(p, q, 4000, &mut rng(1000 + seed)).unwrap();
            ((estimate.value - exact) / estimate.standard_error).powi(2)
        })
        .collect()
}

#[test]
fn t02_estimates_from_samples_are_within_their_error_bars() {
    let p = Gaussian::new(0.0, 1.0).unwrap();
    let q = Gaussian::new(0.7, 1.3).unwrap();
    let narrow = MultivariateGaussian::new(&[0.0, 0.0], &[1.0, 0.4, 0.4, 1.0]).unwrap();
    let wide = MultivariateGaussian::new(&[0.5, -0.5], &[1.5, 0.0, 0.0, 1.2]).unwrap();
    let mixture = Mixture::new(&[0.3, 0.7], vec![Laplace::new(-1.0, 1.0).unwrap(), Laplace::new(1.0, 0.8).unwrap()]);
    let mixture = mixture.unwrap();
    let (few, more) = (Poisson::new(4.0).unwrap(), Poisson::new(5.0).unwrap());
    let mut squares = Vec::new();
    for divergence in Divergence::ALL {
        squares.extend(squared_scores(&p, &q, divergence, divergence.by_quadrature(&p, &q)));
        squares.extend(squared_scores(&p, &mixture, divergence, divergence.by_quadrature(&p, &mixture)));
        squares.extend(squared_scores(&few, &more, divergence, divergence.by_quadrature(&few, &more)));
    }
    squares.extend(squared_scores(&narrow, &wide, KullbackLeibler, narrow.kl(&wide)));
    squares.extend(squared_scores(&narrow, &wide, ReverseKullbackLeibler, wide.kl(&narrow)));
    // Means of 4000 terms are all but normal, so squares have the mean 1 and the deviation √2.
    let count = squares.len() as f64;
    let mean = squares.iter().sum::<f64>() / count;
    assert!((mean - 1.0).abs() < 4.5 * (2.0 / count).sqrt(), "{mean} of {count}");
    // The largest of 700: beyond 4.8 with probability 10⁻³.
    assert!(squares.iter().all(|square| *square < 4.8 * 4.8));
}

#[test]
fn t02_wrong_arguments_are_refused() {
    for (p, q) in [
        (vec![0.5, 0.5], vec![1.0]),
        (vec![0.5, 0.6], vec![0.5, 0.5]),
        (vec![1.5, -0.5], vec![0.5, 0.5]),
        (vec![f64::NAN, 1.0], vec![0.5, 0.5]),
        (vec![], vec![]),
    ] {
        assert!(KullbackLeibler.of_probabilities(&p, &q).is_err(), "{p:?} {q:?}");
    }
    let p = Gaussian::new(0.0, 1.0).unwrap();
    let plane = MultivariateGaussian::new(&[0.0, 0.0], &[1.0, 0.0, 0.0, 1.0]).unwrap();
    assert!(matches!(KullbackLeibler.by_sampling(&p, &p, 1, &mut rng(5)), Err(Error::Range { .. })));
    assert!(matches!(KullbackLeibler.by_sampling(&p, &plane, 10, &mut rng(5)), Err(Error::Length { .. })));
}
