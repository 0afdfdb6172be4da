//! T02: how far q is from p: D(p‖q) ≥ 0 is not symmetric. In closed form, by quadrature and from samples.

use yuragi_distributions::divergence::Divergence;
use yuragi_distributions::{Error, Gaussian, Information};
use yuragi_numeric::philox::Philox;

fn main() -> Result<(), Error> {
    let (p, q) = (Gaussian::new(0.0, 1.0)?, Gaussian::new(1.0, 2.0)?);
    println!("D(p||q) = {:.6}, D(q||p) = {:.6}", p.kl(&q), q.kl(&p));
    for divergence in Divergence::ALL {
        let integral = divergence.by_quadrature(&p, &q);
        let sampled = divergence.by_sampling(&p, &q, 100_000, &mut Philox::new([2, 0], 0))?;
        println!("{divergence:?}: {integral:.6}, from samples {:.4} ± {:.4}", sampled.value, sampled.standard_error);
    }
    Ok(())
}
