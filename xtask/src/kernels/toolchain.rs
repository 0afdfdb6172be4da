//! NVRTC from its Python package, in an ignored folder of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, process};

use super::files::Hash;
use crate::shell::{self, Outcome};

/// The versions of the compiler, in the folder of the kernels.
pub const REQUIREMENTS: &str = "requirements.txt";

/// Headers, in the folder of an installation.
pub const HEADERS: &str = "nvidia/cu13/include";
/// Libraries, in the folder of an installation.
pub const LIBRARIES: &str = "nvidia/cu13/lib";

const NAMES: [&str; 2] = ["python3", "python"];

/// The folder of the packages that `requirements` names, installed if they are not there yet.
pub fn install(requirements: &str) -> Outcome<PathBuf> {
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        return Err("NVRTC is loaded on Linux only, on x86-64 and ARM".into());
    }
    let name = Hash::of_text(requirements).to_string();
    let folder = shell::root().join(".cuda").join(&name[..16]);
    if !folder.exists() {
        let beside = folder.with_extension(format!("partial-{}", process::id()));
        let installed = pip(&beside).and_then(|()| put(&beside, &folder));
        if installed.is_err() {
            // What is left of a failure is of no use, and neither is the error of clearing it away.
            let _ = fs::remove_dir_all(&beside);
        }
        installed?;
    }
    Ok(folder)
}

/// Another process may have been faster; its folder is as good.
fn put(beside: &Path, folder: &Path) -> Outcome {
    match fs::rename(beside, folder) {
        Err(error) if !folder.exists() => Err(format!("cannot make {}: {error}", folder.display())),
        Err(_) => fs::remove_dir_all(beside).map_err(|error| format!("cannot remove {}: {error}", beside.display())),
        Ok(()) => Ok(()),
    }
}

fn pip(folder: &Path) -> Outcome {
    let python = NAMES.into_iter().find(|name| has_pip(name)).ok_or("Python with pip is not at hand")?;
    let requirements = shell::root().join("kernels").join(REQUIREMENTS);
    eprintln!("$ {python} -m pip install --requirement kernels/{REQUIREMENTS} (about 90 MB, once)");
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    command.args(["--only-binary=:all:", "--require-hashes", "--requirement"]).arg(requirements);
    let output = command.arg("--target").arg(folder).output();
    let output = output.map_err(|error| format!("cannot start {python}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rfind(|line| line.starts_with("ERROR")).or(words.lines().last());
    Err(format!("pip could not install NVRTC: {}", last.unwrap_or("it gave no reason")))
}

fn has_pip(python: &str) -> bool {
    Command::new(python).args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success())
}
