//! Data sets: square pictures with captions, as a trainer sees them.

use std::path::PathBuf;

use crate::picture::Picture;
use crate::sequence::Emoji;

/// What a caption is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaptionKind {
    /// The name of the thing in English, such as "grinning cat".
    NameEn,
    /// The name of the thing in Japanese.
    NameJa,
    /// Keywords in English, separated by ", ".
    KeywordsEn,
    /// Keywords in Japanese, separated by "、".
    KeywordsJa,
    /// A description in any one language.
    Plain,
}

/// A caption of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caption {
    /// What it is.
    pub kind: CaptionKind,
    /// Its text, trimmed and not empty.
    pub text: String,
}

/// A picture and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The emoji sequence, or the path inside the folder.
    pub id: String,
    /// The picture, a square of [`Dataset::size`].
    pub picture: Picture,
    /// Its captions, at most one of each kind; none means that the picture is only for unconditional training.
    pub captions: Vec<Caption>,
    /// Whether it must be kept from training.
    pub held_out: bool,
    /// What the emoji is made of, if it is one.
    pub emoji: Option<Emoji>,
}

impl Item {
    /// The caption of a kind.
    #[must_use]
    pub fn caption(&self, kind: CaptionKind) -> Option<&str> {
        self.captions.iter().find(|caption| caption.kind == kind).map(|caption| caption.text.as_str())
    }

    /// The first name or description there is, in the order of [`CaptionKind`]; empty without captions.
    #[must_use]
    pub fn title(&self) -> &str {
        self.captions.iter().min_by_key(|caption| caption.kind).map_or("", |caption| &caption.text)
    }
}

/// Square pictures of one size, with captions.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The side of every picture, in pixels.
    pub size: usize,
    /// The pictures.
    pub items: Vec<Item>,
    /// What was found but left out, and why.
    pub skipped: Vec<Skipped>,
    /// What a trainer should know of the rest: one line each.
    pub notes: Vec<String>,
}

/// A picture that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl Dataset {
    /// The items to train on.
    pub fn trained(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !item.held_out)
    }

    /// The items kept from training.
    pub fn held_out(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.held_out)
    }
}

/// A data set could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Pictures of size zero or beyond memory were asked for.
    #[error("pictures of {0}×{0} pixels cannot be made")]
    Size(usize),
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}{}", path.display(), hint.map_or(String::new(), |hint| format!(" ({hint})")))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// What would help.
        hint: Option<&'static str>,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A font has no colour pictures.
    #[error("{} has no colour pictures (a CBDT or sbix table with PNG); NotoColorEmoji.ttf has", path.display())]
    NoColour {
        /// The font.
        path: PathBuf,
    },
    /// No installed colour font was found.
    #[error("no {name} under {}: install the package fonts-noto-color-emoji, or name a font", folder.display())]
    NoFont {
        /// The file looked for.
        name: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// No picture is usable.
    #[error("no usable picture in {} ({skipped} skipped{})", path.display(), first.as_ref().map_or(String::new(), |s| format!("; the first, {}: {}", s.path.display(), s.reason)))]
    Empty {
        /// The folder or font.
        path: PathBuf,
        /// How many pictures were found but left out.
        skipped: usize,
        /// The first of those.
        first: Option<Skipped>,
    },
}
