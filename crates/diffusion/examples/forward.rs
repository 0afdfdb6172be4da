//! The forward process, its posterior and the bound, formula by formula (T26).
//!
//! Two formulas of the lecture are misprinted, and right here: the variance of
//! q(z_t | x) is 1 − ᾱ_t, not 1 − √ᾱ_t, and the posterior's mean holds z_t.
//!
//! cargo run --release -p yuragi-diffusion --example forward

use yuragi_diffusion::forward::{Bound, Posterior, gaussian_reconstruction_term, path_term, perturb, prior_term};
use yuragi_diffusion::{Discrete, Error, Noise};

/// Data of one value, x ~ N(0, v).
const V: f64 = 0.25;
const STEPS: usize = 2000;
const DRAWS: usize = 500;

/// ᾱ with √(1/ᾱ − 1) from 1/100 to 100 in equal ratios, as its β.
fn betas() -> impl Iterator<Item = f64> {
    let alpha_bar = |t: usize| {
        let ratio = 0.01 * 1e4f64.powf(t as f64 / (STEPS - 1) as f64);
        1.0 / (1.0 + ratio * ratio)
    };
    (0..STEPS).map(move |t| 1.0 - alpha_bar(t) / if t == 0 { 1.0 } else { alpha_bar(t - 1) })
}

fn main() -> Result<(), Error> {
    let schedule = Discrete::from_betas(betas())?;
    let point = |t: usize| schedule.point(t).ok_or(Error::Finished);
    let x = [0.4f32];

    // z_t = √α_t·z_{t−1} + √(1−α_t)·ε, and at once z_t = √ᾱ_t·x + √(1−ᾱ_t)·ε.
    let (mut chain, mut mean, mut square) = ([0.0; DRAWS], 0.0, 0.0);
    chain.fill(x[0]);
    for t in 0..STEPS {
        let alpha = 1.0 - schedule.betas()[t];
        let mut epsilon = [0.0; DRAWS];
        [1, 0].fill(t as u32, 0, &mut epsilon);
        for (z, e) in chain.iter_mut().zip(epsilon) {
            *z = alpha.sqrt() as f32 * *z + (1.0 - alpha).sqrt() as f32 * e;
        }
        if t == STEPS / 2 {
            mean = chain.iter().map(|z| f64::from(*z)).sum::<f64>() / DRAWS as f64;
            square = chain.iter().map(|z| (f64::from(*z) - mean).powi(2)).sum::<f64>() / DRAWS as f64;
        }
    }
    let half = point(STEPS / 2)?;
    println!("after half of the steps, {DRAWS} chains have mean {mean:.3} and variance {square:.3};");
    println!("q(z|x) has {:.3} and {:.3}", half.alpha * f64::from(x[0]), half.sigma * half.sigma);

    // μ_q = [√α_t·(1−ᾱ_{t−1})·z_t + √ᾱ_{t−1}·(1−α_t)·x]/(1−ᾱ_t), variance (1−α_t)(1−ᾱ_{t−1})/(1−ᾱ_t).
    let t = STEPS / 2;
    let (alpha, bar, before) = (1.0 - schedule.betas()[t], schedule.alpha_bars()[t], schedule.alpha_bars()[t - 1]);
    let (of_z, of_x) = (alpha.sqrt() * (1.0 - before) / (1.0 - bar), before.sqrt() * (1.0 - alpha) / (1.0 - bar));
    let posterior = Posterior::new(point(t)?, point(t - 1)?)?;
    println!("the posterior's mean is {of_z:.6}·z + {of_x:.6}·x, also {:.6}·z + {:.6}·x", posterior.z, posterior.x);

    // −ln p(x) ≤ reconstruction + prior + Σ ½(SNR_s − SNR_t)·‖x − x̂‖², with the perfect x̂ of normal data.
    let first = point(0)?;
    let mut bound = Bound {
        reconstruction: gaussian_reconstruction_term(first, 1),
        prior: prior_term(point(STEPS - 1)?, &x),
        path: 0.0,
    };
    for t in 1..STEPS {
        let (now, before) = (point(t)?, point(t - 1)?);
        let (mut epsilon, mut z) = ([0.0; DRAWS], [0.0; DRAWS]);
        [2, 0].fill(t as u32, 0, &mut epsilon);
        perturb(now, &[x[0]; DRAWS], &epsilon, &mut z)?;
        let gain = now.alpha * V / (now.alpha * now.alpha * V + now.sigma * now.sigma);
        let estimates = z.map(|z| gain as f32 * z);
        bound.path += path_term(now, before, &[x[0]; DRAWS], &estimates)? / DRAWS as f64;
    }
    let exact = 0.5 * ((2.0 * std::f64::consts::PI * V).ln() + f64::from(x[0]) * f64::from(x[0]) / V);
    println!(
        "reconstruction {:.3} + prior {:.3} + path {:.3} = {:.3}; -ln p(x) is {exact:.3}",
        bound.reconstruction,
        bound.prior,
        bound.path,
        bound.total(),
    );
    Ok(())
}
