//! Small dense linear algebra in f64, in place and without allocation.
//!
//! A matrix is a row-major slice: element (i, j) of an n×n matrix is `a[i·n + j]`. Rounding errors are
//! the textbook ones (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, chapters 8 and 10).
//!
//! ```
//! use yuragi_numeric::linalg;
//! # fn main() -> Result<(), linalg::Error> {
//! let mut a = [4.0, 2.0, 2.0, 3.0]; // symmetric, positive definite
//! linalg::cholesky(&mut a, 2)?;
//! assert!((linalg::log_det(&a, 2)? - 8f64.ln()).abs() < 1e-15);
//! let mut x = [8.0, 7.0];
//! linalg::solve_lower(&a, 2, &mut x)?;
//! linalg::solve_lower_transposed(&a, 2, &mut x)?;
//! assert!((x[0] - 1.25).abs() < 1e-15 && (x[1] - 1.5).abs() < 1e-15);
//! # Ok(())
//! # }
//! ```

mod blocks;

use core::fmt;

use crate::simd::vectorize;
use blocks::{BLOCK, Column, Rows};

/// What made a matrix computation impossible.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A slice of the wrong length.
    Length {
        /// The argument.
        what: &'static str,
        /// The length given.
        got: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A matrix that is not positive definite, or has an entry that is not finite.
    NotPositiveDefinite {
        /// The row at which the factorisation ended.
        row: usize,
        /// What was to be a positive pivot there.
        pivot: f64,
    },
    /// A diagonal entry of a triangular matrix is zero or not finite.
    Singular {
        /// Its row.
        row: usize,
    },
    /// An entry of a symmetric matrix is not finite, or so large that its square is not.
    NotFinite {
        /// Its row.
        row: usize,
    },
    /// The caller asked to stop.
    Stopped,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { what, got, expected } => write!(f, "{what} has {got} values; it must have {expected}"),
            Self::NotPositiveDefinite { row, pivot } => {
                write!(f, "the matrix is not positive definite: pivot {pivot:e} in row {row}; it must be above 0")
            }
            Self::Singular { row } => write!(f, "the triangular matrix is singular in row {row}"),
            Self::NotFinite { row } => {
                write!(f, "row {row} of the matrix is out of range; entries must be below 1e150 in size")
            }
            Self::Stopped => write!(f, "stopped"),
        }
    }
}

impl core::error::Error for Error {}

/// `Ok` if `values` fit an argument of `expected` values.
fn length(what: &'static str, got: usize, expected: Option<usize>) -> Result<(), Error> {
    if Some(got) == expected {
        Ok(())
    } else {
        Err(Error::Length { what, got, expected: expected.unwrap_or(usize::MAX) })
    }
}

/// A = L·Lᵀ: overwrites the lower triangle of `a` (n×n) by L, and what is above the diagonal by zeros.
///
/// Reads the lower triangle only. Columns are worked off in blocks, each of whose products runs on vectors.
///
/// # Errors
/// A length other than n², or a matrix that is not positive definite; `a` is then half done.
pub fn cholesky(a: &mut [f64], n: usize) -> Result<(), Error> {
    cholesky_above(a, n, |_| 0.0, &mut || true)
}

/// [`cholesky`] that takes a pivot (the square of L_ii, what of A_ii the rows before do not explain) not above
/// `least(i)` for one that is not positive, and asks `going` from time to time (n² operations or some more) whether to
/// go on.
///
/// # Errors
/// Those of [`cholesky`], or [`Error::Stopped`].
pub fn cholesky_above(
    a: &mut [f64],
    n: usize,
    least: impl Fn(usize) -> f64,
    going: &mut dyn FnMut() -> bool,
) -> Result<(), Error> {
    length("the matrix", a.len(), n.checked_mul(n))?;
    for first in (0..n).step_by(BLOCK) {
        if !going() {
            return Err(Error::Stopped);
        }
        let end = n.min(first + BLOCK);
        for i in first..end {
            let (done, rest) = a.split_at_mut(i * n);
            let row = &mut rest[first..=i];
            for j in 0..i - first {
                let above = &done[(first + j) * n + first..][..=j];
                row[j] = (row[j] - dot(&row[..j], above)) / above[j];
            }
            let pivot = row[i - first] - dot(&row[..i - first], &row[..i - first]);
            if !(pivot > least(i).max(0.0) && pivot.is_finite()) {
                return Err(Error::NotPositiveDefinite { row: i, pivot });
            }
            row[i - first] = libm::sqrt(pivot);
        }
        vectorize(Column { a, n, first, end });
    }
    clear_above(a, n);
    Ok(())
}

/// Zeros above the diagonal.
fn clear_above(a: &mut [f64], n: usize) {
    a.chunks_exact_mut(n.max(1)).enumerate().for_each(|(i, row)| row[i + 1..].fill(0.0));
}

/// ln det A = 2 Σ ln L_ii, from the factor of [`cholesky`].
///
/// # Errors
/// A length other than n².
pub fn log_det(l: &[f64], n: usize) -> Result<f64, Error> {
    length("the factor", l.len(), n.checked_mul(n))?;
    Ok(2.0 * crate::special::sum((0..n).map(|i| libm::log(l[i * n + i]))))
}

/// Overwrites `b` by L⁻¹b, for a lower triangular L (n×n).
///
/// # Errors
/// A length that does not fit, or a diagonal entry that is zero or not finite.
pub fn solve_lower(l: &[f64], n: usize, b: &mut [f64]) -> Result<(), Error> {
    check_triangle(l, n, b)?;
    for i in 0..n {
        let row = &l[i * n..][..n];
        b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
    }
    Ok(())
}

/// Overwrites `b` by L⁻ᵀb, for a lower triangular L (n×n). After [`solve_lower`] with the factor of
/// [`cholesky`], `b` is A⁻¹b.
///
/// # Errors
/// A length that does not fit, or a diagonal entry that is zero or not finite.
pub fn solve_lower_transposed(l: &[f64], n: usize, b: &mut [f64]) -> Result<(), Error> {
    check_triangle(l, n, b)?;
    for i in (0..n).rev() {
        let row = &l[i * n..][..n];
        let x = b[i] / row[i];
        b[i] = x;
        for (b, l) in b[..i].iter_mut().zip(row) {
            *b -= l * x;
        }
    }
    Ok(())
}

/// Overwrites a lower triangular L (n×n) by its inverse, which is lower triangular too.
///
/// # Errors
/// A length other than n², or a diagonal entry that is zero or not finite.
pub fn invert_lower(l: &mut [f64], n: usize) -> Result<(), Error> {
    invert_lower_while(l, n, &mut || true)
}

/// [`invert_lower`] that asks `going` from time to time (n² operations or some more) whether to go on.
///
/// # Errors
/// Those of [`invert_lower`], or [`Error::Stopped`]; `l` is then half done.
pub fn invert_lower_while(l: &mut [f64], n: usize, going: &mut dyn FnMut() -> bool) -> Result<(), Error> {
    check_triangle(l, n, &l[..n.min(l.len())])?;
    clear_above(l, n);
    for first in (0..n).step_by(BLOCK) {
        if !going() {
            return Err(Error::Stopped);
        }
        let end = n.min(first + BLOCK);
        for i in first..end {
            let (done, rest) = l.split_at_mut(i * n);
            let row = &mut rest[first..=i];
            let diagonal = 1.0 / row[i - first];
            // Row i of the inverse is −(row i of L, left of the diagonal)·(the rows done)/L_ii. Column j of
            // those begins at row j, so entry j can be overwritten once the entries from j on are read.
            for j in 0..i - first {
                let sum: f64 = (j..i - first).map(|k| row[k] * done[(first + k) * n + first + j]).sum();
                row[j] = -sum * diagonal;
            }
            row[i - first] = diagonal;
        }
        vectorize(Rows { a: l, n, first, end });
    }
    Ok(())
}

/// Eigenvalues, ascending, and eigenvectors of the symmetric matrix `a` (n×n), by cyclic Jacobi
/// rotations (Golub and Van Loan, *Matrix Computations*, 4th edition, section 8.5).
///
/// Reads the lower triangle and destroys `a`. Row k of `vectors` is a unit eigenvector of `values[k]`,
/// so that A = Σ_k `values[k]`·v_k v_kᵀ.
///
/// ```
/// let (mut a, mut values, mut vectors) = ([2.0, 1.0, 1.0, 2.0], [0.0; 2], [0.0; 4]);
/// yuragi_numeric::linalg::symmetric_eigen(&mut a, 2, &mut values, &mut vectors)?;
/// assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
/// # Ok::<(), yuragi_numeric::linalg::Error>(())
/// ```
///
/// # Errors
/// A length that does not fit, or an entry that is not finite or whose square is not.
pub fn symmetric_eigen(a: &mut [f64], n: usize, values: &mut [f64], vectors: &mut [f64]) -> Result<(), Error> {
    /// Convergence is quadratic from about the third sweep on; this many are never needed.
    const SWEEPS: usize = 60;
    length("the matrix", a.len(), n.checked_mul(n))?;
    length("the eigenvalues", values.len(), Some(n))?;
    length("the eigenvectors", vectors.len(), n.checked_mul(n))?;
    vectors.fill(0.0);
    for i in 0..n {
        vectors[i * n + i] = 1.0;
        for j in 0..=i {
            if a[i * n + j].is_nan() || a[i * n + j].abs() >= 1e150 {
                return Err(Error::NotFinite { row: i });
            }
            a[j * n + i] = a[i * n + j];
        }
    }
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                rotated |= rotate(a, n, p, q, vectors);
            }
        }
        if !rotated {
            break;
        }
    }
    for i in 0..n {
        values[i] = a[i * n + i];
    }
    // Selection sort: n is small, and rows of vectors move along.
    for i in 0..n {
        let least = (i..n).fold(i, |least, k| if values[k] < values[least] { k } else { least });
        if least != i {
            values.swap(i, least);
            let (head, tail) = vectors.split_at_mut(least * n);
            head[i * n..][..n].swap_with_slice(&mut tail[..n]);
        }
    }
    Ok(())
}

/// Turns the plane (p, q) so that element (p, q) becomes zero; false if it is negligible already.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize, vectors: &mut [f64]) -> bool {
    let (app, aqq, apq) = (a[p * n + p], a[q * n + q], a[p * n + q]);
    // Relative to the geometric mean, so that small eigenvalues of definite matrices are accurate too
    // (Demmel and Veselić, 1992).
    if apq.abs() <= f64::EPSILON * libm::sqrt(app.abs()) * libm::sqrt(aqq.abs()) || apq.abs() < f64::MIN_POSITIVE {
        return false;
    }
    let theta = (aqq - app) / (2.0 * apq);
    let t = 1.0f64.copysign(theta) / (theta.abs() + libm::hypot(theta, 1.0));
    let c = 1.0 / libm::sqrt(t * t + 1.0);
    let s = t * c;
    for k in (0..n).filter(|k| ![p, q].contains(k)) {
        let (akp, akq) = (a[k * n + p], a[k * n + q]);
        let (kp, kq) = (c * akp - s * akq, s * akp + c * akq);
        (a[k * n + p], a[p * n + k]) = (kp, kp);
        (a[k * n + q], a[q * n + k]) = (kq, kq);
    }
    (a[p * n + p], a[q * n + q]) = (app - t * apq, aqq + t * apq);
    (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
    let (head, tail) = vectors.split_at_mut(q * n);
    for (vp, vq) in head[p * n..][..n].iter_mut().zip(&mut tail[..n]) {
        (*vp, *vq) = (c * *vp - s * *vq, s * *vp + c * *vq);
    }
    true
}

/// Σ aᵢbᵢ in the order of the indices, as far as both reach.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn check_triangle(l: &[f64], n: usize, b: &[f64]) -> Result<(), Error> {
    length("the factor", l.len(), n.checked_mul(n))?;
    length("the right-hand side", b.len(), Some(n))?;
    let bad = |i: &usize| l[i * n + i] == 0.0 || !l[i * n + i].is_finite();
    match (0..n).find(bad) {
        Some(row) => Err(Error::Singular { row }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "linalg_tests.rs"]
mod tests;
