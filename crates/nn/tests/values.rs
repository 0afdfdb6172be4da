//! Layers and losses against known values.

use approx::assert_relative_eq;
use yuragi_graph::{Builder, DType, Tensor};
use yuragi_nn::*;
use yuragi_reference::Program;

/// The value of a function of constants, without parameters.
fn value(shapes: &[(&[usize], &[f32])], f: impl for<'g> Fn(&Scope<'g>, &[Tensor<'g>]) -> Tensor<'g>) -> Vec<f64> {
    let b = Builder::new();
    let x: Vec<Tensor<'_>> = shapes.iter().map(|(shape, values)| b.literal(shape, values)).collect();
    let graph = b.finish(&[("y", f(&Scope::new(&b), &x))]).unwrap();
    Program::new(&graph).run::<f64>(&[], &[]).unwrap().outputs.remove(0)
}

fn counting(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32).collect()
}

#[test]
fn cross_entropies_are_those_of_pytorch() {
    let logits = [1.0, -2.0, 0.5, 0.1, 0.2, 0.3];
    let entropy =
        value(&[(&[2, 3], &logits), (&[2], &[2.0, 0.0])], |_, x| loss::cross_entropy(x[0], x[1].cast(DType::I32)));
    assert_relative_eq!(entropy[0], 1.1032698752857637, epsilon = 1e-6);
    let entropy =
        value(&[(&[3], &[-30.0, 0.0, 2.0]), (&[3], &[0.0, 1.0, 0.25])], |_, x| loss::bce_with_logits(x[0], x[1]));
    assert_relative_eq!(entropy[0], 0.7733583972010033, epsilon = 1e-6);
}

#[test]
fn bernoulli_survives_extreme_logits() {
    let entropy = value(&[(&[2], &[1e4, -1e4]), (&[2], &[0.0, 0.0])], |_, x| loss::bernoulli(x[0], x[1]));
    assert_eq!(entropy, [1e4, 0.0]);
}

#[test]
fn the_divergence_of_a_gaussian_from_itself_is_zero() {
    let kl = value(&[(&[2], &[0.0, 2.0]), (&[2], &[0.0, 0.0])], |_, x| loss::gaussian_kl(x[0], x[1]));
    assert_eq!(kl, [0.0, 2.0]);
}

#[test]
fn edges_see_differences_and_no_constants() {
    let checker = [0.0, 1.0, 1.0, 0.0];
    let edges = |add: f32| {
        let moved = checker.map(|x| x + add);
        value(&[(&[1, 2, 2, 1], &moved), (&[1, 2, 2, 1], &[0.0; 4])], |_, x| loss::edges(x[0], x[1]))[0]
    };
    assert_relative_eq!(edges(0.0), 2.0);
    assert_relative_eq!(edges(0.5), 2.0, epsilon = 1e-6);
}

#[test]
fn upsampling_repeats_and_pooling_undoes_it() {
    let x = counting(6);
    let up = value(&[(&[1, 1, 3, 2], &x)], |_, x| upsample(x[0]));
    assert_eq!(up, [0., 1., 0., 1., 2., 3., 2., 3., 4., 5., 4., 5., 0., 1., 0., 1., 2., 3., 2., 3., 4., 5., 4., 5.]);
    assert_eq!(value(&[(&[1, 1, 3, 2], &x)], |_, x| mean_pool(upsample(x[0]), 2)), [0., 1., 2., 3., 4., 5.]);
}

#[test]
fn space_to_depth_gathers_squares_and_is_undone() {
    let x = counting(16);
    let deep = value(&[(&[1, 4, 4, 1], &x)], |_, x| space_to_depth(x[0], 2));
    assert_eq!(deep, [0., 1., 4., 5., 2., 3., 6., 7., 8., 9., 12., 13., 10., 11., 14., 15.]);
    let back = value(&[(&[1, 4, 4, 1], &x)], |_, x| depth_to_space(space_to_depth(x[0], 2), 2));
    assert_eq!(back, (0..16).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn timestep_embeddings_are_cosines_then_sines() {
    let t = value(&[(&[2], &[0.0, 3.0])], |s, x| timestep_embedding(s, x[0], 4, 10_000.0));
    let expected = [1.0, 1.0, 0.0, 0.0, 3f64.cos(), 0.03f64.cos(), 3f64.sin(), 0.03f64.sin()];
    for (have, want) in t.iter().zip(expected) {
        assert_relative_eq!(*have, want, epsilon = 1e-7);
    }
}

#[test]
fn masked_tokens_are_not_seen() {
    let b = Builder::new();
    let s = Scope::new(&b);
    let x = b.input("x", &[1, 2, 4], DType::F32);
    let mask = b.literal(&[1, 2], &[0.0, -1e9]);
    let y = attention(&s, x, x, 2, Some(mask));
    let dx = b.grad(y.slice(1, 0, 1).sum_all(), &[x])[0];
    let graph = b.finish(&[("dx", dx)]).unwrap();
    let params: Vec<Vec<f64>> = graph.params().iter().map(|p| vec![0.3; p.shape.count()]).collect();
    let inputs = vec![vec![0.1, -0.2, 0.3, 0.4, 1.0, 2.0, -3.0, 4.0]];
    let gradient = Program::new(&graph).run::<f64>(&inputs, &params).unwrap().outputs.remove(0);
    assert!(gradient[..4].iter().all(|g| *g != 0.0), "{gradient:?}");
    assert_eq!(gradient[4..], [0.0; 4]);
}

#[test]
fn initial_deviations() {
    use yuragi_graph::Init::{Normal, Uniform};
    assert_eq!(init::standard(4), Uniform(0.5));
    assert_eq!(init::lecun(4), Normal(0.5));
    assert_eq!(init::kaiming(8), Normal(0.5));
    assert_eq!(init::xavier(3, 3), Uniform(1.0));
}

#[test]
fn learning_rates() {
    let warm: Vec<f32> = (0..5).map(|step| rate::warmup(step, 3)).collect();
    assert_eq!(warm, [0.25, 0.5, 0.75, 1.0, 1.0]);
    assert_eq!(rate::cosine_tail(0, 0, 0.5), 1.0);
    assert_eq!(rate::cosine_tail(10, 10, 1.0), 0.0);
    let cycle: Vec<f32> = [0, 30, 100].map(|step| rate::one_cycle(step, 100, 0.3)).into();
    assert_relative_eq!(cycle[0], 0.04, epsilon = 1e-6);
    assert_eq!(cycle[1..], [1.0, 0.0]);
    assert!((1..=30).all(|s| rate::one_cycle(s, 100, 0.3) > rate::one_cycle(s - 1, 100, 0.3)));
    assert!((31..100).all(|s| rate::one_cycle(s, 100, 0.3) < rate::one_cycle(s - 1, 100, 0.3)));
    for schedule in rate::Schedule::ALL {
        assert_eq!(schedule.name().parse(), Ok(schedule));
        assert!((0..100).all(|step| (0.0..=1.0).contains(&schedule.at(step, 100))), "{schedule}");
    }
    assert_eq!(rate::Schedule::OneCycle.at(5, 100), 1.0);
    assert!("cosine".parse::<rate::Schedule>().is_err_and(|why| why.contains("one-cycle")));
}

#[test]
fn errors_name_the_callers_line() {
    let b = Builder::new();
    let s = Scope::new(&b);
    let x = b.input("x", &[2, 3], DType::F32);
    let y = conv2d(&s, x, 4, 3);
    let error = b.finish(&[("y", y)]).unwrap_err();
    assert!(error.location.file().ends_with("values.rs"), "{error}");
}
