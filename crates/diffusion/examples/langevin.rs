//! Langevin dynamics, and the reverse of a process that destroys data (T29).
//!
//! cargo run --release -p yuragi-diffusion --example langevin

use yuragi_diffusion::sde::langevin;
use yuragi_diffusion::{Error, Noise, Sde};

const N: usize = 20_000;

/// ∇ ln p of an even mixture of N(−2, ½²) and N(2, ½²), spread by the process.
fn score(x: f64, alpha: f64, sigma: f64) -> f64 {
    let variance = alpha * alpha * 0.25 + sigma * sigma;
    let side = (2.0 * alpha * 2.0 * x / variance / 2.0).tanh();
    (side * 2.0 * alpha - x) / variance
}

fn report(what: &str, x: &[f32]) {
    let right = x.iter().filter(|x| **x > 0.0).count() as f64 / N as f64;
    let inside: Vec<f64> = x.iter().map(|x| f64::from(x.abs())).collect();
    let mean = inside.iter().sum::<f64>() / N as f64;
    let deviation = (inside.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / N as f64).sqrt();
    println!("{what}: {right:.2} on the right, modes at {mean:.2} with deviation {deviation:.2}");
}

fn main() -> Result<(), Error> {
    // x ← x + h·∇ln p(x) + √(2h)·n, begun on the left: it stays there, for the modes lie too far apart.
    let mut x = vec![-2.0; N];
    for step in 0..500 {
        let s: Vec<f32> = x.iter().map(|x| score(f64::from(*x), 1.0, 0.0) as f32).collect();
        langevin(&mut x, &s, 0.01, step, &mut [1, 0])?;
    }
    report("Langevin dynamics", &x);

    // dx = [f·x − g²·∇ln q_t(x)] dt + g dw, backwards from noise: it finds both.
    let process = Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    let (steps, dt) = (1000, 1e-3);
    [2, 0].fill(0, 0, &mut x);
    for i in 0..steps {
        let t = 1.0 - i as f64 * dt;
        let point = process.point(t);
        let mut n = vec![0.0; N];
        [2, 0].fill(i + 1, 0, &mut n);
        for (x, n) in x.iter_mut().zip(n) {
            let old = f64::from(*x);
            let drift = process.reverse_drift(t, old, score(old, point.alpha, point.sigma), 1.0);
            *x = (old - drift * dt + (process.diffusion(t) * dt).sqrt() * f64::from(n)) as f32;
        }
    }
    report("the reverse process", &x);
    Ok(())
}
