use super::*;
use std::vec::Vec;
use yuragi_numeric::fill;

const KINDS: [Units; 2] = [Units::Spin, Units::Binary];

fn normal(count: usize, seed: u32) -> Vec<f32> {
    let mut values = alloc::vec![0.0; count];
    fill::normal([seed, 1], 0, 0, &mut values);
    values
}

/// Values of a kind: dense, or a share of ones among zeros or −1.
fn values(count: usize, seed: u32, kind: usize) -> Vec<f32> {
    let low = if kind == 2 { -1.0 } else { 0.0 };
    normal(count, seed)
        .into_iter()
        .map(|x| {
            if kind == 0 {
                x
            } else if x > 0.8 {
                1.0
            } else {
                low
            }
        })
        .collect()
}

/// The worst |out − Σ a b| as a share of its bound, (terms + 1)·ε·Σ|a b| with the bias as a term. Spins add 2 Σ w and
/// Σ w apart: three times that.
fn worst(out: &[f32], expected: impl Fn(usize) -> (f64, f64), terms: usize) -> f64 {
    let unit = 3.0 * (terms as f64 + 2.0) * f64::from(f32::EPSILON);
    let share = |(at, &x): (usize, &f32)| {
        let (sum, size) = expected(at);
        (f64::from(x) - sum).abs() / (unit * size + f64::MIN_POSITIVE)
    };
    out.iter().enumerate().map(share).fold(0.0, f64::max)
}

#[test]
fn products_are_their_sums_whatever_the_values() {
    let mut scratch = Scratch::default();
    for (seed, (rows, inner, columns)) in (0..).zip([(1, 1, 1), (3, 5, 7), (4, 33, 64), (9, 20, 83), (40, 17, 130)]) {
        for kind in 0..3 {
            let a = values(rows * inner, seed, kind);
            let (w, bias) = (normal(inner * columns, 50 + seed), normal(columns, 90 + seed));
            let turned: Vec<f32> = (0..inner * columns).map(|at| w[at % inner * columns + at / inner]).collect();
            let term = |r: usize, i: usize, j: usize| f64::from(a[r * inner + i]) * f64::from(w[i * columns + j]);
            let expected = |at: usize| {
                let (r, j) = (at / columns, at % columns);
                let start = f64::from(bias[j]);
                let sum = (0..inner).map(|i| term(r, i, j)).sum::<f64>() + start;
                (
                    sum,
                    (0..inner).map(|i| f64::from(w[i * columns + j]).abs().max(term(r, i, j).abs())).sum::<f64>()
                        + start.abs(),
                )
            };
            let (mut plain, mut other) = (Vec::new(), Vec::new());
            scratch.product(&a, Matrix::new(&w, columns), &bias, &mut plain);
            scratch.product(&a, Matrix::new(&turned, inner).turned(), &bias, &mut other);
            assert_eq!(plain, other);
            assert!(worst(&plain, expected, inner) < 1.0, "{kind} {inner}");

            let b = normal(rows * columns, 70 + seed);
            let mut out = alloc::vec![f32::NAN; inner * columns];
            scratch.outer(Matrix::new(&a, inner), Matrix::new(&b, columns), &mut out);
            let expected = |at: usize| {
                let (i, j) = (at / columns, at % columns);
                let pairs = (0..rows).map(|r| (f64::from(a[r * inner + i]), f64::from(b[r * columns + j])));
                pairs.fold((0.0, 0.0), |(sum, size), (a, b)| (sum + a * b, size + (a * b).abs().max(b.abs())))
            };
            assert!(worst(&out, expected, rows) < 1.0, "{kind} {rows}");
        }
    }
}

#[test]
fn a_draws_product_is_that_of_its_row_alone() {
    let (inner, columns) = (33, 70);
    let (w, bias) = (normal(inner * columns, 1), normal(columns, 2));
    for units in KINDS {
        let (low, high, _) = units.two_state();
        // Few ones, many, and nothing else, in one batch.
        let rows = [0.9, -0.9, -9.0].map(|least| {
            normal(inner, 3).into_iter().map(|x| if x > least { high } else { low }).collect::<Vec<f32>>()
        });
        let (mut all, mut one) = (Vec::new(), Vec::new());
        for batch in [&[0, 1, 2][..], &[1, 2, 2, 2], &[0, 0, 0, 1]] {
            let values: Vec<f32> = batch.iter().flat_map(|&row: &usize| rows[row].clone()).collect();
            Scratch::default().product_of(units, &values, Matrix::new(&w, columns), &bias, &mut all);
            for (found, &row) in all.chunks(columns).zip(batch) {
                Scratch::default().product_of(units, &rows[row], Matrix::new(&w, columns), &bias, &mut one);
                assert_eq!(found, one);
            }
        }
    }
}

#[test]
fn draws_are_those_of_each_unit_alone() {
    let draws = Draws::new(3);
    for units in KINDS {
        for (rows, columns, first) in [(1, 1, 0), (5, 16, 30), (32, 20, 0), (33, 3, 9), (70, 37, 95), (2, 4, 64)] {
            let mut fields = normal(rows * columns, 5);
            // Certain, impossible, and nothing at all.
            fields[0] = 200.0;
            fields[rows * columns / 2] = -200.0;
            if rows * columns > 2 {
                fields[rows * columns - 1] = f32::NAN;
            }
            let (low, high, scale) = units.two_state();
            let expected: Vec<f32> = (0..rows * columns)
                .map(|at| {
                    let (read, site) = (first + (at / columns) as u32, 7 + (at % columns) as u32);
                    let up = draws.chance(9, site, Stream::Unit, read, threshold(sigmoid(scale * fields[at])));
                    if up { high } else { low }
                })
                .collect();
            draw(units, &mut fields, columns, draws, (9, 7, first));
            assert_eq!(fields, expected);
        }
    }
}

#[test]
fn log_sums_are_sums_of_logarithms() {
    let mut fields = normal(37, 6);
    fields.extend([1e30, -1e30, 0.0]);
    for units in KINDS {
        for beta in [0.0, 0.3, 1.0] {
            let expected: f64 = fields.iter().map(|&x| units.log_sum(beta * f64::from(x))).sum();
            let got = log_sums(units, beta, &fields);
            assert!((got - expected).abs() <= 1e-14 * expected.abs(), "{got} {expected}");
        }
    }
}
