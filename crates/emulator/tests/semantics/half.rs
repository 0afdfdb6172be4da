//! Arithmetic of f16 and bf16, alone and in pairs.

use crate::{
    exact::{BF16, Exact, F16, Format, Mode},
    table::{Row, check, holds, noise, pairs, results, singles, triples},
};

const NAN: u64 = 0x7fff;

fn name(format: Format) -> &'static str {
    if format == F16 { "f16" } else { "bf16" }
}

/// Whether a result is that of a·b + c, rounded once, then changed as the words say.
fn is_right(format: Format, words: &str, [a, b, c]: [u64; 3], got: u64) -> bool {
    let (ftz, sat, relu) = (words.contains("ftz"), words.contains("sat"), words.contains("relu"));
    let [a, b, c] = [a, b, c].map(|bits| if ftz { format.flushed(bits) } else { bits });
    let one = if format == F16 { 0x3c00 } else { 0x3f80 };
    let rough = format.float(a).mul_add(format.float(b), format.float(c));
    if [a, b, c].iter().any(|&bits| !format.is_finite(bits)) {
        return match rough {
            r if r.is_nan() => got == if sat { 0 } else { NAN },
            r if r < 0.0 => got == if sat || relu { 0 } else { format.infinity() | 0x8000 },
            _ => got == if sat { one } else { format.infinity() },
        };
    }
    let product = format.exact(a).times(&format.exact(b));
    let sum = product.plus(&format.exact(c));
    let negative_zero = ((a ^ b) & 0x8000 != 0) && c & 0x8000 != 0;
    if sum.is_zero() {
        return got == if negative_zero { 0x8000 } else { 0 } || (sat || relu) && got == 0;
    }
    if (sat || relu) && sum.is_negative() {
        return got == 0;
    }
    if sat && sum.compare(&format.exact(one)).is_ge() {
        return got == one;
    }
    let least = 1 << format.fraction;
    if ftz && sum.magnitude().compare(&format.exact(least)).is_lt() {
        // What rounds up to the least normal number may be flushed before or after it.
        return got & 0x7fff == 0 || got & 0x7fff == least && format.is_exact_rounded(got, Mode::Nearest, &sum, false);
    }
    format.is_exact_rounded(got, Mode::Nearest, &sum, false)
}

#[test]
fn sums_and_products_are_rounded_once() {
    for format in [F16, BF16] {
        let (of, one) = (name(format), if format == F16 { 0x3c00 } else { 0x3f80 });
        let values = format.edges(40);
        let two = pairs(&values, &values);
        let some: Vec<u64> = values.iter().copied().step_by(2).collect();
        let mut three = triples(&some, &some, &some);
        three.extend(noise(5, 9000).chunks(3).map(|row| row.iter().map(|bits| bits >> 20 & 0xffff).collect()));
        let more: &[&str] = if format == F16 { &["", ".ftz", ".sat", ".ftz.sat"] } else { &[""] };
        for words in more {
            let binary = |op: &str| format!("{op}.rn{words}.{of} %d, %a, %b;");
            let from = ["b16", "b16"];
            holds(&binary("add"), "b16", &from, &two, |r, got| is_right(format, words, [r[0], one, r[1]], got));
            holds(&binary("sub"), "b16", &from, &two, |r, got| {
                is_right(format, words, [r[1], one | 0x8000, r[0]], got)
            });
            // −0 added to a product keeps its sign.
            holds(&binary("mul"), "b16", &from, &two, |r, got| {
                let zero = (r[0] ^ r[1]) & 0x8000;
                is_right(format, words, [r[0], r[1], zero], got)
            });
        }
        let more: &[&str] = if format == F16 { &["", ".ftz", ".sat", ".relu", ".ftz.relu"] } else { &["", ".relu"] };
        for words in more {
            let statement = format!("fma.rn{words}.{of} %d, %a, %b, %c;");
            holds(&statement, "b16", &["b16", "b16", "b16"], &three, |r, got| {
                is_right(format, words, [r[0], r[1], r[2]], got)
            });
        }
    }
}

#[test]
fn pairs_are_two_single_numbers() {
    for format in [F16, BF16] {
        let of = name(format);
        let values: Vec<u64> = noise(9, 200).iter().map(|bits| bits & 0xffff_ffff).collect();
        let edges = format.edges(6);
        let edged = pairs(&edges, &edges).into_iter().map(|row| row[0] << 16 | row[1]);
        let values: Vec<u64> = values.into_iter().chain(edged.step_by(7)).collect();
        let rows: Vec<Row> = (0..values.len() * 6)
            .map(|i| (0..3).map(|j| values[(i * (2 * j + 7) + j) % values.len()]).collect())
            .collect();
        for (statement, count) in [
            ("add.rn", 2),
            ("sub.rn", 2),
            ("mul.rn", 2),
            ("fma.rn", 3),
            ("fma.rn.relu", 3),
            ("min", 2),
            ("max.NaN", 2),
            ("min.xorsign.abs", 2),
            ("neg", 1),
            ("abs", 1),
            ("tanh.approx", 1),
            (if format == F16 { "ex2.approx" } else { "ex2.approx.ftz" }, 1),
        ] {
            let operands = ["%a", "%a, %b", "%a, %b, %c"][count - 1];
            let rows: Vec<Row> = rows.iter().map(|row| row[..count].to_vec()).collect();
            let both = results(&format!("{statement}.{of}x2 %d, {operands};"), "b32", &vec!["b32"; count], &rows);
            let part = |shift: u32| {
                let rows: Vec<Row> = rows.iter().map(|row| row.iter().map(|x| x >> shift & 0xffff).collect()).collect();
                results(&format!("{statement}.{of} %d, {operands};"), "b16", &vec!["b16"; count], &rows)
            };
            let joined: Vec<u64> = part(0).iter().zip(part(16)).map(|(low, high)| high << 16 | low).collect();
            assert_eq!(both, joined, "{statement}.{of}x2");
        }
    }
}

#[test]
fn every_number_alone() {
    let all = singles(&(0..=0xffff).collect::<Vec<u64>>());
    for format in [F16, BF16] {
        let of = name(format);
        let number = |row: &[u64]| !format.is_nan(row[0]);
        check(&format!("neg.{of} %d, %a;"), "b16", &["b16"], &all, |r| number(r).then_some(r[0] ^ 0x8000));
        check(&format!("abs.{of} %d, %a;"), "b16", &["b16"], &all, |r| number(r).then_some(r[0] & 0x7fff));
        let near = |f: fn(f64) -> f64, relative: f64| {
            move |row: &[u64], got: u64| {
                let (want, got) = (f(format.float(row[0])), format.float(got));
                let most = format.float(format.infinity() - 1);
                match want {
                    want if want.is_nan() => got.is_nan(),
                    want if want.abs() > most => got.abs() >= most,
                    want => (got - want).abs() <= relative * want.abs() + format.float(1 << format.fraction),
                }
            }
        };
        let bits = format.fraction as i32;
        let ex2 = if format == F16 { "ex2.approx.f16" } else { "ex2.approx.ftz.bf16" };
        // Half a unit in the last place of rounding, and the approximation's own error.
        holds(&format!("{ex2} %d, %a;"), "b16", &["b16"], &all, near(f64::exp2, 2f64.powi(-bits)));
        holds(&format!("tanh.approx.{of} %d, %a;"), "b16", &["b16"], &all, near(f64::tanh, 2f64.powi(-bits)));
    }
}

#[test]
fn the_smaller_and_the_larger() {
    for format in [F16, BF16] {
        let of = name(format);
        let values = format.edges(30);
        let key = |bits: u64| {
            let magnitude = (bits & 0x7fff) as i64;
            if bits & 0x8000 != 0 { -1 - magnitude } else { magnitude }
        };
        for (op, least) in [("min", true), ("max", false)] {
            for nan in [false, true] {
                let statement = format!("{op}{}.{of} %d, %a, %b;", if nan { ".NaN" } else { "" });
                check(&statement, "b16", &["b16", "b16"], &pairs(&values, &values), |r| {
                    Some(match (format.is_nan(r[0]), format.is_nan(r[1])) {
                        (true, true) => NAN,
                        (true, _) | (_, true) if nan => NAN,
                        (true, _) => r[1],
                        (_, true) => r[0],
                        _ if (key(r[0]) < key(r[1])) == least => r[0],
                        _ => r[1],
                    })
                });
            }
        }
    }
}

#[test]
fn sums_of_numbers_far_apart() {
    // 1 + 2⁻¹¹ is a tie; with one more bit far below it is not.
    let tie = Exact::of(1.0).plus(&Exact::of(2f64.powi(-11)));
    assert!(F16.is_exact_rounded(0x3c00, Mode::Nearest, &tie, false));
    let fma = "fma.rn.f16 %d, %a, %b, %c;";
    // (2⁻¹² · 2 (1 + 2⁻¹⁰)) + 1 lies just above the tie.
    check(fma, "b16", &["b16", "b16", "b16"], &[vec![0x0c00, 0x4001, 0x3c00]], |_| Some(0x3c01));
    check(fma, "b16", &["b16", "b16", "b16"], &[vec![0x0c00, 0x4000, 0x3c00]], |_| Some(0x3c00));
}
