//! What tests share: a device, memory of Rust's types, and the kernels of this workspace.
#![allow(dead_code)] // each test uses a part

mod gpu;

use yuragi_emulator::{Arguments, Device, Launch, Properties, Report, TENSOR_MAP_BYTES, TensorMap};

/// With `YURAGI_TEST_ON_GPU` set, tests that can run on the machine's own driver do so, and this is a reason for the
/// others to be skipped.
pub fn needs_the_emulator(why: &str) -> bool {
    if gpu::is_wanted() {
        println!("skipped on a GPU: {why}");
    }
    gpu::is_wanted()
}

/// A device with modules and helpers: the emulator's or, with `YURAGI_TEST_ON_GPU` set, the machine's.
pub struct Bench {
    place: Place,
}

enum Place {
    Emulator(Device),
    Gpu(gpu::Gpu),
}

/// A module on it.
pub enum Module {
    Emulated(yuragi_emulator::Module),
    Gpu(gpu::Module),
}

impl Module {
    /// Address and bytes of a variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        match self {
            Module::Emulated(module) => module.global(name),
            Module::Gpu(module) => module.global(name),
        }
    }

    /// Offset and bytes of each parameter of a kernel.
    pub fn params(&self, kernel: &str) -> Vec<(usize, usize)> {
        match self {
            Module::Emulated(module) => {
                let kernel = module.kernel(kernel).unwrap_or_else(|| panic!("no kernel {kernel}"));
                kernel.params().iter().map(|param| (param.offset, param.bytes)).collect()
            }
            Module::Gpu(module) => module.params(kernel),
        }
    }
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(|_| {})
    }

    /// A device with other properties, which a GPU does not have.
    pub fn with(change: impl FnOnce(&mut Properties)) -> Bench {
        if gpu::is_wanted() {
            return Bench { place: Place::Gpu(gpu::Gpu::new()) };
        }
        Bench::emulated(change)
    }

    /// The emulator, also where the machine has a GPU.
    pub fn emulated(change: impl FnOnce(&mut Properties)) -> Bench {
        let mut properties = Properties::default();
        change(&mut properties);
        Bench { place: Place::Emulator(Device::new(properties)) }
    }

    /// The emulator's device.
    pub fn device(&self) -> &Device {
        match &self.place {
            Place::Emulator(device) => device,
            Place::Gpu(_) => panic!("this test needs the emulator"),
        }
    }

    /// New memory with values in it.
    pub fn put<T: Number>(&self, values: &[T]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.bytes()).collect();
        let address = self.room::<u8>(bytes.len());
        match &self.place {
            Place::Emulator(device) => device.write(address, &bytes).unwrap(),
            Place::Gpu(gpu) => gpu.write(address, &bytes),
        }
        address
    }

    /// New memory that nothing was written to.
    pub fn room<T: Number>(&self, count: usize) -> u64 {
        match &self.place {
            Place::Emulator(device) => device.allocate((count * T::BYTES) as u64).unwrap(),
            Place::Gpu(gpu) => gpu.allocate(count * T::BYTES),
        }
    }

    pub fn get<T: Number>(&self, address: u64, count: usize) -> Vec<T> {
        let mut bytes = vec![0; count * T::BYTES];
        match &self.place {
            Place::Emulator(device) => device.read(address, &mut bytes).unwrap(),
            Place::Gpu(gpu) => gpu.read(address, &mut bytes),
        }
        bytes.chunks(T::BYTES).map(T::from_bytes).collect()
    }

    /// Launches a kernel that must be sound. What a GPU reports is empty.
    pub fn run(&self, module: &Module, kernel: &str, launch: Launch, arguments: Arguments) -> Report {
        let report = self.launch(module, kernel, launch, arguments);
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        report
    }

    pub fn launch(&self, module: &Module, kernel: &str, launch: Launch, arguments: Arguments) -> Report {
        match (&self.place, module) {
            (Place::Emulator(device), Module::Emulated(module)) => {
                let kernel = module.kernel(kernel).unwrap_or_else(|| panic!("no kernel {kernel}"));
                device.launch(&kernel, &launch, arguments.bytes()).unwrap()
            }
            (Place::Gpu(gpu), Module::Gpu(module)) => {
                gpu.launch(module, kernel, &launch, arguments.bytes());
                Report::default()
            }
            _ => panic!("the module is of another device"),
        }
    }

    /// A module, or why it is none.
    pub fn load(&self, text: &str) -> Result<Module, String> {
        match &self.place {
            Place::Emulator(device) => {
                let module = device.load(text).map_err(|error| error.to_string())?;
                // A GPU's driver refuses the whole module.
                let refused = module.refused().next().map(|(_, why)| why.to_string());
                refused.map_or(Ok(Module::Emulated(module)), Err)
            }
            Place::Gpu(gpu) => gpu.load(text).map(Module::Gpu),
        }
    }

    /// The description of a tensor, as kernels take it.
    pub fn tensor(&self, map: &TensorMap) -> [u8; TENSOR_MAP_BYTES] {
        match &self.place {
            Place::Emulator(_) => map.encode().unwrap(),
            Place::Gpu(gpu) => gpu.tensor(map),
        }
    }

    /// A file of `kernels/ptx`.
    pub fn shipped(&self, name: &str) -> Module {
        self.load(shipped(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A module of one kernel with this body, which begins with its registers.
    pub fn kernel(&self, params: &str, body: &str) -> Module {
        self.load(&text(params, body)).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Texts of `kernels/ptx`, in the program, so that it runs where the workspace is not.
pub fn shipped(name: &str) -> &'static str {
    macro_rules! find {
        ($($file:literal)*) => {
            match name {
                $($file => include_str!(concat!("../../../../kernels/ptx/", $file)),)*
                _ => panic!("{name} is not among the texts of the tests"),
            }
        };
    }
    find!(
        "sm_80/elementwise.ptx" "sm_80/gemm_f16.ptx" "sm_80/group_norm.ptx" "sm_80/group_norm_silu.ptx"
        "sm_80/layer_norm.ptx" "sm_80/philox_normal.ptx" "sm_80/rows.ptx" "sm_80/softmax.ptx" "sm_80/transpose.ptx"
    )
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
