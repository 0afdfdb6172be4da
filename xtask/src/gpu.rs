//! One folder to carry to a machine with a GPU and nothing else.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::shell::{Outcome, cargo, cargo_command, release_folder};

/// Builds the program of a visit, and the emulator's test programs beside it, stripped.
pub fn build() -> Outcome {
    cargo(["build", "--release", "--package", "yuragi-benches", "--bin", "gpu"])?;
    let release = release_folder()?;
    let folder = release.with_file_name("gpu");
    let programs = folder.join("emulator");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
    }
    fs::create_dir_all(&programs).map_err(|error| format!("cannot make {}: {error}", programs.display()))?;
    let main = folder.join(format!("gpu{EXE_SUFFIX}"));
    let mut size = stripped(&release.join(format!("gpu{EXE_SUFFIX}")), &main)?;
    for (name, program) in emulator_tests()? {
        size += stripped(&program, &programs.join(name))?;
    }
    println!("{}: {:.1} MB", folder.display(), size as f64 * 1e-6);
    println!("on the machine with the GPU: ./gpu --emulator (./gpu --help says more)");
    Ok(())
}

/// The emulator's integration tests: name and program.
fn emulator_tests() -> Outcome<Vec<(String, PathBuf)>> {
    let mut command = cargo_command();
    let test = ["test", "--release", "--no-run", "--message-format", "json", "--package", "yuragi-emulator"];
    let output = command.args(test).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err("the emulator's tests do not build".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let message = |line: &str| serde_json::from_str::<Value>(line).ok();
    let program = |message: Value| {
        let is_test = message["target"]["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
        let program = PathBuf::from(message["executable"].as_str()?);
        is_test.then(|| Some((message["target"]["name"].as_str()?.to_owned(), program)))?
    };
    Ok(text.lines().filter_map(message).filter_map(program).collect())
}

/// Copies a program without its symbols, where the machine has a tool for that, and returns its size.
fn stripped(from: &Path, to: &Path) -> Outcome<u64> {
    fs::copy(from, to).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    // Without the tool the copy is only larger.
    let _ = Command::new("strip").arg(to).stderr(Stdio::null()).status();
    fs::metadata(to).map(|data| data.len()).map_err(|error| format!("cannot read {}: {error}", to.display()))
}
