//! Seconds of one EM iteration: full covariances, n = 100 000, d = 16, k = 16, one thread unless a
//! number is given.
//!
//! `cargo run --release --package yuragi-benches --bin gmm -- [FILE] [THREADS]`
//! writes the data to FILE as little-endian f64, for `benches/peers/gmm_sklearn.py` to run on the same.

use std::error::Error;
use std::time::Instant;

use yuragi_benches::clock::processor_seconds;
use yuragi_distributions::em::ExpectationMaximization;
use yuragi_distributions::{Covariance, Data, Distribution, GaussianMixture, random};
use yuragi_numeric::philox::Philox;

const N: usize = 100_000;
const D: usize = 16;
const K: usize = 16;
const ITERATIONS: usize = 10;
/// How often the iterations are timed anew; the quietest moment counts.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let threads = arguments.next().map_or(Ok(1), |threads| threads.parse())?;

    let mut rng = Philox::new([16, 16], 0);
    let means: Vec<f64> = (0..K * D).map(|_| 2.0 * random::standard_normal(&mut rng)).collect();
    let identity: Vec<f64> = (0..D * D).map(|i| if i / D == i % D { 1.0 } else { 0.0 }).collect();
    let truth = GaussianMixture::new(&[1.0; K], &means, &identity, Covariance::Tied)?;
    let points = truth.sample(&mut rng, N);
    if let Some(file) = file {
        std::fs::write(file, points.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())?;
    }

    // From the first K points, with unit covariances: the start that the peer makes, too.
    let data = Data::new(&points, D)?;
    let start = GaussianMixture::new(&[1.0; K], &points[..K * D], &identity.repeat(K), Covariance::Full)?;
    let (mut wall, mut processor, mut score) = (f64::INFINITY, f64::INFINITY, 0.0);
    for _ in 0..ROUNDS {
        let mut mixture = start.clone().with_threads(threads);
        let before = processor_seconds();
        for _ in 0..ITERATIONS {
            let clock = Instant::now();
            let (_, expectation) = mixture.expectation(&data)?;
            mixture.maximization(&data, expectation)?;
            wall = wall.min(clock.elapsed().as_secs_f64());
        }
        // Linux counts in ticks of some milliseconds: over a round.
        processor = processor.min((processor_seconds() - before) / ITERATIONS as f64);
        score = mixture.log_likelihood(&data)?;
    }
    println!("Yuragi, n = {N}, d = {D}, k = {K}, {threads} thread(s)");
    println!("seconds an iteration (least): {wall:.4} on the clock, {processor:.4} on this thread's processor");
    println!("mean log-likelihood after {ITERATIONS}: {score:.12}");
    Ok(())
}
