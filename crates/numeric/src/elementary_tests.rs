use super::*;
use crate::fnv::Fnv1a;

/// Every `stride`-th bit pattern, NaN left out.
fn floats(stride: usize) -> impl Iterator<Item = f32> {
    (0..=u32::MAX).step_by(stride).map(f32::from_bits).filter(|x| !x.is_nan())
}

/// The error of `y` in units of the last place of `exact`.
fn ulps(y: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if y == rounded {
        return 0.0;
    }
    let exponent = libm::ilogb(exact).max(-126);
    (f64::from(y) - exact).abs() / libm::exp2(f64::from(exponent - 23))
}

/// Sweeps `f` against `exact` over the floats in `range`, to `bound` ulp.
fn check(f: fn(f32) -> f32, exact: fn(f64) -> f64, limit: f32, bound: f64) {
    let mut worst = (0.0, 0.0);
    for x in floats(STRIDE).filter(|x| x.abs() <= limit) {
        let (y, exact) = (f(x), exact(f64::from(x)));
        assert_eq!(y.is_nan(), exact.is_nan(), "f({x:e}) = {y:e}, exactly {exact:e}");
        if !y.is_nan() {
            let error = ulps(y, exact);
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    assert!(worst.0 <= bound, "{} ulp at {:e}", worst.0, worst.1);
}

const STRIDE: usize = 997;

#[test]
fn exp_is_within_its_bound() {
    check(exp, libm::exp, f32::INFINITY, 1.0);
}

#[test]
fn ln_is_within_its_bound() {
    check(ln, libm::log, f32::INFINITY, 1.0);
}

#[test]
fn sin_is_within_its_bound() {
    check(sin, libm::sin, 268_435_456.0, 2.0);
}

#[test]
fn cos_is_within_its_bound() {
    check(cos, libm::cos, 268_435_456.0, 2.0);
}

#[test]
fn tanh_is_within_its_bound() {
    check(tanh, libm::tanh, f32::INFINITY, 3.0);
}

#[test]
fn sigmoid_is_within_its_bound() {
    check(sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), f32::INFINITY, 3.0);
}

#[test]
fn erf_is_within_its_bound() {
    check(erf, libm::erf, f32::INFINITY, 1.5);
}

/// The sweeps thin out at order one, where networks live.
#[test]
fn every_bound_holds_densely_on_the_working_range() {
    type Case = (fn(f32) -> f32, fn(f64) -> f64, f64);
    let cases: [Case; 7] = [
        (exp, libm::exp, 1.0),
        (|x| ln(x.abs()), |x| libm::log(x.abs()), 1.0),
        (sin, libm::sin, 2.0),
        (cos, libm::cos, 2.0),
        (tanh, libm::tanh, 3.0),
        (sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), 3.0),
        (erf, libm::erf, 1.5),
    ];
    for (case, (f, exact, bound)) in cases.into_iter().enumerate() {
        for i in -500_000..500_000 {
            let x = i as f32 * 4e-5 + 1e-6;
            let error = ulps(f(x), exact(f64::from(x)));
            assert!(error <= bound, "case {case}: {error} ulp at {x}");
        }
    }
}

#[test]
fn beyond_its_range_sine_degrades_slowly_and_stays_bounded() {
    for x in floats(STRIDE).filter(|x| x.is_finite() && x.abs() > 268_435_456.0) {
        let (s, c) = (sin(x), cos(x));
        assert!(s.abs() <= 1.0 && c.abs() <= 1.0);
        let bound = f64::from(x.abs()) / 4_503_599_627_370_496.0 + 1e-7;
        if bound < 0.5 {
            assert!((f64::from(s) - libm::sin(f64::from(x))).abs() <= bound, "sin({x:e})");
            assert!((f64::from(c) - libm::cos(f64::from(x))).abs() <= bound, "cos({x:e})");
        }
    }
}

#[test]
fn special_values() {
    const INF: f32 = f32::INFINITY;
    for f in [exp, ln, sin, cos, tanh, sigmoid, erf] {
        assert!(f(f32::NAN).is_nan());
    }
    for f in [sin, cos] {
        assert!(f(INF).is_nan() && f(-INF).is_nan());
    }
    assert_eq!([exp(INF), exp(-INF), exp(88.73), exp(-104.0)], [INF, 0.0, INF, 0.0]);
    assert_eq!(exp(-103.0), f32::from_bits(1));
    assert_eq!([ln(INF), ln(0.0), ln(-0.0)], [INF, -INF, -INF]);
    assert!(ln(-1.0).is_nan() && ln(-INF).is_nan() && ln(-f32::from_bits(1)).is_nan());
    assert_eq!([tanh(INF), tanh(-INF), erf(INF), erf(-INF)], [1.0, -1.0, 1.0, -1.0]);
    assert_eq!([sigmoid(INF), sigmoid(-INF)], [1.0, 0.0]);
    for f in [sin, tanh, erf] {
        assert_eq!(f(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f(0.0).to_bits(), 0);
    }
}

/// The same bits on every platform: one hash of all results a function.
#[test]
fn bits_are_stable() {
    let hash = |f: fn(f32) -> f32| {
        let mut hash = Fnv1a::default();
        floats(40_009).map(f).filter(|y| !y.is_nan()).for_each(|y| hash.word(y.to_bits().into()));
        hash.value()
    };
    let hashes = [exp, ln, sin, cos, tanh, sigmoid, erf].map(hash);
    let expected = [
        0xef1b_0414_e6ae_df7f,
        0x2004_ec6e_f4f0_fc9a,
        0xb1d9_d840_c9db_bfa8,
        0xcae6_9ced_1ff5_a923,
        0x6cff_8cba_605d_2005,
        0x3d98_bb8d_857b_5556,
        0x180a_feea_2358_7a16,
    ];
    assert_eq!(hashes, expected, "{hashes:#018x?}");
}
