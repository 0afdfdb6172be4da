//! `yuragi`: train, generate, evaluate, info.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
