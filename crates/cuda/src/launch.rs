//! What a plan launches: ground types that know no driver.

/// Where memory is that a launch works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Home {
    /// From this byte of the arena on. While a graph is being lowered: the buffer of this number.
    Arena(usize),
    /// A parameter, by its place in the graph.
    Param(usize),
    /// A constant, by its place in the graph.
    Literal(usize),
    /// From this byte of the operation's own working memory on.
    Scratch(usize),
}

/// A place in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The block of memory; each begins at a multiple of [`ALIGNMENT`] bytes.
    pub home: Home,
    /// Bytes from its start.
    pub offset: usize,
}

/// Every buffer, parameter and constant begins at a multiple of so many bytes.
pub const ALIGNMENT: usize = 256;

impl Address {
    /// The start of a block.
    pub const fn start(home: Home) -> Address {
        Address { home, offset: 0 }
    }

    /// So many bytes further.
    pub const fn plus(self, bytes: usize) -> Address {
        Address { home: self.home, offset: self.offset + bytes }
    }

    /// The largest power of two, at most [`ALIGNMENT`], that divides the address.
    pub const fn alignment(self) -> usize {
        let inner = match self.home {
            Home::Scratch(at) => at,
            Home::Arena(_) | Home::Param(_) | Home::Literal(_) => 0,
        };
        let bits = self.offset | inner | ALIGNMENT;
        1 << bits.trailing_zeros()
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// The device address of a place.
    Pointer(Address),
    /// A pointer to nothing: an operand that is left out.
    Null,
    /// A 32-bit integer.
    U32(u32),
    /// A 64-bit integer.
    U64(u64),
    /// A single-precision number.
    F32(f32),
}

/// Where a kernel's code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A file of `kernels/ptx`, by its stem.
    Shipped(&'static str),
    /// The module that was written for this plan.
    Emitted,
    /// The same, of a kernel whose arguments are one parameter: a table of them, 8 bytes each.
    Table,
    /// The module of this number with copies of shipped kernels, into which code of this plan was put.
    Spliced(usize),
}

/// One launch of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What it computes, for profiles.
    pub name: &'static str,
    /// Where the kernel is.
    pub code: Code,
    /// The kernel's name there.
    pub function: String,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// The kernel's parameters in order.
    pub arguments: Vec<Argument>,
}

/// What an operation becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launches {
    /// In order; each waits for the one before it.
    pub launches: Vec<Launch>,
    /// Bytes of working memory ([`Home::Scratch`]) that they share.
    pub scratch: usize,
}
