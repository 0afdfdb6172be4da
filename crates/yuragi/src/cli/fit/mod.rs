//! `yuragi fit`: models of tables.

mod deep;
mod gmm;
mod rbm;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure,
    energy::{self, rbm::train::Settings, statistics::Estimate},
    fit::{Binarize, Rows},
    io::Table,
};

use super::common::check_place;
pub use gmm::components;

/// Learn a model of a table: CSV, NumPy's .npy, or IDX (MNIST's format), packed by gzip or not.
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
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Gmm(command) => command.run(),
            Self::Rbm(command) => command.run(),
            Self::Dbn(command) => command.run(),
            Self::Dbm(command) => command.run(),
        }
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
    /// The table: a .csv, .npy or IDX file
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
}

impl Files {
    /// The model's file, named by its kind unless another was asked for; what cannot be written is refused.
    fn output(&self, kind: &str) -> Result<PathBuf, Failure> {
        let path = self.output.clone().unwrap_or_else(|| format!("{kind}.safetensors").into());
        check_place(&path)?;
        Ok(path)
    }

    /// The table, or its first rows.
    fn open(&self) -> Result<Table, Failure> {
        let table = Table::open(&self.data)?;
        match self.rows {
            Some(0) => Err(Failure::new("`--rows` is 0; it must be at least 1")),
            Some(rows) => Ok(table.first(rows)),
            None => Ok(table),
        }
    }
}

/// How a machine, or each machine of a stack, learns.
#[derive(Args)]
struct Learning {
    /// What units are
    #[arg(long, value_enum, default_value_t = Units::Binary)]
    units: Units,
    /// How numbers between 0 and 1 become two values: `sample`, `threshold`, or stay `means`
    #[arg(long, default_value_t = Binarize::Sample)]
    binarize: Binarize,
    /// Passes over the data, of each layer
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
}

/// The data, and what is judged: the test table, or else `spare` of the data's rows.
fn rows(files: &Files, learning: &Learning, judging: &Judging, spare: usize) -> Result<(Rows, Rows), Failure> {
    let rows = |table, path: &Path| {
        Rows::new(table, learning.units.into(), learning.binarize, files.seed)
            .map_err(|why| Failure::new(format!("{}: {why}", path.display())))
    };
    let data = rows(files.open()?, &files.data)?;
    let (count, columns) = (data.len(), data.table().columns());
    let test = match &judging.test {
        Some(path) => rows(Table::open(path)?, path)?.with_moments(data.moments().to_vec()),
        None if spare < count => data.first(spare),
        None => data.clone(),
    };
    if test.table().columns() != columns {
        let (path, have) = (judging.test.as_ref().unwrap_or(&files.data).display(), test.table().columns());
        return Err(Failure::new(format!("{path} has {have} columns; the data have {columns}")));
    }
    Ok((data, test))
}

fn estimate(estimate: Estimate) -> Value {
    json!({"value": estimate.value, "error": estimate.error})
}
