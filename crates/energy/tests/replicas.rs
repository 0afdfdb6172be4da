//! Reads are the same whichever run beside them and however they are swept.

mod common;

use common::{random_ising, random_potts, uniforms};
use yuragi_energy::dynamics::{Dynamics, HeatBath, Metropolis, Order, Replica, SingleSite, Skewed, SuwaTodo};
use yuragi_energy::replicas::{Betas, BitReplicas, Reads, Replicas, ScalarReplicas, batch};
use yuragi_energy::{Bonds, Error, Problem};

fn reads(first: u32, count: u32) -> Reads {
    Reads { first, count }
}

fn states(replicas: &dyn Replicas) -> Vec<Vec<u8>> {
    let mut values = vec![0; replicas.problem().len()];
    (0..replicas.len())
        .map(|slot| {
            replicas.values(slot, &mut values).unwrap();
            values.clone()
        })
        .collect()
}

/// Both must hold the same configurations and energies, to the last bit.
fn equal(a: &mut dyn Replicas, b: &mut dyn Replicas, what: &str) {
    assert_eq!(states(a), states(b), "{what}");
    let [mut x, mut y] = [vec![0.0; a.len()], vec![0.0; b.len()]];
    a.energies(&mut x).unwrap();
    b.energies(&mut y).unwrap();
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&x), bits(&y), "{what}");
    let [mut kept, mut other] = [vec![0.0; a.len()], vec![0.0; b.len()]];
    a.kept_energies(&mut kept).unwrap();
    b.kept_energies(&mut other).unwrap();
    assert_eq!(bits(&kept), bits(&other), "{what}, as they are kept");
    assert!(kept.iter().zip(&x).all(|(kept, energy)| (kept - energy).abs() < 1e-3), "{what}");
    for (values, energy) in states(a).iter().zip(&x) {
        assert_eq!(a.problem().energy(values).unwrap().to_bits(), energy.to_bits());
    }
}

/// Sweeps both at changing temperatures, resamples, goes on.
fn follow(problem: &Problem, kernel: SingleSite<impl yuragi_energy::dynamics::Kernel>, span: Reads, each: bool) {
    let mut scalar = ScalarReplicas::new(problem, kernel, span, 99).unwrap();
    let mut bits = BitReplicas::new(problem, kernel.two_state().unwrap(), span, 99).unwrap();
    equal(&mut scalar, &mut bits, "start");
    let own: Vec<f32> = (0..span.count).map(|i| i as f32 * 0.01).collect();
    for (sweep, beta) in [0.0, 0.1, 0.4, 1.0, 3.0, 1e4].into_iter().enumerate() {
        let betas = if each { Betas::Each(&own) } else { Betas::Same(beta) };
        for replicas in [&mut scalar as &mut dyn Replicas, &mut bits] {
            replicas.sweep(126 + sweep as u32, betas).unwrap();
        }
        equal(&mut scalar, &mut bits, &format!("sweep {sweep}"));
        let parents: Vec<u32> = (0..span.count).map(|i| (i * 7 + 3) % span.count).collect();
        scalar.resample(&parents).unwrap();
        bits.resample(&parents).unwrap();
        equal(&mut scalar, &mut bits, "resampled");
    }
}

fn plus_minus(sides: &[usize], seed: u32) -> Problem {
    let count = sides.iter().product::<usize>() * sides.len();
    let signs: Vec<f64> = uniforms(count, seed).iter().map(|x| x.signum()).collect();
    Problem::lattice(sides, Bonds::Each(&signs), &[]).unwrap()
}

#[test]
fn multi_spin_coding_equals_single_reads() {
    let weights = |seed, largest: f64| uniforms(60, seed).iter().map(|x| (largest * x).round()).collect::<Vec<_>>();
    let lattice = plus_minus(&[6, 5], 1);
    let cube = plus_minus(&[3, 3, 4], 2);
    let fields: Vec<f64> = weights(3, 2.0)[..30].to_vec();
    let wide = Problem::lattice(&[5, 6], Bonds::Each(&weights(4, 5.0)), &fields).unwrap();
    let halves: Vec<f64> = weights(5, 3.0).iter().map(|x| 0.25 * x).collect();
    let chain = Problem::lattice(&[30], Bonds::Each(&halves[..30]), &halves[30..]).unwrap();
    let free = Problem::ising(3, [], &[]).unwrap();
    let one = Problem::ising(1, [], &[-1.0]).unwrap();
    let twice = Problem::ising(4, [(0, 1, 1.0), (1, 0, 1.0), (2, 3, -1.0), (2, 3, 1.0)], &[]).unwrap();
    // A few sites with many more neighbours, or heavier ones, than the rest.
    let hub = Problem::ising(60, (1..60).map(|k| (0, k, if k % 3 == 0 { 1.0 } else { -1.0 })), &[]).unwrap();
    let heavy = (1..30).map(|k| (0, k, (k % 9) as f64)).chain([(3, 4, -7.0), (4, 5, 6.0), (5, 3, 31.0)]);
    let heavy = Problem::ising(30, heavy, &weights(6, 9.0)[..30]).unwrap();
    for problem in [&lattice, &cube, &wide, &chain, &free, &one, &twice, &hub, &heavy] {
        let bits = BitReplicas::new(problem, Metropolis.two_state().unwrap(), reads(0, 1), 0).unwrap();
        assert!(bits.is_multi_spin());
        for order in [Order::Sequential, Order::Checkerboard] {
            for span in [reads(0, 3), reads(250, 300)] {
                follow(problem, SingleSite { kernel: Metropolis, order }, span, false);
                follow(problem, SingleSite { kernel: HeatBath, order }, span, false);
            }
        }
        for span in [reads(40, 70), reads(200, 320)] {
            follow(problem, SingleSite::sequential(Metropolis), span, true);
            follow(problem, SingleSite::checkerboard(HeatBath), span, true);
        }
    }
}

#[test]
fn lanes_equal_single_reads() {
    let sparse = random_ising(20, 0.3, 6);
    let dense = random_ising(20, 1.0, 7).to_dense().unwrap();
    for problem in [&sparse, &dense] {
        let bits = BitReplicas::new(problem, Metropolis.two_state().unwrap(), reads(0, 1), 0).unwrap();
        assert!(!bits.is_multi_spin());
        for each in [false, true] {
            for span in [reads(0, 1), reads(0, 70), reads(250, 300)] {
                follow(problem, SingleSite::sequential(Metropolis), span, each);
                follow(problem, SingleSite::sequential(HeatBath), span, each);
            }
        }
        follow(problem, SingleSite::checkerboard(SuwaTodo), reads(7, 40), false);
    }
}

#[test]
fn a_read_depends_on_the_seed_and_its_number_only() {
    let problem = plus_minus(&[4, 4], 8);
    let potts = random_potts(5, 3, 9);
    fn check<D: Dynamics + Copy>(problem: &Problem, dynamics: D) {
        let run = |span: Reads, seed: u64| {
            let mut replicas = batch(problem, dynamics, span, seed).unwrap();
            for sweep in 0..5 {
                replicas.sweep(sweep, Betas::Same(0.3)).unwrap();
            }
            states(&*replicas)
        };
        let all = run(reads(0, 600), 5);
        assert_eq!(run(reads(300, 290), 5), all[300..590]);
        assert_eq!(run(reads(599, 1), 5), all[599..]);
        assert_ne!(run(reads(0, 600), 6), all);
        assert!(run(reads(7, 0), 5).is_empty());
    }
    check(&problem, Metropolis);
    check(&problem, SingleSite::random(HeatBath));
    check(&problem, Skewed { kernel: Metropolis });
    check(&potts, SuwaTodo);
}

#[test]
fn configurations_can_be_set() {
    for problem in [plus_minus(&[4, 4], 10), random_ising(16, 1.0, 11).to_dense().unwrap()] {
        let mut scalar = ScalarReplicas::new(&problem, Metropolis, reads(3, 40), 1).unwrap();
        let mut bits = BitReplicas::new(&problem, Metropolis.two_state().unwrap(), reads(3, 40), 1).unwrap();
        for slot in [0, 17, 39] {
            let values: Vec<u8> = (0..16).map(|k| u8::from((k * k + slot) % 3 == 0)).collect();
            scalar.set_values(slot, &values).unwrap();
            bits.set_values(slot, &values).unwrap();
        }
        equal(&mut scalar, &mut bits, "set");
        for replicas in [&mut scalar as &mut dyn Replicas, &mut bits] {
            replicas.sweep(1, Betas::Same(0.7)).unwrap();
        }
        equal(&mut scalar, &mut bits, "swept");
    }
}

#[test]
fn states_move_between_batches() {
    let dense = random_ising(24, 1.0, 14).to_dense().unwrap();
    for problem in [&plus_minus(&[4, 6], 15), &random_ising(24, 0.3, 16), &dense] {
        let chain = Metropolis.two_state().unwrap();
        let whole = |span: Reads| ScalarReplicas::new(problem, Metropolis, span, 3).unwrap();
        let mut all = whole(reads(0, 80));
        let (mut left, mut right) = (BitReplicas::new(problem, chain, reads(0, 50), 3).unwrap(), whole(reads(50, 30)));
        for round in 0..3 {
            for sweep in 40 * round..40 * round + 40 {
                all.sweep(sweep, Betas::Same(0.3)).unwrap();
                left.sweep(sweep, Betas::Same(0.3)).unwrap();
                right.sweep(sweep, Betas::Same(0.3)).unwrap();
            }
            // Slot 60 goes to 10, 3 to 70; what chains have kept goes along, to the last bit.
            let mut parents: Vec<u32> = (0..80).collect();
            (parents[10], parents[70]) = (60, 3);
            let (to_left, to_right) = (right.state(10).unwrap(), left.state(3).unwrap());
            all.resample(&parents).unwrap();
            left.set_state(10, &to_left).unwrap();
            right.set_state(20, &to_right).unwrap();
        }
        for (slot, part) in
            (0..80).map(|slot| (slot, if slot < 50 { left.state(slot) } else { right.state(slot - 50) }))
        {
            assert_eq!(all.state(slot).unwrap(), part.unwrap(), "{slot}");
        }
    }
    let lattice = plus_minus(&[4, 6], 15);
    let mut bits = BitReplicas::new(&lattice, Metropolis.two_state().unwrap(), reads(0, 3), 1).unwrap();
    let other = Replica::new(&dense, &[1; 24]).unwrap();
    assert!(bits.set_state(0, &other).is_err() && bits.set_state(3, &bits.state(0).unwrap()).is_err());
    assert!(bits.state(3).is_err() && other.clone().with_fields(vec![0.0; 5]).is_err());
    assert!(lattice.kept_energy(&[1; 24], &[0.0; 3]).is_err());
}

#[test]
fn wrong_calls_are_refused() {
    let problem = plus_minus(&[4, 4], 12);
    let mut scalar = ScalarReplicas::new(&problem, Metropolis, reads(0, 5), 1).unwrap();
    let mut bits = BitReplicas::new(&problem, Metropolis.two_state().unwrap(), reads(0, 5), 1).unwrap();
    for replicas in [&mut scalar as &mut dyn Replicas, &mut bits] {
        for beta in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(replicas.sweep(0, Betas::Same(beta)), Err(Error::Range { .. })));
            assert!(matches!(replicas.sweep(0, Betas::Each(&[beta; 5])), Err(Error::Range { .. })));
        }
        assert!(matches!(replicas.sweep(0, Betas::Each(&[1.0])), Err(Error::Length { .. })));
        assert!(matches!(replicas.energies(&mut [0.0]), Err(Error::Length { .. })));
        assert!(matches!(replicas.kept_energies(&mut [0.0]), Err(Error::Length { .. })));
        assert!(matches!(replicas.resample(&[0]), Err(Error::Length { .. })));
        assert!(matches!(replicas.resample(&[0, 1, 2, 3, 5]), Err(Error::Index { index: 5, .. })));
        assert!(matches!(replicas.values(5, &mut [0; 16]), Err(Error::Index { .. })));
        assert!(matches!(replicas.values(0, &mut [0; 15]), Err(Error::Length { .. })));
        assert!(matches!(replicas.set_values(0, &[2; 16]), Err(Error::Index { .. })));
        assert!(matches!(replicas.set_values(0, &[0; 3]), Err(Error::Length { .. })));
    }
    assert!(matches!(batch(&problem, Metropolis, reads(u32::MAX, 2), 0), Err(Error::Overflow { .. })));
    let potts = random_potts(2, 3, 13);
    assert!(BitReplicas::new(&potts, Metropolis.two_state().unwrap(), reads(0, 1), 0).is_err());
}
