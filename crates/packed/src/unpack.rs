//! From fewer bytes to the file.

use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::code::{BITS, HEAD, LONGEST, codes};

/// The file that was packed; nothing if it is damaged.
pub fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = packed.split_at_checked(HEAD)?;
    let number = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?) as usize);
    let (deflated, coded) = rest.split_at_checked(number(0)?)?;
    let eights = number(4)?;
    // A code has a bit at least.
    if eights > coded.len() {
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
    let (mut stream, mut bits, mut have, mut used) = (coded, 0u64, 0u32, 0);
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
                used += usize::from(length);
            }
        }
        file.extend_from_slice(&eight.to_le_bytes()[..BITS]);
    }
    // One that was cut short, or has more than its codes, is none.
    (used.div_ceil(8) == coded.len()).then_some(file)
}
