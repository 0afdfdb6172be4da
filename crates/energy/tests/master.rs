//! T12–T16: every chain's exact transition matrix, and that the sampler follows it.

mod common;

use common::{random_ising, random_potts, uniforms};
use yuragi_energy::draw::{Draws, ReadDraws, Stream, units};
use yuragi_energy::dynamics::{
    Blocks, Dynamics, HeatBath, Kawasaki, Kernel, Metropolis, MetropolisHastings, Order, Replica, Rotation, SingleSite,
    Skewed, SuwaTodo,
};
use yuragi_energy::master::TransitionMatrix;
use yuragi_energy::{Bonds, Error, Problem};

/// What the matrix of a sweep may miss balance by, in total variation: each of the n draws has a
/// probability with a relative error of at most 2⁻²² (the f32 exponential, 2⁻²³; its argument x ≤ 8,
/// rounded three times, 3·8·2⁻²⁴; the threshold, 2⁻³²), and an error of one draw's flow is at most that.
fn tolerance(draws: usize) -> f64 {
    draws as f64 * (2f64.powi(-23) + 24.0 * 2f64.powi(-24) + 2f64.powi(-32))
}

/// Less than this is not the absence of detailed balance on the random problems below.
const CLEAR: f64 = 1e-3;

fn matrix<D: Dynamics>(dynamics: &D, problem: &Problem, beta: f32) -> TransitionMatrix {
    let matrix = TransitionMatrix::new(dynamics, problem, beta).unwrap();
    assert!(matrix.column_error() < 1e-12, "columns: {}", matrix.column_error());
    let error = matrix.balance_error();
    assert!(error < tolerance(problem.len()), "balance: {error}");
    matrix
}

fn reversible<D: Dynamics>(dynamics: D, problem: &Problem, beta: f32) {
    let error = matrix(&dynamics, problem, beta).detailed_balance_error();
    assert!(error < tolerance(problem.len()), "detailed balance: {error}");
}

fn irreversible<D: Dynamics>(dynamics: D, problem: &Problem, beta: f32) {
    let error = matrix(&dynamics, problem, beta).detailed_balance_error();
    assert!(error > CLEAR, "detailed balance: {error}");
}

/// Problems of 8 spins: sparse, dense, and a lattice.
fn eight() -> [Problem; 3] {
    let lattice = Problem::lattice(&[2, 4], Bonds::Each(&uniforms(16, 9)), &uniforms(8, 10)).unwrap();
    [random_ising(8, 0.5, 6), random_ising(8, 1.0, 7).to_dense().unwrap(), lattice]
}

#[test]
fn t13_sweeps_in_order_keep_balance_without_detailed_balance() {
    for problem in eight() {
        for order in [Order::Sequential, Order::Checkerboard] {
            irreversible(SingleSite { kernel: Metropolis, order }, &problem, 0.7);
            irreversible(SingleSite { kernel: HeatBath, order }, &problem, 0.7);
            irreversible(SingleSite { kernel: SuwaTodo, order }, &problem, 0.7);
        }
    }
    let potts = random_potts(4, 4, 11);
    irreversible(Metropolis, &potts, 0.8);
    irreversible(HeatBath, &potts, 0.8);
    irreversible(SuwaTodo, &potts, 0.8);
}

#[test]
fn t13_random_sites_keep_detailed_balance() {
    for problem in [random_ising(4, 0.8, 12), random_ising(4, 1.0, 13).to_dense().unwrap()] {
        reversible(SingleSite::random(Metropolis), &problem, 0.9);
        reversible(SingleSite::random(HeatBath), &problem, 0.9);
        reversible(SingleSite::random(SuwaTodo), &problem, 0.9); // two states: Metropolis
    }
    let potts = random_potts(3, 3, 14);
    reversible(SingleSite::random(Metropolis), &potts, 0.9);
    reversible(SingleSite::random(HeatBath), &potts, 0.9);
}

#[test]
fn t14_metropolis_hastings_corrects_for_its_proposal() {
    let potts = random_potts(3, 4, 15);
    for up in [0.5, 0.8] {
        let proposal = Rotation { up };
        reversible(MetropolisHastings { proposal, order: Order::Random }, &potts, 0.7);
        irreversible(MetropolisHastings { proposal, order: Order::Sequential }, &potts, 0.7);
    }
    let spins = random_ising(6, 0.7, 16);
    irreversible(MetropolisHastings { proposal: Rotation { up: 0.3 }, order: Order::Checkerboard }, &spins, 0.7);
    for problem in [random_ising(4, 0.8, 17), random_ising(4, 1.0, 18).to_dense().unwrap(), random_potts(3, 3, 19)] {
        let exchange = MetropolisHastings { proposal: Kawasaki, order: Order::Random };
        reversible(exchange, &problem, 0.9);
        let moves = TransitionMatrix::new(&exchange, &problem, 0.9).unwrap();
        let all = common::configurations(&problem);
        for (x, from) in all.iter().enumerate() {
            for (y, to) in all.iter().enumerate() {
                let count =
                    |values: &[u8]| (0..3).map(|v| values.iter().filter(|&&s| s == v).count()).collect::<Vec<_>>();
                assert!(moves.probability(x, y) == 0.0 || count(from) == count(to));
            }
        }
    }
}

#[test]
fn t15_heat_bath_is_the_conditional_distribution() {
    let problem = Problem::ising(1, [], &[0.4]).unwrap();
    let matrix = matrix(&HeatBath, &problem, 1.5);
    let expected = 0.6f64.exp() / (2.0 * 0.6f64.cosh()); // p = e^λ/(2 cosh λ), λ = βh
    for from in [0, 1] {
        assert!((matrix.probability(from, 1) - expected).abs() < 4.0 * 2f64.powi(-24));
    }
}

#[test]
fn t16_suwa_todo_keeps_balance_without_detailed_balance() {
    // Random sites: nothing but the kernel breaks detailed balance.
    irreversible(SingleSite::random(SuwaTodo), &random_potts(3, 4, 20), 0.7);
    for size in [2, 3] {
        for problem in eight() {
            irreversible(Blocks { kernel: SuwaTodo, order: Order::Sequential, size }, &problem, 0.7);
            irreversible(Blocks { kernel: HeatBath, order: Order::Sequential, size }, &problem, 0.7);
        }
        let problem = random_ising(2 * size, 0.9, 21);
        irreversible(Blocks { kernel: SuwaTodo, order: Order::Random, size }, &problem, 0.7);
        reversible(Blocks { kernel: HeatBath, order: Order::Random, size }, &problem, 0.7);
        reversible(Blocks { kernel: Metropolis, order: Order::Random, size }, &problem, 0.7);
    }
    matrix(&Blocks { kernel: SuwaTodo, order: Order::Sequential, size: 2 }, &random_potts(4, 3, 22), 0.7);
}

#[test]
fn t16_suwa_todo_rejects_no_more_than_it_must() {
    // Without rejection if the largest weight is at most half of all; else with the least: p(stay) = 2 − S/w.
    let mut out = [0.0; 4];
    for (weights, least) in [([1.0, 0.9, 0.5, 0.3], 0.0), ([0.2, 1.0, 0.1, 0.3], 0.4)] {
        for current in 0..4 {
            SuwaTodo.probabilities(&weights, current, &mut out);
            assert!((out.iter().sum::<f64>() - 1.0).abs() < 1e-15);
            let largest = weights[current] == 1.0;
            assert!((out[current] - if largest { least } else { 0.0 }).abs() < 1e-15, "{out:?}");
        }
    }
    // Weights that underflow leave no NaN and no way to nowhere.
    for current in 0..4 {
        SuwaTodo.probabilities(&[0.0, 1.0, 0.0, 1e-300], current, &mut out);
        assert!((out.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{out:?}");
        Metropolis.probabilities(&[0.0, 1.0, 0.0, 1e-300], current, &mut out);
        assert!((out.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{out:?}");
    }
}

#[test]
fn t16_the_lifted_chain_has_skewed_detailed_balance() {
    for problem in [random_ising(4, 0.8, 23), random_ising(4, 1.0, 24).to_dense().unwrap()] {
        irreversible(Skewed { kernel: Metropolis }, &problem, 0.8);
        irreversible(Skewed { kernel: HeatBath }, &problem, 0.8);
    }
    // One spin: a sweep is one step.
    let one = Problem::ising(1, [], &[0.4]).unwrap();
    for beta in [0.0, 0.9] {
        assert!(matrix(&Skewed { kernel: HeatBath }, &one, beta).skew_balance_error() < tolerance(1));
        assert!(matrix(&Skewed { kernel: Metropolis }, &one, beta).skew_balance_error() < tolerance(1));
    }
    let potts = random_potts(2, 3, 1);
    assert!(matches!(Skewed { kernel: Metropolis }.plan(&potts), Err(Error::Unsupported { .. })));
}

#[test]
fn t13_balance_holds_at_zero_and_at_huge_beta() {
    let problem = random_ising(5, 0.8, 25);
    for beta in [0.0, 1e3, 1e30] {
        matrix(&Metropolis, &problem, beta);
        matrix(&HeatBath, &problem, beta);
        matrix(&Blocks { kernel: SuwaTodo, order: Order::Sequential, size: 3 }, &problem, beta);
        let four = random_ising(4, 0.8, 26);
        matrix(&Skewed { kernel: HeatBath }, &four, beta);
        matrix(&SuwaTodo, &random_potts(3, 3, 27), beta);
    }
    // At β = 0 all configurations are equally likely after any number of steps of the master equation.
    let free = matrix(&HeatBath, &problem, 0.0);
    let next = free.advance(&[&[1.0][..], &[0.0; 31]].concat()).unwrap();
    assert!(next.iter().all(|p| (p - 1.0 / 32.0).abs() < 1e-12));
}

/// χ² of sampled transitions from one state against the matrix.
fn follows<D: Dynamics>(dynamics: D, problem: &Problem, beta: f32) {
    const SAMPLES: u32 = 20_000;
    let matrix = matrix(&dynamics, problem, beta);
    let plan = dynamics.plan(problem).unwrap();
    let q = problem.variables().states();
    let start: Vec<u8> = (0..problem.len()).map(|k| (k % 2) as u8).collect();
    let place = |values: &[u8]| values.iter().rev().fold(0, |i, &v| i * q + usize::from(v));
    let mut counts = vec![0.0; matrix.size()];
    for read in 0..SAMPLES {
        let mut replica = Replica::new(problem, &start).unwrap();
        let mut source = ReadDraws { draws: Draws::new(1), sweep: 3, read };
        dynamics.sweep(&plan, problem, &mut replica, beta, &mut source);
        let down = if D::LIFTED && !replica.direction() { matrix.size() / 2 } else { 0 };
        counts[down + place(replica.values())] += 1.0;
    }
    // Cells with fewer than 5 expected are taken together.
    let (mut chi, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
    for (to, count) in counts.iter().enumerate() {
        let expected = f64::from(SAMPLES) * matrix.probability(place(&start), to);
        assert!(expected > 0.0 || *count == 0.0);
        if expected < 5.0 {
            rest = (rest.0 + expected, rest.1 + count);
        } else {
            chi += (count - expected) * (count - expected) / expected;
            cells += 1.0;
        }
    }
    if rest.0 > 0.0 {
        chi += (rest.1 - rest.0) * (rest.1 - rest.0) / rest.0.max(1.0);
        cells += 1.0;
    }
    // Wilson and Hilferty: (χ²/ν)^(1/3) is nearly normal. 10 chains at a family-wise 1e-3: z < 3.9.
    assert!(cells > 2.0);
    let (nu, ninth) = (cells - 1.0, 2.0 / (9.0 * (cells - 1.0)));
    let z = ((chi / nu).cbrt() - (1.0 - ninth)) / ninth.sqrt();
    assert!(z < 3.9, "chi² {chi} of {nu}, z {z}");
}

#[test]
fn t13_samplers_follow_their_matrices() {
    let spins = random_ising(4, 0.9, 28);
    follows(Metropolis, &spins, 0.8);
    follows(HeatBath, &spins.to_dense().unwrap(), 0.8);
    follows(SingleSite::random(Metropolis), &spins, 0.8);
    follows(SingleSite::checkerboard(HeatBath), &spins, 0.8);
    follows(Blocks { kernel: SuwaTodo, order: Order::Sequential, size: 2 }, &spins, 0.8);
    follows(Skewed { kernel: HeatBath }, &spins, 0.8);
    follows(MetropolisHastings { proposal: Kawasaki, order: Order::Random }, &spins, 0.8);
    let potts = random_potts(3, 3, 29);
    follows(SuwaTodo, &potts, 0.8);
    follows(HeatBath, &potts, 0.8);
    follows(MetropolisHastings { proposal: Rotation { up: 0.7 }, order: Order::Sequential }, &potts, 0.8);
}

#[test]
fn t12_units_have_their_probabilities_and_are_independent() {
    let probabilities = [0.0, 1e-3, 0.25, 0.5, 0.9, 1.0, f32::NAN];
    const DRAWS: u32 = 100_000;
    let mut ones = [0.0; 7];
    let mut both = 0.0; // units 2 and 3 in the same read; neighbouring reads of unit 3
    let mut twice = 0.0;
    let (mut units_now, mut before) = ([0; 7], [0; 7]);
    for read in 0..DRAWS {
        units(Draws::new(3), 8, Stream::Unit, read, &probabilities, &mut units_now);
        for (ones, unit) in ones.iter_mut().zip(units_now) {
            *ones += f64::from(unit);
        }
        both += f64::from(units_now[2] & units_now[3]);
        twice += f64::from(units_now[3] & before[3]);
        before = units_now;
    }
    let n = f64::from(DRAWS);
    // 6 frequencies at a family-wise 1e-3: |z| < 3.8.
    let z = |count: f64, p: f64| (count - n * p) / (n * p * (1.0 - p)).sqrt();
    for (i, p) in [(1, 1e-3), (2, 0.25), (3, 0.5), (4, 0.9)] {
        assert!(z(ones[i], p).abs() < 3.8, "{i}: {}", z(ones[i], p));
    }
    assert!(z(both, 0.125).abs() < 3.8 && z(twice, 0.25).abs() < 3.8);
    assert_eq!([ones[0], ones[5], ones[6]], [0.0, n, 0.0]);
}

#[test]
fn t12_a_draw_is_the_bits_of_its_planes() {
    let draws = Draws::new(0x1234_5678_9abc_def0);
    for read in [0, 1, 31, 32, 77, u32::MAX] {
        let mut u = 0u64;
        for quad in 0..8 {
            for plane in draws.planes(5, 6, Stream::Accept, quad, read / 32) {
                u = u << 1 | u64::from(plane >> (read % 32) & 1);
            }
        }
        for threshold in [u.saturating_sub(1), u, u + 1, 0, 1 << 32, 1 << 31] {
            assert_eq!(draws.chance(5, 6, Stream::Accept, read, threshold), u < threshold);
        }
    }
}
