//! The machine: blocks of warps of 32 lanes that execute a program in lockstep as far as they can.

mod access;
mod async_copy;
mod barrier;
mod block;
mod collective;
pub(crate) mod engine;
pub(crate) mod exact;
pub(crate) mod float;
mod flow;
pub(crate) mod hopper;
mod matrix;
pub(crate) mod program;
mod step;
mod traffic;
mod warp;
pub(crate) mod wgmma;
