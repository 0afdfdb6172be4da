use alloc::{collections::BTreeMap, format, vec, vec::Vec};

use crate::{
    Builder, DType, NodeId, Op, Shape, Tensor,
    op::gather::{gather_grad, scatter_add_grad},
};

/// What to do at a tensor whose gradient was asked for.
#[derive(Clone, Copy, PartialEq)]
enum AtTarget {
    /// Go on below it: total derivatives.
    Pass,
    /// Treat it as independent: the partial derivatives of an expansion in its operands.
    Stop,
}

impl Builder {
    /// The gradients of a one-element tensor with respect to others, as new nodes of this graph
    /// (reverse mode; Linnainmaa 1970). Each has the shape of its tensor; where the loss does not
    /// depend on it, it is zero. Gradients can be differentiated again.
    #[track_caller]
    pub fn grad<'g>(&'g self, loss: Tensor<'g>, wrt: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        if loss.shape().count() != 1 || !loss.dtype().is_float() {
            self.fail(
                format!("grad: the loss must be one floating number, got {} {}", loss.dtype(), loss.shape()),
                loss.shape(),
            );
        }
        if !self.owns(loss) || wrt.iter().any(|t| !self.owns(*t)) {
            self.fail("grad: a tensor belongs to another builder".into(), Shape::SCALAR);
        }
        if self.failed() {
            return self.zeros(wrt);
        }
        let seed = self.fill(&loss.shape(), 1.0, loss.dtype());
        self.pullback(loss, seed, wrt)
    }

    /// The gradients of ⟨seed, y⟩ with respect to others, `seed` being taken for constant whatever it depends on: a
    /// vector times the Jacobian of `y`. Shapes as those of [`grad`](Builder::grad).
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType};
    /// let b = Builder::new();
    /// let x = b.input("x", &[3], DType::F32);
    /// let g = b.pullback(x * x, x, &[x]); // 2x·x, where the gradient of Σx³ is 3x²
    /// assert_eq!(g[0].shape(), x.shape());
    /// ```
    #[track_caller]
    pub fn pullback<'g>(&'g self, y: Tensor<'g>, seed: Tensor<'g>, wrt: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        if !self.owns(y) || !self.owns(seed) || wrt.iter().any(|t| !self.owns(*t)) {
            self.fail("pullback: a tensor belongs to another builder".into(), Shape::SCALAR);
        } else if y.shape() != seed.shape() || y.dtype() != seed.dtype() || !y.dtype().is_float() {
            let (y, seed) = ((y.dtype(), y.shape()), (seed.dtype(), seed.shape()));
            let message = format!(
                "pullback: a seed of {} {} for {} {}: they must be floating and alike",
                seed.0, seed.1, y.0, y.1
            );
            self.fail(message, y.1);
        }
        if self.failed() {
            return self.zeros(wrt);
        }
        let targets: Vec<NodeId> = wrt.iter().map(|t| t.id()).collect();
        let grads = self.reversed(y, seed, &targets, AtTarget::Pass);
        wrt.iter().zip(grads).map(|(t, g)| g.unwrap_or_else(|| self.zero(t))).collect()
    }

    fn zero<'g>(&'g self, of: &Tensor<'g>) -> Tensor<'g> {
        self.fill(&of.shape(), 0.0, of.dtype())
    }

    fn zeros<'g>(&'g self, of: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        of.iter().map(|t| self.zero(t)).collect()
    }

    /// Pulls a gradient of `root` back to each target. Only nodes on a path from the root to a
    /// target take part, however old they are: an expansion may share nodes recorded long before it.
    fn reversed<'g>(
        &'g self,
        root: Tensor<'g>,
        seed: Tensor<'g>,
        targets: &[NodeId],
        at: AtTarget,
    ) -> Vec<Option<Tensor<'g>>> {
        let on_path = self.on_path(root.id(), targets, at);
        let mut grads: BTreeMap<NodeId, Tensor<'g>> = BTreeMap::new();
        grads.insert(root.id(), seed);
        // Operands are older than their users: newest first meets every user before its operand.
        let order: Vec<NodeId> = on_path.iter().rev().filter(|(_, reaches)| **reaches).map(|(id, _)| *id).collect();
        for id in order {
            let Some(&g) = grads.get(&id) else { continue };
            if at == AtTarget::Stop && targets.contains(&id) {
                continue;
            }
            for (operand, part) in self.operand_grads(Tensor::new(self, id), g) {
                if on_path.get(&operand).copied().unwrap_or(false) {
                    grads.entry(operand).and_modify(|sum| *sum = *sum + part).or_insert(part);
                }
            }
        }
        targets.iter().map(|t| grads.get(t).copied()).collect()
    }

    /// Every node below `root`, and whether it depends on (or is) a target.
    fn on_path(&self, root: NodeId, targets: &[NodeId], at: AtTarget) -> BTreeMap<NodeId, bool> {
        let mut seen: BTreeMap<NodeId, bool> = BTreeMap::new();
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            let target = targets.contains(&id);
            if seen.insert(id, target).is_none() && !(target && at == AtTarget::Stop) {
                self.with_node(id, |n| stack.extend(n.inputs.iter().filter(|i| !seen.contains_key(i))));
            }
        }
        let ids: Vec<NodeId> = seen.keys().copied().collect();
        for id in ids {
            let stopped = at == AtTarget::Stop && targets.contains(&id);
            let reaches =
                !stopped && self.with_node(id, |n| n.inputs.iter().any(|i| seen.get(i).copied().unwrap_or(false)));
            if reaches {
                seen.insert(id, true);
            }
        }
        seen
    }

    /// The part of each operand in the gradient `g` of `y`. An operand used twice appears twice, except
    /// below an expansion, which sums its uses.
    fn operand_grads<'g>(&'g self, y: Tensor<'g>, g: Tensor<'g>) -> Vec<(NodeId, Tensor<'g>)> {
        let node = self.node(y.id());
        let x: Vec<Tensor<'g>> = node.inputs.iter().map(|&i| Tensor::new(self, i)).collect();
        let parts: Vec<Option<Tensor<'g>>> = match node.op {
            Op::Input(_) | Op::Param(_) | Op::Literal(_) | Op::Fill(_) | Op::Random(..) => Vec::new(),
            Op::Unary(op) => vec![op.grad(g, x[0], y)],
            Op::Binary(op) => op.grad(g, x[0], x[1], y).to_vec(),
            Op::Select => {
                let zero = self.fill(&node.shape, 0.0, node.dtype);
                vec![None, Some(x[0].select(g, zero)), Some(x[0].select(zero, g))]
            }
            Op::Cast => vec![x[0].dtype().is_float().then(|| g.cast(x[0].dtype()))],
            Op::Reduce(op, axes) => vec![Some(op.grad(axes, g, x[0], y))],
            Op::Move(op) => (0..x.len()).map(|place| Some(op.grad(g, &x, place))).collect(),
            Op::MatMul(op) => op.grad(g, x[0], x[1]).map(Some).to_vec(),
            Op::Conv(op) => op.grad(g, x[0], x[1]).map(Some).to_vec(),
            Op::Gather => vec![Some(gather_grad(g, x[0], x[1]))],
            Op::ScatterAdd(_) => vec![None, Some(scatter_add_grad(g, x[0]))],
            Op::Fused(op) => match op.grad(g, &x, y) {
                Some(parts) => parts.into_iter().map(Some).collect(),
                None => {
                    let mut operands = node.inputs.clone();
                    operands.sort_unstable();
                    operands.dedup();
                    let parts = self.reversed(op.expand(&x), g, &operands, AtTarget::Stop);
                    return operands.into_iter().zip(parts).filter_map(|(i, p)| Some((i, p?))).collect();
                }
            },
        };
        let differentiable = |id: &NodeId| self.with_node(*id, |n| n.dtype != DType::I32 && n.dtype != DType::U32);
        node.inputs
            .into_iter()
            .zip(parts)
            .filter_map(|(i, p)| Some((i, p?)))
            .filter(|(i, _)| differentiable(i))
            .collect()
    }
}
