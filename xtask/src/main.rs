//! The workspace's own tasks: test, conformance, kernels, gpu, capi, platforms, ranks, tidy, no-std, web and bench.

mod capi;
mod gpu;
mod kernels;
mod platforms;
mod shell;
mod tidy;
mod web;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use platforms::tools;
use shell::{Outcome, cargo, python};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The workspace's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything needed to trust a checkout: all tests, doc tests and the conformance suite
    Test,
    /// Compare a backend with the reference on generated cases
    Conformance {
        /// The backend under test: cpu, reference, cuda, or emulated (the CUDA backend on the emulator)
        #[arg(long, default_value = "cpu")]
        backend: String,
        /// Only cases whose name contains this
        #[arg(long)]
        filter: Option<String>,
    },
    /// Compile and assemble kernels/*.cu into kernels/ptx, with a table of what each kernel occupies
    Kernels {
        /// Write nothing; say whether kernels/ptx is current, by its hashes and by rebuilding it
        #[arg(long)]
        check: bool,
        /// Go by the hashes alone, without NVRTC
        #[arg(long, requires = "check")]
        offline: bool,
    },
    /// Build one folder of programs that prove and time the CUDA backend on a machine with a GPU and nothing else
    Gpu,
    /// Build target/capi: the library for C, shared and static, with its header; say what it weighs
    Capi,
    /// Check the layering, the places of `unsafe`, file sizes and the README's code map
    Tidy,
    /// Build every `no_std` crate for targets that have no standard library
    NoStd,
    /// Run tests, conformance and the samplers' digests on every platform whose tools are here, and print one table
    Platforms {
        /// Only these platforms
        #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(platforms::names()))]
        only: Vec<String>,
        /// What takes long, too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare what several ranks make with what one process makes, where MPI is installed
    Ranks,
    /// Build the page in the browser and serve it on the loopback address
    Web {
        /// The port; 0 takes any that is free
        #[arg(long, default_value_t = 8000, conflicts_with_all = ["build_only", "test"])]
        port: u16,
        /// Build the page's folder, and serve nothing
        #[arg(long)]
        build_only: bool,
        /// Prove the page in Chromium, where that and chromedriver are installed
        #[arg(long, conflicts_with = "build_only")]
        test: bool,
        /// A folder for pictures of the page
        #[arg(long, value_name = "FOLDER", requires = "test")]
        screenshots: Option<PathBuf>,
    },
    /// Time the kernels or, with --python, whole training and sampling steps beside PyTorch
    Bench {
        /// Only kernels whose name contains this
        #[arg(long, conflicts_with = "python")]
        filter: Option<String>,
        /// A Python interpreter that has PyTorch and safetensors
        #[arg(long)]
        python: Option<PathBuf>,
        /// Passed on to benches/peers/compare.py (`-- --help` lists them)
        #[arg(last = true, requires = "python")]
        options: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if is_help(error.kind()) => error.exit(),
        Err(error) => {
            eprintln!("{} (see `cargo xtask --help`)", usage_error(&error.to_string()));
            return ExitCode::from(2);
        }
    };
    match run(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Outcome {
    match task {
        Task::Test => {
            kernels::check_hashes()?;
            cargo(["test", "--workspace", "--release"])?;
            conformance("cpu", None)
        }
        Task::Conformance { backend, filter } => conformance(&backend, filter.as_deref()),
        Task::Kernels { check: true, offline: true } => kernels::check_hashes(),
        Task::Kernels { check: true, .. } => kernels::check(),
        Task::Kernels { .. } => kernels::build(),
        Task::Gpu => gpu::build(),
        Task::Capi => capi::build(),
        Task::Tidy => tidy::check(),
        Task::NoStd => no_std(),
        Task::Platforms { only, all, json } => platforms::run(&only, all, json),
        Task::Ranks => ranks(),
        Task::Web { test: true, screenshots, .. } => {
            match web::test(screenshots.as_deref())? {
                Ok(figures) => println!("{figures}"),
                Err(missing) => println!("skipped: the page in a browser: {missing}"),
            }
            Ok(())
        }
        Task::Web { build_only: true, .. } => web::build().map(drop),
        Task::Web { port, .. } => web::serve(port),
        Task::Bench { python: Some(python), options, .. } => compare(&python, &options),
        Task::Bench { filter, .. } => {
            let bench = ["bench", "--package", "yuragi-benches"];
            cargo(bench.into_iter().chain(filter.iter().flat_map(|name| ["--", name])))
        }
    }
}

fn conformance(backend: &str, filter: Option<&str>) -> Outcome {
    cargo(shell::as_tested("conformance", "conformance").into_iter().chain(["--release"]))?;
    let program = shell::release_folder()?.join(format!("conformance{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new(program);
    command.args(["--backend", backend]).args(filter.into_iter().flat_map(|filter| ["--filter", filter]));
    shell::run("conformance", command.current_dir(shell::root()))
}

/// MPI's compiler says where its headers are, libclang reads them, and the launcher starts the ranks.
fn ranks() -> Outcome {
    let missing = [
        tools::require(&["mpicc"], "libopenmpi-dev").err(),
        tools::require(&["mpirun"], "openmpi-bin").err(),
        tools::require_library("libclang", "libclang-dev").err(),
    ];
    if let Some(missing) = missing.into_iter().flatten().next() {
        println!("SKIPPED: what several ranks make: {missing}");
        return Ok(());
    }
    cargo(["test", "--release", "--workspace", "--features", "yuragi/mpi", "--test", "ranks"])
}

/// A microcontroller without an operating system, and a browser.
const BARE_TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "wasm32-unknown-unknown"];

/// Nothing of it is run, so it is compiled without optimisation, by the procedural macros that a release has built.
fn no_std() -> Outcome {
    let workspace = tidy::Workspace::read()?;
    let packages: Vec<&str> = workspace.no_std().map(|member| member.package.as_str()).collect();
    for target in BARE_TARGETS {
        let mut cargo = shell::cargo_command();
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        cargo.args(["build", "--release", "--lib", "--no-default-features", "--target", target]);
        shell::run("cargo", cargo.args(packages.iter().flat_map(|&package| ["--package", package])))?;
    }
    Ok(())
}

/// Builds our side and lets the script run both.
fn compare(interpreter: &Path, options: &[String]) -> Outcome {
    for module in ["torch", "safetensors"] {
        shell::require_python_module(interpreter, module)?;
    }
    cargo(["build", "--release", "--package", "yuragi-benches", "--bin", "networks"])?;
    let networks = shell::release_folder()?.join(format!("networks{}", env::consts::EXE_SUFFIX));
    let script = shell::root().join("benches/peers/compare.py");
    let own = [script.into_os_string(), "--ours".into(), networks.into_os_string()];
    python(interpreter, own.into_iter().chain(options.iter().map(OsString::from)))
}

fn is_help(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

/// The complaint itself, on one line, without the usage that follows it.
fn usage_error(message: &str) -> String {
    let ends = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
    let complaint = message.lines().map(str::trim).take_while(|line| !ends(line));
    complaint.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(arguments: &[&str]) -> String {
        let error = Arguments::try_parse_from(arguments).err().expect("arguments must be refused");
        usage_error(&error.to_string())
    }

    #[test]
    fn usage_errors_are_one_line_that_names_the_cause() {
        let unknown = complaint(&["xtask", "tst"]);
        assert!(unknown.contains("'tst'") && unknown.contains("'test'") && !unknown.contains('\n'), "{unknown}");
        let missing = complaint(&["xtask", "conformance", "--filter"]);
        assert!(missing.contains("--filter") && !missing.contains('\n'), "{missing}");
    }
}
