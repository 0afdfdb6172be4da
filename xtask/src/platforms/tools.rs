//! Programs that a platform needs, and running them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use crate::shell::{self, Outcome};

/// A program on the path.
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The first of these programs on the path, or what to install.
pub fn require(programs: &[&str], package: &str) -> Outcome<PathBuf> {
    programs
        .iter()
        .find_map(|program| find(program))
        .ok_or_else(|| format!("needs {} (apt-get install {package})", programs[0]))
}

/// `Ok` if node has a system interface that needs no flag, or what to install.
pub fn require_node() -> Outcome {
    const OLDEST: u32 = 20;
    let node = require(&["node"], "nodejs")?;
    let version = capture(Command::new(node).args(["-p", "process.versions.node"]), Duration::from_secs(20))?;
    let major = version.trim().split('.').next().and_then(|major| major.parse::<u32>().ok());
    let new = major.is_some_and(|major| major >= OLDEST);
    if new { Ok(()) } else { Err(format!("needs node {OLDEST} or newer; this is {}", version.trim())) }
}

/// `Ok` if the linker knows a library whose name begins so, or what to install.
pub fn require_library(name: &str, package: &str) -> Outcome {
    let known = Command::new("ldconfig").arg("-p").output();
    let known = known.or_else(|_| Command::new("/sbin/ldconfig").arg("-p").output());
    let there = known.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(name));
    if there { Ok(()) } else { Err(format!("needs {name} (apt-get install {package})")) }
}

/// `Ok` if the compiler has the target's library, or what to install.
pub fn require_target(target: &str) -> Outcome {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).current_dir(shell::root()).args(["--print", "sysroot"]).output();
    let output = output.map_err(|error| format!("cannot start rustc: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let there = sysroot.join("lib/rustlib").join(target).join("lib").is_dir();
    if there { Ok(()) } else { Err(format!("needs the target {target} (rustup target add {target})")) }
}

/// The folder of what cargo builds for `target` in a profile.
pub fn built(target: Option<&str>, profile: &str) -> Outcome<PathBuf> {
    let folder = shell::target_folder()?;
    Ok(target.map_or(folder.clone(), |target| folder.join(target)).join(profile))
}

/// Runs to the end, or for so long; gives what it wrote to its output, and fails with the last lines of either stream.
pub fn capture(command: &mut Command, limit: Duration) -> Outcome<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = output(command, limit)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = |text: &str| text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    Err(format!("{name} ended with {}: {} {}", output.status, last(&text), last(&errors)).trim_end().to_owned())
}

/// Runs to the end, or for so long; gives what it wrote and how it ended.
pub fn output(command: &mut Command, limit: Duration) -> Outcome<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    eprintln!("$ {name} {}", arguments.join(" "));
    run(command, limit).map_err(|error| format!("{name}: {error}"))
}

fn run(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Both are read while it runs, so that it never waits for us.
    let out = thread::spawn(move || out.map_or(Ok(Vec::new()), read));
    let err = thread::spawn(move || err.map_or(Ok(Vec::new()), read));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("took longer than {} s", limit.as_secs())));
        }
        thread::sleep(Duration::from_millis(20));
    };
    let joined = |part: thread::JoinHandle<io::Result<Vec<u8>>>| part.join().unwrap_or(Ok(Vec::new()));
    Ok(Output { status, stdout: joined(out)?, stderr: joined(err)? })
}

fn read(mut from: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map(|_| bytes)
}
