//! The command line.

mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use yuragi::Failure;

/// Pictures from words, on the computer you have.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let result: Result<ExitCode, Failure> = match Arguments::parse().command {
        Command::Train(command) => command.run(),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("yuragi: {failure}");
        ExitCode::FAILURE
    })
}

/// The exit status of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
