use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use yuragi::io::{Picture, Table};

use crate::program::Scratch;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn ground_states_are_found_by_every_method_and_chain() {
    let scratch = Scratch::new();
    for arguments in [
        &["--method", "anneal"][..],
        &["--method", "quantum"],
        &["--method", "exchange", "--temperatures", "8"],
        &["--method", "population", "--beta", "0:3"],
        &["--method", "jarzynski", "--beta", "0:3"],
        &["--chain", "heat-bath", "--cooling", "linear"],
        &["--chain", "suwa-todo", "--cooling", "adaptive"],
        &["--chain", "skewed"],
    ] {
        let all = ["anneal", "ising:4x4", "-n", "50", "--sweeps", "200", "--json"].iter().chain(arguments);
        let report = json(&scratch.succeed(all).out);
        assert_eq!(report["lowest_energy"], -32.0, "{arguments:?}");
        let lowest = report["samples"][0]["values"].as_array().unwrap();
        assert!(lowest.len() == 16 && lowest.iter().all(|value| *value == lowest[0]), "{lowest:?}");
    }
    let potts = scratch.succeed(["anneal", "potts:3:4x4", "--chain", "suwa-todo", "--json"]).out;
    assert_eq!(json(&potts)["lowest_energy"], -32.0);
}

#[test]
fn t19_t20_free_energies_are_kaufmans() {
    let scratch = Scratch::new();
    for method in ["population", "jarzynski"] {
        let arguments = ["anneal", "ising:4x4", "--method", method, "--beta", "0:0.4", "-n", "4000", "--json"];
        let report = json(&scratch.succeed(arguments).out);
        let last = report["free_energy"].as_array().unwrap().last().unwrap().clone();
        let [log_z, error] = ["log_z", "error"].map(|key| last[key].as_f64().unwrap());
        // ln Z of the periodic 4×4 lattice at β = 0.4 (Kaufman 1949).
        assert!((log_z - 14.561093023844).abs() < 5.0 * error && error < 0.03, "{method}: {last}");
    }
}

#[test]
fn seeds_decide_and_threads_do_not() {
    let scratch = Scratch::new();
    let run = |seed: &str, threads: &str, output: &str| {
        let what = ["anneal", "glass:12x12", "-n", "700", "--sweeps", "20", "--top", "0"];
        scratch.succeed(what.iter().chain(&["--seed", seed, "--threads", threads, "-o", output]));
        fs::read(scratch.join(output)).unwrap()
    };
    let one = run("1", "1", "a.csv");
    assert_eq!(run("1", "3", "b.csv"), one);
    assert_ne!(run("2", "1", "c.csv"), one);
}

#[test]
fn states_come_back_as_their_file_means_them() {
    let scratch = Scratch::new();
    fs::write(scratch.join("spins.json"), r#"{"J": [[0, 1, 1], [1, 2, -1]], "h": [0.5, 0, 0]}"#).unwrap();
    scratch.succeed(["anneal", "spins.json", "-o", "spins.npy", "--plot", "spins.png"]);
    let table = Table::open(scratch.join("spins.npy")).unwrap();
    assert_eq!(table.to_f64()[..5], [-2.5, table.to_f64()[1], 1.0, 1.0, -1.0]);
    assert_eq!(Picture::open(scratch.join("spins.png")).unwrap().width(), 960);

    fs::write(scratch.join("bits.coo"), "# vartype=BINARY\n0 0 -1\n1 1 -1\n0 1 3\n2 2 1\n").unwrap();
    let shown = scratch.succeed(["anneal", "bits.coo", "-n", "9"]).out;
    assert!(
        shown.contains("3 bits, 1 couplings") && (shown.contains("  100\n") || shown.contains("  010\n")),
        "{shown}"
    );
    fs::write(scratch.join("text.coo"), "0 0 1\n").unwrap();
    assert!(scratch.succeed(["anneal", "text.coo", "--vartype", "spin"]).out.contains("lowest energy -1,"));
    assert!(scratch.succeed(["anneal", "text.coo"]).out.contains("lowest energy 0,"));
}

#[test]
fn cuts_are_told_as_their_graphs_mean_them() {
    let scratch = Scratch::new();
    // A square of which one diagonal is heavy: all but the weight 1 is cut.
    fs::write(scratch.join("square.mc"), "4 5\n1 2 4\n2 3 4\n3 4 4\n4 1 4\n1 3 1\n").unwrap();
    let shown = scratch.succeed(["anneal", "square.mc", "-n", "20", "-o", "cuts.csv"]).out;
    assert!(
        shown.contains("(max-cut of a graph): 4 bits, 5 couplings") && shown.contains("largest cut 16,"),
        "{shown}"
    );
    let written = fs::read_to_string(scratch.join("cuts.csv")).unwrap();
    let best = written.lines().nth(1).unwrap();
    assert!(written.starts_with("cut,reads,1,2,3,4\n16,"), "{written}");
    assert!(best.ends_with(",1,0,1,0") || best.ends_with(",0,1,0,1"), "{written}");
    let report = json(&scratch.succeed(["anneal", "square.mc", "-n", "20", "--json"]).out);
    assert_eq!((&report["lowest_energy"], &report["format"]), (&json("-16.0"), &json("\"max-cut of a graph\"")));
    assert_eq!(report["objective"]["best"], 16.0);
    assert_eq!((&report["objective"]["sense"], &report["samples"][0]["cut"]), (&json("\"maximize\""), &json("16.0")));
    let least = scratch.succeed(["anneal", "square.mc", "-n", "20", "--minimize"]).out;
    assert!(least.contains("lowest cut 0,"), "{least}");
    let quadratic = scratch.succeed(["anneal", "square.mc", "-n", "20", "--format", "bq", "--maximize"]).out;
    assert!(
        quadratic.contains("largest value 34,") && quadratic.contains("note: entries off the diagonal"),
        "{quadratic}"
    );
}

#[test]
fn what_a_file_says_of_its_variables_stands() {
    let scratch = Scratch::new();
    fs::write(scratch.join("spins.coo"), "\u{feff}# of a colleague, vartype: SPIN\r\n0 0 1\r\n0 1 1\r\n").unwrap();
    assert!(scratch.succeed(["anneal", "spins.coo"]).out.contains("2 spins, 1 couplings\n"));
    assert!(scratch.succeed(["anneal", "spins.coo", "--vartype", "spin"]).out.contains("lowest energy -2,"));
    scratch.refuse(["anneal", "spins.coo", "--vartype", "binary"], &["spins.coo", "asked for as bits"]);
    fs::write(scratch.join("keys.json"), r#"{"J": [[0, 1, 1]], "offset": 5, "H": [1, 1]}"#).unwrap();
    scratch.refuse(["anneal", "keys.json"], &["keys.json", "`H`", "offset"]);
    fs::write(scratch.join("page.txt"), "<html>\n<p>404\n").unwrap();
    scratch.refuse(["anneal", "page.txt"], &["page.txt", "a web page", "rudy"]);
    scratch.refuse(["anneal", "spins.coo", "--format", "max-cut"], &["line 2", "read as a graph"]);
}

/// A published problem, if it is in ../shared/data or in the folder that YURAGI_DATA names.
fn published(name: &str) -> Option<PathBuf> {
    let folders = [
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")),
        std::env::var_os("YURAGI_DATA").map(PathBuf::from),
    ];
    let mut files = folders.into_iter().flatten().map(|folder| folder.join("problems").join(name));
    let found = files.find(|file| file.exists());
    if found.is_none() {
        eprintln!("skipped: {name} is neither in ../shared/data/problems nor in $YURAGI_DATA/problems");
    }
    found
}

#[test]
fn t17_published_problems_are_read_as_they_are() {
    let scratch = Scratch::new();
    // The best known values: of the first three, 11624, 3064 and 1410.
    for (name, objective, at_least, at_most) in [
        ("G1.txt", "cut", 11624.0, 11624.0),
        ("G14.txt", "cut", 3062.0, 3064.0),
        ("G32.txt", "cut", 1408.0, 1410.0),
        ("be100.1.mc", "cut", 19412.0, 19412.0),
        ("bqp50_1.qubo", "value", 2098.0, 2098.0),
        ("bqp100_1.qubo", "value", 7970.0, 7970.0),
    ] {
        let Some(path) = published(name) else { continue };
        let report = json(&scratch.succeed(["anneal".as_ref(), path.as_os_str(), "--json".as_ref()]).out);
        let best = report["objective"]["best"].as_f64().unwrap();
        assert_eq!(report["objective"]["name"], objective);
        assert!((at_least..=at_most).contains(&best), "{name}: {best}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let scratch = Scratch::new();
    fs::write(scratch.join("bad.coo"), "0 1 1\n0 one 1\n").unwrap();
    fs::write(scratch.join("bad.json"), "{\"J\": [[0, 0, 1]]}").unwrap();
    let refuse = |arguments: &[&str], words: &[&str]| {
        scratch.refuse(["anneal"].iter().chain(arguments), words);
    };
    refuse(&["none.json"], &["cannot read none.json"]);
    refuse(&["bad.coo"], &["bad.coo: line 2"]);
    refuse(&["bad.json"], &["bad.json", "coupled with itself"]);
    refuse(&["ising:0x4"], &["side"]);
    refuse(&["ising:2x2x2x2"], &["1, 2 or 3"]);
    refuse(&["sk:99999"], &["sk:99999 is too large"]);
    refuse(&["ising:4x4", "--maximize"], &["ising:4x4 is built in"]);
    refuse(&["potts:1:4x4"], &["states"]);
    refuse(&["potts:3:4x4", "--method", "quantum"], &["spins"]);
    refuse(&["potts:3:4x4", "--device", "cuda"], &["spins", "`--device cpu`"]);
    refuse(&["ising:4x4", "--method", "quantum", "--device", "cuda:1"], &["`quantum`", "`--device cpu`"]);
    refuse(&["ising:4x4", "-o", "states.txt"], &["states.txt", ".csv or .npy"]);
    refuse(&["ising:4x4", "-o", "none/states.csv"], &["there is no folder none"]);
    refuse(&["ising:4x4", "--beta", "0:1", "--cooling", "geometric"], &["positive"]);
    refuse(&["ising:4x4", "--beta", "3:1", "--method", "exchange"], &["beta"]);
    refuse(&["ising:4x4", "--beta", "1:2", "--method", "jarzynski"], &["first beta", "0"]);
    for (arguments, words) in
        [(["--beta", "1"], "0.1:3"), (["--beta", "1:x"], "0 to 1e30"), (["--reads", "0"], "1..=16777216")]
    {
        let ended = scratch.run(["anneal", "ising:4x4"].iter().chain(&arguments));
        assert!(ended.code == Some(2) && ended.err.contains(words), "{}", ended.err);
    }
}
