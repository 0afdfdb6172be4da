//! Backends with a planted fault, which show that the suite would find it.

use yuragi_graph::{
    Backend, Builder, CompileError, DType, Graph, Node, Op, Params, RunError, Shape, Tensor,
    op::{Conv, Fused, Movement, Unary},
};
use yuragi_reference::{Evaluation, Reference, Single};

/// What a faulty backend computes in place of a node, from its operands; `None` where it is right.
pub type Fault = for<'g> fn(&Node, &[Tensor<'g>]) -> Option<Tensor<'g>>;

/// The reference in single precision, with some nodes computed wrongly.
#[derive(Clone, Copy, Debug)]
pub struct Faulty(pub Fault);

impl Backend for Faulty {
    type Store = Params;
    type Plan = Evaluation<Single>;

    fn claims(&self, _op: &Fused, _node: &Node, _operands: &[Shape]) -> bool {
        true
    }

    fn compile(&self, graph: &Graph) -> Result<Evaluation<Single>, CompileError> {
        Reference::single().compile(&replayed(graph, self.0).ok_or(CompileError::TooLarge)?)
    }

    fn upload(&self, params: Params) -> Result<Params, RunError> {
        Ok(params)
    }

    fn download(&self, store: &Params) -> Result<Params, RunError> {
        Ok(store.clone())
    }
}

/// Matrix products lack the last element of K.
pub fn drops_the_last_product<'g>(node: &Node, x: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    let Op::MatMul(op) = node.op else { return None };
    let (a, b, k) = terms(op, x)?;
    (k > 1).then(|| {
        a.slice(a.shape().rank() - 1, 0, k - 1).matmul_with(b.slice(b.shape().rank() - 2, 0, k - 1), <_>::default())
    })
}

/// Matrix products are summed in `F16`.
pub fn accumulates_in_f16<'g>(node: &Node, x: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    let Op::MatMul(op) = node.op else { return None };
    let (a, b, k) = terms(op, x)?;
    let rank = a.shape().rank();
    let mut sum: Option<Tensor<'g>> = None;
    for i in 0..k {
        let product =
            a.slice(rank - 1, i, i + 1).matmul_with(b.slice(rank - 2, i, i + 1), <_>::default()).cast(DType::F16);
        sum = Some(sum.map_or(product, |sum| sum + product));
    }
    sum.map(|sum| sum.cast(node.dtype))
}

/// The operands of a product, both stored as they stand in the formula, and K.
fn terms<'g>(op: yuragi_graph::op::MatMul, x: &[Tensor<'g>]) -> Option<(Tensor<'g>, Tensor<'g>, usize)> {
    let (_, _, k) = op.extents(&x[0].shape(), &x[1].shape())?;
    let a = if op.transpose_a { x[0].transpose() } else { x[0] };
    let b = if op.transpose_b { x[1].transpose() } else { x[1] };
    Some((a, b, k))
}

/// GELU in its tanh form (Hendrycks & Gimpel 2016, the approximation).
pub fn gelu_by_tanh<'g>(node: &Node, x: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    let x = x.first().copied().filter(|_| node.op == Op::Unary(Unary::Gelu))?;
    let inner = (x + x * x * x * 0.044_715) * (2.0 / core::f32::consts::PI).sqrt();
    Some(x * 0.5 * (inner.tanh() + 1.0))
}

/// Softmax overflows, for the largest is not subtracted.
pub fn softmax_without_shift<'g>(node: &Node, x: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    let e = x.first().filter(|_| node.op == Op::Fused(Fused::Softmax))?.exp();
    Some(e / e.sum(&[-1]))
}

/// The variance is the mean of squares less the square of the mean.
pub fn variance_by_squares<'g>(node: &Node, x: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    let Op::Fused(Fused::LayerNorm { eps }) = node.op else { return None };
    let mean = x[0].mean(&[-1]);
    let variance = (x[0] * x[0]).mean(&[-1]) - mean * mean;
    Some((x[0] - mean) / (variance + eps.get()).sqrt() * x[1] + x[2])
}

/// The last element of a random tensor repeats the one before.
pub fn random_tail_repeats<'g>(node: &Node, x: &[Tensor<'g>]) -> Option<Tensor<'g>> {
    let Op::Random(law, stream) = node.op else { return None };
    let count = node.shape.count();
    let good = x[0].builder().random(law, x[0], stream, &[count]);
    (count > 1)
        .then(|| good.slice(0, 0, count - 1).concat(&[good.slice(0, count - 2, count - 1)], 0).reshape(&node.shape))
}

/// A graph recorded anew, with the faults in it.
fn replayed(graph: &Graph, fault: Fault) -> Option<Graph> {
    let b = Builder::new();
    let inputs: Vec<Tensor<'_>> = graph.inputs().iter().map(|i| b.input(&i.name, &i.shape, i.dtype)).collect();
    let params: Vec<Tensor<'_>> = graph.params().iter().map(|p| b.param(&p.name, &p.shape, p.dtype, p.init)).collect();
    let mut values: Vec<Tensor<'_>> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let x: Vec<Tensor<'_>> = node.inputs.iter().map(|i| values[i.index()]).collect();
        let right = || match node.op {
            Op::Input(i) => inputs[i as usize],
            Op::Param(i) => params[i as usize],
            Op::Literal(i) => b.literal(&node.shape, &graph.literals()[i as usize]),
            _ => recorded(&b, node, &x),
        };
        values.push(fault(node, &x).unwrap_or_else(right));
    }
    for update in graph.updates() {
        b.update(params[update.param], values[update.node.index()]);
    }
    let outputs: Vec<(&str, Tensor<'_>)> =
        graph.outputs().iter().map(|o| (o.name.as_str(), values[o.node.index()])).collect();
    b.finish(&outputs).ok()
}

/// A node's operation on other operands.
fn recorded<'g>(b: &'g Builder, node: &Node, x: &[Tensor<'g>]) -> Tensor<'g> {
    let shape = node.shape;
    match node.op {
        Op::Input(_) | Op::Param(_) | Op::Literal(_) => b.fill(&shape, 0.0, node.dtype),
        Op::Fill(value) => b.fill(&shape, value.get(), node.dtype),
        Op::Unary(op) => x[0].unary(op),
        Op::Binary(op) => x[0].binary(op, x[1]),
        Op::Select => x[0].select(x[1], x[2]),
        Op::Cast => x[0].cast(node.dtype),
        Op::Reduce(op, axes) => x[0].reduce(op, axes),
        Op::Move(op) => moved(op, node, x),
        Op::MatMul(op) => x[0].matmul_with(x[1], op),
        Op::Conv(Conv::Forward(window)) => x[0].conv2d(x[1], window),
        Op::Conv(Conv::InputGrad(window)) => x[0].conv2d_input_grad(x[1], window, [shape[1], shape[2]]),
        Op::Conv(Conv::WeightGrad(window)) => x[0].conv2d_weight_grad(x[1], window, [shape[0], shape[1]]),
        Op::Gather => x[0].gather(x[1]),
        Op::ScatterAdd(rows) => x[0].scatter_add(x[1], rows),
        Op::Random(law, stream) => b.random(law, x[0], stream, &shape),
        Op::Fused(op) => x[0].fused(op, &x[1..]),
    }
}

fn moved<'g>(op: Movement, node: &Node, x: &[Tensor<'g>]) -> Tensor<'g> {
    let (from, to) = (x[0].shape(), node.shape);
    match op {
        Movement::Reshape => x[0].reshape(&to),
        Movement::Permute(axes) => {
            let axes: Vec<usize> = axes[..to.rank()].iter().map(|&axis| axis.into()).collect();
            x[0].permute(&axes)
        }
        Movement::Broadcast => x[0].broadcast(&to),
        Movement::Slice { axis, start } => x[0].slice(axis.into(), start, start + to[usize::from(axis)]),
        Movement::Pad { axis, before } => {
            let axis = usize::from(axis);
            x[0].pad(axis, before, to[axis] - before - from[axis])
        }
        Movement::Concat(axis) => x[0].concat(&x[1..], axis as isize),
    }
}
