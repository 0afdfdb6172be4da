//! Pages of the host's memory at addresses of the machine's choice.

use super::error::Outcome;

#[cfg(target_os = "linux")]
pub use linux::Pages;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{c_int, c_long, c_void};
    use std::ptr;

    use super::Outcome;
    use crate::driver::error::Code;

    /// The pages of x86-64 and of most ARM hosts; a host with larger ones refuses the mapping. It is at most the
    /// distance that the machine leaves between allocations, so that two of them never need the same page.
    const PAGE: usize = 4096;

    const READ_WRITE: c_int = 1 | 2;
    /// Private, anonymous, and at the address or not at all.
    const FLAGS: c_int = 0x02 | 0x20 | 0x10_0000;

    unsafe extern "C" {
        fn mmap(
            address: *mut c_void,
            len: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            offset: c_long,
        ) -> *mut c_void;
        fn munmap(address: *mut c_void, len: usize) -> c_int;
    }

    /// Zeroed pages.
    pub struct Pages {
        first: usize,
        len: usize,
    }

    impl Pages {
        /// Maps the pages that hold a range of addresses.
        pub fn map(address: u64, bytes: usize) -> Outcome<Pages> {
            let address = usize::try_from(address).map_err(|_| Code::OUT_OF_MEMORY)?;
            let first = address / PAGE * PAGE;
            let end = address.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(PAGE));
            let len = end.ok_or(Code::OUT_OF_MEMORY)? - first;
            let wanted = ptr::without_provenance_mut(first);
            // SAFETY: the flags ask for fresh pages where nothing is mapped yet, so no memory of anybody changes.
            let mapped = unsafe { mmap(wanted, len, READ_WRITE, FLAGS, -1, 0) };
            let pages = Pages { first: mapped.expose_provenance(), len };
            if mapped == wanted {
                return Ok(pages);
            }
            if mapped == ptr::without_provenance_mut(usize::MAX) {
                std::mem::forget(pages);
            }
            let message = format!("the host gave no memory at {address:#x}, where the machine has {bytes} bytes");
            Err(Code::OUT_OF_MEMORY.because(message))
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: these pages were mapped by `map` for this value alone.
            unsafe { munmap(ptr::with_exposed_provenance_mut(self.first), self.len) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub struct Pages;

#[cfg(not(target_os = "linux"))]
impl Pages {
    pub fn map(_address: u64, _bytes: usize) -> Outcome<Pages> {
        Err(super::error::Code::NOT_SUPPORTED.because("pinned and managed memory outside of Linux"))
    }
}
