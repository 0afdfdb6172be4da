//! Layer norms that the kernel of the product before them computes.

use yuragi_graph::{
    CompileError, DType, Graph, Op,
    lowering::{End, Home, Instruction, Kernel, Schedule, Source, Step},
    op::Fused,
};

use super::{
    operand::{address, last, unplaced},
    product::{Output, Target, gemm},
};
use crate::{
    batch::Group,
    kernels::gemm_norm::GemmNorm,
    launch::{Address, Launches},
};

/// Puts layer norms into the groups of the products whose rows they are of, where a kernel computes both.
pub(super) fn joined(graph: &Graph, target: Target<'_>, schedule: &Schedule, mut order: Vec<Group>) -> Vec<Group> {
    let kernel = |step: usize| match &schedule.steps[step] {
        Step::Kernel(kernel) => Some(kernel),
        Step::Chain(_) | Step::Decode { .. } => None,
    };
    let is_prepared = |home: Home| match home {
        Home::Buffer(buffer) => schedule.buffers[buffer].first < schedule.prepared,
        Home::Param(_) | Home::Literal(_) => true,
    };
    for at in 1..order.len() {
        let [step] = order[at][..] else { continue };
        let Some(norm) = kernel(step).filter(|norm| is_norm(graph, norm)) else { continue };
        if !norm.operands[1..].iter().all(|operand| is_prepared(operand.home)) {
            continue;
        }
        let product = order[..at].iter().position(|group| match group[..] {
            [of] => of >= schedule.prepared && kernel(of).is_some_and(|of| follows(graph, target, of, norm)),
            _ => false,
        });
        if let Some(product) = product {
            order[product].push(step);
            order[at].clear();
        }
    }
    order.retain(|group| !group.is_empty());
    order
}

fn is_norm(graph: &Graph, kernel: &Kernel) -> bool {
    matches!(graph.node(kernel.node).op, Op::Fused(Fused::LayerNorm { .. }))
}

/// Whether a layer norm is of the rows that a product's kernel stores, and that kernel can compute it.
fn follows(graph: &Graph, target: Target<'_>, product: &Kernel, norm: &Kernel) -> bool {
    let Op::MatMul(_) = graph.node(product.node).op else { return false };
    let Some(epilogue) = &product.epilogue else { return false };
    let End::Stores(stores) = &epilogue.chain.end else { return false };
    let (x, count) = (norm.operands[0], epilogue.chain.count);
    let rows = Source { home: x.home, dtype: x.dtype };
    let stored = stores.iter().any(|store| {
        epilogue.chain.outputs[store.output] == rows && store.view.is_contiguous() && store.view.offset == x.offset
    });
    let [of, by] = [norm.node, product.node].map(|node| graph.node(node).shape);
    if !stored || [of.count(), by.count()] != [count; 2] || last(&of) != last(&by) {
        return false;
    }
    let output = Output { at: Address::start(unplaced(product.output)), bias: None, dtype: DType::F32 };
    let both = both(graph, target, (product, norm), &output);
    both.is_some_and(|both| both.launches(target.machine).is_ok_and(|launches| launches.is_some()))
}

/// What becomes of a layer norm's result, if it is nothing but rounded to this type.
fn is_rounded(graph: &Graph, norm: &Kernel, dtype: DType) -> bool {
    let Some(epilogue) = &norm.epilogue else { return false };
    let chain = &epilogue.chain;
    let rounds = match chain.code[..] {
        [Instruction::Load { input, .. }, Instruction::Convert { from: DType::F32, into, .. }] => {
            input == epilogue.product && into == dtype
        }
        _ => false,
    };
    rounds && chain.outputs[0].dtype == dtype && epilogue.is_simple(graph.node(norm.node).shape.count())
}

/// A product and the norm of its rows as one.
fn both(graph: &Graph, target: Target<'_>, (product, norm): (&Kernel, &Kernel), output: &Output) -> Option<GemmNorm> {
    let (node, of) = (graph.node(product.node), graph.node(norm.node));
    let (Op::MatMul(op), Op::Fused(Fused::LayerNorm { eps })) = (node.op, of.op) else { return None };
    let single = norm.operands.iter().all(|operand| operand.dtype == DType::F32) && of.dtype == DType::F32;
    if !single || !is_rounded(graph, norm, node.dtype) {
        return None;
    }
    let gemm = gemm(graph, target, product, op, output)?;
    let [x, gain, shift] = [0, 1, 2].map(|place| address(&norm.operands[place]));
    Some(GemmNorm { gemm, eps: eps.get(), x, gain, shift, z: Address::start(unplaced(norm.output)) })
}

/// The launch of both.
pub(super) fn launches(
    graph: &Graph,
    target: Target<'_>,
    (product, norm): (&Kernel, &Kernel),
    output: Output,
) -> Result<Launches, CompileError> {
    let launches = both(graph, target, (product, norm), &output).and_then(|both| both.launches(target.machine).ok()?);
    launches.ok_or(CompileError::Unsupported(product.node, "a product with a layer norm"))
}
