//! Prints what `YURAGI_EMULATOR_REPORT=file.json` wrote: of each kernel what bounds it and which lines lose most.

use std::{env, io::Write, path::Path, process::ExitCode};

use yuragi_emulator::Profile;

const USAGE: &str = "usage: emulator-report FILE.json [LINES]\n\
    FILE.json  what a program left that ran on the emulator with YURAGI_EMULATOR_REPORT=FILE.json\n\
    LINES      how many lines of each kernel are shown, those that lose most first (10)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (file, most) = match arguments.as_slice() {
        [file] if !file.starts_with('-') => (file, 10),
        [file, most] if most.parse::<usize>().is_ok() => (file, most.parse().unwrap_or(10)),
        _ => {
            let is_asked = arguments.iter().any(|one| matches!(one.as_str(), "-h" | "--help"));
            let _ =
                if is_asked { writeln!(std::io::stdout(), "{USAGE}") } else { writeln!(std::io::stderr(), "{USAGE}") };
            return if is_asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    match Profile::read(Path::new(file)) {
        Ok(profile) => {
            // A reader that has seen enough closes the pipe.
            let _ = std::io::stdout().write_all(profile.table(most).as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
