use std::{fmt::Write, ops::ControlFlow, path::PathBuf, process::ExitCode, sync::atomic::AtomicBool, time::Instant};

use clap::{Args, ValueEnum, value_parser};
use serde_json::json;
use yuragi::{
    Failure,
    distributions::{
        Begin, Data, Distribution, Error, GaussianMixture, Options,
        em::{End, Limits},
        score,
    },
    fit::{Fitted, Mixture, Processes},
    graph::Collective,
    io::{
        Table,
        table::{Opened, Values},
    },
};

use super::{Files, Notes, save};
use crate::cli::{
    INTERRUPTED,
    common::{Progress, check_place, flow, interruption, print, speaks, threads},
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
    /// Components [default: 3, or as many as `--means` has rows]
    #[arg(short = 'k', long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    components: Option<u32>,
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
    /// The least variance of a component, as a share (0 to 1) of the data's local variance; 0 for none
    #[arg(long, value_name = "SHARE", default_value_t = 1e-6)]
    floor: f64,
    /// A table of one column: how often each row counts
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// A table of the means to begin with, one row a component, in place of random starts
    #[arg(long, value_name = "FILE")]
    means: Option<PathBuf>,
    /// Write label (from 0), log-density and shares of the components of every row into this .csv or .npy file
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Threads; the mixture does not depend on them [default: all cores]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Gmm {
    /// Learns, writes and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let output = self.files.output("gmm")?;
        if let Some(path) = &self.scores {
            check_place(path)?;
            Table::check_name(path)?;
        }
        let Opened { table, notes } = self.files.open(ranks)?.1;
        let mut notes = Notes::new(&self.files.data, notes);
        let (values, weights, means) = (table.to_f64(), self.weights(&table)?, self.means(&table)?);
        let named = |error: Error| Failure::new(format!("{}: {error}", self.files.data.display()));
        let mut data = Data::with_missing(&values, table.columns()).map_err(named)?;
        if let (Some(weights), Some(path)) = (&weights, &self.weights) {
            data = data.weighted(weights).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        }
        let drawn = Begin::Components(self.components.unwrap_or(3) as usize);
        let begin = means.as_ref().map_or(drawn, |means| Begin::Means(means));
        let restarts = if means.is_some() { 1 } else { self.restarts };
        let options = Options {
            covariance: self.covariance.into(),
            restarts: restarts as usize,
            seed: self.files.seed,
            floor: self.floor,
            limits: Limits { iterations: self.iterations as usize, tolerance: self.tolerance },
            threads: threads(self.threads),
            ..Options::default()
        };
        let interrupted = interruption("stopping; what was learned is kept")?;
        let (mut progress, started) = (Progress::new("learning")?, Instant::now());
        // Of several ranks, all must hear an interruption at once: between iterations.
        let alone = ranks.size() == 1;
        let going = || !alone || flow(&interrupted).is_continue();
        let mut lost = None;
        let fitted = GaussianMixture::fit_on(&Processes(ranks), &data, begin, &options, &going, |restart, at| {
            notes.tell(&progress);
            let share = at.iteration as f64 / f64::from(self.iterations);
            progress.set((restart as f64 + share) / f64::from(restarts));
            match ranks.any(flow(&interrupted).is_break()) {
                Ok(false) => ControlFlow::Continue(()),
                Ok(true) => ControlFlow::Break(()),
                Err(error) => {
                    lost = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        drop(progress);
        lost.map_or(Ok(()), Err)?;
        let fitted = match fitted {
            Err(Error::Stopped) => {
                say!("interrupted; nothing was written");
                return Ok(ExitCode::from(INTERRUPTED));
            }
            fitted => fitted?,
        };
        let seconds = started.elapsed().as_secs_f64();
        let (mixture, ascent) = (fitted.mixture, fitted.ascent);
        let (likelihood, parameters, total) = (ascent.bound(), mixture.parameters(), data.total_weight());
        let (aic, bic) = (score::aic_of(likelihood, parameters, total), score::bic_of(likelihood, parameters, total));
        let names = table.names().to_vec();
        let file = Mixture { mixture: mixture.clone(), names, shape: table.shape().to_vec() };
        save(&Fitted::Mixture(file), &output)?;
        let end = match ascent.end {
            End::Converged => "converged",
            End::Iterations => "not converged",
            End::Cancelled => "interrupted",
        };
        let floored: Vec<usize> = (0..mixture.weights().len()).filter(|&k| mixture.floored()[k]).collect();
        if self.files.json {
            let report = json!({
                "data": self.files.data, "rows": table.rows(), "columns": table.columns(), "names": table.names(),
                "log_likelihood": likelihood, "aic": aic, "bic": bic, "iterations": ascent.iterations(), "end": end,
                "restart": fitted.restart, "weights": mixture.weights(), "means": mixture.means(),
                "covariances": mixture.covariances(), "floor": self.floor, "floored": floored, "seconds": seconds,
                "model": output, "notes": notes.notes,
            });
            print(format_args!("{report:#}\n"))?;
        } else {
            let mut text = format!(
                "{}: {} rows of {} columns\n{end} after {} iterations of start {} of {restarts}, in {seconds:.2} s\n\
                 log-likelihood {likelihood:.6} a row, AIC {aic:.3}, BIC {bic:.3}\n",
                self.files.data.display(),
                table.rows(),
                table.columns(),
                ascent.iterations(),
                fitted.restart + 1,
            );
            if !floored.is_empty() {
                let shown: Vec<String> = floored.iter().take(SHOWN).map(usize::to_string).collect();
                let more = if floored.len() > SHOWN { ", …" } else { "" };
                let (some, floor) = (shown.join(", "), self.floor);
                writeln!(text, "raised to the least variance (`--floor {floor}`): component {some}{more}")?;
            }
            text.push('\n');
            components(&mut text, &mixture, table.names())?;
            print(format_args!("{text}\n{}\n", output.display()))?;
        }
        if let Some(path) = &self.scores {
            match judged(&mixture, &values, table.columns(), &interrupted)? {
                Some(scores) if speaks() => scores.save(path)?,
                Some(_) => {}
                None => say!("interrupted; {} was not written", path.display()),
            }
        }
        Ok(if flow(&interrupted).is_break() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    /// How often each row counts, if that was told.
    fn weights(&self, table: &Table) -> Result<Option<Vec<f64>>, Failure> {
        let Some(path) = &self.weights else { return Ok(None) };
        let mut weights = Table::open(path)?;
        if self.files.rows.is_some() {
            weights = weights.first(table.rows());
        }
        let (rows, columns) = (weights.rows(), weights.columns());
        if columns != 1 || rows != table.rows() {
            let (path, wanted) = (path.display(), table.rows());
            return Err(Failure::new(format!(
                "{path} has {rows} rows of {columns} columns; weights are {wanted} rows of 1 column"
            )));
        }
        Ok(Some(weights.to_f64()))
    }

    /// The means to begin with, if there are any.
    fn means(&self, table: &Table) -> Result<Option<Vec<f64>>, Failure> {
        let Some(path) = &self.means else { return Ok(None) };
        let means = Table::open(path)?;
        let (rows, columns) = (means.rows(), means.columns());
        if columns != table.columns() {
            let (path, wanted) = (path.display(), table.columns());
            return Err(Failure::new(format!("{path} has {columns} columns; the data have {wanted}")));
        }
        match self.components {
            Some(k) if k as usize != rows => {
                Err(Failure::new(format!("{} has {rows} rows; `-k {k}` asks for {k} components", path.display())))
            }
            _ => Ok(Some(means.to_f64())),
        }
    }
}

/// Label, log-density and shares of every row; nothing if it was interrupted.
fn judged(
    mixture: &GaussianMixture,
    values: &[f64],
    columns: usize,
    interrupted: &AtomicBool,
) -> Result<Option<Table>, Failure> {
    let count = mixture.weights().len();
    // So many rows at once that an interruption is soon seen.
    let rows = ((1 << 26) / (columns * columns * count)).clamp(64, 1 << 16);
    let mut scores = Vec::with_capacity(values.len() / columns * (count + 2));
    for part in values.chunks(rows * columns) {
        if flow(interrupted).is_break() {
            return Ok(None);
        }
        let data = Data::with_missing(part, columns)?;
        let shares = mixture.responsibilities(&data)?;
        for (density, shares) in mixture.score_samples(&data)?.into_iter().zip(shares.chunks_exact(count)) {
            let label = (0..count).fold(0, |best, k| if shares[k] > shares[best] { k } else { best });
            scores.extend([label as f64, density]);
            scores.extend_from_slice(shares);
        }
    }
    let names = ["label", "log_density"].map(str::to_owned).into_iter().chain((0..count).map(|k| format!("share {k}")));
    let table = Table::new(vec![count + 2], Values::Reals(scores)).and_then(|table| table.with_names(names.collect()));
    table.map(Some).ok_or_else(|| Failure::new("there are no rows to judge"))
}

/// Weight, mean and deviation of every component, the heaviest first.
pub fn components(text: &mut String, mixture: &GaussianMixture, names: &[String]) -> std::fmt::Result {
    let columns = mixture.means().len() / mixture.weights().len();
    let shown = columns.min(SHOWN);
    write!(text, "{:>9} {:>10}", "component", "weight")?;
    for column in 0..shown {
        let name = names.get(column).map_or_else(|| format!("column {}", column + 1), String::clone);
        let printed = name.chars().map(|c| if c.is_control() { ' ' } else { c });
        write!(text, " {:>24}", printed.take(24).collect::<String>())?;
    }
    writeln!(text, "{}", if columns > shown { "  …" } else { "" })?;
    let mut order: Vec<usize> = (0..mixture.weights().len()).collect();
    order.sort_by(|&a, &b| mixture.weights()[b].total_cmp(&mixture.weights()[a]));
    for k in order {
        write!(text, "{k:>9} {:>10.4}", mixture.weights()[k])?;
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
