use std::ops::ControlFlow;

use yuragi_energy::statistics::{Estimate, log_mean_exp, mean};
use yuragi_graph::{Backend, Collective, Plan, Slice, SliceMut};
use yuragi_nn::optim;

use super::{Examples, Model};
use crate::{
    Failure,
    machine::{Machine, Work},
};

/// Draws of one run of the graph, and examples times draws of it.
const DRAWS: usize = 50;
const ROWS: usize = 1000;
const ELBO: &str = "elbo";
const IMPORTANCE: &str = "importance";
/// Apart from trainings' keys.
const KEY: u32 = 0x626f_756e;

/// Mean bounds of ln p over examples, in nats an example.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// ⟨ln w⟩, the evidence lower bound.
    pub elbo: Estimate,
    /// ⟨ln (1/k) Σ w⟩ with the k that was asked for; not of diffusion models, whose draws are of times, too.
    pub importance: Option<Estimate>,
    /// Of a diffusion model, the terms that the bound is less the sum of: prior, reconstruction and diffusion.
    pub terms: Vec<(String, Estimate)>,
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

/// Examples and draws of one run, of so many examples with so many draws each.
fn extents(count: usize, samples: usize) -> (usize, usize) {
    let draws = samples.clamp(1, DRAWS);
    ((ROWS / draws).clamp(1, count.max(1)), draws)
}

/// What [`judge`] asks of a machine.
///
/// # Errors
/// A network without bounds.
pub fn judging(model: &Model, count: usize, samples: usize) -> Result<Work, Failure> {
    let (batch, draws) = extents(count, samples);
    let runs = count.div_ceil(batch) as f64 * samples as f64 / draws as f64;
    Ok(Work::of(&model.network.bound(batch, draws)?, runs))
}

/// The bounds of a model on the first `count` examples with `samples` draws each; errors are those of the mean over
/// examples. Densities of real numbers are those of the data as they came. `tell` hears the share done; `None` if it
/// breaks. Each of the ranks measures its share of the examples.
///
/// # Errors
/// No draw, what the machine reports, or a rank that is gone.
pub fn judge(
    model: &Model,
    examples: &Examples,
    (count, samples): (usize, usize),
    seed: u64,
    machine: &Machine,
    ranks: &dyn Collective,
    tell: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<Bounds>, Failure> {
    if samples == 0 {
        return Err(Failure::new("0 samples: a bound takes at least 1"));
    }
    let (count, columns) = (count.min(examples.len()), examples.columns());
    let (batch, draws) = extents(count, samples);
    // Draws go in whole runs: the last one may be a smaller one of its own.
    let (runs, rest) = (samples / draws, samples % draws);
    let sizes: Vec<usize> = std::iter::repeat_n(draws, runs).chain((rest > 0).then_some(rest)).collect();
    let graph = |draws| model.network.bound(batch, draws);
    let mut plans = vec![machine.compile(&graph(draws)?)?];
    if rest > 0 {
        plans.push(machine.compile(&graph(rest)?)?);
    }
    let names: Vec<String> = graph(draws)?.outputs().iter().map(|output| output.name.clone()).collect();
    let store = machine.upload(optim::averaged(&model.params))?;
    let mut states = Vec::new();
    for plan in &plans {
        states.push(plan.state(&store)?);
    }
    let volume = examples.log_volume();
    let mut all: Vec<Vec<f64>> = vec![Vec::with_capacity(count); names.len()];
    let own = ranks.share(count.div_ceil(batch), 1, ranks.rank());
    for number in own.clone() {
        let first = number * batch;
        let rows = batch.min(count - first);
        let mut x = Vec::with_capacity(batch * columns);
        (0..batch).for_each(|place| examples.push_fixed((first + place).min(count - 1), &mut x));
        // Of each output, what each chunk of draws gave each example.
        let mut chunks: Vec<Vec<Vec<f32>>> = vec![Vec::new(); names.len()];
        for (chunk, &draws) in sizes.iter().enumerate() {
            let measured = (number - own.start) as f64 + chunk as f64 / sizes.len() as f64;
            if tell(measured / own.len() as f64).is_break() {
                return Ok(None);
            }
            let which = usize::from(draws != sizes[0]);
            // Another key for every batch and every chunk of draws.
            let key = [(first as u32).wrapping_mul(0x9e37_79b9) ^ chunk as u32, seed as u32 ^ KEY];
            let mut values = vec![vec![0.0f32; batch]; names.len()];
            let mut outputs: Vec<SliceMut<'_>> = values.iter_mut().map(|values| SliceMut::F32(values)).collect();
            plans[which].run(&mut states[which], &store, &[Slice::F32(&x), Slice::U32(&key)], &mut outputs)?;
            chunks.iter_mut().zip(values).for_each(|(chunks, values)| chunks.push(values));
        }
        for ((name, all), chunks) in names.iter().zip(&mut all).zip(&chunks) {
            let weighted =
                |example: usize| chunks.iter().zip(&sizes).map(move |(c, &n)| (f64::from(c[example]), n as f64));
            all.extend((0..rows).map(|example| match name.as_str() {
                // Of n draws of a chunk, the logarithm of their sum.
                IMPORTANCE => {
                    let logs: Vec<f64> = weighted(example).map(|(log, n)| log + n.ln()).collect();
                    log_mean_exp(&logs).value + (logs.len() as f64).ln() - (samples as f64).ln() - volume
                }
                ELBO => weighted(example).map(|(value, n)| value * n).sum::<f64>() / samples as f64 - volume,
                // What standardising took belongs to p(x|z₀), so that the terms add up.
                term => {
                    let value = weighted(example).map(|(value, n)| value * n).sum::<f64>() / samples as f64;
                    if term == "reconstruction" { value + volume } else { value }
                }
            }));
        }
    }
    for values in &mut all {
        *values = ranks.gather_numbers(values)?;
    }
    let mut bounds = Bounds { elbo: mean(&[]), importance: None, terms: Vec::new(), examples: count, columns };
    for (name, values) in names.into_iter().zip(&all) {
        match name.as_str() {
            ELBO => bounds.elbo = mean(values),
            IMPORTANCE => bounds.importance = Some(mean(values)),
            _ => bounds.terms.push((name, mean(values))),
        }
    }
    Ok(Some(bounds))
}

#[cfg(test)]
mod tests {
    use yuragi_graph::Params;
    use yuragi_models::{
        likelihood::Likelihood,
        vae::{Layer, Vae},
    };

    use super::*;
    use crate::variational::{Network, drawing};

    #[test]
    fn few_draws_are_not_worth_a_gpu_and_many_are() {
        let layers = vec![Layer { hidden: vec![200, 200], latent: 50 }];
        let vae = Vae { shape: vec![28, 28], likelihood: Likelihood::Bernoulli, layers, convolutional: false };
        let model = Model { network: Network::Vae(vae), params: Params::new(), moments: Vec::new() };
        let seconds = |count, samples| judging(&model, count, samples).unwrap().seconds;
        assert!(seconds(100, 50) < 1.0 && seconds(10_000, 5000) > 100.0);
        assert!((seconds(1000, 500) / seconds(1000, 50) - 10.0).abs() < 1e-9);
        assert!(drawing(&model, 64).unwrap().seconds < 0.1);
    }
}
