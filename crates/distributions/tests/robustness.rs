//! What goes wrong is said clearly, and nothing that goes right holds a NaN.

mod common;

use core::ops::ControlFlow::Continue;

use common::rng;
use yuragi_distributions::divergence::Divergence;
use yuragi_distributions::em::{ExpectationMaximization, Limits, ascend};
use yuragi_distributions::random::standard_normal;
use yuragi_distributions::score::{bic, log_likelihood};
use yuragi_distributions::{
    Bernoulli, Categorical, Covariance, Data, Distribution, Empirical, Error, Exponential, Fit, Gaussian,
    GaussianMixture, Histogram, Independent, Information, Laplace, Mixture, MultivariateGaussian, Options, Poisson,
    Scalar, Start, Uniform,
};

const KINDS: [Covariance; 4] = [Covariance::Full, Covariance::Diagonal, Covariance::Tied, Covariance::Spherical];
const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

/// Everything a mixture says about data is a number.
fn is_finite(mixture: &GaussianMixture, data: &Data<'_>) {
    let k = mixture.weights().len();
    assert!((mixture.weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    for list in [mixture.weights(), mixture.means(), mixture.covariances()] {
        assert!(list.iter().all(|x| x.is_finite()), "{mixture:?}");
    }
    let gamma = mixture.responsibilities(data).unwrap();
    assert!(gamma.iter().all(|g| (0.0..=1.0 + 1e-12).contains(g)), "{gamma:?}");
    assert!(gamma.chunks_exact(k).all(|g| (g.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    assert!(mixture.score_samples(data).unwrap().iter().all(|score| score.is_finite()));
    assert!(mixture.impute(data).unwrap().iter().all(|x| x.is_finite()));
    assert!(mixture.bic(data).unwrap().is_finite() && mixture.aic(data).unwrap().is_finite());
    assert!(mixture.predict(data).unwrap().iter().all(|label| *label < k));
    assert!(mixture.sample(&mut rng(1), 10).iter().all(|x| x.is_finite()));
}

#[test]
fn data_are_checked_once() {
    assert!(matches!(Data::scalars(&[]), Err(Error::Range { .. })));
    assert!(matches!(Data::new(&[1.0], 0), Err(Error::Range { .. })));
    assert!(matches!(Data::new(&[1.0, 2.0, 3.0], 2), Err(Error::Length { got: 1, expected: 2, .. })));
    for bad in [NAN, INFINITY, -INFINITY, 1e200] {
        let error = Data::new(&[0.0, 1.0, 2.0, bad], 2).unwrap_err();
        assert!(matches!(error, Error::Value { row: 1, column: 1, .. }), "{error}");
    }
    assert!(matches!(Data::with_missing(&[0.0, INFINITY], 2), Err(Error::Value { row: 0, column: 1, .. })));
    let data = Data::scalars(&[1.0, 2.0]).unwrap();
    for weights in [&[1.0][..], &[0.0, 0.0], &[-1.0, 2.0], &[NAN, 1.0], &[INFINITY, 1.0], &[1e308, 1e308]] {
        assert!(data.clone().weighted(weights).is_err(), "{weights:?}");
    }
    assert_eq!(
        Data::scalars(&[1.0, NAN]).unwrap_err().to_string(),
        "point 1, coordinate 0 is NaN; it must be finite and below 1e140 in size"
    );
    let gaps = Data::with_missing(&[1.0, NAN], 1).unwrap();
    assert!(gaps.has_missing());
    assert!(matches!(Gaussian::fit(&gaps), Err(Error::Value { row: 1, .. })));
    assert!(matches!(Laplace::fit(&gaps), Err(Error::Value { row: 1, .. })));
    assert!(Empirical::new(&gaps).is_err() && Histogram::of(&gaps, 0.0, 1.0, 2).is_err());
    assert!(Independent::<Gaussian>::fit(&gaps).is_err() && MultivariateGaussian::fit(&gaps).is_err());
}

#[test]
fn parameters_outside_their_ranges_are_refused() {
    for bad in [NAN, INFINITY, -INFINITY] {
        assert!(Gaussian::new(bad, 1.0).is_err() && Gaussian::new(0.0, bad).is_err());
        assert!(Laplace::new(bad, 1.0).is_err() && Laplace::new(0.0, bad).is_err());
        assert!(Exponential::new(bad).is_err() && Poisson::new(bad).is_err() && Bernoulli::new(bad).is_err());
        assert!(Uniform::new(bad, 1.0).is_err() && Uniform::new(0.0, bad).is_err());
        assert!(Categorical::new(&[1.0, bad]).is_err());
        assert!(GaussianMixture::new(&[bad], &[0.0], &[1.0], Covariance::Full).is_err());
        assert!(GaussianMixture::new(&[1.0], &[bad], &[1.0], Covariance::Full).is_err());
        for kind in KINDS {
            assert!(GaussianMixture::new(&[1.0], &[0.0], &[bad], kind).is_err(), "{kind:?}");
        }
    }
    assert!(Gaussian::new(0.0, 0.0).is_err() && Gaussian::new(0.0, -1.0).is_err());
    assert!(Uniform::new(1.0, 1.0).is_err() && Uniform::new(-1e308, 1e308).is_err());
    assert!(Categorical::new(&[]).is_err() && Categorical::new(&[0.0, 0.0]).is_err());
    assert!(Bernoulli::new(1.5).is_err() && Poisson::new(-1.0).is_err() && Exponential::new(0.0).is_err());
    assert!(Mixture::<Gaussian>::new(&[], vec![]).is_err());
    assert!(Mixture::new(&[1.0, 1.0], vec![Gaussian::new(0.0, 1.0).unwrap()]).is_err());
    assert!(Independent::<Gaussian>::new(vec![]).is_err());
    let data = Data::scalars(&[1.0, 2.0]).unwrap();
    for (low, high, bins) in [(1.0, 0.0, 3), (NAN, 1.0, 3), (0.0, INFINITY, 3), (0.0, 1.0, 0), (5.0, 6.0, 3)] {
        assert!(Histogram::of(&data, low, high, bins).is_err(), "{low} {high} {bins}");
    }
}

/// Every answer of a distribution, at ordinary points and at others.
fn never_nan<D: Scalar + Information>(q: &D) {
    for x in [-INFINITY, -1e300, -1.0, -0.0, 0.5, 1.0, 3.0, 1e300, INFINITY] {
        let (log_density, cdf) = (q.log_density(x), q.cdf(x));
        assert!(
            !log_density.is_nan() && log_density < INFINITY && (0.0..=1.0).contains(&cdf),
            "{x} {log_density} {cdf}"
        );
    }
    assert_eq!(q.log_density(NAN), f64::NEG_INFINITY);
    assert!(q.entropy().is_finite() && q.kl(q) == 0.0);
    assert!(q.sample(&mut rng(2), 50).iter().all(|x| x.is_finite() && q.log_density(*x) > f64::NEG_INFINITY));
    q.draw(&mut rng(2), &mut []);
    assert!(q.sample(&mut rng(2), 0).is_empty());
}

#[test]
fn extreme_parameters_give_numbers() {
    for (mean, deviation) in [(0.0, 1e-150), (0.0, 1e150), (1e300, 1.0), (-3.0, 1e-20)] {
        never_nan(&Gaussian::new(mean, deviation).unwrap());
        never_nan(&Laplace::new(mean, deviation).unwrap());
    }
    [1e-300, 1.0, 1e300].into_iter().for_each(|rate| never_nan(&Exponential::new(rate).unwrap()));
    [0.0, 1e-300, 0.5, 9.99, 10.0, 1e5].into_iter().for_each(|rate| never_nan(&Poisson::new(rate).unwrap()));
    [0.0, 1e-300, 0.5, 1.0].into_iter().for_each(|p| never_nan(&Bernoulli::new(p).unwrap()));
    never_nan(&Categorical::new(&[0.0, 1e-300, 1.0, 0.0]).unwrap());
    never_nan(&Categorical::new(&[1e-300]).unwrap());
    never_nan(&Uniform::new(-1e307, 1e307).unwrap());
    let narrow = Gaussian::new(0.0, 1e-150).unwrap();
    // The second is narrower than the distance of f64s there.
    for wide in [Gaussian::new(1e151, 1e150).unwrap(), Gaussian::new(1e200, 1e150).unwrap()] {
        for divergence in Divergence::ALL {
            let value = divergence.by_quadrature(&narrow, &wide);
            assert!(value >= 0.0, "{divergence:?} {value}");
        }
    }
    let wide = Gaussian::new(1e151, 1e150).unwrap();
    assert_eq!(Divergence::ReverseKullbackLeibler.by_quadrature(&narrow, &wide), INFINITY);
    assert!(narrow.kl(&wide) > 0.0 && wide.kl(&narrow) == INFINITY && narrow.total_variation(&wide) == 1.0);
}

#[test]
fn fits_without_a_maximum_say_so() {
    let equal = Data::scalars(&[0.1, 0.1, 0.1]).unwrap();
    let one = Data::scalars(&[4.0]).unwrap();
    for data in [&equal, &one] {
        assert!(matches!(Gaussian::fit(data), Err(Error::Degenerate { .. })));
        assert!(matches!(Laplace::fit(data), Err(Error::Degenerate { .. })));
        assert!(matches!(Uniform::fit(data), Err(Error::Degenerate { .. })));
        assert!(matches!(Histogram::scott(data), Err(Error::Degenerate { .. })));
        assert!(Exponential::fit(data).is_ok());
    }
    assert!(matches!(Exponential::fit(&Data::scalars(&[0.0, 0.0]).unwrap()), Err(Error::Degenerate { .. })));
    assert_eq!(Poisson::fit(&Data::scalars(&[0.0, 0.0]).unwrap()).unwrap().rate(), 0.0);
    let outside = Data::scalars(&[0.0, -1.0]).unwrap();
    assert!(matches!(Exponential::fit(&outside), Err(Error::Value { row: 1, .. })));
    assert!(matches!(Poisson::fit(&outside), Err(Error::Value { row: 1, .. })));
    assert!(matches!(Bernoulli::fit(&outside), Err(Error::Value { row: 1, .. })));
    assert!(matches!(Categorical::fit(&outside), Err(Error::Value { row: 1, .. })));
    assert!(Categorical::fit(&Data::scalars(&[1e15]).unwrap()).is_err());
    // A point of weight 0 is not there.
    let weighted = Data::scalars(&[1.0, 1.0, 9.0]).unwrap().weighted(&[1.0, 1.0, 0.0]).unwrap();
    assert!(matches!(Gaussian::fit(&weighted), Err(Error::Degenerate { .. })));
    assert!(matches!(Uniform::fit(&weighted), Err(Error::Degenerate { .. })));
    // One point has no covariance, but an empirical distribution.
    assert_eq!(Empirical::new(&one).unwrap().entropy(), 0.0);
    assert_eq!(log_likelihood(&Gaussian::new(4.0, 1.0).unwrap(), &one), -0.5 * (2.0 * std::f64::consts::PI).ln());
}

#[test]
fn mixtures_learn_from_points_that_coincide() {
    let mut apart = vec![0.0; 20];
    apart.extend([5.0; 20]);
    for (points, d) in [(vec![3.0; 24], 2), (vec![0.0; 24], 3), (apart, 2), (vec![1e130; 12], 1), (vec![1e-130; 12], 1)]
    {
        let data = Data::new(&points, d).unwrap();
        for covariance in KINDS {
            for start in [Start::KMeans, Start::KMeansPlusPlus] {
                for k in [1, 2, 5] {
                    let options = Options { covariance, start, ..Options::default() };
                    let fitted = GaussianMixture::fit(&data, k, &options).unwrap();
                    is_finite(&fitted.mixture, &data);
                }
                // Without a floor the likelihood has no maximum: an error, or a finite start that did not collapse.
                let options = Options { covariance, start, floor: 0.0, ..Options::default() };
                match GaussianMixture::fit(&data, 2, &options) {
                    Ok(fitted) => is_finite(&fitted.mixture, &data),
                    Err(error) => assert!(matches!(error, Error::Singular { .. }), "{error}"),
                }
            }
        }
    }
}

#[test]
fn mixtures_learn_from_few_points() {
    let mut rng = rng(3);
    for n in [1, 2, 3, 7] {
        for d in [1, 3] {
            let points: Vec<f64> = (0..n * d).map(|_| standard_normal(&mut rng)).collect();
            let data = Data::new(&points, d).unwrap();
            for covariance in KINDS {
                let options = Options { covariance, restarts: 2, ..Options::default() };
                for k in 1..=n {
                    is_finite(&GaussianMixture::fit(&data, k, &options).unwrap().mixture, &data);
                }
                for k in [0, n + 1, usize::MAX] {
                    let refused = GaussianMixture::fit(&data, k, &options);
                    assert!(matches!(refused, Err(Error::Range { .. })), "{k}");
                }
            }
        }
    }
    let data = Data::scalars(&[1.0, 2.0]).unwrap();
    for (restarts, floor) in [(0, 1e-6), (1, -1.0), (1, 2.0), (1, NAN)] {
        assert!(GaussianMixture::fit(&data, 1, &Options { restarts, floor, ..Options::default() }).is_err());
    }
}

#[test]
fn mixtures_learn_from_planes_and_constants() {
    let mut rng = rng(4);
    // The third coordinate is the sum of the others; the fourth never changes.
    let points: Vec<f64> = (0..60)
        .flat_map(|_| {
            let (a, b) = (standard_normal(&mut rng), standard_normal(&mut rng));
            [a, b, a + b, 7.0]
        })
        .collect();
    let data = Data::new(&points, 4).unwrap();
    for covariance in KINDS {
        let options = Options { covariance, ..Options::default() };
        is_finite(&GaussianMixture::fit(&data, 3, &options).unwrap().mixture, &data);
    }
    let singular = GaussianMixture::fit(&data, 1, &Options { floor: 0.0, ..Options::default() });
    assert!(matches!(singular, Err(Error::Singular { .. })), "{singular:?}");
    // A component that stands on one point collapses, and says which.
    let mut mixture = GaussianMixture::new(&[1.0, 1.0], &[0.0, 50.0], &[1.0, 1.0], Covariance::Full).unwrap();
    let line = [-1.0, 0.0, 1.0, 50.0];
    let line = Data::scalars(&line).unwrap();
    let before = mixture.clone();
    let error = ascend(&mut mixture, &line, &Limits::default(), |_| Continue(())).unwrap_err();
    assert!(matches!(error, Error::Singular { component: 1, coordinate: 0 }), "{error}");
    assert_eq!(mixture, before, "the last complete step is kept");
    mixture.set_floors(&line, 1e-3).unwrap();
    ascend(&mut mixture, &line, &Limits::default(), |_| Continue(())).unwrap();
    is_finite(&mixture, &line);
    assert!(mixture.covariances()[1] >= mixture.floors()[0]);
}

#[test]
fn mixtures_learn_from_holes() {
    let nan = [NAN; 12];
    let mut column = [NAN; 12];
    (0..12).step_by(2).for_each(|i| column[i] = f64::from(i as u32));
    let mut sparse = [NAN; 40];
    (0..40).step_by(5).for_each(|i| sparse[i] = f64::from(i as u32).sin());
    for (points, d) in [(&nan[..], 2), (&column[..], 2), (&sparse[..], 4)] {
        let data = Data::with_missing(points, d).unwrap();
        for covariance in KINDS {
            for k in [1, 3] {
                let options = Options { covariance, ..Options::default() };
                is_finite(&GaussianMixture::fit(&data, k, &options).unwrap().mixture, &data);
            }
        }
    }
}

#[test]
fn mixtures_survive_weights_of_zero_and_outliers() {
    let points = [0.0, 0.1, 0.2, 5.0, 5.1, 1e100];
    let weighted = Data::scalars(&points).unwrap().weighted(&[1.0, 1.0, 1.0, 1e-300, 0.0, 0.0]).unwrap();
    for covariance in KINDS {
        let options = Options { covariance, ..Options::default() };
        is_finite(&GaussianMixture::fit(&weighted, 2, &options).unwrap().mixture, &weighted);
        let data = Data::scalars(&points).unwrap();
        is_finite(&GaussianMixture::fit(&data, 3, &options).unwrap().mixture, &data);
    }
    // A component without weight never comes back, and spoils nothing.
    let mut mixture = GaussianMixture::new(&[1.0, 0.0], &[0.0, 5.0], &[1.0, 1.0], Covariance::Full).unwrap();
    let data = Data::scalars(&points[..5]).unwrap();
    ascend(&mut mixture, &data, &Limits::default(), |_| Continue(())).unwrap();
    is_finite(&mixture, &data);
    assert_eq!((mixture.weights(), mixture.means()[1]), (&[1.0, 0.0][..], 5.0));
    // Farther than f64 can square.
    let far = Data::scalars(&[1e139, -1e139]).unwrap();
    let near = GaussianMixture::new(&[1.0, 1.0], &[0.0, 1.0], &[1e-200, 1.0], Covariance::Diagonal).unwrap();
    is_finite(&near, &far);
}

#[test]
fn mixtures_refuse_what_does_not_fit() {
    let mixture = GaussianMixture::new(&[1.0], &[0.0, 0.0], &[1.0, 0.0, 0.0, 1.0], Covariance::Full).unwrap();
    let line = Data::scalars(&[1.0]).unwrap();
    assert!(mixture.score_samples(&line).is_err() && mixture.responsibilities(&line).is_err());
    assert!(mixture.impute(&line).is_err() && mixture.bic(&line).is_err() && mixture.expectation(&line).is_err());
    assert!(mixture.clone().set_floors(&line, 1e-6).is_err());
    assert_eq!(mixture.log_density(&[1.0]), f64::NEG_INFINITY);
    assert_eq!(mixture.log_density(&[1.0, NAN]), f64::NEG_INFINITY);
    let mut short = [7.0];
    mixture.draw(&mut rng(5), &mut short);
    assert_eq!(short, [7.0]);
    assert!(GaussianMixture::new(&[], &[], &[], Covariance::Full).is_err());
    assert!(GaussianMixture::new(&[1.0, 1.0], &[0.0; 3], &[1.0; 2], Covariance::Spherical).is_err());
    let singular =
        GaussianMixture::new(&[1.0; 2], &[0.0; 4], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], Covariance::Full);
    assert_eq!(singular, Err(Error::Singular { component: 1, coordinate: 1 }));
}

#[test]
fn mixtures_of_any_family_say_what_they_lack() {
    let mut mixture =
        Mixture::new(&[1.0, 1.0], vec![Uniform::new(0.0, 1.0).unwrap(), Uniform::new(2.0, 3.0).unwrap()]).unwrap();
    let outside = Data::scalars(&[0.5, 1.5]).unwrap();
    assert!(matches!(mixture.expectation(&outside), Err(Error::Value { row: 1, .. })));
    assert_eq!(mixture.responsibilities(&outside).unwrap(), [1.0, 0.0, 0.5, 0.5]);
    // A component that falls on one point is an error of its family; the mixture stays as it was.
    let one = Data::scalars(&[0.2, 0.8, 2.5]).unwrap();
    let before = mixture.weights().to_vec();
    let error = ascend(&mut mixture, &one, &Limits::default(), |_| Continue(())).unwrap_err();
    assert!(matches!(error, Error::Degenerate { .. }), "{error}");
    assert_eq!(mixture.weights(), before);
    // One that has no points keeps its parameters.
    let mut mixture = Mixture::new(&[1.0, 0.0], vec![Poisson::new(1.0).unwrap(), Poisson::new(8.0).unwrap()]).unwrap();
    let data = Data::scalars(&[2.0, 3.0]).unwrap();
    ascend(&mut mixture, &data, &Limits::default(), |_| Continue(())).unwrap();
    assert_eq!(mixture.components()[1].rate(), 8.0);
    assert!(bic(&mixture, &data).is_finite());
}
