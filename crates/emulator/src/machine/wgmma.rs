//! Products of a group of four warps (`wgmma`): each warp computes 16 of the 64 rows, from matrices in
//! shared memory that descriptors tell of.

use std::ops::Range;

use yuragi_numeric::simd::vectorize;

use super::{
    block::Block,
    elements::{element, least_exponent},
    engine::{Engine, Problem},
    matrix::AddProducts,
    phase::Boxed,
};
use crate::{
    arithmetic::{
        Rounding, bits_f32,
        tensor_core::{self, LEAST_HALF, LEAST_SINGLE},
        to_f16,
    },
    finding::Kind,
    memory::{Memory, shadow::Manner},
    program::{Element, GroupProduct, Inst, Lanes, Op},
    tensor_map::Swizzle,
};

/// What a descriptor tells of a matrix in shared memory (PTX ISA, matrix descriptor of `wgmma`).
#[derive(Clone, Copy)]
struct Descriptor {
    start: u64,
    leading: u64,
    stride: u64,
    swizzle: Swizzle,
}

impl Descriptor {
    /// By its bits, for a block whose shared memory begins at a place.
    fn new(bits: u64, begin: u64) -> Descriptor {
        let field = |shift: u32| (bits >> shift & 0x3fff) << 4;
        Descriptor {
            start: begin + field(0),
            leading: field(16),
            stride: field(32),
            swizzle: match bits >> 62 {
                0 => Swizzle::None,
                1 => Swizzle::Bytes128,
                2 => Swizzle::Bytes64,
                _ => Swizzle::Bytes32,
            },
        }
    }

    /// The first byte of the element at (row or column, depth).
    fn place(self, outer: usize, depth: usize, bytes: usize, across: bool) -> u64 {
        let Descriptor { start, leading, stride, swizzle } = self;
        let (outer, depth, bytes) = (outer as u64, depth as u64, bytes as u64);
        let width = 16 * (swizzle.mask() + 1);
        let offset = match (across, swizzle) {
            // Cores of 8 rows of 16 bytes.
            (false, Swizzle::None) => {
                let at = depth * bytes;
                outer / 8 * stride + at / 16 * leading + outer % 8 * 16 + at % 16
            }
            (false, _) => outer / 8 * stride + outer % 8 * width + depth * bytes,
            (true, Swizzle::None) => {
                let at = outer * bytes;
                at / 16 * stride + depth / 8 * leading + depth % 8 * 16 + at % 16
            }
            (true, _) => {
                let at = outer * bytes;
                at / width * leading + depth / 8 * stride + depth % 8 * width + at % width
            }
        };
        swizzle.apply(start + offset)
    }
}

/// Takes an element at a row or column and a depth.
type Put<'a> = dyn FnMut((usize, usize), f64) + 'a;

impl Block {
    /// One warp's rows of a group's product.
    pub(super) fn group_product(&mut self, engine: &Engine<'_>, number: usize, inst: &Inst, at: usize, active: u32) {
        let Op::GroupProduct(product) = &inst.op else { return };
        let GroupProduct { n, k, bytes, a_of, b_of, half_sum, .. } = **product;
        let begin = engine.layout.of_rank(0, self.warps[number].rank);
        let in_memory = product.a_registers.is_none().then_some(product.a);
        for slot in in_memory.into_iter().chain([product.b]) {
            let descriptor = Descriptor::new(self.warps[number].get(slot)[0], begin);
            let boxed = |b: &&Boxed| (b.begin..b.end).contains(&descriptor.start) && b.swizzle != descriptor.swizzle;
            if let Some(found) = self.memory.boxes.iter().find(boxed) {
                let note = format!("{:?} is read, {:?} was written", descriptor.swizzle, found.swizzle);
                let thread = number as u32 * 32;
                let other = Some(found.record);
                engine.report(Problem {
                    kind: Kind::Swizzle,
                    at,
                    block: self.number,
                    thread,
                    access: None,
                    other,
                    note,
                });
            }
        }
        let (warp, mut reach) = self.reach(engine, number, at);
        // Calls a function with the elements of 16 bytes in a row, and their first row or column and depth.
        let mut fetch = |descriptor: Descriptor, outer: Range<usize>, of: Element, across: bool, put: &mut Put<'_>| {
            let per = 16 / bytes;
            let (rows, depths) = if across { (per, 1) } else { (1, per) };
            for (outer, depth) in outer.step_by(rows).flat_map(|outer| (0..k).step_by(depths).map(move |d| (outer, d)))
            {
                let address = warp.layout.within(warp.rank, descriptor.place(outer, depth, bytes, across));
                let span = super::span::Span { memory: Memory::Shared, address, bytes: 16 };
                if !reach.is_inside(warp, 0, span, false) {
                    continue;
                }
                reach.proxied(0, span);
                let words = reach.read(warp, 0, span, Manner::Weak);
                for i in 0..per {
                    let place = if across { (outer + i, depth) } else { (outer, depth + i) };
                    put(place, element(words[i * bytes / 8] >> (8 * (i * bytes % 8)), 0, of));
                }
            }
        };
        // Row by row, and depth by depth.
        let mut a = vec![0.0; 16 * k];
        let first = 16 * (number % engine.layout.warps % 4);
        match &product.a_registers {
            None => {
                let descriptor = Descriptor::new(warp.get(product.a)[0], begin);
                let mut put = |(row, depth): (usize, usize), x| a[(row - first) * k + depth] = x;
                fetch(descriptor, first..first + 16, a_of, product.across[0], &mut put);
            }
            Some(registers) => {
                let per = 4 / bytes;
                for (i, &slot) in registers.iter().enumerate() {
                    for (lane, &register) in warp.get(slot).iter().enumerate() {
                        let row = lane / 4 + 8 * (i % 2);
                        let depth = 4 * per * (i / 2) + per * (lane % 4);
                        (0..per).for_each(|j| a[row * k + depth + j] = element(register, j, a_of));
                    }
                }
            }
        }
        let descriptor = Descriptor::new(warp.get(product.b)[0], begin);
        let mut b = vec![0.0; k * n];
        fetch(descriptor, 0..n, b_of, product.across[1], &mut |(column, depth), x| b[depth * n + column] = x);
        drop(reach);
        let warp = &mut self.warps[number];
        let keep = match product.keep {
            Ok((p, negated)) => warp.predicate(p, negated) & 1 == 1,
            Err(keep) => keep,
        };
        if product.negative {
            a.iter_mut().for_each(|a| *a = -*a);
        }
        let mut sums = vec![0.0; 16 * n];
        if keep {
            each_sum(product, |number, lane, place| {
                let register = warp.get(product.sums[number])[lane];
                match half_sum {
                    true => (0..2).for_each(|i| sums[place + i] = element(register, i, Element::F16)),
                    false => sums[place] = f32::from_bits(register as u32).into(),
                }
            });
        }
        let exact = least_exponent(a_of);
        match exact {
            Some(least) => {
                let sums_least = if half_sum { LEAST_HALF } else { LEAST_SINGLE };
                let products = AddProducts { sums: &mut sums, a: &a, b: &b, depth: k, least, sums_least };
                vectorize(products);
            }
            None => {
                for (a, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
                    for (a, b) in a.iter().zip(b.chunks_exact(n)) {
                        sums.iter_mut().zip(b).for_each(|(sum, b): (&mut f64, &f64)| *sum += a * b);
                    }
                }
            }
        }
        let mut values: Vec<Lanes> = vec![[0; 32]; product.sums.len()];
        each_sum(product, |number, lane, place| {
            values[number][lane] = match (half_sum, exact) {
                (true, _) => (0..2).map(|i| u64::from(to_f16(sums[place + i], Rounding::Nearest)) << (16 * i)).sum(),
                (false, Some(_)) => tensor_core::to_f32(sums[place]).into(),
                (false, None) => bits_f32(sums[place] as f32).into(),
            }
        });
        product.sums.iter().zip(&values).for_each(|(&slot, values)| warp.set(slot, active, values));
        self.counters.matrix_flops += 2 * (16 * n * k) as u64;
    }
}

/// Calls a function with each register of D, each lane, and the place of its (first) sum, row by row.
fn each_sum(product: &GroupProduct, mut f: impl FnMut(usize, usize, usize)) {
    for number in 0..product.sums.len() {
        for lane in 0..32 {
            let (group, place) = (lane / 4, lane % 4);
            let (row, column) = match product.half_sum {
                true => (group + 8 * (number % 2), 8 * (number / 2) + 2 * place),
                false => (group + 8 * (number % 4 / 2), 8 * (number / 4) + 2 * place + number % 2),
            };
            f(number, lane, row * product.n + column);
        }
    }
}
