//! Walks through operands of every kind.

use yuragi_graph::{
    DType, Shape,
    lowering::{End, Instruction, Store, Value, View},
    op::{Binary, Movement},
};

use crate::bench::{Buffer, chain, check, numbers};

fn shape(extents: &[usize]) -> Shape {
    Shape::new(extents).unwrap()
}

fn permuted(from: &[usize], order: &[u8]) -> View {
    let mut axes = [0; yuragi_graph::MAX_RANK];
    axes[..order.len()].copy_from_slice(order);
    let to: Vec<usize> = order.iter().map(|&axis| from[usize::from(axis)]).collect();
    View::whole(&shape(from)).moved(&Movement::Permute(axes), &shape(&to)).unwrap()
}

fn broadcast(from: &[usize], to: &[usize]) -> View {
    View::whole(&shape(from)).moved(&Movement::Broadcast, &shape(to)).unwrap()
}

fn slice(from: &[usize], axis: usize, start: usize, extent: usize) -> View {
    View::whole(&shape(from)).part(axis, start, extent)
}

/// a·b over two walks, into a third, with every pair of element types.
fn product(a: &View, b: &View, to: &View, sizes: [usize; 3]) {
    let count = a.count();
    for types in [
        [DType::F32; 3],
        [DType::F16, DType::F32, DType::BF16],
        [DType::BF16, DType::BF16, DType::F16],
        [DType::F32, DType::F16, DType::F32],
    ] {
        let buffers = [1, 2, 3].map(|n| Buffer::new(types[n - 1], &numbers(n as u32, sizes[n - 1])));
        let code = vec![
            Instruction::Load { input: 0, view: a.clone() },
            Instruction::Load { input: 1, view: b.clone() },
            Instruction::Binary(Binary::Mul, Value(0), Value(1)),
        ];
        let end = End::Stores(vec![Store { value: Value(2), output: 0, view: to.clone() }]);
        check(&chain(count, &buffers, 2, code, end), &buffers);
    }
}

#[test]
fn permuted_operands() {
    for extents in [[2, 3, 4], [8, 16, 24], [5, 1, 7], [16, 8, 3]] {
        let count: usize = extents.iter().product();
        let [a, b, c] = extents;
        for (order, from) in
            [([0u8, 1, 2], [a, b, c]), ([2, 0, 1], [b, c, a]), ([1, 0, 2], [b, a, c]), ([0, 2, 1], [a, c, b])]
        {
            let view = permuted(&from, &order);
            product(&view, &View::whole(&shape(&extents)), &View::run(count), [count; 3]);
            product(&View::run(count), &View::run(count), &permuted(&extents, &[2, 1, 0]), [count; 3]);
        }
    }
}

#[test]
fn broadcast_operands() {
    for extents in [[2, 3, 4], [8, 16, 24], [5, 1, 7], [3, 9, 8]] {
        let count: usize = extents.iter().product();
        let [a, b, c] = extents;
        for from in [[1, 1, c], [a, 1, 1], [1, b, 1], [a, 1, c], [1, 1, 1], [1, b, c]] {
            let view = broadcast(&from, &extents);
            product(&View::run(count), &view, &View::run(count), [count, from.iter().product(), count]);
        }
    }
}

#[test]
fn parts_of_operands_and_results() {
    for (extents, axis, start, extent) in
        [([4, 6, 8], 2, 4, 4), ([4, 6, 8], 2, 1, 4), ([4, 6, 8], 1, 3, 2), ([4, 6, 8], 0, 1, 3), ([3, 5, 7], 2, 2, 3)]
    {
        let whole: usize = extents.iter().product();
        let view = slice(&extents, axis, start, extent);
        let count = view.count();
        product(&view, &View::run(count), &View::run(count), [whole, count, count]);
        product(&View::run(count), &View::run(count), &view, [count, count, whole]);
        product(&view, &view, &view, [whole; 3]);
    }
}

#[test]
fn walks_that_share_no_axes() {
    let a = permuted(&[4, 6], &[1, 0]);
    let b = permuted(&[3, 8], &[1, 0]);
    product(&a, &b, &View::run(24), [24; 3]);
}

#[test]
fn few_elements_and_one() {
    for count in 1..=20 {
        product(&View::run(count), &View::run(count), &View::run(count), [count; 3]);
    }
}

/// More elements than threads: every thread goes round the loop, and the rest is done by a few.
#[test]
fn many_elements() {
    let count = (1 << 19) + 5;
    let buffers = [Buffer::new(DType::BF16, &numbers(1, count)), Buffer::new(DType::BF16, &vec![0.0; count])];
    let load = Instruction::Load { input: 0, view: View::run(count) };
    let code = vec![load, Instruction::Binary(Binary::Add, Value(0), Value(0))];
    let report = check(&chain(count, &buffers, 1, code, crate::bench::whole(1, count)), &buffers).remove(0);
    // Sixteen bytes an access: no sector is touched twice.
    assert!(report.counters.coalescing() > 0.99, "{:?}", report.counters);
}
