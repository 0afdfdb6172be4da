//! What each family of instructions gives, against expectations written from the PTX ISA.
//!
//! Where the ISA leaves a result open, nothing is expected.

mod async_copy;
mod atomic;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod control;
mod convert;
mod exact;
mod float;
mod half;
mod integer;
mod logic;
mod matrix;
mod memory;
mod table;
mod warp;
