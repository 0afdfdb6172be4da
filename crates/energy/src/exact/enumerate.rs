use crate::error::{Error, range};
use crate::problem::{Problem, Variables, spin};
use alloc::vec::Vec;
use yuragi_numeric::special::{Sum, log_sum_exp};

/// The largest number of configurations that are enumerated: 24 spins.
const LARGEST: usize = 1 << 24;

/// The energies of all configurations of a small problem.
///
/// Configuration number i has the value ⌊i / qᵏ⌋ mod q of variable k: for spins, bit k.
#[derive(Clone, Debug, PartialEq)]
pub struct Enumeration {
    energies: Vec<f64>,
    variables: usize,
    states: usize,
}

/// Visits every configuration, by a Gray code for spins (each differs from the one before by one flip,
/// so that an energy costs one local field).
///
/// # Errors
/// More than 2²⁴ configurations.
///
/// ```
/// use yuragi_energy::{Problem, exact::enumerate};
/// let pair = Problem::ising(2, [(0, 1, 1.0)], &[])?;
/// let exact = enumerate(&pair)?;
/// assert!((exact.log_z(0.5) - (4.0 * 0.5f64.cosh()).ln()).abs() < 1e-15);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn enumerate(problem: &Problem) -> Result<Enumeration, Error> {
    let (variables, states) = (problem.len(), problem.variables().states());
    let count = u32::try_from(variables).ok().and_then(|n| states.checked_pow(n)).filter(|&count| count <= LARGEST);
    let Some(count) = count else {
        range("the number of variables", variables as f64, false, "such that at most 2^24 configurations exist")?;
        return Err(Error::Overflow { what: "the number of configurations" });
    };
    let energies = match problem.variables() {
        Variables::Spin => spins(problem, count),
        Variables::Potts(_) => {
            let mut values = alloc::vec![0; variables];
            let energy = |i: usize| {
                digits(i, states, &mut values);
                problem.energy_of(&values)
            };
            (0..count).map(energy).collect()
        }
    };
    Ok(Enumeration { energies, variables, states })
}

fn spins(problem: &Problem, count: usize) -> Vec<f64> {
    let mut values = alloc::vec![0; problem.len()];
    let mut energies = alloc::vec![0.0; count];
    let mut energy = Sum::default();
    energy += problem.energy_of(&values);
    energies[0] = energy.value();
    for i in 1..count {
        let k = i.trailing_zeros() as usize;
        let field = problem.fields()[k] + problem.table().spin_sum(k, &values);
        energy += 2.0 * spin(values[k]) * field;
        values[k] ^= 1;
        energies[i ^ (i >> 1)] = energy.value();
    }
    energies
}

/// The values of configuration number `i`.
pub(crate) fn digits(mut i: usize, states: usize, values: &mut [u8]) {
    for value in values {
        *value = (i % states) as u8;
        i /= states;
    }
}

/// The number of a configuration.
pub(crate) fn number(states: usize, values: &[u8]) -> usize {
    values.iter().rev().fold(0, |i, &value| i * states + usize::from(value))
}

impl Enumeration {
    /// E of every configuration.
    pub fn energies(&self) -> &[f64] {
        &self.energies
    }

    /// The values of configuration number `i`.
    pub fn values(&self, i: usize) -> Vec<u8> {
        let mut values = alloc::vec![0; self.variables];
        digits(i, self.states, &mut values);
        values
    }

    /// ln Z(β) = ln Σ_x exp(−β E(x)).
    pub fn log_z(&self, beta: f64) -> f64 {
        let exponents: Vec<f64> = self.energies.iter().map(|energy| -beta * energy).collect();
        log_sum_exp(&exponents)
    }

    /// π(x) = exp(−β E(x)) / Z(β) of every configuration.
    pub fn distribution(&self, beta: f64) -> Vec<f64> {
        let lowest = self.ground().1;
        let highest = self.energies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let base = if beta >= 0.0 { lowest } else { highest };
        let mut weights: Vec<f64> = self.energies.iter().map(|energy| libm::exp(-beta * (energy - base))).collect();
        let total = yuragi_numeric::special::sum(weights.iter().copied());
        weights.iter_mut().for_each(|weight| *weight /= total);
        weights
    }

    /// ⟨f⟩ at β; `f` is told the number of the configuration.
    pub fn mean(&self, beta: f64, f: impl Fn(usize) -> f64) -> f64 {
        yuragi_numeric::special::sum(self.distribution(beta).iter().enumerate().map(|(i, weight)| weight * f(i)))
    }

    /// ⟨E⟩ at β.
    pub fn mean_energy(&self, beta: f64) -> f64 {
        self.mean(beta, |i| self.energies[i])
    }

    /// The number and the energy of the first configuration of lowest energy.
    pub fn ground(&self) -> (usize, f64) {
        let lowest = |best: (usize, f64), (i, &energy): (usize, &f64)| if energy < best.1 { (i, energy) } else { best };
        self.energies.iter().enumerate().fold((0, f64::INFINITY), lowest)
    }
}
