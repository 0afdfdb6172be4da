//! Branch-free f64 `exp` and `ln`: the same bits on every platform, in loops that vectorise.
//!
//! They are to f64 what [`elementary`](crate::elementary) is to f32: straight-line code over
//! `+ − × ÷`, comparisons that become blends and moves of exponent bits. `libm`'s functions are as
//! accurate; these are for loops, in a [`Task`](crate::simd::Task).
//!
//! | function | largest error (ulp) | range |
//! |---|---|---|
//! | [`exp`] | 1 | all; gradual underflow, overflow to ∞ |
//! | [`ln`] | 1 | all, with subnormals; 0 gives −∞, negative gives NaN |
//!
//! NaN gives NaN. The polynomials are minimax fits, rounded to f64.

use core::f64::consts::LOG2_E;

/// 1.5·2⁵²: adding it rounds to the nearest integer, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// ln 2 in 32 bits, so that a product with an exponent is exact, and the rest.
const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);

/// a₀ + a₁x + a₂x² + …, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = 0.0;
    for a in coefficients.into_iter().rev() {
        sum = sum * x + a;
    }
    sum
}

/// 2ⁿ from n + [`ROUND`], for −1022 ≤ n ≤ 1023.
#[inline(always)]
fn pow2(shifted: f64) -> f64 {
    f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// eˣ.
///
/// ```
/// use yuragi_numeric::double::exp;
/// assert_eq!(exp(0.0), 1.0);
/// assert_eq!(exp(f64::NEG_INFINITY), 0.0);
/// ```
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -746.0 { -746.0 } else { x };
    let n = (x * LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN_2.0) - n * LN_2.1;
    let tail = polynomial(
        r,
        [
            0.5,
            0.166_666_666_666_666_7,
            0.041_666_666_666_666_67,
            0.008_333_333_333_326_136,
            0.001_388_888_888_888_374_8,
            1.984_126_987_482_062_7e-4,
            2.480_158_732_554_774_3e-5,
            2.755_725_540_020_642_2e-6,
            2.755_727_364_311_03e-7,
            2.510_521_700_472_074_5e-8,
            2.091_468_696_808_687_6e-9,
        ],
    );
    // The power of two in two factors, so that results below the normal numbers are rounded once.
    let half = n * 0.5 + ROUND;
    let rest = (n - (half - ROUND)) + ROUND;
    (1.0 + (r + r * r * tail)) * pow2(half) * pow2(rest)
}

/// The natural logarithm.
///
/// ```
/// use yuragi_numeric::double::ln;
/// assert_eq!(ln(1.0), 0.0);
/// assert_eq!(ln(0.0), f64::NEG_INFINITY);
/// assert!(ln(-1.0).is_nan());
/// ```
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;
    /// 2⁵², whose low bits take an exponent that was raised by 1024.
    const INTEGER: u64 = 0x4330_0000_0000_0000;
    let subnormal = x < f64::MIN_POSITIVE;
    let scale = if subnormal { 18_014_398_509_481_984.0 } else { 1.0 };
    let offset = if subnormal { 1024.0 + 54.0 } else { 1024.0 };
    let shifted = (x * scale).to_bits().wrapping_sub(SQRT_HALF);
    let raised = shifted.wrapping_add(1024 << 52) >> 52;
    let exponent = (f64::from_bits(INTEGER | raised) - f64::from_bits(INTEGER)) - offset;
    let f = f64::from_bits((shifted & MANTISSA).wrapping_add(SQRT_HALF)) - 1.0;
    // ln(1 + f) = 2 artanh s = f − (f²/2 − s(f²/2 + R)), where R(s²) holds the powers of artanh from the third on.
    let s = f / (2.0 + f);
    let z = s * s;
    let powers = polynomial(
        z,
        [
            0.666_666_666_666_667,
            0.399_999_999_998_988_9,
            0.285_714_286_262_538_36,
            0.222_222_110_893_794_96,
            0.181_828_924_325_368_7,
            0.153_316_117_220_550_08,
            0.146_178_071_534_174_25,
        ],
    );
    let half_square = 0.5 * f * f;
    let small = half_square - (s * (half_square + z * powers) + exponent * LN_2.1);
    let y = exponent * LN_2.0 - (small - f);
    let y = if x == f64::INFINITY { x } else { y };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f64::NAN }
}

#[cfg(test)]
#[path = "double_tests.rs"]
mod tests;
