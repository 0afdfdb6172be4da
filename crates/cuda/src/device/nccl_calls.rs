use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use libloading::Library;

use crate::CudaError;

/// The ranks that a process has joined: an opaque pointer.
pub type Comm = *mut c_void;
/// A stream of the driver.
pub type Stream = *mut c_void;
/// An address of a device.
pub type Address = u64;

/// The bytes by which ranks find each other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Id(pub [u8; 128]);

/// `ncclUint8`, `ncclUint64` and `ncclFloat32`.
pub const BYTES: c_int = 1;
pub const WORDS: c_int = 5;
pub const SINGLES: c_int = 7;
/// `ncclSum`.
pub const SUM: c_int = 0;
/// `ncclSuccess` and `ncclInProgress`.
pub const SUCCESS: c_int = 0;
pub const IN_PROGRESS: c_int = 7;

/// By which names the library is looked for: without its development files it has the first one only (which is why cudarc's
/// own binding, which knows the second one, is not used).
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];
/// The oldest library with all that is used here, 2.18: 10,000·major + 100·minor.
const OLDEST: c_int = 21_800;

/// The functions of the library, which stays loaded.
macro_rules! calls {
    ($($field:ident = $name:literal: fn($($type:ty),*) -> $result:ty;)*) => {
        pub struct Calls {
            $(pub $field: unsafe extern "C" fn($($type),*) -> $result,)*
            _library: Library,
        }

        impl Calls {
            fn load() -> Option<Calls> {
                // SAFETY: looks for a shared library and runs nothing of it but its loader's hooks.
                let library = NAMES.iter().find_map(|&name| unsafe { Library::new(name) }.ok())?;
                // SAFETY: these are the signatures in NCCL's header, the same in all its versions 2.
                Some(Calls { $($field: unsafe { *library.get($name).ok()? },)* _library: library })
            }
        }
    };
}

calls! {
    version = b"ncclGetVersion": fn(*mut c_int) -> c_int;
    unique_id = b"ncclGetUniqueId": fn(*mut Id) -> c_int;
    join = b"ncclCommInitRank": fn(*mut Comm, c_int, Id, c_int) -> c_int;
    destroy = b"ncclCommDestroy": fn(Comm) -> c_int;
    abort = b"ncclCommAbort": fn(Comm) -> c_int;
    state = b"ncclCommGetAsyncError": fn(Comm, *mut c_int) -> c_int;
    words = b"ncclGetErrorString": fn(c_int) -> *const c_char;
    last = b"ncclGetLastError": fn(Comm) -> *const c_char;
    group_start = b"ncclGroupStart": fn() -> c_int;
    group_end = b"ncclGroupEnd": fn() -> c_int;
    send = b"ncclSend": fn(Address, usize, c_int, c_int, Comm, Stream) -> c_int;
    receive = b"ncclRecv": fn(Address, usize, c_int, c_int, Comm, Stream) -> c_int;
    broadcast = b"ncclBroadcast": fn(Address, Address, usize, c_int, c_int, Comm, Stream) -> c_int;
    all_gather = b"ncclAllGather": fn(Address, Address, usize, c_int, Comm, Stream) -> c_int;
    all_reduce = b"ncclAllReduce": fn(Address, Address, usize, c_int, c_int, Comm, Stream) -> c_int;
}

impl Calls {
    /// The library, if there is one that is new enough.
    pub fn get() -> Result<&'static Calls, CudaError> {
        static LIBRARY: OnceLock<Option<Calls>> = OnceLock::new();
        let calls = LIBRARY.get_or_init(Calls::load).as_ref().ok_or(CudaError::NoNccl)?;
        let mut version = 0;
        // SAFETY: NCCL writes one number.
        calls.check("its version", unsafe { (calls.version)(&mut version) }, std::ptr::null_mut())?;
        if version < OLDEST {
            return Err(CudaError::NcclTooOld(version / 10_000, version / 100 % 100));
        }
        Ok(calls)
    }

    /// `Ok` if a call succeeded; else NCCL's words for why not.
    pub fn check(&self, what: &'static str, code: c_int, ranks: Comm) -> Result<(), CudaError> {
        if code == SUCCESS || code == IN_PROGRESS {
            return Ok(());
        }
        // SAFETY: NCCL gives texts of its own that stay; the last one is of ranks that are joined, or of none.
        let text = |pointer: *const c_char| match pointer.is_null() {
            true => String::new(),
            false => unsafe { CStr::from_ptr(pointer) }.to_string_lossy().trim().to_owned(),
        };
        // SAFETY: as above.
        let (mut reason, last) = unsafe { (text((self.words)(code)), text((self.last)(ranks))) };
        if let Some(line) = last.lines().next().filter(|line| !line.is_empty()) {
            reason = format!("{reason}: {line}");
        }
        Err(CudaError::Nccl { what, reason })
    }
}
