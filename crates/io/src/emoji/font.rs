use std::path::{Path, PathBuf};

use harfrust::font::glyph::bitmap::{Pixels, Strike};
use harfrust::{Buffer, Font, GlyphId, ShapeOptions, ShaperFont};

use crate::dataset::DatasetError;
use crate::picture::{Fit, Picture, PictureError};
use crate::sequence::{JOINER, VS16, tone_of};

const NAME: &str = "NotoColorEmoji.ttf";
const FOLDER: &str = "/usr/share/fonts";

/// A font with colour pictures for glyphs (CBDT or sbix tables holding PNG).
pub(super) struct ColourFont {
    font: Font,
    path: PathBuf,
}

impl ColourFont {
    /// Opens a font file, the Noto font somewhere under a folder, or the one installed.
    pub fn open(path: Option<&Path>) -> Result<Self, DatasetError> {
        let path = match path {
            Some(file) if !file.is_dir() => file.to_owned(),
            folder => {
                let folder = folder.unwrap_or(Path::new(FOLDER));
                find(folder).ok_or_else(|| DatasetError::NoFont { name: NAME, folder: folder.to_owned() })?
            }
        };
        let hint = Some("NotoColorEmoji.ttf comes with the package fonts-noto-color-emoji");
        let bytes = std::fs::read(&path).map_err(|source| DatasetError::Read { path: path.clone(), source, hint })?;
        let Some(font) = Font::new(bytes, 0) else {
            return Err(DatasetError::Format { path, reason: "not a TrueType or OpenType font".to_owned() });
        };
        let font = Self { font, path };
        match font.strike() {
            Some(_) => Ok(font),
            None => Err(DatasetError::NoColour { path: font.path }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pictures of the largest size.
    fn strike(&self) -> Option<Strike<'_>> {
        self.font.bitmap_strikes().iter().max_by_key(Strike::ppem)
    }

    /// What draws the pictures of sequences.
    pub fn painter(&self) -> Option<Painter<'_>> {
        Some(Painter { shaper: ShaperFont::new(&self.font), strike: self.strike()? })
    }
}

pub(super) struct Painter<'a> {
    shaper: ShaperFont<'a, 'static>,
    strike: Strike<'a>,
}

impl Painter<'_> {
    /// The picture of an emoji sequence as a square on white, if the font has one glyph with a picture for it.
    ///
    /// CLDR leaves VS16 out. A font may need it, so the sequence is tried as it is, then with VS16 after every
    /// character that can take one, then after the first only.
    pub fn picture(&self, sequence: &str, size: usize) -> Option<Result<Picture, PictureError>> {
        let forms = [sequence.to_owned(), qualified(sequence, usize::MAX), qualified(sequence, 1)];
        let png = forms.iter().find_map(|form| match self.strike.get(self.glyph(form)?)?.pixels() {
            Pixels::Png(png) => Some(png),
            _ => None,
        })?;
        Some(Picture::decode(png).and_then(|picture| square(&picture, size)))
    }

    /// The glyph of the whole text, if it is one.
    fn glyph(&self, text: &str) -> Option<GlyphId> {
        let mut buffer = Buffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        harfrust::shape(&self.shaper, &mut buffer, ShapeOptions::new()).ok()?;
        match buffer.glyph_infos() {
            [glyph] if glyph.glyph_id != 0 => Some(GlyphId::new(glyph.glyph_id)),
            _ => None,
        }
    }
}

/// The sequence with VS16 after each of its first `count` characters that can take one.
fn qualified(sequence: &str, count: usize) -> String {
    let mut out = String::new();
    let mut left = count;
    let mut rest = sequence.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        let takes = c != JOINER && tone_of(c).is_none();
        if takes && left > 0 && rest.peek().is_none_or(|&next| tone_of(next).is_none()) {
            out.push(VS16);
            left -= 1;
        }
    }
    out
}

/// A square of `size` pixels: blank side margins are cut, anything else is kept and padded.
fn square(picture: &Picture, size: usize) -> Result<Picture, PictureError> {
    let (width, height) = (picture.width(), picture.height());
    let (left, right) = ((width.saturating_sub(height)) / 2, width.saturating_sub(height).div_ceil(2));
    let blank = |row: &[u8]| [&row[..left * 3], &row[(width - right) * 3..]].concat().iter().all(|&v| v == 255);
    let cut = width > height && picture.rgb().chunks_exact(width * 3).all(blank);
    picture.fit(size, if cut { Fit::Crop } else { Fit::Pad })
}

fn find(folder: &Path) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            folders.push(path);
        } else if path.file_name().is_some_and(|name| name == NAME) {
            return Some(path);
        }
    }
    folders.sort();
    folders.iter().find_map(|folder| find(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vs16_goes_after_everything_but_joiners_and_tones() {
        assert_eq!(qualified("👁‍🗨", usize::MAX), "👁\u{fe0f}‍🗨\u{fe0f}");
        assert_eq!(qualified("👁‍🗨", 1), "👁\u{fe0f}‍🗨");
        assert_eq!(qualified("🕵🏽‍♀", usize::MAX), "🕵🏽‍♀\u{fe0f}");
        assert_eq!(qualified("", 1), "");
    }

    #[test]
    fn only_blank_margins_are_cut() {
        let mut wide = Picture::filled(12, 8, [255; 3]).unwrap();
        wide.paste(&Picture::filled(8, 8, [0; 3]).unwrap(), 2, 0);
        assert!(square(&wide, 8).unwrap().rgb().iter().all(|&v| v == 0));
        wide.paste(&Picture::filled(1, 1, [0; 3]).unwrap(), 0, 0);
        assert_eq!(square(&wide, 8).unwrap().pixel(4, 0), Some([255; 3]));
        let tall = Picture::filled(2, 8, [0; 3]).unwrap();
        assert_eq!(square(&tall, 8).unwrap().pixel(0, 0), Some([255; 3]));
    }
}
