//! T15: the heat bath draws x_k = +1 with p = e^λ/(2 cosh λ), λ = β(h_k + Σ J_kl x_l).

use yuragi_energy::draw::{Draws, Stream, threshold};
use yuragi_energy::{Error, Problem, exact, spin};

fn main() -> Result<(), Error> {
    let (beta, sweeps) = (0.8, 20_000);
    let triangle = Problem::ising(3, [(0, 1, 1.0), (1, 2, -0.5), (0, 2, 0.3)], &[0.2, 0.0, 0.0])?;
    let (draws, mut x, mut sum) = (Draws::new(1), [0u8; 3], 0.0);
    for sweep in 0..sweeps {
        for k in 0..3 {
            let lambda = beta * triangle.local_field(k, &x)?;
            let p = lambda.exp() / (2.0 * lambda.cosh());
            x[k] = draws.chance(sweep, k as u32, Stream::Accept, 0, threshold(p as f32)).into();
        }
        sum += spin(x[0]) * spin(x[1]);
    }
    let exact = exact::enumerate(&triangle)?;
    let expected = exact.mean(beta, |i| spin(exact.values(i)[0]) * spin(exact.values(i)[1]));
    println!("<x0 x1> = {:.3}, exactly {expected:.3}", sum / f64::from(sweeps));
    Ok(())
}
