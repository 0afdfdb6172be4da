//! T16: balance without detailed balance forgets faster. The 4-state Potts model at its transition.

use yuragi_energy::dynamics::{Dynamics, HeatBath, Metropolis, SuwaTodo};
use yuragi_energy::replicas::{Betas, Reads, Replicas, ScalarReplicas};
use yuragi_energy::statistics::autocorrelation_time;
use yuragi_energy::{Bonds, Error, Problem};

fn tau<D: Dynamics>(problem: &Problem, dynamics: D) -> Result<f64, Error> {
    let mut chain = ScalarReplicas::new(problem, dynamics, Reads { first: 0, count: 1 }, 1)?;
    let (mut series, mut energy) = (Vec::new(), [0.0]);
    for sweep in 0..20_000 {
        chain.sweep(sweep, Betas::Same(3f32.ln()))?; // β = ln(1 + √q)
        chain.energies(&mut energy)?;
        series.push(energy[0]);
    }
    Ok(autocorrelation_time(&series[1000..]).value)
}

fn main() -> Result<(), Error> {
    let potts = Problem::potts_lattice(&[8, 8], 4, Bonds::Uniform(1.0), &[])?;
    println!("autocorrelation time of the energy, in sweeps:");
    println!("  Metropolis {:.1}", tau(&potts, Metropolis)?);
    println!("  heat bath  {:.1}", tau(&potts, HeatBath)?);
    println!("  Suwa-Todo  {:.1}", tau(&potts, SuwaTodo)?);
    Ok(())
}
