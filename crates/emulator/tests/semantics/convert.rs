//! Conversions.

use crate::{
    exact::{BF16, DIRECTED, Exact, F16, F32, F64, Format, Mode},
    table::{Row, check, holds, integers, noise, pairs, singles},
};

fn all_halves() -> Vec<Row> {
    singles(&(0..=0xffff).collect::<Vec<u64>>())
}

/// The bits of f32 of a number that it holds.
fn f32_bits(x: f64) -> u64 {
    u64::from((x as f32).to_bits())
}

#[test]
fn every_half_number_widens_exactly() {
    for (of, format) in [("f16", F16), ("bf16", BF16)] {
        check(&format!("cvt.f32.{of} %d, %a;"), "b32", &["b16"], &all_halves(), |r| {
            // A bf16 keeps what its NaN says.
            Some(match of {
                "bf16" => r[0] << 16,
                _ if format.is_nan(r[0]) => 0x7fff_ffff,
                _ => f32_bits(format.float(r[0])),
            })
        });
        holds(&format!("cvt.f64.{of} %d, %a;"), "b64", &["b16"], &all_halves(), |r, got| {
            let (want, got) = (format.float(r[0]), f64::from_bits(got));
            got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
        });
    }
}

/// All numbers of a narrow format, the middles between neighbours, and their neighbours in f32.
fn around(format: Format) -> Vec<Row> {
    let mut rows = Vec::new();
    for magnitude in 0..format.infinity() {
        let (low, high) = (format.float(magnitude), format.float(magnitude + 1));
        // The step beyond the largest number is as wide as the one before it.
        let high = if high.is_finite() { high } else { 2.0 * low - format.float(magnitude - 1) };
        let (low, middle) = (f32_bits(low), f32_bits((low + high) / 2.0));
        let inside = middle.wrapping_sub(low) > 1;
        for bits in [low.saturating_sub(1), low, low + 1, middle - 1, middle, middle + 1] {
            if inside || bits == low {
                rows.push(vec![bits]);
                rows.push(vec![bits | 0x8000_0000]);
            }
        }
    }
    rows.extend(singles(&F32.edges(20_000)));
    rows
}

#[test]
fn f32_narrows_in_every_direction() {
    for (of, format) in [("f16", F16), ("bf16", BF16)] {
        let rows = around(format);
        for (word, mode) in DIRECTED {
            for more in ["", ".relu", ".satfinite", ".relu.satfinite"] {
                if !more.is_empty() && !matches!(word, "rn" | "rz") {
                    continue;
                }
                let statement = format!("cvt.{word}{more}.{of}.f32 %d, %a;");
                holds(&statement, "b16", &["b32"], &rows, |r, got| {
                    let x = F32.float(r[0]);
                    if x.is_nan() {
                        return got == 0x7fff;
                    }
                    if more.contains("relu") && r[0] >> 31 == 1 {
                        return got == 0;
                    }
                    let largest = format.infinity() - 1;
                    if more.contains("satfinite") && got & 0x7fff == largest && x.abs() > format.float(largest) {
                        return (got >> 15 == 1) == (x < 0.0);
                    }
                    if x.is_infinite() {
                        return !more.contains("satfinite") && got == format.infinity() | r[0] >> 16 & 0x8000;
                    }
                    if more.contains("satfinite") && got & 0x7fff == format.infinity() {
                        return false;
                    }
                    format.is_exact_rounded(got, mode, &F32.exact(r[0]), r[0] >> 31 == 1)
                });
            }
        }
        // Two at once, the first above the second.
        let two: Vec<Row> = rows.chunks_exact(2).step_by(17).map(|two| two.concat()).collect();
        for word in ["rn", "rz"] {
            let both = format!("cvt.{word}.{of}x2.f32 %d, %a, %b;");
            let one = |operand: &str| {
                crate::table::results(&format!("cvt.{word}.{of}.f32 %d, {operand};"), "b16", &["b32", "b32"], &two)
            };
            let want: Vec<u64> = one("%a").iter().zip(one("%b")).map(|(high, low)| high << 16 | low).collect();
            assert_eq!(crate::table::results(&both, "b32", &["b32", "b32"], &two), want, "{both}");
        }
    }
}

#[test]
fn f64_narrows_in_every_direction() {
    let mut rows = singles(&F64.edges(4000));
    // Around the numbers and middles of f32, which f64 lies close to.
    for bits in F32.edges(2000).into_iter().filter(|&bits| F32.is_finite(bits)) {
        let (x, next) = (F32.float(bits).to_bits(), F32.float(bits + 1));
        let middle = if next.is_finite() { (F32.float(bits) + next) / 2.0 } else { 0.0 }.to_bits();
        for bits in [x, x + 1, x.wrapping_sub(1), middle, middle + 1, middle.wrapping_sub(1)] {
            rows.push(vec![bits]);
        }
    }
    for (word, mode) in DIRECTED {
        for (of, register, format) in [("f32", "b32", F32), ("f16", "b16", F16)] {
            holds(&format!("cvt.{word}.{of}.f64 %d, %a;"), register, &["b64"], &rows, |r, got| {
                let x = f64::from_bits(r[0]);
                match x {
                    x if x.is_nan() => format.is_nan(got),
                    x if x.is_infinite() => got == format.infinity() | if x < 0.0 { format.sign() } else { 0 },
                    x => format.is_exact_rounded(got, mode, &Exact::of(x), x.is_sign_negative()),
                }
            });
        }
    }
    check("cvt.rn.sat.f32.f64 %d, %a;", "b32", &["b64"], &rows, |r| {
        let x = f64::from_bits(r[0]);
        (x.is_nan() || x <= 0.0 || x >= 1.0).then_some(if x >= 1.0 { 0x3f80_0000 } else { 0 })
    });
}

#[test]
fn integers_become_the_nearest_float() {
    for (word, mode) in DIRECTED {
        for bits in [8, 16, 32, 64] {
            for sign in ['u', 's'] {
                let mut values = integers(bits);
                values.extend(noise(3, 300).iter().map(|x| x >> (x % 40) & (u64::MAX >> (64 - bits))));
                let whole = |x: u64| match sign {
                    's' => i128::from((x as i64) << (64 - bits) >> (64 - bits)),
                    _ => i128::from(x),
                };
                let register = if bits == 8 { "b16".to_owned() } else { format!("b{bits}") };
                for (of, to, format) in
                    [("f16", "b16", F16), ("bf16", "b16", BF16), ("f32", "b32", F32), ("f64", "b64", F64)]
                {
                    if (of, bits) == ("bf16", 8) {
                        continue;
                    }
                    let statement = format!("cvt.{word}.{of}.{sign}{bits} %d, %a;");
                    holds(&statement, to, &[&register], &singles(&values), |r, got| {
                        format.is_exact_rounded(got, mode, &Exact::integer(whole(r[0])), false)
                    });
                }
            }
        }
    }
}

/// The integer that a number rounds to, by its digits.
fn rounded(format: Format, bits: u64, mode: Mode) -> i128 {
    let magnitude = bits & (format.sign() - 1);
    let negative = bits & format.sign() != 0;
    let bias = (1 << (format.bits - format.fraction - 2)) - 1;
    let field = (magnitude >> format.fraction) as i32;
    let fraction = i128::from(magnitude & ((1 << format.fraction) - 1));
    let significand = if field == 0 { fraction } else { fraction | 1 << format.fraction };
    let shift = field.max(1) - bias - format.fraction as i32;
    let whole = match shift {
        70.. => 1 << 100,
        0..70 => significand << shift.min(70),
        _ => {
            let down = (-shift).min(100);
            let (kept, rest) = (significand >> down, significand & ((1 << down) - 1));
            let half = 1 << (down - 1);
            let up = match mode {
                Mode::Nearest => rest > half || rest == half && kept & 1 == 1,
                Mode::Away => rest >= half,
                Mode::Zero => false,
                Mode::Down => negative && rest != 0,
                Mode::Up => !negative && rest != 0,
            };
            kept + i128::from(up)
        }
    };
    if negative { -whole } else { whole }
}

const INTEGRAL: [(&str, Mode); 4] =
    [("rni", Mode::Nearest), ("rzi", Mode::Zero), ("rmi", Mode::Down), ("rpi", Mode::Up)];

#[test]
fn floats_become_integers_in_every_direction() {
    let mut single = F32.edges(6000);
    let mut double = F64.edges(6000);
    for whole in
        [0.0, 1.0, 2.0, 127.0, 128.0, 255.0, 32767.0, 65535.0, 2147483647.0, 4294967295.0, 9.223372036854776e18]
    {
        for part in [-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.5] {
            for x in [whole + part, -whole - part] {
                single.push(f32_bits(x));
                double.push(x.to_bits());
            }
        }
    }
    let halves: Vec<u64> = (0..=0xffff).collect();
    for (from, register, format, values) in [
        ("f16", "b16", F16, &halves),
        ("bf16", "b16", BF16, &halves),
        ("f32", "b32", F32, &single),
        ("f64", "b64", F64, &double),
    ] {
        for (word, mode) in INTEGRAL {
            for bits in [8, 16, 32, 64].into_iter().filter(|&bits| (from, bits) != ("bf16", 8)) {
                for sign in ['u', 's'] {
                    let (low, high) = match sign {
                        's' => (-(1_i128 << (bits - 1)), (1 << (bits - 1)) - 1),
                        _ => (0, (1 << bits) - 1),
                    };
                    let to = if bits == 8 { "b16".to_owned() } else { format!("b{bits}") };
                    let wide = if bits == 8 { 16 } else { bits };
                    let statement = format!("cvt.{word}.{sign}{bits}.{from} %d, %a;");
                    check(&statement, &to, &[register], &singles(values), |r| {
                        if format.is_nan(r[0]) {
                            // For 8 and 16 bits of f64 the width that counts is not said.
                            return match (from, bits) {
                                ("f64", 8 | 16) => None,
                                (_, 8) if sign == 's' => Some(0xff80),
                                ("f64", _) | (_, 64) => Some(1 << (bits - 1)),
                                _ => Some(0),
                            };
                        }
                        let whole = match (format.is_finite(r[0]), r[0] & format.sign() == 0) {
                            (true, _) => rounded(format, r[0], mode),
                            (false, true) => i128::MAX,
                            (false, false) => i128::MIN,
                        };
                        Some(whole.clamp(low, high) as u64 & (u64::MAX >> (64 - wide)))
                    });
                }
            }
            // To an integer of the same format.
            if from != "bf16" {
                let statement = format!("cvt.{word}.{from}.{from} %d, %a;");
                holds(&statement, register, &[register], &singles(values), |r, got| match format.is_nan(r[0]) {
                    true => format.is_nan(got),
                    false if !format.is_finite(r[0]) => got == r[0],
                    false => {
                        let x = format.float(r[0]);
                        let whole = rounded(format, r[0], mode);
                        let large = x.abs() >= 2f64.powi(60);
                        let value = if large { x } else { whole as f64 };
                        format.float(got) == value && got & format.sign() == r[0] & format.sign()
                    }
                });
            }
        }
    }
    // A subnormal number rounds up to one, unless it is flushed.
    check("cvt.rpi.s32.f32 %d, %a;", "b32", &["b32"], &singles(&[1]), |_| Some(1));
    check("cvt.rpi.ftz.s32.f32 %d, %a;", "b32", &["b32"], &singles(&[1]), |_| Some(0));
}

#[test]
fn f32_saturates_and_flushes() {
    let rows = singles(&F32.edges(2000));
    check("cvt.sat.f32.f32 %d, %a;", "b32", &["b32"], &rows, |r| {
        let x = F32.float(r[0]);
        Some(if x >= 1.0 {
            0x3f80_0000
        } else if x > 0.0 {
            r[0]
        } else {
            0
        })
    });
    check("cvt.ftz.f32.f32 %d, %a;", "b32", &["b32"], &rows, |r| (!F32.is_nan(r[0])).then(|| F32.flushed(r[0])));
    check("cvt.f64.f32 %d, %a;", "b64", &["b32"], &rows, |r| (!F32.is_nan(r[0])).then(|| F32.float(r[0]).to_bits()));
    check("cvt.ftz.f64.f32 %d, %a;", "b64", &["b32"], &rows, |r| {
        (!F32.is_nan(r[0])).then(|| F32.float(F32.flushed(r[0])).to_bits())
    });
}

#[test]
fn integers_are_cut_extended_and_clamped() {
    for from in [8, 16, 32, 64] {
        for to in [8, 16, 32, 64] {
            for (a, b) in [('u', 'u'), ('u', 's'), ('s', 'u'), ('s', 's')] {
                let register = |bits: u32| if bits == 8 { "b16".to_owned() } else { format!("b{bits}") };
                let (source, target) = (register(from), register(to));
                let wide = if to == 8 { 16 } else { to };
                let value = |x: u64, bits: u32, sign: char| match sign {
                    's' => i128::from((x << (64 - bits)) as i64 >> (64 - bits)),
                    _ => i128::from(x & (u64::MAX >> (64 - bits))),
                };
                let rows = singles(&integers(from));
                let mask = u64::MAX >> (64 - wide);
                check(&format!("cvt.{b}{to}.{a}{from} %d, %a;"), &target, &[&source], &rows, |r| {
                    Some(value(value(r[0], from, a) as u64, to, b) as u64 & mask)
                });
                let range = |sign: char, bits: u32| match sign {
                    's' => (-(1_i128 << (bits - 1)), (1 << (bits - 1)) - 1),
                    _ => (0, (1 << bits) - 1),
                };
                let ((low, high), (least, most)) = (range(b, to), range(a, from));
                if low <= least && most <= high {
                    continue;
                }
                check(&format!("cvt.sat.{b}{to}.{a}{from} %d, %a;"), &target, &[&source], &rows, |r| {
                    Some(value(r[0], from, a).clamp(low, high) as u64 & mask)
                });
            }
        }
    }
    let rows = pairs(&integers(32), &integers(32));
    let clamp = |x: u64, low: i32, high: i32| (x as i32).clamp(low, high) as u64;
    check("cvt.pack.sat.s16.s32 %d, %a, %b;", "b32", &["b32", "b32"], &rows, |r| {
        Some((clamp(r[0], -32768, 32767) & 0xffff) << 16 | clamp(r[1], -32768, 32767) & 0xffff)
    });
    check("cvt.pack.sat.u8.s32.b32 %d, %a, %b, 0x12345678;", "b32", &["b32", "b32"], &rows, |r| {
        Some(0x5678_0000 | clamp(r[0], 0, 255) << 8 | clamp(r[1], 0, 255))
    });
}

#[test]
fn tf32_keeps_ten_bits_of_fraction() {
    let mut rows = singles(&F32.edges(20_000));
    rows.extend(noise(8, 4000).iter().flat_map(|bits| {
        let bits = bits & 0xffff_e000;
        [vec![bits], vec![bits | 0x1000], vec![bits | 0x1001], vec![bits | 0xfff]]
    }));
    // The same numbers as those of a format of 19 bits, 13 places higher.
    let tf32 = Format { bits: 19, fraction: 10 };
    for (word, mode) in [("rna", Mode::Away), ("rn", Mode::Nearest), ("rz", Mode::Zero)] {
        holds(&format!("cvt.{word}.tf32.f32 %d, %a;"), "b32", &["b32"], &rows, |r, got| match F32.float(r[0]) {
            x if x.is_nan() => F32.is_nan(got),
            x if x.is_infinite() => got == r[0],
            _ => got & 0x1fff == 0 && tf32.is_exact_rounded(got >> 13, mode, &F32.exact(r[0]), r[0] >> 31 == 1),
        });
    }
}

/// The number that 8 bits are, by the table of OCP's formats: (bits of exponent, bits of fraction).
fn eight(bits: u64, exponent_bits: u32) -> f64 {
    let fraction_bits = 7 - exponent_bits;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let magnitude = bits & 0x7f;
    let (field, fraction) = ((magnitude >> fraction_bits) as i32, magnitude & ((1 << fraction_bits) - 1));
    let value = match (exponent_bits, magnitude) {
        (4, 0x7f) | (5, 0x7d..) => f64::NAN,
        (5, 0x7c) => f64::INFINITY,
        _ if field == 0 => fraction as f64 * 2f64.powi(1 - bias - fraction_bits as i32),
        _ => (fraction as f64 / f64::from(1 << fraction_bits) + 1.0) * 2f64.powi(field - bias),
    };
    if bits & 0x80 != 0 { -value } else { value }
}

#[test]
fn eight_bit_formats_in_both_directions() {
    for (of, exponent_bits, largest) in [("e4m3", 4, 0x7e_u64), ("e5m2", 5, 0x7b)] {
        let every: Vec<Row> = singles(&(0..=0xffff).collect::<Vec<u64>>());
        for relu in ["", ".relu"] {
            check(&format!("cvt.rn{relu}.f16x2.{of}x2 %d, %a;"), "b32", &["b16"], &every, |r| {
                let half = |bits: u64| match eight(bits & 0xff, exponent_bits) {
                    x if x.is_nan() => 0x7fff,
                    x if x.is_sign_negative() && !relu.is_empty() => 0,
                    x => u64::from(half::f16::from_f64(x).to_bits()),
                };
                Some(half(r[0] >> 8) << 16 | half(r[0]))
            });
        }
        // The nearest of all numbers, by search; ties have an even pattern.
        let nearest = |x: f64| -> u64 {
            if x.is_nan() {
                return 0x7f;
            }
            let distance = |bits: u64| (eight(bits, exponent_bits) - x.abs()).abs();
            let best = (0..=largest).min_by(|&a, &b| distance(a).total_cmp(&distance(b)).then((a & 1).cmp(&(b & 1))));
            let best = if x.abs() > eight(largest, exponent_bits) { largest } else { best.unwrap() };
            best | if x.is_sign_negative() { 0x80 } else { 0 }
        };
        let mut values: Vec<u64> = F32.edges(800);
        for bits in 0..=largest {
            let (low, high) = (eight(bits, exponent_bits), eight(bits + 1, exponent_bits));
            let middle = if high.is_finite() { (low + high) / 2.0 } else { low * 1.03 };
            for x in [f32_bits(low), f32_bits(middle)] {
                values.extend([x, x + 1, x.wrapping_sub(1) & 0x7fff_ffff, x | 0x8000_0000]);
            }
        }
        let rows: Vec<Row> = values.iter().zip(values.iter().rev()).map(|(&a, &b)| vec![a, b]).collect();
        for relu in ["", ".relu"] {
            let positive = |x: f64| if !relu.is_empty() && x.is_sign_negative() && !x.is_nan() { 0.0 } else { x };
            check(&format!("cvt.rn.satfinite{relu}.{of}x2.f32 %d, %a, %b;"), "b16", &["b32", "b32"], &rows, |r| {
                Some(nearest(positive(F32.float(r[0]))) << 8 | nearest(positive(F32.float(r[1]))))
            });
        }
        let halves: Vec<Row> =
            (0..=0xffff_u64).map(|bits| vec![bits << 16 | (bits.wrapping_mul(40_503) & 0xffff)]).collect();
        let known: Vec<u64> = (0..=0xffff).map(|bits| nearest(F16.float(bits))).collect();
        check(&format!("cvt.rn.satfinite.{of}x2.f16x2 %d, %a;"), "b16", &["b32"], &halves, |r| {
            Some(known[(r[0] >> 16) as usize] << 8 | known[(r[0] & 0xffff) as usize])
        });
    }
}
