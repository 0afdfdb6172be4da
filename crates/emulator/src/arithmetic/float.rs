//! Arithmetic of PTX in exact steps: sums and products are formed in f64 without loss of what a later
//! rounding needs, then rounded once.

use half::f16;

/// How a result is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// To the nearest, ties to even.
    Nearest,
    /// To the nearest, ties away from zero.
    Away,
    /// Toward zero.
    Zero,
    /// Toward −∞.
    Down,
    /// Toward +∞.
    Up,
}

/// The NaN that f32 instructions give.
pub(crate) const NAN_F32: u32 = 0x7fff_ffff;
/// The NaN that f16 and bf16 instructions give.
pub(crate) const NAN_HALF: u16 = 0x7fff;

/// a + b rounded to odd: the last bit is 1 where something was lost, so that one more rounding, to at
/// most 51 bits, is as if of the exact sum (Boldo & Melquiond 2008).
#[inline(always)]
pub(crate) fn sum_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let part = sum - a;
    let lost = (a - (sum - part)) + (b - part);
    to_odd(sum, lost)
}

/// A value whose exact counterpart is `value + lost`, rounded to odd.
#[inline(always)]
fn to_odd(value: f64, lost: f64) -> f64 {
    let bits = value.to_bits();
    let exact = (lost == 0.0) | !value.is_finite() | lost.is_nan();
    // An even value is left toward the side on which the exact one lies.
    let away = (lost > 0.0) == (value > 0.0);
    let odd = if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f64::from_bits(if exact | (bits & 1 == 1) { bits } else { odd })
}

/// a·b + c rounded to odd, of numbers with at most 24 bits.
#[inline(always)]
pub(crate) fn fused_to_odd(a: f64, b: f64, c: f64) -> f64 {
    sum_to_odd(a * b, c)
}

/// A sum of a and b that will be rounded: if it is zero, then with the sign that the direction gives.
#[inline(always)]
pub(crate) fn signed_zero(sum: f64, a: f64, b: f64, rounding: Rounding) -> f64 {
    let negative = rounding == Rounding::Down && sum == 0.0 && (a.is_sign_negative() || b.is_sign_negative());
    if negative { -0.0 } else { sum }
}

/// a ÷ b rounded to odd, of numbers with at most 24 bits.
#[inline(always)]
pub(crate) fn quotient_to_odd(a: f64, b: f64) -> f64 {
    let quotient = a / b;
    let rest = (-quotient).mul_add(b, a);
    let odd = to_odd(quotient, if b < 0.0 { -rest } else { rest });
    if !quotient.is_finite() | (quotient == 0.0) { quotient } else { odd }
}

/// √a rounded to odd.
#[inline(always)]
pub(crate) fn root_to_odd(a: f64) -> f64 {
    let root = a.sqrt();
    let odd = to_odd(root, (-root).mul_add(root, a));
    if !root.is_finite() | (root == 0.0) { root } else { odd }
}

/// An exact or odd-rounded number as f32.
#[inline(always)]
pub(crate) fn to_f32(x: f64, rounding: Rounding) -> f32 {
    let near = x as f32;
    let back = f64::from(near);
    let (downward, upward) = match rounding {
        Rounding::Nearest | Rounding::Away => return near,
        Rounding::Zero => (x > 0.0, x < 0.0),
        Rounding::Down => (true, false),
        Rounding::Up => (false, true),
    };
    let (too_high, too_low) = (downward & (back > x), upward & (back < x));
    let bits = near.to_bits();
    let less = if back == 0.0 { 0x8000_0001 } else { bits.wrapping_sub(1) };
    let more = if back == 0.0 { 0x0000_0001 } else { bits.wrapping_sub(1) };
    let lower = if back < 0.0 { bits.wrapping_add(1) } else { less };
    let higher = if back > 0.0 { bits.wrapping_add(1) } else { more };
    let bits = if too_high { lower } else { bits };
    f32::from_bits(if too_low { higher } else { bits })
}

/// An exact or odd-rounded number as f32, where one that is too small before rounding is zero.
#[inline(always)]
pub(crate) fn to_flushed_f32(x: f64, rounding: Rounding) -> f32 {
    let least = f64::from(f32::MIN_POSITIVE);
    if x.abs() < least { f32::from_bits(((x.to_bits() >> 32) as u32) & 0x8000_0000) } else { to_f32(x, rounding) }
}

/// An exact or odd-rounded number in a format with so many bits of significand and this least exponent.
/// A number too large for the format is at least 2^(1 − `least`), which the caller sees.
#[inline(always)]
fn narrowed(x: f64, bits: i32, least: i32, rounding: Rounding) -> f64 {
    let exponent = ((x.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(least);
    let unit = f64::from_bits(((1024 + exponent - bits) as u64) << 52);
    to_integral(x / unit, rounding) * unit
}

/// An infinity, or the largest finite number, for a number beyond it.
fn beyond(negative: bool, rounding: Rounding, infinity: u16) -> u16 {
    let finite = match rounding {
        Rounding::Nearest | Rounding::Away => false,
        Rounding::Zero => true,
        Rounding::Down => !negative,
        Rounding::Up => negative,
    };
    (infinity - u16::from(finite)) | u16::from(negative) << 15
}

/// An exact or odd-rounded number as f16.
pub(crate) fn to_f16(x: f64, rounding: Rounding) -> u16 {
    if x.is_nan() {
        return NAN_HALF;
    }
    let near = if x.is_infinite() { x } else { narrowed(x, 11, -14, rounding) };
    match near.abs() < 65_536.0 || x.is_infinite() {
        true => f16::from_f64(near).to_bits(),
        false => beyond(x < 0.0, rounding, 0x7c00),
    }
}

/// An exact or odd-rounded number as bf16.
pub(crate) fn to_bf16(x: f64, rounding: Rounding) -> u16 {
    if x.is_nan() {
        return NAN_HALF;
    }
    let near = if x.is_infinite() { x } else { narrowed(x, 8, -126, rounding) };
    match near.abs() <= f64::from(f32::MAX) || x.is_infinite() {
        true => ((near as f32).to_bits() >> 16) as u16,
        false => beyond(x < 0.0, rounding, 0x7f80),
    }
}

/// A number in half precision, without a branch for subnormal ones.
#[inline(always)]
pub(crate) fn half_to_f32(bits: u16) -> f32 {
    let (magnitude, sign) = (u32::from(bits & 0x7fff) << 13, u32::from(bits & 0x8000) << 16);
    let endless = if magnitude >= 0x0f80_0000 { 0x7f80_0000 | magnitude } else { 0 };
    // 2^112 moves the exponent to where single precision has it.
    let scaled = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    f32::from_bits(if endless == 0 { scaled } else { endless } | sign)
}

/// A number in single precision as the nearest in half precision, without a branch.
#[inline(always)]
pub(crate) fn half_from_f32(x: f32) -> u16 {
    let sign = x.to_bits() & 0x8000_0000;
    let magnitude = x.to_bits() ^ sign;
    // Half a unit of the least half number above 0.5, so that the sum is rounded where that number's is.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0x0fff + odd) >> 13;
    let bits = if magnitude < 113 << 23 { subnormal } else { normal };
    let bits = if magnitude >= 143 << 23 { 0x7c00 } else { bits };
    if magnitude > 0x7f80_0000 { NAN_HALF } else { (bits | sign >> 16) as u16 }
}

/// A number rounded to odd in single precision: the last bit is 1 where something was lost, so that one more rounding to
/// a 16-bit format is as if of the number itself. One too large for single precision is endless in those formats, too.
#[inline(always)]
pub(crate) fn odd_f32(x: f64) -> f32 {
    let near = x as f32;
    let (back, bits) = (f64::from(near), near.to_bits());
    // Toward zero first.
    let toward = if back.abs() > x.abs() { bits.wrapping_sub(1) } else { bits };
    let exact = (back == x) | x.is_nan() | (near.abs() == f32::INFINITY);
    if exact { near } else { f32::from_bits(toward | 1) }
}

/// The same as bf16.
#[inline(always)]
pub(crate) fn bf16_from_f32(x: f32) -> u16 {
    let bits = x.to_bits();
    let near = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if x.is_nan() { NAN_HALF } else { near as u16 }
}

/// f32 rounded to the 11 bits of tf32's significand.
pub(crate) fn to_tf32(x: f32, rounding: Rounding) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() {
        return NAN_F32;
    }
    if x.is_infinite() {
        return bits;
    }
    let half = match rounding {
        Rounding::Nearest => 0x0fff + (bits >> 13 & 1),
        Rounding::Away => 0x1000,
        Rounding::Zero => 0,
        Rounding::Down => {
            if bits >> 31 == 1 {
                0x1fff
            } else {
                0
            }
        }
        Rounding::Up => {
            if bits >> 31 == 0 {
                0x1fff
            } else {
                0
            }
        }
    };
    (bits + half) & !0x1fff
}

/// A number in one of the 8-bit formats, its largest finite number where it is too large (`.satfinite`).
pub(crate) fn to_f8(x: f32, exponent_bits: u32) -> u8 {
    let significand = 7 - exponent_bits;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let largest = if exponent_bits == 4 { 0x7e } else { 0x7b };
    let sign = ((x.to_bits() >> 24) & 0x80) as u8;
    if x.is_nan() {
        return 0x7f;
    }
    let magnitude = f64::from(x.abs());
    let exponent = (magnitude.to_bits() >> 52) as i32 - 1023;
    let exponent = exponent.max(1 - bias);
    let unit = f64::from_bits(((1023 + exponent - significand as i32) as u64) << 52);
    let steps = (magnitude / unit).round_ties_even();
    // Steps of one binade and the exponent field add up to the bits, also where rounding reaches the next.
    let field = ((exponent + bias - 1) as f64) * f64::from(1_u32 << significand);
    let bits = (field + steps).min(f64::from(largest));
    sign | bits as u8
}

/// A number of one of the 8-bit formats.
pub(crate) fn from_f8(bits: u8, exponent_bits: u32) -> f32 {
    let significand = 7 - exponent_bits;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let (magnitude, negative) = (bits & 0x7f, bits & 0x80 != 0);
    let (exponent, fraction) = (i32::from(magnitude >> significand), magnitude & ((1 << significand) - 1));
    let value = if exponent_bits == 4 && magnitude == 0x7f {
        f32::NAN
    } else if exponent_bits == 5 && exponent == 31 {
        if fraction == 0 { f32::INFINITY } else { f32::NAN }
    } else if exponent == 0 {
        f32::from(fraction) * 2f32.powi(1 - bias - significand as i32)
    } else {
        (f32::from(fraction) + (1 << significand) as f32) * 2f32.powi(exponent - bias - significand as i32)
    };
    if negative { -value } else { value }
}

/// A subnormal as the zero of its sign.
#[inline(always)]
pub(crate) fn flush(x: f32) -> f32 {
    if x.is_subnormal() { f32::from_bits(x.to_bits() & 0x8000_0000) } else { x }
}

/// Between 0 and 1; 0 for NaN.
#[inline(always)]
pub(crate) fn saturate(x: f32) -> f32 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

/// The bits of an f32 result: one NaN for all.
#[inline(always)]
pub(crate) fn bits_f32(x: f32) -> u32 {
    if x.is_nan() { NAN_F32 } else { x.to_bits() }
}

/// A number rounded to an integer.
#[inline(always)]
pub(crate) fn to_integral(x: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Nearest => x.round_ties_even(),
        Rounding::Away => x.round(),
        Rounding::Zero => x.trunc(),
        Rounding::Down => x.floor(),
        Rounding::Up => x.ceil(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn a_fused_product_is_rounded_once() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = (state >> 32) as u32;
            f32::from_bits(bits & 0x8fff_ffff | 0x3800_0000)
        };
        for _ in 0..100_000 {
            let (a, b, c) = (next(), next(), next());
            let got = to_f32(fused_to_odd(a.into(), b.into(), c.into()), Rounding::Nearest);
            assert_eq!(got.to_bits(), a.mul_add(b, c).to_bits(), "{a} {b} {c}");
        }
        let tiny = f32::from_bits(1);
        assert_eq!(to_f32(fused_to_odd(1.0, 1.0, f64::from(tiny)), Rounding::Up), 1.0f32.next_up());
        assert_eq!(to_f32(fused_to_odd(1.0, 1.0, -f64::from(tiny)), Rounding::Zero), 1.0f32.next_down());
        assert_eq!(to_f32(f64::MAX, Rounding::Zero), f32::MAX);
        assert_eq!(to_f32(quotient_to_odd(1.0, 3.0), Rounding::Up), (1.0f32 / 3.0).max((1.0f64 / 3.0) as f32));
    }

    /// The numbers below and above one in a format of 16 bits.
    fn neighbours(bits: u16) -> (u16, u16) {
        let negative = bits & 0x8000 != 0;
        match bits & 0x7fff {
            0 => (0x8001, 0x0001),
            _ if negative => (bits + 1, bits - 1),
            _ => (bits - 1, bits + 1),
        }
    }

    #[test]
    fn every_half_number_survives_and_lies_between_its_neighbours() {
        for bits in 0..=u16::MAX {
            let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
            if !h.is_nan() {
                assert_eq!(to_f16(h.into(), Rounding::Up), bits);
            }
            if b.is_nan() {
                continue;
            }
            assert_eq!(to_bf16(b.into(), Rounding::Down), bits);
            if b.is_finite() && bits & 0x7fff != 0x7f7f {
                let up = bf16::from_bits(neighbours(bits).1);
                let middle = (f64::from(b) + f64::from(up)) / 2.0;
                let even = if bits & 1 == 0 { b } else { up };
                assert_eq!(f64::from(bf16::from_bits(to_bf16(middle, Rounding::Nearest))), f64::from(even));
                assert_eq!(f64::from(bf16::from_bits(to_bf16(middle, Rounding::Up))), f64::from(up));
            }
        }
    }

    #[test]
    fn every_half_number_is_read_as_it_is() {
        for bits in 0..=u16::MAX {
            let (want, got) = (f16::from_bits(bits).to_f32(), half_to_f32(bits));
            assert!(want.to_bits() == got.to_bits() || want.is_nan() && got.is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn single_numbers_become_halves_without_a_branch_as_with_them() {
        // Every upper half, with lower ones at and beside the middles.
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x3001, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let x = f32::from_bits(u32::from(high) << 16 | low);
                assert_eq!(half_from_f32(x), to_f16(x.into(), Rounding::Nearest), "{x:e}");
                assert_eq!(bf16_from_f32(x), to_bf16(x.into(), Rounding::Nearest), "{x:e}");
            }
        }
    }

    #[test]
    fn numbers_become_halves_by_way_of_odd_single_ones() {
        // Beside the middles of 16-bit numbers by less than single precision knows.
        for bits in (0..0x7c00).chain([0x7c00, 0x7e00]) {
            let (x, y) = (f64::from(f16::from_bits(bits)), f64::from(bf16::from_bits(bits)));
            let (u, v) = (f64::from(f16::from_bits(bits + 1)), f64::from(bf16::from_bits(bits + 1)));
            for (middle, half) in [((x + u) / 2.0, true), ((y + v) / 2.0, false)] {
                for x in [middle, middle.next_up(), middle.next_down(), -middle, -middle.next_up(), 1e300 * middle] {
                    let (want, got) = match half {
                        true => (to_f16(x, Rounding::Nearest), half_from_f32(odd_f32(x))),
                        false => (to_bf16(x, Rounding::Nearest), bf16_from_f32(odd_f32(x))),
                    };
                    assert_eq!(got, want, "{x:e}");
                }
            }
        }
    }

    #[test]
    fn eight_bit_formats_round_trip() {
        for bits in 0..=u8::MAX {
            for exponent in [4, 5] {
                let value = from_f8(bits, exponent);
                if value.is_finite() {
                    assert_eq!(to_f8(value, exponent), bits, "{value}");
                }
            }
        }
        assert_eq!(from_f8(to_f8(1e9, 4), 4), 448.0);
        assert_eq!(from_f8(to_f8(-1e9, 5), 5), -57344.0);
        assert_eq!(from_f8(to_f8(1.0625, 4), 4), 1.0);
    }
}
