//! Global memory: allocations that all blocks and the host share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use super::{GLOBAL_BASE, shadow::Shadow};

/// Every allocation begins at a multiple of this.
const ALIGN: u64 = 256;
/// Bytes between two allocations that belong to none.
const GAP: u64 = 4096;

/// Why the host cannot have, or touch, memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// More bytes than are left.
    OutOfMemory {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes left.
        left: u64,
    },
    /// A range that lies in no live allocation.
    OutOfBounds {
        /// Its first address.
        address: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// An address that no live allocation begins at.
    NotAllocated(u64),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::OutOfMemory { bytes, left } => write!(f, "{bytes} bytes asked for, {left} are left"),
            MemoryError::OutOfBounds { address, bytes } => {
                write!(f, "{bytes} bytes at {address:#x} lie in no live allocation")
            }
            MemoryError::NotAllocated(address) => write!(f, "no live allocation begins at {address:#x}"),
        }
    }
}

impl std::error::Error for MemoryError {}

/// A range of global memory.
pub(crate) struct Allocation {
    /// Its first address.
    pub base: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Whether kernels must not write it.
    pub constant: bool,
    /// Whether it belongs to a module, and so cannot leak.
    pub of_module: bool,
    words: Box<[AtomicU32]>,
    /// A bit for each byte: whether it was ever written.
    written: Box<[AtomicU32]>,
    /// Who touched it in the current launch.
    pub shadow: Shadow,
}

fn zeros(count: usize) -> Box<[AtomicU32]> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

/// The bits of `len` bytes from `offset` on, in the word of `written` that holds them.
fn written_bits(offset: usize, len: usize) -> (usize, u32) {
    (offset / 32, (((1_u64 << len) - 1) as u32) << (offset % 32))
}

impl Allocation {
    fn new(base: u64, bytes: u64) -> Allocation {
        let words = (bytes as usize).div_ceil(4);
        Allocation {
            base,
            bytes,
            constant: false,
            of_module: false,
            words: zeros(words),
            written: zeros(words.div_ceil(8)),
            shadow: Shadow::new(words),
        }
    }

    /// Whether a range of addresses lies inside.
    pub fn holds(&self, address: u64, len: u64) -> bool {
        address >= self.base && address - self.base <= self.bytes && len <= self.bytes - (address - self.base)
    }

    /// Reads 1, 2, 4 or 8 bytes at an offset that is a multiple of their number and lies inside.
    pub fn read(&self, offset: usize, len: usize) -> u64 {
        let word = |i: usize| u64::from(self.words[i].load(Relaxed));
        match len {
            8 => word(offset / 4) | word(offset / 4 + 1) << 32,
            4 => word(offset / 4),
            _ => (word(offset / 4) >> (offset % 4 * 8)) & ((1 << (8 * len)) - 1),
        }
    }

    /// Whether all of such bytes were written.
    pub fn is_written(&self, offset: usize, len: usize) -> bool {
        let (word, bits) = written_bits(offset, len);
        self.written[word].load(Relaxed) & bits == bits
    }

    /// Writes 1, 2, 4 or 8 bytes at an offset that is a multiple of their number and lies inside.
    pub fn write(&self, offset: usize, len: usize, value: u64) {
        match len {
            8 => {
                self.words[offset / 4].store(value as u32, Relaxed);
                self.words[offset / 4 + 1].store((value >> 32) as u32, Relaxed);
            }
            4 => self.words[offset / 4].store(value as u32, Relaxed),
            _ => {
                let (shift, mask) = (offset % 4 * 8, ((1_u32 << (8 * len)) - 1) << (offset % 4 * 8));
                let put = |old: u32| (old & !mask) | ((value as u32) << shift) & mask;
                self.update_word(offset / 4, put);
            }
        }
        self.mark(offset, len);
    }

    fn mark(&self, offset: usize, len: usize) {
        let (word, bits) = written_bits(offset, len);
        if self.written[word].load(Relaxed) & bits != bits {
            self.written[word].fetch_or(bits, Relaxed);
        }
    }

    fn update_word(&self, word: usize, mut f: impl FnMut(u32) -> u32) -> u32 {
        let cell = &self.words[word];
        let mut old = cell.load(Relaxed);
        while let Err(now) = cell.compare_exchange_weak(old, f(old), Relaxed, Relaxed) {
            old = now;
        }
        old
    }

    /// Replaces 2, 4 or 8 bytes by a function of them and gives the old ones. 8 bytes are one unit for
    /// other calls on the same address, not for plain writes.
    pub fn update(&self, offset: usize, len: usize, mut f: impl FnMut(u64) -> u64) -> u64 {
        let old = match len {
            8 => {
                let _whole = self.shadow.exclusive(offset / 4);
                let old = self.read(offset, 8);
                self.write(offset, 8, f(old));
                old
            }
            4 => self.update_word(offset / 4, |old| f(old.into()) as u32).into(),
            _ => {
                let (shift, ones) = (offset % 4 * 8, (1_u64 << (8 * len)) - 1);
                let old = self.update_word(offset / 4, |word| {
                    let part = u64::from(word) >> shift & ones;
                    word & !((ones << shift) as u32) | ((f(part) & ones) << shift) as u32
                });
                u64::from(old) >> shift & ones
            }
        };
        self.mark(offset, len);
        old
    }

    fn read_bytes(&self, offset: usize, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = self.read(offset + i, 1) as u8;
        }
    }

    fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        let head = (4 - offset % 4).min(bytes.len()) % 4;
        let (first, rest) = bytes.split_at(head);
        first.iter().enumerate().for_each(|(i, &byte)| self.write(offset + i, 1, byte.into()));
        let (words, tail) = rest.as_chunks::<4>();
        for (i, word) in words.iter().enumerate() {
            self.write(offset + head + 4 * i, 4, u32::from_le_bytes(*word).into());
        }
        let done = offset + bytes.len() - tail.len();
        tail.iter().enumerate().for_each(|(i, &byte)| self.write(done + i, 1, byte.into()));
    }
}

/// All allocations. Addresses are never used twice, so that use after free is always seen.
pub(crate) struct Global {
    live: RwLock<BTreeMap<u64, Arc<Allocation>>>,
    freed: RwLock<BTreeMap<u64, u64>>,
    next: AtomicU64,
    used: AtomicU64,
    total: u64,
}

impl Global {
    pub fn new(total: u64) -> Global {
        Global {
            live: RwLock::default(),
            freed: RwLock::default(),
            next: AtomicU64::new(GLOBAL_BASE),
            used: AtomicU64::new(0),
            total,
        }
    }

    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn allocate(&self, bytes: u64) -> Result<u64, MemoryError> {
        self.allocate_with(bytes, |_| {})
    }

    /// A new allocation, marked as a module's variable needs it.
    pub fn allocate_with(&self, bytes: u64, mark: impl FnOnce(&mut Allocation)) -> Result<u64, MemoryError> {
        let left = self.total.saturating_sub(self.used());
        if bytes > left || usize::try_from(bytes).is_err() {
            return Err(MemoryError::OutOfMemory { bytes, left });
        }
        let span = bytes.next_multiple_of(ALIGN) + GAP;
        let base = self.next.fetch_add(span, Relaxed);
        self.used.fetch_add(bytes, Relaxed);
        let mut allocation = Allocation::new(base, bytes);
        mark(&mut allocation);
        self.live.write().unwrap_or_else(PoisonError::into_inner).insert(base, Arc::new(allocation));
        Ok(base)
    }

    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        let removed = self.live.write().unwrap_or_else(PoisonError::into_inner).remove(&address);
        let allocation = removed.ok_or(MemoryError::NotAllocated(address))?;
        self.used.fetch_sub(allocation.bytes, Relaxed);
        self.freed.write().unwrap_or_else(PoisonError::into_inner).insert(address, allocation.bytes);
        Ok(())
    }

    /// All live allocations in the order of their addresses.
    pub fn live(&self) -> Vec<Arc<Allocation>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The live allocation that holds an address.
    pub fn find(&self, address: u64) -> Option<Arc<Allocation>> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let (_, allocation) = live.range(..=address).next_back()?;
        allocation.holds(address, 1).then(|| allocation.clone())
    }

    /// What lies around an address that no live allocation holds.
    pub fn describe(&self, address: u64) -> String {
        let freed = self.freed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((&base, &bytes)) = freed.range(..=address).next_back()
            && address - base < bytes
        {
            return format!("{} bytes into the {bytes} bytes at {base:#x}, which were freed", address - base);
        }
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let below = live.range(..=address).next_back().map(|(_, a)| (a, address - a.base));
        if let Some((a, distance)) = below.filter(|(a, distance)| distance - a.bytes.min(*distance) < GAP) {
            return match distance.checked_sub(a.bytes) {
                Some(past) => format!("{past} bytes past the end of the {} bytes at {:#x}", a.bytes, a.base),
                None => format!("across the end of the {} bytes at {:#x}", a.bytes, a.base),
            };
        }
        let above = live.range(address..).next().map(|(_, a)| (a, a.base - address));
        if let Some((a, distance)) = above.filter(|(_, distance)| *distance < GAP) {
            return format!("{distance} bytes before the {} bytes at {:#x}", a.bytes, a.base);
        }
        if address < 4096 { "a null pointer".into() } else { "near no allocation".into() }
    }

    fn held(&self, address: u64, bytes: u64) -> Result<(Arc<Allocation>, usize), MemoryError> {
        let error = MemoryError::OutOfBounds { address, bytes };
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let (_, allocation) = live.range(..=address).next_back().ok_or_else(|| error.clone())?;
        match allocation.holds(address, bytes) {
            true => Ok((allocation.clone(), (address - allocation.base) as usize)),
            false => Err(error),
        }
    }

    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let (allocation, offset) = self.held(address, bytes.len() as u64)?;
        allocation.read_bytes(offset, bytes);
        Ok(())
    }

    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let (allocation, offset) = self.held(address, bytes.len() as u64)?;
        allocation.write_bytes(offset, bytes);
        Ok(())
    }

    /// Copies bytes, and with them whether they were ever written.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), MemoryError> {
        let (source, first) = self.held(from, bytes)?;
        let (target, begin) = self.held(to, bytes)?;
        let mut held = vec![0; bytes as usize];
        source.read_bytes(first, &mut held);
        let known: Vec<bool> = (0..bytes as usize).map(|i| source.is_written(first + i, 1)).collect();
        for (i, (&byte, &known)) in held.iter().zip(&known).enumerate() {
            if known {
                target.write(begin + i, 1, byte.into());
            }
        }
        Ok(())
    }

    /// Writes a pattern of 1, 2 or 4 bytes `count` times.
    pub fn fill(&self, address: u64, pattern: &[u8], count: u64) -> Result<(), MemoryError> {
        let bytes = count.checked_mul(pattern.len() as u64);
        let bytes = bytes.ok_or(MemoryError::OutOfBounds { address, bytes: u64::MAX })?;
        let (allocation, offset) = self.held(address, bytes)?;
        allocation.write_bytes(offset, &pattern.repeat(count as usize));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_at_any_alignment() {
        let global = Global::new(1 << 20);
        let base = global.allocate(23).unwrap();
        let bytes: Vec<u8> = (1..=20).collect();
        for offset in 0..4 {
            global.write(base + offset, &bytes[..19]).unwrap();
            let mut back = [0; 19];
            global.read(base + offset, &mut back).unwrap();
            assert_eq!(back, bytes[..19]);
        }
        assert!(!global.find(base).unwrap().is_written(22, 1));
        assert!(global.write(base + 4, &[0; 20]).is_err() && global.read(base - 1, &mut [0]).is_err());
    }

    #[test]
    fn freed_memory_is_gone_and_told() {
        let global = Global::new(1000);
        let base = global.allocate(600).unwrap();
        assert_eq!(global.allocate(600), Err(MemoryError::OutOfMemory { bytes: 600, left: 400 }));
        global.free(base).unwrap();
        assert_eq!(global.free(base), Err(MemoryError::NotAllocated(base)));
        assert!(global.describe(base + 7).contains("freed"));
        assert_ne!(global.allocate(600).unwrap(), base);
        assert!(global.describe(8).contains("null"));
    }
}
