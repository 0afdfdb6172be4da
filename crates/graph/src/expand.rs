use alloc::vec::Vec;

use crate::{Builder, Graph, Node, NodeId, Op, Output, Shape, Tensor, Update, op::Fused};

impl Graph {
    /// The graph with every fused operation that is not claimed replaced by its expansion.
    pub fn expanded(&self, claims: impl Fn(&Fused, &Node, &[Shape]) -> bool) -> Graph {
        let mut graph = self.clone();
        loop {
            let inlined = |node: &Node| {
                let Op::Fused(op) = &node.op else { return false };
                let operands: Vec<Shape> = node.inputs.iter().map(|&i| graph.node(i).shape).collect();
                !claims(op, node, &operands)
            };
            if !graph.nodes.iter().any(inlined) {
                return graph;
            }
            graph = graph.rebuilt(|node, operands| match node.op {
                Op::Fused(op) if inlined(node) => Some(op.expand(operands)),
                _ => None,
            });
        }
    }

    /// The graph recorded anew, node by node, with some nodes replaced by others.
    pub(crate) fn rebuilt(&self, replace: impl for<'g> Fn(&Node, &[Tensor<'g>]) -> Option<Tensor<'g>>) -> Graph {
        let builder = Builder::resume(self);
        let mut new: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            let operands: Vec<Tensor<'_>> = node.inputs.iter().map(|i| Tensor::new(&builder, new[i.index()])).collect();
            let tensor = replace(node, &operands).unwrap_or_else(|| {
                let ids: Vec<NodeId> = operands.iter().map(|t| t.id()).collect();
                builder.push_typed(node.op, &ids, node.shape, Some(node.dtype))
            });
            if self.cuts.contains(&NodeId(place as u32)) {
                builder.cut(tensor);
            }
            new.push(tensor.id());
        }
        let outputs = self.outputs.iter().map(|o| Output { name: o.name.clone(), node: new[o.node.index()] }).collect();
        let updates = self.updates.iter().map(|u| Update { param: u.param, node: new[u.node.index()] }).collect();
        builder.conclude(outputs, updates)
    }

    /// The graph without nodes that neither an output nor an update needs.
    pub(crate) fn pruned(mut self) -> Graph {
        let live = self.live();
        let mut new = Vec::with_capacity(live.len());
        let mut kept = 0u32;
        for &alive in &live {
            new.push(NodeId(kept));
            kept += u32::from(alive);
        }
        let mut alive = live.iter();
        self.nodes.retain(|_| alive.next().copied().unwrap_or(false));
        for node in &mut self.nodes {
            node.inputs.iter_mut().for_each(|i| *i = new[i.index()]);
        }
        self.outputs.iter_mut().for_each(|o| o.node = new[o.node.index()]);
        self.updates.iter_mut().for_each(|u| u.node = new[u.node.index()]);
        self.cuts.retain(|cut| live[cut.index()]);
        self.cuts.iter_mut().for_each(|cut| *cut = new[cut.index()]);
        self
    }
}
