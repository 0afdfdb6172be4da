//! Where the blocks of a cluster lie: they run as one block, whose warps are those of all of them and whose shared memory
//! holds theirs one behind the other.

use crate::{memory::RANK_BIT, ptx::Space};

/// How the blocks of a cluster lie in the one that stands for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// How many they are.
    pub blocks: u32,
    /// Warps of each.
    pub warps: usize,
    /// Bytes of shared memory of each, and from one's beginning to the next one's.
    pub bytes: u64,
    pub stride: u64,
}

/// Where no block of a cluster has shared memory.
const NOWHERE: u64 = 1 << 40;

impl Layout {
    pub fn new(blocks: u32, threads: u32, bytes: u64) -> Layout {
        // Boxes of tensors swizzle within 1024 bytes; behind each block some bytes belong to none.
        let stride = (bytes + 32).next_multiple_of(1024);
        Layout { blocks, warps: threads.div_ceil(32) as usize, bytes, stride }
    }

    /// Bytes of shared memory of all blocks.
    pub fn all_bytes(&self) -> u64 {
        self.stride * u64::from(self.blocks - 1) + self.bytes
    }

    /// The rank of a warp's block.
    pub fn rank_of_warp(&self, warp: usize) -> usize {
        warp / self.warps
    }

    /// Where an address of shared memory lies, as a warp of a block sees it.
    #[inline(always)]
    pub fn place(&self, rank: u32, space: Space, address: u64) -> u64 {
        if self.blocks == 1 { address } else { self.place_among(rank, space, address) }
    }

    fn place_among(&self, rank: u32, space: Space, address: u64) -> u64 {
        let (of, offset) = (address >> RANK_BIT, address & ((1 << RANK_BIT) - 1));
        let reached = of < self.blocks.into() && (space != Space::Shared || of == u64::from(rank));
        if reached && offset < self.stride { of * self.stride + offset } else { NOWHERE | address }
    }

    /// Whether a space of a block of this rank holds an address.
    pub fn is_of(&self, rank: u32, space: Space, address: u64) -> bool {
        self.blocks == 1 || self.place_among(rank, space, address) < NOWHERE
    }

    /// The address that lies there.
    pub fn address(&self, place: u64) -> u64 {
        match place {
            _ if self.blocks == 1 => place,
            NOWHERE.. => place & (NOWHERE - 1),
            _ => (place / self.stride) << RANK_BIT | (place % self.stride),
        }
    }

    /// The rank of the block whose shared memory lies there.
    #[inline(always)]
    pub fn rank_of(&self, place: u64) -> usize {
        if self.blocks == 1 { 0 } else { (place / self.stride) as usize }
    }

    /// A place counted from the beginning of a block's shared memory: that of another block does not follow there.
    pub fn within(&self, rank: u32, place: u64) -> u64 {
        let begin = self.of_rank(0, rank);
        if self.blocks == 1 || (begin..begin + self.stride).contains(&place) {
            return place;
        }
        NOWHERE | u64::from(rank) << RANK_BIT | place.wrapping_sub(begin) & ((1 << RANK_BIT) - 1)
    }

    /// The same bytes of another block.
    pub fn of_rank(&self, place: u64, rank: u32) -> u64 {
        match place {
            NOWHERE.. => place,
            _ => place % self.stride + u64::from(rank) * self.stride,
        }
    }

    /// Whether bytes from a place on lie in one block's shared memory.
    #[inline(always)]
    pub fn holds(&self, place: u64, bytes: usize) -> bool {
        let offset = if self.blocks == 1 { place } else { place % self.stride };
        place < NOWHERE && offset.checked_add(bytes as u64).is_some_and(|end| end <= self.bytes)
    }

    /// Why there is no shared memory, for a warp of a block.
    pub fn describe(&self, rank: u32, place: u64) -> String {
        let of = self.address(place) >> RANK_BIT;
        match place {
            NOWHERE.. if of >= self.blocks.into() => {
                format!("the address is of block {of} of its cluster, which has {}", self.blocks)
            }
            NOWHERE.. if of != u64::from(rank) && self.address(place) & ((1 << RANK_BIT) - 1) < self.bytes => {
                format!(
                    "the address is of block {of} of the cluster, which `.shared::cluster` reaches; this is block {rank}"
                )
            }
            _ => format!("the block has {} bytes of shared memory", self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_cluster_find_their_blocks() {
        let layout = Layout::new(3, 96, 2048);
        assert_eq!((layout.warps, layout.all_bytes()), (3, 2 * 3072 + 2048));
        let place = |space, address| layout.place(1, space, address);
        let (own, other) = (1 << RANK_BIT | 8, 2 << RANK_BIT | 8);
        assert_eq!(place(Space::Shared, own), 3080);
        assert_eq!(place(Space::Cluster, other), 6152);
        for (address, place) in [(own, 3080), (other, 6152)] {
            assert_eq!(layout.address(place), address);
            assert!(layout.holds(place, 2040) && !layout.holds(place, 2041));
        }
        assert_eq!((layout.rank_of(6152), layout.of_rank(6152, 0)), (2, 8));
        assert_eq!((layout.within(1, 3080), layout.within(0, 2056)), (3080, 2056));
        let beyond = layout.within(1, 6152);
        assert!(!layout.holds(beyond, 1) && layout.describe(1, beyond).contains("2048 bytes"));
        assert_eq!(layout.address(beyond), 1 << RANK_BIT | 3080);
        for (space, address, why) in [
            (Space::Shared, other, "`.shared::cluster` reaches"),
            (Space::Shared, 8, "block 0"),
            (Space::Cluster, 3 << RANK_BIT, "which has 3"),
            (Space::Cluster, own + 4096, "2048 bytes"),
        ] {
            let found = place(space, address);
            assert!(!layout.holds(found, 1) && layout.address(found) == address);
            assert!(layout.describe(1, found).contains(why), "{}", layout.describe(1, found));
        }
        let alone = Layout::new(1, 32, 100);
        assert_eq!(alone.place(0, Space::Shared, other), other);
        assert!(alone.holds(96, 4) && !alone.holds(97, 4));
    }
}
