//! T17: annealing by temperature and by a transverse field, on a spin glass small enough to enumerate.

use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{QuantumSettings, adaptive_schedule, anneal, quantum_anneal, quiet};
use yuragi_energy::{Bonds, Error, Problem, Schedule, exact};

fn main() -> Result<(), Error> {
    let signs: Vec<f64> =
        (0..40u32).map(|i| if i.wrapping_mul(2_654_435_761) >> 31 == 0 { 1.0 } else { -1.0 }).collect();
    let glass = Problem::lattice(&[4, 5], Bonds::Each(&signs), &[])?;
    println!("ground state: {}", exact::enumerate(&glass)?.ground().1);
    let range = glass.beta_range();
    for (name, schedule) in [
        ("linear", Schedule::linear(range.hot, range.cold, 100)?),
        ("geometric", Schedule::geometric(range.hot, range.cold, 100)?),
        ("adaptive", adaptive_schedule(&glass, Metropolis, (range.hot, range.cold), 100, 1)?),
    ] {
        let best = anneal(&mut *batch(&glass, Metropolis, 100, 1)?, &schedule, &mut quiet)?.aggregated();
        println!("{name}: best {:?}", best.get(0).map(|sample| (sample.energy, sample.count)));
    }
    let settings = QuantumSettings { beta: 5.0, slices: 8, transverse: (3.0, 0.01), sweeps: 100, threads: 1 };
    let best = quantum_anneal(&glass, settings, 20, 1, &mut quiet)?.aggregated();
    println!("quantum: best {:?}", best.get(0).map(|sample| (sample.energy, sample.count)));
    Ok(())
}
