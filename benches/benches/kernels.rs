//! Single operations through the public interface, at the sizes that the shipped networks have.
//!
//! Operands are parameters, so that a run copies nothing in or out. Rates are in floating-point
//! operations for products and convolutions, and in elements for the rest.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use yuragi_benches::weights;
use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Builder, DType, Init, Plan, Tensor, op::Window};

/// Times one expression of operands with these shapes; `work` counts what it does.
fn time(
    c: &mut Criterion,
    name: &str,
    work: usize,
    shapes: &[&[usize]],
    expression: impl for<'g> Fn(&[Tensor<'g>]) -> Tensor<'g>,
) {
    let b = Builder::new();
    let operand = |(i, shape): (usize, &&[usize])| b.param(&format!("x{i}"), shape, DType::F32, Init::Normal(1.0));
    let operands: Vec<Tensor<'_>> = shapes.iter().enumerate().map(operand).collect();
    let result = expression(&operands);
    let graph = b.finish(&[("y", result)]).expect("the shapes are legal");
    let cpu = Cpu::new();
    let plan = cpu.compile(&graph).expect("the CPU has every kernel");
    let store = cpu.upload(weights(graph.params())).expect("the store is owned");
    let mut state = plan.state(&store).expect("the store is complete");
    let mut group = c.benchmark_group("kernels");
    group.throughput(Throughput::Elements(work as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            plan.begin(&mut state, &[]).expect("there are no inputs");
            plan.advance(&mut state, &store, usize::MAX).expect("there are no updates")
        });
    });
    group.finish();
}

fn products(c: &mut Criterion) {
    for n in [64, 256, 1024] {
        time(c, &format!("matmul {n}x{n}x{n}"), 2 * n * n * n, &[&[n, n], &[n, n]], |x| x[0].matmul(x[1]));
    }
    time(c, "matmul 1024x96x96", 2 * 1024 * 96 * 96, &[&[1024, 96], &[96, 96]], |x| x[0].matmul(x[1]));
    let (batch, heads, tokens, depth) = (16, 4, 64, 24);
    let qkv: &[usize] = &[batch, heads, tokens, depth];
    let work = 4 * batch * heads * tokens * tokens * depth;
    time(c, "attention 16x4x64x24", work, &[qkv; 3], |x| x[0].attention(x[1], x[2], None, 0.2));
}

fn convolutions(c: &mut Criterion) {
    for (size, channels) in [(32, 64), (16, 48), (8, 96), (4, 192)] {
        let (x, w): ([usize; 4], [usize; 4]) = ([16, size, size, channels], [3, 3, channels, channels]);
        let work = 2 * x.iter().product::<usize>() * 9 * channels;
        let name = |part: &str| format!("conv3x3 {part} 16x{size}x{size}x{channels}");
        time(c, &name("forward"), work, &[&x, &w], |t| t[0].conv2d(t[1], Window::same(3)));
        time(c, &name("input gradient"), work, &[&x, &w], |t| t[0].conv2d_input_grad(t[1], Window::same(3), [size; 2]));
        time(c, &name("weight gradient"), work, &[&x, &x], |t| t[0].conv2d_weight_grad(t[1], Window::same(3), [3; 2]));
    }
}

fn elementwise(c: &mut Criterion) {
    let n = 1 << 20;
    let x: &[usize] = &[n];
    time(c, "x + y", n, &[x; 2], |x| x[0] + x[1]);
    time(c, "silu", n, &[x], |x| x[0].silu());
    time(c, "gelu", n, &[x], |x| x[0].gelu());
    time(c, "silu(x·y + x)·y − x, one pass", n, &[x; 2], |x| (x[0] * x[1] + x[0]).silu() * x[1] - x[0]);
}

fn rows(c: &mut Criterion) {
    let (pictures, channels): ([usize; 4], [usize; 1]) = ([16, 16, 16, 48], [48]);
    let n = pictures.iter().product();
    time(c, "group norm and silu 16x16x16x48", n, &[&pictures, &channels, &channels], |x| {
        x[0].group_norm(8, x[1], x[2], 1e-5).silu()
    });
    time(c, "layer norm 384x160", 384 * 160, &[&[384, 160], &[160], &[160]], |x| x[0].layer_norm(x[1], x[2], 1e-5));
    time(c, "softmax 4096x64", 4096 * 64, &[&[4096, 64]], |x| x[0].softmax());
    time(c, "sum of the last axis 4096x64", 4096 * 64, &[&[4096, 64]], |x| x[0].sum(&[-1]));
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = kernels; config = settings(); targets = products, convolutions, elementwise, rows }
criterion_main!(kernels);
