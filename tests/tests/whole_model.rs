//! Through many norms a derived bound says nothing: whole models are judged against the reference in single precision.

use yuragi_cpu::Cpu;
use yuragi_graph::{Builder, DType, Graph, Init, Params, Tensor, View, op::Window};
use yuragi_reference::{Program, Reference};
use yuragi_tests::{
    faulty::{Faulty, accumulates_in_f16},
    tolerance::{WHOLE_MODEL, whole_model},
};

/// Convolutions, then transformer blocks over the pixels, then a mean.
fn network() -> (Graph, Params, Vec<f32>) {
    let b = Builder::new();
    let weight = |name: &str, shape: &[usize]| {
        let inputs: usize = shape[..shape.len() - 1].iter().product();
        b.param(name, shape, DType::F32, Init::Normal(1.0 / (inputs as f32).sqrt()))
    };
    let gain = |name: &str| b.param(name, &[16], DType::F32, Init::Constant(1.0));
    let picture = b.input("picture", &[2, 8, 8, 3], DType::F32);
    let mut x: Tensor<'_> = picture.conv2d(weight("in", &[3, 3, 3, 16]), Window::same(3));
    for i in 0..4 {
        let y = x.group_norm(4, gain(&format!("{i}.gain")), gain(&format!("{i}.bias")), 1e-5).silu();
        x = x + y.conv2d(weight(&format!("{i}.conv"), &[3, 3, 16, 16]), Window::same(3));
    }
    x = x.reshape(&[2, 64, 16]);
    for i in 0..4 {
        let y = x.layer_norm(gain(&format!("{i}.norm")), gain(&format!("{i}.shift")), 1e-5);
        let parts = y.matmul(weight(&format!("{i}.qkv"), &[16, 48])).chunk(-1, 3);
        x = x + parts[0].attention(parts[1], parts[2], None, 0.25);
        x = x
            + (x.matmul(weight(&format!("{i}.up"), &[16, 64])).gelu()).matmul(weight(&format!("{i}.down"), &[64, 16]));
    }
    let graph = b.finish(&[("x", x), ("mean", x.mean_all())]).unwrap();
    let mut params = Params::new();
    params.initialise(graph.params(), 11);
    let mut picture = vec![0.0; 2 * 8 * 8 * 3];
    yuragi_numeric::fill::normal([3, 4], 0, 0, &mut picture);
    (graph, params, picture)
}

#[test]
fn the_cpu_is_as_good_as_plain_single_precision() {
    let (graph, params, picture) = network();
    let error = whole_model(&Cpu::new(), &graph, &params, &[View::F32(&picture)]).unwrap();
    assert!(error <= WHOLE_MODEL, "{error} times the error of the reference in single precision");
    let own = whole_model(&Reference::single(), &graph, &params, &[View::F32(&picture)]).unwrap();
    assert_eq!(own, 1.0);
}

#[test]
fn a_faulty_backend_is_not() {
    let (graph, params, picture) = network();
    let error = whole_model(&Faulty(accumulates_in_f16), &graph, &params, &[View::F32(&picture)]).unwrap();
    assert!(error > 10.0 * WHOLE_MODEL, "only {error} times the error of the reference in single precision");
}

#[test]
fn the_threads_of_the_cpu_change_no_bit() {
    let (graph, params, picture) = network();
    let outputs = |threads: usize| {
        yuragi_tests::tolerance::run(&Cpu::with_threads(threads), &graph, &params, &[View::F32(&picture)]).unwrap().0
    };
    let one = outputs(1);
    for threads in [2, 3, 7] {
        assert_eq!(outputs(threads), one, "{threads} threads");
    }
    assert!(Program::new(&graph).graph().nodes().len() > graph.nodes().len());
}

/// Six residual blocks of norms and convolutions, as in a U-Net's.
fn blocks(part: &str) -> Graph {
    let b = Builder::new();
    let x = b.input("x", &[1, 16, 16, 64], DType::F32);
    let gain = b.param("gain", &[64], DType::F32, Init::Constant(1.0));
    let bias = b.param("bias", &[64], DType::F32, Init::Constant(0.1));
    let weight = |i| b.param(&format!("{i}"), &[3, 3, 64, 64], DType::F32, Init::Normal(1.0 / 24.0));
    let weights: [_; 6] = std::array::from_fn(weight);
    let y = weights
        .iter()
        .fold(x, |x, &weight| x + x.group_norm(8, gain, bias, 1e-5).silu().conv2d(weight, Window::same(3)));
    let loss = (y * y).sum_all();
    let outputs = match part {
        "result" => vec![y],
        "gradient of the picture" => b.grad(loss, &[x]),
        _ => b.grad(loss, &weights),
    };
    let names: Vec<String> = (0..outputs.len()).map(|i| format!("{i}")).collect();
    b.finish(&names.iter().map(String::as_str).zip(outputs).collect::<Vec<_>>()).unwrap()
}

/// Its error is larger than that of the direct sums, but within what a whole model may have.
#[test]
fn minimal_filtering_stays_within_the_bound_of_whole_models() {
    for (part, counts) in
        [("result", [6, 0, 0]), ("gradient of the picture", [6, 6, 0]), ("gradients of the kernels", [6, 5, 6])]
    {
        let graph = blocks(part);
        let minimal = graph.with_winograd(|_, _| true);
        let count = |name| minimal.nodes().iter().filter(|node| node.op.name() == name).count();
        assert_eq!(["winograd", "winograd_input_grad", "winograd_weight_grad"].map(count), counts, "{part}");
        let mut params = Params::new();
        params.initialise(graph.params(), 5);
        let mut picture = vec![0.0; 16 * 16 * 64];
        yuragi_numeric::fill::normal([3, 4], 0, 0, &mut picture);
        let error = |cpu: Cpu| whole_model(&cpu, &graph, &params, &[View::F32(&picture)]).unwrap();
        let (direct, minimal) = (error(Cpu::new()), error(Cpu::new().winograd(true)));
        println!("{part}: {minimal} times the error of the reference in single precision, directly {direct}");
        assert!(minimal != direct, "{part}: the convolutions were direct");
        assert!(minimal <= WHOLE_MODEL, "{part}: {minimal} times the error of the reference in single precision");
    }
}
