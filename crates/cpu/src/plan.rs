//! Compiled graphs and their runs.
#![allow(unsafe_code)] // launches read and write one arena through pointers

mod arena;

use alloc::vec::Vec;
use core::fmt;

use yuragi_graph::{
    DType, Graph, HostTensor, Memory, ParamSpec, Params, Plan, Progress, RunError, Slice, SliceMut, Storage, View,
    ViewMut,
};

use crate::{
    kernels,
    lower::{Home, Launch, Lowered},
    threads::Threads,
};
use arena::Arena;

/// When the pages of borrowed parameters, as those of a mapped file, are [given back](yuragi_graph::Bytes::release).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residency {
    /// After each launch that reads them: the least memory; each run takes them from the system's cache of files again.
    Launch,
    /// With a plan's state: they stay from run to run.
    #[default]
    State,
    /// Never.
    Kept,
}

/// Parameters of fewer bytes are not given back after a launch: pages are shared with their neighbours.
const SMALL: usize = 1 << 16;

/// A graph compiled for this machine.
pub struct CpuPlan {
    graph: Graph,
    lowered: Lowered,
    pool: Threads,
    residency: Residency,
    /// Most inputs and outputs of one launch.
    operands: (usize, usize),
}

impl fmt::Debug for CpuPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuPlan").field("launches", &self.launches()).field("memory", &self.memory()).finish()
    }
}

/// The arena of one run at a time.
pub struct CpuState {
    arena: Arena,
    /// The store's place of each parameter of the graph.
    params: Vec<usize>,
    /// The next launch; all done when it is their number.
    next: usize,
    /// Parameters that are given back with the state.
    borrowed: Vec<HostTensor>,
    /// The elements of each parameter, valid during a call.
    pointers: Vec<*mut f32>,
    inputs: Vec<*const f32>,
    outputs: Vec<*mut f32>,
}

impl Drop for CpuState {
    fn drop(&mut self) {
        self.borrowed.iter().for_each(HostTensor::release);
    }
}

// SAFETY: the pointers are set anew before every launch and mean nothing between runs.
unsafe impl Send for CpuState {}
// SAFETY: as above; a shared state is never run.
unsafe impl Sync for CpuState {}

impl fmt::Debug for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuState").field("bytes", &self.arena.size()).field("next", &self.next).finish()
    }
}

impl CpuPlan {
    pub(crate) fn new(graph: Graph, lowered: Lowered, pool: Threads, residency: Residency) -> CpuPlan {
        let most = |count: fn(&crate::lower::Launch) -> usize| lowered.launches.iter().map(count).max().unwrap_or(0);
        let operands = (most(|l| l.inputs.len()), most(|l| l.outputs.len()));
        CpuPlan { graph, lowered, pool, residency, operands }
    }

    /// The graph as it was compiled, with unclaimed fused operations expanded.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What each launch computes, in order: for profiles.
    pub fn launch_names(&self) -> impl ExactSizeIterator<Item = &'static str> + '_ {
        self.lowered.launches.iter().map(|l| l.name)
    }

    /// The name and the shapes of what each launch reads, in order: for profiles of single launches.
    pub fn launch_details(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.lowered.launches.iter().map(|l| l.detail.as_str())
    }

    /// A whole run as by [`Plan::update`] that reports each launch's number when it has ended.
    pub fn update_observed(
        &self,
        state: &mut CpuState,
        store: &mut Params,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        mut observe: impl FnMut(usize),
    ) -> Result<(), RunError> {
        self.check_owned(state, store)?;
        self.graph.check_outputs(outputs)?;
        self.begin(state, inputs)?;
        state.pointers.clear();
        for (&place, spec) in state.params.iter().zip(self.graph.params()) {
            let tensor = store.at_mut(place).ok_or_else(|| RunError::MissingParam(spec.name.clone()))?;
            let elements = elements(tensor, spec)?.cast_mut();
            state.pointers.push(tensor.values_mut().map_or(elements, <[f32]>::as_mut_ptr));
        }
        while state.next < self.launches() {
            // SAFETY: the store is exclusive, and every updated parameter is owned by it.
            unsafe { self.launch(state) };
            self.release(state, store);
            observe(state.next);
            state.next += 1;
        }
        self.finish(state, outputs)
    }

    /// Copies an output, whose view was checked.
    fn read(&self, state: &CpuState, output: usize, view: &mut ViewMut<'_>) {
        let words = state.arena.as_ptr().wrapping_add(self.lowered.outputs[output]);
        // SAFETY: the planner keeps every element of an output from when it is there until the end.
        let values = unsafe { core::slice::from_raw_parts(words, view.as_slice().len()) };
        match view {
            SliceMut::F32(out) => out.copy_from_slice(values),
            SliceMut::I32(out) => out.iter_mut().zip(values).for_each(|(o, x)| *o = x.to_bits() as i32),
            SliceMut::U32(out) => out.iter_mut().zip(values).for_each(|(o, x)| *o = x.to_bits()),
        }
    }

    fn check_owned(&self, state: &CpuState, store: &Params) -> Result<(), RunError> {
        for update in self.graph.updates() {
            let tensor = store.at(state.params[update.param]);
            if !matches!(tensor.map(|t| t.storage()), Some(Storage::F32(_))) {
                return Err(RunError::Borrowed(self.graph.params()[update.param].name.clone()));
            }
        }
        Ok(())
    }

    /// Gives back what the launch at hand has read.
    fn release(&self, state: &CpuState, store: &Params) {
        if self.residency != Residency::Launch {
            return;
        }
        let params = self.lowered.launches[state.next].params();
        let tensors = params.filter_map(|param| store.at(state.params[param]));
        tensors.filter(|t| t.shape().count() * t.dtype().size() >= SMALL).for_each(HostTensor::release);
    }

    /// # Safety
    /// The state's pointers belong to a store that fits the graph.
    unsafe fn launch(&self, state: &mut CpuState) {
        let launch = &self.lowered.launches[state.next];
        let arena = state.arena.as_mut_ptr();
        let at = |(home, offset): &(Home, usize)| match *home {
            Home::Arena(place) => arena.wrapping_add(place + offset),
            Home::Param(param) => {
                let size = self.graph.params()[param].dtype.size();
                state.pointers[param].wrapping_byte_add(offset * size)
            }
            Home::Literal(literal) => self.graph.literals()[literal].as_ptr().cast_mut().wrapping_add(*offset),
        };
        state.inputs.clear();
        state.inputs.extend(launch.inputs.iter().map(|i| at(i).cast_const()));
        state.outputs.clear();
        state.outputs.extend(launch.outputs.iter().map(at));
        let scratch = arena.wrapping_add(launch.scratch);
        // SAFETY: the planner gives every operand its own place while it is alive.
        unsafe { kernels::run(&*launch.kernel, &self.pool, &state.inputs, &state.outputs, scratch) };
    }
}

/// The first element of a parameter, which is as the graph declares it. Half precision is read through the same pointer, as
/// bytes.
fn elements(tensor: &HostTensor, spec: &ParamSpec) -> Result<*const f32, RunError> {
    spec.check((tensor.shape(), tensor.dtype()))?;
    match tensor.storage() {
        Storage::F32(values) => Ok(values.as_ptr()),
        Storage::Shared(bytes, range) => {
            let start = (**bytes).as_ref()[range.clone()].as_ptr();
            let is_readable = spec.dtype.size() != 4 || start.addr().is_multiple_of(4);
            if is_readable { Ok(start.cast()) } else { Err(RunError::NotUploaded(spec.name.clone())) }
        }
        Storage::Groups(_) => Err(RunError::NotUploaded(spec.name.clone())),
    }
}

impl Plan for CpuPlan {
    type Store = Params;
    type State = CpuState;

    fn memory(&self) -> Memory {
        let words = self.graph.literals().iter().map(Vec::len).sum::<usize>();
        let arena = Arena::bytes(self.lowered.arena);
        let bytes = |param: usize| {
            let spec = &self.graph.params()[param];
            spec.shape.count() * spec.dtype.size()
        };
        let params = (0..self.graph.params().len()).map(bytes).sum();
        let resident = match self.residency {
            Residency::State | Residency::Kept => params,
            Residency::Launch => {
                let small: usize = (0..self.graph.params().len()).map(bytes).filter(|&size| size < SMALL).sum();
                let large = |launch: &Launch| launch.params().map(bytes).filter(|&size| size >= SMALL).sum();
                small + self.lowered.launches.iter().map(large).max().unwrap_or(0)
            }
        };
        Memory { arena, literals: words * 4, params, resident }
    }

    fn launches(&self) -> usize {
        self.lowered.launches.len()
    }

    fn state(&self, store: &Params) -> Result<CpuState, RunError> {
        let place = |spec: &ParamSpec| {
            let place = spec.place_in(store)?;
            store.at(place).map_or(Ok(place), |tensor| elements(tensor, spec).map(|_| place))
        };
        let params: Vec<usize> = self.graph.params().iter().map(place).collect::<Result<_, _>>()?;
        let (inputs, outputs) = self.operands;
        let borrowed = |place: &usize| store.at(*place).filter(|t| matches!(t.storage(), Storage::Shared(..))).cloned();
        let kept = self.residency == Residency::Kept;
        Ok(CpuState {
            borrowed: if kept { Vec::new() } else { params.iter().filter_map(borrowed).collect() },
            arena: Arena::new(self.lowered.arena),
            pointers: Vec::with_capacity(params.len()),
            params,
            next: 0,
            inputs: Vec::with_capacity(inputs),
            outputs: Vec::with_capacity(outputs),
        })
    }

    fn begin(&self, state: &mut CpuState, inputs: &[View<'_>]) -> Result<(), RunError> {
        self.graph.check_inputs(inputs)?;
        state.next = 0;
        for ((spec, view), &place) in self.graph.inputs().iter().zip(inputs).zip(&self.lowered.inputs) {
            let to = state.arena.as_mut_ptr().wrapping_add(place);
            let write = |i: usize, bits: u32| {
                // SAFETY: the planner keeps room for every element of an input.
                unsafe { *to.add(i) = f32::from_bits(bits) }
            };
            match *view {
                Slice::F32(values) if spec.dtype == DType::F32 => {
                    values.iter().enumerate().for_each(|(i, v)| write(i, v.to_bits()))
                }
                Slice::F32(values) => {
                    values
                        .iter()
                        .enumerate()
                        .for_each(|(i, v)| write(i, (spec.dtype.round(f64::from(*v)) as f32).to_bits()));
                }
                Slice::I32(values) => values.iter().enumerate().for_each(|(i, v)| write(i, *v as u32)),
                Slice::U32(values) => values.iter().enumerate().for_each(|(i, v)| write(i, *v)),
            }
        }
        Ok(())
    }

    fn advance(&self, state: &mut CpuState, store: &Params, launches: usize) -> Result<Progress, RunError> {
        if !self.graph.updates().is_empty() {
            return Err(RunError::Updates);
        }
        state.pointers.clear();
        for (&place, spec) in state.params.iter().zip(self.graph.params()) {
            let tensor = store.at(place).ok_or_else(|| RunError::MissingParam(spec.name.clone()))?;
            state.pointers.push(elements(tensor, spec)?.cast_mut());
        }
        let end = self.launches().min(state.next.saturating_add(launches));
        while state.next < end {
            // SAFETY: nothing is written to the parameters, for the graph has no updates.
            unsafe { self.launch(state) };
            self.release(state, store);
            state.next += 1;
        }
        match self.launches() - state.next {
            0 => Ok(Progress::Done),
            remaining => Ok(Progress::Running(remaining)),
        }
    }

    fn ready(&self, output: usize) -> usize {
        self.lowered.ready.get(output).copied().unwrap_or(self.launches())
    }

    fn output(&self, state: &CpuState, output: usize, view: &mut ViewMut<'_>) -> Result<(), RunError> {
        self.graph.check_output(output, view)?;
        if state.next < self.ready(output) {
            return Err(RunError::Unfinished);
        }
        self.read(state, output, view);
        Ok(())
    }

    fn finish(&self, state: &CpuState, outputs: &mut [ViewMut<'_>]) -> Result<(), RunError> {
        if state.next < self.launches() {
            return Err(RunError::Unfinished);
        }
        self.graph.check_outputs(outputs)?;
        outputs.iter_mut().enumerate().for_each(|(output, view)| self.read(state, output, view));
        Ok(())
    }

    fn update(
        &self,
        state: &mut CpuState,
        store: &mut Params,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
    ) -> Result<(), RunError> {
        self.update_observed(state, store, inputs, outputs, |_| {})
    }
}
