//! Learns the weights that the programs `gibbs` and `denoise` have in them, and writes them into `weights`.

use std::error::Error;
use std::fs;
use std::path::Path;

use yuragi_cpu::Cpu;
use yuragi_energy::rbm::train::{Settings, Trainer};
use yuragi_energy::rbm::{Rbm, Units};
use yuragi_firmware::{spiral, stripes};
use yuragi_graph::{Backend, Builder, DType, Params, Plan, Slice, SliceMut};
use yuragi_nn::optim::{AVERAGE, Group, Optimizer};
use yuragi_numeric::fill;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    fs::write(folder.join("stripes.bin"), bars_and_stripes()?)?;
    fs::write(folder.join("spiral.bin"), flow_to_the_spiral()?)?;
    Ok(())
}

/// A machine that has learned bars and stripes, in eighths.
fn bars_and_stripes() -> Result<Vec<u8>, Box<dyn Error>> {
    let states = (0..stripes::STATES).filter(|&state| stripes::is_stripes(state));
    let data: Vec<f32> = states.flat_map(|s| (0..stripes::VISIBLE).map(move |i| (s >> i & 1) as f32)).collect();
    let batch = data.repeat(20);
    let mut rbm = Rbm::new(stripes::VISIBLE, stripes::HIDDEN, Units::Binary, Units::Binary)?;
    rbm.randomize(0.3, 1);
    let settings =
        Settings { rate: 0.05, momentum: 0.5, weight_decay: 3e-3, steps: 5, persistent: true, centred: true };
    let mut trainer = Trainer::new(&rbm, settings, 1)?;
    for step in 0..30_000u32 {
        trainer.set_rate(0.05 * (1.0 - step as f32 / 30_000.0).max(0.05))?;
        trainer.learn(&mut rbm, &batch)?;
    }
    let numbers = rbm.weights.iter().chain(&rbm.visible_bias).chain(&rbm.hidden_bias);
    let bytes: Vec<u8> = numbers.map(|x| (8.0 * x).round().clamp(-128.0, 127.0) as i8 as u8).collect();
    println!("bars and stripes: {} bytes", bytes.len());
    Ok(bytes)
}

/// The weights of [`spiral::flow`], by flow matching: the mean square of what it misses of ε − x₀.
fn flow_to_the_spiral() -> Result<Vec<u8>, Box<dyn Error>> {
    const BATCH: usize = 512;
    const STEPS: u64 = 20_000;
    let b = Builder::new();
    let x = b.input("x", &[BATCH, 2], DType::F32);
    let t = b.input("t", &[BATCH], DType::F32);
    let target = b.input("target", &[BATCH, 2], DType::F32);
    let loss = yuragi_nn::loss::mse(spiral::flow(&b, x, t), target);
    let hyper = Optimizer::input(&b);
    let optimizer = Optimizer { average: true, ..Optimizer::default() };
    optimizer.minimize(loss, hyper, |spec| Some(Group::standard(spec)));
    let graph = b.finish(&[("loss", loss)])?;
    let device = Cpu::new();
    let plan = device.compile(&graph)?;
    let mut params = Params::new();
    params.initialise(graph.params(), 7);
    let mut store = device.upload(params)?;
    let mut state = plan.state(&store)?;
    let (mut s, mut t, mut noise) = (vec![0.0; BATCH], vec![0.0; BATCH], vec![0.0; 2 * BATCH]);
    for step in 0..STEPS {
        let key = [3, step as u32];
        fill::uniform(key, 0, 0, &mut s);
        fill::uniform(key, 1, 0, &mut t);
        fill::normal(key, 2, 0, &mut noise);
        // The same number of points along each part of the curve, whose length grows with s².
        let data: Vec<f32> = s.iter().flat_map(|s| spiral::point(s.sqrt())).collect();
        let mixed = |i: usize| (1.0 - t[i / 2]) * data[i] + t[i / 2] * noise[i];
        let x: Vec<f32> = (0..2 * BATCH).map(mixed).collect();
        let target: Vec<f32> = noise.iter().zip(&data).map(|(noise, data)| noise - data).collect();
        let rate = 3e-3 * (1.0 - step as f32 / STEPS as f32);
        let hyper = optimizer.hyper(step, rate, 0.999);
        let inputs = [Slice::F32(&x), Slice::F32(&t), Slice::F32(&target), Slice::F32(&hyper)];
        let mut loss = [0.0];
        plan.update(&mut state, &mut store, &inputs, &mut [SliceMut::F32(&mut loss)])?;
        if (step + 1).is_multiple_of(2000) {
            println!("spiral: step {}, loss {:.4}", step + 1, loss[0]);
        }
    }
    let learned = device.download(&store)?;
    let sampled = spiral::network(1).ok_or("the network is no graph")?;
    let mut bytes = Vec::new();
    for spec in sampled.params() {
        let average = learned.get(&format!("{AVERAGE}{}", spec.name)).ok_or("a parameter has no average")?;
        bytes.extend(average.to_f32().iter().flat_map(|x| x.to_le_bytes()));
    }
    println!("spiral: {} bytes", bytes.len());
    Ok(bytes)
}
