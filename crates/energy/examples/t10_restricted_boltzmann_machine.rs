//! T10: free energy and partition function of a restricted Boltzmann machine, from both of its sides.

use yuragi_energy::Error;
use yuragi_energy::rbm::{Rbm, Units, partition};

fn main() -> Result<(), Error> {
    let mut rbm = Rbm::new(12, 8, Units::Spin, Units::Spin)?;
    rbm.randomize(0.5, 1);
    let v = [1.0; 12];
    let log_z = partition::log_z_over_hidden(&rbm)?;
    println!("ln Z = {log_z:.9} over hidden, {:.9} over visible states", partition::log_z_over_visible(&rbm)?);
    println!("ln q(v) = -F(v) - ln Z = {:.6}", -rbm.free_energies(&v)?[0] - log_z);
    println!("<h | v> = {:.3?}", rbm.hidden_means(&v)?);
    Ok(())
}
