use std::{ops::ControlFlow, path::PathBuf, process::ExitCode, sync::atomic::Ordering, time::Instant};

use clap::{Args, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure,
    energy::{deep::Greedy, rbm::train::Settings, sampler::Progress as Sweeps, statistics::Estimate},
    fit::{Belief, Binarize, Bounds, Fitted, Network, Rows},
};

use super::{Files, TwoState, first_rows};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, interruption, print},
};

/// Learn a deep belief network: a stack of restricted Boltzmann machines, layer by layer.
///
/// Bytes are scaled to 0..1; other numbers must lie between 0 and 1, and are drawn as two values once. Bounds of log-probabilities,
/// in nats, are measured by draws of the way up and by annealed importance sampling of the top machine.
#[derive(Args)]
pub struct Dbn {
    #[command(flatten)]
    files: Files,
    /// Hidden units of each layer, from the lowest
    #[arg(long, value_delimiter = ',', default_value = "200,200", value_parser = value_parser!(u32).range(1..=65_535))]
    layers: Vec<u32>,
    /// What units are
    #[arg(long, value_enum, default_value_t = TwoState::Binary)]
    units: TwoState,
    /// How numbers between 0 and 1 become two values: `sample`, `threshold`, or stay `means`
    #[arg(long, default_value_t = Binarize::Sample)]
    binarize: Binarize,
    /// Passes over the data for each layer
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
    epochs: u32,
    /// Rows a step
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    /// Learning rate
    #[arg(long, default_value_t = 0.05)]
    rate: f32,
    /// Gibbs steps of the negative phase, the k of CD-k
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    steps: u32,
    /// Gradients about the mean activities
    #[arg(long)]
    centred: bool,
    /// A table to measure bounds for; without it, the data's first 1000 rows
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Temperatures of annealed importance sampling; 0 measures nothing
    #[arg(long, default_value_t = 1000)]
    ais: u32,
    /// Its chains
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    chains: u32,
    /// Draws of the way up for each row
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=100_000))]
    draws: u32,
}

impl Dbn {
    /// Learns, writes and tells.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let output = self.files.output("dbn")?;
        let rows = |path: &PathBuf, limit| {
            Rows::new(first_rows(path, limit)?, self.units.into(), self.binarize, self.files.seed)
                .map_err(|why| Failure::new(format!("{}: {why}", path.display())))
        };
        let train = rows(&self.files.data, self.files.rows)?;
        let test = match &self.test {
            Some(path) => rows(path, None)?,
            None => rows(&self.files.data, Some(self.files.rows.unwrap_or(1000).min(1000)))?,
        };
        let columns = train.table().columns();
        if test.table().columns() != columns {
            let path = self.test.as_ref().unwrap_or(&self.files.data).display();
            return Err(Failure::new(format!(
                "{path} has {} columns; the data have {columns}",
                test.table().columns()
            )));
        }
        let settings = Settings { rate: self.rate, steps: self.steps, centred: self.centred, ..Settings::default() };
        let greedy = Greedy { settings, epochs: self.epochs, batch: self.batch as usize, ..Greedy::default() };
        let layers: Vec<usize> = self.layers.iter().map(|&size| size as usize).collect();
        let interrupted = interruption("stopping")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        let mut hook = |at: Sweeps| {
            progress.set(at.done as f64 / at.total as f64);
            if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let belief = Belief::train(&train, &layers, &greedy, self.files.seed, &mut hook);
        if interrupted.load(Ordering::Relaxed) {
            drop(progress);
            eprintln!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let belief = belief?;
        let seconds = started.elapsed().as_secs_f64();
        let shape = train.table().shape().to_vec();
        Fitted::Network(Network { belief: belief.clone(), shape }).save(&output)?;
        let bounds = if self.ais == 0 {
            None
        } else {
            Some(belief.score(&test, (self.ais, self.chains), self.draws, self.files.seed, &mut hook)?)
        };
        drop(progress);
        let of = self.test.as_ref().unwrap_or(&self.files.data).display();
        if self.files.json {
            let estimate = |e: Estimate| json!({"value": e.value, "error": e.error});
            let report = json!({
                "data": self.files.data, "rows": train.len(), "columns": columns, "layers": self.layers,
                "seconds": seconds, "model": output, "bounds_of": of.to_string(),
                "log_z": bounds.map_or(Value::Null, |b| estimate(b.log_z)),
                "lower": bounds.map_or(Value::Null, |b| estimate(b.lower)),
                "importance": bounds.map_or(Value::Null, |b| estimate(b.importance)),
            });
            print(format_args!("{report:#}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (data, count) = (self.files.data.display(), train.len());
        let mut text =
            format!("{data}: {count} rows of {columns} columns; {:?} hidden units in {seconds:.1} s\n", self.layers);
        if let Some(Bounds { log_z, lower, importance }) = bounds {
            text += &format!("log Z of the top machine {:.3} ± {:.3}\n", log_z.value, log_z.error);
            text += &format!("log-probability of {} rows of {of}, in nats a row:\n", test.len());
            text += &format!("  variational bound    {:.3} ± {:.3}\n", lower.value, lower.error);
            text += &format!("  importance-weighted  {:.3} ± {:.3}\n", importance.value, importance.error);
        }
        print(format_args!("{text}{}\n", output.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
