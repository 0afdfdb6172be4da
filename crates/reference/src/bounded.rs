use core::ops::{Add, Div, Mul, Neg, Sub};

use yuragi_graph::DType;
use yuragi_numeric::Real;

use crate::Number;

/// The unit roundoff of the arithmetic, which is `F32` whatever a node's element type.
const U: f64 = DType::F32.unit_roundoff();
/// The rounding error of a product or quotient near zero.
const TINY: f64 = DType::F32.smallest();

/// Units of roundoff of an addition in a tensor core. It adds several products and the sum so far at once, each cut off
/// 24 or more bits below the largest, and cuts the result off at 24 bits: with one product beside the sum, 2u for the
/// result and u for each term (Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores").
const TENSOR_CORE: f64 = 4.0;

/// The error of a large argument's reduction to a quarter turn, relative to the argument: 2⁻⁵⁰.
const REDUCTION: f64 = 8.881_784_197_001_252e-16;

/// A true value, and how far from it the value of any correct backend may lie: running error
/// analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, chapter 3).
///
/// A formula evaluated with these numbers carries its own bound. What a correct backend may do:
///
/// | operation | error |
/// |---|---|
/// | + − × ÷ √ | u = 2⁻²⁴ relative |
/// | eˣ, ln, sin, cos, erf | 2 ulp, an ulp being at most 2u; for sin and cos of large x also \|x\|·2⁻⁵⁰ |
/// | tanh, sigmoid | 3 ulp |
/// | a sum of n products, in any order | n·u/(1 − n·u) times the sum of absolute values |
/// | the same of factors in `F16` or `BF16` | 4n·u in place of n·u: tensor cores cut off what they add |
/// | storing as `F16` or `BF16` | that type's u relative, once |
/// | everything else | none |
///
/// to which the smallest subnormal is added where a result may underflow. An error of ∞ says that
/// any value is correct: the backend may be on either side of an overflow, a pole or a branch. An
/// infinite or NaN value with an error of 0 says that nothing else is correct.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounded {
    /// The truth.
    pub value: f64,
    /// The largest |value of a correct backend − truth|.
    pub error: f64,
}

impl Bounded {
    const fn certain(value: f64) -> Bounded {
        Bounded { value, error: 0.0 }
    }

    const fn unknown(value: f64) -> Bounded {
        Bounded { value, error: f64::INFINITY }
    }

    /// Whether any value is correct.
    pub fn is_unknown(self) -> bool {
        self.error == f64::INFINITY
    }

    /// Whether a correct backend may have 0 or either sign here.
    fn straddles_zero(self) -> bool {
        self.error > 0.0 && self.value.abs() <= self.error
    }

    /// Whether ∞ or NaN is the product of this with an infinite or NaN number, beyond doubt.
    fn has_certain_sign(self) -> bool {
        !self.is_unknown() && !self.straddles_zero()
    }

    /// The result of an operation in `F32` with this many units of roundoff, from the exact `value` and
    /// the propagated `error`.
    fn rounded(value: f64, error: f64, units: f64) -> Bounded {
        let exact = Bounded { value, error }.in_range(DType::F32);
        if !exact.value.is_finite() || exact.is_unknown() {
            return exact;
        }
        let rounded = Bounded { value, error: error + units * U * (value.abs() + error) };
        // Correct rounding of what is in range stays in range.
        if units > 1.0 { rounded.in_range(DType::F32) } else { rounded }
    }

    /// As [`rounded`](Bounded::rounded) by one unit, but known numbers whose result needs no rounding stay known.
    fn nearest(value: f64, error: f64) -> Bounded {
        if error == 0.0 && DType::F32.round(value) == value {
            Bounded::certain(value)
        } else {
            Bounded::rounded(value, error, 1.0)
        }
    }

    /// Beyond the type's range a value is infinite; at the range's edge anything may be.
    fn in_range(self, dtype: DType) -> Bounded {
        let Bounded { value, error } = self;
        let overflows = |magnitude: f64| dtype.round(magnitude) == f64::INFINITY;
        if error.is_nan() || error == f64::INFINITY {
            Bounded::unknown(value)
        } else if value.is_nan() {
            Bounded::certain(value)
        } else if overflows(value.abs() - error) {
            Bounded::certain(value.signum() * f64::INFINITY)
        } else if overflows(value.abs() + error) {
            Bounded::unknown(value)
        } else {
            self
        }
    }

    /// A value known to lie between two others.
    fn hull(end: f64, value: f64, other_end: f64) -> Bounded {
        let error = (value - end).abs().max((value - other_end).abs());
        if end == other_end || value.is_nan() && end.is_nan() && other_end.is_nan() {
            Bounded::certain(value)
        } else if end.is_nan() || other_end.is_nan() || error.is_nan() {
            Bounded::unknown(value)
        } else {
            Bounded { value, error }
        }
    }

    /// A function that never falls, or never rises, of this number.
    fn monotone(self, f: impl Fn(f64) -> f64, units: f64) -> Bounded {
        let y = f(self.value);
        if self.is_unknown() {
            return Bounded::unknown(y);
        }
        let (below, above) = (f(self.value - self.error), f(self.value + self.error));
        let infinite = |x: f64| DType::F32.round(x).is_infinite() && x.signum() == y.signum();
        if infinite(below) && infinite(above) {
            return Bounded::certain(y.signum() * f64::INFINITY);
        }
        let exact = Bounded::hull(below, y, above);
        if units == 0.0 || y.is_nan() || exact.is_unknown() {
            return exact;
        }
        // Underflow adds the smallest subnormal; an exact 0 is exact.
        let tiny = if exact.error == 0.0 && y == 0.0 { 0.0 } else { units * TINY };
        Bounded::rounded(y, exact.error + tiny, units)
    }

    /// A sine or cosine of this number.
    fn wave(self, f: impl Fn(f64) -> f64) -> Bounded {
        let y = f(self.value);
        if self.is_unknown() || self.value.is_infinite() {
            return Bounded { value: y, error: if self.is_unknown() { f64::INFINITY } else { 0.0 } };
        }
        let reduction = self.value.abs() * REDUCTION;
        Bounded::rounded(y, (self.error + reduction).min(2.0) + TINY, 4.0)
    }
}

impl Add for Bounded {
    type Output = Bounded;

    fn add(self, other: Bounded) -> Bounded {
        Bounded::nearest(self.value + other.value, self.error + other.error)
    }
}

impl Sub for Bounded {
    type Output = Bounded;

    fn sub(self, other: Bounded) -> Bounded {
        self + -other
    }
}

impl Mul for Bounded {
    type Output = Bounded;

    fn mul(self, other: Bounded) -> Bounded {
        let value = self.value * other.value;
        if !value.is_finite() {
            let certain = self.has_certain_sign() && other.has_certain_sign();
            return if certain { Bounded::certain(value) } else { Bounded::unknown(value) };
        }
        let error = product_error(self, other);
        Bounded::nearest(value, if error == 0.0 && DType::F32.round(value) == value { 0.0 } else { error + TINY })
    }
}

/// |âb̂ − ab|.
fn product_error(a: Bounded, b: Bounded) -> f64 {
    a.value.abs() * b.error + b.value.abs() * a.error + a.error * b.error
}

impl Div for Bounded {
    type Output = Bounded;

    fn div(self, other: Bounded) -> Bounded {
        let value = self.value / other.value;
        if other.straddles_zero() || self.is_unknown() || other.is_unknown() {
            return Bounded::unknown(value);
        }
        if !value.is_finite() {
            return if self.straddles_zero() { Bounded::unknown(value) } else { Bounded::certain(value) };
        }
        if other.value.is_infinite() || value == 0.0 && self.error == 0.0 {
            return Bounded::certain(value);
        }
        let error = (self.error + value.abs() * other.error) / (other.value.abs() - other.error);
        Bounded::rounded(value, error + TINY, 1.0)
    }
}

impl Neg for Bounded {
    type Output = Bounded;

    fn neg(self) -> Bounded {
        Bounded { value: -self.value, ..self }
    }
}

impl Real for Bounded {
    fn of(constant: f64) -> Bounded {
        Bounded::nearest(constant, 0.0)
    }
    fn less(self, other: Bounded) -> Bounded {
        self.compared(other, Real::less)
    }
    fn equal(self, other: Bounded) -> Bounded {
        self.compared(other, Real::equal)
    }
    fn select(condition: Bounded, a: Bounded, b: Bounded) -> Bounded {
        let (taken, other) = if condition.value != 0.0 { (a, b) } else { (b, a) };
        if !condition.straddles_zero() && !condition.is_unknown() {
            return taken;
        }
        let error = taken.error.max((taken.value - other.value).abs() + other.error);
        if error.is_nan() { Bounded::unknown(taken.value) } else { Bounded { error, ..taken } }
    }
    fn abs(self) -> Bounded {
        Bounded { value: self.value.abs(), ..self }
    }
    fn sign(self) -> Bounded {
        self.monotone(Real::sign, 0.0)
    }
    fn floor(self) -> Bounded {
        self.monotone(Real::floor, 0.0)
    }
    fn max(self, other: Bounded) -> Bounded {
        self.extreme(other, Real::max)
    }
    fn min(self, other: Bounded) -> Bounded {
        self.extreme(other, Real::min)
    }
    fn sqrt(self) -> Bounded {
        self.monotone(Real::sqrt, 1.0)
    }
    fn exp(self) -> Bounded {
        self.monotone(Real::exp, 4.0)
    }
    fn ln(self) -> Bounded {
        self.monotone(Real::ln, 4.0)
    }
    fn sin(self) -> Bounded {
        self.wave(Real::sin)
    }
    fn cos(self) -> Bounded {
        self.wave(Real::cos)
    }
    fn tanh(self) -> Bounded {
        self.monotone(Real::tanh, 6.0)
    }
    fn sigmoid(self) -> Bounded {
        self.monotone(Real::sigmoid, 6.0)
    }
    fn erf(self) -> Bounded {
        self.monotone(Real::erf, 4.0)
    }
}

impl Bounded {
    /// The larger or the smaller.
    fn extreme(self, other: Bounded, pick: impl Fn(f64, f64) -> f64) -> Bounded {
        let value = pick(self.value, other.value);
        if self.is_unknown() || other.is_unknown() {
            return Bounded::unknown(value);
        }
        let low = pick(self.value - self.error, other.value - other.error);
        Bounded::hull(low, value, pick(self.value + self.error, other.value + other.error))
    }

    /// Both outcomes of a comparison where it is in doubt.
    fn compared(self, other: Bounded, compare: impl Fn(f64, f64) -> f64) -> Bounded {
        let outcome = Bounded::certain(compare(self.value, other.value));
        let slack = self.error + other.error;
        let unordered = self.value.is_nan() || other.value.is_nan();
        let apart = (self.value - other.value).abs() > slack || unordered && slack.is_finite();
        if slack == 0.0 || apart { outcome } else { Bounded { error: 1.0, ..outcome } }
    }
}

/// A sum of products under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    value: f64,
    /// Propagated from the operands.
    error: f64,
    /// The same sum over absolute values, where they are finite.
    magnitude: f64,
    terms: u32,
    /// Products that need rounding.
    products: u32,
    unknown: bool,
}

impl Total {
    /// The sum, with so many units of roundoff for each addition.
    fn bounded(self, units: f64) -> Bounded {
        let Total { value, error, magnitude, terms, products, unknown } = self;
        let overflows = |magnitude: f64| DType::F32.round(magnitude) == f64::INFINITY;
        // Partial sums lie between the sum of the negative terms and that of the positive ones.
        let (along, against) = match value.is_finite() {
            true => (0.5 * (magnitude + value.abs()), 0.5 * (magnitude - value.abs())),
            false => (0.0, magnitude),
        };
        if unknown || overflows(against) || overflows(along) && !overflows(value.abs() - error) {
            return Bounded::unknown(value);
        }
        if !value.is_finite() {
            return Bounded::certain(value);
        }
        if terms <= 1 && error == 0.0 && DType::F32.round(value) == value {
            return Bounded::certain(value);
        }
        let roundings = f64::from(terms.saturating_sub(1) + products.min(1)) * units * U;
        let error = error + roundings / (1.0 - roundings) * magnitude + f64::from(products) * TINY;
        Bounded { value, error }.in_range(DType::F32)
    }
}

impl Number for Bounded {
    type Total = Total;

    fn exact(value: f64) -> Bounded {
        Bounded::certain(value)
    }

    fn value(self) -> f64 {
        self.value
    }

    fn cast(self, to: DType) -> Bounded {
        let Bounded { value, error } = self;
        if self.is_unknown() {
            return self;
        }
        if !to.is_float() {
            return Bounded::hull(to.round(value - error), to.round(value), to.round(value + error));
        }
        let exact = self.in_range(to);
        if !exact.value.is_finite() || exact.is_unknown() || error == 0.0 && to.round(value) == value {
            return exact;
        }
        Bounded { value, error: error + to.unit_roundoff() * (value.abs() + error) + to.smallest() }
    }

    fn accumulate(total: &mut Total, a: Bounded, b: Bounded) {
        let product = a.value * b.value;
        total.value += product;
        total.unknown |= a.is_unknown() || b.is_unknown();
        if !product.is_finite() {
            total.unknown |= a.straddles_zero() || b.straddles_zero();
            return;
        }
        let magnitude = (a.value.abs() + a.error) * (b.value.abs() + b.error);
        if magnitude > 0.0 {
            total.error += product_error(a, b);
            total.magnitude += magnitude;
            total.terms += 1;
            total.products += u32::from(b != Bounded::certain(1.0));
        }
    }

    fn total(total: Total) -> Bounded {
        total.bounded(1.0)
    }

    fn product(total: Total, factors: DType) -> Bounded {
        total.bounded(if factors == DType::F32 { 1.0 } else { TENSOR_CORE })
    }

    fn indexed_by(self, index: Bounded) -> Bounded {
        if index.error > 0.0 { Bounded::unknown(self.value) } else { self }
    }
}
