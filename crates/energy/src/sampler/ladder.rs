use crate::error::{Error, range};

/// `Ok` for two or more inverse temperatures, strictly ascending, at least 0 and finite in f32.
pub(crate) fn check_ladder(betas: &[f64]) -> Result<(), Error> {
    range("the number of temperatures", betas.len() as f64, betas.len() >= 2, "at least 2")?;
    for (i, &beta) in betas.iter().enumerate() {
        let legal = beta <= f64::from(f32::MAX) && if i == 0 { beta >= 0.0 } else { beta > betas[i - 1] };
        range("beta", beta, legal, "at least 0, finite within f32, and above the one before")?;
    }
    Ok(())
}

/// min{1, exp(x)} as the threshold of a draw.
pub(crate) fn metropolis_threshold(x: f64) -> u64 {
    crate::draw::threshold(yuragi_numeric::elementary::exp(x.min(0.0) as f32))
}
