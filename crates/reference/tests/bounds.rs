//! What the running error analysis says of single operations.

use yuragi_graph::{Builder, DType, Params, Tensor, View};
use yuragi_numeric::Real;
use yuragi_reference::{Bounded, Number, bounds};

const U: f64 = DType::F32.unit_roundoff();
const INF: f64 = f64::INFINITY;

fn exact(value: f64) -> Bounded {
    Bounded::exact(value)
}

fn about(value: f64, error: f64) -> Bounded {
    Bounded { value, error }
}

/// The bounds of a function of one input.
fn of(x: &[f32], f: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<Bounded> {
    let b = Builder::new();
    let y = f(b.input("x", &[x.len()], DType::F32));
    let graph = b.finish(&[("y", y)]).unwrap();
    bounds(&graph, &Params::new(), &[View::F32(x)]).unwrap().outputs.remove(0)
}

#[test]
fn arithmetic_that_needs_no_rounding_is_exact() {
    assert_eq!(exact(1.5) + exact(2.25), exact(3.75));
    assert_eq!(exact(1.5) * exact(-2.5), exact(-3.75));
    assert_eq!(of(&[1.0, 2.0, 3.0], |x| x.cast(DType::F16)), [1.0, 2.0, 3.0].map(exact));
    assert_eq!(of(&[-1.0, 0.0, 2.5], |x| x.relu() - x.abs()), [-1.0, 0.0, 0.0].map(exact));
}

#[test]
fn one_rounding_is_one_unit() {
    let third = exact(1.0) / exact(3.0);
    assert!(third.error >= U / 3.0 && third.error < 1.001 * U / 3.0, "{third:?}");
    let sum = exact(1.0) + exact(2.0_f64.powi(-30));
    assert!(sum.error >= U && sum.error < 1.001 * U, "{sum:?}");
}

#[test]
fn errors_propagate_to_first_order() {
    let (a, b) = (about(3.0, 1e-3), about(-2.0, 1e-4));
    let close = |have: Bounded, want: f64| assert!((have.error / want - 1.0).abs() < 1e-2, "{have:?}, expected {want}");
    close(a + b, 1.1e-3);
    close(a * b, 3.0 * 1e-4 + 2.0 * 1e-3);
    close(a / b, 1e-3 / 2.0 + 1.5 * 1e-4 / 2.0);
    close(a.exp(), 3.0_f64.exp() * 1e-3);
    close(a.sqrt(), 1e-3 / (2.0 * 3.0_f64.sqrt()));
    close(a.ln(), 1e-3 / 3.0);
}

#[test]
fn a_sum_is_bounded_by_its_absolute_values() {
    let n = 100;
    let x: Vec<f32> = (0..n).map(|i| if i % 2 == 0 { 1.1 } else { -1.1 }).collect();
    let sum = of(&x, |x| x.sum(&[0]))[0];
    let want = f64::from(n - 1) * U * 110.0;
    assert_eq!(sum.value, 0.0);
    assert!(sum.error >= want && sum.error < 1.01 * want, "{sum:?}, expected {want}");
}

#[test]
fn a_branch_in_doubt_allows_both_sides() {
    let (near, far) = (about(1.0, 1e-3), about(0.5, 1e-3));
    assert_eq!(near.floor(), about(1.0, 1.0));
    assert_eq!(far.floor(), exact(0.0));
    assert_eq!(about(0.0, 1e-9).sign(), about(0.0, 1.0));
    assert_eq!(about(-2.0, 1e-9).sign(), exact(-1.0));
    assert_eq!(near.less(about(1.0005, 0.0)), about(1.0, 1.0));
    assert_eq!(near.less(exact(1.1)), exact(1.0));
    assert_eq!(exact(2.0).equal(exact(2.0)), exact(1.0));
    assert_eq!(near.equal(exact(1.0)), about(1.0, 1.0));
    let (a, b) = (exact(5.0), about(7.0, 0.5));
    assert_eq!(Bounded::select(about(0.0, 0.1), a, b), about(7.0, 2.0));
    assert_eq!(Bounded::select(exact(0.0), a, b), b);
    assert_eq!(Bounded::select(about(1.0, 0.1), a, b), a);
}

#[test]
fn what_is_certainly_infinite_or_nan_is_certain() {
    let classes = of(&[f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e38], |x| x * x);
    assert_eq!(classes[..3], [exact(INF); 3]);
    assert!(classes[3].value.is_nan() && classes[3].error == 0.0);
    assert_eq!(classes[4], exact(INF));
    assert_eq!(exact(INF) * exact(-2.0), exact(-INF));
    let nan = exact(INF) - exact(INF);
    assert!(nan.value.is_nan() && nan.error == 0.0);
    assert_eq!(exact(1.0) / exact(0.0), exact(INF));
    assert_eq!(exact(100.0).exp(), exact(INF));
}

#[test]
fn what_may_overflow_or_meet_a_pole_is_unknown() {
    assert!((about(3.402e38, 1e35) * exact(1.0)).is_unknown());
    assert!((exact(INF) * about(0.0, 1e-9)).is_unknown());
    assert!((exact(1.0) / about(1e-9, 1e-8)).is_unknown());
    assert!(about(0.0, 1e-9).ln().is_unknown());
    assert!(about(1e-10, 1e-9).sqrt().is_unknown());
    assert!(about(0.0, 130.0).exp().is_unknown());
    assert!((about(1.0, 1e39) - exact(1.0)).is_unknown());
    assert!(about(65_519.0, 5.0).cast(DType::F16).is_unknown());
    assert_eq!(about(65_530.0, 5.0).cast(DType::F16), exact(INF));
    // 3e38 + 3e38 − 3e38: some orders overflow.
    assert!(of(&[3e38, 3e38, -3e38], |x| x.sum(&[0]))[0].is_unknown());
    assert_eq!(of(&[3e38, 3e38, 3e38], |x| x.sum(&[0])), [exact(INF)]);
}

#[test]
fn half_precision_adds_its_own_rounding_once() {
    let b = Builder::new();
    let x = b.input("x", &[1000], DType::F16);
    let graph = b.finish(&[("y", x.sum(&[0]))]).unwrap();
    let sum = bounds(&graph, &Params::new(), &[View::F32(&[0.1; 1000])]).unwrap().outputs[0][0];
    let want = sum.value * (DType::F16.unit_roundoff() + 999.0 * U);
    assert!(sum.error >= want && sum.error < 1.01 * want, "{sum:?}, expected {want}");
}
