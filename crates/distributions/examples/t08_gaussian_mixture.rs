//! T08: a Gaussian mixture learned by EM: its log-likelihood never falls, and BIC finds how many components
//! there are. A tenth of the values is missing.

use yuragi_distributions::random::uniform;
use yuragi_distributions::{Data, Distribution, Error, GaussianMixture, Options};
use yuragi_numeric::philox::Philox;

fn main() -> Result<(), Error> {
    let mut rng = Philox::new([8, 0], 0);
    let round = [1.0, 0.0, 0.0, 1.0];
    let covariances = [round, [1.0, 0.8, 0.8, 1.0], round].concat();
    let truth =
        GaussianMixture::new(&[0.5, 0.3, 0.2], &[0.0, 0.0, 6.0, 0.0, 0.0, 6.0], &covariances, Default::default())?;
    let mut points = truth.sample(&mut rng, 2000);
    points.iter_mut().filter(|_| uniform(&mut rng) < 0.1).for_each(|x| *x = f64::NAN);

    let data = Data::with_missing(&points, 2)?;
    for k in 1..=5 {
        let fitted = GaussianMixture::fit(&data, k, &Options { restarts: 3, ..Options::default() })?;
        let bounds = &fitted.ascent.bounds;
        println!(
            "{k}: {:.4} to {:.4} in {}, BIC {:.0}",
            bounds[0],
            fitted.ascent.bound(),
            bounds.len() - 1,
            fitted.mixture.bic(&data)?
        );
        if k == 3 {
            println!("   weights {:.3?}, means {:.2?}", fitted.mixture.weights(), fitted.mixture.means());
        }
    }
    Ok(())
}
