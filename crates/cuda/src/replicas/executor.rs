/// What replicas need of a machine: memory, and kernels that run one after another. A GPU is one.
pub trait Executor {
    /// Memory; freed when it is dropped.
    type Memory;

    /// Streaming multiprocessors.
    fn processors(&self) -> usize;

    /// So many bytes with nothing in them.
    ///
    /// # Errors
    /// What the machine says.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, String>;

    /// The address of the first byte.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Fills memory from this byte on.
    ///
    /// # Errors
    /// What the machine says.
    fn write(&self, memory: &mut Self::Memory, start: usize, bytes: &[u8]) -> Result<(), String>;

    /// Reads memory from its start, after all launches before.
    ///
    /// # Errors
    /// What the machine says.
    fn read(&self, memory: &Self::Memory, bytes: &mut [u8]) -> Result<(), String>;

    /// Launches a kernel of a file of `kernels/ptx/sm_80`.
    ///
    /// # Errors
    /// What the machine says.
    fn launch(&self, launch: &Kernel<'_>) -> Result<(), String>;
}

/// A launch.
#[derive(Clone, Debug)]
pub struct Kernel<'a> {
    /// The file, without its extension.
    pub file: &'static str,
    /// The kernel.
    pub function: &'static str,
    /// Blocks along x and y.
    pub grid: [u32; 2],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// The parameters in order.
    pub arguments: &'a [Argument],
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// An address.
    Pointer(u64),
    /// An integer.
    U32(u32),
    /// A number of single precision.
    F32(f32),
    /// A number of double precision.
    F64(f64),
}
