use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::elementary;

/// The numbers that formulas of the graph are written in: `f32` through [`elementary`], the same
/// bits everywhere, or `f64` through `libm`, the truth to compare with.
pub trait Real:
    Copy
    + PartialOrd
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// ½.
    const HALF: Self;
    /// 1.
    const ONE: Self;
    /// 1/√2.
    const FRAC_1_SQRT_2: Self;

    /// 1 if true, else 0.
    fn indicator(condition: bool) -> Self;
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

macro_rules! real {
    ($type:ident, $frac_1_sqrt_2:expr, $abs:path, $floor:path, $sqrt:path, $exp:path, $ln:path, $sin:path, $cos:path, $tanh:path, $sigmoid:path, $erf:path) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const HALF: Self = 0.5;
            const ONE: Self = 1.0;
            const FRAC_1_SQRT_2: Self = $frac_1_sqrt_2;

            #[inline(always)]
            fn indicator(condition: bool) -> Self {
                if condition { 1.0 } else { 0.0 }
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $abs(self)
            }
            #[inline(always)]
            fn sign(self) -> Self {
                let side = Self::indicator(self > 0.0) - Self::indicator(self < 0.0);
                if self == self { side } else { self }
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $floor(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                let larger = if self > other { self } else { other };
                if self == self { larger } else { self }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                let smaller = if self < other { self } else { other };
                if self == self { smaller } else { self }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $sqrt(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $ln(self)
            }
            #[inline(always)]
            fn sin(self) -> Self {
                $sin(self)
            }
            #[inline(always)]
            fn cos(self) -> Self {
                $cos(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                $sigmoid(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
        }
    };
}

/// Exact operations, so that the bits are the same either way: with `std` the processor's, which vectorise.
mod rounding {
    #[inline(always)]
    pub fn floor(x: f32) -> f32 {
        #[cfg(feature = "std")]
        return x.floor();
        #[cfg(not(feature = "std"))]
        libm::floorf(x)
    }

    #[inline(always)]
    pub fn sqrt(x: f32) -> f32 {
        #[cfg(feature = "std")]
        return x.sqrt();
        #[cfg(not(feature = "std"))]
        libm::sqrtf(x)
    }
}

real!(
    f32,
    core::f32::consts::FRAC_1_SQRT_2,
    f32::abs,
    rounding::floor,
    rounding::sqrt,
    elementary::exp,
    elementary::ln,
    elementary::sin,
    elementary::cos,
    elementary::tanh,
    elementary::sigmoid,
    elementary::erf
);
real!(
    f64,
    core::f64::consts::FRAC_1_SQRT_2,
    f64::abs,
    libm::floor,
    libm::sqrt,
    libm::exp,
    libm::log,
    libm::sin,
    libm::cos,
    libm::tanh,
    sigmoid,
    libm::erf
);

/// 1/(1+e^−x) without overflow.
fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
