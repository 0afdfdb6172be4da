//! Plane draws of many reads, or of many sites, at once: Philox blocks in the lanes of vectors.

use crate::draw::{Draws, Stream};

/// One bit for each of 256 reads: bit b of word j is read 64·j + b.
pub(crate) type Word = [u64; 4];

const MULTIPLIER: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
const LOW: u64 = 0xffff_ffff;

/// The keys of the ten rounds, broadcast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys([[Word; 2]; ROUNDS]);

impl Keys {
    pub fn new(draws: Draws) -> Self {
        let mut key = draws.key();
        Self(core::array::from_fn(|_| {
            let now = key.map(|word| [u64::from(word); 4]);
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            now
        }))
    }
}

/// The counter words in four lanes each. Only the low halves count: a product ignores the rest.
type Counter = [Word; 4];

/// Rounds `from` … 9 of two counters, side by side so that one's latency hides behind the other.
#[inline(always)]
fn rounds(keys: &Keys, from: usize, mut a: Counter, mut b: Counter) -> [Counter; 2] {
    for key in &keys.0[from..] {
        a = round(a, key);
        b = round(b, key);
    }
    [a, b]
}

#[inline(always)]
fn round([c0, c1, c2, c3]: Counter, key: &[Word; 2]) -> Counter {
    let mut next = [[0; 4]; 4];
    for j in 0..4 {
        let p0 = (c0[j] & LOW) * MULTIPLIER[0];
        let p1 = (c2[j] & LOW) * MULTIPLIER[1];
        next[0][j] = (p1 >> 32) ^ c1[j] ^ key[0][j];
        next[1][j] = p1;
        next[2][j] = (p0 >> 32) ^ c3[j] ^ key[1][j];
        next[3][j] = p0;
    }
    next
}

/// The planes of bits `4·quad ..= 4·quad + 3` of reads `256·chunk ..= 256·chunk + 255`: those of
/// [`Draws::planes`] for eight groups of 32.
#[inline(always)]
pub(crate) fn planes(keys: &Keys, sweep: u32, site: u32, stream: Stream, quad: u32, chunk: u32) -> [Word; 4] {
    // Words 0, 1 and 2 of the counter are common to all lanes: for three rounds half of the products are, too.
    let [k1, k2, k3] = [0, 1, 2].map(|round| [keys.0[round][0][0], keys.0[round][1][0]]);
    let product = |word: u64, which: usize| (word & LOW) * MULTIPLIER[which];
    let (p0, p1) = (product(sweep.into(), 0), product((8 * stream as u32 + quad).into(), 1));
    let (c0, c1, c3) = ((p1 >> 32) ^ u64::from(site) ^ k1[0], p1, p0);
    let c2 = (p0 >> 32) ^ k1[1]; // and the group
    let p0 = product(c0, 0);
    let (d2, d3) = ((p0 >> 32) ^ c3 ^ k2[1], p0);
    let p1_third = product(d2, 1);
    let begin = |odd: u64| {
        let d1 = [0, 2, 4, 6].map(|even| product(c2 ^ (u64::from(8 * chunk) + even + odd), 1));
        let p0 = d1.map(|p1| product((p1 >> 32) ^ c1 ^ k2[0], 0));
        let e0 = d1.map(|d1| (p1_third >> 32) ^ d1 ^ k3[0]);
        let e2 = p0.map(|p0| (p0 >> 32) ^ d3 ^ k3[1]);
        [e0, [p1_third; 4], e2, p0]
    };
    let [even, odd] = rounds(keys, 3, begin(0), begin(1));
    let mut planes = [[0; 4]; 4];
    for (plane, (even, odd)) in planes.iter_mut().zip(even.iter().zip(&odd)) {
        for j in 0..4 {
            plane[j] = even[j] & LOW | odd[j] << 32;
        }
    }
    planes
}

/// The planes of bits `4·quad ..= 4·quad + 3` of the 32 reads of one group, for eight sites: [plane][site].
#[inline(always)]
pub(crate) fn site_planes(
    keys: &Keys,
    sweep: u32,
    sites: &[u32; 8],
    stream: Stream,
    quad: u32,
    group: u32,
) -> [[u32; 8]; 4] {
    // Loops, not closures: what is not inlined is compiled for no vector unit.
    let mut wide = [[0u64; 4]; 2];
    for (wide, site) in wide.as_flattened_mut().iter_mut().zip(sites) {
        *wide = u64::from(*site);
    }
    let (c0, c2, c3) = ([sweep.into(); 4], [(8 * stream as u32 + quad).into(); 4], [group.into(); 4]);
    let blocks = rounds(keys, 0, [c0, wide[0], c2, c3], [c0, wide[1], c2, c3]);
    let mut planes = [[0; 8]; 4];
    for (plane, planes) in planes.iter_mut().enumerate() {
        for (i, word) in planes.iter_mut().enumerate() {
            *word = blocks[i / 4][plane][i % 4] as u32;
        }
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_those_of_single_groups() {
        let draws = Draws::new(0xfedc_ba98_7654_3210);
        let keys = Keys::new(draws);
        for (sweep, site, quad, chunk) in [(0, 0, 0, 0), (7, 5, 7, 3), (!0, !0, 2, 1 << 24)] {
            let wide = planes(&keys, sweep, site, Stream::Accept, quad, chunk);
            for group in 0..8 {
                let narrow = draws.planes(sweep, site, Stream::Accept, quad, 8 * chunk + group);
                let part = |word: Word| (word[group as usize / 2] >> (32 * (group % 2))) as u32;
                assert_eq!(wide.map(part), narrow);
            }
            let sites = [site, 1, 2, 3, 4, 5, 1 << 31, 7];
            let many = site_planes(&keys, sweep, &sites, Stream::Accept, quad, 8 * chunk);
            for (i, site) in sites.into_iter().enumerate() {
                let narrow = draws.planes(sweep, site, Stream::Accept, quad, 8 * chunk);
                assert_eq!(many.map(|plane| plane[i]), narrow);
            }
        }
    }
}
