//! What a problem accepts and what it refuses; its energies, gaps and the default temperatures.

mod common;

use common::{configurations, plus_minus, random_ising, random_potts};
use yuragi_energy::{Bonds, Coordinates, Error, Problem, Variables, Vartype, spin};

/// E(x) as it is written.
fn energy(problem: &Problem, x: &[u8]) -> f64 {
    let mut energy = problem.offset();
    for (k, l, weight) in problem.couplings() {
        energy -= match problem.variables() {
            Variables::Spin => weight * spin(x[k]) * spin(x[l]),
            Variables::Potts(_) => weight * f64::from(u8::from(x[k] == x[l])),
        };
    }
    for (k, &value) in x.iter().enumerate() {
        energy -= match problem.variables() {
            Variables::Spin => problem.fields()[k] * spin(value),
            Variables::Potts(q) => problem.fields()[k * usize::from(q) + usize::from(value)],
        };
    }
    energy
}

#[test]
fn energies_fields_and_gaps_are_their_formulas() {
    let ising = random_ising(7, 0.6, 1);
    for problem in [ising.to_dense().unwrap(), ising, random_potts(4, 3, 2)] {
        for x in configurations(&problem) {
            assert!((problem.energy(&x).unwrap() - energy(&problem, &x)).abs() < 1e-13);
            for k in 0..problem.len() {
                for value in 0..problem.variables().states() as u8 {
                    let mut y = x.clone();
                    y[k] = value;
                    let difference = energy(&problem, &y) - energy(&problem, &x);
                    assert!((problem.gap(k, value, &x).unwrap() - difference).abs() < 1e-13);
                    if problem.variables() == Variables::Spin && y != x {
                        let field = problem.local_field(k, &x).unwrap();
                        assert!((2.0 * spin(x[k]) * field - difference).abs() < 1e-13);
                    }
                }
            }
        }
    }
}

#[test]
fn a_qubo_keeps_its_energies_with_duplicates_and_both_orders() {
    let terms = [(0, 0, 1.5), (0, 1, -2.0), (1, 0, 0.25), (2, 1, 3.0), (2, 2, -1.0), (2, 2, -1.0)];
    let problem = Problem::qubo(3, terms, 0.75).unwrap();
    for b in configurations(&problem) {
        let value = |k: usize| f64::from(b[k]);
        let expected =
            0.75 + terms.iter().map(|&(k, l, q)| q * value(k) * if k == l { 1.0 } else { value(l) }).sum::<f64>();
        assert!((problem.energy(&b).unwrap() - expected).abs() < 1e-14);
    }
}

#[test]
fn coordinate_text_has_the_signs_of_dimod() {
    let text = "# vartype=BINARY\n\n# a comment\n0 0 1.0\n0 2 -2.5\n  2 2 0.5  \n0 2 1\n";
    let problem = Problem::from_coo(text, Vartype::Spin).unwrap();
    for b in configurations(&problem) {
        let [p, _, r] = [b[0], b[1], b[2]].map(f64::from);
        assert!((problem.energy(&b).unwrap() - (p - 1.5 * p * r + 0.5 * r)).abs() < 1e-14);
    }
    let spins = Problem::from_coo("0 1 1\n0 0 -2", Vartype::Spin).unwrap();
    for comment in ["# vartype: SPIN", "#a pair; VarType = spin, as written", "# no vartype here, vartype=SPIN"] {
        let text = format!("0 1 1\n{comment}\n0 0 -2");
        assert_eq!(Problem::from_coo(&text, Vartype::Binary).unwrap(), spins, "{comment}");
        assert_eq!(Coordinates::read(&text).unwrap().vartype, Some(Vartype::Spin), "{comment}");
    }
    for text in ["# vartype=SPIN\n0 1 1\n# vartype=BINARY\n", "# vartype: INTEGER\n0 1 1\n", "# vartype=\n0 1 1\n"] {
        assert!(matches!(Problem::from_coo(text, Vartype::Spin), Err(Error::Text { .. })), "{text}");
    }
    assert_eq!(spins.energy(&[1, 1]), Ok(-1.0));
    for (text, line) in [("0 1", 1), ("0 1 2 3", 1), ("0 0 1\n0 x 1", 2), ("0 1 nan", 1), ("# vartype=SPAM", 1)] {
        let error = Problem::from_coo(text, Vartype::Spin).unwrap_err();
        assert!(matches!(error, Error::Text { line: l, .. } if l == line), "{text}: {error}");
    }
    assert!(matches!(Problem::from_coo("99999999999 0 1", Vartype::Spin), Err(Error::Text { .. })));
    assert!(matches!(Problem::from_coo("", Vartype::Spin), Err(Error::Range { .. })));
}

#[test]
fn lattices_have_their_bonds() {
    for (sides, bonds) in [(&[5][..], 5), (&[3, 4], 24), (&[3, 3, 3], 81), (&[4, 1], 4)] {
        let lattice = Problem::lattice(sides, Bonds::Uniform(0.5), &[]).unwrap();
        assert_eq!(lattice.couplings().count(), bonds, "{sides:?}");
        assert_eq!(lattice.sides(), sides);
        assert_eq!(lattice.energy(&vec![1; lattice.len()]).unwrap(), -0.5 * bonds as f64);
    }
    // Both bonds of a side of 2 join the same sites.
    let ring = Problem::lattice(&[2], Bonds::Uniform(1.0), &[]).unwrap();
    assert_eq!(ring.couplings().collect::<Vec<_>>(), [(0, 1, 2.0)]);
    // Bond s·D + a goes along axis a; the last axis varies fastest.
    let weights: Vec<f64> = (1..=18).map(f64::from).collect();
    let each = Problem::lattice(&[3, 3], Bonds::Each(&weights), &[]).unwrap();
    let find = |k, l| each.couplings().find(|&(a, b, _)| (a, b) == (k, l)).map(|(_, _, w)| w);
    assert_eq!([find(0, 3), find(0, 1), find(0, 6), find(0, 2)], [Some(1.0), Some(2.0), Some(13.0), Some(6.0)]);
}

#[test]
fn wrong_problems_are_refused() {
    let nan = f64::NAN;
    assert_eq!(Problem::ising(2, [(1, 1, 1.0)], &[]), Err(Error::SelfCoupling { variable: 1 }));
    assert!(matches!(Problem::ising(2, [(0, 2, 1.0)], &[]), Err(Error::Index { index: 2, count: 2, .. })));
    assert!(matches!(Problem::ising(0, [], &[]), Err(Error::Range { .. })));
    assert!(matches!(Problem::ising(2, [], &[1.0]), Err(Error::Length { got: 1, expected: 2, .. })));
    for weight in [nan, f64::INFINITY, 1e38] {
        assert!(matches!(Problem::ising(2, [(0, 1, weight)], &[]), Err(Error::Range { .. })));
        assert!(matches!(Problem::ising(2, [], &[weight, 0.0]), Err(Error::Range { .. })));
        assert!(matches!(Problem::dense(2, &[0.0, weight, weight, 0.0], &[]), Err(Error::Range { .. })));
        assert!(matches!(Problem::qubo(2, [(0, 0, weight * 10.0)], 0.0), Err(Error::Range { .. })));
        assert!(matches!(Problem::lattice(&[3], Bonds::Uniform(weight), &[]), Err(Error::Range { .. })));
    }
    assert!(matches!(Problem::ising(2, [(0, 1, f64::MAX), (1, 0, f64::MAX)], &[]), Err(Error::Range { .. })));
    assert!(matches!(Problem::qubo(2, [(0, 5, 1.0)], 0.0), Err(Error::Index { .. })));
    assert_eq!(Problem::dense(2, &[0.0, 1.0, 2.0, 0.0], &[]), Err(Error::Asymmetric { row: 0, column: 1 }));
    assert_eq!(Problem::dense(1, &[2.0], &[]), Err(Error::SelfCoupling { variable: 0 }));
    assert!(matches!(Problem::dense(3, &[0.0], &[]), Err(Error::Length { .. })));
    assert!(matches!(Problem::potts(2, 1, [], &[]), Err(Error::Range { .. })));
    assert!(matches!(Problem::lattice(&[], Bonds::Uniform(1.0), &[]), Err(Error::Range { .. })));
    assert!(matches!(Problem::lattice(&[3, 0], Bonds::Uniform(1.0), &[]), Err(Error::Range { .. })));
    let huge = Problem::lattice(&[1 << 20, 1 << 20, 1 << 30], Bonds::Uniform(1.0), &[]);
    assert!(matches!(huge, Err(Error::Overflow { .. })));
    assert!(matches!(Problem::lattice(&[3], Bonds::Each(&[1.0]), &[]), Err(Error::Length { .. })));
    let fine = Problem::ising(2, [(0, 1, 1.0)], &[]).unwrap();
    assert!(matches!(fine.energy(&[0]), Err(Error::Length { .. })));
    assert!(matches!(fine.energy(&[0, 2]), Err(Error::Index { .. })));
    assert!(matches!(fine.clone().with_offset(nan), Err(Error::Range { .. })));
}

#[test]
fn duplicates_are_summed_and_may_cancel() {
    let problem = Problem::ising(3, [(0, 1, 1.0), (1, 0, 0.5), (1, 2, 2.0), (2, 1, -2.0)], &[]).unwrap();
    assert_eq!(problem.couplings().collect::<Vec<_>>(), [(0, 1, 1.5)]);
    assert_eq!(problem.neighbours(2).count(), 0);
    assert_eq!(problem.neighbours(9).count(), 0);
}

#[test]
fn the_default_range_ends_where_a_quenched_state_is_frozen() {
    // Without couplings the quenched state is known: every spin along its field.
    let fields: Vec<f64> = (1..=40).map(|k| f64::from(k) / if k % 2 == 0 { 7.0 } else { -3.0 }).collect();
    let range = Problem::ising(40, [], &fields).unwrap().beta_range();
    // The bisection halves a range of a factor of 200 or so 24 times: the last digits of β are open.
    for (beta, moving) in [(range.cold, 0.05), (range.turn, 0.02 * 40.0)] {
        let excited: f64 = fields.iter().map(|h| (-2.0 * beta * h.abs()).exp()).sum();
        assert!((excited - moving).abs() < 1e-5, "{excited}");
    }
    // All couplings equal: β of a ±J lattice is that of gaps of 4.
    let lattice = plus_minus(&[64, 64], 3).beta_range();
    assert!((2.0..3.5).contains(&lattice.cold), "{lattice:?}");
    // A continuum of couplings: not the smallest of 20,000 couplings decides, but the gaps of states.
    let n = 200;
    let weight = |k: usize, l: usize| ((k.min(l) * 7919 + k.max(l) * 104_729) % 1009) as f64 / 504.0 - 1.0;
    let matrix: Vec<f64> = (0..n * n).map(|i| if i / n == i % n { 0.0 } else { weight(i / n, i % n) / 14.0 }).collect();
    let glass = Problem::dense(n, &matrix, &[]).unwrap().beta_range();
    assert!((3.0..300.0).contains(&glass.cold), "{glass:?}");
}

#[test]
fn the_default_range_brackets_the_gaps() {
    let problem = random_ising(6, 0.7, 3);
    let range = problem.beta_range();
    let mut largest = 0.0f64;
    for x in configurations(&problem) {
        for k in 0..problem.len() {
            largest = largest.max(problem.gap(k, 1 - x[k], &x).unwrap());
        }
    }
    // On a random instance the bound of the largest gap is met by some configuration.
    assert!((range.hot * largest - 2f64.ln()).abs() < 1e-12);
    assert!(range.cold > range.hot);
    let free = Problem::ising(4, [], &[]).unwrap().beta_range();
    assert_eq!((free.hot, free.cold), (1.0, 1.0));
    let tiny = Problem::ising(2, [(0, 1, 1e-320)], &[]).unwrap().beta_range();
    assert!(tiny.hot.is_finite() && tiny.cold.is_finite());
}
