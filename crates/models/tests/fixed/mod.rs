//! Runs graphs on the processor, with weights that a test gives.
#![allow(dead_code, reason = "each test program uses a part")]

use yuragi_cpu::Cpu;
use yuragi_graph::{Backend, Graph, HostTensor, Params, Plan, Shape, Slice, SliceMut};
use yuragi_models::vae::OPTIMIZER;

/// Named tensors.
pub fn weights(tensors: &[(&str, &[usize], &[f64])]) -> Params {
    let mut params = Params::new();
    for (name, shape, values) in tensors {
        let values = values.iter().map(|&value| value as f32).collect();
        params.insert(name, HostTensor::new(Shape::new(shape).unwrap(), values).unwrap());
    }
    params
}

/// All outputs of a run.
pub fn run(graph: &Graph, params: &Params, inputs: &[&[f32]], key: Option<[u32; 2]>) -> Vec<Vec<f32>> {
    let cpu = Cpu::with_threads(1);
    let plan = cpu.compile(graph).unwrap();
    let store = cpu.upload(params.clone()).unwrap();
    let mut outputs: Vec<Vec<f32>> =
        graph.outputs().iter().map(|o| vec![0.0; graph.node(o.node).shape.count()]).collect();
    let mut inputs: Vec<Slice<'_>> = inputs.iter().map(|values| Slice::F32(values)).collect();
    if let Some(key) = &key {
        inputs.push(Slice::U32(key));
    }
    let mut views: Vec<SliceMut<'_>> = outputs.iter_mut().map(|o| SliceMut::F32(o)).collect();
    plan.run(&mut plan.state(&store).unwrap(), &store, &inputs, &mut views).unwrap();
    outputs
}

/// Trains with inputs x, key and hyper, from weights drawn where none are given, and leaves them in `params`; gives the
/// first output of every step. The rate falls to 0 along half a cosine.
pub fn train(graph: &Graph, params: &mut Params, steps: u32, rate: f32, x: impl Fn(u32) -> Vec<f32>) -> Vec<f32> {
    let cpu = Cpu::with_threads(1);
    params.initialise(graph.params(), 1);
    let plan = cpu.compile(graph).unwrap();
    let mut store = cpu.upload(std::mem::take(params)).unwrap();
    let mut state = plan.state(&store).unwrap();
    let mut losses = Vec::new();
    let mut values: Vec<[f32; 1]> = vec![[0.0]; graph.outputs().len()];
    for step in 0..steps {
        let rate = rate * yuragi_nn::rate::cosine_tail(step.into(), steps.into(), 1.0);
        let (x, hyper) = (x(step), OPTIMIZER.hyper(step.into(), rate, 0.99));
        let inputs = [Slice::F32(&x), Slice::U32(&[step, 77]), Slice::F32(&hyper)];
        let mut views: Vec<SliceMut<'_>> = values.iter_mut().map(|o| SliceMut::F32(o)).collect();
        plan.update(&mut state, &mut store, &inputs, &mut views).unwrap();
        losses.push(values[0][0]);
    }
    *params = cpu.download(&store).unwrap();
    losses
}

/// The mean of numbers and its standard error.
pub fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / (n * (n - 1.0))).sqrt())
}
