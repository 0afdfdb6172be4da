//! The Rust face: a device with memory, modules and launches.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    machine::{Engine, LaunchKind, Order},
    memory::{
        MemoryError,
        global::{Allocation, Global},
        heap::Heap,
    },
    module::{Kernel, LoadError, Module},
    program::{DecodeError, dynamic_begin},
    properties::Properties,
    report::Report,
    texture::{Texels, Texture, TextureError},
};

/// A device.
pub struct Device {
    properties: Properties,
    global: Arc<Global>,
    launches: AtomicU64,
    /// Textures and surfaces by their objects, and the last object's number.
    textures: RwLock<(Arc<BTreeMap<u64, Texture>>, u64)>,
    /// The address of the heap of kernels, once one of them needs it.
    heap: OnceLock<Option<u64>>,
}

/// Why a launch cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// An extent that is 0 or too large.
    Extent {
        /// Which.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The legal values.
        legal: String,
    },
    /// Parameters of another size than the kernel declares.
    Parameters {
        /// Bytes given.
        given: usize,
        /// Bytes of the kernel's parameter block.
        needed: usize,
    },
    /// Something of the kernel is not known here.
    Refused(DecodeError),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaunchError::Extent { what, value, legal } => write!(f, "{what} is {value}; legal is {legal}"),
            LaunchError::Parameters { given, needed } => {
                write!(f, "{given} bytes of parameters are given; the kernel has {needed}")
            }
            LaunchError::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LaunchError {}

/// The product of three extents, or the greatest number where it is greater.
pub(crate) fn volume(extents: [u32; 3]) -> u64 {
    extents.iter().fold(1, |all: u64, &extent| all.saturating_mul(extent.into()))
}

/// The extents of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
    /// Blocks of a cluster along x, y, z.
    pub cluster: [u32; 3],
}

impl Launch {
    /// So many blocks of so many threads, along x.
    pub fn linear(blocks: u32, threads: u32) -> Launch {
        Launch { grid: [blocks, 1, 1], block: [threads, 1, 1], shared_bytes: 0, cluster: [1; 3] }
    }
}

/// Bytes in which the blocks of a cooperative launch meet.
const WORKSPACE_BYTES: u64 = 64;
/// The most blocks of a cluster.
const MOST_CLUSTER: u64 = 16;
/// The most bytes that the registers, local and shared memory of a block or cluster take on the host.
const MOST_BLOCK_BYTES: u64 = 1 << 30;

impl Device {
    /// A device with its memory empty.
    pub fn new(properties: Properties) -> Device {
        let global = Arc::new(Global::new(properties.memory));
        Device { properties, global, launches: AtomicU64::new(0), textures: RwLock::default(), heap: OnceLock::new() }
    }

    /// What it is like.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.global.used()
    }

    /// Bytes of memory.
    pub fn total(&self) -> u64 {
        self.global.total()
    }

    /// New memory, nothing written; its address is a multiple of 256.
    ///
    /// # Errors
    /// More bytes than are left.
    pub fn allocate(&self, bytes: u64) -> Result<u64, MemoryError> {
        self.global.allocate(bytes)
    }

    /// Gives memory back; its addresses are never used again.
    ///
    /// # Errors
    /// An address that is not the first of a live allocation.
    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        self.global.free(address)
    }

    /// First address and bytes of the live allocation that holds an address.
    pub fn allocation(&self, address: u64) -> Option<(u64, u64)> {
        self.global.find(address).map(|a| (a.base, a.bytes))
    }

    /// First addresses and bytes of all live allocations that no module made.
    pub fn allocations(&self) -> Vec<(u64, u64)> {
        self.global.live().iter().filter(|a| !a.of_module).map(|a| (a.base, a.bytes)).collect()
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// A range that lies in no live allocation.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.global.write(address, bytes)
    }

    /// Reads bytes; those never written are 0.
    ///
    /// # Errors
    /// A range that lies in no live allocation.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        self.global.read(address, bytes)
    }

    /// Copies bytes.
    ///
    /// # Errors
    /// A range that lies in no live allocation.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), MemoryError> {
        self.global.copy(to, from, bytes)
    }

    /// Writes a pattern of 1, 2 or 4 bytes so many times.
    ///
    /// # Errors
    /// A range that lies in no live allocation.
    pub fn fill(&self, address: u64, pattern: &[u8], count: u64) -> Result<(), MemoryError> {
        self.global.fill(address, pattern, count)
    }

    /// A new object, as kernels take it, of a texture or, without a sampling, of a surface.
    ///
    /// # Errors
    /// What no device has, and texels that do not lie in one live allocation.
    pub fn create_texture(&self, texture: Texture) -> Result<u64, TextureError> {
        texture.check()?;
        let Texels { address, .. } = texture.texels;
        let bytes = texture.texels.bytes().unwrap_or(u64::MAX);
        if !self.global.find(address).is_some_and(|allocation| allocation.holds(address, bytes)) {
            return Err(TextureError(format!("its {bytes} bytes at {address:#x} lie in no live allocation")));
        }
        let (textures, last) = &mut *self.textures.write().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        Arc::make_mut(textures).insert(*last, texture);
        Ok(*last)
    }

    /// The texture or surface of an object.
    pub fn texture(&self, object: u64) -> Option<Texture> {
        self.textures().get(&object).copied()
    }

    /// Ends an object; its texels stay. Whether it was one.
    pub fn destroy_texture(&self, object: u64) -> bool {
        let (textures, _) = &mut *self.textures.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(textures).remove(&object).is_some()
    }

    fn textures(&self) -> Arc<BTreeMap<u64, Texture>> {
        self.textures.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Loads a module from PTX text, its variables with their initial values. A kernel that is not understood is
    /// there, and says why ([`Kernel::refusal`]); only its launch is an error.
    ///
    /// # Errors
    /// What is not understood outside of functions.
    pub fn load(&self, text: &str) -> Result<Module, LoadError> {
        Module::load(text, &self.global)
    }

    /// Launches a kernel and waits for it. `params` is its parameter block, laid out as
    /// [`Kernel::params`] says.
    ///
    /// # Errors
    /// Extents or parameters that no kernel, or not this one, can be launched with. What the kernel
    /// itself does wrong stands in the report.
    pub fn launch(&self, kernel: &Kernel, launch: &Launch, params: &[u8]) -> Result<Report, LaunchError> {
        self.launch_with(kernel, launch, params, LaunchKind::Plain)
    }

    /// Launches a kernel as it is launched behind another one that may not be over (programmatic dependent launch), and waits for
    /// it: its threads must wait (`griddepcontrol.wait`) before they touch global memory.
    ///
    /// # Errors
    /// As those of [`launch`](Device::launch).
    pub fn launch_dependently(&self, kernel: &Kernel, launch: &Launch, params: &[u8]) -> Result<Report, LaunchError> {
        self.launch_with(kernel, launch, params, LaunchKind::Dependent)
    }

    /// Launches a kernel whose blocks meet (`this_grid().sync()`), and waits for it.
    ///
    /// # Errors
    /// As those of [`launch`](Device::launch).
    pub fn launch_cooperatively(&self, kernel: &Kernel, launch: &Launch, params: &[u8]) -> Result<Report, LaunchError> {
        let room = |value| {
            let (what, legal) = ("the bytes for a cooperative launch", "as many as are left".into());
            LaunchError::Extent { what, value, legal }
        };
        let workspace = self.allocate(WORKSPACE_BYTES).map_err(|_| room(WORKSPACE_BYTES))?;
        // It was just made.
        let _ = self.fill(workspace, &[0], WORKSPACE_BYTES);
        let report = self.launch_with(kernel, launch, params, LaunchKind::Cooperative { workspace });
        let _ = self.free(workspace);
        report
    }

    fn launch_with(
        &self,
        kernel: &Kernel,
        launch: &Launch,
        params: &[u8],
        kind: LaunchKind,
    ) -> Result<Report, LaunchError> {
        let program = &kernel.program;
        if let Some(refusal) = &program.refusal {
            return Err(LaunchError::Refused(refusal.clone()));
        }
        let extent = |what, value: u64, most: u64| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(LaunchError::Extent { what, value, legal: format!("1 to {most}") }),
        };
        let most_blocks = [u64::from(u32::MAX >> 1), 65_535, 65_535];
        for ((what, value), most) in
            ["gridDim.x", "gridDim.y", "gridDim.z"].into_iter().zip(launch.grid).zip(most_blocks)
        {
            extent(what, value.into(), most)?;
        }
        let blocks = volume(launch.grid);
        extent("the number of blocks", blocks, u32::MAX.into())?;
        for ((what, value), most) in
            ["blockDim.x", "blockDim.y", "blockDim.z"].into_iter().zip(launch.block).zip([1024, 1024, 64])
        {
            extent(what, value.into(), most)?;
        }
        let threads = volume(launch.block);
        extent("the number of threads of a block", threads, kernel.attributes().max_threads.into())?;
        if let Some(required) = program.required_threads.filter(|required| *required != launch.block) {
            let legal = format!("{required:?}, which the kernel requires");
            return Err(LaunchError::Extent { what: "the number of threads of a block", value: threads, legal });
        }
        let cluster = program.cluster.unwrap_or(launch.cluster);
        let in_cluster = volume(cluster);
        extent("the number of blocks of a cluster", in_cluster, MOST_CLUSTER)?;
        if in_cluster > 1 && self.properties.capability < (9, 0) {
            let (what, legal) = ("the number of blocks of a cluster", "1 on this device".into());
            return Err(LaunchError::Extent { what, value: in_cluster, legal });
        }
        if let Some(axis) = (0..3).find(|&axis| !launch.grid[axis].is_multiple_of(cluster[axis])) {
            let legal = format!("a multiple of the cluster's {}", cluster[axis]);
            return Err(LaunchError::Extent { what: "the grid", value: launch.grid[axis].into(), legal });
        }
        let shared = dynamic_begin(program.shared.into()) + u64::from(launch.shared_bytes);
        if shared > self.properties.shared_per_block.into() {
            let legal = format!("at most {}", self.properties.shared_per_block);
            return Err(LaunchError::Extent { what: "the shared memory of a block in bytes", value: shared, legal });
        }
        let block_bytes = in_cluster * program.block_bytes(threads as u32, shared);
        if block_bytes > MOST_BLOCK_BYTES {
            let (what, legal) =
                ("the registers and memory of a block or cluster in bytes", format!("at most {MOST_BLOCK_BYTES}"));
            return Err(LaunchError::Extent { what, value: block_bytes, legal });
        }
        if program.allocates {
            let mark =
                |allocation: &mut Allocation| (allocation.heap, allocation.of_module) = (Some(Heap::default()), true);
            // Where there is no room for a heap, `malloc` gives null.
            self.heap.get_or_init(|| self.global.allocate_with(self.properties.heap, mark).ok());
        }
        let needed = kernel.param_bytes();
        if params.len() != needed {
            return Err(LaunchError::Parameters { given: params.len(), needed });
        }
        let textures = self.textures();
        let engine = Engine::new(Order {
            textures: &textures,
            program,
            global: &self.global,
            params,
            grid: launch.grid,
            threads: launch.block,
            cluster,
            dynamic_shared: launch.shared_bytes,
            launch: self.launches.fetch_add(1, Relaxed) + 1,
            check: self.properties.check,
            kind,
            properties: &self.properties,
        });
        Ok(engine.run())
    }
}
