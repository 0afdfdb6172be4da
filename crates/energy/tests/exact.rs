//! T06: exact partition functions and means. T14: the anchors that samplers are measured against.

mod common;

use common::{configurations, random_ising, random_potts};
use yuragi_energy::exact::{
    CRITICAL_BETA, enumerate, finite_square_energy, finite_square_log_z, infinite_square_energy,
    infinite_square_magnetization,
};
use yuragi_energy::{Bonds, Error, Problem};

#[test]
fn t06_enumeration_visits_every_configuration() {
    for problem in [random_ising(9, 0.5, 4), random_potts(4, 4, 5)] {
        let exact = enumerate(&problem).unwrap();
        let mut visited = 0;
        for (i, energy) in exact.energies().iter().enumerate() {
            assert!((problem.energy(&exact.values(i)).unwrap() - energy).abs() < 1e-12);
            visited += 1;
        }
        let all = configurations(&problem);
        assert_eq!(visited, all.len());
        let energies: Vec<f64> = all.iter().map(|x| problem.energy(x).unwrap()).collect();
        for beta in [0.0, 0.3, 2.0, -1.0] {
            let z: f64 = energies.iter().map(|e| (-beta * e).exp()).sum();
            let mean = energies.iter().map(|e| e * (-beta * e).exp()).sum::<f64>() / z;
            assert!((exact.log_z(beta) - z.ln()).abs() < 1e-12);
            assert!((exact.mean_energy(beta) - mean).abs() < 1e-12);
            assert!((exact.distribution(beta).iter().sum::<f64>() - 1.0).abs() < 1e-13);
        }
        // Frozen: nothing overflows, only the ground state is left.
        let (ground, lowest) = exact.ground();
        assert!((exact.log_z(1e6) + 1e6 * lowest).abs() < 1e-3 && exact.distribution(1e6)[ground] > 0.999);
    }
}

#[test]
fn t06_enumeration_refuses_what_it_cannot_hold() {
    let large = Problem::ising(25, [], &[]).unwrap();
    assert!(matches!(enumerate(&large), Err(Error::Range { .. })));
    assert!(matches!(enumerate(&Problem::ising(1000, [], &[]).unwrap()), Err(Error::Range { .. })));
    assert_eq!(enumerate(&Problem::ising(1, [], &[1.0]).unwrap()).unwrap().energies(), [1.0, -1.0]);
}

#[test]
fn t06_kaufman_has_the_published_values() {
    for (side, beta, expected) in [
        (4, 0.4, 14.561093023844),
        (8, CRITICAL_BETA, 60.1417807890692),
        (16, 0.4, 225.228846755876),
        (32, CRITICAL_BETA, 952.648079548543),
    ] {
        let got = finite_square_log_z(side, side, beta).unwrap();
        // Twelve decimals were given with up to 15 digits; the sum has 2·side² roundings of numbers of this size.
        assert!((got - expected).abs() < 1e-15 * expected * side as f64, "{side}: {got}");
    }
}

#[test]
fn t06_kaufman_equals_enumeration() {
    for (rows, columns) in [(3, 3), (4, 5), (2, 3), (2, 2), (3, 5)] {
        let exact = enumerate(&Problem::lattice(&[rows, columns], Bonds::Uniform(1.0), &[]).unwrap()).unwrap();
        for beta in [0.0, 0.01, 0.2, CRITICAL_BETA, 0.7, 3.0, 200.0] {
            let log_z = exact.log_z(beta);
            assert!((finite_square_log_z(rows, columns, beta).unwrap() - log_z).abs() < 1e-12 * (1.0 + log_z));
            let energy = finite_square_energy(rows, columns, beta).unwrap();
            assert!((energy - exact.mean_energy(beta)).abs() < 1e-11, "{rows}x{columns} {beta} {energy}");
        }
    }
    for beta in [1e-300, 1e300] {
        assert!(finite_square_log_z(4, 4, beta).unwrap().is_finite());
    }
    assert!(finite_square_log_z(0, 3, 0.1).is_err() && finite_square_log_z(3, 3, -0.1).is_err());
}

#[test]
fn t14_onsager_and_yang_have_their_values_and_limits() {
    assert!((infinite_square_energy(0.4).unwrap() + 1.10607920375).abs() < 1e-11);
    assert!((infinite_square_magnetization(0.5).unwrap() - 0.911319377877).abs() < 1e-12);
    assert!((infinite_square_energy(CRITICAL_BETA).unwrap() + 2f64.sqrt()).abs() < 1e-12);
    assert_eq!(infinite_square_magnetization(0.44).unwrap(), 0.0);
    assert_eq!(infinite_square_energy(1e3).unwrap(), -2.0);
    // A finite lattice approaches it exponentially fast away from β_c: e^(−L/ξ) with ξ ≈ 3.3 at 0.3.
    let finite = finite_square_energy(96, 96, 0.3).unwrap() / (96.0 * 96.0);
    assert!((finite - infinite_square_energy(0.3).unwrap()).abs() < 1e-10);
    assert!(infinite_square_energy(0.0).is_err() && infinite_square_magnetization(f64::NAN).is_err());
}
