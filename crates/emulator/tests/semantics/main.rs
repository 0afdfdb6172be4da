//! What each family of instructions gives, against expectations written from the PTX ISA.
//!
//! Where the ISA leaves a result open, nothing is expected.

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod convert;
mod exact;
mod float;
mod half;
mod integer;
mod logic;
mod table;
