//! Matrix products as kernels take them, and what decides how products are computed.

use yuragi_graph::{DType, Graph, lowering::Kernel, op::MatMul};

use super::operand::{address, before_last, last};
use crate::{
    kernels::{
        gemm::{Gemm, Matrices},
        picks::Picks,
        product::{Factors, Machine},
    },
    launch::Address,
};

/// What a lowering must know of the device and of its caller's wishes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The device.
    pub machine: Machine,
    /// What was measured on it.
    pub picks: &'a Picks,
    /// Whether factors of single precision may be rounded for tensor cores.
    pub tf32: bool,
    /// Whether what parameters alone decide is kept from run to run.
    pub prepares: bool,
}

impl Target<'_> {
    /// Exact single precision, nothing measured, and everything kept that saves time.
    pub const fn new(machine: Machine) -> Target<'static> {
        Target { machine, picks: Picks::NONE, tf32: false, prepares: true }
    }
}

/// Where a product goes.
pub(super) struct Output {
    pub at: Address,
    /// A row that is added.
    pub bias: Option<Address>,
    /// The type in which it is stored.
    pub dtype: DType,
}

/// A matrix product; `None` if its type cannot be multiplied.
pub(super) fn gemm(graph: &Graph, target: Target<'_>, step: &Kernel, op: MatMul, output: &Output) -> Option<Gemm> {
    let node = graph.node(step.node);
    let shape = |place: usize| graph.node(node.inputs[place]).shape;
    let (m, n, k) = op.extents(&shape(0), &shape(1))?;
    let matrices = |place: usize| {
        Matrices::contiguous(address(&step.operands[place]), before_last(&shape(place)), last(&shape(place)))
    };
    Some(Gemm {
        batch: node.shape[..node.shape.rank() - 2].iter().product(),
        m,
        n,
        k,
        op,
        a: matrices(0),
        b: matrices(1),
        c: Matrices::contiguous(output.at, m, n),
        bias: output.bias,
        factors: factors(target, node.dtype)?,
        result: output.dtype,
    })
}

/// How factors of a type are multiplied, if they can be.
pub(super) fn factors(target: Target<'_>, dtype: DType) -> Option<Factors> {
    match Factors::exact(dtype) {
        Some(Factors::F32) if target.tf32 => Some(Factors::Tf32),
        factors => factors,
    }
}
