//! Expectation–maximisation for any model with latent variables (Dempster, Laird and Rubin 1977), and
//! the variational bound that it climbs (Neal and Hinton 1998).
//!
//! For one observation x and a latent z with finitely many states, everything follows from the list of
//! ln q(x, z). For every distribution r over z,
//!
//! ln q(x) = Σ r(z) ln(q(x,z)/r(z)) + D(r(z)‖q(z|x)):
//!
//! the [`bound`] and the [`gap`]. The E step closes the gap by r(z) = q(z|x); the M step raises the
//! bound with r held, which is raising the [`q_function`] Σ r(z) ln q(x,z), since r's entropy is fixed.
//! So the likelihood never falls.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use yuragi_numeric::special::{log_sum_exp, sum};

use crate::Error;
use crate::distribution::divergence_log_term;
use crate::error::{length, range};

/// A model whose likelihood has a bound that can be made tight (E) and then raised (M). `D` is what the
/// model learns from.
///
/// [`GaussianMixture`](crate::GaussianMixture) and [`Mixture`](crate::Mixture) are such models.
pub trait ExpectationMaximization<D: ?Sized> {
    /// r, or what the M step needs of it: expected sufficient statistics.
    type Expectation;
    /// What can go wrong.
    type Error;

    /// The E step: r(z) = q(z|x) for every observation, and the bound per observation, which with this
    /// r is the mean log-likelihood. A model whose posterior is out of reach gives its nearest r and
    /// the bound with that.
    ///
    /// # Errors
    /// Those of the model.
    fn expectation(&self, data: &D) -> Result<(f64, Self::Expectation), Self::Error>;

    /// The M step: the parameters that maximise the bound with r held; raising it is enough.
    ///
    /// # Errors
    /// Those of the model.
    fn maximization(&mut self, data: &D, expectation: Self::Expectation) -> Result<(), Self::Error>;
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// At most so many M steps.
    pub iterations: usize,
    /// Converged when the bound rises by less than this per observation.
    pub tolerance: f64,
}

impl Default for Limits {
    /// 100 iterations, and 10⁻³ nats.
    fn default() -> Self {
        Self { iterations: 100, tolerance: 1e-3 }
    }
}

/// Where an ascent is, told between its iterations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// M steps taken.
    pub iteration: usize,
    /// The bound per observation of the model as it is.
    pub bound: f64,
    /// What the last iteration added to it; ∞ before the first.
    pub change: f64,
}

/// Why an ascent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The bound rose by less than the tolerance.
    Converged,
    /// All iterations were taken.
    Iterations,
    /// The hook said so.
    Cancelled,
}

/// What an ascent did.
#[derive(Clone, Debug, PartialEq)]
pub struct Ascent {
    /// The bound per observation at the start and after every iteration; the last is that of the model
    /// as it was left.
    pub bounds: Vec<f64>,
    /// Why it ended.
    pub end: End,
}

impl Ascent {
    /// The bound of the model as it was left.
    pub fn bound(&self) -> f64 {
        self.bounds.last().copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// M steps taken.
    pub fn iterations(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }
}

/// Alternates E and M steps. `hook` is told the progress before every M step and after the last one,
/// and cancels by [`ControlFlow::Break`]; the model keeps what it has learned.
///
/// # Errors
/// Those of the model; the model is then as its last complete step left it.
pub fn ascend<D, M>(
    model: &mut M,
    data: &D,
    limits: &Limits,
    mut hook: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Ascent, M::Error>
where
    D: ?Sized,
    M: ExpectationMaximization<D>,
{
    let (bound, mut expectation) = model.expectation(data)?;
    let mut progress = Progress { iteration: 0, bound, change: f64::INFINITY };
    let mut bounds = Vec::from([bound]);
    let end = loop {
        if hook(progress).is_break() {
            break End::Cancelled;
        }
        if progress.change < limits.tolerance {
            break End::Converged;
        }
        if progress.iteration >= limits.iterations {
            break End::Iterations;
        }
        model.maximization(data, expectation)?;
        let (bound, next) = model.expectation(data)?;
        expectation = next;
        progress = Progress { iteration: progress.iteration + 1, bound, change: bound - progress.bound };
        bounds.push(bound);
    };
    Ok(Ascent { bounds, end })
}

/// Overwrites `r` by q(z|x) = q(x,z)/q(x) and gives ln q(x). Where every q(x,z) is 0, `r` is uniform.
///
/// ```
/// use yuragi_distributions::em;
/// # fn main() -> Result<(), yuragi_distributions::Error> {
/// let log_joint = [0.1f64.ln(), 0.3f64.ln()];
/// let mut r = [0.0; 2];
/// let evidence = em::posterior(&log_joint, &mut r)?;
/// assert!((evidence - 0.4f64.ln()).abs() < 1e-15 && (r[0] - 0.25).abs() < 1e-15);
/// // Any other r leaves a gap.
/// let r = [0.5, 0.5];
/// assert!((em::bound(&log_joint, &r)? + em::gap(&log_joint, &r)? - evidence).abs() < 1e-15);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// No states, lists of different lengths, or a ln q(x,z) that is NaN or +∞.
pub fn posterior(log_joint: &[f64], r: &mut [f64]) -> Result<f64, Error> {
    check_joint(log_joint, r.len())?;
    let evidence = log_sum_exp(log_joint);
    let uniform = 1.0 / log_joint.len() as f64;
    for (r, log_joint) in r.iter_mut().zip(log_joint) {
        *r = if evidence == f64::NEG_INFINITY { uniform } else { libm::exp(log_joint - evidence) };
    }
    Ok(evidence)
}

/// The variational bound Σ r(z) ln(q(x,z)/r(z)); −∞ if r has probability where q(x,z) has none.
///
/// # Errors
/// Those of [`posterior`], or an r that is no distribution to 10⁻⁹.
pub fn bound(log_joint: &[f64], r: &[f64]) -> Result<f64, Error> {
    check(log_joint, r)?;
    let entropy = sum(r.iter().filter(|r| **r > 0.0).map(|r| -r * libm::log(*r)));
    Ok(expected(log_joint, r) + entropy)
}

/// What the bound lacks: D(r(z)‖q(z|x)), which is at least 0, and 0 only for r(z) = q(z|x).
///
/// # Errors
/// Those of [`bound`].
pub fn gap(log_joint: &[f64], r: &[f64]) -> Result<f64, Error> {
    check(log_joint, r)?;
    let evidence = log_sum_exp(log_joint);
    if evidence == f64::NEG_INFINITY {
        return Err(Error::Degenerate { what: "q(z|x)", why: "q(x, z) is 0 for every z" });
    }
    Ok(sum(log_joint.iter().zip(r).map(|(log_joint, r)| divergence_log_term(libm::log(*r), log_joint - evidence))))
}

/// Q(θ, θ₀) = Σ r(z) ln q_θ(x,z), with r(z) = q_θ₀(z|x): the surrogate that the M step maximises.
///
/// # Errors
/// Those of [`bound`].
pub fn q_function(log_joint: &[f64], r: &[f64]) -> Result<f64, Error> {
    check(log_joint, r)?;
    Ok(expected(log_joint, r))
}

fn expected(log_joint: &[f64], r: &[f64]) -> f64 {
    sum(log_joint.iter().zip(r).filter(|(_, r)| **r > 0.0).map(|(log_joint, r)| r * log_joint))
}

fn check_joint(log_joint: &[f64], states: usize) -> Result<(), Error> {
    range("the number of states", log_joint.len() as f64, !log_joint.is_empty(), "at least 1")?;
    length("r", states, log_joint.len())?;
    for value in log_joint {
        range("ln q(x, z)", *value, *value < f64::INFINITY, "below infinity")?;
    }
    Ok(())
}

fn check(log_joint: &[f64], r: &[f64]) -> Result<(), Error> {
    check_joint(log_joint, r.len())?;
    for r in r {
        range("r(z)", *r, (0.0..=1.0 + 1e-9).contains(r), "in [0, 1]")?;
    }
    let total = sum(r.iter().copied());
    range("the sum of r(z)", total, (total - 1.0).abs() <= 1e-9, "1, to 1e-9")
}
