use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{cell::RefCell, panic::Location};

use crate::{
    BuildError, DType, Graph, Init, InputSpec, Node, NodeId, Op, Output, ParamSpec, Shape, Tensor, Update,
    op::{Distribution, infer},
};

/// Records a graph. Errors are sticky: the first one is kept with the caller's source line and
/// returned by [`finish`](Builder::finish), so that the code of layers needs no `?`.
///
/// Equal operations on equal operands are recorded once, and trivial ones not at all.
#[derive(Default)]
pub struct Builder {
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    graph: Graph,
    known: BTreeMap<(Op, Vec<NodeId>, Shape, DType), NodeId>,
    error: Option<BuildError>,
    /// Whether recorded operations may be merged with those they depend on: no gradient is asked for any more.
    merging: bool,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// A run-time input. Names are unique.
    #[track_caller]
    pub fn input(&self, name: &str, shape: &[usize], dtype: DType) -> Tensor<'_> {
        let shape = self.checked_shape(shape);
        let index = {
            let inputs = &mut self.inner.borrow_mut().graph.inputs;
            let fresh = inputs.iter().all(|i| i.name != name);
            inputs.push(InputSpec { name: name.to_owned(), shape, dtype });
            fresh.then_some(inputs.len() as u32 - 1)
        };
        match index {
            Some(index) => self.push_typed(Op::Input(index), &[], shape, Some(dtype)),
            None => self.fail(format!("input `{name}` is declared twice"), shape),
        }
    }

    /// A named tensor of the store. Declaring it again with the same shape gives the same tensor.
    #[track_caller]
    pub fn param(&self, name: &str, shape: &[usize], dtype: DType, init: Init) -> Tensor<'_> {
        let shape = self.checked_shape(shape);
        let known = {
            let params = &mut self.inner.borrow_mut().graph.params;
            match params.iter().position(|p| p.name == name) {
                Some(index) => Ok((index, params[index].shape, params[index].dtype)),
                None => {
                    params.push(ParamSpec { name: name.to_owned(), shape, dtype, init });
                    Err(params.len() - 1)
                }
            }
        };
        let index = match known {
            Ok((_, s, d)) if s != shape || d != dtype => {
                return self.fail(format!("parameter `{name}` is declared as {d} {s} and as {dtype} {shape}"), shape);
            }
            Ok((index, ..)) | Err(index) => index,
        };
        self.push_typed(Op::Param(index as u32), &[], shape, Some(dtype))
    }

    /// A constant tensor of `F32`.
    #[track_caller]
    pub fn literal(&self, shape: &[usize], values: &[f32]) -> Tensor<'_> {
        let shape = self.checked_shape(shape);
        if shape.count() != values.len() {
            return self.fail(format!("a literal of shape {shape} was given {} values", values.len()), shape);
        }
        let index = {
            let literals = &mut self.inner.borrow_mut().graph.literals;
            let same =
                |l: &Vec<f32>| l.len() == values.len() && l.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
            literals.iter().position(same).unwrap_or_else(|| {
                literals.push(values.to_vec());
                literals.len() - 1
            })
        };
        self.push(Op::Literal(index as u32), &[], shape)
    }

    /// The same number everywhere.
    #[track_caller]
    pub fn fill(&self, shape: &[usize], value: f32, dtype: DType) -> Tensor<'_> {
        let shape = self.checked_shape(shape);
        self.push_typed(Op::Fill(value.into()), &[], shape, Some(dtype))
    }

    /// Random numbers of `F32`: a pure function of the key (`U32 [2]`), the stream and the element's place.
    #[track_caller]
    pub fn random(&self, law: Distribution, key: Tensor<'_>, stream: u32, shape: &[usize]) -> Tensor<'_> {
        let shape = self.checked_shape(shape);
        if !self.owns(key) {
            return self.fail("random: the key belongs to another builder".into(), shape);
        }
        self.push(Op::Random(law, stream), &[key.id()], shape)
    }

    /// Replaces a parameter by this value when a run ends. All new values are computed from the old ones.
    #[track_caller]
    pub fn update(&self, param: Tensor<'_>, value: Tensor<'_>) {
        if !self.owns(param) || !self.owns(value) {
            self.fail("update: a tensor belongs to another builder".into(), Shape::SCALAR);
            return;
        }
        let (p, v) = (param.id(), value.id());
        let message = {
            let inner = &mut *self.inner.borrow_mut();
            let (target, node) = (&inner.graph.nodes[p.index()], &inner.graph.nodes[v.index()]);
            match target.op {
                Op::Param(_) if target.shape != node.shape || target.dtype != node.dtype => Some(format!(
                    "a parameter of {} {} cannot become {} {}",
                    target.dtype, target.shape, node.dtype, node.shape
                )),
                Op::Param(index) if inner.graph.updates.iter().any(|u| u.param == index as usize) => {
                    Some("a parameter is updated twice".to_string())
                }
                Op::Param(index) => {
                    inner.graph.updates.push(Update { param: index as usize, node: v });
                    None
                }
                _ => Some(format!("only parameters can be updated, got `{}`", target.op.name())),
            }
        };
        if let Some(message) = message {
            self.fail(message, Shape::SCALAR);
        }
    }

    /// Says that a step may be cut in two at this value, which is a mean over examples: see [`Graph::cut`].
    #[track_caller]
    pub fn cut(&self, value: Tensor<'_>) {
        if self.owns(value) {
            self.inner.borrow_mut().graph.cuts.push(value.id());
        } else {
            self.fail("cut: a tensor belongs to another builder".into(), Shape::SCALAR);
        }
    }

    /// The parameters declared so far.
    pub fn params(&self) -> Vec<ParamSpec> {
        self.inner.borrow().graph.params.clone()
    }

    /// The tensor of a declared parameter.
    pub fn find_param(&self, name: &str) -> Option<Tensor<'_>> {
        let spec = self.inner.borrow().graph.params.iter().find(|p| p.name == name).cloned()?;
        Some(self.param(&spec.name, &spec.shape, spec.dtype, spec.init))
    }

    /// The tensor recorded at a place ([`NodeId::index`]), for those who keep numbers, as bindings of other languages do.
    pub fn at(&self, place: usize) -> Option<Tensor<'_>> {
        let recorded = place < self.inner.borrow().graph.nodes.len();
        recorded.then(|| Tensor::new(self, NodeId(place as u32)))
    }

    /// The graph of these named outputs and all updates, without what they do not need.
    #[track_caller]
    pub fn finish(&self, outputs: &[(&str, Tensor<'_>)]) -> Result<Graph, BuildError> {
        let inner = self.inner.borrow();
        if let Some(error) = &inner.error {
            return Err(error.clone());
        }
        if let Some((name, _)) = outputs.iter().find(|(_, t)| !self.owns(*t)) {
            let message = format!("output `{name}` belongs to another builder");
            return Err(BuildError { message, location: Location::caller() });
        }
        let mut graph = inner.graph.clone();
        graph.outputs = outputs.iter().map(|(name, t)| Output { name: (*name).to_owned(), node: t.id() }).collect();
        Ok(graph.pruned().rebuilt(|_, _| None))
    }

    /// A builder that continues a finished graph's inputs, parameters and literals, without its nodes,
    /// and merges operations.
    pub(crate) fn resume(graph: &Graph) -> Builder {
        let graph = Graph {
            inputs: graph.inputs.clone(),
            params: graph.params.clone(),
            literals: graph.literals.clone(),
            ..Graph::default()
        };
        Builder { inner: RefCell::new(Inner { graph, merging: true, ..Inner::default() }) }
    }

    /// Names outputs and updates of a graph that was rebuilt node by node.
    pub(crate) fn conclude(self, outputs: Vec<Output>, updates: Vec<Update>) -> Graph {
        Graph { outputs, updates, ..self.inner.into_inner().graph }.pruned()
    }

    pub(crate) fn owns(&self, tensor: Tensor<'_>) -> bool {
        core::ptr::eq(self, tensor.builder())
    }

    pub(crate) fn failed(&self) -> bool {
        self.inner.borrow().error.is_some()
    }

    pub(crate) fn node(&self, id: NodeId) -> Node {
        self.inner.borrow().graph.nodes[id.index()].clone()
    }

    pub(crate) fn with_node<T>(&self, id: NodeId, f: impl FnOnce(&Node) -> T) -> T {
        f(&self.inner.borrow().graph.nodes[id.index()])
    }

    /// Records an operation and returns its result, which may be an older equal node.
    #[track_caller]
    pub(crate) fn push(&self, op: Op, inputs: &[NodeId], want: Shape) -> Tensor<'_> {
        self.push_typed(op, inputs, want, None)
    }

    #[track_caller]
    pub(crate) fn push_typed(&self, op: Op, inputs: &[NodeId], want: Shape, dtype: Option<DType>) -> Tensor<'_> {
        if self.failed() {
            return self.poison(want);
        }
        let operands: Vec<(Shape, DType)> = inputs.iter().map(|&i| self.with_node(i, |n| (n.shape, n.dtype))).collect();
        let (shape, dtype) = match infer(&op, &operands, want) {
            Ok((shape, _)) if Shape::new(&shape).is_none() => {
                return self.fail(format!("{}: the result {shape} is too large", op.name()), want);
            }
            Ok((shape, inferred)) => (shape, dtype.unwrap_or(inferred)),
            Err(message) => return self.fail(format!("{}: {message}", op.name()), want),
        };
        let merging = self.inner.borrow().merging;
        // No user of a value at which a step may be cut reaches past it.
        let whole = || !inputs.iter().any(|input| self.inner.borrow().graph.cuts.contains(input));
        let merged = || (merging && whole()).then(|| self.merged(op, inputs, shape)).flatten();
        if let Some(simpler) = self.simplified(op, inputs, shape, dtype).or_else(merged) {
            return simpler;
        }
        let inner = &mut *self.inner.borrow_mut();
        let id = *inner.known.entry((op, inputs.to_vec(), shape, dtype)).or_insert_with(|| {
            inner.graph.nodes.push(Node { op, inputs: inputs.to_vec(), shape, dtype });
            NodeId(inner.graph.nodes.len() as u32 - 1)
        });
        Tensor::new(self, id)
    }

    /// Keeps the first error; the tensor returned has the wanted shape, so that code goes on undisturbed.
    #[track_caller]
    pub(crate) fn fail(&self, message: String, shape: Shape) -> Tensor<'_> {
        let location = Location::caller();
        self.inner.borrow_mut().error.get_or_insert(BuildError { message, location });
        self.poison(shape)
    }

    fn poison(&self, shape: Shape) -> Tensor<'_> {
        let inner = &mut *self.inner.borrow_mut();
        inner.graph.nodes.push(Node { op: Op::Fill(0.0.into()), inputs: Vec::new(), shape, dtype: DType::F32 });
        Tensor::new(self, NodeId(inner.graph.nodes.len() as u32 - 1))
    }

    #[track_caller]
    fn checked_shape(&self, extents: &[usize]) -> Shape {
        match Shape::new(extents) {
            Some(shape) => shape,
            None => {
                let most = crate::MAX_RANK;
                self.fail(format!("a shape has at most {most} axes and 2^47 elements, got {extents:?}"), Shape::SCALAR);
                Shape::SCALAR
            }
        }
    }
}
