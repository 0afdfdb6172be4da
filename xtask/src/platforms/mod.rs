//! `cargo xtask platforms`: everything on every platform whose tools are here, as one table.

mod aarch64;
mod bits;
mod browser;
mod elf;
mod figure;
mod library;
mod suite;
mod thumb;
pub mod tools;
mod wasm;
mod x86;

use serde_json::Value;

use crate::shell::Outcome;
pub use figure::Extent;
use figure::Row;

/// A name for `--only`, and what makes the row.
type Platform = (&'static str, fn(Extent) -> Row);

const PLATFORMS: [Platform; 8] = [
    ("x86-64", x86::native),
    ("avx2", x86::haswell),
    ("portable", x86::nehalem),
    ("aarch64", aarch64::linux),
    ("wasm32", wasm::wasi),
    ("browser", browser::chromium),
    ("thumbv7em", thumb::cortex_m4),
    ("c", library::c),
];

/// The names for `--only`.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLATFORMS.iter().map(|&(name, _)| name)
}

/// Runs the platforms whose names are in `only`, or all, and prints the table; fails if anything that could run failed.
pub fn run(only: &[String], extent: Extent, as_json: bool) -> Outcome {
    let chosen = PLATFORMS.iter().filter(|(name, _)| only.is_empty() || only.iter().any(|only| only == name));
    let rows: Vec<Row> = chosen.map(|(_, make)| make(extent)).collect();
    if as_json {
        println!("{:#}", Value::from_iter(rows.iter().map(Row::json)));
    } else {
        println!("{}", figure::table(&rows));
    }
    let failed: Vec<_> = rows.iter().filter(|row| row.failed()).map(|row| row.platform).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed on {}", failed.join("; "))) }
}
