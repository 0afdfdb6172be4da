//! T14, T16–T20: what samplers find, against exact answers.

mod common;

use core::ops::ControlFlow;

use common::{LIMIT, plus_minus, pooled, random_ising, random_potts};
use yuragi_energy::draw::Draws;
use yuragi_energy::dynamics::{Blocks, Dynamics, HeatBath, Metropolis, Order, SingleSite, Skewed, SuwaTodo};
use yuragi_energy::exact::{enumerate, finite_square_energy, finite_square_log_z};
use yuragi_energy::replicas::{Betas, Reads, Replicas, ScalarReplicas, batch};
use yuragi_energy::sampler::{
    Exchanging, PopulationSettings, QuantumSettings, Resampling, adaptive_schedule, anneal, exchange, jarzynski,
    jarzynski_from, population_anneal, quantum_anneal, quiet, resample, temper, tempering_weights,
    weights_from_energies,
};
use yuragi_energy::statistics::{autocorrelation_time, mean};
use yuragi_energy::{Bonds, Error, Problem, Schedule};

const SEEDS: core::ops::Range<u64> = 0..20;

/// Replicas of so many reads at so many temperatures.
fn ladders<'a, D: Dynamics + 'a>(
    problem: &'a Problem,
    dynamics: D,
    reads: u32,
    levels: usize,
    seed: u64,
) -> Box<dyn Replicas + Send + 'a> {
    batch(problem, dynamics, Reads::from(reads).times(levels).unwrap(), seed).unwrap()
}

fn square(side: usize) -> Problem {
    Problem::lattice(&[side, side], Bonds::Uniform(1.0), &[]).unwrap()
}

#[test]
fn t14_energies_are_kaufmans() {
    let (side, beta) = (8, 0.3);
    let problem = square(side);
    let expected = finite_square_energy(side, side, beta).unwrap();
    fn check<D: Dynamics + Copy>(problem: &Problem, dynamics: D, reads: u32, expected: f64, what: &str) {
        let score = |seed| {
            // β = 0.3 forgets its start within a few sweeps (ξ ≈ 3).
            let schedule = Schedule::steps([0.3; 60]).unwrap();
            let samples = anneal(&mut *batch(problem, dynamics, reads, seed).unwrap(), &schedule, &mut quiet).unwrap();
            let estimate = mean(samples.energies());
            (estimate.value - expected) / estimate.error
        };
        pooled(&SEEDS.map(score).collect::<Vec<_>>(), what);
    }
    check(&problem, Metropolis, 1024, expected, "Metropolis");
    check(&problem, SingleSite::checkerboard(HeatBath), 1024, expected, "heat bath");
    check(&problem, Blocks { kernel: SuwaTodo, order: Order::Sequential, size: 2 }, 100, expected, "Suwa–Todo pairs");
}

/// τ of `observable` over reads: mean and error.
fn tau<D: Dynamics>(
    problem: &Problem,
    dynamics: D,
    beta: f32,
    sweeps: u32,
    observable: impl Fn(&Problem, &[u8]) -> f64,
) -> yuragi_energy::statistics::Estimate {
    const READS: usize = 8;
    let mut replicas = ScalarReplicas::new(problem, dynamics, Reads { first: 0, count: READS as u32 }, 1).unwrap();
    let mut series = vec![Vec::new(); READS];
    let mut values = vec![0; problem.len()];
    for sweep in 0..sweeps {
        replicas.sweep(sweep, Betas::Same(beta)).unwrap();
        if sweep >= sweeps / 10 {
            for (slot, series) in series.iter_mut().enumerate() {
                replicas.values(slot, &mut values).unwrap();
                series.push(observable(problem, &values));
            }
        }
    }
    let taus: Vec<f64> = series.iter().map(|series| autocorrelation_time(series).value).collect();
    mean(&taus)
}

#[test]
fn t16_suwa_todo_forgets_faster_than_metropolis() {
    // The 4-state Potts model on 8×8 sites at its transition, β = ln(1 + √4): autocorrelation of the energy.
    let problem = Problem::potts_lattice(&[8, 8], 4, Bonds::Uniform(1.0), &[]).unwrap();
    let energy = |problem: &Problem, values: &[u8]| problem.energy(values).unwrap();
    let beta = 3f32.ln();
    let metropolis = tau(&problem, Metropolis, beta, 4000, energy);
    let heat_bath = tau(&problem, HeatBath, beta, 4000, energy);
    let suwa_todo = tau(&problem, SuwaTodo, beta, 4000, energy);
    println!("tau: Metropolis {metropolis:?}, heat bath {heat_bath:?}, Suwa–Todo {suwa_todo:?}");
    for slower in [metropolis, heat_bath] {
        let error = slower.error.hypot(suwa_todo.error);
        assert!(slower.value - suwa_todo.value > LIMIT * error);
    }
}

#[test]
fn t16_the_lifted_chain_forgets_faster_than_metropolis() {
    // The Curie–Weiss model, J = 1/N, at its critical β = 1: autocorrelation of the magnetisation.
    let n = 64;
    let matrix: Vec<f64> = (0..n * n).map(|i| if i / n == i % n { 0.0 } else { 1.0 / n as f64 }).collect();
    let problem = Problem::dense(n, &matrix, &[]).unwrap();
    let magnetization = |_: &Problem, values: &[u8]| values.iter().map(|&v| f64::from(v)).sum::<f64>();
    let metropolis = tau(&problem, SingleSite::random(Metropolis), 1.0, 6000, magnetization);
    let skewed = tau(&problem, Skewed { kernel: Metropolis }, 1.0, 6000, magnetization);
    println!("tau: Metropolis {metropolis:?}, lifted {skewed:?}");
    assert!(metropolis.value - skewed.value > LIMIT * metropolis.error.hypot(skewed.error));
}

#[test]
fn t17_simulated_annealing_finds_ground_states() {
    let instances = [
        plus_minus(&[4, 5], 1),
        plus_minus(&[2, 3, 3], 2),
        random_ising(16, 1.0, 3).to_dense().unwrap(),
        random_ising(18, 0.4, 4),
        random_potts(8, 4, 5),
    ];
    for problem in &instances {
        let ground = enumerate(problem).unwrap().ground().1;
        let range = problem.beta_range();
        for seed in SEEDS {
            let schedules = [
                Schedule::default_for(range, 200).unwrap(),
                Schedule::linear(range.hot, range.cold, 200).unwrap(),
                adaptive_schedule(problem, Metropolis, (range.hot, range.cold), 200, seed).unwrap(),
            ];
            for schedule in schedules {
                let samples =
                    anneal(&mut *batch(problem, Metropolis, 40, seed).unwrap(), &schedule, &mut quiet).unwrap();
                let best = samples.best().unwrap();
                assert!((best.energy - ground).abs() < 1e-9, "seed {seed}: {} above {ground}", best.energy);
                assert_eq!(problem.energy(best.values).unwrap(), best.energy);
            }
            let schedule = Schedule::default_for(range, 200).unwrap();
            let samples = anneal(&mut *batch(problem, HeatBath, 40, seed).unwrap(), &schedule, &mut quiet).unwrap();
            assert!((samples.best().unwrap().energy - ground).abs() < 1e-9, "seed {seed}");
        }
    }
}

#[test]
fn t17_the_adaptive_schedule_lingers_at_the_transition() {
    let problem = square(16);
    let schedule = adaptive_schedule(&problem, Metropolis, (0.05, 3.0), 300, 1).unwrap();
    let betas: Vec<f32> = schedule.betas().collect();
    assert_eq!((betas.len(), betas[0], betas[299]), (300, 0.05, 3.0));
    assert!(betas.windows(2).all(|pair| pair[0] <= pair[1]));
    // σ_E falls by a factor beyond 10 from the transition to β = 1.5, the spacing rises with it.
    let share = |low: f32, high: f32| betas.iter().filter(|&&b| b > low && b < high).count() as f32 / (high - low);
    assert!(share(0.35, 0.5) > 4.0 * share(1.5, 3.0), "{} {}", share(0.35, 0.5), share(1.5, 3.0));
}

#[test]
fn t17_quantum_annealing_finds_ground_states() {
    for problem in [plus_minus(&[4, 4], 6), random_ising(12, 1.0, 7).to_dense().unwrap()] {
        let ground = enumerate(&problem).unwrap().ground().1;
        let settings = QuantumSettings { beta: 6.0, slices: 8, transverse: (3.0, 0.01), sweeps: 200, threads: 1 };
        for seed in SEEDS {
            let samples = quantum_anneal(&problem, settings, 10, seed, &mut quiet).unwrap();
            assert!((samples.best().unwrap().energy - ground).abs() < 1e-9, "seed {seed}");
        }
    }
}

#[test]
fn t17_quantum_annealing_keeps_the_trotter_distribution() {
    // At a constant transverse field: two spins in four slices are eight classical spins.
    let (beta, gamma, slices) = (1.3, 0.8, 4);
    let pair = Problem::ising(2, [(0, 1, 0.7)], &[0.3, -0.1]).unwrap();
    let k = -0.5 * (beta * gamma / f64::from(slices)).tanh().ln();
    let mut couplings = Vec::new();
    let mut fields = Vec::new();
    for slice in 0..slices as usize {
        couplings.push((2 * slice, 2 * slice + 1, 0.7 / f64::from(slices)));
        fields.extend([0.3, -0.1].map(|h| h / f64::from(slices)));
        for spin in 0..2 {
            couplings.push((2 * slice + spin, 2 * ((slice + 1) % 4) + spin, k / beta));
        }
    }
    let trotter = enumerate(&Problem::ising(8, couplings, &fields).unwrap()).unwrap();
    let lowest = |i: usize| {
        let values = trotter.values(i);
        values.chunks(2).map(|slice| pair.energy(slice).unwrap()).fold(f64::INFINITY, f64::min)
    };
    let expected = trotter.mean(beta, lowest);
    let settings = QuantumSettings { beta, slices, transverse: (gamma, gamma), sweeps: 60, threads: 1 };
    let score = |seed| {
        let estimate = mean(quantum_anneal(&pair, settings, 500, seed, &mut quiet).unwrap().energies());
        (estimate.value - expected) / estimate.error
    };
    pooled(&SEEDS.map(score).collect::<Vec<_>>(), "Trotter slices");
}

#[test]
fn t18_weights_are_the_trapezoid_of_log_z() {
    let exact = enumerate(&square(4)).unwrap();
    let error = |steps: usize| {
        let betas: Vec<f64> = (0..=steps).map(|k| 0.1 + 0.5 * k as f64 / steps as f64).collect();
        let energies: Vec<f64> = betas.iter().map(|&beta| exact.mean_energy(beta)).collect();
        let weights = weights_from_energies(&betas, &energies).unwrap();
        weights[steps] - (exact.log_z(0.1) - exact.log_z(0.6))
    };
    // The bias is O(Δβ²): a quarter at half the spacing.
    let ratio = error(10) / error(20);
    assert!((ratio - 4.0).abs() < 0.1, "{ratio}");
    assert!(error(20).abs() < 0.01);
}

#[test]
fn t18_simulated_tempering_visits_every_temperature_alike() {
    let problem = square(4);
    let exact = enumerate(&problem).unwrap();
    let betas: Vec<f64> = (0..6).map(|k| 0.1 + 0.06 * f64::from(k)).collect();
    let measured = tempering_weights(&mut *batch(&problem, Metropolis, 64, !1).unwrap(), &betas, 400).unwrap();
    for (weights, own) in [(betas.iter().map(|&beta| -exact.log_z(beta)).collect(), false), (measured, true)] {
        if own {
            // ⟨E⟩ of 64 × 200 sweeps: within 5 standard errors with σ_E ≤ 9 and τ ≤ 10, plus the bias of 0.01.
            let bound = 5.0 * 0.3 * 9.0 * (20.0f64 / (64.0 * 200.0)).sqrt() + 0.01;
            for (g, beta) in weights.iter().zip(&betas) {
                assert!((g - weights[0] + exact.log_z(*beta) - exact.log_z(betas[0])).abs() < bound);
            }
            continue;
        }
        let mut counts = [0.0; 6];
        let mut energies: Vec<Vec<f64>> = vec![Vec::new(); 6];
        for seed in SEEDS {
            let run = temper(
                &mut *batch(&problem, Metropolis, 200, seed).unwrap(),
                (&betas, &weights),
                (120, 20),
                &mut quiet,
            )
            .unwrap();
            run.levels.iter().for_each(|&level| counts[level as usize] += 1.0);
            assert_eq!(run.occupancy.iter().sum::<u64>(), 200 * 100);
            energies.iter_mut().zip(&run.energies).for_each(|(all, &energy)| all.push(energy));
        }
        // The reads' last levels are independent.
        let expected = counts.iter().sum::<f64>() / 6.0;
        let chi: f64 = counts.iter().map(|count| (count - expected) * (count - expected) / expected).sum();
        assert!(chi < 30.0, "{counts:?}: chi² {chi} of 5"); // p = 1.5e-5
        for (beta, all) in betas.iter().zip(&energies) {
            let estimate = mean(all);
            let z = (estimate.value - exact.mean_energy(*beta)) / estimate.error;
            assert!(z.abs() < 7.0, "beta {beta}: {z}"); // Student's t of 19, p = 1e-6
        }
    }
}

#[test]
fn t18_exchange_step_by_step_is_that_of_one_call() {
    let problem = Problem::plus_minus(&[6, 6], 3).unwrap();
    let betas = [0.3, 0.6, 1.0, 1.7];
    let ladders = || batch(&problem, Metropolis, Reads::from(3).times(betas.len()).unwrap(), 5).unwrap();
    let whole = exchange(&mut *ladders(), &betas, (70, 0), &mut quiet).unwrap();
    let mut steps = Exchanging::new(ladders(), &betas).unwrap();
    (0..70).for_each(|_| steps.step(true).unwrap());
    for (read, slots) in steps.slots().chunks(betas.len()).enumerate() {
        let mut values = [0; 36];
        steps.replicas().values(slots[3], &mut values).unwrap();
        assert_eq!(whole.samples.iter().nth(read).unwrap().values, values);
        let energies: Vec<f64> = slots.iter().map(|&slot| steps.energies()[slot]).collect();
        assert_eq!(whole.last_energies[4 * read..][..4], energies);
    }
    assert!(steps.exchanges().map(|(accepted, tried)| accepted as f64 / tried as f64).eq(whole.acceptance));
    let slots = steps.slots().to_vec();
    assert!(steps.set_betas(&[0.3, 0.6, 1.0]).is_err() && steps.set_betas(&[0.3, 0.6, 0.5, 1.0]).is_err());
    steps.set_betas(&[2.0, 3.0, 4.0, 5.0]).unwrap();
    let before: f64 = steps.energies().iter().sum();
    (0..50).for_each(|_| steps.step(false).unwrap());
    assert_eq!(steps.slots(), slots);
    assert!(steps.energies().iter().sum::<f64>() < before, "colder replicas have less energy");
}

#[test]
fn t18_replica_exchange_is_in_equilibrium_at_every_temperature() {
    let problem = plus_minus(&[4, 4], 8);
    let exact = enumerate(&problem).unwrap();
    let betas = [0.2, 0.5, 0.9, 1.5, 2.5];
    let scores: Vec<Vec<f64>> = SEEDS
        .map(|seed| {
            let run = exchange(&mut *ladders(&problem, HeatBath, 60, 5, seed), &betas, (150, 50), &mut quiet).unwrap();
            assert!(run.acceptance.iter().all(|share| (0.05..1.0).contains(share)), "{:?}", run.acceptance);
            let score = |level: usize| {
                let own: Vec<f64> = run.last_energies.iter().skip(level).step_by(5).copied().collect();
                let estimate = mean(&own);
                (estimate.value - exact.mean_energy(betas[level])) / estimate.error
            };
            (0..5).map(score).collect()
        })
        .collect();
    for level in 0..3 {
        pooled(&scores.iter().map(|scores| scores[level]).collect::<Vec<_>>(), "exchange");
    }
    // The two coldest have energies far from normal: judge the mean of all seeds.
    for level in 3..5 {
        let shift = scores.iter().map(|scores| scores[level]).filter(|z| z.is_finite()).sum::<f64>();
        assert!((shift / 20f64.sqrt()).abs() < LIMIT + 1.0, "{shift}");
    }
}

#[test]
fn t19_jarzynski_gives_log_z_at_any_speed_with_every_chain() {
    let problem = square(4);
    let (beta, n) = (0.4, 16.0);
    let expected = finite_square_log_z(4, 4, beta).unwrap();
    fn check<D: Dynamics + Copy>(problem: &Problem, dynamics: D, beta: f64, sweeps: u32, ratio: f64, what: &str) {
        let mut gap = 0.0;
        let score = |seed| {
            let protocol = Schedule::linear(0.0, beta, sweeps).unwrap();
            let work = jarzynski(&mut *batch(problem, dynamics, 400, seed).unwrap(), &protocol, &mut quiet).unwrap();
            let estimate = work.log_ratio();
            let mean_work = work.mean_work();
            // The second law, with room for the sampling error.
            assert!(mean_work.value > -ratio - 5.0 * mean_work.error);
            gap += (mean_work.value + ratio) / 20.0;
            // The first law: W + Q = β_T E_T − β_0 E_0, to rounding; here β_0 = 0.
            for ((w, q), energy) in work.work.iter().zip(&work.heat).zip(work.samples.energies()) {
                assert!((w + q - f64::from(beta as f32) * energy).abs() < 1e-10);
            }
            (estimate.value - ratio) / estimate.error
        };
        let scores: Vec<f64> = SEEDS.map(score).collect();
        println!("{what}, {sweeps} sweeps: dissipated work {gap:.3}");
        pooled(&scores, what);
    }
    let ratio = expected - n * 2f64.ln();
    for sweeps in [10, 60] {
        check(&problem, Metropolis, beta, sweeps, ratio, "Metropolis");
        check(&problem, SingleSite::random(HeatBath), beta, sweeps, ratio, "heat bath");
        check(&problem, Blocks { kernel: SuwaTodo, order: Order::Sequential, size: 2 }, beta, sweeps, ratio, "pairs");
        check(&problem, Skewed { kernel: HeatBath }, beta, sweeps, ratio, "lifted");
    }
    let potts = random_potts(4, 3, 9);
    let exact = enumerate(&potts).unwrap();
    check(&potts, SuwaTodo, 1.0, 20, exact.log_z(1.0) - exact.log_z(0.0), "Potts");
}

/// χ²/n of estimates that claim their errors, and the mean of their scores.
fn judged(scores: &[f64], what: &str) -> f64 {
    let chi = scores.iter().map(|z| z * z).sum::<f64>() / scores.len() as f64;
    let largest = scores.iter().fold(0.0, |largest: f64, z| largest.max(z.abs()));
    println!("{what}: chi² {chi:.2} a degree, mean z {:+.2}, largest {largest:.1}", mean(scores).value);
    chi
}

#[test]
fn t19_errors_of_log_z_hold_at_any_speed() {
    // From a protocol whose mean of 500 weights misses the truth by many nats to one that is nearly in equilibrium.
    let problem = square(12);
    let beta = 0.44f32;
    let ratio = finite_square_log_z(12, 12, beta.into()).unwrap() - 144.0 * 2f64.ln();
    for sweeps in [5, 20, 80, 320] {
        let protocol = Schedule::linear(0.0, beta.into(), sweeps + 1).unwrap();
        let run = |seed: u64| {
            jarzynski(&mut *batch(&problem, Metropolis, 500, 100 + seed).unwrap(), &protocol, &mut quiet)
                .unwrap()
                .log_ratio()
        };
        let found: Vec<_> = (0..40).map(run).collect();
        let scores: Vec<f64> = found.iter().map(|found| (found.value - ratio) / found.error).collect();
        let chi = judged(&scores, &format!("Jarzynski, {sweeps} sweeps, ± {:.3}", found[0].error));
        // χ² of 40 beyond 1.9 a degree has p = 5e-4; errors more than twice too large would give less than a quarter.
        assert!(chi < 1.9 && (sweeps < 80 || chi > 0.3), "{sweeps} sweeps: {chi}");
        assert!(scores.iter().all(|z| z.abs() < 4.5));
    }
}

#[test]
fn t20_errors_of_log_z_hold_at_any_speed() {
    let problem = square(12);
    for (sweeps, cold) in [(1, 0.8), (1, 0.44), (10, 0.44), (60, 0.44)] {
        let schedule = Schedule::linear(0.0, cold, 24).unwrap();
        let beta = f64::from(schedule.beta(23));
        let expected = finite_square_log_z(12, 12, beta).unwrap();
        let settings = PopulationSettings { schedule, sweeps, resampling: Resampling::Systematic };
        let run = |seed: u64| {
            population_anneal(&mut *batch(&problem, Metropolis, 400, 200 + seed).unwrap(), &settings, &mut quiet)
                .unwrap()
                .steps[23]
        };
        let found: Vec<_> = (0..40).map(run).collect();
        let scores: Vec<f64> = found.iter().map(|found| (found.log_z - expected) / found.error).collect();
        let chi = judged(&scores, &format!("population, {sweeps} sweeps to {cold}, ± {:.3}", found[0].error));
        assert!(chi < 1.9 && (sweeps < 10 || chi > 0.3), "{sweeps} sweeps: {chi}");
        assert!(scores.iter().all(|z| z.abs() < 4.5));
    }
}

#[test]
fn t19_reverse_annealing_bounds_from_above() {
    let problem = plus_minus(&[4, 4], 10);
    let exact = enumerate(&problem).unwrap();
    let beta = 1.0;
    let ratio = exact.log_z(f64::from(beta as f32)) - exact.log_z(0.0);
    // Exact starts: quantiles of the enumerated distribution at positions of the seed's draws.
    let mut cumulative = exact.distribution(beta);
    for i in 1..cumulative.len() {
        cumulative[i] += cumulative[i - 1];
    }
    let (mut forward, mut reverse, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for seed in SEEDS {
        let draws = Draws::new(1000 + seed);
        let starts: Vec<u8> = (0..300)
            .flat_map(|read| {
                let word = draws.word(0, 0, yuragi_energy::draw::Stream::Choice, read);
                let position = (f64::from(word) + 0.5) / 2f64.powi(32);
                exact.values(cumulative.partition_point(|&end| end < position).min(cumulative.len() - 1))
            })
            .collect();
        let up = Schedule::linear(0.0, beta, 40).unwrap();
        let down = Schedule::linear(beta, 0.0, 40).unwrap();
        let back = jarzynski_from(&mut *batch(&problem, HeatBath, 300, seed).unwrap(), &down, &starts, &mut quiet)
            .unwrap()
            .log_ratio();
        scores.push((-back.value - ratio) / back.error);
        reverse.push(-back.value);
        forward.push(
            jarzynski(&mut *batch(&problem, HeatBath, 300, seed).unwrap(), &up, &mut quiet).unwrap().log_ratio().value,
        );
    }
    let (forward, reverse) = (mean(&forward), mean(&reverse));
    println!("{forward:?} <= {ratio} <= {reverse:?}");
    assert!(forward.value - 5.0 * forward.error < ratio && ratio < reverse.value + 5.0 * reverse.error);
    pooled(&scores, "reverse");
}

#[test]
fn t19_a_sudden_change_is_bracketed() {
    // One jump: the work has heavy tails, so that the estimate is only bounded: W ≥ W_min.
    let problem = square(4);
    let work = jarzynski(
        &mut *batch(&problem, Metropolis, 1000, 1).unwrap(),
        &Schedule::linear(0.0, 1.0, 2).unwrap(),
        &mut quiet,
    )
    .unwrap();
    let ratio = finite_square_log_z(4, 4, 1.0).unwrap() - 16.0 * 2f64.ln();
    let largest = work.work.iter().fold(f64::NEG_INFINITY, |largest, w| largest.max(-w));
    let estimate = work.log_ratio();
    assert!(estimate.value <= largest && estimate.value >= -work.mean_work().value);
    assert!(-work.mean_work().value < ratio && work.effective_reads() < 20.0);
}

#[test]
fn t20_population_annealing_follows_kaufmans_log_z() {
    let side = 8;
    let problem = square(side);
    for resampling in [Resampling::Systematic, Resampling::Multinomial, Resampling::Residual] {
        let schedule = Schedule::linear(0.0, 0.5, 26).unwrap();
        let settings = PopulationSettings { schedule, sweeps: 5, resampling };
        let runs: Vec<_> = SEEDS
            .map(|seed| {
                population_anneal(&mut *batch(&problem, Metropolis, 500, seed).unwrap(), &settings, &mut quiet).unwrap()
            })
            .collect();
        let mut worst = 0.0f64;
        for step in 1..26 {
            let beta = runs[0].steps[step].beta;
            let expected = finite_square_log_z(side, side, beta).unwrap();
            let all: Vec<f64> = runs.iter().map(|run| run.steps[step].log_z).collect();
            let estimate = mean(&all);
            let z = (estimate.value - expected) / estimate.error;
            worst = worst.max(z.abs());
            // E[Z] is exact, E[ln Z] below by half the relative variance.
            let bias = 10.0 * estimate.error * estimate.error;
            // Student's t of 19 beyond 6.5: p = 3e-6, for 75 (dependent) judgements.
            assert!((estimate.value - expected).abs() < 6.5 * estimate.error + bias, "{resampling:?} {beta}: {z}");
        }
        // The families' error bars against the spread of the seeds.
        let last: Vec<f64> = runs.iter().map(|run| run.steps[25].log_z).collect();
        let spread = mean(&last).error * 20f64.sqrt();
        let claimed = runs.iter().map(|run| run.steps[25].error).sum::<f64>() / 20.0;
        let family = runs.iter().map(|run| run.steps[25].family_size).sum::<f64>() / 20.0;
        println!(
            "{resampling:?}: largest z {worst:.2}, spread {spread:.4}, claimed {claimed:.4}, family size {family:.1}"
        );
        // χ² of 19: a spread 1.65 times the truth has p = 3e-5.
        assert!(spread < 1.65 * claimed, "{spread} {claimed}");
        for run in &runs {
            for steps in run.steps.windows(2) {
                assert!(steps[1].families <= steps[0].families && steps[1].family_size >= 1.0);
            }
            let step = run.steps[25];
            assert_eq!(run.founders.len(), 500);
            assert!(step.family_size < 100.0 && step.lowest_energy <= step.mean_energy);
        }
    }
}

#[test]
fn t20_resampling_keeps_expectations() {
    let log_weights: Vec<f64> = [0.1, 1.0, 2.5, 0.4, 0.0].iter().map(|w: &f64| w.ln()).collect();
    for kind in [Resampling::Systematic, Resampling::Multinomial, Resampling::Residual] {
        let mut counts = [0.0; 5];
        let mut squares = [0.0; 5];
        const STEPS: u32 = 4000;
        for step in 0..STEPS {
            let parents = resample(kind, &log_weights, Draws::new(5), step).unwrap();
            assert!(parents.len() == 5 && parents.is_sorted());
            for i in 0..5 {
                let count = parents.iter().filter(|&&parent| parent == i as u32).count() as f64;
                counts[i] += count;
                squares[i] += count * count;
                let expected = 5.0 * log_weights[i].exp() / 4.0;
                match kind {
                    Resampling::Systematic => assert!((count - expected).abs() < 1.0 + 1e-12),
                    Resampling::Residual => assert!(count >= expected.floor()),
                    Resampling::Multinomial => {}
                }
            }
        }
        for i in 0..5 {
            let (n, expected) = (f64::from(STEPS), 5.0 * log_weights[i].exp() / 4.0);
            let (average, variance) = (counts[i] / n, (squares[i] / n - (counts[i] / n).powi(2)).max(1e-12));
            let z = (average - expected) / (variance / n).sqrt();
            assert!(z.abs() < LIMIT || (average - expected).abs() < 1e-9, "{kind:?} {i}: {z}");
        }
    }
    assert!(resample(Resampling::Systematic, &[f64::NAN], Draws::new(1), 0).is_err());
    assert!(resample(Resampling::Systematic, &[f64::NEG_INFINITY], Draws::new(1), 0).is_err());
    assert_eq!(resample(Resampling::Residual, &[], Draws::new(1), 0), Ok(vec![]));
}

#[test]
fn samplers_survive_the_edges() {
    let free = Problem::ising(3, [], &[]).unwrap();
    let one = Problem::ising(1, [], &[1.0]).unwrap();
    let apart = Problem::ising(5, [(0, 1, 1.0), (3, 4, -1.0)], &[]).unwrap();
    for problem in [&free, &one, &apart] {
        for betas in [[0.0, 0.0], [0.0, 1e30], [3e38, 3e38]] {
            let schedule = Schedule::steps(betas).unwrap();
            for reads in [0, 1, 5] {
                let samples =
                    anneal(&mut *batch(problem, Metropolis, reads, 1).unwrap(), &schedule, &mut quiet).unwrap();
                assert_eq!(samples.len(), reads as usize);
                assert!(samples.energies().iter().all(|energy| energy.is_finite()));
                anneal(&mut *batch(problem, Skewed { kernel: HeatBath }, reads, 1).unwrap(), &schedule, &mut quiet)
                    .unwrap();
            }
            if betas[0] == 0.0 {
                let work = jarzynski(&mut *batch(problem, HeatBath, 50, 1).unwrap(), &schedule, &mut quiet).unwrap();
                assert!(!work.log_ratio().value.is_nan());
                let settings = PopulationSettings { schedule, sweeps: 2, resampling: Resampling::Systematic };
                let population =
                    population_anneal(&mut *batch(problem, Metropolis, 50, 1).unwrap(), &settings, &mut quiet).unwrap();
                assert!(population.steps.iter().all(|step| !step.log_z.is_nan() && !step.error.is_nan()));
            }
        }
    }
    let none = Schedule::steps([]).unwrap();
    assert_eq!(anneal(&mut *batch(&one, Metropolis, 2, 1).unwrap(), &none, &mut quiet).unwrap().len(), 2);
    for beta in [-1.0, f64::NAN, f64::INFINITY, 1e39] {
        assert!(matches!(Schedule::linear(beta, 1.0, 3), Err(Error::Range { .. })));
        assert!(matches!(Schedule::steps([beta]), Err(Error::Range { .. })));
    }
    assert!(Schedule::geometric(0.0, 1.0, 3).is_err());
    let long = Schedule::linear(0.0, 1.0, u32::MAX).unwrap();
    let settings = PopulationSettings { schedule: long, sweeps: 7, resampling: Resampling::Systematic };
    assert!(matches!(
        population_anneal(&mut *batch(&one, Metropolis, 5, 1).unwrap(), &settings, &mut quiet),
        Err(Error::Overflow { .. })
    ));
    let mut two = batch(&one, Metropolis, 2, 1).unwrap();
    assert!(matches!(exchange(&mut *two, &[0.1, 0.2, 0.3], (1, 0), &mut quiet), Err(Error::Range { .. })));
    let hot = Schedule::linear(0.1, 1.0, 5).unwrap();
    assert!(matches!(
        jarzynski(&mut *batch(&one, Metropolis, 5, 1).unwrap(), &hot, &mut quiet),
        Err(Error::Range { .. })
    ));
    assert!(exchange(&mut *two, &[0.2, 0.1], (1, 0), &mut quiet).is_err());
    assert!(temper(&mut *two, (&[0.1, 0.2], &[0.0]), (1, 0), &mut quiet).is_err());
    let weak = QuantumSettings { beta: 1.0, slices: 3, transverse: (1e-300, 1e-300), sweeps: 3, threads: 1 };
    assert!(quantum_anneal(&one, weak, 2, 1, &mut quiet).unwrap().mean_energy().is_finite());
    for wrong in [
        QuantumSettings { beta: 0.0, ..weak },
        QuantumSettings { slices: 0, ..weak },
        QuantumSettings { slices: u32::MAX, transverse: (1.0, 2.0), ..weak },
    ] {
        assert!(quantum_anneal(&one, wrong, 2, 1, &mut quiet).is_err());
    }
}

#[test]
fn a_hook_sees_progress_and_cancels() {
    let problem = square(4);
    let schedule = Schedule::linear(0.0, 1.0, 10).unwrap();
    let mut seen = Vec::new();
    let mut stop = |progress: yuragi_energy::sampler::Progress| {
        seen.push((progress.done, progress.total));
        if progress.done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let cancelled = anneal(&mut *batch(&problem, Metropolis, 4, 1).unwrap(), &schedule, &mut stop);
    assert_eq!(cancelled, Err(Error::Cancelled));
    assert_eq!(seen, [(1, 10), (2, 10), (3, 10)]);
    let mut replicas = batch(&problem, Metropolis, Reads { first: 0, count: 4 }, 1).unwrap();
    replicas.sweep(0, Betas::Same(0.5)).unwrap();
}
