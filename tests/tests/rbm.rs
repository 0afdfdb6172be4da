//! Restricted Boltzmann machines, and stacks of them, on the CUDA backend beside the processor's.
#![cfg(target_os = "linux")]

use yuragi_cpu::Cpu;
use yuragi_cuda::Cuda;
use yuragi_energy::{
    deep::{
        Dbm, DbmSettings, Dbn, MeanFieldSettings,
        plan::{DbmLearner, WakeSleepLearner},
    },
    rbm::{
        Rbm, Units,
        plan::{Learner, annealed_log_z},
        train::Settings,
    },
    sampler::quiet,
};
use yuragi_graph::Backend;
use yuragi_numeric::fill;
use yuragi_tests::on_a_driver;

const ROWS: usize = 16;

fn machine(units: Units) -> Rbm {
    let mut rbm = Rbm::new(20, 12, units, Units::Binary).expect("a machine");
    rbm.randomize(0.3, 5);
    rbm
}

fn learned<B: Backend>(backend: B, rbm: &Rbm, settings: Settings) -> (Vec<f32>, Rbm) {
    let mut learner = Learner::new(backend, rbm, settings, ROWS, 9).expect("a learner");
    let errors = (0..6).map(|step| learner.learn(&rows(step)).expect("a step")).collect();
    (errors, learner.machine().expect("the machine"))
}

/// Rows of a step.
fn rows(step: u32) -> Vec<f32> {
    let mut rows = vec![0.0; ROWS * 20];
    fill::uniform([step, 1], 0, 0, &mut rows);
    rows
}

fn learned_deep<B: Backend>(backend: B, dbm: &Dbm) -> Vec<f32> {
    let mean_field = MeanFieldSettings { rounds: 3, tolerance: 0.0, damping: 0.2 };
    let settings = DbmSettings { rate: 0.1, steps: 2, chains: 8, mean_field, centred: true, ..DbmSettings::default() };
    let mut learner = DbmLearner::new(backend, dbm, settings, ROWS, 9).expect("a learner");
    for step in 0..6 {
        learner.learn(&rows(step)).expect("a step");
    }
    values(learner.machine().expect("the machine").bipartite())
}

fn learned_asleep<B: Backend>(backend: B, dbn: &Dbn) -> Vec<f32> {
    let settings = Settings { rate: 0.1, momentum: 0.5, persistent: true, ..Settings::default() };
    let mut learner = WakeSleepLearner::new(backend, dbn, 0.1, settings, ROWS, 9).expect("a learner");
    for step in 0..6 {
        learner.learn(&rows(step)).expect("a step");
    }
    let dbn = learner.network().expect("the network");
    dbn.generative.iter().chain(&dbn.recognition).chain([&dbn.top]).flat_map(values).collect()
}

fn values(rbm: &Rbm) -> Vec<f32> {
    [&rbm.weights[..], &rbm.visible_bias, &rbm.hidden_bias].concat()
}

/// Draws are the same, sums differ by their rounding.
fn near(a: &f32, b: &f32) -> bool {
    (a - b).abs() <= 2e-5 * b.abs().max(0.1)
}

on_a_driver! {
    fn t22_machines_learn_on_a_device_as_on_the_processor() {
        let cuda = Cuda::new().expect("a driver");
        for units in [Units::Binary, Units::Spin, Units::Gaussian] {
            let rbm = machine(units);
            for persistent in [false, true] {
                let settings =
                    Settings { rate: 0.1, momentum: 0.5, steps: 2, persistent, centred: true, ..Settings::default() };
                let (there, here) = (learned(cuda.clone(), &rbm, settings), learned(Cpu::new(), &rbm, settings));
                assert!(there.0.iter().zip(&here.0).all(|(a, b)| near(a, b)), "{:?} {:?}", there.0, here.0);
                assert!(values(&there.1).iter().zip(&values(&here.1)).all(|(a, b)| near(a, b)), "{units:?}, {persistent}");
                assert!(here.1 != rbm);
            }
        }
    }

    fn t19_log_z_on_a_device_is_that_of_the_processor() {
        let (cuda, cpu) = (Cuda::new().expect("a driver"), Cpu::new());
        for units in [Units::Binary, Units::Spin] {
            let rbm = machine(units);
            let base = [0.2; 20];
            let there = annealed_log_z(&cuda, &rbm, &base, (20, 30), 4, &mut quiet).expect("an estimate");
            let here = annealed_log_z(&cpu, &rbm, &base, (20, 30), 4, &mut quiet).expect("an estimate");
            assert!((there.value - here.value).abs() < 1e-4 && (there.error - here.error).abs() < 1e-4);
        }
    }

    fn t11_stacks_learn_on_a_device_as_on_the_processor() {
        let cuda = Cuda::new().expect("a driver");
        for units in [Units::Binary, Units::Spin] {
            let mut dbm = Dbm::new(&[20, 12, 8, 5], units).expect("a machine");
            dbm.randomize(0.3, 4);
            let mut dbn = Dbn::new(Rbm::new(20, 12, units, units).expect("a machine")).expect("a network");
            for (lower, upper) in [(12, 8), (8, 5)] {
                let mut rbm = Rbm::new(lower, upper, units, units).expect("a machine");
                rbm.randomize(0.3, 6);
                dbn.push(rbm).expect("a network");
            }
            for (there, here) in [
                (learned_deep(cuda.clone(), &dbm), learned_deep(Cpu::new(), &dbm)),
                (learned_asleep(cuda.clone(), &dbn), learned_asleep(Cpu::new(), &dbn)),
            ] {
                assert!(there.iter().zip(&here).all(|(a, b)| near(a, b)), "{units:?}: {there:?} {here:?}");
                assert!(here.iter().filter(|value| **value != 0.0).count() > 300);
            }
        }
    }
}
