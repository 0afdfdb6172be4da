//! Launches: parameters gathered, extents checked, findings turned into errors.

use std::sync::Arc;

use super::context::Context;
use super::device::machine;
use super::error::{Code, Outcome};
use super::function::{self, Function};
use super::handle::Handle;
use super::pointer::{Buffer, In};
use super::report::{self, Check};
use super::stream::Stream;
use super::work::Work;
use super::{host, occupancy};
use crate::device::{Launch, Report};
use crate::finding::{Finding, Kind};

/// A launch with its parameters copied, so that it can be repeated.
pub struct KernelLaunch {
    function: Arc<Function>,
    launch: Launch,
    params: Vec<u8>,
}

/// The form of a launch as a caller gives it.
struct Shape {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    cluster: Option<[u32; 3]>,
    cooperative: bool,
}

const MOST_BLOCKS: [u32; 3] = [i32::MAX as u32, 65_535, 65_535];
const MOST_THREADS: [u32; 3] = [1024, 1024, 64];

impl Shape {
    /// The launch, if the function and the device can have it.
    fn check(&self, function: &Function) -> Outcome<Launch> {
        let name = function.kernel.name();
        let refuse = |code: Code, why: String| Err(code.because(format_args!("launch of {name}: {why}")));
        for axis in 0..3 {
            if self.grid[axis] == 0 || self.grid[axis] > MOST_BLOCKS[axis] {
                return refuse(
                    Code::INVALID_VALUE,
                    format!("a grid of {:?} blocks; at most {MOST_BLOCKS:?}", self.grid),
                );
            }
            if self.block[axis] == 0 || self.block[axis] > MOST_THREADS[axis] {
                let why = format!("blocks of {:?} threads; at most {MOST_THREADS:?}", self.block);
                return refuse(Code::INVALID_VALUE, why);
            }
        }
        let attributes = function.attributes();
        let threads = self.block.iter().product::<u32>();
        if threads > attributes.max_threads {
            return refuse(
                Code::INVALID_VALUE,
                format!("{threads} threads a block; at most {}", attributes.max_threads),
            );
        }
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
        let blocks = cluster.iter().map(|&extent| u64::from(extent)).product::<u64>();
        let divides = (0..3).all(|axis| cluster[axis] > 0 && self.grid[axis].is_multiple_of(cluster[axis]));
        if !divides || blocks > function.most_cluster_blocks().into() {
            let why = format!("clusters of {cluster:?} blocks in a grid of {:?}", self.grid);
            return refuse(Code::INVALID_CLUSTER_SIZE, why);
        }
        if self.cooperative {
            let most = occupancy::resident_blocks(function, threads, self.shared)?;
            let blocks = self.grid.iter().map(|&extent| u64::from(extent)).product::<u64>();
            if blocks > most {
                let why = format!("{blocks} blocks must run at once; {most} can");
                return refuse(Code::COOPERATIVE_LAUNCH_TOO_LARGE, why);
            }
        }
        Ok(Launch { grid: self.grid, block: self.block, shared_bytes: self.shared, cluster })
    }
}

/// The markers in a list of `extra` arguments: `CU_LAUNCH_PARAM_END`, `.._BUFFER_POINTER` and `.._BUFFER_SIZE`.
const END: usize = 0;
const POINTER: usize = 1;
const SIZE: usize = 2;

/// The parameter block, from one pointer for each parameter or from one buffer for all.
fn gather(function: &Function, params: In<Buffer>, extra: In<Buffer>) -> Outcome<Vec<u8>> {
    let layout = function.kernel.params();
    let bytes = layout.last().map_or(0, |last| last.offset + last.bytes);
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let missing = |what: &str| {
        let name = function.kernel.name();
        Code::INVALID_VALUE.because(format_args!("launch of {name}, which has {} parameters: {what}", layout.len()))
    };
    match (params.is_null(), extra.is_null()) {
        (false, false) => Err(missing("both kinds of parameter lists are given")),
        (true, true) => Err(missing("none are given")),
        (false, true) => {
            let mut block = vec![0; bytes];
            for (index, param) in layout.iter().enumerate() {
                let value = params.at(index)?;
                if value.is_null() {
                    return Err(missing(&format!("the pointer of parameter {index} is null")));
                }
                block[param.offset..param.offset + param.bytes].copy_from_slice(&value.read(param.bytes)?);
            }
            Ok(block)
        }
        (true, false) => {
            let (buffer, size) = read_extra(extra)?;
            if size < bytes {
                return Err(missing(&format!("the buffer has {size} bytes, of {bytes}")));
            }
            buffer.read(bytes)
        }
    }
}

/// The buffer and its size in a list of markers and values.
fn read_extra(extra: In<Buffer>) -> Outcome<(Buffer, usize)> {
    let (mut buffer, mut size) = (None, None);
    // No list is longer: there are two kinds of entries and an end.
    for entry in 0..3 {
        let value = |offset: usize| extra.at(2 * entry + offset);
        match value(0)?.address() {
            END => break,
            POINTER => buffer = Some(value(1)?),
            SIZE => size = Some(value(1)?.array::<usize>().get()?),
            _ => return Err(Code::INVALID_VALUE.into()),
        }
    }
    buffer.zip(size).ok_or(Code::INVALID_VALUE.into())
}

/// Puts a launch on a stream.
fn launch(function: Handle, shape: Shape, stream: Handle, params: In<Buffer>, extra: In<Buffer>) -> Outcome {
    let stream = Stream::of(stream)?;
    let function = function::find(function)?;
    if !stream.is_of(function.context) {
        return Err(Code::INVALID_HANDLE.because("the function and the stream are of different contexts"));
    }
    let launch = shape.check(&function)?;
    let params = gather(&function, params, extra)?;
    stream.submit(Work::Launch(Arc::new(KernelLaunch { function, launch, params })))
}

impl KernelLaunch {
    pub fn run(&self, context: &Context) -> Outcome {
        let kernel = &self.function.kernel;
        let machine = machine()?;
        let report = host::mirrored(&self.params, || machine.launch(kernel, &self.launch, &self.params))?;
        let report = report
            .map_err(|error| Code::INVALID_VALUE.because(format_args!("launch of {}: {error}", kernel.name())))?;
        if report::settings().counters {
            self.say_counters(&report);
        }
        let outcome = judge(&report.findings, report::settings().check);
        if let Err(error) = &outcome {
            context.spoil(error);
        }
        outcome
    }

    fn say_counters(&self, report: &Report) {
        let Launch { grid: [gx, gy, gz], block: [bx, by, bz], .. } = self.launch;
        let name = self.function.kernel.name();
        report::say(&format!("{name}, {gx}×{gy}×{gz} blocks of {bx}×{by}×{bz} threads\n{}", report.counters));
    }
}

/// What a launch with these findings returns; says them.
fn judge(findings: &[Finding], check: Check) -> Outcome {
    let counts = |finding: &&Finding| check != Check::Off || code(finding.kind).1;
    findings.iter().filter(counts).for_each(|finding| report::say_once(&finding.to_string()));
    match findings.iter().find(counts) {
        Some(first) if check != Check::Warn => {
            Err(code(first.kind).0.because(format_args!("{} in {} fails the launch", first.kind.name(), first.kernel)))
        }
        _ => Ok(()),
    }
}

/// The error that a finding gives, and whether a GPU itself would stop there.
fn code(kind: Kind) -> (Code, bool) {
    match kind {
        Kind::OutOfBounds | Kind::ReadOnly => (Code::ILLEGAL_ADDRESS, true),
        Kind::Misaligned => (Code::MISALIGNED_ADDRESS, true),
        Kind::Trap => (Code::LAUNCH_FAILED, true),
        Kind::Jump => (Code::INVALID_PC, true),
        Kind::StepLimit => (Code::LAUNCH_TIMEOUT, true),
        Kind::DivergentBarrier | Kind::DivergentWarp => (Code::LAUNCH_FAILED, false),
        Kind::Uninitialized | Kind::Race | Kind::NotWaited | Kind::Proxy | Kind::Swizzle => {
            (Code::LAUNCH_FAILED, false)
        }
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
struct Attribute {
    id: i32,
    padding: [u8; 4],
    value: [u32; 16],
}

impl Config {
    fn shape(&self) -> Outcome<Shape> {
        let (grid, block, shared) = (self.grid, self.block, self.shared);
        let mut shape = Shape { grid, block, shared, cluster: None, cooperative: false };
        for attribute in self.attributes.all(self.attribute_count as usize)? {
            match attribute.id {
                2 => shape.cooperative = attribute.value[0] != 0,
                4 => shape.cluster = Some([attribute.value[0], attribute.value[1], attribute.value[2]]),
                // Hints about caches, waiting, scheduling, order, priority, domains and shared memory.
                0 | 1 | 3 | 5 | 6 | 8 | 9 | 10 | 11 | 14 => {}
                id => return Err(Code::NOT_SUPPORTED.because(format_args!("launch attribute {id}"))),
            }
        }
        Ok(shape)
    }

    /// Threads of a block, bytes of dynamic shared memory and blocks of a cluster, for questions of occupancy.
    pub fn load(&self) -> Outcome<(u32, u32, Option<u32>)> {
        let shape = self.shape()?;
        Ok((shape.block.iter().product(), shape.shared, shape.cluster.map(|cluster| cluster.iter().product())))
    }
}

super::exported! {
    fn cuLaunchKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        params: In<Buffer>,
        extra: In<Buffer>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let shape = Shape { grid, block, shared, cluster: None, cooperative: false };
        launch(function, shape, stream, params, extra)
    }

    fn cuLaunchCooperativeKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        params: In<Buffer>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let shape = Shape { grid, block, shared, cluster: None, cooperative: true };
        launch(function, shape, stream, params, In::NULL)
    }

    fn cuLaunchKernelEx(config: In<Config>, function: Handle, params: In<Buffer>, extra: In<Buffer>) {
        let config = config.get()?;
        launch(function, config.shape()?, config.stream, params, extra)
    }
}
