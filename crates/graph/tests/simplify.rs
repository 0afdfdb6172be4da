//! Smaller graphs mean the same: in their values, and in their gradients for every tensor.

use yuragi_graph::{
    Builder, DType, Graph, Tensor,
    op::{MatMul, Unary},
};
use yuragi_reference::Program;

type Build = for<'g> fn(&'g Builder, Tensor<'g>, Tensor<'g>) -> Tensor<'g>;

const X: [f64; 6] = [1.5, -2.0, 0.25, 3.0, -0.5, 4.0];
const Z: [f64; 6] = [0.5, 1.0, -3.0, 2.0, 0.125, -1.0];

/// The graph of a function of `x [2, 3]` and `z [2, 3]`.
fn graph(build: Build) -> Graph {
    let b = Builder::new();
    let (x, z) = (b.input("x", &[2, 3], DType::F32), b.input("z", &[2, 3], DType::F32));
    b.finish(&[("y", build(&b, x, z))]).unwrap()
}

fn values(graph: &Graph) -> Vec<f64> {
    graph.verify().unwrap();
    Program::new(graph).run(&[X.into(), Z.into()], &[]).unwrap().outputs.remove(0)
}

/// Whether a graph has become this many nodes and still means what it says.
#[track_caller]
fn becomes(nodes: &[&str], build: Build, meaning: fn(usize) -> f64) {
    let graph = graph(build);
    let names: Vec<&str> = graph.nodes().iter().map(|n| n.op.name()).collect();
    assert_eq!(names, nodes, "\n{graph}");
    let values = values(&graph);
    let meant: Vec<f64> = (0..values.len()).map(meaning).collect();
    assert_eq!(values, meant);
}

#[test]
fn neutral_elements_vanish() {
    becomes(&["input"], |_, x, _| x + 0.0, |i| X[i]);
    becomes(&["input"], |_, x, _| 0.0 + x, |i| X[i]);
    becomes(&["input"], |_, x, _| x - 0.0, |i| X[i]);
    becomes(&["input"], |_, x, _| x * 1.0, |i| X[i]);
    becomes(&["input"], |_, x, _| 1.0 * x, |i| X[i]);
    becomes(&["input"], |_, x, _| x / 1.0, |i| X[i]);
    becomes(&["input"], |_, x, _| x.cast(DType::F32), |i| X[i]);
    becomes(&["input"], |_, x, _| x.sum(&[]), |i| X[i]);
    becomes(&["input"], |_, x, _| x.reshape(&[1, 2, 3]).max(&[0]).reshape(&[2, 3]), |i| X[i]);
    becomes(&["input"], |_, x, _| x.permute(&[0, 1]).reshape(&[2, 3]).broadcast(&[2, 3]), |i| X[i]);
    becomes(&["input"], |_, x, _| x.slice(0, 0, 2).pad(1, 0, 0).concat(&[], 0), |i| X[i]);
}

#[test]
fn what_is_not_neutral_stays() {
    becomes(&["input", "fill", "sub"], |_, x, _| 0.0 - x, |i| -X[i]);
    becomes(&["input", "fill", "div"], |_, x, _| 1.0 / x, |i| 1.0 / X[i]);
    becomes(&["input", "fill", "mul"], |_, x, _| x * 0.0, |i| X[i] * 0.0);
    becomes(&["input", "permute", "reshape"], |_, x, _| x.permute(&[1, 0]).reshape(&[6]), |i| X[i % 2 * 3 + i / 2]);
}

#[test]
fn constants_are_folded() {
    becomes(&["fill"], |b, x, _| b.fill(&x.shape(), 2.0, DType::F32) * 3.0 + 0.5, |_| 6.5);
    becomes(&["fill"], |b, _, _| -b.fill(&[2], 2.0, DType::F32), |_| -2.0);
    becomes(&["fill"], |b, _, _| b.fill(&[], 2.0, DType::F32).broadcast(&[2, 2]).reshape(&[4]), |_| 2.0);
    becomes(&["fill"], |b, _, _| b.fill(&[3], 2.0, DType::F32).less(b.fill(&[3], 3.0, DType::F32)), |_| 1.0);
}

#[test]
fn signs_are_merged() {
    becomes(&["input"], |_, x, _| -(-x), |i| X[i]);
    becomes(&["input", "neg"], |_, x, _| x * -1.0, |i| -X[i]);
    becomes(&["input", "neg"], |_, x, _| -1.0 * x, |i| -X[i]);
    becomes(&["input", "input", "sub"], |_, x, z| x + -z, |i| X[i] - Z[i]);
    becomes(&["input"], |_, x, _| (x * -1.0) * -1.0, |i| X[i]);
}

#[test]
fn moves_are_merged() {
    becomes(&["input"], |_, x, _| x.permute(&[1, 0]).permute(&[1, 0]), |i| X[i]);
    becomes(
        &["input", "reshape", "permute"],
        |_, x, _| x.reshape(&[1, 2, 3]).permute(&[2, 0, 1]).permute(&[1, 0, 2]),
        |i| X[i % 2 * 3 + i / 2],
    );
    becomes(&["input"], |_, x, _| x.reshape(&[6]).reshape(&[3, 2]).reshape(&[2, 3]), |i| X[i]);
    becomes(&["input", "reshape"], |_, x, _| x.reshape(&[6]).reshape(&[3, 2]), |i| X[i]);
    becomes(
        &["input", "slice", "slice", "broadcast"],
        |_, x, _| x.slice(1, 1, 2).slice(0, 0, 1).broadcast(&[1, 4]).broadcast(&[5, 4]),
        |_| X[1],
    );
}

/// The product of `x` and `z`, either stored transposed, is the same node for every way to write it.
#[test]
fn transposes_go_into_products() {
    fn product(i: usize) -> f64 {
        (0..3).map(|k| X[i / 2 * 3 + k] * Z[i % 2 * 3 + k]).sum()
    }
    fn gram(i: usize) -> f64 {
        (0..2).map(|k| X[k * 3 + i / 3] * Z[k * 3 + i % 3]).sum()
    }
    let nodes = ["input", "input", "matmul"];
    becomes(&nodes, |_, x, z| x.matmul(z.transpose()), product);
    becomes(&nodes, |_, x, z| x.matmul_with(z, MatMul { transpose_a: false, transpose_b: true }), product);
    becomes(
        &nodes,
        |_, x, z| x.transpose().matmul_with(z.transpose(), MatMul { transpose_a: true, transpose_b: false }),
        product,
    );
    becomes(&nodes, |_, x, z| x.transpose().matmul(z), gram);
    becomes(&nodes, |_, x, z| x.matmul_with(z.transpose(), MatMul { transpose_a: true, transpose_b: true }), gram);
    // Batched products absorb only an exchange of the last two axes.
    let graph = graph(|_, x, z| {
        let batched = x.reshape(&[1, 2, 3]).permute(&[1, 0, 2]);
        batched.matmul(z.reshape(&[2, 3, 1]).permute(&[0, 2, 1]).transpose())
    });
    assert_eq!(values(&graph), [0, 1].map(|r| (0..3).map(|k| X[r * 3 + k] * Z[r * 3 + k]).sum::<f64>()));
}

/// A gradient asked for a tensor that merging would bypass is whole: that of Σ zᵢ·f(t)ᵢ, for t made from x.
#[test]
fn merging_loses_no_gradient() {
    type Step = for<'g> fn(Tensor<'g>) -> Tensor<'g>;
    let pairs: [(Step, Step); 7] = [
        (|x| -x, |t| -t),
        (|x| -x, |t| t + -t * 3.0),
        (|x| x.permute(&[1, 0]), |t| t.permute(&[1, 0])),
        (|x| x.reshape(&[6]), |t| t.reshape(&[2, 3])),
        (|x| x.slice(0, 0, 1).slice(1, 0, 1).broadcast(&[1, 3]), |t| t.broadcast(&[2, 3])),
        (|x| x.transpose(), |t| t.transpose().matmul(t).sum_all() + t.transpose()),
        (|x| x.unary(Unary::Exp).transpose(), |t| t.transpose().attention(t.transpose(), t.transpose(), None, 0.5)),
    ];
    for (place, (first, then)) in pairs.into_iter().enumerate() {
        let at = |nudged: Option<(usize, f64)>| {
            let b = Builder::new();
            let (x, z) = (b.input("x", &[2, 3], DType::F32), b.input("z", &[2, 3], DType::F32));
            let t = first(x);
            let nudge = b.input("nudge", &t.shape(), DType::F32);
            let moved = if nudged.is_some() { t + nudge } else { t };
            let loss = (then(moved) * z).sum_all();
            let outputs = [("loss", loss), ("g", b.grad(loss, &[moved])[0])];
            let program = Program::new(&b.finish(&outputs).unwrap());
            let mut nudges = vec![0.0; t.shape().count()];
            if let Some((i, by)) = nudged {
                nudges[i] = by;
            }
            program.run::<f64>(&[X.into(), Z.into(), nudges], &[]).unwrap().outputs
        };
        let gradient = at(None).remove(1);
        for (i, g) in gradient.iter().enumerate() {
            let difference = (at(Some((i, 1e-4)))[0][0] - at(Some((i, -1e-4)))[0][0]) / 2e-4;
            assert!(
                (g - difference).abs() < 1e-5 * g.abs().max(1.0),
                "pair {place}, element {i}: {g} and {difference}"
            );
        }
    }
}
