//! What the launches of a program did, kernel by kernel: the file that `YURAGI_EMULATOR_REPORT` names.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    counters::{Bounds, Roofline, Tally},
    report::Report,
};

/// The kernels of a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The device's name.
    pub device: String,
    /// The kernels by name.
    pub kernels: BTreeMap<String, KernelProfile>,
}

/// The launches of one kernel, added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelProfile {
    /// How many there were.
    pub launches: u64,
    /// What bounds it, of the parts of [`Bounds`].
    pub bound_by: String,
    /// The least seconds that moving its global memory takes.
    pub memory_seconds: f64,
    /// The least seconds of its matrix instructions.
    pub matrix_seconds: f64,
    /// The least seconds of its passes over shared memory.
    pub shared_seconds: f64,
    /// About the seconds in which its instructions are issued.
    pub issue_seconds: f64,
    /// All instructions.
    pub total: LineProfile,
    /// Each instruction by its line in the PTX text.
    pub lines: BTreeMap<u32, LineProfile>,
}

/// What an instruction did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LineProfile {
    /// The opcode as written.
    pub instruction: String,
    /// The file and line that it was compiled from, if `.loc` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How often warps issued it.
    pub issued: u64,
    /// The lanes that executed it, of 32 at most, in the mean.
    pub lanes: f64,
    /// 32-byte sectors of global memory.
    pub sectors: u64,
    /// The fewest for as many bytes.
    pub least_sectors: u64,
    /// Passes over the banks of shared memory.
    pub passes: u64,
    /// The fewest for as many words.
    pub least_passes: u64,
}

impl LineProfile {
    fn add(&mut self, tally: &Tally) {
        let lanes = self.lanes * self.issued as f64 + tally.lanes as f64;
        self.issued += tally.issued;
        self.lanes = lanes / (self.issued.max(1)) as f64;
        self.sectors += tally.sectors;
        self.least_sectors += tally.least_sectors;
        self.passes += tally.passes;
        self.least_passes += tally.least_passes;
    }

    /// Cycles of a multiprocessor that are lost by lanes that do nothing, needless sectors and bank conflicts.
    fn waste(&self) -> f64 {
        // A branch that lanes do not take costs no more for it.
        let idle = match self.instruction.starts_with("bra") {
            true => 0.0,
            false => self.issued as f64 * (1.0 - self.lanes / 32.0) / 4.0,
        };
        let passes = self.passes.saturating_sub(self.least_passes);
        // A multiprocessor moves about a sector a cycle.
        idle + (self.sectors.saturating_sub(self.least_sectors) + passes) as f64
    }
}

impl Profile {
    /// Adds a launch.
    pub fn add(&mut self, kernel: &str, roofline: &Roofline, report: &Report) {
        let kernel = self.kernels.entry(kernel.into()).or_default();
        let Bounds { memory, matrix, shared, issue } = report.counters.bounds(roofline);
        kernel.launches += 1;
        kernel.memory_seconds += memory;
        kernel.matrix_seconds += matrix;
        kernel.shared_seconds += shared;
        kernel.issue_seconds += issue;
        kernel.bound_by = kernel.bounds().longest().0.into();
        for line in &report.lines {
            let sum = kernel.lines.entry(line.line).or_default();
            if sum.instruction.is_empty() {
                sum.instruction = line.instruction.to_string();
                sum.source = line.source.as_deref().map(str::to_owned);
            }
            sum.add(&line.tally);
            kernel.total.add(&line.tally);
        }
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// A file that cannot be read, or is none of these.
    pub fn read(path: &Path) -> Result<Profile, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{} is no report of the emulator: {error}", path.display()))
    }

    /// Writes such a file: beside its place first, so that it is whole or not there.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let said = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| said(&error))?;
        let beside = path.with_added_extension(format!("{}.part", std::process::id()));
        let written = std::fs::write(&beside, text + "\n").and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            said(&error)
        })
    }

    /// The report in words, with at most so many lines of each kernel: those that lose most.
    pub fn table(&self, most: usize) -> String {
        let mut kernels: Vec<_> = self.kernels.iter().collect();
        kernels.sort_by(|(_, a), (_, b)| b.bounds().longest().1.total_cmp(&a.bounds().longest().1));
        let mut text = format!("{}\n", self.device);
        for (name, kernel) in kernels {
            text += &format!("\n{name}: {}\n{kernel}", launches(kernel.launches));
            let mut lines: Vec<_> = kernel.lines.iter().filter(|(_, line)| line.waste() > 0.0).collect();
            lines.sort_by(|(_, a), (_, b)| b.waste().total_cmp(&a.waste()));
            let left = lines.len().saturating_sub(most);
            lines.truncate(most);
            if !lines.is_empty() {
                text += &format!(
                    "  {:>6} {:>12} {:>6} {:>21} {:>21}  instruction\n",
                    "line", "issued", "lanes", "sectors / fewest", "passes / fewest"
                );
            }
            let of = |count: u64, least: u64| if count == 0 { String::new() } else { format!("{count} / {least}") };
            for (number, line) in lines {
                text += &format!(
                    "  {number:>6} {:>12} {:>6.1} {:>21} {:>21}  {}{}\n",
                    line.issued,
                    line.lanes,
                    of(line.sectors, line.least_sectors),
                    of(line.passes, line.least_passes),
                    line.instruction,
                    line.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default()
                );
            }
            if left > 0 {
                text += &format!("  {left} more lines lose something\n");
            }
        }
        text
    }
}

fn launches(count: u64) -> String {
    if count == 1 { "1 launch".into() } else { format!("{count} launches") }
}

impl KernelProfile {
    /// The least seconds of each part of the device.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            memory: self.memory_seconds,
            matrix: self.matrix_seconds,
            shared: self.shared_seconds,
            issue: self.issue_seconds,
        }
    }
}

impl fmt::Display for KernelProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |seconds: f64| 1e6 * seconds;
        let (bound, longest) = self.bounds().longest();
        writeln!(
            f,
            "  at least {:.3} µs, bound by {bound}: global memory {:.3}, tensor cores {:.3}, shared memory {:.3}, issue {:.3} µs",
            micros(longest),
            micros(self.memory_seconds),
            micros(self.matrix_seconds),
            micros(self.shared_seconds),
            micros(self.issue_seconds)
        )?;
        let LineProfile { issued, lanes, sectors, least_sectors, passes, least_passes, .. } = &self.total;
        writeln!(
            f,
            "  {issued} instructions of {lanes:.1} lanes; {sectors} sectors, fewest {least_sectors}; {passes} passes over banks, fewest {least_passes}"
        )
    }
}
