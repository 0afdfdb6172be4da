//! Markov chains that keep exp(−βE)/Z: each a [`Dynamics`].
//!
//! | chain | leaves π by | reference |
//! |---|---|---|
//! | [`SingleSite`]`<`[`Metropolis`]`>` | detailed balance at each site | Metropolis et al. 1953 |
//! | [`SingleSite`]`<`[`HeatBath`]`>` | detailed balance at each site | Glauber 1963; Geman and Geman 1984 |
//! | [`SingleSite`]`<`[`SuwaTodo`]`>`, [`Blocks`] | balance only | Suwa and Todo, *PRL* 105, 120603 (2010) |
//! | [`Skewed`] | skewed detailed balance of a lifted chain | Turitsyn, Chertkov and Vucelja 2011; Sakai and Hukushima 2013 |
//! | [`MetropolisHastings`] | detailed balance with any proposal | Hastings, *Biometrika* 57 (1970) |
//!
//! A sweep visits N sites. Visiting them in a fixed [`Order`] breaks detailed balance of the whole
//! sweep, and keeps balance; [`Order::Random`] keeps both.
//!
//! Acceptance probabilities are f32 numbers of
//! [`numeric::elementary`](yuragi_numeric::elementary), cut to thresholds of 32 bits: the same
//! bits on every platform.

mod blocks;
mod hastings;
mod kernel;
mod order;
mod single_site;
mod skewed;

use crate::draw::Source;
use crate::error::{Error, length};
use crate::problem::{Problem, Variables, spin32};
use alloc::vec::Vec;
pub use blocks::Blocks;
pub use hastings::{Kawasaki, MetropolisHastings, Move, Proposal, Rotation};
pub use kernel::{HeatBath, Kernel, Metropolis, SuwaTodo};
pub use order::Order;
pub use single_site::SingleSite;
pub(crate) use single_site::{spin_outcome, spin_probability, spin_threshold};
pub use skewed::Skewed;

/// A Markov chain whose stationary distribution is exp(−βE)/Z.
pub trait Dynamics: Send + Sync {
    /// What is worked out once for a problem, such as the order of the sites.
    type Plan: Clone + Send + Sync;

    /// True if the chain also keeps a direction, ±1 with equal probability.
    const LIFTED: bool = false;

    /// Prepares for a problem.
    ///
    /// # Errors
    /// A problem that this chain is not made for.
    fn plan(&self, problem: &Problem) -> Result<Self::Plan, Error>;

    /// One sweep of one read.
    fn sweep<S: Source>(&self, plan: &Self::Plan, problem: &Problem, replica: &mut Replica, beta: f32, source: &mut S);

    /// The chain as single flips in a fixed order, if it is that: such chains have faster
    /// implementations with the same bits.
    fn two_state(&self) -> Option<TwoState> {
        None
    }
}

impl<D: Dynamics> Dynamics for &D {
    type Plan = D::Plan;

    const LIFTED: bool = D::LIFTED;

    fn plan(&self, problem: &Problem) -> Result<Self::Plan, Error> {
        D::plan(self, problem)
    }

    fn sweep<S: Source>(&self, plan: &Self::Plan, problem: &Problem, replica: &mut Replica, beta: f32, source: &mut S) {
        D::sweep(self, plan, problem, replica, beta, source);
    }

    fn two_state(&self) -> Option<TwoState> {
        D::two_state(self)
    }
}

/// How a single spin is drawn anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// u < ⌊2³² exp(−β ΔE)⌋ flips it.
    Metropolis,
    /// u < ⌊2³² σ(2βλ)⌋ makes it +1, else −1.
    HeatBath,
}

/// Single flips of spins in a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoState {
    /// How one is drawn.
    pub rule: Rule,
    /// The order, never [`Order::Random`].
    pub order: Order,
}

/// Whether a chain keeps local fields: those of spins that are all coupled.
fn keeps_fields(problem: &Problem) -> bool {
    problem.variables() == Variables::Spin && problem.table().is_dense()
}

/// The state of one read.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    values: Vec<u8>,
    /// The local fields of spins that are all coupled; empty otherwise.
    fields: Vec<f32>,
    /// The direction of a lifted chain.
    pub(crate) up: bool,
}

/// The bytes of a configuration: of two states eight in one, else one for each variable.
pub(crate) fn packed(problem: &Problem) -> usize {
    if problem.variables().states() == 2 { problem.len().div_ceil(8) } else { problem.len() }
}

/// Appends a configuration as so many bytes.
pub(crate) fn pack(problem: &Problem, values: &[u8], bytes: &mut Vec<u8>) {
    if problem.variables().states() == 2 {
        let byte = |values: &[u8]| (0..).zip(values).fold(0, |byte, (place, &value)| byte | (value << place));
        bytes.extend(values.chunks(8).map(byte));
    } else {
        bytes.extend_from_slice(values);
    }
}

/// The configuration of as many bytes.
pub(crate) fn unpack(problem: &Problem, bytes: &[u8]) -> Vec<u8> {
    if problem.variables().states() == 2 {
        (0..problem.len()).map(|k| (bytes[k / 8] >> (k % 8)) & 1).collect()
    } else {
        bytes.to_vec()
    }
}

impl Replica {
    /// A read in the given configuration.
    ///
    /// # Errors
    /// Values that do not fit the problem.
    pub fn new(problem: &Problem, values: &[u8]) -> Result<Self, Error> {
        problem.check(values)?;
        let mut replica = Self { values: values.to_vec(), fields: Vec::new(), up: true };
        replica.refresh(problem);
        Ok(replica)
    }

    /// What a chain has kept.
    pub(crate) fn kept(values: Vec<u8>, fields: Vec<f32>) -> Self {
        Self { values, fields, up: true }
    }

    /// The configuration.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// The local fields λ_k that the chain keeps of spins that are all coupled; otherwise nothing.
    pub fn fields(&self) -> &[f32] {
        &self.fields
    }

    /// The same with the local fields of a chain that has kept them: equal to those summed anew but for rounding.
    ///
    /// # Errors
    /// Not as many as are kept.
    pub fn with_fields(self, fields: Vec<f32>) -> Result<Self, Error> {
        length("the local fields", fields.len(), self.fields.len())?;
        Ok(Self { fields, ..self })
    }

    /// The direction of a lifted chain: true for +1.
    pub fn direction(&self) -> bool {
        self.up
    }

    /// The same configuration with another direction.
    pub fn with_direction(self, up: bool) -> Self {
        Self { up, ..self }
    }

    /// The bytes of [`write`](Self::write) for a problem: the direction, the values (eight in one of two states each), the
    /// local fields.
    pub(crate) fn bytes(problem: &Problem) -> [usize; 3] {
        let n = problem.len();
        [1, packed(problem), if keeps_fields(problem) { 4 * n } else { 0 }]
    }

    /// Appends it as bytes.
    pub(crate) fn write(&self, problem: &Problem, bytes: &mut Vec<u8>) {
        bytes.push(self.up.into());
        pack(problem, &self.values, bytes);
        bytes.extend(self.fields.iter().flat_map(|field| field.to_le_bytes()));
    }

    /// What [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// Bytes that are none of this problem's.
    pub(crate) fn read(problem: &Problem, bytes: &[u8]) -> Result<Self, Error> {
        let [direction, values, fields] = Self::bytes(problem);
        length("a state", bytes.len(), direction + values + fields)?;
        let (direction, rest) = bytes.split_at(direction);
        let (values, fields) = rest.split_at(values);
        let values = unpack(problem, values);
        problem.check(&values)?;
        let fields = fields.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Self { values, fields, up: direction != [0] })
    }

    /// Sums the local fields anew, so that rounding does not pile up.
    pub(crate) fn refresh(&mut self, problem: &Problem) {
        if keeps_fields(problem) {
            self.fields.clear();
            self.fields.extend((0..problem.len()).map(|k| problem.rounded_field(k, &self.values)));
        }
    }

    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.values.copy_from_slice(&other.values);
        self.fields.clone_from(&other.fields);
        self.up = other.up;
    }

    /// λ_k of a spin.
    #[inline(always)]
    pub(crate) fn field(&self, problem: &Problem, k: usize) -> f32 {
        match self.fields.get(k) {
            Some(&field) => field,
            None => problem.rounded_field(k, &self.values),
        }
    }

    /// x_k becomes `value`.
    #[inline(always)]
    pub(crate) fn set(&mut self, problem: &Problem, k: usize, value: u8) {
        if self.values[k] != value {
            self.values[k] = value;
            add_row(&mut self.fields, problem.table().dense_row(k), 2.0 * spin32(value));
        }
    }

    pub(crate) fn value(&self, k: usize) -> u8 {
        self.values[k]
    }
}

/// fields += change · row.
#[inline(always)]
pub(crate) fn add_row(fields: &mut [f32], row: &[f32], change: f32) {
    for (field, weight) in fields.iter_mut().zip(row) {
        *field += change * weight;
    }
}
