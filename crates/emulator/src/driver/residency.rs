//! How many blocks a multiprocessor holds at once.
//!
//! The least of, on an H200: 32 blocks; 2048 threads in whole warps; 228 KiB of shared memory, of which each block takes what it
//! asks for, rounded up to 128 bytes, and 1 KiB that CUDA keeps. Registers do not count, since only a GPU's assembler
//! knows how many a kernel needs.

use super::error::Outcome;
use super::function::Function;
use super::machine::{SHARED_RESERVED, machine};
use crate::properties::Properties;

pub const WARP: u32 = 32;

/// Blocks of so many threads and so many bytes of shared memory, static and dynamic, on a multiprocessor.
fn blocks(device: &Properties, threads: u32, shared: u32) -> u32 {
    let by_threads = device.threads_per_multiprocessor / threads.next_multiple_of(WARP).max(WARP);
    let bytes = u64::from(shared).next_multiple_of(128) + u64::from(SHARED_RESERVED);
    let by_shared = u64::from(device.shared_per_multiprocessor) / bytes;
    device.blocks_per_multiprocessor.min(by_threads).min(by_shared as u32)
}

/// Blocks of a function on a multiprocessor.
pub fn active(device: &Properties, function: &Function, threads: u32, dynamic: usize) -> u32 {
    let known = function.attributes();
    let shared = u32::try_from(dynamic).ok().and_then(|dynamic| dynamic.checked_add(known.static_shared));
    match shared {
        Some(shared) if (1..=known.max_threads).contains(&threads) => blocks(device, threads, shared),
        _ => 0,
    }
}

/// Clusters of a function that run at the same time on the device.
pub fn clusters(device: &Properties, function: &Function, threads: u32, dynamic: u32, cluster: u32) -> u32 {
    let of_each = active(device, function, threads, dynamic as usize);
    match device.capability {
        (0..9, _) => 0,
        _ => parts(device).map(|multiprocessors| multiprocessors * of_each / cluster.max(1)).sum(),
    }
}

/// Multiprocessors of each of the parts of a device that hold whole clusters: pairs, spread over as many parts as have 16
/// each. An H100 has 8, two of them with 18.
fn parts(device: &Properties) -> impl Iterator<Item = u32> + use<> {
    let (pairs, count) = (device.multiprocessors / 2, (device.multiprocessors / 16).max(1));
    (0..count).map(move |part| 2 * (pairs / count + u32::from(part < pairs % count)))
}

/// Blocks of a function that run at the same time on the device, and here.
pub fn resident_blocks(function: &Function, threads: u32, dynamic: u32) -> Outcome<u64> {
    let properties = machine()?.properties();
    let on_gpu =
        u64::from(active(properties, function, threads, dynamic as usize)) * u64::from(properties.multiprocessors);
    Ok(on_gpu.min(properties.resident_blocks.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_resource_decides() {
        let blocks = |threads, shared| super::blocks(&Properties::default(), threads, shared);
        assert_eq!(blocks(32, 0), 32);
        assert_eq!(blocks(256, 0), 8);
        assert_eq!(blocks(1024, 0), 2);
        assert_eq!(blocks(1000, 0), 2);
        // 48 KiB + 1 KiB goes 4 times into 228 KiB, 227 KiB + 1 KiB once.
        assert_eq!(blocks(64, 48 << 10), 4);
        assert_eq!(blocks(64, 227 << 10), 1);
        assert_eq!(blocks(64, 228 << 10), 0);
    }

    #[test]
    fn clusters_lie_in_parts_of_the_device() {
        let parts: Vec<u32> = parts(&Properties::default()).collect();
        assert_eq!(parts, [18, 18, 16, 16, 16, 16, 16, 16]);
    }
}
