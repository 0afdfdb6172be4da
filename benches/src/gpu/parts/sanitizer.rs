//! NVIDIA's own checker of memory and races, where it is installed.

use std::{env, path::PathBuf, process::Command};

use crate::gpu::{
    effort::Effort,
    process,
    record::{Outcome, Part},
};

fn found() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = PathBuf::from("/usr/local/cuda/bin");
    env::split_paths(&path).chain([usual]).map(|folder| folder.join("compute-sanitizer")).find(|file| file.is_file())
}

/// The small sizes of parts under `memcheck` and `racecheck`.
///
/// # Errors
/// This program has no path.
pub fn run(effort: Effort) -> Outcome {
    let columns = ["tool", "part", "said"];
    let Some(tool) = found() else {
        return Ok(Part::new(true, "compute-sanitizer is not installed: nothing was checked".into(), &columns, vec![]));
    };
    let program = env::current_exe()?;
    let asked =
        ["memcheck", "racecheck"].into_iter().flat_map(|kind| ["conformance", "samplers"].map(|part| (kind, part)));
    let (mut rows, mut passed) = (Vec::new(), true);
    let left = effort.each(asked, |(kind, part)| -> Outcome<()> {
        let mut command = Command::new(&tool);
        command.args(["--tool", kind, "--error-exitcode", "9"]).arg(&program);
        command.args(["--part", part, "--slice", "0/64", "--small"]);
        let ended = process::run(&mut command, effort.left())?;
        let lines = ended.out.lines().chain(ended.err.lines());
        let last = lines.rev().find(|line| line.contains("SUMMARY"));
        passed &= ended.success();
        let said = last.map_or_else(|| ended.how(), |line| line.trim_start_matches('=').trim().to_owned());
        rows.push(vec![kind.into(), part.into(), said]);
        Ok(())
    })?;
    let summary = format!("{} checks{}", rows.len(), crate::gpu::effort::cut(left));
    Ok(Part::new(passed && left == 0, summary, &columns, rows))
}
