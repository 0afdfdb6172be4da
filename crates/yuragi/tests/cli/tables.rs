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
fn a_mixture_takes_weights_and_means_and_tells_labels_and_floors() {
    let scratch = Scratch::new();
    // Two clusters of deviation 1 at a distance of 10⁷, and one row far from both that hardly counts.
    let values: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 100) / 28.87 + 1e7 * f64::from(i % 2)).collect();
    let column = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join("\n");
    fs::write(scratch.join("far.csv"), format!("x\n{}\n-1e12\n", column(&values))).unwrap();
    let weights: Vec<f64> = (0..101).map(|i| if i == 100 { 1e-3 } else { [1.0, 3.0][i % 2] }).collect();
    fs::write(scratch.join("weights.csv"), format!("weight\n{}\n", column(&weights))).unwrap();
    fs::write(scratch.join("means.csv"), "x\n9e6\n5\n-1e12\n").unwrap();
    let arguments =
        ["fit", "gmm", "far.csv", "--weights", "weights.csv", "--means", "means.csv", "--scores", "scores.csv"];
    let report = scratch.succeed(arguments.iter().chain(&["--json"])).out;
    let report: Value = serde_json::from_str(&report).unwrap();
    let number = |key: &str, k: usize| report[key][k].as_f64().unwrap();
    assert!((number("weights", 0) - 0.75).abs() < 1e-4 && (number("weights", 1) - 0.25).abs() < 1e-4, "{report}");
    assert!((0.9..1.1).contains(&number("covariances", 0)) && (0.9..1.1).contains(&number("covariances", 1)));
    assert_eq!(report["floored"], serde_json::json!([2]));
    let scores = Table::open(scratch.join("scores.csv")).unwrap();
    assert_eq!(scores.names(), ["label", "log_density", "share 0", "share 1", "share 2"]);
    let rows = scores.to_f64();
    assert_eq!(rows.chunks(5).map(|row| row[0]).collect::<Vec<_>>()[97..], [0.0, 1.0, 0.0, 2.0]);
    assert!(rows.chunks(5).all(|row| row[1].is_finite() && (row[2] + row[3] + row[4] - 1.0).abs() < 1e-12));
    let told = scratch.succeed(arguments).out;
    assert!(told.contains("raised to the least variance (`--floor 0.000001`): component 2\n"), "{told}");
    let with = |more: [&'static str; 2]| arguments.into_iter().chain(more).collect::<Vec<_>>();
    scratch.refuse(with(["-k", "2"]), &["means.csv has 3 rows; `-k 2` asks for 2 components"]);
    scratch.refuse(with(["--floor", "2"]), &["the floor is 2; it must be in [0, 1]"]);
    let unequal = ["fit", "gmm", "far.csv", "--weights", "means.csv"];
    scratch.refuse(unequal, &["means.csv has 3 rows of 1 columns; weights are 101 rows of 1 column"]);
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
    // A minute of seconds since 1970: the offset is ten million times the deviation.
    let column: Vec<String> = (0..200).map(|i| (1_700_000_000 + i * 37 % 60).to_string()).collect();
    fs::write(scratch.join("seconds.csv"), format!("time\n{}\n", column.join("\n"))).unwrap();
    scratch.succeed(["fit", "rbm", "seconds.csv", "--units", "gaussian", "--hidden", "2", "-o", "t.safetensors"]);
    scratch.succeed(["sample", "t.safetensors", "-n", "2000", "--steps", "50", "-o", "t.npy"]);
    let drawn: Vec<f64> = Table::open(scratch.join("t.npy")).unwrap().to_f64().iter().map(|t| t - 1.7e9).collect();
    let mean = drawn.iter().sum::<f64>() / 2000.0;
    let deviation = (drawn.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 2000.0).sqrt();
    assert!((mean - 29.5).abs() < 3.0 && (15.0..21.0).contains(&deviation), "{mean} {deviation}");
    scratch.succeed(["fit", "rbm", "stripes-idx3-ubyte", "--units", "spin", "--epochs", "5", "-o", "s.safetensors"]);
    let drawn = scratch.succeed(["sample", "s.safetensors", "-n", "3"]).out;
    assert!(drawn.replace('\n', ",").split_terminator(',').all(|word| word == "1" || word == "-1"), "{drawn}");
}

#[test]
fn tables_of_0_and_1_are_alike_in_every_form() {
    let scratch = Scratch::new();
    // Two patterns of six bits and a few strays.
    let bit = |row: usize, column: usize| {
        u8::from(row.is_multiple_of(2) == (column < 3) || (row * 7 + column * 3).is_multiple_of(29))
    };
    let bits: Vec<u8> = (0..80).flat_map(|row| (0..6).map(move |column| bit(row, column))).collect();
    let npy = |name: &str, descr: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (80, 6), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat();
        fs::write(scratch.join(name), bytes).unwrap();
    };
    npy("bool.npy", "|b1", &bits);
    npy("bytes.npy", "|u1", &bits);
    npy("reals.npy", ">f4", &bits.iter().flat_map(|&bit| f32::from(bit).to_be_bytes()).collect::<Vec<_>>());
    npy("grey.npy", "|u1", &bits.iter().map(|&bit| 255 * bit).collect::<Vec<_>>());
    fs::write(scratch.join("idx"), [&[0, 0, 8, 2, 0, 0, 0, 80, 0, 0, 0, 6][..], &bits].concat()).unwrap();
    let words: Vec<String> = bits
        .chunks(6)
        .map(|row| row.iter().map(|&b| if b == 1 { "True" } else { "False" }).collect::<Vec<_>>().join(","))
        .collect();
    fs::write(scratch.join("words.csv"), format!("0,1,2,3,4,5\n{}\n", words.join("\n"))).unwrap();
    for (kind, units, more) in [
        ("rbm", "binary", ["--hidden", "3"]),
        ("rbm", "spin", ["--hidden", "3"]),
        ("dbm", "binary", ["--layers", "3,2"]),
    ] {
        let fit = |data: &str, more_still: &[&str]| {
            let common =
                ["fit", kind, data, "--units", units, "--epochs", "30", "--batch", "20", "--ais", "200", "--json"];
            let ended = scratch.succeed(common.iter().chain(&more).chain(more_still));
            let report: Value = serde_json::from_str(&ended.out).unwrap();
            let nats = ["log_probability", "lower"].iter().find_map(|key| report[*key]["value"].as_f64()).unwrap();
            (nats, report["notes"].to_string(), ended.err)
        };
        let (expected, _, _) = fit("reals.npy", &[]);
        for data in ["bool.npy", "bytes.npy", "idx", "words.csv", "grey.npy"] {
            assert_eq!(fit(data, &[]).0, expected, "{kind} {units} {data}");
        }
        assert_eq!(fit("grey.npy", &["--test", "bool.npy"]).0, expected);
        assert_eq!(fit("bytes.npy", &["--test", "reals.npy"]).0, expected);
        assert_ne!(fit("bytes.npy", &["--scale", "255"]).0, expected);
        let (_, notes, err) = fit("bytes.npy", &[]);
        assert!(
            notes.contains("taken as they are") && err.contains("bytes.npy: its bytes are taken as they are"),
            "{err}"
        );
        assert!(fit("grey.npy", &[]).1.contains("divided by 255"));
    }
    scratch.refuse(["fit", "rbm", "bytes.npy", "--test", "grey.npy"], &["grey.npy", "is 255", "--scale 255"]);
}

#[test]
fn spins_come_back_as_spins() {
    let scratch = Scratch::new();
    let rows: Vec<&str> = (0..40).map(|i| if i % 2 == 0 { "-1,1,1" } else { "1,-1,-1" }).collect();
    fs::write(scratch.join("spins.csv"), rows.join("\n")).unwrap();
    let fit = |data: &str, more: &[&str]| {
        let common = ["fit", "rbm", data, "--units", "spin", "--hidden", "2", "--epochs", "200", "--batch", "10"];
        let report = scratch.succeed(common.iter().chain(&["--rate", "0.1", "--json"]).chain(more)).out;
        serde_json::from_str::<Value>(&report).unwrap()["log_probability"]["value"].as_f64().unwrap()
    };
    // Two rows of equal weight have −ln 2 = −0.69 at best; independent spins, −2.1.
    let first = fit("spins.csv", &["-o", "one"]);
    assert!((-1.0..-0.69).contains(&first), "{first}");
    scratch.succeed(["sample", "one", "-n", "60", "-o", "drawn.npy"]);
    let again = fit("drawn.npy", &["-o", "two"]);
    assert!((-1.2..-0.69).contains(&again), "{again}");
    fs::write(scratch.join("chain.json"), r#"{"J": [[0, 1, -1], [1, 2, 1]]}"#).unwrap();
    scratch.succeed(["anneal", "chain.json", "-o", "states.csv"]);
    fit("states.csv", &["--skip-columns", "energy,reads", "--rows", "2"]);
    scratch.refuse(["fit", "rbm", "spins.csv"], &["row 1, column 1 is -1", "--units spin"]);
    scratch.refuse(["fit", "rbm", "states.csv", "--units", "spin"], &["row 1, column 1 is -2", "from -1 to 1"]);
}

#[test]
fn columns_are_chosen_on_the_command_line() {
    let scratch = Scratch::new();
    let text: String = (0..40).map(|i| format!("{i};{}, {};kind {i}\n", i % 7, i % 5)).collect();
    let text = text.replace(", ", ",");
    fs::write(scratch.join("t.csv"), format!("id;x;kind\n{text}")).unwrap();
    let fit = |more: &[&str]| {
        let common = ["fit", "gmm", "t.csv", "-k", "1", "--json"];
        let report: Value = serde_json::from_str(&scratch.succeed(common.iter().chain(more)).out).unwrap();
        (report["names"].to_string(), report["rows"].as_u64().unwrap(), report["notes"].to_string())
    };
    let (names, rows, notes) = fit(&["--skip-columns", "id,kind"]);
    assert_eq!((names.as_str(), rows), ("[\"x\"]", 40));
    assert!(notes.contains("decimal comma"), "{notes}");
    assert_eq!(fit(&["--columns", "x", "--decimal", ",", "--delimiter", ";"]).0, names);
    assert_eq!(fit(&["--columns", "2", "--header", "yes"]).0, names);
    scratch.refuse(["fit", "gmm", "t.csv"], &["line 2, column 3: `kind 0`", "--skip-columns kind"]);
    scratch.refuse(["fit", "gmm", "t.csv", "--columns", "y"], &["no column y; they are named id, x, kind"]);
    let wrong = scratch.run(["fit", "gmm", "t.csv", "--delimiter", "ab"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("tab or space"), "{}", wrong.err);
    fs::write(scratch.join("data.csv"), "a,b\n0,1\n1,0\n1,1\n").unwrap();
    fs::write(scratch.join("test.csv"), "b,a\n1,1\n").unwrap();
    scratch.refuse(["fit", "rbm", "data.csv", "--test", "test.csv"], &["test.csv has the column b", "`--columns`"]);
    scratch.succeed(["fit", "rbm", "data.csv", "--test", "test.csv", "--columns", "a,b", "--epochs", "1"]);
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

#[cfg(unix)]
#[test]
fn an_interrupted_network_is_kept() {
    let scratch = Scratch::new();
    stripes(&scratch);
    let arguments = ["fit", "dbn", "stripes-idx3-ubyte", "--layers", "8,6", "--epochs", "400000", "--batch", "40"];
    let running = scratch.start(&arguments, "10 % learned");
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains("what was learned is kept"), "{}", ended.err);
    let drawn = scratch.succeed(["sample", "dbn.safetensors", "-n", "3", "--steps", "10"]).out;
    assert_eq!(drawn.lines().count(), 3);
}
