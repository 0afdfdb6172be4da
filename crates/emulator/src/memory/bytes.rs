//! Bytes that one thread of the host uses: shared, local and parameter memory.

/// Bytes, and which of them were ever written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bytes {
    data: Vec<u8>,
    written: Vec<u64>,
}

impl Bytes {
    /// So many bytes, none of them written.
    pub fn new(len: usize) -> Bytes {
        Bytes { data: vec![0; len], written: vec![0; len.div_ceil(64)] }
    }

    /// Becomes so many bytes, none of them written.
    pub fn clear(&mut self, len: usize) {
        self.data.clear();
        self.data.resize(len, 0);
        self.written.clear();
        self.written.resize(len.div_ceil(64), 0);
    }

    /// Whether the range lies inside.
    pub fn holds(&self, offset: u64, len: usize) -> bool {
        offset.checked_add(len as u64).is_some_and(|end| end <= self.data.len() as u64)
    }

    /// Whether every byte of a range of at most 64 that lies inside was written.
    pub fn is_written(&self, offset: usize, len: usize) -> bool {
        let (word, bit) = (offset / 64, offset % 64);
        let mask = ones(len);
        let here = (self.written[word] >> bit) & mask;
        let found = match bit + len > 64 {
            true => here | (self.written[word + 1] << (64 - bit)) & mask,
            false => here,
        };
        found == mask
    }

    /// The little-endian number in 1 to 8 bytes that lie inside.
    pub fn read(&self, offset: usize, len: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&self.data[offset..offset + len]);
        u64::from_le_bytes(bytes)
    }

    /// Writes the low bytes of a number.
    pub fn write(&mut self, offset: usize, len: usize, value: u64) {
        self.data[offset..offset + len].copy_from_slice(&value.to_le_bytes()[..len]);
        self.mark(offset, len);
    }

    /// Writes 16 bytes at an offset that is a multiple of 16.
    #[inline(always)]
    pub fn write_wide(&mut self, offset: usize, words: [u64; 2]) {
        for (bytes, word) in self.data[offset..][..16].as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        self.written[offset / 64] |= ones(16) << (offset % 64);
    }

    /// The words of the 32 bytes from an offset inside on that is a multiple of 32, and whether all were written.
    #[inline(always)]
    pub fn sector(&self, offset: usize) -> ([u32; 8], bool) {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(self.data[offset..][..32].as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        (words, self.written[offset / 64] >> (offset % 64) & ones(32) == ones(32))
    }

    /// Writes such words.
    #[inline(always)]
    pub fn put_sector(&mut self, offset: usize, words: &[u32; 8]) {
        for (word, bytes) in words.iter().zip(self.data[offset..][..32].as_chunks_mut().0) {
            *bytes = word.to_le_bytes();
        }
        self.written[offset / 64] |= ones(32) << (offset % 64);
    }

    fn mark(&mut self, offset: usize, len: usize) {
        let (word, bit) = (offset / 64, offset % 64);
        self.written[word] |= ones(len) << bit;
        if bit + len > 64 {
            self.written[word + 1] |= ones(len) >> (64 - bit);
        }
    }
}

/// So many low bits, at most 64.
fn ones(len: usize) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_know_what_was_written_across_words() {
        let mut bytes = Bytes::new(200);
        bytes.write(60, 8, 0x0102_0304_0506_0708);
        assert!(bytes.is_written(60, 8) && bytes.is_written(64, 4) && bytes.is_written(63, 2));
        assert!(!bytes.is_written(59, 2) && !bytes.is_written(64, 8));
        assert_eq!((bytes.read(60, 8), bytes.read(66, 1)), (0x0102_0304_0506_0708, 2));
        assert!(bytes.holds(192, 8) && !bytes.holds(193, 8) && !bytes.holds(u64::MAX, 2));
    }
}
