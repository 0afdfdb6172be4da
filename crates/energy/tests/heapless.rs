//! Chains over slices draw what the samplers with a heap draw, and refuse what is no problem.

use yuragi_energy::draw::Draws;
use yuragi_energy::dynamics::{HeatBath, Metropolis, Rule};
use yuragi_energy::heapless::{Chain, Error, Machine};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_energy::replicas::{Betas, Reads, batch};
use yuragi_energy::schedule::Ramp;
use yuragi_energy::{Bonds, Problem, Schedule, Spins};

/// The rows of a problem as slices hold them.
fn rows(problem: &Problem) -> (Vec<usize>, Vec<u32>, Vec<f32>) {
    let (mut starts, mut columns, mut weights) = (vec![0], vec![], vec![]);
    for k in 0..problem.len() {
        for (l, weight) in problem.neighbours(k) {
            columns.push(l as u32);
            weights.push(weight as f32);
        }
        starts.push(columns.len());
    }
    (starts, columns, weights)
}

#[test]
fn t17_chains_over_slices_are_the_reads_of_a_batch() {
    let bonds: Vec<f64> = (0..50).map(|i| f64::from(i * i % 7) - 3.0).collect();
    let fields: Vec<f64> = (0..25).map(|i| 0.25 * f64::from(i % 3)).collect();
    let problem = Problem::lattice(&[5, 5], Bonds::Each(&bonds), &fields).unwrap();
    let (starts, columns, weights) = rows(&problem);
    let fields: Vec<f32> = fields.iter().map(|&h| h as f32).collect();
    let spins = Spins::new(&starts, &columns, &weights, &fields).unwrap();
    let (ramp, schedule) = (Ramp::geometric(0.1, 2.0, 40), Schedule::geometric(0.1, 2.0, 40).unwrap());
    for rule in [Rule::Metropolis, Rule::HeatBath] {
        for read in [0, 3, 37] {
            let reads = Reads { first: read, count: 1 };
            let mut replicas = match rule {
                Rule::Metropolis => batch(&problem, Metropolis, reads, 11).unwrap(),
                Rule::HeatBath => batch(&problem, HeatBath, reads, 11).unwrap(),
            };
            let mut values = [0; 25];
            let mut chain = Chain::start(spins, rule, &mut values, 11, read).unwrap();
            assert_eq!(chain.values(), replicas.configurations().unwrap());
            for sweep in 0..ramp.sweeps() {
                replicas.sweep(sweep, Betas::Same(schedule.beta(sweep))).unwrap();
                chain.sweep(sweep, ramp.beta(sweep));
                assert_eq!(chain.values(), replicas.configurations().unwrap(), "{rule:?} {read} {sweep}");
            }
            assert_eq!(chain.energy(), problem.energy(chain.values()).unwrap());
        }
    }
}

#[test]
fn t15_machines_over_slices_are_the_rows_of_a_batch() {
    for units in [[Units::Spin, Units::Binary], [Units::Binary, Units::Spin], [Units::Binary; 2], [Units::Spin; 2]] {
        let mut rbm = Rbm::new(9, 21, units[0], units[1]).unwrap();
        rbm.randomize(4.0, 3);
        rbm.weights.iter_mut().for_each(|w| *w = (*w).round() / 4.0);
        rbm.hidden_bias.iter_mut().enumerate().for_each(|(j, c)| *c = (j % 4) as f32 / 4.0);
        let machine = Machine::new(units, &rbm.weights, &rbm.visible_bias, &rbm.hidden_bias).unwrap();
        let draws = Draws::new(5);
        let low = if units[0] == Units::Spin { -1.0 } else { 0.0 };
        let start: Vec<f32> = (0..5 * 9).map(|i| if i % 4 == 0 { 1.0 } else { low }).collect();
        let batch = rbm.gibbs(&start, 25, draws, 7).unwrap();
        for (read, (start, batch)) in (0..).zip(start.chunks(9).zip(batch.chunks(9))) {
            let (mut v, mut h) = (start.to_vec(), vec![0.0; 21]);
            machine.gibbs(&mut v, &mut h, 25, draws, 7, read).unwrap();
            assert_eq!(v, batch, "{units:?} {read}");
        }
    }
}

#[test]
fn slices_that_are_no_problem_are_refused() {
    let new = |starts: &[usize], columns: &[u32], weights: &[f32], fields: &[f32]| {
        Spins::new(starts, columns, weights, fields).map(|_| ()).unwrap_err()
    };
    assert!(Spins::new(&[0, 1, 2], &[1, 0], &[1.0; 2], &[0.5, 0.0]).is_ok());
    assert!(matches!(new(&[], &[], &[], &[]), Error::Length { .. }));
    assert!(matches!(new(&[0], &[], &[], &[]), Error::Length { .. }));
    assert!(matches!(new(&[0, 1, 2], &[1, 0], &[1.0], &[]), Error::Length { .. }));
    assert!(matches!(new(&[0, 1, 3], &[1, 0], &[1.0; 2], &[]), Error::Length { .. }));
    assert!(matches!(new(&[0, 1, 2], &[1, 0], &[1.0; 2], &[0.0]), Error::Length { .. }));
    assert_eq!(new(&[0, 9, 2], &[1, 0], &[1.0; 2], &[]), Error::Row { row: 0 });
    assert_eq!(new(&[1, 0, 2], &[1, 0], &[1.0; 2], &[]), Error::Row { row: 0 });
    assert_eq!(new(&[0, 1, 2], &[0, 0], &[1.0; 2], &[]), Error::Row { row: 0 });
    assert_eq!(new(&[0, 1, 2], &[2, 0], &[1.0; 2], &[]), Error::Row { row: 0 });
    assert_eq!(new(&[0, 2, 3, 4], &[2, 1, 0, 0], &[1.0; 4], &[]), Error::Row { row: 0 });
    assert_eq!(new(&[0, 1, 2], &[1, 0], &[1.0, 2.0], &[]), Error::Asymmetric { row: 0, column: 1 });
    assert_eq!(new(&[0, 1, 1], &[1], &[1.0], &[]), Error::Asymmetric { row: 0, column: 1 });
    assert_eq!(new(&[0, 1, 2], &[1, 0], &[1.0, f32::NAN], &[]), Error::Number { what: "the weights", index: 1 });
    let spins = Spins::new(&[0, 1, 2], &[1, 0], &[1.0; 2], &[]).unwrap();
    assert!(matches!(Chain::start(spins, Rule::HeatBath, &mut [0; 3], 1, 0), Err(Error::Length { .. })));
    assert!(matches!(Machine::new([Units::Gaussian, Units::Spin], &[], &[], &[]), Err(Error::Gaussian)));
    assert!(matches!(Machine::new([Units::Spin; 2], &[1.0], &[0.0; 2], &[0.0]), Err(Error::Length { .. })));
    let machine = Machine::new([Units::Spin; 2], &[1.0], &[0.0], &[0.0]).unwrap();
    assert!(machine.gibbs(&mut [1.0, 1.0], &mut [0.0], 1, Draws::new(1), 0, 0).is_err());
    // Rows begin at the first column, and a layer may be empty.
    assert_eq!(Spins::new(&[1, 1], &[0], &[0.5], &[]).err(), Some(Error::Row { row: 0 }));
    let machine = Machine::new([Units::Binary; 2], &[], &[], &[0.0, 0.0]).unwrap();
    machine.sample_hidden(&[], &mut [0.0; 2], Draws::new(1), 0, 0).unwrap();
}
