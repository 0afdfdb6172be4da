//! Sums, products, quotients and roots of f64, rounded once in any direction.

use super::float::Rounding;

/// (−1)^`negative` · `significand` · 2^`exponent`. Where a step loses bits below the last, that last bit is 1.
#[derive(Clone, Copy)]
struct Number {
    negative: bool,
    significand: u128,
    exponent: i32,
}

impl Number {
    /// A finite number.
    fn of(x: f64) -> Number {
        let bits = x.to_bits();
        let (field, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
        let significand = if field == 0 { fraction } else { fraction | 1 << 52 };
        Number { negative: bits >> 63 == 1, significand: significand.into(), exponent: field.max(1) - 1075 }
    }

    /// The same with its highest bit at a place above.
    fn normalized(self, top: u32) -> Number {
        let shift = (self.significand.leading_zeros() + top).saturating_sub(127);
        Number { significand: self.significand << shift, exponent: self.exponent - shift as i32, ..self }
    }

    /// With an exponent that is larger by `shift`.
    fn lowered(self, shift: u32) -> Number {
        let (kept, lost) = match shift {
            0 => (self.significand, false),
            1..=127 => (self.significand >> shift, self.significand << (128 - shift) != 0),
            _ => (0, self.significand != 0),
        };
        Number { significand: kept | u128::from(lost), exponent: self.exponent.saturating_add(shift as i32), ..self }
    }

    /// The f64 that this is, rounded.
    fn round(self, rounding: Rounding) -> f64 {
        let signed = |x: f64| if self.negative { -x } else { x };
        if self.significand == 0 {
            return signed(0.0);
        }
        let length = 128 - self.significand.leading_zeros() as i32;
        let last = (self.exponent + length - 53).max(-1074);
        let (mut kept, half, more) = match u32::try_from(last - self.exponent) {
            Ok(0) => (self.significand, false, false),
            Ok(shift @ 1..=127) => {
                let rest = self.significand << (128 - shift);
                (self.significand >> shift, rest >> 127 == 1, rest << 1 != 0)
            }
            Ok(shift) => (0, shift == 128 && self.significand >> 127 == 1, true),
            Err(_) => (self.significand << (self.exponent - last), false, false),
        };
        let up = match rounding {
            Rounding::Nearest => half && (more || kept & 1 == 1),
            Rounding::Away => half,
            Rounding::Zero => false,
            Rounding::Down => self.negative && (half || more),
            Rounding::Up => !self.negative && (half || more),
        };
        kept += u128::from(up);
        // A carry into the next binade is one into the exponent's field.
        let bits = (((last + 1074) as u64) << 52) + kept as u64;
        if last + 1074 < 0x7fe && bits < f64::INFINITY.to_bits() {
            return signed(f64::from_bits(bits));
        }
        match rounding {
            Rounding::Nearest | Rounding::Away => signed(f64::INFINITY),
            Rounding::Up if !self.negative => f64::INFINITY,
            Rounding::Down if self.negative => f64::NEG_INFINITY,
            _ => signed(f64::MAX),
        }
    }

    fn plus(self, other: Number, rounding: Rounding) -> f64 {
        // A sum of zero has the sign of both, or else that of the direction.
        let zero = |same: bool| match same {
            true if self.negative => -0.0,
            false if rounding == Rounding::Down => -0.0,
            _ => 0.0,
        };
        match (self.significand, other.significand) {
            (0, 0) => return zero(self.negative == other.negative),
            (0, _) => return other.round(rounding),
            (_, 0) => return self.round(rounding),
            _ => {}
        }
        let (mut large, mut small) = (self.normalized(125), other.normalized(125));
        if (large.exponent, large.significand) < (small.exponent, small.significand) {
            (large, small) = (small, large);
        }
        let small = small.lowered(large.exponent.abs_diff(small.exponent));
        let significand = match large.negative == small.negative {
            true => large.significand + small.significand,
            false => large.significand - small.significand,
        };
        if significand == 0 { zero(false) } else { Number { significand, ..large }.round(rounding) }
    }
}

/// a + b
pub(crate) fn sum(a: f64, b: f64, rounding: Rounding) -> f64 {
    match a.is_finite() && b.is_finite() {
        true => Number::of(a).plus(Number::of(b), rounding),
        false => a + b,
    }
}

/// a · b + c
pub(crate) fn fused(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    match a.is_finite() && b.is_finite() && c.is_finite() {
        true => times(Number::of(a), Number::of(b)).plus(Number::of(c), rounding),
        false => a.mul_add(b, c),
    }
}

/// a · b
pub(crate) fn product(a: f64, b: f64, rounding: Rounding) -> f64 {
    match a.is_finite() && b.is_finite() {
        true => times(Number::of(a), Number::of(b)).round(rounding),
        false => a * b,
    }
}

fn times(a: Number, b: Number) -> Number {
    Number {
        negative: a.negative != b.negative,
        significand: a.significand * b.significand,
        exponent: a.exponent + b.exponent,
    }
}

/// a ÷ b
pub(crate) fn quotient(a: f64, b: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || !b.is_finite() || a == 0.0 || b == 0.0 {
        return a / b;
    }
    let (a, b) = (Number::of(a).normalized(125), Number::of(b));
    let (whole, rest) = (a.significand / b.significand, a.significand % b.significand);
    let significand = whole | u128::from(rest != 0);
    Number { negative: a.negative != b.negative, significand, exponent: a.exponent - b.exponent }.round(rounding)
}

/// √a
pub(crate) fn root(a: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || a <= 0.0 {
        return a.sqrt();
    }
    let a = Number::of(a).normalized(125);
    let a = if a.exponent % 2 == 0 { a } else { a.lowered(1) };
    let whole = a.significand.isqrt();
    let significand = whole | u128::from(whole * whole != a.significand);
    Number { significand, exponent: a.exponent / 2, ..a }.round(rounding)
}
