#![no_std]
#![forbid(unsafe_code)]
//! The f64 truth that every backend is compared with: each operation in its formula's words, with
//! no regard to speed.
//!
//! One evaluator, three kinds of [`Number`]:
//!
//! | number | what a graph evaluated with it gives |
//! |---|---|
//! | `f64` | the truth: nothing is rounded inside, whatever the nodes' element types |
//! | [`Single`] | what a plain, correct backend gives: every operation rounded to `F32`, sums in index order |
//! | [`Bounded`] | the truth, and how far from it any correct backend may lie (running error analysis) |
//!
//! ```
//! use yuragi_graph::{Builder, DType};
//! use yuragi_reference::Program;
//! let b = Builder::new();
//! let x = b.input("x", &[3], DType::F32);
//! let graph = b.finish(&[("y", x.softmax())]).unwrap();
//! let y = &Program::new(&graph).run::<f64>(&[vec![0.0; 3]], &[]).unwrap().outputs[0];
//! assert_eq!(y, &[1.0 / 3.0; 3]);
//! ```

extern crate alloc;

mod backend;
mod bounded;
mod conv;
mod elementwise;
mod gather;
mod matmul;
mod movement;
mod number;
mod program;
mod random;
mod reduce;

pub use backend::{Evaluation, Reference, State, bounds, widened};
pub use bounded::Bounded;
pub use number::{Number, Single};
pub use program::{Program, Values};
