//! Memories: what a thread can address, and what is known of every byte.

pub(crate) mod bytes;
pub(crate) mod global;
pub(crate) mod heap;
pub(crate) mod pages;
pub(crate) mod quads;
pub(crate) mod shadow;

pub use global::MemoryError;

use std::fmt;

/// Where generic addresses of a block's shared memory begin.
pub(crate) const SHARED_WINDOW: u64 = 0x0000_6000_0000_0000;
/// Bit of an address of shared memory from which on the rank of its block in a cluster stands, and all such bits.
pub(crate) const RANK_BIT: u32 = 24;
pub(crate) const RANKS: u64 = 0xff << RANK_BIT;
/// Where generic addresses of a thread's local memory begin.
pub(crate) const LOCAL_WINDOW: u64 = 0x0000_6100_0000_0000;
/// Where generic addresses of a kernel's parameters begin.
pub(crate) const PARAM_WINDOW: u64 = 0x0000_6200_0000_0000 + PARAM_BEGIN;
/// Where a GPU's driver puts the first parameter: alignments count from here.
pub(crate) const PARAM_BEGIN: u64 = 0x210;
/// Where addresses of functions begin.
pub(crate) const CODE_WINDOW: u64 = 0x0000_6300_0000_0000;
/// The bytes of each window.
pub(crate) const WINDOW: u64 = 0x0000_0100_0000_0000;
/// Where allocations of global memory begin.
pub(crate) const GLOBAL_BASE: u64 = 0x0000_7000_0000_0000;

/// A memory that holds bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)] // so that what holds one beside addresses is copied by whole words
pub enum Memory {
    /// Allocations and module variables, constant ones included.
    Global,
    /// Of a block.
    Shared,
    /// Of a thread.
    Local,
    /// A kernel's parameters.
    Param,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Memory::Global => "global",
            Memory::Shared => "shared",
            Memory::Local => "local",
            Memory::Param => "parameter",
        })
    }
}

/// The memory that a generic address lies in, and its offset there (for global memory the address itself).
pub(crate) fn resolve(address: u64) -> (Memory, u64) {
    for (window, memory) in
        [(SHARED_WINDOW, Memory::Shared), (LOCAL_WINDOW, Memory::Local), (PARAM_WINDOW, Memory::Param)]
    {
        if (window..window + WINDOW).contains(&address) {
            return (memory, address - window);
        }
    }
    (Memory::Global, address)
}
