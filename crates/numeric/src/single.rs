use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Shl, Sub};

/// IEEE 754 single precision: what the functions of [`elementary`](crate::elementary) are written in.
///
/// `f32` computes at once. Another implementation may record the operations, to execute them
/// elsewhere: each is rounded to nearest even on its own, and keeps subnormal numbers. A branch is a
/// [`select`](Single::select) between two values that are both computed.
///
/// Every `Single` is a [`Real`](crate::Real).
pub trait Single:
    Copy
    + From<f32>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// The outcome of a comparison.
    type Condition: Copy;
    /// 32 bits.
    type Word: Word;
    /// IEEE 754 double precision.
    type Double: Copy + From<f64> + Add<Output = Self::Double> + Sub<Output = Self::Double> + Mul<Output = Self::Double>;

    /// Whether self < other: never, if either is NaN.
    fn less(self, other: Self) -> Self::Condition;
    /// Whether self = other, and neither is NaN.
    fn equal(self, other: Self) -> Self::Condition;
    /// `a` where the condition holds, else `b`.
    fn select(condition: Self::Condition, a: Self, b: Self) -> Self;

    /// |x|.
    fn abs(self) -> Self;
    /// The largest integer not above.
    fn floor(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;

    /// Sign, exponent and mantissa.
    fn to_bits(self) -> Self::Word;
    /// The number of these bits.
    fn from_bits(bits: Self::Word) -> Self;
    /// A signed integer, rounded.
    fn from_integer(integer: Self::Word) -> Self;
    /// Whether every bit is 0.
    fn is_zero(word: Self::Word) -> Self::Condition;

    /// The number in double precision.
    fn widen(self) -> Self::Double;
    /// A number of double precision, rounded.
    fn narrow(double: Self::Double) -> Self;
    /// The lower half of a double's bits.
    fn low_word(double: Self::Double) -> Self::Word;

    /// Self, but not above a limit other than 0; NaN stays.
    #[inline(always)]
    fn at_most(self, limit: f32) -> Self {
        Self::select(Self::from(limit).less(self), limit.into(), self)
    }
    /// Self, but not below a limit other than 0; NaN stays.
    #[inline(always)]
    fn at_least(self, limit: f32) -> Self {
        Self::select(self.less(limit.into()), limit.into(), self)
    }
    /// The magnitude of self with the sign of another number.
    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        const SIGN: u32 = 1 << 31;
        Self::from_bits((self.to_bits() & Self::Word::from(!SIGN)) | (sign.to_bits() & Self::Word::from(SIGN)))
    }
}

/// 32 bits: an integer modulo 2³².
pub trait Word:
    Copy + From<u32> + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Shl<u32, Output = Self>
{
    /// Self + other, modulo 2³².
    fn wrapping_add(self, other: Self) -> Self;
    /// Self − other, modulo 2³².
    fn wrapping_sub(self, other: Self) -> Self;
    /// Self as a signed integer, shifted to the right by fewer than 32 places.
    fn shift_signed(self, places: u32) -> Self;
}

impl Single for f32 {
    type Condition = bool;
    type Word = u32;
    type Double = f64;

    #[inline(always)]
    fn less(self, other: f32) -> bool {
        self < other
    }
    #[inline(always)]
    fn equal(self, other: f32) -> bool {
        self == other
    }
    #[inline(always)]
    fn select(condition: bool, a: f32, b: f32) -> f32 {
        if condition { a } else { b }
    }
    #[inline(always)]
    fn abs(self) -> f32 {
        self.abs()
    }
    // Exact, so that the bits are the same either way: with `std` the processor's, which vectorise.
    #[inline(always)]
    fn floor(self) -> f32 {
        #[cfg(feature = "std")]
        return self.floor();
        #[cfg(not(feature = "std"))]
        libm::floorf(self)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        #[cfg(feature = "std")]
        return self.sqrt();
        #[cfg(not(feature = "std"))]
        libm::sqrtf(self)
    }
    #[inline(always)]
    fn to_bits(self) -> u32 {
        self.to_bits()
    }
    #[inline(always)]
    fn from_bits(bits: u32) -> f32 {
        f32::from_bits(bits)
    }
    #[inline(always)]
    fn from_integer(integer: u32) -> f32 {
        integer as i32 as f32
    }
    #[inline(always)]
    fn is_zero(word: u32) -> bool {
        word == 0
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn narrow(double: f64) -> f32 {
        double as f32
    }
    #[inline(always)]
    fn low_word(double: f64) -> u32 {
        double.to_bits() as u32
    }
    #[inline(always)]
    fn copysign(self, sign: f32) -> f32 {
        self.copysign(sign)
    }
}

impl Word for u32 {
    #[inline(always)]
    fn wrapping_add(self, other: u32) -> u32 {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn wrapping_sub(self, other: u32) -> u32 {
        self.wrapping_sub(other)
    }
    #[inline(always)]
    fn shift_signed(self, places: u32) -> u32 {
        ((self as i32) >> places) as u32
    }
}
