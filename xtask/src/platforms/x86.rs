//! x86-64 at three levels: as it is, and as emulated processors that have less.

use std::process::Command;
use std::time::Duration;

use super::figure::{Extent, Figure, Row};
use super::{bits, tools};
use crate::shell::{self, Outcome};

const DIGESTS: [&str; 7] = ["build", "--release", "--package", "yuragi-firmware", "--features", "std", "--bin=digests"];

/// The processor that this runs on.
pub fn native(_: Extent) -> Row {
    let mut row = Row::new("x86-64, this processor");
    let built = shell::cargo(DIGESTS);
    row.builds = Figure::of(built.clone().map(|()| "yes".into()));
    if built.is_ok() {
        row.bits = bits::compare(digests(None));
    }
    row
}

/// AVX2 and no AVX-512.
pub fn haswell(extent: Extent) -> Row {
    emulated("x86-64, AVX2", "Haswell", extent)
}

/// Neither: the portable form of the kernels.
pub fn nehalem(extent: Extent) -> Row {
    emulated("x86-64, SSE4.2", "Nehalem", extent)
}

fn emulated(platform: &'static str, processor: &str, _: Extent) -> Row {
    if let Err(missing) = tools::require(&["qemu-x86_64"], "qemu-user") {
        return Row::skipped(platform, missing);
    }
    let mut row = Row::new(platform);
    let built = shell::cargo(DIGESTS);
    row.builds = Figure::of(built.clone().map(|()| "the same program".into()));
    if built.is_ok() {
        row.bits = bits::compare(digests(Some(processor)));
    }
    row
}

fn digests(processor: Option<&str>) -> Outcome<String> {
    let program = shell::release_folder()?.join("digests");
    let mut command = match processor {
        None => Command::new(program),
        Some(processor) => {
            let mut command = Command::new("qemu-x86_64");
            command.args(["-cpu", processor]).arg(program);
            command
        }
    };
    tools::capture(&mut command, Duration::from_secs(300))
}
