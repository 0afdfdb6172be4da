//! A launch as work: its run, and what its findings mean.

use std::io::Write;
use std::sync::Arc;

use super::context::Context;
use super::error::{Code, Outcome};
use super::function::Function;
use super::machine::machine;
use super::region;
use super::report::{self, Check};
use crate::finding::{Finding, Kind};
use crate::{device::Launch, report::Report};

/// A launch with its parameters copied, so that it can be repeated.
pub struct KernelLaunch {
    pub function: Arc<Function>,
    pub launch: Launch,
    pub params: Vec<u8>,
    pub cooperative: bool,
    /// Whether it may begin while a launch before it ends.
    pub dependent: bool,
}

impl KernelLaunch {
    pub fn run(&self, context: &Context) -> Outcome {
        let kernel = &self.function.kernel;
        let machine = machine()?;
        let report = region::mirrored(&self.params, || match (self.cooperative, self.dependent) {
            (true, _) => machine.launch_cooperatively(kernel, &self.launch, &self.params),
            (false, true) => machine.launch_dependently(kernel, &self.launch, &self.params),
            (false, false) => machine.launch(kernel, &self.launch, &self.params),
        })?;
        let report = report.map_err(|error| {
            let code = if kernel.refusal().is_some() { Code::NOT_SUPPORTED } else { Code::INVALID_VALUE };
            code.because(format_args!("launch of {}: {error}", kernel.name()))
        })?;
        print(&report.printed);
        report::note(kernel.name(), &report);
        if report::settings().counters {
            self.say_counters(&report);
        }
        let outcome = judge(&report.findings, report::settings().check);
        if let Err(error) = &outcome {
            context.spoil(error);
        }
        outcome
    }

    fn say_counters(&self, report: &Report) {
        let Launch { grid: [gx, gy, gz], block: [bx, by, bz], .. } = self.launch;
        let name = self.function.kernel.name();
        let device = &report::settings().device;
        let (bound, seconds) = report.counters.bounds(&device.roofline).longest();
        report::say(&format!(
            "{name}, {gx}×{gy}×{gz} blocks of {bx}×{by}×{bz} threads\n{}\nat least           {:>14.3} µs on {}, bound by {bound}",
            report.counters,
            1e6 * seconds,
            device.name
        ));
    }
}

/// Writes what a kernel printed to the standard output.
fn print(text: &[u8]) {
    if !text.is_empty() {
        let mut out = std::io::stdout().lock();
        // A program whose output is closed wants none.
        let _ = out.write_all(text).and_then(|()| out.flush());
    }
}

/// What a launch with these findings returns; says them.
fn judge(findings: &[Finding], check: Check) -> Outcome {
    let counts = |finding: &&Finding| check != Check::Off || code(finding.kind).1;
    findings.iter().filter(counts).for_each(report::say_finding);
    match findings.iter().find(counts) {
        Some(first) if check != Check::Warn => {
            Err(code(first.kind).0.because(format_args!("{} in {} fails the launch", first.kind.name(), first.kernel)))
        }
        _ => Ok(()),
    }
}

/// The error that a finding gives, and whether a GPU itself would stop there.
fn code(kind: Kind) -> (Code, bool) {
    match kind {
        Kind::OutOfBounds | Kind::ReadOnly => (Code::ILLEGAL_ADDRESS, true),
        Kind::Misaligned => (Code::MISALIGNED_ADDRESS, true),
        Kind::Illegal => (Code::ILLEGAL_INSTRUCTION, true),
        Kind::Trap => (Code::LAUNCH_FAILED, true),
        Kind::Jump => (Code::INVALID_PC, true),
        Kind::StepLimit | Kind::Deadlock => (Code::LAUNCH_TIMEOUT, true),
        Kind::Assertion => (Code::ASSERT, true),
        Kind::DivergentBarrier | Kind::DivergentWarp => (Code::LAUNCH_FAILED, false),
        Kind::Uninitialized
        | Kind::Race
        | Kind::Cluster
        | Kind::NotWaited
        | Kind::Proxy
        | Kind::Dependency
        | Kind::Swizzle => (Code::LAUNCH_FAILED, false),
    }
}
