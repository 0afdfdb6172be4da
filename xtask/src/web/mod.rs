//! The page in the browser: builds its module, lays its files together, serves them, and proves them in a browser.

mod check;
mod driver;
mod server;
mod thread;

use std::fs;
use std::path::{Path, PathBuf};

pub use check::{prepare, test};

use crate::platforms::tools;
use crate::shell::{self, Outcome, target_folder};

/// The most bytes of all files together.
const MOST: u64 = 12_000_000;

/// The model that draws, in fewer bytes.
const MODEL: &str = "emoji.packed";

/// A module of the page: the target that it is built for, the file that it becomes, and what the linker is told.
struct Module {
    target: &'static str,
    file: &'static str,
    /// The memory that threads share is made by the page (`worker.js`), within these limits.
    flags: &'static str,
}

const MODULES: [Module; 2] = [
    Module {
        target: "wasm32-wasip1-threads",
        file: "yuragi-threads.wasm",
        flags: "-C target-feature=+simd128 -C link-arg=--initial-memory=16777216 -C link-arg=--max-memory=1073741824",
    },
    Module { target: "wasm32-unknown-unknown", file: "yuragi.wasm", flags: "-C target-feature=+simd128" },
];

/// Builds the page and serves it on the loopback address until it is interrupted.
pub fn serve(port: u16) -> Outcome {
    let page = build()?;
    let server = server::Server::start(&page, port)?;
    println!("http://127.0.0.1:{} has the page; Ctrl-C ends it", server.port());
    server.wait()
}

/// Builds the modules and lays all files of the page together; gives their folder.
pub fn build() -> Outcome<PathBuf> {
    require_targets()?;
    let target = target_folder()?;
    let page = target.join("page");
    fs::create_dir_all(&page).map_err(|error| format!("cannot make {}: {error}", page.display()))?;
    let root = shell::root();
    let mut names = Vec::new();
    for module in &MODULES {
        let mut cargo = shell::cargo_command();
        // One profile for both, and the flags of the target alone: nothing of the host is built again.
        cargo.env("RUSTFLAGS", module.flags).env_remove("CARGO_ENCODED_RUSTFLAGS");
        let build = ["build", "--package", "yuragi-web", "--lib", "--profile", "web", "--target", module.target];
        shell::run("cargo", cargo.args(build))?;
        let built = target.join(module.target).join("web/yuragi_web.wasm");
        copy(&built, &page.join(module.file))?;
        names.push(module.file.to_owned());
    }
    pack(&root.join("crates/yuragi/assets"), &page.join(MODEL))?;
    names.push(MODEL.to_owned());
    let own = fs::read_dir(root.join("crates/web/page")).map_err(|error| format!("cannot list the page: {error}"))?;
    for file in own.filter_map(|entry| Some(entry.ok()?.path())) {
        let Some(name) = file.file_name() else { continue };
        copy(&file, &page.join(name))?;
        names.push(name.to_string_lossy().into_owned());
    }
    let mut total = 0;
    for entry in fs::read_dir(&page).map_err(|error| format!("cannot list {}: {error}", page.display()))?.flatten() {
        if names.iter().all(|name| *name != entry.file_name().to_string_lossy()) {
            // Of an older page.
            fs::remove_file(entry.path())
                .map_err(|error| format!("cannot remove {}: {error}", entry.path().display()))?;
        } else {
            total += entry.metadata().map_or(0, |meta| meta.len());
        }
    }
    println!("{}: {} files, {:.2} MB", page.display(), names.len(), total as f64 / 1e6);
    if total > MOST {
        return Err(format!("the page has {total} bytes; at most {MOST}"));
    }
    Ok(page)
}

/// Bytes of all files of the page.
fn size(page: &Path) -> u64 {
    let files = fs::read_dir(page).into_iter().flatten().flatten();
    files.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// Packs the built-in model, whose files are in a folder.
fn pack(assets: &Path, to: &Path) -> Outcome {
    let read = |name: &str| fs::read(assets.join(name)).map_err(|error| format!("cannot read {name}: {error}"));
    let packed = read("emoji.safetensors").and_then(|model| {
        let decoder = read("decoder.safetensors")?;
        yuragi_packed::pack(&model, Some(&decoder)).map_err(|error| error.to_string())
    });
    let written = packed.and_then(|packed| fs::write(to, packed).map_err(|error| error.to_string()));
    written.map_err(|error| format!("cannot pack {} as {}: {error}", assets.display(), to.display()))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    let copied = fs::copy(from, to);
    copied.map(drop).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

/// The targets that rustc lacks.
pub fn missing_targets() -> Vec<&'static str> {
    MODULES.iter().map(|module| module.target).filter(|target| tools::require_target(target).is_err()).collect()
}

fn require_targets() -> Outcome {
    match missing_targets().as_slice() {
        [] => Ok(()),
        missing => Err(format!("the page needs: rustup target add {}", missing.join(" "))),
    }
}
