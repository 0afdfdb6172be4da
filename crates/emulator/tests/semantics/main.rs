//! What each family of instructions gives, against expectations written from the PTX ISA.
//!
//! Where the ISA leaves a result open, nothing is expected, or what an H100 gives.
//!
//! With `YURAGI_TEST_ON_GPU` set, all this is asked of the machine's own driver; what needs the emulator (findings,
//! counters, other properties of the device) is skipped then, and says so. The program needs nothing beside it.

mod async_copy;
mod atomic;
mod clusters;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod control;
mod convert;
mod exact;
mod float;
mod half;
mod hopper;
mod integer;
mod logic;
mod matrix;
mod memory;
mod table;
mod tensor_cores;
mod texts;
mod textures;
mod warp;
mod wmma;
