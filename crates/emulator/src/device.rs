//! The Rust face: a device with memory, modules and launches.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use crate::{
    counters::{Conflict, Counters},
    decode::{self, DecodeError, Linked},
    finding::Finding,
    machine::{
        engine::{Engine, Order},
        program::Program,
    },
    memory::{MemoryError, global::Global},
    ptx::{self, ParseError},
};

pub use crate::machine::program::ParamLayout;

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

/// A device.
pub struct Device {
    properties: Properties,
    global: Arc<Global>,
    launches: AtomicU64,
}

/// Why a text cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is no PTX.
    Parse(ParseError),
    /// It holds what is not known here.
    Decode(DecodeError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Parse(error) => error.fmt(f),
            LoadError::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

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
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaunchError::Extent { what, value, legal } => write!(f, "{what} is {value}; legal is {legal}"),
            LaunchError::Parameters { given, needed } => {
                write!(f, "{given} bytes of parameters are given; the kernel has {needed}")
            }
        }
    }
}

impl std::error::Error for LaunchError {}

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

/// What came of a launch.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is wrong; nothing in a sound kernel.
    pub findings: Vec<Finding>,
    /// What was done.
    pub counters: Counters,
    /// Instructions with bank conflicts, the worst first.
    pub conflicts: Vec<Conflict>,
}

/// Facts about a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The most threads of a block.
    pub max_threads: u32,
    /// Bytes of static shared memory.
    pub static_shared: u32,
    /// Bytes of local memory of a thread.
    pub local: u32,
    /// Bytes of constant memory of its module.
    pub constant: u32,
    /// Registers that the kernel declares; a GPU's assembler needs fewer.
    pub registers: u32,
}

/// A loaded module. Its variables live as long as it, or one of its kernels, does.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    kernels: Vec<Arc<Program>>,
    linked: Linked,
    global: Arc<Global>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // They were allocated with the module, and nobody else can free them.
        self.linked.addresses().for_each(|address| drop(self.global.free(address)));
    }
}

/// A kernel of a module.
#[derive(Clone)]
pub struct Kernel {
    program: Arc<Program>,
    _module: Arc<Inner>,
}

impl Module {
    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<Kernel> {
        let program = self.inner.kernels.iter().find(|program| program.name == name)?;
        Some(Kernel { program: program.clone(), _module: self.inner.clone() })
    }

    /// The names of all kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.inner.kernels.iter().map(|program| program.name.as_str())
    }

    /// Address and bytes of a global or constant variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        self.inner.linked.global(name)
    }
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// Where its parameters lie in the parameter block.
    pub fn params(&self) -> &[ParamLayout] {
        &self.program.params
    }

    /// Facts about it.
    pub fn attributes(&self) -> Attributes {
        let p = &self.program;
        Attributes {
            max_threads: p.max_threads.unwrap_or(MOST_THREADS).min(MOST_THREADS),
            static_shared: p.shared,
            local: p.local,
            constant: p.constant_bytes,
            registers: p.registers,
        }
    }

    fn param_bytes(&self) -> usize {
        self.program.params.last().map_or(0, |p| p.offset + p.bytes)
    }
}

/// The most threads of a block.
const MOST_THREADS: u32 = 1024;
/// The most bytes that the registers, local and shared memory of a block take on the host.
const MOST_BLOCK_BYTES: u64 = 1 << 30;

impl Device {
    /// A device with its memory empty.
    pub fn new(properties: Properties) -> Device {
        let global = Arc::new(Global::new(properties.memory));
        Device { properties, global, launches: AtomicU64::new(0) }
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

    /// Loads a module from PTX text, its variables with their initial values.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn load(&self, text: &str) -> Result<Module, LoadError> {
        let module = ptx::Module::from_str(text).map_err(LoadError::Parse)?;
        let linked = decode::link(&module, &self.global).map_err(LoadError::Decode)?;
        let mut inner = Inner { kernels: Vec::new(), linked, global: self.global.clone() };
        let index = decode::Index::new(&module);
        for kernel in module.functions.iter().filter(|f| f.entry && !f.declared_only) {
            let program = decode::decode(&index, &inner.linked, kernel).map_err(LoadError::Decode)?;
            inner.kernels.push(Arc::new(program));
        }
        Ok(Module { inner: Arc::new(inner) })
    }

    /// Launches a kernel and waits for it. `params` is its parameter block, laid out as
    /// [`Kernel::params`] says.
    ///
    /// # Errors
    /// Extents or parameters that no kernel, or not this one, can be launched with. What the kernel
    /// itself does wrong stands in the report.
    pub fn launch(&self, kernel: &Kernel, launch: &Launch, params: &[u8]) -> Result<Report, LaunchError> {
        let program = &kernel.program;
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
        let blocks = launch.grid.iter().map(|&n| u64::from(n)).product();
        extent("the number of blocks", blocks, u32::MAX.into())?;
        for ((what, value), most) in
            ["blockDim.x", "blockDim.y", "blockDim.z"].into_iter().zip(launch.block).zip([1024, 1024, 64])
        {
            extent(what, value.into(), most)?;
        }
        let threads = launch.block.iter().map(|&n| u64::from(n)).product();
        extent("the number of threads of a block", threads, kernel.attributes().max_threads.into())?;
        if let Some(required) = program.required_threads.filter(|required| *required != launch.block) {
            let legal = format!("{required:?}, which the kernel requires");
            return Err(LaunchError::Extent { what: "the number of threads of a block", value: threads, legal });
        }
        let cluster = program.cluster.unwrap_or(launch.cluster);
        if let Some(axis) = (0..3).find(|&axis| cluster[axis] == 0 || !launch.grid[axis].is_multiple_of(cluster[axis]))
        {
            let legal = format!("a multiple of the cluster's {}", cluster[axis]);
            return Err(LaunchError::Extent { what: "the grid", value: launch.grid[axis].into(), legal });
        }
        let shared = decode::dynamic_begin(program.shared.into()) + u64::from(launch.shared_bytes);
        if shared > self.properties.shared_per_block.into() {
            let legal = format!("at most {}", self.properties.shared_per_block);
            return Err(LaunchError::Extent { what: "the shared memory of a block in bytes", value: shared, legal });
        }
        let block_bytes = program.block_bytes(threads as u32, shared);
        if block_bytes > MOST_BLOCK_BYTES {
            let (what, legal) = ("the registers and memory of a block in bytes", format!("at most {MOST_BLOCK_BYTES}"));
            return Err(LaunchError::Extent { what, value: block_bytes, legal });
        }
        let needed = kernel.param_bytes();
        if params.len() != needed {
            return Err(LaunchError::Parameters { given: params.len(), needed });
        }
        let engine = Engine::new(Order {
            program,
            global: &self.global,
            params,
            grid: launch.grid,
            threads: launch.block,
            cluster,
            dynamic_shared: launch.shared_bytes,
            launch: self.launches.fetch_add(1, Relaxed) + 1,
            check: self.properties.check,
            properties: &self.properties,
        });
        Ok(engine.run())
    }
}

/// Arguments of a launch, laid out as a kernel's parameter block: each at a multiple of its size.
///
/// ```
/// use yuragi_emulator::Arguments;
/// let arguments = Arguments::new().u32(7).u64(1 << 40).f32(0.5);
/// assert_eq!(arguments.bytes().len(), 20);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    bytes: Vec<u8>,
}

impl Arguments {
    /// None yet.
    pub fn new() -> Arguments {
        Arguments::default()
    }

    /// Adds bytes at a multiple of `align`, for example a structure's.
    #[must_use]
    pub fn aligned(mut self, bytes: &[u8], align: usize) -> Arguments {
        self.bytes.resize(self.bytes.len().next_multiple_of(align.max(1)), 0);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Adds 32 bits.
    #[must_use]
    pub fn u32(self, value: u32) -> Arguments {
        self.aligned(&value.to_le_bytes(), 4)
    }

    /// Adds 64 bits: a number or an address.
    #[must_use]
    pub fn u64(self, value: u64) -> Arguments {
        self.aligned(&value.to_le_bytes(), 8)
    }

    /// Adds a number in single precision.
    #[must_use]
    pub fn f32(self, value: f32) -> Arguments {
        self.u32(value.to_bits())
    }

    /// The parameter block.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
