//! Partition functions: exactly where one layer is small, else by annealed importance sampling.

use super::layers::{Scratch, log_sums};
use super::{Rbm, Units};
use crate::draw::Draws;
use crate::error::{Error, length, range};
use crate::parallel::beside;
use crate::sampler::{Hook, report};
use crate::shares;
use crate::statistics::{Estimate, log_expectation};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};
use yuragi_graph::{Alone, Collective};
use yuragi_numeric::special::{Sum, log_sum_exp};

/// The largest layer whose states are enumerated.
pub const LARGEST: usize = 24;

/// ln Z, by a Gray code over the states of the smaller two-state layer with at most [`LARGEST`] units, the other
/// layer summed out.
///
/// # Errors
/// No such layer.
pub fn exact_log_z(rbm: &Rbm) -> Result<f64, Error> {
    let visible_fits = rbm.visible_units != Units::Gaussian && rbm.visible <= LARGEST;
    if visible_fits && (rbm.visible <= rbm.hidden || rbm.hidden > LARGEST) {
        return log_z_over_visible(rbm);
    }
    log_z_over_hidden(rbm)
}

/// ln Z by the states of the hidden layer.
///
/// # Errors
/// More than [`LARGEST`] hidden units.
pub fn log_z_over_hidden(rbm: &Rbm) -> Result<f64, Error> {
    rbm.rows(&[])?;
    let (n, m) = (rbm.visible, rbm.hidden);
    range("the number of hidden units", m as f64, m <= LARGEST, "at most 24, for the exact partition function")?;
    let weight = |j: usize, i: usize| f64::from(rbm.weights[i * m + j]);
    let bias: Vec<f64> = rbm.visible_bias.iter().map(|&b| b.into()).collect();
    let own: Vec<f64> = rbm.hidden_bias.iter().map(|&c| c.into()).collect();
    let terms =
        |fields: &[f64]| -> f64 { fields.iter().zip(&bias).map(|(&x, &b)| visible_sum(rbm.visible_units, x, b)).sum() };
    Ok(gray(&own, &bias, n, weight, rbm.hidden_units, terms))
}

/// ln Z by the states of the visible layer.
///
/// # Errors
/// Gaussian visible units, or more than [`LARGEST`].
pub fn log_z_over_visible(rbm: &Rbm) -> Result<f64, Error> {
    rbm.rows(&[])?;
    let (n, m) = (rbm.visible, rbm.hidden);
    if rbm.visible_units == Units::Gaussian {
        return Err(Error::Unsupported { what: "a sum over the visible layer", needs: "two-state visible units" });
    }
    range("the number of visible units", n as f64, n <= LARGEST, "at most 24, for the exact partition function")?;
    let weight = |i: usize, j: usize| f64::from(rbm.weights[i * m + j]);
    let bias: Vec<f64> = rbm.hidden_bias.iter().map(|&c| c.into()).collect();
    let own: Vec<f64> = rbm.visible_bias.iter().map(|&b| b.into()).collect();
    let terms = |fields: &[f64]| -> f64 { fields.iter().map(|&x| rbm.hidden_units.log_sum(x)).sum() };
    Ok(gray(&own, &bias, m, weight, rbm.visible_units, terms))
}

/// ln ∫ or Σ over one visible unit, of field x = b + Σ W h. For Gaussian units ∫ exp(−½(v − b)² + v(x − b)) dv.
fn visible_sum(units: Units, x: f64, b: f64) -> f64 {
    if units == Units::Gaussian { units.log_sum(x) - 0.5 * b * b } else { units.log_sum(x) }
}

/// ln Σ over the states s of one layer of exp(own·s + terms(bias + Wᵀs)).
fn gray(
    own: &[f64],
    bias: &[f64],
    others: usize,
    weight: impl Fn(usize, usize) -> f64,
    units: Units,
    terms: impl Fn(&[f64]) -> f64,
) -> f64 {
    let (low, high, _) = units.two_state();
    let (low, step) = (f64::from(low), f64::from(high - low));
    let mut fields: Vec<Sum> = alloc::vec![Sum::default(); others];
    let mut linear = Sum::default();
    for (i, field) in fields.iter_mut().enumerate() {
        *field += bias[i];
        (0..own.len()).for_each(|unit| *field += low * weight(unit, i));
    }
    own.iter().for_each(|x| linear += low * x);
    let count = 1usize << own.len();
    let mut exponents = Vec::with_capacity(count);
    let mut now = alloc::vec![0.0; others];
    let mut state = 0usize;
    for i in 0..count {
        if i > 0 {
            let unit = i.trailing_zeros() as usize;
            state ^= 1 << unit;
            let change = if state >> unit & 1 == 1 { step } else { -step };
            linear += change * own[unit];
            fields.iter_mut().enumerate().for_each(|(i, field)| *field += change * weight(unit, i));
        }
        now.iter_mut().zip(&fields).for_each(|(now, field)| *now = field.value());
        exponents.push(linear.value() + terms(&now));
    }
    log_sum_exp(&exponents)
}

/// ln Z by annealed importance sampling (Neal 2001; Salakhutdinov and Murray, *ICML* 2008), with its standard
/// error. `base` are the visible biases b_A of the machine without weights that the chains start from: those of
/// the data's means are best.
///
/// The path is p_β(v) ∝ exp(((1−β)b_A + βb)ᵀv) Π_j Σ_h exp(β(c_j + Σ_i W_ij v_i)h), from β = 0, where
/// Z is known, to 1, in equal steps of one block Gibbs step each.
///
/// # Errors
/// Gaussian visible units, no chain, no step, a base of another length, or [`Error::Cancelled`].
pub fn annealed_log_z(
    rbm: &Rbm,
    base: &[f32],
    (steps, chains): (u32, u32),
    seed: u64,
    hook: Hook<'_>,
) -> Result<Estimate, Error> {
    annealed_log_z_on((&Alone, 1), rbm, base, (steps, chains), seed, hook)
}

/// [`annealed_log_z`] with the chains shared out among ranks, and those of each rank among so many threads, which takes the
/// feature `std`. A chain draws by its number, so that the estimate is the same, bit for bit, on any number of both; 8 bytes
/// a chain are sent, when all have ended.
///
/// ```
/// use yuragi_energy::{rbm::{Rbm, Units, partition::{annealed_log_z, annealed_log_z_on}}, sampler::quiet};
/// use yuragi_graph::Alone; // one rank; others come from an engine such as MPI
/// let mut rbm = Rbm::new(6, 4, Units::Binary, Units::Binary)?;
/// rbm.randomize(0.5, 1);
/// let alone = annealed_log_z(&rbm, &rbm.visible_bias, (100, 50), 1, &mut quiet)?;
/// assert_eq!(annealed_log_z_on((&Alone, 3), &rbm, &rbm.visible_bias, (100, 50), 1, &mut quiet)?, alone);
/// # Ok::<(), yuragi_energy::Error>(())
/// ```
///
/// # Errors
/// Those of [`annealed_log_z`], cancelled on all ranks if on one, or a rank that is gone.
pub fn annealed_log_z_on(
    (collective, threads): (&dyn Collective, usize),
    rbm: &Rbm,
    base: &[f32],
    (steps, chains): (u32, u32),
    seed: u64,
    hook: Hook<'_>,
) -> Result<Estimate, Error> {
    let path = Path::new(rbm, base, steps)?;
    range("the number of chains", chains.into(), chains > 0, "at least 1")?;
    let here = |own: Range<usize>| path.run(own, threads, Draws::new(seed), hook);
    let ratio = log_expectation(&shares::numbers(collective, (chains as usize, 1), here)?);
    Ok(Estimate { value: path.log_z0() + ratio.value, error: ratio.error })
}

/// Chains that are worth a thread.
const FEW: usize = 4;

/// The distributions p_β(v) ∝ exp(((1−β)b_A + βb)ᵀv) Π_j Σ_h exp(β(c_j + Σ_i W_ij v_i)h), β = k/steps.
pub(super) struct Path<'a> {
    rbm: &'a Rbm,
    base: &'a [f32],
    steps: u32,
}

impl<'a> Path<'a> {
    pub(super) fn new(rbm: &'a Rbm, base: &'a [f32], steps: u32) -> Result<Self, Error> {
        rbm.rows(&[])?;
        if rbm.visible_units == Units::Gaussian {
            return Err(Error::Unsupported { what: "annealed importance sampling", needs: "two-state visible units" });
        }
        length("the base biases", base.len(), rbm.visible)?;
        range("the number of steps", steps.into(), steps > 0, "at least 1")?;
        Ok(Self { rbm, base, steps })
    }

    /// The log-weights of the chains of these numbers, on at most so many threads.
    fn run(&self, chains: Range<usize>, threads: usize, draws: Draws, hook: Hook<'_>) -> Result<Vec<f64>, Error> {
        let parts = threads.clamp(1, chains.len().div_ceil(FEW).max(1));
        let end = |part: usize| chains.start + chains.len() * part / parts;
        let (stopped, total) = (AtomicBool::new(false), self.steps.into());
        let here = || {
            self.chains(end(0)..end(1), draws, &mut |step| {
                report(hook, step.into(), total).inspect_err(|_| stopped.store(true, Ordering::Relaxed))
            })
        };
        let there = |part: usize| {
            self.chains(end(part)..end(part + 1), draws, &mut |_| {
                if stopped.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
            })
        };
        let found: Result<Vec<Vec<f64>>, Error> = beside(here, (1..parts).collect(), &there).into_iter().collect();
        Ok(found?.concat())
    }

    /// The log-weights of the chains of these numbers; `after` hears of each step.
    fn chains(
        &self,
        numbers: Range<usize>,
        draws: Draws,
        after: &mut dyn FnMut(u32) -> Result<(), Error>,
    ) -> Result<Vec<f64>, Error> {
        let (rbm, first) = (self.rbm, numbers.start as u32);
        let mut v = self.base.repeat(numbers.len());
        rbm.draw_visible(&mut v, draws, (0, first));
        let mut log_weights = alloc::vec![0.0; numbers.len()];
        let (mut hidden, mut scratch) = (Vec::new(), Scratch::default());
        for step in 1..=self.steps {
            rbm.hidden_fields_to(&mut hidden, &v, &mut scratch);
            self.add_log_ratios(step, &v, &hidden, 1.0, &mut log_weights);
            if step < self.steps {
                self.gibbs(step, (&mut v, &mut hidden), draws, (step, first), &mut scratch);
            }
            after(step)?;
        }
        Ok(log_weights)
    }

    /// ln Z at β = 0.
    pub(super) fn log_z0(&self) -> f64 {
        let Rbm { visible_units, hidden_units, hidden, .. } = *self.rbm;
        self.base.iter().map(|&b| visible_units.log_sum(b.into())).sum::<f64>()
            + hidden as f64 * hidden_units.log_sum(0.0)
    }

    fn beta(&self, step: u32) -> f64 {
        f64::from(step) / f64::from(self.steps)
    }

    /// sums\[r\] += sign·(ln p*_k(v) − ln p*_(k−1)(v)) for the rows v with their hidden fields; p* is not normalised.
    pub(super) fn add_log_ratios(&self, k: u32, v: &[f32], hidden: &[f32], sign: f64, sums: &mut [f64]) {
        let rbm = self.rbm;
        let [before, beta] = [self.beta(k - 1), self.beta(k)];
        let rows = v.chunks(rbm.visible).zip(hidden.chunks(rbm.hidden));
        for (sum, (v, fields)) in sums.iter_mut().zip(rows) {
            let biases = rbm.visible_bias.iter().zip(self.base);
            let linear = biases.zip(v).map(|((b, base), &x)| f64::from(b - base) * f64::from(x)).sum::<f64>();
            let [low, high] = [before, beta].map(|beta| log_sums(rbm.hidden_units, beta, fields));
            *sum += sign * ((beta - before) * linear + high - low);
        }
    }

    /// One step of block Gibbs sampling under p_k from v, whose hidden fields are given; draws of a sweep, from a read on.
    pub(super) fn gibbs(
        &self,
        k: u32,
        (v, hidden): (&mut Vec<f32>, &mut [f32]),
        draws: Draws,
        (sweep, first): (u32, u32),
        scratch: &mut Scratch,
    ) {
        let share = self.beta(k) as f32;
        hidden.iter_mut().for_each(|x| *x *= share);
        self.rbm.draw_hidden(hidden, draws, (sweep, first));
        self.rbm.visible_fields_to(v, hidden, scratch);
        for row in v.chunks_mut(self.rbm.visible) {
            // (1−β)b_A + β(b + Wh)
            row.iter_mut().zip(self.base).for_each(|(x, base)| *x = (1.0 - share) * base + share * *x);
        }
        self.rbm.draw_visible(v, draws, (sweep, first));
    }
}
