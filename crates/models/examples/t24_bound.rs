//! The evidence lower bound and the importance-weighted one, written as their formulas, beside ln p(x) where that is
//! known: z ~ N(0, 1), x = w·z + s·ε.
//!
//! ```text
//! ELBO = ⟨ln p(x|z)⟩_q − D(q(z|x)‖p(z)),   D = ½(μ² + σ² − 1 − ln σ²)       (Kingma & Welling 2013)
//! L_k  = ⟨ln (1/k) Σ_i p(x, z_i)/q(z_i|x)⟩,  L₁ = ELBO ≤ L_k ≤ ln p(x)       (Burda et al. 2016)
//! ```
//!
//! D is subtracted: it is what the code of z costs, and with the sign of a gain the maximum would lie at σ → 0.

use std::f64::consts::TAU;

use yuragi_numeric::fill;

const W: f64 = 1.5;
const S: f64 = 0.5;

fn log_normal(x: f64, mean: f64, variance: f64) -> f64 {
    -0.5 * ((x - mean).powi(2) / variance + (TAU * variance).ln())
}

/// Standard normal numbers.
fn normals(stream: u32, count: usize) -> Vec<f64> {
    let mut noise = vec![0.0f32; count];
    fill::normal([1, 1], stream, 0, &mut noise);
    noise.into_iter().map(f64::from).collect()
}

/// ELBO with draws z = μ + σ·ε and the divergence by its formula.
fn elbo(x: f64, mu: f64, variance: f64) -> f64 {
    let noise = normals(1, 100_000);
    let each = noise.iter().map(|e| log_normal(x, W * (mu + variance.sqrt() * e), S * S));
    let divergence = 0.5 * (mu * mu + variance - 1.0 - variance.ln());
    each.sum::<f64>() / noise.len() as f64 - divergence
}

/// L_k with ln w = ln p(x|z) + ln p(z) − ln q(z|x).
fn importance(x: f64, mu: f64, variance: f64, k: usize) -> f64 {
    let log_weight = |e: &f64| {
        let z = mu + variance.sqrt() * e;
        log_normal(x, W * z, S * S) + log_normal(z, 0.0, 1.0) - log_normal(z, mu, variance)
    };
    let noise = normals(2, 100_000);
    let bound = |draws: &[f64]| (draws.iter().map(|e| log_weight(e).exp()).sum::<f64>() / draws.len() as f64).ln();
    noise.chunks_exact(k).map(bound).sum::<f64>() / (noise.len() / k) as f64
}

fn main() {
    let x = 1.0;
    // The posterior that is true: N(w·x/(w² + s²), s²/(w² + s²)).
    let (mu, variance) = (W * x / (W * W + S * S), S * S / (W * W + S * S));
    println!("ln p(x) = {:.4}", log_normal(x, 0.0, W * W + S * S));
    for (name, mu, variance) in [("the true posterior", mu, variance), ("another q", mu + 0.3, 2.0 * variance)] {
        println!("{name}: ELBO {:.4}", elbo(x, mu, variance));
        for k in [1, 5, 50, 500] {
            println!("  L_{k:<4} {:.4}", importance(x, mu, variance, k));
        }
    }
}
