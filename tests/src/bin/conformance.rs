//! Runs the conformance suite on a backend and prints its table.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use yuragi_cpu::Cpu;
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let suite = Suite::new().seed(arguments.seed).filter(&arguments.filter);
    let report = match arguments.backend {
        Tested::Cpu => suite.run(&Cpu::new()),
        Tested::Reference => suite.run(&Reference::single()),
    };
    println!("{report}");
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
