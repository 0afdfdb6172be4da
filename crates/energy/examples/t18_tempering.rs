//! T18: simulated tempering with g_{k+1} = g_k + ½(⟨E⟩_{k+1} + ⟨E⟩_k)(β_{k+1} − β_k), and replica exchange.

use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::exact::finite_square_energy;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{exchange, quiet, temper, tempering_weights};
use yuragi_energy::{Bonds, Error, Problem, Reads};

fn main() -> Result<(), Error> {
    let square = Problem::lattice(&[6, 6], Bonds::Uniform(1.0), &[])?;
    let betas: Vec<f64> = (0..8).map(|k| 0.2 + 0.05 * f64::from(k)).collect();
    let weights = tempering_weights(&mut *batch(&square, Metropolis, 64, 1)?, &betas, 400)?;
    let walk = temper(&mut *batch(&square, Metropolis, 64, 2)?, (&betas, &weights), (2000, 200), &mut quiet)?;
    let ladders = Reads::from(16).times(betas.len())?;
    let swap = exchange(&mut *batch(&square, Metropolis, ladders, 1)?, &betas, (2000, 200), &mut quiet)?;
    println!("beta   visits   <E> tempering  exchange   exact");
    for (k, &beta) in betas.iter().enumerate() {
        let exact = finite_square_energy(6, 6, beta)?;
        let (walk_energy, swap_energy) = (walk.energies[k], swap.energies[k]);
        println!("{beta:.2} {:8} {walk_energy:13.2} {swap_energy:10.2} {exact:8.2}", walk.occupancy[k]);
    }
    Ok(())
}
