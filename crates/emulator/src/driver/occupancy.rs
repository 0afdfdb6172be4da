//! The functions of occupancy: how many blocks a multiprocessor holds at once.

use std::ffi::c_int;

use super::error::{Code, Outcome};
use super::function;
use super::handle::Handle;
use super::machine::{SHARED_RESERVED, machine};
use super::pointer::{In, Out};
use super::residency::{WARP, active, clusters};
use super::shape::{Config, count};
use super::stream::Stream;

fn put_active(out: Out<i32>, function: Handle, threads: i32, dynamic: usize) -> Outcome {
    let place = out.place()?;
    let function = function::find(function)?;
    let threads = u32::try_from(threads).ok().filter(|&threads| threads > 0).ok_or(Code::INVALID_VALUE)?;
    place.put(active(machine()?.properties(), &function, threads, dynamic) as i32);
    Ok(())
}

/// `CUoccupancyB2DSize`: the bytes of dynamic shared memory that blocks of some threads need.
pub type SharedOfThreads = Option<unsafe extern "C" fn(c_int) -> usize>;

/// The block size with the most threads at once, the largest such, and the blocks that fill the device.
fn put_potential(
    grid: Out<i32>,
    block: Out<i32>,
    function: Handle,
    shared: SharedOfThreads,
    dynamic: usize,
    limit: i32,
) -> Outcome {
    let (grid, block) = (grid.place()?, block.place()?);
    let function = function::find(function)?;
    let most = function.attributes().max_threads;
    let most = u32::try_from(limit).ok().filter(|&limit| limit > 0).map_or(most, |limit| limit.min(most));
    let mut best = (0, 0, 0);
    for threads in (1..=most.div_ceil(WARP)).map(|warps| (WARP * warps).min(most)) {
        let dynamic = match shared {
            // SAFETY: the caller gave a function that takes any number of threads and has no other duty.
            Some(shared) => unsafe { shared(threads as c_int) },
            None => dynamic,
        };
        let blocks = active(machine()?.properties(), &function, threads, dynamic);
        best = best.max((blocks * threads, threads, blocks));
    }
    let (_, threads, blocks) = best;
    block.put(threads as i32);
    grid.put((blocks * machine()?.properties().multiprocessors) as i32);
    Ok(())
}

/// The most blocks of a portable cluster.
const CLUSTER: u32 = 8;

super::boundary::exported! {
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(out: Out<i32>, function: Handle, threads: i32, dynamic: usize) {
        put_active(out, function, threads, dynamic)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        out: Out<i32>,
        function: Handle,
        threads: i32,
        dynamic: usize,
        flags: u32,
    ) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE.into());
        }
        put_active(out, function, threads, dynamic)
    }

    fn cuOccupancyMaxPotentialBlockSize(
        grid: Out<i32>,
        block: Out<i32>,
        function: Handle,
        shared: SharedOfThreads,
        dynamic: usize,
        limit: i32,
    ) {
        put_potential(grid, block, function, shared, dynamic, limit)
    }

    fn cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: Out<i32>,
        block: Out<i32>,
        function: Handle,
        shared: SharedOfThreads,
        dynamic: usize,
        limit: i32,
        flags: u32,
    ) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE.into());
        }
        put_potential(grid, block, function, shared, dynamic, limit)
    }

    /// What is left of a multiprocessor's shared memory when so many blocks share it.
    fn cuOccupancyAvailableDynamicSMemPerBlock(out: Out<usize>, function: Handle, count: i32, threads: i32) {
        let place = out.place()?;
        let function = function::find(function)?;
        let count = u32::try_from(count).ok().filter(|&count| count > 0).ok_or(Code::INVALID_VALUE)?;
        let threads = u32::try_from(threads).map_err(|_| Code::INVALID_VALUE)?;
        if active(machine()?.properties(), &function, threads, 0) < count {
            return Err(Code::INVALID_VALUE.into());
        }
        let fixed = SHARED_RESERVED + function.attributes().static_shared.next_multiple_of(128);
        let share = (machine()?.properties().shared_per_multiprocessor / count).saturating_sub(fixed);
        let most = machine()?.properties().shared_per_block.saturating_sub(function.attributes().static_shared);
        place.put((share / 128 * 128).min(most) as usize);
        Ok(())
    }

    fn cuOccupancyMaxActiveClusters(out: Out<i32>, function: Handle, config: In<Config>) {
        let place = out.place()?;
        let (function, config) = (function::find(function)?, config.get()?);
        Stream::of(config.stream)?;
        let (threads, dynamic, cluster) = config.load()?;
        let own = function.cluster().map_or(1, count);
        place.put(clusters(machine()?.properties(), &function, threads, dynamic, cluster.unwrap_or(own)) as i32);
        Ok(())
    }

    fn cuOccupancyMaxPotentialClusterSize(out: Out<i32>, function: Handle, config: In<Config>) {
        let place = out.place()?;
        let (function, config) = (function::find(function)?, config.get()?);
        Stream::of(config.stream)?;
        let (threads, dynamic, _) = config.load()?;
        let fits = active(machine()?.properties(), &function, threads, dynamic as usize) > 0;
        place.put(if fits { function.most_cluster_blocks().max(CLUSTER) as i32 } else { 0 });
        Ok(())
    }
}
