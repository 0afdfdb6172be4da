//! Spins visited in a nanosecond, and whether the reads are those of the processor, bit for bit.

use std::time::Instant;

use yuragi_cuda::{Cuda, replicas::CudaReplicas};
use yuragi_energy::{
    Bonds, Problem,
    dynamics::{Dynamics, Metropolis, Order, SingleSite},
    replicas::{Betas, Reads, Replicas, batch},
};
use yuragi_numeric::fill;

use crate::gpu::{
    effort::{Effort, cut},
    record::{Outcome, Part},
};

pub(super) const BETA: f32 = 0.7;

/// A lattice of random bonds +1 and −1.
pub(super) fn lattice(side: usize) -> Outcome<Problem> {
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
    let (rows, colours) = (Order::Sequential, Order::Checkerboard);
    let problems = if effort.small {
        vec![
            ("±J lattice 12×12", lattice(12)?, rows, 70, 4),
            ("the same by colours", lattice(12)?, colours, 70, 4),
            ("dense glass of 40", glass(40)?, rows, 8, 3),
            ("dense glass of 260", glass(260)?, rows, 8, 1),
        ]
    } else {
        vec![
            ("±J lattice 64×64", lattice(64)?, rows, 1024, 500),
            ("±J lattice 1024×1024", lattice(1024)?, rows, 64, 20),
            ("±J lattice 1024×1024 by colours", lattice(1024)?, colours, 64, 500),
            ("±J lattice 2048×2048 by colours", lattice(2048)?, colours, 64, 200),
            ("dense glass of 200", glass(200)?, rows, 512, 100),
            ("dense glass of 2048", glass(2048)?, rows, 4096, 100),
        ]
    };
    let (mut table, mut equal) = (Vec::new(), true);
    let left = effort.each(&problems, |(name, problem, order, count, sweeps)| -> Outcome<()> {
        let chain = SingleSite { kernel: Metropolis, order: *order };
        let two_state = chain.two_state().ok_or("a chain of single spins in a fixed order")?;
        let reads = |count| Reads { first: 0, count };
        let few = 4.min(*count);
        let mut there = CudaReplicas::on(cuda.device(), problem, two_state, reads(*count), 7)?;
        let mut here = batch(problem, chain, reads(few), 7)?;
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
        table.push(vec![(*name).into(), count.to_string(), format!("{:.3}", visits / seconds * 1e-9), verdict.into()]);
        Ok(())
    })?;
    let summary = format!("{} problems{}", table.len(), cut(left));
    let columns = ["problem", "reads", "spins/ns", "bits beside the processor's"];
    Ok(Part::new(equal && left == 0, summary, &columns, table))
}
