//! The form of a launch: its extents, and whether the function and the device can have them.

use super::error::{Code, Outcome};
use super::function::Function;
use super::handle::Handle;
use super::pointer::In;
use super::residency::resident_blocks;
use crate::device::{Launch, volume};

/// The form of a launch as a caller gives it.
pub struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    pub cluster: Option<[u32; 3]>,
    pub cooperative: bool,
    /// Whether it may begin while a launch before it ends: `CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION`.
    pub dependent: bool,
}

/// The product of three extents, or the greatest number where it is greater.
pub fn count(extents: [u32; 3]) -> u32 {
    volume(extents).try_into().unwrap_or(u32::MAX)
}

const MOST_BLOCKS: [u32; 3] = [i32::MAX as u32, 65_535, 65_535];
const MOST_THREADS: [u32; 3] = [1024, 1024, 64];

impl Shape {
    /// Whether the function can have so many blocks and threads.
    pub fn check_extents(&self, function: &Function) -> Outcome {
        let name = function.kernel.name();
        let refuse = |why: String| Err(Code::INVALID_VALUE.because(format_args!("launch of {name}: {why}")));
        for axis in 0..3 {
            if self.grid[axis] == 0 || self.grid[axis] > MOST_BLOCKS[axis] {
                return refuse(format!("a grid of {:?} blocks; at most {MOST_BLOCKS:?}", self.grid));
            }
            if self.block[axis] == 0 || self.block[axis] > MOST_THREADS[axis] {
                return refuse(format!("blocks of {:?} threads; at most {MOST_THREADS:?}", self.block));
            }
        }
        let (threads, most) = (count(self.block), function.attributes().max_threads);
        if threads > most {
            return refuse(format!("{threads} threads a block; at most {most}"));
        }
        Ok(())
    }

    /// The launch, if the function and the device can have it.
    pub fn check(&self, function: &Function) -> Outcome<Launch> {
        self.check_extents(function)?;
        let name = function.kernel.name();
        let refuse = |code: Code, why: String| Err(code.because(format_args!("launch of {name}: {why}")));
        let attributes = function.attributes();
        if self.shared > function.dynamic_shared() {
            let why = format!(
                "{} bytes of dynamic shared memory; at most {} until \
                 CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES allows more",
                self.shared,
                function.dynamic_shared(),
            );
            return refuse(Code::INVALID_VALUE, why);
        }
        let cluster = self.cluster.or(function.cluster()).unwrap_or([1; 3]);
        if let Some(required) = attributes.cluster.filter(|required| *required != cluster) {
            let why = format!("clusters of {cluster:?} blocks; the kernel requires {required:?}");
            return refuse(Code::INVALID_CLUSTER_SIZE, why);
        }
        let blocks = volume(cluster);
        let divides = (0..3).all(|axis| cluster[axis] > 0 && self.grid[axis].is_multiple_of(cluster[axis]));
        if !divides || blocks > function.most_cluster_blocks().into() {
            let why = format!("clusters of {cluster:?} blocks in a grid of {:?}", self.grid);
            return refuse(Code::INVALID_CLUSTER_SIZE, why);
        }
        if self.cooperative {
            let most = resident_blocks(function, count(self.block), self.shared)?;
            let blocks = volume(self.grid);
            if blocks > most {
                let why = format!("{blocks} blocks must run at once; {most} can");
                return refuse(Code::COOPERATIVE_LAUNCH_TOO_LARGE, why);
            }
        }
        Ok(Launch { grid: self.grid, block: self.block, shared_bytes: self.shared, cluster })
    }
}

/// `CUlaunchConfig`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Config {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    pub stream: Handle,
    attributes: In<Attribute>,
    attribute_count: u32,
}

/// `CUlaunchAttribute`: a number that says which, and 64 bytes of value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attribute {
    id: i32,
    padding: [u8; 4],
    value: [u32; 16],
}

impl Config {
    pub fn new(
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        stream: Handle,
        attributes: In<Attribute>,
        attribute_count: u32,
    ) -> Config {
        Config { grid, block, shared, stream, attributes, attribute_count }
    }

    pub fn shape(&self) -> Outcome<Shape> {
        let (grid, block, shared) = (self.grid, self.block, self.shared);
        let mut shape = Shape { grid, block, shared, cluster: None, cooperative: false, dependent: false };
        for attribute in self.attributes.all(self.attribute_count as usize)? {
            match attribute.id {
                2 => shape.cooperative = attribute.value[0] != 0,
                4 => shape.cluster = Some([attribute.value[0], attribute.value[1], attribute.value[2]]),
                6 => shape.dependent = attribute.value[0] != 0,
                // Hints about caches, waiting, scheduling, priority, domains and shared memory.
                0 | 1 | 3 | 5 | 8 | 9 | 10 | 11 | 14 => {}
                id => return Err(Code::NOT_SUPPORTED.because(format_args!("launch attribute {id}"))),
            }
        }
        Ok(shape)
    }

    /// Threads of a block, bytes of dynamic shared memory and blocks of a cluster, for questions of occupancy.
    pub fn load(&self) -> Outcome<(u32, u32, Option<u32>)> {
        let shape = self.shape()?;
        Ok((count(shape.block), shape.shared, shape.cluster.map(count)))
    }
}
