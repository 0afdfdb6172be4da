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

use core::f32::consts::LOG2_E;

/// 1.5·2²³: adding it rounds to the nearest integer, which then stands in the
/// low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in 16 bits, so that a product with an exponent is exact, and the rest.
const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);

/// a₀ + a₁x + a₂x² + …, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for a in coefficients.into_iter().rev() {
        sum = sum * x + a;
    }
    sum
}

/// 2ⁿ for −126 ≤ n ≤ 127.
#[inline(always)]
fn pow2(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// (n, eʳ − 1) where x = n ln 2 + r and |r| ≤ ½ ln 2, for |x| < 2²⁰.
#[inline(always)]
fn exp_parts(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2.0) - n * LN_2.1;
    let tail = polynomial(r, [0.5, 0.166_665_45, 0.041_666_403, 0.008_366_398, 0.001_394_065_3]);
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    (n, r + r * r * tail)
}

/// eˣ.
///
/// ```
/// use yuragi_numeric::elementary::exp;
/// assert_eq!(exp(0.0), 1.0);
/// assert_eq!(exp(f32::NEG_INFINITY), 0.0);
/// ```
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (n, expm1) = exp_parts(x);
    let half = n >> 1;
    (expm1 + 1.0) * pow2(half) * pow2(n.wrapping_sub(half))
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
    let subnormal = x < f32::MIN_POSITIVE;
    let scale = if subnormal { 16_777_216.0 } else { 1.0 };
    let offset = if subnormal { -24.0 } else { 0.0 };
    let y = ln_normal(x * scale, offset);
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

/// ln x + offset·ln 2 for a positive, finite and normal x.
#[inline(always)]
pub(crate) fn ln_normal(x: f32, offset: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = ((shifted as i32) >> 23) as f32 + offset;
    let f = f32::from_bits((shifted & 0x007f_ffff) + SQRT_HALF) - 1.0;
    let tail = polynomial(
        f,
        [
            0.333_333_16,
            -0.250_008_1,
            0.200_023_04,
            -0.166_245_61,
            0.141_808_73,
            -0.131_283_95,
            0.128_834_1,
            -0.078_625_2,
        ],
    );
    let square = f * f;
    let small = (square * f) * tail + exponent * LN_2.1 - 0.5 * square;
    (small + f) + exponent * LN_2.0
}

/// sin r for |r| ≤ π/4.
#[inline(always)]
pub(crate) fn sin_small(r: f32) -> f32 {
    let square = r * r;
    r + r * square * polynomial(square, [-0.166_666_55, 0.008_332_191, -1.951_859_9e-4])
}

/// cos r for |r| ≤ π/4.
#[inline(always)]
pub(crate) fn cos_small(r: f32) -> f32 {
    let square = r * r;
    let tail = polynomial(square, [0.041_666_646, -0.001_388_730_1, 2.443_066_8e-5]);
    (1.0 - 0.5 * square) + square * square * tail
}

/// sin(r + quadrant·π/2) for |r| ≤ π/4.
#[inline(always)]
pub(crate) fn sin_quadrant(r: f32, quadrant: u32) -> f32 {
    let y = if quadrant & 1 == 0 { sin_small(r) } else { cos_small(r) };
    f32::from_bits(y.to_bits() ^ (quadrant & 2) << 30)
}

/// (r, quadrant) where x = r + n π/2, |r| ≤ π/4 and quadrant ≡ n mod 4.
///
/// The subtraction is in f64 with π/2 in two parts (Cody and Waite), the
/// first of 25 bits: exact for |n| < 2²⁸.
#[inline(always)]
fn quarter_turns(x: f32) -> (f32, u32) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const HALF_PI: (f64, f64) = (1.570_796_310_901_641_8, 1.589_325_477_352_819_6e-8);
    let x = f64::from(x);
    let shifted = x * core::f64::consts::FRAC_2_PI + ROUND;
    let n = shifted - ROUND;
    let r = ((x - n * HALF_PI.0) - n * HALF_PI.1) as f32;
    let r = if r > 0.79 { 0.79 } else { r };
    let r = if r < -0.79 { -0.79 } else { r };
    (r, shifted.to_bits() as u32)
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
    let (r, quadrant) = quarter_turns(x);
    let y = sin_quadrant(r, quadrant);
    if x == 0.0 { x } else { y }
}

/// The cosine of x radians; the ranges are those of [`sin`].
///
/// ```
/// assert_eq!(yuragi_numeric::elementary::cos(0.0), 1.0);
/// ```
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    let (r, quadrant) = quarter_turns(x);
    sin_quadrant(r, quadrant.wrapping_add(1))
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
    let y = -2.0 * x.abs();
    let y = if y < -30.0 { -30.0 } else { y };
    let (n, expm1) = exp_parts(y);
    let scale = pow2(n);
    let m = scale * expm1 + (scale - 1.0);
    (-m / (2.0 + m)).copysign(x)
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
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
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
    let t = x.abs();
    let small = t + t * polynomial(
        t * t,
        [0.128_379_15, -0.376_125_04, 0.112_819_14, -0.026_769_891, 0.004_997_609, -6.011_721e-4],
    );
    let u = if t > 4.0 { 4.0 } else { t };
    let minus_ln_erfc = polynomial(
        u,
        [1.442_120_1e-4, 1.127_889_4, 0.636_820_6, 0.104_250_25, -0.022_381_062, 0.003_082_004_8, -1.999_022_6e-4],
    );
    let (n, expm1) = exp_parts(-minus_ln_erfc);
    let large = 1.0 - (expm1 + 1.0) * pow2(n);
    (if t < 0.875 { small } else { large }).copysign(x)
}

#[cfg(test)]
#[path = "elementary_tests.rs"]
mod tests;
