//! From instructions as written to instructions as executed. What is not understood is an error that
//! names it with its line.

mod compare;
mod control;
mod convert;
mod decoder;
mod float;
mod function;
mod hopper;
mod index;
mod integer;
mod kernel;
mod link;
mod map;
mod memory;
mod operand;
mod place;
mod shared;
mod texture;
mod wmma;
mod words;

pub(crate) use index::Index;
pub(crate) use kernel::decode;
pub(crate) use link::{Linked, link};
use words::{Found, Operands};
