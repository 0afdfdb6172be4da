use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::executor::{Argument, Executor, Kernel};
use crate::device::{Block, Device, Function, Parameters, Pinned, Recording};
use crate::{CudaError, kernels};

/// A GPU as an [`Executor`].
pub struct Gpu {
    device: Arc<Device>,
    /// By name and shared memory.
    functions: RefCell<HashMap<(&'static str, u32), Function>>,
    /// Launches carry nothing from the host.
    staging: RefCell<Pinned>,
}

impl Gpu {
    /// Of an opened device.
    ///
    /// # Errors
    /// What the driver says.
    pub fn new(device: &Arc<Device>) -> Result<Gpu, String> {
        let staging = Pinned::new(device, 0).map_err(|error| error.to_string())?;
        Ok(Gpu { device: device.clone(), functions: RefCell::default(), staging: RefCell::new(staging) })
    }

    fn function(&self, launch: &Kernel<'_>) -> Result<Function, CudaError> {
        let name = (launch.function, launch.shared);
        if let Some(&function) = self.functions.borrow().get(&name) {
            return Ok(function);
        }
        let module = self.device.module(kernels::ptx(launch.file), false)?;
        let function = self.device.function(&module, launch.function, launch.shared)?;
        self.functions.borrow_mut().insert(name, function);
        Ok(function)
    }

    fn enqueue(&self, launch: &Kernel<'_>) -> Result<(), CudaError> {
        let mut parameters = Parameters::default();
        for argument in launch.arguments {
            parameters.add(&[match *argument {
                Argument::Pointer(address) => address,
                Argument::U32(x) => x.into(),
                Argument::F32(x) => x.to_bits().into(),
                Argument::F64(x) => x.to_bits(),
            }]);
        }
        let mut recording = Recording::default();
        let [x, y] = launch.grid;
        recording.launch(self.function(launch)?, [x, y, 1], [launch.threads, 1, 1], launch.shared, parameters);
        recording.run(&self.device, &mut self.staging.borrow_mut(), 0..1)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Executor for Gpu {
    type Memory = Block;

    fn processors(&self) -> usize {
        self.device.processors() as usize
    }

    fn allocate(&self, bytes: usize) -> Result<Block, String> {
        Block::new(&self.device, bytes, "replicas").map_err(|error| error.to_string())
    }

    fn address(&self, memory: &Block) -> u64 {
        memory.pointer()
    }

    fn write(&self, memory: &mut Block, start: usize, bytes: &[u8]) -> Result<(), String> {
        memory.write_at(start, bytes).map_err(|error| error.to_string())
    }

    fn read(&self, memory: &Block, bytes: &mut [u8]) -> Result<(), String> {
        memory.read(bytes).map_err(|error| error.to_string())
    }

    fn launch(&self, launch: &Kernel<'_>) -> Result<(), String> {
        self.enqueue(launch).map_err(|error| error.to_string())
    }
}
