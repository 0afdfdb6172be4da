//! Chains run twice: as emitted PTX in the emulator, and element by element on the CPU.

use half::{bf16, f16};
use yuragi_cuda::{
    launch::{Address, Argument, Home as Place},
    ptx::Module,
};
use yuragi_emulator::{Arguments, Device, Launch, Properties, Report};
use yuragi_graph::{
    DType,
    lowering::{Chain, End, Home, Instruction, Source, Store, Value, View},
};
use yuragi_numeric::Real;

/// Elements of one type, each as a chain holds it in a register: half precision made single, integers as bits.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub dtype: DType,
    pub values: Vec<f32>,
}

impl Buffer {
    pub fn new(dtype: DType, values: &[f32]) -> Buffer {
        let mut buffer = Buffer { dtype, values: vec![0.0; values.len()] };
        values.iter().enumerate().for_each(|(i, &x)| buffer.set(i, x));
        buffer
    }

    fn bytes(&self) -> Vec<u8> {
        let one = |&x: &f32| match self.dtype {
            DType::F32 | DType::I32 | DType::U32 => x.to_le_bytes().to_vec(),
            DType::F16 => f16::from_f32(x).to_le_bytes().to_vec(),
            DType::BF16 => bf16::from_f32(x).to_le_bytes().to_vec(),
        };
        self.values.iter().flat_map(one).collect()
    }

    fn read(&mut self, bytes: &[u8]) {
        let one = |x: &[u8]| match (self.dtype, x) {
            (DType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (DType::BF16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
            (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            _ => unreachable!(),
        };
        self.values = bytes.chunks(self.dtype.size()).map(one).collect();
    }

    fn set(&mut self, at: usize, x: f32) {
        self.values[at] = match self.dtype {
            DType::F32 | DType::I32 | DType::U32 => x,
            DType::F16 => f16::from_f32(x).to_f32(),
            DType::BF16 => bf16::from_f32(x).to_f32(),
        };
    }
}

/// A chain over buffers: those that it reads, then those that it writes, each at the place of its number.
pub fn chain(count: usize, buffers: &[Buffer], reads: usize, code: Vec<Instruction>, end: End) -> Chain {
    let source = |(number, buffer): (usize, &Buffer)| Source { home: Home::Buffer(number), dtype: buffer.dtype };
    let mut inputs: Vec<Source> = buffers.iter().enumerate().map(source).collect();
    let outputs = inputs.split_off(reads);
    Chain { name: "test", count, inputs, outputs, code, end }
}

/// A store of one value through all of the first output.
pub fn whole(value: usize, count: usize) -> End {
    End::Stores(vec![Store { value: Value(value), output: 0, view: View::run(count) }])
}

/// Runs a chain's kernels in the emulator, which checks every access, on these buffers.
pub fn emulate(chain: &Chain, buffers: &mut [Buffer]) -> Vec<Report> {
    let device = Device::new(Properties::default());
    let mut module = Module::new();
    let launches = module.chain(chain, |home| match home {
        Home::Buffer(number) => Place::Arena(number),
        Home::Param(number) => Place::Param(number),
        Home::Literal(number) => Place::Literal(number),
    });
    let text = module.to_string();
    let loaded = device.load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let allocate = |bytes: usize| device.allocate(bytes.max(1) as u64).unwrap();
    let bases: Vec<u64> = buffers.iter().map(|buffer| allocate(buffer.values.len() * buffer.dtype.size())).collect();
    for (buffer, &base) in buffers.iter().zip(&bases) {
        device.write(base, &buffer.bytes()).unwrap();
    }
    let scratch = allocate(launches.scratch);
    let pointer = |address: &Address| match address.home {
        Place::Arena(number) => bases[number] + address.offset as u64,
        Place::Scratch(at) => scratch + (at + address.offset) as u64,
        other => panic!("{other:?}"),
    };
    let run = |launch: &yuragi_cuda::launch::Launch| {
        let arguments = launch.arguments.iter().fold(Arguments::new(), |list, argument| match argument {
            Argument::Pointer(address) => list.u64(pointer(address)),
            Argument::Null => list.u64(0),
            Argument::U32(x) => list.u32(*x),
            Argument::U64(x) => list.u64(*x),
            Argument::F32(x) => list.f32(*x),
            Argument::Tensor(_) | Argument::Counters(_) => panic!("{argument:?}"),
        });
        let extents = Launch { grid: launch.grid, block: launch.block, shared_bytes: launch.shared, cluster: [1; 3] };
        let kernel = loaded.kernel(&launch.function).unwrap();
        let report = device.launch(&kernel, &extents, arguments.bytes()).unwrap();
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}\n{text}", findings.join("\n"));
        report
    };
    let reports = launches.launches.iter().map(run).collect();
    for (buffer, &base) in buffers.iter_mut().zip(&bases) {
        let mut bytes = buffer.bytes();
        device.read(base, &mut bytes).unwrap();
        buffer.read(&bytes);
    }
    reports
}

/// The place of an element of a walk.
fn place(view: &View, element: usize) -> usize {
    let mut rest = element;
    let inner = view.axes().iter().rev().map(|&(extent, step)| {
        let at = rest % extent;
        rest /= extent;
        at * step
    });
    view.offset + inner.sum::<usize>()
}

fn number(source: &Source) -> usize {
    match source.home {
        Home::Buffer(number) => number,
        other => panic!("{other:?}"),
    }
}

/// What every instruction of a chain gives for one element.
pub fn values(chain: &Chain, buffers: &[Buffer], element: usize) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::new();
    for instruction in &chain.code {
        values.push(match *instruction {
            Instruction::Number(x) => x,
            Instruction::Load { input, ref view } => buffers[number(&chain.inputs[input])].values[place(view, element)],
            Instruction::Unary(op, x) => op.eval(values[x.0]),
            Instruction::Binary(op, a, b) => op.eval(values[a.0], values[b.0]),
            Instruction::Select(c, a, b) => Real::select(values[c.0], values[a.0], values[b.0]),
            Instruction::Convert { from, into, x } => convert(values[x.0], from, into),
        });
    }
    values
}

/// Does what a chain that ends in stores says, one element after another.
fn compute(chain: &Chain, buffers: &mut [Buffer]) {
    let End::Stores(stores) = &chain.end else { panic!("a reduction") };
    for element in 0..chain.count {
        let values = values(chain, buffers, element);
        for store in stores {
            let output = &mut buffers[number(&chain.outputs[store.output])];
            output.set(place(&store.view, element), values[store.value.0]);
        }
    }
}

/// The definition of a cast, through numbers that hold every value of either type.
fn convert(x: f32, from: DType, into: DType) -> f32 {
    let value = match from {
        DType::F32 | DType::F16 | DType::BF16 => f64::from(x),
        DType::I32 => f64::from(x.to_bits() as i32),
        DType::U32 => f64::from(x.to_bits()),
    };
    match into {
        DType::F32 | DType::F16 | DType::BF16 => into.round(value) as f32,
        DType::I32 => f32::from_bits(value as i32 as u32),
        DType::U32 => f32::from_bits(value as u32),
    }
}

/// The same bits, or both NaN where the type is one of floating point.
pub fn same(a: &Buffer, b: &Buffer) -> Result<(), String> {
    for (at, (x, y)) in a.values.iter().zip(&b.values).enumerate() {
        let nan = a.dtype.is_float() && x.is_nan() && y.is_nan();
        if x.to_bits() != y.to_bits() && !nan {
            return Err(format!(
                "element {at} of {}: {x:e} ({:08x}) and {y:e} ({:08x})",
                a.values.len(),
                x.to_bits(),
                y.to_bits()
            ));
        }
    }
    Ok(())
}

/// Runs a chain both ways and compares every buffer bit by bit.
pub fn check(chain: &Chain, buffers: &[Buffer]) -> Vec<Report> {
    let (mut here, mut there) = (buffers.to_vec(), buffers.to_vec());
    compute(chain, &mut here);
    let reports = emulate(chain, &mut there);
    for (number, (here, there)) in here.iter().zip(&there).enumerate() {
        same(here, there).unwrap_or_else(|error| panic!("buffer {number}: computed and emulated {error}\n{chain:?}"));
    }
    reports
}

/// Numbers that look random and are always the same: of every size, and the special ones.
pub fn numbers(seed: u32, count: usize) -> Vec<f32> {
    const SPECIAL: [u32; 16] = [
        0,
        0x8000_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        1,
        0x8000_0001,
        0x007f_ffff,
        0x0080_0000,
        0x8080_0000,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x3f80_0000,
        0xbf80_0000,
        0x3f00_0000,
        0x4b00_0001,
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let one = |i: usize| match i % 5 {
        0 => f32::from_bits(SPECIAL[next() as usize % SPECIAL.len()]),
        1 => f32::from_bits(next()),
        2 => (next() as i32) as f32 / 1e9,
        3 => (next() as i32) as f32 / 1e7,
        _ => ((next() % 41) as f32 - 20.0) / 2.0,
    };
    (0..count).map(one).collect()
}
