//! `yuragi fit`: models of tables.

mod deep;
mod gmm;
mod rbm;
pub mod table;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure,
    cpu::Cpu,
    energy::{
        self,
        rbm::{Slices, train::Settings},
        statistics::Estimate,
    },
    fit::{Binarize, Fitted, Meaning, Rows},
    graph::Collective,
    io::{ReadError, table::Opened},
};

use super::common::{Progress, check_place, processor, speaks};
pub use gmm::components;
use table::TableFlags;

/// Learn a model of a table: CSV and its kin, NumPy's .npy and .npz, or IDX (MNIST's format), packed by gzip or not.
///
/// A text may have a header, comments, a column of labels without a name; empty cells, NA and nan are missing numbers.
/// What was taken for granted in reading is said. `FILE.npz:NAME` is one array of an archive.
///
/// `yuragi sample` draws from it, `yuragi info` tells about it.
#[derive(Subcommand)]
pub enum Fit {
    Gmm(gmm::Gmm),
    Rbm(rbm::Rbm),
    Dbn(deep::Dbn),
    Dbm(deep::Dbm),
}

impl Fit {
    /// Learns, writes and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let code = match self {
            Self::Gmm(command) => command.run(ranks),
            Self::Rbm(command) => command.run(ranks),
            Self::Dbn(command) => command.run(ranks),
            Self::Dbm(command) => command.run(ranks),
        }?;
        // The first rank's files are written before another ends all, as it does after an interruption.
        ranks.barrier()?;
        Ok(code)
    }
}

/// What units can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Units {
    /// 0 or 1
    Binary,
    /// -1 or +1
    Spin,
    /// Any number (visible units of a machine)
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

/// What all take.
#[derive(Args)]
struct Files {
    /// The table: a .csv, .npy, .npz or IDX file
    data: PathBuf,
    /// The model's file [default: the kind's name, such as rbm.safetensors]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use at most so many rows, the first ones
    #[arg(long, value_name = "ROWS")]
    rows: Option<usize>,
    /// Decides every draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: TableFlags,
}

/// What was taken for granted in reading a file.
struct Notes {
    of: String,
    notes: Vec<String>,
    told: bool,
}

impl Notes {
    fn new(path: &Path, notes: Vec<String>) -> Self {
        Self { of: path.display().to_string(), notes, told: false }
    }

    /// Says it, once, beside a progress bar.
    fn tell(&mut self, progress: &Progress) {
        if !std::mem::replace(&mut self.told, true) {
            progress.aside(|| self.notes.iter().for_each(|note| say!("{}: {note}", self.of)));
        }
    }
}

impl Files {
    /// The model's file, named by its kind unless another was asked for; what cannot be written is refused.
    fn output(&self, kind: &str) -> Result<PathBuf, Failure> {
        let path = self.output.clone().unwrap_or_else(|| format!("{kind}.safetensors").into());
        check_place(&path)?;
        Ok(path)
    }

    /// The table, and its first rows if only some are wanted.
    fn open(&self, ranks: &dyn Collective) -> Result<(Opened, Opened), Failure> {
        let whole = self.flags.open(&self.data, ranks)?;
        let first = match self.rows {
            Some(0) => return Err(Failure::new("`--rows` is 0; it must be at least 1")),
            Some(rows) => whole.first(rows).map_err(|reason| ReadError::Format { path: self.data.clone(), reason })?,
            None => whole.clone(),
        };
        Ok((whole, first))
    }
}

/// How a machine, or each machine of a stack, learns.
#[derive(Args)]
struct Learning {
    /// What units are
    #[arg(long, value_enum, default_value_t = Units::Binary)]
    units: Units,
    /// What numbers are divided by [default: 255 for bytes if one is above 1, else 1]
    #[arg(long, value_parser = scale)]
    scale: Option<f64>,
    /// How numbers between 0 and 1 become two values: `sample`, `threshold`, or stay `means`
    #[arg(long, default_value_t = Binarize::Sample)]
    binarize: Binarize,
    /// Passes over the data, of each layer
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
    epochs: u32,
    /// Rows a step
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    /// Slices of a batch, which are learned from one after another, or by several ranks; the model depends on their number, and
    /// not on that of the ranks. Of one slice, each of several ranks learns all, and they share what is measured
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1_000_000))]
    slices: u32,
    /// Learning rate
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
}

impl Learning {
    fn slices<'r>(&self, ranks: &'r dyn Collective) -> Slices<'r> {
        Slices { count: self.slices as usize, ranks }
    }

    fn settings(&self) -> Settings {
        let &Learning { rate, momentum, decay: weight_decay, steps, persistent, centred, .. } = self;
        Settings { rate, momentum, weight_decay, steps, persistent, centred }
    }
}

/// How log-probabilities are measured.
#[derive(Args)]
struct Judging {
    /// A table to measure the log-probability of; without it, that of the data
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Temperatures of annealed importance sampling; 0 measures nothing
    #[arg(long, default_value_t = 1000)]
    ais: u32,
    /// Its chains
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    chains: u32,
    /// Threads that learn and measure; results do not depend on them [default: all cores]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Judging {
    /// The processor.
    fn cpu(&self) -> Cpu {
        processor(self.threads)
    }
}

pub fn scale(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0);
    number.ok_or_else(|| "it must be a number above 0".to_owned())
}

/// The data, what is judged (the test table, or else `spare` of the data's rows), and what is to be said of them.
fn rows(
    files: &Files,
    learning: &Learning,
    judging: &Judging,
    spare: usize,
    ranks: &dyn Collective,
) -> Result<(Rows, Rows, Notes), Failure> {
    let units = learning.units.into();
    let of = |path: &Path, why: Failure| Failure::new(format!("{}: {why}", path.display()));
    let (whole, Opened { table, mut notes }) = files.open(ranks)?;
    let meaning = Meaning::of(&whole.table, units, learning.scale);
    notes.extend(meaning.notes(&whole.table, units));
    let data =
        Rows::with_meaning(table, meaning, units, learning.binarize, files.seed).map_err(|why| of(&files.data, why))?;
    let (count, columns) = (data.len(), data.table().columns());
    let test = match &judging.test {
        Some(path) => {
            let test = files.flags.open(path, ranks)?.table;
            check_names(data.table().names(), test.names(), path)?;
            data.alike(test).map_err(|why| of(path, why))?
        }
        None if spare < count => data.first(spare),
        None => data.clone(),
    };
    if test.table().columns() != columns {
        let (path, have) = (judging.test.as_ref().unwrap_or(&files.data).display(), test.table().columns());
        return Err(Failure::new(format!("{path} has {have} columns; the data have {columns}")));
    }
    Ok((data, test, Notes::new(&files.data, notes)))
}

/// `Ok` unless two tables have the same columns in another order.
fn check_names(data: &[String], test: &[String], path: &Path) -> Result<(), Failure> {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let differ = data.iter().zip(test).find(|(a, b)| a != b);
    match differ.filter(|_| sorted(data) == sorted(test)) {
        Some((a, b)) => {
            let path = path.display();
            Err(Failure::new(format!(
                "{path} has the column {b} where the data have {a}; `--columns` puts both in one order"
            )))
        }
        None => Ok(()),
    }
}

/// Writes a model, as the first rank.
fn save(model: &Fitted, path: &Path) -> Result<(), Failure> {
    if speaks() { model.save(path) } else { Ok(()) }
}

fn estimate(estimate: Estimate) -> Value {
    json!({"value": estimate.value, "error": estimate.error})
}
