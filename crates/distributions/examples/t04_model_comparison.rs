//! T04: the log-likelihood (1/n) Σ ln q(xᵢ) scores models; AIC and BIC charge for their parameters.

use yuragi_distributions::score::{aic, bic, log_likelihood};
use yuragi_distributions::{Data, Distribution, Error, Fit, Gaussian, Histogram, Laplace};
use yuragi_numeric::philox::Philox;

fn print<D: Distribution>(name: &str, q: &D, data: &Data<'_>) {
    println!(
        "{name:9}: log-likelihood {:.4}, {:2} parameters, AIC {:.1}, BIC {:.1}",
        log_likelihood(q, data),
        q.parameters(),
        aic(q, data),
        bic(q, data)
    );
}

fn main() -> Result<(), Error> {
    let points = Laplace::new(0.0, 1.0)?.sample(&mut Philox::new([4, 0], 0), 1000);
    let data = Data::scalars(&points)?;
    print("Gaussian", &Gaussian::fit(&data)?, &data);
    print("Laplace", &Laplace::fit(&data)?, &data); // the true family
    print("histogram", &Histogram::scott(&data)?, &data);
    Ok(())
}
