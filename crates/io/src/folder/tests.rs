use super::*;
use crate::png;
use crate::testing::Scratch;

fn paint(path: &Path, colour: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    png::save(path, &Picture::filled(12, 8, colour).unwrap(), &[]).unwrap();
}

fn ids(dataset: &Dataset) -> Vec<&str> {
    dataset.items.iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn both_conventions_in_one_tree() {
    let scratch = Scratch::new();
    paint(&scratch.join("b.png"), [255, 0, 0]);
    fs::write(scratch.join("b.txt"), "\u{feff}a red square \r\n").unwrap();
    paint(&scratch.join("deep/er/a.PNG"), [0, 255, 0]);
    fs::write(scratch.join("deep/er/a.txt"), "not this").unwrap();
    paint(&scratch.join("deep/c.png"), [0, 0, 255]);
    let metadata = r#"{"file_name": "er/a.PNG", "text": "緑の四角", "size": [12, 8]}

{"file_name": "c.png", "caption": "a blue square"}"#;
    fs::write(scratch.join("deep/metadata.jsonl"), metadata).unwrap();
    paint(&scratch.join("plain.png"), [9; 3]);
    paint(&scratch.join(".hidden/no.png"), [0; 3]);
    fs::write(scratch.join("notes.md"), "no picture").unwrap();

    let options = Options { size: 4, ..Options::default() };
    let dataset = load(&*scratch, &options).unwrap();
    assert_eq!(ids(&dataset), ["b.png", "deep/c.png", "deep/er/a.PNG", "plain.png"]);
    let captions: Vec<_> = dataset.items.iter().map(|item| item.caption(CaptionKind::Plain)).collect();
    assert_eq!(captions, [Some("a red square"), Some("a blue square"), Some("緑の四角"), None]);
    assert_eq!(dataset.skipped.len(), 1, "{:?}", dataset.skipped);
    assert_eq!(dataset.skipped[0].reason, "not used: the caption of a.PNG is in a list");
    assert_eq!(dataset.notes, ["1 of 4 pictures have no caption: plain.png"]);
    assert_eq!(dataset.items[0].picture, Picture::filled(4, 4, [255, 0, 0]).unwrap());

    let strict = load(&*scratch, &Options { uncaptioned: Uncaptioned::Skip, fit: Fit::Pad, ..options }).unwrap();
    assert_eq!(strict.items.len(), 3);
    assert_eq!(strict.items[0].picture.pixel(0, 3), Some([255; 3]));
    assert_eq!(strict.skipped[1].reason, "it has no caption");
}

#[test]
fn broken_things_are_named_and_skipped() {
    let scratch = Scratch::new();
    paint(&scratch.join("good.png"), [1; 3]);
    fs::write(scratch.join("empty.png"), b"").unwrap();
    fs::write(scratch.join("text.jpg"), b"not a picture").unwrap();
    let whole = fs::read(scratch.join("good.png")).unwrap();
    fs::write(scratch.join("cut.png"), &whole[..whole.len() - 20]).unwrap();
    paint(&scratch.join("sjis.png"), [2; 3]);
    fs::write(scratch.join("sjis.txt"), [0x83, 0x6c, 0x83, 0x52]).unwrap();
    let metadata = "{\"file_name\": \"gone.png\", \"text\": \"x\"}\nnot json\n{\"text\": \"no name\"}\n";
    fs::write(scratch.join("metadata.jsonl"), metadata).unwrap();

    let dataset = load(&*scratch, &Options::default()).unwrap();
    assert_eq!(ids(&dataset), ["good.png"]);
    let said: Vec<String> = dataset
        .skipped
        .iter()
        .map(|s| format!("{}: {}", s.path.strip_prefix(&*scratch).unwrap().display(), s.reason))
        .collect();
    assert_eq!(said[0], "metadata.jsonl: line 1: there is no gone.png");
    assert!(said[1].starts_with("metadata.jsonl: line 2: "), "{}", said[1]);
    assert!(said[2].contains("line 3: missing field `file_name`"), "{}", said[2]);
    let rest: Vec<_> = said[3..].iter().map(|s| s.split(':').next().unwrap()).collect();
    assert_eq!(rest, ["cut.png", "empty.png", "sjis.png", "text.jpg"]);
}

#[test]
fn nothing_usable_is_an_error_with_the_first_reason() {
    let scratch = Scratch::new();
    let error = load(&*scratch, &Options::default()).unwrap_err();
    assert!(matches!(error, DatasetError::Empty { skipped: 0, .. }), "{error}");
    fs::write(scratch.join("bad.png"), b"x").unwrap();
    let error = load(&*scratch, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("1 skipped") && error.contains("bad.png: not a PNG"), "{error}");
    let error = load(scratch.join("none"), &Options::default()).unwrap_err();
    assert!(matches!(error, DatasetError::Read { .. }), "{error}");
    let error = load(scratch.join("bad.png"), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("bad.png"), "{error}");
    let error = load(&*scratch, &Options { size: 0, ..Options::default() }).unwrap_err();
    assert!(matches!(error, DatasetError::Size(0)));
}

#[cfg(unix)]
#[test]
fn a_link_back_is_entered_once() {
    let scratch = Scratch::new();
    paint(&scratch.join("in/a.png"), [1; 3]);
    std::os::unix::fs::symlink(&*scratch, scratch.join("in/loop")).unwrap();
    assert_eq!(ids(&load(&*scratch, &Options::default()).unwrap()), ["in/a.png"]);
}

fn captions(dataset: &Dataset) -> Vec<&str> {
    dataset.items.iter().map(Item::title).collect()
}

fn said(dataset: &Dataset) -> Vec<&str> {
    dataset.skipped.iter().map(|skipped| skipped.reason.as_str()).collect()
}

#[test]
fn lists_of_every_kind_and_column_are_read() {
    let scratch = Scratch::new();
    for (list, text) in [
        ("one/metadata.csv", "file_name,text\np.png,\"a door, ajar\"\n"),
        ("two/metadata.csv", "\u{feff}id, file_name ,caption\n3, p.png, window\n"),
        ("three/metadata.jsonl", "{\"prompt\": \"stairs\", \"file_name\": \"p.png\"}"),
    ] {
        paint(&scratch.join(list).with_file_name("p.png"), [3; 3]);
        fs::write(scratch.join(list), text).unwrap();
    }
    let dataset = load(&*scratch, &Options::default()).unwrap();
    assert_eq!(captions(&dataset), ["a door, ajar", "stairs", "window"]);
    assert!(dataset.skipped.is_empty() && dataset.notes.is_empty(), "{dataset:?}");
}

#[test]
fn a_column_can_be_named_and_is_missed_aloud() {
    let scratch = Scratch::new();
    (0..5).for_each(|i| paint(&scratch.join(format!("{i}.png")), [i; 3]));
    let rows: String = (0..5).map(|i| format!("{i}.png,beschreibung {i},words {i}\n")).collect();
    fs::write(scratch.join("metadata.csv"), format!("file_name,de,text\n{rows}")).unwrap();
    let named = |column: &str| load(&*scratch, &Options { column: Some(column.into()), ..Options::default() }).unwrap();
    assert_eq!(named("de").items[3].title(), "beschreibung 3");
    assert_eq!(load(&*scratch, &Options::default()).unwrap().items[3].title(), "words 3");
    let dataset = named("fr");
    assert_eq!(said(&dataset), ["5 of 5 lines (2, 3, 4, ..) have no `fr`, the column of captions"]);
    assert_eq!(dataset.notes, ["none of 5 pictures has a caption: words will mean nothing"]);
    fs::write(scratch.join("metadata.csv"), "name,text\n0.png,x\n").unwrap();
    assert_eq!(said(&load(&*scratch, &Options::default()).unwrap()), ["its first line names no column `file_name`"]);
}

#[test]
fn names_match_however_their_letters_are_composed() {
    let scratch = Scratch::new();
    paint(&scratch.join("ハ\u{309a}ン.png"), [1; 3]);
    fs::write(scratch.join("パン.txt"), "bread").unwrap();
    paint(&scratch.join("cafe\u{301}/e\u{301}t.png"), [2; 3]);
    fs::write(scratch.join("metadata.jsonl"), "{\"file_name\": \"café/ét.png\", \"text\": \"summer\"}").unwrap();
    let dataset = load(&*scratch, &Options::default()).unwrap();
    assert_eq!(ids(&dataset), ["café/ét.png", "パン.png"]);
    assert_eq!(captions(&dataset), ["summer", "bread"]);
    assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
}

#[test]
fn lists_may_name_pictures_by_any_path() {
    let scratch = Scratch::new();
    for name in ["in/a.png", "in/b.png", "in/sub/c.png"] {
        paint(&scratch.join(name), [1; 3]);
    }
    let whole = scratch.join("in/b.png").display().to_string();
    let lines = [("../in/a.png", "round about"), (&whole, "absolute"), ("sub\\\\c.png", "backwards")];
    let lines: String =
        lines.iter().map(|(file, text)| format!("{{\"file_name\": \"{file}\", \"text\": \"{text}\"}}\n")).collect();
    fs::write(scratch.join("in/metadata.jsonl"), lines).unwrap();
    let dataset = load(scratch.join("in"), &Options::default()).unwrap();
    assert_eq!(captions(&dataset), ["round about", "absolute", "backwards"]);
    assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
}

#[cfg(unix)]
#[test]
fn lists_may_name_pictures_through_links_or_past_them() {
    let scratch = Scratch::new();
    paint(&scratch.join("store/p.png"), [1; 3]);
    std::os::unix::fs::symlink(scratch.join("store"), scratch.join("album")).unwrap();
    for file in ["store/p.png", "album/p.png"] {
        let line = format!("{{\"file_name\": \"{file}\", \"text\": \"by {file}\"}}");
        fs::write(scratch.join("metadata.jsonl"), line).unwrap();
        let dataset = load(&*scratch, &Options::default()).unwrap();
        assert_eq!(captions(&dataset), [format!("by {file}")]);
        assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
    }
}

#[test]
fn what_is_not_used_is_named() {
    let scratch = Scratch::new();
    paint(&scratch.join("set/a.png"), [1; 3]);
    paint(&scratch.join("outside.png"), [1; 3]);
    let lines = [("a.png", "once"), ("a.png", "again"), ("../outside.png", "elsewhere"), ("gone.png", "nowhere")];
    let lines: String =
        lines.iter().map(|(file, text)| format!("{{\"file_name\": \"{file}\", \"text\": \"{text}\"}}\n")).collect();
    fs::write(scratch.join("set/metadata.jsonl"), lines).unwrap();
    fs::write(scratch.join("set/a.caption"), "again").unwrap();
    fs::write(scratch.join("set/a.png.txt"), "a third").unwrap();
    fs::write(scratch.join("set/lonely.txt"), "of no picture").unwrap();
    let dataset = load(scratch.join("set"), &Options::default()).unwrap();
    assert_eq!(captions(&dataset), ["again"]);
    assert_eq!(
        said(&dataset),
        [
            "line 2: a.png had another caption in line 1, which is not used",
            "line 3: ../outside.png is none of the pictures",
            "line 4: there is no gone.png",
            "not used: the caption of a.png is in a list",
        ]
    );
    let lonely = scratch.join("set/lonely.txt");
    assert_eq!(dataset.notes, [format!("1 text files are beside no picture: {}", lonely.display())]);
}

#[test]
fn captions_of_every_file_and_encoding_are_read() {
    let scratch = Scratch::new();
    for name in ["a.png", "b.png", "c.png", "D.PNG"] {
        paint(&scratch.join(name), [1; 3]);
    }
    fs::write(scratch.join("a.caption"), " one \n").unwrap();
    let wide = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
    fs::write(scratch.join("b.txt"), wide("\u{feff}二", u16::to_le_bytes)).unwrap();
    fs::write(scratch.join("c.txt"), wide("\u{feff}三", u16::to_be_bytes)).unwrap();
    fs::write(scratch.join("D.TXT"), "four").unwrap();
    let dataset = load(&*scratch, &Options::default()).unwrap();
    assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
    assert_eq!(captions(&dataset), ["four", "one", "二", "三"]);
}

#[test]
fn the_folder_of_a_training_is_passed_over() {
    let scratch = Scratch::new();
    paint(&scratch.join("a.png"), [1; 3]);
    paint(&scratch.join("runs/first/diffusion-samples.png"), [2; 3]);
    fs::write(scratch.join("runs/first").join(CHECKPOINT_FILE), "x").unwrap();
    paint(&scratch.join("runs/kept.png"), [3; 3]);
    let dataset = load(&*scratch, &Options::default()).unwrap();
    assert_eq!(ids(&dataset), ["a.png", "runs/kept.png"]);
    assert_eq!(dataset.notes[0], "1 trainings' folders are passed over: runs/first");
}
