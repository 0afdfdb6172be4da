//! Arithmetic of f32 and f64 in all roundings.

use std::cmp::Ordering;

use crate::{
    exact::{DIRECTED, Exact, F32, F64, Format, Mode},
    table::{Row, check, holds, noise, pairs, singles, triples},
};

/// What an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Add,
    Subtract,
    Multiply,
    Fuse,
    Divide,
    Root,
}

use Function::{Add, Divide, Fuse, Multiply, Root, Subtract};

/// Whether a result is right: the exact one rounded once, then flushed or saturated.
fn is_right(f: Function, format: Format, mode: Mode, ftz: bool, sat: bool, row: &[u64], got: u64) -> bool {
    let row: Row = row.iter().map(|&bits| if ftz { format.flushed(bits) } else { bits }).collect();
    let x: Vec<f64> = row.iter().map(|&bits| format.float(bits)).collect();
    // The host's f64 gives infinities, NaN and signs; what is finite is computed exactly.
    let rough = match f {
        Add => x[0] + x[1],
        Subtract => x[0] - x[1],
        Multiply => x[0] * x[1],
        Fuse => x[0].mul_add(x[1], x[2]),
        Divide => x[0] / x[1],
        Root => x[0].sqrt(),
    };
    let finite = row.iter().all(|&bits| format.is_finite(bits));
    let special = !finite || f == Divide && x[1] == 0.0 || f == Root && x[0] <= 0.0;
    let one = format.bits - 2;
    let one = ((1_u64 << one) - 1) >> format.fraction << format.fraction;
    if special {
        return match rough {
            r if r.is_nan() && sat => got == 0,
            r if r.is_nan() && format == F32 => got == 0x7fff_ffff,
            r if r.is_nan() => format.is_nan(got),
            r if sat && r <= 0.0 => got == 0,
            r if sat && r.is_infinite() => got == one,
            r if r.is_infinite() => got == format.infinity() | if r < 0.0 { format.sign() } else { 0 },
            // A finite quotient by infinity, or the root of zero.
            r => got & (format.sign() - 1) == 0 && (got != 0) == r.is_sign_negative(),
        };
    }
    let e: Vec<Exact> = row.iter().map(|&bits| format.exact(bits)).collect();
    let signs: Vec<bool> = row.iter().map(|&bits| bits & format.sign() != 0).collect();
    // A sum of zero: the sign of both, or that of the direction.
    let zero = |a: bool, b: bool| if a == b { a } else { mode == Mode::Down };
    let product_sign = || signs[0] != signs[1];
    let (sum, negative_zero) = match f {
        Add => (e[0].plus(&e[1]), zero(signs[0], signs[1])),
        Subtract => (e[0].plus(&e[1].negated()), zero(signs[0], !signs[1])),
        Multiply => (e[0].times(&e[1]), product_sign()),
        Fuse => (e[0].times(&e[1]).plus(&e[2]), zero(product_sign(), signs[2])),
        Divide => (e[0].clone(), product_sign()),
        Root => (e[0].clone(), false),
    };
    let negative = if sum.is_zero() {
        negative_zero
    } else if f == Divide {
        product_sign()
    } else {
        sum.is_negative()
    };
    if sum.is_zero() {
        let plain = got == if negative_zero && !sat { format.sign() } else { 0 };
        // Whether the sign of a saturated zero is lost is not said.
        return plain || sat && negative_zero && got == format.sign();
    }
    let compare = |y: &Exact| -> Ordering {
        match f {
            Divide => e[0].magnitude().compare(&y.times(&e[1].magnitude())),
            Root => e[0].compare(&y.times(y)),
            _ => sum.magnitude().compare(y),
        }
    };
    if sat && negative {
        return got & !format.sign() == 0;
    }
    if sat && compare(&format.exact(one)).is_ge() {
        return got == one;
    }
    let right = |bits| format.is_rounded(bits, mode, negative, compare);
    if ftz {
        // What lies between the largest subnormal and the least normal number may be flushed before or after rounding.
        let least = 1_u64 << format.fraction;
        return match compare(&format.exact(least)) {
            Ordering::Less => got & !format.sign() == 0 || got & !format.sign() == least && right(got),
            _ => right(got),
        };
    }
    right(got)
}

fn of(format: Format) -> (&'static str, &'static str) {
    if format == F32 { ("f32", "b32") } else { ("f64", "b64") }
}

fn prove(name: &str, f: Function, format: Format, mode: Mode, words: &str, rows: &[Row]) {
    let (suffix, register) = of(format);
    let operands = ["", "%a", "%a, %b", "%a, %b, %c"][rows[0].len()];
    let statement = format!("{name}{words}.{suffix} %d, {operands};");
    let (ftz, sat) = (words.contains("ftz"), words.contains("sat"));
    holds(&statement, register, &vec![register; rows[0].len()], rows, |row, got| {
        is_right(f, format, mode, ftz, sat, row, got)
    });
}

/// Rows of one, two and three operands.
fn rows(format: Format) -> [Vec<Row>; 3] {
    let edges = format.edges(14);
    let few: Vec<u64> = format.edges(4).into_iter().step_by(3).collect();
    let mut three = triples(&few, &few, &few);
    let random = noise(77, 3 * 4000);
    // Exponents close enough for cancellation.
    let near = |bits: u64| match format {
        F32 => bits & 0x807f_ffff | (0x3f80_0000 + (bits >> 40) % 5 * 0x80_0000),
        _ => bits & 0x800f_ffff_ffff_ffff | (0x3ff0_0000_0000_0000 + (bits >> 55) % 5 * (1 << 52)),
    };
    three.extend(random.chunks(3).map(|row| row.iter().map(|&bits| near(bits)).collect()));
    // Products that the third operand all but cancels.
    let cancel = |row: &[u64]| {
        let (a, b) = (near(row[0]), near(row[1]));
        let c = match format {
            F32 => u64::from((-(f32::from_bits(a as u32) * f32::from_bits(b as u32))).to_bits()),
            _ => (-(f64::from_bits(a) * f64::from_bits(b))).to_bits(),
        };
        vec![a, b, c]
    };
    three.extend(random.chunks(3).map(cancel));
    let mut two = pairs(&edges, &edges);
    two.extend(random.chunks(2).map(|row| row.iter().map(|&bits| near(bits)).collect()));
    let mut one = singles(&format.edges(3000));
    one.extend(singles(&random.iter().map(|&bits| near(bits)).collect::<Vec<_>>()));
    [one, two, three]
}

#[test]
fn f32_is_rounded_once_in_every_direction() {
    let [one, two, three] = rows(F32);
    for (word, mode) in DIRECTED {
        for more in ["", ".ftz", ".sat", ".ftz.sat"] {
            let words = format!(".{word}{more}");
            prove("add", Add, F32, mode, &words, &two);
            prove("sub", Subtract, F32, mode, &words, &two);
            prove("mul", Multiply, F32, mode, &words, &two);
            prove("fma", Fuse, F32, mode, &words, &three);
        }
        for more in ["", ".ftz"] {
            let words = format!(".{word}{more}");
            prove("div", Divide, F32, mode, &words, &two);
            prove("sqrt", Root, F32, mode, &words, &one);
            let (suffix, register) = of(F32);
            let reciprocal = format!("rcp{words}.{suffix} %d, %a;");
            holds(&reciprocal, register, &[register], &one, |row, got| {
                is_right(Divide, F32, mode, !more.is_empty(), false, &[0x3f80_0000, row[0]], got)
            });
        }
    }
    prove("add", Add, F32, Mode::Nearest, "", &two);
    prove("mul", Multiply, F32, Mode::Nearest, "", &two);
    prove("mad.rn", Fuse, F32, Mode::Nearest, "", &three);
}

#[test]
fn f64_is_rounded_once_in_every_direction() {
    let [one, two, three] = rows(F64);
    for (word, mode) in DIRECTED {
        let words = format!(".{word}");
        prove("add", Add, F64, mode, &words, &two);
        prove("sub", Subtract, F64, mode, &words, &two);
        prove("mul", Multiply, F64, mode, &words, &two);
        prove("fma", Fuse, F64, mode, &words, &three);
        prove("div", Divide, F64, mode, &words, &two);
        prove("sqrt", Root, F64, mode, &words, &one);
        let reciprocal = format!("rcp{words}.f64 %d, %a;");
        holds(&reciprocal, "b64", &["b64"], &one, |row, got| {
            is_right(Divide, F64, mode, false, false, &[0x3ff0_0000_0000_0000, row[0]], got)
        });
    }
}

#[test]
fn signs_are_bits() {
    let f32s = singles(&F32.edges(40));
    let number = |row: &[u64]| !F32.is_nan(row[0]);
    check("abs.f32 %d, %a;", "b32", &["b32"], &f32s, |r| number(r).then_some(r[0] & 0x7fff_ffff));
    check("neg.f32 %d, %a;", "b32", &["b32"], &f32s, |r| number(r).then_some(r[0] ^ 0x8000_0000));
    check("abs.ftz.f32 %d, %a;", "b32", &["b32"], &f32s, |r| number(r).then_some(F32.flushed(r[0]) & 0x7fff_ffff));
    check("neg.ftz.f32 %d, %a;", "b32", &["b32"], &f32s, |r| number(r).then_some(F32.flushed(r[0]) ^ 0x8000_0000));
    let f64s = singles(&F64.edges(40));
    let number = |row: &[u64]| !F64.is_nan(row[0]);
    check("abs.f64 %d, %a;", "b64", &["b64"], &f64s, |r| number(r).then_some(r[0] & !F64.sign()));
    check("neg.f64 %d, %a;", "b64", &["b64"], &f64s, |r| number(r).then_some(r[0] ^ F64.sign()));
    let two = pairs(&F32.edges(8), &F32.edges(8));
    let copied = |r: &[u64]| Some(r[0] & 0x8000_0000 | r[1] & 0x7fff_ffff);
    check("copysign.f32 %d, %a, %b;", "b32", &["b32", "b32"], &two, copied);
    let two = pairs(&F64.edges(8), &F64.edges(8));
    let copied = |r: &[u64]| Some(r[0] & F64.sign() | r[1] & !F64.sign());
    check("copysign.f64 %d, %a, %b;", "b64", &["b64", "b64"], &two, copied);
}

/// The smaller or larger number: −0 below +0, and NaN only where both are, or where it is asked for.
fn extreme(format: Format, a: u64, b: u64, least: bool, nan: bool) -> Option<u64> {
    let key = |bits: u64| {
        let magnitude = (bits & (format.sign() - 1)) as i128;
        if bits & format.sign() != 0 { -1 - magnitude } else { magnitude }
    };
    match (format.is_nan(a), format.is_nan(b)) {
        (true, true) => None,
        (true, false) | (false, true) if nan => None,
        (true, false) => Some(b),
        (false, true) => Some(a),
        _ => Some(if (key(a) < key(b)) == least { a } else { b }),
    }
}

#[test]
fn the_smaller_and_the_larger() {
    let single = pairs(&F32.edges(10), &F32.edges(10));
    for (name, least) in [("min", true), ("max", false)] {
        for (words, nan, ftz, absolute) in [
            ("", false, false, false),
            (".NaN", true, false, false),
            (".ftz", false, true, false),
            (".ftz.NaN", true, true, false),
            (".xorsign.abs", false, false, true),
            (".NaN.xorsign.abs", true, false, true),
        ] {
            let statement = format!("{name}{words}.f32 %d, %a, %b;");
            check(&statement, "b32", &["b32", "b32"], &single, |r| {
                let (a, b) = if ftz { (F32.flushed(r[0]), F32.flushed(r[1])) } else { (r[0], r[1]) };
                if !absolute {
                    return Some(extreme(F32, a, b, least, nan).unwrap_or(0x7fff_ffff));
                }
                let sign = (a ^ b) & 0x8000_0000;
                let best = extreme(F32, a & 0x7fff_ffff, b & 0x7fff_ffff, least, nan);
                // The sign where one is NaN is its own affair.
                let numbers = !F32.is_nan(a) && !F32.is_nan(b);
                best.map_or(Some(0x7fff_ffff), |best| numbers.then_some(best | sign))
            });
        }
        let double = pairs(&F64.edges(6), &F64.edges(6));
        check(&format!("{name}.f64 %d, %a, %b;"), "b64", &["b64", "b64"], &double, |r| {
            extreme(F64, r[0], r[1], least, false)
        });
    }
}

#[test]
fn approximations_are_near_and_exact_at_the_edges() {
    let inputs = singles(&F32.edges(500));
    // (instruction, function, relative error and absolute error that the ISA allows)
    type Line = (&'static str, fn(f64) -> f64, f64, f64);
    let lines: [Line; 8] = [
        ("rcp.approx.f32", |x| 1.0 / x, 2f64.powi(-23), 0.0),
        ("sqrt.approx.f32", f64::sqrt, 2f64.powi(-22), 0.0),
        ("rsqrt.approx.f32", |x| 1.0 / x.sqrt(), 2f64.powi(-22), 0.0),
        ("ex2.approx.f32", f64::exp2, 2f64.powi(-22), 0.0),
        ("lg2.approx.f32", f64::log2, 2f64.powi(-22), 2f64.powi(-22)),
        ("tanh.approx.f32", f64::tanh, 2f64.powi(-11), 0.0),
        ("sin.approx.f32", f64::sin, 0.0, 2f64.powi(-20)),
        ("cos.approx.f32", f64::cos, 0.0, 2f64.powi(-20)),
    ];
    for (name, f, relative, absolute) in lines {
        holds(&format!("{name} %d, %a;"), "b32", &["b32"], &inputs, |row, got| {
            let x = F32.float(row[0]);
            // The bound holds in −π..π.
            if (name.starts_with("sin") || name.starts_with("cos")) && x.is_finite() && x.abs() > std::f64::consts::PI {
                return true;
            }
            let (want, got) = (f(x), F32.float(got));
            let tiny = f64::from(f32::MIN_POSITIVE) * 2f64.powi(-23);
            match want {
                want if want.is_nan() => got.is_nan(),
                want if want == 0.0 || want.is_infinite() => {
                    got == want && got.is_sign_negative() == want.is_sign_negative()
                }
                want if want.abs() > f64::from(f32::MAX) => {
                    got == want.signum() * f64::INFINITY || got.abs() >= f64::from(f32::MAX)
                }
                want => (got - want).abs() <= relative * want.abs() + absolute + tiny,
            }
        });
    }
    let flushed = |row: &[u64]| F32.is_subnormal(row[0]).then_some(0x7f80_0000 | row[0] & 0x8000_0000);
    check("rcp.approx.ftz.f32 %d, %a;", "b32", &["b32"], &inputs, flushed);
    let quotients = pairs(&F32.edges(20), &F32.edges(20));
    for name in ["div.approx.f32", "div.full.f32"] {
        holds(&format!("{name} %d, %a, %b;"), "b32", &["b32", "b32"], &quotients, |row, got| {
            let (a, b) = (F32.float(row[0]), F32.float(row[1]));
            // Beyond this the ISA lets the quotient be 0.
            if !(2f64.powi(-126)..=2f64.powi(126)).contains(&b.abs()) {
                return true;
            }
            let (want, got) = (a / b, F32.float(got));
            match want {
                want if want.is_nan() => got.is_nan(),
                want if want.abs() > f64::from(f32::MAX) => got.abs() >= f64::from(f32::MAX),
                want => (got - want).abs() <= 2f64.powi(-22) * want.abs() + 2f64.powi(-149),
            }
        });
    }
    // f64's approximations of 20 bits look at the upper half only.
    let inputs = singles(&F64.edges(200));
    type Coarse = (&'static str, fn(f64) -> f64);
    let coarse: [Coarse; 2] = [("rcp.approx.ftz.f64", |x| 1.0 / x), ("rsqrt.approx.ftz.f64", |x| 1.0 / x.sqrt())];
    for (name, f) in coarse {
        holds(&format!("{name} %d, %a;"), "b64", &["b64"], &inputs, |row, got| {
            let x = f64::from_bits(F64.flushed(row[0]));
            let (want, got) = (f(x), f64::from_bits(got));
            match want {
                want if want.is_nan() => got.is_nan(),
                want if want.is_infinite() || want == 0.0 => got == want,
                want if want.is_subnormal() => got == 0.0 || (got - want).abs() <= want.abs() * 2f64.powi(-18),
                want => (got - want).abs() <= want.abs() * 2f64.powi(-18) && got.to_bits() as u32 == 0,
            }
        });
    }
}

#[test]
fn literals_take_the_format_of_their_instruction() {
    let one = singles(&[0x4000_0000]);
    check("add.f32 %d, %a, 1.5;", "b32", &["b32"], &one, |_| Some(0x4060_0000));
    check("add.f32 %d, %a, 0f3F800000;", "b32", &["b32"], &one, |_| Some(0x4040_0000));
    check("mov.f32 %d, -2.0;", "b32", &["b32"], &one, |_| Some(0xc000_0000));
    let one = singles(&[0x4000_0000_0000_0000]);
    check("add.f64 %d, %a, 1.0;", "b64", &["b64"], &one, |_| Some(0x4008_0000_0000_0000));
    check("mul.f64 %d, %a, 0d3FE0000000000000;", "b64", &["b64"], &one, |_| Some(0x3ff0_0000_0000_0000));
}
