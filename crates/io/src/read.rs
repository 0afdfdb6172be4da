//! Bytes and text of a file that others made.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use yuragi_graph::Collective;

/// The most bytes that a file may have once it is unpacked.
pub(crate) const LARGEST: u64 = 1 << 32;

/// A file of numbers could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// The bytes of a file, unpacked if gzip packed them, and the array that its name asks for: `data.npz:x` is the array
/// `x` of `data.npz`. Each of these ranks reads its share of the file, and has the others' from them.
pub(crate) fn bytes(path: &Path, ranks: &dyn Collective) -> Result<(Vec<u8>, Option<String>), ReadError> {
    let failed = |source| ReadError::Read { path: path.to_owned(), source };
    let (file, array) = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parts =
                path.to_str().and_then(|path| path.rsplit_once(':')).filter(|(file, _)| Path::new(file).is_file());
            let (file, array) = parts.ok_or(error).map_err(failed)?;
            (File::open(file).map_err(failed)?, Some(array.to_owned()))
        }
        file => (file.map_err(failed)?, None),
    };
    Ok((unpacked(file, ranks).map_err(failed)?, array))
}

fn unpacked(file: File, ranks: &dyn Collective) -> io::Result<Vec<u8>> {
    let known = file.metadata()?;
    if known.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let bytes = if ranks.size() > 1 && known.is_file() { shared(file, known.len(), ranks)? } else { limited(file)? };
    if bytes.starts_with(&[0x1f, 0x8b]) { limited(MultiGzDecoder::new(bytes.as_slice())) } else { Ok(bytes) }
}

/// Bytes that a rank does not part: those of a page.
const PAGE: usize = 4096;

/// The bytes of a file, of which each rank reads its share.
fn shared(mut file: File, length: u64, ranks: &dyn Collective) -> io::Result<Vec<u8>> {
    if length > LARGEST {
        return Err(too_large());
    }
    let own = ranks.share(length as usize, PAGE, ranks.rank());
    file.seek(SeekFrom::Start(own.start as u64))?;
    let mut bytes = Vec::with_capacity(own.len());
    file.take(own.len() as u64).read_to_end(&mut bytes)?;
    let all = ranks.gather(&bytes).map_err(io::Error::other)?.concat();
    if all.len() as u64 == length { Ok(all) } else { Err(io::Error::other("ranks see files of other lengths there")) }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 4 GiB")
}

pub(crate) fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if from.take(LARGEST + 1).read_to_end(&mut bytes)? as u64 > LARGEST {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The text of a file, its lines ended by `\n` alone and without a byte order mark: UTF-8, UTF-16 with such a mark
/// (as Excel writes "Unicode text"), or else Latin-1.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, String> {
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        _ => narrow(bytes)?,
    };
    let text = text.strip_prefix('\u{feff}').map_or(text.as_str(), |rest| rest);
    Ok(if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() })
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks();
    let units = pairs.iter().map(|&pair| unit(pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() && !text.contains('\0') => Ok(text),
        _ => Err("it begins as UTF-16 does, and is no text".to_owned()),
    }
}

fn narrow(bytes: Vec<u8>) -> Result<String, String> {
    let control = |&byte: &u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0x1a);
    if let Some(at) = bytes.iter().position(control) {
        let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
        return Err(format!("line {line} is no text"));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect()))
}

/// What kind of file these bytes begin, if it is a well-known one that is neither a table nor a problem.
pub(crate) fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 16] = [
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"%PDF", "a PDF document"),
        (b"\x89HDF", "an HDF5 file (MATLAB's v7.3, too)"),
        (b"MATLAB 5.0", "a MATLAB file"),
        (b"PAR1", "a Parquet file"),
        (b"ARROW1", "an Arrow file"),
        (b"BZh", "packed by bzip2"),
        (b"\xfd7zXZ", "packed by xz"),
        (b"\x28\xb5\x2f\xfd", "packed by zstd"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
        (b"\x80\x02", "a Python pickle"),
        (b"\x80\x03", "a Python pickle"),
        (b"\x80\x04", "a Python pickle"),
        (b"\x80\x05", "a Python pickle"),
    ];
    if let Some((_, kind)) = KINDS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(kind);
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start().to_ascii_lowercase();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        return Some("a web page, as a failed download leaves it");
    }
    let settings = bytes.split_first_chunk::<8>().is_some_and(|(&length, rest)| {
        u64::from_le_bytes(length) <= rest.len() as u64 && rest.starts_with(b"{\"") && length[4..] == [0; 4]
    });
    settings.then_some("a safetensors file")
}

/// What a stranger wrote, short and without what a terminal would obey.
pub(crate) fn shown(cell: &str) -> String {
    let short: String = cell.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if cell.chars().nth(40).is_some() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_encoding() {
        let utf16 = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain("é\r\n1".encode_utf16().flat_map(unit)).collect::<Vec<u8>>()
        };
        for bytes in [
            "é\n1".as_bytes().to_vec(),
            "\u{feff}é\r\n1".as_bytes().to_vec(),
            b"\xe9\r1".to_vec(),
            utf16([0xff, 0xfe], u16::to_le_bytes),
            utf16([0xfe, 0xff], u16::to_be_bytes),
        ] {
            assert_eq!(text(bytes).unwrap(), "é\n1");
        }
        assert_eq!(text(b"a\nb\0".to_vec()).unwrap_err(), "line 2 is no text");
        assert!(text(vec![0xff, 0xfe, 0]).unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn well_known_files_are_named() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Some("a PNG picture")),
            (b"\n<!DOCTYPE HTML>\n<title>404</title>", Some("a web page, as a failed download leaves it")),
            (b"\x10\0\0\0\0\0\0\0{\"a\": 1}        ", Some("a safetensors file")),
            (b"1,2\n", None),
            (b"", None),
        ] {
            assert_eq!(foreign(bytes), kind);
        }
    }
}
