//! Every operation's gradients, first and second, against central differences.

use yuragi_tests::{
    cases::{self, Smooth},
    gradcheck::check_case,
};

#[test]
fn t23_every_operation_has_the_gradient_of_its_formula() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for case in cases::all().iter().filter(|c| c.smooth > Smooth::No && c.dtype == yuragi_graph::DType::F32) {
        checked += 1;
        if let Err(mismatch) = check_case(case) {
            wrong.push(format!("{case}: {mismatch}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 400, "only {checked} cases have gradients");
}
