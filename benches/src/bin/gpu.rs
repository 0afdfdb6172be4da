#![forbid(unsafe_code)]
//! One visit to a GPU: proves the CUDA backend there, times it, and leaves a record. Needs a driver and nothing else.

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use yuragi_benches::gpu::{
    effort::Effort,
    parts::{alone, conformance::Slice, growth},
    record::{self, Outcome},
    visit::Visit,
};
use yuragi_cuda::Device;
use yuragi_io::png;

/// Parts that are timed.
const TIMED: [&str; 6] = ["samplers", "plans", "published", "shapes", "growth", "pytorch"];

/// Proves the CUDA backend on the GPU at hand, times it, and leaves a record.
///
/// Parts: conformance, samplers, the test programs in `programs` beside this one, plans (of the built-in model), published
/// (whole networks of Stable Diffusion), shapes (their operations), growth (with pictures, their sides, reads), pytorch (where a
/// Python has it), sanitizer (where compute-sanitizer is installed). Whatever uses the driver has a process of its own, and what
/// failed with others is asked again alone.
#[derive(Parser)]
struct Arguments {
    /// Where the record goes
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    parts: Vec<String>,
    /// The time of all parts together, in seconds [default: 290, with --bench 230]
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// Only what is timed
    #[arg(long, conflicts_with = "parts")]
    bench: bool,
    /// Small sizes, which the emulator computes in seconds
    #[arg(long)]
    small: bool,
    /// The Python that may have PyTorch
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// One part in this process, its table as JSON on standard output
    #[arg(long, hide = true)]
    part: Option<String>,
    /// Which cases of the conformance, as K/N
    #[arg(long, hide = true, default_value_t = Slice::ALL)]
    slice: Slice,
}

fn seconds(text: &str) -> Result<f64, String> {
    let legal = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    legal.ok_or_else(|| "it must be a number from 0 to 86400".into())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let usual = if arguments.bench { 230.0 } else { 290.0 };
    let limit = Duration::from_secs_f64(arguments.seconds.unwrap_or(usual));
    let outcome = match &arguments.part {
        Some(name) => alone(name, arguments.slice, Effort::new(arguments.small, limit)).map(|part| {
            println!("{}", part.to_json());
            part.passed
        }),
        None => visit(&arguments, limit),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every part, writes the record, and tells whether all passed.
fn visit(arguments: &Arguments, limit: Duration) -> Outcome<bool> {
    let Arguments { parts, bench, small, python, .. } = arguments;
    let parts = if *bench { TIMED.map(String::from).to_vec() } else { parts.clone() };
    let visit = Visit { parts, limit, small: *small, python: python.clone() };
    visit.names()?;
    // The context is gone before others make theirs.
    let device = Device::open(0)?.description()?;
    println!("{}, compute capability {}.{}", device.name, device.capability.0, device.capability.1);
    let parts = visit.run(|part| {
        let verdict = if part.passed { "" } else { "FAILED: " };
        println!("{}: {verdict}{} ({:.1} s)", part.name, part.summary, part.seconds);
    })?;
    let command: Vec<String> = env::args().collect();
    let file = record::write(&arguments.out, &record::today(), &device.name, &command.join(" "), &parts)?;
    println!("record: {}", arguments.out.join(&file).display());
    let growth = parts.iter().find(|part| part.name == "growth");
    if let Some(chart) = growth.map(growth::chart).transpose()?.flatten() {
        let path = arguments.out.join(file.replace(".md", "-growth.png"));
        png::save(&path, &chart, &[])?;
        println!("chart: {}", path.display());
    }
    Ok(parts.iter().all(|part| part.passed))
}
