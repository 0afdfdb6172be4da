use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{DriverError, result, sys::CUresult};

use super::{
    context::Device,
    failure::{bind, failed},
};
use crate::CudaError;

/// Memory of a device; freed when it is dropped, after everything that was asked for before.
pub struct Block {
    device: Arc<Device>,
    pointer: u64,
    bytes: usize,
}

impl Block {
    /// So many bytes, with nothing in them. `what` names them in an error.
    pub fn new(device: &Arc<Device>, bytes: usize, what: &'static str) -> Result<Block, CudaError> {
        bind(&device.context)?;
        if bytes == 0 {
            return Ok(Block { device: device.clone(), pointer: 0, bytes });
        }
        // SAFETY: the context is current; nothing is read.
        let pointer = unsafe { result::malloc_sync(bytes) }.map_err(|error| no_memory(device, error, bytes, what))?;
        Ok(Block { device: device.clone(), pointer, bytes })
    }

    /// The address of the first byte; 0 where there is none.
    pub fn pointer(&self) -> u64 {
        self.pointer
    }

    /// Whether it is memory of the same GPU.
    #[cfg(feature = "nccl")]
    pub(super) fn is_of(&self, device: &Device) -> bool {
        self.device.context.ordinal() == device.context.ordinal()
    }

    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Fills the block from its start, and waits.
    pub fn write(&mut self, from: &[u8]) -> Result<(), CudaError> {
        self.write_at(0, from)
    }

    /// Fills the block from this byte on, and waits.
    pub fn write_at(&mut self, start: usize, from: &[u8]) -> Result<(), CudaError> {
        let length = from.len().min(self.bytes.saturating_sub(start));
        if length == 0 {
            return Ok(());
        }
        bind(&self.device.context)?;
        let stream = self.device.stream.cu_stream();
        // SAFETY: both ranges are `length` bytes, and the copy is waited for.
        let copied = unsafe { result::memcpy_htod_async(self.pointer + start as u64, &from[..length], stream) };
        copied.map_err(|e| failed("a copy to the device", e))?;
        self.device.synchronize()
    }

    /// Reads the block's first bytes, after everything in the stream.
    pub fn read(&self, into: &mut [u8]) -> Result<(), CudaError> {
        let length = into.len().min(self.bytes);
        if length == 0 {
            return Ok(());
        }
        bind(&self.device.context)?;
        let stream = self.device.stream.cu_stream();
        // SAFETY: both ranges are `length` bytes, and the copy is waited for.
        let copied = unsafe { result::memcpy_dtoh_async(&mut into[..length], self.pointer, stream) };
        copied.map_err(|e| failed("a copy from the device", e))?;
        self.device.synchronize()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.pointer != 0 && bind(&self.device.context).is_ok() {
            // SAFETY: the block is ours; freeing waits for launches that may use it.
            let freed = unsafe { result::free_sync(self.pointer) };
            self.device.context.record_err(freed);
        }
    }
}

/// Memory of the host that the device copies from and to while the host goes on.
pub struct Pinned {
    device: Arc<Device>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: the memory is owned, and only reached through `&self` and `&mut self`.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// So many bytes, all 0.
    pub fn new(device: &Arc<Device>, bytes: usize) -> Result<Pinned, CudaError> {
        bind(&device.context)?;
        // SAFETY: the context is current.
        let pointer = unsafe { result::malloc_host(bytes.max(1), 0) };
        let pointer = pointer.map_err(|error| no_memory(device, error, bytes, "staging on the host"))?.cast::<u8>();
        // SAFETY: as many bytes were just allocated.
        unsafe { pointer.write_bytes(0, bytes.max(1)) };
        Ok(Pinned { device: device.clone(), pointer, bytes })
    }

    pub(super) fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// The bytes. The stream must not be writing them: wait for the device first.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: initialised when allocated.
        unsafe { std::slice::from_raw_parts(self.pointer, self.bytes) }
    }

    /// The bytes, to be written. The stream must not be reading them: wait for the device first.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: initialised when allocated, and exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if bind(&self.device.context).is_ok() {
            self.device.context.record_err(self.device.stream.synchronize());
            // SAFETY: the memory is ours and nothing uses it any more.
            let freed = unsafe { result::free_host(self.pointer.cast::<c_void>()) };
            self.device.context.record_err(freed);
        }
    }
}

fn no_memory(device: &Device, error: DriverError, needed: usize, what: &'static str) -> CudaError {
    if error.0 != CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return failed("memory", error);
    }
    match device.memory() {
        Ok((free, total)) => CudaError::OutOfMemory { what, needed, free, total },
        Err(_) => failed("memory", error),
    }
}
