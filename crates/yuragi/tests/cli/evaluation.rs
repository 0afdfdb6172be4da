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
    assert_eq!((sheet.width(), sheet.height()), (16 * 130 + 2, 2 * 130 + 2));

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

#[test]
fn prompts_are_drawn_and_judged() {
    let scratch = Scratch::new();
    std::fs::write(
        scratch.join("prompts.tsv"),
        "# mine\na rocket\t🚀\tnoun\nロケット\trocket\ncat and dog\t🐱|🐈 + 🐶|🐕\tboth\n",
    )
    .unwrap();
    let flags = ["evaluate", "--prompts", "prompts.tsv", "--steps", "4", "--json", "--sheet", "drawn.png"];
    let report: Value = serde_json::from_str(&scratch.succeed(flags).out).unwrap();
    let groups = report["report"]["groups"].as_array().unwrap();
    let of =
        |language: &str, kind: Value| groups.iter().find(|g| g["language"] == language && g["kind"] == kind).unwrap();
    assert_eq!(of("english", "noun".into())["top1"], 1.0, "{report:#}");
    assert_eq!(of("japanese", Value::Null)["top1"], 1.0, "{report:#}");
    assert_eq!((of("english", Value::Null)["count"].as_u64(), report["drawn"].as_u64()), (Some(2), Some(3)));
    assert_eq!(Picture::open(scratch.join("drawn.png")).unwrap().width(), 3 * 130 + 2);
    let table = scratch.succeed(["evaluate", "--prompts", "prompts.tsv", "--steps", "1", "--guidance", "1"]).out;
    assert!(table.contains("recognised among") && table.contains("Japanese"), "{table}");
}

#[test]
fn prompts_and_judges_that_cannot_be_used() {
    let scratch = Scratch::new();
    let wrong = |text: &str, says: &[&str]| {
        std::fs::write(scratch.join("prompts.tsv"), text).unwrap();
        scratch.refuse(["evaluate", "--prompts", "prompts.tsv"], says);
    };
    wrong("a rocket", &["prompts.tsv:1", "a tab"]);
    wrong("\na rocket\trokcet", &["prompts.tsv:2", "`rokcet` is no thing"]);
    wrong("# none", &["prompts.tsv", "no prompt"]);
    scratch.refuse(["evaluate", "--prompts", "none.tsv"], &["cannot read none.tsv"]);
    scratch.refuse(["evaluate", "--judge", "none.safetensors"], &["none.safetensors"]);
    scratch.refuse(["train", "judge", "--bits", "3"], &["`--bits` is 3", "4, 5, 6 and 8"]);
    scratch.refuse(["train", "judge", "--rate", "0"], &["`--rate` is 0"]);
    scratch.refuse(["train", "judge", "--out", "no/judge.safetensors"], &["no folder"]);
}
