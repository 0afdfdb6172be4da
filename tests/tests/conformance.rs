//! The reference, evaluated in single precision, is itself a correct backend.

use yuragi_cpu::Cpu;
use yuragi_reference::Reference;
use yuragi_tests::suite::Suite;

#[test]
fn the_reference_in_single_precision_stays_within_every_bound() {
    let report = Suite::new().run(&Reference::single());
    assert!(report.passed(), "{report}");
}

#[test]
fn the_cpu_stays_within_every_bound() {
    let report = Suite::new().run(&Cpu::new());
    assert!(report.passed(), "{report}");
}
