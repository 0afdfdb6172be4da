//! The library for C as it is given away, and what it weighs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fmt, fs};

use crate::platforms::tools;
use crate::shell::{self, Outcome, cargo, target_folder};

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
    let name = shared().replace("_capi", "");
    let without = size(false)?;
    copy(built(&shared())?, &format!("without-model/{name}"))?;
    let with = size(true)?;
    copy(built(&shared())?, &format!("lib/{name}"))?;
    copy(shell::root().join("crates/capi/include/yuragi.h"), "include/yuragi.h")?;
    compile(true, "staticlib")?;
    let linked_in = copy(built("libyuragi_capi.a")?, "lib/libyuragi.a")?;
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
    let build = ["rustc", "--package", "yuragi-capi", "--lib", "--profile", "embedded", "--crate-type", kind];
    let features = (!with_model).then_some("--no-default-features");
    // Where Rust links by its own lld: functions of the same code are one, and what it takes to unwind is left out, since
    // nothing does (`panic = "abort"` of the profile).
    let own_linker = kind == "cdylib" && cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let script = format!("link-arg=-Wl,--no-eh-frame-hdr,-T,{}", shell::root().join("crates/capi/small.ld").display());
    let link: &[&str] = if own_linker { &["--", "-C", "link-arg=-Wl,--icf=all", "-C", &script] } else { &[] };
    cargo(build.into_iter().chain(features).chain(link.iter().copied()))
}

fn built(name: &str) -> Outcome<PathBuf> {
    Ok(target_folder()?.join("embedded").join(name))
}

fn shared() -> String {
    format!("{}yuragi_capi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}
