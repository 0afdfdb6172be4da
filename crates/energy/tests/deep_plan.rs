//! T11, T22: deep machines as graphs, against their trainers.

use yuragi_energy::Error;
use yuragi_energy::deep::plan::{self, DbmLearner, WakeSleepLearner};
use yuragi_energy::deep::{Dbm, DbmSettings, DbmTrainer, Dbn, Greedy, MeanFieldSettings, Stack, WakeSleep};
use yuragi_energy::rbm::partition::exact_log_z;
use yuragi_energy::rbm::train::Settings;
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::sampler::quiet;
use yuragi_numeric::fill;
use yuragi_reference::Reference;

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
fn t11_steps_of_a_graph_change_a_deep_machine_as_those_of_the_trainer_do() {
    const ROWS: usize = 6;
    // No tolerance ends the rounds early.
    let mean_field = MeanFieldSettings { rounds: 3, tolerance: 0.0, damping: 0.0 };
    let plain = DbmSettings { rate: 0.3, steps: 2, chains: 4, mean_field, ..DbmSettings::default() };
    let damped = MeanFieldSettings { damping: 0.25, ..mean_field };
    let cases = [
        (&[5, 4][..], Units::Binary, DbmSettings { momentum: 0.5, ..plain }),
        (&[4, 3, 2], Units::Spin, DbmSettings { weight_decay: 0.2, mean_field: damped, ..plain }),
        (&[4, 3, 2], Units::Binary, DbmSettings { persistent: false, centred: true, ..plain }),
        (&[4, 3, 3, 2], Units::Binary, DbmSettings { centred: true, momentum: 0.5, ..plain }),
        (&[3, 2, 3, 2, 2], Units::Spin, plain),
    ];
    for (sizes, units, settings) in cases {
        let mut begin = Dbm::new(sizes, units).unwrap();
        begin.randomize(0.6, 7);
        for layer in 0..sizes.len() {
            fill::normal([9, layer as u32], 1, 0, begin.bias_mut(layer).unwrap());
        }
        let mut rows = vec![0.0; ROWS * sizes[0]];
        fill::uniform([3, 4], 0, 0, &mut rows);
        let run = |seed: u64| {
            let mut dbm = begin.clone();
            let mut trainer = DbmTrainer::new(&dbm, settings, seed).unwrap();
            let mut learner = DbmLearner::new(Reference::single(), &begin, settings, ROWS, seed).unwrap();
            for rate in [0.3, 0.1] {
                trainer.set_rate(rate).unwrap();
                learner.set_rate(rate).unwrap();
                let theirs = trainer.learn(&mut dbm, &rows).unwrap();
                let ours = learner.learn(&rows).unwrap();
                // In the first step the machines are the same, and so are the mean fields.
                assert!(rate < 0.3 || (ours - theirs.change).abs() < 1e-6, "{ours} {}", theirs.change);
            }
            (dbm.bipartite().clone(), learner.machine().unwrap().bipartite().clone())
        };
        let (theirs, ours): (Vec<Rbm>, Vec<Rbm>) = (0..200).map(run).unzip();
        let mut moved = 0.0f64;
        for ((a, b), start) in moments(&theirs).iter().zip(moments(&ours)).zip(parameters(begin.bipartite())) {
            if a.1 + b.1 == 0.0 {
                assert_eq!((a.0, b.0), (start, start), "{sizes:?}: what does not couple stays");
                continue;
            }
            let z = (a.0 - b.0) / (a.1 + b.1).sqrt();
            assert!(z.abs() < 5.0, "{sizes:?}, {settings:?}: {} ± {}, {} ± {}", a.0, a.1.sqrt(), b.0, b.1.sqrt());
            moved = moved.max((b.0 - start).abs() / b.1.sqrt());
        }
        assert!(moved > 20.0, "steps must be seen beside their noise: {moved}");
    }
}

#[test]
fn t11_a_stack_learned_by_graphs_is_as_good_as_one_learned_by_trainers() {
    // Two patterns, 45 times each: the last batch of 20 is not whole.
    let data = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0].repeat(45);
    let settings = Settings { rate: 0.2, ..Settings::default() };
    let greedy = Greedy { settings, epochs: 40, batch: 20, scale: 0.1 };
    let bound = |dbn: &Dbn| {
        let log_z = exact_log_z(&dbn.top).unwrap();
        dbn.bound(&data[..8], 500, log_z, 2).unwrap().iter().map(|bound| bound.lower.value).sum::<f64>() / 2.0
    };
    let stack = Stack { data: &data, sizes: &[4, 3, 4], units: Units::Binary };
    let theirs = Dbn::greedy(stack, &greedy, 1, &mut quiet).unwrap();
    let ours = plan::greedy(&Reference::single(), stack, &greedy, 1, &mut quiet).unwrap();
    assert_ne!(ours, theirs, "draws are others");
    // Two patterns have −ln 2 = −0.69 at best; four independent pixels −2.77.
    assert!(bound(&ours) > -1.4 && (bound(&ours) - bound(&theirs)).abs() < 0.3, "{} {}", bound(&ours), bound(&theirs));
    let mut left = 7;
    let mut hook = |_| {
        left -= 1;
        if left == 0 { core::ops::ControlFlow::Break(()) } else { core::ops::ControlFlow::Continue(()) }
    };
    let begun = plan::greedy(&Reference::single(), stack, &greedy, 1, &mut hook).unwrap();
    assert_eq!(begun.generative.len(), 0, "what was learned before it was cancelled stays");
}

/// A network of these layers with parameters of which none is 0, and ways up that are not the ways down.
fn network(sizes: &[usize], units: Units) -> Dbn {
    let machine = |layer: usize| {
        let mut rbm = Rbm::new(sizes[layer], sizes[layer + 1], units, units).unwrap();
        rbm.randomize(0.5, layer as u64);
        fill::normal([4, layer as u32], 0, 0, &mut rbm.visible_bias);
        fill::normal([5, layer as u32], 0, 0, &mut rbm.hidden_bias);
        rbm
    };
    let mut dbn = Dbn::new(machine(0)).unwrap();
    for layer in 1..sizes.len() - 1 {
        dbn.push(machine(layer)).unwrap();
    }
    dbn.recognition.iter_mut().zip(20..).for_each(|(up, seed)| up.randomize(0.7, seed));
    dbn
}

#[test]
fn t11_wake_and_sleep_of_a_graph_change_a_network_as_those_of_the_learner_do() {
    const ROWS: usize = 6;
    const RATE: f32 = 0.2;
    let plain = Settings { rate: 0.3, steps: 2, ..Settings::default() };
    for (sizes, units, settings) in [
        (&[5, 4][..], Units::Binary, plain),
        (&[4, 3, 2], Units::Spin, Settings { centred: true, ..plain }),
        (&[4, 3, 2], Units::Binary, Settings { persistent: true, momentum: 0.5, ..plain }),
        (&[4, 3, 3, 2], Units::Binary, Settings { weight_decay: 0.2, ..plain }),
    ] {
        let begin = network(sizes, units);
        let mut rows = vec![0.0; ROWS * sizes[0]];
        fill::uniform([3, 4], 0, 0, &mut rows);
        let run = |seed: u64| {
            let mut theirs = begin.clone();
            let mut trainer = WakeSleep::new(&begin, RATE, settings, seed).unwrap();
            let mut learner = WakeSleepLearner::new(Reference::single(), &begin, RATE, settings, ROWS, seed).unwrap();
            for _ in 0..2 {
                trainer.learn(&mut theirs, &rows).unwrap();
                learner.learn(&rows).unwrap();
            }
            let parts = |dbn: &Dbn| -> Vec<Rbm> {
                dbn.generative.iter().chain(&dbn.recognition).chain([&dbn.top]).cloned().collect()
            };
            (parts(&theirs), parts(&learner.network().unwrap()))
        };
        let runs: Vec<(Vec<Rbm>, Vec<Rbm>)> = (0..200).map(run).collect();
        let mut changed = 0;
        for part in 0..runs[0].0.len() {
            let theirs: Vec<Rbm> = runs.iter().map(|(theirs, _)| theirs[part].clone()).collect();
            let ours: Vec<Rbm> = runs.iter().map(|(_, ours)| ours[part].clone()).collect();
            for (a, b) in moments(&theirs).iter().zip(moments(&ours)) {
                if a.1 + b.1 == 0.0 {
                    assert_eq!(a.0, b.0, "{sizes:?}, part {part}: what is not learned stays");
                    continue;
                }
                changed += 1;
                let z = (a.0 - b.0) / (a.1 + b.1).sqrt();
                assert!(z.abs() < 5.0, "{sizes:?}, part {part}: {} ± {}, {} ± {}", a.0, a.1.sqrt(), b.0, b.1.sqrt());
            }
        }
        // Weights and one layer's biases of each way, all of the top's.
        let count = |rbm: &Rbm, biases: &[f32]| rbm.weights.len() + biases.len();
        let ways = begin.generative.iter().map(|rbm| count(rbm, &rbm.visible_bias));
        let ways = ways.chain(begin.recognition.iter().map(|rbm| count(rbm, &rbm.hidden_bias)));
        assert_eq!(changed, ways.sum::<usize>() + parameters(&begin.top).len());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let dbm = Dbm::new(&[4, 3, 2], Units::Binary).unwrap();
    let learner = |settings, rows| DbmLearner::new(Reference::single(), &dbm, settings, rows, 0);
    assert!(matches!(learner(DbmSettings::default(), 0), Err(Error::Range { .. })));
    assert!(matches!(learner(DbmSettings { chains: 0, ..DbmSettings::default() }, 2), Err(Error::Range { .. })));
    let mean_field = MeanFieldSettings { damping: 1.0, ..MeanFieldSettings::default() };
    assert!(matches!(learner(DbmSettings { mean_field, ..DbmSettings::default() }, 2), Err(Error::Range { .. })));
    let mut two = learner(DbmSettings::default(), 2).unwrap();
    assert!(matches!(two.learn(&[0.0; 7]), Err(Error::Length { .. })));
    assert!(matches!(two.set_rate(0.0), Err(Error::Range { .. })));
    assert_eq!(two.machine().unwrap(), dbm);
    let dbn = network(&[4, 3, 2], Units::Binary);
    let learner = |rate, rows| WakeSleepLearner::new(Reference::single(), &dbn, rate, Settings::default(), rows, 0);
    assert!(matches!(learner(0.0, 2), Err(Error::Range { .. })) && matches!(learner(0.1, 0), Err(Error::Range { .. })));
    let mut two = learner(0.1, 2).unwrap();
    assert!(matches!(two.learn(&[0.0; 7]), Err(Error::Length { .. })));
    assert_eq!(two.network().unwrap(), dbn);
}
