use std::fmt;

use clap::ValueEnum;
use serde_json::json;
use yuragi::{
    Failure,
    energy::{SampleSet, Variables, Vartype, spin},
    io::{
        Picture, Table,
        plot::{Chart, Series},
        problem::Named,
        table::Values,
    },
};

use super::{Anneal, Effort, Method, Outcome, source::Source};

/// Variables of a state that a line shows.
const SHOWN: usize = 64;

/// All there is to tell about a run.
pub struct Report<'a> {
    pub command: &'a Anneal,
    pub problem: &'a Named,
    pub effort: Effort,
    pub outcome: &'a Outcome,
    pub seconds: f64,
}

impl Report<'_> {
    fn samples(&self) -> SampleSet {
        self.outcome.samples.aggregated()
    }

    /// A value as the problem's file means it.
    fn value(&self, value: u8) -> f64 {
        let potts = matches!(self.problem.problem.variables(), Variables::Potts(_));
        if potts || self.problem.vartype == Vartype::Binary { value.into() } else { spin(value) }
    }

    /// The file's own value of a state with this energy.
    fn objective(&self, energy: f64) -> f64 {
        self.problem.objective.value(energy)
    }

    /// Value, count and state of every row, the best first.
    pub fn table(&self) -> Result<Table, Failure> {
        let (samples, variables) = (self.samples(), self.problem.problem.len());
        let mut values = Vec::with_capacity(samples.len() * (variables + 2));
        for sample in samples.iter() {
            values.extend([self.objective(sample.energy), sample.count.into()]);
            values.extend(sample.values.iter().map(|&value| self.value(value)));
        }
        let counted = || (0..variables).map(|k| (k + self.problem.first).to_string()).collect();
        let names = if self.problem.names.is_empty() { counted() } else { self.problem.names.clone() };
        let names = [self.problem.objective.name.to_owned(), "reads".to_owned()].into_iter().chain(names).collect();
        let table = Table::new(vec![variables + 2], Values::Reals(values)).and_then(|table| table.with_names(names));
        table.ok_or_else(|| Failure::new("there are no states to write"))
    }

    /// log Z over β with its error where there is such a curve, else how many reads have some value or a better one.
    pub fn plot(&self) -> Result<Picture, Failure> {
        let (mut chart, mut series) = (Chart::default(), Series::default());
        chart.title = self.command.problem.to_string();
        if self.outcome.curve.is_empty() {
            let objective = self.problem.objective;
            let reached = if objective.maximize { "reads at or above it" } else { "reads at or below it" };
            (chart.x_label, chart.y_label) = (objective.name.into(), reached.into());
            let mut sum = 0.0;
            for sample in self.samples().iter() {
                let value = self.objective(sample.energy);
                series.points.push((value, sum));
                sum += f64::from(sample.count);
                series.points.push((value, sum));
            }
        } else {
            (chart.x_label, chart.y_label) = ("beta".into(), "log Z".into());
            series.points = self.outcome.curve.iter().map(|&(beta, log_z, _)| (beta, log_z.value)).collect();
            series.bars =
                self.outcome.curve.iter().map(|&(beta, log_z, _)| ((beta, log_z.value), log_z.error)).collect();
        }
        Ok(chart.draw(&[series])?)
    }

    /// The whole as JSON.
    pub fn json(&self) -> String {
        let samples = self.samples();
        let state = |values: &[u8]| values.iter().map(|&value| self.value(value) as i64).collect::<Vec<_>>();
        let objective = self.problem.objective;
        let rows = samples.iter().take(self.command.top).map(|sample| {
            let mut row = json!({"energy": sample.energy, "reads": sample.count, "values": state(sample.values)});
            row[objective.name] = json!(self.objective(sample.energy));
            row
        });
        let curve = self.outcome.curve.iter().map(|(beta, log_z, energy)| {
            json!({"beta": beta, "log_z": log_z.value, "error": log_z.error, "mean_energy": energy})
        });
        let schedule = self.outcome.samples.schedule();
        let report = json!({
            "problem": self.command.problem.to_string(),
            "format": self.problem.format,
            "objective": {
                "name": objective.name,
                "sense": if objective.maximize { "maximize" } else { "minimize" },
                "best": samples.best().map(|sample| self.objective(sample.energy)),
                "mean": self.objective(samples.mean_energy()),
            },
            "notes": self.problem.notes.iter().chain(&self.outcome.notes).collect::<Vec<_>>(),
            "variables": self.problem.problem.len(),
            "names": self.problem.names,
            "counted_from": self.problem.first,
            "method": name(self.command.method),
            "reads": self.effort.reads,
            "sweeps": self.effort.sweeps,
            "beta": [schedule.betas().next(), schedule.betas().last()],
            "seed": self.command.seed,
            "seconds": self.seconds,
            "lowest_energy": samples.best().map(|sample| sample.energy),
            "mean_energy": samples.mean_energy(),
            "samples": rows.collect::<Vec<_>>(),
            "free_energy": curve.collect::<Vec<_>>(),
        });
        format!("{report:#}\n")
    }

    fn state(&self, values: &[u8]) -> String {
        let potts = matches!(self.problem.problem.variables(), Variables::Potts(_));
        let spins = !potts && self.problem.vartype == Vartype::Spin;
        let letter = |&value: &u8| match value {
            _ if potts => char::from_digit(value.into(), 36).unwrap_or('*'),
            0 => {
                if spins {
                    '-'
                } else {
                    '0'
                }
            }
            _ => {
                if spins {
                    '+'
                } else {
                    '1'
                }
            }
        };
        let shown: String = values.iter().take(SHOWN).map(letter).collect();
        if values.len() > SHOWN { shown + "…" } else { shown }
    }
}

/// A number with its leading digits, however small.
fn short(beta: f32) -> String {
    if beta == 0.0 || beta >= 0.01 { format!("{beta:.4}") } else { format!("{beta:.3e}") }
}

/// A method as the command line calls it.
fn name(method: Method) -> String {
    method.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (problem, outcome, samples) = (&self.problem.problem, self.outcome, self.samples());
        let Anneal { problem: source, seed, top, .. } = self.command;
        let Effort { reads, sweeps } = self.effort;
        let objective = self.problem.objective;
        let what = match problem.variables() {
            Variables::Potts(states) => format!("variables of {states} states"),
            Variables::Spin if self.problem.vartype == Vartype::Binary => "bits".to_owned(),
            Variables::Spin => "spins".to_owned(),
        };
        let format =
            if matches!(source, Source::File(_)) { format!(" ({})", self.problem.format) } else { String::new() };
        writeln!(f, "{source}{format}: {} {what}, {} couplings", problem.len(), problem.couplings().count())?;
        for note in &self.problem.notes {
            writeln!(f, "note: {note}")?;
        }
        let schedule = outcome.samples.schedule();
        let (first, last) = (schedule.beta(0), schedule.betas().last().unwrap_or_default());
        let how = name(self.command.method);
        let (first, last) = (short(first), short(last));
        writeln!(f, "{how}: {reads} reads, {sweeps} sweeps, beta {first} to {last}, seed {seed}")?;
        let value = |energy: f64| (1e9 * self.objective(energy)).round() / 1e9;
        let best = samples.best().map_or(f64::NAN, |sample| value(sample.energy));
        let (name, rank) = (objective.name, if objective.maximize { "largest" } else { "lowest" });
        let mean = self.objective(samples.mean_energy());
        writeln!(f, "{rank} {name} {best}, mean {mean:.4}, in {:.2} s\n", self.seconds)?;
        if !outcome.curve.is_empty() {
            writeln!(f, "{:>10} {:>18} {:>12} {:>14}", "beta", "log Z", "error", "mean energy")?;
            for (beta, log_z, energy) in &outcome.curve {
                let energy = energy.map_or_else(|| "-".to_owned(), |energy| format!("{energy:.4}"));
                writeln!(f, "{beta:>10.4} {:>18.6} {:>12.6} {energy:>14}", log_z.value, log_z.error)?;
            }
            writeln!(f)?;
        }
        for note in &outcome.notes {
            writeln!(f, "{note}")?;
        }
        if !outcome.notes.is_empty() {
            writeln!(f)?;
        }
        if *top > 0 {
            writeln!(f, "{name:>16} {:>8}  state", "reads")?;
        }
        for sample in samples.iter().take(*top) {
            let value = value(sample.energy);
            writeln!(f, "{value:>16} {:>8}  {}", sample.count, self.state(sample.values))?;
        }
        Ok(())
    }
}
