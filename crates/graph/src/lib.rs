#![no_std]
#![forbid(unsafe_code)]
//! The static computation graph: what a network *is*, independent of what runs it.
//!
//! A [`Builder`] records operations of one closed set, [`Op`]; shapes and element types are
//! inferred and checked as each is pushed. [`Tensor::grad`](Builder::grad) extends the graph by its own
//! derivative. [`Builder::finish`] yields an immutable [`Graph`], which any [`Backend`] compiles
//! into a [`Plan`] whose memory is known before it runs.
//!
//! ```
//! use yuragi_graph::{Builder, DType};
//! let b = Builder::new();
//! let x = b.input("x", &[2, 3], DType::F32);
//! let loss = (x * x).sum(&[0, 1]).reshape(&[]);
//! let dx = b.grad(loss, &[x])[0];
//! let graph = b.finish(&[("loss", loss), ("dx", dx)]).unwrap();
//! assert_eq!(graph.outputs().len(), 2);
//! ```

extern crate alloc;

mod backend;
mod builder;
mod check;
mod collective;
mod cut;
mod dtype;
mod error;
mod expand;
mod grad;
mod graph;
mod join;
pub mod lowering;
pub mod memory;
pub mod op;
mod pair;
mod params;
mod precision;
mod recompute;
mod reduction;
mod shape;
mod shard;
mod simplify;
mod swap;
mod tensor;
mod transposed;
mod verify;

pub use backend::{Backend, Memory, Plan, Progress, Slice, SliceMut, View, ViewMut};
pub use builder::Builder;
pub use collective::{Alone, Collective, Counted};
pub use cut::{Cut, GRADIENT, Half};
pub use dtype::DType;
pub use error::{BuildError, CompileError, Lost, RunError};
pub use graph::{Graph, Init, InputSpec, Node, NodeId, Output, ParamSpec, Update};
pub use op::Op;
pub use params::{Bytes, Codes, HostTensor, Params, Storage};
pub use precision::{Precision, UnknownPrecision};
pub use reduction::{Reach, Reduction, all_gather, all_reduce, even_shares, least};
pub use shape::{MAX_RANK, Shape};
pub use shard::{Given, Shard};
pub use swap::{Flight, Landed, Number, Rooms, Run, Swap};
pub use tensor::Tensor;
