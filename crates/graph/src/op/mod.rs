//! The closed set of operations, in families. A family's table gives each operation's name,
//! meaning and gradient; nothing else in the graph knows them.

mod binary;
mod conv;
mod fused;
pub(crate) mod gather;
mod infer;
mod matmul;
mod movement;
mod random;
mod reduce;
mod unary;
pub(crate) mod winograd;

pub use binary::Binary;
pub use conv::{Conv, Window};
pub use fused::{Factor, Fused, group_norm_run};
pub(crate) use infer::infer;
pub use matmul::MatMul;
pub use movement::Movement;
pub use random::Distribution;
pub use reduce::Reduce;
pub use unary::Unary;

/// An operation. Its operands and the result's shape and element type stand in the [`Node`](crate::Node).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A run-time input, by its place in [`Graph::inputs`](crate::Graph::inputs).
    Input(u32),
    /// A parameter, by its place in [`Graph::params`](crate::Graph::params).
    Param(u32),
    /// A constant tensor, by its place in [`Graph::literals`](crate::Graph::literals).
    Literal(u32),
    /// The same number everywhere.
    Fill(Scalar),
    /// Elementwise function of one operand.
    Unary(Unary),
    /// Elementwise function of two operands of one shape.
    Binary(Binary),
    /// `(condition, a, b)`: `a` where the condition is not 0, else `b`.
    Select,
    /// The value in another element type, rounded to nearest even; towards zero and saturating if to integers.
    Cast,
    /// Folds axes to extent 1.
    Reduce(Reduce, Axes),
    /// Moves elements without changing them.
    Move(Movement),
    /// Product of (batches of) matrices.
    MatMul(MatMul),
    /// Two-dimensional convolution or one of its two adjoints.
    Conv(Conv),
    /// `(table [rows, ..], indices)`: rows of a table, in the indices' shape.
    Gather,
    /// `(indices, values)`: the sum of the values that go to each of this many rows.
    ScatterAdd(usize),
    /// `(key [2])`: random numbers, a pure function of the key, this stream and the element's place.
    Random(Distribution, u32),
    /// An operation defined by its expansion into those above.
    Fused(Fused),
}

impl Op {
    /// The operation's name in listings and error messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Param(_) => "param",
            Op::Literal(_) => "literal",
            Op::Fill(_) => "fill",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Select => "select",
            Op::Cast => "cast",
            Op::Reduce(op, _) => op.name(),
            Op::Move(op) => op.name(),
            Op::MatMul(_) => "matmul",
            Op::Conv(op) => op.name(),
            Op::Gather => "gather",
            Op::ScatterAdd(_) => "scatter_add",
            Op::Random(op, _) => op.name(),
            Op::Fused(op) => op.name(),
        }
    }
}

/// A finite or infinite number compared by its bits, so that operations can be compared and sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scalar(u32);

impl Scalar {
    /// The number.
    pub fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl From<f32> for Scalar {
    fn from(value: f32) -> Scalar {
        Scalar(value.to_bits())
    }
}

/// A set of axes, each below 8: a larger one belongs to no set of legal axes and is kept as 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Axes(u8);

impl Axes {
    /// The set with one more axis.
    #[must_use]
    pub fn with(self, axis: usize) -> Axes {
        Axes(self.0 | 1 << axis.min(7))
    }

    /// Whether the axis belongs to the set.
    pub fn contains(self, axis: usize) -> bool {
        axis < 8 && self.0 >> axis & 1 == 1
    }
}

impl FromIterator<usize> for Axes {
    fn from_iter<I: IntoIterator<Item = usize>>(axes: I) -> Axes {
        axes.into_iter().fold(Axes::default(), Axes::with)
    }
}
