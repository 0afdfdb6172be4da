//! Sums of tensor cores, with the bits that an H100 gives for f16, bf16 and tf32 in `mma` and `wgmma` alike.
//!
//! All products of an instruction and the accumulator are added at once. The largest exponent among them is taken,
//! where a product's is the sum of its factors' exponents; each term is cut toward zero 25 bits below it; and what is
//! left is added exactly. The result is rounded once: toward zero to f32, or to the nearest f16.

use std::ops::Range;

use yuragi_numeric::simd::truncated;

use super::float::bits_f32;

/// Sums that are formed together: so many that the compiler makes vectors of them before it unrolls a loop over them.
pub(crate) const LANES: usize = 64;
/// The most products of one sum.
pub(crate) const DEPTH: usize = 16;

/// The bits below the largest exponent that a term keeps.
const KEPT: i16 = 25;
/// The exponent of zero, so that no sum with it is one of numbers.
const NONE: i16 = -4096;
/// Between the sums of exponents with that of zero and those without.
const SOME: i16 = NONE / 2;

/// The exponents of the least normal numbers in half and single precision.
pub(crate) const LEAST_HALF: i16 = -14;
pub(crate) const LEAST_SINGLE: i16 = -126;

/// The exponent of a number in a format with this least one; one above [`LARGEST`] if it is endless or no number.
#[inline(always)]
pub(crate) fn exponent(x: f32, least: i16) -> i16 {
    let exponent = (x.to_bits() >> 23 & 0xff) as i16 - 127;
    let exponent = if exponent > least { exponent } else { least };
    if x == 0.0 { NONE } else { exponent }
}

/// Exponents of single numbers; of factors whose products are surely such; and of units by which they can be divided.
const LARGEST: i16 = 127;
const LARGEST_PRODUCT: i16 = 125;
const LEAST_SCALED: i16 = -96;

/// The power of two of an exponent of normal single numbers.
#[inline(always)]
fn power(exponent: i16) -> f32 {
    f32::from_bits(((i32::from(exponent) + 127) as u32) << 23)
}

/// Of each depth, a factor of each sum.
#[derive(Clone, Copy)]
#[repr(align(64))] // so that no vector of them lies in two lines of the cache
pub(crate) struct Factors {
    values: [[f32; LANES]; DEPTH],
    exponents: [[i16; LANES]; DEPTH],
    largest: i16,
}

impl Factors {
    pub const NONE: Factors =
        Factors { values: [[0.0; LANES]; DEPTH], exponents: [[NONE; LANES]; DEPTH], largest: NONE };

    /// Forgets the factors; those of depths that are put again will do.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.largest = NONE;
    }

    /// Some factors at one depth, with their exponents, in as many lanes and again in those behind them.
    #[inline(always)]
    pub fn put<const N: usize>(&mut self, depth: usize, lanes: Range<usize>, values: [f32; N], exponents: [i16; N]) {
        self.values[depth][lanes.clone()].as_chunks_mut().0.fill(values);
        self.exponents[depth][lanes].as_chunks_mut().0.fill(exponents);
        for exponent in exponents {
            self.largest = self.largest.max(exponent);
        }
    }
}

/// Sums as whole numbers of a unit.
struct Whole {
    magnitudes: [u32; LANES],
    /// The sign bits of single numbers.
    signs: [u32; LANES],
    units: [f32; LANES],
}

/// The sums of so many products and an accumulator, whose format has this least exponent; none where single numbers do
/// not hold all that is needed: beside endless numbers where products are very large, or all terms very small.
///
/// Products of factors with at most 11 significant bits are exact in single precision. Divided by the unit, the last bit
/// that a term keeps, they lie below 2^27, so that 16 of them are a whole number of 32 bits.
#[inline(always)]
fn whole(a: &Factors, b: &Factors, c: &[f32; LANES], depth: usize, least: i16) -> Option<Whole> {
    let mut largest = [0_i16; LANES];
    for lane in 0..LANES {
        largest[lane] = exponent(c[lane], least);
    }
    for (a, b) in a.exponents.iter().zip(&b.exponents).take(depth) {
        for lane in 0..LANES {
            let sum = a[lane] + b[lane];
            largest[lane] = if sum > largest[lane] { sum } else { largest[lane] };
        }
    }
    let mut beyond = (a.largest > LARGEST) | (b.largest > LARGEST) | (a.largest + b.largest > LARGEST_PRODUCT);
    for largest in &mut largest {
        let exponent = *largest;
        beyond |= (exponent > LARGEST) | (exponent < LEAST_SCALED) & (exponent > SOME);
        *largest = if exponent > LEAST_SCALED { exponent } else { LEAST_SCALED };
    }
    if beyond {
        return None;
    }
    let mut all = Whole { magnitudes: [0; LANES], signs: [0; LANES], units: [0.0; LANES] };
    let (mut scale, mut sums) = ([0.0; LANES], [0_i32; LANES]);
    for lane in 0..LANES {
        scale[lane] = power(KEPT - largest[lane]);
        all.units[lane] = power(largest[lane] - KEPT);
    }
    for (a, b) in a.values.iter().zip(&b.values).take(depth) {
        for lane in 0..LANES {
            sums[lane] += truncated(a[lane] * b[lane] * scale[lane]);
        }
    }
    for lane in 0..LANES {
        let last = truncated(c[lane] * scale[lane]);
        let sum = sums[lane].wrapping_add(last);
        // The sign of the sum itself, also where it needs 33 bits.
        let negative = (((sums[lane] ^ sum) & (last ^ sum)) ^ sum) >> 31;
        all.magnitudes[lane] = (sum ^ negative).wrapping_sub(negative) as u32;
        all.signs[lane] = negative as u32 & 1 << 31;
    }
    Some(all)
}

impl Whole {
    /// As f32, cut toward zero.
    #[inline(always)]
    fn to_f32(&self) -> [u32; LANES] {
        let mut bits = [0; LANES];
        for (lane, bits) in bits.iter_mut().enumerate() {
            let magnitude = self.magnitudes[lane];
            // Without the first bit that single precision has not, what is lost is less than half of its last one.
            let near = (magnitude & !(magnitude >> 24)) as f32 * self.units[lane];
            *bits = near.to_bits() | self.signs[lane];
        }
        bits
    }

    #[inline(always)]
    fn to_f64(&self) -> [f64; LANES] {
        let mut numbers = [0.0; LANES];
        for (lane, number) in numbers.iter_mut().enumerate() {
            let magnitude = f64::from(self.magnitudes[lane]) * f64::from(self.units[lane]);
            *number = if self.signs[lane] == 0 { magnitude } else { -magnitude };
        }
        numbers
    }
}

/// The same sums of any numbers, term by term: if a term is endless or no number, no finite one has a part in its sum.
#[cold]
#[inline(never)]
fn plain(a: &Factors, b: &Factors, c: &[f32; LANES], depth: usize, least: i16) -> [f64; LANES] {
    std::array::from_fn(|lane| {
        let factor = |depth: usize| {
            let factors = [a.values[depth][lane], b.values[depth][lane]];
            (f64::from(factors[0]) * f64::from(factors[1]), a.exponents[depth][lane] + b.exponents[depth][lane])
        };
        let terms = || (0..depth).map(factor).chain([(f64::from(c[lane]), exponent(c[lane], least))]);
        let endless = terms().map(|(term, _)| term).filter(|term| !term.is_finite()).reduce(|sum, term| sum + term);
        let largest = terms().map(|(_, exponent)| exponent).fold(SOME, i16::max);
        endless.unwrap_or_else(|| match largest {
            SOME => 0.0,
            _ => {
                let unit = f64::from_bits(((i64::from(largest - KEPT) + 1023) as u64) << 52);
                // From positive zero on, which the sum of nothing is.
                terms().fold(0.0, |sum, (term, _)| sum + (term / unit).trunc()) * unit
            }
        })
    })
}

/// Sums of so many products and accumulators in single precision, as the bits of their results.
#[inline(always)]
pub(crate) fn single_sums(a: &Factors, b: &Factors, c: &[f32; LANES], depth: usize) -> [u32; LANES] {
    match whole(a, b, c, depth, LEAST_SINGLE) {
        Some(sums) => sums.to_f32(),
        None => plain(a, b, c, depth, LEAST_SINGLE).map(to_f32),
    }
}

/// Sums of so many products and accumulators of a format with this least exponent, to be rounded.
#[inline(always)]
pub(crate) fn sums(a: &Factors, b: &Factors, c: &[f32; LANES], depth: usize, least: i16) -> [f64; LANES] {
    match whole(a, b, c, depth, least) {
        Some(sums) => sums.to_f64(),
        None => plain(a, b, c, depth, least),
    }
}

/// A sum as f32: cut toward zero, endless beyond the largest number.
#[inline(always)]
pub(crate) fn to_f32(sum: f64) -> u32 {
    let near = sum as f32;
    let is_more = (f64::from(near).abs() > sum.abs()) & (sum.abs() < 2.0 * 2f64.powi(127));
    bits_f32(f32::from_bits(near.to_bits() - u32::from(is_more)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::half_to_f32;

    /// Sums of whole numbers of a unit are those of the rule, term by term, of ordinary fragments and of hostile ones.
    #[test]
    fn sums_in_whole_numbers_are_those_term_by_term() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut together = [0; 3];
        for round in 0..12_000 {
            // Formats by turns, with numbers from some binades, some of which are zero, subnormal or cancel.
            let format = round % 3;
            let (spread, center) = (1 + random(60), random(200) as i64 - 100);
            let hostile = random(10) == 0;
            // By the bits of its fraction, the largest exponent's field and one about the middle.
            let mut number = |fraction: u32, top: u32, middle: i64| {
                let exponent = (middle + random(spread) as i64).clamp(0, i64::from(top) - 1) as u32;
                let bits = match random(40) {
                    0 => 0,
                    1 => random(1 << fraction) as u32, // subnormal
                    2 if hostile => top << fraction,
                    3 if hostile => (top << fraction) | (1 + random((1 << fraction) - 1) as u32),
                    4 => (exponent << fraction) | ((1 << fraction) - 1),
                    _ => (exponent << fraction) | random(1 << fraction) as u32,
                };
                let sign = random(2) as u32;
                match top {
                    31 => half_to_f32((bits | sign << 15) as u16),
                    _ => f32::from_bits(sign << 31 | bits << (23 - fraction)),
                }
            };
            let depth = [16, 16, 8][format];
            let least = if format == 0 { LEAST_HALF } else { LEAST_SINGLE };
            // Half of those of half precision go to accumulators of it.
            let halves = format == 0 && round % 2 == 1;
            let (mut a, mut b) = (Factors::NONE, Factors::NONE);
            let mut c = [0.0; LANES];
            for (lane, c) in c.iter_mut().enumerate() {
                let mut before = [0.0_f32; 2];
                for depth in 0..depth {
                    let mut factor = |center| match format {
                        0 => number(10, 31, 12 + center / 10),
                        1 => number(7, 255, 127 + center),
                        _ => number(10, 255, 127 + center),
                    };
                    let mut now = [factor(center), factor(-center)];
                    if depth % 4 == 3 && lane % 3 == 0 {
                        now = [-before[0], before[1]];
                    }
                    before = now;
                    for (factors, x) in [&mut a, &mut b].into_iter().zip(now) {
                        factors.put(depth, lane..lane + 1, [x], [exponent(x, least)]);
                    }
                }
                *c = if halves { number(10, 31, 12) } else { number(23, 255, 127) };
            }
            let sums_least = if halves { LEAST_HALF } else { LEAST_SINGLE };
            let want = plain(&a, &b, &c, depth, sums_least);
            together[format] += u32::from(whole(&a, &b, &c, depth, sums_least).is_some());
            let got = sums(&a, &b, &c, depth, sums_least);
            for (got, want) in got.iter().zip(&want) {
                assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{got:e} {want:e}");
            }
            let single = if halves { plain(&a, &b, &c, depth, LEAST_SINGLE) } else { want };
            assert_eq!(single_sums(&a, &b, &c, depth), single.map(to_f32));
        }
        assert!(together.iter().all(|&count| count > 1000), "{together:?}");
    }

    #[test]
    fn the_largest_sums_have_their_sign() {
        // 16 products of the largest significands, and an accumulator of their size.
        let most = half_to_f32(0x7bff);
        for (a_sign, c) in [(1.0, most * most), (-1.0, -most * most), (1.0, -most * most), (-1.0, f32::MAX), (1.0, 0.0)]
        {
            let (mut a, mut b) = (Factors::NONE, Factors::NONE);
            for depth in 0..DEPTH {
                a.put(depth, 0..LANES, [a_sign * most], [15]);
                b.put(depth, 0..LANES, [most], [15]);
            }
            let c = [c; LANES];
            assert_eq!(single_sums(&a, &b, &c, DEPTH), plain(&a, &b, &c, DEPTH, LEAST_SINGLE).map(to_f32));
        }
    }
}
