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
mod evaluate;
mod fit;
mod generate;
mod hires;
mod info;
mod judge;
mod lora;
mod output;
mod preview;
mod record;
mod sample;
mod train;
mod variational;

use std::{process::ExitCode, thread, time::Duration};

use clap::{Parser, Subcommand};
use yuragi::{
    Failure,
    graph::Collective,
    ranks::{self, Ranks},
};

/// Generative models on the computer you have: pictures from words, annealing, and models of tables.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
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
}

/// How long other ranks wait with a failure: the first one's is likely to be the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let (rank, _) = ranks::launched().unwrap_or((0, 1));
    if rank > 0 {
        common::hush();
    }
    let command = match Arguments::try_parse() {
        Ok(arguments) => arguments.command,
        Err(error) if rank == 0 => error.exit(),
        Err(error) => return ExitCode::from(error.exit_code() as u8),
    };
    if let Some((_, size)) = ranks::launched().filter(|_| !command.is_shared()) {
        say!(
            "yuragi: a launcher started {size} of this program: `anneal`, `generate`, `evaluate` and `bound` share their work, \
             other commands run as one process"
        );
        return ExitCode::FAILURE;
    }
    let ranks = match Ranks::join() {
        Ok(ranks) => ranks,
        Err(failure) => {
            say!("yuragi: {failure}");
            return ExitCode::FAILURE;
        }
    };
    let ended = run(command, &ranks).unwrap_or_else(|failure| {
        if ranks.rank() == 0 {
            eprintln!("yuragi: {failure}");
        } else {
            thread::sleep(PATIENCE);
            eprintln!("yuragi: rank {}: {failure}", ranks.rank());
        }
        ExitCode::FAILURE
    });
    if ended != ExitCode::SUCCESS {
        // Others would wait for this one; where they were interrupted, too, the first may have something to keep.
        if ranks.size() > 1 && ranks.rank() > 0 {
            thread::sleep(PATIENCE);
        }
        ranks.abort(if ended == ExitCode::from(INTERRUPTED) { INTERRUPTED } else { 1 });
    }
    ended
}

impl Command {
    /// Whether ranks share its work.
    fn is_shared(&self) -> bool {
        matches!(self, Command::Generate(_) | Command::Evaluate(_) | Command::Anneal(_) | Command::Bound(_))
    }
}

fn run(command: Command, ranks: &Ranks) -> Result<ExitCode, Failure> {
    match command {
        Command::Generate(command) => command.run(ranks),
        Command::Evaluate(command) => command.run(ranks),
        Command::Anneal(command) => command.run(ranks),
        Command::Bound(command) => command.run(ranks),
        Command::Train(command) => command.run(),
        Command::Info(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Fit(command) => command.run(),
        Command::Sample(command) => command.run(),
    }
}

/// The exit status of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
