//! Comparisons, selections and tests.

use half::{bf16, f16};

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    arithmetic::{flush, half_to_f32, ones, signed},
    counters::Class,
    program::{Comparison, Op, compared},
    ptx::{Operand, Type},
};

/// How two numbers are compared: what holds where they are less, equal, greater, and unordered.
type Truth = [bool; 4];

const COMPARISONS: [(&str, Truth); 18] = [
    ("eq", [false, true, false, false]),
    ("ne", [true, false, true, false]),
    ("lt", [true, false, false, false]),
    ("le", [true, true, false, false]),
    ("gt", [false, false, true, false]),
    ("ge", [false, true, true, false]),
    ("lo", [true, false, false, false]),
    ("ls", [true, true, false, false]),
    ("hi", [false, false, true, false]),
    ("hs", [false, true, true, false]),
    ("equ", [false, true, false, true]),
    ("neu", [true, false, true, true]),
    ("ltu", [true, false, false, true]),
    ("leu", [true, true, false, true]),
    ("gtu", [false, false, true, true]),
    ("geu", [false, true, true, true]),
    ("num", [true, true, true, false]),
    ("nan", [false, false, false, true]),
];

#[inline(always)]
fn truth_of<T: PartialOrd>(a: T, b: T, [less, equal, greater, unordered]: Truth) -> bool {
    let (is_less, is_equal, is_greater) = (a < b, a == b, a > b);
    let none = !(is_less | is_equal | is_greater);
    less & is_less | equal & is_equal | greater & is_greater | unordered & none
}

fn comparison(of: Type, truth: Truth, ftz: bool) -> Comparison {
    let bits = of.bits();
    let single = |x: u64| f32::from_bits(x as u32);
    match of {
        Type::F32 if ftz => compared(move |a, b| truth_of(flush(single(a)), flush(single(b)), truth)),
        Type::F32 => compared(move |a, b| truth_of(single(a), single(b), truth)),
        Type::F64 => compared(move |a, b| truth_of(f64::from_bits(a), f64::from_bits(b), truth)),
        Type::F16 => compared(move |a, b| truth_of(half_to_f32(a as u16), half_to_f32(b as u16), truth)),
        Type::BF16 => compared(move |a, b| truth_of(single(a << 16), single(b << 16), truth)),
        _ if of.is_signed() => compared(move |a, b| truth_of(signed(a, bits), signed(b, bits), truth)),
        _ => {
            let mask = ones(bits);
            compared(move |a, b| truth_of(a & mask, b & mask, truth))
        }
    }
}

fn comparable(of: Type) -> Result<Type, String> {
    match of.is_float() || of.bits() >= 16 && of.bits() <= 64 && !matches!(of, Type::TF32 | Type::E4M3x2 | Type::E5M2x2)
    {
        true => Ok(of),
        false => Err(format!("`.{of}` is not compared")),
    }
}

/// How a comparison is joined with a predicate.
type Join = fn(u32, u32) -> u32;

/// The comparison's words: its truth, and the boolean operation that joins it with a predicate.
fn words(w: &mut Words<'_>) -> Result<(Truth, Option<Join>), String> {
    let truth = w.choose(&COMPARISONS).ok_or("the comparison is missing")?;
    let and: Join = |a, b| a & b;
    let join = w.choose(&[("and", and), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)]);
    Ok((truth, join))
}

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    let op = match name {
        "setp" => {
            let of = comparable(w.last_type()?)?;
            let ftz = w.take("ftz");
            let (truth, join) = words(w)?;
            let (first, second) = match o.first() {
                Some(Operand::Pair(p, q)) => (p.as_ref(), Some(q.as_ref())),
                Some(p) => (p, None),
                None => return Err("the predicate is missing".into()),
            };
            let both = matches!(of, Type::F16x2 | Type::BF16x2);
            if second.is_some() && matches!(of, Type::F16 | Type::BF16) {
                return Err(format!("`.{of}` gives one predicate"));
            }
            let (a, b, combine) = (d.source(o, 1)?, d.source(o, 2)?, d.combine(o, 3, join)?);
            let (p, q) = (d.predicate_or_sink(first)?, second.map(|q| d.predicate_or_sink(q)).transpose()?.flatten());
            if !both {
                return Ok(Some((
                    Op::Compare { f: comparison(of, truth, ftz), a, b, p, q, upper: None, combine },
                    Class::Integer,
                )));
            }
            // The first predicate is of the lower numbers, the second of the upper ones.
            let of = if of == Type::F16x2 { Type::F16 } else { Type::BF16 };
            let upper = comparison(of, truth, ftz);
            let upper: Comparison = Box::new(move |a, b| upper(&a.map(|a| a >> 16), &b.map(|b| b >> 16)));
            Op::Compare { f: comparison(of, truth, ftz), a, b, p, q, upper: Some(upper), combine }
        }
        "set" => {
            let of = comparable(w.last_type()?)?;
            let into = w.last_type()?;
            let ftz = w.take("ftz");
            let (truth, join) = words(w)?;
            let yes = match into {
                Type::F32 => 0x3f80_0000,
                Type::F16 => 0x3c00,
                Type::BF16 => 0x3f80,
                _ if matches!(of, Type::F16x2 | Type::BF16x2) => return packed_set(d, of, into, truth, o),
                _ if matches!(into, Type::F16x2 | Type::BF16x2) => return packed_set(d, of, into, truth, o),
                Type::U32 | Type::S32 | Type::U16 | Type::S16 => ones(into.bits()),
                _ => return Err(format!("`.{into}` cannot hold what a comparison gives")),
            };
            let (a, b, combine) = (d.source(o, 1)?, d.source(o, 2)?, d.combine(o, 3, join)?);
            Op::Set { f: comparison(of, truth, ftz), a, b, d: d.destination(o, 0)?, yes, combine }
        }
        "selp" => {
            let bits = w.last_type()?.bits();
            let (p, negated) = d.predicate_source(o, 3)?;
            let (a, b) = (d.source_bits(o, 1, bits)?, d.source_bits(o, 2, bits)?);
            Op::Select { d: d.destination(o, 0)?, a, b, p, negated }
        }
        "slct" => {
            let (by, ftz) = (w.last_type()?, w.take("ftz"));
            let mask = ones(w.last_type()?.bits());
            if !matches!(by, Type::F32 | Type::S32) {
                return Err("the third operand is `.s32` or `.f32`".into());
            }
            d.map3(o, move |a, b, c| {
                let x = f32::from_bits(c as u32);
                let x = if ftz { flush(x) } else { x };
                let first = if by == Type::F32 { x >= 0.0 } else { c as i32 >= 0 };
                (if first { a } else { b }) & mask
            })?
        }
        "testp" => {
            let of = w.last_type()?;
            if !matches!(of, Type::F32 | Type::F64) {
                return Err("is for `.f32` and `.f64`".into());
            }
            let x = move |bits: u64| {
                if of == Type::F32 { f32::from_bits(bits as u32).classify() } else { f64::from_bits(bits).classify() }
            };
            use std::num::FpCategory::{Infinite, Nan, Normal, Subnormal, Zero};
            let kinds: [(&str, &'static [std::num::FpCategory]); 6] = [
                ("finite", &[Normal, Subnormal, Zero]),
                ("infinite", &[Infinite]),
                ("number", &[Normal, Subnormal, Zero, Infinite]),
                ("notanumber", &[Nan]),
                // Hardware counts zeros among them.
                ("normal", &[Normal, Zero]),
                ("subnormal", &[Subnormal]),
            ];
            let kind = w.choose(&kinds).ok_or("the kind of number is missing")?;
            let f: Comparison = Box::new(move |a, _| (0..32).map(|i| u32::from(kind.contains(&x(a[i]))) << i).sum());
            let (p, a) = (d.predicate_of(o, 0)?, d.source(o, 1)?);
            Op::Compare { f, a, b: a, p: Some(p), q: None, upper: None, combine: None }
        }
        _ => return Ok(None),
    };
    Ok(Some((op, if name == "selp" { Class::Move } else { Class::Integer })))
}

/// `set` on two packed numbers at once.
fn packed_set(d: &mut Decoder<'_>, of: Type, into: Type, truth: Truth, o: &Operands<'_>) -> Found {
    if !of.is_float() || o.len() != 3 {
        return Err("is not supported with these types".into());
    }
    let short = of == Type::F16x2;
    let yes = match into {
        Type::F16x2 => 0x3c00,
        Type::BF16x2 => 0x3f80,
        _ => 0xffff_u64,
    };
    let x = move |bits: u64| {
        if short { f16::from_bits(bits as u16).to_f32() } else { bf16::from_bits(bits as u16).to_f32() }
    };
    let one = move |a: u64, b: u64| if truth_of(x(a), x(b), truth) { yes } else { 0 };
    Ok(Some((d.rare2(o, move |a, b| one(a >> 16, b >> 16) << 16 | one(a, b))?, Class::Half)))
}
