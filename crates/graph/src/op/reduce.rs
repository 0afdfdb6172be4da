use crate::{Tensor, op::Axes};

/// Folds axes to extent 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reduce {
    /// The sum; 0 over nothing.
    Sum,
    /// The largest; −∞ over nothing. NaN if any is.
    Max,
}

impl Reduce {
    /// The whole family.
    pub const ALL: &'static [Reduce] = &[Reduce::Sum, Reduce::Max];

    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Reduce::Sum => "sum",
            Reduce::Max => "max",
        }
    }

    /// The gradient; ties of a maximum share it equally.
    pub(crate) fn grad<'g>(self, axes: Axes, g: Tensor<'g>, x: Tensor<'g>, y: Tensor<'g>) -> Tensor<'g> {
        let shape = x.shape();
        match self {
            Reduce::Sum => g.broadcast(&shape),
            Reduce::Max => {
                let largest = x.equal(y.broadcast(&shape));
                let ties = largest.reduce(Reduce::Sum, axes);
                largest * (g / ties).broadcast(&shape)
            }
        }
    }
}
