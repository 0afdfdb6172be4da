use yuragi_graph::Tensor;

/// A move between an input and the operation under test, so that its operand is not contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// No move.
    Direct,
    /// All axes reversed.
    Permuted,
    /// The inner part of the last axis.
    Sliced,
    /// The first axis repeated.
    Repeated,
    /// Zeros before the first axis.
    Padded,
    /// The halves of the first axis exchanged.
    Rolled,
}

impl Feed {
    /// Every feed.
    pub const ALL: [Feed; 6] = [Feed::Direct, Feed::Permuted, Feed::Sliced, Feed::Repeated, Feed::Padded, Feed::Rolled];

    /// The shape of the input that becomes an operand of this shape (of rank at least 1 and extents at least 2).
    pub fn before(self, shape: &[usize]) -> Vec<usize> {
        let mut before = shape.to_vec();
        let last = shape.len() - 1;
        match self {
            Feed::Direct | Feed::Rolled => {}
            Feed::Permuted => before.reverse(),
            Feed::Sliced => before[last] += 3,
            Feed::Repeated => before[0] = 1,
            Feed::Padded => before[0] -= 1,
        }
        before
    }

    /// The operand of this shape.
    pub fn apply<'g>(self, x: Tensor<'g>, shape: &[usize]) -> Tensor<'g> {
        let last = shape.len() - 1;
        match self {
            Feed::Direct => x,
            Feed::Permuted => x.permute(&(0..=last).rev().collect::<Vec<_>>()),
            Feed::Sliced => x.slice(last, 2, 2 + shape[last]),
            Feed::Repeated => x.broadcast(shape),
            Feed::Padded => x.pad(0, 1, 0),
            Feed::Rolled => x.slice(0, 1, shape[0]).concat(&[x.slice(0, 0, 1)], 0),
        }
    }
}
