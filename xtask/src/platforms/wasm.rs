//! WebAssembly with SIMD128, on the system interface of WASI.

use super::figure::{Extent, Row};
use super::suite::{self, LeftOut, Machine};
use super::tools;
use crate::shell;

const TARGET: &str = "wasm32-wasip1";

/// What one thread, in which a panic is the end, cannot test, without a folder for temporary files.
const LEFT_OUT: [LeftOut; 10] = [
    ("threads::tests", "starts threads"),
    ("training_gives_the_same_bits_on_any_number_of_threads", "starts threads"),
    ("on_ranks_", "starts threads"),
    ("any_number_of_ranks", "starts threads"),
    ("ranks_of_a_population", "starts threads"),
    ("slices_learn_what_the_whole_batch_does", "starts threads"),
    ("sums_over_parts_are_those_of_one_process", "starts threads"),
    ("what_cannot_be_shared_is_refused", "starts threads"),
    ("pictures_of_a_folder", "writes temporary files"),
    ("rows_of_arrays_and_texts", "writes temporary files"),
];

pub fn wasi(extent: Extent) -> Row {
    const NAME: &str = "wasm32, SIMD128";
    let missing = [tools::require_node().err(), tools::require_target(TARGET).err()];
    if let Some(missing) = missing.into_iter().flatten().next() {
        return Row::skipped(NAME, missing);
    }
    let wasi = shell::root().join("xtask/src/platforms/wasi.mjs");
    let machine = Machine {
        name: NAME,
        target: Some((TARGET, "-Ctarget-feature=+simd128")),
        features: "yuragi-cpu/std",
        variables: &[],
        runner: vec!["node".into(), "--no-warnings".into(), wasi.into()],
        tests: Ok(suite::covered(extent)),
        left_out: [&LEFT_OUT[..], &suite::TIMED].concat(),
        conformance: Ok(()),
    };
    machine.row()
}
