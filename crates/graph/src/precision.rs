use alloc::vec::Vec;
use core::{fmt, str::FromStr};

use crate::{
    DType, Graph, Node, NodeId, Op, ParamSpec, Tensor,
    op::{Fused, Movement},
};

/// Added to a score, it leaves nothing of its weight, and it fits into 16 bits.
const MASKED: f32 = -3e4;

/// The precision of products: what matrix products, convolutions and attention take and give.
/// Sums inside them, everything between them and the parameters stay in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single.
    #[default]
    F32,
    /// Single, with factors that a backend may round to 11 significant bits.
    Tf32,
    /// 8 significant bits and the range of single precision.
    BF16,
    /// 11 significant bits, values up to 65504.
    F16,
}

impl Precision {
    /// The whole family.
    pub const ALL: &'static [Precision] = &[Precision::F32, Precision::Tf32, Precision::BF16, Precision::F16];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::BF16 => "bf16",
            Precision::F16 => "f16",
        }
    }

    /// The element type of a product's factors.
    pub const fn factors(self) -> DType {
        match self {
            Precision::F32 | Precision::Tf32 => DType::F32,
            Precision::BF16 => DType::BF16,
            Precision::F16 => DType::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No precision has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPrecision;

impl fmt::Display for UnknownPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a precision is f32, tf32, bf16 or f16")
    }
}

impl core::error::Error for UnknownPrecision {}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Precision, UnknownPrecision> {
        Precision::ALL.iter().copied().find(|p| p.name() == text).ok_or(UnknownPrecision)
    }
}

impl Graph {
    /// The graph with parameters of other element types than it declares: each is read as the type that `of` gives it
    /// and made single where it is used, as 16-bit weights of a mapped file are. `None` leaves a parameter alone, and so
    /// does an integer.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Init};
    /// let b = Builder::new();
    /// let w = b.param("w", &[2], DType::F32, Init::Constant(0.5));
    /// let graph = b.finish(&[("y", w * 2.0)])?.with_stored(|_| Some(DType::F16));
    /// assert_eq!(graph.params()[0].dtype, DType::F16);
    /// assert_eq!(graph.node(graph.outputs()[0].node).dtype, DType::F32);
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn with_stored(&self, of: impl Fn(&ParamSpec) -> Option<DType>) -> Graph {
        let updated = |place: usize| self.updates().iter().any(|update| update.param == place);
        let mut graph = self.clone();
        for (place, spec) in graph.params.iter_mut().enumerate() {
            if let Some(dtype) = of(spec).filter(|dtype| dtype.is_float() && spec.dtype.is_float() && !updated(place)) {
                spec.dtype = dtype;
            }
        }
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        let mut places: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
        for mut node in core::mem::take(&mut graph.nodes) {
            node.inputs.iter_mut().for_each(|input| *input = places[input.index()]);
            let declared = node.dtype;
            if let Op::Param(place) = node.op {
                node.dtype = graph.params[place as usize].dtype;
            }
            let (stored, shape, id) = (node.dtype, node.shape, NodeId(nodes.len() as u32));
            nodes.push(node);
            if stored != declared {
                nodes.push(Node { op: Op::Cast, inputs: [id].to_vec(), shape, dtype: declared });
            }
            places.push(NodeId(nodes.len() as u32 - 1));
        }
        graph.nodes = nodes;
        graph.outputs.iter_mut().for_each(|output| output.node = places[output.node.index()]);
        graph.updates.iter_mut().for_each(|update| update.node = places[update.node.index()]);
        graph.cuts.iter_mut().for_each(|cut| *cut = places[cut.index()]);
        graph
    }

    /// The graph with single-precision products of another precision: their factors are rounded, their sums kept in
    /// single precision and rounded once (Micikevicius et al. 2018, "Mixed precision training", with the parameters
    /// themselves as the master weights). A training graph's gradients are products like others; in `F16` they need a
    /// scaled loss.
    ///
    /// ```
    /// use yuragi_graph::{Builder, DType, Precision};
    /// let b = Builder::new();
    /// let x = b.input("x", &[2, 3], DType::F32);
    /// let graph = b.finish(&[("y", x.transpose().matmul(x))])?;
    /// let mixed = graph.in_precision(Precision::BF16);
    /// assert!(mixed.nodes().iter().any(|node| node.op.name() == "matmul" && node.dtype == DType::BF16));
    /// assert_eq!(mixed.node(mixed.outputs()[0].node).dtype, DType::F32);
    /// # Ok::<(), yuragi_graph::BuildError>(())
    /// ```
    #[must_use]
    pub fn in_precision(&self, precision: Precision) -> Graph {
        let factors = precision.factors();
        if factors == DType::F32 {
            return self.clone();
        }
        self.rebuilt(|node, operands| {
            // How many operands are factors; what follows them is single, but for a mask.
            let (factors_before, mask) = match node.op {
                Op::MatMul(_) | Op::Conv(_) => (2, None),
                Op::Fused(Fused::Attention { .. }) => (3, Some(3)),
                Op::Fused(Fused::AttentionLogSum { .. }) => (2, Some(2)),
                Op::Fused(Fused::AttentionGrad { .. }) => (4, Some(6)),
                _ => return None,
            };
            if operands[0].dtype() != DType::F32 {
                return None;
            }
            let mut rounded = operands.to_vec();
            rounded[..factors_before]
                .iter_mut()
                .for_each(|t| *t = narrowed(*t, factors).unwrap_or_else(|| t.cast(factors)));
            if let Some(mask) = mask.and_then(|place| rounded.get_mut(place)) {
                // What masks must not become infinite: a row of it alone has no softmax.
                *mask = mask.maximum(mask.builder().fill(&mask.shape(), MASKED, DType::F32)).cast(factors);
            }
            Some(rounded[0].push(node.op, &rounded[1..], node.shape).cast(DType::F32))
        })
    }
}

/// A tensor in a narrower type that it was widened from, moves apart: no cast is needed there and back. What is put together
/// is so of narrow parts, which need not wait for the whole.
fn narrowed(x: Tensor<'_>, dtype: DType) -> Option<Tensor<'_>> {
    let node = x.builder().node(x.id());
    let operand = |i: usize| Tensor::new(x.builder(), node.inputs[i]);
    match node.op {
        Op::Cast => Some(operand(0)).filter(|t| t.dtype() == dtype),
        Op::Move(Movement::Concat(_)) if !node.inputs.is_empty() => {
            let part = |i: usize| narrowed(operand(i), dtype).unwrap_or_else(|| operand(i).cast(dtype));
            let parts: Vec<Tensor<'_>> = (0..node.inputs.len()).map(part).collect();
            Some(parts[0].push(node.op, &parts[1..], node.shape))
        }
        Op::Move(_) if node.inputs.len() == 1 => {
            narrowed(operand(0), dtype).map(|narrow| narrow.push(node.op, &[], node.shape))
        }
        _ => None,
    }
}
