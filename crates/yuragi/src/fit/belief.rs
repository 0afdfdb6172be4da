use yuragi_energy::{
    deep::{Dbn, Greedy, Stack, plan},
    rbm::Slices,
    sampler::{Hook, report},
    shares,
    statistics::{Estimate, mean},
};
use yuragi_graph::Collective;

use super::{
    Rows,
    machine::{annealed_log_z, base_of, check},
};
use crate::{Failure, machine::Machine as Device};

/// A deep belief network, and what is measured on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Belief {
    /// The network.
    pub dbn: Dbn,
    /// The biases of the mean activity of the units that the top machine sees, without its hidden units.
    pub base: Vec<f32>,
}

/// Bounds of the mean log-probability of rows, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// ln Z of the top machine with its error.
    pub log_z: Estimate,
    /// The variational bound: at most the log-probability, but for the error of ln Z.
    pub lower: Estimate,
    /// The importance-weighted estimate: closer, and below it in expectation too.
    pub importance: Estimate,
}

/// Rows that tell the mean activities of upper layers.
const TOLD: usize = 2000;

impl Belief {
    /// Learns layer by layer; `layers` are the sizes of the hidden ones. Rows are drawn once. `hook` may end it early; what
    /// was learned is kept, in as many layers as were begun, but at least one. A GPU draws other numbers than the processor.
    /// Batches are learned from in these slices, which ranks may share; all of them have all rows, and end early together.
    ///
    /// # Errors
    /// Options out of range, Gaussian units, slices that do not divide a batch or are on a GPU, what a GPU says, or a rank that is
    /// gone.
    pub fn train(
        rows: &Rows,
        layers: &[usize],
        greedy: &Greedy,
        seed: u64,
        (device, slices): (&Device, Slices<'_>),
        hook: Hook<'_>,
    ) -> Result<Belief, Failure> {
        check(slices, greedy.batch.min(rows.len()), device)?;
        let mut values = rows.drawn(0);
        let sizes: Vec<usize> = [rows.table().columns()].iter().chain(layers).copied().collect();
        let stack = Stack { data: &values, sizes: &sizes, units: rows.units() };
        let dbn = match device.is_gpu() {
            true => plan::greedy(device, stack, greedy, seed, hook),
            false => Dbn::greedy_on(slices, stack, greedy, seed, hook),
        }?;
        values.truncate(TOLD.min(rows.len()) * rows.table().columns());
        let told = values.len() / rows.table().columns();
        for below in &dbn.recognition {
            values = below.hidden_means(&values)?;
        }
        let columns = dbn.top.visible();
        let mut means = vec![0.0; columns];
        for row in values.chunks(columns) {
            means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / told as f32);
        }
        Ok(Belief { base: base_of(&means, rows.units(), told), dbn })
    }

    /// ln Z of the top machine by annealed importance sampling on this device, and bounds of ⟨ln p⟩ of rows, as they are drawn in epoch 0, by
    /// so many draws of the way up for each.
    ///
    /// # Errors
    /// Rows of another length, no draw, a hook that cancels, or a rank that is gone.
    pub fn score(
        &self,
        rows: &Rows,
        (steps, chains): (u32, u32),
        draws: u32,
        seed: u64,
        (device, ranks): (&Device, &dyn Collective),
        hook: Hook<'_>,
    ) -> Result<Bounds, Failure> {
        let log_z = annealed_log_z((device, ranks), &self.dbn.top, &self.base, (steps, chains), seed, hook)?;
        let bounds = shares::numbers(ranks, (rows.len(), 1), |own| {
            let (mut bounds, mut values) = (Vec::with_capacity(2 * own.len()), Vec::new());
            let total = own.len() as u64;
            for (done, row) in (0..).zip(own) {
                report(hook, done, total)?;
                values.clear();
                rows.push(row, 0, &mut values);
                for bound in self.dbn.bound(&values, draws, log_z.value, seed.wrapping_add(row as u64))? {
                    bounds.extend([bound.lower.value, bound.importance.value]);
                }
            }
            Ok(bounds)
        })?;
        let (lower, importance): (Vec<f64>, Vec<f64>) = bounds.as_chunks().0.iter().map(|&[a, b]| (a, b)).unzip();
        let with_z = |values: &[f64]| {
            let own = mean(values);
            Estimate { value: own.value, error: own.error.hypot(log_z.error) }
        };
        Ok(Bounds { log_z, lower: with_z(&lower), importance: with_z(&importance) })
    }
}

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow::{Break, Continue};

    use yuragi_cpu::Cpu;
    use yuragi_energy::{
        rbm::train::Settings,
        sampler::{Progress, quiet},
    };
    use yuragi_graph::Alone;

    use super::*;

    #[test]
    fn an_ended_training_keeps_the_layers_that_were_begun() {
        let rows = Rows::two_patterns();
        let greedy = Greedy { epochs: 10, batch: 20, ..Greedy::default() };
        let run = |until: u64| {
            let mut stop = |at: Progress| if at.done >= until { Break(()) } else { Continue(()) };
            Belief::train(&rows, &[4, 3, 2], &greedy, 1, (&Cpu::new().into(), Slices::ONE), &mut stop).unwrap()
        };
        // Fifty batches a layer.
        for (until, layers) in [(0, 1), (1, 1), (50, 1), (51, 2), (99, 2), (101, 3), (1000, 3)] {
            let belief = run(until);
            assert_eq!(
                (belief.dbn.recognition.len() + 1, belief.dbn.top.hidden()),
                (layers, [4, 3, 2][layers - 1]),
                "{until}"
            );
            assert_eq!(belief.base.len(), belief.dbn.top.visible());
        }
        assert_eq!(run(70), run(70));
        assert_ne!(run(70), run(71));
        assert_eq!(run(70).dbn.recognition, run(1000).dbn.recognition[..1]);
    }

    #[test]
    fn a_network_learns_two_patterns() {
        let rows = Rows::two_patterns();
        let settings = Settings { rate: 0.1, steps: 5, centred: true, ..Settings::default() };
        let greedy = Greedy { settings, epochs: 300, batch: 50, ..Greedy::default() };
        let belief = Belief::train(&rows, &[4, 3], &greedy, 1, (&Cpu::new().into(), Slices::ONE), &mut quiet).unwrap();
        assert_eq!((belief.base.len(), belief.dbn.top.hidden()), (4, 3));
        let bounds = belief.score(&rows, (500, 100), 50, 2, (&Cpu::new().into(), &Alone), &mut quiet).unwrap();
        // Two patterns have −ln 2 = −0.69 at best; six independent pixels −4.16.
        assert!(bounds.lower.value <= bounds.importance.value, "{bounds:?}");
        assert!((-1.5..-0.69 + 5.0 * bounds.log_z.error).contains(&bounds.importance.value), "{bounds:?}");
    }
}
