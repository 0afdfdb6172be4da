use alloc::{vec, vec::Vec};
use core::ops::Range;

use yuragi_graph::{Collective, Lost, Reach, Reduction, even_shares};
use yuragi_numeric::tree::Tree;

/// Outputs of what a slice computes that are added up and sent together.
#[derive(Default)]
pub(super) struct Bucket {
    /// Their places among the outputs, and where their numbers are in the bucket.
    pub outputs: Vec<(usize, Range<usize>)>,
    /// How many launches it takes to compute them.
    pub ready: usize,
    /// The numbers of each rank, which adds them up.
    shares: Vec<Range<usize>>,
    /// Rooms of the step before.
    pub rooms: Vec<Vec<f32>>,
}

/// Numbers of a bucket, at least, but for the last one: 1 MiB. A swap of so many takes many times what it takes to begin
/// one, and the last one, for which no computation is left to go on beside, is a small part of a large network.
const BUCKET: usize = 1 << 18;

impl Bucket {
    /// Buckets of outputs that take so much room, each of which is ready after so many launches; a rank adds up an even share of
    /// the numbers, or, by `owners`, those of whole outputs. All ranks make them in the first one's order, whatever their own
    /// plans are.
    pub fn all(
        ready: &[usize],
        lengths: &[usize],
        owners: Option<&[usize]>,
        ranks: &dyn Collective,
    ) -> Result<Vec<Bucket>, Lost> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|output| ready[*output]);
        let order = agreed(order, ranks)?;
        let mut buckets: Vec<(Bucket, usize)> = Vec::new();
        for output in order {
            if buckets.last().is_none_or(|(_, length)| *length >= BUCKET) {
                buckets.push(Default::default());
            }
            if let Some((bucket, length)) = buckets.last_mut() {
                bucket.outputs.push((output, 0..0));
                bucket.ready = bucket.ready.max(ready[output]);
                *length += lengths[output];
            }
        }
        let placed = |(mut bucket, length): (Bucket, usize)| {
            if let Some(owners) = owners {
                bucket.outputs.sort_by_key(|(output, _)| owners[*output]);
            }
            let mut end = 0;
            for (output, range) in &mut bucket.outputs {
                *range = end..end + lengths[*output];
                end = range.end;
            }
            bucket.shares = match owners {
                None => even_shares(ranks, length),
                Some(owners) => {
                    let before = |rank| bucket.outputs.iter().filter(move |(output, _)| owners[*output] < rank);
                    let start = |rank| before(rank).map(|(_, range)| range.end).max().unwrap_or(0);
                    (0..ranks.size()).map(|rank| start(rank)..start(rank + 1)).collect()
                }
            };
            bucket
        };
        Ok(buckets.into_iter().map(placed).collect())
    }

    pub fn length(&self) -> usize {
        self.shares.last().map_or(0, |last| last.end)
    }

    /// Begins to add a bucket of this number up over all ranks.
    pub fn send<'r>(
        &self,
        ranks: &'r dyn Collective,
        tree: Tree<f32>,
        number: u32,
    ) -> Result<Reduction<'r, f32>, Lost> {
        Reduction::begin(ranks, tree, self.shares.clone(), number)
    }
}

/// The first rank's order of as many outputs.
fn agreed(order: Vec<usize>, ranks: &dyn Collective) -> Result<Vec<usize>, Lost> {
    if ranks.size() == 1 {
        return Ok(order);
    }
    let mut bytes: Vec<u8> = order.iter().flat_map(|output| (*output as u32).to_le_bytes()).collect();
    ranks.broadcast(0, &mut bytes)?;
    let first: Vec<usize> = bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
    let mut sorted = first.clone();
    sorted.sort_unstable();
    match sorted.into_iter().eq(0..order.len()) {
        true => Ok(first),
        false => Err(Lost::new("ranks have steps of different graphs")),
    }
}

/// The rank that keeps each of some outputs of these lengths, so that all keep about as many numbers: the largest first, each
/// to who has least (Graham 1969).
pub(super) fn owners(lengths: &[usize], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|output| core::cmp::Reverse(lengths[*output]));
    let (mut owners, mut kept) = (vec![0; lengths.len()], vec![0; ranks.max(1)]);
    for output in order {
        let least = (0..kept.len()).min_by_key(|rank| kept[*rank]).unwrap_or(0);
        owners[output] = least;
        kept[least] += lengths[output];
    }
    owners
}

/// The sums of all buckets on their way.
pub(super) type Sums<'r> = [Reduction<'r, f32>];

/// Waits until all have come so far; what goes on from there by itself has begun to.
pub(super) fn wait(sums: &mut Sums<'_>, reach: Reach) -> Result<(), Lost> {
    for sum in sums {
        sum.advance(reach, true)?;
    }
    Ok(())
}

/// The numbers of each output, as far as they have come, with the room behind them.
pub(super) fn parts<'s>(buckets: &[Bucket], sums: &'s Sums<'_>, count: usize) -> Vec<&'s [f32]> {
    let mut parts: Vec<&[f32]> = vec![&[]; count];
    for (bucket, sum) in buckets.iter().zip(sums) {
        bucket.outputs.iter().for_each(|(output, range)| parts[*output] = &sum.numbers()[range.clone()]);
    }
    parts
}

/// The numbers of each output alone.
pub(super) fn trimmed<'s>(parts: &[&'s [f32]], lengths: &[usize]) -> Vec<&'s [f32]> {
    parts.iter().zip(lengths).map(|(part, length)| &part[..*length]).collect()
}

#[cfg(test)]
mod tests {
    use yuragi_graph::Alone;

    use super::*;

    #[test]
    fn buckets_hold_every_output_once_in_the_order_in_which_they_are_ready() {
        let lengths = [1, BUCKET, 7, BUCKET / 2, BUCKET / 2, 3, 5];
        let ready = [2, 9, 4, 6, 5, 7, 1];
        let buckets = Bucket::all(&ready, &lengths, None, &Alone).unwrap();
        let places = |bucket: &Bucket| bucket.outputs.iter().map(|(output, _)| *output).collect::<Vec<_>>();
        assert_eq!(buckets.iter().map(places).collect::<Vec<_>>(), [vec![6, 0, 2, 4, 3], vec![5, 1]]);
        assert_eq!(buckets.iter().map(|bucket| bucket.ready).collect::<Vec<_>>(), [6, 9]);
        assert_eq!(buckets[0].length(), 13 + BUCKET);
        let sharded = Bucket::all(&ready, &lengths, Some(&[0; 7]), &Alone).unwrap();
        assert_eq!(sharded[1].length(), BUCKET + 3);
    }

    /// The second of two ranks, the first of which has this order.
    struct Second(Vec<u32>);

    impl Collective for Second {
        fn rank(&self) -> usize {
            1
        }
        fn size(&self) -> usize {
            2
        }
        fn exchange(&self, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Lost> {
            Err(Lost::new("nothing is exchanged"))
        }
        fn gather(&self, _: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
            Err(Lost::new("nothing is gathered"))
        }
        fn broadcast(&self, _: usize, bytes: &mut Vec<u8>) -> Result<(), Lost> {
            *bytes = self.0.iter().flat_map(|output| output.to_le_bytes()).collect();
            Ok(())
        }
        fn barrier(&self) -> Result<(), Lost> {
            Ok(())
        }
        fn abort(&self, _: u8) {}
    }

    #[test]
    fn ranks_with_other_plans_have_the_buckets_of_the_first() {
        let lengths = [BUCKET, 7, 3, 5];
        let ready = [1, 9, 4, 6];
        let buckets = Bucket::all(&ready, &lengths, None, &Second(vec![1, 2, 0, 3])).unwrap();
        let outputs = [vec![(1, 0..7), (2, 7..10), (0, 10..10 + BUCKET)], vec![(3, 0..5)]];
        assert!(buckets.iter().map(|bucket| &bucket.outputs).eq(&outputs));
        // None leaves before all of it is there.
        assert_eq!(buckets.iter().map(|bucket| bucket.ready).collect::<Vec<_>>(), [9, 6]);
        for other in [vec![], vec![0, 1, 2], vec![0, 1, 2, 2], vec![0, 1, 2, 3, 4]] {
            assert!(Bucket::all(&ready, &lengths, None, &Second(other)).is_err());
        }
    }

    #[test]
    fn ranks_keep_about_as_much() {
        let lengths = [400, 250, 250, 400, 5, 1];
        assert_eq!(owners(&lengths, 1), [0; 6]);
        assert_eq!(owners(&lengths, 2), [0, 0, 1, 1, 0, 1]);
        let kept = |rank: usize| {
            owners(&lengths, 3).iter().zip(lengths).filter(|(of, _)| **of == rank).map(|(_, n)| n).sum::<usize>()
        };
        assert_eq!([kept(0), kept(1), kept(2)], [405, 401, 500]);
    }
}
