use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
    time::Instant,
};

use clap::{Args, ValueEnum, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure,
    energy::{self, rbm::train::Settings, sampler::Progress as Sweeps},
    fit::{Binarize, Fitted, Layer, Machine, Options, Rows, Score},
    io::png,
};

use super::{Files, first_rows};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, check_place, interruption, print},
    sample::sheet,
};

/// Filters that a sheet shows.
const FILTERS: usize = 256;

/// What units can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Units {
    /// 0 or 1
    Binary,
    /// -1 or +1
    Spin,
    /// Any number (visible units only)
    Gaussian,
}

impl From<Units> for energy::rbm::Units {
    fn from(units: Units) -> Self {
        match units {
            Units::Binary => Self::Binary,
            Units::Spin => Self::Spin,
            Units::Gaussian => Self::Gaussian,
        }
    }
}

/// Learn a restricted Boltzmann machine by contrastive divergence.
///
/// Bytes are scaled to 0..1. For binary and spin units, numbers must lie between 0 and 1; for Gaussian units every column is
/// standardised. Log-probabilities, in nats, are measured by annealed importance sampling.
#[derive(Args)]
pub struct Rbm {
    #[command(flatten)]
    files: Files,
    /// Hidden units
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=65_535))]
    hidden: u32,
    /// What visible units are
    #[arg(long, value_enum, default_value_t = Units::Binary)]
    units: Units,
    /// How numbers between 0 and 1 become two values: `sample`, `threshold`, or stay `means`
    #[arg(long, default_value_t = Binarize::Sample)]
    binarize: Binarize,
    /// Passes over the data
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
    epochs: u32,
    /// Rows a step
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    /// Learning rate; it falls to 0 over the second half
    #[arg(long, default_value_t = 0.05)]
    rate: f32,
    /// Gibbs steps of the negative phase, the k of CD-k
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    steps: u32,
    /// Chains that go on from step to step (PCD), instead of starting from the data
    #[arg(long)]
    persistent: bool,
    /// Gradients about the mean activities
    #[arg(long)]
    centred: bool,
    /// Share of the last step that is kept, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    momentum: f32,
    /// Decay of weights
    #[arg(long, default_value_t = 0.0)]
    decay: f32,
    /// A table to measure the log-probability of; without it, that of the data
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Temperatures of annealed importance sampling; 0 measures nothing
    #[arg(long, default_value_t = 1000)]
    ais: u32,
    /// Its chains
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    chains: u32,
    /// Draw the weights of the hidden units into this PNG file
    #[arg(long, value_name = "FILE")]
    filters: Option<PathBuf>,
}

impl Rbm {
    /// Learns, writes and tells.
    pub fn run(self) -> Result<ExitCode, Failure> {
        self.filters.as_deref().map_or(Ok(()), check_place)?;
        let units = self.units.into();
        let rows = |path: &PathBuf, limit| {
            let table = first_rows(path, limit)?;
            Rows::new(table, units, self.binarize, self.files.seed)
                .map_err(|why| Failure::new(format!("{}: {why}", path.display())))
        };
        let output = self.files.output("rbm")?;
        let train = rows(&self.files.data, self.files.rows)?;
        let test = self.test.as_ref().map(|path| rows(path, None)).transpose()?;
        let (columns, shape) = (train.table().columns(), train.table().shape().to_vec());
        if let Some((path, test)) =
            self.test.as_ref().zip(test.as_ref()).filter(|(_, t)| t.table().columns() != columns)
        {
            let (path, have) = (path.display(), test.table().columns());
            return Err(Failure::new(format!("{path} has {have} columns; the data have {columns}")));
        }
        let options = Options {
            hidden: self.hidden as usize,
            hidden_units: if self.units == Units::Spin { Units::Spin } else { Units::Binary }.into(),
            epochs: self.epochs,
            batch: self.batch as usize,
            settings: Settings {
                rate: self.rate,
                momentum: self.momentum,
                weight_decay: self.decay,
                steps: self.steps,
                persistent: self.persistent,
                centred: self.centred,
            },
            seed: self.files.seed,
        };
        let interrupted = interruption("stopping; what was learned is kept")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        let (mut sum, mut batches, mut epochs) = (0.0, 0u32, Vec::new());
        let machine = Machine::train(&train, &options, |at| {
            progress.set(at.done as f64 / at.total as f64);
            (sum, batches) = (sum + f64::from(at.reconstruction), batches + 1);
            if at.done == at.total || at.done % (at.total / u64::from(self.epochs)) == 0 {
                let error = sum / f64::from(batches);
                epochs.push(error);
                (sum, batches) = (0.0, 0);
                progress.aside(|| {
                    let seconds = started.elapsed().as_secs_f64();
                    eprintln!(
                        "epoch {}/{}: reconstruction error {error:.5}, {seconds:.1} s",
                        at.epoch + 1,
                        self.epochs
                    );
                });
            }
            if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let seconds = started.elapsed().as_secs_f64();
        drop(progress);
        let layer = Layer { machine: machine.clone(), shape: shape.clone(), moments: train.moments().to_vec() };
        Fitted::Machine(layer).save(&output)?;
        if let Some(path) = &self.filters {
            png::save(path, &filters(&machine, &shape)?, &[])?;
        }
        let test = test.map(|test| test.with_moments(train.moments().to_vec()));
        let measurable = self.ais > 0 && self.units != Units::Gaussian && !interrupted.load(Ordering::Relaxed);
        let score = if measurable {
            let mut progress = Progress::new("measuring")?;
            let score = machine.score(
                test.as_ref().unwrap_or(&train),
                (self.ais, self.chains),
                self.files.seed,
                &mut |at: Sweeps| {
                    progress.set(at.done as f64 / at.total as f64);
                    if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            );
            match score {
                Err(_) if interrupted.load(Ordering::Relaxed) => None,
                score => Some(score?),
            }
        } else {
            None
        };
        self.tell(&output, &train, score, (&epochs, seconds))?;
        Ok(if interrupted.load(Ordering::Relaxed) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    fn tell(
        &self,
        output: &Path,
        train: &Rows,
        score: Option<Score>,
        (epochs, seconds): (&[f64], f64),
    ) -> Result<(), Failure> {
        let of = self.test.as_ref().unwrap_or(&self.files.data).display();
        if self.files.json {
            let estimate = |e: energy::statistics::Estimate| json!({"value": e.value, "error": e.error});
            let report = json!({
                "data": self.files.data, "rows": train.len(), "columns": train.table().columns(), "hidden": self.hidden,
                "reconstruction": epochs, "seconds": seconds, "model": output,
                "log_z": score.map_or(Value::Null, |score| estimate(score.log_z)),
                "log_probability": score.map_or(Value::Null, |score| estimate(score.log_probability)),
                "log_probability_of": of.to_string(),
            });
            return print(format_args!("{report:#}\n"));
        }
        let (data, rows, columns) = (self.files.data.display(), train.len(), train.table().columns());
        let mut text =
            format!("{data}: {rows} rows of {columns} columns; {} hidden units in {seconds:.1} s\n", self.hidden);
        if let Some(Score { log_z, log_probability: p }) = score {
            text += &format!(
                "log Z {:.3} ± {:.3} (annealed importance sampling, {} temperatures, {} chains)\n",
                log_z.value, log_z.error, self.ais, self.chains
            );
            text += &format!("log-probability {:.3} ± {:.3} nats a row of {of}\n", p.value, p.error);
        }
        print(format_args!("{text}{}\n", output.display()))
    }
}

/// The weights of the first hidden units, grey being 0, black and white the largest of each.
fn filters(machine: &Machine, shape: &[usize]) -> Result<yuragi::io::Picture, Failure> {
    let (hidden, weights) = (machine.rbm.hidden(), &machine.rbm.weights);
    let filter = |j: usize| {
        let column: Vec<f32> = weights.iter().skip(j).step_by(hidden).copied().collect();
        let largest = column.iter().fold(f32::MIN_POSITIVE, |largest, w| largest.max(w.abs()));
        column.iter().map(|w| 0.5 + 0.5 * w / largest).collect::<Vec<f32>>()
    };
    sheet(&(0..hidden.min(FILTERS)).map(filter).collect::<Vec<_>>().concat(), shape)
}
