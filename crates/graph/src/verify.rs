use alloc::{format, string::String, vec::Vec};

use crate::{DType, Graph, NodeId, Op, Shape, op::infer};

impl Graph {
    /// Checks every invariant of a graph anew: operands come first, indices lie inside their tables,
    /// and each node's shape and element type are those its operation gives. The error names the node.
    pub fn verify(&self) -> Result<(), String> {
        let inside = |id: NodeId| id.index() < self.nodes.len();
        for (id, node) in self.ids().zip(&self.nodes) {
            let at = |message: String| format!("{id} {}: {message}", node.op.name());
            if node.inputs.iter().any(|&i| i >= id) {
                return Err(at("an operand does not come before its user".into()));
            }
            let declared = |have: Option<(Shape, DType)>| {
                (have == Some((node.shape, node.dtype)))
                    .then_some(())
                    .ok_or_else(|| at("differs from its declaration".into()))
            };
            match node.op {
                Op::Input(i) => declared(self.inputs.get(i as usize).map(|s| (s.shape, s.dtype)))?,
                Op::Param(i) => declared(self.params.get(i as usize).map(|s| (s.shape, s.dtype)))?,
                Op::Literal(i) => {
                    let length = self.literals.get(i as usize).map(Vec::len);
                    if length != Some(node.shape.count()) {
                        return Err(at(format!("a literal of {length:?} elements for {}", node.shape)));
                    }
                }
                Op::Fill(_) | Op::Cast => {}
                _ => {
                    let operands: Vec<_> =
                        node.inputs.iter().map(|&i| (self.node(i).shape, self.node(i).dtype)).collect();
                    let (shape, dtype) = infer(&node.op, &operands, node.shape).map_err(at)?;
                    if (shape, dtype) != (node.shape, node.dtype) {
                        return Err(at(format!("is {} {}, should be {dtype} {shape}", node.dtype, node.shape)));
                    }
                }
            }
        }
        match self.outputs.iter().map(|o| o.node).chain(self.updates.iter().map(|u| u.node)).find(|&n| !inside(n)) {
            Some(node) => Err(format!("an output names {node}, which does not exist")),
            None => Ok(()),
        }
    }
}
