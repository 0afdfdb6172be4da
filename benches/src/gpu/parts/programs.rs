//! Test programs that run on the machine's driver.

use std::{path::Path, process::Command};

use crate::gpu::{
    effort::Effort,
    process,
    record::{Outcome, Part},
};

/// Cases that the conformance has asked already.
const ELSEWHERE: &str = "quarter_of_all_operations";

/// The tests of a program, on this driver. Those that failed together are asked again alone.
///
/// # Errors
/// The program cannot be started.
pub fn run(program: &Path, effort: Effort) -> Outcome {
    let test = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.env("YURAGI_TEST_ON_GPU", "1").args(arguments).args(["--skip", ELSEWHERE]);
        process::run(&mut command, effort.left())
    };
    let named = |text: &str, ending: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.strip_suffix(ending)?.to_owned())).collect()
    };
    let together = test(&["--test-threads=1"])?;
    let result = together.out.lines().rev().find(|line| line.starts_with("test result"));
    let suspects: Vec<String> = match result {
        Some(_) => {
            let failed = named(&together.out, " ... FAILED");
            failed.iter().map(|line| line.trim_start_matches("test ").to_owned()).collect()
        }
        // The whole program ended.
        None => named(&test(&["--list", "--format", "terse"])?.out, ": test"),
    };
    let (mut rows, mut alone) = (Vec::new(), 0);
    let left = effort.each(&suspects, |name| -> Outcome<()> {
        let ended = test(&[name.as_str(), "--exact", "--nocapture"])?;
        alone += 1;
        if !ended.success() {
            let said = ended.err.lines().chain(ended.out.lines());
            let said: Vec<&str> = said.filter(|line| !line.trim().is_empty()).take(3).collect();
            rows.push(vec![name.clone(), ended.how(), said.join("; ")]);
        }
        Ok(())
    })?;
    let summary = match result {
        Some(result) => result.trim_start_matches("test result: ").to_owned(),
        None => together.how(),
    };
    let again = if alone > 0 { format!("; of {alone} asked alone {} failed", rows.len()) } else { String::new() };
    let cut = crate::gpu::effort::cut(left);
    let passed = rows.is_empty() && left == 0 && (together.success() || alone > 0);
    Ok(Part::new(passed, format!("{summary}{again}{cut}"), &["test", "ended", "said"], rows))
}
