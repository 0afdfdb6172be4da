//! The workspace's tests, conformance suite and digests, built for a processor and run by whatever poses as it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::figure::{Extent, Figure, Row};
use super::{bits, tools};
use crate::shell::{self, Outcome};

/// The crates that compute; all others read files, draw, or drive GPUs.
pub const COMPUTING: [&str; 10] = [
    "yuragi-numeric",
    "yuragi-distributions",
    "yuragi-graph",
    "yuragi-nn",
    "yuragi-energy",
    "yuragi-diffusion",
    "yuragi-models",
    "yuragi-reference",
    "yuragi-cpu",
    "yuragi-tests",
];

/// The crates with code of their own for a processor.
pub const NEAREST: [&str; 2] = ["yuragi-numeric", "yuragi-cpu"];

/// Seconds of a processor that one program may take: several times what the longest takes.
const MOST: u32 = 1500;
/// The longest that one program may take by the clock, on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// A test by a part of its name, and why it is left out.
pub type LeftOut = (&'static str, &'static str);

/// What holds the program to a time, which an emulator cannot keep.
pub const TIMED: [LeftOut; 2] =
    [("huge_prompts_are_fast", "measures time"), ("long_texts_are_read_in_little_time", "measures time")];

/// How programs for a processor are built and run here.
pub struct Machine {
    /// In the table.
    pub name: &'static str,
    /// What cargo builds for, with the compiler's flags; nothing for this machine as it is.
    pub target: Option<(&'static str, &'static str)>,
    /// Of the crates under test, comma by comma: threads where the platform has them.
    pub features: &'static str,
    /// Further variables for cargo.
    pub variables: &'static [(&'static str, &'static str)],
    /// The command that runs the program that follows it; empty where none is needed.
    pub runner: Vec<OsString>,
    /// The crates whose tests run, and whether their integration tests, too; or why none do.
    pub tests: Result<(&'static [&'static str], bool), &'static str>,
    /// Tests that are not run.
    pub left_out: Vec<LeftOut>,
    /// Whether the conformance suite runs, or why not.
    pub conformance: Result<(), &'static str>,
}

impl Machine {
    /// Builds and runs everything.
    pub fn row(&self) -> Row {
        let mut row = Row::new(self.name);
        row.bits = self.digests();
        row.conformance = match self.conformance {
            Ok(()) => self.conformance(),
            Err(reason) => Figure::skipped(reason),
        };
        row.builds = Figure::good(match self.target {
            None => "yes".into(),
            Some((target, "")) => target.to_owned(),
            Some((target, flags)) => format!("{target}, {flags}"),
        });
        match self.tests {
            Err(reason) => row.tests = Figure::skipped(reason),
            Ok((packages, integration)) => match self.built_tests(packages, integration) {
                Ok(programs) => row.tests = self.passed(&programs),
                Err(error) => row.builds = Figure::bad(error),
            },
        }
        row
    }

    /// The programs that cargo built: tests, or others.
    fn built(&self, arguments: &[&str], tests: bool) -> Outcome<Vec<PathBuf>> {
        let mut command = shell::cargo_command();
        command.args(arguments).arg("--release").envs(self.variables.iter().copied());
        if let Some((target, flags)) = self.target {
            // In place of those of the environment.
            command.args(["--target", target]).env("CARGO_ENCODED_RUSTFLAGS", flags);
        }
        let line = command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        eprintln!("$ cargo {line}");
        command.args(["--message-format", "json-render-diagnostics"]).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start cargo: {error}"))?;
        let mut programs = Vec::new();
        for message in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let message = message.map_err(|error| format!("cargo: {error}"))?;
            let message: Value = serde_json::from_str(&message).unwrap_or_default();
            // With the tests of a package come its programs, which are none.
            if message["profile"]["test"].as_bool() == Some(tests) {
                programs.extend(message["executable"].as_str().map(PathBuf::from));
            }
        }
        let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
        if status.success() { Ok(programs) } else { Err(format!("`cargo {line}` failed ({status})")) }
    }

    fn built_tests(&self, packages: &[&str], integration: bool) -> Outcome<Vec<PathBuf>> {
        let mut arguments = vec!["test", "--no-run", "--no-default-features", "--lib"];
        arguments.extend(integration.then_some("--tests"));
        arguments.extend(packages.iter().flat_map(|&package| ["--package", package]));
        let of_these = |feature: &&str| packages.iter().any(|package| feature.starts_with(package));
        arguments.extend(self.features.split(',').filter(of_these).flat_map(|feature| ["--features", feature]));
        self.built(&arguments, true)
    }

    /// A program with arguments, under the runner, which is ended after so much time of a processor as it may take.
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let bounded = format!("ulimit -S -t {MOST} && exec \"$@\"");
        let shell = if cfg!(unix) { &["sh", "-c", &bounded, "sh"][..] } else { &[] };
        let words = shell.iter().map(OsString::from).chain(self.runner.iter().cloned());
        let mut words = words.chain([program.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(arguments).current_dir(shell::root());
        command
    }

    fn passed(&self, programs: &[PathBuf]) -> Figure {
        let (mut passed, mut total, mut left_out, mut failures) = (0, 0, 0, Vec::new());
        let arguments: Vec<&str> = self.left_out.iter().flat_map(|(name, _)| ["--skip", name]).collect();
        for (number, program) in programs.iter().enumerate() {
            let begun = Instant::now();
            let output = tools::output(&mut self.command(program, &arguments), LIMIT);
            let took = begun.elapsed().as_secs();
            eprintln!("{}: {} took {took} s; {} of {}", self.name, name(program), number + 1, programs.len());
            match output {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stdout);
                    let [good, bad, skipped] = counts(&text);
                    (passed, total, left_out) = (passed + good, total + good + bad, left_out + skipped);
                    if !output.status.success() || !text.contains("test result: ") {
                        failures.push(failure(program, &text, output.status));
                    }
                }
                Err(error) => failures.push(error),
            }
        }
        let beside = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
        let told = format!("{passed} of {total}{beside}");
        if failures.is_empty() { Figure::good(told) } else { Figure::bad(format!("{told}; {}", failures.join("; "))) }
    }

    /// The worst error as a fraction of its bound.
    fn conformance(&self) -> Figure {
        const NAME: &str = "conformance";
        let table = match self.target {
            None => self.program(&shell::as_tested(NAME, NAME), NAME),
            Some(_) => {
                self.program(&["build", "--no-default-features", "--package", "yuragi-tests", "--bin", NAME], NAME)
            }
        };
        Figure::of(table.and_then(|table| worst(&table)))
    }

    /// What every platform must draw alike.
    fn digests(&self) -> Figure {
        const NAME: &str = "digests";
        let package = ["build", "--package", "yuragi-firmware", "--bin", NAME];
        bits::compare(match (self.target, self.features.contains("energy/std")) {
            (None, _) => self.program(&shell::as_tested(NAME, NAME), NAME),
            (Some(_), false) => self.program(&package, NAME),
            (Some(_), true) => self.program(&[&package[..], &["--features", "std"]].concat(), NAME),
        })
    }

    /// What a program of the workspace prints.
    fn program(&self, build: &[&str], name: &str) -> Outcome<String> {
        let programs = self.built(build, false)?;
        let is = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == name);
        let program = programs.iter().find(is).ok_or_else(|| format!("cargo built no program {name}"))?;
        tools::capture(&mut self.command(program, &[]), LIMIT)
    }
}

/// A summary of a conformance run, from its last line.
fn worst(table: &str) -> Outcome<String> {
    let last = table.lines().last().unwrap_or_default();
    let rows = last.split_once(" cases in ").and_then(|(_, rest)| rest.split_once(" rows: "));
    let fraction = last.rsplit_once("worst error ").and_then(|(_, rest)| rest.strip_suffix(" of its bound"));
    match (rows, fraction) {
        (Some((rows, _)), Some(fraction)) => Ok(format!("{fraction} of {rows} rows")),
        _ => Err(format!("the conformance suite ended with: {last}")),
    }
}

/// What the lines `test result: ok. 3 passed; 0 failed; ..; 1 filtered out; ..` count: passed, failed, left out.
fn counts(text: &str) -> [usize; 3] {
    let number = |line: &str, what: &str| line.split_once(what)?.0.rsplit(' ').next()?.parse::<usize>().ok();
    let lines = || text.lines().filter(|line| line.starts_with("test result: "));
    [" passed", " failed", " filtered out"].map(|what| lines().filter_map(|line| number(line, what)).sum())
}

/// A program's name, without the hash that cargo adds.
fn name(program: &Path) -> String {
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-').map_or(&*stem, |(name, _)| name).to_owned()
}

/// The tests of a program that failed, or how it ended.
fn failure(program: &Path, text: &str, status: ExitStatus) -> String {
    let name = name(program);
    let tests: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED")).collect();
    match &tests[..] {
        [] if was_cut_off(status) => format!("{name} took more than {MOST} s of a processor"),
        [] => format!("{name} ended with {status}"),
        failed => format!("{name}: {}", failed.join(", ")),
    }
}

/// Whether a program had all of a processor's time that it may take.
#[cfg(unix)]
fn was_cut_off(status: ExitStatus) -> bool {
    // Of every system on which a shell knows that bound.
    const SIGXCPU: i32 = 24;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGXCPU)
}

#[cfg(not(unix))]
fn was_cut_off(_: ExitStatus) -> bool {
    false
}

/// All tests of what computes, or those nearest to the processor.
pub fn covered(extent: Extent) -> (&'static [&'static str], bool) {
    if extent.all { (&COMPUTING, true) } else { (&NEAREST, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_and_failures_named() {
        let text = "running 4 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\n\
            test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.1s\n";
        assert_eq!(counts(text), [2, 1, 5]);
        let told = failure(Path::new("/x/deps/yuragi_cpu-0123abc.wasm"), text, ExitStatus::default());
        assert_eq!(told, "yuragi_cpu: a::c");
        assert_eq!(counts("no test ran"), [0; 3]);
    }

    #[test]
    fn a_table_is_summed_up() {
        let table = "add f32 1\n4398 cases in 186 rows: 0 rows failed, worst error 0.932 of its bound";
        assert_eq!(worst(table), Ok("0.932 of 186 rows".into()));
        assert!(worst("Killed").is_err());
    }
}
