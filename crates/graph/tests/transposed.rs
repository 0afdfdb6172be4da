//! Convolutions over doubled pixels as transposed ones over single pixels.

use yuragi_graph::{Backend, Builder, DType, Graph, Init, Params, Plan, SliceMut, Tensor, View, op::Window};
use yuragi_reference::Reference;

fn doubled(x: Tensor<'_>) -> Tensor<'_> {
    let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    x.reshape(&[n, h, 1, w, 1, c]).broadcast(&[n, h, 2, w, 2, c]).reshape(&[n, 2 * h, 2 * w, c])
}

fn rows(x: Tensor<'_>) -> Tensor<'_> {
    let (n, h, w, c) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3));
    x.reshape(&[n, h, 1, w, c]).broadcast(&[n, h, 2, w, c]).reshape(&[n, 2 * h, w, c])
}

/// A convolution of what becomes of a picture `[2, h, w, 5]` by a kernel of so many taps and 4 filters.
fn convolution(size: [usize; 2], taps: usize, dtype: DType, make: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Graph {
    let b = Builder::new();
    let x = b.input("x", &[2, size[0], size[1], 5], DType::F32);
    let w = b.param("w", &[taps, taps, 5, 4], dtype, Init::Normal(0.3));
    let y = make(x).cast(dtype).conv2d(w, Window::same(taps)).cast(DType::F32);
    b.finish(&[("y", y)]).unwrap()
}

fn names(graph: &Graph) -> Vec<&'static str> {
    graph.nodes().iter().map(|node| node.op.name()).collect()
}

fn run(graph: &Graph, x: &[f32]) -> Vec<f32> {
    let reference = Reference::<f64>::default();
    let mut params = Params::new();
    params.initialise(graph.params(), 3);
    let plan = reference.compile(graph).unwrap();
    let store = reference.upload(params).unwrap();
    let mut state = plan.state(&store).unwrap();
    let mut y = vec![0.0; graph.node(graph.outputs()[0].node).shape.count()];
    plan.run(&mut state, &store, &[View::F32(x)], &mut [SliceMut::F32(&mut y)]).unwrap();
    y
}

#[test]
fn sums_are_those_of_the_doubled_picture() {
    for size in [[1, 1], [3, 4], [5, 2]] {
        let mut x = vec![0.0; 2 * size[0] * size[1] * 5];
        yuragi_numeric::fill::normal([1, 2], 0, 0, &mut x);
        // Of the kernel's sums: numbers of about 1, 45 terms of them.
        for (dtype, most) in [(DType::F32, 2e-6), (DType::F16, 1e-2)] {
            let graph = convolution(size, 3, dtype, doubled);
            let folded = graph.with_transposed();
            let has = |name: &str| names(&folded).contains(&name);
            assert!(has("conv2d_input_grad") && !has("conv2d"), "{:?}", names(&folded));
            let (want, have) = (run(&graph, &x), run(&folded, &x));
            for (i, (want, have)) in want.iter().zip(&have).enumerate() {
                assert!((want - have).abs() <= most, "{size:?} {dtype} {i}: {have}, want {want}");
            }
            assert!(want.iter().any(|y| y.abs() > 0.5));
        }
    }
}

#[test]
fn others_stay_as_they_are() {
    let folded = convolution([2, 3], 3, DType::F32, |x| doubled(doubled(x))).with_transposed();
    assert_eq!(names(&folded).iter().filter(|name| **name == "broadcast").count(), 1, "the outer one is gone");
    for graph in [
        convolution([2, 3], 3, DType::F32, |x| x),
        convolution([2, 3], 1, DType::F32, doubled),
        convolution([2, 3], 5, DType::F32, doubled),
        convolution([2, 3], 3, DType::F32, rows),
        convolution([2, 3], 3, DType::F32, |x| doubled(x).exp()),
        convolution([2, 3], 3, DType::F32, |x| doubled(x).cast(DType::F16).cast(DType::F32)),
    ] {
        assert_eq!(names(&graph.with_transposed()), names(&graph));
    }
    let b = Builder::new();
    let [x, w] = [("x", [1, 2, 2, 3]), ("w", [3, 3, 3, 2])].map(|(name, shape)| b.input(name, &shape, DType::F32));
    let graph = b.finish(&[("y", doubled(x).conv2d(w, Window::same(3)))]).unwrap();
    assert_eq!(names(&graph.with_transposed()), names(&graph), "the kernel changes from run to run");
}
