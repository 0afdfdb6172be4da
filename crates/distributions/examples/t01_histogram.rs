//! T01: the histogram of n points nears the density; half the L1 distance falls like n^(−1/3).

use yuragi_distributions::divergence::Divergence::TotalVariation;
use yuragi_distributions::{Data, Distribution, Error, Gaussian, Histogram};
use yuragi_numeric::philox::Philox;

fn main() -> Result<(), Error> {
    let law = Gaussian::new(0.0, 1.0)?;
    for n in [100, 800, 6400, 51_200] {
        let points = law.sample(&mut Philox::new([1, 0], n as u32), n);
        let histogram = Histogram::scott(&Data::scalars(&points)?)?; // bin width ∝ n^(−1/3)
        let distance = TotalVariation.by_quadrature(&histogram, &law);
        println!(
            "n = {n:5}: {:3} bins, distance {distance:.4}, times n^(1/3) {:.2}",
            histogram.counts().len(),
            distance * (n as f64).cbrt()
        );
    }
    Ok(())
}
