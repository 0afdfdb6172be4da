use alloc::{format, vec::Vec};
use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::{
    Builder, DType, MAX_RANK, NodeId, Op, Shape,
    op::{Axes, Binary, Conv, Fused, MatMul, Movement, Reduce, Unary, Window},
};

/// A value in the graph under construction: copied freely, combined by operators and methods.
///
/// Binary operators broadcast as in NumPy. Axes count from the end when negative. Reductions keep
/// their axes with extent 1.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    builder: &'g Builder,
    id: NodeId,
}

impl<'g> Tensor<'g> {
    pub(crate) fn new(builder: &'g Builder, id: NodeId) -> Tensor<'g> {
        Tensor { builder, id }
    }

    /// The node's place in the graph.
    pub fn id(self) -> NodeId {
        self.id
    }

    /// The builder that records this tensor.
    pub fn builder(self) -> &'g Builder {
        self.builder
    }

    /// The extents.
    pub fn shape(self) -> Shape {
        self.builder.with_node(self.id, |n| n.shape)
    }

    /// The element type.
    pub fn dtype(self) -> DType {
        self.builder.with_node(self.id, |n| n.dtype)
    }

    /// One extent; axes count from the end when negative. A missing axis is an error of the graph and reads as 1.
    #[track_caller]
    pub fn dim(self, axis: isize) -> usize {
        match self.axis(axis) {
            Some(axis) => self.shape()[axis],
            None => 1,
        }
    }

    /// Any elementwise function of one number.
    #[track_caller]
    pub fn unary(self, op: Unary) -> Tensor<'g> {
        self.builder.push(Op::Unary(op), &[self.id], self.shape())
    }

    /// Any elementwise function of two numbers, broadcast.
    #[track_caller]
    pub fn binary(self, op: Binary, other: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = self.broadcast_pair(other);
        a.push(Op::Binary(op), &[b], a.shape())
    }

    /// `a` where this is not 0, else `b`.
    #[track_caller]
    pub fn select(self, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = a.broadcast_pair(b);
        let (condition, a) = self.broadcast_pair(a);
        let b = b.broadcast(&a.shape());
        condition.push(Op::Select, &[a, b], a.shape())
    }

    /// The value in another element type.
    #[track_caller]
    pub fn cast(self, dtype: DType) -> Tensor<'g> {
        self.builder.push_typed(Op::Cast, &[self.id], self.shape(), Some(dtype))
    }

    /// Folds a set of axes.
    #[track_caller]
    pub fn reduce(self, op: Reduce, axes: Axes) -> Tensor<'g> {
        self.builder.push(Op::Reduce(op, axes), &[self.id], self.shape())
    }

    /// The sum along these axes.
    #[track_caller]
    pub fn sum(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduce::Sum, self.axes(axes))
    }

    /// The largest along these axes.
    #[track_caller]
    pub fn max(self, axes: &[isize]) -> Tensor<'g> {
        self.reduce(Reduce::Max, self.axes(axes))
    }

    /// The mean along these axes.
    #[track_caller]
    pub fn mean(self, axes: &[isize]) -> Tensor<'g> {
        let total = self.sum(axes);
        let count = self.shape().count() / total.shape().count().max(1);
        total * (1.0 / count as f32)
    }

    /// The mean of all elements, as a scalar.
    #[track_caller]
    pub fn mean_all(self) -> Tensor<'g> {
        let count = self.shape().count();
        self.sum_all() * (1.0 / count as f32)
    }

    /// The sum of all elements, as a scalar.
    #[track_caller]
    pub fn sum_all(self) -> Tensor<'g> {
        self.reduce(Reduce::Sum, (0..self.shape().rank()).collect()).reshape(&[])
    }

    /// The same elements under another shape.
    #[track_caller]
    pub fn reshape(self, extents: &[usize]) -> Tensor<'g> {
        match Shape::new(extents) {
            Some(shape) => self.builder.push(Op::Move(Movement::Reshape), &[self.id], shape),
            None => self.builder.fail(format!("reshape: illegal shape {extents:?}"), self.shape()),
        }
    }

    /// Axis `i` of the result is axis `axes[i]` of this.
    #[track_caller]
    pub fn permute(self, axes: &[usize]) -> Tensor<'g> {
        let shape = self.shape();
        if axes.len() != shape.rank() || axes.iter().any(|&a| a >= shape.rank()) {
            return self.builder.fail(format!("permute: {axes:?} does not name every axis of {shape}"), shape);
        }
        let mut permutation = [0; MAX_RANK];
        let mut want = shape;
        for (to, &from) in axes.iter().enumerate() {
            permutation[to] = from as u8;
            want = want.with(to, shape[from]);
        }
        self.builder.push(Op::Move(Movement::Permute(permutation)), &[self.id], want)
    }

    /// The last two axes exchanged.
    #[track_caller]
    pub fn transpose(self) -> Tensor<'g> {
        let rank = self.shape().rank();
        let mut axes: Vec<usize> = (0..rank).collect();
        if rank < 2 {
            return self.builder.fail(format!("transpose: {} has no two axes", self.shape()), self.shape());
        }
        axes.swap(rank - 2, rank - 1);
        self.permute(&axes)
    }

    /// Repeated to a shape, aligned at the last axis.
    #[track_caller]
    pub fn broadcast(self, extents: &[usize]) -> Tensor<'g> {
        let from = self.shape();
        let Some(want) = Shape::new(extents).filter(|s| s.rank() >= from.rank()) else {
            return self.builder.fail(format!("broadcast: {from} does not stretch to {extents:?}"), from);
        };
        let mut aligned = Vec::with_capacity(want.rank());
        aligned.resize(want.rank() - from.rank(), 1);
        aligned.extend_from_slice(&from);
        let aligned = self.reshape(&aligned);
        self.builder.push(Op::Move(Movement::Broadcast), &[aligned.id], want)
    }

    /// Elements `start..end` of one axis.
    #[track_caller]
    pub fn slice(self, axis: usize, start: usize, end: usize) -> Tensor<'g> {
        let shape = self.shape();
        if axis >= shape.rank() || start > end {
            return self.builder.fail(format!("slice: axis {axis}, {start}..{end} of {shape}"), shape);
        }
        let movement = Movement::Slice { axis: axis as u8, start };
        self.builder.push(Op::Move(movement), &[self.id], shape.with(axis, end - start))
    }

    /// The axis cut into this many equal parts, at most 65536.
    #[track_caller]
    pub fn chunk(self, axis: isize, parts: usize) -> Vec<Tensor<'g>> {
        const MOST: usize = 1 << 16;
        let extent = self.dim(axis);
        let fits = 0 < parts && parts <= MOST && extent.is_multiple_of(parts);
        let Some(axis) = self.axis(axis).filter(|_| fits) else {
            let poison = self.builder.fail(format!("chunk: {parts} parts of {extent}"), self.shape());
            return alloc::vec![poison; parts.min(MOST)];
        };
        let size = extent / parts;
        (0..parts).map(|i| self.slice(axis, i * size, (i + 1) * size)).collect()
    }

    /// Zeros added along one axis.
    #[track_caller]
    pub fn pad(self, axis: usize, before: usize, after: usize) -> Tensor<'g> {
        let shape = self.shape();
        if axis >= shape.rank() {
            return self.builder.fail(format!("pad: axis {axis} of {shape}"), shape);
        }
        let movement = Movement::Pad { axis: axis as u8, before };
        self.builder.push(
            Op::Move(movement),
            &[self.id],
            shape.with(axis, before.saturating_add(shape[axis]).saturating_add(after)),
        )
    }

    /// Tensors one after another along an axis of the first.
    #[track_caller]
    pub fn concat(self, others: &[Tensor<'g>], axis: isize) -> Tensor<'g> {
        let shape = self.shape();
        let Some(axis) = self.axis(axis) else { return self };
        let extent = |t: &Tensor<'g>| t.shape().get(axis).copied().unwrap_or(0);
        let total = shape[axis] + others.iter().map(extent).sum::<usize>();
        self.push(Op::Move(Movement::Concat(axis as u8)), others, shape.with(axis, total))
    }

    /// The matrix product `[.., M, K]·[.., K, N]`; a matrix on the right serves every batch.
    #[track_caller]
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        let (a, b) = (self.shape(), other.shape());
        if b.rank() == 2 && a.rank() > 2 {
            let rows = a[..a.rank() - 1].iter().product();
            let flat = self.reshape(&[rows, a[a.rank() - 1]]).matmul_with(other, MatMul::default());
            return flat.reshape(&a.with(a.rank() - 1, b[1]));
        }
        self.matmul_with(other, MatMul::default())
    }

    /// The matrix product with either operand stored transposed; ranks are equal.
    #[track_caller]
    pub fn matmul_with(self, other: Tensor<'g>, op: MatMul) -> Tensor<'g> {
        self.push(Op::MatMul(op), &[other], self.shape())
    }

    /// Convolution of `[N, H, W, C]` with a kernel `[KH, KW, C, O]`.
    #[track_caller]
    pub fn conv2d(self, kernel: Tensor<'g>, window: Window) -> Tensor<'g> {
        self.push(Op::Conv(Conv::Forward(window)), &[kernel], self.shape())
    }

    /// The adjoint of [`conv2d`](Tensor::conv2d) in its picture (of this height and width), applied to this.
    #[track_caller]
    pub fn conv2d_input_grad(self, kernel: Tensor<'g>, window: Window, size: [usize; 2]) -> Tensor<'g> {
        let (g, w) = (self.shape(), kernel.shape());
        let dims = [g.first().copied().unwrap_or(0), size[0], size[1], w.get(2).copied().unwrap_or(0)];
        let Some(want) = Shape::new(&dims) else {
            return self.builder.fail(format!("conv2d_input_grad: illegal size {size:?}"), g);
        };
        self.push(Op::Conv(Conv::InputGrad(window)), &[kernel], want)
    }

    /// The adjoint of [`conv2d`](Tensor::conv2d) in its kernel (of this height and width): this is the picture.
    #[track_caller]
    pub fn conv2d_weight_grad(self, g: Tensor<'g>, window: Window, kernel: [usize; 2]) -> Tensor<'g> {
        let last = |s: Shape| s.last().copied().unwrap_or(0);
        let dims = [kernel[0], kernel[1], last(self.shape()), last(g.shape())];
        let Some(want) = Shape::new(&dims) else {
            return self.builder.fail(format!("conv2d_weight_grad: illegal kernel {kernel:?}"), self.shape());
        };
        self.push(Op::Conv(Conv::WeightGrad(window)), &[g], want)
    }

    /// Rows of this table, in the shape of the `I32` indices.
    #[track_caller]
    pub fn gather(self, indices: Tensor<'g>) -> Tensor<'g> {
        self.push(Op::Gather, &[indices], self.shape())
    }

    /// Sums values into the rows that these `I32` indices name.
    #[track_caller]
    pub fn scatter_add(self, values: Tensor<'g>, rows: usize) -> Tensor<'g> {
        self.push(Op::ScatterAdd(rows), &[values], values.shape())
    }

    /// e^x over its sum along the last axis.
    #[track_caller]
    pub fn softmax(self) -> Tensor<'g> {
        self.fused(Fused::Softmax, &[])
    }

    /// Standardises the last axis, then scales by `gain` and shifts by `bias`, both `[C]`.
    #[track_caller]
    pub fn layer_norm(self, gain: Tensor<'g>, bias: Tensor<'g>, eps: f32) -> Tensor<'g> {
        self.fused(Fused::LayerNorm { eps: eps.into() }, &[gain, bias])
    }

    /// Standardises groups of channels of `[N, .., C]`, then scales by `gain` and shifts by `bias`, both `[C]`.
    #[track_caller]
    pub fn group_norm(self, groups: usize, gain: Tensor<'g>, bias: Tensor<'g>, eps: f32) -> Tensor<'g> {
        self.fused(Fused::GroupNorm { groups, eps: eps.into() }, &[gain, bias])
    }

    /// softmax(q·kᵀ·scale + mask)·v with this as q.
    #[track_caller]
    pub fn attention(self, k: Tensor<'g>, v: Tensor<'g>, mask: Option<Tensor<'g>>, scale: f32) -> Tensor<'g> {
        let op = Fused::Attention { scale: scale.into() };
        match mask {
            Some(mask) => self.fused(op, &[k, v, mask]),
            None => self.fused(op, &[k, v]),
        }
    }

    /// [`conv2d`](Tensor::conv2d) of stride 1 with a 3×3 kernel, these zeros above, below, left and right, by minimal
    /// filtering: see [`Fused::Winograd`].
    #[track_caller]
    pub fn winograd(self, kernel: Tensor<'g>, padding: [usize; 4]) -> Tensor<'g> {
        self.fused(Fused::Winograd(Conv::Forward(Window { stride: [1, 1], padding })), &[kernel])
    }

    /// Any fused operation on this and other operands, in the operation's order.
    #[track_caller]
    pub fn fused(self, op: Fused, others: &[Tensor<'g>]) -> Tensor<'g> {
        self.push(Op::Fused(op), others, self.shape())
    }

    /// Records an operation on this and other operands, which must belong to the same builder.
    #[track_caller]
    pub(crate) fn push(self, op: Op, others: &[Tensor<'g>], want: Shape) -> Tensor<'g> {
        if others.iter().any(|t| !self.builder.owns(*t)) {
            return self.builder.fail(format!("{}: an operand belongs to another builder", op.name()), want);
        }
        let ids: Vec<NodeId> = core::iter::once(self.id).chain(others.iter().map(|t| t.id)).collect();
        self.builder.push(op, &ids, want)
    }

    #[track_caller]
    fn broadcast_pair(self, other: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let (a, b) = (self.shape(), other.shape());
        match Shape::broadcast(&a, &b) {
            Some(shape) => (self.broadcast(&shape), other.broadcast(&shape)),
            None => {
                let poison = self.builder.fail(format!("shapes {a} and {b} do not broadcast"), a);
                (poison, poison)
            }
        }
    }

    #[track_caller]
    fn axis(self, axis: isize) -> Option<usize> {
        let rank = self.shape().rank();
        let index = if axis < 0 { axis + rank as isize } else { axis };
        let found = usize::try_from(index).ok().filter(|&i| i < rank);
        if found.is_none() {
            self.builder.fail(format!("axis {axis} is outside a tensor of rank {rank}"), self.shape());
        }
        found
    }

    #[track_caller]
    fn axes(self, axes: &[isize]) -> Axes {
        let mut set = Axes::default();
        for &axis in axes {
            if let Some(axis) = self.axis(axis) {
                set = set.with(axis);
            }
        }
        set
    }
}

impl<'g> Neg for Tensor<'g> {
    type Output = Tensor<'g>;

    #[track_caller]
    fn neg(self) -> Tensor<'g> {
        self.unary(Unary::Neg)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $variant:ident;)+) => {$(
        impl<'g> $trait for Tensor<'g> {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                self.binary(Binary::$variant, other)
            }
        }

        impl<'g> $trait<f32> for Tensor<'g> {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: f32) -> Tensor<'g> {
                self.binary(Binary::$variant, self.builder.fill(&self.shape(), other, self.dtype()))
            }
        }

        impl<'g> $trait<Tensor<'g>> for f32 {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                other.builder.fill(&other.shape(), self, other.dtype()).binary(Binary::$variant, other)
            }
        }
    )+};
}

operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}
