use alloc::{vec, vec::Vec};

use crate::{
    Builder, DType, Graph, NodeId, Op, Output, Tensor, Update,
    op::{Binary, Fused, MatMul, Movement},
};

/// Rows of a product up to which it is its weights that take time, and little what follows it.
const FEW: usize = 128;

/// Products of one matrix with several that parameters alone decide.
struct Joint {
    members: Vec<NodeId>,
    op: MatMul,
    /// The sum of each with a row of biases, and that row, if every one's only use is such a sum in single precision.
    sums: Vec<(NodeId, NodeId)>,
}

impl Joint {
    /// The nodes that are parts of what is joined.
    fn parts(&self) -> Vec<NodeId> {
        if self.sums.is_empty() { self.members.clone() } else { self.sums.iter().map(|(sum, _)| *sum).collect() }
    }
}

impl Graph {
    /// By node: whether constants and parameters alone decide it, none of which the graph replaces.
    pub(crate) fn fixed(&self) -> Vec<bool> {
        let mut fixed: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            fixed.push(match node.op {
                Op::Input(_) => false,
                Op::Param(param) => self.updates.iter().all(|update| update.param != param as usize),
                _ => node.inputs.iter().all(|input| fixed[input.index()]),
            });
        }
        fixed
    }

    /// The graph with products of one matrix and several weights as one product of weights that stand side by side, such as
    /// an attention's queries, keys and values, or all maps of a time's embedding.
    ///
    /// Joined are products that attention reads, through moves and casts, and products of few rows: what follows others is
    /// better done by each one's kernel. For backends that keep what parameters alone decide from run to run; every sum
    /// stays the same.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init};
    /// let b = Builder::new();
    /// let x = b.input("x", &[5, 8], DType::F32);
    /// let map = |name: &str| x.matmul(b.param(name, &[8, 3], DType::F32, Init::Normal(1.0)));
    /// let graph = b.finish(&[("y", map("v") * map("w").exp())])?.joined();
    /// assert_eq!(graph.nodes().iter().filter(|node| node.op.name() == "matmul").count(), 1);
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn joined(&self) -> Graph {
        let fixed = self.fixed();
        let joints = self.joints(&fixed);
        if joints.is_empty() {
            return self.clone();
        }
        let mut joint_of = vec![None; self.nodes.len()];
        for (number, joint) in joints.iter().enumerate() {
            joint.parts().iter().for_each(|part| joint_of[part.index()] = Some(number));
        }
        let builder = Builder::resume(self);
        let mut new = vec![NodeId(0); self.nodes.len()];
        let mut wide: Vec<Option<NodeId>> = vec![None; joints.len()];
        // Weights first: a joint product needs those of all its members.
        let (weights, rest): (Vec<NodeId>, Vec<NodeId>) = self.ids().partition(|id| fixed[id.index()]);
        for id in weights.into_iter().chain(rest) {
            let node = self.node(id);
            let at = |old: NodeId, new: &[NodeId]| Tensor::new(&builder, new[old.index()]);
            let tensor = match joint_of[id.index()] {
                Some(number) => {
                    let joint = &joints[number];
                    let all = *wide[number].get_or_insert_with(|| self.widened(joint, |old| at(old, &new)).id());
                    let columns = |part: &NodeId| self.node(*part).shape[1];
                    let start = joint.parts().iter().take_while(|part| **part != id).map(columns).sum();
                    Tensor::new(&builder, all).slice(1, start, start + node.shape[1])
                }
                None => {
                    let inputs: Vec<NodeId> = node.inputs.iter().map(|input| new[input.index()]).collect();
                    builder.push_typed(node.op, &inputs, node.shape, Some(node.dtype))
                }
            };
            if self.cuts.contains(&id) {
                builder.cut(tensor);
            }
            new[id.index()] = tensor.id();
        }
        let outputs = self.outputs.iter().map(|o| Output { name: o.name.clone(), node: new[o.node.index()] }).collect();
        let updates = self.updates.iter().map(|u| Update { param: u.param, node: new[u.node.index()] }).collect();
        builder.conclude(outputs, updates)
    }

    /// The product of all members, with their biases.
    fn widened<'g>(&self, joint: &Joint, at: impl Fn(NodeId) -> Tensor<'g>) -> Tensor<'g> {
        let side_by_side = |parts: Vec<Tensor<'g>>, axis: isize| parts[0].concat(&parts[1..], axis);
        let weights = joint.members.iter().map(|member| at(self.node(*member).inputs[1])).collect();
        let weights = side_by_side(weights, if joint.op.transpose_b { 0 } else { 1 });
        let all = at(self.node(joint.members[0]).inputs[0]).matmul_with(weights, joint.op);
        if joint.sums.is_empty() {
            return all;
        }
        let row = |&(_, row): &(NodeId, NodeId)| {
            let row = at(row);
            row.reshape(&[row.shape().count()])
        };
        all.cast(DType::F32) + side_by_side(joint.sums.iter().map(row).collect(), 0)
    }

    /// By node: its only user, if it has just one.
    fn users(&self, live: &[bool]) -> Vec<Option<NodeId>> {
        let mut users: Vec<Vec<NodeId>> = vec![Vec::new(); self.nodes.len()];
        for id in self.ids().filter(|id| live[id.index()]) {
            self.node(id).inputs.iter().for_each(|input| users[input.index()].push(id));
        }
        let mut users: Vec<Option<NodeId>> =
            users.iter().map(|users| if let [user] = users[..] { Some(user) } else { None }).collect();
        let roots = self.outputs.iter().map(|o| o.node).chain(self.updates.iter().map(|u| u.node));
        roots.for_each(|root| users[root.index()] = None);
        users
    }

    /// The sum of a product with a row that parameters alone decide, and the row: its only use.
    fn biased(&self, product: NodeId, users: &[Option<NodeId>], fixed: &[bool]) -> Option<(NodeId, NodeId)> {
        let (mut value, mut user) = (product, users[product.index()]?);
        if self.node(user).op == Op::Cast {
            (value, user) = (user, users[user.index()]?);
        }
        let sum = self.node(user);
        let [a, b] = sum.inputs[..] else { return None };
        let row = if a == value { b } else { a };
        let of = self.node(row);
        let whole = sum.op == Op::Binary(Binary::Add) && sum.dtype == DType::F32 && a != b;
        let repeated = of.op == Op::Move(Movement::Broadcast) && fixed[row.index()];
        let row = *of.inputs.first().filter(|_| whole && repeated)?;
        (self.node(row).shape.count() == sum.shape[1] && self.node(row).shape.last() == sum.shape.last())
            .then_some((user, row))
    }

    fn joints(&self, fixed: &[bool]) -> Vec<Joint> {
        let (live, read) = (self.live(), self.read_by_attention());
        let users = self.users(&live);
        let mut joints: Vec<Joint> = Vec::new();
        for id in self.ids().filter(|id| live[id.index()] && !fixed[id.index()]) {
            let node = self.node(id);
            let Op::MatMul(op) = node.op else { continue };
            let [a, b] = [node.inputs[0], node.inputs[1]];
            let suits = read[id.index()] || node.shape[0] <= FEW;
            if node.shape.rank() != 2 || node.shape.count() == 0 || op.transpose_a || !fixed[b.index()] || !suits {
                continue;
            }
            let same = |joint: &&mut Joint| {
                let first = self.node(joint.members[0]);
                first.inputs[0] == a && joint.op == op && self.node(first.inputs[1]).dtype == self.node(b).dtype
            };
            match joints.iter_mut().find(same) {
                Some(joint) => joint.members.push(id),
                None => joints.push(Joint { members: vec![id], op, sums: Vec::new() }),
            }
        }
        joints.retain(|joint| joint.members.len() > 1);
        for joint in &mut joints {
            let sums = joint.members.iter().map(|&member| self.biased(member, &users, fixed)).collect();
            joint.sums = Option::unwrap_or_default(sums);
        }
        joints
    }

    /// By node: whether all that reads it, through moves and casts, is attention.
    fn read_by_attention(&self) -> Vec<bool> {
        let mut used = vec![false; self.nodes.len()];
        let mut only = vec![true; self.nodes.len()];
        let roots = self.outputs.iter().map(|o| o.node).chain(self.updates.iter().map(|u| u.node));
        roots.for_each(|root| only[root.index()] = false);
        let live = self.live();
        for id in self.ids().rev().filter(|id| live[id.index()]) {
            let node = self.node(id);
            let passes = match node.op {
                Op::Fused(Fused::Attention { .. }) => true,
                Op::Move(_) | Op::Cast => used[id.index()] && only[id.index()],
                _ => false,
            };
            for input in &node.inputs {
                used[input.index()] = true;
                only[input.index()] &= passes;
            }
        }
        used.into_iter().zip(only).map(|(used, only)| used && only).collect()
    }
}
