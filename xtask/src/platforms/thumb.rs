//! A microcontroller: a Cortex-M4 without an operating system, emulated.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::elf;
use super::figure::{Extent, Figure, Row};
use super::{bits, tools};
use crate::shell::{self, Outcome};

const TARGET: &str = "thumbv7em-none-eabihf";
/// The programs, and the most bytes of flash that each may take.
const PROGRAMS: [(&str, usize); 3] = [("glass", 100_000), ("gibbs", 100_000), ("denoise", 512_000)];
const LIMIT: Duration = Duration::from_secs(300);

pub fn cortex_m4(_: Extent) -> Row {
    const PLATFORM: &str = "thumbv7em, Cortex-M4";
    if let Err(missing) = tools::require_target(TARGET) {
        return Row::skipped(PLATFORM, missing);
    }
    let mut row = Row::new(PLATFORM);
    let build = ["build", "--profile", "firmware", "--package", "yuragi-firmware", "--bins", "--target", TARGET];
    let built = shell::cargo(build);
    row.builds = Figure::of(built.clone().map(|()| "without std".into()));
    if built.is_err() {
        return row;
    }
    match tools::require(&["qemu-system-arm"], "qemu-system-arm") {
        Ok(_) => {
            row.bits = bits::compare(run("digests"));
            let (tests, size) = programs();
            (row.tests, row.size) = (tests, size);
        }
        Err(missing) => {
            row.bits = Figure::skipped(missing.clone());
            row.tests = Figure::skipped(missing);
        }
    }
    row
}

/// Each program checks its own result; their sizes, and what they said of their stacks.
fn programs() -> (Figure, Figure) {
    let (mut failed, mut sizes, mut large) = (Vec::new(), Vec::new(), false);
    for (name, most) in PROGRAMS {
        let output = run(name).unwrap_or_else(|error| {
            failed.push(format!("{name}: {error}"));
            String::new()
        });
        match sizes_of(name) {
            Ok(elf::Sizes { flash, ram }) => {
                let stack = output.lines().find_map(|line| line.strip_prefix("stack: ")?.strip_suffix(" bytes"));
                let stack = stack.map_or(String::new(), |bytes| format!(" + {bytes} stack"));
                sizes.push(format!("{name} {flash} flash, {ram} RAM{stack}"));
                large |= flash > most;
            }
            Err(error) => failed.push(error),
        }
    }
    let passed = format!("{} of {} programs", PROGRAMS.len() - failed.len().min(PROGRAMS.len()), PROGRAMS.len());
    let tests =
        if failed.is_empty() { Figure::good(passed) } else { Figure::bad(format!("{passed}; {}", failed.join("; "))) };
    let sizes = sizes.join("; ");
    (tests, if large { Figure::bad(sizes) } else { Figure::good(sizes) })
}

fn program(name: &str) -> Outcome<std::path::PathBuf> {
    Ok(tools::built(Some(TARGET), "firmware")?.join(name))
}

fn run(name: &str) -> Outcome<String> {
    let mut command = Command::new("qemu-system-arm");
    let machine = ["-M", "mps2-an386", "-nographic", "-semihosting-config", "enable=on,target=native", "-kernel"];
    tools::capture(command.args(machine).arg(program(name)?), LIMIT)
}

fn sizes_of(name: &str) -> Outcome<elf::Sizes> {
    let path = program(name)?;
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    elf::sizes(&read(&path)?).ok_or_else(|| format!("{}: no program of 32 bits", path.display()))
}
