//! Elements of tensors in memory and in registers.

use yuragi_graph::DType;
use yuragi_numeric::{Single, f16};

use super::{
    tape::{Class, Operand, Register, Tape},
    traced::{Scalar, Traced, Traced::Value},
};

/// How a thread reaches the elements of its lanes from the first one's address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub dtype: DType,
    pub lanes: usize,
    /// Elements from one lane to the next.
    pub step: usize,
    /// Elements of one instruction; more than 1 if consecutive and aligned.
    pub width: usize,
}

/// The most bytes of one instruction.
pub(super) const WIDEST: usize = 16;

impl Access {
    /// The value of each lane, half precision made single, integers as their bits.
    pub fn load<'t>(self, tape: &'t Tape, address: Traced<'t, u64>) -> Vec<Traced<'t, f32>> {
        let Access { dtype, lanes, step, width } = self;
        let at = |lane: usize| Operand::Memory(Box::new(address.operand()), lane * step * dtype.size());
        if step == 0 {
            return vec![Access { lanes: 1, step: 1, ..self }.load(tape, address)[0]; lanes];
        }
        let starts = (0..lanes).step_by(width);
        if width == 1 {
            return starts.map(|lane| load_one(tape, dtype, at(lane))).collect();
        }
        let words = width * dtype.size() / 4;
        let load = |lane| tape.results(mnemonics(words).0, &vec![Class::Word; words], vec![at(lane)]);
        let word = |register: Register| Value(tape, register);
        match dtype {
            DType::F32 | DType::I32 | DType::U32 => starts.flat_map(load).map(word).map(f32_of).collect(),
            DType::F16 => starts.flat_map(load).flat_map(|pair| f16_pair(tape, pair)).collect(),
            DType::BF16 => starts.flat_map(load).map(word).flat_map(bf16_pair).collect(),
        }
    }

    /// Stores the value of each lane, rounded to the type.
    pub fn store<'t>(self, tape: &'t Tape, address: Traced<'t, u64>, values: &[Traced<'t, f32>]) {
        let Access { dtype, step, width, .. } = self;
        for (number, chunk) in values.chunks(width).enumerate() {
            let at = Operand::Memory(Box::new(address.operand()), number * width * step * dtype.size());
            let values: Vec<_> = chunk.iter().map(|&x| unrounded(dtype, x)).collect();
            if width == 1 {
                store_one(tape, dtype, at, values[0]);
                continue;
            }
            let words: Vec<Traced<'t, u32>> = match dtype {
                DType::F32 | DType::I32 | DType::U32 => values.iter().map(|x| x.to_bits()).collect(),
                DType::F16 => values.chunks(2).map(|x| Traced::pair_f16(x[0], x[1])).collect(),
                DType::BF16 => values.chunks(2).map(|x| Traced::pair_bf16(x[0], x[1])).collect(),
            };
            let group = words.iter().map(|&x| register(tape, "mov.b32", x)).collect();
            tape.effect(mnemonics(words.len()).1, vec![at, Operand::Group(group)]);
        }
    }
}

/// Instructions that load and store so many words.
fn mnemonics(words: usize) -> (&'static str, &'static str) {
    match words {
        1 => ("ld.global.b32", "st.global.b32"),
        2 => ("ld.global.v2.b32", "st.global.v2.b32"),
        _ => ("ld.global.v4.b32", "st.global.v4.b32"),
    }
}

fn f32_of(word: Traced<'_, u32>) -> Traced<'_, f32> {
    Single::from_bits(word)
}

fn f16_pair(tape: &Tape, pair: Register) -> [Traced<'_, f32>; 2] {
    let halves = tape.results("mov.b32", &[Class::Half; 2], vec![Operand::Register(pair)]);
    [halves[0], halves[1]].map(|half| Traced::<f16>::widen(Value(tape, half)))
}

fn bf16_pair(pair: Traced<'_, u32>) -> [Traced<'_, f32>; 2] {
    [f32_of(pair << 16), f32_of(pair & 0xffff_0000.into())]
}

fn load_one(tape: &Tape, dtype: DType, at: Operand) -> Traced<'_, f32> {
    let load = |mnemonic, class| tape.result(mnemonic, class, vec![at]);
    match dtype {
        DType::F32 | DType::I32 | DType::U32 => Value(tape, load("ld.global.b32", Class::Word)),
        DType::F16 => Traced::<f16>::widen(Value(tape, load("ld.global.b16", Class::Half))),
        DType::BF16 => f32_of(Traced::<u32>::Value(tape, load("ld.global.u16", Class::Word)) << 16),
    }
}

fn store_one<'t>(tape: &'t Tape, dtype: DType, at: Operand, x: Traced<'t, f32>) {
    match dtype {
        DType::F32 | DType::I32 | DType::U32 => {
            tape.effect("st.global.b32", vec![at, register(tape, "mov.b32", x.to_bits())])
        }
        DType::F16 => tape.effect("st.global.b16", vec![at, register(tape, "mov.b16", x.to_f16())]),
        DType::BF16 => tape.effect("st.global.b16", vec![at, register(tape, "mov.b16", x.to_bf16())]),
    }
}

/// A value in a register, where the language takes no constant.
pub(super) fn register<'t, T: Scalar>(tape: &'t Tape, mnemonic: &'static str, x: Traced<'t, T>) -> Operand {
    match x {
        Traced::Constant(_) => Operand::Register(tape.result(mnemonic, T::CLASS, vec![x.operand()])),
        Value(..) => x.operand(),
    }
}

/// What x was before it was rounded to a type, if it was: rounded again it is the same.
fn unrounded<'t>(dtype: DType, x: Traced<'t, f32>) -> Traced<'t, f32> {
    let source = |register, mnemonic, tape: &'t Tape| match tape.definition(register) {
        Some((found, operands)) if found == mnemonic => match operands[..] {
            [Operand::Register(source)] | [Operand::Register(source), Operand::F32(0)] => Some(source),
            _ => None,
        },
        _ => None,
    };
    let Value(tape, register) = x else { return x };
    let found = match dtype {
        DType::F16 => source(register, "cvt.f32.f16", tape).and_then(|half| source(half, "cvt.rn.f16.f32", tape)),
        DType::BF16 => source(register, "cvt.rn.bf16x2.f32", tape),
        DType::F32 | DType::I32 | DType::U32 => None,
    };
    found.map_or(x, |source| Value(tape, source))
}

/// A value in another element type: rounded to nearest even; towards zero and saturated if to integers.
/// Integers are held as their bits.
pub(super) fn convert<'t>(x: Traced<'t, f32>, from: DType, into: DType) -> Traced<'t, f32> {
    let bits = x.to_bits();
    match (from, into) {
        (DType::F32 | DType::F16 | DType::BF16, DType::I32) => f32_of(x.to_signed()),
        (DType::F32 | DType::F16 | DType::BF16, DType::U32) => f32_of(x.to_unsigned()),
        (DType::F32 | DType::F16 | DType::BF16, _) => rounded(x, into),
        (DType::I32, DType::U32) => f32_of(bits.max_signed(0.into())),
        (DType::U32, DType::I32) => f32_of(bits.min_unsigned((i32::MAX as u32).into())),
        (DType::I32, DType::I32) | (DType::U32, DType::U32) => x,
        (DType::I32, DType::F32) => Single::from_integer(bits),
        (DType::U32, DType::F32) => Traced::from_unsigned(bits),
        (DType::I32, DType::F16 | DType::BF16) => {
            let near = Traced::truncated_signed(bits);
            rounded(to_odd(near, bits, near.to_signed()), into)
        }
        (DType::U32, DType::F16 | DType::BF16) => {
            let near = Traced::truncated_unsigned(bits);
            rounded(to_odd(near, bits, near.to_unsigned()), into)
        }
    }
}

/// The nearest number of a floating-point type.
fn rounded(x: Traced<'_, f32>, dtype: DType) -> Traced<'_, f32> {
    match dtype {
        DType::F16 => x.to_f16().widen(),
        DType::BF16 => f32_of(Traced::pair_bf16(0.0.into(), x)),
        DType::F32 | DType::I32 | DType::U32 => x,
    }
}

/// An integer that was truncated to `near`, with a last digit that is odd if something was lost: rounded again, to
/// fewer digits, it is as if rounded once (Boldo and Melquiond, *Emulation of a FMA and correctly rounded sums*, 2008).
fn to_odd<'t>(near: Traced<'t, f32>, integer: Traced<'t, u32>, back: Traced<'t, u32>) -> Traced<'t, f32> {
    let exact = <Traced<'t, f32> as Single>::is_zero(integer ^ back);
    f32_of(near.to_bits() | Traced::selected("selp.b32", exact, 0.into(), 1.into()))
}
