#![deny(unsafe_code)]
//! Yuragi for C and whatever calls C: pictures from words, annealing, and graphs of one's own.
//!
//! What the functions promise and ask for stands in `include/yuragi.h`, which is made from their comments here
//! (`YURAGI_WRITE_HEADER=1 cargo test --release -p yuragi-capi --test header`). `cargo xtask capi` builds the library as
//! it is given away. The rules behind the functions:
//!
//! * A handle is a count of references: a call keeps what it works on alive, even if it is freed meanwhile.
//! * A call that meets another one on the same handle is refused with `YURAGI_BUSY`, so no call can wait for itself.
//! * Nothing unwinds into the caller: what panics is `YURAGI_INTERNAL`, and its handle is good for nothing but to be freed.
//!   In the profile `embedded`, in which the library is given away, a panic says its line to the log and ends the process:
//!   what it takes to unwind would be a tenth of the library.
//! * Rust's own way with memory that is refused is to end the process. What can be large is therefore asked for on trial
//!   first, and refused with `YURAGI_MEMORY`.

mod boundary;
mod failure;
