//! The speed of the kernels on typical sizes, by
//! `cargo test --release -p yuragi-cpu timing -- --ignored --nocapture`; of
//! those whose name contains `$ONLY`, at the level `$LEVEL`, where these are
//! set, of pairs of bfloat16 with `$PAIRS`.

use alloc::{boxed::Box, string::String, vec};
use std::time::Instant;
use std::{eprintln, format};

use yuragi_graph::DType;

use super::*;
use crate::simd::Level;

/// What this thread had of a processor, which others do not slow down.
#[cfg(target_os = "linux")]
fn processor_seconds() -> f64 {
    const THREAD: i32 = 3;
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut [core::ffi::c_long; 2]) -> i32;
    }
    let mut time = [0; 2];
    // SAFETY: a timespec is two such numbers.
    unsafe { clock_gettime(THREAD, &mut time) };
    time[0] as f64 + 1e-9 * time[1] as f64
}

#[cfg(not(target_os = "linux"))]
fn processor_seconds() -> f64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Prints the best GFLOP/s (or, where `work` counts bytes, GB/s) of several
/// runs on one thread, in time that it had of a processor, and on all.
fn report(name: &str, kernel: &dyn Kernel, work: usize, sizes: &[usize], out: usize) {
    if std::env::var("ONLY").is_ok_and(|only| !name.contains(&only)) {
        return;
    }
    let inputs = sizes.iter().map(|&len| vec![0.5_f32; len + 64]).collect::<alloc::vec::Vec<_>>();
    let aligned = |at: *const f32| at.wrapping_add(at.align_offset(64));
    let inputs = inputs.iter().map(|input| aligned(input.as_ptr())).collect::<alloc::vec::Vec<_>>();
    let mut out = vec![0.0_f32; out + 64];
    let out = aligned(out.as_mut_ptr()).cast_mut();
    let mut line = String::new();
    for threads in [1, 2] {
        let pool = Threads::new(threads);
        let mut scratch = vec![0.0_f32; kernel.scratch().total(threads) + 64];
        let scratch = aligned(scratch.as_mut_ptr()).cast_mut();
        let mut best = f64::INFINITY;
        let begin = Instant::now();
        let clock = |processor: bool| if processor { processor_seconds() } else { begin.elapsed().as_secs_f64() };
        let mut runs = 0;
        while runs < 5 || begin.elapsed().as_secs_f64() < 0.3 {
            runs += 1;
            let start = clock(threads == 1);
            // SAFETY: buffers of the kernel's sizes.
            unsafe { run(kernel, &pool, &inputs, &[out], scratch) };
            best = best.min(clock(threads == 1) - start);
        }
        line += &format!("{:8.1} ({:7.1} µs)", work as f64 / best / 1e9, best * 1e6);
    }
    eprintln!("{name:44}{line}");
}

/// The level called `$LEVEL`, or the best.
fn level() -> Level {
    let name = std::env::var("LEVEL").unwrap_or_default();
    Level::available().find(|level| format!("{level:?}") == name).unwrap_or_else(Level::detect)
}

/// Whether factors are bfloat16: `$PAIRS` is set.
fn pairs() -> bool {
    std::env::var_os("PAIRS").is_some()
}

fn gemm(batch: usize, sizes: [usize; 3], ta: bool, tb: bool) {
    product(batch, sizes, ta, tb, DType::F32);
}

fn product(batch: usize, [m, n, k]: [usize; 3], ta: bool, tb: bool, stored: DType) {
    let product =
        Product { batch, m, n, k, ta, tb, a_stride: m * k, b_stride: k * n, bias: false, pairs: pairs(), stored };
    let flag = |t, name: &str| if t { format!("{name}ᵀ") } else { name.into() };
    let name = format!("{} {} {batch}×{m}×{n}×{k} {stored}", flag(ta, "A"), flag(tb, "B"));
    report(&name, &Gemm::new(level(), product), 2 * batch * m * n * k, &[batch * m * k, batch * k * n], batch * m * n);
}

fn conv(batch: usize, size: usize, channels: usize, filters: usize, kernel: usize, stride: usize) {
    let pad = [(kernel - 1) / 2; 2];
    let geometry = Geometry {
        batch,
        height: size,
        width: size,
        channels,
        filters,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [pad; 2],
        pairs: pairs(),
        stored: Stored::PLAIN,
    };
    let [oh, ow] = geometry.output();
    let x = batch * size * size * channels;
    let w = kernel * kernel * channels * filters;
    let y = batch * oh * ow * filters;
    let flops = 2 * batch * oh * ow * w;
    for (direction, inputs, out) in
        [(Direction::Forward, [x, w], y), (Direction::InputGrad, [y, w], x), (Direction::WeightGrad, [x, y], w)]
    {
        let name = format!("{kernel}×{kernel}/{stride} {batch}×{size}×{size}×{channels}→{filters} {direction:?}");
        report(&name, &Conv::new(level(), direction, geometry, false), flops, &inputs, out);
        if kernel == 3 && stride == 1 {
            let minimal = Winograd::new(level(), direction, geometry, false);
            report(&format!("{name} minimal"), &minimal, flops, &inputs, out);
        }
    }
}

/// The 3×3 convolutions of a U-Net's training step, directly and by minimal filtering.
#[test]
#[ignore = "a measurement"]
fn training() {
    eprintln!("GFLOP/s of the direct form, on one thread and on two");
    for (size, channels, filters) in
        [(32, 96, 96), (32, 192, 96), (32, 288, 96), (16, 192, 192), (16, 384, 192), (8, 192, 192), (8, 384, 192)]
    {
        conv(8, size, channels, filters, 3, 1);
    }
}

/// The largest products of Stable Diffusion: of 1.5 at 512×512 for two, and of XL at 1024×1024.
#[test]
#[ignore = "a measurement"]
fn stable_diffusion_products() {
    eprintln!("GFLOP/s on one thread and on two");
    for sizes in [
        [8192, 320, 320],
        [8192, 2560, 320],
        [8192, 320, 1280],
        [2048, 640, 640],
        [2048, 5120, 640],
        [2048, 640, 2560],
        [512, 1280, 1280],
        [512, 10240, 1280],
        [512, 1280, 5120],
        [4096, 640, 640],
        [4096, 5120, 640],
        [4096, 640, 2560],
        [1024, 1280, 1280],
        [1024, 10240, 1280],
        [1024, 1280, 5120],
    ] {
        product(1, sizes, false, true, DType::F16);
    }
}

/// The 3×3 convolutions of Stable Diffusion 1.5 at 512×512, of the U-Net for two and of the decoder, directly and by
/// minimal filtering.
#[test]
#[ignore = "a measurement"]
fn stable_diffusion() {
    eprintln!("GFLOP/s of the direct form, on one thread and on two");
    for (batch, size, channels, filters) in [
        (2, 64, 320, 320),
        (2, 64, 960, 320),
        (2, 32, 640, 640),
        (2, 32, 1920, 640),
        (2, 16, 1280, 1280),
        (2, 16, 2560, 1280),
        (2, 8, 1280, 1280),
        (1, 8, 1280, 1280),
        (1, 8, 2560, 1280),
        (1, 16, 1280, 1280),
        (1, 64, 512, 512),
        (1, 128, 512, 512),
        (1, 256, 256, 256),
        (1, 512, 128, 128),
    ] {
        let geometry = Geometry {
            batch,
            height: size,
            width: size,
            channels,
            filters,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [[1, 1], [1, 1]],
            pairs: false,
            stored: Stored { dtype: DType::F16, filters_first: true },
        };
        let (x, w, y) = (channels * size * size * batch, 9 * channels * filters, filters * size * size * batch);
        let work = 2 * 9 * channels * y;
        let name = |form: &str| format!("{batch}×{size}×{size}×{channels}→{filters} {form}");
        report(&name("direct"), &Conv::new(level(), Direction::Forward, geometry, false), work, &[x, w], y);
        report(&name("minimal"), &Winograd::new(level(), Direction::Forward, geometry, false), work, &[x, w], y);
    }
}

#[test]
#[ignore = "a measurement"]
fn timing() {
    eprintln!("GFLOP/s on one thread and on two");
    conv(16, 16, 96, 96, 3, 1);
    conv(16, 8, 192, 192, 3, 1);
    conv(4, 64, 32, 32, 3, 1);
    conv(4, 32, 64, 64, 3, 1);
    conv(4, 16, 128, 128, 3, 1);
    conv(16, 16, 96, 96, 3, 2);
    conv(16, 16, 96, 192, 1, 1);
    conv(4, 64, 3, 32, 3, 1);
    conv(4, 64, 32, 3, 3, 1);
    conv(16, 16, 4, 48, 3, 1);
    conv(1, 16, 96, 96, 3, 1);
    gemm(1, [4096, 192, 768], false, false);
    gemm(1, [4096, 768, 192], false, true);
    gemm(1, [768, 192, 4096], true, false);
    gemm(1, [512, 512, 512], false, false);
    gemm(1, [512, 512, 512], true, true);
    gemm(1, [96, 96, 4096], true, false);
    gemm(1, [192, 768, 4096], true, false);
    gemm(1, [16, 384, 96], false, false);
    gemm(1, [1, 1024, 1024], false, false);
    gemm(1, [1, 1024, 1024], false, true);
    gemm(1, [1024, 1, 1024], false, false);
    gemm(64, [256, 256, 32], false, true);
    gemm(64, [256, 32, 256], false, false);
    gemm(64, [256, 32, 256], true, false);
    for (batch, length, depth) in [(64, 256, 32), (8, 1024, 64), (8, 1024, 80), (8, 4096, 40)] {
        let shape =
            AttentionShape { batch, queries: length, keys: length, depth, value_depth: depth, scale: 0.1, mask: None };
        let len = batch * length * depth;
        let kernel: Box<dyn Kernel> = Box::new(Attention::new(level(), shape));
        report(&format!("attention {batch}×{length}×{depth}"), &*kernel, 4 * len * length, &[len; 3], len);
    }
    eprintln!("GB/s on one thread and on two");
    let level = level();
    let len = 16 * 256 * 96;
    report("group norm 16×256×96", &GroupNorm::new(level, 16, 256, 96, 32, 1e-5, false), 8 * len, &[len, 96, 96], len);
    report("group norm silu", &GroupNorm::new(level, 16, 256, 96, 32, 1e-5, true), 8 * len, &[len, 96, 96], len);
    report("layer norm 4096×96", &LayerNorm::new(level, 4096, 96, 1e-5), 8 * len, &[len, 96, 96], len);
    report("softmax 1536×256", &Softmax::new(level, 1536, 256), 8 * len, &[len], len);
}

/// A register tile whose operands stay in the first cache.
#[test]
#[ignore = "a measurement"]
fn tile() {
    use crate::simd::{Base, MAX_ROWS, Segment, Tile};
    let level = level();
    let (rows, width) = (level.tile_rows(), level.tile_vectors() * level.lanes());
    for len in [32, 64, 96, 128, 192, 256] {
        for base in [Base::Zero, Base::Out] {
            let (a, b) = (vec![0.5_f32; rows * len], vec![0.5_f32; len * width]);
            let mut out = vec![0.0_f32; rows * width];
            let mut best = f64::INFINITY;
            for _ in 0..50 {
                let start = processor_seconds();
                for _ in 0..2000 {
                    let at: [usize; MAX_ROWS] = core::array::from_fn(|i| core::hint::black_box(i.min(rows - 1)));
                    let tile = Tile {
                        segments: &[Segment { a: at.map(|i| a[i * len..].as_ptr()), b: b.as_ptr() }],
                        len,
                        step: 1,
                        width,
                        pairs: false,
                        base,
                        out: at.map(|i| out[i * width..].as_mut_ptr()),
                        rows,
                        cols: width,
                    };
                    // SAFETY: the operands' sizes.
                    unsafe { level.tile(&tile) }
                }
                best = best.min(processor_seconds() - start);
            }
            let from = if matches!(base, Base::Zero) { "0" } else { "the result" };
            let (cycle, flops) = (1e9 * best / 2000.0, (2 * rows * width * len) as f64 * 2000.0);
            eprintln!("{rows}×{width}×{len} from {from:12} {:8.1} ({cycle:7.1} ns)", flops / best / 1e9);
        }
    }
}

/// Panels of weights in the order of PyTorch, `[filters, channels]`, or `[channels, filters]`, as products pack them.
#[test]
#[ignore = "a measurement"]
fn packing() {
    use crate::simd::{Pack, Source};
    let level = level();
    let (rows, width) = (192, level.tile_vectors() * level.lanes());
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for transposed in [false, true] {
            let stride = if transposed { 1280 } else { width };
            let from = vec![0.0_f32; 1280 * width];
            let mut to = vec![0.0_f32; rows * width + 16];
            let to = to.as_mut_ptr();
            let to = to.wrapping_add(to.align_offset(64));
            let mut best = f64::INFINITY;
            for _ in 0..50 {
                let start = processor_seconds();
                for _ in 0..1000 {
                    let from = Source::new(dtype, core::hint::black_box(from.as_ptr()));
                    let pack = Pack { from, stride, transposed, rows, cols: width, to, width, turns: (1, 0) };
                    // SAFETY: the sizes of both.
                    unsafe { pack.run(level) };
                }
                best = best.min(processor_seconds() - start);
            }
            let order = if transposed { "columns" } else { "rows" };
            eprintln!("{dtype} {order:8} {:6.3} ns an element", 1e6 * best / (rows * width) as f64);
        }
    }
}
