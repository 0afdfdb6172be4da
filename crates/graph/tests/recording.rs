//! Equal operations are recorded once, and what nobody needs is dropped.

use yuragi_graph::{Builder, DType, Init, Op, Params, op::Distribution};
use yuragi_reference::Program;

#[test]
fn equal_operations_are_one_node() {
    let b = Builder::new();
    let x = b.input("x", &[2, 3], DType::F32);
    assert_eq!(x.exp().id(), x.exp().id());
    assert_eq!((x.sin() + x.cos()).id(), (x.sin() + x.cos()).id());
    assert_eq!(b.literal(&[2], &[1.0, 2.0]).id(), b.literal(&[2], &[1.0, 2.0]).id());
    assert_eq!(b.fill(&[2], 1.0, DType::F32).id(), b.fill(&[2], 1.0, DType::F32).id());
    let key = b.input("key", &[2], DType::U32);
    let noise = |stream| b.random(Distribution::Normal, key, stream, &[4]);
    assert_eq!(noise(1).id(), noise(1).id());
    let graph = b.finish(&[("y", x.exp() * x.exp()), ("z", x.exp())]).unwrap();
    assert_eq!(graph.nodes().len(), 3);
}

#[test]
fn different_operations_are_not() {
    let b = Builder::new();
    let x = b.input("x", &[2, 3], DType::F32);
    let key = b.input("key", &[2], DType::U32);
    let pairs = [
        (x.slice(0, 0, 1), x.slice(0, 1, 2)),
        (x.reshape(&[6]), x.reshape(&[3, 2])),
        (x.sum(&[0]), x.sum(&[1])),
        (x.cast(DType::F16), x.cast(DType::BF16)),
        (x - x.exp(), x.exp() - x),
        (b.fill(&[2], 0.0, DType::F32), b.fill(&[2], -0.0, DType::F32)),
        (b.fill(&[2], 0.0, DType::F32), b.fill(&[2], 0.0, DType::F16)),
        (b.literal(&[1, 2], &[1.0, 2.0]), b.literal(&[2, 1], &[1.0, 2.0])),
        (b.literal(&[1], &[0.0]), b.literal(&[1], &[-0.0])),
        (b.random(Distribution::Normal, key, 0, &[4]), b.random(Distribution::Normal, key, 1, &[4])),
        (b.random(Distribution::Normal, key, 0, &[4]), b.random(Distribution::Uniform, key, 0, &[4])),
        (b.random(Distribution::Normal, key, 0, &[4]), b.random(Distribution::Normal, key, 0, &[2, 2])),
        (x.layer_norm(x.slice(0, 0, 1).reshape(&[3]), x.slice(0, 1, 2).reshape(&[3]), 1e-5), x.softmax()),
    ];
    for (place, (one, other)) in pairs.into_iter().enumerate() {
        assert_ne!(one.id(), other.id(), "pair {place}");
    }
}

#[test]
fn a_parameter_declared_again_is_the_same_tensor() {
    let b = Builder::new();
    let first = b.param("w", &[2, 2], DType::F32, Init::Normal(1.0));
    let again = b.param("w", &[2, 2], DType::F32, Init::Constant(0.0));
    assert_eq!(first.id(), again.id());
    assert_eq!(b.find_param("w").map(|w| w.id()), Some(first.id()));
    assert!(b.find_param("v").is_none());
    assert_eq!(b.params().len(), 1);
    assert_eq!(b.params()[0].init, Init::Normal(1.0));
}

#[test]
fn finish_drops_what_is_not_needed_and_keeps_the_order_of_inputs() {
    let b = Builder::new();
    let x = b.input("x", &[2], DType::F32);
    let unused = b.input("unused", &[9], DType::F32);
    let z = b.input("z", &[2], DType::F32);
    let w = b.param("w", &[2], DType::F32, Init::Constant(2.0));
    let dead = (unused.exp().sum_all() + x).tanh();
    b.update(w, w * z);
    let graph = b.finish(&[("y", x.sin()), ("again", x.sin()), ("x", x)]).unwrap();
    graph.verify().unwrap();
    assert_eq!(graph.inputs().iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["x", "unused", "z"]);
    assert!(graph.nodes().iter().all(|n| n.op != Op::Input(1)), "{graph}");
    assert!(graph.live().iter().all(|&live| live));
    assert_eq!(graph.outputs()[0].node, graph.outputs()[1].node);
    assert_eq!(graph.nodes().len(), 5, "{graph}");
    let values =
        Program::new(&graph).run::<f64>(&[vec![0.0, 1.0], vec![0.0; 9], vec![3.0, 4.0]], &[vec![2.0; 2]]).unwrap();
    assert_eq!(values.outputs, [vec![0.0, 1.0_f64.sin()], vec![0.0, 1.0_f64.sin()], vec![0.0, 1.0]]);
    assert_eq!(values.updates, [[6.0, 8.0]]);
    // The builder goes on after a graph was finished.
    assert!(b.finish(&[("dead", dead)]).unwrap().nodes().len() > graph.nodes().len());
}

#[test]
fn every_expansion_is_primitive_and_legal() {
    let b = Builder::new();
    let x = b.input("x", &[2, 4, 6], DType::F32);
    let c = b.param("c", &[6], DType::F32, Init::Constant(1.0));
    let y = x.layer_norm(c, c, 1e-5).group_norm(2, c, c, 1e-5).softmax();
    let graph = b.finish(&[("y", y.attention(y, x, None, 0.5))]).unwrap();
    let fused = |graph: &yuragi_graph::Graph| graph.nodes().iter().filter(|n| matches!(n.op, Op::Fused(_))).count();
    assert_eq!(fused(&graph), 4);
    let primitive = graph.expanded(|_, _, _| false);
    assert_eq!(fused(&primitive), 0);
    primitive.verify().unwrap();
    assert_eq!(fused(&graph.expanded(|_, _, _| true)), 4);
    // A backend that claims only the softmax finds the one inside attention too.
    let partly = graph.expanded(|op, _, _| op.name() == "softmax");
    assert_eq!(fused(&partly), 2);
    partly.verify().unwrap();
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() {
    let specs = |names: &[&str]| {
        let b = Builder::new();
        for name in names {
            b.param(name, &[64], DType::F32, Init::Normal(0.5));
        }
        b.params()
    };
    let drawn = |names: &[&str], seed: u64| {
        let mut params = Params::new();
        params.initialise(&specs(names), seed);
        params
    };
    let value = |params: &Params, name: &str| params.get(name).unwrap().to_f32();
    let (one, other) = (drawn(&["a", "b"], 1), drawn(&["c", "b", "a"], 1));
    assert_eq!(value(&one, "a"), value(&other, "a"));
    assert_eq!(value(&one, "b"), value(&other, "b"));
    assert_ne!(value(&one, "a"), value(&one, "b"));
    assert_ne!(value(&one, "a"), value(&drawn(&["a"], 2), "a"));
    let mut kept = drawn(&["a"], 1);
    kept.initialise(&specs(&["a", "b"]), 2);
    assert_eq!(value(&kept, "a"), value(&one, "a"));
}

#[test]
fn initial_values_have_the_declared_type() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let b = Builder::new();
        b.param("w", &[33], dtype, Init::Uniform(0.1));
        let mut params = Params::new();
        params.initialise(&b.params(), 3);
        let tensor = params.get("w").unwrap();
        assert_eq!(tensor.dtype(), dtype);
        assert!(
            tensor.to_f32().iter().all(|&x| x != 0.0 && x.abs() <= 0.1001 && f64::from(x) == dtype.round(x.into()))
        );
    }
}
