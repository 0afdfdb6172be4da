//! 32 reads at once against the definition: one read after another, one draw after another.

use super::*;
use crate::problem::{Bonds, spin32};

/// One sweep of one read.
struct Alone<'a> {
    problem: &'a Problem,
    draws: Draws,
    sweep: u32,
    read: u32,
    /// β/P.
    share: f32,
    /// K.
    coupling: f32,
}

impl Alone<'_> {
    fn accepts(&self, site: usize, stream: Stream, rise: f32) -> bool {
        let probability = if rise > 0.0 { exp(-rise) } else { 1.0 };
        self.draws.chance(self.sweep, site as u32, stream, self.read, threshold(probability))
    }

    /// Each spin of each slice.
    fn local(&self, values: &mut [u8]) {
        let n = self.problem.len();
        let slices = values.len() / n;
        for slice in 0..slices {
            let next = (slice + 1) % slices;
            let previous = (slice + slices - 1) % slices;
            for k in 0..n {
                let x = spin32(values[slice * n + k]);
                let field = self.problem.rounded_field(k, &values[slice * n..][..n]);
                let mut rise = 2.0 * self.share * x * field;
                if slices > 1 {
                    let neighbours = spin32(values[previous * n + k]) + spin32(values[next * n + k]);
                    rise += 2.0 * self.coupling * x * neighbours;
                }
                if self.accepts(slice * n + k, Stream::Accept, rise) {
                    values[slice * n + k] ^= 1;
                }
            }
        }
    }

    /// Each spin in all slices together.
    fn lines(&self, values: &mut [u8]) {
        let n = self.problem.len();
        for k in 0..n {
            let mut rise = 0.0;
            for slice in values.chunks(n) {
                rise += 2.0 * self.share * spin32(slice[k]) * self.problem.rounded_field(k, slice);
            }
            if self.accepts(k, Stream::Line, rise) {
                values.chunks_mut(n).for_each(|slice| slice[k] ^= 1);
            }
        }
    }
}

/// As [`quantum_anneal`].
fn alone(problem: &Problem, settings: QuantumSettings, reads: Reads, seed: u64) -> Vec<Vec<u8>> {
    let QuantumSettings { beta, slices, transverse: (first, last), sweeps, .. } = settings;
    let (n, draws) = (problem.len(), Draws::new(seed));
    let read = |read: u32| {
        let sites = 0..(n * slices as usize) as u32;
        let mut values: Vec<u8> =
            sites.map(|site| draws.chance(0, site, Stream::Start, read, 1 << 31).into()).collect();
        for sweep in 0..sweeps {
            let part = if sweeps == 1 { 1.0 } else { f64::from(sweep) / f64::from(sweeps - 1) };
            let gamma = first + (last - first) * part;
            let coupling = (-0.5 * libm::log(libm::tanh(beta * gamma / f64::from(slices)))) as f32;
            let share = (beta / f64::from(slices)) as f32;
            let chain = Alone { problem, draws, sweep, read, share, coupling: coupling.min(1e4) };
            chain.local(&mut values);
            chain.lines(&mut values);
        }
        let energy = |slice: &&[u8]| problem.energy_of(slice);
        let best = values.chunks(n).reduce(|best, slice| if energy(&slice) < energy(&best) { slice } else { best });
        best.unwrap_or_default().to_vec()
    };
    (reads.first..reads.first + reads.count).map(read).collect()
}

#[test]
fn reads_side_by_side_are_those_alone() {
    let wave = |k: usize| libm::sin(1.0 + 2.0 * k as f64);
    let pairs = (0..20).flat_map(|k| (k + 1..20).filter(move |l| (3 * k + l) % 4 == 0).map(move |l| (k, l)));
    let sparse = Problem::ising(20, pairs.map(|(k, l)| (k, l, wave(20 * k + l))), &[0.25; 20]).unwrap();
    let lattice = Problem::lattice(&[3, 4], Bonds::Uniform(-1.0), &[]).unwrap();
    let one = Problem::ising(1, [], &[-1.0]).unwrap();
    for problem in [&sparse, &sparse.to_dense().unwrap(), &lattice, &one] {
        for (slices, first, count) in [(1, 0, 3), (2, 30, 40), (5, 7, 32)] {
            let settings = QuantumSettings { beta: 2.0, slices, transverse: (2.0, 0.05), sweeps: 12, threads: 1 };
            let reads = Reads { first, count };
            let found = quantum_anneal(problem, settings, reads, 9, &mut crate::sampler::quiet).unwrap();
            let found: Vec<Vec<u8>> = found.iter().map(|sample| sample.values.to_vec()).collect();
            assert_eq!(found, alone(problem, settings, reads, 9), "{slices} slices");
        }
    }
}
