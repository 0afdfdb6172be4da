//! Pictures as files of PNG, JPEG or WebP that carry the text of how they were made.
//!
//! PNG has text chunks ([`png`](mod@crate::png)). JPEG and WebP have EXIF, where web interfaces for diffusion models keep the same
//! text as `UserComment`.

use std::io::Cursor;
use std::path::Path;

use image::codecs::{jpeg::JpegEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader};

use crate::picture::{Picture, PictureError};
use crate::png::{self, PARAMETERS, PngError};

/// Of 1 to 100.
const JPEG_QUALITY: u8 = 95;
/// What precedes the text in EXIF: two directories of one entry each.
const EXIF_HEAD: usize = 44;
/// Says that UTF-16 follows.
const UNICODE: &[u8; 8] = b"UNICODE\0";
const ASCII: &[u8; 8] = b"ASCII\0\0\0";
/// The longest EXIF that a JPEG segment holds beside its own length and mark.
const MOST_EXIF: usize = 65_535 - 2 - 6;

/// A kind of picture file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Without loss.
    #[default]
    Png,
    /// With loss, quality 95.
    Jpeg,
    /// Without loss.
    WebP,
}

/// A picture file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file's name ends in something else.
    #[error("a picture's file must end in .png, .jpg, .jpeg or .webp, not in .{0}")]
    Extension(String),
    /// The text is too long for the format.
    #[error("a JPEG holds at most {most} characters of how it was made, not {have}: choose PNG or WebP")]
    Text {
        /// UTF-16 units of the text.
        have: usize,
        /// The most that fit.
        most: usize,
    },
    /// PNG failed.
    #[error(transparent)]
    Png(#[from] PngError),
    /// Another encoder failed: a side is too long for the format.
    #[error("the picture cannot be encoded: {0}")]
    Encoding(#[from] ImageError),
}

impl Format {
    /// The format that a file's extension names, in any case; `None` without one.
    ///
    /// # Errors
    /// [`ExportError::Extension`] for another one.
    pub fn of(path: &Path) -> Result<Option<Format>, ExportError> {
        let Some(extension) = path.extension().map(|extension| extension.to_string_lossy()) else { return Ok(None) };
        match extension.to_lowercase().as_str() {
            "png" => Ok(Some(Format::Png)),
            "jpg" | "jpeg" => Ok(Some(Format::Jpeg)),
            "webp" => Ok(Some(Format::WebP)),
            _ => Err(ExportError::Extension(extension.into_owned())),
        }
    }

    /// Whether a text fits.
    ///
    /// # Errors
    /// [`ExportError::Text`].
    pub fn check_text(self, text: &str) -> Result<(), ExportError> {
        let (have, most) = (text.encode_utf16().count(), (MOST_EXIF - EXIF_HEAD - UNICODE.len()) / 2);
        if self == Format::Jpeg && have > most { Err(ExportError::Text { have, most }) } else { Ok(()) }
    }
}

/// The bytes of a picture's file, with the text of how it was made, unless that is empty.
///
/// # Errors
/// [`ExportError::Text`] for a JPEG with a long text, and what the encoders report.
///
/// ```
/// use yuragi_io::{Picture, export::{self, Format}};
/// let cat = Picture::filled(8, 8, [250, 200, 90])?;
/// for format in [Format::Png, Format::Jpeg, Format::WebP] {
///     let bytes = export::encode(&cat, format, "猫\nSteps: 16")?;
///     assert_eq!(export::parameters(&bytes)?.as_deref(), Some("猫\nSteps: 16"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(picture: &Picture, format: Format, text: &str) -> Result<Vec<u8>, ExportError> {
    format.check_text(text)?;
    let mut bytes = Vec::new();
    // A side beyond u32 is more than any of the formats has, and the encoders refuse the maximum.
    let [width, height] = [picture.width(), picture.height()].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let exif = (!text.is_empty()).then(|| exif(text));
    match format {
        Format::Png => {
            let text = [(PARAMETERS, text)];
            return Ok(png::encode(picture, if text[0].1.is_empty() { &[] } else { &text })?);
        }
        Format::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
            if let Some(exif) = exif {
                encoder.set_exif_metadata(exif).map_err(ImageError::Unsupported)?;
            }
            encoder.write_image(picture.rgb(), width, height, ExtendedColorType::Rgb8)?;
        }
        Format::WebP => {
            let mut encoder = WebPEncoder::new_lossless(&mut bytes);
            if let Some(exif) = exif {
                encoder.set_exif_metadata(exif).map_err(ImageError::Unsupported)?;
            }
            encoder.write_image(picture.rgb(), width, height, ExtendedColorType::Rgb8)?;
        }
    }
    Ok(bytes)
}

/// The text of how a PNG, JPEG or WebP file was made, if it has one; the pixels are not decoded.
///
/// # Errors
/// [`PictureError::Format`] or [`PictureError::Broken`].
pub fn parameters(bytes: &[u8]) -> Result<Option<String>, PictureError> {
    let broken = |error: ImageError| PictureError::Broken(error.to_string());
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    match reader.format() {
        Some(ImageFormat::Png) => {
            Ok(png::read_text(bytes)?.into_iter().find(|(keyword, _)| keyword == PARAMETERS).map(|(_, text)| text))
        }
        Some(ImageFormat::Jpeg | ImageFormat::WebP) => {
            let exif = reader.into_decoder().map_err(broken)?.exif_metadata().map_err(broken)?;
            Ok(exif.as_deref().and_then(user_comment))
        }
        _ => Err(PictureError::Format),
    }
}

/// EXIF whose `UserComment` is the text: big-endian TIFF with a directory that leads to the EXIF directory.
fn exif(text: &str) -> Vec<u8> {
    let comment: Vec<u8> = UNICODE.iter().copied().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let mut exif = b"MM\0\x2a\0\0\0\x08".to_vec();
    let mut directory = |tag: u16, kind: u16, count: u32, value: u32| {
        exif.extend(1u16.to_be_bytes());
        exif.extend([tag, kind].map(u16::to_be_bytes).as_flattened());
        exif.extend([count, value, 0].map(u32::to_be_bytes).as_flattened());
    };
    directory(EXIF_DIRECTORY, LONG, 1, 26);
    directory(USER_COMMENT, UNDEFINED, comment.len() as u32, EXIF_HEAD as u32);
    exif.extend(comment);
    exif
}

const EXIF_DIRECTORY: u16 = 0x8769;
const USER_COMMENT: u16 = 0x9286;
const LONG: u16 = 4;
const UNDEFINED: u16 = 7;

/// The `UserComment` of EXIF in either order of bytes.
fn user_comment(exif: &[u8]) -> Option<String> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match exif.get(..4)? {
        b"II\x2a\0" => true,
        b"MM\0\x2a" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| -> Option<usize> {
        let bytes = *exif.get(at..)?.first_chunk()?;
        usize::try_from(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    };
    // The count and the value of an entry of a directory.
    let entry = |directory: usize, tag: u16| -> Option<(usize, usize)> {
        let entries = usize::from(short(directory)?);
        let at = (0..entries).map(|i| directory + 2 + 12 * i).find(|&at| short(at) == Some(tag))?;
        Some((long(at + 4)?, long(at + 8)?))
    };
    let (_, directory) = entry(long(4)?, EXIF_DIRECTORY)?;
    let (count, at) = entry(directory, USER_COMMENT)?;
    let (code, text) = exif.get(at..at.checked_add(count)?)?.split_first_chunk::<8>()?;
    match code {
        UNICODE => {
            // The order is not always the file's; letters of most texts have a zero above.
            let pairs = text.as_chunks::<2>().0;
            let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
            let big = zeros(0) > zeros(1) || (zeros(0) == zeros(1) && !little);
            let unit = |&pair: &[u8; 2]| if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            Some(char::decode_utf16(pairs.iter().map(unit)).map(|c| c.unwrap_or('\u{fffd}')).collect())
        }
        ASCII | [0, 0, 0, 0, 0, 0, 0, 0] => Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Format; 3] = [Format::Png, Format::Jpeg, Format::WebP];

    fn picture() -> Picture {
        let mut picture = Picture::filled(24, 16, [250, 250, 250]).unwrap();
        picture.paste(&Picture::filled(8, 8, [200, 30, 60]).unwrap(), 8, 4);
        picture
    }

    #[test]
    fn pixels_and_text_come_back_from_every_format() {
        for format in ALL {
            assert_eq!(parameters(&encode(&picture(), format, "").unwrap()).unwrap(), None);
            for text in ["an owl\nSteps: 4, Seed: 1", "ふくろう 🦉", "é"] {
                let bytes = encode(&picture(), format, text).unwrap();
                assert_eq!(parameters(&bytes).unwrap().as_deref(), Some(text), "{format:?}");
                let back = Picture::decode(&bytes).unwrap();
                let most = if format == Format::Jpeg { 12 } else { 0 };
                assert!(back.rgb().iter().zip(picture().rgb()).all(|(a, b)| a.abs_diff(*b) <= most), "{format:?}");
            }
        }
    }

    #[test]
    fn extensions_name_formats() {
        for (name, format) in
            [("a.PNG", Format::Png), ("b.jpg", Format::Jpeg), ("c.d.JPEG", Format::Jpeg), ("e.webp", Format::WebP)]
        {
            assert_eq!(Format::of(Path::new(name)).unwrap(), Some(format));
        }
        assert_eq!(Format::of(Path::new("owl")).unwrap(), None);
        let error = Format::of(Path::new("owl.gif")).unwrap_err().to_string();
        assert!(error.contains(".webp") && error.contains(".gif"), "{error}");
    }

    #[test]
    fn a_text_that_no_jpeg_holds_is_refused() {
        let long = "梟".repeat(32_737);
        let bytes = encode(&picture(), Format::Jpeg, &long).unwrap();
        assert_eq!(parameters(&bytes).unwrap().as_deref(), Some(long.as_str()));
        let longer = long + "x";
        assert!(matches!(
            encode(&picture(), Format::Jpeg, &longer),
            Err(ExportError::Text { have: 32_738, most: 32_737 })
        ));
        assert_eq!(parameters(&encode(&picture(), Format::WebP, &longer).unwrap()).unwrap(), Some(longer));
    }

    #[test]
    fn comments_of_others_are_read_and_broken_ones_are_none() {
        let mut little = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x1a\0\0\0\0\0\0\0".to_vec();
        little.extend(b"\x01\0\x86\x92\x07\0\x0c\0\0\0\x2c\0\0\0\0\0\0\0UNICODE\0o\0k\0");
        assert_eq!(user_comment(&little).as_deref(), Some("ok"));
        let whole = exif("whole text");
        assert_eq!(user_comment(&whole).as_deref(), Some("whole text"));
        for end in 0..whole.len() {
            assert_eq!(user_comment(&whole[..end]), None, "cut at {end}");
        }
        for (at, byte) in (0..whole.len()).flat_map(|at| [(at, 0), (at, 255), (at, 0x7f)]) {
            let mut odd = whole.clone();
            odd[at] = byte;
            let _ = user_comment(&odd);
        }
        let plain = png::encode(&picture(), &[]).unwrap();
        assert_eq!(parameters(&plain).unwrap(), None);
        assert!(matches!(parameters(b"no picture"), Err(PictureError::Format)));
    }
}
