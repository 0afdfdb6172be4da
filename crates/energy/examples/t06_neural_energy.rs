//! T06: a neural energy learns three spins whose product is 1 nine times in ten: no pair of them is correlated.

use yuragi_energy::{Vartype, neural};
use yuragi_graph::{Builder, Tensor};
use yuragi_nn::optim::{Group, Optimizer};
use yuragi_nn::{Scope, init, mlp};
use yuragi_numeric::fill;
use yuragi_reference::Program;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let b = Builder::new();
    let energy = |x| mlp(&Scope::new(&b).enter("energy"), x, &[8, 1], Tensor::tanh);
    let spins: Vec<f32> = (0..24).map(|i| if (i / 3) >> (i % 3) & 1 == 1 { 1.0 } else { -1.0 }).collect();
    let shares: Vec<f32> = spins.chunks(3).map(|x| (0.5 + 0.4 * x[0] * x[1] * x[2]) / 4.0).collect();
    let (x, p) = (b.literal(&[8, 3], &spins), b.literal(&[8], &shares));
    // K = ⟨Σ_k exp(½(E(x) − E(x with x_k flipped)))⟩
    let flow = (neural::probability_flow(energy, x, Vartype::Spin) * p).sum_all();
    let log_likelihood = -(energy(x).reshape(&[8]) * p).sum_all() - neural::log_z(&b, energy, 3, Vartype::Spin)?;
    let optimizer = Optimizer::default();
    optimizer.minimize(flow, Optimizer::input(&b), |spec| Some(Group::standard(spec)));
    let program = Program::new(&b.finish(&[("flow", flow), ("log-likelihood", log_likelihood)])?);

    let mut params: Vec<Vec<f64>> = Vec::new();
    for (seed, spec) in (0..).zip(program.graph().params()) {
        let mut values = vec![0.0; spec.shape.count()];
        if spec.init != init::ZERO {
            fill::uniform([seed, 1], 0, 0, &mut values);
        }
        params.push(values.iter().map(|&u| if spec.init == init::ZERO { 0.0 } else { f64::from(u) - 0.5 }).collect());
    }
    for step in 0..=600 {
        let hyper = optimizer.hyper(step, 0.02, 0.0).map(f64::from);
        let run = program.run::<f64>(&[hyper.to_vec()], &params)?;
        if step % 200 == 0 {
            println!("step {step}: K = {:.4}, <ln q> = {:.4}", run.outputs[0][0], run.outputs[1][0]);
        }
        for (update, value) in program.graph().updates().iter().zip(run.updates) {
            params[update.param] = value;
        }
    }
    println!("the best possible: {:.4}", shares.iter().map(|p| p * p.ln()).sum::<f32>());
    Ok(())
}
