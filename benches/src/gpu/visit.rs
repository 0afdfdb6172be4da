//! All parts one after another, within a time.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    effort::Effort,
    parts::{conformance, programs, pytorch, sanitizer},
    process::{self, Ended},
    record::{Outcome, Part},
};

/// What a visit is asked for.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Only these parts, or all.
    pub parts: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
    /// Sizes that the emulator computes in seconds.
    pub small: bool,
    /// The Python that may have PyTorch.
    pub python: PathBuf,
}

/// Parts with a process of their own.
const OWN: [&str; 5] = ["samplers", "plans", "published", "shapes", "growth"];

impl Visit {
    /// The names of the parts, in their order: `conformance`, `samplers`, the test programs in `programs` beside this
    /// one, `plans`, `published`, `shapes`, `growth`, `pytorch`, `sanitizer`.
    ///
    /// # Errors
    /// A part was asked for that does not exist.
    pub fn names(&self) -> Outcome<Vec<String>> {
        let own = |name: &&str| (*name).to_owned();
        let mut names: Vec<String> = ["conformance", "samplers"].iter().map(own).collect();
        names.extend(programs()?);
        names.extend(["plans", "published", "shapes", "growth", "pytorch", "sanitizer"].iter().map(own));
        if let Some(unknown) = self.parts.iter().find(|part| !names.contains(part)) {
            return Err(format!("there is no part {unknown}; there are {}", names.join(", ")).into());
        }
        names.retain(|name| self.parts.is_empty() || self.parts.contains(name));
        Ok(names)
    }

    /// Runs them, and calls `done` with each.
    ///
    /// # Errors
    /// As for [`names`](Self::names), or no process can be started.
    pub fn run(&self, mut done: impl FnMut(&Part)) -> Outcome<Vec<Part>> {
        let (names, whole) = (self.names()?, Effort::new(self.small, self.limit));
        let mut parts = Vec::new();
        for (number, name) in names.iter().enumerate() {
            // A part may take twice its share of what is left.
            let share = 2 * whole.left() / (names.len() - number + 1) as u32;
            let effort = Effort::new(self.small, share.min(whole.left()));
            let start = Instant::now();
            let part = self.part(name, &parts, effort)?;
            let part = Part { name: name.clone(), seconds: start.elapsed().as_secs_f64(), ..part };
            done(&part);
            parts.push(part);
        }
        Ok(parts)
    }

    fn part(&self, name: &str, before: &[Part], effort: Effort) -> Outcome {
        match name {
            "conformance" => conformance::whole(effort, |slice| {
                Ok(self.in_process(name, &["--slice", &slice.to_string()], effort)?)
            }),
            "pytorch" => pytorch::run(&self.python, &beside("peers")?, before, effort),
            "sanitizer" => sanitizer::run(effort),
            name if OWN.contains(&name) => {
                let failed = |ended: Ended| Part::new(false, ended.how(), &[], Vec::new());
                Ok(self.in_process(name, &[], effort)?.unwrap_or_else(failed))
            }
            name => programs::run(&beside("programs")?.join(name), effort),
        }
    }

    /// This program again for one part, which ends itself when its time is over, or is ended a little later.
    fn in_process(&self, name: &str, more: &[&str], effort: Effort) -> io::Result<Result<Part, Ended>> {
        let mut command = Command::new(env::current_exe()?);
        let limit = effort.left();
        command.args(["--part", name, "--seconds", &format!("{:.1}", limit.as_secs_f64())]).args(more);
        if self.small {
            command.arg("--small");
        }
        let ended = process::run(&mut command, limit + Duration::from_secs(10).min(limit))?;
        let part = ended.out.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
        Ok(part.as_ref().and_then(Part::from_json).ok_or(ended))
    }
}

fn beside(name: &str) -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}

/// The test programs beside this one; none without their folder.
fn programs() -> io::Result<Vec<String>> {
    let folder: &Path = &beside("programs")?;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.filter_map(Result::ok).map(name).collect();
    names.sort();
    Ok(names)
}
