//! T14: Metropolis sampling of the square lattice, against Kaufman's exact energy.

use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::exact::finite_square_energy;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{anneal, quiet};
use yuragi_energy::statistics::mean;
use yuragi_energy::{Bonds, Error, Problem, Schedule};

fn main() -> Result<(), Error> {
    let square = Problem::lattice(&[16, 16], Bonds::Uniform(1.0), &[])?;
    for beta in [0.2, 0.3, 0.35] {
        let samples =
            anneal(&mut *batch(&square, Metropolis, 1000, 1)?, &Schedule::linear(beta, beta, 300)?, &mut quiet)?;
        let energy = mean(samples.energies());
        let exact = finite_square_energy(16, 16, beta)?;
        println!("beta {beta}: <E> = {:.2} ± {:.2}, exactly {exact:.2}", energy.value, energy.error);
    }
    Ok(())
}
