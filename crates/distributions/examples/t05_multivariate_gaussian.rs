//! T05: ln det Σ by Cholesky's factor and by eigenvalues; μ and Σ by maximum likelihood from samples.

use yuragi_distributions::{Data, Distribution, Error, Fit, Information, MultivariateGaussian};
use yuragi_numeric::philox::Philox;

fn main() -> Result<(), Error> {
    let truth = MultivariateGaussian::new(&[1.0, -2.0], &[2.0, 1.2, 1.2, 1.0])?;
    let axes = truth.principal_axes()?;
    println!(
        "ln det: {:.12} by Cholesky, {:.12} by eigenvalues {:.4?}",
        truth.log_det(),
        axes.log_det(),
        axes.variances
    );
    for n in [100, 10_000] {
        let points = truth.sample(&mut Philox::new([5, 0], 0), n);
        let q = MultivariateGaussian::fit(&Data::new(&points, 2)?)?;
        println!(
            "n = {n}: mean {:.3?}, covariance {:.3?}, D(truth||q) = {:.6}",
            q.mean(),
            q.covariance(),
            truth.kl(&q)
        );
    }
    Ok(())
}
