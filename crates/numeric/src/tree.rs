//! Sums of numbered parts in one tree, whoever adds which of them.
//!
//! Floating sums depend on their order. Here the order follows from the numbers of the parts alone: at level l, the node of the
//! parts k·2ˡ to (k+1)·2ˡ is the sum of its two halves, left plus right; where a half has no parts, it is the
//! other. So a run of parts can be added in one place and the next run in another, as far as nodes go, and what is added of
//! their nodes is the same to the last bit.

use alloc::vec::Vec;
use core::ops::{Add, Range};

/// The nodes of a tree over a run of parts that those added so far fill, in the order of their parts, each with a sum.
///
/// ```
/// use yuragi_numeric::tree::Nodes;
/// let mut nodes = Nodes::new(0..5);
/// (0..5).for_each(|part| nodes.add(part..part + 1, part.to_string(), |left, right| format!("({left} + {right})")));
/// assert_eq!(nodes.total().as_deref(), Some("(((0 + 1) + (2 + 3)) + 4)"));
/// ```
#[derive(Clone, Debug)]
pub struct Nodes<S> {
    run: Range<usize>,
    nodes: Vec<(Range<usize>, S)>,
}

impl<S> Nodes<S> {
    /// Of the tree over these parts, none of which is there. Where what lies beside them is not known, a run without end:
    /// then only nodes are filled that are whole.
    pub const fn new(run: Range<usize>) -> Self {
        Nodes { run, nodes: Vec::new() }
    }

    /// Adds a part, or the sum of a node. They come in the order of their parts; `add` adds what is left of something to it.
    pub fn add(&mut self, parts: Range<usize>, sum: S, mut add: impl FnMut(S, S) -> S) {
        let (mut parts, mut sum) = (parts, sum);
        while let Some((left, total)) = self.nodes.pop_if(|(left, _)| are_halves(left, &parts, &self.run)) {
            parts = left.start..parts.end;
            sum = add(total, sum);
        }
        self.nodes.push((parts, sum));
    }

    /// Those that are there.
    pub fn as_slice(&self) -> &[(Range<usize>, S)] {
        &self.nodes
    }

    /// Those that are there.
    pub fn into_vec(self) -> Vec<(Range<usize>, S)> {
        self.nodes
    }

    /// The sum of the whole run; `None` while parts are missing.
    pub fn total(mut self) -> Option<S> {
        let (parts, total) = self.nodes.pop()?;
        (self.nodes.is_empty() && parts == self.run).then_some(total)
    }
}

/// The nodes that a run of parts fills, in a tree of so many parts.
pub fn nodes(run: Range<usize>, parts: usize) -> Vec<Range<usize>> {
    let mut nodes = Nodes::new(0..parts);
    run.for_each(|part| nodes.add(part..part + 1, (), |(), ()| ()));
    nodes.into_vec().into_iter().map(|(parts, ())| parts).collect()
}

/// The fewest whole nodes that hold the numbers at the places from `first` on, in their order, as their places and sums.
///
/// ```
/// use yuragi_numeric::tree;
/// let numbers = [1.0, 2.0, 3.0, 4.0];
/// assert_eq!(tree::whole_nodes(&numbers, 3), [(3..4, 1.0), (4..6, 5.0), (6..7, 4.0)]);
/// ```
pub fn whole_nodes(mut numbers: &[f64], first: usize) -> Vec<(Range<usize>, f64)> {
    let (mut nodes, mut place) = (Vec::new(), first);
    while !numbers.is_empty() {
        let level = place.trailing_zeros().min(numbers.len().ilog2());
        let (node, rest) = numbers.split_at(1 << level);
        nodes.push((place..place + node.len(), halves(node)));
        place += node.len();
        numbers = rest;
    }
    nodes
}

/// The sum of 2^k numbers, that of each half first.
fn halves(numbers: &[f64]) -> f64 {
    match numbers {
        [] => 0.0,
        [x] => *x,
        [a, b] => a + b,
        [a, b, c, d] => (a + b) + (c + d),
        _ => {
            let (left, right) = numbers.split_at(numbers.len() / 2);
            halves(left) + halves(right)
        }
    }
}

/// Whether two neighbours are the halves of one node of the tree over a run.
fn are_halves(left: &Range<usize>, right: &Range<usize>, run: &Range<usize>) -> bool {
    // Where they meet is the middle of one node alone.
    let middle = right.start;
    let width = 1usize << middle.trailing_zeros().min(usize::BITS - 1);
    left.end == middle
        && middle > 0
        && left.start == (middle - width).max(run.start)
        && right.end == middle.saturating_add(width).min(run.end)
}

/// Parts that were added so far, each of as many numbers, as the nodes of the tree that they fill.
///
/// ```
/// use yuragi_numeric::tree::Tree;
/// let whole = |parts: std::ops::Range<usize>| {
///     let mut tree = Tree::new(5);
///     parts.for_each(|part| tree.add(part..part + 1, vec![0.1 * part as f32]));
///     tree
/// };
/// let (first, second) = (whole(0..3), whole(3..5));
/// let mut both = Tree::new(5);
/// first.into_nodes().into_iter().chain(second.into_nodes()).for_each(|(parts, sum)| both.add(parts, sum));
/// assert_eq!(both.total(), whole(0..5).total());
/// ```
#[derive(Clone, Debug)]
pub struct Tree<T> {
    nodes: Nodes<Vec<T>>,
    spare: Vec<Vec<T>>,
}

impl<T: Copy + Add<Output = T>> Tree<T> {
    /// The tree of so many parts, none of which is there.
    pub fn new(parts: usize) -> Self {
        Tree::with_rooms(parts, Vec::new())
    }

    /// The same, with room for sums.
    pub const fn with_rooms(parts: usize, spare: Vec<Vec<T>>) -> Self {
        Tree { nodes: Nodes::new(0..parts), spare }
    }

    /// Adds the sum of a node: a part alone, or what another tree of as many parts gave. Nodes come in the order of their
    /// parts. Of sums of different lengths, what the shorter one lacks is left out.
    pub fn add(&mut self, parts: Range<usize>, sum: Vec<T>) {
        self.nodes.add(parts, sum, |mut total, sum| {
            total.iter_mut().zip(&sum).for_each(|(total, value)| *total = *total + *value);
            self.spare.push(sum);
            total
        });
    }

    /// How many parts there are in all.
    pub fn parts(&self) -> usize {
        self.nodes.run.end
    }

    /// Room that a sum left behind, without elements.
    pub fn room(&mut self) -> Vec<T> {
        let mut room = self.spare.pop().unwrap_or_default();
        room.clear();
        room
    }

    /// Room for so many numbers, whatever they are: the one that came last of those that sums left behind.
    pub fn room_for(&mut self, count: usize) -> Vec<T>
    where
        T: Default,
    {
        let mut room = self.spare.pop().unwrap_or_default();
        room.resize(count, T::default());
        room
    }

    /// The nodes that are there, in the order of their parts.
    pub fn nodes(&self) -> &[(Range<usize>, Vec<T>)] {
        self.nodes.as_slice()
    }

    /// The nodes that are there, in the order of their parts.
    pub fn into_nodes(self) -> Vec<(Range<usize>, Vec<T>)> {
        self.nodes.into_vec()
    }

    /// The rooms that sums left behind.
    pub fn take_rooms(&mut self) -> Vec<Vec<T>> {
        core::mem::take(&mut self.spare)
    }

    /// The sum of all parts; `None` while some are missing.
    pub fn total(self) -> Option<Vec<T>> {
        self.nodes.total()
    }

    /// Forgets all parts, and keeps their room.
    pub fn clear(&mut self) {
        let nodes = core::mem::take(&mut self.nodes.nodes);
        self.spare.extend(nodes.into_iter().map(|(_, sum)| sum));
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn values(part: usize) -> Vec<f32> {
        (0..3).map(|i| 1.0 / (1 + part * 3 + i) as f32).collect()
    }

    fn of(run: Range<usize>, parts: usize) -> Tree<f32> {
        let mut tree = Tree::new(parts);
        run.for_each(|part| {
            let mut room = tree.room();
            room.extend(values(part));
            tree.add(part..part + 1, room);
        });
        tree
    }

    #[test]
    fn the_order_of_a_sum_is_that_of_its_halves() {
        fn sum(first: usize, level: u32, parts: usize) -> Option<f32> {
            if first >= parts {
                return None;
            }
            let Some(below) = level.checked_sub(1) else { return Some(values(first)[0]) };
            let (left, right) = (sum(first, below, parts), sum(first + (1 << below), below, parts));
            Some(left? + right.unwrap_or(-0.0))
        }
        for parts in 1..40 {
            assert_eq!(of(0..parts, parts).total().unwrap()[0], sum(0, 6, parts).unwrap(), "{parts}");
        }
    }

    #[test]
    fn shares_of_parts_give_the_bits_of_all() {
        for parts in 1..20 {
            let whole = of(0..parts, parts).total().unwrap();
            for first in 0..=parts {
                for second in first..=parts {
                    let mut tree = Tree::new(parts);
                    for run in [0..first, first..second, second..parts] {
                        let share = of(run.clone(), parts);
                        let found: Vec<Range<usize>> = share.nodes().iter().map(|node| node.0.clone()).collect();
                        assert_eq!(found, nodes(run, parts));
                        share.into_nodes().into_iter().for_each(|(parts, sum)| tree.add(parts, sum));
                    }
                    assert_eq!(tree.total().unwrap(), whole, "{parts} parts, cut at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn what_is_missing_is_seen() {
        assert_eq!(of(0..3, 4).total(), None);
        assert_eq!(of(1..4, 4).total(), None);
        assert_eq!(Tree::<f32>::new(0).total(), None);
        let mut tree = of(0..4, 4);
        tree.clear();
        assert_eq!((tree.nodes().len(), tree.room()), (0, vec![]));
    }

    #[test]
    fn numbers_of_a_run_add_up_alike_in_any_parts() {
        let numbers: Vec<f64> = (1..78).map(|i| 0.1 * f64::from(i)).collect();
        let sum = |run: Range<usize>, cuts: &[usize]| {
            let (mut total, mut start, mut most) = (Nodes::new(run.clone()), run.start, 0);
            for &end in cuts.iter().chain([&run.end]) {
                let nodes = whole_nodes(&numbers[start..end], start);
                most = most.max(nodes.len());
                nodes.into_iter().for_each(|(parts, sum)| total.add(parts, sum, |a, b| a + b));
                start = end;
            }
            (total.total(), most)
        };
        for (first, end) in [(0, 77), (0, 64), (3, 70), (31, 33), (5, 6), (9, 9)] {
            let (whole, _) = sum(first..end, &[]);
            let exact: f64 = numbers[first..end].iter().sum();
            assert!((whole.unwrap_or(0.0) - exact).abs() <= 1e-14 * exact);
            for cut in first..=end {
                let (parts, most) = sum(first..end, &[cut]);
                assert_eq!(parts.map(f64::to_bits), whole.map(f64::to_bits), "{first} {cut} {end}");
                assert!(most <= 2 * 7);
            }
        }
        // In order it is another sum, so that this says something.
        assert_ne!(sum(0..77, &[]).0, Some(numbers.iter().sum::<f64>()));
    }
}
