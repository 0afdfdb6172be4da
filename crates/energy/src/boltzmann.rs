//! Boltzmann machines: learning J and h of spins from data.
//!
//! | method | objective | needs |
//! |---|---|---|
//! | [`BoltzmannMachine::log_likelihood`] | ⟨ln q⟩_data, exactly | enumeration, N ≤ 24 |
//! | [`BoltzmannMachine::contrastive_divergence`] | its gradient, roughly | k sweeps from the data (Hinton 2002) |
//! | [`PersistentChains`] | its gradient, better | chains that go on (Tieleman 2008) |
//! | [`Data::pseudo_likelihood`] | Σ_k ln q(x_k given the rest) | nothing (Besag 1975) |
//! | [`Data::probability_flow`] | the flow out of the data | nothing (Sohl-Dickstein et al. 2011) |
//!
//! Parameters are one list: the couplings of the machine's pairs, then the N fields. Data are rows of N
//! values, 0 (−1) or 1 (+1), one after another.

use crate::dynamics::Dynamics;
use crate::error::{Error, index, length, range};
use crate::exact::enumerate;
use crate::minimize::{Minimum, minimize};
use crate::problem::{Problem, spin};
use crate::replicas::{Betas, Reads, Replicas, batch};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// q(x) = exp(Σ J_kl x_k x_l + Σ h_k x_k)/Z over spins, with couplings on chosen pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct BoltzmannMachine {
    spins: usize,
    pairs: Vec<(u32, u32)>,
    parameters: Vec<f64>,
}

impl BoltzmannMachine {
    /// All pairs coupled; all parameters 0.
    ///
    /// # Errors
    /// No spin, or too many.
    pub fn full(spins: usize) -> Result<Self, Error> {
        let pairs = (0..spins).flat_map(|k| (k + 1..spins).map(move |l| (k, l)));
        Self::with_pairs(spins, pairs)
    }

    /// The given pairs coupled; all parameters 0.
    ///
    /// # Errors
    /// No spin, too many, or a pair that does not exist.
    pub fn with_pairs(spins: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Result<Self, Error> {
        range("the number of spins", spins as f64, (1..1 << 16).contains(&spins), "from 1 to 65535")?;
        let mut list = Vec::new();
        for (k, l) in pairs {
            index("spin", k, spins)?;
            index("spin", l, spins)?;
            if k == l {
                return Err(Error::SelfCoupling { variable: k });
            }
            list.push((k.min(l) as u32, k.max(l) as u32));
        }
        list.sort_unstable();
        list.dedup();
        let parameters = alloc::vec![0.0; list.len() + spins];
        Ok(Self { spins, pairs: list, parameters })
    }

    /// The number of spins N.
    pub fn spins(&self) -> usize {
        self.spins
    }

    /// The coupled pairs (k, l), k < l, ascending.
    pub fn pairs(&self) -> &[(u32, u32)] {
        &self.pairs
    }

    /// The couplings of the pairs, then the fields.
    pub fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// Replaces the parameters.
    ///
    /// # Errors
    /// A wrong number of them.
    pub fn set_parameters(&mut self, parameters: &[f64]) -> Result<(), Error> {
        length("the parameters", parameters.len(), self.parameters.len())?;
        self.parameters.copy_from_slice(parameters);
        Ok(())
    }

    /// Parameters += rate · gradient.
    ///
    /// # Errors
    /// A gradient of the wrong length.
    pub fn ascend(&mut self, gradient: &[f64], rate: f64) -> Result<(), Error> {
        length("the gradient", gradient.len(), self.parameters.len())?;
        self.parameters.iter_mut().zip(gradient).for_each(|(parameter, g)| *parameter += rate * g);
        Ok(())
    }

    /// Minimises an objective, such as [`Data::pseudo_likelihood`] or [`Data::probability_flow`], over the parameters from where
    /// they are, by L-BFGS ([`minimize`]); the machine is left at the least value found.
    ///
    /// # Errors
    /// Those of the objective.
    pub fn minimize(
        &mut self,
        mut objective: impl FnMut(&Self) -> Result<(f64, Vec<f64>), Error>,
        evaluations: u32,
        tolerance: f64,
    ) -> Result<Minimum, Error> {
        let (start, mut failed) = (self.parameters.clone(), None);
        let f = |parameters: &[f64], gradient: &mut [f64]| {
            self.parameters.copy_from_slice(parameters);
            match objective(self) {
                Ok((value, slope)) if slope.len() == gradient.len() => {
                    gradient.copy_from_slice(&slope);
                    value
                }
                Ok((_, slope)) => {
                    let expected = gradient.len();
                    failed = Some(Error::Length { what: "the gradient", got: slope.len(), expected });
                    f64::NAN
                }
                Err(error) => {
                    failed = Some(error);
                    f64::NAN
                }
            }
        };
        let minimum = minimize(f, &start, evaluations, tolerance);
        self.parameters.copy_from_slice(if failed.is_some() { &start } else { &minimum.at });
        failed.map_or(Ok(minimum), Err)
    }

    /// The same energies as a problem.
    ///
    /// # Errors
    /// Parameters that are not finite.
    pub fn problem(&self) -> Result<Problem, Error> {
        let (weights, fields) = self.parameters.split_at(self.pairs.len());
        let terms = self.pairs.iter().zip(weights).map(|(&(k, l), &weight)| (k as usize, l as usize, weight));
        let problem = Problem::ising(self.spins, terms, fields)?;
        if 2 * self.pairs.len() == self.spins * (self.spins - 1) && self.spins > 1 {
            problem.to_dense()
        } else {
            Ok(problem)
        }
    }

    /// ⟨x_k x_l⟩ of the pairs, then ⟨x_k⟩, of the model itself.
    ///
    /// # Errors
    /// More than 24 spins.
    pub fn model_moments(&self) -> Result<Vec<f64>, Error> {
        let exact = enumerate(&self.problem()?)?;
        let mut moments = alloc::vec![0.0; self.parameters.len()];
        for (i, probability) in exact.distribution(1.0).into_iter().enumerate() {
            self.add_moments(|k| spin((i >> k & 1) as u8), probability, &mut moments);
        }
        Ok(moments)
    }

    /// (1/n) Σ ln q(x_i), exactly, and its gradient: data moments − model moments.
    ///
    /// # Errors
    /// More than 24 spins, or parameters that are not finite.
    pub fn log_likelihood(&self, data: &Data) -> Result<(f64, Vec<f64>), Error> {
        length("the data's spins", data.spins, self.spins)?;
        let problem = self.problem()?;
        let data_moments = data.moments(self);
        let log_z = enumerate(&problem)?.log_z(1.0);
        // −⟨E⟩ is linear in the parameters.
        let value = data_moments.iter().zip(&self.parameters).map(|(m, p)| m * p).sum::<f64>() - log_z;
        let model = self.model_moments()?;
        Ok((value, data_moments.iter().zip(&model).map(|(data, model)| data - model).collect()))
    }

    /// D(P₀‖q) = ⟨E⟩_P₀ − F − H(P₀) with F = −ln Z, exactly.
    ///
    /// # Errors
    /// As [`BoltzmannMachine::log_likelihood`].
    pub fn divergence(&self, data: &Data) -> Result<f64, Error> {
        Ok(-self.log_likelihood(data)?.0 - data.entropy())
    }

    /// CD-k (Hinton, *Neural Comput.* 14, 1771 (2002)): ⟨·⟩_data − ⟨·⟩ after `sweeps` sweeps from the data.
    /// `step` numbers the draws; use each once.
    ///
    /// # Errors
    /// Data of other spins, or parameters that are not finite.
    pub fn contrastive_divergence<D: Dynamics>(
        &self,
        data: &Data,
        dynamics: D,
        sweeps: u32,
        step: u32,
        seed: u64,
    ) -> Result<Vec<f64>, Error> {
        length("the data's spins", data.spins, self.spins)?;
        let problem = self.problem()?;
        let mut chains = start(&problem, dynamics, &data.rows, seed)?;
        let model = self.sampled_moments(&mut *chains, sweeps, step)?.0;
        Ok(data.moments(self).iter().zip(&model).map(|(data, model)| data - model).collect())
    }

    /// Advances the chains; their moments, and their configurations.
    fn sampled_moments(&self, chains: &mut dyn Replicas, sweeps: u32, step: u32) -> Result<(Vec<f64>, Vec<u8>), Error> {
        for sweep in 0..sweeps {
            chains.sweep(step.wrapping_mul(sweeps).wrapping_add(sweep), Betas::Same(1.0))?;
        }
        let rows = chains.configurations()?;
        let moments = self.moments_of(&rows);
        Ok((moments, rows))
    }

    fn moments_of(&self, rows: &[u8]) -> Vec<f64> {
        let mut moments = alloc::vec![0.0; self.parameters.len()];
        let share = self.spins as f64 / rows.len() as f64;
        for row in rows.chunks(self.spins) {
            self.add_moments(|k| spin(row[k]), share, &mut moments);
        }
        moments
    }

    fn add_moments(&self, x: impl Fn(usize) -> f64, weight: f64, moments: &mut [f64]) {
        let (pairs, singles) = moments.split_at_mut(self.pairs.len());
        for (moment, &(k, l)) in pairs.iter_mut().zip(&self.pairs) {
            *moment += weight * x(k as usize) * x(l as usize);
        }
        for (k, moment) in singles.iter_mut().enumerate() {
            *moment += weight * x(k);
        }
    }

    /// λ_k of a row of spins, by couplings in a full symmetric matrix.
    fn fields(&self, matrix: &[f64], x: &[f64], fields: &mut [f64]) {
        fields.copy_from_slice(&self.parameters[self.pairs.len()..]);
        for (row, &x) in matrix.chunks(self.spins).zip(x) {
            fields.iter_mut().zip(row).for_each(|(field, weight)| *field += weight * x);
        }
    }

    fn matrix(&self) -> Vec<f64> {
        let mut matrix = alloc::vec![0.0; self.spins * self.spins];
        for (&(k, l), &weight) in self.pairs.iter().zip(&self.parameters) {
            matrix[k as usize * self.spins + l as usize] = weight;
            matrix[l as usize * self.spins + k as usize] = weight;
        }
        matrix
    }
}

fn start<'a, D: Dynamics + 'a>(
    problem: &'a Problem,
    dynamics: D,
    rows: &[u8],
    seed: u64,
) -> Result<Box<dyn Replicas + 'a>, Error> {
    let count = crate::error::counter("the number of rows", rows.len() / problem.len())?;
    let mut chains = batch(problem, dynamics, Reads { first: 0, count }, seed)?;
    for (slot, row) in rows.chunks(problem.len()).enumerate() {
        chains.set_values(slot, row)?;
    }
    Ok(chains)
}

/// PCD (Tieleman, *ICML* 2008): chains that go on from gradient to gradient while the machine changes.
#[derive(Clone, Debug, PartialEq)]
pub struct PersistentChains {
    rows: Vec<u8>,
    seed: u64,
    step: u32,
}

impl PersistentChains {
    /// `count` chains from uniform random configurations.
    ///
    /// # Errors
    /// No chain.
    pub fn new(machine: &BoltzmannMachine, count: u32, seed: u64) -> Result<Self, Error> {
        range("the number of chains", count.into(), count > 0, "at least 1")?;
        let free = Problem::ising(machine.spins, [], &[])?;
        let chains = batch(&free, crate::dynamics::HeatBath, Reads { first: 0, count }, seed)?;
        Ok(Self { rows: chains.configurations()?, seed, step: 0 })
    }

    /// The configurations.
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// ⟨·⟩_data − ⟨·⟩ of the chains after `sweeps` sweeps more.
    ///
    /// # Errors
    /// Data or a machine of other spins, or parameters that are not finite.
    pub fn gradient<D: Dynamics>(
        &mut self,
        machine: &BoltzmannMachine,
        data: &Data,
        dynamics: D,
        sweeps: u32,
    ) -> Result<Vec<f64>, Error> {
        length("the data's spins", data.spins, machine.spins)?;
        length("the chains' spins", self.rows.len() % machine.spins, 0)?;
        let problem = machine.problem()?;
        let mut chains = start(&problem, dynamics, &self.rows, self.seed)?;
        let (model, rows) = machine.sampled_moments(&mut *chains, sweeps, self.step)?;
        self.rows = rows;
        self.step = self.step.wrapping_add(1);
        Ok(data.moments(machine).iter().zip(&model).map(|(data, model)| data - model).collect())
    }
}

/// Which flows [`Data::probability_flow`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// To states j ∉ D only, as the paper defines K. Right while nearly all neighbours of the data are unseen.
    Outward,
    /// To every neighbour: consistent also where the data cover the states.
    #[default]
    All,
}

/// A data set of spins.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    spins: usize,
    rows: Vec<u8>,
    /// (row, spin) where flipping the spin gives another row of the data.
    inner: Vec<(u32, u32)>,
    entropy: f64,
}

impl Data {
    /// From rows of `spins` values, one after another.
    ///
    /// # Errors
    /// No whole row, or a value that is neither 0 nor 1.
    pub fn new(spins: usize, rows: &[u8]) -> Result<Self, Error> {
        range("the number of spins", spins as f64, spins > 0, "at least 1")?;
        range("the number of rows", (rows.len() / spins) as f64, rows.len() >= spins, "at least 1")?;
        length("the data", rows.len(), rows.len() / spins * spins)?;
        crate::error::counter("the number of rows", rows.len() / spins)?;
        rows.iter().try_for_each(|&value| index("value", value.into(), 2))?;
        let mut sorted: Vec<&[u8]> = rows.chunks(spins).collect();
        sorted.sort_unstable();
        let n = sorted.len() as f64;
        let shares = sorted.chunk_by(|a, b| a == b).map(|same| same.len() as f64 / n);
        let entropy = -shares.map(|share| share * libm::log(share)).sum::<f64>();
        sorted.dedup();
        let mut inner = Vec::new();
        let mut flipped = alloc::vec![0; spins];
        for (i, row) in (0..).zip(rows.chunks(spins)) {
            flipped.copy_from_slice(row);
            for k in 0..spins {
                flipped[k] ^= 1;
                if sorted.binary_search(&flipped.as_slice()).is_ok() {
                    inner.push((i, k as u32));
                }
                flipped[k] ^= 1;
            }
        }
        Ok(Self { spins, rows: rows.to_vec(), inner, entropy })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len() / self.spins
    }

    /// Always false: there is at least one row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// H(P₀) of the empirical distribution, in nats.
    pub fn entropy(&self) -> f64 {
        self.entropy
    }

    /// ⟨x_k x_l⟩ of the machine's pairs, then ⟨x_k⟩.
    fn moments(&self, machine: &BoltzmannMachine) -> Vec<f64> {
        machine.moments_of(&self.rows)
    }

    /// −(1/n) Σ_i Σ_k ln q(x_k | the rest) = (1/n) Σ_i Σ_k ln(1 + exp(−2 x_k λ_k)), and its gradient: to be
    /// minimised (Besag, *The Statistician* 24, 179 (1975)).
    ///
    /// # Errors
    /// A machine of other spins.
    pub fn pseudo_likelihood(&self, machine: &BoltzmannMachine) -> Result<(f64, Vec<f64>), Error> {
        // ∂/∂λ_k of ln(1 + exp(−2 x_k λ_k)) = −2 x_k σ(−2 x_k λ_k)
        self.local_objective(machine, |_, aligned| {
            let rise = -2.0 * aligned;
            let probability =
                if rise > 0.0 { 1.0 / (1.0 + libm::exp(-rise)) } else { libm::exp(rise) / (1.0 + libm::exp(rise)) };
            (yuragi_numeric::special::softplus(rise), -2.0 * probability)
        })
    }

    /// Minimum probability flow (Sohl-Dickstein, Battaglino and DeWeese, *PRL* 107, 220601 (2011)):
    /// K = (1/n) Σ_{i ∈ D} Σ_j exp(½(E(x_i) − E(x_j))) over the states j one flip away from x_i, and its
    /// gradient: to be minimised. K is convex in the parameters.
    ///
    /// # Errors
    /// A machine of other spins.
    pub fn probability_flow(&self, machine: &BoltzmannMachine, flow: Flow) -> Result<(f64, Vec<f64>), Error> {
        let mut inner = self.inner.iter().peekable();
        // ½(E(x) − E(x with x_k flipped)) = −x_k λ_k
        self.local_objective(machine, |place, aligned| {
            if flow == Flow::Outward && inner.next_if(|&&next| next == place).is_some() {
                return (0.0, 0.0);
            }
            let rate = libm::exp(-aligned);
            (rate, -rate)
        })
    }

    /// (1/n) Σ_i Σ_k f(x_k λ_k) and its gradient; `f` is told (row, spin), in order, and returns f and f′.
    fn local_objective(
        &self,
        machine: &BoltzmannMachine,
        mut f: impl FnMut((u32, u32), f64) -> (f64, f64),
    ) -> Result<(f64, Vec<f64>), Error> {
        length("the machine's spins", machine.spins, self.spins)?;
        let n = self.spins;
        let matrix = machine.matrix();
        let (mut x, mut fields, mut slopes) = (alloc::vec![0.0; n], alloc::vec![0.0; n], alloc::vec![0.0; n]);
        let mut value = 0.0;
        // ∂/∂J_kl = ⟨(f′_k + f′_l) x_k x_l⟩: gather ⟨f′_k x_k x_l⟩ first.
        let mut outer = alloc::vec![0.0; n * n];
        let mut single = alloc::vec![0.0; n];
        for (i, row) in (0..).zip(self.rows.chunks(n)) {
            x.iter_mut().zip(row).for_each(|(x, &value)| *x = spin(value));
            machine.fields(&matrix, &x, &mut fields);
            for k in 0..n {
                let (term, slope) = f((i, k as u32), x[k] * fields[k]);
                value += term;
                slopes[k] = slope * x[k];
                single[k] += slopes[k];
            }
            for (outer, slope) in outer.chunks_mut(n).zip(&slopes) {
                outer.iter_mut().zip(&x).for_each(|(outer, x)| *outer += slope * x);
            }
        }
        let share = 1.0 / self.len() as f64;
        let pairs = machine.pairs.iter().map(|&(k, l)| (k as usize, l as usize));
        let mut gradient: Vec<f64> = pairs.map(|(k, l)| share * (outer[k * n + l] + outer[l * n + k])).collect();
        gradient.extend(single.iter().map(|slope| share * slope));
        Ok((share * value, gradient))
    }
}
