//! The library for C as it is given away, and what it weighs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fmt, fs};

use crate::platforms::tools;
use crate::shell::{self, Outcome, cargo, target_folder};

/// The example of `crates/capi` that the library is linked as.
const ROOT: &str = "library";

/// What a shared library weighs with everything taken out that is not needed.
pub struct Size {
    /// What is in it.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: u64,
    /// The most that it should have.
    pub goal: u64,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bytes, goal] = [self.bytes, self.goal].map(|bytes| bytes as f64 / 1e6);
        write!(f, "{bytes:.2} MB {} (at most {goal} MB)", self.name)
    }
}

/// Builds `target/capi`: `include/yuragi.h`, `lib/libyuragi.so` and `lib/libyuragi.a`, with the model in them, and the
/// shared library alone in `without-model`; lets a program use each where there is a compiler of C.
pub fn build() -> Outcome {
    let folder = target_folder()?.join("capi");
    let copy = |from: PathBuf, to: &str| {
        let to = folder.join(to);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(&from, &to));
        made.map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
    };
    let name = shared().replace(ROOT, "yuragi");
    let without = size(false)?;
    copy(built(&shared())?, &format!("without-model/{name}"))?;
    let with = size(true)?;
    copy(built(&shared())?, &format!("lib/{name}"))?;
    copy(shell::root().join("crates/capi/include/yuragi.h"), "include/yuragi.h")?;
    compile(true, "staticlib")?;
    let linked_in = copy(built(&format!("lib{ROOT}.a"))?, "lib/libyuragi.a")?;
    match tools::require(&["cc"], "gcc") {
        Ok(_) => use_it(&folder)?,
        Err(missing) => println!("SKIPPED: programs that use it: {missing}"),
    }
    println!("{}", folder.display());
    [&without, &with].iter().for_each(|size| println!("shared: {size}"));
    println!("static: {:.2} MB with the model, before a program is linked", linked_in as f64 / 1e6);
    Ok(())
}

/// Compiles programs as a stranger would, with the shared library and with the static one, and runs them: an example, and
/// the hostile caller of the tests, which the library must survive without a panic.
fn use_it(folder: &Path) -> Outcome {
    const LIMIT: Duration = Duration::from_secs(300);
    let (program, lib) = (folder.join("caller"), folder.join("lib"));
    let shared = |lib: &Path| {
        [format!("-L{}", lib.display()), "-lyuragi".into(), format!("-Wl,-rpath,{}", lib.display())].to_vec()
    };
    let linked_in = [lib.join("libyuragi.a").display().to_string()].to_vec();
    let (with, without) = (shared(&lib), shared(&folder.join("without-model")));
    let (example, hostile) = ("examples/colours.c", "tests/callers/hostile.c");
    for (source, library) in [(example, &with), (example, &without), (example, &linked_in), (hostile, &with)] {
        let mut compiler = Command::new("cc");
        compiler.arg("-std=c11").arg("-I").arg(folder.join("include"));
        compiler.arg(shell::root().join("crates/capi").join(source)).arg("-o").arg(&program);
        tools::capture(compiler.args(library).args(["-lm", "-lpthread", "-ldl"]), LIMIT)?;
        let model = shell::root().join("crates/yuragi/assets/emoji.safetensors");
        print!("{}", tools::capture(Command::new(&program).arg(model), LIMIT)?);
    }
    fs::remove_file(&program).map_err(|error| format!("cannot remove {}: {error}", program.display()))
}

/// Builds the shared library and looks how large it is.
pub fn size(with_model: bool) -> Outcome<Size> {
    compile(with_model, "cdylib")?;
    let path = built(&shared())?;
    let bytes = fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?.len();
    let (name, goal) = if with_model { ("with the model", 9_000_000) } else { ("without a model", 1_500_000) };
    Ok(Size { name, bytes, goal })
}

fn compile(with_model: bool, kind: &str) -> Outcome {
    let build = ["rustc", "--package", "yuragi-capi", "--example", ROOT, "--profile", "embedded", "--crate-type", kind];
    let features = (!with_model).then_some("--no-default-features");
    // Kernels mark what is to be inlined, and say what is to be unrolled: more of either, and what vectors do not divide
    // done by shorter ones, is bytes without speed.
    let optimised = [
        "opt-level=3",
        "llvm-args=-inline-threshold=50",
        "llvm-args=-unroll-runtime=false",
        "llvm-args=-force-vector-interleave=1",
        "llvm-args=-enable-epilogue-vectorization=false",
    ];
    let mut flags: Vec<String> = optimised.map(Into::into).to_vec();
    // Where Rust links by its own lld: functions of the same code are one, and what it takes to unwind is left out, since
    // nothing does (`panic = "abort"` of the profile).
    if kind == "cdylib" && cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let script = shell::root().join("crates/capi/small.ld");
        flags.push("link-arg=-Wl,-soname,libyuragi.so,--icf=all,-O2".into());
        flags.push(format!("link-arg=-Wl,--no-eh-frame-hdr,-T,{}", script.display()));
        flags.extend(knows_packed_relocations().then(|| "link-arg=-Wl,-z,pack-relative-relocs".into()));
    }
    let flags = flags.iter().flat_map(|flag| ["-C", flag]);
    cargo(build.into_iter().chain(features).chain(["--"]).chain(flags))
}

/// Whether this system's loader reads relocations of a bit each, as that of glibc does since 2.36.
fn knows_packed_relocations() -> bool {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    said.is_ok_and(|said| is_new(&String::from_utf8_lossy(&said.stdout)))
}

/// Of `glibc 2.36`.
fn is_new(version: &str) -> bool {
    let number = |(major, minor): (&str, &str)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?));
    let version = version.trim().strip_prefix("glibc ").and_then(|version| number(version.split_once('.')?));
    version.is_some_and(|version| version >= (2, 36))
}

fn built(name: &str) -> Outcome<PathBuf> {
    Ok(target_folder()?.join("embedded/examples").join(name))
}

fn shared() -> String {
    format!("{}{ROOT}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_of_old_systems_are_told_from_new_ones() {
        for (version, new) in [("glibc 2.36\n", true), ("glibc 3.0", true), ("glibc 2.35", false), ("musl", false)] {
            assert_eq!(is_new(version), new, "{version}");
        }
    }
}
