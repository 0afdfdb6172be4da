//! Element types: exact loads, stores rounded once, casts.

use half::{bf16, f16};
use yuragi_graph::{
    DType,
    lowering::{Instruction, Value, View},
    op::{Binary, Unary},
};

use crate::bench::{Buffer, chain, check, numbers, whole};

/// Values of a type: all that come to mind, and what looks random.
fn values(dtype: DType, count: usize) -> Vec<f32> {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => numbers(3, count),
        DType::I32 | DType::U32 => {
            let edges = [0, 1, u32::MAX, i32::MAX as u32, 1 << 31, 2048, 2049, 2051, 65_519, 65_520, 0x0101_0000];
            let near = |i: usize| edges[i % edges.len()].wrapping_add((i / edges.len()) as u32);
            let random = |i: usize| numbers(4, count)[i].to_bits() >> (i % 31);
            (0..count).map(|i| f32::from_bits(if i < count / 2 { near(i) } else { random(i) })).collect()
        }
    }
}

#[test]
fn casts_round_as_the_processor_does() {
    const COUNT: usize = 2003;
    for from in DType::ALL {
        let x = Buffer::new(from, &values(from, COUNT));
        for into in DType::ALL {
            let buffers = [x.clone(), Buffer::new(into, &[0.0; COUNT])];
            let load = Instruction::Load { input: 0, view: View::run(COUNT) };
            let code = vec![load, Instruction::Convert { from, into, x: Value(0) }];
            check(&chain(COUNT, &buffers, 1, code, whole(1, COUNT)), &buffers);
        }
    }
}

#[test]
fn casts_of_constants() {
    for (from, into) in DType::ALL.iter().flat_map(|&from| DType::ALL.map(|into| (from, into))) {
        for &x in &values(from, 64) {
            let x = Buffer::new(from, &[x]).values[0];
            let buffers = [Buffer::new(into, &[0.0; 3])];
            let code = vec![Instruction::Number(x), Instruction::Convert { from, into, x: Value(0) }];
            check(&chain(3, &buffers, 0, code, whole(1, 3)), &buffers);
        }
    }
}

/// Every number of half precision is read as itself, and rounding is to nearest even everywhere.
#[test]
fn halves_are_exact_and_rounded_once() {
    let all = |to: fn(u16) -> f32| (0..=u16::MAX).map(to).collect::<Vec<f32>>();
    for (dtype, all) in
        [(DType::F16, all(|x| f16::from_bits(x).to_f32())), (DType::BF16, all(|x| bf16::from_bits(x).to_f32()))]
    {
        let count = all.len();
        let load = Instruction::Load { input: 0, view: View::run(count) };
        let buffers = [Buffer::new(dtype, &all), Buffer::new(DType::F32, &vec![0.0; count])];
        check(&chain(count, &buffers, 1, vec![load.clone()], whole(0, count)), &buffers);
        // Between neighbours: the middle, and next to it.
        let middles: Vec<f32> = (0..count)
            .map(|i| {
                let (a, b) = (all[i].to_bits(), all[(i + 1) % count].to_bits());
                f32::from_bits((a / 2 + b / 2).wrapping_add((i % 3) as u32).wrapping_sub(1))
            })
            .collect();
        let buffers = [Buffer::new(DType::F32, &middles), Buffer::new(dtype, &vec![0.0; count])];
        check(&chain(count, &buffers, 1, vec![load], whole(0, count)), &buffers);
    }
}

/// A result of half precision that is stored and used: rounded once, and the rounding is not repeated.
#[test]
fn chains_of_halves() {
    for (count, dtype) in [1, 2, 7, 8, 1000, 1003].iter().flat_map(|&n| [(n, DType::F16), (n, DType::BF16)]) {
        let [a, b] = [5, 6].map(|seed| Buffer::new(dtype, &numbers(seed, count)));
        let buffers = [a, b, Buffer::new(dtype, &vec![0.0; count])];
        let load = |input| Instruction::Load { input, view: View::run(count) };
        let round = |x| Instruction::Convert { from: DType::F32, into: dtype, x: Value(x) };
        let code = vec![
            load(0),
            load(1),
            Instruction::Binary(Binary::Mul, Value(0), Value(1)),
            round(2),
            Instruction::Unary(Unary::Silu, Value(3)),
            round(4),
        ];
        check(&chain(count, &buffers, 2, code, whole(5, count)), &buffers);
    }
}
