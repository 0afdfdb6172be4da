//! Dyadic rationals without rounding, and whether a result is one of them correctly rounded.

use std::cmp::Ordering;

/// (−1)^`negative` · digits · 2^`exponent`, the digits of base 2³² from the lowest.
#[derive(Clone, Debug)]
pub struct Exact {
    negative: bool,
    digits: Vec<u32>,
    exponent: i32,
}

impl Exact {
    pub fn of(x: f64) -> Exact {
        assert!(x.is_finite());
        let field = (x.to_bits() >> 52 & 0x7ff) as i32;
        let fraction = x.to_bits() & 0xf_ffff_ffff_ffff;
        let significand = if field == 0 { fraction } else { fraction | 1 << 52 };
        Exact::scaled(x.is_sign_negative(), significand, field.max(1) - 1075)
    }

    pub fn scaled(negative: bool, significand: u64, exponent: i32) -> Exact {
        Exact { negative, digits: vec![significand as u32, (significand >> 32) as u32], exponent }
    }

    pub fn integer(x: i128) -> Exact {
        let magnitude = x.unsigned_abs();
        Exact { negative: x < 0, digits: (0..4).map(|i| (magnitude >> (32 * i)) as u32).collect(), exponent: 0 }
    }

    pub fn is_zero(&self) -> bool {
        self.digits.iter().all(|&digit| digit == 0)
    }

    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    pub fn negated(&self) -> Exact {
        Exact { negative: !self.negative, ..self.clone() }
    }

    pub fn magnitude(&self) -> Exact {
        Exact { negative: false, ..self.clone() }
    }

    pub fn times(&self, other: &Exact) -> Exact {
        let mut digits = vec![0_u32; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate() {
            let mut carry = 0;
            for (j, &b) in other.digits.iter().enumerate() {
                let sum = u64::from(a) * u64::from(b) + u64::from(digits[i + j]) + carry;
                digits[i + j] = sum as u32;
                carry = sum >> 32;
            }
            digits[i + other.digits.len()] = carry as u32;
        }
        Exact { negative: self.negative != other.negative, digits, exponent: self.exponent + other.exponent }
    }

    /// The digits at a lower exponent, so many of them.
    fn at(&self, exponent: i32, len: usize) -> Vec<u32> {
        let shift = (self.exponent - exponent) as usize;
        let (skip, bits) = (shift / 32, shift % 32);
        let mut digits = vec![0; len];
        for (i, &digit) in self.digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            let wide = u64::from(digit) << bits;
            digits[skip + i] |= wide as u32;
            if wide >> 32 != 0 {
                digits[skip + i + 1] |= (wide >> 32) as u32;
            }
        }
        digits
    }

    fn aligned(&self, other: &Exact) -> (i32, Vec<u32>, Vec<u32>) {
        if self.is_zero() || other.is_zero() {
            let exponent = if self.is_zero() { other.exponent } else { self.exponent };
            let of = |x: &Exact| if x.is_zero() { Vec::new() } else { x.digits.clone() };
            let len = self.digits.len().max(other.digits.len()) + 1;
            let padded = |mut digits: Vec<u32>| {
                digits.resize(len, 0);
                digits
            };
            return (exponent, padded(of(self)), padded(of(other)));
        }
        let exponent = self.exponent.min(other.exponent);
        let len = |x: &Exact| x.digits.len() + (x.exponent - exponent) as usize / 32 + 2;
        let len = len(self).max(len(other));
        (exponent, self.at(exponent, len), other.at(exponent, len))
    }

    pub fn plus(&self, other: &Exact) -> Exact {
        let (exponent, a, b) = self.aligned(other);
        let larger = a.iter().rev().cmp(b.iter().rev());
        let (negative, a, b) = match larger {
            Ordering::Less => (other.negative, b, a),
            _ => (self.negative, a, b),
        };
        let subtract = self.negative != other.negative;
        let mut carry = 0_i64;
        let digit = |(&a, &b): (&u32, &u32)| {
            let sum = i64::from(a) + if subtract { -i64::from(b) } else { i64::from(b) } + carry;
            carry = sum >> 32;
            sum as u32
        };
        let digits = a.iter().zip(&b).map(digit).collect();
        Exact { negative, digits, exponent }
    }

    pub fn compare(&self, other: &Exact) -> Ordering {
        let difference = self.plus(&other.negated());
        match (difference.is_zero(), difference.negative) {
            (true, _) => Ordering::Equal,
            (_, true) => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}

/// A direction of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Nearest,
    Away,
    Zero,
    Down,
    Up,
}

pub const DIRECTED: [(&str, Mode); 4] =
    [("rn", Mode::Nearest), ("rz", Mode::Zero), ("rm", Mode::Down), ("rp", Mode::Up)];

/// A binary format of IEEE 754's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Bits in all.
    pub bits: u32,
    /// Bits of the fraction.
    pub fraction: u32,
}

pub const F16: Format = Format { bits: 16, fraction: 10 };
pub const BF16: Format = Format { bits: 16, fraction: 7 };
pub const F32: Format = Format { bits: 32, fraction: 23 };
pub const F64: Format = Format { bits: 64, fraction: 52 };

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.bits - self.fraction - 2)) - 1
    }

    pub fn sign(self) -> u64 {
        1 << (self.bits - 1)
    }

    /// The magnitude of infinity.
    pub fn infinity(self) -> u64 {
        (self.sign() - 1) >> self.fraction << self.fraction
    }

    pub fn is_nan(self, bits: u64) -> bool {
        bits & (self.sign() - 1) > self.infinity()
    }

    pub fn is_finite(self, bits: u64) -> bool {
        bits & (self.sign() - 1) < self.infinity()
    }

    pub fn is_subnormal(self, bits: u64) -> bool {
        let magnitude = bits & (self.sign() - 1);
        magnitude != 0 && magnitude < 1 << self.fraction
    }

    /// A subnormal as zero.
    pub fn flushed(self, bits: u64) -> u64 {
        if self.is_subnormal(bits) { bits & self.sign() } else { bits }
    }

    /// The number that bits are; infinity's are read as the power of two that they would be.
    pub fn exact(self, bits: u64) -> Exact {
        let magnitude = bits & (self.sign() - 1);
        let (field, fraction) = ((magnitude >> self.fraction) as i32, magnitude & ((1 << self.fraction) - 1));
        let significand = if field == 0 { fraction } else { fraction | 1 << self.fraction };
        Exact::scaled(bits & self.sign() != 0, significand, field.max(1) - self.bias() - self.fraction as i32)
    }

    /// The same as f64, NaN and infinity included.
    pub fn float(self, bits: u64) -> f64 {
        let negative = bits & self.sign() != 0;
        let magnitude = match bits & (self.sign() - 1) {
            m if m > self.infinity() => f64::NAN,
            m if m == self.infinity() => f64::INFINITY,
            _ if self == F64 => f64::from_bits(bits & (self.sign() - 1)),
            m => {
                let (field, fraction) = ((m >> self.fraction) as i32, m & ((1 << self.fraction) - 1));
                let significand = if field == 0 { fraction } else { fraction | 1 << self.fraction };
                significand as f64 * 2f64.powi(field.max(1) - self.bias() - self.fraction as i32)
            }
        };
        if negative { -magnitude } else { magnitude }
    }

    /// Whether bits are a number, not zero and perhaps not known but by comparison of its magnitude with
    /// others, correctly rounded.
    pub fn is_rounded(self, bits: u64, mode: Mode, negative: bool, compare: impl Fn(&Exact) -> Ordering) -> bool {
        if (bits & self.sign() != 0) != negative {
            return false;
        }
        let m = bits & (self.sign() - 1);
        let (last, value) = (self.infinity(), |m: u64| self.exact(m));
        let half = Exact::scaled(false, 1, -1);
        let middle = |m: u64| value(m).plus(&value(m + 1)).times(&half);
        let inward = || m < last && compare(&value(m)).is_ge() && (m + 1 == last || compare(&value(m + 1)).is_lt());
        let outward =
            || m <= last && m > 0 && compare(&value(m - 1)).is_gt() && (m == last || compare(&value(m)).is_le());
        let nearest = |tie: bool| {
            let above = m == 0 || if tie { compare(&middle(m - 1)).is_ge() } else { compare(&middle(m - 1)).is_gt() };
            // Ties away leave the lower side; ties to even stay with an even one.
            let down = if tie && mode == Mode::Nearest { Ordering::is_le } else { Ordering::is_lt };
            m <= last && above && (m == last || down(compare(&middle(m))))
        };
        match (mode, negative) {
            (Mode::Nearest, _) => nearest(m & 1 == 0),
            (Mode::Away, _) => nearest(true),
            (Mode::Zero, _) | (Mode::Down, false) | (Mode::Up, true) => inward(),
            _ => outward(),
        }
    }

    /// Whether bits are a number correctly rounded; `zero` says whether a sum of zero is negative.
    pub fn is_exact_rounded(self, bits: u64, mode: Mode, x: &Exact, zero: bool) -> bool {
        if x.is_zero() {
            return bits == if zero { self.sign() } else { 0 };
        }
        let magnitude = x.magnitude();
        self.is_rounded(bits, mode, x.is_negative(), |y| magnitude.compare(y))
    }

    /// Numbers at the edges, and others of all magnitudes.
    pub fn edges(self, others: usize) -> Vec<u64> {
        let one = (self.bias() as u64) << self.fraction;
        let normal = 1 << self.fraction;
        let magnitudes = [
            0,
            1,
            normal - 1,
            normal,
            normal + 1,
            one,
            one + 1,
            one - 1,
            one + normal / 2,
            one + normal,
            one + normal * u64::from(self.fraction + 1),
            self.infinity() - 1,
            self.infinity(),
            self.infinity() + normal / 2,
        ];
        let mut all: Vec<u64> = magnitudes.iter().flat_map(|&m| [m, m | self.sign()]).collect();
        for (i, bits) in crate::table::noise(u64::from(self.bits + self.fraction), others).into_iter().enumerate() {
            let bits = bits >> 7 & self.sign().wrapping_mul(2).wrapping_sub(1);
            // Half of them near one, so that sums do not only round to the larger.
            let near = bits & (self.sign() | (normal - 1)) | (one + (bits >> 9) % 6 * normal);
            all.push(if i % 2 == 0 { bits } else { near });
        }
        all
    }
}
