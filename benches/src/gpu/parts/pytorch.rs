//! PyTorch on the same GPU, where a Python has it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::gpu::{
    effort::Effort,
    process,
    record::{Outcome, Part},
};

/// The same plans and operations in PyTorch, beside what the parts before measured.
///
/// # Errors
/// None: what fails is said.
pub fn run(python: &Path, scripts: &Path, before: &[Part], effort: Effort) -> Outcome {
    let columns = ["what", "precision", "ours ms", "PyTorch ms", "its variant", "PyTorch / ours"];
    let nothing = |why: String| Ok(Part::new(true, format!("{why}: nothing was compared"), &columns, Vec::new()));
    let script: PathBuf = scripts.join("gpu_torch.py");
    if !script.is_file() {
        return nothing(format!("{} is missing", script.display()));
    }
    let mut command = Command::new(python);
    command.arg(&script).args(["--seconds", &format!("{:.0}", effort.left().as_secs_f64() - 5.0)]);
    if effort.small {
        command.arg("--small");
    }
    let ended = match process::run(&mut command, effort.left()) {
        Ok(ended) => ended,
        Err(error) => return nothing(format!("cannot start {}: {error}", python.display())),
    };
    let mut lines = ended.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let Some(head) = lines.next() else { return nothing(format!("{}: {}", python.display(), ended.how())) };
    if let Some(absent) = head["absent"].as_str() {
        return nothing(absent.to_owned());
    }
    let mut rows = Vec::new();
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let (what, precision) = (text("what"), text("precision"));
        let (ours, theirs) = (ours(before, &what, &precision), line["ms"].as_f64().unwrap_or(f64::NAN));
        let [our_text, ratio] = match ours {
            Some(ours) => [format!("{ours:.4}"), format!("{:.2}", theirs / ours)],
            None => ["not timed".into(), String::new()],
        };
        rows.push(vec![what, precision, our_text, format!("{theirs:.4}"), text("variant"), ratio]);
    }
    let version = head["torch"].as_str().unwrap_or("of unknown version");
    let end = if ended.success() { String::new() } else { format!("; {}", ended.how()) };
    let summary = format!("PyTorch {version}, {} rows{end}", rows.len());
    Ok(Part::new(true, summary, &columns, rows))
}

/// Milliseconds of this plan or shape.
fn ours(before: &[Part], what: &str, precision: &str) -> Option<f64> {
    let rows = |name: &'static str| before.iter().filter(move |part| part.name == name).flat_map(|part| &part.rows);
    let plan = rows("plans").find(|row| row[0] == what && row[1] == precision).and_then(|row| row[4].parse().ok());
    let shape = || rows("shapes").find(|row| format!("{} {}", row[1], row[2]) == what && precision == "f16");
    plan.or_else(|| shape()?[3].parse::<f64>().ok().map(|us| us * 1e-3))
}
