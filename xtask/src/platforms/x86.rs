//! x86-64 at three levels: as it is, and as emulated processors that have less.

use super::figure::{Extent, Row};
use super::suite::{LeftOut, Machine, NEAREST};
use super::tools;

/// Minutes in an emulator, for sizes alone; conformance has smaller ones.
const LARGE: [LeftOut; 1] = [("kernels::gemm::tests", "large products; conformance has small ones")];

fn machine(name: &'static str) -> Machine {
    Machine {
        name,
        target: None,
        features: "yuragi-numeric/std,yuragi-distributions/std,yuragi-energy/std,yuragi-cpu/std",
        variables: &[],
        runner: Vec::new(),
        tests: Err("they take long: --all"),
        left_out: Vec::new(),
        conformance: Ok(()),
    }
}

/// These rows run the programs of this machine.
fn host() -> Result<(), String> {
    if cfg!(target_arch = "x86_64") { Ok(()) } else { Err(format!("this machine is {}", std::env::consts::ARCH)) }
}

/// The processor that this runs on; `cargo xtask test` runs all its tests.
pub fn native(extent: Extent) -> Row {
    if let Err(other) = host() {
        return Row::skipped("x86-64, this processor", other);
    }
    let tests = if extent.all { Ok((&NEAREST[..], false)) } else { Err("`cargo xtask test` runs them") };
    Machine { tests, ..machine("x86-64, this processor") }.row()
}

/// AVX2 and no AVX-512.
pub fn haswell(extent: Extent) -> Row {
    // The emulator is ten times as slow here as with SSE.
    let conformance = if extent.all { Ok(()) } else { Err("it takes two minutes: --all") };
    emulated(Machine { conformance, ..machine("x86-64, AVX2") }, "Haswell", extent)
}

/// Neither: the portable form of the kernels.
pub fn nehalem(extent: Extent) -> Row {
    emulated(machine("x86-64, SSE4.2"), "Nehalem", extent)
}

fn emulated(machine: Machine, processor: &str, extent: Extent) -> Row {
    if let Err(missing) = host().and_then(|()| tools::require(&["qemu-x86_64"], "qemu-user")) {
        return Row::skipped(machine.name, missing);
    }
    let tests = if extent.all { Ok((&NEAREST[..], false)) } else { machine.tests };
    let runner = ["qemu-x86_64", "-cpu", processor].map(Into::into).to_vec();
    Machine { runner, tests, left_out: LARGE.to_vec(), ..machine }.row()
}
