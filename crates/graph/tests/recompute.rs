//! What is cheap is computed again, where keeping it would cost memory.

use yuragi_graph::{
    Builder, DType, Graph, Init,
    lowering::{Abilities, Halves, Schedule},
    memory::place,
    op::{Fused, Window},
};
use yuragi_reference::Program;

const ABILITIES: Abilities = Abilities {
    halves: Halves::Widened,
    matrices: false,
    epilogues: false,
    in_place: true,
    weights: false,
    prepares: false,
};

/// One step of descent of `blocks` normalised, activated and convolved pictures.
fn training(blocks: usize) -> Graph {
    let b = Builder::new();
    let mut x = b.input("x", &[2, 16, 16, 8], DType::F32);
    let mut weights = Vec::new();
    for i in 0..blocks {
        let gain = b.param(&format!("{i}.gain"), &[8], DType::F32, Init::Constant(1.0));
        let bias = b.param(&format!("{i}.bias"), &[8], DType::F32, Init::Constant(0.0));
        let kernel = b.param(&format!("{i}.kernel"), &[3, 3, 8, 8], DType::F32, Init::Normal(0.1));
        let normal = x.fused(Fused::GroupNorm { groups: 2, eps: 1e-5.into() }, &[gain, bias]);
        x = x + normal.silu().conv2d(kernel, Window::same(3));
        weights.extend([gain, bias, kernel]);
    }
    let loss = (x * x).mean_all();
    for (weight, g) in weights.iter().zip(b.grad(loss, &weights)) {
        b.update(*weight, *weight - g * 0.1);
    }
    b.finish(&[("loss", loss)]).unwrap()
}

fn arena(graph: &Graph) -> usize {
    place(&Schedule::new(graph, ABILITIES).unwrap().lifetimes(|buffer| buffer.count), 16).1
}

#[test]
fn what_follows_from_what_is_kept_is_not_kept() {
    let claims = |op: &Fused| matches!(op, Fused::GroupNorm { .. });
    let graph = training(12).expanded(|op, _, _| claims(op));
    let again = graph.recomputed();
    let count = |graph: &Graph, name: &str| graph.nodes().iter().filter(|node| node.op.name() == name).count();
    // Every norm but those of the last blocks, which are needed at once.
    assert_eq!(count(&graph, "group_norm"), 12);
    assert!((20..=24).contains(&count(&again, "group_norm")), "{} norms", count(&again, "group_norm"));
    assert_eq!(count(&graph, "conv"), count(&again, "conv"), "convolutions are not cheap");
    let (kept, least) = (arena(&graph), arena(&again));
    println!("{kept} and {least} elements");
    assert!(3 * least < 2 * kept, "{least} of {kept} elements");
}

#[test]
fn every_operation_gives_what_it_gave() {
    let graph = training(4);
    let wave = |count: usize, step: f64| (0..count).map(|i| (step * i as f64).sin()).collect::<Vec<f64>>();
    let params: Vec<Vec<f64>> = graph.params().iter().map(|p| wave(p.shape.count(), 0.7)).collect();
    let run = |graph: &Graph| Program::new(graph).run::<f64>(&[wave(2 * 16 * 16 * 8, 0.3)], &params).unwrap();
    let (kept, again) = (run(&graph), run(&graph.recomputed()));
    assert_eq!(kept.outputs, again.outputs);
    assert_eq!(kept.updates, again.updates);
}

#[test]
fn a_graph_that_keeps_nothing_stays_as_it_is() {
    let b = Builder::new();
    let mut x = b.input("x", &[64, 64], DType::F32);
    let weight = b.param("weight", &[64, 64], DType::F32, Init::Normal(0.1));
    for _ in 0..6 {
        x = x.matmul(weight).silu();
    }
    let graph = b.finish(&[("x", x)]).unwrap();
    assert_eq!(graph.recomputed().nodes(), graph.nodes());
}

/// One step of clipped descent of layers of few rows and many weights.
fn clipped(layers: usize) -> Graph {
    let b = Builder::new();
    let mut x = b.input("x", &[4, 128], DType::F32);
    let weights: Vec<_> =
        (0..layers).map(|i| b.param(&format!("{i}"), &[128, 128], DType::F32, Init::Normal(0.1))).collect();
    for weight in &weights {
        x = x + x.matmul(*weight).tanh();
    }
    let loss = (x * x).mean_all();
    let gradients = b.grad(loss, &weights);
    gradients.iter().for_each(|gradient| b.cut(*gradient));
    let squares = gradients.iter().map(|g| (*g * *g).sum_all()).reduce(|a, b| a + b).unwrap();
    for (weight, g) in weights.iter().zip(gradients) {
        b.update(*weight, *weight - g / (squares.sqrt() + 1e-6));
    }
    b.finish(&[("loss", loss), ("norm", squares.sqrt())]).unwrap()
}

#[test]
fn gradients_of_few_rows_are_computed_for_the_norm_and_again_for_the_update() {
    let graph = clipped(12);
    let again = graph.recomputed();
    let (kept, least) = (arena(&graph), arena(&again));
    println!("{kept} and {least} elements");
    // Of twelve gradients one is there at a time.
    assert!(kept > 12 * 128 * 128 && least < 3 * 128 * 128, "{least} of {kept} elements");
    let products = |graph: &Graph| graph.nodes().iter().filter(|node| node.op.name() == "matmul").count();
    // The last one is used at once.
    assert_eq!(products(&again), products(&graph) + 11);
    let small = clipped(3);
    let wave = |count: usize, step: f64| (0..count).map(|i| 0.1 * (step * i as f64).sin()).collect::<Vec<f64>>();
    let params: Vec<Vec<f64>> = small.params().iter().map(|p| wave(p.shape.count(), 0.7)).collect();
    let run = |graph: &Graph| Program::new(graph).run::<f64>(&[wave(4 * 128, 0.3)], &params).unwrap();
    let (kept, again) = (run(&small), run(&small.recomputed()));
    assert_eq!(kept.outputs, again.outputs);
    assert_eq!(kept.updates, again.updates);
}
