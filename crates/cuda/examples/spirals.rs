//! Trains a perceptron to tell two spirals apart, on a GPU: `cargo run --release -p yuragi-cuda --example spirals`.
//! With `Cpu::new()` in place of `Cuda::new()?` it runs on the processor.

use std::error::Error;

use yuragi_cuda::Cuda;
use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
use yuragi_nn::{
    Scope, mlp,
    optim::{Group, Optimizer},
};
use yuragi_numeric::fill;

const BATCH: usize = 256;
const STEPS: u64 = 400;

/// Points of two interleaved spirals with a little noise, and which of them each belongs to.
fn spirals(step: u64) -> (Vec<f32>, Vec<f32>) {
    let (mut turns, mut noise) = (vec![0.0; BATCH], vec![0.0; 2 * BATCH]);
    fill::uniform([1, step as u32], 0, 0, &mut turns);
    fill::normal([1, step as u32], 1, 0, &mut noise);
    let side: Vec<f32> = (0..BATCH).map(|i| (i % 2) as f32).collect();
    let point = |i: usize| {
        let (r, angle) = (0.1 + turns[i], turns[i] * 9.0 + side[i] * std::f32::consts::PI);
        [r * angle.cos() + 0.01 * noise[2 * i], r * angle.sin() + 0.01 * noise[2 * i + 1]]
    };
    ((0..BATCH).flat_map(point).collect(), side)
}

fn main() -> Result<(), Box<dyn Error>> {
    let b = Builder::new();
    let x = b.input("x", &[BATCH, 2], DType::F32);
    let y = b.input("y", &[BATCH, 1], DType::F32);
    let p = mlp(&Scope::new(&b), x * 4.0, &[64, 64, 1], |h| h.silu()).sigmoid();
    let loss = -(y * p + (1.0 - y) * (1.0 - p)).ln().mean_all();
    let hyper = Optimizer::input(&b);
    let optimizer = Optimizer::default();
    optimizer.minimize(loss, hyper, |spec| Some(Group::standard(spec)));
    let graph = b.finish(&[("loss", loss)])?;

    let device = Cuda::new()?;
    let plan = device.compile(&graph)?;
    println!("{:?}", plan.memory());
    let mut params = Params::new();
    params.initialise(graph.params(), 7);
    let mut store = device.upload(params)?;
    let mut state = plan.state(&store)?;
    let mut loss = [0.0];
    for step in 0..STEPS {
        let (x, y) = spirals(step);
        let hyper = optimizer.hyper(step, 0.01, 0.99);
        let inputs = [Slice::F32(&x), Slice::F32(&y), Slice::F32(&hyper)];
        plan.update(&mut state, &mut store, &inputs, &mut [SliceMut::F32(&mut loss)])?;
        if (step + 1) % 50 == 0 {
            println!("step {:3}  loss {:.4}", step + 1, loss[0]);
        }
    }
    Ok(())
}
