//! Annealing backwards: log-probabilities of data from below, and ln Z from above.

use super::Rbm;
use super::layers::Scratch;
use super::partition::Path;
use crate::draw::Draws;
use crate::error::{Error, counter, range};
use crate::sampler::{Hook, report};
use crate::statistics::{Estimate, log_mean_exp};
use alloc::vec::Vec;

/// ln of unbiased estimates of q_ann(v) for each row v: RAISE, the reverse AIS estimator (Burda, Grosse and
/// Salakhutdinov, *AISTATS* 2015), with `chains` chains of `steps` steps each; the errors are those of the means over
/// chains, and infinite for one chain.
///
/// q_ann is the annealing model: v drawn from the base (as in
/// [`annealed_log_z`](super::partition::annealed_log_z)), then changed by one block Gibbs step under each of p_β,
/// β = 1/steps, 2/steps, …, 1. Chains that start from a row and run the steps backwards have weights w with ⟨w⟩ =
/// q_ann(v), so that ⟨ln w⟩ ≤ ln q_ann(v). By Gibbs' inequality ln q_ann is below ln q in the mean over draws v of
/// the machine itself, and approaches it as the steps become more: −F(v) − ln Z with ln Z by AIS errs upwards, and
/// the two enclose the truth.
///
/// # Errors
/// Gaussian visible units, no row, rows that are not whole, no chain, no step, a base of another length, or
/// [`Error::Cancelled`].
///
/// ```
/// use yuragi_energy::{rbm::{Rbm, Units, partition::exact_log_z, raise::raise}, sampler::quiet};
/// let mut rbm = Rbm::new(6, 4, Units::Binary, Units::Binary)?;
/// rbm.randomize(0.5, 1);
/// let v = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
/// let estimate = raise(&rbm, &rbm.visible_bias, &v, (200, 100), 1, &mut quiet)?[0];
/// let exact = -rbm.free_energies(&v)?[0] - exact_log_z(&rbm)?;
/// assert!((estimate.value - exact).abs() < 0.1);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
pub fn raise(
    rbm: &Rbm,
    base: &[f32],
    v: &[f32],
    (steps, chains): (u32, u32),
    seed: u64,
    hook: Hook<'_>,
) -> Result<Vec<Estimate>, Error> {
    range("the number of chains", chains.into(), chains > 0, "at least 1")?;
    let rows = rbm.rows(v)?;
    range("the number of rows", rows as f64, rows > 0, "at least 1")?;
    let starts: Vec<f32> = v.chunks(rbm.visible).flat_map(|row| row.repeat(chains as usize)).collect();
    let ratios = reversed(rbm, base, &starts, steps, seed, hook)?;
    let estimates = ratios.chunks(chains as usize).zip(rbm.free_energies(v)?).map(|(ratios, free_energy)| {
        let Estimate { value, error } = log_mean_exp(ratios);
        Estimate { value: value - free_energy, error }
    });
    Ok(estimates.collect())
}

/// ln Z by reverse annealed importance sampling from rows `v` that must be drawn from the machine: the mean of
/// w·e^F(v) over chains backwards from them is 1/Z, so that the expectation is at least the truth.
///
/// # Errors
/// As [`raise`].
pub fn reverse_annealed_log_z(
    rbm: &Rbm,
    base: &[f32],
    v: &[f32],
    steps: u32,
    seed: u64,
    hook: Hook<'_>,
) -> Result<Estimate, Error> {
    let rows = rbm.rows(v)?;
    range("the number of rows", rows as f64, rows > 0, "at least 1")?;
    // The weights lack ln Z_0 of p_0.
    let ratio = log_mean_exp(&reversed(rbm, base, v, steps, seed, hook)?);
    Ok(Estimate { value: -ratio.value, error: ratio.error })
}

/// ln w + F(v) of a chain from each row v: Σ_k (ln p*_(k−1)(x_k) − ln p*_k(x_k)) − ln Z_0, where x_k comes from
/// x_(k+1) by a step under p_k and x_(steps+1) is the row.
fn reversed(rbm: &Rbm, base: &[f32], starts: &[f32], steps: u32, seed: u64, hook: Hook<'_>) -> Result<Vec<f64>, Error> {
    let path = Path::new(rbm, base, steps)?;
    let chains = counter("the number of chains", starts.len() / rbm.visible)?;
    let draws = Draws::new(seed);
    let mut sums = alloc::vec![-path.log_z0(); chains as usize];
    let mut v = starts.to_vec();
    let (mut hidden, mut scratch) = (Vec::new(), Scratch::default());
    rbm.hidden_fields_to(&mut hidden, &v, &mut scratch);
    for (done, k) in (1..).zip((1..=steps).rev()) {
        path.gibbs(k, (&mut v, &mut hidden), draws, (k, 0), &mut scratch);
        rbm.hidden_fields_to(&mut hidden, &v, &mut scratch);
        path.add_log_ratios(k, &v, &hidden, -1.0, &mut sums);
        report(hook, done, steps.into())?;
    }
    Ok(sums)
}
