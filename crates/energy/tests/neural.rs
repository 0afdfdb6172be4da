//! T06: neural energies against enumeration, in f64.

mod common;

use std::collections::BTreeMap;

use common::{LIMIT, states};
use yuragi_energy::rbm::Units;
use yuragi_energy::statistics::mean;
use yuragi_energy::{Error, Vartype, neural};
use yuragi_graph::{Builder, DType, Graph, Tensor};
use yuragi_nn::optim::{Group, Optimizer};
use yuragi_nn::{Scope, init, mlp};
use yuragi_numeric::fill;
use yuragi_numeric::special::log_sum_exp;
use yuragi_reference::Program;

/// A graph run in f64, with its parameters by name.
struct Run {
    program: Program,
    values: BTreeMap<String, Vec<f64>>,
}

impl Run {
    /// Parameters are normal, but for those of states, which are 0.
    fn new(graph: &Graph) -> Self {
        let program = Program::new(graph);
        let value = |(i, spec): (u32, &yuragi_graph::ParamSpec)| {
            let mut values = vec![0.0; spec.shape.count()];
            if !yuragi_nn::optim::is_state(&spec.name) {
                fill::normal([i, 0x4e], 0, 0, &mut values);
            }
            (spec.name.clone(), values.into_iter().map(|x| 0.7 * f64::from(x)).collect())
        };
        let values = (0..).zip(program.graph().params()).map(value).collect();
        Self { program, values }
    }

    fn step(&mut self, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let params: Vec<Vec<f64>> =
            self.program.graph().params().iter().map(|spec| self.values[&spec.name].clone()).collect();
        let run = self.program.run::<f64>(inputs, &params).unwrap();
        for (update, value) in self.program.graph().updates().iter().zip(run.updates) {
            self.values.insert(self.program.graph().params()[update.param].name.clone(), value);
        }
        run.outputs
    }
}

/// A network of 8 units between the variables and E.
fn network<'g>(b: &'g Builder) -> impl Fn(Tensor<'g>) -> Tensor<'g> + Copy {
    move |x| mlp(&Scope::new(b).enter("energy"), x, &[8, 1], Tensor::tanh)
}

fn weights(b: &Builder) -> Vec<Tensor<'_>> {
    let specs = b.params().into_iter().filter(|spec| spec.name.starts_with("energy"));
    specs.map(|spec| b.param(&spec.name, &spec.shape, spec.dtype, spec.init)).collect()
}

fn rows(kind: Vartype, count: usize) -> Vec<f64> {
    let units = if kind == Vartype::Spin { Units::Spin } else { Units::Binary };
    states(units, count).concat().into_iter().map(f64::from).collect()
}

const KINDS: [Vartype; 2] = [Vartype::Spin, Vartype::Binary];
const KEY: [f64; 2] = [7.0, 9.0];

#[test]
fn t06_contrastive_divergence_of_a_neural_energy_is_the_likelihoods_gradient() {
    const SPINS: usize = 5;
    const ROWS: usize = 6000;
    for kind in KINDS {
        let b = Builder::new();
        let energy = network(&b);
        let data = b.input("data", &[ROWS, SPINS], DType::F32);
        let key = b.input("key", &[2], DType::U32);
        let draws = neural::gibbs(energy, data, kind, (key, 3), 15);
        let estimate = b.grad(neural::contrastive_divergence(energy, data, draws), &weights(&b));
        let log_z = neural::log_z(&b, energy, SPINS, kind).unwrap();
        let exact = b.grad(energy(data).mean_all() + log_z, &weights(&b));
        let outputs: Vec<(&str, Tensor<'_>)> = estimate.iter().chain(&exact).map(|&gradient| ("", gradient)).collect();
        let names: Vec<String> = (0..outputs.len()).map(|i| i.to_string()).collect();
        let outputs: Vec<(&str, Tensor<'_>)> =
            names.iter().map(String::as_str).zip(outputs).map(|(n, (_, t))| (n, t)).collect();
        let mut run = Run::new(&b.finish(&outputs).unwrap());
        let some: Vec<f64> = rows(kind, SPINS)[3 * SPINS..9 * SPINS].repeat(ROWS / 6);
        let outputs = run.step(&[some, KEY.to_vec()]);
        let (estimate, exact) = outputs.split_at(outputs.len() / 2);
        let mut largest = 0.0f64;
        for (estimate, exact) in estimate.concat().iter().zip(exact.concat()) {
            // 6000 draws of slopes of at most |w| < 2 (or 1 of the last bias, which no distribution depends on).
            assert!((estimate - exact).abs() < LIMIT * 2.0 / (ROWS as f64).sqrt(), "{estimate} {exact}");
            largest = largest.max(exact.abs());
        }
        assert!(largest > 0.3, "{largest}");
    }
}

#[test]
fn t06_probability_flow_of_a_neural_energy_is_its_sum_and_vanishes_at_the_model() {
    const SPINS: usize = 6;
    for kind in KINDS {
        let b = Builder::new();
        let energy = network(&b);
        let count = 1 << SPINS;
        let x = b.input("x", &[count, SPINS], DType::F32);
        let shares = b.input("shares", &[count], DType::F32);
        let flow = neural::probability_flow(energy, x, kind);
        let slopes = b.grad((flow * shares).sum_all(), &weights(&b));
        let norm = slopes.iter().map(|&slope| (slope * slope).sum_all()).reduce(|a, b| a + b).unwrap();
        let log_z = neural::log_z(&b, energy, SPINS, kind).unwrap();
        let outputs = [("flow", flow), ("energy", energy(x)), ("norm", norm), ("log z", log_z)];
        let mut run = Run::new(&b.finish(&outputs).unwrap());
        let all = rows(kind, SPINS);
        let uniform = vec![1.0 / count as f64; count];
        let outputs = run.step(&[all.clone(), uniform]);
        let energies = &outputs[1];
        let log_z = log_sum_exp(&energies.iter().map(|e| -e).collect::<Vec<_>>());
        assert!((outputs[3][0] - log_z).abs() < 1e-12);
        for (i, flow) in outputs[0].iter().enumerate() {
            let expected: f64 = (0..SPINS).map(|k| (0.5 * (energies[i] - energies[i ^ 1 << k])).exp()).sum();
            assert!((flow - expected).abs() < 1e-12 * expected);
        }
        assert!(outputs[2][0] > 1e-3, "another distribution's flow has a slope");
        let own = energies.iter().map(|e| (-e - log_z).exp()).collect();
        assert!(run.step(&[all, own])[2][0] < 1e-24);
    }
}

#[test]
fn t06_probability_flow_learns_what_no_pair_shows() {
    // x_1 x_2 x_3 = 1 in nine of ten: no pair of the three is correlated. The fourth follows the first.
    const SPINS: usize = 4;
    let all = rows(Vartype::Spin, SPINS);
    let share = |x: &[f64]| {
        let triple = if x[0] * x[1] * x[2] > 0.0 { 0.9 } else { 0.1 };
        let follows = if x[0] * x[3] > 0.0 { 0.8 } else { 0.2 };
        triple * follows / 4.0
    };
    let shares: Vec<f64> = all.chunks(SPINS).map(share).collect();
    let b = Builder::new();
    let energy = |x| mlp(&Scope::new(&b).enter("energy"), x, &[16, 1], Tensor::tanh);
    let x = b.input("x", &[16, SPINS], DType::F32);
    let weight = b.input("shares", &[16], DType::F32);
    let loss = (neural::probability_flow(energy, x, Vartype::Spin) * weight).sum_all();
    let optimizer = Optimizer::default();
    optimizer.minimize(loss, Optimizer::input(&b), |spec| Some(Group::standard(spec)));
    let cross =
        (energy(x).reshape(&[16]) * weight).sum_all() + neural::log_z(&b, energy, SPINS, Vartype::Spin).unwrap();
    let mut run = Run::new(&b.finish(&[("cross entropy", cross)]).unwrap());
    let entropy: f64 = shares.iter().map(|p| -p * p.ln()).sum();
    let mut divergence = Vec::new();
    for step in 0..1500 {
        let hyper = optimizer.hyper(step, 0.02, 0.0).map(f64::from).to_vec();
        divergence.push(run.step(&[all.clone(), shares.clone(), hyper])[0][0] - entropy);
    }
    println!("divergence {:.4} -> {:.6}", divergence[0], divergence[1499]);
    assert!(divergence[0] > 0.3 && divergence[1499] < 1e-3 && divergence[1499] > -1e-12);
}

#[test]
fn t06_gibbs_draws_of_a_neural_energy_have_its_distribution() {
    const SPINS: usize = 3;
    const ROWS: usize = 20_000;
    for kind in KINDS {
        let b = Builder::new();
        let energy = network(&b);
        let x = b.input("x", &[ROWS, SPINS], DType::F32);
        let key = b.input("key", &[2], DType::U32);
        let draws = neural::gibbs(energy, x, kind, (key, 0), 25);
        let all = rows(kind, SPINS);
        let values: Vec<f32> = all.iter().map(|&x| x as f32).collect();
        let energies = energy(b.literal(&[8, SPINS], &values));
        let mut run = Run::new(&b.finish(&[("draws", draws), ("energies", energies)]).unwrap());
        let outputs = run.step(&[vec![1.0; ROWS * SPINS], KEY.to_vec()]);
        let exponents: Vec<f64> = outputs[1].iter().map(|e| -e).collect();
        let log_z = log_sum_exp(&exponents);
        let mut chi = 0.0;
        for (state, exponent) in all.chunks(SPINS).zip(&exponents) {
            let expected = ROWS as f64 * (exponent - log_z).exp();
            let seen = outputs[0].chunks(SPINS).filter(|row| *row == state).count() as f64;
            chi += (seen - expected) * (seen - expected) / expected;
        }
        assert!(chi < 36.0, "chi² {chi} of 7"); // p = 1e-5
    }
}

#[test]
fn t06_langevin_dynamics_has_the_variance_of_its_step() {
    const ROWS: usize = 20_000;
    // E = x²/2σ², σ = 0.5 : the steps are x ← ax + εξ with a = 1 − ε²/2σ², whose variance is ε²/(1 − a²).
    let (sigma, size) = (0.5, 0.4);
    let b = Builder::new();
    let x = b.input("x", &[ROWS, 1], DType::F32);
    let key = b.input("key", &[2], DType::U32);
    let energy = |x| x * x * b.fill(&[], 0.5 / (sigma * sigma), DType::F32);
    let draws = neural::langevin(energy, x, size, (key, 0), 40);
    let mut run = Run::new(&b.finish(&[("draws", draws)]).unwrap());
    let draws = &run.step(&[vec![0.0; ROWS], KEY.to_vec()])[0];
    let a = 1.0 - f64::from(size * size) / (2.0 * f64::from(sigma * sigma));
    let expected = f64::from(size * size) / (1.0 - a * a);
    let squares = mean(&draws.iter().map(|x| x * x).collect::<Vec<_>>());
    assert!(((squares.value - expected) / squares.error).abs() < LIMIT, "{squares:?} {expected}");
    assert!(expected > 1.1 * f64::from(sigma * sigma)); // so that the step's bias shows
}

#[test]
fn t06_langevin_chains_learn_a_continuous_energy() {
    const ROWS: usize = 2000;
    // E = ½eˢ(x − m)²: the data's mean and variance are the optimum.
    let b = Builder::new();
    let s = Scope::new(&b).enter("energy");
    let (m, precision) = (s.param("m", &[1], init::ZERO), s.param("s", &[1], init::ZERO));
    let energy = |x| {
        let error = m - x;
        error * error * precision.exp() * 0.5
    };
    let data = b.input("data", &[ROWS, 1], DType::F32);
    let chains = b.param("chains", &[ROWS, 1], DType::F32, init::ZERO);
    let loss = neural::contrastive_divergence(energy, data, chains);
    let optimizer = Optimizer::default();
    let chosen = |spec: &yuragi_graph::ParamSpec| (spec.name != "chains").then(|| Group::standard(spec));
    optimizer.minimize(loss, Optimizer::input(&b), chosen);
    let key = b.input("key", &[2], DType::U32);
    b.update(chains, neural::langevin(energy, chains, 0.15, (key, 0), 5));
    let mut run = Run::new(&b.finish(&[("loss", loss)]).unwrap());
    let mut noise = vec![0.0; ROWS];
    fill::normal([3, 4], 5, 0, &mut noise);
    let values: Vec<f64> = noise.iter().map(|&x| 1.5 + 0.5 * f64::from(x)).collect();
    let (mut means, mut precisions) = (Vec::new(), Vec::new());
    for step in 0..1200 {
        let rate = if step < 400 { 0.02 } else { 0.004 };
        let hyper = optimizer.hyper(step, rate, 0.0).map(f64::from).to_vec();
        run.step(&[values.clone(), hyper, vec![step as f64, 1.0]]);
        if step >= 800 {
            means.push(run.values["energy.m"][0]);
            precisions.push(run.values["energy.s"][0].exp());
        }
    }
    let target = mean(&values).value;
    let variance = mean(&values.iter().map(|x| (x - target) * (x - target)).collect::<Vec<_>>()).value;
    let (m, precision) = (mean(&means).value, mean(&precisions).value);
    // The stationary variance of the chain is 1/(p(1 − ε²p/4)) for precision p, which learning makes the data's.
    let learned = 1.0 / (precision * (1.0 - 0.15 * 0.15 * precision / 4.0));
    println!("mean {m:.4} of {target:.4}, variance {learned:.4} of {variance:.4}");
    // 2000 chains that are nearly renewed every 20 steps, over 400 steps: errors of σ/√40000 = 0.0025 and σ²√(2/40000).
    assert!((m - target).abs() < LIMIT * 0.0025 && (learned - variance).abs() < LIMIT * 0.0018);
}

#[test]
fn too_many_variables_are_refused() {
    let b = Builder::new();
    for variables in [0, 17] {
        assert!(matches!(neural::log_z(&b, network(&b), variables, Vartype::Spin), Err(Error::Range { .. })));
    }
    // Rows of another width are an error of the graph, not a panic.
    let x = b.input("x", &[2, 3], DType::F32);
    let flow = neural::probability_flow(|x| x.matmul(b.fill(&[4, 1], 1.0, DType::F32)), x, Vartype::Binary);
    assert!(b.finish(&[("flow", flow)]).is_err());
}
