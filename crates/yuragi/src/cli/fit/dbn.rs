use std::{process::ExitCode, time::Instant};

use clap::{Args, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure,
    energy::{deep::Greedy, sampler::Progress as Sweeps},
    fit::{Belief, Bounds, Fitted, Network},
};

use super::{Files, Judging, Learning, estimate, rows};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, flow, interruption, print, unless_interrupted},
};

/// Rows of the data that are judged when there is no other table.
const JUDGED: usize = 1000;

/// Learn a deep belief network: a stack of restricted Boltzmann machines, layer by layer.
///
/// Bytes are scaled to 0..1; other numbers must lie between 0 and 1, and are drawn as two values once. Bounds of log-probabilities,
/// in nats, are measured by draws of the way up and by annealed importance sampling of the top machine; without `--test`, for the
/// data's first 1000 rows.
#[derive(Args)]
pub struct Dbn {
    #[command(flatten)]
    files: Files,
    /// Hidden units of each layer, from the lowest
    #[arg(long, value_delimiter = ',', default_value = "200,200", value_parser = value_parser!(u32).range(1..=65_535))]
    layers: Vec<u32>,
    #[command(flatten)]
    learning: Learning,
    #[command(flatten)]
    judging: Judging,
    /// Draws of the way up for each row
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=100_000))]
    draws: u32,
}

impl Dbn {
    /// Learns, writes and tells.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let output = self.files.output("dbn")?;
        let (train, test) = rows(&self.files, &self.learning, &self.judging, JUDGED)?;
        let columns = train.table().columns();
        let (epochs, batch) = (self.learning.epochs, self.learning.batch as usize);
        let greedy = Greedy { settings: self.learning.settings(), epochs, batch, ..Greedy::default() };
        let layers: Vec<usize> = self.layers.iter().map(|&size| size as usize).collect();
        let interrupted = interruption("stopping")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        let mut hook = |at: Sweeps| {
            progress.set(at.done as f64 / at.total as f64);
            flow(&interrupted)
        };
        let belief = Belief::train(&train, &layers, &greedy, self.files.seed, &mut hook);
        let Some(belief) = unless_interrupted(belief, &interrupted)? else {
            eprintln!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let seconds = started.elapsed().as_secs_f64();
        let shape = train.table().shape().to_vec();
        Fitted::Network(Network { belief: belief.clone(), shape }).save(&output)?;
        let &Judging { ais, chains, .. } = &self.judging;
        let bounds = if ais > 0 {
            let bounds = belief.score(&test, (ais, chains), self.draws, self.files.seed, &mut hook);
            unless_interrupted(bounds, &interrupted)?
        } else {
            None
        };
        drop(progress);
        let ended = if flow(&interrupted).is_break() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS };
        let of = self.judging.test.as_ref().unwrap_or(&self.files.data).display();
        if self.files.json {
            let report = json!({
                "data": self.files.data, "rows": train.len(), "columns": columns, "layers": self.layers,
                "seconds": seconds, "model": output, "bounds_of": of.to_string(),
                "log_z": bounds.map_or(Value::Null, |b| estimate(b.log_z)),
                "lower": bounds.map_or(Value::Null, |b| estimate(b.lower)),
                "importance": bounds.map_or(Value::Null, |b| estimate(b.importance)),
            });
            print(format_args!("{report:#}\n"))?;
            return Ok(ended);
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
        Ok(ended)
    }
}
