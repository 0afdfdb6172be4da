//! What is asked of a machine.

use yuragi_graph::{Graph, Node, Op, Precision, op::Conv};

/// What a job asks of a machine, roughly: `auto` decides by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Seconds that it takes the processor.
    pub seconds: f64,
    /// Memory that it takes on a GPU.
    pub bytes: f64,
    /// Weights of products, of which a GPU may keep copies in the products' precision.
    pub weights: f64,
    /// Whether such copies are made again at every run instead, as memory counts for more than time.
    pub frugal: bool,
}

impl Work {
    /// Work that is worth any machine.
    pub const MUCH: Work = Work { seconds: f64::INFINITY, ..Work::NONE };
    /// None.
    pub const NONE: Work = Work { seconds: 0.0, bytes: 0.0, weights: 0.0, frugal: false };
    /// Operations of products in a second of the processor.
    pub const SPEED: f64 = 3e10;

    /// So many runs of a graph: its products, and its parameters.
    pub fn of(graph: &Graph, runs: f64) -> Work {
        let values = graph.params().iter().map(|spec| (spec.shape.count() * spec.dtype.size()) as f64);
        let weights = if graph.updates().is_empty() { weights(graph) } else { 0.0 };
        Work { seconds: 2.0 * products(graph) * runs / Work::SPEED, bytes: values.sum(), weights, frugal: false }
    }

    /// The memory that it takes on a GPU, copies in this precision included.
    pub(super) fn room(&self, precision: Precision) -> f64 {
        self.bytes + if self.frugal { 0.0 } else { self.weights * precision.factors().size() as f64 }
    }

    /// Two, one after the other.
    #[must_use]
    pub fn and(self, other: Work) -> Work {
        let (bytes, weights) = (self.bytes.max(other.bytes), self.weights.max(other.weights));
        Work { seconds: self.seconds + other.seconds, bytes, weights, frugal: self.frugal || other.frugal }
    }
}

/// The multiplications of a run in products and convolutions, which take most of its time.
pub fn products(graph: &Graph) -> f64 {
    let of = |node: &Node| -> Option<f64> {
        let size = |operand: usize| Some(graph.node(*node.inputs.get(operand)?).shape);
        let product = |extents: &[usize]| extents.iter().map(|&extent| extent as f64).product::<f64>();
        Some(match node.op {
            Op::MatMul(matmul) => product(&node.shape) * matmul.extents(&size(0)?, &size(1)?)?.2 as f64,
            // Every element of the output, or of its gradient, meets a kernel's elements of one output channel.
            Op::Conv(Conv::Forward(_)) => product(&node.shape) * product(&size(1)?[..3]),
            Op::Conv(Conv::InputGrad(_)) => product(&size(0)?) * product(&size(1)?[..3]),
            Op::Conv(Conv::WeightGrad(_)) => product(&size(1)?) * product(&node.shape[..3]),
            _ => 0.0,
        })
    };
    graph.nodes().iter().filter_map(of).sum()
}

/// The elements of parameters that products and convolutions take as their second factor.
fn weights(graph: &Graph) -> f64 {
    let mut of = vec![false; graph.params().len()];
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::MatMul(_) | Op::Conv(_))) {
        let mut operand = graph.node(node.inputs[1]);
        while let (Op::Cast | Op::Move(_), [input, ..]) = (operand.op, &operand.inputs[..]) {
            operand = graph.node(*input);
        }
        if let Op::Param(param) = operand.op {
            of[param as usize] = true;
        }
    }
    graph.params().iter().zip(of).filter(|(_, is)| *is).map(|(spec, _)| spec.shape.count() as f64).sum()
}
