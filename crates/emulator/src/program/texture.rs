//! Reads and writes of textures and surfaces.

use super::place::Slot;

/// `tex`: what an object has at coordinates.
pub(crate) struct Fetch {
    pub object: Slot,
    pub coordinates: Vec<Slot>,
    /// Whether coordinates are integers.
    pub by_integers: bool,
    /// Of up to four channels.
    pub d: Vec<Option<Slot>>,
    /// Whether the channels are wanted as integers.
    pub integers: bool,
}

/// What lies outside of a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    Trap,
    /// The nearest element.
    Clamp,
    /// Zeros, which are not written.
    Zero,
}

/// `suld` or `sust`: bytes of a surface as they are; the first coordinate counts bytes.
pub(crate) struct SurfaceAccess {
    pub object: Slot,
    pub coordinates: Vec<Slot>,
    pub registers: Vec<Option<Slot>>,
    /// Of a register's element.
    pub bytes: usize,
    pub store: bool,
    pub outside: Outside,
}

/// `txq` or `suq`: what an object is like.
pub(crate) struct Query {
    pub object: Slot,
    pub d: Slot,
    /// Texels along this axis.
    pub axis: usize,
}
