//! `yuragi fit`: models of tables.

mod dbn;
mod gmm;
mod rbm;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use yuragi::{Failure, energy::rbm::Units, io::Table};

use super::common::check_place;
pub use gmm::components;

/// Learn a model of a table: CSV, NumPy's .npy, or IDX (MNIST's format), packed by gzip or not.
///
/// `yuragi sample` draws from it, `yuragi info` tells about it.
#[derive(Subcommand)]
pub enum Fit {
    Gmm(gmm::Gmm),
    Rbm(rbm::Rbm),
    Dbn(dbn::Dbn),
}

impl Fit {
    /// Learns, writes and tells.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Gmm(command) => command.run(),
            Self::Rbm(command) => command.run(),
            Self::Dbn(command) => command.run(),
        }
    }
}

/// What two-state units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TwoState {
    /// 0 or 1
    Binary,
    /// -1 or +1
    Spin,
}

impl From<TwoState> for Units {
    fn from(units: TwoState) -> Self {
        match units {
            TwoState::Binary => Self::Binary,
            TwoState::Spin => Self::Spin,
        }
    }
}

/// What all take.
#[derive(Args)]
struct Files {
    /// The table: a .csv, .npy or IDX file
    data: PathBuf,
    /// The model's file [default: gmm.safetensors, rbm.safetensors or dbn.safetensors]
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

    /// The table.
    fn open(&self) -> Result<Table, Failure> {
        first_rows(&self.data, self.rows)
    }
}

/// The first rows of a table.
fn first_rows(path: &Path, rows: Option<usize>) -> Result<Table, Failure> {
    let table = Table::open(path)?;
    match rows {
        Some(0) => Err(Failure::new("`--rows` is 0; it must be at least 1")),
        Some(rows) if rows < table.rows() => {
            let first: Vec<usize> = (0..rows).collect();
            table.select(&first).ok_or_else(|| Failure::new(format!("{} has no rows", path.display())))
        }
        _ => Ok(table),
    }
}
