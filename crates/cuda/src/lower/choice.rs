//! The kernels of one step.

use yuragi_graph::{
    CompileError, DType, Graph, Op, lowering,
    op::{Conv, Fused},
};

use super::{
    attention_grad, fused, norm,
    operand::{address, last, unplaced},
    product::{Output, Target, factors, gemm},
};
use crate::{
    kernels::{
        conv::Conv2d,
        picks::Picked,
        random::Random,
        rows::{Gather, ScatterAdd},
    },
    launch::{ALIGNMENT, Address, Argument, Home, Launches},
    ptx,
    splice::Splices,
};

/// What launches make beside themselves.
#[derive(Default)]
pub(super) struct Made {
    /// Loops.
    pub module: ptx::Module,
    /// Copies of shipped kernels with code of the graph.
    pub splices: Splices,
    /// What one of several kernels was taken for.
    pub picked: Vec<Picked>,
}

/// The launches of a step that is no chain, and of one that is computed with it: a layer norm that [`norm::follows`], or
/// another gradient of the same attention. What follows a product or a norm is put into a copy of its kernel or, where several
/// launches make the result, becomes a loop of its own.
pub(super) fn launches(
    graph: &Graph,
    target: Target<'_>,
    (step, with): (&lowering::Kernel, Option<&lowering::Kernel>),
    made: &mut Made,
) -> Result<Launches, CompileError> {
    if attention_grad::is_one(graph, step) {
        let steps: Vec<_> = [step].into_iter().chain(with).collect();
        return attention_grad::launches(graph, target, &steps);
    }
    let norm = with;
    let dtype = graph.node(step.node).dtype;
    let bias = step.bias.as_ref().map(address);
    let Some(epilogue) = &step.epilogue else {
        let output = Output { at: Address::start(unplaced(step.output)), bias, dtype };
        return kernel(graph, target, step, output, &mut made.picked);
    };
    let (shape, y) = (graph.node(step.node).shape, Address::start(unplaced(step.output)));
    let (chain, columns) = (&epilogue.chain, last(&shape));
    let code = ptx::epilogue::Epilogue::new(epilogue, (shape.count(), columns, dtype), bias, unplaced);
    // Where the code stores, the kernel is to round nothing.
    let stored = match graph.node(step.node).op {
        _ if norm.is_some() => DType::F32,
        _ if !code.stores() => chain.outputs[0].dtype,
        Op::MatMul(_) | Op::Conv(_) => DType::F32,
        _ => dtype,
    };
    let output = Output { at: y, bias: None, dtype: stored };
    let picked = made.picked.len();
    let mut product = match norm {
        Some(norm) => norm::launches(graph, target, (step, norm), output)?,
        None => kernel(graph, target, step, output, &mut made.picked)?,
    };
    let writes = |argument: &Argument| matches!(argument, Argument::Pointer(address) if address.home == y.home);
    let writers = product.launches.iter().filter(|launch| launch.arguments.iter().any(writes)).count();
    if let Some(last) = product.launches.last_mut()
        && writers == 1
        && made.splices.add(last, &code, stored, columns)
    {
        return Ok(product);
    }
    let mut product = |first: usize| {
        made.picked.truncate(picked);
        let output = Output { at: Address::start(Home::Scratch(first)), bias, dtype };
        kernel(graph, target, step, output, &mut made.picked)
    };
    // The result lies behind what its own kernel keeps.
    let first = product(0)?.scratch.next_multiple_of(ALIGNMENT);
    let (at, mut product) = (Home::Scratch(first), product(first)?);
    // The chain may store the product itself, too, where it belongs.
    let mut chain = chain.clone();
    let apart = lowering::Home::Buffer(usize::MAX);
    chain.inputs[epilogue.product].home = apart;
    let place = |home| if home == apart { at } else { unplaced(home) };
    product.launches.extend(made.module.chain(&chain, place).launches);
    product.scratch = first + shape.count() * dtype.size();
    if let Some(norm) = norm {
        let norm = launches(graph, target, (norm, None), made)?;
        product.scratch = product.scratch.max(norm.scratch);
        product.launches.extend(norm.launches);
    }
    Ok(product)
}

/// The launches of a step without what follows from it.
fn kernel(
    graph: &Graph,
    target: Target<'_>,
    step: &lowering::Kernel,
    output: Output,
    picked: &mut Vec<Picked>,
) -> Result<Launches, CompileError> {
    let node = graph.node(step.node);
    let unsupported = || CompileError::Unsupported(step.node, node.op.name());
    let shape = |place: usize| graph.node(node.inputs[place]).shape;
    let at = |place: usize| address(&step.operands[place]);
    let mut pick = |one: Picked| {
        picked.push(one);
        one.launches(target.machine, target.picks).map_err(|_| unsupported())
    };
    if let Op::MatMul(op) = node.op {
        return pick(Picked::Gemm(gemm(graph, target, step, op, &output).ok_or_else(unsupported)?));
    }
    let Output { at: y, bias, dtype: result } = output;
    let dtype = node.dtype;
    match node.op {
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
                factors: factors(target, dtype).ok_or_else(unsupported)?,
                result,
            };
            pick(Picked::conv(conv).map_err(|_| unsupported())?)
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
        Op::Fused(op @ (Fused::Attention { .. } | Fused::AttentionLogSum { .. })) => {
            pick(Picked::Attention(fused::attention(graph, step, op, y)?))
        }
        Op::Fused(op) => fused::launches(graph, target.machine, step, op, (y, result))?.map_err(|_| unsupported()),
        _ => Err(unsupported()),
    }
}
