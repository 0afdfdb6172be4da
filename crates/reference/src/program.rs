use alloc::{string::ToString, vec, vec::Vec};

use yuragi_graph::{DType, Graph, Node, NodeId, Op, RunError, Shape};

use crate::{Number, conv, elementwise, gather, matmul, movement, random, reduce};

/// A graph in primitive operations: every fused one is replaced by its expansion.
#[derive(Clone, Debug)]
pub struct Program {
    graph: Graph,
    /// The nodes whose value nobody needs after this node.
    expiring: Vec<Vec<usize>>,
}

/// What a run gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Values<T> {
    /// In the order of [`Graph::outputs`].
    pub outputs: Vec<Vec<T>>,
    /// The parameters' new values, in the order of [`Graph::updates`].
    pub updates: Vec<Vec<T>>,
}

impl Program {
    /// Prepares a graph.
    pub fn new(graph: &Graph) -> Program {
        let graph = graph.expanded(|_, _, _| false);
        let count = graph.nodes().len();
        let mut last = vec![None; count];
        for id in graph.ids() {
            for input in &graph.node(id).inputs {
                last[input.index()] = Some(id.index());
            }
        }
        for kept in graph.outputs().iter().map(|o| o.node).chain(graph.updates().iter().map(|u| u.node)) {
            last[kept.index()] = None;
        }
        let mut expiring = vec![Vec::new(); count];
        for (node, last) in last.into_iter().enumerate() {
            if let Some(last) = last {
                expiring[last].push(node);
            }
        }
        Program { graph, expiring }
    }

    /// The graph of primitive operations.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Evaluates every node. Inputs and parameters are given in the graph's order and are taken as
    /// they stand: not rounded to their declared element types.
    ///
    /// # Errors
    /// [`RunError::Count`] and [`RunError::Operand`] if the inputs or parameters are not those the
    /// graph declares; [`RunError::Index`] if an index lies outside its table.
    pub fn run<T: Number>(&self, inputs: &[Vec<f64>], params: &[Vec<f64>]) -> Result<Values<T>, RunError> {
        let declared_inputs = self.graph.inputs().iter().map(|i| (i.name.as_str(), i.shape, i.dtype));
        let declared_params = self.graph.params().iter().map(|p| (p.name.as_str(), p.shape, p.dtype));
        check("inputs", declared_inputs, inputs)?;
        check("parameters", declared_params, params)?;
        let mut values = vec![None; self.graph.nodes().len()];
        for id in self.graph.ids() {
            self.step::<T>(id, &mut values, &|i| &inputs[i], &|i| params[i].clone())?;
        }
        let of = |id: NodeId| values[id.index()].clone().unwrap_or_default();
        Ok(Values {
            outputs: self.graph.outputs().iter().map(|o| of(o.node)).collect(),
            updates: self.graph.updates().iter().map(|u| of(u.node)).collect(),
        })
    }

    /// Evaluates one node from its operands' values, and drops those that nobody needs any more.
    pub(crate) fn step<'a, T: Number>(
        &self,
        id: NodeId,
        values: &mut [Option<Vec<T>>],
        input: &dyn Fn(usize) -> &'a [f64],
        param: &dyn Fn(usize) -> Vec<f64>,
    ) -> Result<(), RunError> {
        let node = self.graph.node(id);
        let exact = |x: &f64| T::exact(*x);
        let value = match node.op {
            Op::Input(i) => input(i as usize).iter().map(exact).collect(),
            Op::Param(i) => param(i as usize).iter().map(exact).collect(),
            Op::Literal(i) => self.graph.literals()[i as usize].iter().map(|&x| T::exact(x.into())).collect(),
            _ => {
                let of = |i: &NodeId| (values[i.index()].as_deref().unwrap_or(&[]), self.graph.node(*i).shape);
                let operands: Vec<(&[T], Shape)> = node.inputs.iter().map(of).collect();
                evaluate(node, &operands)?
            }
        };
        values[id.index()] = Some(value);
        for &expired in &self.expiring[id.index()] {
            values[expired] = None;
        }
        Ok(())
    }
}

/// Whether values are as many as declared.
fn check<'a>(
    what: &'static str,
    declared: impl ExactSizeIterator<Item = (&'a str, Shape, DType)>,
    given: &[Vec<f64>],
) -> Result<(), RunError> {
    if declared.len() != given.len() {
        return Err(RunError::Count { what, want: declared.len(), have: given.len() });
    }
    for ((name, shape, dtype), values) in declared.zip(given) {
        if shape.count() != values.len() {
            let name = name.to_string();
            return Err(RunError::Operand { name, want: (shape.count(), dtype), have: (values.len(), dtype) });
        }
    }
    Ok(())
}

/// One operation on its operands.
fn evaluate<T: Number>(node: &Node, x: &[(&[T], Shape)]) -> Result<Vec<T>, RunError> {
    let shape = node.shape;
    let count = shape.count();
    let mut out = match node.op {
        Op::Fill(value) => vec![T::exact(value.get().into()); count],
        Op::Unary(op) => elementwise::unary(op, x[0].0),
        Op::Binary(op) => elementwise::binary(op, x[0].0, x[1].0),
        Op::Cast => return Ok(x[0].0.iter().map(|x| x.cast(node.dtype)).collect()),
        Op::Reduce(op, _) => reduce::reduce(op, x[0].0, &x[0].1, &shape),
        Op::MatMul(op) => {
            let batches = shape[..shape.rank() - 2].iter().product();
            let extents = op.extents(&x[0].1, &x[1].1).unwrap_or_default();
            matmul::matmul(op, x[0].0, x[1].0, batches, extents, node.dtype)
        }
        Op::Conv(op) => conv::conv(op, x[0], x[1], shape, node.dtype),
        Op::ScatterAdd(rows) => {
            let width = shape[1..].iter().product();
            gather::scatter_add(x[0].0, x[1].0, rows, width)?
        }
        Op::Select => return Ok(elementwise::select(x[0].0, x[1].0, x[2].0)),
        Op::Move(op) => return Ok(movement::movement(op, x, &shape)),
        Op::Gather => {
            let (table, from) = x[0];
            return gather::gather(table, from[0], from[1..].iter().product(), x[1].0);
        }
        Op::Random(law, stream) => return Ok(random::random(law, x[0].0, stream, count)),
        // `step` reads these, and a program has no fused operation.
        Op::Input(_) | Op::Param(_) | Op::Literal(_) | Op::Fused(_) => Vec::new(),
    };
    if node.dtype != DType::F32 {
        out.iter_mut().for_each(|x| *x = x.cast(node.dtype));
    }
    Ok(out)
}
