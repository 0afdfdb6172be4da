//! Integer arithmetic, bits and shifts.

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    arithmetic::{ones, signed},
    counters::Class,
    program::Op,
    ptx::{Operand, Type},
};

/// An integer as a wide one, by its type.
#[inline(always)]
fn wide(value: u64, bits: u32, is_signed: bool) -> i128 {
    if is_signed { signed(value, bits).into() } else { (value & ones(bits)).into() }
}

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    if matches!(name, "add" | "addc" | "sub" | "subc" | "mad" | "madc") {
        let keep = w.take("cc");
        if keep || name.ends_with('c') {
            return carry(d, name, keep, w, o).map(Some);
        }
    }
    if matches!(name, "add" | "min" | "max")
        && let Some(sign) = w.choose(&[("s16x2", true), ("u16x2", false)])
    {
        return Ok(Some((pairs(d, name, sign, w, o)?, Class::Integer)));
    }
    if name == "prmt" {
        return Ok(Some((prmt(d, w, o)?, Class::Integer)));
    }
    if let Some(op) = video(d, name, w, o)? {
        return Ok(Some((op, Class::Integer)));
    }
    let (Some(of), Some(legal)) = (w.peek_type(), legal_types(name)) else { return Ok(None) };
    if !legal.contains(&of) {
        return Err(format!("`.{of}` is not a type of this instruction"));
    }
    let (bits, sign) = (of.bits(), of.is_signed());
    let mask = ones(bits);
    let op = match name {
        "add" | "sub" => {
            w.last_type()?;
            let subtract = name == "sub";
            if w.take("sat") {
                if of != Type::S32 {
                    return Err("`.sat` is for `.s32`".into());
                }
                let (low, high) = (-(1_i64 << 31), (1_i64 << 31) - 1);
                d.rare2(o, move |a, b| {
                    let (a, b) = (signed(a, 32), signed(b, 32));
                    (if subtract { a - b } else { a + b }.clamp(low, high) as u64) & 0xffff_ffff
                })?
            } else if subtract {
                d.map2(o, move |a, b| a.wrapping_sub(b) & mask)?
            } else {
                d.map2(o, move |a, b| a.wrapping_add(b) & mask)?
            }
        }
        "mul" | "mad" | "mul24" | "mad24" => {
            w.last_type()?;
            let small = if name.ends_with("24") { 24 } else { bits };
            let (shift, out) = match w.choose(&[("lo", (0, bits)), ("hi", (bits, bits)), ("wide", (0, 2 * bits))]) {
                Some((shift, out)) => (if small == 24 && shift > 0 { 16 } else { shift }, out),
                None => return Err("`.lo`, `.hi` or `.wide` is missing".into()),
            };
            let saturate = w.take("sat");
            if out > 64 || saturate && (of != Type::S32 || shift == 0) || out > bits && small == 24 {
                return Err("is not supported for this type".into());
            }
            let mad = name.starts_with("mad");
            if mad && saturate {
                // Only in the upper half of a product of 32 bits.
                return Ok(Some((
                    d.rare3(o, move |a, b, c| {
                        let sum = (signed(a, small).wrapping_mul(signed(b, small)) >> shift) + signed(c, 32);
                        sum.clamp(-(1 << 31), (1 << 31) - 1) as u64 & 0xffff_ffff
                    })?,
                    Class::Integer,
                )));
            }
            match (small, sign) {
                (32, false) => {
                    let product = |a, b| u64::from(a as u32) * u64::from(b as u32);
                    multiplied(d, o, mad, shift, out, product, |x, shift| x >> shift)?
                }
                (32, true) => {
                    let product = |a, b| (i64::from(a as i32) * i64::from(b as i32)) as u64;
                    multiplied(d, o, mad, shift, out, product, |x, shift| (x as i64 >> shift) as u64)?
                }
                (64, _) if shift == 0 => multiplied(d, o, mad, shift, out, u64::wrapping_mul, |x, _| x)?,
                (64, _) => {
                    // Of 128 bits of an unsigned product the highest may be the sign: the upper half is right all the same.
                    let high = move |a, b| (wide(a, 64, sign).wrapping_mul(wide(b, 64, sign)) >> 64) as u64;
                    multiplied(d, o, mad, 0, out, high, |x, _| x)?
                }
                (_, false) => {
                    let product = move |a, b| (a & ones(small)) * (b & ones(small));
                    multiplied(d, o, mad, shift, out, product, |x, shift| x >> shift)?
                }
                (_, true) => {
                    let product = move |a, b| (signed(a, small) * signed(b, small)) as u64;
                    multiplied(d, o, mad, shift, out, product, |x, shift| (x as i64 >> shift) as u64)?
                }
            }
        }
        "div" => {
            w.last_type()?;
            match sign {
                true => d.rare2(o, move |a, b| match signed(b, bits) {
                    0 => mask,
                    b => signed(a, bits).wrapping_div(b) as u64 & mask,
                })?,
                false => d.rare2(o, move |a, b| (a & mask).checked_div(b & mask).unwrap_or(mask))?,
            }
        }
        "rem" => {
            w.last_type()?;
            match sign {
                true => d.rare2(o, move |a, b| match signed(b, bits) {
                    0 => a & mask,
                    b => signed(a, bits).wrapping_rem(b) as u64 & mask,
                })?,
                false => d.rare2(o, move |a, b| (a & mask).checked_rem(b & mask).unwrap_or(a & mask))?,
            }
        }
        "min" | "max" => {
            w.last_type()?;
            let (least, relu) = (name == "min", w.take("relu"));
            if relu && of != Type::S32 {
                return Err("`.relu` is for `.s32` and `.s16x2`".into());
            }
            match sign {
                true => d.map2(o, move |a, b| {
                    let (a, b) = (signed(a, bits), signed(b, bits));
                    let best = if least { a.min(b) } else { a.max(b) };
                    (if relu { best.max(0) } else { best }) as u64 & mask
                })?,
                false if least => d.map2(o, move |a, b| (a & mask).min(b & mask))?,
                false => d.map2(o, move |a, b| (a & mask).max(b & mask))?,
            }
        }
        "abs" => {
            w.last_type()?;
            d.map1(o, move |a| signed(a, bits).unsigned_abs() & mask)?
        }
        "neg" => {
            w.last_type()?;
            d.map1(o, move |a| a.wrapping_neg() & mask)?
        }
        "sad" => {
            w.last_type()?;
            d.rare3(o, move |a, b, c| {
                c.wrapping_add((wide(a, bits, sign) - wide(b, bits, sign)).unsigned_abs() as u64) & mask
            })?
        }
        "popc" => {
            w.last_type()?;
            d.map1(o, move |a| (a & mask).count_ones().into())?
        }
        "clz" => {
            w.last_type()?;
            d.rare1(o, move |a| u64::from((a & mask).leading_zeros()) - (64 - u64::from(bits)))?
        }
        "brev" => {
            w.last_type()?;
            d.rare1(o, move |a| a.reverse_bits() >> (64 - bits))?
        }
        "bfind" => {
            w.last_type()?;
            let shift = w.take("shiftamt");
            d.rare1(o, move |a| {
                let a = signed(a, bits);
                let looked = if sign && a < 0 { !a } else { a } as u64 & mask;
                match looked.checked_ilog2() {
                    Some(top) if shift => u64::from(bits - 1 - top),
                    Some(top) => top.into(),
                    None => 0xffff_ffff,
                }
            })?
        }
        "bfe" => {
            w.last_type()?;
            // Of 64 bits the hardware takes whole numbers, of 32 their low bytes.
            let within = if bits == 64 { u32::MAX } else { 0xff };
            d.map3(o, move |a, position, length| {
                let (position, length) = (position as u32 & within, length as u32 & within);
                let top = position.saturating_add(length).saturating_sub(1).min(bits - 1);
                let fill = if sign && length > 0 && a >> top & 1 == 1 { u64::MAX } else { 0 };
                let field = if position < bits { (a & mask) >> position } else { 0 };
                let kept = length.min(bits.saturating_sub(position));
                (field & ones(kept) | fill & if length == 0 { 0 } else { !ones(kept) }) & mask
            })?
        }
        "bfi" => {
            w.last_type()?;
            let within = if bits == 64 { u32::MAX } else { 0xff };
            d.rare4(o, move |a, b, position, length| {
                let (position, length) = (position as u32 & within, length as u32 & within);
                if position >= bits {
                    return b & mask;
                }
                let field = ones(length.min(bits - position)) << position;
                (b & !field | (a << position) & field) & mask
            })?
        }
        "szext" => {
            w.last_type()?;
            let clamp = w.choose(&[("clamp", true), ("wrap", false)]).ok_or("`.clamp` or `.wrap` is missing")?;
            d.rare2(o, move |a, n| {
                let n = if clamp { (n as u32).min(32) } else { n as u32 & 31 };
                match n {
                    0 => 0,
                    n if sign => signed(a, n) as u64 & 0xffff_ffff,
                    n => a & ones(n),
                }
            })?
        }
        "bmsk" => {
            w.last_type()?;
            let clamp = w.choose(&[("clamp", true), ("wrap", false)]).ok_or("`.clamp` or `.wrap` is missing")?;
            d.rare2(o, move |a, b| {
                let (a, b) = match clamp {
                    true => ((a as u32).min(32), (b as u32).min(32)),
                    false => (a as u32 & 31, b as u32 & 31),
                };
                (ones(b) << a) & 0xffff_ffff
            })?
        }
        "dp4a" | "dp2a" => {
            let b_signed = w.last_type()?.is_signed();
            let a_signed = w.last_type()?.is_signed();
            let high =
                if name == "dp2a" { w.choose(&[("lo", 0), ("hi", 2)]).ok_or("`.lo` or `.hi` is missing")? } else { 0 };
            let four = name == "dp4a";
            d.rare3(o, move |a, b, c| {
                let (count, a_bits) = if four { (4, 8) } else { (2, 16) };
                let products = (0..count).map(|i| {
                    let byte = b >> (8 * (i + high));
                    (wide(a >> (a_bits * i), a_bits, a_signed) * wide(byte, 8, b_signed)) as u64
                });
                products.fold(c, u64::wrapping_add) & 0xffff_ffff
            })?
        }
        "and" | "or" | "xor" => {
            let of = w.last_type()?;
            if of == Type::Pred {
                let f = match name {
                    "and" => |a, b| a & b,
                    "or" => |a, b| a | b,
                    _ => |a: u32, b: u32| a ^ b,
                };
                if let Some(&Operand::Integer(constant)) = o.get(2) {
                    let f: fn(u32, u32) -> u32 = match (name, constant != 0) {
                        ("and", false) => |_, _| 0,
                        ("or", true) => |_, _| u32::MAX,
                        ("xor", true) => |a, _| !a,
                        _ => |a, _| a,
                    };
                    let (p, a) = (d.predicate_of(o, 0)?, d.predicate_of(o, 1)?);
                    return Ok(Some((Op::Predicate { f, p, a, b: a }, Class::Integer)));
                }
                return Ok(Some((d.predicate2(o, f)?, Class::Integer)));
            }
            match name {
                "and" => d.map2(o, move |a, b| a & b & mask)?,
                "or" => d.map2(o, move |a, b| (a | b) & mask)?,
                _ => d.map2(o, move |a, b| (a ^ b) & mask)?,
            }
        }
        "not" => {
            if w.last_type()? == Type::Pred {
                if o.len() != 2 {
                    return Err("a destination and 1 operand are expected".into());
                }
                let (p, a) = (d.predicate_of(o, 0)?, d.predicate_of(o, 1)?);
                return Ok(Some((Op::Predicate { f: |a, _| !a, p, a, b: a }, Class::Integer)));
            }
            d.map1(o, move |a| !a & mask)?
        }
        "cnot" => {
            w.last_type()?;
            d.rare1(o, move |a| u64::from(a & mask == 0))?
        }
        "lop3" => {
            w.last_type()?;
            let Some(crate::ptx::Operand::Integer(table)) = o.get(4) else {
                return Err("the truth table must be a number".into());
            };
            if o.len() != 5 {
                return Err("a destination, 3 operands and a truth table are expected".into());
            }
            let table = *table as u8;
            d.map3(&&o[..4], move |a, b, c| {
                let term = |i: u8, x: u64, y: u64, z: u64| if table >> i & 1 == 1 { x & y & z } else { 0 };
                (term(7, a, b, c)
                    | term(6, a, b, !c)
                    | term(5, a, !b, c)
                    | term(4, a, !b, !c)
                    | term(3, !a, b, c)
                    | term(2, !a, b, !c)
                    | term(1, !a, !b, c)
                    | term(0, !a, !b, !c))
                    & mask
            })?
        }
        "shl" => {
            w.last_type()?;
            d.map2(o, move |a, n| {
                let n = n as u32;
                if n < 64 { a << n & mask } else { 0 }
            })?
        }
        "shr" => {
            w.last_type()?;
            match sign {
                true => d.map2(o, move |a, n| (signed(a, bits) >> (n as u32).min(63)) as u64 & mask)?,
                false => d.map2(o, move |a, n| {
                    let n = n as u32;
                    if n < 64 { (a & mask) >> n } else { 0 }
                })?,
            }
        }
        "shf" => {
            w.last_type()?;
            let left = w.choose(&[("l", true), ("r", false)]).ok_or("`.l` or `.r` is missing")?;
            let clamp = w.choose(&[("clamp", true), ("wrap", false)]).ok_or("`.clamp` or `.wrap` is missing")?;
            d.map3(o, move |a, b, n| {
                let n = if clamp { (n as u32).min(32) } else { n as u32 & 31 };
                let both = (b & 0xffff_ffff) << 32 | a & 0xffff_ffff;
                if left { (both << n) >> 32 } else { both >> n & 0xffff_ffff }
            })?
        }
        "fns" => {
            w.last_type()?;
            d.rare3(o, |mask, base, n| nth_set(mask as u32, base as u32, n as i32).into())?
        }
        _ => return Ok(None),
    };
    Ok(Some((op, Class::Integer)))
}

/// A part of a product, from a bit on and of so many, and with `mad` something added to it.
fn multiplied(
    d: &mut Decoder<'_>,
    o: &Operands<'_>,
    mad: bool,
    shift: u32,
    out: u32,
    product: impl Fn(u64, u64) -> u64 + Copy + Send + Sync + 'static,
    part: impl Fn(u64, u32) -> u64 + Copy + Send + Sync + 'static,
) -> Result<Op, String> {
    let mask = ones(out);
    match (mad, shift) {
        (false, 0) => d.map2(o, move |a, b| product(a, b) & mask),
        (false, _) => d.map2(o, move |a, b| part(product(a, b), shift) & mask),
        (true, 0) => d.map3(o, move |a, b, c| product(a, b).wrapping_add(c) & mask),
        (true, _) => d.map3(o, move |a, b, c| part(product(a, b), shift).wrapping_add(c) & mask),
    }
}

/// The types that an instruction exists for.
fn legal_types(name: &str) -> Option<&'static [Type]> {
    use Type::{B16, B32, B64, Pred, S16, S32, S64, U16, U32, U64};
    Some(match name {
        "add" | "sub" | "mul" | "mad" | "div" | "rem" | "min" | "max" | "sad" => &[U16, S16, U32, S32, U64, S64],
        "abs" | "neg" => &[S16, S32, S64],
        "mul24" | "mad24" | "szext" | "dp4a" | "dp2a" => &[U32, S32],
        "bfind" | "bfe" => &[U32, S32, U64, S64],
        "popc" | "clz" | "brev" | "bfi" => &[B32, B64],
        "lop3" | "shf" | "bmsk" | "fns" => &[B32],
        "cnot" | "shl" => &[B16, B32, B64],
        "and" | "or" | "xor" | "not" => &[Pred, B16, B32, B64],
        "shr" => &[B16, B32, B64, U16, S16, U32, S32, U64, S64],
        _ => return None,
    })
}

/// Two numbers of 16 bits at once.
fn pairs(d: &mut Decoder<'_>, name: &str, sign: bool, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let relu = sign && w.take("relu");
    let f: fn(i64, i64) -> i64 = match name {
        "add" if relu => return Err("`.relu` is for `min` and `max`".into()),
        "add" => |a, b| a.wrapping_add(b),
        "min" => |a, b| a.min(b),
        _ => |a, b| a.max(b),
    };
    let one = move |a: u64, b: u64| {
        let read = |x: u64| if sign { signed(x, 16) } else { (x & 0xffff) as i64 };
        let best = f(read(a), read(b));
        (if relu { best.max(0) } else { best }) as u64 & 0xffff
    };
    d.rare2(o, move |a, b| one(a >> 16, b >> 16) << 16 | one(a, b))
}

fn prmt(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let modes = [("f4e", 1), ("b4e", 2), ("rc8", 3), ("ecl", 4), ("ecr", 5), ("rc16", 6)];
    let mode = w.choose(&modes).unwrap_or(0);
    match w.last_type()? {
        Type::B32 => d.map3(o, move |a, b, c| permute(a as u32, b as u32, c as u32, mode).into()),
        of => Err(format!("`.{of}` is not a type of this instruction")),
    }
}

/// The place of the n-th set bit from `base` on, upward or downward; for 0 `base` itself if it is set.
fn nth_set(mask: u32, base: u32, n: i32) -> u32 {
    if n == 0 {
        return if mask.checked_shr(base).unwrap_or(0) & 1 == 1 { base } else { u32::MAX };
    }
    let (mut left, mut place) = (n.unsigned_abs(), i64::from(base));
    while (0..32).contains(&place) {
        if mask >> place & 1 == 1 {
            left -= 1;
            if left == 0 {
                return place as u32;
            }
        }
        place += i64::from(n.signum());
    }
    u32::MAX
}

/// The video instructions on four bytes or two halves of 32 bits: `vabsdiff4.u32.u32.u32.add d, a, b, c`.
fn video(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Option<Op>, String> {
    let kinds = [("vadd", 0), ("vsub", 1), ("vavrg", 2), ("vabsdiff", 3), ("vmin", 4), ("vmax", 5)];
    let found = kinds.iter().find_map(|&(kind, f)| match name.strip_prefix(kind)? {
        "2" => Some((f, 2)),
        "4" => Some((f, 4)),
        _ => None,
    });
    let Some((f, count)) = found else { return Ok(None) };
    let (sat, add) = (w.take("sat"), w.take("add"));
    let (b, a, into) = (w.last_type()?.is_signed(), w.last_type()?.is_signed(), w.last_type()?.is_signed());
    let bits = 32 / count;
    let part = move |x: u64, y: u64| {
        let (x, y) = (wide(x, bits, a) as i64, wide(y, bits, b) as i64);
        let value = match f {
            0 => x + y,
            1 => x - y,
            2 => (x + y + 1) >> 1,
            3 => (x - y).abs(),
            4 => x.min(y),
            _ => x.max(y),
        };
        let (low, high) = if into { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
        if sat { value.clamp(low, high) } else { value }
    };
    let each = move |x: u64, y: u64| (0..count).map(move |i| (part(x >> (i * bits), y >> (i * bits)), i * bits));
    let mask = ones(bits);
    if add {
        return d
            .rare3(o, move |x, y, c| each(x, y).fold(c, |c, (value, _)| c.wrapping_add(value as u64)) & 0xffff_ffff)
            .map(Some);
    }
    // The last operand would keep bytes that a mask leaves out; without one it is not seen.
    d.rare3(o, move |x, y, _| each(x, y).map(|(value, shift)| (value as u64 & mask) << shift).sum()).map(Some)
}

/// Bytes of (b, a) chosen by the nibbles of `c`, or by a mode and its low bits.
fn permute(a: u32, b: u32, c: u32, mode: u32) -> u32 {
    let both = u64::from(b) << 32 | u64::from(a);
    let byte = |i: u32| (both >> (8 * (i & 7))) as u32 & 0xff;
    let s = c & 3;
    let picks: [u32; 4] = match mode {
        1 => [s, s + 1, s + 2, s + 3],
        2 => [s, s.wrapping_sub(1), s.wrapping_sub(2), s.wrapping_sub(3)],
        3 => [s; 4],
        4 => core::array::from_fn(|i| (i as u32).max(s)),
        5 => core::array::from_fn(|i| (i as u32).min(s)),
        6 => [2 * (s & 1), 2 * (s & 1) + 1, 2 * (s & 1), 2 * (s & 1) + 1],
        _ => {
            let nibble = |i: u32| {
                let n = c >> (4 * i) & 15;
                let value = byte(n);
                if n & 8 == 0 {
                    value
                } else if value & 0x80 != 0 {
                    0xff
                } else {
                    0
                }
            };
            return (0..4).map(|i| nibble(i) << (8 * i)).sum();
        }
    };
    picks.iter().zip(0..).map(|(&pick, i)| byte(pick) << (8 * i)).sum()
}

/// Arithmetic with the carry flag, which a name's last letter takes and `.cc` keeps.
fn carry(
    d: &mut Decoder<'_>,
    name: &str,
    keep: bool,
    w: &mut Words<'_>,
    o: &Operands<'_>,
) -> Result<(Op, Class), String> {
    let of = w.last_type()?;
    if !matches!(of, Type::U32 | Type::S32 | Type::B32 | Type::U64 | Type::S64 | Type::B64) {
        return Err(format!("`.{of}` is not a type of this instruction"));
    }
    let bits = of.bits();
    let take = name.ends_with('c');
    let operands = if name.starts_with("mad") { 4 } else { 3 };
    if o.len() != operands {
        return Err(format!("{operands} operands are expected"));
    }
    let op = match name.trim_end_matches('c') {
        "mad" => {
            let high = w.choose(&[("lo", false), ("hi", true)]).ok_or("`.lo` or `.hi` is missing")?;
            let (d_, a, b, c) = (d.destination(o, 0)?, d.source(o, 1)?, d.source(o, 2)?, d.source(o, 3)?);
            Op::MadCarry { d: d_, a, b, c, high, signed: of.is_signed(), take, keep, bits }
        }
        other => {
            let (d_, a, b) = (d.destination(o, 0)?, d.source(o, 1)?, d.source(o, 2)?);
            Op::Carry { d: d_, a, b, subtract: other == "sub", take, keep, bits }
        }
    };
    Ok((op, Class::Integer))
}
