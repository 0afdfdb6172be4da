use std::collections::{HashMap, hash_map::Entry};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use half::{bf16, f16};
use yuragi_graph::{DType, Graph, Memory, Plan, Progress, RunError, Slice, SliceMut, View, ViewMut};

use crate::{
    CudaError, CudaStore,
    arguments::parameters,
    device::{Block, Device, Function, Pinned, Recording, Replay},
    kernels,
    launch::{ALIGNMENT, Address, Argument, Code, Home},
    lower::Lowered,
};

/// A graph compiled for a device.
pub struct CudaPlan {
    device: Arc<Device>,
    graph: Graph,
    lowered: Lowered,
    /// The kernel of each launch.
    functions: Vec<Function>,
    literals: Block,
    /// The first byte of each constant.
    literal_places: Vec<usize>,
    staging: Staging,
    /// The parameters on which what is prepared depends.
    preparing: Vec<usize>,
}

/// Where inputs and outputs lie in the host's staging memory: the first byte of each, inputs first.
struct Staging {
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    bytes: usize,
}

impl fmt::Debug for CudaPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaPlan").field("launches", &self.launches()).field("memory", &self.memory()).finish()
    }
}

/// The arena of one run at a time, and what the device is to do with it.
pub struct CudaState {
    arena: Block,
    /// Counters of launches, 0 between them.
    counters: Block,
    staging: Pinned,
    /// The store's place of each parameter of the graph.
    params: Vec<usize>,
    /// The store that the recordings are about.
    store: u64,
    /// What is done once for all runs with the same parameters.
    preparation: Recording,
    /// The store's changes when that was done.
    prepared: Option<u64>,
    recording: Recording,
    /// The recording as one graph, from the second whole run on.
    replay: Option<Replay>,
    whole_runs: usize,
    /// The next launch.
    next: usize,
    stage: Stage,
}

/// How far a run is on the host's side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// None has begun.
    Idle,
    /// The inputs stand in the staging memory.
    Begun,
    /// The device has been told to take the inputs.
    Fed,
    /// The device has been told everything.
    Ended,
}

impl fmt::Debug for CudaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaState").field("bytes", &self.arena.bytes()).field("next", &self.next).finish()
    }
}

impl CudaPlan {
    /// With launches that may begin while the one before them ends, where `dependent` and the device allow it.
    pub(crate) fn new(
        device: &Arc<Device>,
        graph: Graph,
        lowered: Lowered,
        dependent: bool,
    ) -> Result<CudaPlan, CudaError> {
        let (mut functions, mut modules) = (Vec::with_capacity(lowered.launches.len()), HashMap::new());
        for launch in &lowered.launches {
            let ptx = match launch.code {
                Code::Shipped(name) => kernels::ptx(name),
                Code::Emitted | Code::Table => &lowered.module,
                Code::Spliced(number) => &lowered.spliced[number],
            };
            let module = match modules.entry(launch.code) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(device.module(ptx, dependent)?),
            };
            functions.push(device.function(module, &launch.function, launch.shared)?);
        }
        let mut literal_places = Vec::new();
        let mut bytes = Vec::new();
        for literal in graph.literals() {
            literal_places.push(bytes.len());
            bytes.extend(literal.iter().flat_map(|v| v.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        }
        let mut literals = Block::new(device, bytes.len(), "constants")?;
        literals.write(&bytes)?;
        let mut end = 0;
        let mut room = |count: usize, dtype: DType| {
            let start = end;
            end += (count * dtype.size()).next_multiple_of(ALIGNMENT);
            start
        };
        let inputs = graph.inputs().iter().map(|i| room(i.shape.count(), i.dtype)).collect();
        let outputs = graph.outputs().iter().map(|o| graph.node(o.node)).map(|n| room(n.shape.count(), n.dtype));
        let outputs = outputs.collect();
        let staging = Staging { inputs, outputs, bytes: end };
        let arguments = lowered.launches[..lowered.prepared].iter().flat_map(|launch| &launch.arguments);
        let mut preparing: Vec<usize> = arguments.filter_map(Argument::param).collect();
        preparing.sort_unstable();
        preparing.dedup();
        Ok(CudaPlan { device: device.clone(), graph, lowered, functions, literals, literal_places, staging, preparing })
    }

    /// The graph as it was compiled, with unclaimed fused operations expanded.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What each launch of a run computes, in order: for profiles.
    pub fn launch_names(&self) -> impl ExactSizeIterator<Item = &'static str> + '_ {
        self.lowered.launches[self.lowered.prepared..].iter().map(|l| l.name)
    }

    /// Seconds of one run with updates among so many, at least one, that follow each other without waiting; for
    /// measurements. Two runs come before.
    ///
    /// # Errors
    /// As for [`Plan::update`].
    pub fn seconds(
        &self,
        state: &mut CudaState,
        store: &mut CudaStore,
        inputs: &[View<'_>],
        runs: u32,
    ) -> Result<f64, RunError> {
        for _ in 0..2 {
            self.begin(state, inputs)?;
            self.go_on(state, store, usize::MAX)?;
        }
        self.device.synchronize()?;
        let start = Instant::now();
        for _ in 0..runs.max(1) {
            state.stage = Stage::Begun;
            self.go_on(state, store, usize::MAX)?;
        }
        self.device.synchronize()?;
        self.replaced(state, store);
        Ok(start.elapsed().as_secs_f64() / f64::from(runs.max(1)))
    }

    /// Tells the store which parameters a run has replaced.
    fn replaced(&self, state: &CudaState, store: &mut CudaStore) {
        if !self.graph.updates().is_empty() {
            store.replace(self.graph.updates().iter().map(|update| state.params[update.param]));
        }
    }

    /// Has the device do what is done once for all runs with the same parameters, unless it was done for these.
    fn prepare(&self, state: &mut CudaState, store: &CudaStore) -> Result<(), RunError> {
        let preparing = self.preparing.iter().map(|&param| state.params[param]);
        if !state.prepared.is_some_and(|since| store.is_unchanged(preparing, since)) {
            state.preparation.run(&self.device, &mut state.staging, 0..self.lowered.prepared)?;
            state.prepared = Some(store.changes());
        }
        Ok(())
    }

    /// Writes down what a run does with this state and store: inputs, launches, outputs.
    fn record(&self, state: &mut CudaState, store: &CudaStore) -> Result<(), CudaError> {
        if state.store == store.id() && !state.recording.is_empty() {
            return Ok(());
        }
        let (mut preparation, mut recording) = (Recording::default(), Recording::default());
        for ((spec, &at), &from) in self.graph.inputs().iter().zip(&self.lowered.inputs).zip(&self.staging.inputs) {
            recording.write(&state.arena, at, from, spec.shape.count() * spec.dtype.size());
        }
        for (number, (launch, function)) in self.lowered.launches.iter().zip(&self.functions).enumerate() {
            let at = |address: Address| {
                let start = match address.home {
                    Home::Arena(at) | Home::Scratch(at) => state.arena.pointer() + at as u64,
                    Home::Param(param) => store.pointer(state.params[param]),
                    Home::Literal(literal) => self.literals.pointer() + self.literal_places[literal] as u64,
                };
                start + address.offset as u64
            };
            let parameters = parameters(launch, &at, state.counters.pointer())?;
            let to = if number < self.lowered.prepared { &mut preparation } else { &mut recording };
            to.launch(*function, launch.grid, launch.block, launch.shared, parameters);
        }
        for ((output, &at), &to) in self.graph.outputs().iter().zip(&self.lowered.outputs).zip(&self.staging.outputs) {
            let node = self.graph.node(output.node);
            recording.read(&state.arena, at, to, node.shape.count() * node.dtype.size());
        }
        state.recording = recording;
        state.preparation = preparation;
        state.prepared = None;
        state.replay = None;
        state.whole_runs = 0;
        state.store = store.id();
        Ok(())
    }

    /// Gives an output that has come to the host, into a view that was checked.
    fn read(&self, state: &CudaState, output: usize, view: &mut ViewMut<'_>) {
        let (node, at) = (self.graph.node(self.graph.outputs()[output].node), self.staging.outputs[output]);
        let from = &state.staging.bytes()[at..at + node.shape.count() * node.dtype.size()];
        match view {
            SliceMut::F32(out) => match node.dtype {
                DType::F16 => read(out, from, |b: [u8; 2]| f16::from_le_bytes(b).to_f32()),
                DType::BF16 => read(out, from, |b: [u8; 2]| bf16::from_le_bytes(b).to_f32()),
                DType::F32 | DType::I32 | DType::U32 => read(out, from, f32::from_le_bytes),
            },
            SliceMut::I32(out) => read(out, from, i32::from_le_bytes),
            SliceMut::U32(out) => read(out, from, u32::from_le_bytes),
        }
    }

    /// Actions of a recording before the launches.
    fn feeding(&self) -> usize {
        self.graph.inputs().iter().filter(|i| i.shape.count() > 0).count()
    }

    fn go_on(&self, state: &mut CudaState, store: &CudaStore, launches: usize) -> Result<Progress, RunError> {
        let total = self.launches();
        if matches!(state.stage, Stage::Idle) {
            return Err(RunError::Unfinished);
        }
        self.record(state, store)?;
        if state.stage == Stage::Begun {
            self.prepare(state, store)?;
        }
        let CudaState { recording, staging, replay, .. } = state;
        if state.stage == Stage::Begun && launches >= total {
            if state.whole_runs == 1 {
                *replay = recording.captured(&self.device, staging)?;
            }
            match replay {
                Some(replay) => replay.run()?,
                None => recording.run(&self.device, staging, 0..recording.len())?,
            }
            state.whole_runs += 1;
            state.next = total;
            state.stage = Stage::Ended;
            return Ok(Progress::Done);
        }
        let feeding = self.feeding();
        if state.stage == Stage::Begun {
            recording.run(&self.device, staging, 0..feeding)?;
            state.stage = Stage::Fed;
        }
        let end = total.min(state.next.saturating_add(launches));
        recording.run(&self.device, staging, feeding + state.next..feeding + end)?;
        state.next = end;
        if end < total {
            return Ok(Progress::Running(total - end));
        }
        if state.stage == Stage::Fed {
            recording.run(&self.device, staging, feeding + total..recording.len())?;
            state.stage = Stage::Ended;
        }
        Ok(Progress::Done)
    }
}

impl Plan for CudaPlan {
    type Store = CudaStore;
    type State = CudaState;

    fn memory(&self) -> Memory {
        let params = self.graph.params().iter().map(|p| p.shape.count() * p.dtype.size()).sum();
        Memory { arena: self.lowered.bytes(), literals: self.literals.bytes(), params, resident: params }
    }

    fn launches(&self) -> usize {
        self.lowered.launches.len() - self.lowered.prepared
    }

    fn state(&self, store: &CudaStore) -> Result<CudaState, RunError> {
        let params = self.graph.params().iter().map(|spec| store.place(spec)).collect::<Result<_, _>>()?;
        let zeros = vec![0; self.lowered.counter_bytes()];
        let mut counters = Block::new(&self.device, zeros.len(), "counters")?;
        counters.write(&zeros)?;
        Ok(CudaState {
            counters,
            arena: Block::new(&self.device, self.lowered.arena, "intermediate values")?,
            staging: Pinned::new(&self.device, self.staging.bytes)?,
            params,
            store: store.id(),
            preparation: Recording::default(),
            prepared: None,
            recording: Recording::default(),
            replay: None,
            whole_runs: 0,
            next: 0,
            stage: Stage::Idle,
        })
    }

    fn begin(&self, state: &mut CudaState, inputs: &[View<'_>]) -> Result<(), RunError> {
        self.graph.check_inputs(inputs)?;
        if matches!(state.stage, Stage::Fed | Stage::Ended) {
            // The device may still be reading the inputs of the run before.
            self.device.synchronize()?;
        }
        let staging = state.staging.bytes_mut();
        for ((spec, view), &at) in self.graph.inputs().iter().zip(inputs).zip(&self.staging.inputs) {
            let to = &mut staging[at..at + spec.shape.count() * spec.dtype.size()];
            match *view {
                Slice::F32(values) if spec.dtype == DType::F16 => fill(to, values, |v| f16::from_f32(v).to_le_bytes()),
                Slice::F32(values) if spec.dtype == DType::BF16 => {
                    fill(to, values, |v| bf16::from_f32(v).to_le_bytes());
                }
                Slice::F32(values) => fill(to, values, f32::to_le_bytes),
                Slice::I32(values) => fill(to, values, i32::to_le_bytes),
                Slice::U32(values) => fill(to, values, u32::to_le_bytes),
            }
        }
        state.next = 0;
        state.stage = Stage::Begun;
        Ok(())
    }

    fn advance(&self, state: &mut CudaState, store: &CudaStore, launches: usize) -> Result<Progress, RunError> {
        if !self.graph.updates().is_empty() {
            return Err(RunError::Updates);
        }
        self.go_on(state, store, launches)
    }

    fn finish(&self, state: &CudaState, outputs: &mut [ViewMut<'_>]) -> Result<(), RunError> {
        if state.stage != Stage::Ended {
            return Err(RunError::Unfinished);
        }
        self.graph.check_outputs(outputs)?;
        self.device.synchronize()?;
        outputs.iter_mut().enumerate().for_each(|(output, view)| self.read(state, output, view));
        Ok(())
    }

    fn output(&self, state: &CudaState, output: usize, view: &mut ViewMut<'_>) -> Result<(), RunError> {
        self.graph.check_output(output, view)?;
        if state.stage != Stage::Ended {
            return Err(RunError::Unfinished);
        }
        self.device.synchronize()?;
        self.read(state, output, view);
        Ok(())
    }

    fn update(
        &self,
        state: &mut CudaState,
        store: &mut CudaStore,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
    ) -> Result<(), RunError> {
        self.graph.check_outputs(outputs)?;
        self.begin(state, inputs)?;
        self.go_on(state, store, usize::MAX)?;
        self.replaced(state, store);
        self.finish(state, outputs)
    }
}

fn fill<T: Copy, const N: usize>(to: &mut [u8], from: &[T], bytes: impl Fn(T) -> [u8; N]) {
    for (to, &value) in to.chunks_exact_mut(N).zip(from) {
        to.copy_from_slice(&bytes(value));
    }
}

fn read<T, const N: usize>(to: &mut [T], from: &[u8], value: impl Fn([u8; N]) -> T) {
    for (to, bytes) in to.iter_mut().zip(from.as_chunks::<N>().0) {
        *to = value(*bytes);
    }
}
