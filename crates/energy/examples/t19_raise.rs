//! T19: the mean log-probability of draws of a machine, enclosed by reverse AIS (RAISE) from below and AIS from above.

use yuragi_energy::Error;
use yuragi_energy::draw::Draws;
use yuragi_energy::rbm::partition::{annealed_log_z, exact_log_z};
use yuragi_energy::rbm::{Rbm, Units, raise::raise};
use yuragi_energy::sampler::quiet;
use yuragi_energy::statistics::mean;

fn main() -> Result<(), Error> {
    let mut rbm = Rbm::new(12, 10, Units::Binary, Units::Binary)?;
    rbm.randomize(0.8, 1);
    let v = rbm.gibbs(&[0.0; 500 * 12], 200, Draws::new(2), 0)?;
    let (base, free_energy) = ([0.0; 12], mean(&rbm.free_energies(&v)?).value);
    for steps in [3, 10, 30, 100, 300] {
        // ⟨ln w⟩ ≤ ⟨ln q_ann(v)⟩ ≤ ⟨ln q(v)⟩ ≤ −⟨F(v)⟩ − ⟨ln Z of AIS⟩
        let below: Vec<f64> = raise(&rbm, &base, &v, (steps, 1), 3, &mut quiet)?.iter().map(|w| w.value).collect();
        let above = -free_energy - annealed_log_z(&rbm, &base, (steps, 20), 4, &mut quiet)?.value;
        println!("{steps:4} steps: {:.4} and {above:.4} nats", mean(&below).value);
    }
    println!("     exactly: {:.4}", -free_energy - exact_log_z(&rbm)?);
    Ok(())
}
