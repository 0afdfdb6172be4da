//! Where what a step reads and writes is.

use yuragi_graph::{
    Shape,
    lowering::{self, Operand},
};

use crate::launch::{Address, Home};

/// A place while buffers have numbers.
pub(super) const fn unplaced(home: lowering::Home) -> Home {
    match home {
        lowering::Home::Buffer(number) => Home::Arena(number),
        lowering::Home::Param(param) => Home::Param(param),
        lowering::Home::Literal(literal) => Home::Literal(literal),
    }
}

/// Where an operand begins.
pub(super) const fn address(operand: &Operand) -> Address {
    Address { home: unplaced(operand.home), offset: operand.offset * operand.dtype.size() }
}

pub(super) fn last(shape: &Shape) -> usize {
    shape.last().copied().unwrap_or(0)
}

pub(super) fn before_last(shape: &Shape) -> usize {
    shape[shape.rank() - 2]
}
