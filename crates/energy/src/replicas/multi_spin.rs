//! Multi-spin coding: 256 reads in the bits of one vector.
//!
//! Two spins and the sign of their coupling give, by exclusive or, one bit a read that says whether the
//! bond is satisfied. Adders on bits count S, the weight of a site's satisfied bonds, of M in
//! all; the local energy change of a flip is 2(2S − M) units. Each S > M/2 has its own
//! threshold, and u < threshold is decided plane by plane from the highest bit, until no read is
//! undecided (Jacobs and Rebbi 1981; Isakov et al., *Comput. Phys. Commun.* 192, 265 (2015)).

use super::chunk::Sweep;
use super::integer::{Integers, LARGEST, Site};
use super::planes::{Word, planes};
use crate::draw::{CERTAIN, Stream};
use crate::dynamics::{Rule, spin_threshold};
use crate::problem::Problem;
use alloc::vec::Vec;
use yuragi_numeric::simd::{Task, vectorize};

const ZERO: Word = [0; 4];

#[inline(always)]
fn zip(a: Word, b: Word, f: impl Fn(u64, u64) -> u64) -> Word {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

#[inline(always)]
fn and(a: Word, b: Word) -> Word {
    zip(a, b, |a, b| a & b)
}

#[inline(always)]
fn or(a: Word, b: Word) -> Word {
    zip(a, b, |a, b| a | b)
}

#[inline(always)]
fn xor(a: Word, b: Word) -> Word {
    zip(a, b, |a, b| a ^ b)
}

#[inline(always)]
fn xor_all(a: Word, mask: u64) -> Word {
    a.map(|a| a ^ mask)
}

#[inline(always)]
fn and_not(a: Word, b: Word) -> Word {
    zip(a, b, |a, b| a & !b)
}

/// The thresholds of one sum about a spin, read by read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threshold {
    certain: Word,
    /// Neither impossible nor certain.
    drawn: Word,
    /// Each bit, from the highest.
    bits: [Word; 32],
}

/// Those of each of [`Integers::sums`], at one temperature or at one for each read of a chunk. A sum is in the spin's own
/// direction for Metropolis, where those up to 0 need none, upwards for the heat bath.
pub(super) fn thresholds(rule: Rule, integers: &Integers, betas: Temperatures<'_>, out: &mut Vec<Threshold>) {
    out.clear();
    out.extend(integers.sums.iter().map(|&sum| {
        if rule == Rule::Metropolis && sum <= 0 {
            return Threshold { certain: ZERO, drawn: ZERO, bits: [ZERO; 32] };
        }
        let threshold = |beta: f32| spin_threshold(rule, 1, integers.unit * sum as f32, beta);
        match betas {
            Temperatures::Same(beta) => {
                let threshold = threshold(beta);
                let all = |yes: bool| [u64::from(yes).wrapping_neg(); 4];
                Threshold {
                    certain: all(threshold >= CERTAIN),
                    drawn: all(threshold > 0 && threshold < CERTAIN),
                    bits: core::array::from_fn(|bit| all(threshold >> (31 - bit) & 1 == 1)),
                }
            }
            Temperatures::Each(groups) => {
                let mut each = Threshold { certain: ZERO, drawn: ZERO, bits: [ZERO; 32] };
                for (group, betas) in groups.iter().enumerate() {
                    let (word, shift) = (group / 2, 32 * (group % 2));
                    let mut bits = [0u32; 32];
                    for (lane, (bits, &beta)) in bits.iter_mut().zip(betas).enumerate() {
                        let threshold = threshold(beta);
                        each.certain[word] |= u64::from(threshold >= CERTAIN) << (shift + lane);
                        each.drawn[word] |= u64::from(threshold > 0 && threshold < CERTAIN) << (shift + lane);
                        *bits = threshold as u32;
                    }
                    transpose(&mut bits);
                    for (plane, bits) in each.bits.iter_mut().zip(bits.iter().rev()) {
                        plane[word] |= u64::from(*bits) << shift;
                    }
                }
                each
            }
        }
    }));
}

/// The inverse temperatures of a chunk.
#[derive(Clone, Copy)]
pub(super) enum Temperatures<'a> {
    Same(f32),
    /// Of each read of each group of 32.
    Each(&'a [[f32; 32]; 8]),
}

/// Bit j of word i changes places with bit i of word j.
fn transpose(words: &mut [u32; 32]) {
    let (mut width, mut mask) = (16, 0x0000_ffffu32);
    while width > 0 {
        for i in (0..32).filter(|i| i & width == 0) {
            let moved = (words[i] >> width ^ words[i + width]) & mask;
            words[i] ^= moved << width;
            words[i + width] ^= moved;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// One sweep of a chunk; `words` are those of its sites.
pub(super) fn sweep(sweep: Sweep<'_>, integers: &Integers, thresholds: &[Threshold], words: &mut [Word]) {
    match (sweep.rule, integers.largest, integers.single) {
        (Rule::Metropolis, 0..=3, true) => vectorize(Chunk::<2, false, true> { sweep, integers, thresholds, words }),
        (Rule::Metropolis, _, true) => vectorize(Chunk::<3, false, true> { sweep, integers, thresholds, words }),
        (Rule::Metropolis, _, false) => vectorize(Chunk::<3, false, false> { sweep, integers, thresholds, words }),
        (Rule::HeatBath, _, true) => vectorize(Chunk::<3, true, true> { sweep, integers, thresholds, words }),
        (Rule::HeatBath, _, false) => vectorize(Chunk::<3, true, false> { sweep, integers, thresholds, words }),
    }
}

/// A sweep by heat bath or by Metropolis, where all weights are 1 or any. Most sites have counters of `FEW` bits.
struct Chunk<'a, const FEW: usize, const HEAT_BATH: bool, const SINGLE: bool> {
    sweep: Sweep<'a>,
    integers: &'a Integers,
    /// In the order of [`Integers::sums`].
    thresholds: &'a [Threshold],
    words: &'a mut [Word],
}

/// The sums that need a draw: the bits of their thresholds, and the reads that have them.
type Classes<'a> = [(&'a [Word; 32], Word); LARGEST as usize + 1];

impl<const FEW: usize, const HEAT_BATH: bool, const SINGLE: bool> Task for Chunk<'_, FEW, HEAT_BATH, SINGLE> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut classes = [(&[ZERO; 32], ZERO); LARGEST as usize + 1];
        for &site in self.sweep.visits {
            let at = self.integers.site(site as usize);
            // Counters as wide as the site needs: a few sites of many neighbours must not cost the others.
            let open = match at.total {
                total if u32::from(total) < 1 << FEW => self.classify::<FEW>(site, at, &mut classes),
                0..32 => self.classify::<5>(site, at, &mut classes),
                _ => self.classify::<8>(site, at, &mut classes),
            };
            self.decide(site, open, &classes);
        }
    }
}

/// What a site's counters leave to be decided.
struct Open {
    /// Where the site changes, or is up, for certain.
    below: Word,
    undecided: Word,
    /// How many sums need a draw.
    number: usize,
}

impl<'a, const FEW: usize, const HEAT_BATH: bool, const SINGLE: bool> Chunk<'a, FEW, HEAT_BATH, SINGLE> {
    /// Sorts the reads by the sums about one site, with counters of `PLANES` bits.
    #[inline(always)]
    fn classify<const PLANES: usize>(&self, site: u32, at: Site, classes: &mut Classes<'a>) -> Open {
        let (sweep, integers, k) = (self.sweep, self.integers, site as usize);
        let base = if HEAT_BATH { [!0; 4] } else { self.words[k] };
        let count = self::count::<PLANES, SINGLE>(integers, self.words, k, base);
        let total = u32::from(at.total);
        let first = if HEAT_BATH { 0 } else { total / 2 + 1 };
        let (mut number, mut below) = (0, if HEAT_BATH { ZERO } else { sweep.active });
        let mut undecided = ZERO;
        for satisfied in first..=total {
            let reads = and(equal(&count, satisfied), sweep.active);
            let place = integers.places[(integers.largest + 2 * satisfied - total) as usize];
            let threshold = &self.thresholds[usize::from(place)];
            if !HEAT_BATH {
                below = and_not(below, reads);
            }
            below = or(below, and(reads, threshold.certain));
            let drawn = and(reads, threshold.drawn);
            if threshold.drawn != ZERO {
                undecided = or(undecided, drawn);
                classes[number] = (&threshold.bits, drawn);
                number += 1;
            }
        }
        Open { below, undecided, number }
    }

    /// Draws one site anew.
    #[inline(always)]
    fn decide(&mut self, site: u32, open: Open, classes: &Classes<'a>) {
        let (sweep, k) = (self.sweep, site as usize);
        let Open { mut below, mut undecided, number } = open;
        let mut quad = 0;
        while quad < 8 && undecided != ZERO {
            let bits = planes(sweep.keys, sweep.sweep, site, Stream::Accept, quad, sweep.chunk);
            for (plane, bits) in bits.into_iter().enumerate() {
                let mut wanted = ZERO;
                for (threshold, reads) in &classes[..number] {
                    wanted = or(wanted, and(*reads, threshold[(4 * quad) as usize + plane]));
                }
                below = or(below, and(undecided, and_not(wanted, bits)));
                undecided = and_not(undecided, xor(wanted, bits));
            }
            quad += 1;
        }
        self.words[k] = if HEAT_BATH { below } else { xor(self.words[k], below) };
    }
}

/// The sum S of the weights of the bonds and the field that `own` satisfies, in planes of bits.
#[inline(always)]
fn count<const PLANES: usize, const SINGLE: bool>(
    integers: &Integers,
    words: &[Word],
    k: usize,
    own: Word,
) -> [Word; PLANES] {
    let mut sums = [ZERO; PLANES];
    for bond in integers.bonds(k) {
        // x XOR y is 0 where they agree.
        let satisfied = xor_all(xor(own, words[bond.neighbour as usize]), !bond.positive);
        add(&mut sums, xor_all(satisfied, !0), if SINGLE { 1 } else { bond.weight });
    }
    let site = integers.site(k);
    if site.field > 0 {
        add(&mut sums, xor_all(own, !site.positive), if SINGLE { 1 } else { site.field });
    }
    sums
}

/// sums += weight where `mask` is set.
#[inline(always)]
fn add<const PLANES: usize>(sums: &mut [Word; PLANES], mask: Word, weight: u8) {
    for bit in 0..PLANES {
        if weight >> bit & 1 == 1 {
            let mut carry = mask;
            for sum in &mut sums[bit..] {
                let next = and(*sum, carry);
                *sum = xor(*sum, carry);
                carry = next;
            }
        }
    }
}

/// Where the sum is `value`.
#[inline(always)]
fn equal<const PLANES: usize>(sums: &[Word; PLANES], value: u32) -> Word {
    let mut same = [!0; 4];
    for (bit, sum) in sums.iter().enumerate() {
        same = and(same, xor_all(*sum, if value >> bit & 1 == 1 { 0 } else { !0 }));
    }
    same
}

/// E of the 256 reads of a chunk, where couplings are [exact](Integers::exact): what [`Problem::energy`] gives, whose sums are
/// then exact in any order.
pub(super) fn energies(problem: &Problem, integers: &Integers, words: &[Word]) -> [f64; 256] {
    vectorize(Energies { problem, integers, words })
}

struct Energies<'a> {
    problem: &'a Problem,
    integers: &'a Integers,
    words: &'a [Word],
}

impl Task for Energies<'_> {
    type Output = [f64; 256];

    #[inline(always)]
    fn run(self) -> [f64; 256] {
        let Self { problem, integers, words } = self;
        let (mut bonds, mut fields) = (Counter::new(), Counter::new());
        for (k, &own) in words.iter().enumerate() {
            for bond in integers.bonds(k).iter().filter(|bond| bond.neighbour as usize > k) {
                let differs = xor(own, words[bond.neighbour as usize]);
                bonds.add(xor_all(differs, bond.positive), bond.weight);
            }
            let site = integers.site(k);
            if site.field > 0 {
                fields.add(xor_all(own, !site.positive), site.field);
            }
        }
        let (mut energies, bonds, fields) = ([0.0; 256], bonds.differences(), fields.differences());
        let unit = f64::from(integers.unit);
        for (energy, (bonds, fields)) in energies.iter_mut().zip(bonds.iter().zip(&fields)) {
            *energy = problem.offset() - unit * bonds - unit * fields;
        }
        energies
    }
}

/// Counts in bits: of each read, how much weight was set.
struct Counter {
    /// The last up to 255.
    small: [Word; 8],
    room: u32,
    large: [Word; 48],
    total: u64,
}

impl Counter {
    #[inline(always)]
    fn new() -> Self {
        Self { small: [ZERO; 8], room: 255, large: [ZERO; 48], total: 0 }
    }

    #[inline(always)]
    fn add(&mut self, mask: Word, weight: u8) {
        let weight_wide = u32::from(weight);
        if weight_wide > self.room {
            self.flush();
        }
        self.room -= weight_wide;
        self.total += u64::from(weight);
        add(&mut self.small, mask, weight);
    }

    #[inline(always)]
    fn flush(&mut self) {
        for (bit, small) in self.small.iter().enumerate() {
            let mut carry = *small;
            for sum in &mut self.large[bit..] {
                if carry == ZERO {
                    break;
                }
                let next = and(*sum, carry);
                *sum = xor(*sum, carry);
                carry = next;
            }
        }
        (self.small, self.room) = ([ZERO; 8], 255);
    }

    /// What was set minus what was not, of each read.
    #[inline(always)]
    fn differences(mut self) -> [f64; 256] {
        self.flush();
        let mut counts = [0u64; 256];
        for (bit, plane) in self.large.iter().enumerate().filter(|(_, plane)| **plane != ZERO) {
            for (read, count) in counts.iter_mut().enumerate() {
                *count |= (plane[read / 64] >> (read % 64) & 1) << bit;
            }
        }
        let mut differences = [0.0; 256];
        for (difference, count) in differences.iter_mut().zip(&counts) {
            *difference = (2 * count) as f64 - self.total as f64;
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_change_places() {
        let mut words: [u32; 32] = core::array::from_fn(|i| (i as u32 + 1).wrapping_mul(0x9e37_79b9));
        let before = words;
        transpose(&mut words);
        for (i, word) in words.iter().enumerate() {
            for (j, other) in before.iter().enumerate() {
                assert_eq!(word >> j & 1, other >> i & 1);
            }
        }
    }

    #[test]
    fn counters_count_beyond_their_first_planes() {
        let mut counter = Counter::new();
        let mask = [1, 2, 4, 8];
        for i in 0..1000u32 {
            counter.add(if i % 3 == 0 { ZERO } else { mask }, (i % 7) as u8);
        }
        let all: u32 = (0..1000).map(|i| i % 7).sum();
        let set: u32 = (0..1000).filter(|i| i % 3 != 0).map(|i| i % 7).sum();
        let found = counter.differences();
        assert_eq!(
            [found[0], found[65], found[1]],
            [2.0 * f64::from(set) - f64::from(all), 2.0 * f64::from(set) - f64::from(all), -f64::from(all)]
        );
    }
}
