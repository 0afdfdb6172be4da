//! One folder to carry to a machine with a GPU and nothing else, and the same packed: every program there has all kernels in
//! it, as text.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::shell::{Outcome, cargo, cargo_command, release_folder, root};

/// Bytes that are carried at most, packed.
const MOST: u64 = 64 << 20;

/// Test programs that can run on a machine's own driver: package and name.
const PROGRAMS: [(&str, &[&str]); 2] = [
    ("yuragi-emulator", &["semantics", "cudarc", "kernels", "operations"]),
    ("yuragi-tests", &["cuda", "cuda_replicas"]),
];

/// What the comparison with PyTorch needs beside the program.
const PEERS: [&str; 3] =
    ["benches/peers/gpu_torch.py", "benches/peers/latent_diffusion_torch.py", "benches/src/gpu/shapes.tsv"];

/// Builds the program of a visit, and beside it test programs, stripped, and scripts.
pub fn build() -> Outcome {
    cargo(["build", "--release", "--package", "yuragi-benches", "--bin", "gpu"])?;
    let release = release_folder()?;
    let folder = release.with_file_name("gpu");
    let [programs, peers] = ["programs", "peers"].map(|name| folder.join(name));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
    }
    for folder in [&programs, &peers] {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    let main = folder.join(format!("gpu{EXE_SUFFIX}"));
    let mut size = stripped(&release.join(format!("gpu{EXE_SUFFIX}")), &main)?;
    for (package, names) in PROGRAMS {
        for (name, program) in tests(package, names)? {
            size += stripped(&program, &programs.join(name))?;
        }
    }
    for peer in PEERS.map(|peer| root().join(peer)) {
        let place = peers.join(peer.file_name().unwrap_or_default());
        size += fs::copy(&peer, place).map_err(|error| format!("cannot copy {}: {error}", peer.display()))?;
    }
    let (archive, packed) = packed(&folder)?;
    if packed > MOST {
        return Err(format!("{}: {packed} bytes, more than {MOST} to carry", archive.display()));
    }
    let [size, packed] = [size, packed].map(|bytes| bytes as f64 * 1e-6);
    println!("{}: {size:.1} MB; packed, {}: {packed:.1} MB", folder.display(), archive.display());
    println!("on the machine with the GPU: tar xzf gpu.tar.gz, then gpu/gpu (five minutes; gpu/gpu --help says more)");
    Ok(())
}

/// The folder as one compressed file beside it, and its size.
fn packed(folder: &Path) -> Outcome<(PathBuf, u64)> {
    let archive = folder.with_extension("tar.gz");
    let (parent, name) = (folder.with_file_name(""), folder.file_name().unwrap_or_default());
    let mut command = Command::new("tar");
    let status = command.arg("-C").arg(parent).arg("-czf").arg(&archive).arg(name).status();
    let status = status.map_err(|error| format!("cannot start tar: {error}"))?;
    if !status.success() {
        return Err(format!("tar does not pack {}: {status}", folder.display()));
    }
    let data = fs::metadata(&archive).map_err(|error| format!("cannot read {}: {error}", archive.display()))?;
    Ok((archive, data.len()))
}

/// Integration tests of a package: name and program.
fn tests(package: &str, names: &[&str]) -> Outcome<Vec<(String, PathBuf)>> {
    let mut command = cargo_command();
    command.args(["test", "--release", "--no-run", "--message-format", "json", "--package", package]);
    command.args(names.iter().flat_map(|name| ["--test", name]));
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("the tests of {package} do not build"));
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
