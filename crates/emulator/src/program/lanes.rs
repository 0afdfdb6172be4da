//! Loops over the lanes of a warp, compiled for the vector units that this machine has.

use yuragi_numeric::simd::{Task, vectorize};

use super::Slot;

/// A value of each lane of a warp.
pub(crate) type Lanes = [u64; 32];
/// Writes a function of registers to some lanes of another one.
pub(crate) type Function = Box<dyn Fn(&mut [Lanes], Slot, &[Slot; 4], u32) + Send + Sync>;
/// What an atomic operation stores, of the old value and its operands.
pub(crate) type Atomic = Box<dyn Fn(u64, u64, u64) -> u64 + Send + Sync>;
/// A comparison on all lanes: a bit for each.
pub(crate) type Comparison = Box<dyn Fn(&Lanes, &Lanes) -> u32 + Send + Sync>;

/// A function of so many numbers as one of all lanes.
pub(crate) fn lanewise<const N: usize>(f: impl Fn([u64; N]) -> u64 + Send + Sync + 'static) -> Function {
    Box::new(move |registers, to, from, lanes| vectorize(Lanewise { f: &f, registers, to, from, lanes }))
}

struct Lanewise<'a, F, const N: usize> {
    f: &'a F,
    registers: &'a mut [Lanes],
    to: Slot,
    from: &'a [Slot; 4],
    lanes: u32,
}

impl<const N: usize, F: Fn([u64; N]) -> u64> Task for Lanewise<'_, F, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Lanewise { f, registers, to, from, lanes } = self;
        // Asked once, not for each part.
        assert!(registers.len() > to as usize && from.iter().take(N).all(|&slot| registers.len() > slot as usize));
        for part in 0..PARTS {
            let mut operands = [[0; PART]; N];
            for i in 0..N {
                operands[i] = registers[from[i] as usize].as_chunks().0[part];
            }
            let mut values = [0; PART];
            for lane in 0..PART {
                let mut one = [0; N];
                for i in 0..N {
                    one[i] = operands[i][lane];
                }
                values[lane] = f(one);
            }
            merge(&mut registers[to as usize].as_chunks_mut().0[part], &values, lanes >> (PART * part));
        }
    }
}

/// Lanes that are computed together: as many as are in the widest vector.
const PART: usize = 8;
const PARTS: usize = 32 / PART;

/// Some lanes of a part of a register become those of another one.
#[inline(always)]
fn merge(register: &mut [u64; PART], values: &[u64; PART], lanes: u32) {
    if lanes as u8 == u8::MAX {
        *register = *values;
        return;
    }
    // Taken out whole and put back so: no lane is a branch of its own.
    let mut merged = *register;
    for (lane, merged) in merged.iter_mut().enumerate() {
        let taken = u64::from(lanes >> lane & 1).wrapping_neg();
        *merged = values[lane] & taken | *merged & !taken;
    }
    *register = merged;
}

/// A function of so many numbers as one of all lanes, for what is rare: compiled once.
pub(crate) fn lane_by_lane<const N: usize>(f: impl Fn([u64; N]) -> u64 + Send + Sync + 'static) -> Function {
    Box::new(move |registers, to, from, lanes| Lanewise { f: &f, registers, to, from, lanes }.run())
}

/// A comparison of two numbers as one of all lanes.
pub(crate) fn compared(f: impl Fn(u64, u64) -> bool + Send + Sync + 'static) -> Comparison {
    Box::new(move |a, b| vectorize(Compared { f: &f, a, b }))
}

struct Compared<'a, F> {
    f: &'a F,
    a: &'a Lanes,
    b: &'a Lanes,
}

impl<F: Fn(u64, u64) -> bool> Task for Compared<'_, F> {
    type Output = u32;

    #[inline(always)]
    fn run(self) -> u32 {
        let mut all = 0;
        for lane in 0..32 {
            all |= u32::from((self.f)(self.a[lane], self.b[lane])) << lane;
        }
        all
    }
}

/// Some lanes of a register become those of other values.
pub(crate) struct Put<'a> {
    pub register: &'a mut Lanes,
    pub values: &'a Lanes,
    pub lanes: u32,
}

impl Task for Put<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (parts, values) = (self.register.as_chunks_mut().0, self.values.as_chunks().0);
        for part in 0..PARTS {
            merge(&mut parts[part], &values[part], self.lanes >> (PART * part));
        }
    }
}

/// One of two values of each lane, as a predicate says.
pub(crate) struct Choose<'a> {
    pub registers: &'a mut [Lanes],
    pub to: Slot,
    pub from: [Slot; 2],
    pub predicate: u32,
    pub lanes: u32,
}

impl Task for Choose<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Choose { registers, to, from, predicate, lanes } = self;
        for part in 0..PARTS {
            let mut values: [u64; PART] = registers[from[1] as usize].as_chunks().0[part];
            merge(&mut values, &registers[from[0] as usize].as_chunks().0[part], predicate >> (PART * part));
            merge(&mut registers[to as usize].as_chunks_mut().0[part], &values, lanes >> (PART * part));
        }
    }
}
