use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::elementary::formula;
use crate::single::Single;

/// The numbers that formulas of the graph are written in: `f32` and whatever else is a [`Single`],
/// with the same bits everywhere, or `f64` through `libm`, the truth to compare with.
///
/// A formula has no branch on its numbers, so that it can be recorded as well as computed:
/// comparisons give numbers, and [`select`](Real::select) picks one of two.
///
/// ```
/// use yuragi_numeric::Real;
///
/// fn leaky<R: Real>(x: R) -> R {
///     R::select(x.less(R::of(0.0)), x * R::of(0.1), x)
/// }
///
/// assert_eq!([leaky(-2.0_f32), leaky(3.0)], [-0.2, 3.0]);
/// ```
pub trait Real:
    Copy + Neg<Output = Self> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// A constant of a formula.
    fn of(constant: f64) -> Self;
    /// 1 where self < other, else 0.
    fn less(self, other: Self) -> Self;
    /// 1 where self = other, else 0.
    fn equal(self, other: Self) -> Self;
    /// `a` where the condition is not 0, else `b`.
    fn select(condition: Self, a: Self, b: Self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// −1, 0 or 1; NaN for NaN.
    fn sign(self) -> Self;
    /// The largest integer not above.
    fn floor(self) -> Self;
    /// The larger; NaN if either is.
    fn max(self, other: Self) -> Self;
    /// The smaller; NaN if either is.
    fn min(self, other: Self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// e^x.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Sine of radians.
    fn sin(self) -> Self;
    /// Cosine of radians.
    fn cos(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// 1/(1+e^−x).
    fn sigmoid(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
}

/// 1 where a condition holds, else 0.
#[inline(always)]
fn indicator<S: Single>(condition: S::Condition) -> S {
    S::select(condition, S::from(1.0), S::from(0.0))
}

/// `y`, but NaN where x is.
#[inline(always)]
fn unless_nan<S: Single>(x: S, y: S) -> S {
    S::select(x.equal(x), y, x)
}

impl<S: Single> Real for S {
    #[inline(always)]
    fn of(constant: f64) -> S {
        S::from(constant as f32)
    }
    #[inline(always)]
    fn less(self, other: S) -> S {
        indicator(Single::less(self, other))
    }
    #[inline(always)]
    fn equal(self, other: S) -> S {
        indicator(Single::equal(self, other))
    }
    #[inline(always)]
    fn select(condition: S, a: S, b: S) -> S {
        Single::select(Single::equal(condition, S::from(0.0)), b, a)
    }
    #[inline(always)]
    fn abs(self) -> S {
        Single::abs(self)
    }
    #[inline(always)]
    fn sign(self) -> S {
        let zero = S::from(0.0);
        unless_nan(self, Real::less(zero, self) - Real::less(self, zero))
    }
    #[inline(always)]
    fn floor(self) -> S {
        Single::floor(self)
    }
    #[inline(always)]
    fn max(self, other: S) -> S {
        unless_nan(self, Single::select(Single::less(other, self), self, other))
    }
    #[inline(always)]
    fn min(self, other: S) -> S {
        unless_nan(self, Single::select(Single::less(self, other), self, other))
    }
    #[inline(always)]
    fn sqrt(self) -> S {
        Single::sqrt(self)
    }
    #[inline(always)]
    fn exp(self) -> S {
        formula::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> S {
        formula::ln(self)
    }
    #[inline(always)]
    fn sin(self) -> S {
        formula::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> S {
        formula::cos(self)
    }
    #[inline(always)]
    fn tanh(self) -> S {
        formula::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> S {
        formula::sigmoid(self)
    }
    #[inline(always)]
    fn erf(self) -> S {
        formula::erf(self)
    }
}

impl Real for f64 {
    fn of(constant: f64) -> f64 {
        constant
    }
    fn less(self, other: f64) -> f64 {
        f64::from(u8::from(self < other))
    }
    fn equal(self, other: f64) -> f64 {
        f64::from(u8::from(self == other))
    }
    fn select(condition: f64, a: f64, b: f64) -> f64 {
        if condition != 0.0 { a } else { b }
    }
    fn abs(self) -> f64 {
        self.abs()
    }
    fn sign(self) -> f64 {
        if self.is_nan() { self } else { Real::less(0.0, self) - Real::less(self, 0.0) }
    }
    fn floor(self) -> f64 {
        libm::floor(self)
    }
    fn max(self, other: f64) -> f64 {
        if self > other || self.is_nan() { self } else { other }
    }
    fn min(self, other: f64) -> f64 {
        if self < other || self.is_nan() { self } else { other }
    }
    fn sqrt(self) -> f64 {
        libm::sqrt(self)
    }
    fn exp(self) -> f64 {
        libm::exp(self)
    }
    fn ln(self) -> f64 {
        libm::log(self)
    }
    fn sin(self) -> f64 {
        libm::sin(self)
    }
    fn cos(self) -> f64 {
        libm::cos(self)
    }
    fn tanh(self) -> f64 {
        libm::tanh(self)
    }
    /// Without overflow.
    fn sigmoid(self) -> f64 {
        let e = libm::exp(-self.abs());
        if self >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
    }
    fn erf(self) -> f64 {
        libm::erf(self)
    }
}
