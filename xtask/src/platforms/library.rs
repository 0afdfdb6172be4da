//! The library for C, on this processor.

use std::time::Duration;

use super::figure::{Extent, Figure, Row};
use super::tools;
use crate::capi::{self, Size};
use crate::shell::{self, Outcome};

/// With what it builds.
const LIMIT: Duration = Duration::from_secs(3600);

pub fn c(extent: Extent) -> Row {
    const NAME: &str = "C library";
    if let Err(missing) = tools::require(&["cc"], "gcc") {
        return Row::skipped(NAME, missing);
    }
    let mut row = Row::new(NAME);
    let tests = tests(extent.all || extent.named);
    row.builds = Figure::of(tests.clone().map(|_| "shared and static".into()));
    row.tests = Figure::of(tests);
    row.size = if extent.all { sizes() } else { Figure::skipped("whole programs are optimised for it: --all") };
    row
}

/// Its header and its callers in C and C++; with the hostile one, most of whose time is valgrind's, only if `all` are wanted.
fn tests(all: bool) -> Outcome<String> {
    let mut command = shell::cargo_command();
    command.args(["test", "--release", "--workspace", "--test", "callers", "--test", "header"]);
    if !all {
        command.args(["--", "--skip", "hostile"]);
    }
    let output = tools::capture(&mut command, LIMIT)?;
    let passed = |line: &str| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok();
    let passed: usize = output.lines().filter_map(passed).sum();
    let checked = match tools::find("valgrind") {
        _ if !all => "without the hostile caller",
        Some(_) => "under valgrind",
        None => "without valgrind",
    };
    Ok(format!("{passed} of {passed}, {checked}"))
}

fn sizes() -> Figure {
    match [false, true].map(capi::size) {
        [Ok(without), Ok(with)] => {
            let told = |Size { name, bytes, goal }: &Size| {
                let missed = if bytes > goal { format!(" (the goal is {goal})") } else { String::new() };
                format!("{bytes} {name}{missed}")
            };
            Figure::good([&without, &with].map(told).join("; "))
        }
        [Err(error), _] | [_, Err(error)] => Figure::bad(error),
    }
}
