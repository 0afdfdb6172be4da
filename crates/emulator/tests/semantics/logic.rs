//! Bits and shifts.

use crate::table::{check, integers, noise, pairs, singles, triples};

/// Amounts of shifts, also past every width.
const AMOUNTS: [u64; 16] = [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 0x8000_0000, 0xffff_ffff];

fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

#[test]
fn booleans_of_words_and_predicates() {
    type Binary = (&'static str, fn(u64, u64) -> u64);
    let functions: [Binary; 3] = [("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)];
    for bits in [16, 32, 64] {
        let register = format!("b{bits}");
        let rows = pairs(&integers(bits), &integers(bits));
        for (name, f) in functions {
            check(&format!("{name}.b{bits} %d, %a, %b;"), &register, &[register.as_str(); 2], &rows, |r| {
                Some(f(r[0], r[1]))
            });
        }
        let one = singles(&integers(bits));
        check(&format!("not.b{bits} %d, %a;"), &register, &[&register], &one, |r| Some(!r[0] & mask(bits)));
        check(&format!("cnot.b{bits} %d, %a;"), &register, &[&register], &one, |r| Some((r[0] == 0).into()));
    }
    let rows = pairs(&[0, 1], &[0, 1]);
    for (name, f) in functions {
        check(&format!("{name}.pred %d, %a, %b;"), "pred", &["pred"; 2], &rows, |r| Some(f(r[0], r[1])));
        for (text, bit) in [("-1", 1), ("0", 0)] {
            let code = format!("{name}.pred %d, %a, {text};");
            check(&code, "pred", &["pred"], &singles(&[0, 1]), |r| Some(f(r[0], bit)));
        }
    }
    check("not.pred %d, %a;", "pred", &["pred"], &singles(&[0, 1]), |r| Some(1 - r[0]));
    check("mov.pred %d, %a;", "pred", &["pred"], &singles(&[0, 1]), |r| Some(r[0]));
}

#[test]
fn every_table_of_three_bits() {
    let few = [0, 0xffff_ffff, 0x0f0f_3355, 0xdead_beef, 0x8000_0001];
    let rows = triples(&few, &few, &few);
    for table in 0..256_u32 {
        check(&format!("lop3.b32 %d, %a, %b, %c, {table};"), "b32", &["b32"; 3], &rows, |r| {
            let bit = |i: u32| table >> ((r[0] >> i & 1) << 2 | (r[1] >> i & 1) << 1 | r[2] >> i & 1) & 1;
            Some((0..32).map(|i| u64::from(bit(i)) << i).sum())
        });
    }
}

#[test]
fn shifts_past_the_width() {
    for bits in [16, 32, 64] {
        let register = format!("b{bits}");
        let from = [register.as_str(), "b32"];
        let rows = pairs(&integers(bits), &AMOUNTS);
        let over = |n: u64| n >= u64::from(bits);
        check(&format!("shl.b{bits} %d, %a, %b;"), &register, &from, &rows, |r| {
            Some(if over(r[1]) { 0 } else { r[0] << r[1] & mask(bits) })
        });
        for of in ["b", "u"] {
            check(&format!("shr.{of}{bits} %d, %a, %b;"), &register, &from, &rows, |r| {
                Some(if over(r[1]) { 0 } else { r[0] >> r[1] })
            });
        }
        check(&format!("shr.s{bits} %d, %a, %b;"), &register, &from, &rows, |r| {
            let negative = r[0] >> (bits - 1) == 1;
            let n = r[1].min(u64::from(bits));
            let fill = if negative && n > 0 { mask(bits) & !(mask(bits) >> (n - 1) >> 1) } else { 0 };
            Some(if n == u64::from(bits) { fill } else { r[0] >> n | fill })
        });
    }
    let rows = triples(&integers(32)[..8], &integers(32)[4..], &AMOUNTS);
    let both = |r: &[u64]| r[1] << 32 | r[0];
    for (mode, clamp) in [("clamp", true), ("wrap", false)] {
        let n = |r: &[u64]| if clamp { r[2].min(32) } else { r[2] & 31 };
        check(&format!("shf.l.{mode}.b32 %d, %a, %b, %c;"), "b32", &["b32"; 3], &rows, |r| {
            Some((u128::from(both(r)) << n(r) >> 32) as u64 & 0xffff_ffff)
        });
        check(&format!("shf.r.{mode}.b32 %d, %a, %b, %c;"), "b32", &["b32"; 3], &rows, |r| {
            Some(both(r) >> n(r) & 0xffff_ffff)
        });
    }
}

#[test]
fn fields_of_bits() {
    let places = [0, 1, 5, 30, 31, 32, 33, 63, 64, 100, 255, 256, 0x1_0003];
    for bits in [32, 64] {
        let register = format!("b{bits}");
        // Of 64 bits an H100 takes positions and lengths as they are, of 32 by their low bytes.
        let within = if bits == 64 { u64::MAX } else { 0xff };
        let rows = triples(&integers(bits), &places, &places);
        for (of, signed) in [("u", false), ("s", true)] {
            check(&format!("bfe.{of}{bits} %d, %a, %b, %c;"), &register, &[&register, "b32", "b32"], &rows, |r| {
                let (position, length, top) = (r[1] & within, r[2] & within, u64::from(bits) - 1);
                let sign = signed && length > 0 && r[0] >> (position + length - 1).min(top) & 1 == 1;
                let bit = |i: u64| match i < length && position + i <= top {
                    true => r[0] >> (position + i) & 1 == 1,
                    false => sign,
                };
                Some((0..=top).map(|i| u64::from(bit(i)) << i).sum())
            });
        }
        for low in [0, u64::MAX, 0x1234_5678_9abc_def0] {
            let rows: Vec<_> = rows.iter().map(|r| vec![r[0], low & mask(bits), r[1], r[2]]).collect();
            let from = [register.as_str(), &register, "b32", "b32"];
            check(&format!("bfi.b{bits} %d, %a, %b, %c, %e;"), &register, &from, &rows, |r| {
                let (position, length) = (r[2] & within, r[3] & within);
                let mut field = r[1];
                for i in (0..length.min(64)).filter(|i| position + i < u64::from(bits)) {
                    field = field & !(1 << (position + i)) | (r[0] >> i & 1) << (position + i);
                }
                Some(field)
            });
        }
    }
    let rows = pairs(&integers(32), &AMOUNTS);
    for (mode, clamp) in [("clamp", true), ("wrap", false)] {
        for (of, signed) in [("u32", false), ("s32", true)] {
            check(&format!("szext.{mode}.{of} %d, %a, %b;"), "b32", &["b32"; 2], &rows, |r| {
                let large = clamp && r[1] >= 32;
                let n = if large { 32 } else { r[1] & 31 };
                let kept = r[0] & if n == 0 { 0 } else { mask(n as u32) };
                let negative = signed && n > 0 && !large && r[0] >> (n - 1) & 1 == 1;
                Some(if negative { kept | !mask(n as u32) & 0xffff_ffff } else { kept })
            });
        }
        let rows = pairs(&AMOUNTS, &AMOUNTS);
        check(&format!("bmsk.{mode}.b32 %d, %a, %b;"), "b32", &["b32"; 2], &rows, |r| {
            let (begin, width) = if clamp { (r[0].min(32), r[1].min(32)) } else { (r[0] & 31, r[1] & 31) };
            Some((begin..(begin + width).min(32)).map(|i| 1 << i).sum())
        });
    }
}

#[test]
fn counts_and_places_of_bits() {
    for bits in [32, 64] {
        let register = format!("b{bits}");
        let mut values = integers(bits);
        values.extend((0..bits).map(|i| 1 << i));
        values.extend((0..bits).map(|i| mask(bits) & !(1 << i)));
        let rows = singles(&values);
        let ones = |x: u64| (0..bits).filter(|i| x >> i & 1 == 1).collect::<Vec<u32>>();
        check(&format!("popc.b{bits} %d, %a;"), "b32", &[&register], &rows, |r| Some(ones(r[0]).len() as u64));
        check(&format!("clz.b{bits} %d, %a;"), "b32", &[&register], &rows, |r| {
            Some(ones(r[0]).last().map_or(bits, |top| bits - 1 - top).into())
        });
        check(&format!("brev.b{bits} %d, %a;"), &register, &[&register], &rows, |r| {
            Some(ones(r[0]).iter().map(|i| 1 << (bits - 1 - i)).sum())
        });
        for (of, signed) in [("u", false), ("s", true)] {
            let place = |x: u64| {
                let looked = if signed && x >> (bits - 1) == 1 { !x & mask(bits) } else { x };
                ones(looked).last().copied()
            };
            check(&format!("bfind.{of}{bits} %d, %a;"), "b32", &[&register], &rows, |r| {
                Some(place(r[0]).map_or(0xffff_ffff, u64::from))
            });
            check(&format!("bfind.shiftamt.{of}{bits} %d, %a;"), "b32", &[&register], &rows, |r| {
                Some(place(r[0]).map_or(0xffff_ffff, |top| u64::from(bits - 1 - top)))
            });
        }
    }
    let rows = triples(&integers(32), &[0, 3, 16, 31], &[0, 1, 2, 5, 0xffff_ffff, 0xffff_fffe]);
    check("fns.b32 %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| {
        let set: Vec<u64> = (0..32).filter(|i| r[0] >> i & 1 == 1).collect();
        let found = match r[2] as u32 as i32 {
            0 => set.iter().copied().find(|&i| i == r[1]),
            n @ 1.. => set.iter().copied().filter(|&i| i >= r[1]).nth(n as usize - 1),
            n => set.iter().copied().rev().filter(|&i| i <= r[1]).nth(n.unsigned_abs() as usize - 1),
        };
        Some(found.unwrap_or(0xffff_ffff))
    });
}

#[test]
fn bytes_are_permuted() {
    let selectors: Vec<u64> = [0x3210, 0x7654, 0x0123, 0xfedc, 0x8080, 0x4321, 0xffff_5678]
        .into_iter()
        .chain(noise(6, 20))
        .map(|x| x & 0xffff_ffff)
        .collect();
    let rows = triples(&[0x8091_7233, 0x0102_0304], &[0xf4e5_0677, 0x1a2b_3c4d], &selectors);
    let byte = |r: &[u64], i: u64| (r[1] << 32 | r[0]) >> (8 * (i & 7)) & 0xff;
    check("prmt.b32 %d, %a, %b, %c;", "b32", &["b32"; 3], &rows, |r| {
        let one = |i: u64| {
            let pick = r[2] >> (4 * i) & 15;
            let value = byte(r, pick);
            if pick < 8 {
                value
            } else if value >> 7 == 1 {
                0xff
            } else {
                0
            }
        };
        Some((0..4).map(|i| one(i) << (8 * i)).sum())
    });
    // The ISA's table of the modes: the bytes of the result from the highest, by selector.
    let tables: [(&str, [[u64; 4]; 4]); 6] = [
        ("f4e", [[3, 2, 1, 0], [4, 3, 2, 1], [5, 4, 3, 2], [6, 5, 4, 3]]),
        ("b4e", [[5, 6, 7, 0], [6, 7, 0, 1], [7, 0, 1, 2], [0, 1, 2, 3]]),
        ("rc8", [[0; 4], [1; 4], [2; 4], [3; 4]]),
        ("ecl", [[3, 2, 1, 0], [3, 2, 1, 1], [3, 2, 2, 2], [3, 3, 3, 3]]),
        ("ecr", [[0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 1, 0], [3, 2, 1, 0]]),
        ("rc16", [[1, 0, 1, 0], [3, 2, 3, 2], [1, 0, 1, 0], [3, 2, 3, 2]]),
    ];
    for (mode, table) in tables {
        check(&format!("prmt.b32.{mode} %d, %a, %b, %c;"), "b32", &["b32"; 3], &rows, |r| {
            Some(table[(r[2] & 3) as usize].iter().fold(0, |all, &i| all << 8 | byte(r, i)))
        });
    }
}

#[test]
fn words_are_packed_and_taken_apart() {
    let values = singles(&integers(64));
    check("{ .reg .b32 x, y; mov.b64 {x, y}, %a; mov.b64 %d, {y, x}; }", "b64", &["b64"], &values, |r| {
        Some(r[0].rotate_left(32))
    });
    check(
        "{ .reg .b16 x<4>; mov.b64 {x0, x1, x2, x3}, %a; mov.b64 %d, {x3, x2, x1, x0}; }",
        "b64",
        &["b64"],
        &values,
        |r| Some((0..4).map(|i| (r[0] >> (16 * i) & 0xffff) << (48 - 16 * i)).sum()),
    );
    check("{ .reg .b16 x; mov.b32 {_, x}, %a; mov.b32 %d, {x, 5}; }", "b32", &["b32"], &singles(&integers(32)), |r| {
        Some(5 << 16 | r[0] >> 16)
    });
    check("{ .reg .b32 x; mov.b64 {x, _}, %a; cvt.u64.u32 %d, x; }", "b64", &["b64"], &values, |r| {
        Some(r[0] & 0xffff_ffff)
    });
}
