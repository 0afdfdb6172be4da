//! What several tests use.
#![allow(dead_code)] // each test file takes what it needs

use yuragi_energy::rbm::Units;
use yuragi_energy::{Problem, Variables};
use yuragi_numeric::fill;

/// `count` numbers, uniform on [−1, 1).
pub fn uniforms(count: usize, seed: u32) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill::uniform([seed, 0x7e57], 0, 0, &mut values);
    values.iter().map(|&u| 2.0 * f64::from(u) - 1.0).collect()
}

/// Spins with uniform couplings on a share of the pairs, and fields half as large.
pub fn random_ising(variables: usize, share: f64, seed: u32) -> Problem {
    let numbers = uniforms(2 * variables * variables + variables, seed);
    let mut couplings = Vec::new();
    for k in 0..variables {
        for l in k + 1..variables {
            let [weight, keep] = [0, 1].map(|i| numbers[2 * (k * variables + l) + i]);
            if 0.5 * (keep + 1.0) < share {
                couplings.push((k, l, weight));
            }
        }
    }
    let fields: Vec<f64> = numbers[2 * variables * variables..].iter().map(|h| 0.5 * h).collect();
    Problem::ising(variables, couplings, &fields).unwrap()
}

/// Potts variables, all coupled.
pub fn random_potts(variables: usize, states: u8, seed: u32) -> Problem {
    let numbers = uniforms(variables * variables + variables * usize::from(states), seed);
    let pairs = (0..variables).flat_map(|k| (k + 1..variables).map(move |l| (k, l)));
    let couplings: Vec<_> = pairs.map(|(k, l)| (k, l, numbers[k * variables + l])).collect();
    Problem::potts(variables, states, couplings, &numbers[variables * variables..]).unwrap()
}

/// Every configuration, in the order of their numbers.
pub fn configurations(problem: &Problem) -> Vec<Vec<u8>> {
    let q = problem.variables().states();
    let count = q.pow(problem.len() as u32);
    (0..count).map(|i| (0..problem.len()).map(|k| (i / q.pow(k as u32) % q) as u8).collect()).collect()
}

/// True for spins.
pub fn is_spin(problem: &Problem) -> bool {
    problem.variables() == Variables::Spin
}

/// Couplings ±1 on a periodic lattice.
pub fn plus_minus(sides: &[usize], seed: u32) -> Problem {
    let count = sides.iter().product::<usize>() * sides.len();
    let signs: Vec<f64> = uniforms(count, seed).iter().map(|x| x.signum()).collect();
    Problem::lattice(sides, yuragi_energy::Bonds::Each(&signs), &[]).unwrap()
}

/// |z| beyond this has p < 2.7e-5: with at most 36 such judgements in one test file the family-wise p is
/// below 1e-3.
pub const LIMIT: f64 = 4.2;

/// Judges z-scores of independent seeds: their mean by a normal, their spread by χ² (Wilson and Hilferty).
/// Prints how many lie within one standard error.
pub fn pooled(scores: &[f64], what: &str) {
    let n = scores.len() as f64;
    let shift = scores.iter().sum::<f64>() / n.sqrt();
    let chi: f64 = scores.iter().map(|z| z * z).sum();
    let ninth = 2.0 / (9.0 * n);
    let spread = ((chi / n).cbrt() - (1.0 - ninth)) / ninth.sqrt();
    let within = scores.iter().filter(|z| z.abs() < 1.0).count();
    println!("{what}: mean z {shift:+.2}, spread z {spread:+.2}, within 1σ {within} of {n}");
    assert!(shift.abs() < LIMIT, "{what}: biased, z {shift}");
    // Errors that are too large are no mistake of the estimate.
    assert!(spread < LIMIT, "{what}: errors too small, z {spread}");
}

/// All states of a layer of two-state units.
pub fn states(units: Units, count: usize) -> Vec<Vec<f32>> {
    let low = if units == Units::Spin { -1.0 } else { 0.0 };
    (0..1 << count).map(|i| (0..count).map(|k| if i >> k & 1 == 1 { 1.0 } else { low }).collect()).collect()
}
