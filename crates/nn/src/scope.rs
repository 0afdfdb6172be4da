use alloc::{format, string::String};
use core::fmt::Display;

use yuragi_graph::{Builder, DType, Init, Tensor};

/// A place in a network: the graph under construction, and the dotted path that begins the names
/// of all parameters declared here.
///
/// ```
/// use yuragi_graph::{Builder, Init};
/// let b = yuragi_graph::Builder::new();
/// let mid = yuragi_nn::Scope::new(&b).enter("unet").enter("mid");
/// mid.param("gain", &[8], Init::Constant(1.0));
/// assert_eq!(b.params()[0].name, "unet.mid.gain");
/// ```
#[derive(Clone)]
pub struct Scope<'g> {
    builder: &'g Builder,
    path: String,
}

impl<'g> Scope<'g> {
    /// The root, where names have no prefix.
    pub fn new(builder: &'g Builder) -> Scope<'g> {
        Scope { builder, path: String::new() }
    }

    /// The graph under construction.
    pub fn builder(&self) -> &'g Builder {
        self.builder
    }

    /// A place inside this one.
    #[must_use]
    pub fn enter(&self, name: impl Display) -> Scope<'g> {
        Scope { builder: self.builder, path: format!("{}{name}.", self.path) }
    }

    /// A parameter of this place that was declared already.
    pub fn find(&self, name: &str) -> Option<Tensor<'g>> {
        self.builder.find_param(&format!("{}{name}", self.path))
    }

    /// A parameter of this place, in single precision.
    #[track_caller]
    pub fn param(&self, name: &str, shape: &[usize], init: Init) -> Tensor<'g> {
        self.builder.param(&format!("{}{name}", self.path), shape, DType::F32, init)
    }
}
