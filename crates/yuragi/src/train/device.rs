//! A training step on the machine that computes it, with the weights that it changes.

use std::{collections::BTreeSet, ops::Range};

use yuragi_graph::{
    Alone, Backend, Collective, GRADIENT, Graph, HostTensor, Lost, Number, Params, Precision, Slice, SliceMut,
};
use yuragi_nn::{optim, step::Step};

#[cfg(feature = "nccl")]
use crate::ranks::Ranks;
use crate::{
    Failure,
    machine::{Machine, Store},
};

/// How a step is shared.
#[derive(Clone, Copy)]
pub struct Sharing<'r> {
    /// The slices of a batch.
    pub slices: usize,
    /// Who shares them.
    pub ranks: &'r dyn Collective,
    /// What travels between them.
    pub exchange: Exchange,
}

/// What ranks that share a step give each other, and who keeps what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exchange {
    /// Gradients, added in one tree: the bits of one process. All keep all.
    #[default]
    Whole,
    /// Gradients, added in one tree, and weights: each keeps a share of the optimiser's state.
    Sharded,
    /// Gradients that stay on the ranks' GPUs, between which NCCL adds them up in an order of its own.
    Nccl,
}

impl Sharing<'static> {
    /// One process, and batches in one piece.
    pub const NONE: Sharing<'static> = Sharing { slices: 1, ranks: &Alone, exchange: Exchange::Whole };
}

/// A compiled training step, which ranks may share, and weights with their optimiser's state where it runs.
pub struct Trainer<'r> {
    machine: Machine,
    step: Step<Machine>,
    store: Store,
    ranks: &'r dyn Collective,
}

/// Who wants the weights and the optimiser's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// The first rank, which writes.
    First,
    /// All.
    All,
}

impl<'r> Trainer<'r> {
    /// Takes the weights to the machine. A step is of slices, of each of which this is the graph, and which ranks share.
    pub fn new(
        machine: &Machine,
        graph: &Graph,
        mut params: Params,
        Sharing { slices, ranks, exchange }: Sharing<'r>,
    ) -> Result<Trainer<'r>, Failure> {
        if exchange == Exchange::Nccl {
            check_nccl(machine, ranks)?;
        }
        let (step, store) = match exchange {
            Exchange::Whole => {
                let store = machine.upload(params)?;
                (Step::new(machine, graph, &store, slices, ranks)?, store)
            }
            Exchange::Sharded => {
                if ranks.rank() > 0 {
                    // What the first rank alone writes: the state of what was learned before.
                    let here: BTreeSet<&str> = graph.params().iter().map(|spec| &*spec.name).collect();
                    params.retain(|name| here.contains(name) || !optim::is_state(name));
                }
                Step::sharded(machine, graph, params, slices, ranks)?
            }
            Exchange::Nccl => Step::stored(machine, graph, params, slices, ranks)?,
        };
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
        let (machine, ranks) = (&self.machine, self.ranks);
        let mut add = |store: &mut Store| add(machine, store, ranks);
        self.step.run_by(&mut self.store, ranks, inputs, &mut views, &mut add)?;
        Ok(outputs.map(|[x]| x))
    }

    /// Whether its loss is scaled.
    pub fn is_scaled(&self) -> bool {
        self.machine.precision() == Precision::F16
    }

    /// The weights and the optimiser's state as they are now, for who wants them; a rank that does not has what it keeps. All
    /// ranks ask for it together.
    pub fn params(&self, whose: For) -> Result<Params, Failure> {
        let (rank, keepers) = (self.ranks.rank(), self.step.keepers());
        let wants = |to: usize| to == 0 || whose == For::All;
        let all = keepers.is_empty() || wants(rank);
        let keeps = |name: &str| keepers.iter().any(|(keeper, spec)| *keeper == rank && spec.name == name);
        let mut params = self.params_only(&|name| if all { !name.starts_with(GRADIENT) } else { keeps(name) })?;
        if keepers.is_empty() {
            return Ok(params);
        }
        let mut own = Vec::new();
        for (_, spec) in keepers.iter().filter(|(keeper, _)| *keeper == rank) {
            if let Some(tensor) = params.get(&spec.name) {
                f32::write(&tensor.to_f32(), &mut own);
            }
        }
        let parcel = |to: usize| if to != rank && wants(to) { own.clone() } else { Vec::new() };
        let parcels: Vec<Vec<u8>> = (0..self.ranks.size()).map(parcel).collect();
        drop(own);
        let found = self.ranks.exchange(&parcels)?;
        drop(parcels);
        let mut rest: Vec<&[u8]> = found.iter().map(Vec::as_slice).collect();
        for (keeper, spec) in keepers.iter().filter(|(keeper, _)| *keeper != rank && wants(rank)) {
            let bytes = rest.get_mut(*keeper).and_then(|rest| rest.split_off(..spec.shape.count() * f32::SIZE));
            let bytes = bytes.ok_or_else(|| Failure::new(format!("rank {keeper} lacks `{}`", spec.name)))?;
            let mut values = vec![0.0; spec.shape.count()];
            f32::read(bytes, &mut values);
            if let Some(tensor) = HostTensor::new(spec.shape, values) {
                params.insert(&spec.name, tensor);
            }
        }
        Ok(params)
    }

    /// Those whose names are wanted.
    pub fn params_only(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Params, Failure> {
        Ok(self.machine.download_only(&self.store, wanted)?)
    }
}

/// Adds up, over all ranks, the gradients that are in their stores.
fn add(machine: &Machine, store: &mut Store, ranks: &dyn Collective) -> Result<(), Lost> {
    if ranks.size() == 1 {
        return Ok(());
    }
    #[cfg(feature = "nccl")]
    if let Some(ranks) = ranks.as_any().and_then(|any| any.downcast_ref::<Ranks>()) {
        let added = ranks.sum(machine, store, &|name| name.starts_with(GRADIENT));
        return added.map_err(|failure| Lost::new(failure.to_string()));
    }
    let _ = (machine, store);
    Err(Lost::new(NOT_BY_NCCL))
}

/// Why gradients of ranks cannot be added up on their GPUs.
const NOT_BY_NCCL: &str = if cfg!(feature = "nccl") {
    "these ranks cannot add up what is on their GPUs (`--reduce nccl`): only those that the program joins itself can"
} else {
    "this program was built without NCCL (`--features nccl`), which adds up what is on GPUs (`--reduce nccl`)"
};

/// Whether NCCL can add up what these ranks have on this machine, before anything is computed.
fn check_nccl(machine: &Machine, ranks: &dyn Collective) -> Result<(), Failure> {
    if !machine.is_gpu() {
        return Err(Failure::new("NCCL adds up what is on GPUs (`--reduce nccl`), and this is a processor"));
    }
    #[cfg(feature = "nccl")]
    let can = ranks.as_any().is_some_and(|any| any.is::<Ranks>());
    #[cfg(not(feature = "nccl"))]
    let can = false;
    if ranks.size() > 1 && !can { Err(Failure::new(NOT_BY_NCCL)) } else { Ok(()) }
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
