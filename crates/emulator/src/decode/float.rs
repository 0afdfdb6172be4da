//! Floating-point arithmetic of every format.

use half::{bf16, f16};

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    arithmetic::{
        Rounding, bits_f32, exact, flush, fused_to_odd, quotient_to_odd, root_to_odd, saturate, signed_zero,
        sum_to_odd, to_bf16, to_f16, to_f32, to_flushed_f32,
    },
    counters::Class,
    program::Op,
    ptx::Type,
};

pub(super) fn decode(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Found {
    let known = [
        "add", "sub", "mul", "fma", "mad", "div", "rcp", "sqrt", "rsqrt", "abs", "neg", "min", "max", "copysign",
        "sin", "cos", "lg2", "ex2", "tanh",
    ];
    let Some(of) = w.peek_type().filter(|&of| of.is_float() && known.contains(&name)) else { return Ok(None) };
    w.last_type()?;
    let approximate = w.take("approx");
    let special = approximate && !matches!(name, "div" | "rcp" | "sqrt");
    let (op, class) = match of {
        Type::F32 => (single(d, name, w, o)?, Class::Float32),
        Type::F64 if approximate => (gross(d, name, w, o)?, Class::Special),
        Type::F64 => (double(d, name, w, o)?, Class::Float64),
        _ => (half(d, name, of, w, o)?, Class::Half),
    };
    Ok(Some((op, if special { Class::Special } else { class })))
}

fn single(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let (ftz, sat, full) = (w.take("ftz"), w.take("sat"), w.take("full"));
    let rounding = w.rounding().unwrap_or(Rounding::Nearest);
    let near = rounding == Rounding::Nearest;
    let _ = full;
    let x = move |bits: u64| {
        let x = f32::from_bits(bits as u32);
        if ftz { flush(x) } else { x }
    };
    let y = move |x: f32| {
        let x = if ftz { flush(x) } else { x };
        u64::from(bits_f32(if sat { saturate(x) } else { x }))
    };
    let wide = |x: f32| f64::from(x);
    let odd = move |x: f64| y(if ftz { to_flushed_f32(x, rounding) } else { to_f32(x, rounding) });
    let sum = move |a: f64, b: f64| odd(signed_zero(sum_to_odd(a, b), a, b, rounding));
    match name {
        "add" if near => d.map2(o, move |a, b| y(x(a) + x(b))),
        "add" => d.map2(o, move |a, b| sum(wide(x(a)), wide(x(b)))),
        "sub" if near => d.map2(o, move |a, b| y(x(a) - x(b))),
        "sub" => d.map2(o, move |a, b| sum(wide(x(a)), -wide(x(b)))),
        "mul" if near && !ftz => d.map2(o, move |a, b| y(x(a) * x(b))),
        "mul" => d.map2(o, move |a, b| odd(wide(x(a)) * wide(x(b)))),
        "fma" | "mad" if near && !ftz && !sat => d.map3(o, move |a, b, c| {
            let of = |bits: u64| f64::from(f32::from_bits(bits as u32));
            u64::from(bits_f32(fused_to_odd(of(a), of(b), of(c)) as f32))
        }),
        "fma" | "mad" => d.map3(o, move |a, b, c| sum(wide(x(a)) * wide(x(b)), wide(x(c)))),
        "div" if near && !ftz => d.map2(o, move |a, b| y(x(a) / x(b))),
        "div" => d.map2(o, move |a, b| odd(quotient_to_odd(wide(x(a)), wide(x(b))))),
        "rcp" => d.map1(o, move |a| odd(quotient_to_odd(1.0, wide(x(a))))),
        "sqrt" => d.map1(o, move |a| odd(root_to_odd(wide(x(a))))),
        "rsqrt" => d.map1(o, move |a| odd(1.0 / wide(x(a)).sqrt())),
        "sin" => d.map1(o, move |a| odd(wide(x(a)).sin())),
        "cos" => d.map1(o, move |a| odd(wide(x(a)).cos())),
        "lg2" => d.map1(o, move |a| odd(wide(x(a)).log2())),
        "ex2" => d.map1(o, move |a| odd(wide(x(a)).exp2())),
        "tanh" => d.map1(o, move |a| odd(wide(x(a)).tanh())),
        "abs" => d.map1(o, move |a| u64::from(x(a).abs().to_bits())),
        "neg" => d.map1(o, move |a| u64::from((-x(a)).to_bits())),
        "copysign" => d.map2(o, |a, b| (a & 0x8000_0000) | (b & 0x7fff_ffff)),
        _ => {
            let choose = extreme(name, w);
            d.map2(o, move |a, b| y(choose(wide(x(a)), wide(x(b))) as f32))
        }
    }
}

/// The smaller or larger of two numbers as the words ask; exact in every format.
fn extreme(name: &str, w: &mut Words<'_>) -> impl Fn(f64, f64) -> f64 + Send + Sync + Copy + 'static {
    let (least, propagate, xor_sign) = (name == "min", w.take("NaN"), w.take("xorsign"));
    let absolute = w.take("abs") || xor_sign;
    move |a: f64, b: f64| {
        let sign = a.is_sign_negative() != b.is_sign_negative();
        let (a, b) = if absolute { (a.abs(), b.abs()) } else { (a, b) };
        let best = if propagate && (a.is_nan() || b.is_nan()) {
            f64::NAN
        } else if a.is_nan() {
            b
        } else if b.is_nan() {
            a
        } else {
            let a_first = if a == b { a.is_sign_negative() } else { a < b };
            if a_first == least { a } else { b }
        };
        if xor_sign && !best.is_nan() { if sign { -best } else { best } } else { best }
    }
}

fn double(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let rounding = w.rounding().unwrap_or(Rounding::Nearest);
    let near = rounding == Rounding::Nearest;
    let x = f64::from_bits;
    let y = f64::to_bits;
    match name {
        "add" if near => d.map2(o, move |a, b| y(x(a) + x(b))),
        "add" => d.map2(o, move |a, b| y(exact::sum(x(a), x(b), rounding))),
        "sub" if near => d.map2(o, move |a, b| y(x(a) - x(b))),
        "sub" => d.map2(o, move |a, b| y(exact::sum(x(a), -x(b), rounding))),
        "mul" if near => d.map2(o, move |a, b| y(x(a) * x(b))),
        "mul" => d.map2(o, move |a, b| y(exact::product(x(a), x(b), rounding))),
        "fma" | "mad" if near => d.map3(o, move |a, b, c| y(x(a).mul_add(x(b), x(c)))),
        "fma" | "mad" => d.map3(o, move |a, b, c| y(exact::fused(x(a), x(b), x(c), rounding))),
        "div" if near => d.map2(o, move |a, b| y(x(a) / x(b))),
        "div" => d.map2(o, move |a, b| y(exact::quotient(x(a), x(b), rounding))),
        "rcp" => d.map1(o, move |a| y(exact::quotient(1.0, x(a), rounding))),
        "sqrt" if near => d.map1(o, move |a| y(x(a).sqrt())),
        "sqrt" => d.map1(o, move |a| y(exact::root(x(a), rounding))),
        "abs" => d.map1(o, move |a| x(a).abs().to_bits()),
        "neg" => d.map1(o, move |a| (-x(a)).to_bits()),
        "copysign" => d.map2(o, move |a, b| x(b).copysign(x(a)).to_bits()),
        "min" | "max" => {
            let choose = extreme(name, w);
            d.map2(o, move |a, b| y(choose(x(a), x(b))))
        }
        _ => Err("is not supported for f64".into()),
    }
}

/// The approximations of f64: with `.ftz` they see and give the upper 32 bits only.
fn gross(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let upper = if w.take("ftz") { 0xffff_ffff_0000_0000 } else { u64::MAX };
    let f = match name {
        "rcp" => |x: f64| 1.0 / x,
        "rsqrt" => |x: f64| 1.0 / x.sqrt(),
        _ => return Err("has no approximation for f64".into()),
    };
    let coarse = move |x: f64| match x {
        _ if x.is_subnormal() && upper != u64::MAX => x.to_bits() & 1 << 63,
        _ => x.to_bits() & upper,
    };
    d.map1(o, move |a| coarse(f(f64::from_bits(coarse(f64::from_bits(a))))))
}

/// What is done with one number of a format of 16 bits.
type Step = Box<dyn Fn(f64, f64, f64) -> f64 + Send + Sync>;

fn half(d: &mut Decoder<'_>, name: &str, of: Type, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let short = matches!(of, Type::F16 | Type::F16x2);
    let count = if matches!(of, Type::F16x2 | Type::BF16x2) { 2 } else { 1 };
    let (ftz, sat, relu) = (w.take("ftz"), w.take("sat"), w.take("relu"));
    w.take("rn");
    let sign = 0x8000_8000 & if count == 2 { u64::MAX } else { 0xffff };
    match name {
        "abs" => return d.map1(o, move |a| a & !sign & if count == 2 { 0xffff_ffff } else { 0xffff }),
        "neg" => return d.map1(o, move |a| a ^ sign),
        _ => {}
    }
    let operands = match name {
        "ex2" | "tanh" => 1,
        "fma" => 3,
        _ => 2,
    };
    let step: Step = match name {
        "add" => Box::new(|a, b, _| sum_to_odd(a, b)),
        "sub" => Box::new(|a, b, _| sum_to_odd(a, -b)),
        "mul" => Box::new(|a, b, _| a * b),
        "fma" => Box::new(fused_to_odd),
        "ex2" => Box::new(|a, _, _| a.exp2()),
        "tanh" => Box::new(|a, _, _| a.tanh()),
        "min" | "max" => {
            let choose = extreme(name, w);
            Box::new(move |a, b, _| choose(a, b))
        }
        _ => return Err("is not supported for 16-bit formats".into()),
    };
    let field = if short { 0x7c00 } else { 0x7f80 };
    let zero = move |bits: u16| if ftz && bits & field == 0 { bits & 0x8000 } else { bits };
    let read = move |bits: u64| match short {
        true => f64::from(f16::from_bits(zero(bits as u16))),
        false => f64::from(bf16::from_bits(zero(bits as u16))),
    };
    let write = move |x: f64| {
        let x = if sat { if x > 0.0 { x.min(1.0) } else { 0.0 } } else { x };
        let x = if relu && x <= 0.0 { 0.0 } else { x };
        u64::from(zero(if short { to_f16(x, Rounding::Nearest) } else { to_bf16(x, Rounding::Nearest) }))
    };
    let all = move |a: u64, b: u64, c: u64| {
        (0..count).map(|i| write(step(read(a >> (16 * i)), read(b >> (16 * i)), read(c >> (16 * i)))) << (16 * i)).sum()
    };
    match operands {
        1 => d.map1(o, move |a| all(a, 0, 0)),
        2 => d.map2(o, move |a, b| all(a, b, 0)),
        _ => d.map3(o, all),
    }
}
