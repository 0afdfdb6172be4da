//! T21: K(θ) = Σ_{i∈D} Σ_{j∉D} exp(½(E_i − E_j)) recovers couplings without any sampling.

use yuragi_energy::boltzmann::{BoltzmannMachine, Data, Flow};
use yuragi_energy::dynamics::HeatBath;
use yuragi_energy::minimize::minimize;
use yuragi_energy::sampler::{anneal, quiet};
use yuragi_energy::{Bonds, Error, Problem, Schedule};

fn main() -> Result<(), Error> {
    // Data from a ring of 40 spins with J = ½.
    let ring = Problem::lattice(&[40], Bonds::Uniform(0.5), &[])?;
    let samples = anneal(&ring, HeatBath, &Schedule::linear(1.0, 1.0, 200)?, 5000, 1, &mut quiet)?;
    let rows: Vec<u8> = samples.iter().flat_map(|sample| sample.values.to_vec()).collect();
    let data = Data::new(40, &rows)?;

    let mut machine = BoltzmannMachine::full(40)?;
    let start = machine.parameters().to_vec();
    let mut failed = None;
    let flow = |parameters: &[f64], gradient: &mut [f64]| {
        let found = machine.set_parameters(parameters).and_then(|()| data.probability_flow(&machine, Flow::Outward));
        match found {
            Ok((value, slope)) => {
                gradient.copy_from_slice(&slope);
                value
            }
            Err(error) => {
                failed = Some(error);
                f64::NAN
            }
        }
    };
    let minimum = minimize(flow, &start, 200, 1e-6);
    failed.map_or(Ok(()), Err)?;

    let (mut near, mut far): (Vec<f64>, Vec<f64>) = Default::default();
    for (&(k, l), &weight) in machine.pairs().iter().zip(&minimum.at) {
        if l - k == 1 || l - k == 39 { near.push(weight) } else { far.push(weight.abs()) }
    }
    println!("J of neighbours: mean {:.3}", near.iter().sum::<f64>() / near.len() as f64);
    println!("|J| of others: mean {:.3}", far.iter().sum::<f64>() / far.len() as f64);
    Ok(())
}
