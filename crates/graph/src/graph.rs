use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{DType, Op, Shape};

/// The place of a node in its graph; operands always have smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The index into [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// One operation applied to earlier nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// The operands, in the operation's order.
    pub inputs: Vec<NodeId>,
    /// The result's extents.
    pub shape: Shape,
    /// The result's element type.
    pub dtype: DType,
}

/// A run-time input.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// The name in error messages.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

/// How a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every element this value.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
    /// Uniform in ± this bound.
    Uniform(f32),
}

/// A named tensor of the store: a weight, or an optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Unique name, dotted by module.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Initial value.
    pub init: Init,
}

/// A named result.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name in error messages.
    pub name: String,
    /// Its value.
    pub node: NodeId,
}

/// A parameter's new value, written in place when a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Index into [`Graph::params`].
    pub param: usize,
    /// Its new value.
    pub node: NodeId,
}

/// An immutable, checked graph: nodes in topological order, inputs, parameters, outputs and updates.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) literals: Vec<Vec<f32>>,
    pub(crate) inputs: Vec<InputSpec>,
    pub(crate) params: Vec<ParamSpec>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) updates: Vec<Update>,
    /// Where a step may be cut in two: see [`Graph::cut`].
    pub(crate) cuts: Vec<NodeId>,
}

impl Graph {
    /// The nodes, operands before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The tensors that [`Op::Literal`] refers to.
    pub fn literals(&self) -> &[Vec<f32>] {
        &self.literals
    }

    /// The run-time inputs, in the order in which a run takes them.
    pub fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    /// The named tensors that the graph reads or updates.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// The results, in the order in which a run gives them.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The parameters that a run replaces.
    pub fn updates(&self) -> &[Update] {
        &self.updates
    }

    /// Nodes that outputs and updates depend upon, as a mask over [`Graph::nodes`].
    pub fn live(&self) -> Vec<bool> {
        let mut live = alloc::vec![false; self.nodes.len()];
        let roots = self.outputs.iter().map(|o| o.node);
        for node in roots.chain(self.updates.iter().map(|u| u.node)) {
            live[node.index()] = true;
        }
        for index in (0..self.nodes.len()).rev() {
            if live[index] {
                for input in &self.nodes[index].inputs {
                    live[input.index()] = true;
                }
            }
        }
        live
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.ids().zip(&self.nodes) {
            write!(f, "{id}: {} {} = {}", node.dtype, node.shape, node.op.name())?;
            for input in &node.inputs {
                write!(f, " {input}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
