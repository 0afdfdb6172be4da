#![no_std]
#![deny(unsafe_code)]
//! The fast backend: graphs compiled into launches over one arena, on the processor's vector units
//! and, with feature `std`, its threads.
//!
//! ```
//! use yuragi_cpu::Cpu;
//! use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
//!
//! let b = Builder::new();
//! let x = b.input("x", &[3], DType::F32);
//! let graph = b.finish(&[("y", (x * 2.0).silu())]).unwrap();
//!
//! let cpu = Cpu::new();
//! let plan = cpu.compile(&graph).unwrap();
//! let store = cpu.upload(Params::new()).unwrap();
//! let mut state = plan.state(&store).unwrap();
//! let mut y = [0.0; 3];
//! plan.run(&mut state, &store, &[Slice::F32(&[0.0, 1.0, -1.0])], &mut [SliceMut::F32(&mut y)]).unwrap();
//! assert!((y[1] - 1.7615942).abs() < 1e-6);
//! ```
//!
//! A result never depends on the number of threads, nor on whose they are ([`Cpu::on`] takes the caller's). A plan allocates when it is compiled and when
//! its state is made, never when it runs.

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod backend;
mod kernels;
mod lower;
mod plan;
mod simd;
mod threads;

pub use backend::Cpu;
pub use plan::{CpuPlan, CpuState, Residency};
pub use threads::Executor;
