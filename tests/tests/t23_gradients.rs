//! Gradients, first and second, against central differences in f64 on the reference.

use yuragi_graph::{Builder, DType, Init, Tensor, op::MatMul};
use yuragi_tests::{
    cases::{self, Smooth},
    gradcheck::{Mismatch, Operand, check, check_case},
};

/// Checks first and second derivatives of a function of operands of these shapes.
#[track_caller]
fn holds(shapes: &[&[usize]], f: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Tensor<'g>) {
    let operand = |(place, shape): (usize, &&[usize])| Operand::spread(shape, place, shapes.len());
    let operands: Vec<Operand> = shapes.iter().enumerate().map(operand).collect();
    if let Err(mismatch) = check(&operands, Smooth::Twice, |b, x| vec![f(b, x)]) {
        panic!("{mismatch}");
    }
}

#[test]
fn t23_every_operation_has_the_gradient_of_its_formula() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for case in cases::all().iter().filter(|c| c.smooth > Smooth::No && c.dtype == DType::F32) {
        checked += 1;
        if let Err(mismatch) = check_case(case) {
            wrong.push(format!("{case}: {mismatch}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 700, "only {checked} cases have gradients");
}

#[test]
fn t23_half_precision_has_the_same_gradients() {
    for case in cases::all().iter().filter(|c| c.smooth > Smooth::No && c.dtype == DType::F16) {
        if let Err(mismatch) = check_case(case) {
            panic!("{case}: {mismatch}");
        }
    }
}

/// Nodes of an expansion that were recorded long before the fused operation, even before its operands.
#[test]
fn t23_an_expansion_may_share_older_nodes() {
    const LATER: MatMul = MatMul { transpose_a: false, transpose_b: false };
    holds(&[&[3, 4], &[5, 4], &[5, 2]], |_, x| {
        let scores = x[0].matmul(x[1].transpose()) * 0.5;
        let weights = scores.softmax();
        let early = weights.matmul(x[2]);
        x[0].attention(x[1], x[2], None, 0.5) * early + scores.sum_all()
    });
    holds(&[&[3, 4], &[3, 4]], |_, x| {
        // Keys and values are made of what the expansion itself contains.
        let scores = x[0].matmul_with(x[1].transpose(), LATER) * 0.5;
        let v = scores.softmax().matmul(x[1]);
        x[0].attention(x[1], v, None, 0.5)
    });
    holds(&[&[2, 5]], |_, x| {
        let shifted = x[0] - x[0].max(&[-1]);
        let e = shifted.exp();
        (x[0].softmax() * e).sum(&[-1]) + e / e.sum(&[-1])
    });
    holds(&[&[2, 5], &[5], &[5]], |_, x| {
        let centred = x[0] - x[0].mean(&[-1]);
        let rstd = ((centred * centred).mean(&[-1]) + 1e-3).sqrt().recip();
        x[0].layer_norm(x[1], x[2], 1e-3) * (centred * rstd).exp()
    });
}

/// Nodes of an expansion that somebody records again afterwards.
#[test]
fn t23_an_expansion_may_share_later_nodes() {
    holds(&[&[3, 4], &[5, 4], &[5, 2]], |b, x| {
        let y = x[0].attention(x[1], x[2], None, 0.5);
        let inner = b.grad((y * y).sum_all(), &[x[0]])[0];
        let scores = x[0].matmul(x[1].transpose()) * 0.5;
        scores.softmax().matmul(x[2]).tanh().sum_all() + inner.sin()
    });
}

/// One operand depends on another: its gradient flows through both.
#[test]
fn t23_operands_may_depend_on_each_other() {
    holds(&[&[3, 4]], |_, x| {
        let k = x[0].tanh();
        x[0].attention(k, k * x[0], None, 0.7)
    });
    holds(&[&[3, 4]], |_, x| x[0].layer_norm(x[0].sum(&[0]).reshape(&[4]), x[0].slice(0, 1, 2).reshape(&[4]), 1e-3));
}

#[test]
fn t23_one_tensor_in_several_places_counts_each_place_once() {
    holds(&[&[2, 3, 4]], |_, x| x[0].attention(x[0], x[0], None, 0.5));
    holds(&[&[3, 3]], |_, x| {
        let (batch, mask) = (x[0].reshape(&[1, 3, 3]), x[0].reshape(&[1, 3, 3]));
        batch.attention(batch, batch, Some(mask), 0.5)
    });
    holds(&[&[3, 4], &[4]], |_, x| x[0].layer_norm(x[1], x[1], 1e-3));
    holds(&[&[4]], |_, x| x[0].layer_norm(x[0], x[0], 1e-3));
    holds(&[&[2, 2, 4], &[4]], |_, x| x[0].group_norm(2, x[1], x[1], 1e-3));
    holds(&[&[2, 5]], |_, x| x[0].softmax().softmax().softmax() * x[0].softmax());
    holds(&[&[3, 3]], |_, x| x[0].matmul(x[0]).matmul_with(x[0], MatMul { transpose_a: true, transpose_b: true }));
    holds(&[&[2, 3]], |_, x| x[0].concat(&[x[0], x[0] * x[0]], 1));
    holds(&[&[1, 3, 3, 2]], |_, x| x[0].conv2d(x[0].reshape(&[3, 3, 2, 1]), yuragi_graph::op::Window::same(3)));
}

/// Parameters are differentiated as inputs are, also where a layer declares one twice.
#[test]
fn t23_parameters_have_gradients() {
    fn layer<'g>(b: &'g Builder, name: &str, x: Tensor<'g>) -> Tensor<'g> {
        let w = b.param(&format!("{name}.weight"), &[4, 4], DType::F32, Init::Normal(1.0));
        let v = b.param(&format!("{name}.bias"), &[4], DType::F32, Init::Constant(0.0));
        (x.matmul(w) + v).gelu()
    }
    holds(&[&[3, 4]], |b, x| layer(b, "two", layer(b, "one", layer(b, "one", x[0]))));
}

/// The check itself fails on a wrong gradient.
#[test]
fn t23_a_wrong_gradient_is_found() {
    // The gradient stops at a cast to integers, the value does not: they disagree.
    let operands = [Operand { shape: vec![2], dtype: DType::F32, values: vec![3.0, 4.0] }];
    let cut = check(&operands, Smooth::Once, |_, x| vec![x[0].cast(DType::I32).cast(DType::F32) * x[0]]);
    assert!(matches!(cut, Err(Mismatch::Derivative { .. })), "{cut:?}");
}

/// Gradients for tensors inside the graph, where simplification could bypass them.
#[test]
fn t23_inner_tensors_have_gradients() {
    let b = Builder::new();
    let x = b.input("x", &[2, 3], DType::F32);
    let inner = x.transpose();
    let loss = (inner.transpose() * inner.transpose()).sum_all();
    let (direct, through) = (b.grad(loss, &[x])[0], b.grad(loss, &[inner])[0].transpose());
    let graph = b.finish(&[("direct", direct), ("through", through)]).unwrap();
    let values = yuragi_reference::Program::new(&graph);
    let outputs = values.run::<f64>(&[vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], &[]).unwrap().outputs;
    assert_eq!(outputs[0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
    assert_eq!(outputs[1], outputs[0]);
}
