//! The one problem type: two-state and Potts variables with pairwise couplings and fields.

mod build;
mod coo;
mod couplings;
mod gaps;
mod lattice;
mod spins;

use crate::error::{Error, index, length};
use alloc::vec::Vec;
pub use build::Vartype;
pub use coo::Coordinates;
pub(crate) use couplings::Couplings;
pub use gaps::BetaRange;
pub use lattice::Bonds;
pub use spins::Spins;
use yuragi_numeric::simd::{Task, vectorize};

/// What one variable can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variables {
    /// A spin: value 0 stands for −1 and value 1 for +1.
    Spin,
    /// One of q ≥ 2 values 0 … q−1.
    Potts(u8),
}

impl Variables {
    /// The number of values: 2 for spins, q for Potts variables.
    pub fn states(self) -> usize {
        match self {
            Self::Spin => 2,
            Self::Potts(q) => usize::from(q),
        }
    }
}

/// An energy function of N variables.
///
/// For spins x ∈ {−1, +1}^N
///
/// > E(x) = offset − Σ_{k<l} J_kl x_k x_l − Σ_k h_k x_k,
///
/// and for Potts variables x ∈ {0, …, q−1}^N
///
/// > E(x) = offset − Σ_{k<l} J_kl δ(x_k, x_l) − Σ_k h_k(x_k).
///
/// A configuration is a slice of N bytes, the *values*: 0 … q−1, for spins 0 (−1) or 1 (+1).
/// Couplings and fields are kept in f64 for energies and rounded to f32 for Markov chains.
///
/// ```
/// use yuragi_energy::Problem;
/// let frustrated = Problem::ising(3, [(0, 1, -1.0), (1, 2, -1.0), (0, 2, -1.0)], &[])?;
/// assert_eq!(frustrated.energy(&[1, 1, 1])?, 3.0);
/// assert_eq!(frustrated.energy(&[1, 1, 0])?, -1.0);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    variables: Variables,
    couplings: Couplings,
    /// One a spin, q a Potts variable.
    fields: Vec<f64>,
    rounded_fields: Vec<f32>,
    offset: f64,
    /// The sides of a periodic lattice.
    sides: Vec<usize>,
}

impl Problem {
    /// The number of variables N.
    pub fn len(&self) -> usize {
        self.couplings.len()
    }

    /// Always false: a problem has at least one variable.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What each variable can be.
    pub fn variables(&self) -> Variables {
        self.variables
    }

    /// The constant added to every energy.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// The fields: h_k for spins (N of them), h_k(s) at k·q + s for Potts variables.
    pub fn fields(&self) -> &[f64] {
        &self.fields
    }

    /// The sides of the periodic lattice that this was built as, else empty.
    pub fn sides(&self) -> &[usize] {
        &self.sides
    }

    /// True if every coupling is stored, zeros too; see [`Problem::dense`].
    pub fn is_dense(&self) -> bool {
        self.couplings.is_dense()
    }

    /// Every coupling (k, l, J_kl) with k < l and J_kl ≠ 0.
    pub fn couplings(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        (0..self.len()).flat_map(move |k| {
            self.couplings.row(k).filter(move |&(l, weight)| l > k && weight != 0.0).map(move |(l, w)| (k, l, w))
        })
    }

    /// The variables coupled with variable `k` and their couplings; nothing if there is no such variable.
    pub fn neighbours(&self, k: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.couplings.row(k).filter(|&(_, weight)| weight != 0.0)
    }

    /// E(x).
    ///
    /// # Errors
    /// A wrong length, or a value that no variable can have.
    pub fn energy(&self, values: &[u8]) -> Result<f64, Error> {
        self.check(values)?;
        Ok(self.energy_of(values))
    }

    /// E(x) of spins from their local fields, as chains keep them: offset − ½ Σ_k x_k (h_k + λ_k), the terms rounded to
    /// f64 and added in eight sums by k mod 8, which are added in their order.
    ///
    /// # Errors
    /// Potts variables, or `values` or `fields` that do not fit.
    pub fn kept_energy(&self, values: &[u8], fields: &[f32]) -> Result<f64, Error> {
        if self.variables != Variables::Spin {
            return Err(Error::Unsupported { what: "a local field", needs: "spins" });
        }
        self.check(values)?;
        length("the local fields", fields.len(), self.len())?;
        Ok(vectorize(Kept { problem: self, values, fields }))
    }

    /// For a spin, the local field λ_k = h_k + Σ_l J_kl x_l, in f64: E changes by 2 x_k λ_k when it flips.
    ///
    /// # Errors
    /// Potts variables, no such variable, or `values` that do not fit.
    pub fn local_field(&self, k: usize, values: &[u8]) -> Result<f64, Error> {
        if self.variables != Variables::Spin {
            return Err(Error::Unsupported { what: "a local field", needs: "spins" });
        }
        index("variable", k, self.len())?;
        self.check(values)?;
        Ok(self.fields[k] + self.couplings.row(k).map(|(l, weight)| weight * spin(values[l])).sum::<f64>())
    }

    /// E(x with x_k = `value`) − E(x), in f64.
    ///
    /// # Errors
    /// No such variable or value, or `values` that do not fit.
    pub fn gap(&self, k: usize, value: u8, values: &[u8]) -> Result<f64, Error> {
        index("variable", k, self.len())?;
        index("value", usize::from(value), self.variables.states())?;
        self.check(values)?;
        Ok(self.potential(k, value, values) - self.potential(k, values[k], values))
    }

    /// `Ok` if `values` is a configuration of this problem.
    pub(crate) fn check(&self, values: &[u8]) -> Result<(), Error> {
        length("the configuration", values.len(), self.len())?;
        let states = self.variables.states();
        values.iter().try_for_each(|&value| index("value", usize::from(value), states))
    }

    /// The part of E that depends on x_k, if it were `value`.
    fn potential(&self, k: usize, value: u8, values: &[u8]) -> f64 {
        match self.variables {
            Variables::Spin => {
                let field: f64 = self.couplings.row(k).map(|(l, weight)| weight * spin(values[l])).sum();
                -(self.fields[k] + field) * spin(value)
            }
            Variables::Potts(q) => {
                let same = self.couplings.row(k).filter(|&(l, _)| values[l] == value).map(|(_, weight)| weight);
                -(self.fields[k * usize::from(q) + usize::from(value)] + same.sum::<f64>())
            }
        }
    }

    /// E(x) of a configuration that fits.
    pub(crate) fn energy_of(&self, values: &[u8]) -> f64 {
        let (twice, fields) = match self.variables {
            Variables::Spin => {
                let fields = values.iter().zip(&self.fields).map(|(&value, field)| spin(value) * field);
                (vectorize(Twice { couplings: &self.couplings, values }), fields.sum::<f64>())
            }
            Variables::Potts(q) => {
                let (mut twice, mut fields) = (0.0, 0.0);
                for (k, &value) in values.iter().enumerate() {
                    twice += self.couplings.row(k).filter(|&(l, _)| values[l] == value).map(|(_, w)| w).sum::<f64>();
                    fields += self.fields[k * usize::from(q) + usize::from(value)];
                }
                (twice, fields)
            }
        };
        self.offset - 0.5 * twice - fields
    }

    /// λ_k as Markov chains see it: rounded weights, added in the order of the neighbours.
    #[inline(always)]
    pub(crate) fn rounded_field(&self, k: usize, values: &[u8]) -> f32 {
        self.couplings.add_spins(self.rounded_fields[k], k, values)
    }

    /// −(the part of E that depends on x_k), if it were `value`, as Markov chains see it.
    #[inline(always)]
    pub(crate) fn rounded_weight(&self, k: usize, value: u8, values: &[u8]) -> f32 {
        let q = self.variables.states();
        self.couplings.add_equal(self.rounded_fields[k * q + usize::from(value)], k, value, values)
    }

    pub(crate) fn rounded_fields(&self) -> &[f32] {
        &self.rounded_fields
    }

    pub(crate) fn table(&self) -> &Couplings {
        &self.couplings
    }
}

/// Σ_k x_k Σ_l J_kl x_l, each pair twice.
struct Twice<'a> {
    couplings: &'a Couplings,
    values: &'a [u8],
}

impl Task for Twice<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Self { couplings, values } = self;
        values.iter().enumerate().map(|(k, &value)| spin(value) * couplings.spin_sum(k, values)).sum()
    }
}

/// [`Problem::kept_energy`].
struct Kept<'a> {
    problem: &'a Problem,
    values: &'a [u8],
    fields: &'a [f32],
}

impl Task for Kept<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Self { problem, values, fields } = self;
        let mut sums = [0.0; 8];
        for ((own, fields), values) in problem.fields.chunks(8).zip(fields.chunks(8)).zip(values.chunks(8)) {
            for (sum, ((own, &field), &value)) in sums.iter_mut().zip(own.iter().zip(fields).zip(values)) {
                *sum += spin(value) * (own + f64::from(field));
            }
        }
        problem.offset - 0.5 * sums.iter().sum::<f64>()
    }
}

/// The spin ±1 of a value 1 or 0.
///
/// ```
/// assert_eq!([yuragi_energy::spin(0), yuragi_energy::spin(1)], [-1.0, 1.0]);
/// ```
#[inline(always)]
pub fn spin(value: u8) -> f64 {
    f64::from(2 * i16::from(value) - 1)
}

/// [`spin`] in f32.
#[inline(always)]
pub(crate) fn spin32(value: u8) -> f32 {
    f32::from(2 * i16::from(value) - 1)
}
