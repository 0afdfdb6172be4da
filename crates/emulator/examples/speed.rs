//! How fast kernels are executed: lane-instructions a second, by
//! `cargo run --release -p yuragi-emulator --example speed`, or with a part of a kernel's name after `--`.
//!
//! The best of five launches on all cores, with everything checked and with bounds alone; and, where the system tells
//! the time that this process ran, the same for each second of a core, which other processes disturb less.

use std::{env, fs, path::Path, time::Instant};

use yuragi_emulator::{Arguments, Device, Launch, Properties};

const LAUNCHES: usize = 5;

/// A kernel, its launch and its arguments on a device.
type Work = (&'static str, &'static str, Launch, fn(&Device) -> Arguments);

fn filled(device: &Device, bytes: u64) -> u64 {
    let address = device.allocate(bytes).unwrap_or(0);
    // 0x3c00 is 1 in half precision, and 0x3c003c00 a small number in single.
    let _ = device.fill(address, &0x3c00_u16.to_le_bytes(), bytes / 2);
    address
}

/// Seconds that cores worked for this process, in hundredths.
fn core_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let blocks = |x, threads, shared_bytes| Launch { shared_bytes, ..Launch::linear(x, threads) };
    let works: [Work; 6] = [
        ("elementwise", "gelu_f32", blocks(64, 256, 0), |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(filled(d, 4 << 18)).u64(1 << 18)
        }),
        ("softmax", "softmax_f32", blocks(64, 256, 0), |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(filled(d, 4 << 18)).u32(256).u32(1024).u32(256)
        }),
        ("group_norm_silu", "group_norm_silu_f32", blocks(64, 256, 0), |d| {
            let [x, gain, bias, y] = [4 << 18, 4 << 8, 4 << 8, 4 << 18].map(|bytes| filled(d, bytes));
            Arguments::new().u64(x).u64(gain).u64(bias).u64(y).u32(512).u32(256).u32(32).f32(1e-5)
        }),
        ("gemm_f16", "gemm_f16_nn_256x128", blocks(8, 256, 98_304), |d| {
            let factors = Arguments::new().u64(filled(d, 2 << 18)).u64(filled(d, 2 << 18));
            let list = [512; 3].iter().fold(factors.u64(filled(d, 4 << 18)).u64(0), |list, &x| list.u32(x));
            [512, 1, 512, 1, 512, 0, 0, 0, 0, 0, 0].iter().fold(list, |list, &x| list.u64(x)).u32(1)
        }),
        ("philox_normal", "philox_normal_f32", blocks(64, 256, 0), |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(1 << 18).u32(1).u32(2).u32(3).u64(0)
        }),
        ("transpose", "transpose_f32", Launch { block: [32, 8, 1], ..blocks(256, 32, 0) }, |d| {
            Arguments::new().u64(filled(d, 4 << 18)).u64(filled(d, 4 << 18)).u32(512).u32(512)
        }),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/ptx/sm_80");
    println!(
        "{:20} {:>12} {:>17} {:>10} {:>15} {:>10}",
        "M/s", "instructions", "all checks on", "a core", "bounds only", "a core"
    );
    let wanted = env::args().nth(1).unwrap_or_default();
    for (file, name, launch, arguments) in works.into_iter().filter(|work| work.1.contains(&wanted)) {
        let text = fs::read_to_string(folder.join(format!("{file}.ptx")))?;
        let mut speeds = Vec::new();
        let mut count = 0;
        for check in [true, false] {
            let device = Device::new(Properties { check, ..Properties::default() });
            let module = device.load(&text)?;
            let kernel = module.kernel(name).ok_or("no such kernel")?;
            let arguments = arguments(&device);
            let (mut best, before) = (f64::INFINITY, core_seconds());
            for _ in 0..LAUNCHES {
                let start = Instant::now();
                let report = device.launch(&kernel, &launch, arguments.bytes())?;
                best = best.min(start.elapsed().as_secs_f64());
                count = report.counters.lane_instructions;
                if let Some(finding) = report.findings.first() {
                    return Err(finding.to_string().into());
                }
            }
            let worked = core_seconds().zip(before).map_or(f64::NAN, |(after, before)| after - before);
            speeds.extend([1.0 / best, LAUNCHES as f64 / worked].map(|rate| rate * count as f64 / 1e6));
        }
        let [all, core, bounds, bounds_core] = speeds[..] else { continue };
        println!("{name:20} {count:12} {all:17.0} {core:10.0} {bounds:15.0} {bounds_core:10.0}");
    }
    Ok(())
}
