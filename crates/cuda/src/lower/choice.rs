//! The kernels of one step.

use yuragi_graph::{
    CompileError, DType, Graph, Node, Op, Shape,
    lowering::{self, Operand},
    op::{Conv, Fused},
};

use crate::{
    kernels::{
        attention::{self, Attention, Mask},
        conv::Conv2d,
        gemm::{Gemm, Matrices},
        group_norm::GroupNorm,
        product::{Factors, Machine},
        random::Random,
        row::{LayerNorm, Softmax},
        rows::{Gather, ScatterAdd},
    },
    launch::{Address, Home, Launches},
};

/// What a lowering must know of the device and of its caller's wishes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The device.
    pub machine: Machine,
    /// Whether factors of single precision may be rounded for tensor cores.
    pub tf32: bool,
}

/// A place while buffers have numbers.
pub(super) const fn unplaced(home: lowering::Home) -> Home {
    match home {
        lowering::Home::Buffer(number) => Home::Arena(number),
        lowering::Home::Param(param) => Home::Param(param),
        lowering::Home::Literal(literal) => Home::Literal(literal),
    }
}

/// Columns of keys and values that the attention kernels take.
const DEEPEST: usize = 256;

/// Whether there are kernels for a fused operation whose operands have these shapes.
pub fn claims(op: &Fused, node: &Node, operands: &[Shape]) -> bool {
    match op {
        Fused::Softmax | Fused::LayerNorm { .. } | Fused::GroupNorm { .. } => node.dtype.is_float(),
        Fused::Attention { .. } => {
            let (depth, keys, values) = (last(&operands[0]), before_last(&operands[1]), last(&operands[2]));
            let fits = values <= DEEPEST && (depth <= DEEPEST || node.dtype == DType::F32);
            let mask = operands.get(3).is_none_or(|mask| masks(&operands[0], mask).is_some());
            depth > 0 && keys > 0 && fits && mask
        }
        Fused::Winograd { .. } => false,
    }
}

fn last(shape: &Shape) -> usize {
    shape.last().copied().unwrap_or(0)
}

fn before_last(shape: &Shape) -> usize {
    shape[shape.rank() - 2]
}

/// Heads, as the innermost of the leading axes, and items outside of them.
fn heads(shape: &Shape) -> (usize, usize) {
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

/// Where an operand begins.
const fn address(operand: &Operand) -> Address {
    Address { home: unplaced(operand.home), offset: operand.offset * operand.dtype.size() }
}

/// The launches of a step that is no chain.
pub(super) fn launches(graph: &Graph, target: Target, step: &lowering::Kernel) -> Result<Launches, CompileError> {
    let node = graph.node(step.node);
    let unsupported = || CompileError::Unsupported(step.node, node.op.name());
    let shape = |place: usize| graph.node(node.inputs[place]).shape;
    let at = |place: usize| address(&step.operands[place]);
    let y = Address::start(unplaced(step.output));
    let bias = step.bias.as_ref().map(address);
    let dtype = node.dtype;
    let factors = match Factors::exact(dtype) {
        Some(Factors::F32) if target.tf32 => Some(Factors::Tf32),
        factors => factors,
    };
    match node.op {
        Op::MatMul(op) => {
            let (m, n, k) = op.extents(&shape(0), &shape(1)).ok_or_else(unsupported)?;
            let matrices =
                |at: Address, place: usize| Matrices::contiguous(at, before_last(&shape(place)), last(&shape(place)));
            let gemm = Gemm {
                batch: node.shape[..node.shape.rank() - 2].iter().product(),
                m,
                n,
                k,
                op,
                a: matrices(at(0), 0),
                b: matrices(at(1), 1),
                c: Matrices::contiguous(y, m, n),
                bias,
                factors: factors.ok_or_else(unsupported)?,
                result: dtype,
            };
            gemm.launches(target.machine).map_err(|_| unsupported())
        }
        Op::Conv(op) => {
            let (picture, kernel) = match op {
                Conv::Forward(_) => (shape(0), shape(1)),
                Conv::InputGrad(_) => (node.shape, shape(1)),
                Conv::WeightGrad(_) => (shape(0), node.shape),
            };
            let conv = Conv2d {
                op,
                samples: picture[0],
                picture: [picture[1], picture[2]],
                channels: picture[3],
                kernel: [kernel[0], kernel[1]],
                filters: kernel[3],
                a: at(0),
                b: at(1),
                c: y,
                bias,
                factors: factors.ok_or_else(unsupported)?,
                result: dtype,
            };
            conv.launches(target.machine).map_err(|_| unsupported())
        }
        Op::Gather => {
            let (table, indices) = (shape(0), shape(1));
            let width = table[1..].iter().product();
            let (rows, count) = (table[0], indices.count());
            Gather { rows, width, count, dtype, table: at(0), indices: at(1), y }.launches().map_err(|_| unsupported())
        }
        Op::ScatterAdd(rows) => {
            let (width, count) = (node.shape[1..].iter().product(), shape(0).count());
            let sum = ScatterAdd { rows, width, count, dtype, indices: at(0), values: at(1), y };
            sum.launches().map_err(|_| unsupported())
        }
        Op::Random(law, stream) => Ok(Random { law, stream, count: node.shape.count(), key: at(0), y }.launches()),
        Op::Fused(op) => {
            let width = last(&node.shape);
            let rows = node.shape[..node.shape.rank() - 1].iter().product();
            match op {
                Fused::Softmax => Softmax { rows, width, dtype, x: at(0), y }.launches(),
                Fused::LayerNorm { eps } => {
                    let (x, gain, bias) = (at(0), at(1), at(2));
                    LayerNorm { rows, width, eps: eps.get(), dtype, x, gain, bias, y }.launches()
                }
                Fused::GroupNorm { groups, eps } => GroupNorm {
                    samples: node.shape[0],
                    pixels: node.shape[1..node.shape.rank() - 1].iter().product(),
                    channels: width,
                    groups,
                    eps: eps.get(),
                    silu: false,
                    dtype,
                    x: at(0),
                    gain: at(1),
                    bias: at(2),
                    y,
                }
                .launches(),
                Fused::Winograd { .. } => return Err(unsupported()),
                Fused::Attention { scale } => {
                    let [q, k, v] = [0, 1, 2].map(shape);
                    let (heads, outer) = heads(&q);
                    let operand = |at: Address, shape: &Shape| {
                        attention::Operand::contiguous(at, heads, before_last(shape), last(shape))
                    };
                    let mask = match step.operands.get(3) {
                        Some(operand) => {
                            let [outer, inner, query, key] = masks(&q, &shape(3)).ok_or_else(unsupported)?;
                            Some(Mask { at: address(operand), outer, inner, query, key })
                        }
                        None => None,
                    };
                    Attention {
                        batch: outer * heads,
                        heads: heads.max(1),
                        queries: before_last(&q),
                        keys: before_last(&k),
                        depth: last(&q),
                        value_depth: last(&v),
                        scale: scale.get(),
                        dtype,
                        q: operand(at(0), &q),
                        k: operand(at(1), &k),
                        v: operand(at(2), &v),
                        mask,
                        y: operand(y, &node.shape),
                    }
                    .launches()
                }
            }
            .map_err(|_| unsupported())
        }
        _ => Err(unsupported()),
    }
}
