//! PNG files with text chunks.
//!
//! Web interfaces for diffusion models keep the prompt and the settings in a text chunk named [`PARAMETERS`]. They
//! write it as Pillow does: a `tEXt` chunk when the text is Latin-1, else an uncompressed UTF-8 `iTXt` chunk; so does
//! this module, and it reads `tEXt`, `zTXt` and `iTXt` alike.

use std::io::Cursor;
use std::path::Path;

use ::png::text_metadata::ITXtChunk;
use ::png::{BitDepth, ColorType, Decoder, Encoder, EncodingError, Limits, SrgbRenderingIntent};

use crate::atomic::{self, WriteError};
use crate::picture::{Picture, PictureError};

/// The keyword under which a picture carries its prompt and settings.
pub const PARAMETERS: &str = "parameters";

/// The most bytes that text chunks may unpack to.
const MAX_TEXT: usize = 16 << 20;

/// A PNG file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// A keyword is not 1 to 79 characters of Latin-1.
    #[error("PNG text keyword {0:?}: it must be 1 to 79 characters of Latin-1")]
    Keyword(String),
    /// A side is over 2³¹ - 1 pixels, or the encoder failed.
    #[error("PNG encoding: {0}")]
    Encoding(#[from] EncodingError),
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Encodes a picture, with text chunks of (keyword, text).
///
/// # Errors
/// [`PngError::Keyword`] for an illegal keyword.
///
/// ```
/// use yuragi_io::{Picture, png};
/// let cat = Picture::filled(8, 8, [250, 200, 90])?;
/// let bytes = png::encode(&cat, &[(png::PARAMETERS, "猫の顔")])?;
/// assert_eq!(png::read_text(&bytes)?, [(png::PARAMETERS.into(), "猫の顔".into())]);
/// assert_eq!(Picture::decode(&bytes)?, cat);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn encode(picture: &Picture, text: &[(&str, &str)]) -> Result<Vec<u8>, PngError> {
    // A side beyond u32 cannot be a legal PNG; the encoder refuses the maximum.
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, side(picture.width()), side(picture.height()));
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_source_srgb(SrgbRenderingIntent::Perceptual);
    let mut international = Vec::new();
    for &(keyword, text) in text {
        if !(1..=79).contains(&keyword.chars().count()) || !is_latin1(keyword) {
            return Err(PngError::Keyword(keyword.to_owned()));
        }
        if is_latin1(text) {
            encoder.add_text_chunk(keyword.to_owned(), text.to_owned())?;
        } else {
            international.push(ITXtChunk::new(keyword, text));
        }
    }
    let mut writer = encoder.write_header()?;
    for chunk in &international {
        writer.write_text_chunk(chunk)?;
    }
    writer.write_image_data(picture.rgb())?;
    writer.finish()?;
    Ok(bytes)
}

/// [Encodes](encode) a picture into a file, whole or not at all.
///
/// # Errors
/// As [`encode`], and [`PngError::Write`] naming the path.
pub fn save(path: impl AsRef<Path>, picture: &Picture, text: &[(&str, &str)]) -> Result<(), PngError> {
    Ok(atomic::write(path, &encode(picture, text)?)?)
}

/// The text chunks of a PNG file as (keyword, text), those before the pixels first, without decoding the pixels.
///
/// # Errors
/// [`PictureError::Broken`] if the bytes are no PNG or a chunk is broken.
pub fn read_text(bytes: &[u8]) -> Result<Vec<(String, String)>, PictureError> {
    let broken = |error: &dyn std::fmt::Display| PictureError::Broken(error.to_string());
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_TEXT });
    decoder.set_ignore_text_chunk(false);
    let mut reader = decoder.read_info().map_err(|e| broken(&e))?;
    // Text may also stand after the pixels; a file cut there still has what came before.
    let _ = reader.finish();
    let info = reader.info();
    let mut all = Vec::new();
    for chunk in &info.uncompressed_latin1_text {
        all.push((chunk.keyword.clone(), chunk.text.clone()));
    }
    for chunk in &info.compressed_latin1_text {
        all.push((chunk.keyword.clone(), chunk.get_text().map_err(|e| broken(&e))?));
    }
    for chunk in &info.utf8_text {
        all.push((chunk.keyword.clone(), chunk.get_text().map_err(|e| broken(&e))?));
    }
    Ok(all)
}

fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| u32::from(c) <= 0xff && c != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture::new(3, 2, (0..18).map(|v| v * 14).collect()).unwrap()
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|w| w == part)
    }

    #[test]
    fn text_is_text_chunk_when_latin1_and_international_otherwise() {
        let latin = encode(&picture(), &[(PARAMETERS, "café\nSteps: 20")]).unwrap();
        assert!(contains(&latin, b"tEXtparameters\0caf\xe9\nSteps: 20"));
        // Keyword, no compression (flag, method), empty language and translated keyword, UTF-8.
        let japanese = encode(&picture(), &[(PARAMETERS, "猫")]).unwrap();
        assert!(contains(&japanese, "iTXtparameters\0\0\0\0\0猫".as_bytes()));
    }

    #[test]
    fn pixels_and_text_come_back() {
        let text = [("parameters", "笑顔 😀\nSteps: 20, Seed: 7"), ("Software", "yuragi"), ("Ünïcode", "ß")];
        let bytes = encode(&picture(), &text).unwrap();
        assert_eq!(Picture::decode(&bytes).unwrap(), picture());
        let mut read = read_text(&bytes).unwrap();
        read.sort();
        let mut want = text.map(|(k, v)| (k.to_owned(), v.to_owned()));
        want.sort();
        assert_eq!(read, want);
        assert_eq!(read_text(&encode(&picture(), &[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn reads_compressed_text_and_text_after_the_pixels() {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 1, 1);
        encoder.add_ztxt_chunk("early".into(), "compressed".into()).unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[7]).unwrap();
        writer.write_text_chunk(&ITXtChunk::new("late", "後")).unwrap();
        writer.finish().unwrap();
        let text = read_text(&bytes).unwrap();
        assert_eq!(text, [("early".into(), "compressed".into()), ("late".into(), "後".into())]);
    }

    #[test]
    fn illegal_keywords_and_broken_files_are_errors() {
        for keyword in ["", "猫", "a\0b", &"k".repeat(80)] {
            assert!(matches!(encode(&picture(), &[(keyword, "x")]), Err(PngError::Keyword(_))), "{keyword:?}");
        }
        assert!(read_text(b"not a png").is_err());
        let whole = encode(&picture(), &[(PARAMETERS, "kept")]).unwrap();
        assert!(read_text(&whole[..20]).is_err());
    }

    #[test]
    fn saves_a_whole_file() {
        let scratch = crate::testing::Scratch::new();
        let path = scratch.join("cat.png");
        save(&path, &picture(), &[]).unwrap();
        assert_eq!(Picture::open(&path).unwrap(), picture());
        let error = save(scratch.join("none/cat.png"), &picture(), &[]).unwrap_err();
        assert!(error.to_string().contains("none/cat.png"), "{error}");
    }
}
