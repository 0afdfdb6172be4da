//! The command line.

/// Prints a line on standard error, of the first rank.
macro_rules! say {
    ($($text:tt)*) => {
        if $crate::cli::common::speaks() {
            eprintln!($($text)*);
        }
    };
}

mod adapters;
mod anneal;
mod begin;
mod checkpoint;
mod common;
mod convert;
mod decoder;
mod evaluate;
mod fit;
mod generate;
mod hires;
mod info;
mod judge;
mod lora;
mod models;
mod output;
mod preview;
mod record;
mod sample;
mod train;
#[cfg(feature = "cuda")]
mod tune;
mod variational;

use std::{process::ExitCode, thread, time::Duration};

use clap::{Parser, Subcommand};
use yuragi::{
    Failure,
    graph::Collective,
    ranks::{self, Ranks, Rendezvous},
};

/// Generative models on the computer you have: pictures from words, annealing, and models of tables.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where ranks with GPUs meet that no MPI brings together: a file that all see, or an address of rank 0; torchrun says it
    /// by MASTER_ADDR
    #[arg(long, global = true, value_name = "FILE|HOST:PORT", help_heading = "Several processes")]
    rendezvous: Option<Rendezvous>,
}

#[derive(Subcommand)]
enum Command {
    Generate(Box<generate::Generate>),
    Train(Box<train::Train>),
    Evaluate(evaluate::Evaluate),
    Info(info::Info),
    Convert(convert::Convert),
    Anneal(anneal::Anneal),
    #[command(subcommand)]
    Fit(fit::Fit),
    Sample(sample::Sample),
    Bound(variational::Bound),
    #[cfg(feature = "cuda")]
    Tune(tune::Tune),
}

/// How long other ranks wait with a failure: the first one's is likely to be the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let (rank, _) = ranks::launched().unwrap_or((0, 1));
    if rank > 0 {
        common::hush();
    }
    let Arguments { command, rendezvous } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if rank == 0 => error.exit(),
        Err(error) => {
            // The launcher ends all when one has ended.
            thread::sleep(PATIENCE);
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    if let Some((_, size)) = ranks::launched().filter(|_| !command.is_shared()) {
        say!(
            "yuragi: a launcher started {size} of this program: `anneal`, `fit`, `generate`, `train`, `evaluate` and `bound` share their \
             work, other commands run as one process"
        );
        if rank > 0 {
            thread::sleep(PATIENCE);
        }
        return ExitCode::FAILURE;
    }
    let ranks = match Ranks::join(rendezvous.as_ref()) {
        Ok(ranks) => ranks,
        Err(failure) => return failed(rank, &failure),
    };
    let ended = run(command, &ranks).unwrap_or_else(|failure| failed(rank, &failure));
    if ended != ExitCode::SUCCESS {
        // Others would wait for this one; where they were interrupted, too, the first may have something to keep.
        if ranks.size() > 1 && ranks.rank() > 0 {
            thread::sleep(PATIENCE);
        }
        ranks.abort(if ended == ExitCode::from(INTERRUPTED) { INTERRUPTED } else { 1 });
    }
    ended
}

/// Says why a rank failed.
fn failed(rank: usize, failure: &Failure) -> ExitCode {
    if rank == 0 {
        eprintln!("yuragi: {failure}");
    } else {
        thread::sleep(PATIENCE);
        eprintln!("yuragi: rank {rank}: {failure}");
    }
    ExitCode::FAILURE
}

impl Command {
    /// Whether ranks share its work.
    fn is_shared(&self) -> bool {
        #[cfg(feature = "cuda")]
        if let Command::Tune(_) = self {
            return false;
        }
        !matches!(self, Command::Info(_) | Command::Convert(_) | Command::Sample(_))
    }
}

fn run(command: Command, ranks: &Ranks) -> Result<ExitCode, Failure> {
    match command {
        Command::Generate(command) => command.run(ranks),
        Command::Evaluate(command) => command.run(ranks),
        Command::Anneal(command) => command.run(ranks),
        Command::Bound(command) => command.run(ranks),
        Command::Train(command) => command.run(ranks),
        Command::Info(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Fit(command) => command.run(ranks),
        Command::Sample(command) => command.run(),
        #[cfg(feature = "cuda")]
        Command::Tune(command) => command.run(),
    }
}

/// The exit status of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
