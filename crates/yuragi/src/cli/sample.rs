use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    fit::Fitted,
    io::{Table, png, table::Values},
};

use super::{
    INTERRUPTED,
    common::{Progress, abandonment, check_place, flow, print, print_with, sheet, unless_interrupted},
};

/// Draw rows from a model of a table.
///
/// From a Gaussian mixture rows are independent. A Boltzmann machine starts a chain for each row at the data's mean
/// activities and takes so many Gibbs steps; a deep belief network does so in its top machine, and goes down from there.
#[derive(Args)]
pub struct Sample {
    /// The model's file, as `yuragi fit` writes it
    model: PathBuf,
    /// Rows
    #[arg(short = 'n', long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=16_777_216))]
    count: u32,
    /// Gibbs steps
    #[arg(long, default_value_t = 1000)]
    steps: u32,
    /// Decides every draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A .csv or .npy file, or a .png sheet of rows that are pictures (of a machine: the means of the last step)
    /// [default: CSV on standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Sample {
    /// Draws and writes.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let picture = self.output.as_deref().is_some_and(is_png);
        if let Some(path) = &self.output {
            check_place(path)?;
            if !picture {
                Table::check_name(path)?;
            }
        }
        let (interrupted, finished) = abandonment("stopping")?;
        let fitted = Fitted::open(&self.model)?;
        let mut progress = Progress::new("drawing")?;
        let drawn = fitted.sample(self.count, self.steps, self.seed, &mut |at| {
            progress.set(at.done as f64 / at.total as f64);
            flow(&interrupted)
        });
        drop(progress);
        finished.store(true, Ordering::Relaxed);
        let Some(drawn) = unless_interrupted(drawn, &interrupted)? else {
            eprintln!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        match &self.output {
            Some(path) if picture => png::save(path, &sheet(&drawn.grey, fitted.shape())?, &[])?,
            place => {
                let names = if let Fitted::Mixture(mixture) = &fitted { mixture.names.clone() } else { Vec::new() };
                let table = Table::new(fitted.shape().to_vec(), Values::Reals(drawn.values));
                let table = table.ok_or_else(|| Failure::new("no row was drawn"))?;
                let table = if names.is_empty() { Some(table) } else { table.with_names(names) };
                let table = table.ok_or_else(|| Failure::new("the model names other columns than it has"))?;
                match place {
                    Some(path) => table.save(path)?,
                    None => print_with(|out| table.write_csv(out))?,
                }
            }
        }
        if let Some(path) = &self.output {
            print(format_args!("{}\n", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}
