//! Reads that are shared out among ranks are those of one process, bit for bit.

use yuragi_energy::{
    Bonds, Problem, Schedule,
    dynamics::{Dynamics, Metropolis, Skewed, SuwaTodo},
    replicas::{Ranks, Reads, Replicas, batch, group},
    sampler::{
        PopulationSettings, Resampling, anneal, exchange, jarzynski, population_anneal, quiet, temper,
        tempering_weights,
    },
};
use yuragi_graph::Collective;
use yuragi_tests::team;

/// A lattice, which is swept by bits; all-coupled spins, which keep their local fields; and colours.
fn problems() -> [Problem; 3] {
    let square = Problem::lattice(&[6, 6], Bonds::Uniform(1.0), &[0.25; 36]).unwrap();
    let pairs = (0..9).flat_map(|k| (0..k).map(move |l| (l, k, 0.3 * (k as f64 - 2.0 * l as f64))));
    let dense = Problem::ising(9, pairs, &[0.1; 9]).unwrap().to_dense().unwrap();
    [square, dense, Problem::potts_lattice(&[5, 4], 3, Bonds::Uniform(1.0), &[]).unwrap()]
}

/// A sampler gives one thing on one process and on every rank of two, three and five.
fn one<D: Dynamics + Copy + Sync, T: PartialEq + Send>(
    problem: &Problem,
    chain: D,
    reads: Reads,
    sampler: impl Fn(&mut dyn Replicas) -> T + Sync,
) -> bool {
    let alone = sampler(&mut *batch(problem, chain, reads, 3).unwrap());
    [2, 3, 5].into_iter().all(|size| {
        let found = team::run(size, |rank| {
            let here = |own| batch(problem, chain, own, 3).map(|own| own as Box<dyn Replicas>);
            sampler(&mut Ranks::new(rank, problem, reads, 3, group(problem, &chain), here).unwrap())
        });
        found.len() == size && found.iter().all(|found| *found == alone)
    })
}

#[test]
fn t17_annealing_on_ranks_is_that_of_one_process() {
    let schedule = Schedule::linear(0.1, 2.0, 9).unwrap();
    let [square, dense, colours] = problems();
    let sampler = |r: &mut dyn Replicas| anneal(r, &schedule, &mut quiet).unwrap();
    assert!(one(&square, Metropolis, Reads { first: 20, count: 50 }, sampler));
    assert!(one(&square, Metropolis, 1300.into(), sampler));
    assert!(one(&square, Skewed { kernel: Metropolis }, 7.into(), sampler));
    assert!(one(&dense, Metropolis, 50.into(), sampler));
    assert!(one(&colours, SuwaTodo, 4.into(), sampler), "one rank has no read");
}

#[test]
fn t18_exchange_and_tempering_on_ranks_are_those_of_one_process() {
    let betas = [0.1, 0.4, 0.9];
    for problem in &problems()[..2] {
        let ladders = Reads { first: 2, count: 5 }.times(betas.len()).unwrap();
        assert!(one(problem, Metropolis, ladders, |r| {
            let found = exchange(r, &betas, (7, 2), &mut quiet).unwrap();
            (found.samples, found.energies, found.last_energies, found.acceptance)
        }));
        let reads = Reads { first: 31, count: 6 };
        assert!(one(problem, Metropolis, reads, |r| tempering_weights(r, &betas, 4).unwrap()));
        assert!(one(problem, Metropolis, reads, |r| {
            let found = temper(r, (&betas, &[0.0; 3]), (6, 1), &mut quiet).unwrap();
            (found.samples, found.levels, found.occupancy)
        }));
    }
}

#[test]
fn t19_work_on_ranks_is_that_of_one_process() {
    let protocol = Schedule::linear(0.0, 1.0, 6).unwrap();
    for problem in &problems()[..2] {
        assert!(one(problem, Metropolis, 40.into(), |r| {
            let found = jarzynski(r, &protocol, &mut quiet).unwrap();
            (found.work, found.heat, found.samples)
        }));
    }
}

#[test]
fn t20_a_population_on_ranks_is_that_of_one_process() {
    let schedule = Schedule::linear(0.0, 1.5, 8).unwrap();
    let settings = PopulationSettings { schedule, sweeps: 2, resampling: Resampling::Systematic };
    for problem in &problems()[..2] {
        for resampling in [Resampling::Systematic, Resampling::Multinomial] {
            let settings = PopulationSettings { resampling, ..settings.clone() };
            assert!(one(problem, Metropolis, 60.into(), |r| {
                let found = population_anneal(r, &settings, &mut quiet).unwrap();
                (found.samples, found.founders, found.steps)
            }));
        }
    }
    // A slot keeps what it held where nobody moves, and only what moves is sent.
    let [square, ..] = problems();
    let sent = team::run(2, |rank| {
        let here = |own| batch(&square, Metropolis, own, 3).map(|own| own as Box<dyn Replicas>);
        let mut reads = Ranks::new(rank, &square, 8, 3, 1, here).unwrap();
        reads.resample(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        let none = rank.sent();
        reads.resample(&[7, 7, 7, 3, 4, 5, 6, 0]).unwrap();
        (none, rank.sent(), rank.rank())
    });
    assert_eq!(sent, [(0, 37, 0), (0, 37, 1)]);
}
