//! Integers that count elements and bytes: arithmetic with constants, and walks.

use std::ops::{Add, Div, Mul};

use super::traced::{Scalar, Traced, Traced::Constant};

/// An unsigned integer type for indices, whose values stay below half its range.
pub(super) trait Index: Scalar {
    const BITS: u32;
    /// The type's name in instructions.
    const SUFFIX: &'static str;
    const ADD: &'static str;
    const MUL: &'static str;
    /// The upper half of a product.
    const MUL_HIGH: &'static str;
    const SHIFT_RIGHT: &'static str;
    const LESS: &'static str;
    const MIN: &'static str;
    const MOVE: &'static str;

    fn new(value: u64) -> Self;
    fn get(self) -> u64;
    /// As 64 bits.
    fn widen(traced: Traced<'_, Self>) -> Traced<'_, u64>;
    /// From 32 bits.
    fn from_word(word: Traced<'_, u32>) -> Traced<'_, Self>;
    /// From 64 bits, of which enough are 0.
    fn from_double(double: Traced<'_, u64>) -> Traced<'_, Self>;
}

impl Index for u32 {
    const BITS: u32 = 32;
    const SUFFIX: &'static str = "u32";
    const ADD: &'static str = "add.u32";
    const MUL: &'static str = "mul.lo.u32";
    const MUL_HIGH: &'static str = "mul.hi.u32";
    const SHIFT_RIGHT: &'static str = "shr.u32";
    const LESS: &'static str = "setp.lt.u32";
    const MIN: &'static str = "min.u32";
    const MOVE: &'static str = "mov.b32";

    fn new(value: u64) -> u32 {
        value as u32
    }
    fn get(self) -> u64 {
        self.into()
    }
    fn widen(traced: Traced<'_, u32>) -> Traced<'_, u64> {
        traced.widen()
    }
    fn from_word(word: Traced<'_, u32>) -> Traced<'_, u32> {
        word
    }
    fn from_double(double: Traced<'_, u64>) -> Traced<'_, u32> {
        double.unary("cvt.u32.u64", |x| x as u32)
    }
}

impl Index for u64 {
    const BITS: u32 = 64;
    const SUFFIX: &'static str = "u64";
    const ADD: &'static str = "add.u64";
    const MUL: &'static str = "mul.lo.u64";
    const MUL_HIGH: &'static str = "mul.hi.u64";
    const SHIFT_RIGHT: &'static str = "shr.u64";
    const LESS: &'static str = "setp.lt.u64";
    const MIN: &'static str = "min.u64";
    const MOVE: &'static str = "mov.b64";

    fn new(value: u64) -> u64 {
        value
    }
    fn get(self) -> u64 {
        self
    }
    fn widen(traced: Traced<'_, u64>) -> Traced<'_, u64> {
        traced
    }
    fn from_word(word: Traced<'_, u32>) -> Traced<'_, u64> {
        word.widen()
    }
    fn from_double(double: Traced<'_, u64>) -> Traced<'_, u64> {
        double
    }
}

/// A constant index.
pub(super) fn index<'t, I: Index>(value: usize) -> Traced<'t, I> {
    Constant(I::new(value as u64))
}

impl<I: Index> Add for Traced<'_, I> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Constant(zero), x) | (x, Constant(zero)) if zero.get() == 0 => x,
            _ => self.binary(I::ADD, other, |a, b| I::new(a.get().wrapping_add(b.get()))),
        }
    }
}

impl<I: Index> Mul<usize> for Traced<'_, I> {
    type Output = Self;
    fn mul(self, factor: usize) -> Self {
        match factor {
            0 => index(0),
            1 => self,
            _ => self.binary(I::MUL, index(factor), |a, b: I| I::new(a.get().wrapping_mul(b.get()))),
        }
    }
}

/// The quotient by a constant, without a division (Granlund and Montgomery, *Division by Invariant
/// Integers using Multiplication*, 1994): with 2ˡ⁻¹ < d ≤ 2ˡ and m = ⌈2ᵇ⁻¹⁺ˡ/d⌉, which has b bits,
/// ⌊n/d⌋ = ⌊nm/2ᵇ⁻¹⁺ˡ⌋ for n < 2ᵇ⁻¹.
impl<I: Index> Div<usize> for Traced<'_, I> {
    type Output = Self;
    fn div(self, divisor: usize) -> Self {
        let shifted = |x: Self, places: u32| match places {
            0 => x,
            _ => x.binary(I::SHIFT_RIGHT, Constant(places), |x, places| I::new(x.get() >> places)),
        };
        if divisor.is_power_of_two() {
            return shifted(self, divisor.trailing_zeros());
        }
        let log = usize::BITS - (divisor - 1).leading_zeros();
        let magic = (1u128 << (I::BITS - 1 + log)).div_ceil(divisor as u128) as u64;
        let high = |a: I, b: I| I::new(((u128::from(a.get()) * u128::from(b.get())) >> I::BITS) as u64);
        shifted(self.binary(I::MUL_HIGH, Constant(I::new(magic)), high), log - 1)
    }
}

impl<'t, I: Index> Traced<'t, I> {
    pub fn less(self, other: Self) -> Traced<'t, bool> {
        self.binary(I::LESS, other, |a, b| a.get() < b.get())
    }

    pub fn min(self, other: Self) -> Self {
        self.binary(I::MIN, other, |a, b| I::new(a.get().min(b.get())))
    }

    /// Where a walk through axes of these extents and steps, outermost first, is at this number.
    pub fn walk(self, axes: &[(usize, usize)]) -> Self {
        let Some((&(_, outer), inner)) = axes.split_first() else { return index(0) };
        let (mut rest, mut place) = (self, index(0));
        for &(extent, step) in inner.iter().rev() {
            let quotient = rest / extent;
            place = place + (rest + quotient * extent.wrapping_neg()) * step;
            rest = quotient;
        }
        place + rest * outer
    }
}
