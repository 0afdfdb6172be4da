//! The library for C as it is given away, and what it weighs.

use std::path::PathBuf;
use std::{fmt, fs};

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
        write!(f, "{bytes:.2} MB {} (goal {goal} MB)", self.name)
    }
}

/// Builds `target/capi`: `include/yuragi.h`, `lib/libyuragi.so` and `lib/libyuragi.a`, with the model in them.
pub fn build() -> Outcome {
    let without = size(false)?;
    let with = size(true)?;
    let folder = target_folder()?.join("capi");
    compile(true, "staticlib")?;
    let copy = |from: PathBuf, to: &str| {
        let to = folder.join(to);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(&from, &to));
        made.map(|_| ()).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
    };
    copy(shell::root().join("crates/capi/include/yuragi.h"), "include/yuragi.h")?;
    copy(built(&shared())?, &format!("lib/{}", shared().replace("_capi", "")))?;
    copy(built("libyuragi_capi.a")?, "lib/libyuragi.a")?;
    println!("{}", folder.display());
    [without, with].iter().for_each(|size| println!("{size}"));
    Ok(())
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
    // Where Rust links by its own lld: functions of the same code are one.
    let folds = kind == "cdylib" && cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let link: &[&str] = if folds { &["--", "-C", "link-arg=-Wl,--icf=all"] } else { &[] };
    cargo(build.into_iter().chain(features).chain(link.iter().copied()))
}

fn built(name: &str) -> Outcome<PathBuf> {
    Ok(target_folder()?.join("embedded").join(name))
}

fn shared() -> String {
    format!("{}yuragi_capi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}
