//! Weights in 4, 5, 6 or 8 bits, with one scale for each group of them.
//!
//! # Layout
//! Weights are cut into groups of `G` that follow each other; the last group is filled up with zeros. Each group has a
//! scale `s` and `G` codes of `b` bits. A code `c`, 0 to 2ᵇ − 1, means the weight `s·(c − 2ᵇ⁻¹)`, computed in f32. Eight
//! codes fill `b` bytes, the lowest bits first: bit `k` of code `i` of the eight is bit `(i·b + k) mod 8` of byte
//! `⌊(i·b + k) / 8⌋`. Scales are f16, little-endian. A weight so takes `b + 16/G` bits.
//!
//! # Rounding
//! The codes −2ᵇ⁻¹ to 2ᵇ⁻¹ − 1 reach one step further on one side, which the scale's sign chooses. Of some scales
//! about the one that just reaches the largest weight, each improved by least squares (the best `s` for given codes is
//! `Σwq / Σq²`), the one with the smallest squared error is kept.

use alloc::{vec, vec::Vec};

use half::f16;

/// The bits that a code may have.
pub const BITS: [usize; 4] = [4, 5, 6, 8];
/// The most codes that share a scale.
pub const MOST_CODES: usize = 1024;
/// The largest magnitude that is stored: that of half precision.
pub const LARGEST: f32 = 65504.0;

/// Shares of the largest weight that the first guesses of a scale reach; beyond, weights are cut off.
const REACH: [f32; 5] = [1.0, 0.9, 0.8, 0.7, 0.6];
/// How often a guess is improved.
const REFINEMENTS: usize = 2;

/// How many bits a code has, and how many codes share a scale.
///
/// ```
/// use yuragi_numeric::groups::Groups;
/// let groups = Groups::new(5, 32).unwrap();
/// let (codes, scales) = groups.encode(&[1.6, -0.8, 0.1, 0.0]);
/// assert_eq!((codes.len(), scales.len()), (20, 2));
/// let mut weights = [0.0; 3];
/// groups.decode(&codes, &scales, 1, &mut weights);
/// assert!((weights[0] + 0.8).abs() < 0.005 && weights[2] == 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    bits: usize,
    size: usize,
}

impl Groups {
    /// Groups of `size` codes of so many bits; `None` unless the bits are among [`BITS`] and the size is a multiple of
    /// 8 from 8 to [`MOST_CODES`].
    #[must_use]
    pub fn new(bits: usize, size: usize) -> Option<Groups> {
        let legal = BITS.contains(&bits) && size.is_multiple_of(8) && (8..=MOST_CODES).contains(&size);
        legal.then_some(Groups { bits, size })
    }

    /// Those that a tensor of this shape holds, if it holds any.
    #[must_use]
    pub fn of_shape(shape: &[usize]) -> Option<Groups> {
        match *shape {
            [_, eights, bits] => Groups::new(bits, eights.checked_mul(8)?),
            _ => None,
        }
    }

    /// The bits of a code.
    #[must_use]
    pub fn bits(self) -> usize {
        self.bits
    }

    /// The codes that share a scale.
    #[must_use]
    pub fn size(self) -> usize {
        self.size
    }

    /// The shape of the codes of so many weights, `[groups, size / 8, bits]`.
    #[must_use]
    pub fn shape(self, weights: usize) -> [usize; 3] {
        [weights.div_ceil(self.size), self.size / 8, self.bits]
    }

    /// The code of zero.
    fn zero(self) -> f32 {
        (1 << (self.bits - 1)) as f32
    }

    /// Rounds weights of magnitudes up to [`LARGEST`] to codes and scales, those in f16, little-endian. A group of zeros has
    /// scale 0.
    #[must_use]
    pub fn encode(self, values: &[f32]) -> (Vec<u8>, Vec<u8>) {
        let [groups, eights, bits] = self.shape(values.len());
        let mut codes = Vec::with_capacity(groups * eights * bits);
        let mut scales = Vec::with_capacity(2 * groups);
        let mut group = vec![0.0; self.size];
        for values in values.chunks(self.size) {
            group.fill(0.0);
            group[..values.len()].copy_from_slice(values);
            let scale = self.scale(&group);
            for eight in group.chunks(8) {
                let code = |w: &f32| (self.round(*w, inverse(scale.to_f32())) + self.zero()) as u64;
                let word = eight.iter().enumerate().fold(0, |word, (i, w)| word | code(w) << (i * bits));
                codes.extend_from_slice(&word.to_le_bytes()[..bits]);
            }
            scales.extend(scale.to_le_bytes());
        }
        (codes, scales)
    }

    /// The weights from number `first` on of codes and scales, those in f16, little-endian; zeros where either ends.
    pub fn decode(self, codes: &[u8], scales: &[u8], first: usize, out: &mut [f32]) {
        let (bits, zero, mask) = (self.bits, self.zero(), (1u64 << self.bits) - 1);
        let group_bytes = self.size / 8 * bits;
        let groups = codes.chunks_exact(group_bytes).zip(scales.as_chunks::<2>().0).skip(first / self.size);
        let (mut skipped, mut rest) = (first % self.size, out);
        for (codes, &scale) in groups {
            if rest.is_empty() {
                return;
            }
            let scale = f16::from_le_bytes(scale).to_f32();
            for eight in codes.chunks_exact(bits).skip(skipped / 8) {
                let mut bytes = [0; 8];
                bytes[..bits].copy_from_slice(eight);
                let word = u64::from_le_bytes(bytes);
                let weights: [f32; 8] =
                    core::array::from_fn(|i| scale * ((word >> (i * bits) & mask) as i32 as f32 - zero));
                let weights = &weights[skipped % 8..];
                let count = weights.len().min(rest.len());
                let (now, later) = rest.split_at_mut(count);
                now.copy_from_slice(&weights[..count]);
                (skipped, rest) = (0, later);
            }
        }
        rest.fill(0.0);
    }

    /// The scale of a group's smallest squared error.
    fn scale(self, group: &[f32]) -> f16 {
        let largest = group.iter().fold(0f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        let mut best = (f32::INFINITY, f16::ZERO);
        // With 8 bits, the largest weight is worth its code.
        let reach = if self.bits == 8 { &REACH[..1] } else { &REACH };
        for &share in reach {
            for full in [largest / (self.zero() - 1.0), -largest / self.zero()] {
                let mut scale = share * full;
                for _ in 0..REFINEMENTS {
                    let (by, mut products, mut squares) = (inverse(scale), 0.0, 0.0);
                    for &w in group {
                        let q = self.round(w, by);
                        products += w * q;
                        squares += q * q;
                    }
                    scale = if squares > 0.0 { products / squares } else { scale };
                }
                let scale = f16::from_f32(scale.clamp(-LARGEST, LARGEST));
                let (s, by) = (scale.to_f32(), inverse(scale.to_f32()));
                let error = group.iter().map(|&w| w - s * self.round(w, by)).map(|error| error * error).sum();
                if error < best.0 {
                    best = (error, scale);
                }
            }
        }
        best.1
    }

    /// The nearest code to a weight, less that of zero.
    fn round(self, weight: f32, inverse: f32) -> f32 {
        // Above 2²³ a float has no fraction: adding takes it away, as `round_ties_even` would, but on many lanes.
        const WHOLE: f32 = 12_582_912.0;
        (weight * inverse).clamp(-self.zero(), self.zero() - 1.0) + WHOLE - WHOLE
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from −1 to 1, evenly.
    fn even(count: usize) -> Vec<f32> {
        let mut state = 7u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(next).collect()
    }

    fn all() -> impl Iterator<Item = Groups> {
        BITS.into_iter().flat_map(|bits| [8, 32, 120].map(|size| Groups::new(bits, size).unwrap()))
    }

    /// The first weights of codes and scales.
    fn decoded(groups: Groups, (codes, scales): &(Vec<u8>, Vec<u8>), count: usize) -> Vec<f32> {
        let mut weights = vec![f32::NAN; count];
        groups.decode(codes, scales, 0, &mut weights);
        weights
    }

    fn error(values: &[f32], back: &[f32]) -> f64 {
        let squares = values.iter().zip(back).map(|(a, b)| f64::from(a - b).powi(2));
        (squares.sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn errors_are_those_of_even_rounding() {
        let values = even(30_000);
        for bits in BITS {
            let groups = Groups::new(bits, 120).unwrap();
            let back = decoded(groups, &groups.encode(&values), values.len());
            // Weights are spread evenly over -1 to 1, and codes over at least 2ᵇ − 1 steps.
            let step = 2.0 / f64::from((1 << bits) - 1);
            let steps = error(&values, &back) / step;
            assert!((0.94..1.02).contains(&(steps * 12f64.sqrt())), "{bits} bits: {steps} steps");
            let most = values.iter().zip(&back).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            // What is cut off may be further away than half a step, if all others gain by it.
            assert!(most <= 2.0 * step, "{bits} bits: {most} of a step of {step}");
        }
    }

    #[test]
    fn no_other_scale_does_better_by_much() {
        // Sums of uniform numbers have tails as weights have.
        let parts = even(3 * 4096);
        let values: Vec<f32> = parts.chunks(3).map(|part| part.iter().sum()).collect();
        for groups in all().filter(|g| g.size > 8) {
            let have = error(&values, &decoded(groups, &groups.encode(&values), values.len()));
            let mut best = 0.0;
            for group in values.chunks(groups.size) {
                let try_scale = |i: i32| {
                    let s = f16::from_f32(i as f32 * 3.0 / 600.0 / groups.zero()).to_f32();
                    group.iter().map(|&w| f64::from(w - s * groups.round(w, inverse(s))).powi(2)).sum::<f64>()
                };
                best += (-800..=800).map(try_scale).fold(f64::INFINITY, f64::min);
            }
            let best = (best / values.len() as f64).sqrt();
            assert!(have <= 1.07 * best, "{groups:?}: {have}, by search {best}");
        }
    }

    #[test]
    fn bits_stand_where_the_layout_says() {
        for groups in all() {
            let values = even(groups.size + 3);
            let stored = groups.encode(&values);
            let (codes, scales) = &stored;
            assert_eq!(codes.len(), groups.shape(values.len()).iter().product::<usize>());
            assert_eq!(Groups::of_shape(&groups.shape(values.len())), Some(groups));
            let back = decoded(groups, &stored, values.len());
            let b = groups.bits;
            for (i, value) in back.iter().enumerate() {
                let block = &codes[i / 8 * b..][..b];
                let bit = |k: usize| usize::from(block[(i % 8 * b + k) / 8] >> ((i % 8 * b + k) % 8) & 1);
                let code: usize = (0..b).map(|k| bit(k) << k).sum();
                let scale = f16::from_le_bytes(scales.as_chunks().0[i / groups.size]).to_f32();
                assert_eq!(*value, scale * (code as f32 - groups.zero()), "{groups:?} {i}");
            }
            let all = decoded(groups, &stored, 2 * groups.size + 9);
            assert!(all[groups.size + 3..].iter().all(|&v| v == 0.0), "{groups:?}: {all:?}");
            for (first, count) in [(0, 1), (1, 3), (7, 2), (8, 8), (5, groups.size), (groups.size - 1, 19), (999, 2)] {
                let mut part = vec![f32::NAN; count];
                groups.decode(codes, scales, first, &mut part);
                let want = all.iter().copied().chain([0.0; 999]).skip(first.min(all.len())).take(count);
                assert!(part.iter().copied().eq(want), "{groups:?} from {first}: {part:?}");
            }
        }
    }

    #[test]
    fn either_sign_of_the_largest_weight_is_nearly_exact() {
        for groups in all() {
            for largest in [3.0f32, -3.0] {
                let mut values = vec![0.0; groups.size];
                values[5] = largest;
                let back = decoded(groups, &groups.encode(&values), groups.size);
                assert!((back[5] - largest).abs() < 2e-3 && back.iter().sum::<f32>() == back[5], "{groups:?}");
            }
        }
    }

    #[test]
    fn zeros_tiny_and_vast_values_and_nothing_are_kept() {
        for groups in all() {
            let back = |values: &[f32]| {
                let stored = groups.encode(values);
                assert!(stored.1.as_chunks().0.iter().all(|&s| f16::from_le_bytes(s).is_finite()));
                decoded(groups, &stored, values.len())
            };
            assert_eq!(back(&[0.0, -0.0]), [0.0, 0.0]);
            assert!(back(&[1e-42, 1e-30]).iter().all(|v| v.abs() < 1e-5));
            assert!((back(&[LARGEST, -LARGEST])[1] / LARGEST + 1.0).abs() < 0.2);
            assert!(back(&[]).is_empty());
            assert_eq!(decoded(groups, &(vec![1, 2], vec![]), 3), [0.0; 3]);
        }
    }

    #[test]
    fn only_legal_groups_are_made() {
        for (bits, size) in [(0, 32), (3, 32), (7, 32), (9, 32), (5, 0), (5, 12), (5, 1032), (5, usize::MAX)] {
            assert_eq!(Groups::new(bits, size), None, "{bits} {size}");
        }
        for shape in [&[][..], &[4], &[4, 4], &[1, 4, 7], &[1, 0, 5], &[1, usize::MAX, 5], &[1, 1, 4, 5]] {
            assert_eq!(Groups::of_shape(shape), None, "{shape:?}");
        }
    }
}
