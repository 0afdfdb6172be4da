//! A kernel in the form that is executed.

use std::{ops::Range, sync::Arc};

use super::{
    error::DecodeError,
    hopper::{Bulk, MBarrier, Signalled},
    lanes::{Atomic, Comparison, Function, Lanes},
    matrix::{Fragment, FragmentProduct, GroupProduct, MatrixProduct},
    place::{Address, Slot},
    texture::{Fetch, Query, SurfaceAccess},
};
use crate::{
    counters::Class,
    memory::{Memory, PARAM_BEGIN},
    ptx::Space,
    tensor_map::Field,
};

/// A kernel or, rather, it and all functions that it calls, as one list of instructions.
pub(crate) struct Program {
    pub name: String,
    pub code: Vec<Inst>,
    /// The first instruction.
    pub entry: usize,
    /// General registers of a lane.
    pub slots: usize,
    /// Predicate registers of a lane.
    pub predicates: usize,
    /// What slots hold from the start.
    pub constants: Vec<(Slot, u64)>,
    pub specials: Vec<(Slot, Special)>,
    /// Slots that may be read before they are written, and so begin as zeros; all of them if that is not known.
    pub unwritten: Option<Vec<Slot>>,
    pub params: Vec<ParamLayout>,
    /// Bytes of shared memory that the module declares.
    pub shared: u32,
    /// Bytes of a thread's local memory.
    pub local: u32,
    pub constant_bytes: u32,
    /// Registers as the kernel declares them.
    pub registers: u32,
    pub max_threads: Option<u32>,
    pub required_threads: Option<[u32; 3]>,
    pub cluster: Option<[u32; 3]>,
    /// Whether it allocates.
    pub allocates: bool,
    /// Whether it asks for the shared memory that CUDA keeps.
    pub reserved: bool,
    /// Why it cannot be executed, if something of it is not known.
    pub refusal: Option<DecodeError>,
}

impl Program {
    /// Bytes of a block's shared memory, with so many of dynamic.
    pub fn shared_bytes(&self, dynamic: u32) -> u64 {
        match dynamic {
            0 => u64::from(self.shared),
            dynamic => dynamic_begin(self.shared.into()) + u64::from(dynamic),
        }
    }

    /// The same with what CUDA keeps, and where that begins.
    pub fn all_shared_bytes(&self, dynamic: u32) -> (u64, u64) {
        let begin = dynamic_begin(self.shared_bytes(dynamic));
        match self.reserved {
            true => (begin + RESERVED_SHARED, begin),
            false => (self.shared_bytes(dynamic), begin),
        }
    }

    /// About how many bytes a block of so many threads takes, with so many of shared memory.
    pub fn block_bytes(&self, threads: u32, shared: u64) -> u64 {
        let registers = (self.slots * size_of::<Lanes>() + self.predicates * 4) as u64;
        let local = 32 * (u64::from(self.local) + u64::from(self.local) / 8);
        // A word of shared memory has its last accesses beside it.
        u64::from(threads.div_ceil(32)) * (registers + local) + 20 * shared
    }
}

/// Bytes of shared memory that CUDA keeps for itself: behind all other, for those who ask where it lies.
pub(crate) const RESERVED_SHARED: u64 = 1024;

/// Dynamic shared memory begins at a multiple of this.
const DYNAMIC_ALIGN: u64 = 16;

/// Where dynamic shared memory begins after so many bytes.
pub(crate) fn dynamic_begin(static_bytes: u64) -> u64 {
    static_bytes.next_multiple_of(DYNAMIC_ALIGN)
}

/// The first offset from another one on that a parameter of this alignment can have.
pub(crate) fn parameter_offset(end: u64, align: u64) -> u64 {
    (PARAM_BEGIN + end).next_multiple_of(align.max(1)) - PARAM_BEGIN
}

/// The place of a parameter in a kernel's parameter block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamLayout {
    /// Bytes from the block's beginning.
    pub offset: usize,
    /// Its bytes.
    pub bytes: usize,
}

/// One instruction.
pub(crate) struct Inst {
    /// A predicate and whether it is negated.
    pub guard: Option<(Slot, bool)>,
    pub op: Op,
    pub class: Class,
    /// In the PTX text.
    pub line: u32,
    /// The file and line that it was compiled from, if `.loc` says so.
    pub source: Option<Arc<str>>,
    /// The opcode as written.
    pub text: Arc<str>,
}

/// A register whose value is known when a warp begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    ClusterId(usize),
    NclusterId(usize),
    ClusterCtaid(usize),
    ClusterNctaid(usize),
    ClusterCtarank,
    ClusterNctarank,
    IsExplicitCluster,
    /// The address of the block's own shared memory whose offset, or generic address in the first block of a cluster, this
    /// is.
    Shared(u64),
    Laneid,
    Warpid,
    Nwarpid,
    Smid,
    Nsmid,
    Gridid,
    LanesEqual,
    LanesBelow,
    LanesAbove,
    /// Below, and one's own.
    LanesUpTo,
    /// Above, and one's own.
    LanesFrom,
    DynamicSharedBytes,
    TotalSharedBytes,
    /// The low or high half of the address of what the blocks of a cooperative launch meet in; 0 in other launches.
    Workspace(usize),
    /// Where the shared memory that CUDA keeps begins, or so many bytes later.
    Reserved(u32),
}

/// How an access is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Not a plain access.
    pub strong: bool,
    /// Strong for nothing but being `.volatile`.
    pub volatile: bool,
    pub acquire: bool,
    pub release: bool,
}

/// A combination of a comparison with another predicate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Combine {
    pub f: fn(u32, u32) -> u32,
    pub with: Slot,
    pub negated: bool,
}

/// Which lane a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// What a vote gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// What an instruction does.
pub(crate) enum Op {
    /// d = f(a, b, c, ..)
    Map {
        f: Function,
        d: Slot,
        a: [Slot; 4],
    },
    /// Sets p (and q to the opposite).
    Compare {
        f: Comparison,
        a: Slot,
        b: Slot,
        p: Option<Slot>,
        q: Option<Slot>,
        /// What q is of, if not the opposite of p.
        upper: Option<Comparison>,
        combine: Option<Combine>,
    },
    /// `set`: d = `yes` where the comparison holds.
    Set {
        f: Comparison,
        a: Slot,
        b: Slot,
        d: Slot,
        yes: u64,
        combine: Option<Combine>,
    },
    /// d = p ? a : b
    Select {
        d: Slot,
        a: Slot,
        b: Slot,
        p: Slot,
        negated: bool,
    },
    /// p = f(a, b)
    Predicate {
        f: fn(u32, u32) -> u32,
        p: Slot,
        a: Slot,
        b: Slot,
    },
    /// p = constant
    PredicateFill {
        p: Slot,
        value: bool,
    },
    /// a ± b with the carry flag, of 32 or 64 bits.
    Carry {
        d: Slot,
        a: Slot,
        b: Slot,
        subtract: bool,
        take: bool,
        keep: bool,
        bits: u32,
    },
    /// The low or high half of a·b, plus c, with the carry flag.
    MadCarry {
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        high: bool,
        signed: bool,
        take: bool,
        keep: bool,
        bits: u32,
    },
    /// d = {a0, a1, ..}
    Pack {
        d: Slot,
        a: Vec<Slot>,
        bits: u32,
    },
    /// {d0, d1, ..} = a
    Unpack {
        d: Vec<Option<Slot>>,
        a: Slot,
        bits: u32,
    },
    /// A clock.
    Clock {
        d: Slot,
        bits: u32,
    },
    /// The lanes that execute this together.
    ActiveMask {
        d: Slot,
    },
    Load {
        address: Address,
        d: Vec<Option<Slot>>,
        bytes: usize,
        extend: Extend,
        order: Order,
    },
    Store {
        address: Address,
        a: Vec<Slot>,
        bytes: usize,
        order: Order,
        /// Whether numbers in double precision are converted to single.
        narrow: bool,
    },
    Atomic {
        f: Atomic,
        address: Address,
        /// Where the old values go, if anywhere, and the operands of each element.
        d: Vec<Option<Slot>>,
        b: Vec<Slot>,
        c: Slot,
        bytes: usize,
        order: Order,
        /// Whether subnormal numbers count as 0 in global memory.
        flush: bool,
    },
    /// An address in one space as one in another.
    Convert {
        d: Slot,
        a: Slot,
        space: Space,
        to_generic: bool,
    },
    /// p = whether a generic address lies in a memory.
    IsSpace {
        p: Slot,
        a: Slot,
        memory: Memory,
        constant: bool,
        /// Whether shared memory of other blocks counts.
        cluster: bool,
    },
    Fence,
    /// Copies from global to shared memory until a later wait.
    AsyncCopy {
        to: Address,
        from: Address,
        bytes: usize,
        given: Given,
    },
    AsyncCommit,
    /// Waits until at most so many groups are under way; `None` for every copy.
    AsyncWait(Option<u32>),
    Branch(usize),
    /// Jumps to one of a table.
    BranchTable {
        index: Slot,
        targets: Arc<[usize]>,
    },
    /// Calls the only one of its targets, or that whose address a register holds.
    Call {
        index: Option<Slot>,
        targets: Vec<Target>,
    },
    Return,
    Exit,
    /// A failed assertion: where in local memory the addresses of its text, its file and its function lie, between
    /// these its line, and in the end the bytes of a character.
    Assert {
        arguments: [u32; 5],
    },
    /// `vprintf`: where in local memory the addresses of its format and of its values lie, and where their number goes.
    Print {
        arguments: [u32; 2],
        result: Option<u32>,
    },
    /// `malloc`: where in local memory the number of bytes lies, and where the address goes; or `free`.
    Allocate {
        bytes: u32,
        result: u32,
    },
    Free {
        address: u32,
    },
    Trap,
    Nothing,
    /// `griddepcontrol.wait`: the launch before this one is over.
    AwaitLaunch,
    Barrier {
        id: Slot,
        threads: Option<Slot>,
        kind: BarrierKind,
        /// Whether the threads of a warp must come together.
        aligned: bool,
    },
    /// Arrives at the barrier of the cluster, or waits for it.
    ClusterBarrier {
        arrives: bool,
        relaxed: bool,
        aligned: bool,
    },
    WarpBarrier {
        mask: Slot,
    },
    Vote {
        kind: Vote,
        d: Option<Slot>,
        p: Option<Slot>,
        a: Slot,
        negated: bool,
        mask: Slot,
    },
    Shuffle {
        kind: Shuffle,
        d: Slot,
        p: Option<Slot>,
        a: Slot,
        b: Slot,
        c: Slot,
        mask: Slot,
    },
    /// `match.any`, or `match.all` with its predicate.
    Match {
        d: Slot,
        p: Option<Slot>,
        a: Slot,
        all: bool,
        mask: Slot,
    },
    /// `redux`
    Reduce {
        f: fn(u64, u64) -> u64,
        d: Slot,
        a: Slot,
        mask: Slot,
    },
    Elect {
        d: Option<Slot>,
        p: Slot,
        mask: Slot,
    },
    LoadMatrix {
        address: Address,
        d: Vec<Slot>,
        transposed: bool,
    },
    StoreMatrix {
        address: Address,
        a: Vec<Slot>,
        transposed: bool,
    },
    /// `movmatrix`: an 8×8 matrix of 16-bit elements, transposed.
    TransposeMatrix {
        d: Slot,
        a: Slot,
    },
    MatrixProduct(Box<MatrixProduct>),
    Fragment(Box<Fragment>),
    FragmentProduct(Box<FragmentProduct>),
    MBarrier {
        kind: MBarrier,
        address: Address,
        d: Option<Slot>,
    },
    Bulk(Box<Bulk>),
    /// Stores, or changes by an atomic function, what lies in a block of the cluster, and says so at a barrier there.
    Signalled(Box<Signalled>),
    /// Replaces a field of a tensor's description.
    ChangeMap {
        address: Address,
        field: Field,
        value: Slot,
    },
    /// Copies such a description from shared to global memory.
    CopyMap {
        to: Address,
        from: Address,
    },
    Fetch(Box<Fetch>),
    Surface(Box<SurfaceAccess>),
    Query(Box<Query>),
    ProxyFence,
    /// Every lane of a warp knows its group products to be over.
    GroupWait,
    GroupProduct(Box<GroupProduct>),
}

/// Which bytes of an asynchronous copy are read; 0 stands for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    All,
    /// So many.
    Bytes(Slot),
    /// None where a predicate holds or, negated, does not.
    Unless(Slot, bool),
}

/// How the bytes of a load fill a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extend {
    pub signed: bool,
    /// The register's bits.
    pub to: u32,
}

impl Extend {
    /// The register of a value in the low bytes of a number.
    #[inline(always)]
    pub fn of(self, value: u64, bytes: usize) -> u64 {
        let unused = 64 - 8 * bytes as u32;
        let value = value << unused;
        let value = if self.signed { (value as i64 >> unused) as u64 } else { value >> unused };
        value & (u64::MAX >> (64 - self.to))
    }
}

/// A function that a call may reach.
pub(crate) struct Target {
    pub address: u64,
    /// Its first instruction.
    pub begin: usize,
    pub arguments: Vec<Copy>,
    pub results: Vec<Copy>,
    pub room: Room,
}

/// What a function has for itself: general and predicate registers, and bytes of local memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    pub registers: Range<Slot>,
    pub predicates: Range<Slot>,
    pub local: Range<u32>,
    /// Whether variables lie there that may be named by their addresses.
    pub has_variables: bool,
}

/// Bytes of local memory that a call copies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub from: u32,
    pub to: u32,
    pub bytes: u32,
}

/// What a barrier does.
pub(crate) enum BarrierKind {
    /// Waits.
    Sync,
    /// Goes on.
    Arrive,
    /// Waits for a vote on `a`.
    Reduce { vote: Option<Vote>, d: Option<Slot>, p: Option<Slot>, a: Slot, negated: bool },
}
