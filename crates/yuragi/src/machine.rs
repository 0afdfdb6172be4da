//! The machine that computes: this processor, or a GPU where there is one.

mod work;

pub use work::{Work, products};

use std::{fmt, str::FromStr};

use yuragi_cpu::{Cpu, CpuPlan, CpuState};
#[cfg(feature = "cuda")]
use yuragi_cuda::{
    Cuda, CudaError, CudaPlan, CudaState, CudaStore, Device,
    lower::{Target, arranged, lower},
    replicas::CudaReplicas,
};
use yuragi_energy::{
    Error, Problem, Variables,
    dynamics::{Dynamics, TwoState},
    replicas::{Ranks, Reads, Replicas, Threads, group},
};
use yuragi_graph::{
    Backend, Collective, CompileError, Graph, Memory, Node, Params, Plan, Precision, Progress, RunError, Shape, View,
    ViewMut, op::Fused,
};
use yuragi_nn::optim::{Optimizer, Scaling};

use crate::{
    Failure,
    ranks::launcher::{launched, may_take_gpus},
};
#[cfg(feature = "cuda")]
use crate::{ranks::launcher::local, tuning};

/// Which machine is asked for: `auto`, `cpu`, `cuda` or `cuda:N`.
///
/// ```
/// use yuragi::machine::Choice;
/// assert_eq!("cuda:1".parse(), Ok(Choice::Cuda(Some(1))));
/// assert!("gpu".parse::<Choice>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// A GPU if there is a driver and a device, and on each of several ranks, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPU of this number; without one the first, and of several ranks that of the number among those of a machine.
    Cuda(Option<usize>),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Choice::Auto),
            None if text == "cpu" => Ok(Choice::Cpu),
            None if text == "cuda" => Ok(Choice::Cuda(None)),
            Some(("cuda", number)) if number.parse::<u16>().is_ok() => Ok(Choice::Cuda(number.parse().ok())),
            _ => Err("a device is `auto`, `cpu`, `cuda` or `cuda:N`, N from 0 on".into()),
        }
    }
}

/// Seconds of the processor below which `auto` does not look for a GPU: opening one and loading kernels takes about as
/// long.
const START: f64 = 1.0;
/// The share of a GPU's free memory that `auto` counts on.
#[cfg(feature = "cuda")]
const SHARE: f64 = 0.9;

/// A processor or a GPU, and the precision of its products: one backend for programs that find out at run time.
#[derive(Clone, Debug)]
pub struct Machine {
    kind: Kind,
    precision: Precision,
    /// Why a GPU that is there is not used.
    unused: Option<String>,
    /// Why what was measured of its kernels is not used.
    untuned: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// This machine's processor.
    Cpu(Cpu),
    /// A GPU.
    #[cfg(feature = "cuda")]
    Cuda(Cuda),
}

impl Machine {
    /// The machine asked for; `cpu` is the processor to fall back on. `auto` takes a GPU for work of a second or more
    /// that fits into nine tenths of its free memory, and the processor where no GPU can be used. [Several
    /// ranks](crate::ranks) choose alike: GPUs if each of them has one to itself.
    ///
    /// # Errors
    /// A GPU that was asked for, or that ranks agreed on, cannot be used or has no room: why, in one line that offers the
    /// processor.
    pub fn choose(choice: Choice, cpu: Cpu, precision: Precision, work: Work) -> Result<Machine, Failure> {
        let mut unused = None;
        let kind = match choice {
            Choice::Cpu => Kind::Cpu(cpu),
            Choice::Auto if work.seconds < START || !may_take_gpus() => Kind::Cpu(cpu),
            Choice::Auto => {
                match Kind::gpu(None, precision, work).and_then(|gpu| gpu.with_room(work.room(precision))) {
                    Ok(gpu) => gpu,
                    Err(unusable) if launched().is_some() => return Err(unusable.into()),
                    Err(Unusable { reason, absent }) => {
                        unused = Some(reason).filter(|_| !absent);
                        Kind::Cpu(cpu)
                    }
                }
            }
            Choice::Cuda(ordinal) => Kind::gpu(ordinal, precision, work)?,
        };
        let (kind, untuned) = kind.tuned();
        Ok(Machine { kind, precision, unused, untuned })
    }

    /// The precision of products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// An optimiser as it is used here: in half precision the loss must be scaled.
    pub fn optimizer(&self, optimizer: Optimizer) -> Optimizer {
        Optimizer { scaling: (self.precision == Precision::F16).then(Scaling::default), ..optimizer }
    }

    /// Why `auto` did not take a GPU that is there.
    pub fn unused(&self) -> Option<&str> {
        self.unused.as_deref()
    }

    /// Why what was measured of the GPU's kernels is not used, where there is a table of that.
    pub fn untuned(&self) -> Option<&str> {
        self.untuned.as_deref()
    }

    /// Whether it is a GPU.
    pub fn is_gpu(&self) -> bool {
        !matches!(self.kind, Kind::Cpu(_))
    }

    /// The GPU's backend, if it is one.
    #[cfg(feature = "cuda")]
    pub fn cuda(&self) -> Option<&Cuda> {
        match &self.kind {
            Kind::Cpu(_) => None,
            Kind::Cuda(cuda) => Some(cuda),
        }
    }

    /// The threads of the processor, which does what a GPU does not.
    pub fn threads(&self) -> usize {
        match &self.kind {
            Kind::Cpu(cpu) => cpu.threads(),
            #[cfg(feature = "cuda")]
            Kind::Cuda(_) => Cpu::new().threads(),
        }
    }

    /// The parameters whose names are wanted, as they are now.
    ///
    /// # Errors
    /// A store of another machine, or what the GPU reports.
    pub fn download_only(&self, store: &Store, wanted: &dyn Fn(&str) -> bool) -> Result<Params, RunError> {
        match (&self.kind, store) {
            (Kind::Cpu(_), Store::Cpu(store)) => {
                let mut params = Params::new();
                let tensors = store.iter().filter(|(name, _)| wanted(name));
                tensors.for_each(|(name, tensor)| params.insert(name, tensor.clone()));
                Ok(params)
            }
            #[cfg(feature = "cuda")]
            (Kind::Cuda(cuda), Store::Cuda(store)) => cuda.download_only(store, wanted),
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }

    /// Reads of a problem, each starting from its own uniform random configuration: on a GPU those that have kernels
    /// there, see [`gpu_chain`], all others on the processor's threads. They are the same everywhere.
    ///
    /// # Errors
    /// A problem that the chain is not for, reads whose numbers do not fit, or what the GPU reports.
    pub fn replicas<'a, D: Dynamics + Copy + 'a>(
        &self,
        problem: &'a Problem,
        dynamics: D,
        reads: impl Into<Reads>,
        seed: u64,
    ) -> Result<Box<dyn Replicas + 'a>, Error> {
        #[cfg(feature = "cuda")]
        if let (Kind::Cuda(cuda), Some(chain)) = (&self.kind, gpu_chain(problem, &dynamics)) {
            return Ok(Box::new(CudaReplicas::on(cuda.device(), problem, chain, reads.into(), seed)?));
        }
        Ok(Box::new(Threads::new(self.threads(), problem, dynamics, reads, seed)?))
    }
}

/// Reads of a problem on the machines of all ranks, each of which sweeps its share: see [`Machine::replicas`].
///
/// # Errors
/// Those of [`Machine::replicas`], on any rank.
pub fn shared_replicas<'a, D: Dynamics + Copy + 'a>(
    ranks: &'a dyn Collective,
    machine: &Machine,
    problem: &'a Problem,
    dynamics: D,
    reads: impl Into<Reads>,
    seed: u64,
) -> Result<Box<dyn Replicas + 'a>, Error> {
    if ranks.size() == 1 {
        return machine.replicas(problem, dynamics, reads, seed);
    }
    let here = |own: Reads| machine.replicas(problem, dynamics, own, seed);
    Ok(Box::new(Ranks::new(ranks, problem, reads, seed, group(problem, &dynamics), here)?))
}

/// The chain as a GPU runs it: spins, one by one in a fixed order.
pub fn gpu_chain<D: Dynamics>(problem: &Problem, dynamics: &D) -> Option<TwoState> {
    dynamics.two_state().filter(|_| problem.variables() == Variables::Spin)
}

impl From<Cpu> for Machine {
    fn from(cpu: Cpu) -> Machine {
        Machine { kind: Kind::Cpu(cpu), precision: Precision::F32, unused: None, untuned: None }
    }
}

/// Why a GPU cannot be used.
struct Unusable {
    reason: String,
    /// There is no driver or no device at all.
    absent: bool,
}

impl From<Unusable> for Failure {
    fn from(Unusable { reason, .. }: Unusable) -> Failure {
        Failure::new(format!("{reason}; `--device cpu` computes on the processor"))
    }
}

/// Whether this process has a GPU that can be used and that no other rank of its machine takes.
pub(crate) fn has_gpu() -> bool {
    #[cfg(feature = "cuda")]
    return Device::count().is_ok_and(|count| local() < count) && Cuda::open(local()).is_ok();
    #[cfg(not(feature = "cuda"))]
    return false;
}

/// The number of the GPU that is this process's own: of ranks on one machine, each has the next one.
#[cfg(feature = "cuda")]
pub(crate) fn own_gpu() -> Result<usize, CudaError> {
    Ok(local() % Device::count()?.max(1))
}

/// The variable that, unless it is empty or 0, leaves out kernels that only some GPUs run.
#[cfg(feature = "cuda")]
const PORTABLE: &str = "YURAGI_CUDA_PORTABLE";

/// A GPU with all its kernels, unless that variable leaves some out.
#[cfg(feature = "cuda")]
fn opened(ordinal: usize) -> Result<Cuda, CudaError> {
    let portable = std::env::var_os(PORTABLE).is_some_and(|value| !value.is_empty() && value != "0");
    Ok(Cuda::open(ordinal)?.portable(portable))
}

impl Kind {
    #[cfg(feature = "cuda")]
    fn gpu(ordinal: Option<usize>, precision: Precision, work: Work) -> Result<Kind, Unusable> {
        let unusable = |error: CudaError| {
            let absent = matches!(error, CudaError::NoDriver | CudaError::NoDevice { .. });
            Unusable { reason: error.to_string(), absent }
        };
        let cuda = ordinal.map_or_else(own_gpu, Ok).and_then(opened).map_err(unusable)?;
        Ok(Kind::Cuda(cuda.tf32(precision == Precision::Tf32).prepares(!work.frugal)))
    }

    /// The same with what was measured of its kernels, and why a table of that is not used.
    fn tuned(self) -> (Kind, Option<String>) {
        match self {
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => {
                let (cuda, why) = tuning::tuned(cuda);
                (Kind::Cuda(cuda), why)
            }
            cpu @ Kind::Cpu(_) => (cpu, None),
        }
    }

    /// This GPU, if it has so many bytes free.
    #[cfg(feature = "cuda")]
    fn with_room(self, bytes: f64) -> Result<Kind, Unusable> {
        let Kind::Cuda(cuda) = &self else { return Ok(self) };
        let unusable = |reason| Unusable { reason, absent: false };
        let free = cuda.device().description().map_err(|error| unusable(error.to_string()))?.free as f64;
        if bytes <= SHARE * free {
            return Ok(self);
        }
        let [bytes, free] = [bytes, free].map(|bytes| bytes / f64::from(1 << 30));
        Err(unusable(format!("it takes {bytes:.1} GiB, and the GPU has {free:.1} GiB free")))
    }

    #[cfg(not(feature = "cuda"))]
    fn with_room(self, _bytes: f64) -> Result<Kind, Unusable> {
        Ok(self)
    }

    #[cfg(not(feature = "cuda"))]
    fn gpu(_ordinal: Option<usize>, _precision: Precision, _work: Work) -> Result<Kind, Unusable> {
        let reason = "this program was built without its CUDA backend (feature `cuda`)".into();
        Err(Unusable { reason, absent: true })
    }
}

/// The bytes of a plan's intermediate values on a GPU (compute capability 9.0), with weights as its kernels read them, or
/// `frugal` without: known without one.
///
/// # Errors
/// A graph that cannot be lowered.
#[cfg(feature = "cuda")]
pub fn gpu_arena(graph: &Graph, precision: Precision, frugal: bool) -> Result<usize, CompileError> {
    let machine = yuragi_cuda::kernels::product::Machine { multiprocessors: 132, hopper: true };
    let target = Target { tf32: precision == Precision::Tf32, prepares: !frugal, ..Target::new(machine) };
    Ok(lower(&arranged(&graph.in_precision(precision), target), target)?.bytes())
}

/// A line for each GPU that `cuda:N` can name, and one of how its kernels are picked, or one that says why there is none.
#[cfg(feature = "cuda")]
pub fn devices() -> Vec<String> {
    let described = |ordinal: usize| opened(ordinal).and_then(|cuda| Ok((cuda.device().description()?, cuda)));
    let line = |ordinal: usize| match described(ordinal) {
        Ok((d, cuda)) => {
            let [free, memory] = [d.free, d.memory].map(|bytes| bytes as f64 / f64::from(1 << 30));
            let (name, kernels) = (d.name, tuning::state(&cuda));
            let [capability, driver] = [d.capability, d.driver].map(|(major, minor)| format!("{major}.{minor}"));
            let room = format!("{free:.1} of {memory:.1} GiB free");
            format!(
                "cuda:{ordinal}: {name}, compute capability {capability}, {room}, driver of CUDA {driver}\n  {kernels}"
            )
        }
        Err(error) => format!("cuda:{ordinal}: {error}"),
    };
    match Device::count() {
        Ok(0) => vec!["no GPU: the CUDA driver has no device".into()],
        Ok(count) => (0..count).map(line).collect(),
        Err(error) => vec![format!("no GPU: {error}")],
    }
}

/// A line for each GPU that `cuda:N` can name, or one that says why there is none.
#[cfg(not(feature = "cuda"))]
pub fn devices() -> Vec<String> {
    vec!["no GPU: this program was built without its CUDA backend (feature `cuda`)".into()]
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cpu(cpu) => write!(f, "processor, {} threads", cpu.threads()),
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => write!(f, "GPU {}", cuda.device().name()),
        }
    }
}

/// Parameters on a machine.
#[derive(Debug)]
pub enum Store {
    /// In this program's memory.
    Cpu(Params),
    /// On a GPU.
    #[cfg(feature = "cuda")]
    Cuda(CudaStore),
}

/// A graph compiled for a machine.
#[derive(Debug)]
pub enum MachinePlan {
    /// For the processor.
    Cpu(CpuPlan),
    /// For a GPU.
    #[cfg(feature = "cuda")]
    Cuda(CudaPlan),
}

/// The arena of one run at a time.
#[derive(Debug)]
pub enum State {
    /// In this program's memory.
    Cpu(CpuState),
    /// On a GPU.
    #[cfg(feature = "cuda")]
    Cuda(CudaState),
}

impl Backend for Machine {
    type Store = Store;
    type Plan = MachinePlan;

    fn claims(&self, op: &Fused, node: &Node, operands: &[Shape]) -> bool {
        match &self.kind {
            Kind::Cpu(cpu) => cpu.claims(op, node, operands),
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => cuda.claims(op, node, operands),
        }
    }

    fn compile(&self, graph: &Graph) -> Result<MachinePlan, CompileError> {
        let graph = &graph.in_precision(self.precision);
        Ok(match &self.kind {
            Kind::Cpu(cpu) => MachinePlan::Cpu(cpu.compile(graph)?),
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => MachinePlan::Cuda(cuda.compile(graph)?),
        })
    }

    fn upload(&self, params: Params) -> Result<Store, RunError> {
        Ok(match &self.kind {
            Kind::Cpu(cpu) => Store::Cpu(cpu.upload(params)?),
            #[cfg(feature = "cuda")]
            Kind::Cuda(cuda) => Store::Cuda(cuda.upload(params)?),
        })
    }

    fn download(&self, store: &Store) -> Result<Params, RunError> {
        self.download_only(store, &|_| true)
    }
}

/// Plans, states and stores of different machines were put together.
fn mixed() -> RunError {
    RunError::Device("a plan, its state and its parameters must belong to one machine".into())
}

impl Plan for MachinePlan {
    type Store = Store;
    type State = State;

    fn memory(&self) -> Memory {
        match self {
            MachinePlan::Cpu(plan) => plan.memory(),
            #[cfg(feature = "cuda")]
            MachinePlan::Cuda(plan) => plan.memory(),
        }
    }

    fn launches(&self) -> usize {
        match self {
            MachinePlan::Cpu(plan) => plan.launches(),
            #[cfg(feature = "cuda")]
            MachinePlan::Cuda(plan) => plan.launches(),
        }
    }

    fn state(&self, store: &Store) -> Result<State, RunError> {
        match (self, store) {
            (MachinePlan::Cpu(plan), Store::Cpu(store)) => Ok(State::Cpu(plan.state(store)?)),
            #[cfg(feature = "cuda")]
            (MachinePlan::Cuda(plan), Store::Cuda(store)) => Ok(State::Cuda(plan.state(store)?)),
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }

    fn begin(&self, state: &mut State, inputs: &[View<'_>]) -> Result<(), RunError> {
        match (self, state) {
            (MachinePlan::Cpu(plan), State::Cpu(state)) => plan.begin(state, inputs),
            #[cfg(feature = "cuda")]
            (MachinePlan::Cuda(plan), State::Cuda(state)) => plan.begin(state, inputs),
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }

    fn advance(&self, state: &mut State, store: &Store, launches: usize) -> Result<Progress, RunError> {
        match (self, state, store) {
            (MachinePlan::Cpu(plan), State::Cpu(state), Store::Cpu(store)) => plan.advance(state, store, launches),
            #[cfg(feature = "cuda")]
            (MachinePlan::Cuda(plan), State::Cuda(state), Store::Cuda(store)) => plan.advance(state, store, launches),
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }

    fn ready(&self, output: usize) -> usize {
        match self {
            MachinePlan::Cpu(plan) => plan.ready(output),
            #[cfg(feature = "cuda")]
            MachinePlan::Cuda(plan) => plan.ready(output),
        }
    }

    fn output(&self, state: &State, output: usize, view: &mut ViewMut<'_>) -> Result<(), RunError> {
        match (self, state) {
            (MachinePlan::Cpu(plan), State::Cpu(state)) => plan.output(state, output, view),
            #[cfg(feature = "cuda")]
            (MachinePlan::Cuda(plan), State::Cuda(state)) => plan.output(state, output, view),
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }

    fn finish(&self, state: &State, outputs: &mut [ViewMut<'_>]) -> Result<(), RunError> {
        match (self, state) {
            (MachinePlan::Cpu(plan), State::Cpu(state)) => plan.finish(state, outputs),
            #[cfg(feature = "cuda")]
            (MachinePlan::Cuda(plan), State::Cuda(state)) => plan.finish(state, outputs),
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }

    fn update(
        &self,
        state: &mut State,
        store: &mut Store,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
    ) -> Result<(), RunError> {
        match (self, state, store) {
            (MachinePlan::Cpu(plan), State::Cpu(state), Store::Cpu(store)) => {
                plan.update(state, store, inputs, outputs)
            }
            #[cfg(feature = "cuda")]
            (MachinePlan::Cuda(plan), State::Cuda(state), Store::Cuda(store)) => {
                plan.update(state, store, inputs, outputs)
            }
            #[allow(unreachable_patterns)] // with one kind of machine nothing can be mixed
            _ => Err(mixed()),
        }
    }
}
