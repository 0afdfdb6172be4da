//! Fat binaries: what `nvcc` embeds, of which the PTX is read.

use std::io::Read;

use super::error::{Code, Outcome};
use super::pointer::Buffer;

/// The first word of a fat binary, and of what points to one.
pub const MARK: u32 = 0xBA55_ED50;
pub const WRAPPER_MARK: u32 = 0x4662_43B1;

/// What points to a fat binary (`__fatBinC_Wrapper_t`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Wrapper {
    mark: u32,
    version: u32,
    data: Buffer,
    file: Buffer,
}

/// The head of a fat binary: a mark, a version and the head's bytes in 16 bits each, and those of what follows.
const HEAD: usize = 16;
/// The least head of an entry.
const ENTRY: usize = 64;
/// The kind of an entry that holds PTX.
const PTX: u64 = 1;
/// How an entry is compressed.
const LZ4: u64 = 0x2000;
const ZSTD: u64 = 0x8000;
/// The most bytes of a text.
const MOST_TEXT: u64 = 1 << 30;
/// The most bytes that one byte of LZ4 can stand for.
const MOST_LZ4: u64 = 255;

/// The bytes of a fat binary in memory, or of one that is pointed to.
pub fn read(image: Buffer) -> Outcome<Vec<u8>> {
    let image = match image.array::<u32>().get()? {
        WRAPPER_MARK => image.array::<Wrapper>().get()?.data,
        _ => image,
    };
    let head = image.read(HEAD)?;
    if number(&head, 0, 4) != Some(MARK.into()) {
        return Err(Code::INVALID_IMAGE.into());
    }
    let all = number(&head, 6, 2).zip(number(&head, 8, 8)).and_then(|(head, rest)| head.checked_add(rest));
    let all = all.filter(|&all| all <= MOST_TEXT).ok_or(Code::INVALID_IMAGE)?;
    image.read(all as usize)
}

/// A little-endian number of some bytes from one on.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(len)?)?;
    Some(part.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte)))
}

/// A text, the `sm_` number that it is for, and how it is compressed.
struct Entry<'a> {
    target: u64,
    bytes: &'a [u8],
    flags: u64,
    /// Its bytes when it is not compressed.
    whole: u64,
}

/// The texts of a fat binary, and whether it holds machine code.
fn entries(mut bytes: &[u8]) -> Option<(Vec<Entry<'_>>, bool)> {
    let (mut texts, mut machine_code) = (Vec::new(), false);
    // Several may lie one behind the other.
    while number(bytes, 0, 4) == Some(MARK.into()) {
        let (head, rest) = (number(bytes, 6, 2)? as usize, usize::try_from(number(bytes, 8, 8)?).ok()?);
        if head < HEAD {
            return None;
        }
        let mut inner = bytes.get(head..head.checked_add(rest)?)?;
        while inner.len() >= ENTRY {
            let (head, room) = (number(inner, 4, 4)? as usize, usize::try_from(number(inner, 8, 8)?).ok()?);
            if head < ENTRY {
                return None;
            }
            let (kind, flags, whole) = (number(inner, 0, 2)?, number(inner, 40, 8)?, number(inner, 56, 8)?);
            let payload = inner.get(head..head.checked_add(room)?)?;
            if kind == PTX {
                let is_packed = flags & (LZ4 | ZSTD) != 0;
                let bytes = if is_packed { payload.get(..number(inner, 16, 4)? as usize)? } else { payload };
                texts.push(Entry { target: number(inner, 28, 4)?, bytes, flags, whole });
            }
            machine_code |= kind != PTX;
            inner = inner.get(head + room..)?;
        }
        bytes = bytes.get(head + rest..)?;
    }
    Some((texts, machine_code))
}

/// The PTX of a fat binary for the newest architecture that a device of this capability can take.
pub fn text(bytes: &[u8], capability: (u32, u32)) -> Outcome<String> {
    let (texts, machine_code) = entries(bytes).ok_or(Code::INVALID_IMAGE)?;
    let own = u64::from(10 * capability.0 + capability.1);
    let fits = texts.iter().filter(|entry| entry.target <= own).max_by_key(|entry| entry.target);
    let Some(Entry { bytes, flags, whole, .. }) = fits else {
        let held: Vec<String> = texts.iter().map(|entry| format!("PTX for compute_{}", entry.target)).collect();
        let held = match held.is_empty() {
            true if machine_code => "machine code alone".to_owned(),
            true => "nothing".to_owned(),
            false => held.join(", "),
        };
        return Err(Code::NO_BINARY_FOR_GPU.because(format_args!(
            "the fat binary holds {held}, and the emulator executes PTX of at most compute_{own}: compile with \
             `nvcc -gencode arch=compute_80,code=compute_80` or the like"
        )));
    };
    let broken = |why: String| Code::INVALID_IMAGE.because(format_args!("the PTX of a fat binary: {why}"));
    let most = if flags & LZ4 != 0 { MOST_TEXT.min(MOST_LZ4 * bytes.len() as u64) } else { MOST_TEXT };
    if *whole > most {
        return Err(broken(format!("{whole} bytes packed in {}", bytes.len())));
    }
    let text = match flags {
        flags if flags & ZSTD != 0 => {
            let mut text = Vec::new();
            let unpacked =
                ruzstd::decoding::StreamingDecoder::new(*bytes).map_err(|error| broken(error.to_string()))?;
            unpacked.take(MOST_TEXT).read_to_end(&mut text).map_err(|error| broken(error.to_string()))?;
            text
        }
        flags if flags & LZ4 != 0 => {
            lz4_flex::block::decompress(bytes, *whole as usize).map_err(|error| broken(error.to_string()))?
        }
        _ => bytes.to_vec(),
    };
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry's head and payload.
    fn entry(kind: u16, target: u32, flags: u64, payload: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        all.extend(kind.to_le_bytes());
        all.extend([1, 1]);
        all.extend(64_u32.to_le_bytes());
        all.extend((payload.len().next_multiple_of(8) as u64).to_le_bytes());
        all.extend((payload.len() as u32).to_le_bytes());
        all.extend([0; 8]);
        all.extend(target.to_le_bytes());
        all.extend([0; 8]);
        all.extend(flags.to_le_bytes());
        all.extend([0; 8]);
        all.extend(64_u64.to_le_bytes());
        all.extend(payload);
        all.resize(all.len().next_multiple_of(8), 0);
        all
    }

    fn fat(entries: &[Vec<u8>]) -> Vec<u8> {
        let rest = entries.concat();
        let mut all = MARK.to_le_bytes().to_vec();
        all.extend([1, 0, 16, 0]);
        all.extend((rest.len() as u64).to_le_bytes());
        all.extend(rest);
        all
    }

    #[test]
    fn the_newest_text_that_the_device_can_take_is_read() {
        let packed = [0x50, b'a', b'b', b'c', b'd', b'e'];
        let all =
            [entry(1, 80, 0, b"old"), entry(1, 90, LZ4, &packed), entry(1, 100, 0, b"new"), entry(2, 90, 0, b"code")];
        assert_eq!(text(&fat(&all), (9, 0)).unwrap(), "abcde");
        assert_eq!(text(&fat(&all), (8, 0)).unwrap(), "old");
        let none = text(&fat(&all[2..]), (9, 0)).unwrap_err();
        assert!(none.message.unwrap().contains("PTX for compute_100"));
        let none = text(&fat(&all[3..]), (9, 0)).unwrap_err();
        assert!(none.message.unwrap().contains("machine code alone"));
    }

    #[test]
    fn what_is_cut_off_or_not_packed_as_it_says_is_refused() {
        let whole = fat(&[entry(1, 80, 0, b"some text"), entry(1, 70, LZ4, &[0xff; 9]), entry(1, 60, ZSTD, &[1; 9])]);
        for len in 0..whole.len() {
            assert!(text(&whole[..len], (9, 0)).is_err(), "{len}");
        }
        assert!(text(&whole, (7, 0)).is_err() && text(&whole, (6, 0)).is_err());
        // A whole of a GiB out of six bytes.
        let mut packed = entry(1, 90, LZ4, &[0x50, b'a', b'b', b'c', b'd', b'e']);
        packed[56..64].copy_from_slice(&MOST_TEXT.to_le_bytes());
        let refused = text(&fat(&[packed]), (9, 0)).unwrap_err();
        assert!(refused.message.unwrap().contains("1073741824 bytes packed in 6"));
    }

    #[test]
    fn heads_that_lead_nowhere_are_refused() {
        for kind in [0, 1, 2] {
            let whole = fat(&[entry(kind, 80, 0, &[]), entry(1, 80, 0, b"some text")]);
            // The bytes of both heads, those of what follows, and the outer head's.
            for (at, len) in [(20, 4), (24, 8), (84, 4), (88, 8), (6, 2), (8, 8)] {
                for byte in [0, 0xff] {
                    let mut changed = whole.clone();
                    changed[at..at + len].fill(byte);
                    let is_same = changed == whole || (at, byte) == (88, 0);
                    assert_eq!(text(&changed, (9, 0)).is_ok(), is_same, "kind {kind}, {len} bytes of {byte} at {at}");
                }
            }
        }
        // Zeros behind a head of either kind.
        let zeros = [&fat(&[])[..8], &[64], &[0; 7 + 64]].concat();
        assert!(text(&zeros, (9, 0)).is_err() && text(&[&zeros[..4], &[0; 12]].concat(), (9, 0)).is_err());
    }
}
