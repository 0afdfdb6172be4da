//! T20: ln Z at every temperature of one run.

use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::exact::finite_square_log_z;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{PopulationSettings, Resampling, population_anneal, quiet};
use yuragi_energy::{Bonds, Error, Problem, Schedule};

fn main() -> Result<(), Error> {
    let square = Problem::lattice(&[8, 8], Bonds::Uniform(1.0), &[])?;
    let schedule = Schedule::linear(0.0, 0.5, 21)?;
    let settings = PopulationSettings { schedule, sweeps: 10, resampling: Resampling::Systematic };
    let run = population_anneal(&mut *batch(&square, Metropolis, 2000, 1)?, &settings, &mut quiet)?;
    println!("beta    ln Z              exact     families  mean square size");
    for step in run.steps.iter().step_by(2) {
        let exact = finite_square_log_z(8, 8, step.beta)?;
        print!("{:.3} {:9.4} ± {:.4} {exact:9.4}", step.beta, step.log_z, step.error);
        println!(" {:9} {:9.2}", step.families, step.family_size);
    }
    Ok(())
}
