use yuragi_numeric::Real;

use crate::Tensor;

type Pair<'g> = [Option<Tensor<'g>>; 2];

/// The table of a family of functions of two numbers, as for the functions of one: operands are
/// broadcast. The gradient
/// gives one part per operand; `None` where the derivative is 0.
macro_rules! binary {
    ($($(#[$doc:meta])+ $variant:ident, $name:ident, |$a:ident, $b:ident| $meaning:expr, |$g:ident, $ga:tt, $gb:tt, $gy:tt| $gradient:expr;)+) => {
        /// An elementwise function of two numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Binary {
            $($(#[$doc])+ $variant,)+
        }

        impl Binary {
            /// The whole family.
            pub const ALL: &'static [Binary] = &[$(Binary::$variant),+];

            /// The name in listings.
            pub const fn name(self) -> &'static str {
                match self { $(Binary::$variant => stringify!($name),)+ }
            }

            /// The function's value.
            #[inline(always)]
            pub fn eval<R: Real>(self, a: R, b: R) -> R {
                match self { $(Binary::$variant => { let ($a, $b) = (a, b); $meaning })+ }
            }

            /// Applies the function to every pair: `out[i] = f(a[i], b[i])`, inlined whole.
            #[inline(always)]
            pub fn map<R: Real>(self, a: &[R], b: &[R], out: &mut [R]) {
                match self {
                    $(Binary::$variant => for ((o, &$a), &$b) in out.iter_mut().zip(a).zip(b) { *o = $meaning; },)+
                }
            }

            pub(crate) fn grad<'g>(self, g: Tensor<'g>, a: Tensor<'g>, b: Tensor<'g>, y: Tensor<'g>) -> Pair<'g> {
                match self {
                    $(Binary::$variant => { let ($g, $ga, $gb, $gy) = (g, a, b, y); let _ = $g; $gradient })+
                }
            }
        }

        #[allow(clippy::should_implement_trait)]
        impl<'g> Tensor<'g> {
            $($(#[$doc])+
            #[track_caller]
            pub fn $name(self, other: Tensor<'g>) -> Tensor<'g> {
                self.binary(Binary::$variant, other)
            })+
        }
    };
}

binary! {
    /// a + b.
    Add, add, |a, b| a + b, |g, _a, _b, _y| [Some(g), Some(g)];
    /// a − b.
    Sub, sub, |a, b| a - b, |g, _a, _b, _y| [Some(g), Some(-g)];
    /// a·b.
    Mul, mul, |a, b| a * b, |g, a, b, _y| [Some(g * b), Some(g * a)];
    /// a/b.
    Div, div, |a, b| a / b, |g, _a, b, y| [Some(g / b), Some(-(g * y / b))];
    /// The larger; NaN if either is. The gradient goes to b at equality.
    Max, maximum, |a, b| a.max(b), |g, a, b, _y| { let first = b.less(a); [Some(g * first), Some(g * (1.0 - first))] };
    /// The smaller; NaN if either is. The gradient goes to b at equality.
    Min, minimum, |a, b| a.min(b), |g, a, b, _y| { let first = a.less(b); [Some(g * first), Some(g * (1.0 - first))] };
    /// 1 where a < b, else 0.
    Less, less, |a, b| a.less(b), |g, _a, _b, _y| [None, None];
    /// 1 where a = b, else 0.
    Equal, equal, |a, b| a.equal(b), |g, _a, _b, _y| [None, None];
}
