//! What the checker finds.

use std::fmt;

use crate::memory::Memory;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes that lie in no variable or live allocation.
    OutOfBounds,
    /// An address that is no multiple of the access's bytes.
    Misaligned,
    /// A read of bytes that nothing wrote.
    Uninitialized,
    /// A write of constant memory or of a kernel's parameters.
    ReadOnly,
    /// Two accesses to the same bytes, at least one a plain write, that nothing orders.
    Race,
    /// A read or write of bytes that an asynchronous copy is still writing.
    NotWaited,
    /// A bulk copy's or group product's read of bytes that a thread wrote with no `fence.proxy.async` after.
    Proxy,
    /// An access to global memory by a launch that began early and has not waited for the one before it, or no wait at all.
    Dependency,
    /// A matrix in shared memory read with another swizzle than a tensor's box was written with.
    Swizzle,
    /// An access to the shared memory of a block of the cluster that need not have begun, or may be over.
    Cluster,
    /// A barrier that not all threads of a warp, or of the block, reach.
    DivergentBarrier,
    /// A warp-wide instruction that lanes of its mask do not reach.
    DivergentWarp,
    /// An operand that the hardware's instruction cannot have.
    Illegal,
    /// An assertion of the kernel that does not hold.
    Assertion,
    /// The kernel gave up by `trap`.
    Trap,
    /// A branch or call that leads nowhere.
    Jump,
    /// Every thread of a block waits for a barrier in memory that none of them will complete.
    Deadlock,
    /// More instructions than are allowed.
    StepLimit,
}

impl Kind {
    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::OutOfBounds => "out of bounds",
            Kind::Misaligned => "misaligned address",
            Kind::Uninitialized => "uninitialised read",
            Kind::ReadOnly => "write to read-only memory",
            Kind::Race => "race",
            Kind::NotWaited => "asynchronous copy not waited for",
            Kind::Proxy => "missing proxy fence",
            Kind::Dependency => "launch before not waited for",
            Kind::Swizzle => "wrong swizzle",
            Kind::Cluster => "block of the cluster not there",
            Kind::DivergentBarrier => "divergent barrier",
            Kind::DivergentWarp => "divergent warp instruction",
            Kind::Illegal => "illegal instruction",
            Kind::Assertion => "assertion failed",
            Kind::Trap => "trap",
            Kind::Jump => "jump to nowhere",
            Kind::Deadlock => "deadlock",
            Kind::StepLimit => "too many instructions",
        }
    }
}

/// A thread at an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The opcode as written.
    pub instruction: String,
    /// The line in the PTX text, counted from 1.
    pub line: u32,
    /// The file and line that it was compiled from, if `.loc` says so: `square.cu:7`.
    pub source: Option<String>,
    /// The block.
    pub block: [u32; 3],
    /// The thread in its block.
    pub thread: [u32; 3],
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([bx, by, bz], [tx, ty, tz]) = (self.block, self.thread);
        write!(f, "line {}", self.line)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": `{}` by block ({bx},{by},{bz}) thread ({tx},{ty},{tz})", self.instruction)
    }
}

/// The bytes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where they lie.
    pub memory: Memory,
    /// The first: an address of global memory, or an offset in another one; of shared memory in a cluster with the rank of
    /// its block from bit 24 on.
    pub address: u64,
    /// How many.
    pub bytes: u64,
    /// Whether they were to be written.
    pub write: bool,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.write { "write" } else { "read" };
        write!(f, "{verb} of {} bytes at {} {:#x}", self.bytes, self.memory, self.address)
    }
}

/// One thing that is wrong; the first of its kind at its instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// The kernel.
    pub kernel: String,
    /// Where.
    pub at: Site,
    /// The bytes that it concerns.
    pub access: Option<Access>,
    /// The access that it collides with.
    pub other: Option<Site>,
    /// More words.
    pub note: String,
    /// How many such accesses of its instruction the launch made, this one among them.
    pub times: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}, {}", self.kind.name(), self.kernel, self.at)?;
        if let Some(access) = &self.access {
            write!(f, "\n  {access}")?;
        }
        if !self.note.is_empty() {
            write!(f, "\n  {}", self.note)?;
        }
        if let Some(other) = &self.other {
            write!(f, "\n  collides with {other}")?;
        }
        if self.times > 1 {
            write!(f, "\n  {} times in this launch", self.times)?;
        }
        Ok(())
    }
}
