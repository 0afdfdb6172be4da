//! T09, T10, T22: restricted Boltzmann machines against enumeration.

mod common;

use core::ops::ControlFlow;

use common::{LIMIT, pooled, states};
use yuragi_distributions::em::{ExpectationMaximization, Limits, ascend};
use yuragi_energy::Error;
use yuragi_energy::draw::Draws;
use yuragi_energy::rbm::partition::{annealed_log_z, exact_log_z, log_z_over_hidden, log_z_over_visible};
use yuragi_energy::rbm::train::{Settings, Trainer};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::sampler::quiet;
use yuragi_numeric::fill;

const KINDS: [Units; 2] = [Units::Spin, Units::Binary];

fn machine(visible: usize, hidden: usize, units: (Units, Units), scale: f32, seed: u64) -> Rbm {
    let mut rbm = Rbm::new(visible, hidden, units.0, units.1).unwrap();
    rbm.randomize(scale, seed);
    fill::normal([seed as u32, 1], 1, 0, &mut rbm.visible_bias);
    fill::normal([seed as u32, 2], 1, 0, &mut rbm.hidden_bias);
    for bias in [&mut rbm.visible_bias, &mut rbm.hidden_bias] {
        bias.iter_mut().for_each(|x| *x *= 0.5);
    }
    rbm
}

#[test]
fn t10_free_energies_and_partition_functions_are_enumerated_sums() {
    for visible in KINDS {
        for hidden in KINDS {
            let rbm = machine(5, 4, (visible, hidden), 0.7, 1);
            let mut z = 0.0;
            for v in states(visible, 5) {
                let sum: f64 = states(hidden, 4).iter().map(|h| (-rbm.energy(&v, h).unwrap()).exp()).sum();
                assert!((rbm.free_energies(&v).unwrap()[0] + sum.ln()).abs() < 1e-12);
                z += sum;
            }
            for log_z in [exact_log_z, log_z_over_hidden, log_z_over_visible] {
                assert!((log_z(&rbm).unwrap() - z.ln()).abs() < 1e-12);
            }
            // Twelve by eight, from both sides.
            let rbm = machine(12, 8, (visible, hidden), 0.8, 2);
            let (a, b) = (log_z_over_hidden(&rbm).unwrap(), log_z_over_visible(&rbm).unwrap());
            assert!((a - b).abs() < 1e-11, "{a} {b}");
        }
    }
    assert!(matches!(exact_log_z(&machine(25, 25, (Units::Spin, Units::Spin), 0.1, 3)), Err(Error::Range { .. })));
}

#[test]
fn t10_gaussian_units_integrate_to_their_partition_function() {
    let rbm = machine(1, 3, (Units::Gaussian, Units::Binary), 0.9, 4);
    // Quadrature of e^−F(v) over v.
    let step = 0.001;
    let points: Vec<f32> = (-12_000..12_000).map(|i| i as f32 * step as f32).collect();
    let z: f64 = rbm.free_energies(&points).unwrap().iter().map(|f| (-f).exp() * step).sum();
    assert!((log_z_over_hidden(&rbm).unwrap() - z.ln()).abs() < 1e-6);
    assert!(log_z_over_visible(&rbm).is_err());
    assert!(Rbm::new(2, 2, Units::Binary, Units::Gaussian).is_err());
    // ⟨v⟩ of a long chain against the quadrature.
    let mean = rbm
        .free_energies(&points)
        .unwrap()
        .iter()
        .zip(&points)
        .map(|(f, &v)| f64::from(v) * (-f).exp() * step)
        .sum::<f64>()
        / z;
    let v = rbm.gibbs(&vec![0.0; 20_000], 20, Draws::new(5), 0).unwrap();
    let values: Vec<f64> = v.iter().map(|&v| v.into()).collect();
    let estimate = yuragi_energy::statistics::mean(&values);
    assert!(((estimate.value - mean) / estimate.error).abs() < LIMIT, "{estimate:?} {mean}");
}

#[test]
fn t10_a_machine_upside_down_has_the_same_energies() {
    let rbm = machine(5, 3, (Units::Spin, Units::Binary), 0.7, 17);
    let turned = rbm.upside_down().unwrap();
    let (v, h) = (&states(Units::Spin, 5)[9], &states(Units::Binary, 3)[5]);
    assert!((rbm.energy(v, h).unwrap() - turned.energy(h, v).unwrap()).abs() < 1e-12);
    assert_eq!(turned.upside_down().unwrap(), rbm);
    assert!(Rbm::new(2, 2, Units::Gaussian, Units::Spin).unwrap().upside_down().is_err());
}

#[test]
fn t15_block_gibbs_has_the_exact_distribution() {
    for units in KINDS {
        let rbm = machine(4, 3, (units, units), 0.6, 6);
        let log_z = exact_log_z(&rbm).unwrap();
        let all = states(units, 4);
        let n = 40_000;
        let v = rbm.gibbs(&vec![all[0][0]; 4 * n], 30, Draws::new(7), 0).unwrap();
        let mut chi = 0.0;
        for state in &all {
            let expected = n as f64 * (-rbm.free_energies(state).unwrap()[0] - log_z).exp();
            let count = v.chunks(4).filter(|row| row == state).count() as f64;
            chi += (count - expected) * (count - expected) / expected;
        }
        assert!(chi < 50.0, "chi² {chi} of 15"); // p = 1e-5
    }
}

#[test]
fn t10_conditionals_are_ratios_of_energies() {
    for units in KINDS {
        let rbm = machine(5, 4, (units, units), 0.7, 8);
        let (v, h) = (&states(units, 5)[13], &states(units, 4)[6]);
        let means = rbm.hidden_means(v).unwrap();
        for j in 0..4 {
            let at = |x: f32| {
                let mut h = h.clone();
                h[j] = x;
                (-rbm.energy(v, &h).unwrap()).exp()
            };
            let low = states(units, 1)[0][0];
            let expected = (at(1.0) + f64::from(low) * at(low)) / (at(1.0) + at(low));
            assert!((f64::from(means[j]) - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn t19_annealed_importance_sampling_gives_log_z_of_rbms() {
    for (units, seed) in [((Units::Binary, Units::Binary), 9), ((Units::Spin, Units::Spin), 10)] {
        let rbm = machine(12, 8, units, 0.5, seed);
        let expected = exact_log_z(&rbm).unwrap();
        let score = |seed| {
            let estimate = annealed_log_z(&rbm, &rbm.visible_bias, (100, 100), seed, &mut quiet).unwrap();
            (estimate.value - expected) / estimate.error
        };
        pooled(&(0..20).map(score).collect::<Vec<_>>(), "AIS of an RBM");
    }
    let rbm = machine(3, 2, (Units::Binary, Units::Binary), 0.5, 1);
    assert!(annealed_log_z(&rbm, &[0.0], (1, 1), 1, &mut quiet).is_err());
    assert!(annealed_log_z(&rbm, &[0.0; 3], (0, 1), 1, &mut quiet).is_err());
    assert!(annealed_log_z(&rbm, &[0.0; 3], (1, 0), 1, &mut quiet).is_err());
}

/// Bars and stripes on 3×3: 14 patterns.
fn bars_and_stripes(units: Units) -> Vec<f32> {
    let low = if units == Units::Spin { -1.0 } else { 0.0 };
    let mut rows = Vec::new();
    for lines in 0..8usize {
        for vertical in [false, true] {
            if vertical && (lines == 0 || lines == 7) {
                continue;
            }
            for i in 0..9 {
                let line = if vertical { i % 3 } else { i / 3 };
                rows.push(if lines >> line & 1 == 1 { 1.0 } else { low });
            }
        }
    }
    rows
}

fn mean_log_likelihood(rbm: &Rbm, data: &[f32]) -> f64 {
    let energies = rbm.free_energies(data).unwrap();
    -energies.iter().sum::<f64>() / energies.len() as f64 - exact_log_z(rbm).unwrap()
}

#[test]
fn t22_contrastive_divergence_raises_the_exact_likelihood_of_rbms() {
    for units in KINDS {
        // The batch is the 14 patterns ten times over, so that PCD has 140 chains.
        let data = bars_and_stripes(units).repeat(10);
        for (steps, persistent, centred) in [(1, false, false), (5, false, true), (1, true, false), (5, true, true)] {
            let mut rbm = Rbm::new(9, 12, units, units).unwrap();
            rbm.randomize(0.05, 11);
            let first = mean_log_likelihood(&rbm, &data);
            // Persistent chains have to keep up with the machine, which one step each allows only slowly.
            let slow = if persistent { 0.5 } else { 1.0 };
            let rate = slow * if units == Units::Spin { 0.05 } else { 0.2 };
            let settings = Settings { rate, momentum: 0.5, weight_decay: 1e-4, steps, persistent, centred };
            let mut trainer = Trainer::new(&rbm, settings, 12).unwrap();
            let mut reconstruction = Vec::new();
            // Few steps of a chain end in divergence on these patterns, if one waits long enough (Fischer and
            // Igel 2010): learning is judged by the best machine on the way.
            let mut best = f64::MIN;
            for update in 0..1500 {
                reconstruction.push(trainer.learn(&mut rbm, &data).unwrap());
                if update % 50 == 49 {
                    best = best.max(mean_log_likelihood(&rbm, &data));
                }
            }
            println!("{units:?} k={steps} persistent={persistent} centred={centred}: {first:.3} -> {best:.3}");
            // The best possible is −ln 14 = −2.64, the start −9 ln 2 = −6.24.
            assert!(best > first + 2.0, "{first} {best}");
            assert!(best < -14f64.ln() + 1e-9);
            assert!(reconstruction.last() < reconstruction.first());
        }
    }
}

#[test]
fn t22_many_steps_give_the_likelihoods_gradient() {
    for units in KINDS {
        for centred in [false, true] {
            let rbm = machine(4, 3, (units, units), 0.4, 13);
            let data: Vec<f32> = states(units, 4)[..6].concat();
            let settings = Settings { steps: 60, centred, ..Settings::default() };
            // Many copies of the data are as many independent chains.
            let (gradient, _) = Trainer::new(&rbm, settings, 14).unwrap().gradient(&rbm, &data.repeat(2000)).unwrap();
            let step = 1e-2;
            let slope = |change: &dyn Fn(&mut Rbm, f32)| {
                let at = |size: f32| {
                    let mut moved = rbm.clone();
                    change(&mut moved, size);
                    mean_log_likelihood(&moved, &data)
                };
                (at(step) - at(-step)) / f64::from(2.0 * step)
            };
            // Centring is another metric: compare the directions' product with the true slope instead.
            let mut product = 0.0;
            let mut expected = Vec::new();
            for i in 0..12 {
                expected.push(slope(&|rbm, size| rbm.weights[i] += size));
                product += expected[i] * f64::from(gradient.weights[i]);
            }
            for i in 0..4 {
                let exact = slope(&|rbm, size| rbm.visible_bias[i] += size);
                product += exact * f64::from(gradient.visible_bias[i]);
                if !centred {
                    // 12000 chains: a standard error of at most 0.01; differences err by O(step²).
                    assert!((exact - f64::from(gradient.visible_bias[i])).abs() < 0.05);
                }
            }
            for j in 0..3 {
                product += slope(&|rbm, size| rbm.hidden_bias[j] += size) * f64::from(gradient.hidden_bias[j]);
            }
            if !centred {
                for (a, b) in expected.iter().zip(&gradient.weights) {
                    assert!((a - f64::from(*b)).abs() < 0.05, "{a} {b}");
                }
            }
            assert!(product > 0.0);
        }
    }
}

#[test]
fn t22_centred_gradients_do_not_depend_on_the_coding() {
    // Flipping what 0 and 1 mean of a visible unit turns the signs of its gradients and nothing else.
    let rbm = machine(3, 2, (Units::Binary, Units::Binary), 2.0, 15);
    let mut flipped = rbm.clone();
    for j in 0..2 {
        flipped.hidden_bias[j] += flipped.weights[j];
        flipped.weights[j] = -flipped.weights[j];
    }
    flipped.visible_bias[0] = -flipped.visible_bias[0];
    let data = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0].repeat(20_000);
    let turned: Vec<f32> = data.chunks(3).flat_map(|row| [1.0 - row[0], row[1], row[2]]).collect();
    let settings = Settings { steps: 3, centred: true, ..Settings::default() };
    let [a, b] = [(&rbm, &data), (&flipped, &turned)]
        .map(|(rbm, data)| Trainer::new(rbm, settings, 16).unwrap().gradient(rbm, data).unwrap().0);
    // Different draws of 60000 chains: standard errors below 0.003.
    for i in 0..6 {
        let sign = if i < 2 { -1.0 } else { 1.0 };
        assert!((a.weights[i] - sign * b.weights[i]).abs() < 0.015, "{a:?} {b:?}");
    }
    assert!(a.weights.iter().any(|slope| slope.abs() > 0.03), "{a:?}");
}

#[test]
fn wrong_machines_and_batches_are_refused() {
    assert!(Rbm::new(0, 2, Units::Spin, Units::Spin).is_err());
    let mut rbm = Rbm::new(3, 2, Units::Spin, Units::Spin).unwrap();
    for settings in [
        Settings { rate: f32::NAN, ..Settings::default() },
        Settings { momentum: 1.0, ..Settings::default() },
        Settings { weight_decay: -1.0, ..Settings::default() },
        Settings { steps: 0, ..Settings::default() },
    ] {
        assert!(matches!(Trainer::new(&rbm, settings, 1), Err(Error::Range { .. })));
    }
    let mut trainer = Trainer::new(&rbm, Settings::default(), 1).unwrap();
    assert!(trainer.set_rate(f32::NAN).is_err() && trainer.set_rate(0.0).is_err() && trainer.set_rate(0.1).is_ok());
    assert!(trainer.learn(&mut rbm, &[]).is_err() && trainer.learn(&mut rbm, &[1.0; 4]).is_err());
    let mut other = Rbm::new(2, 3, Units::Spin, Units::Spin).unwrap();
    assert!(trainer.learn(&mut other, &[1.0; 2]).is_err(), "as many weights, but of another machine");
    assert!(rbm.energy(&[1.0; 3], &[1.0]).is_err() && rbm.visible_means(&[1.0; 3]).is_err());
    assert!(rbm.free_energies(&[1.0; 2]).is_err());
    rbm.weights.pop();
    assert!(rbm.hidden_fields(&[1.0; 3]).is_err() && exact_log_z(&rbm).is_err());
    // Huge parameters overflow nothing.
    let mut huge = Rbm::new(3, 2, Units::Binary, Units::Spin).unwrap();
    huge.weights.fill(1e30);
    assert!(exact_log_z(&huge).unwrap().is_finite());
    assert!(huge.hidden_means(&[1.0; 3]).unwrap().iter().all(|mean| *mean == 1.0));
}

#[test]
fn t09_em_never_lowers_the_likelihood_and_ends_where_the_gradient_vanishes() {
    for units in [Units::Binary, Units::Spin] {
        let low = if units == Units::Spin { -1.0 } else { 0.0 };
        // Three patterns, of weights 3 : 2 : 1.
        let patterns = [[1.0, 1.0, low, low, 1.0], [low, low, 1.0, 1.0, low], [1.0, low, 1.0, low, low]];
        let rows: Vec<f32> = [0, 0, 0, 1, 1, 2].iter().flat_map(|&p: &usize| patterns[p]).collect();
        let mut rbm = Rbm::new(5, 3, units, units).unwrap();
        rbm.randomize(0.3, 4);
        let limits = Limits { iterations: 60, tolerance: 0.0 };
        let ascent = ascend(&mut rbm, &rows[..], &limits, |_| ControlFlow::Continue(())).unwrap();
        // Parameters are rounded to f32, of which about 30 of size up to 10 enter an energy.
        let rounding = 30.0 * 10.0 * f64::from(f32::EPSILON);
        assert!(ascent.bounds.windows(2).all(|pair| pair[1] > pair[0] - rounding), "{:?}", ascent.bounds);
        let exact = -rbm.free_energies(&rows).unwrap().iter().sum::<f64>() / 6.0 - exact_log_z(&rbm).unwrap();
        assert!((ascent.bound() - exact).abs() < 1e-5, "{} {exact}", ascent.bound());
        let best = [3.0, 2.0, 1.0].iter().map(|n: &f64| n / 6.0 * (n / 6.0).ln()).sum::<f64>();
        assert!(ascent.bound() < best && ascent.bound() > best - 0.05, "{} {best}", ascent.bound());
    }
    let mut large = Rbm::new(2, 17, Units::Binary, Units::Binary).unwrap();
    assert!(matches!(large.expectation(&[0.0, 1.0]), Err(Error::Unsupported { .. })));
    assert!(large.maximization(&[], Vec::new()).is_err());
}
