//! Numbers on a tape: the one place where an operation gets its instruction.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Shl, Sub};

use yuragi_numeric::{Single, Word, bf16, f16};

use super::tape::{Class, Operand, Register, Tape};

/// A number known now, or one that a kernel computes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Traced<'t, T> {
    Constant(T),
    Value(&'t Tape, Register),
}

use Traced::{Constant, Value};

/// A type of numbers in registers.
pub(super) trait Scalar: Copy {
    const CLASS: Class;
    fn literal(self) -> Operand;
}

macro_rules! scalars {
    ($($type:ty: $class:ident, |$x:ident| $literal:expr;)+) => {$(
        impl Scalar for $type {
            const CLASS: Class = Class::$class;
            fn literal(self) -> Operand {
                let $x = self;
                $literal
            }
        }

        impl From<$type> for Traced<'_, $type> {
            fn from(value: $type) -> Self {
                Constant(value)
            }
        }
    )+};
}

scalars! {
    bool: Predicate, |x| Operand::Integer(x.into());
    f32: Word, |x| Operand::F32(x.to_bits());
    f64: Double, |x| Operand::F64(x.to_bits());
    f16: Half, |x| Operand::Integer(x.to_bits().into());
    bf16: Half, |x| Operand::Integer(x.to_bits().into());
    u32: Word, |x| Operand::Integer(x.into());
    u64: Double, |x| Operand::Integer(x);
}

impl<'t, T: Scalar> Traced<'t, T> {
    pub fn operand(self) -> Operand {
        match self {
            Constant(value) => value.literal(),
            Value(_, register) => Operand::Register(register),
        }
    }

    /// The same bits as another type of number of this size.
    pub fn reinterpreted<U: Scalar>(self, constant: impl Fn(T) -> U) -> Traced<'t, U> {
        match self {
            Constant(value) => Constant(constant(value)),
            Value(tape, register) => Value(tape, register),
        }
    }

    /// An instruction of one operand, and what it makes of a constant.
    pub fn unary<U: Scalar>(self, mnemonic: &'static str, constant: impl Fn(T) -> U) -> Traced<'t, U> {
        match self {
            Constant(value) => Constant(constant(value)),
            Value(tape, _) => Value(tape, tape.result(mnemonic, U::CLASS, vec![self.operand()])),
        }
    }

    /// An instruction of two operands, and what it makes of constants.
    pub fn binary<O: Scalar, U: Scalar>(
        self,
        mnemonic: &'static str,
        other: Traced<'t, O>,
        constant: impl Fn(T, O) -> U,
    ) -> Traced<'t, U> {
        match (self, other) {
            (Constant(a), Constant(b)) => Constant(constant(a, b)),
            (Value(tape, _), _) | (_, Value(tape, _)) => {
                Value(tape, tape.result(mnemonic, U::CLASS, vec![self.operand(), other.operand()]))
            }
        }
    }

    /// `a` where a condition holds, else `b`.
    pub fn selected(mnemonic: &'static str, condition: Traced<'t, bool>, a: Self, b: Self) -> Self {
        match condition {
            Constant(condition) => {
                if condition {
                    a
                } else {
                    b
                }
            }
            Value(tape, _) => {
                let operands = vec![a.operand(), b.operand(), condition.operand()];
                Value(tape, tape.result(mnemonic, T::CLASS, operands))
            }
        }
    }
}

/// Single precision, each operation rounded to nearest on its own: `.rn` is never contracted, nothing is flushed.
impl<'t> Single for Traced<'t, f32> {
    type Condition = Traced<'t, bool>;
    type Word = Traced<'t, u32>;
    type Double = Traced<'t, f64>;

    fn less(self, other: Self) -> Self::Condition {
        self.binary("setp.lt.f32", other, |a, b| a < b)
    }
    fn equal(self, other: Self) -> Self::Condition {
        self.binary("setp.eq.f32", other, |a, b| a == b)
    }
    fn select(condition: Self::Condition, a: Self, b: Self) -> Self {
        Traced::selected("selp.f32", condition, a, b)
    }
    fn abs(self) -> Self {
        self.unary("abs.f32", f32::abs)
    }
    fn floor(self) -> Self {
        self.unary("cvt.rmi.f32.f32", f32::floor)
    }
    fn sqrt(self) -> Self {
        self.unary("sqrt.rn.f32", f32::sqrt)
    }
    fn at_most(self, limit: f32) -> Self {
        self.binary("min.NaN.f32", limit.into(), f32::at_most)
    }
    fn at_least(self, limit: f32) -> Self {
        self.binary("max.NaN.f32", limit.into(), f32::at_least)
    }
    fn to_bits(self) -> Self::Word {
        self.reinterpreted(f32::to_bits)
    }
    fn from_bits(bits: Self::Word) -> Self {
        bits.reinterpreted(f32::from_bits)
    }
    fn from_integer(integer: Self::Word) -> Self {
        integer.unary("cvt.rn.f32.s32", |x| x as i32 as f32)
    }
    fn is_zero(word: Self::Word) -> Self::Condition {
        word.binary("setp.eq.u32", Traced::<u32>::Constant(0), |a, b| a == b)
    }
    fn widen(self) -> Self::Double {
        self.unary("cvt.f64.f32", f64::from)
    }
    fn narrow(double: Self::Double) -> Self {
        double.unary("cvt.rn.f32.f64", |x| x as f32)
    }
    fn low_word(double: Self::Double) -> Self::Word {
        double.unary("cvt.u32.u64", |x| x.to_bits() as u32)
    }
}

impl Word for Traced<'_, u32> {
    fn wrapping_add(self, other: Self) -> Self {
        self + other
    }
    fn wrapping_sub(self, other: Self) -> Self {
        self.binary("sub.u32", other, u32::wrapping_sub)
    }
    fn shift_signed(self, places: u32) -> Self {
        self.binary("shr.s32", Constant(places), |x, places| ((x as i32) >> places) as u32)
    }
}

/// Operators, by instruction.
macro_rules! operators {
    ($($type:ty: $trait:ident $method:ident, $mnemonic:literal, $constant:expr;)+) => {$(
        impl<'t> $trait for Traced<'t, $type> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary($mnemonic, other, $constant)
            }
        }
    )+};
}

operators! {
    f32: Add add, "add.rn.f32", |a, b| a + b;
    f32: Sub sub, "sub.rn.f32", |a, b| a - b;
    f32: Mul mul, "mul.rn.f32", |a, b| a * b;
    f32: Div div, "div.rn.f32", |a, b| a / b;
    f64: Add add, "add.rn.f64", |a, b| a + b;
    f64: Sub sub, "sub.rn.f64", |a, b| a - b;
    f64: Mul mul, "mul.rn.f64", |a, b| a * b;
    u32: BitAnd bitand, "and.b32", |a, b| a & b;
    u32: BitOr bitor, "or.b32", |a, b| a | b;
    u32: BitXor bitxor, "xor.b32", |a, b| a ^ b;
}

impl Neg for Traced<'_, f32> {
    type Output = Self;
    fn neg(self) -> Self {
        self.unary("neg.f32", |x| -x)
    }
}

impl Shl<u32> for Traced<'_, u32> {
    type Output = Self;
    fn shl(self, places: u32) -> Self {
        self.binary("shl.b32", Constant(places), |x, places| x << places)
    }
}

/// Conversions between types of elements, beyond those that formulas need.
impl<'t> Traced<'t, f32> {
    /// The signed integer towards zero, saturated; 0 for NaN.
    pub fn to_signed(self) -> Traced<'t, u32> {
        self.unary("cvt.rzi.s32.f32", |x| x as i32 as u32)
    }
    /// The unsigned integer towards zero, saturated; 0 for NaN.
    pub fn to_unsigned(self) -> Traced<'t, u32> {
        self.unary("cvt.rzi.u32.f32", |x| x as u32)
    }
    /// An unsigned integer, rounded.
    pub fn from_unsigned(integer: Traced<'t, u32>) -> Self {
        integer.unary("cvt.rn.f32.u32", |x| x as f32)
    }
    /// The nearest number of half precision.
    pub fn to_f16(self) -> Traced<'t, f16> {
        self.unary("cvt.rn.f16.f32", f16::from_f32)
    }
    /// The nearest number that is the upper half of an `f32`.
    pub fn to_bf16(self) -> Traced<'t, bf16> {
        self.unary("cvt.rn.bf16.f32", bf16::from_f32)
    }
    /// A signed integer towards zero.
    pub fn truncated_signed(integer: Traced<'t, u32>) -> Self {
        integer.unary("cvt.rz.f32.s32", |x| truncated((x as i32).into()))
    }
    /// An unsigned integer towards zero.
    pub fn truncated_unsigned(integer: Traced<'t, u32>) -> Self {
        integer.unary("cvt.rz.f32.u32", |x| truncated(x.into()))
    }
    /// Two numbers of half precision in one word, the first below.
    pub fn pair_f16(low: Self, high: Self) -> Traced<'t, u32> {
        let pair = |high, low| u32::from(f16::from_f32(high).to_bits()) << 16 | u32::from(f16::from_f32(low).to_bits());
        high.binary("cvt.rn.f16x2.f32", low, pair)
    }
    /// The same as [`pair_f16`](Traced::pair_f16) for the upper halves of `f32`s.
    pub fn pair_bf16(low: Self, high: Self) -> Traced<'t, u32> {
        let pair =
            |high, low| u32::from(bf16::from_f32(high).to_bits()) << 16 | u32::from(bf16::from_f32(low).to_bits());
        high.binary("cvt.rn.bf16x2.f32", low, pair)
    }
}

/// The nearest number of single precision towards zero.
fn truncated(x: i64) -> f32 {
    let near = x as f32;
    let beyond = near.abs() as u64 > x.unsigned_abs();
    if beyond { f32::from_bits(near.to_bits() - 1) } else { near }
}

impl<'t> Traced<'t, f16> {
    /// The same number in single precision.
    pub fn widen(self) -> Traced<'t, f32> {
        self.unary("cvt.f32.f16", f16::to_f32)
    }
}

impl Traced<'_, bool> {
    /// Whether both hold.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Constant(true), x) | (x, Constant(true)) => x,
            _ => self.binary("and.pred", other, |a, b| a && b),
        }
    }
}

impl<'t> Traced<'t, u32> {
    /// The smaller as signed or unsigned integers.
    pub fn min_unsigned(self, other: Self) -> Self {
        self.binary("min.u32", other, u32::min)
    }
    /// The larger as signed integers.
    pub fn max_signed(self, other: Self) -> Self {
        self.binary("max.s32", other, |a, b| (a as i32).max(b as i32) as u32)
    }
    /// The same number with twice the bits.
    pub fn widen(self) -> Traced<'t, u64> {
        self.unary("cvt.u64.u32", u64::from)
    }
}
