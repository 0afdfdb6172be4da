//! Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and
//! Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3* (SC 2011).

use core::convert::Infallible;
use rand_core::{SeedableRng, TryRng, utils};

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The Philox4x32-10 bijection: four random words for every (counter, key).
///
/// ```
/// use yuragi_numeric::philox::block;
/// assert_eq!(block([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
#[inline(always)]
pub const fn block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < ROUNDS {
        let p0 = c0 as u64 * MULTIPLIER[0] as u64;
        let p1 = c2 as u64 * MULTIPLIER[1] as u64;
        c0 = (p1 >> 32) as u32 ^ c1 ^ k0;
        c1 = p1 as u32;
        c2 = (p0 >> 32) as u32 ^ c3 ^ k1;
        c3 = p0 as u32;
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
        round += 1;
    }
    [c0, c1, c2, c3]
}

/// A random number generator over [`block`]: word `i` of (key, stream) is
/// lane `i % 4` of the block with counter `(lo(i/4), hi(i/4), stream, 0)`.
///
/// It holds no hidden state: [`position`](Self::position) is the index of the
/// next word, and any word can be reached at once with
/// [`seek`](Self::seek). Positions wrap at 2⁶⁴.
///
/// ```
/// use yuragi_numeric::{philox::Philox, rand_core::Rng};
/// let mut rng = Philox::new([1, 2], 3);
/// rng.next_u32();
/// let second = rng.next_u32();
/// let mut again = Philox::new([1, 2], 3);
/// again.seek(1);
/// assert_eq!(again.next_u32(), second);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Philox {
    key: [u32; 2],
    stream: u32,
    position: u64,
    block: [u32; 4],
}

impl Philox {
    /// The generator of `key` and `stream`, at position 0.
    pub const fn new(key: [u32; 2], stream: u32) -> Self {
        Self { key, stream, position: 0, block: word_block(key, stream, 0) }
    }

    /// The key: one per seed.
    pub const fn key(&self) -> [u32; 2] {
        self.key
    }

    /// The stream: independent sequences under one key.
    pub const fn stream(&self) -> u32 {
        self.stream
    }

    /// The index of the next 32-bit word.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Moves to the word with index `position`.
    pub const fn seek(&mut self, position: u64) {
        self.position = position;
        self.block = word_block(self.key, self.stream, position / 4);
    }
}

/// The key of a 64-bit seed: its low and high words.
///
/// ```
/// assert_eq!(yuragi_numeric::philox::key(0x0000_0002_0000_0001), [1, 2]);
/// ```
pub const fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// The key of part `part` of what has this key, such as of a slice of a batch: of part 0, the key itself.
///
/// ```
/// use yuragi_numeric::philox::part_key;
/// assert_eq!(part_key([1, 2], 0), [1, 2]);
/// assert!(part_key([1, 2], 1) != part_key([1, 2], 2));
/// ```
pub const fn part_key(key: [u32; 2], part: u64) -> [u32; 2] {
    if part == 0 {
        return key;
    }
    let [a, b, ..] = block([part as u32, (part >> 32) as u32, 0, PARTS], key);
    [a, b]
}

/// Apart from the streams of other draws.
const PARTS: u32 = 0x7061_7274;

/// The block that holds words `4·index ..= 4·index + 3` of (key, stream).
#[inline(always)]
pub(crate) const fn word_block(key: [u32; 2], stream: u32, index: u64) -> [u32; 4] {
    block([index as u32, (index >> 32) as u32, stream, 0], key)
}

impl TryRng for Philox {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let word = self.block[(self.position % 4) as usize];
        self.position = self.position.wrapping_add(1);
        if self.position.is_multiple_of(4) {
            self.block = word_block(self.key, self.stream, self.position / 4);
        }
        Ok(word)
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        utils::next_u64_via_u32(self)
    }

    #[inline]
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

/// The seed is the key, little-endian; the stream is 0.
///
/// Note that `seed_from_u64` scrambles its argument first, as `rand_core`
/// specifies: [`Philox::new`] with [`key`] takes a seed as it stands.
impl SeedableRng for Philox {
    type Seed = [u8; 8];

    fn from_seed(seed: Self::Seed) -> Self {
        Self::new(key(u64::from_le_bytes(seed)), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    /// The known answers published with Random123 (`kat_vectors`).
    #[test]
    fn known_answers() {
        let pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
        let cases = [
            ([0; 4], [0; 2], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
            ([!0; 4], [!0; 2], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
            (pi, [0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]),
        ];
        for (counter, key, words) in cases {
            assert_eq!(block(counter, key), words);
        }
    }

    #[test]
    fn words_are_blocks_in_order() {
        let mut rng = Philox::new([7, 8], 9);
        for index in 0..5 {
            for word in block([index, 0, 9, 0], [7, 8]) {
                assert_eq!(rng.next_u32(), word);
            }
        }
        assert_eq!(rng.position(), 20);
    }

    #[test]
    fn seek_reaches_every_word() {
        let mut walk = Philox::new([7, 8], 9);
        for position in 0..23 {
            let mut jump = Philox::new([7, 8], 9);
            jump.seek(position);
            assert_eq!(jump, walk);
            assert_eq!(jump.next_u32(), walk.next_u32());
        }
        let far = (1 << 34) + 6;
        walk.seek(far);
        assert_eq!(walk.next_u32(), block([1, 1, 9, 0], [7, 8])[2]);
    }

    #[test]
    fn the_end_wraps_to_the_start() {
        let mut rng = Philox::new([1, 2], 3);
        rng.seek(u64::MAX);
        rng.next_u32();
        assert_eq!(rng, Philox::new([1, 2], 3));
    }

    #[test]
    fn wider_draws_are_the_same_words() {
        let words = block([0, 0, 0, 0], [1, 2]);
        let mut rng = Philox::from_seed([1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(rng.next_u64(), u64::from(words[0]) | u64::from(words[1]) << 32);
        let mut bytes = [0; 6];
        rng.fill_bytes(&mut bytes);
        assert_eq!(bytes[..4], words[2].to_le_bytes());
        assert_eq!(bytes[4..], words[3].to_le_bytes()[..2]);
    }
}
