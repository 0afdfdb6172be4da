//! What a device is like.

use std::thread;

/// What a device is like. The default is like an H200.
#[derive(Clone, Debug, PartialEq)]
pub struct Properties {
    /// The name.
    pub name: String,
    /// The compute capability, such as (9, 0).
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of global memory.
    pub memory: u64,
    /// The most bytes of shared memory of a block, static and dynamic.
    pub shared_per_block: u32,
    /// Blocks that run by turns, so that they can wait for each other.
    pub resident_blocks: u32,
    /// Threads of the host that execute blocks.
    pub host_threads: usize,
    /// The most instructions of warps in a launch.
    pub step_limit: u64,
    /// The most findings of a launch.
    pub most_findings: usize,
    /// Whether accesses are checked for races and uninitialised bytes. Bounds, alignment and barriers always are.
    pub check: bool,
}

impl Default for Properties {
    fn default() -> Properties {
        Properties {
            name: "Yuragi PTX emulator".into(),
            capability: (9, 0),
            multiprocessors: 132,
            memory: 16 << 30,
            shared_per_block: 227 << 10,
            resident_blocks: 264,
            host_threads: thread::available_parallelism().map_or(1, |n| n.get()),
            step_limit: 1 << 36,
            most_findings: 64,
            check: true,
        }
    }
}
