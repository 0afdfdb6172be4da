use crate::{
    MAX_RANK, Shape, Tensor,
    op::{Axes, Reduce},
};

/// Moves elements without changing them. The result's shape stands in the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Movement {
    /// The same elements in row-major order under another shape.
    Reshape,
    /// Axis `i` of the result is axis `permutation[i]` of the operand.
    Permute([u8; MAX_RANK]),
    /// Axes of extent 1 are repeated to the node's shape (equal ranks).
    Broadcast,
    /// A part of one axis, from this start; its extent stands in the node's shape.
    Slice {
        /// The cut axis.
        axis: u8,
        /// The first element kept.
        start: usize,
    },
    /// Zeros before and after the elements along one axis.
    Pad {
        /// The padded axis.
        axis: u8,
        /// Zeros before; those after follow from the node's shape.
        before: usize,
    },
    /// The operands one after another along this axis.
    Concat(u8),
}

impl Movement {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Movement::Reshape => "reshape",
            Movement::Permute(_) => "permute",
            Movement::Broadcast => "broadcast",
            Movement::Slice { .. } => "slice",
            Movement::Pad { .. } => "pad",
            Movement::Concat(_) => "concat",
        }
    }

    /// The gradient for the operand at this place: the movement's adjoint.
    pub(crate) fn grad<'g>(self, g: Tensor<'g>, operands: &[Tensor<'g>], place: usize) -> Tensor<'g> {
        let shape: Shape = operands[place].shape();
        match self {
            Movement::Reshape => g.reshape(&shape),
            Movement::Permute(permutation) => {
                let mut inverse = [0; MAX_RANK];
                for (to, &from) in permutation.iter().enumerate().take(shape.rank()) {
                    inverse[usize::from(from)] = to;
                }
                g.permute(&inverse[..shape.rank()])
            }
            Movement::Broadcast => {
                let stretched = |&axis: &usize| shape[axis] != g.shape()[axis];
                g.reduce(Reduce::Sum, (0..shape.rank()).filter(stretched).collect::<Axes>())
            }
            Movement::Slice { axis, start } => {
                let axis = usize::from(axis);
                g.pad(axis, start, shape[axis] - start - g.shape()[axis])
            }
            Movement::Pad { axis, before } => {
                let axis = usize::from(axis);
                g.slice(axis, before, before + shape[axis])
            }
            Movement::Concat(axis) => {
                let axis = usize::from(axis);
                let start = operands[..place].iter().map(|t| t.shape()[axis]).sum();
                g.slice(axis, start, start + shape[axis])
            }
        }
    }
}
