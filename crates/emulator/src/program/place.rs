//! Where an instruction reads and writes.

use crate::ptx::Space;

/// The place of a register in a warp's file; slot 0 holds zeros.
pub(crate) type Slot = u32;

/// Where an access goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub space: Space,
    pub base: Slot,
    pub offset: i64,
}
