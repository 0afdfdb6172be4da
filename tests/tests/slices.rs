//! A training step of a batch in slices has the same bits on any number of ranks and threads, and learns what a whole one
//! does.

use std::collections::BTreeMap;

use yuragi_cpu::Cpu;
use yuragi_graph::{Alone, Backend, Builder, Collective, DType, Graph, Params, Slice, SliceMut, all_reduce, least};
use yuragi_models::{
    Settings,
    gamma::Gamma,
    latent_diffusion,
    likelihood::Likelihood,
    vae::{self, Layer, Vae},
    vdm::{self, Vdm},
};
use yuragi_nn::{
    Scope, linear, loss,
    optim::{Group, Optimizer, Rule, Scaling, is_state},
    step::{Step, StepError},
};
use yuragi_numeric::{fill, philox::part_key, tree::Tree};
use yuragi_tests::team;

/// The inputs of a step of a whole batch, in the graph's order; of `key` and `hyper` those of the step.
struct Batch {
    rows: usize,
    numbers: Vec<Vec<f32>>,
    indices: Vec<Vec<i32>>,
}

/// Outputs of all steps, and then the weights, as bits.
type Course = (Vec<Vec<u32>>, Vec<(String, Vec<u32>)>);

/// How a step is made.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Overlapped,
    /// Gradients leave when all are there.
    Late,
    Sharded,
}

/// Some steps with a graph of one slice, on a rank.
fn learn(
    graph: &Graph,
    optimizer: &Optimizer,
    batch: &Batch,
    (slices, steps, way): (usize, u64, Way),
    (cpu, ranks): (&Cpu, &dyn Collective),
) -> Course {
    let mut params = Params::new();
    params.initialise(graph.params(), 3);
    let (mut step, mut store) = if way == Way::Sharded {
        Step::sharded(cpu, graph, params, slices, ranks).unwrap()
    } else {
        let store = cpu.upload(params).unwrap();
        (Step::new(cpu, graph, &store, slices, ranks).unwrap().overlapping(way == Way::Overlapped), store)
    };
    let places = step.places(batch.rows, ranks);
    let mut told = Vec::new();
    for number in 0..steps {
        let (key, hyper) = ([number as u32, 9], optimizer.hyper(number, 1e-2, 0.9));
        let (mut numbers, mut indices) = (batch.numbers.iter(), batch.indices.iter());
        let inputs: Vec<Slice<'_>> = graph
            .inputs()
            .iter()
            .map(|input| match (&*input.name, input.dtype) {
                ("key", _) => Slice::U32(&key),
                ("hyper", _) => Slice::F32(&hyper),
                (_, DType::I32) => {
                    let all = indices.next().unwrap();
                    let each = all.len() / batch.rows;
                    Slice::I32(&all[places.start * each..places.end * each])
                }
                _ => {
                    let all = numbers.next().unwrap();
                    let each = all.len() / batch.rows;
                    Slice::F32(&all[places.start * each..places.end * each])
                }
            })
            .collect();
        let mut outputs = vec![[0.0f32; 1]; graph.outputs().len()];
        let mut views: Vec<SliceMut<'_>> = outputs.iter_mut().map(|output| SliceMut::F32(output)).collect();
        step.run(&mut store, ranks, &inputs, &mut views).unwrap();
        told.push(outputs.iter().map(|output| output[0].to_bits()).collect());
    }
    let params = cpu.download(&store).unwrap();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    (told, params.iter().map(|(name, tensor)| (name.to_owned(), bits(tensor.to_f32()))).collect())
}

/// The same bits on one process of one and of three threads, and on ranks.
fn one(graph: &Graph, optimizer: &Optimizer, batch: &Batch, slices: usize, steps: u64) -> Course {
    let cpu = Cpu::with_threads(1);
    let effort = |way| (slices, steps, way);
    let alone = learn(graph, optimizer, batch, effort(Way::Overlapped), (&cpu, &Alone));
    assert!(learn(graph, optimizer, batch, effort(Way::Overlapped), (&Cpu::with_threads(3), &Alone)) == alone);
    assert!(learn(graph, optimizer, batch, effort(Way::Sharded), (&cpu, &Alone)) == alone);
    for size in (2..=4).filter(|size| *size <= slices) {
        for way in [Way::Overlapped, Way::Late, Way::Sharded] {
            let found = team::run(size, |rank| learn(graph, optimizer, batch, effort(way), (&cpu, rank)));
            let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
            for (rank, course) in found.iter().enumerate() {
                assert!(course.0 == alone.0, "outputs of rank {rank} of {size}, {slices} slices");
                for (name, bits) in &course.1 {
                    *kept.entry(name).or_default() += 1;
                    let same = alone.1.iter().any(|(other, expected)| name == other && bits == expected);
                    assert!(same, "{name} on rank {rank} of {size}, {slices} slices");
                }
            }
            // Weights and what is of no weight alone are everywhere, the optimiser's state is on one rank.
            for (name, _) in &alone.1 {
                let shared = way != Way::Sharded || !is_state(name) || name.starts_with("scaling.");
                assert_eq!(kept.get(&**name), Some(&if shared { size } else { 1 }), "{name} of {size}");
            }
        }
    }
    alone
}

fn uniform(count: usize, stream: u32) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill::uniform([1, 2], stream, 0, &mut values);
    values
}

#[test]
fn sums_over_parts_are_those_of_one_process_and_no_more_is_sent_than_must_be() {
    for (parts, length) in [(1, 5), (2, 1000), (4, 1000), (5, 77), (8, 3), (8, 4096), (13, 200)] {
        let own = |rank: &dyn Collective| {
            let mut tree = Tree::new(parts);
            rank.share(parts, 1, rank.rank()).for_each(|part| tree.add(part..part + 1, uniform(length, part as u32)));
            tree
        };
        let alone = all_reduce(&Alone, own(&Alone), length).unwrap();
        for size in (2..=5).filter(|size| *size <= parts) {
            let found = team::run(size, |rank| (all_reduce(rank, own(rank), length).unwrap(), rank.sent()));
            assert!(found.iter().all(|(sum, _)| *sum == alone), "{parts} parts of {length} numbers on {size} ranks");
            let sent: usize = found.iter().map(|(_, sent)| sent).sum();
            let (least, once) = (size * least::<f32>(size, length), parts.is_multiple_of(size));
            if once && (parts / size).is_power_of_two() && parts.is_power_of_two() {
                assert!(sent.abs_diff(least) < size, "{sent} and {least} bytes");
            }
            assert!(sent >= least - size, "{sent} and {least} bytes");
        }
    }
    let short = all_reduce(
        &Alone,
        {
            let mut tree = Tree::new(2);
            tree.add(0..1, vec![1.0f32]);
            tree
        },
        1,
    );
    assert!(short.is_err(), "a part is missing");
    // No rank waits for what another refuses, if all have other parts than theirs; and nothing is sent.
    for parts in [0..0, 0..1, 0..4, 1..2, 2..4] {
        let refused = team::run(2, |rank| {
            let mut own = Tree::new(4);
            let shifted = parts.start + rank.rank()..parts.end + rank.rank();
            shifted.filter(|part| *part < 4).for_each(|part| own.add(part..part + 1, vec![1.0f32; 5]));
            (all_reduce(rank, own, 5).is_err(), rank.sent())
        });
        assert!(refused.iter().all(|(refused, sent)| *refused && *sent == 0), "{parts:?}: {refused:?}");
    }
}

#[test]
fn t24_a_variational_autoencoder_is_learned_by_any_number_of_ranks() {
    let layers = vec![Layer { hidden: vec![12], latent: 3 }, Layer { hidden: vec![8], latent: 2 }];
    let vae = Vae { shape: vec![20], likelihood: Likelihood::Bernoulli, layers, convolutional: false };
    let batch = Batch { rows: 24, numbers: vec![uniform(24 * 20, 0)], indices: vec![] };
    for slices in [2, 3, 4, 8] {
        let graph = vae.training(batch.rows / slices, 2).unwrap();
        one(&graph, &vae::OPTIMIZER, &batch, slices, 3);
    }
}

#[test]
fn t26_a_diffusion_model_with_two_losses_and_a_scaled_one_is_learned_by_any_number_of_ranks() {
    let gamma = Gamma { ends: [-13.3, 5.0], learned_ends: true, hidden: 16 };
    let likelihood = Likelihood::Logistic;
    let vdm = Vdm { shape: vec![4, 4], likelihood, channels: 8, blocks: 1, steps: 0, gamma };
    let levels: Vec<f32> = uniform(8 * 16, 0).iter().map(|u| ((u * 255.0).round() * 2.0 + 1.0) / 256.0 - 1.0).collect();
    let batch = Batch { rows: 8, numbers: vec![levels], indices: vec![] };
    let scaled = Optimizer { scaling: Some(Scaling { start: 1024.0, interval: 2.0 }), ..vdm::OPTIMIZER };
    for optimizer in [vdm::OPTIMIZER, scaled] {
        let graph = vdm.training_by(&optimizer, 2, 1).unwrap();
        one(&graph, &optimizer, &batch, 4, 4);
    }
}

#[test]
fn t32_latent_diffusion_is_learned_by_any_number_of_ranks() {
    let settings = Settings::default();
    let pictures: Vec<f32> = uniform(2 * settings.picture_len(), 1).iter().map(|u| 2.0 * u - 1.0).collect();
    let batch = Batch { rows: 2, numbers: vec![pictures], indices: vec![] };
    let optimizer = latent_diffusion::OPTIMIZER;
    one(&latent_diffusion::autoencoder_training(&settings, 1).unwrap(), &optimizer, &batch, 2, 1);
    let latents = uniform(2 * settings.latent_len(), 2);
    let ids: Vec<i32> = (0..2 * settings.text.length).map(|i| i as i32 % 50).collect();
    let batch = Batch { rows: 2, numbers: vec![latents], indices: vec![ids] };
    one(&latent_diffusion::diffusion_training(&settings, 1).unwrap(), &optimizer, &batch, 2, 1);
}

/// A perceptron's step on rows without anything random.
fn perceptron(rows: usize, optimizer: &Optimizer) -> Graph {
    let b = Builder::new();
    let s = Scope::new(&b);
    let x = b.input("x", &[rows, 3], DType::F32);
    let y = b.input("y", &[rows, 1], DType::F32);
    let hyper = Optimizer::input(&b);
    let error = loss::mse(linear(&s.enter("out"), linear(&s.enter("in"), x, 5).tanh(), 1), y);
    let norm = optimizer.minimize(error, hyper, |spec| Some(Group::standard(spec)));
    b.finish(&[("loss", error), ("norm", norm)]).unwrap()
}

#[test]
fn slices_learn_what_the_whole_batch_does() {
    let rules =
        [Rule::Sgd { momentum: 0.9 }, Rule::Sgd { momentum: 0.0 }, Rule::Adam { betas: [0.9, 0.99], eps: 1e-8 }];
    let batch = Batch { rows: 12, numbers: vec![uniform(36, 0), uniform(12, 1)], indices: vec![] };
    for rule in rules {
        let optimizer = Optimizer { rule, weight_decay: 0.01, clip: 0.1, average: true, scaling: None };
        let whole =
            learn(&perceptron(12, &optimizer), &optimizer, &batch, (1, 20, Way::Overlapped), (&Cpu::new(), &Alone));
        for slices in [2, 3, 4, 12] {
            let cut = one(&perceptron(12 / slices, &optimizer), &optimizer, &batch, slices, 20);
            let pairs = whole.1.iter().zip(&cut.1).flat_map(|(a, b)| a.1.iter().zip(&b.1));
            for (a, b) in pairs.chain(whole.0.iter().zip(&cut.0).flat_map(|(a, b)| a.iter().zip(b))) {
                let [a, b] = [a, b].map(|bits| f32::from_bits(*bits));
                // Twenty steps of single rounding.
                assert!((a - b).abs() <= 2e-5 * a.abs().max(1e-2), "{rule:?}, {slices} slices: {a} and {b}");
            }
        }
    }
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let optimizer = Optimizer::default();
    let (cpu, graph) = (Cpu::new(), perceptron(2, &optimizer));
    let store = |graph: &Graph| {
        let mut params = Params::new();
        params.initialise(graph.params(), 3);
        cpu.upload(params).unwrap()
    };
    let few = team::run(3, |rank| Step::new(&cpu, &graph, &store(&graph), 2, rank).err());
    assert_eq!(few, vec![Some(StepError::Slices { slices: 2, ranks: 3 }); 3]);
    assert!(Step::new(&cpu, &graph, &store(&graph), 0, &Alone).is_err());
    // A mean that is kept beside the gradient, such as a norm's over the batch.
    let b = Builder::new();
    let x = b.input("x", &[4], DType::F32);
    let kept = b.param("kept", &[], DType::F32, yuragi_graph::Init::Constant(0.0));
    b.update(kept, x.mean_all());
    let graph = b.finish(&[]).unwrap();
    let refused = Step::new(&cpu, &graph, &store(&graph), 2, &Alone).err().unwrap().to_string();
    assert!(refused.contains("needs the input `x` of each part"), "{refused}");
    // A second norm, of what was divided by the first.
    let b = Builder::new();
    let x = b.input("x", &[4], DType::F32);
    let weights = ["v", "w"].map(|name| b.param(name, &[], DType::F32, yuragi_graph::Init::Constant(0.5)));
    let gradients = b.grad((x * weights[0] - weights[1]).tanh().mean_all(), &weights);
    gradients.iter().for_each(|gradient| b.cut(*gradient));
    let first = (gradients[0] * gradients[0] + gradients[1] * gradients[1]).sqrt();
    let clipped = [gradients[0] / first, gradients[1] / first];
    let second = (clipped[0] * clipped[0] + clipped[1] * clipped[1]).sqrt();
    weights.into_iter().zip(clipped).for_each(|(weight, clipped)| b.update(weight, weight - clipped / second));
    let cut = b.finish(&[]).unwrap().cut(2, &[]).unwrap();
    let refused = cut.shard(&|cut| cut == 0).unwrap_err().to_string();
    assert!(refused.contains("meet again") && refused.lines().count() == 1, "{refused}");
    // Fewer rows than the slices'.
    let graph = perceptron(2, &optimizer);
    let mut store = store(&graph);
    let mut step = Step::new(&cpu, &graph, &store, 2, &Alone).unwrap();
    let inputs = [Slice::F32(&[0.0; 6]), Slice::F32(&[0.0; 4]), Slice::F32(&[0.0; 4])];
    assert!(
        step.run(&mut store, &Alone, &inputs, &mut [SliceMut::F32(&mut [0.0]), SliceMut::F32(&mut [0.0])]).is_err()
    );
}

#[test]
fn keys_of_slices_are_their_own() {
    let keys: std::collections::BTreeSet<[u32; 2]> = (0..1000).map(|slice| part_key([7, 8], slice)).collect();
    assert_eq!((keys.len(), part_key([7, 8], 0)), (1000, [7, 8]));
}
