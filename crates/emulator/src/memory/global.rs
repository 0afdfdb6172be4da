//! Global memory: allocations that all blocks and the host share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use super::{GLOBAL_BASE, heap::Heap, pages::Shadow};

/// Every allocation begins at a multiple of this.
const ALIGN: u64 = 512;
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
    /// The parts of it that kernels have, if it is their heap.
    pub heap: Option<Heap>,
    /// What nothing touched takes no room.
    chunks: Box<[OnceLock<Box<Chunk>>]>,
    /// Who touched it in the current launch.
    pub shadow: Shadow,
}

/// Words of a chunk.
const CHUNK: usize = 4096;

/// Some words in a row.
struct Chunk {
    words: [AtomicU32; CHUNK],
    /// A bit for each byte: whether it was ever written.
    written: [AtomicU32; CHUNK / 8],
    /// Of each 1024 bytes: a launch, and a bit for each sector of 32 bytes that it touched.
    touched: [AtomicU64; CHUNK / 256],
}

impl Chunk {
    fn new() -> Box<Chunk> {
        Box::new(Chunk {
            words: [const { AtomicU32::new(0) }; CHUNK],
            written: [const { AtomicU32::new(0) }; CHUNK / 8],
            touched: [const { AtomicU64::new(0) }; CHUNK / 256],
        })
    }
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
            heap: None,
            chunks: (0..words.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(),
            shadow: Shadow::new(words),
        }
    }

    /// The chunk of a byte, if anything touched it.
    #[inline(always)]
    fn chunk(&self, offset: usize) -> Option<&Chunk> {
        self.chunks[offset / (4 * CHUNK)].get().map(|chunk| &**chunk)
    }

    #[inline(always)]
    fn touched_chunk(&self, offset: usize) -> &Chunk {
        self.chunks[offset / (4 * CHUNK)].get_or_init(Chunk::new)
    }

    /// Whether a range of addresses lies inside.
    pub fn holds(&self, address: u64, len: u64) -> bool {
        address >= self.base && address - self.base <= self.bytes && len <= self.bytes - (address - self.base)
    }

    /// Reads 1, 2, 4 or 8 bytes at an offset that is a multiple of their number and lies inside.
    #[inline(always)]
    pub fn read(&self, offset: usize, len: usize) -> u64 {
        let Some(chunk) = self.chunk(offset) else { return 0 };
        let word = |i: usize| u64::from(chunk.words[i % CHUNK].load(Relaxed));
        match len {
            8 => word(offset / 4) | word(offset / 4 + 1) << 32,
            4 => word(offset / 4),
            _ => (word(offset / 4) >> (offset % 4 * 8)) & ((1 << (8 * len)) - 1),
        }
    }

    /// Notes that a launch touches so many sectors of 32 bytes from that of an offset on, all of them inside; how many of
    /// them it touches for the first time.
    pub fn touch(&self, offset: usize, count: usize, launch: u64) -> u64 {
        let (mut sector, end, mut fresh) = (offset / 32, offset / 32 + count, 0);
        while sector < end {
            let here = (32 - sector % 32).min(end - sector);
            let cell = &self.touched_chunk(32 * sector).touched[sector / 32 % (CHUNK / 256)];
            let bits = u64::from(u32::MAX >> (32 - here)) << (sector % 32);
            let mine = |old: u64| if old >> 32 == launch & 0xffff_ffff { old } else { launch << 32 };
            let mut old = cell.load(Relaxed);
            while mine(old) & bits != bits {
                match cell.compare_exchange_weak(old, mine(old) | bits, Relaxed, Relaxed) {
                    Ok(_) => {
                        fresh += u64::from((bits & !mine(old)).count_ones());
                        break;
                    }
                    Err(now) => old = now,
                }
            }
            sector += here;
        }
        fresh
    }

    /// Whether all of such bytes were written.
    pub fn is_written(&self, offset: usize, len: usize) -> bool {
        let (word, bits) = written_bits(offset, len);
        self.chunk(offset).is_some_and(|chunk| chunk.written[word % (CHUNK / 8)].load(Relaxed) & bits == bits)
    }

    /// A part of a heap of so many bytes, which nothing wrote and nobody touched: its address, if there is room.
    pub fn allocate_part(&self, bytes: u64) -> Option<u64> {
        let (begin, end) = self.heap.as_ref()?.allocate(self.bytes, bytes)?;
        self.forget(begin as usize, end as usize);
        self.shadow.forget(begin as usize / 4, end as usize / 4);
        Some(self.base + begin)
    }

    /// Makes bytes such as nothing ever wrote.
    fn forget(&self, begin: usize, end: usize) {
        for offset in begin..end {
            if let Some(chunk) = self.chunk(offset) {
                let (word, bits) = written_bits(offset, 1);
                chunk.written[word % (CHUNK / 8)].fetch_and(!bits, Relaxed);
            }
        }
    }

    /// Writes 1, 2, 4 or 8 bytes at an offset that is a multiple of their number and lies inside.
    pub fn write(&self, offset: usize, len: usize, value: u64) {
        let words = &self.touched_chunk(offset).words;
        let word = offset / 4 % CHUNK;
        match len {
            8 => {
                words[word].store(value as u32, Relaxed);
                words[word + 1].store((value >> 32) as u32, Relaxed);
            }
            4 => words[word].store(value as u32, Relaxed),
            _ => {
                let (shift, mask) = (offset % 4 * 8, ((1_u32 << (8 * len)) - 1) << (offset % 4 * 8));
                let put = |old: u32| (old & !mask) | ((value as u32) << shift) & mask;
                self.update_word(offset / 4, put);
            }
        }
        self.mark(offset, len);
    }

    /// The words of the 32 bytes from an offset inside on that is a multiple of 32, and whether all were written.
    #[inline(always)]
    pub fn sector(&self, offset: usize) -> ([u32; 8], bool) {
        let Some(chunk) = self.chunk(offset) else { return ([0; 8], false) };
        let mut words = [0; 8];
        words.iter_mut().zip(&chunk.words[offset / 4 % CHUNK..][..8]).for_each(|(to, from)| *to = from.load(Relaxed));
        (words, chunk.written[offset / 32 % (CHUNK / 8)].load(Relaxed) == u32::MAX)
    }

    /// Writes such words.
    #[inline(always)]
    pub fn put_sector(&self, offset: usize, words: &[u32; 8]) {
        let chunk = self.touched_chunk(offset);
        words.iter().zip(&chunk.words[offset / 4 % CHUNK..][..8]).for_each(|(from, to)| to.store(*from, Relaxed));
        let written = &chunk.written[offset / 32 % (CHUNK / 8)];
        if written.load(Relaxed) != u32::MAX {
            written.store(u32::MAX, Relaxed);
        }
    }

    fn mark(&self, offset: usize, len: usize) {
        let (word, bits) = written_bits(offset, len);
        let cell = &self.touched_chunk(offset).written[word % (CHUNK / 8)];
        if cell.load(Relaxed) & bits != bits {
            cell.fetch_or(bits, Relaxed);
        }
    }

    fn update_word(&self, word: usize, mut f: impl FnMut(u32) -> u32) -> u32 {
        let cell = &self.touched_chunk(4 * word).words[word % CHUNK];
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
        let head = (offset.next_multiple_of(4) - offset).min(bytes.len());
        let (first, rest) = bytes.split_at_mut(head);
        first.iter_mut().enumerate().for_each(|(i, byte)| *byte = self.read(offset + i, 1) as u8);
        let (mut words, tail) = rest.as_chunks_mut::<4>();
        let mut done = offset + head;
        while !words.is_empty() {
            let first = done / 4 % CHUNK;
            let (here, more) = words.split_at_mut((CHUNK - first).min(words.len()));
            done += 4 * here.len();
            match self.chunk(done - 4) {
                Some(chunk) => {
                    let from = &chunk.words[first..];
                    here.iter_mut().zip(from).for_each(|(to, from)| *to = from.load(Relaxed).to_le_bytes());
                }
                None => here.fill([0; 4]),
            }
            words = more;
        }
        tail.iter_mut().enumerate().for_each(|(i, byte)| *byte = self.read(done + i, 1) as u8);
    }

    fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        let head = (offset.next_multiple_of(4) - offset).min(bytes.len());
        let (first, rest) = bytes.split_at(head);
        first.iter().enumerate().for_each(|(i, &byte)| self.write(offset + i, 1, byte.into()));
        let (words, tail) = rest.as_chunks::<4>();
        let begin = offset + head;
        let (mut left, mut done) = (words, begin);
        while !left.is_empty() {
            let first = done / 4 % CHUNK;
            let (here, more) = left.split_at((CHUNK - first).min(left.len()));
            let to = &self.touched_chunk(done).words[first..];
            here.iter().zip(to).for_each(|(from, to)| to.store(u32::from_le_bytes(*from), Relaxed));
            (left, done) = (more, done + 4 * here.len());
        }
        self.mark_all(begin, done);
        tail.iter().enumerate().for_each(|(i, &byte)| self.write(done + i, 1, byte.into()));
    }

    /// Marks the bytes of a range as written.
    fn mark_all(&self, begin: usize, end: usize) {
        let mut at = begin;
        while at < end {
            let len = (32 - at % 32).min(end - at);
            self.mark(at, len);
            at += len;
        }
    }

    /// Copies a range of another one, and with the bytes whether they were ever written.
    fn copy_from(&self, begin: usize, source: &Allocation, first: usize, bytes: usize) {
        let mut held = vec![0; bytes];
        source.read_bytes(first, &mut held);
        // As much at once as was written, up to what lies in one word of marks.
        let mut at = 0;
        while at < bytes {
            let len = (32 - (first + at) % 32).min(bytes - at);
            match source.is_written(first + at, len) {
                true => self.write_bytes(begin + at, &held[at..at + len]),
                false => (at..at + len)
                    .filter(|i| source.is_written(first + i, 1))
                    .for_each(|i| self.write(begin + i, 1, held[i].into())),
            }
            at += len;
        }
    }
}

/// The most bytes that a fill prepares.
const FILL_BYTES: usize = 1 << 16;

/// All allocations. Addresses are never used twice, so that use after free is always seen.
pub(crate) struct Global {
    live: RwLock<BTreeMap<u64, Arc<Allocation>>>,
    /// The same as a list, while nothing is allocated or freed.
    listed: Mutex<Option<Arc<[Arc<Allocation>]>>>,
    freed: RwLock<BTreeMap<u64, u64>>,
    next: AtomicU64,
    used: AtomicU64,
    total: u64,
}

impl Global {
    pub fn new(total: u64) -> Global {
        Global {
            live: RwLock::default(),
            listed: Mutex::default(),
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
        self.change().insert(base, Arc::new(allocation));
        Ok(base)
    }

    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        let removed = self.change().remove(&address);
        let allocation = removed.ok_or(MemoryError::NotAllocated(address))?;
        self.used.fetch_sub(allocation.bytes, Relaxed);
        self.freed.write().unwrap_or_else(PoisonError::into_inner).insert(address, allocation.bytes);
        Ok(())
    }

    /// The live allocations to be changed, so that a list of them holds no longer.
    fn change(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Arc<Allocation>>> {
        let live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        live
    }

    /// All live allocations in the order of their addresses.
    pub fn live(&self) -> Arc<[Arc<Allocation>]> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.get_or_insert_with(|| live.values().cloned().collect()).clone()
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
        target.copy_from(begin, &source, first, bytes as usize);
        Ok(())
    }

    /// Writes a pattern of 1, 2 or 4 bytes `count` times.
    pub fn fill(&self, address: u64, pattern: &[u8], count: u64) -> Result<(), MemoryError> {
        let bytes = count.checked_mul(pattern.len() as u64);
        let bytes = bytes.ok_or(MemoryError::OutOfBounds { address, bytes: u64::MAX })?;
        let (allocation, offset) = self.held(address, bytes)?;
        // A part of the bytes again and again.
        let part = pattern.repeat((FILL_BYTES / pattern.len().max(1)).min(count as usize));
        let end = offset + bytes as usize;
        for at in (offset..end).step_by(part.len().max(1)) {
            allocation.write_bytes(at, &part[..part.len().min(end - at)]);
        }
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
    fn parts_of_a_heap_are_given_taken_back_and_forgotten() {
        let global = Global::new(1 << 20);
        let base = global.allocate_with(64, |a| a.heap = Some(Heap::default())).unwrap();
        let allocation = global.find(base).unwrap();
        let heap = allocation.heap.as_ref().unwrap();
        assert_eq!(allocation.allocate_part(20), Some(base));
        assert_eq!(allocation.allocate_part(16), Some(base + 32));
        assert_eq!((allocation.allocate_part(17), allocation.allocate_part(u64::MAX)), (None, None));
        assert!(heap.holds(16, 4) && !heap.holds(17, 4) && !heap.holds(20, 1) && heap.holds(32, 16));
        allocation.write(0, 4, 5);
        assert!(heap.free(0) && !heap.free(0) && !heap.free(4));
        assert_eq!(allocation.allocate_part(32), Some(base));
        assert!(!allocation.is_written(0, 4));
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
