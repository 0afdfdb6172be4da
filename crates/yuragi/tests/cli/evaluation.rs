use serde_json::Value;
use yuragi::io::Picture;

use crate::program::Scratch;

#[test]
fn a_folder_is_measured_and_figures_repeat() {
    let scratch = Scratch::new();
    let data = scratch.pictures();
    let flags = ["evaluate", "--data", data, "--steps", "1", "--guidance", "1", "--json", "--sheet", "sheet.png"];
    let report = |threads: &str| -> Value {
        let out = scratch.succeed(flags.iter().chain(&["--threads", threads])).out;
        serde_json::from_str(&out).unwrap()
    };
    let one = report("1");
    let groups = one["report"]["groups"].as_array().unwrap();
    assert_eq!((groups.len(), groups[0]["count"].as_u64()), (1, Some(4)));
    assert_eq!(groups[0]["language"], "plain");
    assert_eq!(groups[0]["top5"], 1.0, "four pictures are all among the five nearest");
    assert!(one["report"]["composition"].is_null());
    assert_eq!(one["report"], report("2")["report"]);
    let sheet = Picture::open(scratch.join("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (16 * 66 + 2, 2 * 66 + 2));

    let table = scratch.succeed(["evaluate", "--data", data, "--steps", "1", "--count", "2"]).out;
    assert!(table.contains("of 4 pictures") && table.contains("2 pictures in"), "{table}");
}

#[test]
fn data_that_cannot_be_measured() {
    let scratch = Scratch::new();
    scratch.refuse(["evaluate", "--data", "none"], &["cannot read none"]);
    Picture::filled(8, 8, [0; 3]).map(|p| yuragi::io::png::save(scratch.join("plain.png"), &p, &[])).unwrap().unwrap();
    scratch.refuse(["evaluate", "--data", "."], &["no captions"]);
    scratch.refuse(["evaluate", "--data", "emoji:plain.png"], &["plain.png", "not a TrueType or OpenType font"]);
}
