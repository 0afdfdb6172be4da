//! The formulas: straight lines over `+ − × ÷`, blends and moves of bits, of any [`Single`].

use core::f32::consts::LOG2_E;

use crate::single::{Single, Word};

/// 1.5·2²³: adding it rounds to the nearest integer, which then stands in the
/// low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in 16 bits, so that a product with an exponent is exact, and the rest.
const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);

/// A number of a formula.
#[inline(always)]
fn num<S: Single>(value: f32) -> S {
    S::from(value)
}

/// Bits of a formula.
#[inline(always)]
fn word<S: Single>(bits: u32) -> S::Word {
    S::Word::from(bits)
}

/// a₀ + a₁x + a₂x² + …, by Horner's rule.
#[inline(always)]
fn polynomial<S: Single, const N: usize>(x: S, coefficients: [f32; N]) -> S {
    let mut sum = num(coefficients[N - 1]);
    for &a in coefficients[..N - 1].iter().rev() {
        sum = sum * x + num(a);
    }
    sum
}

/// 2ⁿ for −126 ≤ n ≤ 127.
#[inline(always)]
fn pow2<S: Single>(n: S::Word) -> S {
    S::from_bits(n.wrapping_add(word::<S>(127)) << 23)
}

/// (n, eʳ − 1) where x = n ln 2 + r and |r| ≤ ½ ln 2, for |x| < 2²⁰.
#[inline(always)]
fn exp_parts<S: Single>(x: S) -> (S::Word, S) {
    let shifted = x * num(LOG2_E) + num(ROUND);
    let n = shifted - num(ROUND);
    let r = (x - n * num(LN_2.0)) - n * num(LN_2.1);
    let tail = polynomial(r, [0.5, 0.166_665_45, 0.041_666_403, 0.008_366_398, 0.001_394_065_3]);
    let n = shifted.to_bits().wrapping_sub(word::<S>(ROUND.to_bits()));
    (n, r + r * r * tail)
}

#[inline(always)]
pub(crate) fn exp<S: Single>(x: S) -> S {
    let (n, expm1) = exp_parts(x.at_most(89.0).at_least(-104.0));
    let half = n.shift_signed(1);
    (expm1 + num(1.0)) * pow2(half) * pow2(n.wrapping_sub(half))
}

#[inline(always)]
pub(crate) fn ln<S: Single>(x: S) -> S {
    let subnormal = x.less(num(f32::MIN_POSITIVE));
    let scale = S::select(subnormal, num(16_777_216.0), num(1.0));
    let offset = S::select(subnormal, num(-24.0), num(0.0));
    let y = ln_normal(x * scale, offset);
    let y = S::select(x.equal(num(f32::INFINITY)), x, y);
    let y = S::select(num::<S>(0.0).less(x), y, num(f32::NAN));
    S::select(x.equal(num(0.0)), num(f32::NEG_INFINITY), y)
}

/// ln x + offset·ln 2 for a positive, finite and normal x.
#[inline(always)]
pub(crate) fn ln_normal<S: Single>(x: S, offset: S) -> S {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(word::<S>(SQRT_HALF));
    let exponent = S::from_integer(shifted.shift_signed(23)) + offset;
    let mantissa = (shifted & word::<S>(0x007f_ffff)).wrapping_add(word::<S>(SQRT_HALF));
    let f = S::from_bits(mantissa) - num(1.0);
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
    let small = (square * f) * tail + exponent * num(LN_2.1) - num::<S>(0.5) * square;
    (small + f) + exponent * num(LN_2.0)
}

/// sin r for |r| ≤ π/4.
#[inline(always)]
fn sin_small<S: Single>(r: S) -> S {
    let square = r * r;
    r + r * square * polynomial(square, [-0.166_666_55, 0.008_332_191, -1.951_859_9e-4])
}

/// cos r for |r| ≤ π/4.
#[inline(always)]
fn cos_small<S: Single>(r: S) -> S {
    let square = r * r;
    let tail = polynomial(square, [0.041_666_646, -0.001_388_730_1, 2.443_066_8e-5]);
    (num::<S>(1.0) - num::<S>(0.5) * square) + square * square * tail
}

/// sin(r + quadrant·π/2) for |r| ≤ π/4.
#[inline(always)]
pub(crate) fn sin_quadrant<S: Single>(r: S, quadrant: S::Word) -> S {
    let y = S::select(S::is_zero(quadrant & word::<S>(1)), sin_small(r), cos_small(r));
    S::from_bits(y.to_bits() ^ ((quadrant & word::<S>(2)) << 30))
}

/// (r, quadrant) where x = r + n π/2, |r| ≤ π/4 and quadrant ≡ n mod 4.
///
/// The subtraction is in f64 with π/2 in two parts (Cody and Waite), the
/// first of 25 bits: exact for |n| < 2²⁸.
#[inline(always)]
fn quarter_turns<S: Single>(x: S) -> (S, S::Word) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const HALF_PI: (f64, f64) = (1.570_796_310_901_641_8, 1.589_325_477_352_819_6e-8);
    let num = S::Double::from;
    let x = x.widen();
    let shifted = x * num(core::f64::consts::FRAC_2_PI) + num(ROUND);
    let n = shifted - num(ROUND);
    let r = S::narrow((x - n * num(HALF_PI.0)) - n * num(HALF_PI.1));
    (r.at_most(0.79).at_least(-0.79), S::low_word(shifted))
}

#[inline(always)]
pub(crate) fn sin<S: Single>(x: S) -> S {
    let (r, quadrant) = quarter_turns(x);
    S::select(x.equal(num(0.0)), x, sin_quadrant(r, quadrant))
}

#[inline(always)]
pub(crate) fn cos<S: Single>(x: S) -> S {
    let (r, quadrant) = quarter_turns(x);
    sin_quadrant(r, quadrant.wrapping_add(word::<S>(1)))
}

#[inline(always)]
pub(crate) fn tanh<S: Single>(x: S) -> S {
    let (n, expm1) = exp_parts((num::<S>(-2.0) * x.abs()).at_least(-30.0));
    let scale = pow2::<S>(n);
    let m = scale * expm1 + (scale - num(1.0));
    (-m / (num::<S>(2.0) + m)).copysign(x)
}

#[inline(always)]
pub(crate) fn sigmoid<S: Single>(x: S) -> S {
    let e = exp(-x.abs());
    S::select(x.less(num(0.0)), e, num(1.0)) / (num::<S>(1.0) + e)
}

#[inline(always)]
pub(crate) fn erf<S: Single>(x: S) -> S {
    let t = x.abs();
    let small = t + t * polynomial(
        t * t,
        [0.128_379_15, -0.376_125_04, 0.112_819_14, -0.026_769_891, 0.004_997_609, -6.011_721e-4],
    );
    let minus_ln_erfc = polynomial(
        t.at_most(4.0),
        [1.442_120_1e-4, 1.127_889_4, 0.636_820_6, 0.104_250_25, -0.022_381_062, 0.003_082_004_8, -1.999_022_6e-4],
    );
    let (n, expm1) = exp_parts(-minus_ln_erfc);
    let large = num::<S>(1.0) - (expm1 + num(1.0)) * pow2(n);
    S::select(t.less(num(0.875)), small, large).copysign(x)
}
