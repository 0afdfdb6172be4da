//! A folder of pictures with captions, searched through all its subfolders.
//!
//! Captions are found in two ways, one language each:
//! - `cat.txt` beside `cat.png` holds the caption of that picture;
//! - `metadata.jsonl`, as Hugging Face's `imagefolder` has it: one JSON object a line, with `file_name` (relative to
//!   the file) and `text` or `caption`. It comes before a text file.
//!
//! Hidden files and folders are passed over, and so is what is not `.png`, `.jpg`, `.jpeg` or `.webp`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::dataset::{Caption, CaptionKind, Dataset, DatasetError, Item, Skipped};
use crate::picture::{Fit, Picture, PictureError};

const METADATA: &str = "metadata.jsonl";
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// What becomes of a picture without a caption, or with an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uncaptioned {
    /// It is kept without captions, for unconditional training.
    #[default]
    Keep,
    /// It is skipped, and named among those skipped.
    Skip,
}

/// How a folder is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The side of the pictures in pixels, at least 1.
    pub size: usize,
    /// How they become squares.
    pub fit: Fit,
    /// What becomes of those without a caption.
    pub uncaptioned: Uncaptioned,
}

impl Default for Options {
    /// 64×64 pixels, the largest centred square, pictures without caption kept.
    fn default() -> Self {
        Self { size: 64, fit: Fit::Crop, uncaptioned: Uncaptioned::Keep }
    }
}

/// Reads the pictures of a folder, in the order of their paths.
///
/// A picture that cannot be read is left out and named in [`Dataset::skipped`], and so is a line of `metadata.jsonl`
/// that cannot be used.
///
/// # Errors
/// [`DatasetError::Read`] for a folder that cannot be read, [`DatasetError::Empty`] if no picture is usable,
/// [`DatasetError::Size`].
///
/// ```no_run
/// use yuragi_io::folder;
/// let dataset = folder::load("pictures", &folder::Options::default())?;
/// for skipped in &dataset.skipped {
///     eprintln!("{}: {}", skipped.path.display(), skipped.reason);
/// }
/// # Ok::<(), yuragi_io::DatasetError>(())
/// ```
pub fn load(folder: impl AsRef<Path>, options: &Options) -> Result<Dataset, DatasetError> {
    let root = folder.as_ref();
    Picture::filled(options.size, options.size, [255; 3]).map_err(|_| DatasetError::Size(options.size))?;
    let mut found = Found::default();
    found.search(root).map_err(|(path, source)| DatasetError::Read { path, source, hint: None })?;

    let Found { pictures, captions, mut skipped, .. } = found;
    let mut items = Vec::new();
    for path in pictures {
        match item(root, &path, captions.get(&path), options) {
            Ok(item) => items.push(item),
            Err(reason) => skipped.push(Skipped { path, reason }),
        }
    }
    if items.is_empty() {
        let first = skipped.first().cloned();
        return Err(DatasetError::Empty { path: root.to_owned(), skipped: skipped.len(), first });
    }
    Ok(Dataset { size: options.size, items, skipped })
}

fn item(root: &Path, path: &Path, listed: Option<&String>, options: &Options) -> Result<Item, String> {
    let text = match listed {
        Some(text) => text.clone(),
        None => beside(&path.with_extension("txt")).map_err(|error| format!("its caption cannot be read: {error}"))?,
    };
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() && options.uncaptioned == Uncaptioned::Skip {
        return Err("it has no caption".to_owned());
    }
    let reason = |error: PictureError| error.to_string();
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let picture = Picture::decode(&bytes).and_then(|picture| picture.fit(options.size, options.fit)).map_err(reason)?;
    let caption = Caption { kind: CaptionKind::Plain, text: text.to_owned() };
    Ok(Item {
        id: path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned(),
        picture,
        captions: if text.is_empty() { Vec::new() } else { vec![caption] },
        held_out: false,
        emoji: None,
    })
}

/// The text of a file, empty if there is none.
fn beside(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result,
    }
}

#[derive(Deserialize)]
struct Line {
    file_name: String,
    text: Option<String>,
    caption: Option<String>,
}

#[derive(Default)]
struct Found {
    pictures: BTreeSet<PathBuf>,
    captions: BTreeMap<PathBuf, String>,
    skipped: Vec<Skipped>,
    /// The folders entered, without links: a link back must not be followed for ever.
    entered: BTreeSet<PathBuf>,
}

impl Found {
    fn search(&mut self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        let at = |error| (folder.to_owned(), error);
        if !self.entered.insert(fs::canonicalize(folder).map_err(at)?) {
            return Ok(());
        }
        let mut folders = BTreeSet::new();
        for entry in fs::read_dir(folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if name.starts_with('.') {
            } else if path.is_dir() {
                folders.insert(path);
            } else if EXTENSIONS.contains(&extension.as_str()) {
                self.pictures.insert(path);
            }
        }
        self.metadata(folder);
        folders.iter().try_for_each(|folder| self.search(folder))
    }

    fn metadata(&mut self, folder: &Path) {
        let path = folder.join(METADATA);
        let mut skip = |reason: String| self.skipped.push(Skipped { path: path.clone(), reason });
        let lines = match beside(&path) {
            Ok(lines) => lines,
            Err(error) => return skip(format!("cannot be read: {error}")),
        };
        for (number, line) in (1..).zip(lines.trim_start_matches('\u{feff}').lines()) {
            match serde_json::from_str::<Line>(line) {
                _ if line.trim().is_empty() => {}
                Err(error) => skip(format!("line {number}: {error}")),
                Ok(Line { file_name, text, caption }) => {
                    let picture = folder.join(&file_name);
                    if !picture.is_file() {
                        skip(format!("line {number}: there is no {file_name}"));
                    } else if let Some(text) = text.or(caption) {
                        self.captions.insert(picture, text);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
        assert_eq!(dataset.items[0].picture, Picture::filled(4, 4, [255, 0, 0]).unwrap());

        let strict = load(&*scratch, &Options { uncaptioned: Uncaptioned::Skip, fit: Fit::Pad, ..options }).unwrap();
        assert_eq!(strict.items.len(), 3);
        assert_eq!(strict.items[0].picture.pixel(0, 3), Some([255; 3]));
        assert_eq!(strict.skipped[0].reason, "it has no caption");
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
}
