//! Elementary functions of vectors, with fused multiply-adds.

use super::Vector;

/// 1.5·2²³: adding it rounds to the nearest integer, which then stands in
/// the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;

/// ln 2 in 16 bits, so that a product with an exponent is exact, and the rest.
const LN_2: (f32, f32) = (0.693_145_75, 1.428_606_8e-6);

/// (eʳ − 1 − r) / r² on |r| ≤ ½ ln 2, a minimax polynomial.
const TAIL: [f32; 5] = [0.5, 0.166_665_45, 0.041_666_403, 0.008_366_398, 0.001_394_065_3];

/// eˣ to 1 ulp, with gradual underflow and overflow to ∞.
#[inline(always)]
pub(crate) fn exp<V: Vector>(x: V) -> V {
    // The constants come first: NaN passes.
    let (fraction, n) = parts(V::splat(89.0).min(V::splat(-104.0).max(x)));
    fraction.scale(n)
}

/// The same of x ≤ 88; what is less than the least normal number may be 0.
#[inline(always)]
pub(crate) fn weight<V: Vector>(x: V) -> V {
    let (fraction, n) = parts(V::splat(-104.0).max(x));
    fraction.scale_down(n)
}

/// y and n of eˣ = y · 2ⁿ, 1/√2 ≤ y ≤ √2.
#[inline(always)]
fn parts<V: Vector>(x: V) -> (V, V) {
    let round = V::splat(ROUND);
    let n = x.mul_add(V::splat(core::f32::consts::LOG2_E), round).sub(round);
    let r = n.mul_add(V::splat(-LN_2.1), n.mul_add(V::splat(-LN_2.0), x));
    let mut tail = V::splat(TAIL[4]);
    for a in [TAIL[3], TAIL[2], TAIL[1], TAIL[0]] {
        tail = tail.mul_add(r, V::splat(a));
    }
    let expm1 = r.mul(r).mul_add(tail, r);
    (expm1.add(V::splat(1.0)), n)
}

/// x · sigmoid(x).
#[inline(always)]
pub(crate) fn silu<V: Vector>(x: V) -> V {
    let one = V::splat(1.0);
    let minus = V::splat(0.0).sub(x);
    // e^−|x| cannot overflow.
    let t = exp(x.by_sign(x, minus));
    x.mul(x.by_sign(t, one).div(t.add(one)))
}

#[cfg(test)]
mod tests {
    use super::super::{Level, Op};
    use super::*;

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Weight,
        Silu,
    }

    struct Map<'a>(Function, &'a mut [f32]);

    impl Op for Map<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector>(self) {
            for chunk in self.1.chunks_mut(V::LANES) {
                // SAFETY: the chunk's elements.
                unsafe {
                    let x = V::load_first(chunk.as_ptr(), chunk.len());
                    let y = match self.0 {
                        Function::Exp => exp(x),
                        Function::Weight => weight(x),
                        Function::Silu => silu(x),
                    };
                    y.store_first(chunk.as_mut_ptr(), chunk.len());
                }
            }
        }
    }

    /// The distance in units of the last place of the true value.
    fn ulps(got: f32, true_value: f64) -> f64 {
        let exponent = libm::ilogb(true_value).max(-126);
        (f64::from(got) - true_value).abs() / libm::ldexp(1.0, exponent - 23)
    }

    #[test]
    fn exp_and_silu_are_accurate() {
        let x: alloc::vec::Vec<f32> = (0..200_003).map(|i| -103.0 + 191.5 / 200_003.0 * i as f32).collect();
        for level in Level::available() {
            let mut y = x.clone();
            level.run(Map(Function::Exp, &mut y));
            let worst = x.iter().zip(&y).map(|(&x, &y)| ulps(y, libm::exp(x.into()))).fold(0.0, f64::max);
            assert!(worst < 1.5, "{level:?}: exp errs by {worst} ulp");
            let mut y = x.clone();
            level.run(Map(Function::Weight, &mut y));
            let pairs = || x.iter().zip(&y).filter(|(x, _)| **x <= 88.0);
            let normal = pairs().filter(|(x, _)| **x > -87.3);
            let worst = normal.map(|(&x, &y)| ulps(y, libm::exp(x.into()))).fold(0.0, f64::max);
            assert!(worst < 1.5, "{level:?}: a weight errs by {worst} ulp");
            assert!(pairs().all(|(x, y)| *x > -87.3 || (0.0..=1.3e-38).contains(y)), "{level:?}");
            let mut y = x.clone();
            level.run(Map(Function::Silu, &mut y));
            let silu = |x: f64| x / (1.0 + libm::exp(-x));
            // Where eˣ is subnormal, x carries its error on.
            let normal = x.iter().zip(&y).filter(|(x, _)| **x > -87.0);
            let worst = normal.map(|(&x, &y)| ulps(y, silu(x.into()))).fold(0.0, f64::max);
            assert!(worst < 4.0, "{level:?}: silu errs by {worst} ulp");
        }
    }

    #[test]
    fn exp_at_the_ends() {
        for level in Level::available() {
            let mut y = [f32::NEG_INFINITY, f32::MIN, -0.0, 0.0, f32::INFINITY, 100.0, f32::NAN, 88.7, -103.9];
            level.run(Map(Function::Exp, &mut y));
            assert_eq!(y[..6], [0.0, 0.0, 1.0, 1.0, f32::INFINITY, f32::INFINITY]);
            let mut weights = [f32::NEG_INFINITY, f32::MIN, -0.0, 0.0, -104.0, f32::NAN];
            level.run(Map(Function::Weight, &mut weights));
            assert_eq!(weights[..5], [0.0, 0.0, 1.0, 1.0, 0.0]);
            assert!(weights[5].is_nan());
            assert!(y[6].is_nan() && y[7].is_finite() && y[8] == f32::from_bits(1), "{level:?}: {y:?}");
        }
    }
}
