//! Which bytes the lanes of a warp touch.

use super::warp::Warp;
use crate::{
    memory::{self, Memory},
    program::Address,
    ptx::Space,
};

/// The bytes that one lane touches.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub memory: Memory,
    /// An address of global memory, or an offset.
    pub address: u64,
    pub bytes: usize,
}

/// One element of a span.
pub(super) fn part(span: Span, place: usize, bytes: usize) -> Span {
    Span { address: span.address + (place * bytes) as u64, bytes, ..span }
}

/// What each lane touches.
pub(super) fn spans(warp: &Warp, address: &Address, bytes: usize) -> [Span; 32] {
    let base = warp.get(address.base);
    let mut all = [Span { memory: Memory::Global, address: 0, bytes }; 32];
    match address.space {
        Space::Global => {
            all.iter_mut().zip(base).for_each(|(span, base)| span.address = base.wrapping_add_signed(address.offset));
        }
        _ => {
            let lanes = all.iter_mut().zip(base);
            lanes.for_each(|(span, &base)| (span.memory, span.address) = located(warp, address, base));
        }
    }
    all
}

/// The memory that an access goes to where its base is this, and the address there.
#[inline(always)]
pub(super) fn located(warp: &Warp, address: &Address, base: u64) -> (Memory, u64) {
    let at = base.wrapping_add_signed(address.offset);
    let shared = |space: Space, at: u64| (Memory::Shared, warp.layout.place(warp.rank, space, at));
    match address.space {
        Space::Generic => match memory::resolve(at) {
            (Memory::Shared, at) => shared(Space::Generic, at),
            found => found,
        },
        Space::Global | Space::Constant => (Memory::Global, at),
        // These addresses have 32 bits.
        Space::Shared | Space::Cluster => shared(address.space, at & 0xffff_ffff),
        Space::Local => (Memory::Local, at & 0xffff_ffff),
        Space::Param => (Memory::Param, at & 0xffff_ffff),
    }
}
