//! Floating-point arithmetic of every format.

use yuragi_numeric::simd::fuses;

use super::{Found, Operands, decoder::Decoder, words::Words};
use crate::{
    arithmetic::{
        Rounding, bf16_from_f32, bits_f32, exact, flush, fused_to_odd, half_from_f32, half_to_f32, odd_f32,
        quotient_to_odd, root_to_odd, saturate, signed_zero, sum_to_odd, to_f32, to_flushed_f32,
    },
    counters::Class,
    program::{Op, lanewise},
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
    if near && !sat {
        let op = if ftz { usual::<true>(d, name, o)? } else { usual::<false>(d, name, o)? };
        if let Some(op) = op {
            return Ok(op);
        }
    }
    match name {
        "add" => d.rare2(o, move |a, b| sum(wide(x(a)), wide(x(b)))),
        "sub" => d.rare2(o, move |a, b| sum(wide(x(a)), -wide(x(b)))),
        "mul" => d.rare2(o, move |a, b| odd(wide(x(a)) * wide(x(b)))),
        "fma" | "mad" if !ftz && !sat => match rounding {
            Rounding::Down => {
                directed(d, o, |sum, a, b| to_f32(signed_zero(sum, a, b, Rounding::Down), Rounding::Down))
            }
            Rounding::Up => directed(d, o, |sum, _, _| to_f32(sum, Rounding::Up)),
            _ => directed(d, o, |sum, _, _| to_f32(sum, Rounding::Zero)),
        },
        "fma" | "mad" => d.rare3(o, move |a, b, c| sum(wide(x(a)) * wide(x(b)), wide(x(c)))),
        "div" => d.rare2(o, move |a, b| odd(quotient_to_odd(wide(x(a)), wide(x(b))))),
        "rcp" => d.rare1(o, move |a| odd(quotient_to_odd(1.0, wide(x(a))))),
        "sqrt" => d.rare1(o, move |a| odd(root_to_odd(wide(x(a))))),
        "rsqrt" => d.rare1(o, move |a| odd(1.0 / wide(x(a)).sqrt())),
        "sin" => d.rare1(o, move |a| odd(wide(x(a)).sin())),
        "cos" => d.rare1(o, move |a| odd(wide(x(a)).cos())),
        "lg2" => d.rare1(o, move |a| odd(wide(x(a)).log2())),
        "ex2" => d.rare1(o, move |a| odd(wide(x(a)).exp2())),
        "tanh" => d.rare1(o, move |a| odd(wide(x(a)).tanh())),
        "abs" => d.rare1(o, move |a| u64::from(x(a).abs().to_bits())),
        "neg" => d.rare1(o, move |a| u64::from((-x(a)).to_bits())),
        "copysign" => d.map2(o, |a, b| (a & 0x8000_0000) | (b & 0x7fff_ffff)),
        _ => {
            let (least, choose) = (name == "min", extreme(name, w));
            if choose.is_plain && !ftz && !sat {
                return d.map2(o, move |a, b| {
                    let (x, y) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
                    let first = if x == y { a >> 31 & 1 == 1 } else { x < y };
                    let best = if (first == least) & !x.is_nan() | y.is_nan() { x } else { y };
                    bits_f32(best).into()
                });
            }
            d.rare2(o, move |a, b| y(choose.of(wide(x(a)), wide(x(b))) as f32))
        }
    }
}

/// A fused product, by a function that rounds the sum of its two parts.
fn directed(
    d: &mut Decoder<'_>,
    o: &Operands<'_>,
    round: impl Fn(f64, f64, f64) -> f32 + Copy + Send + Sync + 'static,
) -> Result<Op, String> {
    let x = |bits: u64| f64::from(f32::from_bits(bits as u32));
    d.map3(o, move |a, b, c| {
        let (product, c) = (x(a) * x(b), x(c));
        bits_f32(round(sum_to_odd(product, c), product, c)).into()
    })
}

/// What is rounded to the nearest, by the host's own instructions; none if it has no such one.
fn usual<const FTZ: bool>(d: &mut Decoder<'_>, name: &str, o: &Operands<'_>) -> Result<Option<Op>, String> {
    let x = |bits: u64| {
        let x = f32::from_bits(bits as u32);
        if FTZ { flush(x) } else { x }
    };
    let wide = move |bits: u64| f64::from(x(bits));
    // A sum or product of exact numbers in double precision, where one that is too small before rounding is zero.
    let y = |exact: f64| u64::from(bits_f32(if FTZ { to_flushed_f32(exact, Rounding::Nearest) } else { exact as f32 }));
    let z = |x: f32| u64::from(bits_f32(x));
    Ok(Some(match name {
        // Sums are too small only if they are exact.
        "add" => d.map2(o, move |a, b| z(if FTZ { flush(x(a) + x(b)) } else { x(a) + x(b) }))?,
        "sub" => d.map2(o, move |a, b| z(if FTZ { flush(x(a) - x(b)) } else { x(a) - x(b) }))?,
        "mul" if FTZ => d.map2(o, move |a, b| y(wide(a) * wide(b)))?,
        "mul" => d.map2(o, move |a, b| z(x(a) * x(b)))?,
        "fma" | "mad" if !FTZ && fuses() => d.map3(o, move |a, b, c| z(x(a).mul_add(x(b), x(c))))?,
        "fma" | "mad" => d.map3(o, move |a, b, c| y(fused_to_odd(wide(a), wide(b), wide(c))))?,
        "div" if FTZ => d.map2(o, move |a, b| y(quotient_to_odd(wide(a), wide(b))))?,
        "div" => d.map2(o, move |a, b| z(x(a) / x(b)))?,
        "rcp" if FTZ => d.map1(o, move |a| y(quotient_to_odd(1.0, wide(a))))?,
        "rcp" => d.map1(o, move |a| z(1.0 / x(a)))?,
        "sqrt" => d.map1(o, move |a| z(x(a).sqrt()))?,
        "abs" => d.map1(o, move |a| u64::from(x(a).to_bits() & 0x7fff_ffff))?,
        "neg" => d.map1(o, move |a| u64::from(x(a).to_bits() ^ 0x8000_0000))?,
        "ex2" => d.map1(o, move |a| y(wide(a).exp2()))?,
        _ => return Ok(None),
    }))
}

/// The smaller or larger of two numbers as the words ask; exact in every format.
#[derive(Clone, Copy)]
struct Extreme {
    least: bool,
    propagate: bool,
    absolute: bool,
    xor_sign: bool,
    /// Whether no word asks for anything.
    is_plain: bool,
}

fn extreme(name: &str, w: &mut Words<'_>) -> Extreme {
    let (propagate, xor_sign) = (w.take("NaN"), w.take("xorsign"));
    let absolute = w.take("abs") || xor_sign;
    Extreme { least: name == "min", propagate, absolute, xor_sign, is_plain: !propagate && !absolute }
}

impl Extreme {
    #[inline(always)]
    fn of(self, a: f64, b: f64) -> f64 {
        let sign = a.is_sign_negative() != b.is_sign_negative();
        let (a, b) = if self.absolute { (a.abs(), b.abs()) } else { (a, b) };
        let best = if self.propagate && (a.is_nan() || b.is_nan()) {
            f64::NAN
        } else if a.is_nan() {
            b
        } else if b.is_nan() {
            a
        } else {
            let a_first = if a == b { a.is_sign_negative() } else { a < b };
            if a_first == self.least { a } else { b }
        };
        if self.xor_sign && !best.is_nan() { if sign { -best } else { best } } else { best }
    }
}

fn double(d: &mut Decoder<'_>, name: &str, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let rounding = w.rounding().unwrap_or(Rounding::Nearest);
    let near = rounding == Rounding::Nearest;
    let x = f64::from_bits;
    let y = f64::to_bits;
    match name {
        "add" if near => d.map2(o, move |a, b| y(x(a) + x(b))),
        "add" => d.rare2(o, move |a, b| y(exact::sum(x(a), x(b), rounding))),
        "sub" if near => d.map2(o, move |a, b| y(x(a) - x(b))),
        "sub" => d.rare2(o, move |a, b| y(exact::sum(x(a), -x(b), rounding))),
        "mul" if near => d.map2(o, move |a, b| y(x(a) * x(b))),
        "mul" => d.rare2(o, move |a, b| y(exact::product(x(a), x(b), rounding))),
        "fma" | "mad" if near => d.map3(o, move |a, b, c| y(x(a).mul_add(x(b), x(c)))),
        "fma" | "mad" => d.rare3(o, move |a, b, c| y(exact::fused(x(a), x(b), x(c), rounding))),
        "div" if near => d.map2(o, move |a, b| y(x(a) / x(b))),
        "div" => d.rare2(o, move |a, b| y(exact::quotient(x(a), x(b), rounding))),
        "rcp" => d.rare1(o, move |a| y(exact::quotient(1.0, x(a), rounding))),
        "sqrt" if near => d.map1(o, move |a| y(x(a).sqrt())),
        "sqrt" => d.rare1(o, move |a| y(exact::root(x(a), rounding))),
        "abs" => d.map1(o, move |a| x(a).abs().to_bits()),
        "neg" => d.map1(o, move |a| (-x(a)).to_bits()),
        "copysign" => d.rare2(o, move |a, b| x(b).copysign(x(a)).to_bits()),
        "min" | "max" => {
            let choose = extreme(name, w);
            d.rare2(o, move |a, b| y(choose.of(x(a), x(b))))
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
    d.rare1(o, move |a| coarse(f(f64::from_bits(coarse(f64::from_bits(a))))))
}

fn half(d: &mut Decoder<'_>, name: &str, of: Type, w: &mut Words<'_>, o: &Operands<'_>) -> Result<Op, String> {
    let short = matches!(of, Type::F16 | Type::F16x2);
    let pair = matches!(of, Type::F16x2 | Type::BF16x2);
    let (ftz, sat, relu) = (w.take("ftz"), w.take("sat"), w.take("relu"));
    w.take("rn");
    let sign = 0x8000_8000 & if pair { u64::MAX } else { 0xffff };
    match name {
        "abs" => return d.map1(o, move |a| a & !sign & if pair { 0xffff_ffff } else { 0xffff }),
        "neg" => return d.map1(o, move |a| a ^ sign),
        _ => {}
    }
    let format = Format { short, pair, ftz, sat, relu };
    match name {
        "add" => format.map(d, o, 2, |a, b, _| sum_to_odd(a, b)),
        "sub" => format.map(d, o, 2, |a, b, _| sum_to_odd(a, -b)),
        "mul" => format.map(d, o, 2, |a, b, _| a * b),
        "fma" => format.map(d, o, 3, fused_to_odd),
        "ex2" => format.map(d, o, 1, |a, _, _| a.exp2()),
        "tanh" => format.map(d, o, 1, |a, _, _| a.tanh()),
        "min" | "max" => {
            let choose = extreme(name, w);
            format.map(d, o, 2, move |a, b, _| choose.of(a, b))
        }
        _ => Err("is not supported for 16-bit formats".into()),
    }
}

/// A format of 16 bits, and what is done with results.
#[derive(Clone, Copy)]
struct Format {
    /// f16 rather than bf16.
    short: bool,
    /// Whether a register holds two numbers.
    pair: bool,
    ftz: bool,
    sat: bool,
    relu: bool,
}

impl Format {
    fn map(
        self,
        d: &mut Decoder<'_>,
        o: &Operands<'_>,
        operands: usize,
        f: impl Fn(f64, f64, f64) -> f64 + Send + Sync + 'static,
    ) -> Result<Op, String> {
        let all = move |[a, b, c]: [u64; 3]| {
            let low = self.write(f(self.read(a), self.read(b), self.read(c)));
            let high = || self.write(f(self.read(a >> 16), self.read(b >> 16), self.read(c >> 16)));
            if self.pair { low | high() << 16 } else { low }
        };
        // What is not there is slot 0.
        d.map(o, operands, lanewise(all))
    }

    #[inline(always)]
    fn zero(self, bits: u16) -> u16 {
        let field = if self.short { 0x7c00 } else { 0x7f80 };
        if self.ftz & (bits & field == 0) { bits & 0x8000 } else { bits }
    }

    #[inline(always)]
    fn read(self, bits: u64) -> f64 {
        let bits = self.zero(bits as u16);
        f64::from(if self.short { half_to_f32(bits) } else { f32::from_bits(u32::from(bits) << 16) })
    }

    #[inline(always)]
    fn write(self, x: f64) -> u64 {
        let x = if self.sat { if x > 0.0 { x.min(1.0) } else { 0.0 } } else { x };
        let x = if self.relu && x <= 0.0 { 0.0 } else { x };
        // To single precision it is rounded to odd once more, so that what is lost there is not lost to the half.
        let bits = if self.short { half_from_f32(odd_f32(x)) } else { bf16_from_f32(odd_f32(x)) };
        self.zero(bits).into()
    }
}
