//! Running other programs, and finding files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Success, or one line that says what went wrong.
pub type Outcome<T = ()> = Result<T, String>;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let xtask = env::var_os("CARGO_MANIFEST_DIR").map_or(PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or(PathBuf::from("."), Path::to_path_buf)
}

/// The cargo that started us, in the root of the workspace.
pub fn cargo_command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(root());
    command
}

/// Builds programs of the workspace with the features that `cargo test --workspace` unites, so that neither is compiled
/// because of the other; one of the tests is named, since without any cargo leaves out what tests depend on.
pub const fn as_tested<'a>(program: &'a str, test: &'a str) -> [&'a str; 6] {
    ["build", "--workspace", "--bin", program, "--test", test]
}

/// Where cargo puts programs built with `--release`.
pub fn release_folder() -> Outcome<PathBuf> {
    Ok(target_folder()?.join("release"))
}

/// Where cargo puts what it builds.
pub fn target_folder() -> Outcome<PathBuf> {
    let metadata = cargo_metadata()?;
    Ok(metadata["target_directory"].as_str().map(PathBuf::from).ok_or("cargo metadata has an unknown form")?)
}

/// What cargo knows of the workspace, without resolving or building anything.
pub fn cargo_metadata() -> Outcome<Value> {
    let output = cargo_command().args(["metadata", "--no-deps", "--format-version", "1"]).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// Runs cargo with `arguments`.
pub fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Outcome {
    let mut command = cargo_command();
    run("cargo", command.args(arguments))
}

/// Runs the Python `interpreter` with `arguments`.
pub fn python<A: AsRef<OsStr>>(interpreter: &Path, arguments: impl IntoIterator<Item = A>) -> Outcome {
    run(&interpreter.display().to_string(), Command::new(interpreter).args(arguments))
}

/// Fails unless the Python `interpreter` starts and finds `module`.
pub fn require_python_module(interpreter: &Path, module: &str) -> Outcome {
    let search = format!("import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)");
    let status = Command::new(interpreter).args(["-c", &search]).status();
    let found = status.map_err(|error| format!("cannot start {}: {error}", interpreter.display()))?.success();
    if found { Ok(()) } else { Err(format!("{} has no module {module}", interpreter.display())) }
}

/// Shows what runs before it runs, since a build can take minutes.
pub fn run(name: &str, command: &mut Command) -> Outcome {
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let line = format!("{name} {}", arguments.join(" "));
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| format!("cannot start {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// The files below `folder` with this extension, sorted; hidden folders and build output are passed over.
/// A folder that does not exist has no files.
pub fn files(folder: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        collect(folder, extension, &mut found).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                collect(&path, extension, found)?;
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    Ok(())
}
