use super::{Hook, report};
use crate::draw::{Draws, Stream, threshold};
use crate::error::{Error, counter, range};
use crate::problem::{Problem, Variables, spin32};
use crate::sample_set::SampleSet;
use crate::schedule::Schedule;
use alloc::vec::Vec;
use yuragi_numeric::elementary::exp;

/// How a path-integral quantum annealing is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantumSettings {
    /// The inverse temperature β, which stays.
    pub beta: f64,
    /// The number of Trotter slices P.
    pub slices: u32,
    /// The transverse field Γ of the first sweep and of the last, falling linearly.
    pub transverse: (f64, f64),
    /// The number of sweeps of all slices.
    pub sweeps: u32,
}

/// Path-integral quantum annealing of H = E(σᶻ) − Γ Σ_k σᵏₓ, whose transverse field Γ is taken away.
///
/// By the Suzuki–Trotter formula P copies of the spins at β/P, each coupled with the same spin of the
/// next copy by K = −½ ln tanh(βΓ/P), have the quantum partition function up to O(1/P²). A sweep is
/// Metropolis at each spin of each copy, then an attempt to flip all copies of each spin at once. A read
/// gives its copy of lowest energy.
///
/// # Errors
/// Potts variables, no slice, β not positive, Γ not positive, rising or not finite, more slices × spins
/// than the counters hold, or [`Error::Cancelled`].
///
/// ```
/// use yuragi_energy::{Bonds, Problem, sampler::{QuantumSettings, quantum_anneal, quiet}};
/// let ring = Problem::lattice(&[12], Bonds::Uniform(1.0), &[])?;
/// let settings = QuantumSettings { beta: 8.0, slices: 8, transverse: (3.0, 1e-3), sweeps: 200 };
/// let samples = quantum_anneal(&ring, settings, 20, 1, &mut quiet)?;
/// assert_eq!(samples.best().map(|sample| sample.energy), Some(-12.0));
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn quantum_anneal(
    problem: &Problem,
    settings: QuantumSettings,
    reads: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<SampleSet, Error> {
    let QuantumSettings { beta, slices, transverse: (first, last), sweeps } = settings;
    if problem.variables() != Variables::Spin {
        return Err(Error::Unsupported { what: "quantum annealing", needs: "spins" });
    }
    range("beta", beta, beta > 0.0 && beta <= f64::from(f32::MAX), "positive and finite within f32")?;
    range("the number of slices", f64::from(slices), slices > 0, "at least 1")?;
    range("the last transverse field", last, last > 0.0 && last.is_finite(), "positive and finite")?;
    range("the first transverse field", first, first >= last && first.is_finite(), "finite and not below the last")?;
    let (n, p) = (problem.len(), slices as usize);
    let spins = n.checked_mul(p).ok_or(Error::Overflow { what: "the number of slices times variables" })?;
    counter("the number of slices times variables", spins)?;
    let bytes = spins.checked_mul(reads as usize).ok_or(Error::Overflow { what: "the number of values" })?;

    let draws = Draws::new(seed);
    let mut values = alloc::vec![0u8; bytes];
    for (read, values) in (0..).zip(values.chunks_mut(spins)) {
        for (site, value) in (0..).zip(values) {
            *value = draws.chance(0, site, Stream::Start, read, 1 << 31).into();
        }
    }
    let share = (beta / f64::from(slices)) as f32;
    for sweep in 0..sweeps {
        let part = if sweeps == 1 { 1.0 } else { f64::from(sweep) / f64::from(sweeps - 1) };
        let gamma = first + (last - first) * part;
        let coupling = -0.5 * libm::log(libm::tanh(beta * gamma / f64::from(slices)));
        // A field so weak that the copies never part still leaves finite numbers.
        let coupling = (coupling as f32).min(1e4);
        for (read, values) in (0..).zip(values.chunks_mut(spins)) {
            let chain = Chain { problem, draws, sweep, read, share, coupling };
            chain.local(values);
            chain.lines(values);
        }
        report(hook, u64::from(sweep) + 1, sweeps.into())?;
    }
    let mut best = Vec::with_capacity(n * reads as usize);
    for read in values.chunks(spins) {
        let lowest = read
            .chunks(n)
            .reduce(|best, slice| if problem.energy_of(slice) < problem.energy_of(best) { slice } else { best });
        best.extend_from_slice(lowest.unwrap_or_default());
    }
    SampleSet::new(problem, best, Schedule::linear(beta, beta, sweeps)?)
}

/// One sweep of one read.
struct Chain<'a> {
    problem: &'a Problem,
    draws: Draws,
    sweep: u32,
    read: u32,
    /// β/P.
    share: f32,
    /// K.
    coupling: f32,
}

impl Chain<'_> {
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
