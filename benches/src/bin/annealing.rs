//! How many spins a second annealing updates on one core: a ±J lattice and an all-coupled spin glass.
//!
//! Processor time, so that a busy machine tells nearly the truth; take the best of several rounds.
//!
//!     cargo run --release --package yuragi-benches --bin annealing -- [lattice|glass] [READS] [ROUNDS]

use yuragi_benches::clock::processor_seconds;
use yuragi_energy::dynamics::Metropolis;
use yuragi_energy::replicas::batch;
use yuragi_energy::sampler::{anneal, quiet};
use yuragi_energy::{Bonds, Error, Problem, Schedule};

/// A plain linear congruential generator, so that other languages can make the same instances.
struct Lcg(u64);

impl Lcg {
    /// Uniform on [0, 1).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal: the sum of twelve uniforms, less 6.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let which = arguments.get(1).map_or("lattice", |which| which.as_str());
    let number = |at: usize, default: u32| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut lcg = Lcg(1);
    let (problem, schedule) = if which == "glass" {
        let n = 1000;
        let mut matrix = vec![0.0; n * n];
        for k in 0..n {
            for l in k + 1..n {
                let weight = lcg.normal() / (n as f64).sqrt();
                (matrix[k * n + l], matrix[l * n + k]) = (weight, weight);
            }
        }
        (Problem::dense(n, &matrix, &[])?, Schedule::linear(0.1, 5.0, 1000)?)
    } else {
        let signs: Vec<f64> = (0..2 * 64 * 64).map(|_| if lcg.next() < 0.5 { 1.0 } else { -1.0 }).collect();
        (Problem::lattice(&[64, 64], Bonds::Each(&signs), &[])?, Schedule::linear(0.1, 3.0, 1000)?)
    };
    let reads = number(2, if which == "glass" { 32 } else { 256 });
    let mut best = f64::INFINITY;
    let mut samples = None;
    for _ in 0..number(3, 3) {
        let before = processor_seconds();
        samples = Some(anneal(&mut *batch(&problem, Metropolis, reads, 1)?, &schedule, &mut quiet)?);
        best = best.min(processor_seconds() - before);
    }
    let updates = f64::from(reads) * f64::from(schedule.sweeps()) * problem.len() as f64;
    let mean = samples.map_or(f64::NAN, |samples| samples.mean_energy());
    println!("{which}: {reads} reads, {:.1} M updates/s, mean energy {mean:.3}", updates / best / 1e6);
    Ok(())
}
