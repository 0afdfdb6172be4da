//! What kernels for products do, counted in the emulator: a table of all tile shapes for the sizes that are given.
//!
//! ```sh
//! cargo run --release -p yuragi-cuda --example counters -- linear:8192,320,320 conv:2,16,16,640,640,3,1
//! ```
//!
//! `linear:M,N,K`; `conv:SAMPLES,HEIGHT,WIDTH,CHANNELS,FILTERS,KERNEL,STRIDE`, with zeros around as if the window were
//! to keep the size; `attention:BATCH,HEADS,QUERIES,KEYS,DEPTH`, and `attention_grad:` of the same sizes, for all three
//! operands. All in half precision, without looking for races.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::ExitCode;

use common::{Bench, bytes, noise};
use yuragi_cuda::{
    kernels::{
        attention::{Attention, Operand},
        attention_grad::AttentionGrad,
        conv::Conv2d,
        gemm::{Gemm, Matrices},
        product::{Factors, Machine},
    },
    launch::Launches,
};
use yuragi_emulator::counters::{Counters, Roofline};
use yuragi_graph::{
    DType,
    op::{Conv, MatMul, Window},
};

const MACHINE: Machine = Machine { multiprocessors: 132, hopper: true };
const HALF: DType = DType::F16;

/// A product's launches: what would be chosen, then every variant.
struct Work {
    chosen: Launches,
    variants: Vec<Launches>,
    /// Bytes of operands and result.
    bytes: usize,
    operations: usize,
}

fn linear(bench: &mut Bench, [m, n, k]: [usize; 3]) -> Option<Work> {
    let mut matrix = |seed, rows: usize, columns: usize| {
        Matrices::contiguous(bench.put(&bytes(&noise(seed, rows * columns, HALF), HALF)), rows, columns)
    };
    let (a, b) = (matrix(1, m, k), matrix(2, k, n));
    let c = Matrices::contiguous(bench.room(2 * m * n), m, n);
    let op = MatMul { transpose_a: false, transpose_b: false };
    let gemm = Gemm { batch: 1, m, n, k, op, a, b, c, bias: None, factors: Factors::F16, result: HALF };
    let (chosen, variants) = (gemm.launches(MACHINE).ok()?, gemm.variants(MACHINE).ok()?);
    Some(Work { chosen, variants, bytes: 2 * (m * k + k * n + m * n), operations: 2 * m * n * k })
}

fn conv(bench: &mut Bench, sizes: [usize; 7]) -> Option<Work> {
    let [samples, height, width, channels, filters, kernel, stride] = sizes;
    let window = Window { stride: [stride; 2], padding: [kernel / 2; 4] };
    let output = window.output([height, width], [kernel; 2])?;
    let [x, w, y] = [
        samples * height * width * channels,
        kernel * kernel * channels * filters,
        samples * output[0] * output[1] * filters,
    ];
    let mut operand = |seed, count| bench.put(&bytes(&noise(seed, count, HALF), HALF));
    let (a, b) = (operand(1, x), operand(2, w));
    let conv = Conv2d {
        op: Conv::Forward(window),
        samples,
        picture: [height, width],
        channels,
        kernel: [kernel; 2],
        filters,
        a,
        b,
        c: bench.room(2 * y),
        bias: None,
        factors: Factors::F16,
        result: HALF,
    };
    let (chosen, variants) = (conv.launches(MACHINE).ok()?, conv.variants(MACHINE).ok()?);
    Some(Work { chosen, variants, bytes: 2 * (x + w + y), operations: 2 * y * kernel * kernel * channels })
}

fn attention(bench: &mut Bench, [items, heads, queries, keys, depth]: [usize; 5]) -> Option<Work> {
    let mut operand = |seed, rows: usize| {
        let values = noise(seed, items * rows * heads * depth, HALF);
        Operand::interleaved(bench.put(&bytes(&values, HALF)), heads, rows, depth)
    };
    let [q, k, v] = [(1, queries), (2, keys), (3, keys)].map(|(seed, rows)| operand(seed, rows));
    let batch = items * heads;
    let attention = Attention {
        batch,
        heads,
        queries,
        keys,
        depth,
        value_depth: depth,
        scale: 1.0 / (depth as f32).sqrt(),
        dtype: HALF,
        q,
        k,
        v: Some(v),
        mask: None,
        y: Some(Operand::interleaved(bench.room(2 * batch * queries * depth), heads, queries, depth)),
        log_sum: None,
    };
    let variants = [MACHINE, Machine { hopper: false, ..MACHINE }].map(|machine| attention.launches(machine).ok());
    let variants: Vec<Launches> = variants.into_iter().flatten().collect();
    let (bytes, operations) = (4 * batch * depth * (queries + keys), 4 * batch * queries * keys * depth);
    Some(Work { chosen: variants.first()?.clone(), variants, bytes, operations })
}

/// The fewest operations are five products; kernels compute scores and gradients of weights anew.
fn attention_grad(bench: &mut Bench, [items, heads, queries, keys, depth]: [usize; 5]) -> Option<Work> {
    let batch = items * heads;
    let size = |rows: usize| batch * rows * depth;
    let mut operand = |seed, rows: usize| {
        let values = noise(seed, size(rows), HALF);
        Operand::interleaved(bench.put(&bytes(&values, HALF)), heads, rows, depth)
    };
    let [g, q, k, v] = [(1, queries), (2, queries), (3, keys), (4, keys)].map(|(seed, rows)| operand(seed, rows));
    let mut row = |number: f64| bench.put(&bytes(&vec![number; batch * queries], DType::F32));
    let (log_sum, delta) = (row((keys as f64).ln()), row(0.0));
    let y = [queries, keys, keys];
    let y = y.map(|rows| Some(Operand::interleaved(bench.room(2 * size(rows)), heads, rows, depth)));
    let grad = AttentionGrad {
        batch,
        heads,
        queries,
        keys,
        depth,
        value_depth: depth,
        scale: 1.0 / (depth as f32).sqrt(),
        dtype: HALF,
        g,
        q,
        k,
        v,
        log_sum,
        delta,
        mask: None,
        y,
    };
    let variants = [MACHINE, Machine { hopper: false, ..MACHINE }].map(|machine| grad.launches(machine).ok());
    let variants: Vec<Launches> = variants.into_iter().flatten().collect();
    let bytes = 2 * (3 * size(queries) + 4 * size(keys)) + 8 * batch * queries;
    Some(Work { chosen: variants.first()?.clone(), variants, bytes, operations: 10 * size(queries) * keys })
}

fn numbers<const N: usize>(text: &str) -> Option<[usize; N]> {
    let numbers: Option<Vec<usize>> = text.split(',').map(|word| word.parse().ok().filter(|n| *n > 0)).collect();
    numbers?.try_into().ok()
}

fn table(text: &str) -> Option<()> {
    let mut bench = Bench::unchecked();
    let work = match text.split_once(':')? {
        ("linear", sizes) => linear(&mut bench, numbers(sizes)?)?,
        ("conv", sizes) => conv(&mut bench, numbers(sizes)?)?,
        ("attention", sizes) => attention(&mut bench, numbers(sizes)?)?,
        ("attention_grad", sizes) => attention_grad(&mut bench, numbers(sizes)?)?,
        _ => return None,
    };
    let shares = |launches: &Launches| launches.scratch;
    let name = |launches: &Launches| {
        let functions: Vec<&str> = launches.launches.iter().map(|launch| launch.function.as_str()).collect();
        functions.join("`, `")
    };
    let is_chosen = |one: &Launches| (name(one), shares(one)) == (name(&work.chosen), shares(&work.chosen));
    let others = work.variants.iter().filter(|one| shares(one) == 0 && !is_chosen(one) && !name(one).contains("any"));
    for launches in [&work.chosen].into_iter().chain(others) {
        let all = bench.run(launches).into_iter().fold(Counters::default(), |mut sum, one| {
            sum.add(&one);
            sum
        });
        let bounds = all.bounds(&Roofline::H100);
        let blocks = launches.launches[0].grid.iter().product::<u32>();
        println!(
            "| {text} | `{}`{} | {blocks} | {:.2} | {} | {:.2} | {:.2} | {} | {:.2} |",
            name(launches),
            if is_chosen(launches) { " (chosen)" } else { "" },
            all.matrix_flops as f64 / work.operations as f64,
            all.global_sectors,
            all.global_sectors as f64 * 32.0 / work.bytes as f64,
            all.global_touched as f64 * 32.0 / work.bytes as f64,
            all.shared_passes - all.shared_least_passes,
            bounds.memory.max(bounds.matrix) * 1e6,
        );
    }
    Some(())
}

fn main() -> ExitCode {
    let sizes: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "| product | kernel | blocks | tensor-core operations / least | sectors | bytes moved / least | different bytes / \
         least | bank conflicts | least µs on an H100 |\n|---|---|---:|---:|---:|---:|---:|---:|---:|"
    );
    for text in &sizes {
        if table(text).is_none() {
            eprintln!(
                "{text}: must be linear:M,N,K, conv:SAMPLES,HEIGHT,WIDTH,CHANNELS,FILTERS,KERNEL,STRIDE, \
                 attention:BATCH,HEADS,QUERIES,KEYS,DEPTH or attention_grad: of the same, and not 0"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
