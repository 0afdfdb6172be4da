//! The command line.

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

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use yuragi::Failure;

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

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let result: Result<ExitCode, Failure> = match Arguments::parse().command {
        Command::Generate(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Info(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Anneal(command) => command.run(),
        Command::Fit(command) => command.run(),
        Command::Sample(command) => command.run(),
        Command::Bound(command) => command.run(),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("yuragi: {failure}");
        ExitCode::FAILURE
    })
}

/// The exit status of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
