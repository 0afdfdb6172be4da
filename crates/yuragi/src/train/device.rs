//! A training step on the machine that computes it, with the weights that it changes.

use yuragi_graph::{Backend, Graph, Params, Plan, Precision, Slice, SliceMut};

use crate::{
    Failure,
    machine::{Machine, MachinePlan, State, Store},
};

/// A compiled training step, and weights with their optimiser's state where it runs.
pub struct Trainer {
    machine: Machine,
    plan: MachinePlan,
    state: State,
    store: Store,
}

impl Trainer {
    /// Takes the weights to the machine.
    pub fn new(machine: &Machine, graph: &Graph, params: Params) -> Result<Trainer, Failure> {
        let plan = machine.compile(graph)?;
        let store = machine.upload(params)?;
        Ok(Trainer { machine: machine.clone(), state: plan.state(&store)?, plan, store })
    }

    /// One step, which gives numbers.
    pub fn step<const N: usize>(&mut self, inputs: &[Slice<'_>]) -> Result<[f32; N], Failure> {
        let mut outputs = [[0.0_f32; 1]; N];
        let mut views = outputs.each_mut().map(|o| SliceMut::F32(o));
        self.plan.update(&mut self.state, &mut self.store, inputs, &mut views)?;
        Ok(outputs.map(|[x]| x))
    }

    /// Whether its loss is scaled.
    pub fn is_scaled(&self) -> bool {
        self.machine.precision() == Precision::F16
    }

    /// The weights and the optimiser's state as they are now.
    pub fn params(&self) -> Result<Params, Failure> {
        Ok(self.machine.download(&self.store)?)
    }

    /// Those whose names are wanted.
    pub fn params_only(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Params, Failure> {
        Ok(self.machine.download_only(&self.store, wanted)?)
    }
}
