use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream};
use yuragi_graph::{Backend, CompileError, Graph, Node, Params, RunError, Shape, op::Fused};

use crate::{
    CudaError, CudaPlan, CudaStore, Device,
    kernels::product::Machine,
    lower::{Target, arranged, claims, lower},
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

    const fn on(device: Arc<Device>) -> Cuda {
        Cuda { device, tf32: false, portable: false, prepares: true }
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
        let hopper = self.device.is_hopper() && !self.portable;
        let machine = Machine { multiprocessors: self.device.processors() as usize, hopper };
        let target = Target { machine, tf32: self.tf32, prepares: self.prepares };
        let graph = arranged(graph, target);
        let lowered = lower(&graph, target)?;
        Ok(CudaPlan::new(&self.device, graph, lowered)?)
    }

    fn upload(&self, params: Params) -> Result<CudaStore, RunError> {
        Ok(CudaStore::upload(&self.device, &params)?)
    }

    fn download(&self, store: &CudaStore) -> Result<Params, RunError> {
        self.download_only(store, &|_| true)
    }
}
