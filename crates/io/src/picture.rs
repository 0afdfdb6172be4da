//! 8-bit RGB pictures: decoding, resizing, tensors and contact sheets.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::resample;

/// The most pixels of a picture (20 000 × 5 000): larger ones are refused before memory is taken.
pub const MAX_PIXELS: u64 = 100_000_000;

/// A picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A side is zero, or there would be more than [`MAX_PIXELS`].
    #[error("a picture of {width}×{height} pixels: it must have at least 1 and at most {MAX_PIXELS}")]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The data does not match the size.
    #[error("a picture of {width}×{height} pixels needs {want} values, not {have}", want = 3 * width * height)]
    Length {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// How many values were given.
        have: usize,
    },
    /// A file says that it holds more than [`MAX_PIXELS`].
    #[error("the picture is too large: at most {MAX_PIXELS} pixels are decoded")]
    TooLarge,
    /// The bytes are neither PNG, JPEG nor WebP.
    #[error("not a PNG, JPEG or WebP picture")]
    Format,
    /// The file is broken, cut short or of an unsupported kind.
    #[error("broken picture: {0}")]
    Broken(String),
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Any of the above, of a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<PictureError>,
    },
}

impl PictureError {
    fn of(self, path: &Path) -> Self {
        Self::File { path: path.to_owned(), source: Box::new(self) }
    }
}

/// How a picture of another shape becomes a square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// The whole picture, centred on white.
    #[default]
    Pad,
    /// The largest centred square of the picture.
    Crop,
}

/// A picture of 8-bit RGB (sRGB, rows from the top), of 1 to [`MAX_PIXELS`] pixels.
///
/// ```
/// use yuragi_io::Picture;
/// let picture = Picture::filled(4, 2, [255, 0, 0])?;
/// assert_eq!(picture.pixel(3, 1), Some([255, 0, 0]));
/// assert_eq!(picture.to_f32()[..3], [1.0, -1.0, -1.0]);
/// # Ok::<(), yuragi_io::PictureError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture from its `height × width × 3` values.
    ///
    /// # Errors
    /// [`PictureError::Size`] for a size that cannot be, [`PictureError::Length`] for a wrong number of values.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, PictureError> {
        if rgb.len() != values(width, height)? {
            return Err(PictureError::Length { width, height, have: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A picture of one colour.
    ///
    /// # Errors
    /// [`PictureError::Size`] for a zero side or more than [`MAX_PIXELS`].
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Result<Self, PictureError> {
        let rgb = colour.into_iter().cycle().take(values(width, height)?).collect();
        Ok(Self { width, height, rgb })
    }

    /// Width in pixels, at least 1.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The `height × width × 3` values.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The `height × width × 3` values, to be changed.
    #[must_use]
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// The `height × width × 3` values, without a copy.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The colour at column `x` and row `y`, if inside.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let at = (x < self.width && y < self.height).then_some((y * self.width + x) * 3)?;
        self.rgb[at..].first_chunk().copied()
    }

    /// Decodes a PNG, JPEG or WebP file. Transparent parts are composited on white, 16-bit samples become 8-bit, and
    /// a photograph is turned as its EXIF orientation says.
    ///
    /// # Errors
    /// [`PictureError::Format`], [`PictureError::Broken`], or [`PictureError::TooLarge`] over [`MAX_PIXELS`] (read
    /// from the header, so that a small file that would unpack to gigabytes costs nothing).
    pub fn decode(bytes: &[u8]) -> Result<Self, PictureError> {
        let broken = |error: ImageError| match error {
            ImageError::Unsupported(_) => PictureError::Format,
            ImageError::Limits(_) => PictureError::TooLarge,
            error => PictureError::Broken(error.to_string()),
        };
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
        match reader.format() {
            None => return Err(PictureError::Format),
            Some(ImageFormat::Jpeg) if jpeg_is_cut(bytes) => {
                return Err(PictureError::Broken("the JPEG data ends too early".to_owned()));
            }
            Some(_) => {}
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(8 * MAX_PIXELS);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(PictureError::TooLarge);
        }
        let orientation = decoder.orientation().map_err(broken)?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
        picture.apply_orientation(orientation);
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let rgb = if picture.color().has_alpha() {
            picture.into_rgba8().as_chunks::<4>().0.iter().flat_map(on_white).collect()
        } else {
            picture.into_rgb8().into_raw()
        };
        Self::new(width, height, rgb)
    }

    /// Reads and [decodes](Self::decode) a file.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PictureError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| PictureError::from(error).of(path))?;
        Self::decode(&bytes).map_err(|error| error.of(path))
    }

    /// Resizes to `width × height`: area averaging when shrinking, linear interpolation when enlarging.
    ///
    /// # Errors
    /// [`PictureError::Size`] for a zero side or more than [`MAX_PIXELS`].
    pub fn resize(&self, width: usize, height: usize) -> Result<Self, PictureError> {
        values(width, height)?;
        let rgb = resample::resize(&self.rgb, (self.width, self.height), (width, height));
        Self::new(width, height, rgb)
    }

    /// Makes a square of `side` pixels, the aspect kept.
    ///
    /// # Errors
    /// [`PictureError::Size`] for a zero side or more than [`MAX_PIXELS`].
    pub fn fit(&self, side: usize, fit: Fit) -> Result<Self, PictureError> {
        match fit {
            _ if self.width == self.height => self.resize(side, side),
            Fit::Crop => {
                let square = self.width.min(self.height);
                let (left, top) = ((self.width - square) / 2, (self.height - square) / 2);
                self.crop(left, top, square, square)?.resize(side, side)
            }
            Fit::Pad => {
                let long = self.width.max(self.height);
                let scaled = |edge: usize| (edge as f64 * side as f64 / long as f64).round().max(1.0) as usize;
                let mut square = Self::filled(side, side, [255; 3])?;
                let inner = self.resize(scaled(self.width), scaled(self.height))?;
                square.paste(&inner, (side - inner.width) / 2, (side - inner.height) / 2);
                Ok(square)
            }
        }
    }

    /// The part of `width × height` pixels whose upper left corner is at (`left`, `top`), cut at the border.
    ///
    /// # Errors
    /// [`PictureError::Size`] if nothing is left.
    pub fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Result<Self, PictureError> {
        let width = width.min(self.width.saturating_sub(left));
        let height = height.min(self.height.saturating_sub(top));
        values(width, height)?;
        let rows = self.rgb.chunks_exact(self.width * 3).skip(top).take(height);
        Self::new(width, height, rows.flat_map(|row| &row[left * 3..(left + width) * 3]).copied().collect())
    }

    /// Copies `other` into this picture with its upper left corner at (`left`, `top`), cut at the border.
    pub fn paste(&mut self, other: &Self, left: usize, top: usize) {
        let width = other.width.min(self.width.saturating_sub(left)) * 3;
        if width == 0 {
            return;
        }
        let rows = self.rgb.chunks_exact_mut(self.width * 3).skip(top);
        for (to, from) in rows.zip(other.rgb.chunks_exact(other.width * 3)) {
            to[left * 3..][..width].copy_from_slice(&from[..width]);
        }
    }

    /// The `height × width × 3` values in `[-1, 1]`: 0 becomes -1, 255 becomes 1.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.rgb.iter().map(|&v| f32::from(v) / 127.5 - 1.0).collect()
    }

    /// A picture from `height × width × 3` values in `[-1, 1]`; values outside are clamped, NaN becomes 0 (black).
    ///
    /// # Errors
    /// [`PictureError::Size`] for a size that cannot be, [`PictureError::Length`] for a wrong number of values.
    pub fn from_f32(width: usize, height: usize, values: &[f32]) -> Result<Self, PictureError> {
        // A cast from float to u8 saturates, and takes NaN to 0.
        let rgb = values.iter().map(|&v| ((v + 1.0) * 127.5).round() as u8).collect();
        Self::new(width, height, rgb)
    }

    /// The pictures of a batch in NHWC order, values in `[-1, 1]`.
    ///
    /// # Errors
    /// As [`from_f32`](Self::from_f32); a number of values that is no multiple of a picture is a wrong length.
    pub fn from_batch(width: usize, height: usize, batch: &[f32]) -> Result<Vec<Self>, PictureError> {
        batch.chunks(values(width, height)?).map(|one| Self::from_f32(width, height, one)).collect()
    }
}

/// Values of a picture of this size, if it can exist.
fn values(width: usize, height: usize) -> Result<usize, PictureError> {
    match width.checked_mul(height) {
        Some(pixels) if pixels > 0 && pixels as u64 <= MAX_PIXELS => Ok(3 * pixels),
        _ => Err(PictureError::Size { width, height }),
    }
}

fn on_white(&[r, g, b, a]: &[u8; 4]) -> [u8; 3] {
    let alpha = u16::from(a);
    [r, g, b].map(|v| ((u16::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}

/// Whether the scans of a JPEG file are not followed by an end marker; the decoder would fill up with grey.
fn jpeg_is_cut(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match *rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, 0xda, ..] => return !rest.windows(2).any(|pair| pair == [0xff, 0xd9]),
            [0xff, _, high, low, ..] => match rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..) {
                Some(next) => rest = next,
                None => return true,
            },
            // No marker where one should be: the decoder says what is wrong.
            _ => return false,
        }
    }
}

/// Lays pictures out in rows of `columns` on white, `margin` pixels around each.
///
/// Every cell has the size of the largest picture, and smaller ones are centred in theirs.
///
/// # Errors
/// [`PictureError::Size`] without pictures, with zero columns or with more than [`MAX_PIXELS`].
///
/// ```
/// use yuragi_io::picture::{Picture, contact_sheet};
/// let red = Picture::filled(8, 8, [255, 0, 0])?;
/// let sheet = contact_sheet(&[red.clone(), red.clone(), red], 2, 1)?;
/// assert_eq!((sheet.width(), sheet.height()), (19, 19));
/// # Ok::<(), yuragi_io::PictureError>(())
/// ```
pub fn contact_sheet(pictures: &[Picture], columns: usize, margin: usize) -> Result<Picture, PictureError> {
    let columns = columns.min(pictures.len());
    let cell = |side: fn(&Picture) -> usize| pictures.iter().map(side).max().unwrap_or(0).saturating_add(margin);
    let (cell_width, cell_height) = (cell(Picture::width), cell(Picture::height));
    let rows = if columns == 0 { 0 } else { pictures.len().div_ceil(columns) };
    let side = |cells: usize, cell: usize| {
        if cells == 0 { 0 } else { cells.saturating_mul(cell).saturating_add(margin) }
    };
    let mut sheet = Picture::filled(side(columns, cell_width), side(rows, cell_height), [255; 3])?;
    for (i, picture) in pictures.iter().enumerate() {
        let left = margin + i % columns * cell_width + (cell_width - margin - picture.width) / 2;
        let top = margin + i / columns * cell_height + (cell_height - margin - picture.height) / 2;
        sheet.paste(picture, left, top);
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, codecs};

    fn gradient(width: usize, height: usize) -> Picture {
        let rgb = (0..width * height * 3).map(|i| (i * 7 % 256) as u8).collect();
        Picture::new(width, height, rgb).unwrap()
    }

    fn encoded_png(width: u32, height: u32, values: &[u8], colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        codecs::png::PngEncoder::new(&mut bytes).write_image(values, width, height, colour).unwrap();
        bytes
    }

    /// A small PNG file that promises a large size.
    fn promised_png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(::png::ColorType::Rgb);
        encoder.write_header().unwrap().write_chunk(::png::chunk::IDAT, &[0x78, 0x9c]).unwrap();
        bytes
    }

    #[test]
    fn refuses_sizes_that_cannot_be() {
        for (width, height) in [(0, 4), (4, 0), (usize::MAX, 2), (1 << 30, 1 << 30), (10_001, 10_000)] {
            assert!(matches!(Picture::filled(width, height, [0; 3]), Err(PictureError::Size { .. })));
            assert!(matches!(gradient(2, 2).resize(width, height), Err(PictureError::Size { .. })));
        }
        assert!(matches!(Picture::new(2, 2, vec![0; 11]), Err(PictureError::Length { have: 11, .. })));
        assert!(matches!(gradient(2, 3).fit(0, Fit::Pad), Err(PictureError::Size { .. })));
        assert!(matches!(gradient(2, 3).fit(0, Fit::Crop), Err(PictureError::Size { .. })));
        assert!(matches!(gradient(2, 3).crop(2, 0, 1, 1), Err(PictureError::Size { .. })));
    }

    #[test]
    fn tensors_round_trip_exactly() {
        let picture = gradient(9, 5);
        let values = picture.to_f32();
        assert!(values.iter().all(|v| (-1.0..=1.0).contains(v)));
        assert_eq!(Picture::from_f32(9, 5, &values).unwrap(), picture);
        let batch = [values.clone(), values].concat();
        assert_eq!(Picture::from_batch(9, 5, &batch).unwrap(), [picture.clone(), picture]);
        assert!(matches!(Picture::from_batch(9, 5, &batch[1..]), Err(PictureError::Length { .. })));
        let odd = Picture::from_f32(1, 1, &[f32::NAN, f32::INFINITY, -7.0]).unwrap();
        assert_eq!(odd.rgb(), [0, 255, 0]);
    }

    #[test]
    fn decodes_png_and_composites_on_white() {
        let rgba = [255, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 128];
        let picture = Picture::decode(&encoded_png(3, 1, &rgba, ExtendedColorType::Rgba8)).unwrap();
        assert_eq!(picture.rgb(), [255, 0, 0, 255, 255, 255, 127, 127, 127]);
        let grey = Picture::decode(&encoded_png(2, 1, &[10, 200], ExtendedColorType::L8)).unwrap();
        assert_eq!(grey.rgb(), [10, 10, 10, 200, 200, 200]);
        let deep = [0x12, 0x34u8].repeat(3);
        let deep = Picture::decode(&encoded_png(1, 1, &deep, ExtendedColorType::Rgb16)).unwrap();
        assert!(deep.rgb().iter().all(|&v| v == deep.rgb()[0]));
    }

    #[test]
    fn decodes_jpeg_closely_and_webp_exactly() {
        let picture = Picture::filled(16, 16, [200, 40, 90]).unwrap();
        let mut jpeg = Vec::new();
        codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
            .write_image(picture.rgb(), 16, 16, ExtendedColorType::Rgb8)
            .unwrap();
        let decoded = Picture::decode(&jpeg).unwrap();
        assert!(decoded.rgb().iter().zip(picture.rgb()).all(|(a, b)| a.abs_diff(*b) <= 3));
        let mut webp = Vec::new();
        codecs::webp::WebPEncoder::new_lossless(&mut webp)
            .write_image(picture.rgb(), 16, 16, ExtendedColorType::Rgb8)
            .unwrap();
        assert_eq!(Picture::decode(&webp).unwrap(), picture);
    }

    #[test]
    fn a_photograph_is_turned_as_it_says() {
        let mut picture = Picture::filled(16, 8, [0, 0, 255]).unwrap();
        picture.paste(&Picture::filled(8, 8, [255, 0, 0]).unwrap(), 0, 0);
        let mut jpeg = Vec::new();
        codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95)
            .write_image(picture.rgb(), 16, 8, ExtendedColorType::Rgb8)
            .unwrap();
        // One little-endian EXIF entry: orientation (0x0112), a short, 6: turn clockwise.
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut turned = vec![0xff, 0xd8, 0xff, 0xe1, 0, exif.len() as u8 + 2];
        turned.extend_from_slice(exif);
        turned.extend_from_slice(&jpeg[2..]);
        let turned = Picture::decode(&turned).unwrap();
        assert_eq!((turned.width(), turned.height()), (8, 16));
        assert!(matches!(turned.pixel(4, 2), Some([200..=255, _, 0..50])), "the left became the top");
    }

    #[test]
    fn broken_files_are_errors() {
        let noise: Vec<u8> = (0..64 * 64 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let png = encoded_png(64, 64, &noise, ExtendedColorType::Rgb8);
        for bytes in [&b""[..], b"GIF89a", b"not a picture at all", &[0xff; 100]] {
            assert!(matches!(Picture::decode(bytes), Err(PictureError::Format)), "{bytes:?}");
        }
        let mut jpeg = Vec::new();
        codecs::jpeg::JpegEncoder::new(&mut jpeg).write_image(&noise, 64, 64, ExtendedColorType::Rgb8).unwrap();
        for whole in [png, jpeg] {
            for cut in [10, 33, whole.len() / 2, whole.len() - 20] {
                assert!(matches!(Picture::decode(&whole[..cut]), Err(PictureError::Broken(_))), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_large_picture_is_shrunk_and_a_bomb_is_refused() {
        let wide = encoded_png(20_000, 3, &vec![90; 20_000 * 3], ExtendedColorType::L8);
        let wide = Picture::decode(&wide).unwrap().fit(64, Fit::Pad).unwrap();
        assert_eq!((wide.width(), wide.height()), (64, 64));
        assert_eq!(wide.pixel(0, 31), Some([90; 3]));
        assert_eq!(wide.pixel(0, 0), Some([255; 3]));
        for side in [10_001, 60_000, i32::MAX as u32] {
            let error = Picture::decode(&promised_png(side, side)).unwrap_err();
            assert!(matches!(error, PictureError::TooLarge), "{error}");
        }
    }

    #[test]
    fn fits_squares() {
        let mut wide = Picture::filled(40, 20, [0, 0, 255]).unwrap();
        wide.paste(&Picture::filled(10, 20, [255, 0, 0]).unwrap(), 0, 0);
        let pad = wide.fit(20, Fit::Pad).unwrap();
        assert_eq!(
            (pad.pixel(0, 4), pad.pixel(0, 5), pad.pixel(0, 15)),
            (Some([255; 3]), Some([255, 0, 0]), Some([255; 3]))
        );
        let crop = wide.fit(20, Fit::Crop).unwrap();
        assert!(crop.rgb().chunks(3).all(|p| p == [0, 0, 255]));
        let thin = Picture::filled(1, 1000, [0; 3]).unwrap().fit(8, Fit::Pad).unwrap();
        assert_eq!(thin.rgb().chunks(3).filter(|p| *p == [0; 3]).count(), 8);
    }

    #[test]
    fn a_sheet_places_every_picture() {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let pictures = colours.map(|c| Picture::filled(4, 4, c).unwrap());
        let sheet = contact_sheet(&pictures, 2, 3).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (17, 17));
        assert_eq!(sheet.pixel(3, 3), Some(colours[0]));
        assert_eq!(sheet.pixel(10, 3), Some(colours[1]));
        assert_eq!(sheet.pixel(3, 10), Some(colours[2]));
        assert_eq!(sheet.pixel(10, 10), Some([255; 3]));
        assert_eq!(sheet.pixel(7, 3), Some([255; 3]));
        assert!(contact_sheet(&[], 2, 3).is_err());
        assert!(contact_sheet(&pictures, 0, 3).is_err());
        assert_eq!(contact_sheet(&pictures[..1], 9, 0).unwrap(), pictures[0]);
    }

    #[test]
    fn an_error_names_the_file() {
        let error = Picture::open("/nonexistent/cat.png").unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/cat.png: "), "{error}");
    }
}
