//! T19: ⟨e^−W⟩ = Z_T/Z_0 at any speed, while ⟨W⟩ ≥ ΔF.

use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::exact::finite_square_log_z;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{jarzynski, quiet};
use yuragi_energy::{Bonds, Error, Problem, Schedule};

fn main() -> Result<(), Error> {
    let square = Problem::lattice(&[6, 6], Bonds::Uniform(1.0), &[])?;
    let log_z0 = 36.0 * 2f64.ln();
    println!("ln Z(0.4) = {:.3} exactly", finite_square_log_z(6, 6, 0.4)?);
    for steps in [10, 30, 100, 300] {
        let run =
            jarzynski(&mut *batch(&square, Metropolis, 2000, 1)?, &Schedule::linear(0.0, 0.4, steps)?, &mut quiet)?;
        let (ratio, work) = (run.log_ratio(), run.mean_work());
        let dissipated = work.value + ratio.value;
        println!("{steps:4} steps: {:.3} ± {:.3}, dissipated work {dissipated:.3}", log_z0 + ratio.value, ratio.error);
    }
    Ok(())
}
