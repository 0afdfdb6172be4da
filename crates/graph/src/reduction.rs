use alloc::{boxed::Box, vec, vec::Vec};
use core::{fmt, mem, ops::Range};

use yuragi_numeric::tree::{self, Nodes, Tree};

use crate::{
    Collective, Lost,
    swap::{Flight, Number, Run, Swap},
};

/// Numbers whose sums are not parted between ranks: those of a cache line.
const UNIT: usize = 16;

/// Sums of all parts of a [`Tree`] on their way over ranks, each of which has its [`share`](Collective::share) of the parts.
///
/// Every rank adds its share of the numbers, over all nodes of the tree that the ranks have, then all gather the sums:
/// reduce-scatter and all-gather. The order of additions is the tree's, so that any number of ranks, down to one, gives the
/// same bits. Where each rank's parts fill one node (the number of ranks divides that of parts, both powers of two), a
/// rank sends [`least`] bytes, and none could send less (Patarasuk and Yuan 2009); else once more for each further node.
///
/// Numbers are sent from where they were added up, received beside them, added and gathered in their place. Several may be
/// under way, in the same order on all ranks, while these compute: [`advance`](Self::advance) goes on with one.
///
/// ```
/// use yuragi_graph::{Alone, Reach, Reduction, even_shares};
/// use yuragi_numeric::tree::Tree;
/// let mut own = Tree::new(2);
/// own.add(0..1, vec![1.0f32, 2.0]);
/// own.add(1..2, vec![0.5, 0.25]);
/// let mut sums = Reduction::begin(&Alone, own, even_shares(&Alone, 2), 0)?;
/// // … here the next part of a gradient is computed …
/// assert!(sums.advance(Reach::Whole, true)?);
/// assert_eq!(sums.numbers(), [1.5, 2.25]);
/// # Ok::<(), yuragi_graph::Lost>(())
/// ```
pub struct Reduction<'r, T: Number> {
    ranks: &'r dyn Collective,
    shares: Vec<Range<usize>>,
    number: u32,
    stage: Stage<'r, T>,
}

/// How far sums are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Each rank has those of its share.
    Share,
    /// All ranks have all.
    Whole,
}

enum Stage<'r, T> {
    /// The nodes of all ranks, in order, and where their numbers of this rank's share are.
    Scattering {
        flight: Box<dyn Flight + 'r>,
        sums: Vec<(Range<usize>, Place)>,
        parts: usize,
    },
    Share(Vec<Vec<T>>),
    Gathering(Box<dyn Flight + 'r>),
    Whole(Vec<Vec<T>>),
    Failed,
}

/// A room and where in it.
type Place = (usize, Range<usize>);

impl<T: Number> fmt::Debug for Reduction<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Scattering { .. } => "scattering",
            Stage::Share(_) => "a share",
            Stage::Gathering(_) => "gathering",
            Stage::Whole(_) => "whole",
            Stage::Failed => "failed",
        };
        write!(f, "sums of {} numbers: {stage}", self.shares.last().map_or(0, |last| last.end))
    }
}

fn other() -> Lost {
    Lost::new("a rank has other parts of a sum than its share")
}

impl<'r, T: Number> Reduction<'r, T> {
    /// Begins; `own` has this rank's share of the parts, and every rank is to have its one of `shares` of the numbers, which
    /// follow one another. `number` tells it from others that are under way.
    ///
    /// # Errors
    /// A rank that is gone, or parts that are not those of its share.
    pub fn begin(
        ranks: &'r dyn Collective,
        mut own: Tree<T>,
        shares: Vec<Range<usize>>,
        number: u32,
    ) -> Result<Self, Lost> {
        let (rank, size, parts) = (ranks.rank(), ranks.size(), own.parts());
        let length = shares.last().map_or(0, |last| last.end);
        if shares.len() != size || own.nodes().iter().any(|(_, sum)| sum.len() != length) {
            return Err(other());
        }
        let (mut spare, nodes) = (own.take_rooms(), own.into_nodes());
        let filled: Vec<Range<usize>> = nodes.iter().map(|(node, _)| node.clone()).collect();
        let mut rooms: Vec<Vec<T>> = nodes.into_iter().map(|(_, sum)| sum).collect();
        // Before anything is sent, which others would take for what the next sum of this number sends.
        if parts == 0 || filled != tree::nodes(ranks.share(parts, 1, rank), parts) {
            return Err(other());
        }
        if size == 1 {
            rooms.append(&mut spare);
            return Ok(Reduction { ranks, shares, number, stage: Stage::Whole(rooms) });
        }
        if rooms.is_empty() {
            rooms.push(vec![T::default(); length]);
        }
        let here = shares[rank].clone();
        let (mut sent, mut coming, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for (from, share) in shares.iter().enumerate() {
            if from == rank {
                sums.extend(filled.iter().cloned().enumerate().map(|(room, node)| (node, (room, here.clone()))));
                continue;
            }
            sent.extend((0..filled.len()).map(|room| Run { rank: from, room, range: share.clone() }));
            for node in tree::nodes(ranks.share(parts, 1, from), parts) {
                let mut room = spare.pop().unwrap_or_default();
                room.resize(here.len(), T::default());
                coming.push(Run { rank: from, room: rooms.len(), range: 0..here.len() });
                sums.push((node, (rooms.len(), 0..here.len())));
                rooms.push(room);
            }
        }
        rooms.append(&mut spare);
        let flight = ranks.begin(Swap { rooms: T::rooms(rooms), sent, coming, number: 2 * number })?;
        Ok(Reduction { ranks, shares, number, stage: Stage::Scattering { flight, sums, parts } })
    }

    /// Goes on; whether it has come so far. Without `wait`, only as far as it goes by itself.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn advance(&mut self, reach: Reach, wait: bool) -> Result<bool, Lost> {
        loop {
            self.stage = match mem::replace(&mut self.stage, Stage::Failed) {
                Stage::Scattering { mut flight, sums, parts } => {
                    if !wait && !flight.advance()? {
                        self.stage = Stage::Scattering { flight, sums, parts };
                        return Ok(false);
                    }
                    Stage::Share(self.added(T::of(flight.land()?).ok_or_else(other)?, sums, parts)?)
                }
                Stage::Share(rooms) if reach == Reach::Whole => {
                    let rank = self.ranks.rank();
                    let runs = |of: &dyn Fn(usize) -> usize| {
                        let others = (0..self.shares.len()).filter(|other| *other != rank);
                        others
                            .map(|other| Run { rank: other, room: 0, range: self.shares[of(other)].clone() })
                            .collect()
                    };
                    let (sent, coming) = (runs(&|_| rank), runs(&|other| other));
                    let rooms = T::rooms(rooms);
                    Stage::Gathering(self.ranks.begin(Swap { rooms, sent, coming, number: 2 * self.number + 1 })?)
                }
                Stage::Gathering(mut flight) if reach == Reach::Whole => {
                    if !wait && !flight.advance()? {
                        self.stage = Stage::Gathering(flight);
                        return Ok(false);
                    }
                    Stage::Whole(T::of(flight.land()?).ok_or_else(other)?)
                }
                Stage::Failed => return Err(other()),
                // So far, or farther.
                stage => {
                    self.stage = stage;
                    return Ok(true);
                }
            };
        }
    }

    /// Adds the nodes of all ranks up, into this rank's share of the first room.
    fn added(
        &self,
        mut rooms: Vec<Vec<T>>,
        sums: Vec<(Range<usize>, Place)>,
        parts: usize,
    ) -> Result<Vec<Vec<T>>, Lost> {
        let mut tree = Nodes::new(0..parts);
        for (node, place) in sums {
            tree.add(node, place, |left, right| {
                // The sum of two is the same either way round.
                let (to, from) = if right.0 == 0 { (right, left) } else { (left, right) };
                if let Ok([total, sum]) = rooms.get_disjoint_mut([to.0, from.0]) {
                    let values = &sum[from.1];
                    total[to.1.clone()].iter_mut().zip(values).for_each(|(total, value)| *total = *total + *value);
                }
                to
            });
        }
        let (room, range) = tree.total().ok_or_else(other)?;
        if let Ok([first, total]) = rooms.get_disjoint_mut([0, room]) {
            first[self.shares[self.ranks.rank()].clone()].copy_from_slice(&total[range]);
        }
        Ok(rooms)
    }

    /// The numbers, of which those of this rank's share, or all, are sums, as far as it has come; none while it is on its
    /// way.
    pub fn numbers(&self) -> &[T] {
        match &self.stage {
            Stage::Share(rooms) | Stage::Whole(rooms) => rooms.first().map_or(&[], Vec::as_slice),
            Stage::Scattering { .. } | Stage::Gathering(_) | Stage::Failed => &[],
        }
    }

    /// The same, to be changed: what a rank makes of the sums of its share is what all ranks gather.
    pub fn numbers_mut(&mut self) -> &mut [T] {
        match &mut self.stage {
            Stage::Share(rooms) | Stage::Whole(rooms) => rooms.first_mut().map_or(&mut [], Vec::as_mut_slice),
            Stage::Scattering { .. } | Stage::Gathering(_) | Stage::Failed => &mut [],
        }
    }

    /// The numbers, and other rooms that can be used again; none while it is on its way.
    pub fn into_rooms(self) -> Vec<Vec<T>> {
        match self.stage {
            Stage::Share(rooms) | Stage::Whole(rooms) => rooms,
            Stage::Scattering { .. } | Stage::Gathering(_) | Stage::Failed => Vec::new(),
        }
    }
}

/// Shares of so many numbers, one for each rank, as even as cache lines allow.
pub fn even_shares(ranks: &dyn Collective, length: usize) -> Vec<Range<usize>> {
    (0..ranks.size()).map(|rank| ranks.share(length, UNIT, rank)).collect()
}

/// The sum of all parts of a [`Tree`], on all ranks; each has its [`share`](Collective::share) of the parts in `own`, all of
/// `length` numbers. See [`Reduction`].
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
    let mut sums = Reduction::begin(ranks, own, even_shares(ranks, length), 0)?;
    sums.advance(Reach::Whole, true)?;
    sums.into_rooms().into_iter().next().filter(|sums| sums.len() == length).ok_or_else(other)
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
    let mut all = Vec::new();
    for part in ranks.gather(&bytes)? {
        let first = all.len();
        all.resize(first + part.len() / T::SIZE, T::default());
        T::read(&part, &mut all[first..]);
    }
    Ok(all)
}

/// The bytes that a rank of so many sends, at least, where all are to have the sums of `length` numbers: 2(R−1)/R of them
/// all, on the average.
pub fn least<T: Number>(ranks: usize, length: usize) -> usize {
    2 * (ranks.max(1) - 1) * length * T::SIZE / ranks.max(1)
}
