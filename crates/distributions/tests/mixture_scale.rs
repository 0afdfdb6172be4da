//! T08: mixtures keep their own scale, take the floor where they must, and stop when they are told to.

mod common;

use core::ops::ControlFlow::Continue;

use common::rng;
use yuragi_distributions::em::{End, Limits, Progress};
use yuragi_distributions::random::standard_normal;
use yuragi_distributions::{Begin, Covariance, Data, Distribution, Error, GaussianMixture, Options};

const KINDS: [Covariance; 4] = [Covariance::Full, Covariance::Diagonal, Covariance::Tied, Covariance::Spherical];

/// The deviation of component `k` along coordinate `j`.
fn deviation(mixture: &GaussianMixture, k: usize, j: usize) -> f64 {
    let d = mixture.dimension();
    mixture.covariance(k).unwrap()[j * d + j].sqrt()
}

#[test]
fn t08_distances_offsets_and_outliers_leave_widths_alone() {
    let mut rng = rng(60);
    let noise: Vec<f64> = (0..600).map(|_| standard_normal(&mut rng)).collect();
    // σ of the first half, and of the second, as they were drawn.
    let spread = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    for covariance in KINDS {
        for (distance, offset) in [(1e3, 0.0), (1e5, -1e9), (1e9, 1e9), (1e12, 0.0)] {
            let points: Vec<f64> =
                (0..600).map(|i| 1e-2 * noise[i] + distance * f64::from(u8::from(i >= 400)) + offset).collect();
            let fitted = GaussianMixture::fit(
                &Data::scalars(&points).unwrap(),
                2,
                &Options { covariance, restarts: 2, ..Options::default() },
            )
            .unwrap();
            let mixture = fitted.mixture;
            assert_eq!(mixture.floored(), [false, false]);
            let truth = [spread(&points[..400]), spread(&points[400..])];
            for k in 0..2 {
                let heavy = mixture.weights()[k] > 0.5;
                let expected = match covariance {
                    Covariance::Tied => (truth[0].powi(2) * 2.0 / 3.0 + truth[1].powi(2) / 3.0).sqrt(),
                    _ => truth[usize::from(!heavy)],
                };
                // What the offset rounds, too.
                let ulp = 2.0 * f64::EPSILON * (distance + offset.abs());
                let found = deviation(&mixture, k, 0);
                assert!(
                    (found - expected).abs() < 1e-6 * expected + ulp,
                    "{covariance:?} {distance}: {found} {expected}"
                );
            }
        }
    }
    // One point far away: its own component has the floor, and says so; the others' width is theirs.
    for size in [1e6, 1e30, 1e100] {
        let points = [&[size, -size], &noise[..400]].concat();
        let options = Options { restarts: 2, ..Options::default() };
        let mixture = GaussianMixture::fit(&Data::new(&points, 2).unwrap(), 2, &options).unwrap().mixture;
        let many = usize::from(mixture.weights()[1] > 0.5);
        assert_eq!((mixture.floored()[many], mixture.floored()[1 - many]), (false, true));
        assert!(
            (0.9..1.1).contains(&deviation(&mixture, many, 0)) && (0.9..1.1).contains(&deviation(&mixture, many, 1))
        );
        assert!(deviation(&mixture, 1 - many, 0) < 0.01);
    }
}

#[test]
fn t08_more_columns_than_rows_take_the_floor() {
    let (n, d) = (20, 300);
    let mut rng = rng(61);
    let mut points: Vec<f64> = (0..n * d).map(|_| standard_normal(&mut rng)).collect();
    // Two columns never change.
    points.chunks_exact_mut(d).for_each(|row| (row[7], row[200]) = (3.0, -1e9));
    let data = Data::new(&points, d).unwrap();
    for covariance in [Covariance::Full, Covariance::Tied] {
        let mixture = GaussianMixture::fit(&data, 2, &Options { covariance, ..Options::default() }).unwrap().mixture;
        assert_eq!(mixture.floored(), [true, true]);
        let matrix = mixture.covariance(0).unwrap();
        for (j, floor) in mixture.floors().iter().enumerate() {
            assert!(matrix[j * d + j] >= *floor && *floor > 0.0);
        }
        assert!(mixture.score_samples(&data).unwrap().iter().all(|score| score.is_finite()));
        // Rows that it learned from are nearly certain; others lie outside their plane.
        let other: Vec<f64> = points[..d].iter().map(|x| 1.01 * x).collect();
        let scores = [&points[..d], &other].map(|row| mixture.score_samples(&Data::new(row, d).unwrap()).unwrap()[0]);
        assert!(scores[0] > scores[1] + 1000.0, "{scores:?}");
    }
    // No floor, no covariance.
    let refused = GaussianMixture::fit(&data, 2, &Options { floor: 0.0, ..Options::default() });
    assert!(matches!(refused, Err(Error::Singular { .. })));
}

#[test]
fn t08_components_begin_with_given_means() {
    let mut rng = rng(62);
    let points: Vec<f64> = (0..300).map(|i| 6.0 * f64::from(i % 3) + 0.5 * standard_normal(&mut rng) + 1e6).collect();
    let data = Data::scalars(&points).unwrap();
    let go_on = |_: usize, _: Progress| Continue(());
    let means = [1e6 + 11.0, 1e6 + 1.0, 1e6 + 5.0];
    for covariance in KINDS {
        // Nothing learned: what was given.
        let limits = Limits { iterations: 0, tolerance: 0.0 };
        let options = Options { covariance, limits, restarts: 4, ..Options::default() };
        let fitted = GaussianMixture::fit_while(&data, Begin::Means(&means), &options, &|| true, go_on).unwrap();
        assert_eq!((fitted.mixture.means(), fitted.restart), (&means[..], 0));
        assert!(fitted.mixture.weights().iter().all(|weight| (weight - 1.0 / 3.0).abs() < 1e-15));
        let options = Options { covariance, ..Options::default() };
        let fitted = GaussianMixture::fit_while(&data, Begin::Means(&means), &options, &|| true, go_on).unwrap();
        for (mean, expected) in fitted.mixture.means().iter().zip([12.0, 0.0, 6.0]) {
            assert!((mean - 1e6 - expected).abs() < 0.3, "{:?}", fitted.mixture.means());
        }
    }
    let options = Options::default();
    for wrong in [&[][..], &[f64::NAN], &[1e150]] {
        assert!(GaussianMixture::fit_while(&data, Begin::Means(wrong), &options, &|| true, go_on).is_err());
    }
    let plane = Data::new(&points, 2).unwrap();
    assert!(GaussianMixture::fit_while(&plane, Begin::Means(&means), &options, &|| true, go_on).is_err());
}

#[test]
fn learning_stops_inside_an_iteration_and_keeps_what_it_has() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    let mut rng = rng(63);
    let points: Vec<f64> = (0..600 * 20).map(|_| standard_normal(&mut rng)).collect();
    let data = Data::new(&points, 20).unwrap();
    let limits = Limits { iterations: 50, tolerance: 0.0 };
    for threads in [1, 2] {
        let options = Options { limits, threads, ..Options::default() };
        let run = |asked: usize| {
            let count = AtomicUsize::new(0);
            let going = || count.fetch_add(1, Relaxed) < asked;
            let mut told = 0;
            let fitted = GaussianMixture::fit_while(&data, Begin::Components(3), &options, &going, |_, at| {
                told = at.iteration;
                Continue(())
            });
            (fitted, told, count.into_inner())
        };
        let (all, _, questions) = run(usize::MAX);
        assert!(all.is_ok() && questions > 100, "{questions}");
        assert_eq!(run(0).0, Err(Error::Stopped));
        let (stopped, told, _) = run(questions * 7 / 8);
        let stopped = stopped.unwrap();
        assert_eq!((stopped.ascent.end, stopped.ascent.iterations()), (End::Cancelled, told));
        assert!(told > 0 && stopped.mixture.log_likelihood(&data).unwrap() >= stopped.ascent.bound() - 1e-9);
    }
}
