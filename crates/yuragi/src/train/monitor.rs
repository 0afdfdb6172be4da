//! What a training leaves of its course: log, curve, pace.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use yuragi_graph::Collective;
use yuragi_io::{atomic, plot, png};

use super::Pace;
use crate::Failure;

/// Steps between two lines of the log, at least, and the most lines.
const LOG_EVERY: u64 = 25;
const MOST_LINES: u64 = 4000;
/// Between two drawings of the curve.
const CURVE_EVERY: Duration = Duration::from_secs(60);

/// Averages since the last line of the log.
#[derive(Clone, Debug, Default)]
struct Sums {
    steps: u64,
    loss: f64,
    norm: f64,
}

/// Keeps the course of a training, or of one stage of it; of several ranks, the first one's writes it.
pub struct Monitor {
    writes: bool,
    name: &'static str,
    log: PathBuf,
    curve: PathBuf,
    lines: Vec<String>,
    points: Vec<(f64, f64)>,
    sums: Sums,
    /// Steps of the stage, and those done before this run.
    steps: u64,
    first: u64,
    started: Instant,
    curve_drawn: Instant,
    batch: usize,
    pace: Option<Pace>,
    /// Steps of this stage that take as long as all later stages.
    later: f64,
}

impl Monitor {
    /// Goes on from a step; later lines of an older log are dropped. All later stages take as long as `later` steps of this
    /// one.
    pub fn new(
        folder: &Path,
        name: &'static str,
        step: u64,
        steps: u64,
        batch: usize,
        later: f64,
        ranks: &dyn Collective,
    ) -> Result<Monitor, Failure> {
        let log = folder.join(format!("{name}.tsv"));
        let old = fs::read_to_string(&log).unwrap_or_default();
        let step_of = |line: &str| line.split('\t').next().and_then(|s| s.parse::<u64>().ok());
        let mut lines = vec!["step\tloss\tgradient_norm\tlearning_rate".to_owned()];
        let mut points = Vec::new();
        for line in old.lines() {
            if let Some(at) = step_of(line).filter(|&at| at <= step) {
                let loss = line.split('\t').nth(1).and_then(|l| l.parse::<f64>().ok());
                points.extend(loss.map(|loss| (at as f64, loss)));
                lines.push(line.to_owned());
            }
        }
        let now = Instant::now();
        let curve = folder.join(format!("{name}.png"));
        let monitor = Monitor {
            writes: ranks.rank() == 0,
            name,
            log,
            curve,
            lines,
            points,
            sums: Sums::default(),
            steps,
            first: step,
            started: now,
            curve_drawn: now,
            batch,
            pace: None,
            later,
        };
        monitor.write_log()?;
        Ok(monitor)
    }

    /// Takes note of a finished step (counted from 1).
    pub fn step(&mut self, step: u64, loss: f64, norm: f64, rate: f64) -> Result<(), Failure> {
        self.sums.steps += 1;
        self.sums.loss += loss;
        self.sums.norm += norm;
        if step.is_multiple_of((self.steps / MOST_LINES).max(LOG_EVERY)) || step == self.steps {
            let n = self.sums.steps as f64;
            let (loss, norm) = (self.sums.loss / n, self.sums.norm / n);
            self.sums = Sums::default();
            self.points.push((step as f64, loss));
            self.lines.push(format!("{step}\t{loss:.6}\t{norm:.4}\t{rate:.3e}"));
            let each = self.started.elapsed().as_secs_f64() / step.saturating_sub(self.first).max(1) as f64;
            let left = Duration::try_from_secs_f64(each * (self.steps.saturating_sub(step) as f64 + self.later))
                .unwrap_or_default();
            self.pace = Some(Pace { loss, pictures: self.batch as f64 / each.max(1e-9), left });
            if self.curve_drawn.elapsed() >= CURVE_EVERY {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// What the log's last line knows; nothing before this run wrote one.
    pub fn pace(&self) -> Option<Pace> {
        self.pace
    }

    /// Writes log and curve.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.curve_drawn = Instant::now();
        self.write_log()?;
        if self.writes && self.points.len() > 1 {
            let series = [plot::Series { points: self.points.clone(), ..Default::default() }];
            let chart = plot::Chart {
                title: self.name.into(),
                x_label: "step".into(),
                y_label: "loss".into(),
                log_y: self.points.iter().all(|point| point.1 > 0.0),
                ..plot::Chart::default()
            };
            png::save(&self.curve, &chart.draw(&series)?, &[])?;
        }
        Ok(())
    }

    fn write_log(&self) -> Result<(), Failure> {
        if !self.writes {
            return Ok(());
        }
        let mut text = self.lines.join("\n");
        text.push('\n');
        Ok(atomic::write(&self.log, text.as_bytes())?)
    }
}
