//! The visit to a GPU, paid to the emulator.
#![cfg(target_os = "linux")]

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;
use yuragi_tests::emulated::driver_folder;

fn gpu(driver: bool, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu"));
    command.args(arguments).env_remove("LD_LIBRARY_PATH");
    if driver {
        command.env("LD_LIBRARY_PATH", driver_folder().unwrap());
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn place(name: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    place
}

#[test]
fn a_small_visit_passes_and_leaves_a_record() {
    let place = place("visit");
    let parts = ["conformance", "samplers", "plans", "published", "shapes", "growth", "pytorch"];
    let out = place.to_string_lossy().into_owned();
    let asked = ["--small", "--seconds", "250", "--python", "no-such-python", "--out", &out];
    let output = gpu(true, &[&asked[..], &["--parts", &parts.join(",")]].concat());
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("yuragi-emulator:"), "{said}");

    let files: Vec<PathBuf> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [json, md] = ["json", "md"].map(|kind| files.iter().find(|file| file.extension().is_some_and(|e| e == kind)));
    let record: Value = serde_json::from_str(&fs::read_to_string(json.unwrap()).unwrap()).unwrap();
    let found: Vec<&str> =
        record["parts"].as_array().unwrap().iter().filter_map(|part| part["name"].as_str()).collect();
    assert_eq!(found, parts);
    let rows = |part: usize| record["parts"][part]["rows"].as_array().unwrap();
    assert!(rows(0).len() > 30 && rows(1).len() == 4 && rows(2).len() == 5 && rows(3).len() == 5, "{record:#}");
    assert!(rows(4).len() > 8 && rows(5).len() == 6, "{record:#}");
    assert!(rows(5).iter().all(|row| row[3].as_str().unwrap().parse::<f64>().is_ok()), "{record:#}");
    assert!(files.iter().any(|file| file.to_string_lossy().ends_with("-growth.png")), "{files:?}");
    let words = fs::read_to_string(md.unwrap()).unwrap();
    assert!(words.contains("## plans: passed") && words.contains("nothing was compared"), "{words}");
}

#[test]
fn what_cannot_be_visited_is_said_in_one_line() {
    let place = place("refused");
    let out = place.to_string_lossy().into_owned();
    for (driver, arguments, line) in [
        (true, ["--parts", "nonsense"], "there is no part nonsense"),
        (false, ["--parts", "samplers"], "no CUDA driver"),
    ] {
        let output = gpu(driver, &[&arguments[..], &["--out", &out]].concat());
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(line) && said.lines().count() == 1, "{said}");
    }
    assert!(!place.exists(), "nothing was written");
}
