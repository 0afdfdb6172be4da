use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{
    CudaGraph, DriverError, result,
    sys::{self, CUgraphInstantiate_flags, CUstreamCaptureMode},
};

use super::{
    context::Device,
    failure::{bind, failed},
    memory::{Block, Pinned},
    module::Function,
};
use crate::CudaError;

/// What a stream is to do, one thing after another.
enum Action {
    Launch { function: Function, grid: [u32; 3], block: [u32; 3], shared: u32, parameters: Parameters },
    Write { to: u64, from: usize, bytes: usize },
    Read { from: u64, to: usize, bytes: usize },
}

/// The parameters of a launch: of each the bits, in one or more words.
#[derive(Default)]
pub struct Parameters {
    words: Vec<u64>,
    /// The first word of each.
    starts: Vec<usize>,
}

impl Parameters {
    /// One more parameter, in the low bytes of these words.
    pub fn add(&mut self, words: &[u64]) {
        self.starts.push(self.words.len());
        self.words.extend_from_slice(words);
    }
}

/// Actions in order, over blocks and staging memory that the owner keeps alive.
#[derive(Default)]
pub struct Recording {
    actions: Vec<Action>,
    /// Room for the addresses of one launch's arguments.
    pointers: Vec<*mut c_void>,
}

// SAFETY: the pointers mean nothing between launches.
unsafe impl Send for Recording {}
// SAFETY: as above; a shared recording is never run.
unsafe impl Sync for Recording {}

/// A recording as one graph of the driver, replayed by one call.
pub struct Replay {
    device: Arc<Device>,
    graph: CudaGraph,
}

// SAFETY: a graph is launched through `&mut self` only.
unsafe impl Send for Replay {}
// SAFETY: as above; nothing can be done with a shared one.
unsafe impl Sync for Replay {}

impl Recording {
    /// Launches a kernel.
    pub fn launch(&mut self, function: Function, grid: [u32; 3], block: [u32; 3], shared: u32, parameters: Parameters) {
        self.pointers.reserve(parameters.starts.len());
        self.actions.push(Action::Launch { function, grid, block, shared, parameters });
    }

    /// Copies staging bytes, from `from` on, to a block, at `at`.
    pub fn write(&mut self, block: &Block, at: usize, from: usize, bytes: usize) {
        if bytes > 0 {
            self.actions.push(Action::Write { to: block.pointer() + at as u64, from, bytes });
        }
    }

    /// Copies a block's bytes, from `at` on, to the staging memory, at `to`.
    pub fn read(&mut self, block: &Block, at: usize, to: usize, bytes: usize) {
        if bytes > 0 {
            self.actions.push(Action::Read { from: block.pointer() + at as u64, to, bytes });
        }
    }

    /// The number of actions.
    pub fn len(&self) -> usize {
        self.actions.len()
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Has the stream do some of the actions; does not wait.
    pub fn run(
        &mut self,
        device: &Device,
        staging: &mut Pinned,
        range: std::ops::Range<usize>,
    ) -> Result<(), CudaError> {
        bind(&device.context)?;
        self.enqueue(device, staging, range, true)
    }

    /// A launch behind another one may begin before that is over, if its kernel waits and `overlapped` allows it.
    fn enqueue(
        &mut self,
        device: &Device,
        staging: &mut Pinned,
        range: std::ops::Range<usize>,
        overlapped: bool,
    ) -> Result<(), CudaError> {
        let stream = device.stream.cu_stream();
        let host = staging.pointer();
        let mut behind_launch = false;
        for action in &mut self.actions[range] {
            let behind_launch = std::mem::replace(&mut behind_launch, matches!(action, Action::Launch { .. }));
            match action {
                Action::Launch { function, grid, block, shared, parameters } => {
                    // The driver copies the parameters before it returns.
                    self.pointers.clear();
                    let Parameters { words, starts } = parameters;
                    self.pointers.extend(starts.iter().map(|&start| words[start..].as_mut_ptr().cast::<c_void>()));
                    let (handle, pointers) = (function.handle, &mut self.pointers);
                    // SAFETY: the lowering gives every kernel the arguments of its contract, in blocks that live; one that
                    // begins early waits before it touches them.
                    let launched = unsafe {
                        if overlapped && behind_launch && function.waits {
                            launch_early(handle, *grid, *block, *shared, stream, pointers)
                        } else {
                            let [grid, block] = [&*grid, &*block].map(|e| (e[0], e[1], e[2]));
                            result::launch_kernel(handle, grid, block, *shared, stream, pointers)
                        }
                    };
                    launched.map_err(|e| failed("a launch", e))?;
                }
                Action::Write { to, from, bytes } => {
                    // SAFETY: the range lies in the staging memory, which outlives the copy: it is freed after waiting.
                    let source = unsafe { std::slice::from_raw_parts(host.add(*from).cast_const(), *bytes) };
                    // SAFETY: as many bytes are free to write on the device.
                    let copied = unsafe { result::memcpy_htod_async(*to, source, stream) };
                    copied.map_err(|e| failed("a copy to the device", e))?;
                }
                Action::Read { from, to, bytes } => {
                    // SAFETY: as above; nobody reads the range before waiting.
                    let target = unsafe { std::slice::from_raw_parts_mut(host.add(*to), *bytes) };
                    // SAFETY: as many bytes are there on the device.
                    let copied = unsafe { result::memcpy_dtoh_async(target, *from, stream) };
                    copied.map_err(|e| failed("a copy from the device", e))?;
                }
            }
        }
        Ok(())
    }

    /// The whole recording as one graph.
    pub fn captured(&mut self, device: &Arc<Device>, staging: &mut Pinned) -> Result<Option<Replay>, CudaError> {
        bind(&device.context)?;
        // Launches that begin early become edges of a kind that graphs had not always: one without is slower, and right.
        let graph = self.capture(device, staging, true).or_else(|_| self.capture(device, staging, false))?;
        Ok(graph.map(|graph| Replay { device: device.clone(), graph }))
    }

    fn capture(
        &mut self,
        device: &Device,
        staging: &mut Pinned,
        overlapped: bool,
    ) -> Result<Option<CudaGraph>, CudaError> {
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        device.stream.begin_capture(mode).map_err(|e| failed("a capture", e))?;
        let enqueued = self.enqueue(device, staging, 0..self.actions.len(), overlapped);
        let graph = device.stream.end_capture(CUgraphInstantiate_flags(0));
        enqueued?;
        graph.map_err(|e| failed("a graph of launches", e))
    }
}

/// Launches a kernel that may begin while the one before it in the stream ends.
///
/// # Safety
/// As for [`result::launch_kernel`]; the kernel waits before it touches memory.
unsafe fn launch_early(
    function: sys::CUfunction,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: sys::CUstream,
    pointers: &mut [*mut c_void],
) -> Result<(), DriverError> {
    let mut early = sys::CUlaunchAttribute {
        id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
        pad: [0; 4],
        value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
    };
    let config = sys::CUlaunchConfig {
        gridDimX: grid[0],
        gridDimY: grid[1],
        gridDimZ: grid[2],
        blockDimX: block[0],
        blockDimY: block[1],
        blockDimZ: block[2],
        sharedMemBytes: shared,
        hStream: stream,
        attrs: &raw mut early,
        numAttrs: 1,
    };
    // SAFETY: as the caller has it; the driver copies the attribute and the parameters before it returns.
    unsafe { sys::cuLaunchKernelEx(&config, function, pointers.as_mut_ptr(), std::ptr::null_mut()) }.result()
}

impl Replay {
    /// Has the stream do everything; does not wait.
    pub fn run(&mut self) -> Result<(), CudaError> {
        bind(&self.device.context)?;
        self.graph.launch().map_err(|e| failed("a graph of launches", e))
    }
}
