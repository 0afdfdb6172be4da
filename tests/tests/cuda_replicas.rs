//! Many reads on a GPU's driver, or the emulator's: the same bits as on the processor.
#![cfg(target_os = "linux")]

use yuragi_cuda::{Device, replicas::CudaReplicas};
use yuragi_energy::{
    Bonds, Problem, Schedule,
    dynamics::{Dynamics, Metropolis},
    replicas::{Reads, Replicas, ScalarReplicas},
    sampler::{
        PopulationSettings, Resampling, anneal, exchange, jarzynski, jarzynski_from, population_anneal, quiet, temper,
        tempering_weights,
    },
};
use yuragi_tests::on_a_driver;

fn problems() -> [Problem; 3] {
    let square = Problem::lattice(&[6, 6], Bonds::Uniform(-1.0), &[0.5; 36]).unwrap();
    let any = Problem::ising(9, (1..9).map(|k| (k - 1, k, 0.3 * k as f64)), &[0.1; 9]).unwrap();
    let dense = square.to_dense().unwrap();
    [square, any, dense]
}

/// What a sampler makes of reads on the device, and of reads one after another on the processor.
fn both<T>(problem: &Problem, reads: Reads, sampler: impl Fn(&mut dyn Replicas) -> T) -> [T; 2] {
    let device = Device::open(0).unwrap();
    let mut there = CudaReplicas::on(&device, problem, Metropolis.two_state().unwrap(), reads, 3).unwrap();
    let mut here = ScalarReplicas::new(problem, Metropolis, reads, 3).unwrap();
    [sampler(&mut there), sampler(&mut here)]
}

on_a_driver! {
    fn t17_annealing_on_a_device_is_that_of_the_processor() {
        let schedule = Schedule::linear(0.1, 2.0, 9).unwrap();
        for problem in &problems() {
            let [a, b] = both(problem, Reads { first: 20, count: 50 }, |r| anneal(r, &schedule, &mut quiet).unwrap());
            assert!(a == b);
        }
    }

    fn t18_tempering_and_exchange_on_a_device_are_those_of_the_processor() {
        let betas = [0.1, 0.4, 0.9];
        for problem in &problems() {
            let ladders = Reads { first: 2, count: 5 }.times(betas.len()).unwrap();
            let [a, b] = both(problem, ladders, |r| exchange(r, &betas, (7, 2), &mut quiet).unwrap());
            assert!(a.samples == b.samples && a.energies == b.energies && a.last_energies == b.last_energies);
            let reads = Reads { first: 31, count: 6 };
            let [a, b] = both(problem, reads, |r| tempering_weights(r, &betas, 4).unwrap());
            assert_eq!(a, b);
            let [a, b] = both(problem, reads, |r| temper(r, (&betas, &[0.0; 3]), (6, 1), &mut quiet).unwrap());
            assert!(a.samples == b.samples && a.levels == b.levels && a.occupancy == b.occupancy);
        }
    }

    fn t19_work_on_a_device_is_that_of_the_processor() {
        let protocol = Schedule::linear(0.0, 1.0, 6).unwrap();
        for problem in &problems() {
            let [a, b] = both(problem, 40.into(), |r| jarzynski(r, &protocol, &mut quiet).unwrap());
            assert!(a.work == b.work && a.heat == b.heat && a.samples == b.samples);
            let starts: Vec<u8> = (0..3 * problem.len()).map(|i| u8::from(i % 3 == 0)).collect();
            let [a, b] = both(problem, 3.into(), |r| jarzynski_from(r, &protocol, &starts, &mut quiet).unwrap());
            assert!(a.work == b.work && a.heat == b.heat && a.samples == b.samples);
        }
    }

    fn t20_populations_on_a_device_are_those_of_the_processor() {
        let schedule = Schedule::linear(0.0, 1.5, 5).unwrap();
        for resampling in [Resampling::Systematic, Resampling::Multinomial] {
            let settings = PopulationSettings { schedule: schedule.clone(), sweeps: 2, resampling };
            for problem in &problems() {
                let [a, b] = both(problem, 45.into(), |r| population_anneal(r, &settings, &mut quiet).unwrap());
                assert!(a.steps == b.steps && a.founders == b.founders && a.samples == b.samples);
            }
        }
    }
}
