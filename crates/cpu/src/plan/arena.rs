use alloc::vec::Vec;

/// Elements of a cache line.
const LINE: usize = 16;

/// A cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [f32; LINE]);

/// Zeros in whole cache lines, and in huge pages where the system gives them for the asking: rows of a matrix lie in more
/// pages than a processor knows at a time.
pub(super) struct Arena(Vec<Line>);

impl Arena {
    pub fn new(elements: usize) -> Self {
        let count = elements.div_ceil(LINE);
        let mut lines = Vec::with_capacity(count);
        #[cfg(all(feature = "std", target_os = "linux"))]
        linux::ask_for_huge_pages(&mut lines.spare_capacity_mut()[..count]);
        lines.resize(count, Line::default());
        Self(lines)
    }

    /// The bytes of an arena of so many elements.
    pub const fn bytes(elements: usize) -> usize {
        elements.div_ceil(LINE) * size_of::<Line>()
    }

    pub fn size(&self) -> usize {
        size_of_val(&*self.0)
    }

    pub fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

#[cfg(all(feature = "std", target_os = "linux"))]
mod linux {
    use core::ffi::{c_int, c_void};
    use core::mem::MaybeUninit;

    /// Bytes of a huge page, on most processors.
    const HUGE: usize = 1 << 21;
    const MADV_HUGEPAGE: c_int = 14;

    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }

    /// Asks for huge pages for what of the room fills some. A system that has none refuses, which changes nothing.
    pub fn ask_for_huge_pages<T>(room: &mut [MaybeUninit<T>]) {
        let bytes = room.as_mut_ptr_range();
        let (start, end) = (bytes.start.addr().next_multiple_of(HUGE), bytes.end.addr() / HUGE * HUGE);
        if start < end {
            let first = bytes.start.wrapping_byte_add(start - bytes.start.addr());
            // SAFETY: whole pages within the room; this advice changes no content.
            unsafe { madvise(first.cast(), end - start, MADV_HUGEPAGE) };
        }
    }
}
