use std::{collections::BTreeMap, sync::Arc};

use cudarc::driver::{CudaContext, CudaStream};
use yuragi_graph::{Backend, CompileError, Graph, Node, Params, RunError, Shape, op::Fused};

use crate::{
    CudaError, CudaPlan, CudaStore, Device,
    kernels::{
        picks::{Picked, Picks},
        product::Machine,
    },
    lower::{Lowered, Target, arranged, claims, lower},
};

/// An NVIDIA GPU.
///
/// ```no_run
/// use yuragi_cuda::Cuda;
/// use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
///
/// let b = Builder::new();
/// let x = b.input("x", &[3], DType::F32);
/// let graph = b.finish(&[("y", (x * 2.0).silu())])?;
///
/// let cuda = Cuda::new()?;
/// let plan = cuda.compile(&graph)?;
/// let store = cuda.upload(Params::new())?;
/// let mut state = plan.state(&store)?;
/// let mut y = [0.0; 3];
/// plan.run(&mut state, &store, &[Slice::F32(&[0.0, 1.0, -1.0])], &mut [SliceMut::F32(&mut y)])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cuda {
    device: Arc<Device>,
    tf32: bool,
    portable: bool,
    prepares: bool,
    pub(crate) dependent: bool,
    picks: Arc<Picks>,
}

impl Cuda {
    /// The driver's first device, compute capability 8.0 or more.
    pub fn new() -> Result<Cuda, CudaError> {
        Cuda::open(0)
    }

    /// A device by its number, from 0 on.
    pub fn open(ordinal: usize) -> Result<Cuda, CudaError> {
        Ok(Cuda::on(Device::open(ordinal)?))
    }

    /// A caller's context and stream: all that this backend does is ordered in that stream.
    pub fn with_context(context: Arc<CudaContext>, stream: Arc<CudaStream>) -> Result<Cuda, CudaError> {
        Ok(Cuda::on(Device::within(context, stream)?))
    }

    fn on(device: Arc<Device>) -> Cuda {
        let cuda =
            Cuda { device, tf32: false, portable: false, prepares: true, dependent: true, picks: Arc::default() };
        let committed = Picks::committed(&cuda.kind());
        cuda.picks(committed)
    }

    /// Whether products of single precision may round their factors to 11 significant bits, as tensor cores take them;
    /// at first they may not.
    #[must_use]
    pub fn tf32(self, rounded: bool) -> Cuda {
        Cuda { tf32: rounded, ..self }
    }

    /// Whether plans are made of the kernels that every GPU runs, also where this one has some of its own (compute
    /// capability 9.0, products of 16 bits); at first they are not.
    #[must_use]
    pub fn portable(self, portable: bool) -> Cuda {
        Cuda { portable, ..self }
    }

    /// Whether plans keep weights as their kernels read them, laid out and cast once for all runs, beside those of the
    /// store; at first they do. Without it a plan of half precision takes up to half the memory, and lays them out at every
    /// run.
    #[must_use]
    pub fn prepares(self, kept: bool) -> Cuda {
        Cuda { prepares: kept, ..self }
    }

    /// Whether a launch of a plan may begin while the one before it ends (programmatic dependent launch: compute capability
    /// 9.0 or more); at first it may. The numbers are the same.
    #[must_use]
    pub fn dependent(self, early: bool) -> Cuda {
        Cuda { dependent: early, ..self }
    }

    /// Which kernels plans take where there are several, as it was measured on this device. What these picks do not have is
    /// taken as before: at first as the repository's table has it, or else as a rule does.
    #[must_use]
    pub fn picks(mut self, picks: Picks) -> Cuda {
        Arc::make_mut(&mut self.picks).extend(picks);
        self
    }

    /// What times of kernels depend on, but for the driver: the device's name, its multiprocessors, and whether the kernels of
    /// its own are left out.
    pub fn kind(&self) -> String {
        let own = if self.device.is_hopper() && self.portable { ", portable kernels" } else { "" };
        format!("{}, {} multiprocessors{own}", self.device.name(), self.device.processors())
    }

    /// The device, as far as the choice of kernels depends on it.
    pub fn machine(&self) -> Machine {
        let hopper = self.device.is_hopper() && !self.portable;
        Machine { multiprocessors: self.device.processors() as usize, hopper }
    }

    /// What a plan of this graph takes one of several kernels for; what is told alike once.
    ///
    /// # Errors
    /// As for compiling the graph.
    pub fn picked(&self, graph: &Graph) -> Result<BTreeMap<String, Picked>, CompileError> {
        let (_, lowered) = self.lowered(graph)?;
        let several = |picked: &Picked| picked.sensible(self.machine()).is_ok_and(|ways| ways.len() > 1);
        Ok(lowered.picked.into_iter().filter(several).map(|picked| (picked.key(), picked)).collect())
    }

    /// The graph as it is compiled, and its launches.
    fn lowered(&self, graph: &Graph) -> Result<(Graph, Lowered), CompileError> {
        let target = Target { machine: self.machine(), picks: &self.picks, tf32: self.tf32, prepares: self.prepares };
        let graph = arranged(graph, target);
        let lowered = lower(&graph, target)?;
        Ok((graph, lowered))
    }

    /// The parameters whose names are wanted, as they are now.
    ///
    /// # Errors
    /// What the device reports.
    pub fn download_only(&self, store: &CudaStore, wanted: &dyn Fn(&str) -> bool) -> Result<Params, RunError> {
        Ok(store.download(wanted)?)
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }
}

impl From<CudaError> for RunError {
    fn from(error: CudaError) -> RunError {
        RunError::Device(error.to_string())
    }
}

impl From<CudaError> for CompileError {
    fn from(error: CudaError) -> CompileError {
        CompileError::Device(error.to_string())
    }
}

impl Backend for Cuda {
    type Store = CudaStore;
    type Plan = CudaPlan;

    fn claims(&self, op: &Fused, node: &Node, operands: &[Shape]) -> bool {
        claims(op, node, operands)
    }

    fn compile(&self, graph: &Graph) -> Result<CudaPlan, CompileError> {
        let (graph, lowered) = self.lowered(graph)?;
        Ok(CudaPlan::new(&self.device, graph, lowered, self.dependent)?)
    }

    fn upload(&self, params: Params) -> Result<CudaStore, RunError> {
        Ok(CudaStore::upload(&self.device, &params)?)
    }

    fn download(&self, store: &CudaStore) -> Result<Params, RunError> {
        self.download_only(store, &|_| true)
    }
}
