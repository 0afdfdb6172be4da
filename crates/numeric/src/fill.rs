//! Noise as a pure function of (key, stream, index).
//!
//! Element `i` of a stream comes from lane `i % 4` of the Philox block with
//! counter `(lo(i/4), hi(i/4), stream, 0)`, so any part of a stream can be
//! drawn alone, in any order, on any number of threads, and gives the same
//! bits. Indices wrap at 2⁶⁴.

use crate::elementary::{ln_normal, sin_quadrant};
use crate::philox::word_block;
use crate::single::Single;
use core::f32::consts::FRAC_PI_2;

/// Blocks that are drawn together, so that the loops over them vectorise.
const BATCH: usize = 32;

/// Fills `out` with elements `first..` of the stream's uniform noise on
/// [0, 1): multiples of 2⁻²⁴.
///
/// ```
/// use yuragi_numeric::fill::uniform;
/// let (mut all, mut part) = ([0.0; 10], [0.0; 3]);
/// uniform([1, 2], 3, 0, &mut all);
/// uniform([1, 2], 3, 5, &mut part);
/// assert_eq!(part, all[5..8]);
/// ```
#[inline]
pub fn uniform(key: [u32; 2], stream: u32, first: u64, out: &mut [f32]) {
    fill(key, stream, first, out, Uniform);
}

/// Fills `out` with elements `first..` of the stream's standard normal noise.
///
/// The transformation is that of Box and Muller (1958): words (2k, 2k + 1)
/// give a radius √(−2 ln u) with u = (⌊w/2⌋ + ½)·2⁻³¹ and an angle whose
/// quadrant is the top two bits of its word, and elements (2k, 2k + 1) are
/// the cosine and the sine. |z| ≤ 6.67.
///
/// ```
/// use yuragi_numeric::fill::normal;
/// let (mut all, mut part) = ([0.0; 10], [0.0; 3]);
/// normal([1, 2], 3, 0, &mut all);
/// normal([1, 2], 3, 5, &mut part);
/// assert_eq!(part, all[5..8]);
/// ```
#[inline]
pub fn normal(key: [u32; 2], stream: u32, first: u64, out: &mut [f32]) {
    fill(key, stream, first, out, Normal);
}

/// The four lanes of N blocks, lane by lane.
type Lanes<T, const N: usize> = [[T; N]; 4];

trait Transform {
    fn apply<const N: usize>(&self, words: &Lanes<u32, N>) -> Lanes<f32, N>;
}

struct Uniform;
struct Normal;

impl Transform for Uniform {
    #[inline(always)]
    fn apply<const N: usize>(&self, words: &Lanes<u32, N>) -> Lanes<f32, N> {
        let mut values = [[0.0; N]; 4];
        for (values, words) in values.iter_mut().zip(words) {
            for (value, word) in values.iter_mut().zip(words) {
                *value = (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0);
            }
        }
        values
    }
}

impl Transform for Normal {
    #[inline(always)]
    fn apply<const N: usize>(&self, words: &Lanes<u32, N>) -> Lanes<f32, N> {
        let mut values = [[0.0; N]; 4];
        for pair in [0, 2] {
            let mut radius = [0.0; N];
            for (radius, word) in radius.iter_mut().zip(&words[pair]) {
                *radius = -2.0 * ln_normal(open_unit(*word), 0.0);
            }
            for radius in &mut radius {
                *radius = Single::sqrt(*radius);
            }
            for j in 0..N {
                let (quadrant, angle) = direction(words[pair + 1][j]);
                values[pair][j] = radius[j] * sin_quadrant(angle, quadrant.wrapping_add(1));
                values[pair + 1][j] = radius[j] * sin_quadrant(angle, quadrant);
            }
        }
        values
    }
}

/// (⌊w/2⌋ + ½)·2⁻³¹, rounded: in (0, 1].
#[inline(always)]
fn open_unit(word: u32) -> f32 {
    (word >> 1) as i32 as f32 * (1.0 / 2_147_483_648.0) + 1.0 / 4_294_967_296.0
}

/// The quadrant (top two bits) and the angle within it, from −π/4 to π/4.
#[inline(always)]
fn direction(word: u32) -> (u32, f32) {
    let turn = (word & 0x3fff_ffff) as i32 - 0x2000_0000;
    (word >> 30, turn as f32 * (FRAC_PI_2 / 1_073_741_824.0))
}

#[inline(always)]
fn fill(key: [u32; 2], stream: u32, first: u64, out: &mut [f32], transform: impl Transform) {
    let skip = (first % 4) as usize;
    let mut index = first / 4;
    let head = out.len().min((4 - skip) % 4);
    let (head, body) = out.split_at_mut(head);
    if !head.is_empty() {
        let block = draw::<1>(key, stream, index, &transform)[0];
        head.copy_from_slice(&block[skip..skip + head.len()]);
        index = index.wrapping_add(1);
    }
    let (blocks, tail) = body.as_chunks_mut::<4>();
    let (batches, blocks) = blocks.as_chunks_mut::<BATCH>();
    for batch in batches {
        *batch = draw(key, stream, index, &transform);
        index = index.wrapping_add(BATCH as u64);
    }
    for block in blocks {
        *block = draw::<1>(key, stream, index, &transform)[0];
        index = index.wrapping_add(1);
    }
    if !tail.is_empty() {
        let block = draw::<1>(key, stream, index, &transform)[0];
        tail.copy_from_slice(&block[..tail.len()]);
    }
}

/// Blocks `index .. index + N`, transformed.
#[inline(always)]
fn draw<const N: usize>(key: [u32; 2], stream: u32, index: u64, transform: &impl Transform) -> [[f32; 4]; N] {
    let mut words = [[0; N]; 4];
    let [a, b, c, d] = &mut words;
    for (j, (((a, b), c), d)) in (0..).zip(a.iter_mut().zip(b).zip(c).zip(d)) {
        [*a, *b, *c, *d] = word_block(key, stream, index.wrapping_add(j) % (1 << 62));
    }
    let values = transform.apply(&words);
    core::array::from_fn(|j| core::array::from_fn(|lane| values[lane][j]))
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
