//! What every backend needs to know about a graph before it knows its machine: which values live only inside a loop,
//! which are walks through somebody else's buffer, what a product's kernel adds at its end, and when each buffer is
//! alive.
//!
//! [`Schedule::new`] turns a graph into [`Step`]s over numbered [`Buffer`]s. A backend makes launches of the steps and
//! places the buffers ([`memory::place`](crate::memory::place)); the rest of the machine is its own.

mod chain;
mod coder;
mod epilogue;
mod fusion;
mod in_place;
mod once;
mod schedule;
mod view;

pub use chain::{Chain, End, Fold, Instruction, Source, Store, Value};
pub use epilogue::{Epilogue, of_pair};
pub use schedule::{Buffer, Home, Kernel, Operand, Schedule, Step};
pub use view::{Matrices, View};

/// How a backend holds numbers of half precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    /// As single-precision numbers: a cast to `F32` changes nothing, and parameters are decoded first.
    Widened,
    /// In their own 16 bits: loops widen what they read, kernels say what they take.
    Packed,
}

/// What a backend's kernels can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// How numbers of half precision are held.
    pub halves: Halves,
    /// Whether attention reads and writes matrices that do not lie one after the other ([`Matrices`]).
    pub matrices: bool,
    /// Whether the kernels of products and norms run loops over their results ([`Epilogue`]).
    pub epilogues: bool,
    /// Whether loops write where they read ([`Schedule::buffers`] of both are one).
    pub in_place: bool,
    /// Whether matrix products and convolutions read a parameter as it lies, whatever floating type it has and also
    /// where a kernel's filters come first ([`Operand::filters_first`]).
    pub weights: bool,
    /// Whether what parameters alone decide is kept from run to run ([`Schedule::prepared`]).
    pub prepares: bool,
}
