//! Branch-free f32 functions that give the same bits on every platform.
//!
//! Each is straight-line code over `+ − × ÷`, comparisons that become blends
//! and moves of exponent bits: no table, no fused multiply-add, no call. A
//! loop over a slice therefore vectorises, and a caller's
//! `#[target_feature]` function compiles it anew for its registers.
//!
//! | function | largest error (ulp) | range |
//! |---|---|---|
//! | [`exp`] | 1 | all; gradual underflow, overflow to ∞ |
//! | [`ln`] | 1 | all, with subnormals; 0 gives −∞, negative gives NaN |
//! | [`sin`], [`cos`] | 2 | \|x\| ≤ 2²⁸; beyond it see [`sin`] |
//! | [`tanh`] | 3 | all |
//! | [`sigmoid`] | 3 | all; gradual underflow |
//! | [`erf`] | 1.5 | all |
//!
//! NaN gives NaN, and odd functions keep the sign of zero. The polynomials
//! are minimax fits, rounded to f32 one coefficient at a time.

pub(crate) mod formula;

pub(crate) use formula::{ln_normal, sin_quadrant};

/// eˣ.
///
/// ```
/// use yuragi_numeric::elementary::exp;
/// assert_eq!(exp(0.0), 1.0);
/// assert_eq!(exp(f32::NEG_INFINITY), 0.0);
/// ```
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    formula::exp(x)
}

/// The natural logarithm.
///
/// ```
/// use yuragi_numeric::elementary::ln;
/// assert_eq!(ln(1.0), 0.0);
/// assert_eq!(ln(0.0), f32::NEG_INFINITY);
/// assert!(ln(-1.0).is_nan());
/// ```
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    formula::ln(x)
}

/// The sine of x radians.
///
/// Accurate for |x| ≤ 2²⁸, also next to the multiples of π. For larger x the
/// absolute error grows as |x|·2⁻⁵²; from about 2⁵⁰ on only the range [−1, 1]
/// is promised. ±∞ gives NaN.
///
/// ```
/// use yuragi_numeric::elementary::sin;
/// assert_eq!(sin(core::f32::consts::FRAC_PI_2), 1.0);
/// ```
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    formula::sin(x)
}

/// The cosine of x radians; the ranges are those of [`sin`].
///
/// ```
/// assert_eq!(yuragi_numeric::elementary::cos(0.0), 1.0);
/// ```
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    formula::cos(x)
}

/// The hyperbolic tangent, −m/(2 + m) with m = e^(−2|x|) − 1 and the sign of x.
///
/// ```
/// use yuragi_numeric::elementary::tanh;
/// assert_eq!(tanh(1e-20), 1e-20);
/// assert_eq!(tanh(-20.0), -1.0);
/// ```
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    formula::tanh(x)
}

/// The logistic function 1/(1 + e⁻ˣ).
///
/// ```
/// use yuragi_numeric::elementary::sigmoid;
/// assert_eq!(sigmoid(0.0), 0.5);
/// assert!(sigmoid(-100.0) > 0.0);
/// ```
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    formula::sigmoid(x)
}

/// The error function 2/√π ∫₀ˣ e^(−t²) dt.
///
/// ```
/// use yuragi_numeric::elementary::erf;
/// assert_eq!(erf(0.0), 0.0);
/// assert_eq!(erf(-5.0), -1.0);
/// ```
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    formula::erf(x)
}

#[cfg(test)]
#[path = "elementary_tests.rs"]
mod tests;
