//! T19, T22: restricted Boltzmann machines as graphs, against the trainer and enumeration.

use core::ops::ControlFlow;

use yuragi_energy::Error;
use yuragi_energy::rbm::partition::exact_log_z;
use yuragi_energy::rbm::plan::{Learner, annealed_log_z};
use yuragi_energy::rbm::train::{Settings, Trainer};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::sampler::quiet;
use yuragi_numeric::fill;
use yuragi_reference::Reference;

fn machine(visible: usize, hidden: usize, units: (Units, Units), seed: u64) -> Rbm {
    let mut rbm = Rbm::new(visible, hidden, units.0, units.1).unwrap();
    rbm.randomize(0.6, seed);
    fill::normal([seed as u32, 1], 1, 0, &mut rbm.visible_bias);
    fill::normal([seed as u32, 2], 1, 0, &mut rbm.hidden_bias);
    rbm
}

fn parameters(rbm: &Rbm) -> Vec<f64> {
    let all = rbm.weights.iter().chain(&rbm.visible_bias).chain(&rbm.hidden_bias);
    all.map(|&x| x.into()).collect()
}

/// Mean and squared standard error of each parameter.
fn moments(machines: &[Rbm]) -> Vec<(f64, f64)> {
    let (all, n) = (machines.iter().map(parameters).collect::<Vec<_>>(), machines.len() as f64);
    let of = |i: usize| {
        let mean = all.iter().map(|p| p[i]).sum::<f64>() / n;
        (mean, all.iter().map(|p| (p[i] - mean) * (p[i] - mean)).sum::<f64>() / (n - 1.0) / n)
    };
    (0..all[0].len()).map(of).collect()
}

#[test]
fn t22_steps_of_a_graph_change_weights_as_those_of_the_trainer_do() {
    const ROWS: usize = 6;
    let plain = Settings { rate: 0.3, ..Settings::default() };
    let settings = [
        plain,
        Settings { steps: 3, weight_decay: 0.2, ..plain },
        Settings { centred: true, momentum: 0.5, ..plain },
        Settings { persistent: true, centred: true, momentum: 0.5, steps: 2, ..plain },
    ];
    for units in [(Units::Binary, Units::Binary), (Units::Spin, Units::Binary), (Units::Gaussian, Units::Spin)] {
        let begin = machine(5, 4, units, 7);
        let mut rows = vec![0.0; ROWS * 5];
        fill::uniform([3, 4], 0, 0, &mut rows);
        for settings in settings {
            let run = |seed: u64| {
                let mut rbm = begin.clone();
                let mut trainer = Trainer::new(&rbm, settings, seed).unwrap();
                let mut learner = Learner::new(Reference::single(), &begin, settings, ROWS, seed).unwrap();
                for rate in [0.3, 0.1] {
                    trainer.set_rate(rate).unwrap();
                    learner.set_rate(rate).unwrap();
                    trainer.learn(&mut rbm, &rows).unwrap();
                    assert!(learner.learn(&rows).unwrap() > 0.0);
                }
                (rbm, learner.machine().unwrap())
            };
            let (theirs, ours): (Vec<Rbm>, Vec<Rbm>) = (0..300).map(run).unzip();
            let mut moved = 0.0f64;
            for ((a, b), start) in moments(&theirs).iter().zip(moments(&ours)).zip(parameters(&begin)) {
                let z = (a.0 - b.0) / (a.1 + b.1).sqrt();
                assert!(z.abs() < 5.0, "{units:?}, {settings:?}: {} ± {}, {} ± {}", a.0, a.1.sqrt(), b.0, b.1.sqrt());
                moved = moved.max((b.0 - start).abs() / b.1.sqrt());
            }
            assert!(moved > 20.0, "steps must be seen beside their noise: {moved}");
        }
    }
}

#[test]
fn t19_annealing_on_a_backend_gives_log_z_within_its_errors() {
    let kinds = [Units::Spin, Units::Binary];
    for units in kinds.iter().flat_map(|&v| kinds.map(|h| (v, h))) {
        let rbm = machine(9, 6, units, 11);
        let exact = exact_log_z(&rbm).unwrap();
        let base = vec![0.1; 9];
        let run = |seed| annealed_log_z(&Reference::single(), &rbm, &base, (60, 40), seed, &mut quiet).unwrap();
        let scores: Vec<f64> = (0..12).map(run).map(|found| (found.value - exact) / found.error).collect();
        let mean = scores.iter().sum::<f64>() / 12.0;
        let chi = scores.iter().map(|z| z * z).sum::<f64>();
        // χ² of 12 beyond 36 has p = 3e-4, a mean beyond 1.2 p = 3e-5.
        assert!(chi < 36.0 && mean.abs() < 1.2, "{units:?}: {scores:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let rbm = machine(4, 3, (Units::Binary, Units::Binary), 1);
    let learner = |settings, rows| Learner::new(Reference::single(), &rbm, settings, rows, 0);
    assert!(matches!(learner(Settings::default(), 0), Err(Error::Range { .. })));
    assert!(matches!(learner(Settings { momentum: 1.0, ..Settings::default() }, 2), Err(Error::Range { .. })));
    let mut two = learner(Settings::default(), 2).unwrap();
    assert!(matches!(two.learn(&[0.0; 7]), Err(Error::Length { .. })));
    assert!(matches!(two.set_rate(f32::NAN), Err(Error::Range { .. })));
    assert_eq!(two.machine().unwrap(), rbm);
    let log_z =
        |rbm: &Rbm, steps, chains| annealed_log_z(&Reference::single(), rbm, &[0.0; 4], (steps, chains), 0, &mut quiet);
    assert!(log_z(&rbm, 0, 1).is_err() && log_z(&rbm, 1, 0).is_err());
    let gaussian = machine(4, 3, (Units::Gaussian, Units::Binary), 1);
    assert!(matches!(log_z(&gaussian, 1, 1), Err(Error::Unsupported { .. })));
    let mut stop = |_| ControlFlow::Break(());
    let cancelled = annealed_log_z(&Reference::single(), &rbm, &[0.0; 4], (5, 2), 0, &mut stop);
    assert_eq!(cancelled, Err(Error::Cancelled));
}
