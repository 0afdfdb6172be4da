//! T13: p(t+1) = W p(t) carries any distribution to exp(−βE)/Z.

use yuragi_energy::dynamics::{Metropolis, SingleSite};
use yuragi_energy::master::TransitionMatrix;
use yuragi_energy::{Bonds, Error, Problem};

fn main() -> Result<(), Error> {
    let ring = Problem::lattice(&[4], Bonds::Uniform(1.0), &[0.2; 4])?;
    for (name, sweep) in [
        ("in order", TransitionMatrix::new(&Metropolis, &ring, 0.5)?),
        ("at random", TransitionMatrix::new(&SingleSite::random(Metropolis), &ring, 0.5)?),
    ] {
        println!("sites {name}: balance is missed by {:.1e}", sweep.balance_error());
        println!("  detailed balance by {:.1e}", sweep.detailed_balance_error());
        let mut p = vec![0.0; sweep.size()];
        p[0] = 1.0;
        for t in 0..4 {
            let distance: f64 = p.iter().zip(sweep.stationary()).map(|(p, q)| 0.5 * (p - q).abs()).sum();
            println!("  t = {t}: total variation {distance:.5}");
            p = sweep.advance(&p)?;
        }
    }
    Ok(())
}
