//! What tests of kernels share: launches executed in the emulator, every access checked.
#![allow(dead_code)] // each test uses a part

use std::collections::HashMap;

use half::{bf16, f16};
use yuragi_cuda::{
    kernels,
    launch::{Address, Argument, Code, Home, Launches, Tensor},
};
use yuragi_emulator::{Arguments, Device, Launch, Module, Properties, Swizzle, TensorMap, counters::Counters};
use yuragi_graph::DType;

/// A device with the shipped kernels, loaded when they are first needed.
pub struct Bench {
    device: Device,
    modules: HashMap<&'static str, Module>,
    memory: Vec<u64>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { device: Device::new(Properties::default()), modules: HashMap::new(), memory: Vec::new() }
    }

    /// The same that looks for no races and no uninitialised bytes, as large launches take long.
    pub fn unchecked() -> Bench {
        let device = Device::new(Properties { check: false, ..Properties::default() });
        Bench { device, modules: HashMap::new(), memory: Vec::new() }
    }

    /// New memory with these bytes in it, as a parameter of the launches.
    pub fn put(&mut self, bytes: &[u8]) -> Address {
        let at = self.room(bytes.len());
        self.device.write(self.resolve(at, 0), bytes).unwrap();
        at
    }

    /// New memory that nothing was written to.
    pub fn room(&mut self, bytes: usize) -> Address {
        self.memory.push(self.device.allocate(bytes.max(1) as u64).unwrap());
        Address::start(Home::Param(self.memory.len() - 1))
    }

    pub fn get(&self, at: Address, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        self.device.read(self.resolve(at, 0), &mut out).unwrap();
        out
    }

    /// Executes launches that must be sound, and says what each did.
    pub fn run(&mut self, launches: &Launches) -> Vec<Counters> {
        let scratch = self.device.allocate(launches.scratch.max(1) as u64).unwrap();
        let mut counters = Vec::new();
        for launch in &launches.launches {
            let Code::Shipped(stem) = launch.code else { panic!("{}: no shipped kernel", launch.name) };
            let of = |argument: &Argument| if let Argument::Counters(count) = argument { 4 * count } else { 0 };
            let zeros = vec![0; launch.arguments.iter().map(of).max().unwrap_or(0)];
            let arrivals = self.device.allocate(zeros.len().max(1) as u64).unwrap();
            self.device.write(arrivals, &zeros).unwrap();
            let arguments = launch.arguments.iter().fold(Arguments::new(), |list, argument| match argument {
                Argument::Counters(_) => list.u64(arrivals),
                Argument::Pointer(at) => list.u64(self.resolve(*at, scratch)),
                Argument::Null => list.u64(0),
                Argument::U32(x) => list.u32(*x),
                Argument::U64(x) => list.u64(*x),
                Argument::F32(x) => list.f32(*x),
                Argument::Tensor(tensor) => list.aligned(&described(tensor, self.resolve(tensor.at(), scratch)), 64),
            });
            let device = &self.device;
            let module = self.modules.entry(stem).or_insert_with(|| load(device, stem));
            let kernel = module.kernel(&launch.function).unwrap_or_else(|| panic!("no kernel {}", launch.function));
            let shape = Launch { grid: launch.grid, block: launch.block, shared_bytes: launch.shared, cluster: [1; 3] };
            let report = self.device.launch(&kernel, &shape, arguments.bytes()).unwrap();
            let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
            assert!(findings.is_empty(), "{}: {}", launch.function, findings.join("\n"));
            counters.push(report.counters);
            let mut left = vec![1; zeros.len()];
            self.device.read(arrivals, &mut left).unwrap();
            assert_eq!(left, zeros, "{}: counters", launch.function);
            self.device.free(arrivals).unwrap();
        }
        self.device.free(scratch).unwrap();
        counters
    }

    fn resolve(&self, at: Address, scratch: u64) -> u64 {
        let base = match at.home {
            Home::Param(index) => self.memory[index],
            Home::Scratch(bytes) => scratch + bytes as u64,
            Home::Arena(_) | Home::Literal(_) => panic!("tests keep everything in parameters"),
        };
        base + at.offset as u64
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for &address in &self.memory {
            self.device.free(address).unwrap();
        }
    }
}

fn load(device: &Device, stem: &str) -> Module {
    device.load(kernels::ptx(stem)).unwrap_or_else(|error| panic!("{stem}: {error}"))
}

/// A tensor's description, as the driver would make it.
fn described(tensor: &Tensor, address: u64) -> [u8; 128] {
    let (axes, size) = (tensor.axes(), tensor.dtype().size() as u64);
    let map = TensorMap {
        address,
        element_bytes: size,
        extents: axes.iter().map(|axis| axis.extent as u64).collect(),
        strides: axes[1..].iter().map(|axis| axis.stride as u64 * size).collect(),
        box_extents: axes.iter().map(|axis| axis.length as u64).collect(),
        swizzle: Swizzle::Bytes128,
    };
    map.encode().unwrap_or_else(|error| panic!("{tensor:?}: {error}"))
}

/// Numbers between −1 and 1 that look random and are always the same, rounded to the type.
pub fn noise(seed: u64, count: usize, dtype: DType) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| round(next(), dtype)).collect()
}

fn round(x: f32, dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f16::from_f32(x).into(),
        DType::BF16 => bf16::from_f32(x).into(),
        DType::F32 | DType::I32 | DType::U32 => x.into(),
    }
}

/// Numbers as they lie in memory.
pub fn bytes(values: &[f64], dtype: DType) -> Vec<u8> {
    let of = |&x: &f64| match dtype {
        DType::F16 => f16::from_f64(x).to_le_bytes().to_vec(),
        DType::BF16 => bf16::from_f64(x).to_le_bytes().to_vec(),
        DType::F32 | DType::I32 | DType::U32 => (x as f32).to_le_bytes().to_vec(),
    };
    values.iter().flat_map(of).collect()
}

/// What lies in memory, as numbers.
pub fn numbers(bytes: &[u8], dtype: DType) -> Vec<f64> {
    let of = |b: &[u8]| match dtype {
        DType::F16 => f16::from_le_bytes([b[0], b[1]]).into(),
        DType::BF16 => bf16::from_le_bytes([b[0], b[1]]).into(),
        DType::F32 | DType::I32 | DType::U32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into(),
    };
    bytes.chunks(dtype.size()).map(of).collect()
}
