//! T21: K(θ) = Σ_{i∈D} Σ_{j∉D} exp(½(E_i − E_j)) recovers couplings without any sampling.

use yuragi_energy::boltzmann::{BoltzmannMachine, Data, Flow};
use yuragi_energy::dynamics::HeatBath;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{anneal, quiet};
use yuragi_energy::{Bonds, Error, Problem, Schedule};

fn main() -> Result<(), Error> {
    // Data from a ring of 40 spins with J = ½.
    let ring = Problem::lattice(&[40], Bonds::Uniform(0.5), &[])?;
    let samples = anneal(&mut *batch(&ring, HeatBath, 5000, 1)?, &Schedule::linear(1.0, 1.0, 200)?, &mut quiet)?;
    let rows: Vec<u8> = samples.iter().flat_map(|sample| sample.values.to_vec()).collect();
    let data = Data::new(40, &rows)?;

    let mut machine = BoltzmannMachine::full(40)?;
    let minimum = machine.minimize(|machine| data.probability_flow(machine, Flow::Outward), 200, 1e-6)?;

    let (mut near, mut far): (Vec<f64>, Vec<f64>) = Default::default();
    for (&(k, l), &weight) in machine.pairs().iter().zip(&minimum.at) {
        if l - k == 1 || l - k == 39 { near.push(weight) } else { far.push(weight.abs()) }
    }
    println!("J of neighbours: mean {:.3}", near.iter().sum::<f64>() / near.len() as f64);
    println!("|J| of others: mean {:.3}", far.iter().sum::<f64>() / far.len() as f64);
    Ok(())
}
