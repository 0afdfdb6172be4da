//! Conversions between types.

use half::{bf16, f16};

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    arithmetic::{
        Rounding, bf16_from_f32, bits_f32, flush, from_f8, half_from_f32, half_to_f32, ones, saturate, signed, to_bf16,
        to_f8, to_f16, to_f32, to_flushed_f32, to_integral, to_tf32,
    },
    counters::Class,
    program::Op,
    ptx::Type,
};

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    if name != "cvt" {
        return Ok(None);
    }
    if w.take("pack") {
        return packed(d, w, o);
    }
    let (ftz, sat, relu) = (w.take("ftz"), w.take("sat"), w.take("relu"));
    let finite = w.take("satfinite");
    let integral =
        [("rni", Rounding::Nearest), ("rzi", Rounding::Zero), ("rmi", Rounding::Down), ("rpi", Rounding::Up)];
    let whole = w.choose(&integral);
    let rounding = w.rounding().unwrap_or(Rounding::Nearest);
    let from = w.last_type()?;
    let into = w.last_type()?;
    refuse(into, from, rounding, sat, relu || finite)?;
    let op = match (into, from) {
        (Type::F16x2, Type::F32) if rounding == Rounding::Nearest && !ftz && !relu && !finite => {
            let to = |x: u64| u64::from(half_from_f32(f32::from_bits(x as u32)));
            d.map2(o, move |high, low| to(high) << 16 | to(low))?
        }
        (Type::BF16x2, Type::F32) if rounding == Rounding::Nearest && !ftz && !relu && !finite => {
            let to = |x: u64| u64::from(bf16_from_f32(f32::from_bits(x as u32)));
            d.map2(o, move |high, low| to(high) << 16 | to(low))?
        }
        (Type::F16x2 | Type::BF16x2, Type::F32) => {
            let to = move |x: u64| {
                u64::from(finite_half(narrow(read(x, Type::F32, ftz), into, rounding, relu), into, finite))
            };
            d.rare2(o, move |high, low| to(high) << 16 | to(low))?
        }
        (Type::E4M3x2 | Type::E5M2x2, Type::F32) => {
            let bits = exponent_bits(into);
            let to = move |x: u64| u64::from(to_f8(rectified(f32::from_bits(x as u32), relu), bits));
            d.rare2(o, move |high, low| to(high) << 8 | to(low))?
        }
        (Type::E4M3x2 | Type::E5M2x2, Type::F16x2) => {
            let bits = exponent_bits(into);
            let to = move |x: u64| u64::from(to_f8(rectified(f16::from_bits(x as u16).to_f32(), relu), bits));
            d.rare1(o, move |x| to(x >> 16) << 8 | to(x))?
        }
        (Type::F16x2, Type::E4M3x2 | Type::E5M2x2) => {
            let bits = exponent_bits(from);
            let to = move |x: u64| {
                let value = rectified(from_f8(x as u8, bits), relu);
                u64::from(to_f16(value.into(), Rounding::Nearest))
            };
            d.rare1(o, move |x| to(x >> 8) << 16 | to(x))?
        }
        (Type::TF32, Type::F32) => {
            let most = if finite { 0x7f7f_e000 } else { 0x7f80_0000 };
            d.rare1(o, move |x| {
                let bits = to_tf32(rectified(f32::from_bits(x as u32), relu), rounding);
                let magnitude = bits & 0x7fff_ffff;
                u64::from(if magnitude == 0x7f80_0000 { bits & 0x8000_0000 | most } else { bits })
            })?
        }
        (_, Type::E4M3x2 | Type::E5M2x2 | Type::TF32 | Type::F16x2 | Type::BF16x2)
        | (Type::E4M3x2 | Type::E5M2x2 | Type::TF32 | Type::F16x2 | Type::BF16x2, _) => {
            return Err(format!("there is no conversion from `.{from}` to `.{into}`"));
        }
        (_, Type::Pred | Type::B128) | (Type::Pred | Type::B128, _) => {
            return Err(format!("there is no conversion from `.{from}` to `.{into}`"));
        }
        // The one conversion that keeps what a NaN says.
        (Type::F32, Type::BF16) if !sat && !relu && whole.is_none() => d.map1(o, move |x| {
            let bits = (x as u32 & 0xffff) << 16;
            u64::from(if ftz && f32::from_bits(bits).is_subnormal() { bits & 0x8000_0000 } else { bits })
        })?,
        (Type::F32, Type::F32) => match whole {
            None => between_single(d, o, ftz, sat, |x| x)?,
            Some(Rounding::Nearest | Rounding::Away) => between_single(d, o, ftz, sat, f32::round_ties_even)?,
            Some(Rounding::Zero) => between_single(d, o, ftz, sat, f32::trunc)?,
            Some(Rounding::Down) => between_single(d, o, ftz, sat, f32::floor)?,
            Some(Rounding::Up) => between_single(d, o, ftz, sat, f32::ceil)?,
        },
        (Type::F32, Type::F16) if whole.is_none() => {
            d.map1(o, move |x| bits_f32(settled(half_to_f32(x as u16), ftz, sat)).into())?
        }
        (Type::F16 | Type::BF16, Type::F32) if whole.is_none() && rounding == Rounding::Nearest && !finite && !relu => {
            let x = move |x: u64| settled(f32::from_bits(x as u32), ftz, sat);
            match into {
                Type::F16 => d.map1(o, move |a| half_from_f32(x(a)).into())?,
                _ => d.map1(o, move |a| bf16_from_f32(x(a)).into())?,
            }
        }
        _ if into.is_float() && from.is_float() => d.rare1(o, move |x| {
            let value = read(x, from, ftz);
            let value = whole.map_or(value, |how| to_integral(value, how));
            let bits = write(if sat { saturate64(value) } else { value }, into, rounding, ftz, relu);
            if matches!(into, Type::F16 | Type::BF16) { finite_half(bits as u16, into, finite).into() } else { bits }
        })?,
        _ if into.is_float() => {
            let (bits, sign) = (from.bits(), from.is_signed());
            match into {
                Type::F32 if rounding == Rounding::Nearest && !sat && sign => {
                    d.map1(o, move |x| u64::from((signed(x, bits) as f32).to_bits()))?
                }
                Type::F32 if rounding == Rounding::Nearest && !sat => {
                    let mask = ones(bits);
                    d.map1(o, move |x| u64::from(((x & mask) as f32).to_bits()))?
                }
                _ => d.rare1(o, move |x| {
                    let value = if sign { signed(x, bits).into() } else { i128::from(x & ones(bits)) };
                    write_integer(value, into, rounding, sat)
                })?,
            }
        }
        _ if from.is_float() => {
            let how = whole.unwrap_or(rounding);
            let mask = ones(d.width(o, 0)?);
            match (from, how) {
                (Type::F32, Rounding::Nearest) if !ftz => {
                    d.map1(o, move |x| to_integer(single(x), from, into, Rounding::Nearest) & mask)?
                }
                (Type::F32, Rounding::Zero) if !ftz => {
                    d.map1(o, move |x| to_integer(single(x), from, into, Rounding::Zero) & mask)?
                }
                _ => d.rare1(o, move |x| to_integer(read(x, from, ftz), from, into, how) & mask)?,
            }
        }
        _ => {
            let (bits, sign, register) = (from.bits(), from.is_signed(), d.width(o, 0)?);
            let (into_bits, into_sign) = (into.bits(), into.is_signed());
            let kept = ones(register.max(into_bits));
            match (sat, sign, into_sign) {
                (true, ..) => {
                    let (low, high) = range(into_bits, into_sign);
                    d.rare1(o, move |x| {
                        let value = if sign { signed(x, bits).into() } else { i128::from(x & ones(bits)) };
                        value.clamp(low, high) as u64 & kept
                    })?
                }
                (_, false, false) => {
                    let mask = ones(bits) & ones(into_bits);
                    d.map1(o, move |x| x & mask)?
                }
                (_, true, false) => {
                    let mask = ones(into_bits);
                    d.map1(o, move |x| signed(x, bits) as u64 & mask)?
                }
                (_, false, true) => {
                    let mask = ones(bits);
                    d.map1(o, move |x| signed(x & mask, into_bits) as u64 & kept)?
                }
                (_, true, true) => {
                    let bits = bits.min(into_bits);
                    d.map1(o, move |x| signed(x, bits) as u64 & kept)?
                }
            }
        }
    };
    Ok(Some((op, Class::Conversion)))
}

/// Refuses what a GPU's assembler refuses, too.
fn refuse(into: Type, from: Type, rounding: Rounding, sat: bool, bounded: bool) -> Result<(), String> {
    let narrow = matches!(into, Type::F16 | Type::BF16 | Type::F16x2 | Type::BF16x2);
    if narrow && bounded && matches!(rounding, Rounding::Down | Rounding::Up) {
        return Err("`.relu` and `.satfinite` go with `.rn` and `.rz`".into());
    }
    let pair = [into, from];
    if pair.contains(&Type::BF16) && pair.iter().any(|of| !of.is_float() && of.bits() == 8) {
        return Err(format!("there is no conversion from `.{from}` to `.{into}`"));
    }
    if sat && pair.iter().all(|of| !of.is_float() && of.bits() <= 64) {
        let ((low, high), (least, most)) = (range(into.bits(), into.is_signed()), range(from.bits(), from.is_signed()));
        if low <= least && most <= high {
            return Err(format!("`.sat` where every `.{from}` is a `.{into}`"));
        }
    }
    Ok(())
}

/// `cvt.pack.sat`: two integers, clamped, in the lower half, and the third operand's lower half above it.
fn packed(d: &mut Decoder<'_>, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    w.take("sat");
    let above = if w.take("b32") { 1 } else { 0 };
    if w.last_type()? != Type::S32 {
        return Err("is for `.s32`".into());
    }
    let into = w.last_type()?;
    let bits = match (into, above) {
        (Type::U16 | Type::S16, 0) => 16,
        (Type::U8 | Type::S8, 1) => 8,
        _ => return Err(format!("does not give `.{into}`")),
    };
    let (low, high) = range(bits, into.is_signed());
    let one = move |x: u64| i128::from(signed(x, 32)).clamp(low, high) as u64 & ones(bits);
    let op = match above {
        0 => d.rare2(o, move |a, b| one(a) << bits | one(b))?,
        _ => d.rare3(o, move |a, b, c| (c & 0xffff) << 16 | one(a) << bits | one(b))?,
    };
    Ok(Some((op, Class::Conversion)))
}

fn exponent_bits(of: Type) -> u32 {
    if of == Type::E4M3x2 { 4 } else { 5 }
}

fn rectified(x: f32, relu: bool) -> f32 {
    if relu && x <= 0.0 { 0.0 } else { x }
}

fn saturate64(x: f64) -> f64 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

/// The least and greatest integers of a type.
fn range(bits: u32, sign: bool) -> (i128, i128) {
    if sign { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// The number that bits of a floating-point type are.
fn read(x: u64, of: Type, ftz: bool) -> f64 {
    match of {
        Type::F16 => f16::from_bits(x as u16).into(),
        Type::BF16 => bf16::from_bits(x as u16).into(),
        Type::F32 => {
            let x = f32::from_bits(x as u32);
            if ftz { flush(x) } else { x }.into()
        }
        _ => f64::from_bits(x),
    }
}

/// The largest finite number instead of an infinity, where `.satfinite` asks for it.
fn finite_half(bits: u16, into: Type, finite: bool) -> u16 {
    let infinity = if matches!(into, Type::F16 | Type::F16x2) { 0x7c00 } else { 0x7f80 };
    if finite && bits & 0x7fff == infinity { bits - 1 } else { bits }
}

fn narrow(x: f64, into: Type, rounding: Rounding, relu: bool) -> u16 {
    let x = if relu && x <= 0.0 { 0.0 } else { x };
    if matches!(into, Type::F16 | Type::F16x2) { to_f16(x, rounding) } else { to_bf16(x, rounding) }
}

fn write(x: f64, into: Type, rounding: Rounding, ftz: bool, relu: bool) -> u64 {
    match into {
        Type::F32 => bits_f32(if ftz { to_flushed_f32(x, rounding) } else { to_f32(x, rounding) }).into(),
        Type::F64 => x.to_bits(),
        _ => narrow(x, into, rounding, relu).into(),
    }
}

/// An integer of up to 64 bits as a floating-point number, rounded once.
fn write_integer(value: i128, into: Type, rounding: Rounding, sat: bool) -> u64 {
    let near = value as f64;
    let lost = value - near as i128;
    if into == Type::F64 {
        let step = match rounding {
            Rounding::Zero if value > 0 => lost < 0,
            Rounding::Zero => lost > 0,
            Rounding::Down => lost < 0,
            Rounding::Up => lost > 0,
            Rounding::Nearest | Rounding::Away => false,
        };
        let down = matches!(rounding, Rounding::Down) || rounding == Rounding::Zero && value > 0;
        let rounded = if !step {
            near
        } else if down {
            near.next_down()
        } else {
            near.next_up()
        };
        return rounded.to_bits();
    }
    // Rounded to odd, so that the second rounding is as if the only one.
    let odd = match near.to_bits() & 1 == 1 || lost == 0 {
        true => near,
        false if (lost > 0) == (near > 0.0) => f64::from_bits(near.to_bits() + 1),
        false => f64::from_bits(near.to_bits() - 1),
    };
    match into {
        Type::F32 => {
            let x = to_f32(odd, rounding);
            bits_f32(if sat { saturate(x) } else { x }).into()
        }
        _ => narrow(if sat { saturate64(odd) } else { odd }, into, rounding, false).into(),
    }
}

/// A floating-point number as the nearest integer of a type, in the direction asked for.
#[inline(always)]
fn to_integer(x: f64, from: Type, into: Type, rounding: Rounding) -> u64 {
    let (bits, sign) = (into.bits(), into.is_signed());
    let none = match into {
        Type::S8 => signed(0x80, 8) as u64,
        _ if from != Type::F64 && bits < 64 => 0,
        _ => 1 << (bits - 1),
    };
    let whole = to_integral(x, rounding);
    // What is beyond 64 bits becomes the nearest number of these.
    let value = match (bits, sign) {
        (64, true) => whole as i64 as u64,
        (64, false) => whole as u64,
        (_, true) => bounded(whole, -power(bits - 1), power(bits - 1) - 1.0) as i64 as u64,
        (_, false) => bounded(whole, 0.0, power(bits) - 1.0) as i64 as u64,
    };
    if x.is_nan() { none } else { value }
}

/// A number no less and no more than two others.
#[inline(always)]
fn bounded(x: f64, low: f64, high: f64) -> f64 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 2 to the power of less than 64.
#[inline(always)]
fn power(exponent: u32) -> f64 {
    (1_u64 << exponent) as f64
}

#[inline(always)]
fn single(bits: u64) -> f64 {
    f32::from_bits(bits as u32).into()
}

/// A number that a conversion begins with or ends at.
#[inline(always)]
fn settled(x: f32, ftz: bool, sat: bool) -> f32 {
    let x = if ftz { flush(x) } else { x };
    if sat { saturate(x) } else { x }
}

/// A conversion of single precision to itself.
fn between_single(
    d: &mut Decoder<'_>,
    o: &Operands<'_>,
    ftz: bool,
    sat: bool,
    whole: impl Fn(f32) -> f32 + Copy + Send + Sync + 'static,
) -> Result<Op, String> {
    match (ftz, sat) {
        (false, false) => d.map1(o, move |x| bits_f32(whole(f32::from_bits(x as u32))).into()),
        (false, true) => d.map1(o, move |x| bits_f32(saturate(whole(f32::from_bits(x as u32)))).into()),
        (true, _) => d.map1(o, move |x| {
            let x = whole(flush(f32::from_bits(x as u32)));
            bits_f32(flush(if sat { saturate(x) } else { x })).into()
        }),
    }
}
