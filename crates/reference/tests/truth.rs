//! The truth against numbers worked out by hand.

use yuragi_graph::{
    Backend, Builder, DType, Init, Params, Plan, Progress, RunError, SliceMut, Tensor, View,
    op::{Distribution, MatMul, Window},
};
use yuragi_reference::{Number, Program, Reference, Single};

/// The value of a function of tensors with these shapes and values.
fn value<T: Number>(
    inputs: &[(&[usize], &[f64])],
    f: impl for<'g> Fn(&'g Builder, &[Tensor<'g>]) -> Tensor<'g>,
) -> Vec<f64> {
    let b = Builder::new();
    let declare = |(i, (shape, _)): (usize, &(&[usize], &[f64]))| b.input(&format!("x{i}"), shape, DType::F32);
    let x: Vec<Tensor<'_>> = inputs.iter().enumerate().map(declare).collect();
    let graph = b.finish(&[("y", f(&b, &x))]).unwrap();
    let values: Vec<Vec<f64>> = inputs.iter().map(|(_, values)| values.to_vec()).collect();
    let outputs = Program::new(&graph).run::<T>(&values, &[]).unwrap().outputs;
    outputs[0].iter().map(|x| x.value()).collect()
}

const SIX: (&[usize], &[f64]) = (&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);

#[test]
fn folds() {
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].sum(&[1])), [6.0, 15.0]);
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].sum(&[0])), [5.0, 7.0, 9.0]);
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].max(&[0, 1])), [6.0]);
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].mean_all()), [21.0 * f64::from(1.0_f32 / 6.0)]);
    let nothing: (&[usize], &[f64]) = (&[2, 0], &[]);
    assert_eq!(value::<f64>(&[nothing], |_, x| x[0].sum(&[1])), [0.0; 2]);
    assert_eq!(value::<f64>(&[nothing], |_, x| x[0].max(&[1])), [f64::NEG_INFINITY; 2]);
}

#[test]
fn moves() {
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].permute(&[1, 0])), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].slice(1, 1, 3)), [2.0, 3.0, 5.0, 6.0]);
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].slice(0, 1, 2).pad(0, 1, 0)), [0.0, 0.0, 0.0, 4.0, 5.0, 6.0]);
    assert_eq!(
        value::<f64>(&[SIX], |_, x| x[0].slice(1, 0, 1).concat(&[x[0]], 1)),
        [1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0]
    );
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].slice(1, 2, 3).broadcast(&[2, 2])), [3.0, 3.0, 6.0, 6.0]);
}

#[test]
fn products() {
    assert_eq!(value::<f64>(&[SIX], |_, x| x[0].matmul(x[0].transpose())), [14.0, 32.0, 32.0, 77.0]);
    let op = MatMul { transpose_a: true, transpose_b: false };
    let outer = value::<f64>(&[SIX], |_, x| x[0].matmul_with(x[0], op));
    assert_eq!(outer, [17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0]);
}

/// A 3×3 picture under a 2×2 kernel, stride 1 and 2, with a zero to the right and below.
#[test]
fn convolutions() {
    let picture: (&[usize], &[f64]) = (&[1, 3, 3, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let kernel: (&[usize], &[f64]) = (&[2, 2, 1, 1], &[1.0, 10.0, 100.0, 1000.0]);
    let valid = Window { stride: [1, 1], padding: [0; 4] };
    let padded = Window { stride: [2, 2], padding: [0, 1, 0, 1] };
    assert_eq!(value::<f64>(&[picture, kernel], |_, x| x[0].conv2d(x[1], valid)), [5421.0, 6532.0, 8754.0, 9865.0]);
    assert_eq!(value::<f64>(&[picture, kernel], |_, x| x[0].conv2d(x[1], padded)), [5421.0, 603.0, 87.0, 9.0]);
    let dy: (&[usize], &[f64]) = (&[1, 2, 2, 1], &[1.0, 2.0, 3.0, 4.0]);
    let back = value::<f64>(&[dy, kernel], |_, x| x[0].conv2d_input_grad(x[1], valid, [3, 3]));
    assert_eq!(back, [1.0, 12.0, 20.0, 103.0, 1234.0, 2040.0, 300.0, 3400.0, 4000.0]);
    let weight = value::<f64>(&[picture, dy], |_, x| x[0].conv2d_weight_grad(x[1], valid, [2, 2]));
    assert_eq!(weight, [37.0, 47.0, 67.0, 77.0]);
}

#[test]
fn tables() {
    let rows = value::<f64>(&[SIX, (&[3], &[1.0, 0.0, 1.0])], |_, x| x[0].gather(x[1].cast(DType::I32)));
    assert_eq!(rows, [4.0, 5.0, 6.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let sums = value::<f64>(&[SIX, (&[2], &[2.0, 2.0])], |_, x| x[1].cast(DType::I32).scatter_add(x[0], 3));
    assert_eq!(sums, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 7.0, 9.0]);
}

#[test]
fn the_truth_rounds_nothing_and_single_precision_everything() {
    let third: (&[usize], &[f64]) = (&[1], &[1.0 / 3.0]);
    assert_eq!(value::<f64>(&[third], |_, x| x[0].cast(DType::F16).cast(DType::F32) + x[0]), [2.0 / 3.0]);
    let single = value::<Single>(&[third], |_, x| x[0].cast(DType::F16));
    assert_eq!(single, [DType::F16.round(1.0 / 3.0)]);
    // 2²⁴ + 1 + 1 in single precision loses both.
    let lost: (&[usize], &[f64]) = (&[3], &[16_777_216.0, 1.0, 1.0]);
    assert_eq!(value::<Single>(&[lost], |_, x| x[0].sum(&[0])), [16_777_216.0]);
    assert_eq!(value::<f64>(&[lost], |_, x| x[0].sum(&[0])), [16_777_218.0]);
}

#[test]
fn integers_are_exact_in_every_kind_of_number() {
    let b = Builder::new();
    let key = b.input("key", &[2], DType::U32);
    let noise = b.random(Distribution::Normal, key.concat(&[key], 0).slice(0, 2, 4), 9, &[33]);
    let program = Program::new(&b.finish(&[("noise", noise), ("key", key)]).unwrap());
    let mut want = [0.0; 33];
    yuragi_numeric::fill::normal([0xffff_fffd, 77], 9, 0, &mut want);
    let have = program.run::<Single>(&[vec![f64::from(0xffff_fffd_u32), 77.0]], &[]).unwrap().outputs;
    assert!(have[0].iter().zip(want).all(|(have, want)| have.value() == f64::from(want)));
    assert_eq!(have[1][0].value(), 4_294_967_293.0);
}

#[test]
fn a_run_advances_node_by_node() {
    let b = Builder::new();
    let x = b.input("x", &[2], DType::F32);
    let graph = b.finish(&[("y", x.exp().sum(&[0]))]).unwrap();
    let plan = Reference::truth().compile(&graph).unwrap();
    let store = Params::new();
    let mut state = plan.state(&store).unwrap();
    assert_eq!(plan.advance(&mut state, &store, 1), Err(RunError::Unfinished), "nothing was begun");
    plan.begin(&mut state, &[View::F32(&[0.0, 0.0])]).unwrap();
    assert_eq!(plan.advance(&mut state, &store, 2), Ok(Progress::Running(1)));
    let mut y = [0.0];
    assert_eq!(plan.finish(&state, &mut [SliceMut::F32(&mut y)]), Err(RunError::Unfinished));
    assert_eq!(plan.advance(&mut state, &store, 2), Ok(Progress::Done));
    plan.finish(&state, &mut [SliceMut::F32(&mut y)]).unwrap();
    assert_eq!(y, [2.0]);
}

#[test]
fn updates_see_old_values_only() {
    let b = Builder::new();
    let param = |name: &str, value: f32| b.param(name, &[], DType::F32, Init::Constant(value));
    let (p, q) = (param("p", 1.0), param("q", 2.0));
    b.update(p, q);
    b.update(q, p + q);
    let graph = b.finish(&[]).unwrap();
    let mut store = Params::new();
    store.initialise(graph.params(), 0);
    let plan = Reference::single().compile(&graph).unwrap();
    let mut state = plan.state(&store).unwrap();
    for fibonacci in [[2.0, 3.0], [3.0, 5.0], [5.0, 8.0]] {
        plan.update(&mut state, &mut store, &[], &mut []).unwrap();
        assert_eq!(["p", "q"].map(|name| store.get(name).unwrap().to_f32()[0]), fibonacci);
    }
}

#[test]
fn wrong_arguments_are_errors() {
    let b = Builder::new();
    let x = b.input("x", &[2], DType::F32);
    let w = b.param("w", &[2], DType::F32, Init::Constant(0.0));
    let program = Program::new(&b.finish(&[("y", x + w)]).unwrap());
    let count = program.run::<f64>(&[], &[vec![0.0; 2]]);
    assert!(matches!(count, Err(RunError::Count { what: "inputs", want: 1, have: 0 })), "{count:?}");
    let length = program.run::<f64>(&[vec![0.0; 3]], &[vec![0.0; 2]]);
    assert!(matches!(length, Err(RunError::Operand { ref name, .. }) if name == "x"), "{length:?}");
    let params = program.run::<f64>(&[vec![0.0; 2]], &[vec![0.0; 1]]);
    assert!(matches!(params, Err(RunError::Operand { ref name, .. }) if name == "w"), "{params:?}");
}
