//! MT19937, the Mersenne Twister of Matsumoto and Nishimura, *Mersenne Twister: A 623-dimensionally
//! equidistributed uniform pseudorandom number generator* (ACM TOMACS 1998), seeded as in its authors' version of 2002.

use core::convert::Infallible;
use rand_core::{SeedableRng, TryRng, utils};

/// Words of the state.
const WORDS: usize = 624;
/// The distance of the words that are combined.
const SHIFT: usize = 397;

/// The generator: 624 words of state and a place among them.
///
/// ```
/// use yuragi_numeric::{mt19937::Mt19937, rand_core::Rng};
/// let mut rng = Mt19937::new(5489);
/// assert_eq!(rng.next_u32(), 3_499_211_612);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mt19937 {
    state: [u32; WORDS],
    next: usize,
}

impl Mt19937 {
    /// The generator that a seed of one word gives.
    pub const fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        let mut i = 1;
        while i < WORDS {
            let before = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
            i += 1;
        }
        Self { state, next: WORDS }
    }

    /// Moves the whole state on.
    fn twist(&mut self) {
        for i in 0..WORDS {
            let joined = self.state[i] & 0x8000_0000 | self.state[(i + 1) % WORDS] & 0x7fff_ffff;
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }
}

impl TryRng for Mt19937 {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if self.next == WORDS {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        Ok(y ^ (y >> 18))
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

/// The seed is the word of [`Mt19937::new`], little-endian.
///
/// Note that `seed_from_u64` scrambles its argument first, as `rand_core` specifies.
impl SeedableRng for Mt19937 {
    type Seed = [u8; 4];

    fn from_seed(seed: Self::Seed) -> Self {
        Self::new(u32::from_le_bytes(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    /// The C++ standard's known answer ([rand.predef]).
    #[test]
    fn the_ten_thousandth_word_is_the_standards() {
        let mut rng = Mt19937::from_seed(5489u32.to_le_bytes());
        let last = (0..10_000).map(|_| rng.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn wider_draws_are_the_same_words() {
        let (mut words, mut wide) = (Mt19937::new(7), Mt19937::new(7));
        let (low, high) = (words.next_u32(), words.next_u32());
        assert_eq!(wide.next_u64(), u64::from(low) | u64::from(high) << 32);
        let mut bytes = [0; 4];
        wide.fill_bytes(&mut bytes);
        assert_eq!(bytes, words.next_u32().to_le_bytes());
    }
}
