#![deny(unsafe_code)]
//! The conformance suite: what a backend must do, and the proof that it does.
//!
//! A backend is proven in ten lines:
//!
//! ```
//! use yuragi_graph::DType;
//! use yuragi_reference::Reference;
//! use yuragi_tests::suite::Suite;
//!
//! let backend = Reference::single();
//! let report = Suite::new().filter("softmax").run(&backend);
//! println!("{report}");
//! assert!(report.passed());
//! ```
//!
//! Every case is a small graph with inputs drawn from a seed. Its outputs are compared with the f64
//! truth; the tolerance is not chosen but derived, by the running error analysis of
//! [`yuragi_reference::Bounded`].

pub mod allocator;
pub mod cases;
pub mod contract;
#[cfg(all(feature = "cuda", target_os = "linux"))]
pub mod emulated;
pub mod faulty;
pub mod gradcheck;
pub mod report;
pub mod suite;
pub mod team;
pub mod tolerance;
