//! The factors of matrix products as sums take them, kept for the next products: a kernel multiplies each fragment of A
//! with several of B.

use super::{
    elements::{element, least_exponent, per},
    warp::Warp,
};
use crate::{
    arithmetic::tensor_core::{DEPTH, Factors, LANES, exponent},
    program::{Element, Lanes, Slot},
};

/// Fragments of each factor that are kept.
const MOST: usize = 16;

/// Factors of the last products.
#[derive(Default)]
pub(super) struct Fragments {
    /// Rows 0 to 7 and 8 to 15 of A.
    rows: Kept<[Factors; 2], 4>,
    /// The even columns of B, and behind them the odd ones.
    columns: Kept<Factors, 2>,
}

struct Kept<T, const N: usize> {
    all: Vec<Fragment<T, N>>,
    /// The one that gives its room to the next.
    oldest: usize,
}

impl<T, const N: usize> Default for Kept<T, N> {
    fn default() -> Self {
        Kept { all: Vec::new(), oldest: 0 }
    }
}

/// What registers held, and the factors that they are.
struct Fragment<T, const N: usize> {
    slots: [Slot; N],
    /// How many of the slots there are: products of fewer depths have fewer.
    count: usize,
    of: Element,
    registers: [Lanes; N],
    factors: T,
}

impl<T, const N: usize> Kept<T, N> {
    /// The factors in some registers, made by a function unless they are at hand.
    #[inline(always)]
    fn factors(
        &mut self,
        warp: &Warp,
        slots: &[Slot],
        of: Element,
        none: impl Fn() -> T,
        make: impl Fn(&[Lanes; N], &mut T),
    ) -> &T {
        let mut own = [0; N];
        own.iter_mut().zip(slots).for_each(|(to, slot)| *to = *slot);
        let place = match self.all.iter().position(|one| one.slots == own && one.count == slots.len() && one.of == of) {
            Some(place) if self.all[place].holds(warp) => return &self.all[place].factors,
            Some(place) => place,
            None if self.all.len() < MOST => {
                self.all.push(Fragment {
                    slots: own,
                    count: slots.len(),
                    of,
                    registers: [[0; 32]; N],
                    factors: none(),
                });
                self.all.len() - 1
            }
            None => {
                self.oldest = (self.oldest + 1) % MOST;
                self.oldest
            }
        };
        let fragment = &mut self.all[place];
        (fragment.slots, fragment.count, fragment.of) = (own, slots.len(), of);
        for (held, slot) in fragment.registers.iter_mut().zip(own) {
            *held = *warp.get(slot);
        }
        make(&fragment.registers, &mut fragment.factors);
        &fragment.factors
    }
}

impl<T, const N: usize> Fragment<T, N> {
    /// Whether the registers hold what they held.
    #[inline(always)]
    fn holds(&self, warp: &Warp) -> bool {
        let mut differs = [0; 8];
        for (held, slot) in self.registers.iter().zip(self.slots) {
            for (held, now) in held.as_chunks::<8>().0.iter().zip(warp.get(slot).as_chunks::<8>().0) {
                for lane in 0..8 {
                    differs[lane] |= held[lane] ^ now[lane];
                }
            }
        }
        differs == [0; 8]
    }
}

impl Fragments {
    /// The factors that registers of A and B hold.
    #[inline(always)]
    pub fn of(&mut self, warp: &Warp, a: &[Slot], b: &[Slot], of: Element) -> (&[Factors; 2], &Factors) {
        // Depths in the order of registers, elements and lanes: any will do for both factors.
        let rows = self.rows.factors(
            warp,
            a,
            of,
            || [Factors::NONE; 2],
            |registers, rows| {
                rows.iter_mut().for_each(Factors::clear);
                for (number, register) in registers.iter().enumerate().take(a.len()) {
                    each_element(register, of, |i, values, exponents| {
                        let first = 4 * (per(of) * (number / 2) + i);
                        for lane in 0..32 {
                            let (depth, row) = ((first + lane % 4) % DEPTH, lane / 4);
                            for begin in [4 * row, LANES / 2 + 4 * row] {
                                rows[number % 2].put(depth, begin..begin + 4, [values[lane]; 4], [exponents[lane]; 4]);
                            }
                        }
                    });
                }
            },
        );
        let columns = self.columns.factors(
            warp,
            b,
            of,
            || Factors::NONE,
            |registers, columns| {
                columns.clear();
                for (number, register) in registers.iter().enumerate().take(b.len()) {
                    each_element(register, of, |i, values, exponents| {
                        let first = 4 * (per(of) * number + i);
                        for (place, odd) in (0..4).flat_map(|place| [(place, 0), (place, 1)]) {
                            let lanes = [0, 1, 2, 3].map(|i| 4 * (2 * i + odd) + place);
                            let (values, exponents) =
                                (lanes.map(|lane| values[lane]), lanes.map(|lane| exponents[lane]));
                            let begin = LANES / 2 * odd;
                            columns.put((first + place) % DEPTH, begin..begin + LANES / 2, values, exponents);
                        }
                    });
                }
            },
        );
        (rows, columns)
    }
}

/// Calls a function with the elements of all lanes at each place of a register, and their exponents.
#[inline(always)]
fn each_element(register: &Lanes, of: Element, mut f: impl FnMut(usize, &[f32; 32], &[i16; 32])) {
    let Some(least) = least_exponent(of) else { return };
    for i in 0..per(of) {
        let (mut values, mut exponents) = ([0.0; 32], [0; 32]);
        // One loop for each type, so that none asks for the type of an element.
        match of {
            Element::F16 => (0..32).for_each(|lane| values[lane] = element(register[lane], i, Element::F16) as f32),
            Element::BF16 => (0..32).for_each(|lane| values[lane] = element(register[lane], i, Element::BF16) as f32),
            _ => (0..32).for_each(|lane| values[lane] = element(register[lane], i, Element::TF32) as f32),
        }
        for lane in 0..32 {
            exponents[lane] = exponent(values[lane], least);
        }
        f(i, &values, &exponents);
    }
}
