//! T11: deep belief networks and deep Boltzmann machines against enumeration.

mod common;

use common::{pooled, states};
use yuragi_energy::Error;
use yuragi_energy::deep::{Dbm, DbmSettings, DbmTrainer, Dbn, Greedy, MeanFieldSettings, Stack, WakeSleep};
use yuragi_energy::rbm::partition::{annealed_log_z, exact_log_z};
use yuragi_energy::rbm::train::Settings;
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::sampler::quiet;
use yuragi_numeric::fill;
use yuragi_numeric::special::log_sum_exp;

const KINDS: [Units; 2] = [Units::Spin, Units::Binary];

fn machine(visible: usize, hidden: usize, units: Units, seed: u32) -> Rbm {
    let mut rbm = Rbm::new(visible, hidden, units, units).unwrap();
    rbm.randomize(0.8, seed.into());
    fill::normal([seed, 1], 1, 0, &mut rbm.visible_bias);
    fill::normal([seed, 2], 1, 0, &mut rbm.hidden_bias);
    for bias in [&mut rbm.visible_bias, &mut rbm.hidden_bias] {
        bias.iter_mut().for_each(|x| *x *= 0.5);
    }
    rbm
}

/// ln Π P(x|field).
fn log_conditional(units: Units, x: &[f32], fields: &[f32]) -> f64 {
    let term = |(&x, &field): (&f32, &f32)| {
        let terms = states(units, 1).into_iter().map(|value| f64::from(value[0]) * f64::from(field));
        f64::from(x) * f64::from(field) - log_sum_exp(&terms.collect::<Vec<_>>())
    };
    x.iter().zip(fields).map(term).sum()
}

/// (ln p(v), variational bound) of a network with one directed layer.
fn exact(dbn: &Dbn, v: &[f32]) -> (f64, f64) {
    let (down, up) = (&dbn.generative[0], &dbn.recognition[0]);
    let log_z = exact_log_z(&dbn.top).unwrap();
    let (mut joints, mut bound) = (Vec::new(), 0.0);
    for h in states(up.hidden_units(), up.hidden()) {
        let joint = log_conditional(down.visible_units(), v, &down.visible_fields(&h).unwrap())
            - dbn.top.free_energies(&h).unwrap()[0]
            - log_z;
        let log_q = log_conditional(up.hidden_units(), &h, &up.hidden_fields(v).unwrap());
        bound += log_q.exp() * (joint - log_q);
        joints.push(joint);
    }
    (log_sum_exp(&joints), bound)
}

fn mean_exact(dbn: &Dbn, data: &[f32]) -> (f64, f64) {
    let rows = data.chunks(dbn.generative[0].visible());
    let n = rows.len() as f64;
    rows.map(|v| exact(dbn, v)).fold((0.0, 0.0), |(a, b), (p, bound)| (a + p / n, b + bound / n))
}

fn network(units: Units) -> Dbn {
    let mut dbn = Dbn::new(machine(4, 3, units, 1)).unwrap();
    dbn.push(machine(3, 2, units, 2)).unwrap();
    // A way up of its own, near enough for weights without heavy tails.
    dbn.recognition[0].weights.iter_mut().for_each(|w| *w *= 0.5);
    dbn
}

/// Bars and stripes on 3×3: 14 patterns.
fn bars_and_stripes(units: Units) -> Vec<f32> {
    let [low, high] = [0, 1].map(|i| states(units, 1)[i][0]);
    let mut rows = Vec::new();
    for lines in 0..8usize {
        let mut pattern = |line: &dyn Fn(usize) -> usize| {
            rows.extend((0..9).map(|i| if lines >> line(i) & 1 == 1 { high } else { low }));
        };
        pattern(&|i| i / 3);
        if lines % 7 != 0 {
            pattern(&|i| i % 3);
        }
    }
    rows
}

#[test]
fn t11_the_bound_of_a_belief_network_is_its_enumeration_and_below_the_likelihood() {
    for units in KINDS {
        let dbn = network(units);
        let log_z = exact_log_z(&dbn.top).unwrap();
        let all: Vec<f32> = states(units, 4).concat();
        let bounds = dbn.bound(&all, 4000, log_z, 4).unwrap();
        let mut total = 0.0;
        let mut scores = [Vec::new(), Vec::new()];
        for (v, bound) in all.chunks(4).zip(bounds) {
            let (log_p, lower) = exact(&dbn, v);
            assert!(lower < log_p - 1e-4, "another posterior has a gap: {lower} {log_p}");
            scores[0].push((bound.lower.value - lower) / bound.lower.error);
            scores[1].push((bound.importance.value - log_p) / bound.importance.error);
            total += log_p.exp();
        }
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        pooled(&scores[0], "bound of a DBN");
        pooled(&scores[1], "importance-weighted bound of a DBN");
    }
}

#[test]
fn t11_draws_of_a_belief_network_have_its_distribution() {
    for units in KINDS {
        let dbn = network(units);
        let count = 40_000;
        let draws = dbn.sample(count, 30, 5).unwrap();
        let chi: f64 = states(units, 4)
            .iter()
            .map(|v| {
                let expected = f64::from(count) * exact(&dbn, v).0.exp();
                let seen = draws.chunks(4).filter(|row| row == v).count() as f64;
                (seen - expected) * (seen - expected) / expected
            })
            .sum();
        assert!(chi < 50.0, "chi² {chi} of 15"); // p = 1e-5
    }
}

#[test]
fn t11_greedy_stacking_does_not_lower_the_bound() {
    for units in KINDS {
        let data = bars_and_stripes(units).repeat(10);
        let rate = if units == Units::Spin { 0.03 } else { 0.1 };
        let settings = Settings { rate, momentum: 0.5, steps: 10, ..Settings::default() };
        let greedy = Greedy { settings, epochs: 1500, batch: 140, scale: 0.1 };
        let one = Dbn::greedy(Stack { data: &data, sizes: &[9, 6], units }, &greedy, 6, &mut quiet).unwrap();
        let log_z = exact_log_z(&one.top).unwrap();
        let first = -one.top.free_energies(&data).unwrap().iter().sum::<f64>() / 140.0 - log_z;
        // The same machine below itself upside down: the bound is the likelihood.
        let mut doubled = one.clone();
        doubled.push(one.top.upside_down().unwrap()).unwrap();
        let (log_p, bound) = mean_exact(&doubled, &data[..14 * 9]);
        // Fields in f32.
        assert!((log_p - first).abs() < 1e-4 && (bound - first).abs() < 1e-4, "{first} {log_p} {bound}");
        let two = Dbn::greedy(Stack { data: &data, sizes: &[9, 6, 9], units }, &greedy, 6, &mut quiet).unwrap();
        assert_eq!(two.generative[0].weights, one.top.weights);
        let (log_p, bound) = mean_exact(&two, &data[..14 * 9]);
        println!("{units:?}: one layer {first:.3}, two layers: bound {bound:.3}, likelihood {log_p:.3}");
        assert!(bound > first + 0.01 && log_p >= bound);
    }
}

#[test]
fn t11_wake_follows_the_bound_and_sleep_the_reverse() {
    for units in KINDS {
        let dbn = network(units);
        let data: Vec<f32> = states(units, 4)[3..9].concat();
        let rate = 1e-3;
        let mut moved = dbn.clone();
        // Long chains: sleep begins from the top's own distribution.
        let settings = Settings { rate: 1e-6, steps: 40, ..Settings::default() };
        let mut learner = WakeSleep::new(&dbn, rate, settings, 7).unwrap();
        learner.learn(&mut moved, &data.repeat(5000)).unwrap();
        let slope = |objective: &dyn Fn(&Dbn) -> f64, change: &dyn Fn(&mut Dbn, f32)| {
            let at = |size: f32| {
                let mut moved = dbn.clone();
                change(&mut moved, size);
                objective(&moved)
            };
            (at(1e-2) - at(-1e-2)) / 2e-2
        };
        let bound = |dbn: &Dbn| mean_exact(dbn, &data).1;
        // ⟨ln q(h|v)⟩ over the network's own (v, h).
        let reverse = |dbn: &Dbn| {
            let log_z = exact_log_z(&dbn.top).unwrap();
            let mut sum = 0.0;
            for h in states(units, 3) {
                let log_h = -dbn.top.free_energies(&h).unwrap()[0] - log_z;
                let fields = dbn.generative[0].visible_fields(&h).unwrap();
                for v in states(units, 4) {
                    let p = (log_h + log_conditional(units, &v, &fields)).exp();
                    sum += p * log_conditional(units, &h, &dbn.recognition[0].hidden_fields(&v).unwrap());
                }
            }
            sum
        };
        // 30000 draws: standard errors of at most 0.012; of the differences the error is of order 1e-4.
        let check = |name: &str, step: f32, expected: f64| {
            let estimate = f64::from(step / rate);
            assert!((estimate - expected).abs() < 0.06, "{units:?} {name}: {estimate} {expected}");
        };
        for i in 0..12 {
            let step = moved.generative[0].weights[i] - dbn.generative[0].weights[i];
            check("W down", step, slope(&bound, &|dbn, size| dbn.generative[0].weights[i] += size));
            let step = moved.recognition[0].weights[i] - dbn.recognition[0].weights[i];
            check("W up", step, slope(&reverse, &|dbn, size| dbn.recognition[0].weights[i] += size));
        }
        for i in 0..4 {
            let step = moved.generative[0].visible_bias[i] - dbn.generative[0].visible_bias[i];
            check("b", step, slope(&bound, &|dbn, size| dbn.generative[0].visible_bias[i] += size));
        }
        for j in 0..3 {
            let step = moved.recognition[0].hidden_bias[j] - dbn.recognition[0].hidden_bias[j];
            check("c", step, slope(&reverse, &|dbn, size| dbn.recognition[0].hidden_bias[j] += size));
        }
    }
}

#[test]
fn t11_wake_sleep_raises_the_likelihood() {
    let data = bars_and_stripes(Units::Binary).repeat(10);
    let settings = Settings { rate: 0.1, steps: 10, ..Settings::default() };
    let greedy = Greedy { settings, epochs: 200, batch: 140, scale: 0.1 };
    let mut dbn =
        Dbn::greedy(Stack { data: &data, sizes: &[9, 6, 8], units: Units::Binary }, &greedy, 8, &mut quiet).unwrap();
    let (before, _) = mean_exact(&dbn, &data[..14 * 9]);
    let mut learner = WakeSleep::new(&dbn, 0.05, settings, 9).unwrap();
    for _ in 0..1500 {
        learner.learn(&mut dbn, &data).unwrap();
    }
    let (after, bound) = mean_exact(&dbn, &data[..14 * 9]);
    println!("wake-sleep: {before:.3} -> {after:.3}, bound {bound:.3}");
    assert!(after > before + 0.1);
}

fn deep(sizes: &[usize], units: Units, scale: f32, seed: u32) -> Dbm {
    let mut dbm = Dbm::new(sizes, units).unwrap();
    for layer in 0..sizes.len() - 1 {
        let mut weights = vec![0.0; sizes[layer] * sizes[layer + 1]];
        fill::normal([seed, layer as u32], 1, 0, &mut weights);
        weights.iter_mut().for_each(|w| *w *= scale);
        dbm.set_weights(layer, &weights).unwrap();
    }
    for layer in 0..sizes.len() {
        let bias = dbm.bias_mut(layer).unwrap();
        fill::normal([seed, layer as u32], 2, 0, bias);
        bias.iter_mut().for_each(|b| *b *= 0.5);
    }
    dbm
}

/// ln Σ_h e^−E(v, h), by the formula of the layers.
fn log_sum(dbm: &Dbm, units: Units, v: &[f32]) -> f64 {
    let sizes = dbm.sizes();
    let weights: Vec<Vec<f32>> = (0..sizes.len() - 1).map(|layer| dbm.weights(layer).unwrap()).collect();
    let mut terms = Vec::new();
    for hidden in states(units, sizes[1..].iter().sum()) {
        let mut layers = vec![v];
        let mut rest = &hidden[..];
        for &size in &sizes[1..] {
            let (layer, others) = rest.split_at(size);
            layers.push(layer);
            rest = others;
        }
        let mut exponent = 0.0;
        for (l, x) in layers.iter().enumerate() {
            exponent += x.iter().zip(dbm.bias(l).unwrap()).map(|(&x, &b)| f64::from(x * b)).sum::<f64>();
        }
        for (l, pair) in layers.windows(2).enumerate() {
            for (i, &x) in pair[0].iter().enumerate() {
                for (j, &y) in pair[1].iter().enumerate() {
                    exponent += f64::from(x * y * weights[l][i * sizes[l + 1] + j]);
                }
            }
        }
        terms.push(exponent);
    }
    log_sum_exp(&terms)
}

fn mean_log_likelihood(dbm: &Dbm, units: Units, data: &[f32]) -> f64 {
    let log_z = exact_log_z(dbm.bipartite()).unwrap();
    let rows = data.chunks(dbm.sizes()[0]);
    let n = rows.len() as f64;
    rows.map(|v| log_sum(dbm, units, v) - log_z).sum::<f64>() / n
}

#[test]
fn t11_mean_field_bounds_a_deep_boltzmann_machine_from_below() {
    for units in KINDS {
        for sizes in [&[4, 3][..], &[4, 3, 2], &[3, 3, 2, 2], &[2, 2, 2, 2, 2]] {
            let dbm = deep(sizes, units, 0.6, 10);
            let all = states(units, sizes[0]);
            let sums: Vec<f64> = all.iter().map(|v| log_sum(&dbm, units, v)).collect();
            let log_z = exact_log_z(dbm.bipartite()).unwrap();
            assert!((log_z - log_sum_exp(&sums)).abs() < 1e-6, "{sizes:?} {log_z}");
            let data = all.concat();
            let settings = MeanFieldSettings { tolerance: 1e-6, rounds: 2000, damping: 0.0 };
            let solved = dbm.mean_field(&data, &settings).unwrap();
            assert!(solved.change <= 1e-6, "{} after {}", solved.change, solved.rounds);
            let bounds = dbm.bound(&solved, log_z).unwrap();
            for (bound, sum) in bounds.iter().zip(&sums) {
                // One hidden layer has the factorised posterior itself.
                let gap = sum - log_z - bound;
                assert!(if sizes.len() == 2 { gap.abs() < 1e-5 } else { gap > 0.0 }, "{sizes:?} {gap}");
            }
            // Each round raises the bound, with or without damping (means are rounded to f32).
            for damping in [0.0, 0.5] {
                let mut last = f64::MIN;
                for rounds in 1..12 {
                    let settings = MeanFieldSettings { tolerance: 0.0, rounds, damping };
                    let means = dbm.mean_field(&data, &settings).unwrap();
                    let bound = dbm.bound(&means, log_z).unwrap().iter().sum::<f64>();
                    assert!(bound > last - 1e-5, "{sizes:?} {damping} {rounds}: {last} {bound}");
                    last = bound;
                }
            }
        }
    }
}

#[test]
fn t11_annealing_gives_log_z_of_deep_boltzmann_machines() {
    for sizes in [&[8, 6, 5][..], &[6, 5, 4, 3]] {
        let dbm = deep(sizes, Units::Binary, 0.5, 11);
        let rbm = dbm.bipartite();
        let expected = exact_log_z(rbm).unwrap();
        let score = |seed| {
            let estimate = annealed_log_z(rbm, &rbm.visible_bias, (100, 100), seed, &mut quiet).unwrap();
            (estimate.value - expected) / estimate.error
        };
        pooled(&(0..20).map(score).collect::<Vec<_>>(), "AIS of a DBM");
    }
}

#[test]
fn t11_the_joint_gradient_is_that_of_the_bound() {
    for units in KINDS {
        let dbm = deep(&[3, 3, 2, 2], units, 0.4, 12);
        let data = states(units, 3)[2..6].concat();
        let mean_field = MeanFieldSettings { tolerance: 1e-7, rounds: 1000, damping: 0.0 };
        let settings = DbmSettings { steps: 60, chains: 20_000, mean_field, ..DbmSettings::default() };
        let (gradient, _) = DbmTrainer::new(&dbm, settings, 13).unwrap().gradient(&dbm, &data).unwrap();
        let slope = |change: &dyn Fn(&mut Dbm, f32)| {
            let at = |size: f32| {
                let mut moved = dbm.clone();
                change(&mut moved, size);
                let log_z = exact_log_z(moved.bipartite()).unwrap();
                let means = moved.mean_field(&data, &mean_field).unwrap();
                moved.bound(&means, log_z).unwrap().iter().sum::<f64>() / 4.0
            };
            (at(1e-2) - at(-1e-2)) / 2e-2
        };
        // 20000 chains: standard errors of at most 0.007.
        let check = |estimate: f32, expected: f64| {
            assert!((f64::from(estimate) - expected).abs() < 0.035, "{estimate} {expected}");
        };
        // Even layers: 3 + 2, odd: 3 + 2. v1 is coupled with the first odd layer only, the third layer with both.
        for (layer, entry, place) in [(0, 4, 5 + 1), (1, 3, 4 * 5 + 1), (2, 1, 3 * 5 + 4)] {
            let expected = slope(&|dbm, size| {
                let mut weights = dbm.weights(layer).unwrap();
                weights[entry] += size;
                dbm.set_weights(layer, &weights).unwrap();
            });
            check(gradient.weights[place], expected);
        }
        for (layer, place) in [(0, 0), (2, 3)] {
            check(gradient.visible_bias[place], slope(&|dbm, size| dbm.bias_mut(layer).unwrap()[0] += size));
        }
        for (layer, place) in [(1, 0), (3, 3)] {
            check(gradient.hidden_bias[place], slope(&|dbm, size| dbm.bias_mut(layer).unwrap()[0] += size));
        }
        // The visible and the third hidden layer stay apart.
        assert!((0..3).all(|i| (3..5).all(|j| gradient.weights[i * 5 + j] == 0.0)));
    }
}

#[test]
fn t11_the_centred_gradient_is_about_the_means_of_both_phases() {
    for (units, sizes) in KINDS.into_iter().flat_map(|units| [(units, &[3, 3, 2][..]), (units, &[3, 3, 2, 2])]) {
        let dbm = deep(sizes, units, 0.4, 12);
        let data = states(units, 3)[2..6].concat();
        let gradient = |centred| {
            let settings = DbmSettings { centred, ..DbmSettings::default() };
            DbmTrainer::new(&dbm, settings, 13).unwrap().gradient(&dbm, &data).unwrap()
        };
        let ((plain, means), (centred, _)) = (gradient(false), gradient(true));
        // ⟨x⟩ of the data less half of its difference to the model's.
        let offsets = |rows: &[f32], slopes: &[f32]| -> Vec<f32> {
            let mean = |i: usize| rows.chunks(slopes.len()).map(|row| row[i]).sum::<f32>() / 4.0;
            slopes.iter().enumerate().map(|(i, slope)| mean(i) - 0.5 * slope).collect()
        };
        let (mu, lambda) = (offsets(&means.even, &plain.visible_bias), offsets(&means.odd, &plain.hidden_bias));
        let (n, m) = (mu.len(), lambda.len());
        let check = |seen: f32, expected: f32| assert!((seen - expected).abs() < 1e-5, "{seen} {expected}");
        for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
            let apart = i < 3 && j >= 3;
            let expected = plain.weights[i * m + j] - plain.visible_bias[i] * lambda[j] - mu[i] * plain.hidden_bias[j];
            check(centred.weights[i * m + j], if apart { 0.0 } else { expected });
        }
        for i in 0..n {
            let expected = (0..m).map(|j| centred.weights[i * m + j] * lambda[j]).sum::<f32>();
            check(centred.visible_bias[i], plain.visible_bias[i] - expected);
        }
        for j in 0..m {
            let expected = (0..n).map(|i| centred.weights[i * m + j] * mu[i]).sum::<f32>();
            check(centred.hidden_bias[j], plain.hidden_bias[j] - expected);
        }
    }
}

#[test]
fn t11_uncoupled_layers_above_a_machine_leave_its_likelihood() {
    for units in KINDS {
        let mut rbm = Rbm::new(4, 3, units, units).unwrap();
        rbm.randomize(0.7, 20);
        let data = states(units, 4).concat();
        let log_z = exact_log_z(&rbm).unwrap();
        let dbm = Dbm::over(&rbm, &[3, 2], 0.0, 1).unwrap();
        let means = dbm.mean_field(&data, &MeanFieldSettings::default()).unwrap();
        let bounds = dbm.bound(&means, exact_log_z(dbm.bipartite()).unwrap()).unwrap();
        for (bound, free) in bounds.iter().zip(rbm.free_energies(&data).unwrap()) {
            assert!((bound + free + log_z).abs() < 1e-5, "{bound} {}", -free - log_z);
        }
        let coupled = Dbm::over(&rbm, &[3, 2], 0.5, 1).unwrap();
        assert!(coupled.weights(0) == dbm.weights(0) && coupled.weights(2).unwrap().iter().all(|&w| w != 0.0));
    }
    let mixed = Rbm::new(2, 2, Units::Spin, Units::Binary).unwrap();
    assert!(matches!(Dbm::over(&mixed, &[2], 0.0, 1), Err(Error::Unsupported { .. })));
}

#[test]
fn t11_centred_machines_learn_without_pretraining() {
    let patterns = bars_and_stripes(Units::Binary);
    let learned = |centred| {
        let mut dbm = deep(&[9, 6, 4], Units::Binary, 0.01, 18);
        let settings = DbmSettings { rate: 0.1, centred, ..DbmSettings::default() };
        let mut trainer = DbmTrainer::new(&dbm, settings, 19).unwrap();
        for _ in 0..1500 {
            trainer.learn(&mut dbm, &patterns).unwrap();
        }
        mean_log_likelihood(&dbm, Units::Binary, &patterns)
    };
    let (plain, centred) = (learned(false), learned(true));
    println!("bars and stripes, 9-6-4: {plain:.3} nats, centred {centred:.3}");
    assert!(centred > plain + 0.2);
}

#[test]
fn t11_pretraining_and_joint_learning_raise_the_likelihood() {
    for (units, rate) in [(Units::Spin, 0.02), (Units::Binary, 0.1)] {
        for sizes in [&[9, 6, 4][..], &[9, 5, 4, 3]] {
            let patterns = bars_and_stripes(units);
            let data = patterns.repeat(10);
            let settings = Settings { rate: 0.5 * rate, momentum: 0.5, steps: 3, ..Settings::default() };
            let greedy = Greedy { settings, epochs: 300, batch: 140, scale: 0.05 };
            let empty = mean_log_likelihood(&Dbm::new(sizes, units).unwrap(), units, &patterns);
            let mut dbm = Dbm::pretrain(Stack { data: &data, sizes, units }, &greedy, 14, &mut quiet).unwrap();
            let pretrained = mean_log_likelihood(&dbm, units, &patterns);
            let settings = DbmSettings { rate: 0.5 * rate, ..DbmSettings::default() };
            let mut trainer = DbmTrainer::new(&dbm, settings, 15).unwrap();
            for _ in 0..1500 {
                trainer.learn(&mut dbm, &patterns).unwrap();
            }
            let joint = mean_log_likelihood(&dbm, units, &patterns);
            println!("{units:?} {sizes:?}: {empty:.3}, pretrained {pretrained:.3}, jointly {joint:.3}");
            assert!(pretrained > empty + 0.1 && joint > pretrained + 0.1);
        }
    }
}

#[test]
fn t11_draws_of_a_deep_boltzmann_machine_have_its_distribution() {
    let dbm = deep(&[3, 3, 2], Units::Binary, 0.6, 16);
    let log_z = exact_log_z(dbm.bipartite()).unwrap();
    let draws = dbm.sample(40_000, 40, 17).unwrap();
    let mut chi = 0.0;
    for v in states(Units::Binary, 3) {
        let expected = 40_000.0 * (log_sum(&dbm, Units::Binary, &v) - log_z).exp();
        let seen = draws.chunks(3).filter(|row| **row == v).count() as f64;
        chi += (seen - expected) * (seen - expected) / expected;
    }
    assert!(chi < 36.0, "chi² {chi} of 7"); // p = 1e-5
}

#[test]
fn wrong_stacks_are_refused() {
    let greedy = Greedy::default();
    for (data, sizes) in [(&[1.0; 4][..], &[4][..]), (&[1.0; 3], &[4, 2]), (&[], &[4, 2]), (&[1.0; 4], &[4, 0])] {
        assert!(Dbn::greedy(Stack { data, sizes, units: Units::Binary }, &greedy, 1, &mut quiet).is_err());
        assert!(Dbm::pretrain(Stack { data, sizes, units: Units::Binary }, &greedy, 1, &mut quiet).is_err());
    }
    let zero = Greedy { batch: 0, ..greedy };
    assert!(
        Dbn::greedy(Stack { data: &[1.0; 4], sizes: &[4, 2], units: Units::Binary }, &zero, 1, &mut quiet).is_err()
    );
    assert!(matches!(Dbm::new(&[2, 2], Units::Gaussian), Err(Error::Unsupported { .. })));
    assert!(Dbm::new(&[2], Units::Spin).is_err() && Dbm::new(&[2, 0, 1], Units::Spin).is_err());
    let mut dbm = Dbm::new(&[2, 3, 1], Units::Spin).unwrap();
    assert!(dbm.weights(2).is_err() && dbm.bias(3).is_err() && dbm.set_weights(0, &[0.0; 5]).is_err());
    assert!(dbm.mean_field(&[1.0; 3], &MeanFieldSettings::default()).is_err());
    for settings in [
        MeanFieldSettings { rounds: 0, ..MeanFieldSettings::default() },
        MeanFieldSettings { damping: 1.0, ..MeanFieldSettings::default() },
        MeanFieldSettings { tolerance: f32::NAN, ..MeanFieldSettings::default() },
    ] {
        assert!(matches!(dbm.mean_field(&[1.0; 2], &settings), Err(Error::Range { .. })));
    }
    assert!(DbmTrainer::new(&dbm, DbmSettings { chains: 0, ..DbmSettings::default() }, 1).is_err());
    let mut trainer = DbmTrainer::new(&dbm, DbmSettings::default(), 1).unwrap();
    assert!(trainer.learn(&mut dbm, &[]).is_err());
    let mut other = Dbm::new(&[3, 2, 1], Units::Spin).unwrap();
    assert!(trainer.learn(&mut other, &[1.0; 3]).is_err());
    let mut dbn = Dbn::new(machine(4, 3, Units::Binary, 1)).unwrap();
    assert!(dbn.push(machine(4, 3, Units::Binary, 1)).is_err() && dbn.push(machine(3, 2, Units::Spin, 1)).is_err());
    dbn.push(machine(3, 2, Units::Binary, 1)).unwrap();
    assert!(dbn.bound(&[1.0; 4], 0, 0.0, 1).is_err() && dbn.bound(&[1.0; 3], 1, 0.0, 1).is_err());
    dbn.recognition.clear();
    assert!(dbn.sample(1, 1, 1).is_err());
}
