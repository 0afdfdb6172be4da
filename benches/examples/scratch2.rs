//! scratch
use std::time::Instant;
use yuragi_cpu::Cpu;
use yuragi_graph::*;
use yuragi_graph::op::*;
fn main() {
    let n = 1 << 18;
    let cpu = Cpu::with_threads(1);
    let mut xs = vec![0.1f32; n];
    yuragi_numeric::fill::uniform([1, 2], 0, 0, &mut xs);
    for tiny in [1.0f32, 1e-30] {
    for op in Unary::ALL.iter().map(|u| Err(*u)).chain(Binary::ALL.iter().map(|b| Ok(*b))) {
        let b = Builder::new();
        let x = b.input("x", &[n], DType::F32);
        let z = b.input("z", &[n], DType::F32);
        let y = match op { Ok(o) => x.binary(o, z), Err(o) => x.unary(o) };
        let graph = b.finish(&[("y", y.max(&[0]))]).unwrap();
        let plan = cpu.compile(&graph).unwrap();
        let store = cpu.upload(Params::new()).unwrap();
        let mut state = plan.state(&store).unwrap();
        let a: Vec<f32> = xs.iter().map(|x| x * tiny).collect();
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            plan.begin(&mut state, &[Slice::F32(&a), Slice::F32(&a)][..graph.inputs().len()]).unwrap();
            let t = Instant::now();
            plan.advance(&mut state, &store, usize::MAX).unwrap();
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!("{tiny:e} {:10} {:.3} ns", match op { Ok(o) => o.name(), Err(o) => o.name() }, best * 1e9 / n as f64);
    }}
}
