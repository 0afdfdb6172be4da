//! The machine: blocks of warps of 32 lanes that execute a program in lockstep as far as they can.

mod access;
mod async_copy;
mod barrier;
mod block;
mod cluster;
mod collective;
mod dependency;
mod elements;
mod engine;
mod flow;
mod fragments;
mod heap;
mod hopper;
mod in_order;
mod lanes;
mod layout;
mod matrix;
mod meeting;
mod phase;
mod print;
mod printf;
mod schedule;
mod span;
mod step;
mod tensor;
mod texture;
mod together;
mod traffic;
mod turns;
mod warp;
mod wgmma;
mod wmma;

pub(crate) use engine::{Engine, LaunchKind, Order};
pub use print::MOST_PRINTED;
