//! Spins visited in a nanosecond, and whether the reads are those of the processor, bit for bit.

use std::time::Instant;

use yuragi_cuda::{Cuda, replicas::CudaReplicas};
use yuragi_energy::{
    Bonds, Problem,
    dynamics::{Dynamics, Metropolis},
    replicas::{Betas, Reads, Replicas, batch},
};
use yuragi_numeric::fill;

use crate::gpu::{
    effort::{Effort, cut},
    record::{Outcome, Part},
};

const BETA: f32 = 0.7;

/// A lattice of random bonds +1 and −1.
fn lattice(side: usize) -> Outcome<Problem> {
    let mut noise = vec![0.0_f32; 2 * side * side];
    fill::normal([1, 2], 0, 0, &mut noise);
    let signs: Vec<f64> = noise.iter().map(|&z| if z < 0.0 { -1.0 } else { 1.0 }).collect();
    Ok(Problem::lattice(&[side, side], Bonds::Each(&signs), &[])?)
}

/// Normal couplings between all.
fn glass(n: usize) -> Outcome<Problem> {
    let mut noise = vec![0.0_f32; n * n];
    fill::normal([1, 2], 1, 0, &mut noise);
    let weight = |k: usize, l: usize| f64::from(noise[k.min(l) * n + k.max(l)]) / (n as f64).sqrt();
    let matrix: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { 0.0 } else { weight(at / n, at % n) }).collect();
    Ok(Problem::dense(n, &matrix, &[])?)
}

pub(super) fn alone(effort: Effort) -> Outcome {
    let cuda = Cuda::new()?;
    let problems = if effort.small {
        vec![("±J lattice 12×12", lattice(12)?, 70, 4), ("dense glass of 40", glass(40)?, 8, 3)]
    } else {
        vec![
            ("±J lattice 64×64", lattice(64)?, 1024, 500),
            ("±J lattice 1024×1024", lattice(1024)?, 64, 200),
            ("dense glass of 1000", glass(1000)?, 512, 100),
        ]
    };
    let chain = Metropolis.two_state().ok_or("Metropolis visits spins in order")?;
    let (mut rows, mut equal) = (Vec::new(), true);
    let left = effort.each(&problems, |(name, problem, count, sweeps)| -> Outcome<()> {
        let reads = |count| Reads { first: 0, count };
        let few = 4.min(*count);
        let mut there = CudaReplicas::on(cuda.device(), problem, chain, reads(*count), 7)?;
        let mut here = batch(problem, Metropolis, reads(few), 7)?;
        for sweep in 0..3 {
            there.sweep(sweep, Betas::Same(BETA))?;
            here.sweep(sweep, Betas::Same(BETA))?;
        }
        let (mut a, mut b) = (vec![0; problem.len()], vec![0; problem.len()]);
        let mut same = true;
        for slot in 0..few as usize {
            there.values(slot, &mut a)?;
            here.values(slot, &mut b)?;
            same &= a == b;
        }
        equal &= same;
        let start = Instant::now();
        (0..*sweeps).try_for_each(|sweep| there.sweep(3 + sweep, Betas::Same(BETA)))?;
        there.values(0, &mut a)?;
        let seconds = start.elapsed().as_secs_f64();
        let visits = problem.len() as f64 * f64::from(*count) * f64::from(*sweeps);
        let verdict = if same { "equal" } else { "DIFFER" };
        rows.push(vec![(*name).into(), count.to_string(), format!("{:.3}", visits / seconds * 1e-9), verdict.into()]);
        Ok(())
    })?;
    let summary = format!("{} problems{}", rows.len(), cut(left));
    let columns = ["problem", "reads", "spins/ns", "bits beside the processor's"];
    Ok(Part::new(equal && left == 0, summary, &columns, rows))
}
