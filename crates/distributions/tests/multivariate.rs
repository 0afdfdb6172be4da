//! T05: the multivariate normal distribution.

mod common;
#[path = "golden/multivariate.rs"]
mod golden;

use common::{between, covariance, distance, rng};
use yuragi_distributions::random::standard_normal;
use yuragi_distributions::score::log_likelihood;
use yuragi_distributions::{Data, Distribution, Error, Fit, Gaussian, Information, MultivariateGaussian};

#[test]
fn t05_log_density_equals_scipy() {
    for case in golden::CASES {
        let q = MultivariateGaussian::new(case.mean, case.covariance).unwrap();
        let d = case.mean.len();
        for (x, expected) in case.points.chunks_exact(d).zip(case.log_density) {
            // Covariances here have condition numbers below 10³.
            assert!((q.log_density(x) - expected).abs() < 1e-12 * (1.0 + expected.abs()), "{d}");
        }
        assert!((q.log_det() - case.log_det).abs() < 1e-12 && (q.entropy() - case.entropy).abs() < 1e-12, "{d}");
        assert_eq!(q.parameters(), d + d * (d + 1) / 2);
    }
}

#[test]
fn t05_determinants_by_cholesky_and_by_eigenvalues_agree() {
    let mut rng = rng(1);
    for d in [1, 2, 3, 7, 16, 40] {
        let sigma = covariance(&mut rng, d);
        let q = MultivariateGaussian::new(&vec![0.0; d], &sigma).unwrap();
        let axes = q.principal_axes().unwrap();
        // Each of d terms has a relative error of about ε times the condition number, which is below 4d/0.1d·2.
        assert!((q.log_det() - axes.log_det()).abs() < 1e-12 * d as f64, "{d}");
        assert!((q.log_partition() - 0.5 * (d as f64 * (2.0 * std::f64::consts::PI).ln() + q.log_det())).abs() < 1e-12);
        // Σ = Σ_k λ_k v_k v_kᵀ = L·Lᵀ.
        let trace: f64 = (0..d).map(|i| sigma[i * d + i]).sum();
        let (mut by_axes, mut by_factor) = (vec![0.0; d * d], vec![0.0; d * d]);
        for at in 0..d * d {
            let (i, j) = (at / d, at % d);
            let vectors = axes.variances.iter().zip(axes.axes.chunks_exact(d));
            by_axes[at] = vectors.map(|(variance, v)| variance * v[i] * v[j]).sum();
            by_factor[at] = (0..d).map(|k| q.factor()[i * d + k] * q.factor()[j * d + k]).sum();
        }
        assert!(distance(&by_axes, &sigma) < 1e-14 * trace * d as f64);
        assert!(distance(&by_factor, &sigma) < 1e-15 * trace * d as f64);
        assert!(axes.variances.windows(2).all(|pair| pair[0] <= pair[1]));
    }
    // A determinant that f64 cannot hold.
    let tiny: Vec<f64> = (0..400 * 400).map(|at| if at % 401 == 0 { 1e-3 } else { 0.0 }).collect();
    let q = MultivariateGaussian::new(&vec![0.0; 400], &tiny).unwrap();
    assert!((q.log_det() - 400.0 * 1e-3f64.ln()).abs() < 1e-9);
}

#[test]
fn t05_fit_recovers_the_parameters_of_samples() {
    let (d, n) = (4, 40_000);
    let mut rng = rng(2);
    let mean: Vec<f64> = (0..d).map(|_| between(&mut rng, -5.0, 5.0)).collect();
    let sigma = covariance(&mut rng, d);
    let truth = MultivariateGaussian::new(&mean, &sigma).unwrap();
    let points = truth.sample(&mut rng, n);
    let data = Data::new(&points, d).unwrap();
    let q = MultivariateGaussian::fit(&data).unwrap();
    for i in 0..d {
        let variance = sigma[i * d + i];
        assert!((q.mean()[i] - mean[i]).abs() < 4.5 * (variance / n as f64).sqrt());
        for j in 0..d {
            // The sample covariance of normal points has the variance (Σ_ii Σ_jj + Σ_ij²)/n.
            let spread = (variance * sigma[j * d + j] + sigma[i * d + j].powi(2)) / n as f64;
            assert!((q.covariance()[i * d + j] - sigma[i * d + j]).abs() < 4.5 * spread.sqrt(), "{i} {j}");
        }
    }
    // 2nD(P₀'s fit‖truth) is χ² of d + d(d+1)/2 = 14 degrees of freedom: above 47 once in 50 000.
    assert!(2.0 * n as f64 * q.kl(&truth) < 47.0);
    assert!(log_likelihood(&q, &data) > log_likelihood(&truth, &data));
    // Squared distances are χ² of d degrees of freedom: mean d, variance 2d.
    let squares: f64 = data.rows().map(|x| truth.distance(x)).sum::<f64>() / n as f64;
    assert!((squares - d as f64).abs() < 4.5 * (2.0 * d as f64 / n as f64).sqrt(), "{squares}");
}

#[test]
fn t05_fit_is_a_stationary_point_of_the_likelihood() {
    let mut rng = rng(3);
    let (d, n) = (3, 30);
    let points: Vec<f64> = (0..n * d).map(|_| standard_normal(&mut rng)).collect();
    let data = Data::new(&points, d).unwrap();
    let q = MultivariateGaussian::fit(&data).unwrap();
    let best = log_likelihood(&q, &data);
    for _ in 0..200 {
        let step = 1e-3;
        let mean: Vec<f64> = q.mean().iter().map(|x| x + step * standard_normal(&mut rng)).collect();
        let mut sigma = q.covariance().to_vec();
        for i in 0..d {
            for j in 0..=i {
                sigma[i * d + j] += step * standard_normal(&mut rng);
                sigma[j * d + i] = sigma[i * d + j];
            }
        }
        let moved = log_likelihood(&MultivariateGaussian::new(&mean, &sigma).unwrap(), &data);
        // A maximum: lower all around, by an amount of second order (curvatures are below 10 here).
        assert!(moved < best && best - moved < 1e3 * step * step, "{best} {moved}");
    }
    // Weights count points.
    let weights: Vec<f64> = (0..n).map(|i| f64::from(i as u32 % 3)).collect();
    let repeated: Vec<f64> = data.rows().enumerate().flat_map(|(i, x)| x.repeat(i % 3)).collect();
    let weighted = MultivariateGaussian::fit(&data.weighted(&weights).unwrap()).unwrap();
    let repeated = MultivariateGaussian::fit(&Data::new(&repeated, d).unwrap()).unwrap();
    assert!(distance(weighted.mean(), repeated.mean()) < 1e-14);
    assert!(distance(weighted.covariance(), repeated.covariance()) < 1e-14);
}

#[test]
fn t05_one_dimension_is_the_gaussian() {
    let q = MultivariateGaussian::new(&[1.5], &[4.0]).unwrap();
    let scalar = Gaussian::new(1.5, 2.0).unwrap();
    for x in [-3.0, 1.5, 40.0] {
        assert!((q.log_density(&[x]) - scalar.log_density(x)).abs() < 1e-13);
    }
    assert!((q.entropy() - scalar.entropy()).abs() < 1e-15);
}

#[test]
fn t05_singular_and_wrong_covariances_are_refused() {
    let new = |covariance: &[f64]| MultivariateGaussian::new(&[0.0, 0.0], covariance);
    // Determined, indefinite, lost in rounding, zero.
    for covariance in [[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0 + 1e-16], [0.0; 4]] {
        assert!(matches!(new(&covariance), Err(Error::Singular { .. })), "{covariance:?}");
    }
    assert_eq!(new(&[1.0, 1.0, 1.0, 1.0]), Err(Error::Singular { component: 0, coordinate: 1 }));
    for covariance in [[1.0, 0.5, 0.4, 1.0], [f64::NAN, 0.0, 0.0, 1.0], [1.0, f64::INFINITY, f64::INFINITY, 1.0]] {
        assert!(matches!(new(&covariance), Err(Error::Range { .. })), "{covariance:?}");
    }
    assert!(matches!(new(&[1.0]), Err(Error::Length { .. })));
    assert!(MultivariateGaussian::new(&[], &[]).is_err());
    assert!(MultivariateGaussian::new(&[f64::NAN], &[1.0]).is_err());
    // Points on a line, equal points, and fewer points than dimensions.
    for points in [vec![1.0, 2.0, 2.0, 4.0, 3.0, 6.0], vec![0.1; 8], vec![1.0, 2.0]] {
        let fit = MultivariateGaussian::fit(&Data::new(&points, 2).unwrap());
        assert!(matches!(fit, Err(Error::Singular { .. })), "{points:?}: {fit:?}");
    }
    let q = new(&[1.0, 0.0, 0.0, 1.0]).unwrap();
    assert_eq!(q.log_density(&[0.0]), f64::NEG_INFINITY);
    assert_eq!(q.log_density(&[f64::NAN, 0.0]), f64::NEG_INFINITY);
    assert_eq!(q.log_density(&[1e200, 0.0]), f64::NEG_INFINITY);
}
