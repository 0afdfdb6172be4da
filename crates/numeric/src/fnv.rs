//! The hash FNV-1a (Fowler, Noll and Vo), which tells texts, pictures and tables apart that nobody forges.

/// 64 bits of what was added, byte after byte or word after word.
///
/// ```
/// use yuragi_numeric::fnv::Fnv1a;
/// let mut hash = Fnv1a::default();
/// hash.bytes(b"a");
/// assert_eq!(hash.value(), 0xaf63_dc4c_8601_ec8c);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    /// The hash.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.word(byte.into()));
    }

    /// Adds a word in one step, which is faster than its bytes and another number.
    pub const fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}

/// 32 bits of a text.
///
/// ```
/// assert_eq!(yuragi_numeric::fnv::fnv1a_32("a"), 0xe40c_292c);
/// ```
#[must_use]
pub fn fnv1a_32(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
