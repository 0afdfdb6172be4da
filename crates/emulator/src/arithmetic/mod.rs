//! Arithmetic of PTX on plain numbers.

mod bits;
pub(crate) mod exact;
mod float;
pub(crate) mod tensor_core;

pub(crate) use bits::{ones, signed};
pub(crate) use float::*;
