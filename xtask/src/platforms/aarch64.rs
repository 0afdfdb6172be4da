//! 64-bit ARM under Linux, emulated.

use super::figure::{Extent, Row};
use super::suite::{self, LeftOut, Machine};
use super::tools;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";

/// What the emulator takes minutes for; nothing in it is the processor's that others do not see.
const LONG: [LeftOut; 1] = [("kernels::gemm::tests", "large products; conformance has small ones")];

pub fn linux(extent: Extent) -> Row {
    const NAME: &str = "aarch64, NEON";
    let missing = [
        tools::require(&["qemu-aarch64"], "qemu-user").err(),
        tools::require(&[LINKER], "gcc-aarch64-linux-gnu").err(),
        tools::require_target(TARGET).err(),
    ];
    if let Some(missing) = missing.into_iter().flatten().next() {
        return Row::skipped(NAME, missing);
    }
    let machine = Machine {
        name: NAME,
        target: Some((TARGET, "")),
        features: "yuragi-numeric/std,yuragi-distributions/std,yuragi-energy/std,yuragi-cpu/std",
        variables: &[("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)],
        runner: ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"].map(Into::into).to_vec(),
        tests: Ok(suite::covered(extent)),
        left_out: if extent.all { suite::TIMED.to_vec() } else { LONG.to_vec() },
        conformance: Ok(()),
    };
    machine.row()
}
