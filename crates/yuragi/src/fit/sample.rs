use yuragi_energy::{
    Error,
    draw::Draws,
    rbm::{Rbm, Units},
    sampler::{Hook, Progress},
};
use yuragi_numeric::philox::{self, Philox};

use super::{Belief, Deep, Fitted, Layer};

/// Rows that were drawn from a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The rows, as a table holds them.
    pub values: Vec<f64>,
    /// Grey levels, 0 to 1 for what came from bytes: of machines, the means of the last draw.
    pub grey: Vec<f32>,
}

/// The ends of Gibbs chains, and the means that they were drawn from.
struct Ends {
    values: Vec<f32>,
    means: Vec<f32>,
}

impl Fitted {
    /// Draws `count` rows. Those of a mixture are independent; a machine takes `steps` Gibbs steps from the data's mean
    /// activities for each, a deep one too, and a network does so in its top machine and goes down from there.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the hook says so, or layers that do not fit.
    pub fn sample(&self, count: u32, steps: u32, seed: u64, hook: Hook<'_>) -> Result<Drawn, Error> {
        match self {
            Self::Mixture(mixture) => {
                let mut rng = Philox::new(philox::key(seed), 0);
                let (values, _) = mixture.mixture.sample_labelled(&mut rng, count as usize);
                let grey = values.iter().map(|&v| v as f32).collect();
                Ok(Drawn { values, grey })
            }
            Self::Machine(Layer { machine, moments, .. }) => {
                let ends = gibbs(&machine.rbm, &machine.base, (count, steps), seed, hook)?;
                Ok(restored(ends, machine.rbm.visible_units(), moments))
            }
            Self::Network(network) => {
                let Belief { dbn, base } = &network.belief;
                let mut ends = gibbs(&dbn.top, base, (count, steps), seed, hook)?;
                for (step, down) in (steps.saturating_add(1)..).zip(dbn.generative.iter().rev()) {
                    ends.means = down.visible_means(&ends.values)?;
                    ends.values = down.sample_visible(&ends.values, Draws::new(seed), step)?;
                }
                Ok(restored(ends, dbn.top.visible_units(), &[]))
            }
            Self::Deep(stack) => {
                let Deep { dbm, base } = &stack.deep;
                let rbm = dbm.bipartite();
                let Ends { values, means } = gibbs(rbm, base, (count, steps), seed, hook)?;
                let visible =
                    |x: Vec<f32>| x.chunks(rbm.visible()).flat_map(|row| &row[..dbm.sizes()[0]]).copied().collect();
                let ends = Ends { values: visible(values), means: visible(means) };
                Ok(restored(ends, rbm.visible_units(), &[]))
            }
        }
    }
}

/// Chains from units with these biases.
fn gibbs(rbm: &Rbm, base: &[f32], (count, steps): (u32, u32), seed: u64, hook: Hook<'_>) -> Result<Ends, Error> {
    let draws = Draws::new(seed);
    let mut start = Rbm::new(rbm.visible(), 1, rbm.visible_units(), rbm.hidden_units())?;
    start.visible_bias = base.to_vec();
    let mut values = start.sample_visible(&vec![0.0; count as usize], draws, 0)?;
    let mut means = values.clone();
    for step in 1..=steps {
        let hidden = rbm.sample_hidden(&values, draws, step)?;
        values = rbm.sample_visible(&hidden, draws, step)?;
        if step == steps {
            means = rbm.visible_means(&hidden)?;
        }
        if hook(Progress { done: step.into(), total: steps.into() }).is_break() {
            return Err(Error::Cancelled);
        }
    }
    Ok(Ends { values, means })
}

/// Standardised columns get back their means and deviations; spins stay −1 and +1 in a table.
fn restored(Ends { values, means }: Ends, units: Units, moments: &[(f64, f64)]) -> Drawn {
    let column = |i: usize| moments.get(i % moments.len().max(1)).copied().unwrap_or((0.0, 1.0));
    let real = |(i, &value): (usize, &f32)| column(i).0 + column(i).1 * f64::from(value);
    let grey =
        |(i, mean): (usize, &f32)| if units == Units::Spin { 0.5 * (mean + 1.0) } else { real((i, mean)) as f32 };
    Drawn { values: values.iter().enumerate().map(real).collect(), grey: means.iter().enumerate().map(grey).collect() }
}
