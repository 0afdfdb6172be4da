#![forbid(unsafe_code)]
//! One visit to a GPU: proves the CUDA backend there, times it, and leaves a record. Needs a driver and nothing else.

use std::{
    env,
    error::Error,
    fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use serde_json::Value;
use yuragi_benches::{
    Session, Work,
    gpu::{
        record::{self, Part},
        shapes::Shape,
    },
};
use yuragi_cpu::Cpu;
use yuragi_cuda::{Cuda, Device, replicas::CudaReplicas};
use yuragi_energy::{
    Bonds, Problem,
    dynamics::{Dynamics, Metropolis},
    replicas::{Betas, Reads, Replicas, batch},
};
use yuragi_graph::{DType, Precision};
use yuragi_numeric::fill;
use yuragi_tests::suite::Suite;

/// Proves the CUDA backend on the GPU at hand, times it, and leaves a record.
#[derive(Parser)]
struct Arguments {
    /// Where the record goes
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Only these parts: conformance, samplers, plans, shapes, or the name of a program in `emulator/` beside this one
    #[arg(long, value_delimiter = ',')]
    parts: Vec<String>,
    /// The emulator's own tests on this driver, too (the programs in `emulator/` beside this one)
    #[arg(long)]
    emulator: bool,
    /// One part in this process, its table as JSON on standard output
    #[arg(long, hide = true)]
    part: Option<String>,
}

/// Parts of a visit, each in a process of its own: a kernel that fails spoils its process.
const PARTS: [&str; 4] = ["conformance", "samplers", "plans", "shapes"];

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.part {
        Some(name) => alone(name).map(|part| {
            println!("{}", part.to_json());
            part.passed
        }),
        None => visit(&arguments),
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
fn visit(arguments: &Arguments) -> Outcome<bool> {
    let device = Device::open(0)?.description()?;
    println!("{}, compute capability {}.{}", device.name, device.capability.0, device.capability.1);
    let mut names: Vec<String> = PARTS.map(String::from).into();
    if arguments.emulator {
        names.extend(programs()?);
    }
    if !arguments.parts.is_empty() {
        names.retain(|name| arguments.parts.contains(name));
    }
    let mut parts = Vec::new();
    for name in &names {
        let part = if PARTS.contains(&name.as_str()) { in_process(name)? } else { program(name)? };
        println!("{name}: {} ({:.1} s)", part.summary, part.seconds);
        parts.push(part);
    }
    let command: Vec<String> = env::args().collect();
    let file = record::write(&arguments.out, &today(), &device.name, &command.join(" "), &parts)?;
    println!("record: {}", arguments.out.join(file).display());
    Ok(parts.iter().all(|part| part.passed))
}

/// This program again for one part.
fn in_process(name: &str) -> Outcome<Part> {
    let output = Command::new(env::current_exe()?).args(["--part", name]).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let part = text.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let failed = || Part {
        name: name.into(),
        passed: false,
        seconds: 0.0,
        summary: format!("ended with {}", output.status),
        columns: Vec::new(),
        rows: Vec::new(),
    };
    Ok(part.as_ref().and_then(Part::from_json).unwrap_or_else(failed))
}

/// The folder of the emulator's test programs.
fn emulator_folder() -> Outcome<PathBuf> {
    Ok(env::current_exe()?.with_file_name("emulator"))
}

/// The emulator's test programs.
fn programs() -> Outcome<Vec<String>> {
    let folder = emulator_folder()?;
    let entries = fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// A test program of the emulator, on this driver.
fn program(name: &str) -> Outcome<Part> {
    let start = Instant::now();
    let output = Command::new(emulator_folder()?.join(name)).env("YURAGI_TEST_ON_GPU", "1").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().rev().find(|line| line.starts_with("test result")).unwrap_or("no test ran");
    let failed = text.lines().filter(|line| line.starts_with("test ") && line.ends_with("FAILED"));
    Ok(Part {
        name: name.into(),
        passed: output.status.success(),
        seconds: start.elapsed().as_secs_f64(),
        summary: result.trim_start_matches("test result: ").to_owned(),
        columns: vec!["test".into()],
        rows: failed.map(|line| vec![line.trim_start_matches("test ").to_owned()]).collect(),
    })
}

fn alone(name: &str) -> Outcome<Part> {
    let start = Instant::now();
    let part = match name {
        "conformance" => conformance(),
        "samplers" => samplers(),
        "plans" => plans(),
        "shapes" => shapes(),
        _ => Err(format!("there is no part {name}").into()),
    }?;
    Ok(Part { name: name.into(), seconds: start.elapsed().as_secs_f64(), ..part })
}

fn part(passed: bool, summary: String, columns: &[&str], rows: Vec<Vec<String>>) -> Part {
    let columns = columns.iter().map(|&c| c.into()).collect();
    Part { name: String::new(), passed, seconds: 0.0, summary, columns, rows }
}

/// Every operation and element type against its derived bound.
fn conformance() -> Outcome<Part> {
    let report = Suite::new().run(&Cuda::new()?);
    let mut rows = Vec::new();
    for ((op, dtype), row) in &report.rows {
        let verdict = row.failures.first().cloned().unwrap_or_else(|| if row.passed() { "" } else { "FAILED" }.into());
        let cells = [(*op).to_owned(), dtype.to_string(), row.cases.to_string(), format!("{:.3}", row.worst), verdict];
        rows.push(cells.into());
    }
    let failed = report.rows.values().filter(|row| !row.passed()).count();
    let summary =
        format!("{} rows, {failed} failed, worst error {:.3} of its bound", report.rows.len(), report.worst());
    Ok(part(report.passed(), summary, &["operation", "type", "cases", "error/bound", ""], rows))
}

/// Spins visited in a nanosecond, and whether the reads are those of the processor, bit for bit.
fn samplers() -> Outcome<Part> {
    let cuda = Cuda::new()?;
    let mut noise = vec![0.0_f32; 2 * 1024 * 1024];
    fill::normal([1, 2], 0, 0, &mut noise);
    let signs: Vec<f64> = noise.iter().map(|&z| if z < 0.0 { -1.0 } else { 1.0 }).collect();
    let glass = |n: usize| -> Vec<f64> {
        let weight = |k: usize, l: usize| f64::from(noise[k.min(l) * n + k.max(l)]) / (n as f64).sqrt();
        (0..n * n).map(|at| if at / n == at % n { 0.0 } else { weight(at / n, at % n) }).collect()
    };
    let lattice = |side: usize| Problem::lattice(&[side, side], Bonds::Each(&signs[..2 * side * side]), &[]);
    let problems = [
        ("±J lattice 64×64", lattice(64)?, 1024, 500),
        ("±J lattice 1024×1024", lattice(1024)?, 64, 200),
        ("dense glass of 1000", Problem::dense(1000, &glass(1000), &[])?, 512, 100),
    ];
    let chain = Metropolis.two_state().ok_or("Metropolis visits spins in order")?;
    let (mut rows, mut equal) = (Vec::new(), true);
    for (name, problem, count, sweeps) in &problems {
        let reads = |count| Reads { first: 0, count };
        let few = 4.min(*count);
        let mut there = CudaReplicas::on(cuda.device(), problem, chain, reads(*count), 7)?;
        let mut here = batch(problem, Metropolis, reads(few), 7)?;
        for sweep in 0..3 {
            there.sweep(sweep, Betas::Same(0.7))?;
            here.sweep(sweep, Betas::Same(0.7))?;
        }
        let (mut a, mut b) = (vec![0; problem.len()], vec![0; problem.len()]);
        let mut same = true;
        for slot in 0..few as usize {
            there.values(slot, &mut a)?;
            here.values(slot, &mut b)?;
            same &= a == b;
        }
        equal &= same;
        let start = Instant::now();
        (0..*sweeps).try_for_each(|sweep| there.sweep(3 + sweep, Betas::Same(0.7)))?;
        there.values(0, &mut a)?;
        let seconds = start.elapsed().as_secs_f64();
        let visits = problem.len() as f64 * f64::from(*count) * f64::from(*sweeps);
        let verdict = if same { "equal" } else { "DIFFER" };
        rows.push(vec![(*name).into(), count.to_string(), format!("{:.1}", visits / seconds * 1e-9), verdict.into()]);
    }
    let summary = format!("{} problems", rows.len());
    Ok(part(equal, summary, &["problem", "reads", "spins/ns", "bits beside the processor's"], rows))
}

/// Whole plans of the built-in model beside the processor.
fn plans() -> Outcome<Part> {
    let (cuda, cpu) = (Cuda::new()?, Cpu::new());
    let mut rows = Vec::new();
    for work in Work::ALL {
        let mut session = Session::new(work.graph()?, &cpu)?;
        let inputs = session.inputs();
        session.run(&inputs)?;
        let start = Instant::now();
        session.run(&inputs)?;
        let processor = start.elapsed().as_secs_f64();
        for precision in [Precision::F32, Precision::Tf32, Precision::BF16] {
            let graph = work.graph()?.in_precision(precision);
            let mut session = Session::new(graph, &cuda.clone().tf32(precision == Precision::Tf32))?;
            let inputs = session.inputs();
            let views: Vec<_> = inputs.iter().map(yuragi_benches::Values::view).collect();
            let (plan, state, store) = session.parts();
            let seconds = plan.seconds(state, store, &views, 20)?;
            let launches = yuragi_graph::Plan::launches(plan);
            let figures = [processor * 1e3, seconds * 1e3].map(|ms| format!("{ms:.3}"));
            let [processor_ms, gpu_ms] = figures;
            let ratio = format!("{:.1}", processor / seconds);
            rows.push(vec![
                work.name().into(),
                precision.to_string(),
                launches.to_string(),
                processor_ms,
                gpu_ms,
                ratio,
            ]);
        }
    }
    let summary = format!("{} plans; the processor has {} threads", rows.len(), cpu.threads());
    Ok(part(true, summary, &["plan", "precision", "launches", "processor ms", "GPU ms", "ratio"], rows))
}

/// The operations of Stable Diffusion's networks one by one.
fn shapes() -> Outcome<Part> {
    let cuda = Cuda::new()?;
    let mut rows = Vec::new();
    for shape in Shape::all() {
        let Some(graph) = shape.graph(DType::F16)? else { continue };
        let (operations, bytes) = shape.cost(&graph);
        let mut session = Session::new(graph, &cuda)?;
        let (plan, state, store) = session.parts();
        let seconds = plan.seconds(state, store, &[], 50)?;
        rows.push(vec![
            shape.model.into(),
            shape.kind.into(),
            shape.text.into(),
            format!("{:.1}", seconds * 1e6),
            format!("{:.1}", operations / seconds * 1e-12),
            format!("{:.2}", bytes / seconds * 1e-12),
            format!("{:.2}", shape.library * 1e-6 / seconds),
        ]);
    }
    let columns = ["network", "operation", "extents", "µs", "TFLOP/s", "TB/s", "library's time / ours (H100)"];
    Ok(part(true, format!("{} shapes in f16", rows.len()), &columns, rows))
}

/// The date, as 2026-01-31.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    // Days since 0000-03-01 of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
