//! Arithmetic of integers.

use crate::table::{Row, check, integers, noise, pairs, results, singles, triples};

const TYPES: [(u32, bool); 6] = [(16, false), (16, true), (32, false), (32, true), (64, false), (64, true)];

fn name((bits, signed): (u32, bool)) -> String {
    format!("{}{bits}", if signed { 's' } else { 'u' })
}

/// The number that bits are.
fn value(x: u64, (bits, signed): (u32, bool)) -> i128 {
    match signed {
        true => i128::from((x << (64 - bits)) as i64 >> (64 - bits)),
        false => i128::from(x & (u64::MAX >> (64 - bits))),
    }
}

fn cut(x: i128, bits: u32) -> u64 {
    x as u64 & (u64::MAX >> (64 - bits))
}

/// A product of any two numbers of 64 bits, in 256 bits from the lowest.
fn product(a: i128, b: i128) -> [u64; 2] {
    let negative = (a < 0) != (b < 0);
    let magnitude = a.unsigned_abs() * b.unsigned_abs();
    let all = if negative { magnitude.wrapping_neg() } else { magnitude };
    [all as u64, (all >> 64) as u64]
}

#[test]
fn sums_differences_quotients_and_the_like() {
    for of in TYPES {
        let (bits, signed) = of;
        let (suffix, register) = (name(of), format!("b{bits}"));
        let two = [register.as_str(); 2];
        let rows = pairs(&integers(bits), &integers(bits));
        let binary = |op: &str, f: &dyn Fn(i128, i128) -> Option<i128>| {
            check(&format!("{op}.{suffix} %d, %a, %b;"), &register, &two, &rows, |r| {
                f(value(r[0], of), value(r[1], of)).map(|x| cut(x, bits))
            });
        };
        binary("add", &|a, b| Some(a + b));
        binary("sub", &|a, b| Some(a - b));
        // A division by zero gives what the machine likes; so does the least number by −1 for the rest.
        let least = -(1_i128 << (bits - 1));
        binary("div", &|a, b| (b != 0).then(|| a / b));
        binary("rem", &|a, b| (b != 0 && !(signed && a == least && b == -1)).then(|| a % b));
        binary("min", &|a, b| Some(a.min(b)));
        binary("max", &|a, b| Some(a.max(b)));
        let unary = singles(&integers(bits));
        if signed {
            let one = |op: &str, f: &dyn Fn(i128) -> i128| {
                check(&format!("{op}.{suffix} %d, %a;"), &register, &[&register], &unary, |r| {
                    Some(cut(f(value(r[0], of)), bits))
                });
            };
            one("neg", &|a| -a);
            one("abs", &|a| a.abs());
        }
        let few = integers(bits);
        let three = triples(&few, &few, &few[..8]);
        check(&format!("sad.{suffix} %d, %a, %b, %c;"), &register, &[register.as_str(); 3], &three, |r| {
            Some(cut(value(r[2], of) + (value(r[0], of) - value(r[1], of)).abs(), bits))
        });
    }
    let rows = pairs(&integers(32), &integers(32));
    let s32 = (32, true);
    let clamp = |x: i128| cut(x.clamp(i32::MIN.into(), i32::MAX.into()), 32);
    check("add.sat.s32 %d, %a, %b;", "b32", &["b32"; 2], &rows, |r| Some(clamp(value(r[0], s32) + value(r[1], s32))));
    check("sub.sat.s32 %d, %a, %b;", "b32", &["b32"; 2], &rows, |r| Some(clamp(value(r[0], s32) - value(r[1], s32))));
    let positive = |x: i128| cut(x.max(0), 32);
    check("min.relu.s32 %d, %a, %b;", "b32", &["b32"; 2], &rows, |r| {
        Some(positive(value(r[0], s32).min(value(r[1], s32))))
    });
    check("max.relu.s32 %d, %a, %b;", "b32", &["b32"; 2], &rows, |r| {
        Some(positive(value(r[0], s32).max(value(r[1], s32))))
    });
}

#[test]
fn products_low_high_and_wide() {
    for of in TYPES {
        let (bits, _) = of;
        let (suffix, register) = (name(of), format!("b{bits}"));
        let few = integers(bits);
        let rows = triples(&few, &few, &few[..7]);
        let part = |r: &[u64], high: bool| {
            let [low, top] = product(value(r[0], of), value(r[1], of));
            match (high, bits) {
                (false, _) => low,
                (true, 64) => top,
                (true, _) => low >> bits,
            }
        };
        for (word, high) in [("lo", false), ("hi", true)] {
            check(
                &format!("mul.{word}.{suffix} %d, %a, %b;"),
                &register,
                &[register.as_str(); 2],
                &pairs(&few, &few),
                |r| Some(cut(part(r, high).into(), bits)),
            );
            check(&format!("mad.{word}.{suffix} %d, %a, %b, %c;"), &register, &[register.as_str(); 3], &rows, |r| {
                Some(cut(i128::from(part(r, high).wrapping_add(r[2])), bits))
            });
        }
        if bits < 64 {
            let wide = format!("b{}", 2 * bits);
            check(&format!("mul.wide.{suffix} %d, %a, %b;"), &wide, &[register.as_str(); 2], &pairs(&few, &few), |r| {
                Some(cut(part(r, false).into(), 2 * bits))
            });
            let rows = triples(&few, &few, &integers(2 * bits)[..7]);
            check(&format!("mad.wide.{suffix} %d, %a, %b, %c;"), &wide, &[&register, &register, &wide], &rows, |r| {
                Some(cut(i128::from(part(r, false).wrapping_add(r[2])), 2 * bits))
            });
        }
    }
    let few = integers(32);
    let rows = triples(&few, &few, &few);
    check("mad.hi.sat.s32 %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| {
        let [a, b, c] = [r[0], r[1], r[2]].map(|x| value(x, (32, true)));
        Some(cut((((a * b) >> 32) + c).clamp(i32::MIN.into(), i32::MAX.into()), 32))
    });
    for signed in [false, true] {
        let small = |x: u64| value(x, (24, signed));
        let suffix = if signed { "s32" } else { "u32" };
        check(&format!("mul24.lo.{suffix} %d, %a, %b;"), "b32", &["b32"; 2], &pairs(&few, &few), |r| {
            Some(cut(small(r[0]) * small(r[1]), 32))
        });
        check(&format!("mul24.hi.{suffix} %d, %a, %b;"), "b32", &["b32"; 2], &pairs(&few, &few), |r| {
            Some(cut((small(r[0]) * small(r[1])) >> 16, 32))
        });
        check(&format!("mad24.lo.{suffix} %d, %a, %b, %c;"), "b32", &["b32"; 3], &rows, |r| {
            Some(cut(small(r[0]) * small(r[1]) + i128::from(r[2]), 32))
        });
    }
}

#[test]
fn carries_run_through_words() {
    let words: Vec<u64> = integers(64).into_iter().chain(noise(1, 20)).collect();
    let rows: Vec<Row> = (0..words.len() * 9)
        .map(|i| (0..4).map(|j| words[(i * (3 * j + 1) + j * j) % words.len()]).collect())
        .collect();
    let whole = |low: u64, high: u64| u128::from(high) << 64 | u128::from(low);
    for (name, f) in [("add", u128::wrapping_add as fn(u128, u128) -> u128), ("sub", u128::wrapping_sub)] {
        for (statements, part) in [
            (format!("{{ .reg .b64 x; {name}.cc.u64 %d, %a, %c; {name}c.u64 x, %b, %e; }}"), 0),
            (format!("{{ .reg .b64 x; {name}.cc.u64 x, %a, %c; {name}c.u64 %d, %b, %e; }}"), 64),
        ] {
            check(&statements, "b64", &["b64"; 4], &rows, |r| {
                Some((f(whole(r[0], r[1]), whole(r[2], r[3])) >> part) as u64)
            });
        }
        // Four words of 32 bits, and the flag that the last leaves.
        let statements = format!(
            "{{ .reg .b32 x<8>; .reg .b32 y<4>;\n mov.b64 {{x0, x1}}, %a; mov.b64 {{x2, x3}}, %b; mov.b64 {{x4, x5}}, %c;\n \
             mov.b64 {{x6, x7}}, %e; {name}.cc.s32 y0, x0, x4; {name}c.cc.u32 y1, x1, x5; {name}c.cc.s32 y2, x2, x6;\n \
             {name}c.cc.u32 y3, x3, x7; {name}c.u32 y0, 0, 0; cvt.u64.u32 %d, y0; mov.b64 %a, {{y2, y3}};\n \
             shl.b64 %a, %a, 1; and.b64 %d, %d, 1; or.b64 %d, %d, %a; }}"
        );
        check(&statements, "b64", &["b64"; 4], &rows, |r| {
            let (a, b) = (whole(r[0], r[1]), whole(r[2], r[3]));
            let flag = if name == "add" { a.checked_add(b).is_none() } else { a < b };
            Some(((f(a, b) >> 64) as u64) << 1 | u64::from(flag))
        });
    }
    // The upper half of a product of 64 bits by words, as compilers write it.
    let statements = "{ .reg .b32 al, ah, bl, bh, x0, x1, x2, x3;
        mov.b64 {al, ah}, %a; mov.b64 {bl, bh}, %b;
        mul.lo.u32 x0, al, bl; mul.hi.u32 x1, al, bl;
        mad.lo.cc.u32 x1, al, bh, x1; madc.hi.u32 x2, al, bh, 0;
        mad.lo.cc.u32 x1, ah, bl, x1; madc.hi.cc.u32 x2, ah, bl, x2; addc.u32 x3, 0, 0;
        mad.lo.cc.u32 x2, ah, bh, x2; madc.hi.u32 x3, ah, bh, x3;
        mov.b64 %d, {x2, x3}; }";
    let two: Vec<Row> = rows.iter().map(|row| row[..2].to_vec()).collect();
    check(statements, "b64", &["b64"; 2], &two, |r| Some(((u128::from(r[0]) * u128::from(r[1])) >> 64) as u64));
    let statements = "{ .reg .b64 x; mad.lo.cc.u64 x, %a, %b, %c; madc.hi.u64 %d, %a, %b, %e; }";
    check(statements, "b64", &["b64"; 4], &rows, |r| {
        let sum = u128::from(r[0]) * u128::from(r[1]);
        Some((sum.wrapping_add(whole(r[2], r[3])) >> 64) as u64)
    });
    let statements = "{ .reg .b32 x; mad.lo.cc.s32 x, %a, %b, %c; madc.hi.s32 %d, %a, %b, %e; }";
    let narrow: Vec<Row> = rows.iter().map(|row| row.iter().map(|x| x >> 16 & 0xffff_ffff).collect()).collect();
    check(statements, "b32", &["b32"; 4], &narrow, |r| {
        let product = value(r[0], (32, true)) * value(r[1], (32, true));
        Some(cut((product + i128::from(r[3] << 32 | r[2])) >> 32, 32))
    });
}

#[test]
fn sums_of_small_products() {
    let few: Vec<u64> = integers(32).into_iter().chain([0x7f80_ff01, 0x80ff_7f01]).collect();
    let rows = triples(&few, &few, &few[..6]);
    for (a, a_signed) in [("u32", false), ("s32", true)] {
        for (b, b_signed) in [("u32", false), ("s32", true)] {
            let byte = |x: u64, i: u32, signed: bool| value(x >> (8 * i), (8, signed));
            check(&format!("dp4a.{a}.{b} %d, %a, %b, %c;"), "b32", &["b32"; 3], &rows, |r| {
                let sum: i128 = (0..4).map(|i| byte(r[0], i, a_signed) * byte(r[1], i, b_signed)).sum();
                Some(cut(sum + i128::from(r[2]), 32))
            });
            for (word, begin) in [("lo", 0), ("hi", 2)] {
                check(&format!("dp2a.{word}.{a}.{b} %d, %a, %b, %c;"), "b32", &["b32"; 3], &rows, |r| {
                    let half = |i: u32| value(r[0] >> (16 * i), (16, a_signed));
                    let sum: i128 = (0..2).map(|i| half(i) * byte(r[1], begin + i, b_signed)).sum();
                    Some(cut(sum + i128::from(r[2]), 32))
                });
            }
        }
    }
}

#[test]
fn pairs_of_halves() {
    let few: Vec<u64> = integers(16).into_iter().step_by(2).collect();
    let packed: Vec<u64> = pairs(&few, &few).iter().map(|r| r[0] << 16 | r[1]).collect();
    let rows: Vec<Row> = packed.iter().zip(packed.iter().rev()).map(|(&a, &b)| vec![a, b]).collect();
    for signed in [false, true] {
        let suffix = if signed { "s16x2" } else { "u16x2" };
        type Function = fn(i128, i128) -> i128;
        let functions: [(&str, Function); 3] = [("add", |a, b| a + b), ("min", i128::min), ("max", i128::max)];
        for (name, f) in functions {
            check(&format!("{name}.{suffix} %d, %a, %b;"), "b32", &["b32"; 2], &rows, |r| {
                let one = |i: u32| cut(f(value(r[0] >> i, (16, signed)), value(r[1] >> i, (16, signed))), 16);
                Some(one(16) << 16 | one(0))
            });
        }
    }
    check("max.relu.s16x2 %d, %a, %b;", "b32", &["b32"; 2], &rows, |r| {
        let one = |i: u32| cut(value(r[0] >> i, (16, true)).max(value(r[1] >> i, (16, true))).max(0), 16);
        Some(one(16) << 16 | one(0))
    });
}

#[test]
fn sums_of_differences_of_bytes() {
    let few = integers(32);
    let rows = triples(&few, &few, &few[..5]);
    check("vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| {
        let sum: i128 =
            (0..4).map(|i| (value(r[0] >> (8 * i), (8, false)) - value(r[1] >> (8 * i), (8, false))).abs()).sum();
        Some(cut(sum + i128::from(r[2]), 32))
    });
    check("vadd2.s32.s32.s32.sat %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| {
        let one = |i: u32| cut((value(r[0] >> i, (16, true)) + value(r[1] >> i, (16, true))).clamp(-32768, 32767), 16);
        Some(one(16) << 16 | one(0))
    });
}

#[test]
fn negative_numbers_fill_their_registers() {
    // What a literal leaves in a register is seen by the next instruction, at any width.
    let got = results("{ .reg .b32 x; add.u32 x, %a, -1; cvt.u64.u32 %d, x; }", "b64", &["b32"], &singles(&[0, 1]));
    assert_eq!(got, [0xffff_ffff, 0]);
    let got = results("{ .reg .b16 x; mov.u16 x, -2; cvt.u64.u16 %d, x; }", "b64", &["b32"], &singles(&[0]));
    assert_eq!(got, [0xfffe]);
}
