use alloc::{boxed::Box, string::String};
use core::{error::Error, fmt, panic::Location};

use crate::{DType, NodeId, Shape};

/// Why a graph could not be built: the first mistake, and the line of the caller that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// What is wrong, where and what would be legal.
    pub message: String,
    /// The caller's source line.
    pub location: &'static Location<'static>,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {})", self.message, self.location)
    }
}

impl Error for BuildError {}

/// Why a backend could not compile a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// The backend has no kernel for this node (its operation's name is given).
    Unsupported(NodeId, &'static str),
    /// The plan would need more memory than can be addressed.
    TooLarge,
    /// The device refused the plan's code; its own words.
    Device(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Unsupported(node, name) => {
                write!(f, "no kernel for operation `{name}` (node {node})")
            }
            CompileError::TooLarge => f.write_str("the plan needs more memory than can be addressed"),
            CompileError::Device(words) => f.write_str(words),
        }
    }
}

impl Error for CompileError {}

/// Why a plan could not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The store lacks a parameter that the graph names.
    MissingParam(String),
    /// A parameter of the store has another shape or element type than the graph declares.
    ParamMismatch {
        /// The parameter's name.
        name: String,
        /// Declared by the graph.
        want: Box<(Shape, DType)>,
        /// Found in the store.
        have: Box<(Shape, DType)>,
    },
    /// The plan updates this parameter, but the store only borrows it.
    Borrowed(String),
    /// The store holds this parameter as the backend does not read it, in [codes](crate::Codes) or at an odd address:
    /// [`upload`](crate::Backend::upload) it.
    NotUploaded(String),
    /// Another number of inputs or outputs than the graph has.
    Count {
        /// `"inputs"` or `"outputs"`.
        what: &'static str,
        /// Declared by the graph.
        want: usize,
        /// Passed to the run.
        have: usize,
    },
    /// An input or output of another length or element type than the graph declares.
    Operand {
        /// The input's or output's name.
        name: String,
        /// Declared by the graph.
        want: (usize, DType),
        /// Passed to the run.
        have: (usize, DType),
    },
    /// An index that a gather or scatter met lies outside its table.
    Index {
        /// The offending value.
        index: i64,
        /// The number of rows.
        rows: usize,
    },
    /// A plan with updates was run on a shared store; call `update` with an exclusive one.
    Updates,
    /// Outputs were asked for before the run had ended.
    Unfinished,
    /// The device failed or has not enough memory; its own words.
    Device(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::MissingParam(name) => write!(f, "parameter `{name}` is missing"),
            RunError::ParamMismatch { name, want, have } => {
                write!(f, "parameter `{name}` is {} {}, the graph declares {} {}", have.1, have.0, want.1, want.0)
            }
            RunError::Borrowed(name) => write!(f, "parameter `{name}` is borrowed and cannot be updated"),
            RunError::NotUploaded(name) => {
                write!(f, "parameter `{name}` is not as the backend reads it: upload the parameters first")
            }
            RunError::Count { what, want, have } => write!(f, "{have} {what} were given, the graph has {want}"),
            RunError::Operand { name, want, have } => {
                write!(f, "`{name}` has {} elements of {}, the graph declares {} of {}", have.0, have.1, want.0, want.1)
            }
            RunError::Index { index, rows } => write!(f, "index {index} is outside 0..{rows}"),
            RunError::Updates => f.write_str("the plan updates parameters: run it through `update`"),
            RunError::Device(words) => f.write_str(words),
            RunError::Unfinished => f.write_str("the run has not ended: advance it before reading outputs"),
        }
    }
}

impl Error for RunError {}

/// Why ranks could not go on together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    reason: String,
}

impl Lost {
    /// For a reason, in words.
    pub fn new(reason: impl Into<String>) -> Self {
        Lost { reason: reason.into() }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for Lost {}
