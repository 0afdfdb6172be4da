//! What several ranks make together is what one process makes, byte for byte. Needs `mpirun`.

#[allow(dead_code)]
#[path = "cli/program.rs"]
mod program;
#[path = "ranks/training.rs"]
mod training;

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use program::Scratch;

/// Whether there is an `mpirun`, or else a line that says so.
fn mpirun() -> bool {
    let there = Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: there is no mpirun");
    }
    there
}

/// A launcher of the program on so many ranks, in a folder.
fn launch(scratch: &Scratch, count: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &count.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_yuragi")).args(arguments).current_dir(scratch.join("."));
    command
}

/// The program on so many ranks, in a folder.
fn ranks(scratch: &Scratch, count: usize, arguments: &[&str]) -> Output {
    launch(scratch, count, arguments).output().unwrap()
}

/// Every file of a folder.
fn files(scratch: &Scratch) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(scratch.join(".")).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// One process and two and three ranks print the same, but for the time that it took, and leave the same files.
fn equal(prepare: impl Fn(&Scratch), arguments: &[&str]) {
    let run = |count: Option<usize>| {
        let scratch = Scratch::new();
        prepare(&scratch);
        let output = match count {
            None => scratch.program(arguments).output().unwrap(),
            Some(count) => ranks(&scratch, count, arguments),
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed: Vec<String> =
            text(&output.stdout).lines().filter(|line| !line.contains("seconds")).map(str::to_owned).collect();
        assert!(!printed.is_empty());
        (printed, files(&scratch))
    };
    let alone = run(None);
    for count in [2, 3] {
        let together = run(Some(count));
        assert_eq!(together.0, alone.0, "{arguments:?} on {count} ranks");
        assert!(together.1 == alone.1, "{arguments:?} on {count} ranks: {:?}", together.1.keys());
    }
}

#[test]
fn t17_reads_are_shared() {
    if !mpirun() {
        return;
    }
    let glass = |more: &[&str]| {
        let common = ["anneal", "glass:12x12", "--seed", "3", "--json", "--threads", "1", "-o", "states.csv"];
        equal(|_| {}, &[&common, more].concat());
    };
    glass(&["-n", "600", "--sweeps", "50"]);
    glass(&["-n", "2", "--sweeps", "20", "--plot", "energies.png"]);
    glass(&["--method", "quantum", "-n", "40", "--sweeps", "20", "--slices", "4"]);
    glass(&["--method", "exchange", "-n", "3", "--sweeps", "30", "--temperatures", "5"]);
    glass(&["--method", "population", "-n", "300", "--beta", "0:1", "--sweeps", "40", "--temperatures", "10"]);
    glass(&["--method", "jarzynski", "-n", "50", "--beta", "0:1", "--sweeps", "20"]);
}

#[test]
fn pictures_are_shared() {
    if !mpirun() {
        return;
    }
    let draw = ["generate", "a red cat", "--seed", "7", "--steps", "2", "--no-show", "-n", "5", "--batch", "2"];
    equal(|_| {}, &[&draw[..], &["-o", "cat.png", "--save-latents", "latents.safetensors"]].concat());
    let prompts = |scratch: &Scratch| fs::write(scratch.join("p.tsv"), "a rocket\t🚀\nロケット\trocket\n").unwrap();
    equal(prompts, &["evaluate", "--prompts", "p.tsv", "--steps", "2", "--json", "--sheet", "drawn.png"]);
}

#[test]
fn t24_examples_of_a_bound_are_shared() {
    if !mpirun() {
        return;
    }
    let model = |scratch: &Scratch| {
        let rows: String = (0..120).map(|i| format!("{},{},{}\n", i % 2, i / 2 % 2, i / 3 % 2)).collect();
        fs::write(scratch.join("bits.csv"), format!("a,b,c\n{rows}")).unwrap();
        let train = ["train", "vae", "bits.csv", "--hidden", "8", "--latent", "2", "--passes", "1", "--out", "run"];
        scratch.succeed(train);
        fs::copy(scratch.join("run/model.safetensors"), scratch.join("model.safetensors")).unwrap();
        fs::remove_dir_all(scratch.join("run")).unwrap();
    };
    equal(model, &["bound", "model.safetensors", "bits.csv", "-k", "70", "--json"]);
}

#[test]
fn t19_annealed_chains_are_shared() {
    if !mpirun() {
        return;
    }
    let table = |scratch: &Scratch| {
        let rows: String = (0..90).map(|i| format!("{},{},{},{}\n", i % 2, i / 2 % 2, i / 3 % 2, i / 5 % 2)).collect();
        fs::write(scratch.join("bits.csv"), format!("a,b,c,d\n{rows}")).unwrap();
    };
    let fit = |kind: &[&str], units: &str| {
        let common = ["bits.csv", "--units", units, "--epochs", "2", "--ais", "60", "--chains", "37", "--json"];
        equal(table, &[&["fit"], kind, &common].concat());
    };
    fit(&["rbm", "--hidden", "5"], "binary");
    fit(&["rbm", "--hidden", "5"], "spin");
    fit(&["dbn", "--layers", "4,3"], "binary");
    fit(&["dbm", "--layers", "4,3"], "binary");
}

#[test]
fn what_goes_wrong_is_said_once() {
    if !mpirun() {
        return;
    }
    let scratch = Scratch::new();
    let refused = |arguments: &[&str], says: &str| {
        let output = ranks(&scratch, 3, arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        let lines: Vec<&str> = told.lines().filter(|line| line.contains(says)).collect();
        assert_eq!(lines.len(), 1, "{told}");
    };
    refused(&["anneal", "absent.json"], "yuragi: cannot read absent.json");
    refused(&["anneal", "glass:4x4", "--sweeps", "0"], "--sweeps");
    refused(&["sample", "absent.safetensors"], "other commands run as one process");
}
