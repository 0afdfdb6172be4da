//! T06, T21, T22: Boltzmann machines learn the couplings that data were drawn with.

mod common;

use common::random_ising;
use yuragi_energy::boltzmann::{BoltzmannMachine, Data, Flow, PersistentChains};
use yuragi_energy::draw::{Draws, Stream};
use yuragi_energy::dynamics::HeatBath;
use yuragi_energy::exact::enumerate;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{anneal, quiet};
use yuragi_energy::{Error, Problem, Schedule};

/// Independent rows from the exact distribution at β = 1.
fn draw(problem: &Problem, count: u32, seed: u64) -> Vec<u8> {
    let exact = enumerate(problem).unwrap();
    let mut cumulative = exact.distribution(1.0);
    for i in 1..cumulative.len() {
        cumulative[i] += cumulative[i - 1];
    }
    let row = |read| {
        let position = (f64::from(Draws::new(seed).word(0, 0, Stream::Choice, read)) + 0.5) / 2f64.powi(32);
        exact.values(cumulative.partition_point(|&end| end < position).min(cumulative.len() - 1))
    };
    (0..count).flat_map(row).collect()
}

/// The parameters of a problem in the order of a full machine.
fn truth(problem: &Problem) -> Vec<f64> {
    let n = problem.len();
    let mut parameters: Vec<f64> = Vec::new();
    for k in 0..n {
        for l in k + 1..n {
            let found = problem.couplings().find(|&(a, b, _)| (a, b) == (k, l));
            parameters.push(found.map_or(0.0, |(_, _, weight)| weight));
        }
    }
    parameters.extend(problem.fields());
    parameters
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / a.len() as f64).sqrt()
}

/// Minimises an objective over the parameters of a full machine.
fn learn(spins: usize, objective: impl Fn(&BoltzmannMachine) -> (f64, Vec<f64>)) -> Vec<f64> {
    let mut machine = BoltzmannMachine::full(spins).unwrap();
    let minimum = machine.minimize(|machine| Ok(objective(machine)), 500, 1e-7).unwrap();
    assert!(minimum.slope < 1e-5, "{}", minimum.slope);
    assert_eq!(machine.parameters(), minimum.at);
    minimum.at
}

fn negative((value, gradient): (f64, Vec<f64>)) -> (f64, Vec<f64>) {
    (-value, gradient.iter().map(|g| -g).collect())
}

#[test]
fn gradients_are_central_differences() {
    let problem = random_ising(6, 1.0, 1);
    let data = Data::new(6, &draw(&problem, 40, 2)).unwrap();
    let mut machine = BoltzmannMachine::full(6).unwrap();
    machine.set_parameters(&truth(&random_ising(6, 1.0, 3))).unwrap();
    type Objective<'a> = &'a dyn Fn(&BoltzmannMachine) -> (f64, Vec<f64>);
    let objectives: [Objective; 4] = [
        &|machine| machine.log_likelihood(&data).unwrap(),
        &|machine| data.pseudo_likelihood(machine).unwrap(),
        &|machine| data.probability_flow(machine, Flow::All).unwrap(),
        &|machine| data.probability_flow(machine, Flow::Outward).unwrap(),
    ];
    for objective in objectives {
        let gradient = objective(&machine).1;
        for (i, slope) in gradient.iter().enumerate() {
            let at = |step: f64| {
                let mut parameters = machine.parameters().to_vec();
                parameters[i] += step;
                let mut moved = machine.clone();
                moved.set_parameters(&parameters).unwrap();
                objective(&moved).0
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((difference - slope).abs() < 1e-8, "{i}: {difference} {slope}");
        }
    }
}

#[test]
fn t06_the_divergence_is_energy_minus_free_energy_minus_entropy() {
    let problem = random_ising(5, 1.0, 4);
    let rows = draw(&problem, 50, 5);
    let data = Data::new(5, &rows).unwrap();
    let mut machine = BoltzmannMachine::full(5).unwrap();
    machine.set_parameters(&truth(&problem)).unwrap();
    let q = enumerate(&machine.problem().unwrap()).unwrap().distribution(1.0);
    let mut counts = [0.0; 32];
    rows.chunks(5).for_each(|row| counts[row.iter().rev().fold(0, |i, &v| 2 * i + usize::from(v))] += 1.0 / 50.0);
    let kl: f64 = counts.iter().zip(&q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p / q).ln()).sum();
    assert!((machine.divergence(&data).unwrap() - kl).abs() < 1e-12);
}

#[test]
fn t06_exact_learning_recovers_the_couplings() {
    let problem = random_ising(8, 1.0, 6);
    let data = Data::new(8, &draw(&problem, 20_000, 7)).unwrap();
    let found = learn(8, |machine| negative(machine.log_likelihood(&data).unwrap()));
    // Each parameter's standard error is about 1/√(n·Var) with Var(x_k x_l) between 0.2 and 1.
    let error = distance(&found, &truth(&problem));
    assert!(error < 3.0 / (0.2f64 * 20_000.0).sqrt(), "{error}");
    // At the maximum the moments agree, and it is above every other point seen here.
    let mut machine = BoltzmannMachine::full(8).unwrap();
    machine.set_parameters(&found).unwrap();
    let best = machine.log_likelihood(&data).unwrap().0;
    machine.set_parameters(&truth(&problem)).unwrap();
    assert!(best > machine.log_likelihood(&data).unwrap().0);
}

#[test]
fn t21_probability_flow_and_pseudo_likelihood_recover_the_couplings() {
    let problem = random_ising(10, 0.6, 8);
    let data = Data::new(10, &draw(&problem, 20_000, 9)).unwrap();
    let exact = distance(&learn(10, |m| negative(m.log_likelihood(&data).unwrap())), &truth(&problem));
    let flow = distance(&learn(10, |m| data.probability_flow(m, Flow::All).unwrap()), &truth(&problem));
    let pseudo = distance(&learn(10, |m| data.pseudo_likelihood(m).unwrap()), &truth(&problem));
    println!("root mean square errors: likelihood {exact:.4}, pseudo-likelihood {pseudo:.4}, flow {flow:.4}");
    // Consistent estimators: of the order of the best error.
    assert!(exact < 0.05 && pseudo < 2.0 * exact && flow < 2.0 * exact, "{exact} {pseudo} {flow}");
    // Where data are few among many states, as they are meant to be: 60 spins on a ring with chords.
    let couplings: Vec<_> = (0..60).flat_map(|k| [(k, (k + 1) % 60, 0.4), (k, (k + 7) % 60, -0.25)]).collect();
    let large = Problem::ising(60, couplings.iter().copied(), &[]).unwrap();
    let schedule = Schedule::steps([1.0; 200]).unwrap();
    let samples = anneal(&mut *batch(&large, HeatBath, 4000, 10).unwrap(), &schedule, &mut quiet).unwrap();
    let rows: Vec<u8> = samples.iter().flat_map(|sample| sample.values.to_vec()).collect();
    let data = Data::new(60, &rows).unwrap();
    let flow = distance(&learn(60, |m| data.probability_flow(m, Flow::Outward).unwrap()), &truth(&large));
    let none = distance(&vec![0.0; truth(&large).len()], &truth(&large));
    // 1/√4000 = 0.016 is a coupling's error where its pair fluctuates freely.
    println!("60 spins: error {flow:.4}, of couplings of size {none:.4}");
    assert!(flow < 3.0 / 4000f64.sqrt());
}

#[test]
fn t21_flow_within_the_data_does_not_count() {
    // All states are data: nothing can flow out.
    let all: Vec<u8> = (0..8).flat_map(|i| [i & 1, i >> 1 & 1, i >> 2 & 1]).collect();
    let machine = BoltzmannMachine::full(3).unwrap();
    assert_eq!(Data::new(3, &all).unwrap().probability_flow(&machine, Flow::Outward).unwrap(), (0.0, vec![0.0; 6]));
    // One state of 2³: three flips lead out.
    assert_eq!(Data::new(3, &[1, 0, 1]).unwrap().probability_flow(&machine, Flow::Outward).unwrap().0, 3.0);
}

#[test]
fn t22_contrastive_divergence_raises_the_likelihood() {
    let problem = random_ising(8, 1.0, 11);
    let data = Data::new(8, &draw(&problem, 2000, 12)).unwrap();
    let best = {
        let mut machine = BoltzmannMachine::full(8).unwrap();
        machine.set_parameters(&learn(8, |m| negative(m.log_likelihood(&data).unwrap()))).unwrap();
        machine.log_likelihood(&data).unwrap().0
    };
    let first = BoltzmannMachine::full(8).unwrap().log_likelihood(&data).unwrap().0;
    let mut left = Vec::new();
    for sweeps in [1, 5] {
        let mut machine = BoltzmannMachine::full(8).unwrap();
        for step in 0..300 {
            let gradient = machine.contrastive_divergence(&data, HeatBath, sweeps, step, 13).unwrap();
            machine.ascend(&gradient, 0.1).unwrap();
        }
        left.push((best - machine.log_likelihood(&data).unwrap().0) / (best - first));
    }
    let mut machine = BoltzmannMachine::full(8).unwrap();
    let mut chains = PersistentChains::new(&machine, 2000, 14).unwrap();
    for _ in 0..300 {
        let gradient = chains.gradient(&machine, &data, HeatBath, 1).unwrap();
        machine.ascend(&gradient, 0.1).unwrap();
    }
    left.push((best - machine.log_likelihood(&data).unwrap().0) / (best - first));
    println!("share of the likelihood's rise that is left: CD-1, CD-5, PCD {left:?}");
    assert!(left.iter().all(|&share| (0.0..0.02).contains(&share)), "{left:?}");
}

#[test]
fn wrong_data_are_refused() {
    assert!(matches!(Data::new(3, &[0, 1]), Err(Error::Range { .. })));
    assert!(matches!(Data::new(2, &[0, 1, 1]), Err(Error::Length { .. })));
    assert!(matches!(Data::new(2, &[0, 2]), Err(Error::Index { .. })));
    assert!(matches!(BoltzmannMachine::full(0), Err(Error::Range { .. })));
    assert!(matches!(BoltzmannMachine::with_pairs(2, [(1, 1)]), Err(Error::SelfCoupling { .. })));
    assert!(matches!(BoltzmannMachine::with_pairs(2, [(1, 2)]), Err(Error::Index { .. })));
    let data = Data::new(2, &[0, 1]).unwrap();
    let mut machine = BoltzmannMachine::full(3).unwrap();
    assert!(machine.log_likelihood(&data).is_err() && data.probability_flow(&machine, Flow::Outward).is_err());
    machine.set_parameters(&[f64::NAN; 6]).unwrap();
    assert!(machine.problem().is_err());
    assert!(machine.set_parameters(&[0.0]).is_err() && machine.ascend(&[0.0], 1.0).is_err());
    assert!(PersistentChains::new(&machine, 0, 1).is_err());
}

#[test]
fn a_failing_objective_leaves_the_machine_as_it_was() {
    let mut machine = BoltzmannMachine::full(3).unwrap();
    machine.set_parameters(&[0.1; 6]).unwrap();
    let other = Data::new(4, &[0, 1, 0, 1]).unwrap();
    assert!(machine.minimize(|machine| other.pseudo_likelihood(machine), 10, 1e-6).is_err());
    assert!(machine.minimize(|_| Ok((1.0, vec![0.0; 5])), 10, 1e-6).is_err());
    assert_eq!(machine.parameters(), [0.1; 6]);
}
