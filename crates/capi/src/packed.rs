//! The model's file in fewer bytes: its codes of 5 bits by Huffman's method, all else deflated.
//!
//! Rounded weights are nearer to zero than to the ends of their range, so that a code has 4.5 bits of information. What is
//! packed begins with the length of the deflated bytes and the number of eights of codes, as 32 bits each, and the lengths
//! of the 32 codes, a byte each; then come the deflated bytes, and the codes, the highest bits first. The build packs
//! (`build.rs`), the library unpacks.

use std::io::Read;

use flate2::{
    Compression,
    read::{DeflateDecoder, DeflateEncoder},
};

const SYMBOLS: usize = 32;
/// Bits of a symbol, and bytes of eight of them: the first one in the lowest bits.
const BITS: usize = 5;
/// The longest code.
const LONGEST: u32 = 12;
const HEAD: usize = 8 + SYMBOLS;

/// Each symbol's code in the order of the canonical Huffman code: its first bits, and how many they are.
fn codes(lengths: [u8; SYMBOLS]) -> [(u32, u32); SYMBOLS] {
    let mut order: [usize; SYMBOLS] = core::array::from_fn(|symbol| symbol);
    order.sort_by_key(|&symbol| (lengths[symbol], symbol));
    let (mut codes, mut next) = ([(0, 0); SYMBOLS], 0);
    for symbol in order.into_iter().filter(|&symbol| lengths[symbol] > 0) {
        let length = u32::from(lengths[symbol]).min(LONGEST);
        codes[symbol] = (next, length);
        next += 1 << (LONGEST - length);
    }
    codes
}

/// The file that was packed; nothing if it is damaged.
pub fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = packed.split_at_checked(HEAD)?;
    let number = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?) as usize);
    let (deflated, mut stream) = rest.split_at_checked(number(0)?)?;
    let eights = number(4)?;
    // A code has a bit at least.
    if eights > stream.len() {
        return None;
    }
    let mut table = [(0u8, 1u8); 1 << LONGEST];
    for (symbol, (first, length)) in codes(*head.last_chunk()?).into_iter().enumerate().filter(|(_, code)| code.1 > 0) {
        let first = first as usize;
        table.get_mut(first..first + (1 << (LONGEST - length)))?.fill((symbol as u8, length as u8));
    }
    let mut file = Vec::new();
    DeflateDecoder::new(deflated).read_to_end(&mut file).ok()?;
    file.reserve_exact(BITS * eights);
    let (mut bits, mut have) = (0u64, 0u32);
    for _ in 0..eights {
        let mut eight = 0u64;
        for half in 0..2 {
            // Four codes are at most 48 bits.
            while have <= 56 {
                let (byte, left) = stream.split_first().map_or((0, stream), |(byte, left)| (*byte, left));
                (bits, have, stream) = (bits | u64::from(byte) << (56 - have), have + 8, left);
            }
            for place in 4 * half..4 * half + 4 {
                let (symbol, length) = table[(bits >> (64 - LONGEST)) as usize];
                eight |= u64::from(symbol) << (BITS * place);
                bits <<= length;
                have -= u32::from(length);
            }
        }
        file.extend_from_slice(&eight.to_le_bytes()[..BITS]);
    }
    Some(file)
}

/// A file whose bytes from `codes_from` on are codes, eight in each five bytes.
///
/// # Errors
/// Bytes that are not so many, or more than can be counted.
#[cfg_attr(not(test), allow(dead_code))] // the build's
pub fn packed(file: &[u8], codes_from: usize) -> Result<Vec<u8>, &'static str> {
    let (plain, given) = file.split_at_checked(codes_from).ok_or("the codes begin behind the end of the file")?;
    let (eights, rest) = given.as_chunks::<BITS>();
    if !rest.is_empty() {
        return Err("the codes are no whole number of eights");
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
    DeflateEncoder::new(plain, Compression::best())
        .read_to_end(&mut deflated)
        .map_err(|_| "the file cannot be deflated")?;
    let sizes = [deflated.len(), eights.len()].map(u32::try_from);
    let [Ok(size), Ok(count)] = sizes else { return Err("the file is too large") };
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

    fn round(plain: &[u8], codes: &[u8]) -> usize {
        let file = [plain, codes].concat();
        let small = packed(&file, plain.len()).unwrap();
        assert!(unpacked(&small) == Some(file));
        for end in [0, HEAD - 1, HEAD] {
            assert!(unpacked(&small[..end]).is_none());
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
                let _ = unpacked(&other);
            }
        }
    }
}
