//! Multi-spin coding: 256 reads in the bits of one vector.
//!
//! Two spins and the sign of their coupling give, by exclusive or, one bit a read that says whether the
//! bond is satisfied. Adders on bits count S, the weight of a site's satisfied bonds, of M in
//! all; the local energy change of a flip is 2(2S − M) units. Each S > M/2 has its own
//! threshold, and u < threshold is decided plane by plane from the highest bit, until no read is
//! undecided (Jacobs and Rebbi 1981; Isakov et al., *Comput. Phys. Commun.* 192, 265 (2015)).

use super::bits::Sweep;
use super::integer::{Integers, LARGEST, Site};
use super::planes::{Word, planes};
use crate::draw::{CERTAIN, Stream};
use crate::dynamics::{Rule, spin_threshold};
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

/// The threshold of one sum about a spin.
#[derive(Clone, Copy)]
struct Threshold {
    certain: bool,
    /// Neither impossible nor certain.
    drawn: bool,
    /// All ones or none for each bit, from the highest.
    bits: [u64; 32],
}

/// One sweep of a chunk; `words` are those of its sites.
pub(super) fn sweep(sweep: Sweep<'_>, integers: &Integers, beta: f32, words: &mut [Word]) {
    // The sum is in the spin's own direction for Metropolis, upwards for the heat bath.
    let largest = integers.largest as i32;
    let threshold = |sum: i32| {
        let threshold = spin_threshold(sweep.rule, 1, integers.unit * sum as f32, beta);
        Threshold {
            certain: threshold >= CERTAIN,
            drawn: threshold > 0 && threshold < CERTAIN,
            bits: core::array::from_fn(|bit| (threshold >> (31 - bit) & 1).wrapping_neg()),
        }
    };
    let thresholds: Vec<Threshold> = (-largest..=largest).map(threshold).collect();
    let thresholds = &thresholds;
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
    /// By 2S − M + the largest M.
    thresholds: &'a [Threshold],
    words: &'a mut [Word],
}

/// The sums that need a draw: the bits of their thresholds, and the reads that have them.
type Classes<'a> = [(&'a [u64; 32], Word); LARGEST as usize + 1];

impl<const FEW: usize, const HEAT_BATH: bool, const SINGLE: bool> Task for Chunk<'_, FEW, HEAT_BATH, SINGLE> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let mut classes = [(&[0; 32], ZERO); LARGEST as usize + 1];
        for &site in self.sweep.visits {
            let at = self.integers.site(site as usize);
            // Counters as wide as the site needs: a few sites of many neighbours must not cost the others.
            match at.total {
                total if u32::from(total) < 1 << FEW => self.visit::<FEW>(site, at, &mut classes),
                0..32 => self.visit::<5>(site, at, &mut classes),
                _ => self.visit::<8>(site, at, &mut classes),
            }
        }
    }
}

impl<'a, const FEW: usize, const HEAT_BATH: bool, const SINGLE: bool> Chunk<'a, FEW, HEAT_BATH, SINGLE> {
    /// Draws one site anew, with counters of `PLANES` bits.
    #[inline(always)]
    fn visit<const PLANES: usize>(&mut self, site: u32, at: Site, classes: &mut Classes<'a>) {
        let (sweep, integers, k) = (self.sweep, self.integers, site as usize);
        let own = self.words[k];
        let base = if HEAT_BATH { [!0; 4] } else { own };
        let count = self::count::<PLANES, SINGLE>(integers, self.words, k, base);
        let total = u32::from(at.total);
        let first = if HEAT_BATH { 0 } else { total / 2 + 1 };
        let (mut number, mut below) = (0, if HEAT_BATH { ZERO } else { sweep.active });
        let mut undecided = ZERO;
        for satisfied in first..=total {
            let reads = and(equal(&count, satisfied), sweep.active);
            let threshold = &self.thresholds[(integers.largest + 2 * satisfied - total) as usize];
            if !HEAT_BATH {
                below = and_not(below, reads);
            }
            if threshold.drawn {
                undecided = or(undecided, reads);
                classes[number] = (&threshold.bits, reads);
                number += 1;
            } else if threshold.certain {
                below = or(below, reads);
            }
        }
        let mut quad = 0;
        while quad < 8 && undecided != ZERO {
            let bits = planes(sweep.keys, sweep.sweep, site, Stream::Accept, quad, sweep.chunk);
            for (plane, bits) in bits.into_iter().enumerate() {
                let mut wanted = ZERO;
                for (threshold, reads) in &classes[..number] {
                    let bit = threshold[(4 * quad) as usize + plane];
                    wanted = or(wanted, reads.map(|reads| reads & bit));
                }
                below = or(below, and(undecided, and_not(wanted, bits)));
                undecided = and_not(undecided, xor(wanted, bits));
            }
            quad += 1;
        }
        self.words[k] = if HEAT_BATH { below } else { xor(own, below) };
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
