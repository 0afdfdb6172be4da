use alloc::vec::Vec;
use core::ops::{Add, Range};

use yuragi_numeric::tree::{self, Tree};

use crate::{Collective, Lost};

/// What ranks can add: single and double numbers.
pub trait Number: Copy + Add<Output = Self> + private::Sealed {
    /// The bytes of one.
    const SIZE: usize;

    /// Appends the bytes of numbers.
    fn write(numbers: &[Self], bytes: &mut Vec<u8>);

    /// The numbers of bytes; a rest is left out.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! number {
    ($type:ty, $size:literal) => {
        impl Number for $type {
            const SIZE: usize = $size;

            fn write(numbers: &[Self], bytes: &mut Vec<u8>) {
                bytes.reserve(numbers.len() * $size);
                numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            }

            fn read(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks::<$size>().0.iter().map(|bytes| Self::from_le_bytes(*bytes)).collect()
            }
        }
    };
}

number!(f32, 4);
number!(f64, 8);

/// Numbers whose sums are not parted between ranks: those of a cache line.
const UNIT: usize = 16;

/// The sum of all parts of a [`Tree`], on all ranks; each has its [`share`](Collective::share) of the parts in `own`, all of
/// `length` numbers.
///
/// Every rank adds its share of the numbers, over all nodes of the tree that the ranks have, then all gather the sums:
/// reduce-scatter and all-gather. The order of additions is the tree's, so that any number of ranks, down to one, gives the
/// same bits. Where each rank's parts fill one node (the number of ranks divides that of parts, both powers of two), a
/// rank sends [`least`] bytes, and none could send less (Patarasuk and Yuan 2009); else once more for each further node.
///
/// ```
/// use yuragi_graph::{Alone, all_reduce};
/// use yuragi_numeric::tree::Tree;
/// let mut own = Tree::new(2);
/// own.add(0..1, vec![1.0f32, 2.0]);
/// own.add(1..2, vec![0.5, 0.25]);
/// assert_eq!(all_reduce(&Alone, own, 2), Ok(vec![1.5, 2.25]));
/// ```
///
/// # Errors
/// A rank that is gone, or parts that are not those of its share.
pub fn all_reduce<T: Number>(ranks: &dyn Collective, own: Tree<T>, length: usize) -> Result<Vec<T>, Lost> {
    let (rank, size, parts) = (ranks.rank(), ranks.size(), own.parts());
    let other = || Lost::new("a rank has other parts of a sum than its share");
    if own.nodes().iter().any(|(_, sum)| sum.len() != length) {
        return Err(other());
    }
    if size == 1 {
        return own.total().ok_or_else(other);
    }
    let numbers = |rank| ranks.share(length, UNIT, rank);
    let parcel = |to| {
        let mut bytes = Vec::new();
        own.nodes().iter().for_each(|(_, sum)| T::write(&sum[numbers(to)], &mut bytes));
        bytes
    };
    let parcels: Vec<Vec<u8>> = (0..size).map(parcel).collect();
    drop(own);
    let found = ranks.exchange(&parcels)?;
    drop(parcels);
    let (mut tree, count) = (Tree::new(parts), numbers(rank).len());
    for (from, bytes) in found.iter().enumerate() {
        let nodes: Vec<Range<usize>> = tree::nodes(ranks.share(parts, 1, from), parts);
        if bytes.len() != nodes.len() * count * T::SIZE {
            return Err(other());
        }
        let sums = bytes.chunks(count.max(1) * T::SIZE).chain(core::iter::repeat(&[][..]));
        nodes.into_iter().zip(sums).for_each(|(node, bytes)| tree.add(node, T::read(bytes)));
    }
    let sums = all_gather(ranks, tree.total().ok_or_else(other)?)?;
    if sums.len() == length { Ok(sums) } else { Err(other()) }
}

/// The numbers of every rank, one after another, on all of them.
///
/// # Errors
/// A rank that is gone.
pub fn all_gather<T: Number>(ranks: &dyn Collective, own: Vec<T>) -> Result<Vec<T>, Lost> {
    if ranks.size() == 1 {
        return Ok(own);
    }
    let mut bytes = Vec::new();
    T::write(&own, &mut bytes);
    Ok(ranks.gather(&bytes)?.iter().flat_map(|bytes| T::read(bytes)).collect())
}

/// The bytes that a rank of so many sends, at least, where all are to have the sums of `length` numbers: 2(R−1)/R of them
/// all, on the average.
pub fn least<T: Number>(ranks: usize, length: usize) -> usize {
    2 * (ranks.max(1) - 1) * length * T::SIZE / ranks.max(1)
}
