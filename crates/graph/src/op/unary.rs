use yuragi_numeric::Real;

use crate::Tensor;

/// The table of a family of functions of one number. A line reads: what it is; variant, name (also of
/// the method of [`Tensor`]); meaning; gradient (from the gradient `g` of the result, the operand `x`
/// and the result `y`).
macro_rules! unary {
    ($($(#[$doc:meta])+ $variant:ident, $name:ident, |$x:ident| $meaning:expr, |$g:ident, $gx:tt, $gy:tt| $gradient:expr;)+) => {
        /// An elementwise function of one number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Unary {
            $($(#[$doc])+ $variant,)+
        }

        impl Unary {
            /// The whole family.
            pub const ALL: &'static [Unary] = &[$(Unary::$variant),+];

            /// The name in listings.
            pub const fn name(self) -> &'static str {
                match self { $(Unary::$variant => stringify!($name),)+ }
            }

            /// The function's value.
            #[inline(always)]
            pub fn eval<R: Real>(self, x: R) -> R {
                match self { $(Unary::$variant => { let $x = x; $meaning })+ }
            }

            /// Applies the function to every element: `out[i] = f(x[i])`. Inlined whole, so that a
            /// caller compiled for wider vectors gets loops of that width.
            #[inline(always)]
            pub fn map<R: Real>(self, x: &[R], out: &mut [R]) {
                match self {
                    $(Unary::$variant => for (o, &$x) in out.iter_mut().zip(x) { *o = $meaning; },)+
                }
            }

            pub(crate) fn grad<'g>(self, g: Tensor<'g>, x: Tensor<'g>, y: Tensor<'g>) -> Option<Tensor<'g>> {
                match self {
                    $(Unary::$variant => { let ($g, $gx, $gy) = (g, x, y); let _ = ($g, $gx); let d: Gradient<'g> = $gradient.into(); d.0 })+
                }
            }
        }

        #[allow(clippy::should_implement_trait)]
        impl<'g> Tensor<'g> {
            $($(#[$doc])+
            #[track_caller]
            pub fn $name(self) -> Tensor<'g> {
                self.unary(Unary::$variant)
            })+
        }
    };
}

struct Gradient<'g>(Option<Tensor<'g>>);

impl<'g> From<Tensor<'g>> for Gradient<'g> {
    fn from(t: Tensor<'g>) -> Self {
        Gradient(Some(t))
    }
}

/// The derivative is 0 wherever it exists.
struct Flat;

impl From<Flat> for Gradient<'_> {
    fn from(_: Flat) -> Self {
        Gradient(None)
    }
}

unary! {
    /// −x.
    Neg, neg, |x| -x, |g, _x, _y| -g;
    /// |x|; the derivative at 0 is taken as 0.
    Abs, abs, |x| x.abs(), |g, x, _y| g * x.sign();
    /// −1, 0 or 1.
    Sign, sign, |x| x.sign(), |g, _x, _y| Flat;
    /// The largest integer not above x.
    Floor, floor, |x| x.floor(), |g, _x, _y| Flat;
    /// e^x.
    Exp, exp, |x| x.exp(), |g, _x, y| g * y;
    /// Natural logarithm.
    Ln, ln, |x| x.ln(), |g, x, _y| g / x;
    /// √x.
    Sqrt, sqrt, |x| x.sqrt(), |g, _x, y| g / (y * 2.0);
    /// 1/x.
    Recip, recip, |x| R::of(1.0) / x, |g, _x, y| -(g * y * y);
    /// Sine of x radians.
    Sin, sin, |x| x.sin(), |g, x, _y| g * x.cos();
    /// Cosine of x radians.
    Cos, cos, |x| x.cos(), |g, x, _y| -(g * x.sin());
    /// Hyperbolic tangent.
    Tanh, tanh, |x| x.tanh(), |g, _x, y| g * (1.0 - y * y);
    /// 1/(1+e^−x).
    Sigmoid, sigmoid, |x| x.sigmoid(), |g, _x, y| g * y * (1.0 - y);
    /// The error function 2/√π ∫₀ˣ e^−t² dt.
    Erf, erf, |x| x.erf(), |g, x, _y| g * (-(x * x)).exp() * core::f32::consts::FRAC_2_SQRT_PI;
    /// ln(1 + eˣ), as max(x, 0) + ln(1 + e^−|x|), which never overflows.
    Softplus, softplus, |x| x.max(R::of(0.0)) + (R::of(1.0) + (-x.abs()).exp()).ln(), |g, x, _y| g * x.sigmoid();
    /// max(x, 0); the derivative at 0 is taken as 0.
    Relu, relu, |x| x.max(R::of(0.0)), |g, x, _y| g * x.relu().sign();
    /// x·sigmoid(x) (Elfwing et al. 2018).
    Silu, silu, |x| x * x.sigmoid(), |g, x, y| { let s = x.sigmoid(); g * (s + y * (1.0 - s)) };
    /// x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016), not its tanh approximation.
    Gelu, gelu, |x| x * R::of(0.5) * (R::of(1.0) + (x * R::of(core::f64::consts::FRAC_1_SQRT_2)).erf()),
        |g, x, _y| g * ((x * core::f32::consts::FRAC_1_SQRT_2).erf() * 0.5 + 0.5 + x * (x * x * -0.5).exp() * 0.398_942_3);
}
