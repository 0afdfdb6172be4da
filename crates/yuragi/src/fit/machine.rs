use std::ops::ControlFlow;

use yuragi_energy::{
    Error,
    rbm::{
        Rbm, Slices, Units, partition, plan,
        train::{Settings, Trainer},
    },
    sampler::{Hook, report},
    shares,
    statistics::{Estimate, mean},
};
use yuragi_graph::Collective;

use super::{Rows, WEIGHTS, course::Course};
use crate::{Failure, machine::Machine as Device, train::device::check_slices};

/// How a restricted Boltzmann machine is trained.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hidden units.
    pub hidden: usize,
    /// What hidden units are.
    pub hidden_units: Units,
    /// Passes over the data.
    pub epochs: u32,
    /// Rows a step, and persistent chains.
    pub batch: usize,
    /// The learning itself. Its rate falls linearly to 0 over the second half of the epochs.
    pub settings: Settings,
    /// Decides the first weights, the order of rows, and all draws.
    pub seed: u64,
    /// What to begin with, instead of small normal weights: a machine of the same units.
    pub begin: Option<Rbm>,
    /// What computes. A GPU learns by [`plan`], whose draws are others than the processor's.
    pub device: Device,
}

/// Where a machine learns.
enum Learner {
    Here(Rbm, Box<Trainer>),
    There(Box<plan::Learner<Device>>),
}

impl Learner {
    fn learn(&mut self, rate: f32, values: &[f32], slices: Slices<'_>, going: &dyn Fn() -> bool) -> Result<f32, Error> {
        match self {
            Learner::Here(rbm, trainer) => {
                trainer.set_rate(rate)?;
                trainer.learn_on(rbm, values, slices, &mut || going())
            }
            Learner::There(_) if !going() => Err(Error::Cancelled),
            Learner::There(learner) => {
                learner.set_rate(rate)?;
                learner.learn(values)
            }
        }
    }

    fn machine(self) -> Result<Rbm, Error> {
        match self {
            Learner::Here(rbm, _) => Ok(rbm),
            Learner::There(learner) => learner.machine(),
        }
    }
}

/// Where a training is, told after each batch.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Batches done.
    pub done: u64,
    /// Batches in all.
    pub total: u64,
    /// The epoch that the batch belongs to, from 0.
    pub epoch: u32,
    /// Its mean squared error of reconstruction.
    pub reconstruction: f32,
}

/// A machine, and what is measured on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The machine.
    pub rbm: Rbm,
    /// ln(p/(1−p)) (or artanh, or 0) of the mean activity of each visible unit: the machine without hidden units that annealing
    /// starts from.
    pub base: Vec<f32>,
}

/// The mean log-probability of rows, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// ln Z with its error.
    pub log_z: Estimate,
    /// ⟨ln p⟩ over the rows: their own error and that of ln Z together.
    pub log_probability: Estimate,
}

impl Machine {
    /// Learns from rows. Weights begin small and normal, visible biases at the data's means (Hinton, *A practical guide to
    /// training restricted Boltzmann machines*, 2010). `hook` may end it early, and so may `going`, which is asked inside
    /// batches; what was learned is kept. Batches are learned from in these slices, which ranks may share; all of them have all
    /// rows, and end early together, between batches. Of one slice, every rank learns all.
    ///
    /// # Errors
    /// Options out of range, slices that do not divide a batch or are on a GPU, a machine that diverges, or a rank that is gone.
    pub fn train(
        rows: &Rows,
        options: &Options,
        slices: Slices<'_>,
        going: &dyn Fn() -> bool,
        mut hook: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Machine, Failure> {
        let &Options { hidden, hidden_units, epochs, batch, settings, seed, ref begin, ref device } = options;
        let mut rbm = Rbm::new(rows.table().columns(), hidden, rows.units(), hidden_units)?;
        let base = base_of(&rows.means(), rows.units(), rows.len());
        if let Some(begin) = begin {
            let what = |rbm: &Rbm| {
                let units = [(rbm.visible(), rbm.visible_units()), (rbm.hidden(), rbm.hidden_units())];
                units.map(|(count, kind)| format!("{count} {kind:?}")).join(" and ")
            };
            let (have, wanted) = (what(begin), what(&rbm));
            if have != wanted {
                return Err(Failure::new(format!(
                    "the machine to begin with has {have} units (visible and hidden), must have {wanted}"
                )));
            }
            rbm.clone_from(begin);
        } else {
            rbm.randomize(WEIGHTS, seed);
            rbm.visible_bias.clone_from(&base);
        }
        let mut course = Course::new(rows, batch, epochs, seed);
        check(slices, course.rows(), device)?;
        let (ranks, slices) = (slices.ranks, slices.or_all());
        let (total, places) = (course.total, slices.places(course.rows()));
        let going: &dyn Fn() -> bool = if ranks.size() == 1 { going } else { &|| true };
        let mut learner = if device.is_gpu() {
            let rows = batch.clamp(1, rows.len());
            Learner::There(Box::new(plan::Learner::new(device.clone(), &rbm, settings, rows, seed)?))
        } else {
            let trainer = Trainer::new(&rbm, settings, seed)?;
            Learner::Here(rbm, Box::new(trainer))
        };
        let mut values = Vec::new();
        for done in 0..total {
            let epoch = course.batch(done, places.clone(), &mut values);
            let reconstruction = match learner.learn(course.rate(settings.rate, done), &values, slices, going) {
                Err(Error::Cancelled) => break,
                learned => learned?,
            };
            if !reconstruction.is_finite() {
                return Err(Failure::new("the machine diverged; try a smaller `--rate`"));
            }
            if ranks.any(hook(Progress { done: done + 1, total, epoch, reconstruction }).is_break())? {
                break;
            }
        }
        Ok(Machine { rbm: learner.machine()?, base })
    }

    /// ln Z by annealed importance sampling on this device, and ⟨ln p⟩ of rows as they are drawn in epoch 0. Ranks share
    /// chains and rows.
    ///
    /// # Errors
    /// Gaussian units, rows of another length, a hook that cancels, what a GPU says, or a rank that is gone.
    pub fn score(
        &self,
        rows: &Rows,
        (steps, chains): (u32, u32),
        seed: u64,
        (device, ranks): (&Device, &dyn Collective),
        hook: Hook<'_>,
    ) -> Result<Score, Failure> {
        let log_z = annealed_log_z((device, ranks), &self.rbm, &self.base, (steps, chains), seed, hook)?;
        let log_weights = shares::numbers(ranks, (rows.len(), 1), |own| {
            let (mut log_weights, mut values) = (Vec::with_capacity(own.len()), Vec::new());
            let total = own.len() as u64;
            for (done, row) in (0..).zip(own) {
                report(hook, done, total)?;
                values.clear();
                rows.push(row, 0, &mut values);
                log_weights.extend(self.rbm.free_energies(&values)?.iter().map(|f| -f));
            }
            Ok(log_weights)
        })?;
        let own = mean(&log_weights);
        let error = own.error.hypot(log_z.error);
        Ok(Score { log_z, log_probability: Estimate { value: own.value - log_z.value, error } })
    }
}

/// Whether batches of so many rows can be learned from in slices on the devices of all ranks.
pub(super) fn check(slices: Slices<'_>, rows: usize, device: &Device) -> Result<(), Failure> {
    check_slices(slices.count, &[("the batch", rows)], slices.or_all().ranks)?;
    if device.is_gpu() && slices.count > 1 {
        return Err(Failure::new("a batch in slices is learned from by the processor: `--device cpu`"));
    }
    Ok(())
}

/// ln Z by annealed importance sampling on the devices of all ranks.
pub(super) fn annealed_log_z(
    (device, ranks): (&Device, &dyn Collective),
    rbm: &Rbm,
    base: &[f32],
    effort: (u32, u32),
    seed: u64,
    hook: Hook<'_>,
) -> Result<Estimate, Error> {
    match device.is_gpu() {
        true => plan::annealed_log_z_on((ranks, device), rbm, base, effort, seed, hook),
        false => partition::annealed_log_z_on((ranks, device.threads()), rbm, base, effort, seed, hook),
    }
}

/// Visible biases with which units without hidden ones have these means over so many rows.
pub fn base_of(means: &[f32], units: Units, rows: usize) -> Vec<f32> {
    // One row more of each value keeps the biases finite.
    let share = 1.0 / (rows as f32 + 2.0);
    let bias = |&mean: &f32| match units {
        Units::Binary => {
            let p = (mean * (1.0 - 2.0 * share)) + share;
            (p / (1.0 - p)).ln()
        }
        Units::Spin => (mean * (1.0 - 2.0 * share)).atanh(),
        Units::Gaussian => mean,
    };
    means.iter().map(bias).collect()
}

#[cfg(test)]
mod tests {
    use yuragi_cpu::Cpu;
    use yuragi_energy::{rbm::partition::exact_log_z, sampler::quiet};
    use yuragi_graph::Alone;
    use yuragi_io::{Table, table::Values};

    use super::*;
    use crate::fit::Binarize;

    /// Bars and stripes on 3×3: 14 patterns.
    fn bars() -> Rows {
        let mut values = Vec::new();
        for bits in 0..8u8 {
            for across in [false, true] {
                let lines = (0..9).map(|i| if across { i / 3 } else { i % 3 });
                values.extend(lines.map(|line| 255 * (bits >> line & 1)));
            }
        }
        Rows::new(Table::new(vec![3, 3], Values::Bytes(values)).unwrap(), Units::Binary, Binarize::Sample, 0).unwrap()
    }

    #[test]
    fn a_machine_learns_bars_and_stripes() {
        let rows = bars();
        let settings = Settings { rate: 0.1, steps: 10, centred: true, ..Settings::default() };
        let options = Options {
            hidden: 10,
            hidden_units: Units::Binary,
            epochs: 3000,
            batch: 16,
            settings,
            seed: 3,
            begin: None,
            device: Cpu::new().into(),
        };
        let mut told = Vec::new();
        let machine = Machine::train(&rows, &options, Slices::ONE, &|| true, |progress| {
            told.push((progress.done, progress.epoch));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!((told.len(), told[2999]), (3000, (3000, 2999)));
        let score = machine.score(&rows, (1000, 200), 1, (&Cpu::new().into(), &Alone), &mut quiet).unwrap();
        let exact = exact_log_z(&machine.rbm).unwrap();
        assert!((score.log_z.value - exact).abs() < 5.0 * score.log_z.error, "{score:?} {exact}");
        // Sixteen rows, two of them twice, have −⟨ln P₀⟩ = 2.60 at best; nine independent pixels, 6.24.
        assert!(score.log_probability.value > -3.4, "{score:?}");
        assert!(score.log_probability.value < -2.59, "{score:?}");
    }

    #[test]
    fn a_training_can_be_ended_and_is_the_same_every_time() {
        let options = Options {
            hidden: 4,
            hidden_units: Units::Binary,
            epochs: 100,
            batch: 5,
            settings: Settings::default(),
            seed: 3,
            begin: None,
            device: Cpu::new().into(),
        };
        let run = |until: u64| {
            let stop = |p: Progress| if p.done == until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            Machine::train(&bars(), &options, Slices::ONE, &|| true, stop).unwrap()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
