//! The suite finds every planted fault, and finds it where it was planted.

use yuragi_tests::{
    faulty::{self, Fault, Faulty},
    report::Report,
    suite::Suite,
};

fn report(fault: Fault, filter: &str) -> Report {
    Suite::new().filter(filter).run(&Faulty(fault))
}

/// The operations and element types whose row failed.
fn failed(report: &Report) -> Vec<String> {
    let failed = report.rows.iter().filter(|(_, row)| !row.passed());
    failed.map(|((op, dtype), _)| format!("{op} {dtype}")).collect()
}

#[test]
fn without_a_fault_nothing_is_found() {
    let report = Suite::new().run(&Faulty(|_, _| None));
    assert!(report.passed(), "{report}");
}

#[test]
fn a_dropped_product_is_found() {
    let report = report(faulty::drops_the_last_product, "matmul");
    assert_eq!(failed(&report), ["matmul f32", "matmul f16", "matmul bf16"], "{report}");
}

#[test]
fn sums_in_f16_are_found() {
    let report = report(faulty::accumulates_in_f16, "(33, 31, 257)");
    assert_eq!(failed(&report), ["matmul f32", "matmul f16", "matmul bf16"], "{report}");
    assert!(report.worst().is_finite(), "nothing overflows here: {report}");
}

#[test]
fn the_tanh_form_of_gelu_is_found() {
    let report = report(faulty::gelu_by_tanh, "gelu");
    assert_eq!(failed(&report), ["gelu f32", "gelu f16", "gelu bf16"], "{report}");
}

#[test]
fn an_overflowing_softmax_is_found() {
    let report = report(faulty::softmax_without_shift, "softmax");
    assert_eq!(failed(&report), ["softmax f32", "softmax f16", "softmax bf16"], "{report}");
}

#[test]
fn a_cancelling_variance_is_found() {
    let report = report(faulty::variance_by_squares, "layer_norm f32");
    assert_eq!(failed(&report), ["layer_norm f32"], "{report}");
}

#[test]
fn a_wrong_random_tail_is_found() {
    let report = report(faulty::random_tail_repeats, "uniform");
    assert_eq!(failed(&report), ["uniform f32"], "{report}");
}
