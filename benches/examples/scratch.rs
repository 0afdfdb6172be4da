//! scratch
use std::time::Instant;
use yuragi_cpu::Cpu;
use yuragi_graph::*;
use yuragi_graph::op::Distribution;
use yuragi_models::autoencoder::Autoencoder;
use yuragi_models::unet::UNet;
use yuragi_models::text_encoder::TextEncoder;
use yuragi_nn::{Scope, optim::*};
fn main() {
    let which = std::env::args().nth(1).unwrap_or("ae".into());
    let n: usize = std::env::args().nth(2).map_or(16, |s| s.parse().unwrap());
    let b = Builder::new();
    let hyper = Optimizer::input(&b);
    let key = b.input("key", &[2], DType::U32);
    let s = Scope::new(&b);
    let loss = if which == "ae" {
        let x = b.input("x", &[n, 64, 64, 3], DType::F32);
        let ae = Autoencoder { latent: 4, channels: [32, 64], blocks: [1, 2] };
        let p = ae.encode(&s.enter("enc"), x);
        let z = p.sample(b.random(Distribution::Normal, key, 1, &p.mean.shape()));
        let y = ae.decode(&s.enter("dec"), z);
        let d = y - x;
        d.abs().mean_all() + (d * d).mean_all() * 2.0 + p.kl() * 2e-4
    } else {
        let x = b.input("x", &[n, 16, 16, 4], DType::F32);
        let ids = b.input("ids", &[n, 24], DType::I32);
        let text = TextEncoder { vocabulary: 3072, length: 24, width: 160, layers: 1, heads: 4 }.encode(&s.enter("text"), ids);
        let t = b.random(Distribution::Uniform, key, 2, &[n]);
        let noise = b.random(Distribution::Normal, key, 3, &[n, 16, 16, 4]);
        let t4 = t.reshape(&[n, 1, 1, 1]);
        let xt = x * (1.0 - t4) + noise * t4;
        let y = UNet { latent: 4, channels: [48, 96, 176], condition: 256, heads: 4 }.denoise(&s.enter("unet"), xt, t, text);
        let d = y - x;
        (d * d).mean_all()
    };
    let opt = Optimizer { clip: 1.0, average: true, weight_decay: 0.01, ..Optimizer::default() };
    let norm = opt.minimize(loss, hyper, |s| Some(Group::standard(s)));
    let graph = b.finish(&[("loss", loss), ("norm", norm)]).unwrap();
    let mut params = Params::new();
    params.initialise(graph.params(), 1);
    let count: usize = graph.params().iter().filter(|p| !is_state(&p.name)).map(|p| p.shape.count()).sum();
    let cpu = Cpu::new();
    let t0 = Instant::now();
    let plan = cpu.compile(&graph).unwrap();
    println!("params {count}, compile {:?}, {:?} nodes {}", t0.elapsed(), plan, plan.graph().nodes().len());
    let mut store = cpu.upload(params).unwrap();
    let mut state = plan.state(&store).unwrap();
    let names: Vec<_> = plan.launch_names().collect();
    let mut times = vec![f64::INFINITY; names.len()];
    let mut best = f64::INFINITY;
    let mut x = vec![0.1f32; n * if which == "ae" { 64 * 64 * 3 } else { 16 * 16 * 4 }];
    yuragi_numeric::fill::normal([1, 2], 0, 0, &mut x);
    let ids = vec![5i32; n * 24];
    for it in 0..12u32 {
        let (mut l, mut g) = ([0.0], [0.0]);
        let h = opt.hyper(it.into(), 1e-3, 0.99);
        let k = [it, 0];
        let mut inputs = vec![Slice::F32(&h), Slice::U32(&k), Slice::F32(&x)];
        if which != "ae" { inputs.push(Slice::I32(&ids)); }
        let start = Instant::now();
        let mut t = Instant::now();
        plan.update_observed(&mut state, &mut store, &inputs, &mut [SliceMut::F32(&mut l), SliceMut::F32(&mut g)], |i| {
            times[i] = times[i].min(t.elapsed().as_secs_f64() * 1e3);
            t = Instant::now();
        }).unwrap();
        best = best.min(start.elapsed().as_secs_f64());
        if it % 4 == 0 { println!("{l:?} {g:?}"); }
    }
    println!("best {:.1} ms, {:.0} pictures/s; sum of mins {:.1}", best * 1e3, n as f64 / best, times.iter().sum::<f64>());
    let mut by: std::collections::BTreeMap<&str, (f64, usize)> = Default::default();
    for (n, t) in names.iter().zip(&times) { let e = by.entry(n).or_default(); e.0 += t; e.1 += 1; }
    for (n, (t, c)) in by { println!("{n:24} {c:5} {t:8.2} ms"); }
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| times[*b].total_cmp(&times[*a]));
    for i in order.into_iter().take(25) { println!("{i:5} {:20} {:.3}", names[i], times[i]); }
}
