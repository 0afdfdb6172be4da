//! Restricted Boltzmann machines on the CUDA backend beside the processor's.
#![cfg(target_os = "linux")]

use yuragi_cpu::Cpu;
use yuragi_cuda::Cuda;
use yuragi_energy::{
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
    let mut rows = vec![0.0; ROWS * 20];
    let step = |step| {
        fill::uniform([step, 1], 0, 0, &mut rows);
        learner.learn(&rows).expect("a step")
    };
    let errors = (0..6).map(step).collect();
    (errors, learner.machine().expect("the machine"))
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
                // Draws are the same, sums differ by their rounding.
                let near = |a: &f32, b: &f32| (a - b).abs() <= 2e-5 * b.abs().max(0.1);
                assert!(there.0.iter().zip(&here.0).all(|(a, b)| near(a, b)), "{:?} {:?}", there.0, here.0);
                let all = |rbm: &Rbm| [&rbm.weights[..], &rbm.visible_bias, &rbm.hidden_bias].concat();
                assert!(all(&there.1).iter().zip(&all(&here.1)).all(|(a, b)| near(a, b)), "{units:?}, {persistent}");
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
}
