use yuragi_energy::{
    Error,
    deep::{Dbm, DbmSettings, DbmTrainer, MeanFieldSettings, plan::DbmLearner},
    rbm::Slices,
    sampler::{Hook, Progress, report},
    shares,
    statistics::{Estimate, mean},
};
use yuragi_graph::Collective;

use super::{
    Rows, WEIGHTS,
    course::Course,
    machine::{annealed_log_z, base_of, check},
};
use crate::{Failure, machine::Machine as Device};

/// Rows whose mean fields are solved together.
const TOGETHER: usize = 500;

/// A deep Boltzmann machine, and what is measured on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deep {
    /// The machine.
    pub dbm: Dbm,
    /// Biases of the even layers in the machine without couplings that annealing and sampling start from: those of the mean
    /// activity of each visible unit, and 0.
    pub base: Vec<f32>,
}

/// How a deep Boltzmann machine is trained.
#[derive(Clone, Debug)]
pub struct DeepOptions {
    /// Hidden units of each layer, from the lowest.
    pub layers: Vec<usize>,
    /// Passes over the data.
    pub epochs: u32,
    /// Rows a step.
    pub batch: usize,
    /// The learning itself. Its rate falls linearly to 0 over the second half of the epochs.
    pub settings: DbmSettings,
    /// Decides the first weights, the order of rows, and all draws.
    pub seed: u64,
    /// What to begin with, instead of small normal weights: a machine of the same layers.
    pub begin: Option<Dbm>,
    /// What computes. A GPU learns by [`DbmLearner`], whose draws are others than the processor's.
    pub device: Device,
}

/// Where a machine learns.
enum Learner {
    Here(Dbm, Box<DbmTrainer>),
    There(Box<DbmLearner<Device>>),
}

impl Learner {
    fn learn(
        &mut self,
        rate: f32,
        values: &[f32],
        slices: Slices<'_>,
        going: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        match self {
            Learner::Here(dbm, trainer) => {
                trainer.set_rate(rate)?;
                trainer.learn_on(dbm, values, slices, going).map(drop)
            }
            Learner::There(_) if !going() => Err(Error::Cancelled),
            Learner::There(learner) => {
                learner.set_rate(rate)?;
                learner.learn(values).map(drop)
            }
        }
    }

    /// Whether no number has run away; what a GPU has is seen at the end.
    fn is_sound(&self) -> bool {
        let finite = |dbm: &Dbm| dbm.bias(0).is_ok_and(|bias| bias.iter().all(|bias| bias.is_finite()));
        match self {
            Learner::Here(dbm, _) => finite(dbm),
            Learner::There(_) => true,
        }
    }

    fn machine(self) -> Result<Dbm, Error> {
        match self {
            Learner::Here(dbm, _) => Ok(dbm),
            Learner::There(learner) => learner.machine(),
        }
    }
}

/// A bound of the mean log-probability of rows, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeepScore {
    /// ln Z with its error.
    pub log_z: Estimate,
    /// The variational bound: at most the log-probability, but for the error of ln Z.
    pub lower: Estimate,
}

impl Deep {
    /// Learns all layers together. Weights begin small and normal, visible biases at the data's means. `hook` may end it
    /// early; what was learned is kept. Batches are learned from in these slices, which ranks may share; all of them have all
    /// rows, and end early together, between batches. Of one slice, every rank learns all. Slices that do not divide
    /// the chains have as many chains as rows instead.
    ///
    /// # Errors
    /// Options out of range, Gaussian units, slices that do not divide the batch or are on a GPU, a machine that diverges,
    /// or a rank that is gone.
    pub fn train(rows: &Rows, options: &DeepOptions, slices: Slices<'_>, hook: Hook<'_>) -> Result<Deep, Failure> {
        let DeepOptions { layers, epochs, batch, settings, seed, begin, device } = options;
        let sizes: Vec<usize> = [rows.table().columns()].iter().chain(layers).copied().collect();
        let pixels = base_of(&rows.means(), rows.units(), rows.len());
        let dbm = if let Some(begin) = begin {
            let (have, units) = (begin.sizes(), begin.bipartite().visible_units());
            if have != sizes || units != rows.units() {
                let wanted = rows.units();
                return Err(Failure::new(format!(
                    "the machine to begin with has layers of {have:?} {units:?} units, must be {sizes:?} {wanted:?}"
                )));
            }
            begin.clone()
        } else {
            let mut dbm = Dbm::new(&sizes, rows.units())?;
            dbm.randomize(WEIGHTS, *seed);
            dbm.bias_mut(0)?.copy_from_slice(&pixels);
            dbm
        };
        let mut base = vec![0.0; dbm.bipartite().visible()];
        base[..pixels.len()].copy_from_slice(&pixels);
        let mut course = Course::new(rows, *batch, *epochs, *seed);
        check(slices, course.rows(), device)?;
        let mut learner = if device.is_gpu() {
            let rows = (*batch).clamp(1, rows.len());
            Learner::There(Box::new(DbmLearner::new(device.clone(), &dbm, *settings, rows, *seed)?))
        } else {
            // Of few rows, slices that divide a step's need not divide the chains.
            let divided = settings.chains.is_multiple_of(slices.count.max(1) as u32);
            let chains = if divided { settings.chains } else { course.rows() as u32 };
            let trainer = DbmTrainer::new(&dbm, DbmSettings { chains, ..*settings }, *seed)?;
            Learner::Here(dbm, Box::new(trainer))
        };
        let (ranks, slices) = (slices.ranks, slices.or_all());
        let (places, alone) = (slices.places(course.rows()), ranks.size() == 1);
        let mut values = Vec::new();
        for done in 0..course.total {
            course.batch(done, places.clone(), &mut values);
            let (rate, total) = (course.rate(settings.rate, done), course.total);
            let mut going = || !alone || hook(Progress { done, total }).is_continue();
            match learner.learn(rate, &values, slices, &mut going) {
                Err(Error::Cancelled) => break,
                learned => learned?,
            }
            if !learner.is_sound() {
                return Err(diverged());
            }
            if ranks.any(hook(Progress { done: done + 1, total: course.total }).is_break())? {
                break;
            }
        }
        let dbm = learner.machine()?;
        let all = dbm.bipartite().weights.iter().chain(&dbm.bipartite().visible_bias);
        if all.chain(&dbm.bipartite().hidden_bias).any(|parameter| !parameter.is_finite()) {
            return Err(diverged());
        }
        Ok(Deep { dbm, base })
    }

    /// ln Z by annealed importance sampling on this device, and the variational bound of ⟨ln p⟩ of rows as they are drawn in epoch 0.
    ///
    /// # Errors
    /// Rows of another length, a hook that cancels, or a rank that is gone.
    pub fn score(
        &self,
        rows: &Rows,
        (steps, chains): (u32, u32),
        seed: u64,
        (device, ranks): (&Device, &dyn Collective),
        hook: Hook<'_>,
    ) -> Result<DeepScore, Failure> {
        let log_z = annealed_log_z((device, ranks), self.dbm.bipartite(), &self.base, (steps, chains), seed, hook)?;
        let (drawn, columns) = (rows.drawn(0), rows.table().columns());
        let bounds = shares::numbers(ranks, (rows.len(), TOGETHER), |own| {
            let (mut bounds, total) = (Vec::with_capacity(own.len()), own.len() as u64);
            for part in drawn[own.start * columns..own.end * columns].chunks(TOGETHER * columns) {
                report(hook, bounds.len() as u64, total)?;
                let means = self.dbm.mean_field(part, &MeanFieldSettings::default())?;
                bounds.extend(self.dbm.bound(&means, log_z.value)?);
            }
            Ok(bounds)
        })?;
        let own = mean(&bounds);
        Ok(DeepScore { log_z, lower: Estimate { value: own.value, error: own.error.hypot(log_z.error) } })
    }
}

fn diverged() -> Failure {
    Failure::new("the machine diverged; try a smaller `--rate`")
}

#[cfg(test)]
mod tests {
    use yuragi_cpu::Cpu;
    use yuragi_energy::{rbm::partition::exact_log_z, sampler::quiet};
    use yuragi_graph::Alone;

    use super::*;

    #[test]
    fn a_deep_machine_learns_two_patterns() {
        let rows = Rows::two_patterns();
        let settings = DbmSettings { rate: 0.1, steps: 10, persistent: false, centred: true, ..DbmSettings::default() };
        let options = DeepOptions {
            layers: vec![4, 3],
            epochs: 300,
            batch: 50,
            settings,
            seed: 1,
            begin: None,
            device: Cpu::new().into(),
        };
        let deep = Deep::train(&rows, &options, Slices::ONE, &mut quiet).unwrap();
        let score = deep.score(&rows, (500, 100), 2, (&Cpu::new().into(), &Alone), &mut quiet).unwrap();
        let exact = exact_log_z(deep.dbm.bipartite()).unwrap();
        assert!((score.log_z.value - exact).abs() < 5.0 * score.log_z.error.max(1e-3), "{score:?} {exact}");
        let next = DeepOptions { begin: Some(deep.dbm.clone()), epochs: 1, ..options };
        assert_ne!(Deep::train(&rows, &next, Slices::ONE, &mut quiet).unwrap(), deep);
        let other = DeepOptions { layers: vec![3, 4], ..next };
        assert!(Deep::train(&rows, &other, Slices::ONE, &mut quiet).unwrap_err().to_string().contains("[6, 4, 3]"));
        // Two patterns have −ln 2 = −0.69 at best; six independent pixels −4.16.
        assert!((-1.5..-0.69 + 5.0 * score.log_z.error).contains(&score.lower.value), "{score:?}");
    }
}
