//! What a device is like.

use std::thread;

use crate::counters::Roofline;

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
    /// Bytes of the heap from which kernels allocate.
    pub heap: u64,
    /// The most bytes of shared memory of a block, static and dynamic.
    pub shared_per_block: u32,
    /// Bytes of shared memory that a multiprocessor holds.
    pub shared_per_multiprocessor: u32,
    /// Threads that a multiprocessor holds.
    pub threads_per_multiprocessor: u32,
    /// Blocks that a multiprocessor holds.
    pub blocks_per_multiprocessor: u32,
    /// Bytes of its second-level cache.
    pub cache: u32,
    /// The clock of the multiprocessors in kHz.
    pub clock: u32,
    /// The clock of the memory in kHz.
    pub memory_clock: u32,
    /// The bits of the memory's bus.
    pub memory_bus: u32,
    /// What it can do at most.
    pub roofline: Roofline,
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
            heap: 8 << 20,
            shared_per_block: 227 << 10,
            shared_per_multiprocessor: 228 << 10,
            threads_per_multiprocessor: 2048,
            blocks_per_multiprocessor: 32,
            cache: 50 << 20,
            clock: 1_980_000,
            memory_clock: 3_201_000,
            memory_bus: 6144,
            roofline: Roofline::H200,
            resident_blocks: 264,
            host_threads: thread::available_parallelism().map_or(1, |n| n.get()),
            step_limit: 1 << 36,
            most_findings: 64,
            check: true,
        }
    }
}

impl Properties {
    /// The devices that [`named`](Properties::named) knows.
    pub const NAMES: [&str; 4] = ["H200", "H100", "A100", "RTX 4090"];

    /// A device by its name, in any case and with blanks or without.
    pub fn named(name: &str) -> Option<Properties> {
        let short: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
        let other = Properties::default();
        let device = match short.as_str() {
            "H200" => Properties { memory: 141_000_000_000, ..other },
            "H100" => Properties {
                memory: 80 << 30,
                memory_clock: 2_619_000,
                memory_bus: 5120,
                roofline: Roofline::H100,
                ..other
            },
            "A100" => Properties {
                capability: (8, 0),
                multiprocessors: 108,
                memory: 80 << 30,
                shared_per_block: 163 << 10,
                shared_per_multiprocessor: 164 << 10,
                cache: 40 << 20,
                clock: 1_410_000,
                memory_clock: 1_593_000,
                memory_bus: 5120,
                resident_blocks: 216,
                roofline: Roofline::A100,
                ..other
            },
            "RTX4090" => Properties {
                capability: (8, 9),
                multiprocessors: 128,
                memory: 24 << 30,
                shared_per_block: 99 << 10,
                shared_per_multiprocessor: 100 << 10,
                threads_per_multiprocessor: 1536,
                blocks_per_multiprocessor: 24,
                cache: 72 << 20,
                clock: 2_520_000,
                memory_clock: 10_501_000,
                memory_bus: 384,
                resident_blocks: 256,
                roofline: Roofline::RTX_4090,
                ..other
            },
            _ => return None,
        };
        let name = Properties::NAMES.into_iter().find(|name| name.replace(' ', "") == short)?;
        Some(Properties { name: format!("{name} (Yuragi PTX emulator)"), ..device })
    }
}
