//! Huffman's codes for the last part of a file, all else deflated.

use std::io::Read;

use flate2::{Compression, read::DeflateEncoder};

use crate::{
    code::{BITS, LONGEST, SYMBOLS, codes},
    error::PackError,
};

/// A file whose bytes from `codes_from` on are codes, eight in each five bytes.
///
/// # Errors
/// Bytes that are not so many, or more than can be counted.
pub fn packed(file: &[u8], codes_from: usize) -> Result<Vec<u8>, PackError> {
    let (plain, given) = file.split_at_checked(codes_from).ok_or(PackError::NotSafetensors)?;
    let (eights, rest) = given.as_chunks::<BITS>();
    if !rest.is_empty() {
        return Err(PackError::NotEights);
    }
    let symbols = || {
        eights.iter().flat_map(|eight| {
            let word = eight.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            (0..8).map(move |place| (word >> (BITS * place)) as usize % SYMBOLS)
        })
    };
    let mut counts = [0u64; SYMBOLS];
    symbols().for_each(|symbol| counts[symbol] += 1);
    let lengths = lengths(counts);
    let codes = codes(lengths);
    let mut deflated = Vec::new();
    DeflateEncoder::new(plain, Compression::best()).read_to_end(&mut deflated).map_err(|_| PackError::TooLarge)?;
    let sizes = [deflated.len(), eights.len()].map(u32::try_from);
    let [Ok(size), Ok(count)] = sizes else { return Err(PackError::TooLarge) };
    let mut out = [size.to_le_bytes(), count.to_le_bytes()].concat();
    out.extend(lengths);
    out.extend(deflated);
    let (mut bits, mut have) = (0u64, 0);
    for symbol in symbols() {
        let (code, length) = codes[symbol];
        bits |= u64::from(code) << (64 - LONGEST) >> have;
        have += length;
        while have >= 8 {
            out.push((bits >> 56) as u8);
            (bits, have) = (bits << 8, have - 8);
        }
    }
    if have > 0 {
        out.push((bits >> 56) as u8);
    }
    Ok(out)
}

/// The lengths of Huffman's codes, where rare symbols count as more frequent than they are until none is too long.
fn lengths(counts: [u64; SYMBOLS]) -> [u8; SYMBOLS] {
    let mut floor = 1;
    loop {
        // A tree's weight, and its symbols.
        let mut trees: Vec<(u64, Vec<usize>)> =
            (0..SYMBOLS).map(|symbol| (counts[symbol].max(floor), vec![symbol])).collect();
        let mut lengths = [0; SYMBOLS];
        while trees.len() > 1 {
            trees.sort_by_key(|(weight, symbols)| (core::cmp::Reverse(*weight), symbols[0]));
            let [Some(a), Some(b)] = [trees.pop(), trees.pop()] else { break };
            let joined = [a.1, b.1].concat();
            joined.iter().for_each(|&symbol| lengths[symbol] += 1);
            trees.push((a.0 + b.0, joined));
        }
        if lengths.iter().all(|&length| u32::from(length) <= LONGEST) {
            return lengths;
        }
        floor *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{code::HEAD, unpack};

    fn round(plain: &[u8], codes: &[u8]) -> usize {
        let file = [plain, codes].concat();
        let small = packed(&file, plain.len()).unwrap();
        assert!(unpack(&small) == Some(file));
        for end in [0, HEAD - 1, HEAD, small.len() - 1] {
            assert!(unpack(&small[..end]).is_none(), "{end}");
        }
        small.len()
    }

    #[test]
    fn what_was_packed_comes_back() {
        round(b"plain", &[]);
        round(b"", &[0; 500]);
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let all: Vec<u8> = (0..5000).map(|_| random()).collect();
        assert!(round(b"x", &all) >= 5000);
        // Few symbols, one of them rare.
        let few: Vec<u8> = (0..50_000).map(|i| if i == 777 { 0xff } else { u8::from(random() < 128) }).collect();
        assert!(round(b"", &few) < 20_000);
        assert!(packed(&[0; 6], 2).is_err() && packed(&[0; 6], 7).is_err());
    }

    #[test]
    fn codes_of_another_table_are_no_panic() {
        let small = packed(&[0x5a; 400], 0).unwrap();
        for at in 0..small.len() {
            for value in [0, 1, 7, 31, 255] {
                let mut other = small.clone();
                other[at] = value;
                let _ = unpack(&other);
            }
        }
    }
}
