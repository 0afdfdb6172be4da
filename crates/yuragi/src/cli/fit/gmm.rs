use std::{fmt::Write, process::ExitCode, time::Instant};

use clap::{Args, ValueEnum, value_parser};
use serde_json::json;
use yuragi::{
    Failure,
    distributions::{
        Data, GaussianMixture, Options,
        em::{End, Limits},
    },
    fit::{Fitted, Mixture},
    io::table::Opened,
};

use super::{Files, Notes};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, flow, interruption, print, threads},
};

/// Columns that the printed table shows.
const SHOWN: usize = 6;

/// What the components' covariances may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Covariance {
    /// Any, each its own
    Full,
    /// Axis-aligned, each its own
    Diagonal,
    /// Any, shared by all
    Tied,
    /// One variance each
    Spherical,
}

impl From<Covariance> for yuragi::distributions::Covariance {
    fn from(covariance: Covariance) -> Self {
        match covariance {
            Covariance::Full => Self::Full,
            Covariance::Diagonal => Self::Diagonal,
            Covariance::Tied => Self::Tied,
            Covariance::Spherical => Self::Spherical,
        }
    }
}

/// Learn a mixture of Gaussians by expectation-maximisation.
///
/// Empty cells, NA and nan are missing numbers: the mixture learns from the others of their row.
#[derive(Args)]
pub struct Gmm {
    #[command(flatten)]
    files: Files,
    /// Components
    #[arg(short = 'k', long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=1_000_000))]
    components: u32,
    /// What their covariances may be
    #[arg(long, value_enum, default_value_t = Covariance::Full)]
    covariance: Covariance,
    /// Starts, of which the best is kept
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    restarts: u32,
    /// At most so many iterations a start
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..))]
    iterations: u32,
    /// Converged when an iteration adds less log-likelihood a row
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f64,
    /// Threads; the mixture does not depend on them [default: all cores]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Gmm {
    /// Learns, writes and tells.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let output = self.files.output("gmm")?;
        let Opened { table, notes } = self.files.open()?.1;
        let mut notes = Notes::new(&self.files.data, notes);
        let values = table.to_f64();
        let data = Data::with_missing(&values, table.columns())
            .map_err(|error| Failure::new(format!("{}: {error}", self.files.data.display())))?;
        let options = Options {
            covariance: self.covariance.into(),
            restarts: self.restarts as usize,
            seed: self.files.seed,
            limits: Limits { iterations: self.iterations as usize, tolerance: self.tolerance },
            threads: threads(self.threads),
            ..Options::default()
        };
        let interrupted = interruption("stopping; what was learned is kept")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        let fitted = GaussianMixture::fit_with(&data, self.components as usize, &options, |restart, at| {
            notes.tell(&progress);
            let share = at.iteration as f64 / f64::from(self.iterations);
            progress.set((restart as f64 + share) / f64::from(self.restarts));
            flow(&interrupted)
        })?;
        drop(progress);
        let seconds = started.elapsed().as_secs_f64();
        let (mixture, ascent) = (fitted.mixture, fitted.ascent);
        let (likelihood, aic, bic) = (mixture.log_likelihood(&data)?, mixture.aic(&data)?, mixture.bic(&data)?);
        let names = table.names().to_vec();
        let file = Mixture { mixture: mixture.clone(), names, shape: table.shape().to_vec() };
        Fitted::Mixture(file).save(&output)?;
        let end = match ascent.end {
            End::Converged => "converged",
            End::Iterations => "not converged",
            End::Cancelled => "interrupted",
        };
        if self.files.json {
            let report = json!({
                "data": self.files.data, "rows": table.rows(), "columns": table.columns(), "names": table.names(),
                "log_likelihood": likelihood, "aic": aic, "bic": bic, "iterations": ascent.iterations(), "end": end,
                "restart": fitted.restart, "weights": mixture.weights(), "means": mixture.means(),
                "covariances": mixture.covariances(), "seconds": seconds, "model": output, "notes": notes.notes,
            });
            print(format_args!("{report:#}\n"))?;
        } else {
            let mut text = format!(
                "{}: {} rows of {} columns\n{end} after {} iterations of start {} of {}, in {seconds:.2} s\n\
                 log-likelihood {likelihood:.6} a row, AIC {aic:.3}, BIC {bic:.3}\n\n",
                self.files.data.display(),
                table.rows(),
                table.columns(),
                ascent.iterations(),
                fitted.restart + 1,
                self.restarts,
            );
            components(&mut text, &mixture, table.names())?;
            print(format_args!("{text}\n{}\n", output.display()))?;
        }
        let stopped = ascent.end == End::Cancelled;
        Ok(if stopped { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }
}

/// Weight, mean and deviation of every component, the heaviest first.
pub fn components(text: &mut String, mixture: &GaussianMixture, names: &[String]) -> std::fmt::Result {
    let columns = mixture.means().len() / mixture.weights().len();
    let shown = columns.min(SHOWN);
    write!(text, "{:>10}", "weight")?;
    for column in 0..shown {
        let name = names.get(column).map_or_else(|| format!("column {}", column + 1), String::clone);
        let printed = name.chars().map(|c| if c.is_control() { ' ' } else { c });
        write!(text, " {:>24}", printed.take(24).collect::<String>())?;
    }
    writeln!(text, "{}", if columns > shown { "  …" } else { "" })?;
    let mut order: Vec<usize> = (0..mixture.weights().len()).collect();
    order.sort_by(|&a, &b| mixture.weights()[b].total_cmp(&mixture.weights()[a]));
    for k in order {
        write!(text, "{:>10.4}", mixture.weights()[k])?;
        let covariance = mixture.covariance(k).unwrap_or_default();
        for column in 0..shown {
            let deviation = covariance.get(column * columns + column).copied().unwrap_or(f64::NAN).sqrt();
            let value = format!("{:.5} ± {deviation:.5}", mixture.means()[k * columns + column]);
            write!(text, " {value:>24}")?;
        }
        writeln!(text)?;
    }
    Ok(())
}
