//! Barriers in shared memory, and bulk copies.

use super::{
    lanes::Atomic,
    place::{Address, Slot},
};
use crate::ptx::Space;

/// An operation on a barrier in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MBarrier {
    Init {
        count: Slot,
    },
    Invalidate,
    /// `count` arrivals, 1 if it is not given; first more bytes are expected.
    Arrive {
        count: Option<Slot>,
        bytes: Option<Slot>,
        dropped: bool,
        relaxed: bool,
    },
    Expect {
        bytes: Slot,
    },
    Complete {
        bytes: Slot,
    },
    /// Whether a phase is over: that of a state, or the last of a parity.
    Wait {
        p: Slot,
        state: Slot,
        parity: bool,
        relaxed: bool,
    },
    /// An arrival when the lane's asynchronous copies are done; `counted` ones are expected beside the others.
    ArriveAfterCopies {
        counted: bool,
    },
}

/// The other side of a bulk copy.
pub(crate) enum Side {
    Linear { address: Address, bytes: Slot },
    Tensor { map: Address, coordinates: Vec<Slot> },
}

/// A copy by one lane between shared memory and what lies on the other side: global memory, or the block's own shared
/// memory. It writes the former if it completes on a barrier.
pub(crate) struct Bulk {
    pub shared: Address,
    pub far: Side,
    pub barrier: Option<Address>,
    /// The blocks of the cluster that receive it, a bit for each, at the same offsets.
    pub blocks: Option<Slot>,
}

/// A store (`st.async`) or atomic operation (`red.async`) on a block of the cluster that counts at a barrier.
pub(crate) struct Signalled {
    pub address: Address,
    pub a: Vec<Slot>,
    /// Of an element.
    pub bytes: usize,
    pub f: Option<Atomic>,
    pub barrier: Address,
}

/// Where a tensor's description lies: the operand of a copy.
pub(crate) fn map_address(base: Slot, offset: i64) -> Address {
    Address { space: Space::Generic, base, offset }
}
