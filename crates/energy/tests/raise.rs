//! T19: reverse annealed importance sampling and RAISE against enumeration.

mod common;

use common::{pooled, states};
use yuragi_energy::rbm::partition::{annealed_log_z, exact_log_z};
use yuragi_energy::rbm::raise::{raise, reverse_annealed_log_z};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::sampler::quiet;
use yuragi_energy::statistics::mean;
use yuragi_numeric::fill;

fn machine(visible: usize, hidden: usize, units: (Units, Units), scale: f32, seed: u32) -> Rbm {
    let mut rbm = Rbm::new(visible, hidden, units.0, units.1).unwrap();
    rbm.randomize(scale, seed.into());
    fill::normal([seed, 1], 1, 0, &mut rbm.visible_bias);
    fill::normal([seed, 2], 1, 0, &mut rbm.hidden_bias);
    rbm
}

/// P(x|field) of a layer.
fn conditional(units: Units, x: &[f32], fields: impl Iterator<Item = f64>) -> f64 {
    let term = |(&x, field): (&f32, f64)| {
        let sum: f64 = states(units, 1).iter().map(|value| (f64::from(value[0]) * field).exp()).sum();
        (f64::from(x) * field).exp() / sum
    };
    x.iter().zip(fields).map(term).product()
}

/// q_ann by transition matrices.
fn annealing_model(rbm: &Rbm, base: &[f32], steps: u32) -> Vec<f64> {
    let (visible, hidden) = (states(rbm.visible_units(), rbm.visible()), states(rbm.hidden_units(), rbm.hidden()));
    let start = base.iter().map(|&b| f64::from(b));
    let mut q: Vec<f64> = visible.iter().map(|v| conditional(rbm.visible_units(), v, start.clone())).collect();
    for k in 1..=steps {
        let beta = f64::from(k) / f64::from(steps);
        let mut joint = vec![0.0; hidden.len()];
        for (v, q) in visible.iter().zip(&q) {
            let fields = rbm.hidden_fields(v).unwrap();
            for (h, joint) in hidden.iter().zip(&mut joint) {
                *joint += q * conditional(rbm.hidden_units(), h, fields.iter().map(|&x| beta * f64::from(x)));
            }
        }
        q.fill(0.0);
        for (h, joint) in hidden.iter().zip(&joint) {
            let fields = rbm.visible_fields(h).unwrap();
            let fields = fields.iter().zip(base).map(|(&x, &b)| (1.0 - beta) * f64::from(b) + beta * f64::from(x));
            for (v, q) in visible.iter().zip(&mut q) {
                *q += joint * conditional(rbm.visible_units(), v, fields.clone());
            }
        }
    }
    q
}

/// Exact draws of a machine with few visible units.
fn draws(rbm: &Rbm, count: usize, seed: u32) -> Vec<f32> {
    let all = states(rbm.visible_units(), rbm.visible());
    let log_z = exact_log_z(rbm).unwrap();
    let mut sum = 0.0;
    let ends: Vec<f64> = rbm
        .free_energies(&all.concat())
        .unwrap()
        .iter()
        .map(|f| {
            sum += (-f - log_z).exp();
            sum
        })
        .collect();
    let mut uniforms = vec![0.0; count];
    fill::uniform([seed, 0xe8ac7], 0, 0, &mut uniforms);
    let pick = |&u: &f32| ends.partition_point(|&end| end < f64::from(u)).min(all.len() - 1);
    uniforms.iter().flat_map(|u| all[pick(u)].clone()).collect()
}

const KINDS: [(Units, Units); 2] = [(Units::Binary, Units::Binary), (Units::Spin, Units::Binary)];

#[test]
fn t19_raise_is_unbiased_for_the_annealing_model() {
    // The fields of ±1 units count twice, and strong fields make the weights of few steps heavy-tailed.
    for (units, scale) in KINDS.into_iter().zip([0.7, 0.35]) {
        let rbm = machine(5, 4, units, scale, 1);
        let base = [0.3, -0.2, 0.1, 0.0, -0.4];
        let all = states(units.0, 5).concat();
        for steps in [1, 4] {
            let exact = annealing_model(&rbm, &base, steps);
            assert!((exact.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let estimates = raise(&rbm, &base, &all, (steps, 4000), 2, &mut quiet).unwrap();
            let scores = estimates.iter().zip(&exact).map(|(estimate, q)| (estimate.value - q.ln()) / estimate.error);
            pooled(&scores.collect::<Vec<_>>(), "RAISE");
            // One chain errs downwards: the mean logarithm is below that of the mean.
            let single = raise(&rbm, &base, &all.repeat(100), (steps, 1), 3, &mut quiet).unwrap();
            let below: Vec<f64> = single.iter().zip(exact.iter().cycle()).map(|(one, q)| one.value - q.ln()).collect();
            let below = mean(&below);
            assert!(below.value < -5.0 * below.error, "{below:?}");
        }
    }
}

#[test]
fn t19_raise_and_annealing_enclose_the_log_probability() {
    let units = (Units::Binary, Units::Binary);
    let rbm = machine(10, 8, units, 0.8, 4);
    let base = [0.0; 10];
    let v = draws(&rbm, 2000, 5);
    let free_energy = mean(&rbm.free_energies(&v).unwrap()).value;
    let exact = -free_energy - exact_log_z(&rbm).unwrap();
    let mut last = (f64::INFINITY, f64::INFINITY);
    for steps in [2, 8, 32, 128, 512] {
        let lower = raise(&rbm, &base, &v, (steps, 1), 6, &mut quiet).unwrap();
        let lower = mean(&lower.iter().map(|estimate| estimate.value).collect::<Vec<_>>()).value;
        // The mean over seeds of estimates of one chain each, whose bias nothing corrects.
        let log_z = |seed| annealed_log_z(&rbm, &base, (steps, 1), seed, &mut quiet).unwrap().value;
        let upper = -free_energy - mean(&(0..400).map(log_z).collect::<Vec<_>>()).value;
        println!("{steps} steps: {lower:.4} < {exact:.4} < {upper:.4}");
        let gaps = (exact - lower, upper - exact);
        // Within the noise of 2000 draws at the end, 0.01.
        assert!(gaps.0 > -0.01 && gaps.1 > -0.01 && gaps.0 < last.0 && gaps.1 < last.1);
        last = gaps;
    }
    assert!(last.0 < 0.02 && last.1 < 0.02, "{last:?}");
}

#[test]
fn t19_reverse_annealing_gives_log_z_from_above() {
    for units in KINDS {
        let rbm = machine(8, 6, units, 0.5, 7);
        let expected = exact_log_z(&rbm).unwrap();
        let base = &rbm.visible_bias;
        let score = |seed: u32| {
            let estimate = reverse_annealed_log_z(&rbm, base, &draws(&rbm, 200, seed), 50, seed.into(), &mut quiet);
            let estimate = estimate.unwrap();
            (estimate.value - expected) / estimate.error
        };
        pooled(&(0..20).map(score).collect::<Vec<_>>(), "reverse AIS");
        let few = |seed: u32| {
            let v = draws(&rbm, 1, 100 + seed);
            reverse_annealed_log_z(&rbm, base, &v, 5, seed.into(), &mut quiet).unwrap().value - expected
        };
        let above = mean(&(0..400).map(few).collect::<Vec<_>>());
        assert!(above.value > 5.0 * above.error, "{above:?}");
    }
}

#[test]
fn wrong_chains_are_refused() {
    let rbm = machine(3, 2, (Units::Binary, Units::Spin), 0.5, 8);
    let v = [1.0, 0.0, 1.0];
    for (base, v, count) in [(&[0.0; 3][..], &v[..], (0, 1)), (&[0.0; 3], &v, (1, 0)), (&[0.0; 2], &v, (1, 1))] {
        assert!(raise(&rbm, base, v, count, 1, &mut quiet).is_err());
    }
    assert!(raise(&rbm, &[0.0; 3], &[], (1, 1), 1, &mut quiet).is_err());
    assert!(raise(&rbm, &[0.0; 3], &[1.0; 4], (1, 1), 1, &mut quiet).is_err());
    assert!(reverse_annealed_log_z(&rbm, &[0.0; 3], &[], 1, 1, &mut quiet).is_err());
    let gaussian = Rbm::new(3, 2, Units::Gaussian, Units::Binary).unwrap();
    assert!(raise(&gaussian, &[0.0; 3], &v, (1, 1), 1, &mut quiet).is_err());
    let mut stop = |_| core::ops::ControlFlow::Break(());
    assert!(raise(&rbm, &[0.0; 3], &v, (1, 1), 1, &mut stop).is_err());
}
