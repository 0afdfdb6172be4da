use alloc::{borrow::ToOwned, string::ToString, vec, vec::Vec};
use core::marker::PhantomData;

use yuragi_graph::{
    Backend, CompileError, DType, Graph, HostTensor, InputSpec, Memory, Node, Params, Plan, Progress, RunError, Shape,
    Slice, SliceMut, Storage, View, ViewMut, op::Fused,
};

use crate::{Bounded, Number, Program, Single, Values};

/// The reference as a backend. It claims no fused operation.
///
/// ```
/// use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
/// use yuragi_reference::Reference;
/// let b = Builder::new();
/// let x = b.input("x", &[2], DType::F32);
/// let graph = b.finish(&[("y", x * x)]).unwrap();
/// let plan = Reference::truth().compile(&graph)?;
/// let store = Params::new();
/// let mut state = plan.state(&store)?;
/// let mut y = [0.0; 2];
/// plan.run(&mut state, &store, &[Slice::F32(&[3.0, 4.0])], &mut [SliceMut::F32(&mut y)])?;
/// assert_eq!(y, [9.0, 16.0]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference<T>(PhantomData<T>);

impl Reference<f64> {
    /// The truth: nothing is rounded but inputs, parameters and outputs.
    pub const fn truth() -> Reference<f64> {
        Reference(PhantomData)
    }
}

impl Reference<Single> {
    /// Every operation is rounded to its element type; sums run in index order. Whole models are
    /// judged against its error.
    pub const fn single() -> Reference<Single> {
        Reference(PhantomData)
    }
}

/// A graph ready to be evaluated node by node: one launch each.
#[derive(Clone, Debug)]
pub struct Evaluation<T> {
    program: Program,
    number: PhantomData<T>,
}

/// The values of a run under way.
#[derive(Clone, Debug)]
pub struct State<T> {
    places: Vec<usize>,
    inputs: Vec<Vec<f64>>,
    values: Vec<Option<Vec<T>>>,
    next: usize,
    begun: bool,
}

impl<T: Number> Backend for Reference<T> {
    type Store = Params;
    type Plan = Evaluation<T>;

    fn claims(&self, _op: &Fused, _node: &Node, _operands: &[Shape]) -> bool {
        false
    }

    fn compile(&self, graph: &Graph) -> Result<Evaluation<T>, CompileError> {
        Ok(Evaluation { program: Program::new(graph), number: PhantomData })
    }

    fn upload(&self, params: Params) -> Result<Params, RunError> {
        Ok(params)
    }

    fn download(&self, store: &Params) -> Result<Params, RunError> {
        Ok(store.clone())
    }
}

impl<T: Number> Evaluation<T> {
    fn step(&self, state: &mut State<T>, store: &Params, launches: usize) -> Result<Progress, RunError> {
        let graph = self.program.graph();
        if !state.begun {
            return Err(RunError::Unfinished);
        }
        for id in graph.ids().skip(state.next).take(launches) {
            let State { places, inputs, values, .. } = state;
            let param = |i: usize| store.at(places[i]).map(stored).unwrap_or_default();
            self.program.step(id, values, &|i| &inputs[i], &param)?;
            state.next = id.index() + 1;
        }
        match graph.nodes().len() - state.next {
            0 => Ok(Progress::Done),
            remaining => Ok(Progress::Running(remaining)),
        }
    }
}

impl<T: Number> Plan for Evaluation<T> {
    type Store = Params;
    type State = State<T>;

    fn memory(&self) -> Memory {
        let graph = self.program.graph();
        let bytes = |count: usize| count * size_of::<T>();
        let params = graph.params().iter().map(|p| p.shape.count() * p.dtype.size()).sum();
        Memory {
            arena: bytes(graph.nodes().iter().map(|n| n.shape.count()).sum()),
            literals: graph.literals().iter().map(|l| l.len() * size_of::<f32>()).sum(),
            params,
            resident: params,
        }
    }

    fn launches(&self) -> usize {
        self.program.graph().nodes().len()
    }

    fn state(&self, store: &Params) -> Result<State<T>, RunError> {
        let places = self.program.graph().params().iter().map(|spec| spec.place_in(store)).collect::<Result<_, _>>()?;
        Ok(State { places, inputs: Vec::new(), values: Vec::new(), next: 0, begun: false })
    }

    fn begin(&self, state: &mut State<T>, inputs: &[View<'_>]) -> Result<(), RunError> {
        let graph = self.program.graph();
        state.inputs = widened(graph.inputs(), inputs)?;
        state.values = vec![None; graph.nodes().len()];
        state.next = 0;
        state.begun = true;
        Ok(())
    }

    fn advance(&self, state: &mut State<T>, store: &Params, launches: usize) -> Result<Progress, RunError> {
        if !self.program.graph().updates().is_empty() {
            return Err(RunError::Updates);
        }
        self.step(state, store, launches)
    }

    fn finish(&self, state: &State<T>, outputs: &mut [ViewMut<'_>]) -> Result<(), RunError> {
        let graph = self.program.graph();
        if !state.begun || state.next < graph.nodes().len() {
            return Err(RunError::Unfinished);
        }
        if outputs.len() != graph.outputs().len() {
            return Err(RunError::Count { what: "outputs", want: graph.outputs().len(), have: outputs.len() });
        }
        outputs.iter_mut().enumerate().try_for_each(|(output, out)| self.output(state, output, out))
    }

    fn ready(&self, output: usize) -> usize {
        self.program.graph().outputs().get(output).map_or(self.launches(), |output| output.node.index() + 1)
    }

    fn output(&self, state: &State<T>, output: usize, out: &mut ViewMut<'_>) -> Result<(), RunError> {
        let graph = self.program.graph();
        graph.check_output(output, out)?;
        if !state.begun || state.next < self.ready(output) {
            return Err(RunError::Unfinished);
        }
        let spec = &graph.outputs()[output];
        let node = graph.node(spec.node);
        let have = (out.as_slice().len(), out.as_slice().dtype());
        if have != (node.shape.count(), passed(node.dtype)) {
            let name = spec.name.clone();
            return Err(RunError::Operand { name, want: (node.shape.count(), passed(node.dtype)), have });
        }
        let values = state.values[spec.node.index()].iter().flatten().map(|x| node.dtype.round(x.value()));
        match out {
            SliceMut::F32(out) => out.iter_mut().zip(values).for_each(|(o, x)| *o = x as f32),
            SliceMut::I32(out) => out.iter_mut().zip(values).for_each(|(o, x)| *o = x as i32),
            SliceMut::U32(out) => out.iter_mut().zip(values).for_each(|(o, x)| *o = x as u32),
        }
        Ok(())
    }

    fn update(
        &self,
        state: &mut State<T>,
        store: &mut Params,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
    ) -> Result<(), RunError> {
        let graph = self.program.graph();
        for update in graph.updates() {
            let target = store.at(state.places[update.param]).map(HostTensor::storage);
            if let Some(Storage::Shared(..) | Storage::Groups(_)) = target {
                return Err(RunError::Borrowed(graph.params()[update.param].name.clone()));
            }
        }
        self.begin(state, inputs)?;
        self.step(state, store, usize::MAX)?;
        self.finish(state, outputs)?;
        for update in graph.updates() {
            let dtype = graph.params()[update.param].dtype;
            let new = state.values[update.node.index()].iter().flatten();
            if let Some(values) = store.at_mut(state.places[update.param]).and_then(HostTensor::values_mut) {
                values.iter_mut().zip(new).for_each(|(value, x)| *value = dtype.round(x.value()) as f32);
            }
        }
        Ok(())
    }
}

/// The type in which elements of a type are passed to and from a run.
fn passed(dtype: DType) -> DType {
    if dtype.is_float() { DType::F32 } else { dtype }
}

/// A parameter's elements.
fn stored(tensor: &HostTensor) -> Vec<f64> {
    tensor.to_f32().into_iter().map(f64::from).collect()
}

/// Inputs of a run as `f64`, rounded to the element types that the graph declares.
///
/// # Errors
/// [`RunError::Count`] or [`RunError::Operand`] if they are not those inputs.
pub fn widened(specs: &[InputSpec], inputs: &[View<'_>]) -> Result<Vec<Vec<f64>>, RunError> {
    if inputs.len() != specs.len() {
        return Err(RunError::Count { what: "inputs", want: specs.len(), have: inputs.len() });
    }
    let widen = |(spec, view): (&InputSpec, &View<'_>)| {
        let (want, have) = ((spec.shape.count(), passed(spec.dtype)), (view.len(), view.dtype()));
        if want != have {
            return Err(RunError::Operand { name: spec.name.to_string(), want, have });
        }
        Ok(match view {
            Slice::F32(x) => x.iter().map(|&x| spec.dtype.round(x.into())).collect(),
            Slice::I32(x) => x.iter().map(|&x| x.into()).collect(),
            Slice::U32(x) => x.iter().map(|&x| x.into()).collect(),
        })
    };
    specs.iter().zip(inputs).map(widen).collect()
}

/// The outputs and updates of a graph, each number with a bound on the error of any correct backend.
///
/// # Errors
/// Those of [`Plan::state`] and [`Plan::run`].
pub fn bounds(graph: &Graph, params: &Params, inputs: &[View<'_>]) -> Result<Values<Bounded>, RunError> {
    let params = graph
        .params()
        .iter()
        .map(|spec| {
            let place = spec.place_in(params)?;
            let tensor = params.at(place).ok_or_else(|| RunError::MissingParam(spec.name.to_owned()))?;
            Ok(stored(tensor))
        })
        .collect::<Result<Vec<_>, RunError>>()?;
    Program::new(graph).run(&widened(graph.inputs(), inputs)?, &params)
}
