//! The library for C, on this processor.

use std::time::Duration;

use super::figure::{Extent, Figure, Row};
use super::tools;
use crate::capi::{self, Size};
use crate::shell::{self, Outcome};

const LIMIT: Duration = Duration::from_secs(3600);

pub fn c(extent: Extent) -> Row {
    const NAME: &str = "C library";
    if let Err(missing) = tools::require(&["cc"], "gcc") {
        return Row::skipped(NAME, missing);
    }
    let mut row = Row::new(NAME);
    if extent.all || extent.named {
        let tests = tests();
        row.builds = Figure::of(tests.clone().map(|_| "shared and static".into()));
        row.tests = Figure::of(tests);
    } else {
        row.builds = Figure::skipped("`cargo xtask test` builds it");
        row.tests = Figure::skipped("`cargo xtask test` runs them");
    }
    row.size = if extent.all { sizes() } else { Figure::skipped("whole programs are optimised for it: --all") };
    row
}

/// Its callers in C and C++, and its header.
fn tests() -> Outcome<String> {
    let mut command = shell::cargo_command();
    command.args(["test", "--release", "--workspace", "--test", "callers", "--test", "header"]);
    let output = tools::capture(&mut command, LIMIT)?;
    let passed = |line: &str| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok();
    let passed: usize = output.lines().filter_map(passed).sum();
    let checked = if tools::find("valgrind").is_some() { "under valgrind" } else { "without valgrind" };
    Ok(format!("{passed} of {passed}, {checked}"))
}

fn sizes() -> Figure {
    match [false, true].map(capi::size) {
        [Ok(without), Ok(with)] => {
            let told = [&without, &with].map(|Size { name, bytes, .. }| format!("{bytes} {name}")).join("; ");
            let large = [&without, &with].iter().any(|size| size.bytes > size.goal);
            if large { Figure::bad(told) } else { Figure::good(told) }
        }
        [Err(error), _] | [_, Err(error)] => Figure::bad(error),
    }
}
