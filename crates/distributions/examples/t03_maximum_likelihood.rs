//! T03: the Gaussian with μ = (1/n) Σ x and σ² = (1/n) Σ (x−μ)² is the nearest to the data: any other has a
//! larger D(P₀‖q).

use yuragi_distributions::{Data, Distribution, Empirical, Error, Fit, Gaussian};
use yuragi_numeric::philox::Philox;

fn main() -> Result<(), Error> {
    let points = Gaussian::new(170.0, 6.0)?.sample(&mut Philox::new([3, 0], 0), 50);
    let data = Data::scalars(&points)?;
    let (p0, best) = (Empirical::new(&data)?, Gaussian::fit(&data)?);
    println!("mean {:.3}, variance {:.3}, Z = {:.3}", best.mean(), best.variance(), best.partition_function());
    for shift in [-1.0, 0.0, 1.0] {
        let row = [0.9, 1.0, 1.1].map(|factor| {
            let q = Gaussian::new(best.mean() + shift, best.deviation() * factor);
            q.map(|q| p0.kl(&q) - p0.kl(&best)).unwrap_or(f64::NAN)
        });
        println!("mean {shift:+}, deviation times 0.9, 1, 1.1: D - least D = {row:.5?}");
    }
    Ok(())
}
