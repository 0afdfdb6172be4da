use super::*;
use crate::fill::normal;
use std::vec::Vec;

/// Standard normal entries.
fn noise(seed: u32, len: usize) -> Vec<f64> {
    let mut out = std::vec![0.0; len];
    normal([seed, 0], 5, 0, &mut out);
    out.into_iter().map(f64::from).collect()
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let entry = |i: usize| (0..n).map(|k| a[i / n * n + k] * b[k * n + i % n]).sum();
    (0..n * n).map(entry).collect()
}

fn transposed(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|i| a[i % n * n + i / n]).collect()
}

/// B·Bᵀ + I/10.
fn definite(seed: u32, n: usize) -> Vec<f64> {
    let b = noise(seed, n * n);
    let mut a = product(&b, &transposed(&b, n), n);
    (0..n).for_each(|i| a[i * n + i] += 0.1);
    a
}

fn largest(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |max, x| x.abs().max(max))
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |max, (a, b)| (a - b).abs().max(max))
}

#[test]
fn cholesky_multiplies_back() {
    for n in (0..20).chain([63, 64, 65, 97, 130, 200]) {
        let a = definite(n as u32, n);
        let mut l = a.clone();
        cholesky(&mut l, n).unwrap();
        // |A − LLᵀ| ≤ γ_(n+1) |L||Lᵀ| (Higham, theorem 10.3), and (|L||Lᵀ|)_ij ≤ max A_ii.
        let bound = (n + 1) as f64 * f64::EPSILON * largest(&a);
        assert!(difference(&product(&l, &transposed(&l, n), n), &a) <= bound);
        assert!((0..n * n).all(|i| i % n <= i / n || l[i] == 0.0));
    }
}

#[test]
fn solutions_have_small_residuals() {
    for n in (1..16).chain([64, 67, 128, 150, 193]) {
        let mut l = definite(n as u32 + 40, n);
        cholesky(&mut l, n).unwrap();
        let b = noise(9, n);
        let mut x = b.clone();
        solve_lower(&l, n, &mut x).unwrap();
        // Componentwise: |b − Lx| ≤ γ_n |L||x| (Higham, theorem 8.5).
        for i in 0..n {
            let terms: Vec<f64> = (0..n).map(|j| l[i * n + j] * x[j]).collect();
            let size: f64 = terms.iter().map(|t| t.abs()).sum();
            assert!((terms.iter().sum::<f64>() - b[i]).abs() <= 2.0 * n as f64 * f64::EPSILON * size);
        }
        let mut y = b.clone();
        solve_lower_transposed(&l, n, &mut y).unwrap();
        for i in 0..n {
            let terms: Vec<f64> = (0..n).map(|j| l[j * n + i] * y[j]).collect();
            let size: f64 = terms.iter().map(|t| t.abs()).sum();
            assert!((terms.iter().sum::<f64>() - b[i]).abs() <= 2.0 * n as f64 * f64::EPSILON * size);
        }
        let mut inverse = l.clone();
        invert_lower(&mut inverse, n).unwrap();
        let size = n as f64 * largest(&inverse) * largest(&l);
        let identity: Vec<f64> = (0..n * n).map(|i| f64::from(i / n == i % n)).collect();
        assert!(difference(&product(&l, &inverse, n), &identity) <= n as f64 * f64::EPSILON * size);
    }
}

#[test]
fn work_can_be_stopped_and_small_pivots_refused() {
    let n = 200;
    let a = definite(1, n);
    let mut asked = 0;
    let mut stop = || {
        asked += 1;
        asked < 3
    };
    assert_eq!(cholesky_above(&mut a.clone(), n, |_| 0.0, &mut stop), Err(Error::Stopped));
    let mut l = a.clone();
    cholesky(&mut l, n).unwrap();
    assert_eq!(invert_lower_while(&mut l.clone(), n, &mut || false), Err(Error::Stopped));
    // The least pivot that passes is the least pivot.
    let least = (0..n).fold(f64::INFINITY, |least, i| l[i * n + i].powi(2).min(least));
    assert!(cholesky_above(&mut a.clone(), n, |_| 0.999 * least, &mut || true).is_ok());
    let refused = cholesky_above(&mut a.clone(), n, |_| 1.001 * least, &mut || true);
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { .. })), "{refused:?}");
}

#[test]
fn eigenvalues_rebuild_the_matrix() {
    for n in 1..16 {
        let b = noise(n as u32, n * n);
        let a: Vec<f64> = b.iter().zip(transposed(&b, n)).map(|(x, y)| x + y).collect();
        let (mut work, mut values, mut vectors) = (a.clone(), std::vec![0.0; n], std::vec![0.0; n * n]);
        symmetric_eigen(&mut work, n, &mut values, &mut vectors).unwrap();
        assert!(values.is_sorted());
        let scaled: Vec<f64> = (0..n * n).map(|i| values[i / n] * vectors[i]).collect();
        let columns = transposed(&vectors, n);
        // A few roundings a rotation, and at most some ten sweeps reach an element.
        let bound = 40.0 * n as f64 * f64::EPSILON * largest(&values).max(values[0].abs());
        assert!(difference(&product(&columns, &scaled, n), &a) <= bound);
        let identity: Vec<f64> = (0..n * n).map(|i| f64::from(i / n == i % n)).collect();
        assert!(difference(&product(&vectors, &columns, n), &identity) <= 40.0 * n as f64 * f64::EPSILON);
    }
}

#[test]
fn known_eigenvalues() {
    // The path of n nodes: 2 − 2 cos(kπ/(n+1)).
    let n = 9usize;
    let mut a: Vec<f64> =
        (0..n * n).map(|i| [2.0, -1.0].get((i / n).abs_diff(i % n)).copied().unwrap_or(0.0)).collect();
    let (mut values, mut vectors) = (std::vec![0.0; n], std::vec![0.0; n * n]);
    symmetric_eigen(&mut a, n, &mut values, &mut vectors).unwrap();
    for (k, value) in (1..).zip(values) {
        let exact = 2.0 - 2.0 * libm::cos(f64::from(k) * core::f64::consts::PI / (n + 1) as f64);
        assert!((value - exact).abs() < 1e-14, "{value} {exact}");
    }
    // One eigenvalue far below the others' rounding errors: Jacobi's method is relatively accurate for
    // a definite matrix that diagonal scaling makes well conditioned.
    let mut a = [1.0, 1e-11, 1e-11, 1e-20];
    let (mut values, mut vectors) = ([0.0; 2], [0.0; 4]);
    a[3] *= 4.0;
    symmetric_eigen(&mut a, 2, &mut values, &mut vectors).unwrap();
    let exact = 4e-20 - 1e-22;
    assert!((values[0] / exact - 1.0).abs() < 1e-12, "{:e}", values[0]);
}

#[test]
fn log_det_by_cholesky_and_by_eigenvalues_agree() {
    for n in 1..12 {
        let a = definite(n as u32 + 7, n);
        let (mut l, mut work) = (a.clone(), a);
        cholesky(&mut l, n).unwrap();
        let (mut values, mut vectors) = (std::vec![0.0; n], std::vec![0.0; n * n]);
        symmetric_eigen(&mut work, n, &mut values, &mut vectors).unwrap();
        let sum: f64 = values.iter().map(|v| libm::log(*v)).sum();
        assert!((log_det(&l, n).unwrap() - sum).abs() < 1e-11, "{n}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    assert_eq!(cholesky(&mut [0.0; 3], 2), Err(Error::Length { what: "the matrix", got: 3, expected: 4 }));
    assert!(matches!(cholesky(&mut [], usize::MAX), Err(Error::Length { .. })));
    let mut indefinite = [1.0, 2.0, 2.0, 1.0];
    assert_eq!(cholesky(&mut indefinite, 2), Err(Error::NotPositiveDefinite { row: 1, pivot: -3.0 }));
    assert!(matches!(cholesky(&mut [f64::NAN], 1), Err(Error::NotPositiveDefinite { row: 0, .. })));
    assert!(matches!(cholesky(&mut [f64::INFINITY], 1), Err(Error::NotPositiveDefinite { row: 0, .. })));
    assert_eq!(solve_lower(&[0.0], 1, &mut [1.0]), Err(Error::Singular { row: 0 }));
    assert_eq!(invert_lower(&mut [1.0, 0.0, 5.0, 0.0], 2), Err(Error::Singular { row: 1 }));
    assert!(matches!(invert_lower(&mut [1.0], 2), Err(Error::Length { .. })));
    assert!(matches!(solve_lower_transposed(&[1.0], 1, &mut [1.0, 2.0]), Err(Error::Length { .. })));
    let (mut values, mut vectors) = ([0.0; 2], [0.0; 4]);
    let mut a = [1.0, 0.0, f64::NAN, 1.0];
    assert_eq!(symmetric_eigen(&mut a, 2, &mut values, &mut vectors), Err(Error::NotFinite { row: 1 }));
    let mut zero = [0.0; 4];
    symmetric_eigen(&mut zero, 2, &mut values, &mut vectors).unwrap();
    assert_eq!(values, [0.0; 2]);
    assert_eq!(cholesky(&mut [], 0), Ok(()));
    assert_eq!(log_det(&[], 0), Ok(0.0));
}
