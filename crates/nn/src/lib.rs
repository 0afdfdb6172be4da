#![no_std]
#![forbid(unsafe_code)]
//! Layers, losses and optimisers as functions that extend a graph.
//!
//! A layer takes a [`Scope`], which names its parameters, and tensors; it returns tensors. Nothing
//! is stored: the graph is the network.
//!
//! | module | holds |
//! |---|---|
//! | [`curvature`] | Hessian-vector products, the largest curvature, and steps that majorise |
//! | [`init`] | how weights begin |
//! | [`loss`] | what is minimised |
//! | [`optim`] | gradient steps, weight decay, clipping and averaged weights as updates of the graph |
//! | [`rate`] | learning rates over time |
//! | [`step`] | a training step of a batch in slices, which ranks may share: the same bits for any number of them |
//!
//! Layouts: pictures `[N, H, W, C]`, tokens `[B, L, D]`, linear weights `[in, out]`, convolution
//! kernels `[KH, KW, in, out]`.
//!
//! A network, its loss and one whole training step in one graph:
//!
//! ```
//! use yuragi_graph::{Builder, DType};
//! use yuragi_nn::{Scope, linear, loss, optim::{Group, Optimizer}};
//! let b = Builder::new();
//! let s = Scope::new(&b);
//! let x = b.input("x", &[8, 2], DType::F32);
//! let y = b.input("y", &[8, 1], DType::F32);
//! let hidden = linear(&s.enter("hidden"), x, 16).tanh();
//! let error = loss::mse(linear(&s.enter("out"), hidden, 1), y);
//! let hyper = Optimizer::input(&b);
//! let norm = Optimizer::default().minimize(error, hyper, |p| Some(Group::standard(p)));
//! let graph = b.finish(&[("loss", error), ("norm", norm)])?;
//! assert_eq!(graph.updates().len(), 4 * 3); // weights and their two moments
//! # Ok::<(), yuragi_graph::BuildError>(())
//! ```

extern crate alloc;

mod attention;
mod conv;
pub mod curvature;
mod embedding;
pub mod init;
mod linear;
pub mod loss;
mod norm;
pub mod optim;
pub mod rate;
mod resample;
mod scope;
pub mod step;

pub use attention::{attention, feed_forward};
pub use conv::{Conv2d, conv2d};
pub use embedding::{embedding, timestep_embedding};
pub use linear::{Linear, geglu, linear, mlp};
pub use norm::{group_norm, layer_norm, modulated_group_norm};
pub use resample::{depth_to_space, mean_pool, space_to_depth, upsample};
pub use scope::Scope;
