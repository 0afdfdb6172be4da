use alloc::vec::Vec;

use super::{Home, View};
use crate::{
    DType, Shape,
    op::{Axes, Binary, Reduce, Unary},
};

/// A value of a chain: the result of the instruction of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub usize);

/// Memory that a chain reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub home: Home,
    /// The type of its elements.
    pub dtype: DType,
}

/// One step of a chain, for every element.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// The same number everywhere; integers as their bits.
    Number(f32),
    /// The element of an input that a walk reaches, half precision made single.
    Load {
        /// Which of [`Chain::inputs`].
        input: usize,
        /// The walk, as long as the chain.
        view: View,
    },
    /// A function of one value.
    Unary(Unary, Value),
    /// A function of two values.
    Binary(Binary, Value, Value),
    /// The second value where the first is not 0, else the third.
    Select(Value, Value, Value),
    /// A value in another element type: rounded to nearest even; towards zero and saturated if to integers.
    Convert {
        /// The value's type.
        from: DType,
        /// The type it gets.
        into: DType,
        /// The value.
        x: Value,
    },
}

impl Instruction {
    /// The instruction with other values in place of those that it uses.
    pub(super) fn map(&self, f: impl Fn(Value) -> Value) -> Instruction {
        match *self {
            Instruction::Unary(op, x) => Instruction::Unary(op, f(x)),
            Instruction::Binary(op, a, b) => Instruction::Binary(op, f(a), f(b)),
            Instruction::Select(condition, a, b) => Instruction::Select(f(condition), f(a), f(b)),
            Instruction::Convert { from, into, x } => Instruction::Convert { from, into, x: f(x) },
            Instruction::Number(_) | Instruction::Load { .. } => self.clone(),
        }
    }

    /// The values that the instruction uses.
    pub fn operands(&self) -> impl Iterator<Item = Value> + use<> {
        let operands = match *self {
            Instruction::Number(_) | Instruction::Load { .. } => [None; 3],
            Instruction::Unary(_, x) | Instruction::Convert { x, .. } => [Some(x), None, None],
            Instruction::Binary(_, a, b) => [Some(a), Some(b), None],
            Instruction::Select(condition, a, b) => [Some(condition), Some(a), Some(b)],
        };
        operands.into_iter().flatten()
    }
}

/// A value written to memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// What is written.
    pub value: Value,
    /// To which of [`Chain::outputs`].
    pub output: usize,
    /// The walk through the output, as long as the chain.
    pub view: View,
}

/// A reduction at the end of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fold {
    /// What is folded.
    pub value: Value,
    /// How.
    pub op: Reduce,
    /// The extents over which the chain runs.
    pub shape: Shape,
    /// The axes that are folded.
    pub axes: Axes,
}

/// How a chain ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Values go to memory; stores of one chain never overlap.
    Stores(Vec<Store>),
    /// One value is reduced, and the results fill the only output.
    Fold(Fold),
}

/// Elementwise operations over one number of elements: a loop in which only what it begins and ends with touches memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// What it computes, for profiles.
    pub name: &'static str,
    /// The number of elements of every value.
    pub count: usize,
    /// The memory that is read.
    pub inputs: Vec<Source>,
    /// The memory that is written.
    pub outputs: Vec<Source>,
    /// What is computed, operands first.
    pub code: Vec<Instruction>,
    /// What becomes of it.
    pub end: End,
}

impl Chain {
    /// Whether an element of this input is read other than the one at the chain's own place.
    pub fn walks(&self, input: usize) -> bool {
        self.code.iter().any(|instruction| match instruction {
            Instruction::Load { input: i, view } => {
                *i == input && !(view.is_contiguous() && view.offset == 0 && view.count() == self.count)
            }
            _ => false,
        })
    }
}
