use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Args, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure, energy,
    fit::{self, Fitted, Layer, Options, Rows, Score},
    graph::{Collective, Precision},
    io::{Picture, png},
    machine::{Choice, Machine, Work},
};

use super::{Files, Judging, Learning, Notes, Units, estimate, rows, save};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, check_place, flow, interruption, print, sheet, speaks, told, unless_interrupted},
};

/// Hidden units of a machine of which nothing was said.
const HIDDEN: usize = 100;
/// Filters that a sheet shows.
const FILTERS: usize = 256;

/// Learn a restricted Boltzmann machine by contrastive divergence.
///
/// Bytes of which one is above 1 are divided by 255. For binary and spin units, numbers must lie between 0 and 1, or be spins
/// from -1 to 1; for Gaussian units every column is standardised. The learning rate falls to 0 over the second half of the epochs. Log-probabilities, in nats, are measured by annealed importance sampling.
#[derive(Args)]
pub struct Rbm {
    #[command(flatten)]
    files: Files,
    /// Hidden units [default: 100, or those of the machine to begin with]
    #[arg(long, value_parser = value_parser!(u32).range(1..=65_535))]
    hidden: Option<u32>,
    /// Go on from this machine
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
    #[command(flatten)]
    learning: Learning,
    #[command(flatten)]
    judging: Judging,
    /// Where to learn: auto (a GPU, if there is one, for what takes the processor a second or more), cpu, cuda or cuda:N.
    /// A GPU draws other numbers than the processor
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Choice,
    /// Draw the weights of the hidden units into this PNG file
    #[arg(long, value_name = "FILE")]
    filters: Option<PathBuf>,
}

impl Rbm {
    /// Learns, writes and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        self.filters.as_deref().map_or(Ok(()), check_place)?;
        let output = self.files.output("rbm")?;
        let (train, test, mut notes) = rows(&self.files, &self.learning, &self.judging, usize::MAX, ranks)?;
        let shape = train.table().shape().to_vec();
        let epochs = self.learning.epochs;
        let begin = self.init.as_deref().map(first).transpose()?;
        let hidden = self.hidden.map(|count| count as usize).or(begin.as_ref().map(|rbm| rbm.hidden()));
        let hidden = hidden.unwrap_or(HIDDEN);
        let device = self.device(&train, hidden)?;
        let options = Options {
            hidden,
            hidden_units: if self.learning.units == Units::Spin { Units::Spin } else { Units::Binary }.into(),
            epochs,
            batch: self.learning.batch as usize,
            settings: self.learning.settings(),
            seed: self.files.seed,
            begin,
            device,
        };
        let interrupted = interruption("stopping; what was learned is kept")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        let (mut sum, mut batches, mut errors) = (0.0, 0u32, Vec::new());
        let going = || flow(&interrupted).is_continue();
        let machine = fit::Machine::train(&train, &options, self.learning.slices(ranks), &going, |at| {
            notes.tell(&progress);
            progress.set(at.done as f64 / at.total as f64);
            (sum, batches) = (sum + f64::from(at.reconstruction), batches + 1);
            if at.done == at.total || at.done % (at.total / u64::from(epochs)) == 0 {
                let error = sum / f64::from(batches);
                errors.push(error);
                (sum, batches) = (0.0, 0);
                progress.aside(|| {
                    let seconds = started.elapsed().as_secs_f64();
                    say!("epoch {}/{}: reconstruction error {error:.5}, {seconds:.1} s", at.epoch + 1, epochs);
                });
            }
            flow(&interrupted)
        })?;
        let seconds = started.elapsed().as_secs_f64();
        drop(progress);
        let layer = Layer { machine: machine.clone(), shape: shape.clone(), moments: train.moments().to_vec() };
        save(&Fitted::Machine(layer), &output)?;
        if let Some(path) = self.filters.as_ref().filter(|_| speaks()) {
            png::save(path, &filters(&machine, &shape)?, &[])?;
        }
        let &Judging { ais, chains, .. } = &self.judging;
        let score = if ais > 0 && self.learning.units != Units::Gaussian && flow(&interrupted).is_continue() {
            let mut progress = Progress::new("measuring")?;
            let devices = (&options.device, ranks);
            let score = machine.score(&test, (ais, chains), self.files.seed, devices, &mut |at| {
                progress.set(at.done as f64 / at.total as f64);
                flow(&interrupted)
            });
            unless_interrupted(score, &interrupted)?
        } else {
            None
        };
        self.tell(&output, (&train, machine.rbm.hidden()), score, (&errors, seconds), &notes)?;
        Ok(if flow(&interrupted).is_break() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    /// The device asked for; a GPU is named in one line on standard error.
    fn device(&self, rows: &Rows, hidden: usize) -> Result<Machine, Failure> {
        let (visible, hidden) = (rows.table().columns() as f64, hidden as f64);
        let batch = rows.len().min(self.learning.batch as usize) as f64;
        // Each Gibbs step has two products, each phase two more.
        let products = 2.0 * f64::from(self.learning.steps) + 4.0;
        let all = rows.len() as f64 * f64::from(self.learning.epochs);
        let work = Work {
            seconds: 2.0 * products * visible * hidden * all / Work::SPEED,
            bytes: 4.0 * (4.0 * visible * hidden + 8.0 * batch * (visible + hidden)),
            ..Work::NONE
        };
        Machine::choose(self.device, self.judging.cpu(), Precision::F32, work).map(told)
    }

    fn tell(
        &self,
        output: &Path,
        (train, hidden): (&Rows, usize),
        score: Option<Score>,
        (errors, seconds): (&[f64], f64),
        notes: &Notes,
    ) -> Result<(), Failure> {
        let of = self.judging.test.as_ref().unwrap_or(&self.files.data).display();
        if self.files.json {
            let report = json!({
                "data": self.files.data, "rows": train.len(), "columns": train.table().columns(), "hidden": hidden,
                "reconstruction": errors, "seconds": seconds, "model": output,
                "log_z": score.map_or(Value::Null, |score| estimate(score.log_z)),
                "log_probability": score.map_or(Value::Null, |score| estimate(score.log_probability)),
                "log_probability_of": of.to_string(), "notes": notes.notes,
            });
            return print(format_args!("{report:#}\n"));
        }
        let (data, rows, columns) = (self.files.data.display(), train.len(), train.table().columns());
        let mut text = format!("{data}: {rows} rows of {columns} columns; {hidden} hidden units in {seconds:.1} s\n");
        if let Some(Score { log_z, log_probability: p }) = score {
            text += &format!(
                "log Z {:.3} ± {:.3} (annealed importance sampling, {} temperatures, {} chains)\n",
                log_z.value, log_z.error, self.judging.ais, self.judging.chains
            );
            text += &format!("log-probability {:.3} ± {:.3} nats a row of {of}\n", p.value, p.error);
        }
        print(format_args!("{text}{}\n", output.display()))
    }
}

/// The machine of a file.
fn first(path: &Path) -> Result<energy::rbm::Rbm, Failure> {
    match Fitted::open(path)? {
        Fitted::Machine(layer) => Ok(layer.machine.rbm),
        other => {
            let (path, kind) = (path.display(), other.kind());
            Err(Failure::new(format!("{path} is a {kind}, must be a restricted Boltzmann machine")))
        }
    }
}

/// The weights of the first hidden units, grey being 0, black and white the largest of each.
fn filters(machine: &fit::Machine, shape: &[usize]) -> Result<Picture, Failure> {
    let (hidden, weights) = (machine.rbm.hidden(), &machine.rbm.weights);
    let filter = |j: usize| {
        let column: Vec<f32> = weights.iter().skip(j).step_by(hidden).copied().collect();
        let largest = column.iter().fold(f32::MIN_POSITIVE, |largest, w| largest.max(w.abs()));
        column.iter().map(|w| 0.5 + 0.5 * w / largest).collect::<Vec<f32>>()
    };
    sheet(&(0..hidden.min(FILTERS)).map(filter).collect::<Vec<_>>().concat(), shape)
}
