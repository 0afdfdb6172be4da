//! Gradients of attention, of which one kernel may compute two.

use yuragi_graph::{
    CompileError, Graph, Op,
    lowering::{Home, Kernel, Schedule, Step},
    op::{Factor, Fused},
};

use super::{
    fused::{heads, mask, matrices},
    operand::{address, before_last, last, unplaced},
    product::Target,
};
use crate::{
    batch::Group,
    kernels::attention_grad::AttentionGrad,
    launch::{Address, Launches},
};

/// Puts gradients for the values into the groups of those for the keys of the same attention, or the other way round, where
/// one kernel computes both.
pub(super) fn joined(graph: &Graph, target: Target<'_>, schedule: &Schedule, mut order: Vec<Group>) -> Vec<Group> {
    let grad = |group: &Group| match group[..] {
        [step] => match &schedule.steps[step] {
            Step::Kernel(kernel) if is_one(graph, kernel) => Some((step, kernel)),
            _ => None,
        },
        _ => None,
    };
    // Nobody before it may use the memory that it writes.
    let is_free = |step: usize, home: Home| match home {
        Home::Buffer(buffer) => schedule.buffers[buffer].first == step,
        Home::Param(_) | Home::Literal(_) => false,
    };
    for at in 1..order.len() {
        let Some((step, second)) = grad(&order[at]).filter(|(step, kernel)| is_free(*step, kernel.output)) else {
            continue;
        };
        let pairs = |group: &Group| {
            grad(group).is_some_and(|(of, first)| {
                (of < schedule.prepared) == (step < schedule.prepared) && are_one(graph, target, [first, second])
            })
        };
        if let Some(first) = order[..at].iter().position(pairs) {
            order[first].push(step);
            order[at].clear();
        }
    }
    order.retain(|group| !group.is_empty());
    order
}

/// Whether a step is a gradient of attention.
pub(super) fn is_one(graph: &Graph, kernel: &Kernel) -> bool {
    matches!(graph.node(kernel.node).op, Op::Fused(Fused::AttentionGrad { .. }))
}

/// Whether two gradients are of the same attention, and one launch gives both.
fn are_one(graph: &Graph, target: Target<'_>, both: [&Kernel; 2]) -> bool {
    let scale = |kernel: &Kernel| match graph.node(kernel.node).op {
        Op::Fused(Fused::AttentionGrad { scale, .. }) => Some(scale),
        _ => None,
    };
    let [first, second] = both;
    let same = first.operands == second.operands && scale(first) == scale(second);
    same && launches(graph, target, &both).is_ok_and(|launches| launches.launches.len() == 1)
}

/// The launches of one gradient, or of several of the same attention.
pub(super) fn launches(graph: &Graph, target: Target<'_>, steps: &[&Kernel]) -> Result<Launches, CompileError> {
    let step = steps[0];
    let node = graph.node(step.node);
    let unsupported = |step: &Kernel| CompileError::Unsupported(step.node, graph.node(step.node).op.name());
    let shape = |place: usize| graph.node(node.inputs[place]).shape;
    let at = |place: usize| address(&step.operands[place]);
    let matrix = |place: usize| matrices(at(place), &shape(place), step.operands[place].matrices);
    let [q, k, v] = [1, 2, 3].map(shape);
    let (heads, outer) = heads(&q);
    let (mut y, mut factor) = ([None; 3], 1.0);
    for step in steps {
        let node = graph.node(step.node);
        let Op::Fused(Fused::AttentionGrad { scale, of }) = node.op else { return Err(unsupported(step)) };
        let place = Factor::ALL.iter().position(|one| *one == of).ok_or_else(|| unsupported(step))?;
        let result = matrices(Address::start(unplaced(step.output)), &node.shape, step.matrices);
        if y[place].replace(result).is_some() {
            return Err(unsupported(step));
        }
        factor = scale.get();
    }
    let grads = AttentionGrad {
        batch: outer * heads,
        heads: heads.max(1),
        queries: before_last(&q),
        keys: before_last(&k),
        depth: last(&q),
        value_depth: last(&v),
        scale: factor,
        dtype: graph.node(node.inputs[0]).dtype,
        g: matrix(0),
        q: matrix(1),
        k: matrix(2),
        v: matrix(3),
        log_sum: at(4),
        delta: at(5),
        mask: mask(graph, step, [1, 6])?,
        y,
    };
    grads.launches(target.machine).map_err(|_| unsupported(step))
}
