//! Parameter blocks.

use crate::program::parameter_offset;

/// Arguments of a launch, laid out as a kernel's parameter block: each at a multiple of its size.
///
/// ```
/// use yuragi_emulator::Arguments;
/// let arguments = Arguments::new().u32(7).u64(1 << 40).f32(0.5);
/// assert_eq!(arguments.bytes().len(), 20);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    bytes: Vec<u8>,
}

impl Arguments {
    /// None yet.
    pub fn new() -> Arguments {
        Arguments::default()
    }

    /// Adds bytes at a multiple of `align`, for example a structure's. As on a GPU, alignments above 16 count from 528
    /// bytes before the block: a first parameter that is aligned to 64 bytes has offset 48.
    #[must_use]
    pub fn aligned(mut self, bytes: &[u8], align: usize) -> Arguments {
        self.bytes.resize(parameter_offset(self.bytes.len() as u64, align as u64) as usize, 0);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Adds 32 bits.
    #[must_use]
    pub fn u32(self, value: u32) -> Arguments {
        self.aligned(&value.to_le_bytes(), 4)
    }

    /// Adds 64 bits: a number or an address.
    #[must_use]
    pub fn u64(self, value: u64) -> Arguments {
        self.aligned(&value.to_le_bytes(), 8)
    }

    /// Adds a number in single precision.
    #[must_use]
    pub fn f32(self, value: f32) -> Arguments {
        self.u32(value.to_bits())
    }

    /// The parameter block.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
