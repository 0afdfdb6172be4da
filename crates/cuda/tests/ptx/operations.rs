//! Every operation of the table has the bits of the CPU.

use yuragi_cuda::{
    kernels::product::Machine,
    lower::{Target, lower},
};
use yuragi_graph::{
    Builder, DType,
    lowering::{Instruction, Value, View},
    op::{Binary, Unary},
};

use crate::bench::{Buffer, chain, check, numbers, whole};

const COUNT: usize = 16_411;

fn load(input: usize) -> Instruction {
    Instruction::Load { input, view: View::run(COUNT) }
}

fn out() -> Buffer {
    Buffer::new(DType::F32, &[0.0; COUNT])
}

#[test]
fn functions_of_one_number() {
    for (seed, &op) in Unary::ALL.iter().enumerate() {
        let buffers = [Buffer::new(DType::F32, &numbers(seed as u32, COUNT)), out()];
        check(&chain(COUNT, &buffers, 1, vec![load(0), Instruction::Unary(op, Value(0))], whole(1, COUNT)), &buffers);
    }
}

#[test]
fn functions_of_two_numbers() {
    for (seed, &op) in Binary::ALL.iter().enumerate() {
        let [mut a, mut b] = [seed as u32 + 100, 2 * seed as u32 + 200].map(|seed| numbers(seed, COUNT));
        // Equal numbers, and every special one with every other.
        (0..COUNT).step_by(7).for_each(|i| b[i] = a[i]);
        (0..256).for_each(|i| (a[i], b[i]) = (numbers(1, 80)[i % 16 * 5], numbers(1, 80)[i / 16 * 5]));
        let buffers = [Buffer::new(DType::F32, &a), Buffer::new(DType::F32, &b), out()];
        let code = vec![load(0), load(1), Instruction::Binary(op, Value(0), Value(1))];
        check(&chain(COUNT, &buffers, 2, code, whole(2, COUNT)), &buffers);
    }
}

#[test]
fn selections_and_constants() {
    let buffers = [Buffer::new(DType::F32, &numbers(7, COUNT)), Buffer::new(DType::F32, &numbers(8, COUNT)), out()];
    let code = vec![
        load(0),
        Instruction::Number(0.25),
        load(1),
        Instruction::Select(Value(0), Value(1), Value(2)),
        Instruction::Unary(Unary::Exp, Value(1)),
        Instruction::Binary(Binary::Mul, Value(3), Value(4)),
    ];
    check(&chain(COUNT, &buffers, 2, code, whole(5, COUNT)), &buffers);
    let code = vec![Instruction::Number(-3.5), Instruction::Unary(Unary::Tanh, Value(0))];
    check(&chain(COUNT, &buffers, 2, code, whole(1, COUNT)), &buffers);
}

/// The norm of all gradients of a network adds up hundreds of numbers at once: more than 4 KiB of pointers.
#[test]
fn a_thousand_operands() {
    let buffers: Vec<Buffer> = (0..1001).map(|seed| Buffer::new(DType::F32, &numbers(seed, 3)[..])).collect();
    let mut code: Vec<Instruction> = (0..1000).map(|input| Instruction::Load { input, view: View::run(3) }).collect();
    code.push(Instruction::Binary(Binary::Add, Value(0), Value(1)));
    code.extend((2..1000).map(|input| Instruction::Binary(Binary::Max, Value(998 + input), Value(input))));
    check(&chain(3, &buffers, 1000, code, whole(1998, 3)), &buffers);
}

#[test]
fn more_operands_than_a_kernel_takes_are_refused() {
    let b = Builder::new();
    let inputs: Vec<_> = (0..5000).map(|i| b.input(&format!("x{i}"), &[2], DType::F32)).collect();
    let sum = inputs.into_iter().reduce(|a, b| a + b).unwrap();
    let graph = b.finish(&[("sum", sum)]).unwrap();
    let target = Target::new(Machine { multiprocessors: 132, hopper: false });
    let error = lower(&graph, target).unwrap_err();
    assert_eq!(error.to_string(), "a loop over elements has 5002 operands; legal are at most 4095");
}
