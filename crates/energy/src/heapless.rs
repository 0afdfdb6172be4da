//! Markov chains over slices that the caller owns: nothing here allocates, so that a microcontroller without a heap draws
//! the same bits as the samplers over [`Replicas`](crate::Replicas).
//!
//! ```
//! use yuragi_energy::{Spins, dynamics::Rule, heapless::Chain, schedule::Ramp};
//! // Three spins, each coupled with both others by −1: one bond is always broken.
//! let spins = Spins::new(&[0, 2, 4, 6], &[1, 2, 0, 2, 0, 1], &[-1.0; 6], &[])?;
//! let mut values = [0; 3];
//! let mut chain = Chain::start(spins, Rule::Metropolis, &mut values, 7, 0)?;
//! let ramp = Ramp::linear(0.1, 3.0, 100);
//! for sweep in 0..ramp.sweeps() {
//!     chain.sweep(sweep, ramp.beta(sweep));
//! }
//! assert_eq!(chain.energy(), -1.0);
//! # Ok::<(), yuragi_energy::heapless::Error>(())
//! ```

use core::fmt;

use crate::draw::{self, Draws, ReadDraws, Source, Stream, threshold};
use crate::dynamics::{Rule, spin_outcome, spin_threshold};
use crate::problem::{Spins, spin};
use crate::rbm::Units;
use yuragi_numeric::elementary::sigmoid;

/// Slices that are no problem, no machine or no state of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A slice of the wrong length.
    Length {
        /// The argument.
        what: &'static str,
        /// The length given.
        got: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A row whose columns do not ascend, name no spin, or name the row's own.
    Row {
        /// The row.
        row: usize,
    },
    /// Entries (k, l) and (l, k) that differ.
    Asymmetric {
        /// k.
        row: usize,
        /// l.
        column: usize,
    },
    /// A number that is NaN, infinite or above 10³⁷ in size.
    Number {
        /// The argument.
        what: &'static str,
        /// Its place.
        index: usize,
    },
    /// Units that a machine without a heap does not have.
    Gaussian,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { what, got, expected } => write!(f, "{what} has {got} values; it must have {expected}"),
            Self::Row { row } => {
                write!(f, "the columns of row {row} must ascend, exist, and not be {row} itself")
            }
            Self::Asymmetric { row, column } => {
                write!(f, "the couplings ({row}, {column}) and ({column}, {row}) differ; the matrix must be symmetric")
            }
            Self::Number { what, index } => write!(f, "{what} has at {index} a number that is not within ±10³⁷"),
            Self::Gaussian => write!(f, "a machine without a heap needs two-state units"),
        }
    }
}

impl core::error::Error for Error {}

fn length(what: &'static str, got: usize, expected: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Length { what, got, expected }) }
}

fn numbers(what: &'static str, numbers: &[f32]) -> Result<(), Error> {
    let wrong = numbers.iter().position(|number| !(-1e37..=1e37).contains(number));
    wrong.map_or(Ok(()), |index| Err(Error::Number { what, index }))
}

impl<'a> Spins<'a> {
    /// N spins: `starts` has N + 1 places in `columns` and `weights`, `fields` N values, or none for h = 0.
    ///
    /// # Errors
    /// Lengths that do not fit, rows that are not in order, a matrix that is not symmetric, numbers that are not finite.
    pub fn new(starts: &'a [usize], columns: &'a [u32], weights: &'a [f32], fields: &'a [f32]) -> Result<Self, Error> {
        let spins = Self { starts, columns, weights, fields };
        let n = spins.len();
        length("the starts of the rows", starts.len(), n.max(1) + 1)?;
        length("the weights", weights.len(), columns.len())?;
        if starts[0] != 0 {
            return Err(Error::Row { row: 0 });
        }
        length("the starts' last", starts[n], columns.len())?;
        length("the fields", fields.len(), if fields.is_empty() { 0 } else { n })?;
        numbers("the weights", weights)?;
        numbers("the fields", fields)?;
        if let Some(row) = (0..n).find(|&k| starts[k] > starts[k + 1] || starts[k + 1] > columns.len()) {
            return Err(Error::Row { row });
        }
        for k in 0..n {
            let (columns, _) = spins.row(k);
            let legal = |&l: &u32| (l as usize) < n && l as usize != k;
            if !columns.iter().all(legal) || !columns.is_sorted_by(|a, b| a < b) {
                return Err(Error::Row { row: k });
            }
        }
        for k in 0..n {
            let (columns, weights) = spins.row(k);
            for (&l, weight) in columns.iter().zip(weights) {
                let column = l as usize;
                let (back, others) = spins.row(column);
                let same = back.binary_search(&(k as u32)).is_ok_and(|at| others[at] == *weight);
                if !same {
                    return Err(Error::Asymmetric { row: k, column });
                }
            }
        }
        Ok(spins)
    }

    /// E(x) = −Σ_{k<l} J_kl x_k x_l − Σ_k h_k x_k in f64, of values 0 for −1 and 1 for +1.
    ///
    /// # Errors
    /// Not as many values as spins.
    pub fn energy(&self, values: &[u8]) -> Result<f64, Error> {
        length("the configuration", values.len(), self.len())?;
        Ok(self.energy_of(values))
    }

    fn energy_of(&self, values: &[u8]) -> f64 {
        let (mut twice, mut fields) = (0.0, 0.0);
        for (k, &value) in values.iter().enumerate() {
            let (columns, weights) = self.row(k);
            let row = columns.iter().zip(weights).map(|(&l, &weight)| f64::from(weight) * spin(values[l as usize]));
            twice += spin(value) * row.sum::<f64>();
            fields += spin(value) * f64::from(self.own(k));
        }
        -0.5 * twice - fields
    }
}

/// One read of spins, whose values lie in the caller's slice: single spins drawn in the order of the sites.
///
/// It is the read of that number and seed of [`batch`](crate::replicas::batch()) with
/// [`Metropolis`](crate::dynamics::Metropolis) or [`HeatBath`](crate::dynamics::HeatBath) on the same sparse problem,
/// bit for bit.
#[derive(Debug)]
pub struct Chain<'a> {
    spins: Spins<'a>,
    rule: Rule,
    values: &'a mut [u8],
    draws: Draws,
    read: u32,
}

impl<'a> Chain<'a> {
    /// Read number `read` of a seed in the random configuration that it begins with, written to `values`.
    ///
    /// # Errors
    /// Not as many values as spins.
    pub fn start(spins: Spins<'a>, rule: Rule, values: &'a mut [u8], seed: u64, read: u32) -> Result<Self, Error> {
        length("the configuration", values.len(), spins.len())?;
        let draws = Draws::new(seed);
        draw::start(&mut ReadDraws { draws, sweep: 0, read }, values);
        Ok(Self { spins, rule, values, draws, read })
    }

    /// Sweep number `sweep` at an inverse temperature.
    pub fn sweep(&mut self, sweep: u32, beta: f32) {
        let mut source = ReadDraws { draws: self.draws, sweep, read: self.read };
        for k in 0..self.values.len() {
            let value = self.values[k];
            let threshold = spin_threshold(self.rule, value, self.spins.field(k, self.values), beta);
            let below = source.chance(k as u32, Stream::Accept, threshold);
            self.values[k] = spin_outcome(self.rule, value, below);
        }
    }

    /// The configuration: 0 for −1, 1 for +1.
    pub fn values(&self) -> &[u8] {
        self.values
    }

    /// E of the configuration.
    pub fn energy(&self) -> f64 {
        self.spins.energy_of(self.values)
    }
}

/// A restricted Boltzmann machine of two-state units over slices.
///
/// Draws are those of [`Rbm`](crate::rbm::Rbm) wherever the fields b + Wh and c + vᵀW are: always to the bit where sums
/// of the weights are exact in f32 (multiples of a power of two that are not too large), else but for the order of sums.
///
/// ```
/// use yuragi_energy::{draw::Draws, heapless::Machine, rbm::Units};
/// let machine = Machine::new([Units::Binary; 2], &[2.0, -1.0], &[0.0, 0.5], &[-0.5])?;
/// let (mut v, mut h) = ([0.0; 2], [0.0; 1]);
/// machine.gibbs(&mut v, &mut h, 10, Draws::new(1), 0, 0)?;
/// assert!(v.iter().chain(&h).all(|&x| x == 0.0 || x == 1.0));
/// # Ok::<(), yuragi_energy::heapless::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    visible_units: Units,
    hidden_units: Units,
    weights: &'a [f32],
    visible_bias: &'a [f32],
    hidden_bias: &'a [f32],
}

impl<'a> Machine<'a> {
    /// Units of the visible and the hidden layer, W_ij at i·hidden + j, b and c.
    ///
    /// # Errors
    /// Gaussian units, weights that are not visible × hidden, numbers that are not finite.
    pub fn new(
        [visible_units, hidden_units]: [Units; 2],
        weights: &'a [f32],
        visible_bias: &'a [f32],
        hidden_bias: &'a [f32],
    ) -> Result<Self, Error> {
        if visible_units == Units::Gaussian || hidden_units == Units::Gaussian {
            return Err(Error::Gaussian);
        }
        length("the weights", weights.len(), visible_bias.len().saturating_mul(hidden_bias.len()))?;
        numbers("the weights", weights)?;
        numbers("the visible biases", visible_bias)?;
        numbers("the hidden biases", hidden_bias)?;
        Ok(Self { visible_units, hidden_units, weights, visible_bias, hidden_bias })
    }

    /// Draws h given v, as read `read` of sweep `step`.
    ///
    /// # Errors
    /// Layers of the wrong length.
    pub fn sample_hidden(&self, v: &[f32], h: &mut [f32], draws: Draws, step: u32, read: u32) -> Result<(), Error> {
        self.check(v, h)?;
        let hidden = h.len();
        for (j, h) in h.iter_mut().enumerate() {
            let column = self.weights.iter().skip(j).step_by(hidden);
            let field = v.iter().zip(column).fold(self.hidden_bias[j], |sum, (v, w)| sum + v * w);
            *h = draw_unit(self.hidden_units, field, draws, (step, (v.len() + j) as u32, read));
        }
        Ok(())
    }

    /// Draws v given h, as read `read` of sweep `step`.
    ///
    /// # Errors
    /// Layers of the wrong length.
    pub fn sample_visible(&self, h: &[f32], v: &mut [f32], draws: Draws, step: u32, read: u32) -> Result<(), Error> {
        self.check(v, h)?;
        for (i, v) in v.iter_mut().enumerate() {
            let row = &self.weights[i * h.len()..];
            let field = h.iter().zip(row).fold(self.visible_bias[i], |sum, (h, w)| sum + h * w);
            *v = draw_unit(self.visible_units, field, draws, (step, i as u32, read));
        }
        Ok(())
    }

    /// `steps` steps of block Gibbs sampling from `v`, drawn as sweeps `first`, `first + 1`, … of read `read`: h given v,
    /// then v given h.
    ///
    /// # Errors
    /// Layers of the wrong length.
    pub fn gibbs(
        &self,
        v: &mut [f32],
        h: &mut [f32],
        steps: u32,
        draws: Draws,
        first: u32,
        read: u32,
    ) -> Result<(), Error> {
        self.check(v, h)?;
        for step in 0..steps {
            let step = first.wrapping_add(step);
            self.sample_hidden(v, h, draws, step, read)?;
            self.sample_visible(h, v, draws, step, read)?;
        }
        Ok(())
    }

    fn check(&self, v: &[f32], h: &[f32]) -> Result<(), Error> {
        length("the visible values", v.len(), self.visible_bias.len())?;
        length("the hidden values", h.len(), self.hidden_bias.len())
    }
}

/// The unit at `site` of a sweep and read, given its field.
fn draw_unit(units: Units, field: f32, draws: Draws, (step, site, read): (u32, u32, u32)) -> f32 {
    let (low, high, scale) = units.two_state();
    if draws.chance(step, site, Stream::Unit, read, threshold(sigmoid(scale * field))) { high } else { low }
}
