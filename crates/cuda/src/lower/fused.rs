//! The kernels of fused operations, and which there are.

use yuragi_graph::{
    CompileError, DType, Graph, Node, Shape,
    lowering::{Kernel, Matrices},
    op::Fused,
};

use super::operand::{address, before_last, last};
use crate::{
    kernels::{
        attention::{self, Attention, Mask},
        attention_grad,
        group_norm::GroupNorm,
        group_norm_grad::{self, GroupMoments, GroupNormGrad, GroupNormSums},
        operand::KernelError,
        picture::Picture,
        product::Machine,
        row::{LayerNorm, LayerNormGrad, LayerNormSums, Softmax},
    },
    launch::{Address, Launches},
};

/// Columns of keys and values that the attention kernels take.
const DEEPEST: usize = 256;

/// Whether there are kernels for a fused operation whose operands have these shapes.
pub fn claims(op: &Fused, node: &Node, operands: &[Shape]) -> bool {
    let full = |shape: &Shape| shape.count() > 0;
    // What is of single precision whatever the factors are says nothing about them; their widest kernels take less.
    let factors = if node.dtype == DType::F32 { DType::F32 } else { DType::F16 };
    match *op {
        Fused::Softmax | Fused::LayerNorm { .. } | Fused::LayerNormGrad { .. } | Fused::GroupNorm { .. } => true,
        Fused::LayerNormSums { .. } => full(&operands[1]),
        Fused::GroupMoments { .. } => full(&operands[0]),
        // The type of x is unknown where the result is single: a block has fewest channels of that type.
        Fused::GroupNormSums { groups } => {
            full(&operands[1]) && group_norm_grad::fits(&picture(&operands[1], groups, DType::F32))
        }
        Fused::GroupNormGrad { groups } => group_norm_grad::fits(&picture(&operands[1], groups, node.dtype)),
        Fused::Attention { .. } => {
            let (depth, keys, values) = (last(&operands[0]), before_last(&operands[1]), last(&operands[2]));
            let fits = values <= DEEPEST && (depth <= DEEPEST || node.dtype == DType::F32);
            depth > 0 && keys > 0 && fits && is_masked(&operands[0], operands.get(3))
        }
        Fused::Winograd(_) | Fused::GroupRunMoments { .. } | Fused::GroupNormPart { .. } => false,
        Fused::AttentionLogSum { .. } => {
            let (depth, keys) = (last(&operands[0]), before_last(&operands[1]));
            (1..=DEEPEST).contains(&depth) && keys > 0 && is_masked(&operands[0], operands.get(2))
        }
        Fused::AttentionGrad { .. } => {
            let (depth, keys, values) = (last(&operands[1]), before_last(&operands[2]), last(&operands[3]));
            let fits = attention_grad::fits(factors, depth, values);
            depth > 0 && keys > 0 && fits && is_masked(&operands[1], operands.get(6))
        }
    }
}

/// A claimed attention, whose result goes to y.
pub(super) fn attention(graph: &Graph, step: &Kernel, op: Fused, y: Address) -> Result<Attention, CompileError> {
    let node = graph.node(step.node);
    let dtype = graph.node(node.inputs[0]).dtype;
    let shape = |place: usize| graph.node(node.inputs[place]).shape;
    let matrix = |place: usize| matrices(address(&step.operands[place]), &shape(place), step.operands[place].matrices);
    let [q, k] = [0, 1].map(shape);
    let attend = |scale: f32, values: Option<Values>, mask: usize, log_sum: Option<Address>| {
        let mask = self::mask(graph, step, [0, mask])?;
        Ok(attend([&q, &k], scale, dtype, [matrix(0), matrix(1)], values, mask, log_sum))
    };
    match op {
        Fused::Attention { scale } => {
            let merged = matrices(y, &node.shape, step.matrices);
            let values = Values { v: matrix(2), depth: last(&shape(2)), y: merged };
            attend(scale.get(), Some(values), 3, None)
        }
        Fused::AttentionLogSum { scale } => attend(scale.get(), None, 2, Some(y)),
        _ => Err(CompileError::Unsupported(step.node, op.name())),
    }
}

/// The mask of an attention, if it has one: the places of Q and of the mask among its operands.
pub(super) fn mask(graph: &Graph, step: &Kernel, [q, mask]: [usize; 2]) -> Result<Option<Mask>, CompileError> {
    let Some(operand) = step.operands.get(mask) else { return Ok(None) };
    let [q, mask] = [q, mask].map(|place| graph.node(graph.node(step.node).inputs[place]).shape);
    let unsupported = || CompileError::Unsupported(step.node, graph.node(step.node).op.name());
    let [outer, inner, query, key] = masks(&q, &mask).ok_or_else(unsupported)?;
    Ok(Some(Mask { at: address(operand), outer, inner, query, key }))
}

/// The launches of a claimed operation that has one kernel, whose result goes to y as this type.
pub(super) fn launches(
    graph: &Graph,
    machine: Machine,
    step: &Kernel,
    op: Fused,
    (y, result): (Address, DType),
) -> Result<Result<Launches, KernelError>, CompileError> {
    let node = graph.node(step.node);
    let unsupported = || CompileError::Unsupported(step.node, op.name());
    let shape = |place: usize| graph.node(node.inputs[place]).shape;
    let at = |place: usize| address(&step.operands[place]);
    // The type that varies, if any does.
    let dtype = graph.node(node.inputs[0]).dtype;
    let rows = |shape: &Shape| shape[..shape.rank() - 1].iter().product::<usize>();
    let width = |shape: &Shape| last(shape);
    Ok(match op {
        Fused::Softmax => Softmax { rows: rows(&node.shape), width: width(&node.shape), dtype, x: at(0), y }.launches(),
        Fused::LayerNorm { eps } => {
            let (rows, width, eps) = (rows(&node.shape), width(&node.shape), eps.get());
            LayerNorm { rows, width, eps, dtype, result, x: at(0), gain: at(1), bias: at(2), y }.launches()
        }
        Fused::LayerNormSums { eps } => {
            let (rows, width, eps) = (rows(&shape(1)), width(&shape(1)), eps.get());
            LayerNormSums { rows, width, eps, dtype, g: at(0), x: at(1), y }.launches()
        }
        Fused::LayerNormGrad { eps } => {
            let (rows, width, eps) = (rows(&node.shape), width(&node.shape), eps.get());
            LayerNormGrad { rows, width, eps, dtype, g: at(0), x: at(1), gain: at(2), y }.launches()
        }
        Fused::GroupNorm { groups, eps } => {
            let Picture { samples, pixels, channels, .. } = picture(&node.shape, groups, dtype);
            let (eps, silu) = (eps.get(), step.silu);
            let (x, gain, bias) = (at(0), at(1), at(2));
            GroupNorm { samples, pixels, channels, groups, eps, silu, dtype, result, x, gain, bias, y }
                .launches(machine)
        }
        Fused::GroupMoments { groups, eps } => {
            GroupMoments { picture: picture(&shape(0), groups, dtype), eps: eps.get(), x: at(0), y }.launches()
        }
        Fused::GroupNormSums { groups } => {
            let picture = picture(&shape(1), groups, dtype);
            GroupNormSums { picture, g: at(0), x: at(1), moments: at(2), y }.launches()
        }
        Fused::GroupNormGrad { groups } => {
            let picture = picture(&shape(1), groups, dtype);
            let (g, x, gain, moments, sums) = (at(0), at(1), at(2), at(3), at(4));
            GroupNormGrad { picture, g, x, gain, moments, sums, y }.launches()
        }
        Fused::Attention { .. }
        | Fused::AttentionLogSum { .. }
        | Fused::AttentionGrad { .. }
        | Fused::Winograd(_)
        | Fused::GroupRunMoments { .. }
        | Fused::GroupNormPart { .. } => {
            return Err(unsupported());
        }
    })
}

/// What attention makes of its weights.
struct Values {
    v: attention::Operand,
    /// Columns of v.
    depth: usize,
    y: attention::Operand,
}

/// Attention, of which the values or the logarithms of the sums may not be wanted.
fn attend(
    [q, k]: [&Shape; 2],
    scale: f32,
    dtype: DType,
    factors: [attention::Operand; 2],
    values: Option<Values>,
    mask: Option<Mask>,
    log_sum: Option<Address>,
) -> Attention {
    let (heads, outer) = heads(q);
    Attention {
        batch: outer * heads,
        heads: heads.max(1),
        queries: before_last(q),
        keys: before_last(k),
        depth: last(q),
        value_depth: values.as_ref().map_or(0, |values| values.depth),
        scale,
        dtype,
        q: factors[0],
        k: factors[1],
        v: values.as_ref().map(|values| values.v),
        mask,
        y: values.map(|values| values.y),
        log_sum,
    }
}

/// The matrices of a tensor, one after the other if nothing else is said.
pub(super) fn matrices(at: Address, shape: &Shape, matrices: Option<Matrices>) -> attention::Operand {
    match matrices {
        Some(Matrices { outer, inner, pitch }) => attention::Operand { at, outer, inner, pitch },
        None => attention::Operand::contiguous(at, heads(shape).0, before_last(shape), last(shape)),
    }
}

/// `[N, .., C]`.
fn picture(shape: &Shape, groups: usize, dtype: DType) -> Picture {
    let (samples, channels) = (shape[0], last(shape));
    Picture { samples, pixels: shape[1..shape.rank() - 1].iter().product(), channels, groups, dtype }
}

/// Heads, as the innermost of the leading axes, and items outside of them.
pub(super) fn heads(shape: &Shape) -> (usize, usize) {
    let leading = &shape[..shape.rank() - 2];
    match leading.split_last() {
        Some((&heads, outer)) => (heads, outer.iter().product()),
        None => (1, 1),
    }
}

/// The steps of a mask along outer items, heads, queries and keys; `None` if outer axes are broadcast in parts.
fn masks(q: &Shape, mask: &Shape) -> Option<[usize; 4]> {
    let (rows, columns) = (before_last(mask), last(mask));
    let ((_, outer), (mask_heads, mask_outer)) = (heads(q), heads(mask));
    if mask_outer != outer && mask_outer != 1 {
        return None;
    }
    let step = |extent: usize, step: usize| if extent > 1 { step } else { 0 };
    let head = rows * columns;
    Some([step(mask_outer, mask_heads * head), step(mask_heads, head), step(rows, columns), step(columns, 1)])
}

fn is_masked(q: &Shape, mask: Option<&Shape>) -> bool {
    mask.is_none_or(|mask| masks(q, mask).is_some())
}
