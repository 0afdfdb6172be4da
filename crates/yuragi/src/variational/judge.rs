use std::ops::ControlFlow;

use yuragi_energy::statistics::{Estimate, log_mean_exp, mean};
use yuragi_graph::{Backend, Plan, Slice, SliceMut};
use yuragi_nn::optim;

use super::{Examples, Model};
use crate::{Failure, machine::Machine};

/// Draws of one run of the graph, and examples times draws of it.
const DRAWS: usize = 50;
const ROWS: usize = 1000;
/// Apart from trainings' keys.
const KEY: u32 = 0x626f_756e;

/// Mean bounds of ln p over examples, in nats an example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// ⟨ln w⟩, the evidence lower bound.
    pub elbo: Estimate,
    /// ⟨ln (1/k) Σ w⟩ with the k that was asked for.
    pub importance: Estimate,
    /// Examples.
    pub examples: usize,
    /// Numbers of an example.
    pub columns: usize,
}

impl Bounds {
    /// Nats an example as bits a number: −nats/(D·ln 2).
    pub fn bits(&self, nats: Estimate) -> Estimate {
        let per = 1.0 / (self.columns as f64 * std::f64::consts::LN_2);
        Estimate { value: -nats.value * per, error: nats.error * per }
    }
}

/// The bounds of a model on the first `count` examples with `samples` draws each; errors are those of the mean over
/// examples. Densities of real numbers are those of the data as they came. `tell` hears the share done; `None` if it
/// breaks.
///
/// # Errors
/// No draw, or what the machine reports.
pub fn judge(
    model: &Model,
    examples: &Examples,
    (count, samples): (usize, usize),
    seed: u64,
    machine: &Machine,
    tell: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<Bounds>, Failure> {
    if samples == 0 {
        return Err(Failure::new("0 samples: a bound takes at least 1"));
    }
    let (count, columns) = (count.min(examples.len()), examples.columns());
    let draws = samples.min(DRAWS);
    let batch = (ROWS / draws).clamp(1, count);
    // Draws go in whole runs: the last one may be a smaller one of its own.
    let (runs, rest) = (samples / draws, samples % draws);
    let sizes: Vec<usize> = std::iter::repeat_n(draws, runs).chain((rest > 0).then_some(rest)).collect();
    let plan = |draws| machine.compile(&model.network.bound(batch, draws)?).map_err(Failure::from);
    let plans = [Some(plan(draws)?), if rest > 0 { Some(plan(rest)?) } else { None }];
    let store = machine.upload(optim::averaged(&model.params))?;
    let mut states = Vec::new();
    for plan in plans.iter().flatten() {
        states.push(plan.state(&store)?);
    }
    let volume = examples.log_volume();
    let (mut elbos, mut logs) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for first in (0..count).step_by(batch) {
        let rows = batch.min(count - first);
        let mut x = Vec::with_capacity(batch * columns);
        (0..batch).for_each(|place| examples.push_fixed((first + place).min(count - 1), &mut x));
        let mut parts = vec![(0.0f64, Vec::with_capacity(sizes.len())); batch];
        for (chunk, &draws) in sizes.iter().enumerate() {
            if tell((first as f64 + batch as f64 * chunk as f64 / sizes.len() as f64) / count as f64).is_break() {
                return Ok(None);
            }
            let which = usize::from(chunk == runs);
            let Some(plan) = &plans[which] else { continue };
            // Another key for every batch and every chunk of draws.
            let key = [(first as u32).wrapping_mul(0x9e37_79b9) ^ chunk as u32, seed as u32 ^ KEY];
            let (mut elbo, mut importance) = (vec![0.0f32; batch], vec![0.0f32; batch]);
            let mut outputs = [SliceMut::F32(&mut elbo), SliceMut::F32(&mut importance)];
            plan.run(&mut states[which], &store, &[Slice::F32(&x), Slice::U32(&key)], &mut outputs)?;
            for ((sum, logs), (elbo, importance)) in parts.iter_mut().zip(elbo.iter().zip(&importance)) {
                *sum += f64::from(*elbo) * draws as f64;
                // Of n draws of one run, ln of their sum.
                logs.push(f64::from(*importance) + (draws as f64).ln());
            }
        }
        for (sum, chunks) in parts.into_iter().take(rows) {
            elbos.push(sum / samples as f64 - volume);
            let all = log_mean_exp(&chunks).value + (chunks.len() as f64).ln();
            logs.push(all - (samples as f64).ln() - volume);
        }
    }
    Ok(Some(Bounds { elbo: mean(&elbos), importance: mean(&logs), examples: count, columns }))
}
