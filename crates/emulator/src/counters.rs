//! What a launch did, counted.

use std::{fmt, sync::Arc};

/// What counters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Class {
    Integer,
    Float32,
    Float64,
    Half,
    Special,
    Conversion,
    Move,
    Memory,
    Control,
    Synchronization,
    Matrix,
}

impl Class {
    /// All, in the order of tables.
    pub const ALL: [Class; 11] = [
        Class::Integer,
        Class::Float32,
        Class::Float64,
        Class::Half,
        Class::Special,
        Class::Conversion,
        Class::Move,
        Class::Memory,
        Class::Control,
        Class::Synchronization,
        Class::Matrix,
    ];
}

/// Sums over all threads of a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Instructions that warps issued.
    pub warp_instructions: u64,
    /// The same by class, in the order of [`Class::ALL`].
    pub by_class: [u64; Class::ALL.len()],
    /// Instructions times the lanes that executed them.
    pub lane_instructions: u64,
    /// Loads and stores of global memory that warps issued.
    pub global_requests: u64,
    /// 32-byte sectors that those touched.
    pub global_sectors: u64,
    /// The different ones among those sectors, each counted once.
    pub global_touched: u64,
    /// Bytes that lanes read from global memory.
    pub global_read: u64,
    /// Bytes that lanes wrote to global memory.
    pub global_written: u64,
    /// Loads and stores of shared memory that warps issued.
    pub shared_requests: u64,
    /// Passes over the 32 banks that those took; more than the least possible are conflicts.
    pub shared_passes: u64,
    /// The passes that they would have taken without bank conflicts.
    pub shared_least_passes: u64,
    /// Bytes that lanes read from or wrote to shared memory.
    pub shared_bytes: u64,
    /// Bytes that lanes read from or wrote to local memory.
    pub local_bytes: u64,
    /// Atomic operations of lanes.
    pub atomics: u64,
    /// Floating-point operations of lanes outside of matrix instructions; a fused one counts twice.
    pub flops: u64,
    /// Operations of matrix instructions.
    pub matrix_flops: u64,
    /// Barriers that blocks passed.
    pub barriers: u64,
}

impl Counters {
    /// Adds another's sums.
    pub fn add(&mut self, other: &Counters) {
        for (a, b) in self.by_class.iter_mut().zip(other.by_class) {
            *a += b;
        }
        for (a, b) in [
            (&mut self.warp_instructions, other.warp_instructions),
            (&mut self.lane_instructions, other.lane_instructions),
            (&mut self.global_requests, other.global_requests),
            (&mut self.global_sectors, other.global_sectors),
            (&mut self.global_touched, other.global_touched),
            (&mut self.global_read, other.global_read),
            (&mut self.global_written, other.global_written),
            (&mut self.shared_requests, other.shared_requests),
            (&mut self.shared_passes, other.shared_passes),
            (&mut self.shared_least_passes, other.shared_least_passes),
            (&mut self.shared_bytes, other.shared_bytes),
            (&mut self.local_bytes, other.local_bytes),
            (&mut self.atomics, other.atomics),
            (&mut self.flops, other.flops),
            (&mut self.matrix_flops, other.matrix_flops),
            (&mut self.barriers, other.barriers),
        ] {
            *a += b;
        }
    }

    /// Warp instructions of a class.
    pub fn of(&self, class: Class) -> u64 {
        self.by_class[class as usize]
    }

    /// Bytes that lanes wanted of global memory, as a share of the sectors moved: 1 is fully coalesced, and more is
    /// wanted where lanes read the same bytes.
    pub fn coalescing(&self) -> f64 {
        let moved = 32 * self.global_sectors;
        if moved == 0 { 1.0 } else { (self.global_read + self.global_written) as f64 / moved as f64 }
    }

    /// A lower bound of the time on a device, in seconds: the longer of moving each sector once, which assumes that a
    /// cache holds what is wanted again and nothing of what was there before, and of the matrix instructions.
    pub fn least_seconds(&self, roofline: &Roofline) -> f64 {
        let Bounds { memory, matrix, .. } = self.bounds(roofline);
        memory.max(matrix)
    }

    /// What each part of a device needs at the least.
    pub fn bounds(&self, roofline: &Roofline) -> Bounds {
        Bounds {
            memory: 32.0 * self.global_touched as f64 / roofline.bytes_per_second,
            matrix: self.matrix_flops as f64 / roofline.matrix_flops_per_second,
            shared: self.shared_passes as f64 / roofline.cycles_per_second,
            issue: self.warp_instructions as f64 / (4.0 * roofline.cycles_per_second),
        }
    }
}

/// What one instruction did, over all warps of a launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often warps issued it.
    pub issued: u64,
    /// The lanes that executed it, over all of these.
    pub lanes: u64,
    /// 32-byte sectors of global memory that it touched.
    pub sectors: u64,
    /// The fewest that could hold as many bytes.
    pub least_sectors: u64,
    /// Passes over the banks of shared memory.
    pub passes: u64,
    /// The fewest for as many words.
    pub least_passes: u64,
}

impl Tally {
    /// Adds another's sums.
    pub fn add(&mut self, other: &Tally) {
        self.issued += other.issued;
        self.lanes += other.lanes;
        self.sectors += other.sectors;
        self.least_sectors += other.least_sectors;
        self.passes += other.passes;
        self.least_passes += other.least_passes;
    }
}

/// An instruction that was executed, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line in the PTX text, counted from 1.
    pub line: u32,
    /// The file and line that it was compiled from, if `.loc` says so.
    pub source: Option<Arc<str>>,
    /// The opcode as written.
    pub instruction: Arc<str>,
    /// What it did.
    pub tally: Tally,
}

/// The least seconds that each part of a device needs for what a launch did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Moving each sector of global memory once.
    pub memory: f64,
    /// The products of matrix instructions.
    pub matrix: f64,
    /// The passes over the banks of shared memory.
    pub shared: f64,
    /// Issuing the instructions: about, since a GPU's own are others than PTX's.
    pub issue: f64,
}

impl Bounds {
    /// The part that takes longest, by its name, and its seconds.
    pub fn longest(&self) -> (&'static str, f64) {
        let Bounds { memory, matrix, shared, issue } = *self;
        let all = [("global memory", memory), ("tensor cores", matrix), ("shared memory", shared), ("issue", issue)];
        all.into_iter().fold(all[0], |most, next| if next.1 > most.1 { next } else { most })
    }
}

/// An instruction whose lanes met in banks of shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The opcode as written.
    pub instruction: String,
    /// The line in the PTX text, counted from 1.
    pub line: u32,
    /// Passes over the banks, of all warps.
    pub passes: u64,
    /// The least possible.
    pub least: u64,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { instruction, line, passes, least } = self;
        write!(f, "bank conflicts in line {line}: `{instruction}` takes {passes} passes instead of {least}")
    }
}

/// What a device can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Bytes of global memory read or written a second.
    pub bytes_per_second: f64,
    /// Operations of matrix instructions a second.
    pub matrix_flops_per_second: f64,
    /// Cycles a second of all multiprocessors together. In one, each issues 4 instructions and passes over its banks of
    /// shared memory once.
    pub cycles_per_second: f64,
}

impl Roofline {
    /// An H200 as measured: 4.3 TB/s of a copy, 790 TFLOP/s of bf16 products.
    pub const H200: Roofline =
        Roofline { bytes_per_second: 4.3e12, matrix_flops_per_second: 790e12, cycles_per_second: 132.0 * 1.98e9 };
    /// An H100 (SXM) as measured: 3.1 TB/s read, 803 TFLOP/s of bf16 products.
    pub const H100: Roofline =
        Roofline { bytes_per_second: 3.1e12, matrix_flops_per_second: 803e12, cycles_per_second: 132.0 * 1.98e9 };
    /// An A100 (SXM, 80 GB) as its data sheet has it.
    pub const A100: Roofline =
        Roofline { bytes_per_second: 2.039e12, matrix_flops_per_second: 312e12, cycles_per_second: 108.0 * 1.41e9 };
    /// A GeForce RTX 4090 as its data sheet has it, products with sums in half precision.
    pub const RTX_4090: Roofline =
        Roofline { bytes_per_second: 1.008e12, matrix_flops_per_second: 330.3e12, cycles_per_second: 128.0 * 2.52e9 };
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "warp instructions  {:>14}", self.warp_instructions)?;
        for (class, count) in Class::ALL.iter().zip(self.by_class).filter(|(_, count)| *count > 0) {
            writeln!(f, "  {:16} {count:>14}", format!("{class:?}").to_lowercase())?;
        }
        let lanes = self.lane_instructions as f64 / (self.warp_instructions.max(1)) as f64;
        writeln!(f, "lanes active       {lanes:>14.2} of 32")?;
        let (read, written, sectors) = (self.global_read, self.global_written, self.global_sectors);
        let touched = self.global_touched;
        let share = 100.0 * self.coalescing();
        writeln!(
            f,
            "global memory      {read:>14} bytes read, {written} written; {sectors} sectors ({touched} different), {share:.0}% used"
        )?;
        let conflicts = self.shared_passes - self.shared_least_passes;
        let (bytes, passes) = (self.shared_bytes, self.shared_passes);
        writeln!(f, "shared memory      {bytes:>14} bytes, {passes} passes, {conflicts} of them bank conflicts")?;
        writeln!(f, "local memory       {:>14} bytes", self.local_bytes)?;
        writeln!(f, "atomics            {:>14}", self.atomics)?;
        write!(f, "flops              {:>14}, {} in matrix instructions", self.flops, self.matrix_flops)
    }
}
