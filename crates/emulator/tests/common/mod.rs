//! What tests share: a device, memory of Rust's types, and the kernels of this workspace.
#![allow(dead_code)] // each test uses a part

use std::{fs, path::Path};

use yuragi_emulator::{Arguments, Device, Launch, Module, Properties, Report};

/// A device with modules and helpers.
pub struct Bench {
    pub device: Device,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Properties)) -> Bench {
        let mut properties = Properties::default();
        change(&mut properties);
        Bench { device: Device::new(properties) }
    }

    /// New memory with values in it.
    pub fn put<T: Number>(&self, values: &[T]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.bytes()).collect();
        let address = self.device.allocate(bytes.len() as u64).unwrap();
        self.device.write(address, &bytes).unwrap();
        address
    }

    /// New memory that nothing was written to.
    pub fn room<T: Number>(&self, count: usize) -> u64 {
        self.device.allocate((count * T::BYTES) as u64).unwrap()
    }

    pub fn get<T: Number>(&self, address: u64, count: usize) -> Vec<T> {
        let mut bytes = vec![0; count * T::BYTES];
        self.device.read(address, &mut bytes).unwrap();
        bytes.chunks(T::BYTES).map(T::from_bytes).collect()
    }

    /// Launches a kernel that must be sound.
    pub fn run(&self, module: &Module, kernel: &str, launch: Launch, arguments: Arguments) -> Report {
        let report = self.launch(module, kernel, launch, arguments);
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        report
    }

    pub fn launch(&self, module: &Module, kernel: &str, launch: Launch, arguments: Arguments) -> Report {
        let kernel = module.kernel(kernel).unwrap_or_else(|| panic!("no kernel {kernel}"));
        self.device.launch(&kernel, &launch, arguments.bytes()).unwrap()
    }

    /// A file of `kernels/ptx`.
    pub fn shipped(&self, name: &str) -> Module {
        self.device.load(&shipped(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A module of one kernel with this body, which begins with its registers.
    pub fn kernel(&self, params: &str, body: &str) -> Module {
        self.device.load(&text(params, body)).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The text of a file of `kernels/ptx`.
pub fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/ptx").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a module of one kernel, called `kernel`.
pub fn text(params: &str, body: &str) -> String {
    format!(".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry kernel({params})\n{{\n{body}\n ret;\n}}\n")
}

/// Blocks and threads along x, with dynamic shared memory.
pub fn blocks(grid: [u32; 3], threads: u32, shared_bytes: u32) -> Launch {
    Launch { grid, block: [threads, 1, 1], shared_bytes, cluster: [1; 3] }
}

/// A number that memory holds.
pub trait Number: Copy {
    const BYTES: usize;
    fn bytes(self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($number:ty),*) => { $(impl Number for $number {
        const BYTES: usize = size_of::<$number>();
        fn bytes(self) -> Vec<u8> {
            self.to_le_bytes().to_vec()
        }
        fn from_bytes(bytes: &[u8]) -> Self {
            <$number>::from_le_bytes(bytes.try_into().unwrap())
        }
    })* };
}

numbers!(u8, u16, u32, u64, i32, f32, f64, half::f16, half::bf16);

/// Numbers between −1 and 1 that look random and are always the same.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
