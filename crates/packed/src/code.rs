//! What is packed: the length of the deflated bytes and the number of eights of codes, as 32 bits each; the lengths of the
//! 32 codes, a byte each; the deflated bytes; the codes, the highest bits first.

pub const SYMBOLS: usize = 32;
/// Bits of a symbol, and bytes of eight of them: the first one in the lowest bits.
pub const BITS: usize = 5;
/// The longest code.
pub const LONGEST: u32 = 12;
pub const HEAD: usize = 8 + SYMBOLS;

/// Each symbol's code in the order of the canonical Huffman code: its first bits, and how many they are.
pub fn codes(lengths: [u8; SYMBOLS]) -> [(u32, u32); SYMBOLS] {
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
