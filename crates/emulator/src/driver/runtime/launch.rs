//! Kernels: launched, asked about, and told how to be launched.

use std::cell::RefCell;

use super::super::error::{Code, Outcome};
use super::super::function;
use super::super::handle::Handle;
use super::super::launch::launch;
use super::super::occupancy::{cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags, cuOccupancyMaxActiveClusters};
use super::super::pointer::{Buffer, In, Out};
use super::super::shape::{Config, Shape};
use super::error::{INVALID_CONFIGURATION, rather};
use super::{binaries, done};

/// `dim3`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Extents {
    x: u32,
    y: u32,
    z: u32,
}

/// How a kernel is to be launched: what stands between `<<<` and `>>>`.
#[derive(Clone, Copy)]
struct Call {
    grid: Extents,
    block: Extents,
    shared: usize,
    stream: Handle,
}

thread_local! {
    static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

fn start(kernel: Handle, call: Call, params: In<Buffer>, cooperative: bool) -> Outcome {
    let Call { grid, block, shared, stream } = call;
    let shared = u32::try_from(shared).map_err(|_| Code::INVALID_VALUE)?;
    let [grid, block] = [grid, block].map(|extents| [extents.x, extents.y, extents.z]);
    launch_of(kernel, Shape { grid, block, shared, cluster: None, cooperative, dependent: false }, stream, params)
}

fn launch_of(kernel: Handle, shape: Shape, stream: Handle, params: In<Buffer>) -> Outcome {
    let extents = shape.check_extents(&*function::find(kernel)?);
    extents.map_err(|error| rather(error, Code::INVALID_VALUE, INVALID_CONFIGURATION))?;
    launch(kernel, shape, stream, params, In::NULL)
}

/// `cudaLaunchConfig_t`: as the driver's, with other widths.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LaunchConfig {
    grid: Extents,
    block: Extents,
    shared: usize,
    stream: Handle,
    attributes: Buffer,
    count: u32,
}

impl LaunchConfig {
    fn driver(&self) -> Outcome<Config> {
        let [grid, block] = [self.grid, self.block].map(|extents| [extents.x, extents.y, extents.z]);
        let shared = u32::try_from(self.shared).map_err(|_| Code::INVALID_VALUE)?;
        Ok(Config::new(grid, block, shared, self.stream, self.attributes.array(), self.count))
    }
}

/// `cudaFuncAttributes`.
#[repr(C)]
pub struct FuncAttributes {
    shared: usize,
    constant: usize,
    local: usize,
    max_threads: i32,
    registers: i32,
    ptx_version: i32,
    binary_version: i32,
    cache_mode: i32,
    max_dynamic_shared: i32,
    carveout: i32,
    cluster_must_be_set: i32,
    cluster: [i32; 3],
    cluster_policy: i32,
    non_portable_cluster: i32,
    reserved: [i32; 16],
}

/// What stands between `<<<` and `>>>` is kept for the launch that follows; 0 if it is.
// SAFETY: the name is the CUDA runtime's, which this library stands in for; nothing else has it.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaPushCallConfiguration(grid: Extents, block: Extents, shared: usize, stream: Handle) -> u32 {
    let kept = CALLS.try_with(|calls| calls.borrow_mut().push(Call { grid, block, shared, stream }));
    u32::from(kept.is_err())
}

super::exported! {
    fn __cudaPopCallConfiguration(grid: Out<Extents>, block: Out<Extents>, shared: Out<usize>, stream: Out<Handle>) {
        let call = CALLS.try_with(|calls| calls.borrow_mut().pop()).ok().flatten().ok_or(Code::INVALID_VALUE)?;
        grid.place()?.put(call.grid);
        block.place()?.put(call.block);
        shared.place()?.put(call.shared);
        stream.place()?.put(call.stream);
        Ok(())
    }

    fn __cudaGetKernel(out: Out<Handle>, host: Buffer) {
        out.place()?.put(binaries::function(host)?);
        Ok(())
    }

    fn cudaGetKernel(out: Out<Handle>, host: Buffer) {
        out.place()?.put(binaries::function(host)?);
        Ok(())
    }

    fn cudaGetFuncBySymbol(out: Out<Handle>, host: Buffer) {
        out.place()?.put(binaries::function(host)?);
        Ok(())
    }

    fn __cudaLaunchKernel(kernel: Handle, grid: Extents, block: Extents, params: In<Buffer>, shared: usize, stream: Handle) {
        start(kernel, Call { grid, block, shared, stream }, params, false)
    }

    fn cudaLaunchKernel(host: Buffer, grid: Extents, block: Extents, params: In<Buffer>, shared: usize, stream: Handle) {
        start(binaries::function(host)?, Call { grid, block, shared, stream }, params, false)
    }

    fn cudaLaunchCooperativeKernel(
        host: Buffer,
        grid: Extents,
        block: Extents,
        params: In<Buffer>,
        shared: usize,
        stream: Handle,
    ) {
        start(binaries::function(host)?, Call { grid, block, shared, stream }, params, true)
    }

    fn cudaLaunchKernelExC(config: In<LaunchConfig>, host: Buffer, params: In<Buffer>) {
        let config = config.get()?.driver()?;
        launch_of(binaries::function(host)?, config.shape()?, config.stream, params)
    }

    fn cudaFuncSetAttribute(host: Buffer, attribute: i32, value: i32) {
        function::find(binaries::function(host)?)?.set(attribute, value)
    }

    fn cudaFuncSetCacheConfig(host: Buffer, _config: u32) {
        binaries::function(host).map(drop)
    }

    fn cudaFuncGetAttributes(out: Out<FuncAttributes>, host: Buffer) {
        let place = out.place()?;
        let function = function::find(binaries::function(host)?)?;
        let get = |attribute: i32| function.get(attribute);
        place.put(FuncAttributes {
            shared: get(1)? as usize,
            constant: get(2)? as usize,
            local: get(3)? as usize,
            max_threads: get(0)?,
            registers: get(4)?,
            ptx_version: get(5)?,
            binary_version: get(6)?,
            cache_mode: get(7)?,
            max_dynamic_shared: get(8)?,
            carveout: get(9)?,
            cluster_must_be_set: get(10)?,
            cluster: [get(11)?, get(12)?, get(13)?],
            cluster_policy: get(15)?,
            non_portable_cluster: get(14)?,
            reserved: [0; 16],
        });
        Ok(())
    }

    fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(out: Out<i32>, host: Buffer, threads: i32, dynamic: usize) {
        let function = binaries::function(host)?;
        done(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(out, function, threads, dynamic, 0))
    }

    fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        out: Out<i32>,
        host: Buffer,
        threads: i32,
        dynamic: usize,
        flags: u32,
    ) {
        let function = binaries::function(host)?;
        done(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(out, function, threads, dynamic, flags))
    }

    fn cudaOccupancyMaxActiveClusters(out: Out<i32>, host: Buffer, config: In<LaunchConfig>) {
        let config = config.get()?.driver()?;
        done(cuOccupancyMaxActiveClusters(out, binaries::function(host)?, In::of(&config)))
    }
}
