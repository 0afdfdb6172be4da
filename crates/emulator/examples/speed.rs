//! How fast kernels are executed: lane-instructions a second, by
//! `cargo run --release -p yuragi-emulator --example speed`.

use std::{fs, path::Path, time::Instant};

use yuragi_emulator::{Arguments, Device, Launch, Properties};

/// A kernel, its launch and its arguments on a device.
type Work = (&'static str, &'static str, Launch, fn(&Device) -> Arguments);

fn filled(device: &Device, bytes: u64) -> u64 {
    let address = device.allocate(bytes).unwrap_or(0);
    // 0x3c00 is 1 in half precision, and 0x3c003c00 a small number in single.
    let _ = device.fill(address, &0x3c00_u16.to_le_bytes(), bytes / 2);
    address
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let blocks = |x, threads, shared_bytes| Launch { shared_bytes, ..Launch::linear(x, threads) };
    let works: [Work; 6] = [
        ("elementwise", "gelu_f32", blocks(64, 256, 0), |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(filled(d, 4 << 18)).u64(1 << 18)
        }),
        ("softmax", "softmax_f32", blocks(64, 256, 0), |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(filled(d, 4 << 18)).u32(256).u32(1024)
        }),
        ("group_norm_silu", "group_norm_silu_f32", blocks(64, 256, 0), |d| {
            let [x, gain, bias, y] = [4 << 18, 4 << 8, 4 << 8, 4 << 18].map(|bytes| filled(d, bytes));
            Arguments::new().u64(x).u64(gain).u64(bias).u64(y).u32(512).u32(256).u32(32).f32(1e-5)
        }),
        ("gemm_f16", "gemm_f16_f32", Launch { grid: [4, 4, 1], ..blocks(1, 256, 49_152) }, |d| {
            let arguments = Arguments::new().u64(filled(d, 2 << 18)).u64(filled(d, 2 << 18)).u64(filled(d, 4 << 18));
            let arguments = [512; 6].iter().fold(arguments, |list, &x| list.u32(x));
            [0; 3].iter().fold(arguments, |list, &x| list.u64(x))
        }),
        ("philox_normal", "philox_normal_f32", blocks(64, 256, 0), |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(1 << 18).u32(1).u32(2).u32(3).u64(0)
        }),
        ("transpose", "transpose_f32", Launch { block: [32, 8, 1], ..blocks(256, 32, 0) }, |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(filled(d, 4 << 18)).u32(512).u32(512)
        }),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/ptx/sm_80");
    println!("{:22} {:>12} {:>22} {:>22}", "kernel", "lane-instr.", "M/s, everything on", "M/s, bounds only");
    for (file, name, launch, arguments) in works {
        let text = fs::read_to_string(folder.join(format!("{file}.ptx")))?;
        let mut speeds = Vec::new();
        let mut count = 0;
        for check in [true, false] {
            let device = Device::new(Properties { check, ..Properties::default() });
            let module = device.load(&text)?;
            let kernel = module.kernel(name).ok_or("no such kernel")?;
            let arguments = arguments(&device);
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let start = Instant::now();
                let report = device.launch(&kernel, &launch, arguments.bytes())?;
                best = best.min(start.elapsed().as_secs_f64());
                count = report.counters.lane_instructions;
                if let Some(finding) = report.findings.first() {
                    return Err(finding.to_string().into());
                }
            }
            speeds.push(count as f64 / best / 1e6);
        }
        println!("{name:22} {count:12} {:22.0} {:22.0}", speeds[0], speeds[1]);
    }
    Ok(())
}
