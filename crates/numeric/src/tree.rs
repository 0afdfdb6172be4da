//! Sums of numbered parts in one tree, whoever adds which of them.
//!
//! Floating sums depend on their order. Here the order follows from the number of parts alone: at level l, the node of the
//! parts k·2ˡ to (k+1)·2ˡ is the sum of its two halves, left plus right; at the end, where a half has no parts, it is the
//! other. So a run of parts can be added in one place and the next run in another, as far as nodes go, and what is added of
//! their nodes is the same to the last bit.

use alloc::vec::Vec;
use core::ops::{Add, Range};

/// Parts that were added so far, as the nodes of the tree that they fill.
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
    parts: usize,
    nodes: Vec<(Range<usize>, Vec<T>)>,
    spare: Vec<Vec<T>>,
}

impl<T: Copy + Add<Output = T>> Tree<T> {
    /// The tree of so many parts, none of which is there.
    pub fn new(parts: usize) -> Self {
        Tree { parts, nodes: Vec::new(), spare: Vec::new() }
    }

    /// Adds the sum of a node: a part alone, or what another tree of as many parts gave. Nodes come in the order of their
    /// parts. Of sums of different lengths, what the shorter one lacks is left out.
    pub fn add(&mut self, parts: Range<usize>, sum: Vec<T>) {
        self.nodes.push((parts, sum));
        while let [.., (left, _), (right, _)] = &self.nodes[..]
            && are_halves(left, right, self.parts)
        {
            let Some((right, sum)) = self.nodes.pop() else { return };
            if let Some((left, total)) = self.nodes.last_mut() {
                left.end = right.end;
                total.iter_mut().zip(&sum).for_each(|(total, value)| *total = *total + *value);
            }
            self.spare.push(sum);
        }
    }

    /// How many parts there are in all.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Room that a sum left behind, without elements.
    pub fn room(&mut self) -> Vec<T> {
        let mut room = self.spare.pop().unwrap_or_default();
        room.clear();
        room
    }

    /// The nodes that are there, in the order of their parts.
    pub fn nodes(&self) -> &[(Range<usize>, Vec<T>)] {
        &self.nodes
    }

    /// The nodes that are there, in the order of their parts.
    pub fn into_nodes(self) -> Vec<(Range<usize>, Vec<T>)> {
        self.nodes
    }

    /// The sum of all parts; `None` while some are missing.
    pub fn total(mut self) -> Option<Vec<T>> {
        let (parts, total) = self.nodes.pop()?;
        (self.nodes.is_empty() && parts == (0..self.parts)).then_some(total)
    }

    /// Forgets all parts, and keeps their room.
    pub fn clear(&mut self) {
        let nodes = core::mem::take(&mut self.nodes);
        self.spare.extend(nodes.into_iter().map(|(_, sum)| sum));
    }
}

/// The nodes that a run of parts fills, in a tree of so many parts.
pub fn nodes(run: Range<usize>, parts: usize) -> Vec<Range<usize>> {
    let mut nodes: Vec<Range<usize>> = Vec::new();
    for part in run {
        nodes.push(part..part + 1);
        while let [.., left, right] = &nodes[..]
            && are_halves(left, right, parts)
        {
            let end = right.end;
            nodes.pop();
            if let Some(left) = nodes.last_mut() {
                left.end = end;
            }
        }
    }
    nodes
}

/// Whether two neighbours are the halves of one node.
fn are_halves(left: &Range<usize>, right: &Range<usize>, parts: usize) -> bool {
    let width = left.len();
    width > 0
        && left.end == right.start
        && width.is_power_of_two()
        && left.start.is_multiple_of(2 * width)
        && right.end == parts.min(left.start + 2 * width)
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
}
