//! Results do not depend on the number of threads, nor on whose they are, to the last bit.

use std::{sync::Arc, thread};

use yuragi_cpu::{Cpu, Executor};
use yuragi_graph::{Backend, Params, Plan, Slice, SliceMut};
use yuragi_models::{Settings, latent_diffusion};
use yuragi_numeric::fill;

/// The weights after some steps of both stages' training, as bits.
fn trained(cpu: &Cpu) -> Vec<(String, Vec<u32>)> {
    let (settings, batch) = (Settings::default(), 2);
    let autoencoder = latent_diffusion::autoencoder_training(&settings, batch).unwrap();
    let diffusion = latent_diffusion::diffusion_training(&settings, batch).unwrap();
    let mut params = Params::new();
    params.initialise(autoencoder.params(), 5);
    params.initialise(diffusion.params(), 5);
    let mut store = cpu.upload(params).unwrap();
    let normal = |count: usize, stream: u32| {
        let mut values = vec![0.0; count];
        fill::normal([1, 2], stream, 0, &mut values);
        values
    };
    let pictures = normal(batch * settings.picture_len(), 1);
    let latents = normal(batch * settings.latent_len(), 2);
    let ids: Vec<i32> = (0..batch * settings.text.length).map(|i| i as i32 % 50).collect();

    let plan = cpu.compile(&autoencoder).unwrap();
    let mut state = plan.state(&store).unwrap();
    for step in 0..2u32 {
        let hyper = latent_diffusion::OPTIMIZER.hyper(step.into(), 1e-3, 0.99);
        let mut outputs = [[0.0f32; 1]; 6];
        let mut views = outputs.each_mut().map(|o| SliceMut::F32(o));
        let inputs = [Slice::F32(&pictures), Slice::U32(&[step, 0]), Slice::F32(&hyper)];
        plan.update(&mut state, &mut store, &inputs, &mut views).unwrap();
    }
    let plan = cpu.compile(&diffusion).unwrap();
    let mut state = plan.state(&store).unwrap();
    for step in 0..2u32 {
        let hyper = latent_diffusion::OPTIMIZER.hyper(step.into(), 1e-3, 0.99);
        let mut outputs = [[0.0f32; 1]; 4];
        let mut views = outputs.each_mut().map(|o| SliceMut::F32(o));
        let inputs = [Slice::F32(&latents), Slice::I32(&ids), Slice::U32(&[step, 0]), Slice::F32(&hyper)];
        plan.update(&mut state, &mut store, &inputs, &mut views).unwrap();
    }
    let params = cpu.download(&store).unwrap();
    params.iter().map(|(name, t)| (name.to_owned(), t.to_f32().into_iter().map(f32::to_bits).collect())).collect()
}

#[test]
fn training_gives_the_same_bits_on_any_number_of_threads() {
    let one = trained(&Cpu::with_threads(1));
    let others = [Cpu::with_threads(2), Cpu::with_threads(5), Cpu::on(Arc::new(Strangers))];
    for cpu in others {
        for ((name, a), (_, b)) in one.iter().zip(trained(&cpu)) {
            assert!(*a == b, "{name} differs between 1 thread and {cpu:?}");
        }
    }
}

/// A pool that lets the caller do nothing, begins with the last call, and makes one call of two after all others.
struct Strangers;

impl Executor for Strangers {
    fn threads(&self) -> usize {
        3
    }

    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        for odd in [1, 0] {
            thread::scope(|scope| {
                (0..calls).rev().filter(|call| call % 2 == odd).for_each(|call| _ = scope.spawn(move || work(call)));
            });
        }
    }
}
