//! The microcontroller's programs, on this computer: each ends with an error where its result is wrong.

use std::process::Command;

fn output(program: &str) -> String {
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn t17_a_glass_reaches_its_least_energy() {
    let text = output(env!("CARGO_BIN_EXE_glass"));
    assert!(text.contains("energy -90, the least is -90"), "{text}");
}

#[test]
fn t15_a_machine_has_the_means_of_all_its_states() {
    let text = output(env!("CARGO_BIN_EXE_gibbs"));
    assert!(text.contains("bars and stripes: 0.754 (0.764)"), "{text}");
}

#[test]
fn t30_points_are_denoised_in_memory_known_before() {
    let text = output(env!("CARGO_BIN_EXE_denoise"));
    assert!(text.contains("points are on the spiral; 0 allocations while it ran"), "{text}");
}
