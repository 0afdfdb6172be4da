//! Random draws that are pure functions of (seed, sweep, site, read): no generator, no state.
//!
//! Two kinds, both from blocks of Philox4x32-10 under the key of the seed:
//!
//! **Plane draws** decide between two outcomes. One block holds four bits for each of 32 reads: bit
//! `31 − k` of the uniform 32-bit word u of read r is bit `r mod 32` of lane `k mod 4` of
//!
//! > block(counter = (sweep, site, 8·stream + ⌊k/4⌋, ⌊r/32⌋)).
//!
//! An event of probability t/2³² happens when u < t. Comparing from the highest bit on, most draws are
//! decided by the first block, and 32 reads are served by it at once: this is what multi-spin coding
//! needs, and one read alone gets the same bits.
//!
//! **Word draws** give a whole word, for choices among many: lane `r mod 4` of
//!
//! > block(counter = (sweep, site, 8·stream, ⌊r/4⌋)).

use yuragi_numeric::philox;

/// 2³², the probability 1.
pub const CERTAIN: u64 = 1 << 32;

/// What a draw is for: the streams of one (sweep, site, read) are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// The configuration that a read begins with.
    Start = 0,
    /// Acceptance, or a new value, at a site (planes).
    Accept = 1,
    /// A new value among many (word).
    Choice = 2,
    /// The site to visit (word).
    Site = 3,
    /// The move that is proposed (word).
    Proposal = 4,
    /// Turning round in lifted chains (planes).
    Turn = 5,
    /// Moves between temperatures (planes; for the proposed direction, word of `Choice`).
    Exchange = 6,
    /// Resampling (word).
    Resample = 7,
    /// Which way in temperature (planes).
    Direction = 8,
    /// Flipping a whole line of replicas in imaginary time (planes).
    Line = 9,
    /// Units of a layer, or of a learning step (planes).
    Unit = 10,
}

/// The draws of one seed.
///
/// ```
/// use yuragi_energy::draw::{Draws, Stream, threshold};
/// let draws = Draws::new(7);
/// let heads = (0..1000).filter(|&site| draws.chance(0, site, Stream::Accept, 3, threshold(0.3))).count();
/// assert!((240..360).contains(&heads));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    key: [u32; 2],
}

impl Draws {
    /// The draws of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { key: philox::key(seed) }
    }

    /// The draws of part `part` of what these are for: of part 0, these.
    pub const fn part(self, part: u64) -> Self {
        Self { key: philox::part_key(self.key, part) }
    }

    /// The key of the generator.
    pub const fn key(self) -> [u32; 2] {
        self.key
    }

    /// Bits `4·quad ..= 4·quad + 3` (from the highest) of the reads `32·group ..= 32·group + 31`.
    #[inline(always)]
    pub const fn planes(self, sweep: u32, site: u32, stream: Stream, quad: u32, group: u32) -> [u32; 4] {
        philox::block([sweep, site, 8 * stream as u32 + quad, group], self.key)
    }

    /// True with probability `threshold`/2³².
    #[inline(always)]
    pub fn chance(self, sweep: u32, site: u32, stream: Stream, read: u32, threshold: u64) -> bool {
        if threshold == 0 || threshold >= CERTAIN {
            return threshold != 0;
        }
        let threshold = threshold as u32;
        for quad in 0..8 {
            let planes = self.planes(sweep, site, stream, quad, read / 32);
            let digit = nibble(planes, read % 32);
            let wanted = threshold >> (28 - 4 * quad) & 15;
            if digit != wanted {
                return digit < wanted;
            }
        }
        false
    }

    /// A uniform 32-bit word.
    #[inline(always)]
    pub const fn word(self, sweep: u32, site: u32, stream: Stream, read: u32) -> u32 {
        philox::block([sweep, site, 8 * stream as u32, read / 4], self.key)[(read % 4) as usize]
    }
}

/// The four bits of one read.
#[inline(always)]
pub(crate) fn nibble(planes: [u32; 4], read: u32) -> u32 {
    let [a, b, c, d] = planes.map(|plane| plane >> read & 1);
    a << 3 | b << 2 | c << 1 | d
}

/// ⌊p·2³²⌋, the threshold of a probability: 0 for NaN and below 0, 2³² from 1 on.
#[inline(always)]
pub fn threshold(probability: f32) -> u64 {
    // The product is exact; the conversion saturates.
    ((probability * 4_294_967_296.0) as u64).min(CERTAIN)
}

/// [`threshold`] of an f64.
#[inline(always)]
pub(crate) fn threshold64(probability: f64) -> u64 {
    ((probability * 4_294_967_296.0) as u64).min(CERTAIN)
}

/// Draws independent two-state units: `units[i]` becomes 1 with probability `probabilities[i]`, else 0
/// (r < P → +1), at site i of (sweep, stream, read).
pub fn units(draws: Draws, sweep: u32, stream: Stream, read: u32, probabilities: &[f32], units: &mut [u8]) {
    for (site, (unit, &probability)) in (0..).zip(units.iter_mut().zip(probabilities)) {
        *unit = draws.chance(sweep, site, stream, read, threshold(probability)).into();
    }
}

/// The configuration of spins that a read begins with: each is 1 with probability ½.
pub(crate) fn start(source: &mut impl Source, values: &mut [u8]) {
    for (site, value) in (0..).zip(values) {
        *value = source.chance(site, Stream::Start, CERTAIN / 2).into();
    }
}

/// Where a Markov chain gets its decisions from: from [`Draws`], or from a list of all that can happen
/// ([`master`](crate::master)).
pub trait Source {
    /// True with probability `threshold`/2³².
    fn chance(&mut self, site: u32, stream: Stream, threshold: u64) -> bool;
    /// Uniform on 0 … count−1; 0 if `count` is 0.
    fn below(&mut self, site: u32, stream: Stream, count: u32) -> u32;
    /// i with probability (cumulative\[i\] − cumulative\[i−1\])/2³²; the last if they end below 2³².
    fn pick(&mut self, site: u32, stream: Stream, cumulative: &[u64]) -> usize;
}

/// The draws of one read in one sweep.
#[derive(Clone, Copy, Debug)]
pub struct ReadDraws {
    /// The seed's draws.
    pub draws: Draws,
    /// The sweep.
    pub sweep: u32,
    /// The read.
    pub read: u32,
}

impl Source for ReadDraws {
    #[inline(always)]
    fn chance(&mut self, site: u32, stream: Stream, threshold: u64) -> bool {
        self.draws.chance(self.sweep, site, stream, self.read, threshold)
    }

    #[inline(always)]
    fn below(&mut self, site: u32, stream: Stream, count: u32) -> u32 {
        let word = self.draws.word(self.sweep, site, stream, self.read);
        ((u64::from(word) * u64::from(count)) >> 32) as u32
    }

    #[inline(always)]
    fn pick(&mut self, site: u32, stream: Stream, cumulative: &[u64]) -> usize {
        let word = u64::from(self.draws.word(self.sweep, site, stream, self.read));
        let last = cumulative.len().saturating_sub(1);
        cumulative.iter().position(|&end| word < end).unwrap_or(last)
    }
}
