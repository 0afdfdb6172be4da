//! T09: ln q(x) = Σ r ln(q(x,z)/r) + D(r‖q(z|x)) for any r; EM closes the gap and raises the bound in turn.

use core::ops::ControlFlow::Continue;

use yuragi_distributions::{Data, Error, Mixture, Poisson, em};

fn main() -> Result<(), Error> {
    let counts = [0.0, 1.0, 2.0, 1.0, 0.0, 9.0, 12.0, 8.0, 11.0];
    let mut model = Mixture::new(&[0.5, 0.5], vec![Poisson::new(3.0)?, Poisson::new(5.0)?])?;

    let log_joint = model.log_joint(4.0);
    let mut best = [0.0; 2];
    let evidence = em::posterior(&log_joint, &mut best)?;
    for r in [[0.5, 0.5], [0.9, 0.1], best] {
        let (bound, gap) = (em::bound(&log_joint, &r)?, em::gap(&log_joint, &r)?);
        println!("r = {r:.3?}: {bound:.6} + {gap:.6} = {:.6}; ln q(x) = {evidence:.6}", bound + gap);
    }

    em::ascend(&mut model, &Data::scalars(&counts)?, &em::Limits::default(), |progress| {
        println!("step {}: bound {:.6}", progress.iteration, progress.bound);
        Continue(())
    })?;
    println!("weights {:.3?}, rates {:.3?}", model.weights(), [0, 1].map(|k| model.components()[k].rate()));
    Ok(())
}
