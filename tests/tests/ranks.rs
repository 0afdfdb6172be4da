//! Reads that are shared out among ranks are those of one process, bit for bit.

use std::ops::ControlFlow;

use yuragi_cpu::Cpu;
use yuragi_energy::{
    Bonds, Error, Problem, Schedule,
    dynamics::{Dynamics, Metropolis, Skewed, SuwaTodo},
    rbm::{Rbm, Units, partition, plan},
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
fn t19_annealed_chains_on_ranks_are_those_of_one_process() {
    let cpu = Cpu::new();
    for units in [Units::Binary, Units::Spin] {
        let mut rbm = Rbm::new(21, 13, units, units).unwrap();
        rbm.randomize(0.4, 7);
        // Most units are up, of some chains all.
        rbm.visible_bias.iter_mut().for_each(|bias| *bias = 1.5);
        let (base, effort) = (vec![1.0; 21], (40, 37));
        let alone = partition::annealed_log_z(&rbm, &base, effort, 3, &mut quiet).unwrap();
        let planned = plan::annealed_log_z(&cpu, &rbm, &base, effort, 3, &mut quiet).unwrap();
        for size in [1, 2, 3, 5, 40] {
            let found = team::run(size, |rank| {
                let found = [1, 3].map(|threads| {
                    partition::annealed_log_z_on((rank, threads), &rbm, &base, effort, 3, &mut quiet).unwrap()
                });
                let sent = rank.sent();
                let planned = plan::annealed_log_z_on((rank, &cpu), &rbm, &base, effort, 3, &mut quiet).unwrap();
                (found, planned, sent, rank.share(37, 1, rank.rank()).len())
            });
            for (found, on_plans, sent, own) in found {
                assert_eq!((found, on_plans), ([alone; 2], planned), "{units:?} on {size} ranks");
                // A number of each chain goes to every other rank, once.
                assert_eq!(sent, 2 * 8 * own * (size - 1));
            }
        }
        // One rank that is cancelled cancels all.
        let cancelled = team::run(3, |rank| {
            let mut hook = |_| if rank.rank() == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            partition::annealed_log_z_on((rank, 2), &rbm, &base, effort, 3, &mut hook)
        });
        assert_eq!(cancelled, [const { Err(Error::Cancelled) }; 3]);
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
        for resampling in [Resampling::Systematic, Resampling::Multinomial, Resampling::Residual] {
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
    // 36 spins as bits, and the direction.
    assert_eq!(sent, [(0, 6, 0), (0, 6, 1)]);
}

#[test]
fn t20_ranks_of_a_population_send_sums_and_what_moves() {
    let problem = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[]).unwrap();
    let temperatures = 9;
    let schedule = Schedule::linear(0.0, 0.6, temperatures).unwrap();
    let settings = PopulationSettings { schedule, sweeps: 4, resampling: Resampling::Systematic };
    let sent = |members: u32| {
        let found = team::run(2, |rank| {
            let here = |own| batch(&problem, Metropolis, own, 3).map(|own| own as Box<dyn Replicas>);
            let mut reads = Ranks::new(rank, &problem, members, 3, 1, here).unwrap();
            let found = population_anneal(&mut reads, &settings, &mut quiet).unwrap();
            (rank.sent(), found.founders)
        });
        found.iter().map(|(sent, _)| *sent).sum::<usize>()
    };
    // At the end all are given every founder and every configuration, of a bit a spin.
    let end = |members: u32| members as usize * (4 + 8);
    let [few, many] = [1_000, 16_000].map(|members| (sent(members) - end(members)) / (temperatures as usize - 1));
    println!("{few} and {many} bytes a temperature, of 1,000 and 16,000 members on two ranks");
    // Sums and counts grow by the logarithm; what moves between the shares is as the root of the number at most.
    assert!(few < 20_000 && many < 4 * few, "{few} {many}");
    assert!(many < 8 * 16_000, "less than the energies alone");
}
