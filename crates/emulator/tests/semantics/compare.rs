//! Comparisons, selections and tests.

use crate::{
    exact::{BF16, F16, F32, F64, Format},
    table::{check, integers, pairs, singles, triples},
};

/// Which of less, equal, greater and unordered a comparison holds for.
const FLOAT: [(&str, [bool; 4]); 14] = [
    ("eq", [false, true, false, false]),
    ("ne", [true, false, true, false]),
    ("lt", [true, false, false, false]),
    ("le", [true, true, false, false]),
    ("gt", [false, false, true, false]),
    ("ge", [false, true, true, false]),
    ("equ", [false, true, false, true]),
    ("neu", [true, false, true, true]),
    ("ltu", [true, false, false, true]),
    ("leu", [true, true, false, true]),
    ("gtu", [false, false, true, true]),
    ("geu", [false, true, true, true]),
    ("num", [true, true, true, false]),
    ("nan", [false, false, false, true]),
];

fn ordered(format: Format, a: u64, b: u64) -> usize {
    format.float(a).partial_cmp(&format.float(b)).map_or(3, |order| (order as i8 + 1) as usize)
}

/// How a comparison is joined with a predicate.
type Join = fn(bool, bool) -> bool;

/// Whether a number, normal or not, is of a kind.
type Test = fn(f64, bool) -> bool;

#[test]
fn floats_compare_in_order_and_unordered() {
    for (of, register, format) in [("f16", "b16", F16), ("bf16", "b16", BF16), ("f32", "b32", F32), ("f64", "b64", F64)]
    {
        let rows = pairs(&format.edges(6), &format.edges(6));
        for (name, truth) in FLOAT {
            let holds = |r: &[u64]| Some(u64::from(truth[ordered(format, r[0], r[1])]));
            check(&format!("setp.{name}.{of} %d, %a, %b;"), "pred", &[register, register], &rows, holds);
            let second = format!("{{ .reg .pred p; setp.{name}.{of} p|%d, %a, %b; }}");
            // Of 16 bits only pairs give two.
            if register != "b16" {
                check(&second, "pred", &[register, register], &rows, |r| holds(r).map(|yes| 1 - yes));
            }
            let number = format!("set.{name}.u32.{of} %d, %a, %b;");
            check(&number, "b32", &[register, register], &rows, |r| holds(r).map(|yes| yes * 0xffff_ffff));
        }
    }
    let rows = pairs(&F32.edges(6), &F32.edges(6));
    check("setp.lt.ftz.f32 %d, %a, %b;", "pred", &["b32", "b32"], &rows, |r| {
        Some(u64::from(ordered(F32, F32.flushed(r[0]), F32.flushed(r[1])) == 0))
    });
    check("set.lt.f32.f32 %d, %a, %b;", "b32", &["b32", "b32"], &rows, |r| {
        Some(if ordered(F32, r[0], r[1]) == 0 { 0x3f80_0000 } else { 0 })
    });
}

#[test]
fn packed_halves_compare_apart() {
    for (of, format, one) in [("f16", F16, 0x3c00), ("bf16", BF16, 0x3f80)] {
        let halves = pairs(&format.edges(3), &format.edges(3));
        let packed: Vec<u64> = halves.iter().map(|row| row[0] << 16 | row[1]).collect();
        let rows: Vec<Vec<u64>> = packed.iter().zip(packed.iter().rev()).map(|(&a, &b)| vec![a, b]).collect();
        for (name, truth) in FLOAT {
            let at = |r: &[u64], shift: u32| truth[ordered(format, r[0] >> shift & 0xffff, r[1] >> shift & 0xffff)];
            let from = ["b32", "b32"];
            check(&format!("set.{name}.{of}x2.{of}x2 %d, %a, %b;"), "b32", &from, &rows, |r| {
                Some(((u64::from(at(r, 16)) * one) << 16) | (u64::from(at(r, 0)) * one))
            });
            check(&format!("set.{name}.u32.{of}x2 %d, %a, %b;"), "b32", &from, &rows, |r| {
                Some((u64::from(at(r, 16)) * 0xffff_0000) | (u64::from(at(r, 0)) * 0xffff))
            });
            let low = format!("{{ .reg .pred p; setp.{name}.{of}x2 %d|p, %a, %b; }}");
            check(&low, "pred", &from, &rows, |r| Some(at(r, 0).into()));
            let high = format!("{{ .reg .pred p; setp.{name}.{of}x2 p|%d, %a, %b; }}");
            check(&high, "pred", &from, &rows, |r| Some(at(r, 16).into()));
        }
    }
}

#[test]
fn integers_compare_by_their_type() {
    for bits in [16, 32, 64] {
        let register = format!("b{bits}");
        let from = [register.as_str(), register.as_str()];
        let rows = pairs(&integers(bits), &integers(bits));
        let signed = |x: u64| (x << (64 - bits)) as i64;
        for (name, truth) in FLOAT.into_iter().take(6) {
            check(&format!("setp.{name}.s{bits} %d, %a, %b;"), "pred", &from, &rows, |r| {
                Some(truth[(signed(r[0]).cmp(&signed(r[1])) as i8 + 1) as usize].into())
            });
            let unsigned = |r: &[u64]| Some(truth[(r[0].cmp(&r[1]) as i8 + 1) as usize].into());
            check(&format!("setp.{name}.u{bits} %d, %a, %b;"), "pred", &from, &rows, unsigned);
            let other = match name {
                "lt" => "lo",
                "le" => "ls",
                "gt" => "hi",
                "ge" => "hs",
                same => {
                    check(&format!("setp.{same}.b{bits} %d, %a, %b;"), "pred", &from, &rows, unsigned);
                    continue;
                }
            };
            check(&format!("setp.{other}.u{bits} %d, %a, %b;"), "pred", &from, &rows, unsigned);
        }
    }
}

#[test]
fn a_comparison_joins_a_predicate() {
    let rows = triples(&[1, 2, 3], &[1, 2, 3], &[0, 1]);
    let from = ["b32", "b32", "pred"];
    let joins: [(&str, Join); 3] = [("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)];
    for (name, join) in joins {
        let want =
            |r: &[u64], first: bool, negated: bool| Some(join((r[0] < r[1]) == first, (r[2] == 1) != negated).into());
        check(&format!("setp.lt.{name}.u32 %d, %a, %b, %c;"), "pred", &from, &rows, |r| want(r, true, false));
        check(&format!("setp.lt.{name}.u32 %d, %a, %b, !%c;"), "pred", &from, &rows, |r| want(r, true, true));
        // The second predicate is of the opposite comparison, joined in the same way.
        let second = format!("{{ .reg .pred p; setp.lt.{name}.u32 p|%d, %a, %b, %c; }}");
        check(&second, "pred", &from, &rows, |r| want(r, false, false));
        check(&format!("set.lt.{name}.s32.u32 %d, %a, %b, %c;"), "b32", &from, &rows, |r| {
            want(r, true, false).map(|yes: u64| yes * 0xffff_ffff)
        });
    }
}

#[test]
fn selections() {
    let rows = triples(&[5, 0xffff_ffff], &[9], &[0, 1]);
    check("selp.b32 %d, %a, %b, %c;", "b32", &["b32", "b32", "pred"], &rows, |r| {
        Some(r[if r[2] == 1 { 0 } else { 1 }])
    });
    // A negative number fills no more than the register.
    let wide = "{ .reg .b32 x; selp.b32 x, -1, 0, %a; setp.eq.u32 %d, x, 0xffffffff; }";
    check(wide, "pred", &["pred"], &singles(&[0, 1]), |r| Some(r[0]));
    let rows = triples(&[5], &[9], &integers(32));
    let first = |yes: bool| Some(if yes { 5 } else { 9 });
    check("slct.b32.s32 %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| first(r[2] as i32 >= 0));
    let rows = triples(&[5], &[9], &F32.edges(10));
    check("slct.u32.f32 %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| first(F32.float(r[2]) >= 0.0));
    check("slct.ftz.u64.f32 %d, %a, %b, %c;", "b64", &["b64", "b64", "b32"], &rows, |r| {
        first(F32.float(F32.flushed(r[2])) >= 0.0)
    });
}

#[test]
fn tests_of_numbers() {
    for (of, register, format) in [("f32", "b32", F32), ("f64", "b64", F64)] {
        let rows = singles(&format.edges(20));
        let tests: [(&str, Test); 6] = [
            ("finite", |x, _| x.is_finite()),
            ("infinite", |x, _| x.is_infinite()),
            ("number", |x, _| !x.is_nan()),
            ("notanumber", |x, _| x.is_nan()),
            ("normal", |x, subnormal| x.is_finite() && !subnormal),
            ("subnormal", |_, subnormal| subnormal),
        ];
        for (name, test) in tests {
            check(&format!("testp.{name}.{of} %d, %a;"), "pred", &[register], &rows, |r| {
                Some(test(format.float(r[0]), format.is_subnormal(r[0])).into())
            });
        }
    }
}
