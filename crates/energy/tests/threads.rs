//! Reads and samplers on threads: the same as on one.

mod common;

use core::ops::ControlFlow;

use common::{plus_minus, random_ising, random_potts};
use yuragi_energy::dynamics::{Dynamics, HeatBath, Metropolis, Skewed, SuwaTodo};
use yuragi_energy::replicas::{Reads, Replicas, Threads, batch};
use yuragi_energy::sampler::{
    PopulationSettings, QuantumSettings, Resampling, exchange, jarzynski_from, population_anneal, quantum_anneal,
    quiet, temper,
};
use yuragi_energy::{Error, Problem, Schedule};

#[test]
fn threads_change_nothing() {
    let dense = random_ising(30, 1.0, 20).to_dense().unwrap();
    let potts = random_potts(6, 3, 21);
    fn check<D: Dynamics + Copy>(problem: &Problem, dynamics: D) {
        let (betas, reads) = ([0.1, 0.4, 0.9], Reads::from(41).times(3).unwrap());
        let alone = exchange(&mut *batch(problem, dynamics, reads, 1).unwrap(), &betas, (9, 2), &mut quiet).unwrap();
        let settings = PopulationSettings {
            schedule: Schedule::linear(0.0, 0.7, 5).unwrap(),
            sweeps: 3,
            resampling: Resampling::Multinomial,
        };
        let batched = || batch(problem, dynamics, 700, 2).unwrap();
        let population = population_anneal(&mut *batched(), &settings, &mut quiet).unwrap();
        let walk = temper(&mut *batched(), (&betas, &[0.0; 3]), (9, 2), &mut quiet).unwrap();
        let starts = batched().configurations().unwrap();
        let work = jarzynski_from(&mut *batched(), &settings.schedule, &starts, &mut quiet).unwrap();
        for threads in [1, 2, 3, 64] {
            let mut spread = Threads::new(threads, problem, dynamics, reads, 1).unwrap();
            let spread = exchange(&mut spread, &betas, (9, 2), &mut quiet).unwrap();
            assert_eq!(spread.samples, alone.samples);
            assert_eq!((spread.energies, spread.acceptance), (alone.energies.clone(), alone.acceptance.clone()));
            let spread = || Threads::new(threads, problem, dynamics, 700, 2).unwrap();
            let found = population_anneal(&mut spread(), &settings, &mut quiet).unwrap();
            assert_eq!((found.samples, found.founders), (population.samples.clone(), population.founders.clone()));
            assert_eq!(found.steps, population.steps);
            let found = temper(&mut spread(), (&betas, &[0.0; 3]), (9, 2), &mut quiet).unwrap();
            assert_eq!((found.samples, found.levels), (walk.samples.clone(), walk.levels.clone()));
            let found = jarzynski_from(&mut spread(), &settings.schedule, &starts, &mut quiet).unwrap();
            assert_eq!((found.work, found.samples), (work.work.clone(), work.samples.clone()));
            let (whole, mut slot) = (spread(), vec![0; problem.len()]);
            whole.values(650, &mut slot).unwrap();
            assert_eq!(slot, starts[650 * problem.len()..][..problem.len()]);
            assert!(whole.values(700, &mut slot).is_err() && whole.state(700).is_err());
        }
        let mut stop = |_| ControlFlow::Break(());
        let mut spread = Threads::new(3, problem, dynamics, 700, 2).unwrap();
        assert!(matches!(population_anneal(&mut spread, &settings, &mut stop), Err(Error::Cancelled)));
        assert_eq!(Threads::new(3, problem, dynamics, 0, 2).unwrap().configurations(), Ok(vec![]));
    }
    check(&plus_minus(&[5, 6], 22), Metropolis);
    check(&random_ising(20, 0.3, 23), HeatBath);
    check(&dense, Metropolis);
    check(&dense, Skewed { kernel: Metropolis });
    check(&potts, SuwaTodo);
    let settings = QuantumSettings { beta: 2.0, slices: 4, transverse: (2.0, 0.1), sweeps: 10, threads: 1 };
    for problem in [&plus_minus(&[5, 6], 22), &dense] {
        let alone = quantum_anneal(problem, settings, 70, 3, &mut quiet).unwrap();
        for threads in [2, 5] {
            let settings = QuantumSettings { threads, ..settings };
            assert_eq!(quantum_anneal(problem, settings, 70, 3, &mut quiet).unwrap(), alone);
            let mut stop = |_| ControlFlow::Break(());
            assert_eq!(quantum_anneal(problem, settings, 70, 3, &mut stop), Err(Error::Cancelled));
        }
    }
}
