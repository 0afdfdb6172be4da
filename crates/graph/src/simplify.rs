use crate::{
    Builder, DType, MAX_RANK, NodeId, Op, Shape, Tensor,
    op::{Binary, MatMul, Movement, Unary},
};

impl Builder {
    /// An operand or a constant equal to the operation that is about to be recorded. Nothing that the
    /// operation depends on is bypassed, so that gradients with respect to any tensor stay whole.
    pub(crate) fn simplified(&self, op: Op, inputs: &[NodeId], shape: Shape, dtype: DType) -> Option<Tensor<'_>> {
        let at = |place: usize| Tensor::new(self, inputs[place]);
        let fill = |place: usize| {
            self.with_node(inputs[place], |n| match n.op {
                Op::Fill(value) => Some(value.get()),
                _ => None,
            })
        };
        match op {
            Op::Unary(Unary::Neg) => fill(0).map(|value| self.fill(&shape, -value, dtype)),
            Op::Binary(binary) => match (binary, fill(0), fill(1)) {
                (_, Some(a), Some(b)) if dtype == DType::F32 => Some(self.fill(&shape, binary.eval(a, b), dtype)),
                (Binary::Add, Some(0.0), _) | (Binary::Mul, Some(1.0), _) => Some(at(1)),
                (Binary::Add | Binary::Sub, _, Some(0.0)) | (Binary::Mul | Binary::Div, _, Some(1.0)) => Some(at(0)),
                (Binary::Mul, Some(-1.0), _) => Some(-at(1)),
                (Binary::Mul, _, Some(-1.0)) => Some(-at(0)),
                _ => None,
            },
            Op::Cast => (at(0).dtype() == dtype).then(|| at(0)),
            Op::Reduce(..) => (at(0).shape() == shape).then(|| at(0)),
            Op::Move(Movement::Permute(axes)) => (0..shape.rank()).all(|i| usize::from(axes[i]) == i).then(|| at(0)),
            Op::Move(movement) => match movement {
                _ if inputs.len() == 1 && at(0).shape() == shape => Some(at(0)),
                Movement::Reshape | Movement::Broadcast => fill(0).map(|value| self.fill(&shape, value, dtype)),
                _ => None,
            },
            _ => None,
        }
    }

    /// A smaller value equal to the operation, reached past its operands: only once gradients can no
    /// longer be asked for, since those with respect to a bypassed tensor would be lost.
    pub(crate) fn merged(&self, op: Op, inputs: &[NodeId], shape: Shape) -> Option<Tensor<'_>> {
        let at = |place: usize| Tensor::new(self, inputs[place]);
        let inner = |place: usize| self.node(inputs[place]);
        match op {
            Op::Unary(Unary::Neg) => {
                let inner = inner(0);
                (inner.op == Op::Unary(Unary::Neg)).then(|| Tensor::new(self, inner.inputs[0]))
            }
            Op::Binary(Binary::Add) => {
                let right = inner(1);
                (right.op == Op::Unary(Unary::Neg)).then(|| at(0) - Tensor::new(self, right.inputs[0]))
            }
            Op::Move(Movement::Permute(outer)) => {
                let inner = inner(0);
                let Op::Move(Movement::Permute(first)) = inner.op else { return None };
                let rank = shape.rank();
                let mut axes = [0; MAX_RANK];
                for (axis, &through) in axes.iter_mut().zip(&outer).take(rank) {
                    *axis = usize::from(first[usize::from(through)]);
                }
                Some(Tensor::new(self, inner.inputs[0]).permute(&axes[..rank]))
            }
            Op::Move(Movement::Reshape | Movement::Broadcast) => {
                let inner = inner(0);
                (inner.op == op).then(|| self.push(op, &inner.inputs, shape))
            }
            Op::Move(Movement::Slice { axis, start }) => {
                let inner = inner(0);
                let i = usize::from(axis);
                let mut first = 0;
                for &part in inner.inputs.iter().filter(|_| inner.op == Op::Move(Movement::Concat(axis))) {
                    let part = Tensor::new(self, part);
                    let end = first + part.shape()[i];
                    if first <= start && start + shape[i] <= end {
                        return Some(part.slice(i, start - first, start - first + shape[i]));
                    }
                    first = end;
                }
                None
            }
            Op::MatMul(MatMul { transpose_a, transpose_b }) => {
                let untransposed = |id: NodeId| {
                    let node = self.node(id);
                    let Op::Move(Movement::Permute(p)) = node.op else { return None };
                    let rank = node.shape.rank();
                    let swaps = (0..rank - 2).all(|i| usize::from(p[i]) == i) && usize::from(p[rank - 1]) == rank - 2;
                    swaps.then(|| node.inputs[0])
                };
                let (a, b) = (untransposed(inputs[0]), untransposed(inputs[1]));
                if a.is_none() && b.is_none() {
                    return None;
                }
                let op = MatMul { transpose_a: transpose_a ^ a.is_some(), transpose_b: transpose_b ^ b.is_some() };
                let a = Tensor::new(self, a.unwrap_or(inputs[0]));
                Some(a.matmul_with(Tensor::new(self, b.unwrap_or(inputs[1])), op))
            }
            _ => None,
        }
    }
}
