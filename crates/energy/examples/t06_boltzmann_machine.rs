//! T06: a Boltzmann machine learns by data moments − model moments; D(P₀‖q) falls.

use yuragi_energy::Error;
use yuragi_energy::boltzmann::{BoltzmannMachine, Data};

fn main() -> Result<(), Error> {
    // Three spins: the first two always agree, the third is mostly up.
    let data = Data::new(3, &[1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0])?;
    let mut machine = BoltzmannMachine::full(3)?;
    for step in 0..=200 {
        if step % 50 == 0 {
            println!("step {step}: D(P0||q) = {:.5}", machine.divergence(&data)?);
        }
        let (_, gradient) = machine.log_likelihood(&data)?; // ⟨·⟩_data − ⟨·⟩_model
        machine.ascend(&gradient, 0.5)?;
    }
    println!("J and h: {:.2?}", machine.parameters());
    Ok(())
}
