//! Sums of tensor cores, with the bits that an H100 gives for f16, bf16 and tf32 in `mma` and `wgmma` alike.
//!
//! All products of an instruction and the accumulator are added at once. The largest exponent among them is taken,
//! where a product's is the sum of its factors' exponents; each term is cut toward zero 25 bits below it; and what is
//! left is added exactly. The caller rounds the sum once: toward zero to f32, or to the nearest f16.

use super::float::{self, Rounding, bits_f32};

/// Columns that are summed together.
pub(crate) const TOGETHER: usize = 8;
/// The last bit that a term keeps: 25 below the largest exponent.
const LAST: f64 = 1.0 / (1 << 25) as f64;

/// The power of two at or below a number, at least that of its format's subnormal numbers; 0 of 0.
#[inline(always)]
pub(crate) fn power(x: f64, least: f64) -> f64 {
    let power = f64::from_bits(x.to_bits() & 0x7ff0_0000_0000_0000).max(least);
    if x == 0.0 { 0.0 } else { power }
}

/// Factors with their powers: of some columns at one depth.
pub(crate) type Columns = ([f64; TOGETHER], [f64; TOGETHER]);

/// Some columns' factors at one depth, in a format with this least power.
#[inline(always)]
pub(crate) fn columns(b: [f64; TOGETHER], least: f64) -> Columns {
    (b, b.map(|b| power(b, least)))
}

/// The exact sums of a row's products with some columns, and of accumulators, after all of them were cut.
///
/// A term x is cut to multiples of `unit` toward zero by adding 1.5·2^52 units to it after half a unit, less a 2^25th,
/// was taken from its magnitude: it has at most 24 significant bits and is below 2^27 units, so that the rounding of
/// that sum to the nearest gives the cut. Its low bits then are the multiple, and are added as integers.
#[inline(always)]
pub(crate) fn sums(a: &[(f64, f64)], b: &[Columns], (c, c_powers): &Columns) -> [f64; TOGETHER] {
    const SIGN: u64 = 1 << 63;
    let mut largest = *c_powers;
    for ((_, a), (_, b)) in a.iter().zip(b) {
        for i in 0..TOGETHER {
            let power = a * b[i];
            largest[i] = if power > largest[i] { power } else { largest[i] };
        }
    }
    let unit = largest.map(|largest| largest * LAST);
    let half = unit.map(|unit| unit * (0.5 - LAST));
    let shift = unit.map(|unit| unit * (3_u64 << 51) as f64);
    let cut = |x: f64, i: usize| {
        let half = f64::from_bits(half[i].to_bits() | x.to_bits() & SIGN);
        (x - half + shift[i]).to_bits()
    };
    let mut all: [u64; TOGETHER] = std::array::from_fn(|i| cut(c[i], i));
    for ((a, _), (b, _)) in a.iter().zip(b) {
        for i in 0..TOGETHER {
            all[i] = all[i].wrapping_add(cut(a * b[i], i));
        }
    }
    let terms = 1 + a.len().min(b.len()) as u64;
    std::array::from_fn(|i| {
        let multiple = all[i].wrapping_sub(terms.wrapping_mul(shift[i].to_bits())) as i64;
        multiple as f64 * unit[i]
    })
}

/// The same with numbers that may be endless or none: no finite number has a part in such a sum, and others are as
/// [`sums`] gives them.
pub(crate) fn any_sums(a: &[(f64, f64)], b: &[Columns], c: &Columns) -> [f64; TOGETHER] {
    let sums = sums(a, b, c);
    std::array::from_fn(|i| {
        let terms = a.iter().zip(b).map(|((a, _), (b, _))| a * b[i]).chain([c.0[i]]);
        let endless = terms.filter(|term| !term.is_finite()).reduce(|sum, term| sum + term);
        endless.unwrap_or(sums[i])
    })
}

/// A sum as f32: cut toward zero, endless beyond the largest number.
#[inline(always)]
pub(crate) fn to_f32(sum: f64) -> u32 {
    let rounding = if sum.abs() >= 2.0 * 2f64.powi(127) { Rounding::Nearest } else { Rounding::Zero };
    bits_f32(float::to_f32(sum, rounding))
}
