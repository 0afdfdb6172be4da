//! Runs the conformance suite on a backend and prints its table.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use yuragi_cpu::Cpu;
#[cfg(feature = "cuda")]
use yuragi_cuda::Cuda;
use yuragi_reference::Reference;
use yuragi_tests::suite::Suite;

/// Proves a backend: every operation and element type against the f64 truth and its derived error bound.
#[derive(Parser)]
struct Arguments {
    /// The backend under test.
    #[arg(long, value_enum, default_value_t = Tested::Cpu)]
    backend: Tested,
    /// Only cases whose name (operation, element type, details) contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// What the inputs are drawn from.
    #[arg(long, default_value_t = 2)]
    seed: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tested {
    /// This machine's processor.
    Cpu,
    /// The reference, evaluated in single precision.
    Reference,
    /// The first GPU.
    #[cfg(feature = "cuda")]
    Cuda,
    /// The CUDA backend on the emulator.
    #[cfg(feature = "cuda")]
    Emulated,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let suite = Suite::new().seed(arguments.seed).filter(&arguments.filter);
    let report = match arguments.backend {
        Tested::Cpu => suite.run(&Cpu::new()),
        Tested::Reference => suite.run(&Reference::single()),
        #[cfg(feature = "cuda")]
        Tested::Cuda => match Cuda::new() {
            Ok(cuda) => suite.run(&cuda),
            Err(error) => return failed(&error),
        },
        #[cfg(feature = "cuda")]
        Tested::Emulated => return emulated(&arguments),
    };
    println!("{report}");
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "cuda")]
fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// This program again, with the emulator in the driver's place.
#[cfg(all(feature = "cuda", target_os = "linux"))]
fn emulated(arguments: &Arguments) -> ExitCode {
    let seed = arguments.seed.to_string();
    let again = ["--backend", "cuda", "--filter", &arguments.filter, "--seed", &seed];
    match yuragi_tests::emulated::again(again, true).and_then(|mut command| command.status()) {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

#[cfg(all(feature = "cuda", not(target_os = "linux")))]
fn emulated(_arguments: &Arguments) -> ExitCode {
    failed(&"the emulator takes the driver's place on Linux only")
}
