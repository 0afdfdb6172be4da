//! How much flash and RAM a program of 32 bits takes, from the section headers of its ELF file.

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Code, constants, and the first values of variables.
    pub flash: usize,
    /// Variables, with the heap if it is one of them; not the stack.
    pub ram: usize,
}

/// Of a little-endian program; nothing if it is none.
pub fn sizes(file: &[u8]) -> Option<Sizes> {
    const WRITABLE: usize = 1;
    const ALLOCATED: usize = 2;
    const NO_BITS: usize = 8;
    let word = |at: usize| Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?) as usize);
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(*file.get(at..)?.first_chunk()?)));
    if !file.starts_with(b"\x7fELF\x01\x01") {
        return None;
    }
    let (start, step, count) = (word(0x20)?, half(0x2e)?, half(0x30)?);
    let mut sizes = Sizes::default();
    for section in (0..count).map(|i| start + i * step) {
        let (kind, flags, size) = (word(section + 4)?, word(section + 8)?, word(section + 20)?);
        if flags & ALLOCATED != 0 {
            sizes.flash += if kind == NO_BITS { 0 } else { size };
            sizes.ram += if flags & WRITABLE == 0 { 0 } else { size };
        }
    }
    Some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_lie_in_flash_in_memory_or_in_both() {
        let mut file = vec![0; 52];
        file[..6].copy_from_slice(b"\x7fELF\x01\x01");
        (file[0x20], file[0x2e], file[0x30]) = (52, 40, 4);
        // Kind, flags and size of code, data, variables, and of what is not loaded.
        for [kind, flags, size] in [[1, 6, 100], [1, 3, 20], [8, 3, 7], [1, 0, 200]] {
            let mut section = [0; 40];
            (section[4], section[8], section[20]) = (kind, flags, size);
            file.extend(section);
        }
        assert_eq!(sizes(&file), Some(Sizes { flash: 120, ram: 27 }));
        assert_eq!(sizes(&file[..100]), None);
        assert_eq!(sizes(b"\x7fELF\x02\x01"), None);
    }
}
