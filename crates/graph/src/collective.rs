use alloc::{boxed::Box, vec::Vec};
use core::{any::Any, cell::Cell, ops::Range};

use crate::{
    Lost,
    swap::{Flight, Landed, Swap},
};

/// Processes that run one program together, each on its share of the work: ranks 0 to [`size`](Self::size) − 1.
///
/// All ranks call the same methods in the same order, and each call waits for all of them. What is computed from what a
/// call gave is the same on every rank, so that decisions need no further word between them.
///
/// Bytes travel as they are: numbers are of the order that [`f64::to_le_bytes`] gives.
pub trait Collective {
    /// The number of this process.
    fn rank(&self) -> usize;

    /// How many there are, at least 1.
    fn size(&self) -> usize;

    /// Sends the parcel of each rank to it, and gives what each of them sent here.
    ///
    /// # Errors
    /// Not as many parcels as ranks, more bytes than the engine counts, or a rank that is gone.
    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost>;

    /// What every rank gave, on all of them.
    ///
    /// # Errors
    /// More bytes than the engine counts, or a rank that is gone.
    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost>;

    /// Gives what rank `from` has to all of them, in its place.
    ///
    /// # Errors
    /// No such rank, more bytes than the engine counts, or a rank that is gone.
    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost>;

    /// Begins to send numbers from where they are to where others want them, and goes on with it while this rank computes.
    /// All ranks begin their swaps of one number together, and may have others under way. An engine that has no such thing
    /// exchanges bytes at once.
    ///
    /// # Errors
    /// Runs that do not fit, as [`Swap::check`] has it, or a rank that is gone.
    fn begin(&self, swap: Swap) -> Result<Box<dyn Flight + '_>, Lost> {
        swap.check(self.rank(), self.size())?;
        let found = self.exchange(&swap.parcels(self.size()))?;
        Ok(Box::new(Landed(swap.landed(&found)?)))
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// A rank that is gone.
    fn barrier(&self) -> Result<(), Lost>;

    /// The engine itself, for who knows what else it can do.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }

    /// Ends all ranks with this status; where that cannot be done, it returns.
    fn abort(&self, status: u8);

    /// The share of rank `rank` in so many items: neighbours, in units that are not parted.
    ///
    /// ```
    /// use yuragi_graph::{Alone, Collective};
    /// assert_eq!(Alone.share(10, 1, 0), 0..10);
    /// ```
    fn share(&self, items: usize, unit: usize, rank: usize) -> Range<usize> {
        let (unit, size) = (unit.max(1), self.size().max(1));
        let units = items.div_ceil(unit);
        // As even as can be: the first ranks have one unit more.
        let before = |rank: usize| (units / size * rank + (units % size).min(rank)).saturating_mul(unit).min(items);
        before(rank)..before(rank + 1)
    }

    /// Whether it is so on any rank, on all of them.
    ///
    /// # Errors
    /// A rank that is gone.
    fn any(&self, own: bool) -> Result<bool, Lost> {
        Ok(self.union(own.into())? != 0)
    }

    /// The bits that are set on any rank, on all of them.
    ///
    /// # Errors
    /// A rank that is gone.
    fn union(&self, own: u8) -> Result<u8, Lost> {
        Ok(if self.size() == 1 { own } else { self.gather(&[own])?.iter().flatten().fold(0, |all, bits| all | bits) })
    }

    /// The numbers of every rank, one after another, on all of them.
    ///
    /// # Errors
    /// As [`gather`](Self::gather), and bytes that are no numbers.
    fn gather_numbers(&self, own: &[f64]) -> Result<Vec<f64>, Lost> {
        let bytes: Vec<u8> = own.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut all = Vec::new();
        for part in self.gather(&bytes)? {
            let (numbers, rest) = part.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Lost::new("a rank sent what are no numbers"));
            }
            all.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
        }
        Ok(all)
    }
}

/// One process, which has nothing to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
        match parcels {
            [_] => Ok(parcels.to_vec()),
            _ => Err(Lost::new("not as many parcels as ranks")),
        }
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        Ok(alloc::vec![own.to_vec()])
    }

    fn broadcast(&self, from: usize, _: &mut Vec<u8>) -> Result<(), Lost> {
        if from == 0 { Ok(()) } else { Err(Lost::new("there is no rank but 0")) }
    }

    fn barrier(&self) -> Result<(), Lost> {
        Ok(())
    }

    fn abort(&self, _: u8) {}
}

/// Ranks whose traffic is counted.
pub struct Counted<'r> {
    ranks: &'r dyn Collective,
    sent: Cell<u64>,
}

impl<'r> Counted<'r> {
    /// These ranks, from now on.
    pub fn new(ranks: &'r dyn Collective) -> Self {
        Counted { ranks, sent: Cell::new(0) }
    }

    /// The bytes that this rank gave for others, each as often as there are others that it is for.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    fn count(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }
}

impl Collective for Counted<'_> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn size(&self) -> usize {
        self.ranks.size()
    }

    fn exchange(&self, parcels: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
        let others = parcels.iter().enumerate().filter(|(to, _)| *to != self.rank());
        self.count(others.map(|(_, parcel)| parcel.len()).sum());
        self.ranks.exchange(parcels)
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        self.count(own.len() * (self.size() - 1));
        self.ranks.gather(own)
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        if from == self.rank() {
            self.count(bytes.len() * (self.size() - 1));
        }
        self.ranks.broadcast(from, bytes)
    }

    fn begin(&self, swap: Swap) -> Result<Box<dyn Flight + '_>, Lost> {
        self.count(swap.bytes());
        self.ranks.begin(swap)
    }

    fn barrier(&self) -> Result<(), Lost> {
        self.ranks.barrier()
    }

    fn abort(&self, status: u8) {
        self.ranks.abort(status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some ranks, of which this is the first.
    struct Of(usize);

    impl Collective for Of {
        fn rank(&self) -> usize {
            0
        }
        fn size(&self) -> usize {
            self.0
        }
        fn exchange(&self, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
            Err(Lost::new("alone"))
        }
        fn gather(&self, _: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
            Ok(alloc::vec![alloc::vec![1; 9]])
        }
        fn broadcast(&self, _: usize, _: &mut Vec<u8>) -> Result<(), Lost> {
            Err(Lost::new("alone"))
        }
        fn barrier(&self) -> Result<(), Lost> {
            Err(Lost::new("alone"))
        }
        fn abort(&self, _: u8) {}
    }

    #[test]
    fn shares_are_neighbours_and_as_even_as_can_be() {
        for (size, items, unit) in [(1, 7, 1), (2, 7, 1), (3, 0, 4), (3, 1000, 256), (4, 64, 8), (5, 3, 1)] {
            let shares: Vec<Range<usize>> = (0..size).map(|rank| Of(size).share(items, unit, rank)).collect();
            assert_eq!((shares[0].start, shares[size - 1].end), (0, items));
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(shares.iter().all(|share| share.start.is_multiple_of(unit) || share.start == items));
            let units: Vec<usize> = shares.iter().map(|share| share.len().div_ceil(unit)).collect();
            assert!(units.iter().max().unwrap() - units.iter().min().unwrap() <= 1, "{units:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Alone.gather_numbers(&[0.5, -1.0]), Ok(alloc::vec![0.5, -1.0]));
        assert!(Of(1).gather_numbers(&[]).is_err());
    }
}
