//! A folder of pictures with captions, searched through all its subfolders.
//!
//! Captions are found in two ways, one language each:
//! - `cat.txt`, `cat.caption` or `cat.png.txt` beside `cat.png` holds the caption of that picture;
//! - `metadata.jsonl` or `metadata.csv`, as Hugging Face's `imagefolder` has them: one JSON object a line, or one row, with
//!   `file_name` (relative to the list, or absolute) and `text`, `caption` or `prompt`. A list comes before a text file.
//!
//! Hidden files and folders are passed over, and so is what is not `.png`, `.jpg`, `.jpeg` or `.webp`, and the folder of a
//! training with the sheets that it draws. Names match however their letters are composed. What is found and not used is
//! named in [`Dataset::skipped`] or [`Dataset::notes`].

mod captions;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;
use yuragi_graph::{Alone, Collective, Lost};

use crate::checkpoint::CHECKPOINT_FILE;
use crate::dataset::{Caption, CaptionKind, Dataset, DatasetError, Item, Skipped};
use crate::picture::{Fit, Picture, PictureError};
use captions::Captions;

const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// Files that a note names.
const NAMED: usize = 3;

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
    /// The column or key of captions in lists; `None` takes `text`, `caption` or `prompt`.
    pub column: Option<String>,
}

impl Default for Options {
    /// 64×64 pixels, the largest centred square, pictures without caption kept.
    fn default() -> Self {
        Self { size: 64, fit: Fit::Crop, uncaptioned: Uncaptioned::Keep, column: None }
    }
}

/// Reads the pictures of a folder, in the order of their paths.
///
/// A picture that cannot be read is left out and named in [`Dataset::skipped`], and so is a line of a list that cannot be
/// used.
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
    load_on(folder, options, &Alone)
}

/// [`load`] by these ranks: each reads its share of the pictures, by their numbers, and has the others' from them.
///
/// # Errors
/// Those of [`load`], or a rank that is gone.
pub fn load_on(folder: impl AsRef<Path>, options: &Options, ranks: &dyn Collective) -> Result<Dataset, DatasetError> {
    let root = folder.as_ref();
    Picture::filled(options.size, options.size, [255; 3]).map_err(|_| DatasetError::Size(options.size))?;
    let mut found = Found::default();
    found.search(root, root).map_err(|(path, source)| DatasetError::Read { path, source, hint: None })?;

    let Found { pictures, lists, texts, trainings, .. } = found;
    let mut captions = Captions::new(&pictures, &lists, texts, options.column.as_deref());
    let (mut items, mut skipped) = (Vec::new(), Vec::new());
    let own = ranks.share(pictures.len(), 1, ranks.rank());
    let read = pictures.iter().skip(own.start).take(own.len()).map(|path| picture(path, options)).collect();
    let lost = |lost: Lost| DatasetError::Read { path: root.to_owned(), source: io::Error::other(lost), hint: None };
    let mut names = DefaultHasher::new();
    pictures.iter().for_each(|path| path.strip_prefix(root).unwrap_or(path).hash(&mut names));
    let read = exchanged(read, (names.finish(), pictures.len()), options.size, ranks).map_err(lost)?;
    for (path, read) in pictures.into_iter().zip(read) {
        match item(root, &path, read, &mut captions, options) {
            Ok(item) => items.push(item),
            Err(reason) => skipped.push(Skipped { path, reason }),
        }
    }
    let mut notes = Vec::new();
    let mut note = |paths: &[&Path], what: &str| {
        if !paths.is_empty() {
            let names: Vec<String> = paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
            let more = if paths.len() > NAMED { ", .." } else { "" };
            notes.push(format!("{} {what}: {}{more}", paths.len(), names.join(", ")));
        }
    };
    note(&trainings.iter().map(PathBuf::as_path).collect::<Vec<_>>(), "trainings' folders are passed over");
    note(&captions.left().into_iter().map(PathBuf::as_path).collect::<Vec<_>>(), "text files are beside no picture");
    let bare: Vec<&Path> =
        items.iter().filter(|item| item.captions.is_empty()).map(|item| Path::new(&item.id)).collect();
    if !bare.is_empty() && bare.len() < items.len() {
        note(&bare, &format!("of {} pictures have no caption", items.len()));
    } else if !bare.is_empty() {
        notes.push(format!("none of {} pictures has a caption: words will mean nothing", items.len()));
    }
    let skipped: Vec<Skipped> = captions.skipped.into_iter().chain(skipped).collect();
    if items.is_empty() {
        let first = skipped.first().cloned();
        return Err(DatasetError::Empty { path: root.to_owned(), skipped: skipped.len(), first });
    }
    Ok(Dataset { size: options.size, items, skipped, notes })
}

/// The picture of a file as a square.
fn picture(path: &Path, options: &Options) -> Result<Picture, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let picture = Picture::decode(&bytes).and_then(|picture| picture.fit(options.size, options.fit));
    picture.map_err(|error: PictureError| error.to_string())
}

/// What all ranks read, squares of this size or why there is none, one rank's after another's. All must have found the same
/// pictures: a hash of their names, and their number.
fn exchanged(
    own: Vec<Result<Picture, String>>,
    (names, count): (u64, usize),
    size: usize,
    ranks: &dyn Collective,
) -> Result<Vec<Result<Picture, String>>, Lost> {
    if ranks.size() == 1 {
        return Ok(own);
    }
    if ranks.gather(&names.to_le_bytes())?.iter().any(|other| *other != names.to_le_bytes()) {
        return Err(Lost::new("the ranks find other pictures there than each other"));
    }
    let mut sent = Vec::new();
    for read in own {
        let (made, bytes) = match &read {
            Ok(picture) => (1, picture.rgb()),
            Err(reason) => (0, reason.as_bytes()),
        };
        sent.push(made);
        sent.extend((bytes.len() as u64).to_le_bytes());
        sent.extend_from_slice(bytes);
    }
    let mut all = Vec::new();
    for found in ranks.gather(&sent)? {
        let mut rest = found.as_slice();
        while let Some((made, after)) = rest.split_first() {
            let unread = || Lost::new("a rank sent what are no pictures");
            let (length, after) = after.split_first_chunk().ok_or_else(unread)?;
            let (bytes, after) = after.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(unread)?;
            all.push(match made {
                1 => Ok(Picture::new(size, size, bytes.to_vec()).map_err(|_| unread())?),
                _ => Err(String::from_utf8_lossy(bytes).into_owned()),
            });
            rest = after;
        }
    }
    if all.len() == count { Ok(all) } else { Err(Lost::new("a rank sent fewer pictures than it found")) }
}

fn item(
    root: &Path,
    path: &Path,
    picture: Result<Picture, String>,
    captions: &mut Captions<'_>,
    options: &Options,
) -> Result<Item, String> {
    let text = captions.of(path)?;
    if text.is_empty() && options.uncaptioned == Uncaptioned::Skip {
        return Err("it has no caption".to_owned());
    }
    Ok(Item {
        id: path.strip_prefix(root).unwrap_or(path).to_string_lossy().nfc().collect(),
        picture: picture?,
        captions: if text.is_empty() { Vec::new() } else { vec![Caption { kind: CaptionKind::Plain, text }] },
        held_out: false,
        emoji: None,
    })
}

#[derive(Default)]
struct Found {
    pictures: BTreeSet<PathBuf>,
    /// Lists of captions, those of outer folders first.
    lists: Vec<PathBuf>,
    /// Text files that may be captions.
    texts: Vec<PathBuf>,
    /// Folders of trainings.
    trainings: BTreeSet<PathBuf>,
    /// The folders entered, without links: a link back must not be followed for ever.
    entered: BTreeSet<PathBuf>,
}

impl Found {
    fn search(&mut self, root: &Path, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        let at = |error| (folder.to_owned(), error);
        if !self.entered.insert(fs::canonicalize(folder).map_err(at)?) {
            return Ok(());
        }
        let mut paths = BTreeSet::new();
        for entry in fs::read_dir(folder).map_err(at)? {
            paths.insert(entry.map_err(at)?.path());
        }
        if folder != root && paths.contains(&folder.join(CHECKPOINT_FILE)) {
            self.trainings.insert(folder.strip_prefix(root).unwrap_or(folder).to_owned());
            return Ok(());
        }
        let mut folders = BTreeSet::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if name.starts_with('.') {
            } else if path.is_dir() {
                folders.insert(path);
            } else if EXTENSIONS.contains(&extension.as_str()) {
                self.pictures.insert(path);
            } else if captions::TEXTS.contains(&extension.as_str()) {
                self.texts.push(path);
            } else if captions::LISTS.contains(&name.as_ref()) {
                self.lists.push(path);
            }
        }
        folders.iter().try_for_each(|folder| self.search(root, folder))
    }
}

#[cfg(test)]
mod tests;
