use std::fs;

use serde_json::Value;
use yuragi::io::{Picture, Table};

use crate::program::Scratch;

/// Two clouds, about (0, 0) and (10, 5), with a missing number now and then.
fn clouds(scratch: &Scratch) {
    let mut text = "left,right\n".to_owned();
    for i in 0..200u32 {
        let (a, b) = (f64::from(i * 37 % 100) / 50.0 - 1.0, f64::from(i * 61 % 100) / 50.0 - 1.0);
        let (x, y) = if i % 4 == 0 { (a + 10.0, b + 5.0) } else { (a, b) };
        text += &if i % 25 == 0 { format!("{x},\n") } else { format!("{x},{y}\n") };
    }
    fs::write(scratch.join("clouds.csv"), text).unwrap();
}

/// Forty pictures of 4×4 pixels, each one bright row, as IDX.
fn stripes(scratch: &Scratch) {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0, 0, 4];
    bytes.extend((0..40 * 16).map(|i| if i / 4 % 4 == i / 16 % 4 { 255 } else { 0 }));
    fs::write(scratch.join("stripes-idx3-ubyte"), bytes).unwrap();
}

#[test]
fn a_mixture_is_learned_kept_and_drawn_from() {
    let scratch = Scratch::new();
    clouds(&scratch);
    let arguments = ["fit", "gmm", "clouds.csv", "-k", "2", "--covariance", "diagonal", "--json"];
    let report: Value = serde_json::from_str(&scratch.succeed(arguments).out).unwrap();
    let weights: Vec<f64> = report["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
    assert!((weights[0].max(weights[1]) - 0.75).abs() < 1e-3, "{weights:?}");

    let shown = scratch.succeed(["info", "gmm.safetensors"]).out;
    assert!(
        shown.contains("gaussian mixture, rows of 2") && shown.contains("left") && shown.contains("0.7500"),
        "{shown}"
    );
    let drawn = scratch.succeed(["sample", "gmm.safetensors", "-n", "500", "--seed", "5"]).out;
    assert!(drawn.starts_with("left,right\n") && drawn.lines().count() == 501);
    scratch.succeed(["sample", "gmm.safetensors", "-n", "500", "--seed", "5", "-o", "drawn.npy"]);
    let table = Table::open(scratch.join("drawn.npy")).unwrap();
    let far = table.to_f64().chunks(2).filter(|row| row[0] > 5.0).count();
    // Five deviations of a binomial count about a quarter.
    assert!((far as f64 - 125.0).abs() < 5.0 * (500.0f64 * 0.25 * 0.75).sqrt(), "{far}");
}

#[test]
fn a_machine_is_learned_kept_and_drawn_from() {
    let scratch = Scratch::new();
    stripes(&scratch);
    let arguments = ["fit", "rbm", "stripes-idx3-ubyte", "--hidden", "8", "--epochs", "400", "--batch", "10"];
    let more = ["--rate", "0.1", "--steps", "5", "--filters", "filters.png", "-o", "stripes.safetensors", "--json"];
    let run = || scratch.succeed(arguments.iter().chain(&more)).out;
    let report: Value = serde_json::from_str(&run()).unwrap();
    let probability = report["log_probability"]["value"].as_f64().unwrap();
    // Four stripes of equal weight have −ln 4 = −1.39 at best; independent pixels, −9.0.
    assert!((-2.5..-1.3).contains(&probability), "{report}");
    let file = fs::read(scratch.join("stripes.safetensors")).unwrap();
    run();
    assert_eq!(fs::read(scratch.join("stripes.safetensors")).unwrap(), file);

    assert!(
        scratch
            .succeed(["info", "stripes.safetensors"])
            .out
            .contains("rows of 4x4\n16 visible units (Binary), 8 hidden")
    );
    scratch.succeed(["sample", "stripes.safetensors", "-n", "9", "-o", "sheet.png"]);
    let sheet = Picture::open(scratch.join("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (20, 20));
    let drawn = scratch.succeed(["sample", "stripes.safetensors", "-n", "100"]).out;
    let whole = |line: &str| {
        let bits = line.replace(',', "");
        (0..4).any(|row| bits == "0000".repeat(row) + "1111" + &"0000".repeat(3 - row))
    };
    let stripes = drawn.lines().filter(|line| whole(line)).count();
    assert!(stripes >= 70, "{stripes} of 100 rows are stripes");
}

#[test]
fn a_network_is_learned_kept_and_drawn_from() {
    let scratch = Scratch::new();
    stripes(&scratch);
    let arguments = ["fit", "dbn", "stripes-idx3-ubyte", "--layers", "8,6", "--epochs", "300", "--batch", "10"];
    let more = ["--rate", "0.1", "--steps", "5", "--centred", "--json"];
    let report: Value = serde_json::from_str(&scratch.succeed(arguments.iter().chain(&more)).out).unwrap();
    let [lower, importance] = ["lower", "importance"].map(|key| report[key]["value"].as_f64().unwrap());
    // Four stripes of equal weight have −ln 4 = −1.39 at best; independent pixels, −9.0.
    assert!(lower <= importance && (-5.0..-1.3).contains(&importance), "{report}");
    let shown = scratch.succeed(["info", "dbn.safetensors"]).out;
    assert!(shown.contains("deep belief network, rows of 4x4") && shown.contains("top: 8 visible units"), "{shown}");
    let draw = || scratch.succeed(["sample", "dbn.safetensors", "-n", "50", "--steps", "200"]).out;
    let drawn = draw();
    assert!(drawn.lines().count() == 50 && drawn == draw());
    scratch.succeed(["sample", "dbn.safetensors", "-n", "4", "-o", "sheet.png"]);
    assert_eq!(Picture::open(scratch.join("sheet.png")).unwrap().width(), 14);
    scratch.refuse(["fit", "dbn", "stripes-idx3-ubyte", "--rate", "nan"], &["rate is NaN"]);
}

#[test]
fn a_deep_machine_is_learned_kept_and_drawn_from() {
    let scratch = Scratch::new();
    stripes(&scratch);
    let arguments = ["fit", "dbm", "stripes-idx3-ubyte", "--layers", "8,6", "--epochs", "300", "--batch", "10"];
    let more = ["--rate", "0.1", "--steps", "5", "--centred", "--json"];
    let report: Value = serde_json::from_str(&scratch.succeed(arguments.iter().chain(&more)).out).unwrap();
    let lower = report["lower"]["value"].as_f64().unwrap();
    // Four stripes of equal weight have −ln 4 = −1.39 at best; independent pixels, −9.0.
    assert!((-5.0..-1.3).contains(&lower), "{report}");
    let shown = scratch.succeed(["info", "dbm.safetensors"]).out;
    assert!(shown.contains("deep Boltzmann machine, rows of 4x4\nlayers of 16-8-6 units (Binary), 206"), "{shown}");
    let draw = || scratch.succeed(["sample", "dbm.safetensors", "-n", "50", "--steps", "200"]).out;
    let drawn = draw();
    assert!(drawn.lines().count() == 50 && drawn == draw());
    assert!(drawn.lines().all(|line| line.split(',').count() == 16));
    scratch.refuse(["fit", "dbm", "stripes-idx3-ubyte", "--rate", "nan"], &["rate is NaN"]);
    scratch.refuse(["fit", "dbm", "stripes-idx3-ubyte", "--units", "gaussian"], &["two-state units"]);
}

#[test]
fn learning_goes_on_from_a_file() {
    let scratch = Scratch::new();
    stripes(&scratch);
    let fit = |kind: &str, more: &[&str]| {
        let common = ["fit", kind, "stripes-idx3-ubyte", "--batch", "10", "--centred", "--json"];
        scratch.succeed(common.iter().chain(more)).out
    };
    let nats = |text: &str, key: &str| serde_json::from_str::<Value>(text).unwrap()[key]["value"].as_f64().unwrap();
    let before =
        nats(&fit("rbm", &["--hidden", "8", "--epochs", "20", "--rate", "0.1", "-o", "first"]), "log_probability");
    let after =
        nats(&fit("rbm", &["--init", "first", "--epochs", "200", "--rate", "0.1", "-o", "second"]), "log_probability");
    assert!(after > before + 0.5, "{before} {after}");
    // Layers above that hardly learn leave a machine what it was.
    let deep = fit("dbm", &["--layers", "8,6", "--init", "second", "--epochs", "1", "--rate", "1e-6", "-o", "deep"]);
    let deep = nats(&deep, "lower");
    assert!((deep - after).abs() < 0.3, "{after} {deep}");
    let unmeasured = fit("dbm", &["--layers", "8,6", "--init", "deep", "--epochs", "1", "--ais", "0"]);
    let unmeasured: Value = serde_json::from_str(&unmeasured).unwrap();
    assert!(unmeasured["lower"].is_null() && unmeasured["log_z"].is_null(), "{unmeasured}");
    assert!(unmeasured.get("lower").is_some() && unmeasured.get("importance").is_none(), "{unmeasured}");
    let refuse = |kind, more: &[&str], parts: &[&str]| {
        scratch.refuse(["fit", kind, "stripes-idx3-ubyte"].iter().chain(more), parts);
    };
    refuse("rbm", &["--init", "deep"], &["deep is a deep Boltzmann machine"]);
    refuse("rbm", &["--init", "nowhere"], &["nowhere"]);
    refuse("rbm", &["--init", "first", "--hidden", "9"], &["16 Binary and 8 Binary", "16 Binary and 9 Binary"]);
    refuse("rbm", &["--init", "first", "--units", "spin"], &["must have 16 Spin and 8 Spin"]);
    refuse("dbm", &["--init", "first", "--layers", "9,6"], &["[16, 8, 6]", "must be [16, 9, 6]"]);
}

#[test]
fn gaussian_and_spin_units_give_back_what_they_were() {
    let scratch = Scratch::new();
    clouds(&scratch);
    stripes(&scratch);
    let text = fs::read_to_string(scratch.join("clouds.csv")).unwrap();
    let whole: Vec<&str> = text.lines().filter(|line| !line.ends_with(',')).collect();
    fs::write(scratch.join("whole.csv"), whole.join("\n")).unwrap();
    scratch.succeed([
        "fit",
        "rbm",
        "whole.csv",
        "--units",
        "gaussian",
        "--hidden",
        "4",
        "--rate",
        "0.01",
        "-o",
        "g.safetensors",
    ]);
    scratch.succeed(["sample", "g.safetensors", "-n", "2000", "-o", "g.csv"]);
    let drawn = Table::open(scratch.join("g.csv")).unwrap().to_f64();
    let mean = drawn.chunks(2).map(|row| row[0]).sum::<f64>() / 2000.0;
    // The data's mean is 2.5, their deviation 4.4.
    assert!((mean - 2.5).abs() < 1.5, "{mean}");
    scratch.succeed(["fit", "rbm", "stripes-idx3-ubyte", "--units", "spin", "--epochs", "5", "-o", "s.safetensors"]);
    let drawn = scratch.succeed(["sample", "s.safetensors", "-n", "3"]).out;
    assert!(drawn.replace('\n', ",").split_terminator(',').all(|word| word == "1" || word == "-1"), "{drawn}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let scratch = Scratch::new();
    clouds(&scratch);
    stripes(&scratch);
    fs::write(scratch.join("words.csv"), "1,2\n3,four\n").unwrap();
    scratch.refuse(["fit", "gmm", "none.csv"], &["cannot read none.csv"]);
    scratch.refuse(["fit", "gmm", "words.csv"], &["words.csv: line 2, column 2: `four` is no number"]);
    scratch.refuse(["fit", "gmm", "clouds.csv", "-k", "201"], &["components is 201"]);
    scratch.refuse(["fit", "gmm", "clouds.csv", "-o", "none/x"], &["there is no folder none"]);
    scratch.refuse(["fit", "gmm", "clouds.csv", "--rows", "0"], &["`--rows` is 0"]);
    scratch.refuse(["fit", "rbm", "clouds.csv"], &["clouds.csv: row 1, column 1", "from 0 to 1"]);
    scratch.refuse(["fit", "rbm", "stripes-idx3-ubyte", "--test", "clouds.csv"], &["clouds.csv"]);
    scratch.refuse(["fit", "rbm", "stripes-idx3-ubyte", "--rate", "0"], &["rate is 0"]);
    scratch.refuse(["fit", "rbm", "stripes-idx3-ubyte", "--momentum", "1"], &["momentum is 1"]);
    scratch.refuse(["sample", "none.safetensors"], &["cannot read none.safetensors"]);
    scratch.refuse(["sample", "words.csv"], &["words.csv"]);
    scratch.succeed(["fit", "gmm", "clouds.csv"]);
    scratch.refuse(["sample", "gmm.safetensors", "-o", "x.png"], &["rows of 2 numbers are no pictures"]);
    scratch.refuse(["sample", "gmm.safetensors", "-o", "x.txt"], &[".csv or .npy"]);
    scratch.refuse(["generate", "cat", "--model", "gmm.safetensors"], &["no model of this program"]);
    scratch.model("emoji.safetensors", |_| ());
    scratch.refuse(["sample", "emoji.safetensors"], &["emoji.safetensors is no model of a table"]);
}
