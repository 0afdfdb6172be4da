//! T03: maximum likelihood is the nearest member of a family to P₀ in D(P₀‖q).
//! T04: the log-likelihood as the score of a model.

mod common;

use common::{between, rng};
use yuragi_distributions::random::standard_normal;
use yuragi_distributions::score::{aic, bic, log_likelihood};
use yuragi_distributions::{
    Bernoulli, Categorical, Data, Distribution, Empirical, Exponential, Fit, Gaussian, Independent, Laplace, Mixture,
    MultivariateGaussian, Poisson, Scalar, Uniform,
};

/// The place of the minimum of a function with one, by golden section.
fn golden(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let share = 0.5 * (5f64.sqrt() - 1.0);
    let (mut a, mut b) = (high - share * (high - low), low + share * (high - low));
    let (mut f_a, mut f_b) = (f(a), f(b));
    for _ in 0..90 {
        if f_a < f_b {
            (high, b, f_b) = (b, a, f_a);
            a = high - share * (high - low);
            f_a = f(a);
        } else {
            (low, a, f_a) = (a, b, f_b);
            b = low + share * (high - low);
            f_b = f(b);
        }
    }
    0.5 * (low + high)
}

/// Values of size 1 are told apart to 10⁻¹⁵ or so, so a minimum of curvature 1 is found to its root.
const FOUND: f64 = 2e-7;

#[test]
fn t03_gaussian_fit_is_the_numerical_minimiser_of_the_divergence() {
    for n in [2, 5, 20, 300] {
        let mut rng = rng(n);
        let points: Vec<f64> = (0..n).map(|_| 0.5 + 0.8 * standard_normal(&mut rng)).collect();
        let data = Data::scalars(&points).unwrap();
        let p0 = Empirical::new(&data).unwrap();
        let divergence = |mean: f64, log_deviation: f64| p0.kl(&Gaussian::new(mean, log_deviation.exp()).unwrap());
        // The best mean of every deviation, and the best of those.
        let best_mean = |log_deviation: f64| golden(-5.0, 5.0, |mean| divergence(mean, log_deviation));
        let log_deviation = golden(-5.0, 3.0, |s| divergence(best_mean(s), s));
        let q = Gaussian::fit(&data).unwrap();
        let scale = 1.0 + q.deviation();
        assert!((best_mean(log_deviation) - q.mean()).abs() < FOUND * scale, "{n}");
        assert!((log_deviation.exp() - q.deviation()).abs() < FOUND * scale, "{n}");
        // Its variance is over n; over n − 1 it is another, and farther from P₀.
        let mean = points.iter().sum::<f64>() / f64::from(n);
        let squares: f64 = points.iter().map(|x| (x - mean) * (x - mean)).sum();
        assert!((q.variance() * f64::from(n) / squares - 1.0).abs() < 1e-13);
        let unbiased = Gaussian::new(mean, (squares / f64::from(n - 1)).sqrt()).unwrap();
        assert!(p0.kl(&unbiased) > p0.kl(&q));
        // D(P₀‖q) + log-likelihood does not depend on q.
        let other = Gaussian::new(0.0, 2.0).unwrap();
        let sum = |q: &Gaussian| p0.kl(q) + log_likelihood(q, &data);
        assert!((sum(&q) - sum(&other)).abs() < 1e-13 && (sum(&q) + p0.entropy()).abs() < 1e-13);
    }
}

#[test]
fn t03_partition_function_is_the_integral() {
    for (mean, deviation) in [(0.0, 1.0), (3.0, 0.2), (-40.0, 17.0)] {
        let q = Gaussian::new(mean, deviation).unwrap();
        // The trapezoid rule's error for it is 2e^(−2π²/h²) with the step in deviations.
        let step = 0.25;
        let terms = (-200..=200).map(|i| (-0.5 * (step * f64::from(i)).powi(2)).exp());
        let integral = step * deviation * terms.sum::<f64>();
        assert!((integral / q.partition_function() - 1.0).abs() < 1e-14);
        assert!((q.log_density(mean) + q.partition_function().ln()).abs() < 1e-14);
        assert!((q.cdf(mean + deviation) - q.cdf(mean - deviation) - 0.682689492137086).abs() < 1e-14);
    }
}

/// Checks a family of one parameter: its fit against the minimiser of the cross-entropy.
fn fit_is_minimiser<D: Fit>(data: &Data<'_>, range: (f64, f64), make: impl Fn(f64) -> D, read: impl Fn(&D) -> f64) {
    let p0 = Empirical::new(data).unwrap();
    let found = golden(range.0, range.1, |parameter| p0.cross_entropy(&make(parameter)));
    let fitted = read(&D::fit(data).unwrap());
    assert!((found - fitted).abs() < 4.0 * FOUND * (1.0 + fitted), "{found} {fitted}");
}

#[test]
fn t03_other_families_are_minimisers_too() {
    let mut rng = rng(7);
    let weights: Vec<f64> = (0..200).map(|_| between(&mut rng, 0.0, 2.0)).collect();
    let waits = Exponential::new(1.7).unwrap().sample(&mut rng, 200);
    let data = Data::scalars(&waits).unwrap().weighted(&weights).unwrap();
    fit_is_minimiser(&data, (0.1, 9.0), |rate| Exponential::new(rate).unwrap(), Exponential::rate);
    let counts = Poisson::new(3.0).unwrap().sample(&mut rng, 200);
    let data = Data::scalars(&counts).unwrap().weighted(&weights).unwrap();
    fit_is_minimiser(&data, (0.1, 30.0), |rate| Poisson::new(rate).unwrap(), Poisson::rate);
    let flips = Bernoulli::new(0.3).unwrap().sample(&mut rng, 200);
    let data = Data::scalars(&flips).unwrap().weighted(&weights).unwrap();
    fit_is_minimiser(&data, (0.01, 0.99), |p| Bernoulli::new(p).unwrap(), Bernoulli::probability);
    let errors = Laplace::new(0.4, 0.9).unwrap().sample(&mut rng, 201);
    let data = Data::scalars(&errors).unwrap();
    let location = Laplace::fit(&data).unwrap().location();
    fit_is_minimiser(&data, (0.1, 9.0), |scale| Laplace::new(location, scale).unwrap(), Laplace::scale);
    fit_is_minimiser(&data, (-3.0, 3.0), |at| Laplace::new(at, 1.0).unwrap(), Laplace::location);
    // The shares, and the narrowest interval.
    let shares = Categorical::fit(&Data::scalars(&[0.0, 2.0, 2.0, 1.0]).unwrap()).unwrap();
    assert_eq!(shares.probabilities(), [0.25, 0.25, 0.5]);
    let interval = Uniform::fit(&Data::scalars(&[0.5, -1.0, 0.0]).unwrap()).unwrap();
    assert_eq!((interval.low(), interval.high()), (-1.0, 0.5));
}

#[test]
fn t03_weights_count_points() {
    let (points, weights) = ([1.0, 4.0, 2.0, 8.0], [2.0, 0.0, 3.0, 1.0]);
    let repeated = [1.0, 1.0, 2.0, 2.0, 2.0, 8.0];
    let weighted = Data::scalars(&points).unwrap().weighted(&weights).unwrap();
    let repeated = Data::scalars(&repeated).unwrap();
    let (a, b) = (Gaussian::fit(&weighted).unwrap(), Gaussian::fit(&repeated).unwrap());
    assert!((a.mean() - b.mean()).abs() < 1e-15 && (a.variance() - b.variance()).abs() < 1e-14);
    let (a, b) = (Laplace::fit(&weighted).unwrap(), Laplace::fit(&repeated).unwrap());
    assert!(a.location() == b.location() && (a.scale() - b.scale()).abs() < 1e-15);
    assert_eq!(Uniform::fit(&weighted).unwrap(), Uniform::fit(&repeated).unwrap());
    let (a, b) = (Exponential::fit(&weighted).unwrap(), Exponential::fit(&repeated).unwrap());
    assert!((a.rate() / b.rate() - 1.0).abs() < 1e-15);
    assert!((log_likelihood(&a, &weighted) - log_likelihood(&a, &repeated)).abs() < 1e-14);
    assert!((bic(&a, &weighted) - bic(&a, &repeated)).abs() < 1e-12);
}

/// The criteria of one family's fit.
fn criteria<D: Fit>(data: &Data<'_>) -> [f64; 2] {
    let q = D::fit(data).unwrap();
    [aic(&q, data), bic(&q, data)]
}

#[test]
fn t04_criteria_pick_the_true_family() {
    // Twice the expected gain in log-likelihood is 2nD, D being the divergence of the true law from the
    // nearest of the wrong family: 0.048, 0.072, 0.42 and 0.33 below. With n = 2000 that is 6 and more
    // deviations of the gain, each.
    let n = 2000;
    let normal = Gaussian::new(1.0, 2.0).unwrap().sample(&mut rng(1), n);
    let laplace = Laplace::new(1.0, 2.0).unwrap().sample(&mut rng(2), n);
    let (normal, laplace) = (Data::scalars(&normal).unwrap(), Data::scalars(&laplace).unwrap());
    let waits = Exponential::new(0.5).unwrap().sample(&mut rng(3), n);
    let waits = Data::scalars(&waits).unwrap();
    for which in 0..2 {
        assert!(criteria::<Gaussian>(&normal)[which] < criteria::<Laplace>(&normal)[which]);
        assert!(criteria::<Laplace>(&laplace)[which] < criteria::<Gaussian>(&laplace)[which]);
        assert!(criteria::<Exponential>(&waits)[which] < criteria::<Gaussian>(&waits)[which]);
        assert!(criteria::<Exponential>(&waits)[which] < criteria::<Laplace>(&waits)[which]);
    }
    // A richer family that contains the truth always scores better on the data it was fitted to, and is
    // found out by its parameters.
    let counts = Poisson::new(4.0).unwrap().sample(&mut rng(4), n);
    let counts = Data::scalars(&counts).unwrap();
    let (few, many) = (Poisson::fit(&counts).unwrap(), Categorical::fit(&counts).unwrap());
    assert!(log_likelihood(&many, &counts) > log_likelihood(&few, &counts));
    assert!(bic(&few, &counts) < bic(&many, &counts) && aic(&few, &counts) < aic(&many, &counts));
    let loaded = Categorical::new(&[1.0, 0.0, 0.0, 3.0, 1.0]).unwrap().sample(&mut rng(5), n);
    let loaded = Data::scalars(&loaded).unwrap();
    assert!(criteria::<Categorical>(&loaded)[1] < criteria::<Poisson>(&loaded)[1]);
}

#[test]
fn t04_criteria_pick_a_needless_parameter_as_often_as_wilks_says() {
    let (n, repeats) = (400, 1000);
    let truth = MultivariateGaussian::new(&[0.0, 0.0], &[1.0, 0.0, 0.0, 1.0]).unwrap();
    let mut rng = rng(6);
    let mut picked = [0.0; 2];
    for _ in 0..repeats {
        let points = truth.sample(&mut rng, n);
        let data = Data::new(&points, 2).unwrap();
        let (apart, joint) = (criteria::<Independent<Gaussian>>(&data), criteria::<MultivariateGaussian>(&data));
        (0..2).for_each(|which| picked[which] += f64::from(joint[which] < apart[which]));
    }
    // Twice the gain in log-likelihood is χ² of one degree of freedom, up to O(1/n): AIC asks for more
    // than 2, BIC for more than ln n.
    for (picked, price) in picked.iter().zip([2.0, (n as f64).ln()]) {
        let expected = libm::erfc((0.5 * price).sqrt());
        let share = picked / f64::from(repeats);
        let allowance = 4.5 * (expected * (1.0 - expected) / f64::from(repeats)).sqrt() + 2.0 / n as f64;
        assert!((share - expected).abs() < allowance, "{share} {expected}");
    }
    // A correlation of ½ is worth 2n·½ ln(4/3) = 115 ≫ ln n.
    let correlated = MultivariateGaussian::new(&[0.0, 0.0], &[1.0, 0.5, 0.5, 1.0]).unwrap();
    let points = correlated.sample(&mut rng, n);
    let data = Data::new(&points, 2).unwrap();
    assert!(criteria::<MultivariateGaussian>(&data)[1] < criteria::<Independent<Gaussian>>(&data)[1]);
}

#[test]
fn t04_criteria_are_their_formulas() {
    let points = [0.3, -1.0, 2.0];
    let data = Data::scalars(&points).unwrap();
    let q = Gaussian::new(0.1, 1.2).unwrap();
    let sum: f64 = points.iter().map(|x| q.log_density(*x)).sum();
    assert!((log_likelihood(&q, &data) - sum / 3.0).abs() < 1e-15);
    assert!((aic(&q, &data) - (4.0 - 2.0 * sum)).abs() < 1e-14);
    assert!((bic(&q, &data) - (2.0 * 3f64.ln() - 2.0 * sum)).abs() < 1e-14);
    let components = vec![q, Gaussian::new(0.0, 1.0).unwrap(), Gaussian::new(4.0, 1.0).unwrap()];
    assert_eq!(Mixture::new(&[1.0; 3], components).unwrap().parameters(), 3 * 2 + 2);
    // Impossible points, and data of another dimension.
    assert_eq!(log_likelihood(&Uniform::new(0.0, 1.0).unwrap(), &data), f64::NEG_INFINITY);
    assert_eq!(log_likelihood(&q, &Data::new(&[0.0, 0.0], 2).unwrap()), f64::NEG_INFINITY);
}
