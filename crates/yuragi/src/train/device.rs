//! A training step on the machine that computes it, with the weights that it changes.

use std::ops::Range;

use yuragi_graph::{Alone, Backend, Collective, Graph, Params, Precision, Slice, SliceMut};
use yuragi_nn::step::Step;

use crate::{
    Failure,
    machine::{Machine, Store},
};

/// A compiled training step, which ranks may share, and weights with their optimiser's state where it runs.
pub struct Trainer<'r> {
    machine: Machine,
    step: Step<Machine>,
    store: Store,
    ranks: &'r dyn Collective,
}

impl Trainer<'_> {
    /// One process, and batches in one piece.
    pub fn alone(machine: &Machine, graph: &Graph, params: Params) -> Result<Trainer<'static>, Failure> {
        Trainer::new(machine, graph, params, (1, &Alone))
    }
}

impl<'r> Trainer<'r> {
    /// Takes the weights to the machine. A step is of so many slices, of each of which this is the graph, and which these
    /// ranks share.
    pub fn new(
        machine: &Machine,
        graph: &Graph,
        params: Params,
        (slices, ranks): (usize, &'r dyn Collective),
    ) -> Result<Trainer<'r>, Failure> {
        let store = machine.upload(params)?;
        let step = Step::new(machine, graph, &store, slices, ranks)?;
        Ok(Trainer { machine: machine.clone(), step, store, ranks })
    }

    /// The places of a batch that are learned from here.
    pub fn places(&self, batch: usize) -> Range<usize> {
        self.step.places(batch, self.ranks)
    }

    /// One step from the examples at [`places`](Self::places), which gives numbers, the same on all ranks.
    pub fn step<const N: usize>(&mut self, inputs: &[Slice<'_>]) -> Result<[f32; N], Failure> {
        let mut outputs = [[0.0_f32; 1]; N];
        let mut views = outputs.each_mut().map(|o| SliceMut::F32(o));
        self.step.run(&mut self.store, self.ranks, inputs, &mut views)?;
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

/// Whether a batch is whole slices, of which each rank has one at least.
///
/// # Errors
/// It is not: what would be.
pub fn check_slices(slices: usize, batches: &[(&str, usize)], ranks: &dyn Collective) -> Result<(), Failure> {
    if slices == 0 {
        return Err(Failure::new("the number of slices is 0, must be at least 1"));
    }
    if let Some((name, batch)) = batches.iter().find(|(_, batch)| !batch.is_multiple_of(slices)) {
        return Err(Failure::new(format!("{name} of {batch} is not a multiple of its {slices} slices (`--slices`)")));
    }
    let size = ranks.size();
    if size > slices {
        let has = if slices == 1 { "is one slice".to_owned() } else { format!("has {slices} slices") };
        return Err(Failure::new(format!(
            "{size} ranks share the slices of a batch, and it {has}: a training that begins with `--slices {size}`, or more, can \
             be shared"
        )));
    }
    Ok(())
}
