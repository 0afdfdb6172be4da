//! Graphs under construction.

use std::{cell::Cell, ffi::c_char, sync::Mutex};

use yuragi::{
    graph::{Builder, DType, Init, NodeId, Tensor},
    nn::{Scope, optim::Optimizer},
};

use super::pointer::{afford, free, give, guard, held, items, locked, text, value_or};
use crate::failure::{Answer, Failure, YURAGI_GRAPH, YURAGI_RANGE, failure, yuragi_status};

/// A graph under construction: a network, its loss, a step of its training. Functions that add to it return a
/// yuragi_tensor; the first mistake is kept, and told by yuragi_plan_new, so that what is in between needs no checks. A
/// call on one thread fails while another one works on it.
pub struct yuragi_graph {
    pub draft: Mutex<Draft>,
}

/// The number of a value in its graph; YURAGI_NO_TENSOR if there is none.
pub type yuragi_tensor = u32;

/// What a function returns that could not add to a graph.
pub const YURAGI_NO_TENSOR: yuragi_tensor = u32::MAX;

/// The most axes of a tensor.
pub const YURAGI_MAX_RANK: usize = 6;

/// The most inputs of a graph, and the most outputs.
pub const YURAGI_MAX_OPERANDS: usize = 16;

pub struct Draft {
    pub builder: Builder,
    pub outputs: Vec<(String, NodeId)>,
    /// What makes the hidden input of a training step.
    pub optimizer: Cell<Option<Optimizer>>,
    pub failure: Option<Failure>,
}

impl Draft {
    /// The tensor of a number.
    pub fn at(&self, tensor: yuragi_tensor) -> Answer<Tensor<'_>> {
        self.builder.at(tensor as usize).ok_or_else(|| match tensor {
            YURAGI_NO_TENSOR => failure(YURAGI_GRAPH, "an operand is YURAGI_NO_TENSOR: an earlier call has failed"),
            other => failure(YURAGI_GRAPH, format_args!("tensor {other} is not of this graph")),
        })
    }
}

/// Adds to a graph; a mistake is kept.
///
/// # Safety
/// A graph's handle.
pub unsafe fn extend(
    graph: *const yuragi_graph,
    add: impl for<'a> FnOnce(&'a Draft) -> Answer<Tensor<'a>>,
) -> yuragi_tensor {
    let added = value_or(|| {
        // SAFETY: passed on to the caller.
        let graph = unsafe { held("the graph", graph) }?;
        let mut draft = locked("the graph", &graph.draft)?;
        let added = add(&draft).map(|tensor| tensor.id().index() as yuragi_tensor);
        if let Err(failure) = &added {
            draft.failure.get_or_insert(failure.clone());
        }
        added
    });
    added.unwrap_or(YURAGI_NO_TENSOR)
}

/// # Safety
/// So many extents.
unsafe fn shape<'a>(extents: *const usize, rank: usize) -> Answer<&'a [usize]> {
    if rank > YURAGI_MAX_RANK {
        return Err(failure(
            YURAGI_RANGE,
            format_args!("a tensor of {rank} axes; at most {YURAGI_MAX_RANK} are legal"),
        ));
    }
    // SAFETY: passed on to the caller.
    unsafe { items("the shape", extents, rank) }
}

/// An empty graph.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_new(out: *mut *mut yuragi_graph) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        give(out, || {
            let draft =
                Draft { builder: Builder::new(), outputs: Vec::new(), optimizer: Cell::new(None), failure: None };
            Ok(yuragi_graph { draft: Mutex::new(draft) })
        })
    })
}

/// The type of an input's elements.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_dtype {
    /// float.
    YURAGI_F32 = 0,
    /// int32_t: classes and rows.
    YURAGI_I32 = 1,
}

/// An input of a run, of `rank` extents. Its name is its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_input(
    graph: *const yuragi_graph,
    name: *const c_char,
    extents: *const usize,
    rank: usize,
    dtype: i32,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            let dtype = match dtype {
                0 => DType::F32,
                1 => DType::I32,
                other => {
                    let message = format_args!("{other} is no type; legal are YURAGI_F32 and YURAGI_I32");
                    return Err(failure(YURAGI_RANGE, message));
                }
            };
            Ok(draft.builder.input(text("the input's name", name)?, shape(extents, rank)?, dtype))
        })
    }
}

/// How a parameter begins.
#[repr(C)]
#[allow(dead_code)] // callers give its numbers
pub enum yuragi_init {
    /// Every element is the value.
    YURAGI_CONSTANT = 0,
    /// Normal, with mean 0 and the value as deviation.
    YURAGI_NORMAL = 1,
    /// Uniform in plus or minus the value.
    YURAGI_UNIFORM = 2,
}

/// A named tensor of the store, such as weights.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_parameter(
    graph: *const yuragi_graph,
    name: *const c_char,
    extents: *const usize,
    rank: usize,
    init: i32,
    value: f32,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            if !value.is_finite() {
                return Err(failure(YURAGI_RANGE, format_args!("a parameter begins at {value}; it must be finite")));
            }
            let init = match init {
                0 => Init::Constant(value),
                1 => Init::Normal(value),
                2 => Init::Uniform(value),
                other => {
                    return Err(failure(YURAGI_RANGE, format_args!("{other} is no way to begin; legal is 0 to 2")));
                }
            };
            Ok(draft.builder.param(text("the parameter's name", name)?, shape(extents, rank)?, DType::F32, init))
        })
    }
}

/// A constant tensor, of `count` values in row-major order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_constant(
    graph: *const yuragi_graph,
    extents: *const usize,
    rank: usize,
    values: *const f32,
    count: usize,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            let values = items("the constant's values", values, count)?;
            afford("a constant", std::mem::size_of_val(values))?;
            Ok(draft.builder.literal(shape(extents, rank)?, values))
        })
    }
}

/// `x` [.., inputs] times the weights NAME.weight [inputs, `outputs`] plus NAME.bias [outputs], both uniform in plus or
/// minus 1/sqrt(inputs) in the beginning.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_linear(
    graph: *const yuragi_graph,
    name: *const c_char,
    x: yuragi_tensor,
    outputs: usize,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe {
        extend(graph, |draft| {
            let scope = Scope::new(&draft.builder).enter(text("the layer's name", name)?);
            Ok(yuragi::nn::linear(&scope, draft.at(x)?, outputs))
        })
    }
}

/// The same elements under another shape.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_reshape(
    graph: *const yuragi_graph,
    x: yuragi_tensor,
    extents: *const usize,
    rank: usize,
) -> yuragi_tensor {
    // SAFETY: the caller's word.
    unsafe { extend(graph, |draft| Ok(draft.at(x)?.reshape(shape(extents, rank)?))) }
}

/// Has a run give a tensor's values, as output number 0, 1, .. in the order of these calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_output(
    graph: *const yuragi_graph,
    name: *const c_char,
    tensor: yuragi_tensor,
) -> yuragi_status {
    // SAFETY: the caller's word.
    guard(|| unsafe {
        let graph = held("the graph", graph)?;
        let mut draft = locked("the graph", &graph.draft)?;
        let name = text("the output's name", name)?.to_owned();
        let id = draft.at(tensor)?.id();
        draft.outputs.push((name, id));
        Ok(())
    })
}

/// Frees it; plans that were made of it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn yuragi_graph_free(graph: *mut yuragi_graph) {
    // SAFETY: the caller's word.
    unsafe { free(graph) };
}
