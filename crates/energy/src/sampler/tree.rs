use alloc::vec::Vec;

/// A sum of neighbouring numbers: those at the places `number`·2^`level` to (`number` + 1)·2^`level`, as far as they hold any.
///
/// Sums by places in one tree over all of them are the same bits in whatever parts they are computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    level: u32,
    number: u64,
    sum: f64,
}

/// Where the level stands beside the number in a word.
const LEVEL: u32 = 58;

impl Node {
    pub fn words(self) -> [u64; 2] {
        [u64::from(self.level) << LEVEL | self.number, self.sum.to_bits()]
    }

    /// A sum that no other is added to.
    pub fn alone(sum: f64) -> Self {
        Self { level: 0, number: 0, sum }
    }

    pub fn from_words([place, sum]: [u64; 2]) -> Self {
        Self { level: (place >> LEVEL) as u32, number: place & ((1 << LEVEL) - 1), sum: f64::from_bits(sum) }
    }
}

/// The fewest nodes that hold the numbers at the places from `first` on, in their order.
pub(super) fn nodes(mut numbers: &[f64], first: usize) -> Vec<Node> {
    let (mut nodes, mut place) = (Vec::new(), first as u64);
    while !numbers.is_empty() {
        let level = place.trailing_zeros().min(numbers.len().ilog2());
        let (node, rest) = numbers.split_at(1 << level);
        nodes.push(Node { level, number: place >> level, sum: halves(node) });
        place += node.len() as u64;
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

/// The sum of nodes that stand in the order of their places and hold none of them twice.
pub(super) fn total(mut nodes: Vec<Node>) -> f64 {
    let mut level = 0;
    while nodes.len() > 1 {
        let mut above: Vec<Node> = Vec::with_capacity(nodes.len());
        for node in nodes {
            if node.level > level {
                above.push(node);
                continue;
            }
            let parent = Node { level: level + 1, number: node.number / 2, sum: node.sum };
            match above.last_mut().filter(|last| (last.level, last.number) == (parent.level, parent.number)) {
                Some(last) => last.sum += parent.sum,
                None => above.push(parent),
            }
        }
        (nodes, level) = (above, level + 1);
        if level == LEVEL {
            break;
        }
    }
    nodes.iter().map(|node| node.sum).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_the_same_in_any_parts() {
        let numbers: Vec<f64> = (1..78).map(|i| 0.1 * f64::from(i)).collect();
        for (first, end) in [(0, 77), (0, 64), (3, 70), (31, 33), (5, 6), (9, 9)] {
            let whole = total(nodes(&numbers[first..end], first));
            let exact: f64 = numbers[first..end].iter().sum();
            assert!((whole - exact).abs() <= 1e-14 * exact);
            for cut in first..=end {
                let mut parts = nodes(&numbers[first..cut], first);
                parts.extend(nodes(&numbers[cut..end], cut));
                assert_eq!(total(parts.clone()).to_bits(), whole.to_bits(), "{first} {cut} {end}");
                assert!(parts.len() <= 2 * 2 * 7);
                assert!(parts.iter().all(|node| Node::from_words(node.words()) == *node));
            }
        }
        // In order it is another sum, so that this says something.
        assert_ne!(total(nodes(&numbers, 0)).to_bits(), numbers.iter().sum::<f64>().to_bits());
    }
}
