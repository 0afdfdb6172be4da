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

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use serde_json::Value;

use crate::shell::Outcome;
use crate::web;
use figure::{Extent, Row};

/// Said before `--all` begins.
const WHOLE: &str = "All tests on all platforms may take hours on two cores, most of them in emulators.";

/// How many platforms run at a time: an emulated program keeps one core busy.
const BESIDE: usize = 2;

struct Platform {
    /// For `--only`.
    name: &'static str,
    row: fn(Extent) -> Row,
    /// Where time is measured, and nothing else may run: what can be built before.
    alone: Option<fn() -> Outcome>,
}

const fn platform(name: &'static str, row: fn(Extent) -> Row) -> Platform {
    Platform { name, row, alone: None }
}

const PLATFORMS: [Platform; 8] = [
    platform("x86-64", x86::native),
    platform("avx2", x86::haswell),
    platform("portable", x86::nehalem),
    platform("aarch64", aarch64::linux),
    platform("wasm32", wasm::wasi),
    Platform { alone: Some(web::prepare), ..platform("browser", browser::chromium) },
    platform("thumbv7em", thumb::cortex_m4),
    platform("c", library::c),
];

/// The names for `--only`.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLATFORMS.iter().map(|platform| platform.name)
}

/// Runs the platforms whose names are in `only`, or all, and prints the table; fails if anything that could run failed.
pub fn run(only: &[String], all: bool, as_json: bool) -> Outcome {
    let is_chosen = |platform: &&Platform| only.is_empty() || only.iter().any(|only| only == platform.name);
    let chosen: Vec<&Platform> = PLATFORMS.iter().filter(is_chosen).collect();
    if all {
        eprintln!("{WHOLE}");
    }
    let rows = rows(&chosen, Extent { all, named: !only.is_empty() });
    if as_json {
        println!("{:#}", Value::from_iter(rows.iter().map(Row::json)));
    } else {
        println!("{}", figure::table(&rows));
    }
    let failed: Vec<_> = rows.iter().filter(|row| row.failed()).map(|row| row.platform).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed on {}", failed.join("; "))) }
}

/// A row of each platform: those that run alone come last.
fn rows(platforms: &[&Platform], extent: Extent) -> Vec<Row> {
    let rows: Vec<OnceLock<Row>> = platforms.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..BESIDE {
            scope.spawn(|| {
                while let Some((platform, row)) = platforms.iter().zip(&rows).nth(next.fetch_add(1, Relaxed)) {
                    match platform.alone {
                        // What goes wrong here goes wrong again, and is told, where its row is made.
                        Some(prepare) => drop(prepare()),
                        None => drop(row.set((platform.row)(extent))),
                    }
                }
            });
        }
    });
    let row = |(row, platform): (OnceLock<Row>, &&Platform)| row.into_inner().unwrap_or_else(|| (platform.row)(extent));
    rows.into_iter().zip(platforms).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_nothing_runs_beside_what_measures_time() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        fn beside(_: Extent) -> Row {
            RUNNING.fetch_add(1, Relaxed);
            thread::sleep(std::time::Duration::from_millis(20));
            RUNNING.fetch_sub(1, Relaxed);
            Row::new("beside")
        }
        fn alone(_: Extent) -> Row {
            Row::new(if RUNNING.load(Relaxed) == 0 { "alone" } else { "disturbed" })
        }
        let timed = Platform { alone: Some(|| Err("is told later".into())), ..platform("timed", alone) };
        let other = platform("other", beside);
        let rows = rows(&[&other, &timed, &other, &other], Extent { all: false, named: false });
        assert_eq!(rows.iter().map(|row| row.platform).collect::<Vec<_>>(), ["beside", "alone", "beside", "beside"]);
    }
}
