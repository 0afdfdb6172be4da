use crate::{Shape, Tensor};

/// Product of (batches of) matrices `[.., M, K]` and `[.., K, N]`; leading axes are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MatMul {
    /// The first operand is stored as `[.., K, M]`.
    pub transpose_a: bool,
    /// The second operand is stored as `[.., N, K]`.
    pub transpose_b: bool,
}

impl MatMul {
    /// `(M, N, K)` of operands whose last two axes fit; `None` if they do not.
    pub fn extents(self, a: &Shape, b: &Shape) -> Option<(usize, usize, usize)> {
        let (r, s) = (a.rank(), b.rank());
        if r < 2 || r != s || a[..r - 2] != b[..s - 2] {
            return None;
        }
        let order = |x: usize, y: usize, swap: bool| if swap { (y, x) } else { (x, y) };
        let (m, k) = order(a[r - 2], a[r - 1], self.transpose_a);
        let (k2, n) = order(b[s - 2], b[s - 1], self.transpose_b);
        (k == k2).then_some((m, n, k))
    }

    pub(crate) fn grad<'g>(self, g: Tensor<'g>, a: Tensor<'g>, b: Tensor<'g>) -> [Tensor<'g>; 2] {
        let product = |x: Tensor<'g>, tx: bool, y: Tensor<'g>, ty: bool| {
            x.matmul_with(y, MatMul { transpose_a: tx, transpose_b: ty })
        };
        let (ta, tb) = (self.transpose_a, self.transpose_b);
        let da = if ta { product(b, tb, g, true) } else { product(g, false, b, !tb) };
        let db = if tb { product(g, true, a, ta) } else { product(a, !ta, g, false) };
        [da, db]
    }
}
