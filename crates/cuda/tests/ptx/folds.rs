//! Reductions of chains: every choice of axes, odd extents, element types.

use yuragi_graph::{
    DType, Shape,
    lowering::{Chain, End, Fold, Instruction, Value, View},
    op::{Axes, Binary, Movement, Reduce, Unary},
};
use yuragi_numeric::Real;

use crate::bench::{Buffer, chain, emulate, numbers, values};

fn shape(extents: &[usize]) -> Shape {
    Shape::new(extents).unwrap()
}

/// Numbers of order one.
fn moderate(seed: u32, count: usize) -> Vec<f32> {
    numbers(seed, count).iter().map(|x| if x.is_finite() { x % 3.0 } else { 0.5 }).collect()
}

/// The terms of each result.
fn terms(chain: &Chain, fold: &Fold, buffers: &[Buffer]) -> Vec<Vec<f32>> {
    let kept: Vec<usize> = (0..fold.shape.rank()).filter(|&axis| !fold.axes.contains(axis)).collect();
    let mut terms = vec![Vec::new(); kept.iter().map(|&axis| fold.shape[axis]).product()];
    for element in 0..chain.count {
        let coordinate = |axis: usize| element / fold.shape.strides()[axis] % fold.shape[axis];
        let result = kept.iter().fold(0, |at, &axis| at * fold.shape[axis] + coordinate(axis));
        terms[result].push(values(chain, buffers, element)[fold.value.0]);
    }
    terms
}

/// Emulates a reduction and holds each result to the bound of a sum in any order, or to the very number.
fn check(chain: &Chain, buffers: &[Buffer]) -> Vec<yuragi_emulator::Report> {
    let End::Fold(fold) = &chain.end else { panic!("no reduction") };
    let mut there = buffers.to_vec();
    let reports = emulate(chain, &mut there);
    let output = there.last().unwrap();
    for (at, (terms, &got)) in terms(chain, fold, buffers).iter().zip(&output.values).enumerate() {
        let (want, slack) = match fold.op {
            Reduce::Sum => {
                let n = terms.len() as f64 * DType::F32.unit_roundoff();
                let size: f64 = terms.iter().map(|&x| f64::from(x.abs())).sum();
                (terms.iter().map(|&x| f64::from(x)).sum::<f64>(), n / (1.0 - n) * size)
            }
            Reduce::Max => (terms.iter().fold(f64::NEG_INFINITY, |a, &x| Real::max(a, x.into())), 0.0),
        };
        let rounding = if output.dtype == DType::F32 { 0.0 } else { output.dtype.unit_roundoff() };
        let slack = slack + rounding * (want.abs() + slack);
        let got = f64::from(got);
        let fine = (got - want).abs() <= slack || got == want || got.is_nan() && want.is_nan();
        assert!(
            fine,
            "{:?} of {:?} along {:?}: result {at} is {got}, want {want} ± {slack}",
            fold.op, fold.shape, fold.axes
        );
    }
    reports
}

/// The sum or maximum of a·sigmoid(b) − 1, with a and b seen through these walks.
fn prologue(op: Reduce, extents: &[usize], axes: Axes, walks: [View; 2], types: [DType; 3]) {
    let (shape, count) = (shape(extents), extents.iter().product::<usize>());
    let kept = (0..extents.len()).filter(|&axis| !axes.contains(axis));
    let results: usize = kept.map(|axis| extents[axis]).product();
    let size = |walk: &View| walk.axes().iter().map(|&(extent, step)| extent.saturating_sub(1) * step).sum::<usize>();
    let input = |n: usize| {
        Buffer::new(types[n], &moderate(n as u32 + 1, (walks[n].offset + size(&walks[n]) + 1).min(count.max(1))))
    };
    let buffers = [input(0), input(1), Buffer::new(types[2], &vec![7.0; results])];
    let [a, b] = walks.clone();
    let code = vec![
        Instruction::Load { input: 0, view: a },
        Instruction::Load { input: 1, view: b },
        Instruction::Unary(Unary::Sigmoid, Value(1)),
        Instruction::Binary(Binary::Mul, Value(0), Value(2)),
        Instruction::Number(1.0),
        Instruction::Binary(Binary::Sub, Value(3), Value(4)),
    ];
    let fold = Fold { value: Value(5), op, shape, axes };
    check(&chain(count, &buffers, 2, code, End::Fold(fold)), &buffers);
}

/// Every set of axes of a shape.
fn all_axes(extents: &[usize], types: [DType; 3]) {
    let whole = View::whole(&shape(extents));
    let mut row = vec![1; extents.len()];
    row[extents.len() - 1] = extents[extents.len() - 1];
    let row = View::whole(&shape(&row)).moved(&Movement::Broadcast, &shape(extents)).unwrap();
    for set in 0..1_u32 << extents.len() {
        let axes: Axes = (0..extents.len()).filter(|axis| set >> axis & 1 == 1).collect();
        for op in Reduce::ALL {
            prologue(*op, extents, axes, [whole.clone(), row.clone()], types);
        }
    }
}

#[test]
fn every_set_of_axes() {
    const F32: [DType; 3] = [DType::F32; 3];
    for extents in [[2, 3, 4], [3, 1, 5], [1, 1, 1], [7, 8, 16], [33, 4, 9], [2, 40, 24]] {
        all_axes(&extents, F32);
    }
    all_axes(&[3, 4, 5, 8], [DType::BF16, DType::F32, DType::F16]);
    all_axes(&[4, 6, 16], [DType::F16, DType::F16, DType::F32]);
    all_axes(&[1000], [DType::F16, DType::F32, DType::BF16]);
    all_axes(&[7], F32);
}

#[test]
fn walks_that_are_permuted_or_cut() {
    let extents = [6, 8, 10];
    let order = |axes: [u8; 3], from: [usize; 3]| {
        let mut permutation = [0; yuragi_graph::MAX_RANK];
        permutation[..3].copy_from_slice(&axes);
        View::whole(&shape(&from)).moved(&Movement::Permute(permutation), &shape(&extents)).unwrap()
    };
    let permuted = order([2, 0, 1], [8, 10, 6]);
    // Reshaped from axes that are none of the reduction's.
    let foreign =
        View::whole(&shape(&[20, 24])).moved(&Movement::Permute([1, 0, 0, 0, 0, 0]), &shape(&[24, 20])).unwrap();
    let part = View::whole(&shape(&[6, 16, 10])).part(1, 4, 8);
    for set in 0..8_u32 {
        let axes: Axes = (0..3).filter(|axis| set >> axis & 1 == 1).collect();
        for walks in [[permuted.clone(), part.clone()], [foreign.clone(), permuted.clone()]] {
            let count = 960;
            let buffers = [
                Buffer::new(DType::F32, &moderate(1, count)),
                Buffer::new(DType::F16, &moderate(2, count)),
                Buffer::new(DType::F32, &vec![7.0; count]),
            ];
            let [a, b] = walks;
            let code = vec![
                Instruction::Load { input: 0, view: a },
                Instruction::Load { input: 1, view: b },
                Instruction::Binary(Binary::Mul, Value(0), Value(1)),
            ];
            let fold = Fold { value: Value(2), op: Reduce::Sum, shape: shape(&extents), axes };
            check(&chain(480, &buffers, 2, code, End::Fold(fold)), &buffers);
        }
    }
}

/// Few results of many terms: cut into parts for many blocks, and combined by a second kernel.
#[test]
fn long_reductions_in_two_kernels() {
    for (extents, axes, kernels) in [
        (vec![100_003], vec![0], 2),
        (vec![3, 40_000], vec![1], 2),
        (vec![6000, 10], vec![0], 2),
        (vec![3000, 24], vec![0], 2),
        (vec![50, 30, 40], vec![0, 2], 1),
        (vec![800, 3, 96], vec![0, 2], 2),
        (vec![4000, 300], vec![1], 1),
    ] {
        let count = extents.iter().product();
        let results = extents.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, n)| n).product();
        for op in Reduce::ALL {
            for dtype in [DType::F32, DType::F16] {
                let buffers = [Buffer::new(dtype, &moderate(1, count)), Buffer::new(dtype, &vec![7.0; results])];
                let code = vec![Instruction::Load { input: 0, view: View::run(count) }];
                let fold =
                    Fold { value: Value(0), op: *op, shape: shape(&extents), axes: axes.iter().copied().collect() };
                let reports = check(&chain(count, &buffers, 1, code, End::Fold(fold)), &buffers);
                assert_eq!(reports.len(), kernels, "{extents:?} along {axes:?}");
            }
        }
    }
}

#[test]
fn nothing_sums_to_zero_and_its_maximum_is_least() {
    for (extents, axes) in [(vec![3, 0], vec![1]), (vec![0, 3], vec![0]), (vec![0, 3], vec![1]), (vec![0], vec![0])] {
        for op in Reduce::ALL {
            let results = extents.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, n)| n).product();
            let buffers = [Buffer::new(DType::F32, &[]), Buffer::new(DType::F32, &vec![7.0; results])];
            let code = vec![Instruction::Load { input: 0, view: View::run(0) }];
            let fold = Fold { value: Value(0), op: *op, shape: shape(&extents), axes: axes.iter().copied().collect() };
            check(&chain(0, &buffers, 1, code, End::Fold(fold)), &buffers);
        }
    }
}

#[test]
fn a_maximum_is_nan_if_any_term_is() {
    for at in [0, 1, 31, 32, 999] {
        for (extents, axes) in [([1, 1000], [1]), ([1000, 1], [0]), ([10, 100], [1]), ([100, 10], [0])] {
            let mut x = moderate(1, 1000);
            x[at] = f32::NAN;
            let buffers = [Buffer::new(DType::F32, &x), Buffer::new(DType::F32, &[7.0; 10])];
            let code = vec![Instruction::Load { input: 0, view: View::run(1000) }];
            let fold =
                Fold { value: Value(0), op: Reduce::Max, shape: shape(&extents), axes: axes.into_iter().collect() };
            check(&chain(1000, &buffers, 1, code, End::Fold(fold)), &buffers);
        }
    }
}
