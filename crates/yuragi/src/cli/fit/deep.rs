use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Args, value_parser};
use serde_json::json;
use yuragi::{
    Failure,
    energy::{
        deep::{self, DbmSettings, Greedy, MeanFieldSettings},
        sampler::{Hook, Progress as Sweeps},
        statistics::Estimate,
    },
    fit::{Belief, Bounds, Deep, DeepOptions, Fitted, Network, Rows, Stack, WEIGHTS},
    graph::{Collective, Precision},
    machine::{Choice, Machine, Work},
};

use super::{Files, Judging, Learning, Notes, estimate, rows, save};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, flow, interruption, print, told, unless_interrupted},
};

/// Rows of the data that are judged when there is no other table.
const JUDGED: usize = 1000;

/// Learn a deep belief network: a stack of restricted Boltzmann machines, layer by layer.
///
/// Bytes of which one is above 1 are divided by 255; numbers must lie between 0 and 1, and are drawn as two values once. Bounds of log-probabilities,
/// in nats, are measured by draws of the way up and by annealed importance sampling of the top machine; without `--test`, for the
/// data's first 1000 rows.
#[derive(Args)]
pub struct Dbn {
    #[command(flatten)]
    task: Task,
    /// Draws of the way up for each row
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=100_000))]
    draws: u32,
}

/// Learn a deep Boltzmann machine: all layers together, by mean field and Gibbs chains.
///
/// Bytes of which one is above 1 are divided by 255; numbers must lie between 0 and 1, and are drawn as two values in every epoch. The variational
/// bound of log-probabilities, in nats, is measured with annealed importance sampling; without `--test`, for the data's first
/// 1000 rows. The learning rate falls to 0 over the second half of the epochs.
#[derive(Args)]
pub struct Dbm {
    #[command(flatten)]
    task: Task,
    /// Go on from this deep machine, or from this restricted machine as its lowest layers
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
}

/// What both take.
#[derive(Args)]
struct Task {
    #[command(flatten)]
    files: Files,
    /// Hidden units of each layer, from the lowest
    #[arg(long, value_delimiter = ',', default_value = "200,200", value_parser = value_parser!(u32).range(1..=65_535))]
    layers: Vec<u32>,
    #[command(flatten)]
    learning: Learning,
    #[command(flatten)]
    judging: Judging,
    /// Where to learn: auto (a GPU, if there is one, for what takes the processor a second or more), cpu, cuda or cuda:N.
    /// A GPU draws other numbers than the processor
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Choice,
}

/// What the two kinds of models differ in where they are told of.
struct Kind {
    /// The name of the command.
    name: &'static str,
    /// What ln Z is of.
    log_z_of: &'static str,
    /// The keys and names of the bounds that are measured.
    bounds: &'static [(&'static str, &'static str)],
}

const DBN: Kind = Kind {
    name: "dbn",
    log_z_of: " of the top machine",
    bounds: &[("lower", "variational bound"), ("importance", "importance-weighted")],
};

const DBM: Kind = Kind { name: "dbm", log_z_of: "", bounds: &[("lower", "variational bound")] };

/// ln Z, and the bounds of a kind in their order.
type Measured = (Estimate, Vec<Estimate>);

impl Dbn {
    /// Learns, writes and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let Dbn { task, draws } = self;
        let (settings, seed) = (task.learning.settings(), task.files.seed);
        let (epochs, batch) = (task.learning.epochs, task.learning.batch as usize);
        let slices = task.learning.slices(ranks);
        let greedy = Greedy { settings, epochs, batch, ..Greedy::default() };
        // Each machine has two products a Gibbs step, two a phase, and one for all below it.
        let products = 2.0 * f64::from(settings.steps) + 5.0;
        let learn = |rows: &Rows, layers: &[usize], device: &Machine, hook: Hook<'_>| {
            Belief::train(rows, layers, &greedy, seed, (device, slices), hook)
        };
        let judge = |belief: &Belief, rows: &Rows, effort, device: &Machine, hook: Hook<'_>| {
            let Bounds { log_z, lower, importance } = belief.score(rows, effort, draws, seed, (device, ranks), hook)?;
            Ok((log_z, vec![lower, importance]))
        };
        let layers = |belief: &Belief| {
            let stack = belief.dbn.recognition.iter().chain([&belief.dbn.top]);
            stack.map(|rbm| rbm.hidden()).collect()
        };
        task.run(
            (&DBN, products, ranks),
            learn,
            layers,
            |belief, shape| Fitted::Network(Network { belief, shape }),
            judge,
        )
    }
}

impl Dbm {
    /// Learns, writes and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let Dbm { task, init } = self;
        let &Learning { rate, momentum, decay: weight_decay, steps, persistent, centred, .. } = &task.learning;
        let (epochs, batch, seed) = (task.learning.epochs, task.learning.batch as usize, task.files.seed);
        let slices = task.learning.slices(ranks);
        let settings = DbmSettings {
            rate,
            momentum,
            weight_decay,
            steps,
            chains: task.learning.batch,
            persistent,
            centred,
            mean_field: MeanFieldSettings { rounds: 10, tolerance: 1e-3, damping: 0.0 },
        };
        // Two products a Gibbs step and a round of mean fields, two a phase, and one for the way up.
        let products = 2.0 * f64::from(steps + settings.mean_field.rounds) + 5.0;
        let learn = |rows: &Rows, layers: &[usize], device: &Machine, hook: Hook<'_>| {
            let begin = init.map(|path| first(&path, layers, seed)).transpose()?;
            let (layers, device) = (layers.to_vec(), device.clone());
            let options = DeepOptions { layers, epochs, batch, settings, seed, begin, device };
            Deep::train(rows, &options, slices, hook)
        };
        let judge = |deep: &Deep, rows: &Rows, effort, device: &Machine, hook: Hook<'_>| {
            let score = deep.score(rows, effort, seed, (device, ranks), hook)?;
            Ok((score.log_z, vec![score.lower]))
        };
        let layers = |deep: &Deep| deep.dbm.sizes()[1..].to_vec();
        task.run((&DBM, products, ranks), learn, layers, |deep, shape| Fitted::Deep(Stack { deep, shape }), judge)
    }
}

/// The deep machine of a file, or one with the file's machine as its lowest layers.
fn first(path: &Path, layers: &[usize], seed: u64) -> Result<deep::Dbm, Failure> {
    match Fitted::open(path)? {
        Fitted::Deep(stack) => Ok(stack.deep.dbm),
        Fitted::Machine(layer) => Ok(deep::Dbm::over(&layer.machine.rbm, &layers[1..], WEIGHTS, seed)?),
        other => Err(Failure::new(format!("{} is a {}, must be a Boltzmann machine", path.display(), other.kind()))),
    }
}

impl Task {
    /// Learns, writes the model and tells what is measured on it.
    fn run<M: Clone>(
        self,
        (kind, products, ranks): (&Kind, f64, &dyn Collective),
        learn: impl FnOnce(&Rows, &[usize], &Machine, Hook<'_>) -> Result<M, Failure>,
        layers_of: impl FnOnce(&M) -> Vec<usize>,
        fitted: impl FnOnce(M, Vec<usize>) -> Fitted,
        judge: impl FnOnce(&M, &Rows, (u32, u32), &Machine, Hook<'_>) -> Result<Measured, Failure>,
    ) -> Result<ExitCode, Failure> {
        let output = self.files.output(kind.name)?;
        let (train, test, mut notes) = rows(&self.files, &self.learning, &self.judging, JUDGED, ranks)?;
        let layers: Vec<usize> = self.layers.iter().map(|&size| size as usize).collect();
        let device = self.device(&train, &layers, products)?;
        let interrupted = interruption("stopping; what was learned is kept")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        let mut told = 0;
        let learned = learn(&train, &layers, &device, &mut |at| {
            notes.tell(&progress);
            progress.set(at.done as f64 / at.total as f64);
            let tenths = 10 * at.done / at.total.max(1);
            if tenths > told {
                told = tenths;
                let seconds = started.elapsed().as_secs_f64();
                progress.aside(|| say!("{} % learned, {seconds:.1} s", 10 * tenths));
            }
            flow(&interrupted)
        });
        let Some(model) = unless_interrupted(learned, &interrupted)? else {
            say!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let (seconds, layers) = (started.elapsed().as_secs_f64(), layers_of(&model));
        save(&fitted(model.clone(), train.table().shape().to_vec()), &output)?;
        let &Judging { ais, chains, .. } = &self.judging;
        let mut measure = |at: Sweeps| {
            progress.set(at.done as f64 / at.total as f64);
            flow(&interrupted)
        };
        let measured = if ais > 0 && flow(&interrupted).is_continue() {
            unless_interrupted(judge(&model, &test, (ais, chains), &device, &mut measure), &interrupted)?
        } else {
            None
        };
        drop(progress);
        self.tell(kind, (&output, &layers), (&train, &test), (seconds, measured), &notes)?;
        Ok(if flow(&interrupted).is_break() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    /// The device asked for, for so many products with the weights of each pair of layers and row; a GPU is named in one
    /// line on standard error.
    fn device(&self, rows: &Rows, layers: &[usize], products: f64) -> Result<Machine, Failure> {
        let sizes: Vec<f64> = [rows.table().columns()].iter().chain(layers).map(|&size| size as f64).collect();
        let weights: f64 = sizes.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let batch = rows.len().min(self.learning.batch as usize) as f64;
        let all = rows.len() as f64 * f64::from(self.learning.epochs);
        let work = Work {
            seconds: 2.0 * products * weights * all / Work::SPEED,
            bytes: 4.0 * (4.0 * weights + 8.0 * batch * sizes.iter().sum::<f64>()),
            ..Work::NONE
        };
        Machine::choose(self.device, self.judging.cpu(), Precision::F32, work).map(told)
    }

    fn tell(
        &self,
        kind: &Kind,
        (output, layers): (&Path, &[usize]),
        (train, test): (&Rows, &Rows),
        (seconds, measured): (f64, Option<Measured>),
        notes: &Notes,
    ) -> Result<(), Failure> {
        let (count, columns) = (train.len(), train.table().columns());
        let of = self.judging.test.as_ref().unwrap_or(&self.files.data).display();
        if self.files.json {
            let mut told = json!({
                "data": self.files.data, "rows": count, "columns": columns, "layers": layers,
                "seconds": seconds, "model": output, "bounds_of": of.to_string(),
                "log_z": measured.as_ref().map(|(log_z, _)| estimate(*log_z)), "notes": notes.notes,
            });
            for (i, (key, _)) in kind.bounds.iter().enumerate() {
                told[*key] = json!(measured.as_ref().map(|(_, bounds)| estimate(bounds[i])));
            }
            return print(format_args!("{told:#}\n"));
        }
        let data = self.files.data.display();
        let mut text =
            format!("{data}: {count} rows of {columns} columns; {layers:?} hidden units in {seconds:.1} s\n");
        if let Some((log_z, bounds)) = measured {
            text += &format!("log Z{} {:.3} ± {:.3}\n", kind.log_z_of, log_z.value, log_z.error);
            text += &format!("log-probability of {} rows of {of}, in nats a row:\n", test.len());
            for ((_, name), bound) in kind.bounds.iter().zip(bounds) {
                text += &format!("  {name:<20} {:.3} ± {:.3}\n", bound.value, bound.error);
            }
        }
        print(format_args!("{text}{}\n", output.display()))
    }
}
