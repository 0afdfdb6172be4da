//! Descriptions of tensors in global memory, as bulk copies read them.

use std::fmt;

/// Bytes of a description.
pub const TENSOR_MAP_BYTES: usize = 128;

/// The first bytes of a description.
const MARK: u64 = u64::from_le_bytes(*b"YuragiTM");

/// How rows of a box are permuted in shared memory, by the bytes of the pattern's width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Swizzle {
    /// Not at all.
    #[default]
    None,
    /// Chunks of 16 bytes within 32.
    Bytes32,
    /// Within 64.
    Bytes64,
    /// Within 128.
    Bytes128,
}

impl Swizzle {
    /// Which bits of an address are changed, in units of 16 bytes.
    pub(crate) fn mask(self) -> u64 {
        match self {
            Swizzle::None => 0,
            Swizzle::Bytes32 => 1,
            Swizzle::Bytes64 => 3,
            Swizzle::Bytes128 => 7,
        }
    }

    /// The place of a byte of shared memory.
    pub(crate) fn apply(self, address: u64) -> u64 {
        address ^ (address >> 7 & self.mask()) << 4
    }
}

/// A field of a description that kernels may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// That it is one.
    Mark,
    Address,
    /// Less 1.
    Rank,
    /// Along a dimension.
    Box(usize),
    Extent(usize),
    /// In bytes; that of dimension 1 is 0.
    Stride(usize),
    Element,
    Swizzle,
    /// What has one value only that is known here.
    Fixed(u64),
}

impl Field {
    /// Its word of 8 bytes.
    pub fn word(self) -> usize {
        match self {
            Field::Mark => 0,
            Field::Address => 1,
            Field::Rank | Field::Element | Field::Swizzle | Field::Fixed(_) => 2,
            Field::Box(axis) | Field::Extent(axis) => 3 + axis,
            Field::Stride(axis) => 8 + axis,
        }
    }

    /// That word with a value in it, as kernels give it.
    pub fn changed(self, word: u64, value: u64) -> Result<u64, String> {
        let put = |shift: u32, bits: u32, value: u64| {
            let mask = (u64::MAX >> (64 - bits)) << shift;
            word & !mask | value << shift & mask
        };
        let small = value & 0xffff_ffff;
        Ok(match self {
            Field::Mark if word == 0 => MARK,
            Field::Mark => word,
            Field::Address | Field::Stride(_) => value,
            Field::Rank => put(0, 8, small + 1),
            Field::Box(_) if !(1..=256).contains(&small) => {
                return Err(format!("a box's extent of {small}; legal is 1 to 256"));
            }
            Field::Box(_) => put(32, 32, small - 1),
            Field::Extent(_) => put(0, 32, small.wrapping_sub(1)),
            Field::Element => match small {
                0 => put(8, 8, 1),
                1 | 6 | 10 => put(8, 8, 2),
                2 | 3 | 7 | 8 | 11 | 12 => put(8, 8, 4),
                4 | 5 | 9 => put(8, 8, 8),
                _ => return Err(format!("elements of type {small}; known are 0 to 12")),
            },
            Field::Swizzle => match small {
                0..=3 => put(16, 8, (1 << small) - 1),
                _ => return Err(format!("swizzle {small}; known are 0 to 3")),
            },
            Field::Fixed(known) if small != known => return Err(format!("a value of {small}; known is {known}")),
            Field::Fixed(_) => word,
        })
    }
}

/// A tensor in global memory, and the box that a copy moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorMap {
    /// Of its first element.
    pub address: u64,
    /// Bytes of an element: 1, 2, 4 or 8.
    pub element_bytes: u64,
    /// Elements along each dimension, the contiguous one first; 1 to 5 dimensions.
    pub extents: Vec<u64>,
    /// Bytes from one element to the next along each dimension but the first.
    pub strides: Vec<u64>,
    /// Elements of the box along each dimension.
    pub box_extents: Vec<u64>,
    /// How its rows lie in shared memory.
    pub swizzle: Swizzle,
}

/// Why a tensor cannot be described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMapError {
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for TensorMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TensorMapError {}

impl TensorMap {
    /// The description's bytes, which kernels take as a parameter.
    ///
    /// # Errors
    /// Extents, strides or alignments that the hardware does not allow.
    pub fn encode(&self) -> Result<[u8; TENSOR_MAP_BYTES], TensorMapError> {
        let fail = |message: String| Err(TensorMapError { message });
        let rank = self.extents.len();
        if !(1..=5).contains(&rank) || self.box_extents.len() != rank || self.strides.len() + 1 != rank {
            return fail(format!("{rank} dimensions; legal are 1 to 5, with as many extents of the box"));
        }
        if !matches!(self.element_bytes, 1 | 2 | 4 | 8) {
            return fail(format!("elements of {} bytes; legal are 1, 2, 4 and 8", self.element_bytes));
        }
        if let Some(extent) = self.extents.iter().find(|extent| !(1..=1 << 32).contains(*extent)) {
            return fail(format!("an extent of {extent}; legal is 1 to 2^32"));
        }
        if let Some(extent) = self.box_extents.iter().find(|extent| !(1..=256).contains(*extent)) {
            return fail(format!("a box's extent of {extent}; legal is 1 to 256"));
        }
        if !self.address.is_multiple_of(16) || self.strides.iter().any(|s| !s.is_multiple_of(16) || *s >= 1 << 40) {
            return fail("the address and the strides must be multiples of 16, the strides below 2^40".into());
        }
        let row = self.box_extents[0] * self.element_bytes;
        let width = 16 * (self.swizzle.mask() + 1);
        if !row.is_multiple_of(16) || self.swizzle != Swizzle::None && row > width {
            return fail(format!(
                "a row of the box has {row} bytes; legal is a multiple of 16, at most the swizzle's width"
            ));
        }
        let mut words = [0_u64; TENSOR_MAP_BYTES / 8];
        (words[0], words[1]) = (MARK, self.address);
        words[2] = rank as u64 | self.element_bytes << 8 | self.swizzle.mask() << 16;
        // Extents minus 1 fit 32 bits, those of the box 8.
        for (i, (&extent, &inner)) in self.extents.iter().zip(&self.box_extents).enumerate() {
            words[3 + i] = (extent - 1) | (inner - 1) << 32;
        }
        words[8..8 + self.strides.len()].copy_from_slice(&self.strides);
        let mut bytes = [0; TENSOR_MAP_BYTES];
        bytes.chunks_mut(8).zip(words).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
        Ok(bytes)
    }

    /// What bytes describe, if [`encode`](TensorMap::encode) made them.
    pub fn decode(bytes: &[u8; TENSOR_MAP_BYTES]) -> Option<TensorMap> {
        let word = |i: usize| -> u64 { (0..8).map(|b| u64::from(bytes[8 * i + b]) << (8 * b)).sum() };
        let rank = (word(2) & 0xff) as usize;
        if word(0) != MARK || !(1..=5).contains(&rank) {
            return None;
        }
        let map = TensorMap {
            address: word(1),
            element_bytes: word(2) >> 8 & 0xff,
            extents: (0..rank).map(|i| (word(3 + i) & 0xffff_ffff) + 1).collect(),
            strides: (0..rank - 1).map(|i| word(8 + i)).collect(),
            box_extents: (0..rank).map(|i| (word(3 + i) >> 32 & 0xff) + 1).collect(),
            swizzle: match word(2) >> 16 & 7 {
                0 => Swizzle::None,
                1 => Swizzle::Bytes32,
                3 => Swizzle::Bytes64,
                _ => Swizzle::Bytes128,
            },
        };
        (map.encode().ok()? == *bytes).then_some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_round_trip() {
        let map = TensorMap {
            address: 0x7000_0000_0100,
            element_bytes: 2,
            extents: vec![1 << 32, 70, 3],
            strides: vec![2048, 1 << 20],
            box_extents: vec![64, 256, 1],
            swizzle: Swizzle::Bytes128,
        };
        assert_eq!(TensorMap::decode(&map.encode().unwrap()), Some(map.clone()));
        assert!(TensorMap { box_extents: vec![128, 1, 1], ..map.clone() }.encode().is_err());
        assert!(TensorMap { strides: vec![8, 16], ..map }.encode().is_err());
        assert_eq!(TensorMap::decode(&[0; TENSOR_MAP_BYTES]), None);
    }
}
