use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Neg, Sub};

use yuragi_graph::DType;
use yuragi_numeric::Real;

/// What a graph is evaluated with. Integers are held exactly by every kind of number.
pub trait Number: Real + Debug {
    /// A sum under way.
    type Total: Copy + Default;

    /// A number known exactly.
    fn exact(value: f64) -> Self;
    /// The number as `f64`.
    fn value(self) -> f64;
    /// The number stored as an element of this type.
    fn cast(self, to: DType) -> Self;
    /// Adds a·b to a sum.
    fn accumulate(total: &mut Self::Total, a: Self, b: Self);
    /// The sum.
    fn total(total: Self::Total) -> Self;
    /// The sum as a matrix unit may give it whose factors are of this type.
    fn product(total: Self::Total, _factors: DType) -> Self {
        Self::total(total)
    }

    /// This number, read through an index: nothing is known of it if the index is in doubt.
    fn indexed_by(self, _index: Self) -> Self {
        self
    }
}

impl Number for f64 {
    type Total = f64;

    fn exact(value: f64) -> f64 {
        value
    }

    fn value(self) -> f64 {
        self
    }

    fn cast(self, to: DType) -> f64 {
        if to.is_float() { self } else { to.round(self) }
    }

    fn accumulate(total: &mut f64, a: f64, b: f64) {
        *total += a * b;
    }

    fn total(total: f64) -> f64 {
        total
    }
}

/// A number whose arithmetic is that of `F32`, operation by operation.
///
/// It is held in `f64`, which has more than twice the digits, so that rounding the `f64` result of an
/// arithmetic operation gives the `F32` result (Figueroa 1995); the other functions are those of
/// [`yuragi_numeric::elementary`].
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Single(f64);

impl Single {
    fn rounded(value: f64) -> Single {
        Single(f64::from(value as f32))
    }

    fn map(self, f: impl Fn(f32) -> f32) -> Single {
        Single(f64::from(f(self.0 as f32)))
    }
}

impl Number for Single {
    type Total = Single;

    fn exact(value: f64) -> Single {
        Single(value)
    }

    fn value(self) -> f64 {
        self.0
    }

    fn cast(self, to: DType) -> Single {
        Single(to.round(self.0))
    }

    fn accumulate(total: &mut Single, a: Single, b: Single) {
        *total = *total + a * b;
    }

    fn total(total: Single) -> Single {
        total
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $sign:tt;)+) => {$(
        impl $trait for Single {
            type Output = Single;

            fn $method(self, other: Single) -> Single {
                Single::rounded(self.0 $sign other.0)
            }
        }
    )+};
}

arithmetic! {
    Add add +;
    Sub sub -;
    Mul mul *;
    Div div /;
}

impl Neg for Single {
    type Output = Single;

    fn neg(self) -> Single {
        Single(-self.0)
    }
}

macro_rules! through_f32 {
    ($($function:ident)+) => {
        $(fn $function(self) -> Single {
            self.map(<f32 as Real>::$function)
        })+
    };
}

impl Real for Single {
    fn of(constant: f64) -> Single {
        Single::rounded(constant)
    }
    fn less(self, other: Single) -> Single {
        Single(self.0.less(other.0))
    }
    fn equal(self, other: Single) -> Single {
        Single(self.0.equal(other.0))
    }
    fn select(condition: Single, a: Single, b: Single) -> Single {
        if condition.0 != 0.0 { a } else { b }
    }
    fn max(self, other: Single) -> Single {
        Single(Real::max(self.0, other.0))
    }
    fn min(self, other: Single) -> Single {
        Single(Real::min(self.0, other.0))
    }
    through_f32! { abs sign floor sqrt exp ln sin cos tanh sigmoid erf }
}
