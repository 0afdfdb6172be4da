//! `wmma`: fragments of matrices in the registers of a warp. Where an element lies is each machine's own: here the
//! elements lie one behind the other, rows first, in the registers of the first lane, then of the next, and begin anew
//! where the registers are more.

use yuragi_numeric::simd::vectorize;

use super::{
    access::put,
    block::Block,
    elements::{element, least_exponent},
    engine::Engine,
    lanes::each,
    matrix::AddProducts,
    span::{Span, spans},
    warp::Warp,
};
use crate::{
    arithmetic::{
        Rounding, bits_f32,
        tensor_core::{self, LEAST_HALF, LEAST_SINGLE},
        to_f16,
    },
    finding::Kind,
    memory::{Memory, shadow::Manner},
    program::{Element, Fragment, FragmentProduct, Inst, Lanes, Op, Slot},
};

/// The numbers that a fragment holds, and the elements of a register of its type.
fn numbers(warp: &Warp, registers: &[Slot], per: usize, count: usize, read: impl Fn(u64, usize) -> f64) -> Vec<f64> {
    let of_lane = registers.len() * per;
    let number = |i: usize| {
        let (lane, place) = (i / of_lane, i % of_lane);
        read(warp.get(registers[place / per])[lane], place % per)
    };
    (0..count).map(number).collect()
}

impl Block {
    /// Loads or stores a matrix.
    pub(super) fn fragment(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::Fragment(fragment) = &inst.op else { return };
        let Fragment { stride, rows, columns, bytes, by_columns, store, ref registers, .. } = **fragment;
        self.events += 1;
        let (warp, mut reach) = self.reach(engine, number, at);
        let first = spans(warp, &fragment.address, bytes);
        let usual = if by_columns { rows } else { columns } as u64;
        let strides = stride.map_or([usual; 32], |slot| warp.get(slot).map(|stride| stride & 0xffff_ffff));
        let per = (4 / bytes).max(1);
        let of_lane = registers.len() * per;
        let place = |lane: usize, i: usize| {
            let number = (lane * of_lane + i) % (rows * columns);
            let (row, column) = ((number / columns) as u64, (number % columns) as u64);
            let (far, near) = if by_columns { (column, row) } else { (row, column) };
            let offset = far.wrapping_mul(strides[lane]).wrapping_add(near).wrapping_mul(bytes as u64);
            Span { address: first[lane].address.wrapping_add(offset), ..first[lane] }
        };
        let mut crooked = 0_u32;
        each(active, |lane| {
            let legal = first[lane].address.is_multiple_of(32) && (strides[lane] * bytes as u64).is_multiple_of(16);
            crooked |= u32::from(!legal) << lane;
        });
        if crooked != 0 {
            let lane = crooked.trailing_zeros() as usize;
            let stride = strides[lane];
            let note = move |_: &mut _| {
                format!(
                    "a matrix begins at a multiple of 32 bytes, and its rows or columns, here {stride} elements, at multiples of 16"
                )
            };
            reach.report(Kind::Misaligned, lane, first[lane], store, None, note);
            return;
        }
        // A request for the different sectors of all lanes, or one for each element in shared memory.
        if first[0].memory == Memory::Global {
            let mut sectors: Vec<u64> = Vec::new();
            each(active, |lane| sectors.extend((0..of_lane).map(|i| place(lane, i).address / 32)));
            sectors.sort_unstable();
            sectors.dedup();
            let moved = (rows * columns * bytes) as u64;
            reach.count_sectors(&sectors, moved);
            *(if store { &mut reach.counters.global_written } else { &mut reach.counters.global_read }) += moved;
        } else {
            for i in (0..of_lane).step_by(per) {
                reach.count(&std::array::from_fn(|lane| place(lane, i)), active, store);
            }
        }
        let mut values: Vec<Lanes> = vec![[0; 32]; registers.len()];
        // The last lanes hold some elements again.
        let stored = if store { rows * columns } else { usize::MAX };
        each(active, |lane| {
            for i in 0..of_lane {
                let span = place(lane, i);
                if lane * of_lane + i >= stored || !reach.may_touch(warp, lane, span, store) {
                    continue;
                }
                if store {
                    let held = warp.get(registers[i / per])[lane] >> (8 * bytes * (i % per));
                    let mut words = [0; 4];
                    put(&mut words, 0, bytes, held);
                    reach.write(warp, lane, span, &words, Manner::Weak);
                } else {
                    let [word, ..] = reach.read(warp, lane, span, Manner::Weak);
                    values[i / per][lane] |= word << (8 * bytes * (i % per));
                }
            }
        });
        drop(reach);
        if !store {
            let warp = &mut self.warps[number];
            registers.iter().zip(&values).for_each(|(&slot, values)| warp.set(slot, active, values));
        }
    }

    /// D = A·B + C.
    pub(super) fn fragment_product(&mut self, number: usize, product: &FragmentProduct, active: u32) {
        let FragmentProduct { m, n, k, of, half_into, half_from, saturate, .. } = *product;
        let warp = &mut self.warps[number];
        let per = match of {
            Element::F16 | Element::BF16 => 2,
            Element::S8 | Element::U8 => 4,
            _ => 1,
        };
        let factor = |slots: &[Slot], count| numbers(warp, slots, per, count, |register, i| element(register, i, of));
        let (a, b) = (factor(&product.a, m * k), factor(&product.b, k * n));
        let c_per = if half_from { 2 } else { 1 };
        let mut sums = numbers(warp, &product.c, c_per, m * n, |register, i| match of {
            Element::F64 => f64::from_bits(register),
            Element::S8 | Element::U8 => f64::from(register as i32),
            _ if half_from => element(register, i, Element::F16),
            _ => f32::from_bits(register as u32).into(),
        });
        match least_exponent(of) {
            Some(least) => {
                let sums_least = if half_from { LEAST_HALF } else { LEAST_SINGLE };
                let products = AddProducts { sums: &mut sums, a: &a, b: &b, depth: k, least, sums_least };
                vectorize(products);
            }
            None => {
                for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
                    for (a, b) in a.iter().zip(b.chunks_exact(n)) {
                        // Of integers each step is exact.
                        sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = a.mul_add(*b, *sum));
                    }
                }
            }
        }
        let bits = |x: f64| -> u64 {
            match of {
                Element::F64 => x.to_bits(),
                Element::S8 | Element::U8 if saturate => u64::from(x as i32 as u32),
                Element::S8 | Element::U8 => u64::from(x as i64 as u32),
                _ if half_into => to_f16(x, Rounding::Nearest).into(),
                _ if x.is_nan() => bits_f32(f32::NAN).into(),
                _ => tensor_core::to_f32(x).into(),
            }
        };
        let d_per = if half_into { 2 } else { 1 };
        let of_lane = product.d.len() * d_per;
        for (register, &slot) in product.d.iter().enumerate() {
            let values = std::array::from_fn(|lane| {
                let first = lane * of_lane + register * d_per;
                (0..d_per).map(|i| bits(sums[first + i]) << (16 * i)).sum()
            });
            warp.set(slot, active, &values);
        }
        self.counters.matrix_flops += 2 * (m * n * k) as u64;
    }
}
