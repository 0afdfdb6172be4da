//! Training from pictures to a model file, in a folder that shows its progress and can be left at any time.

pub mod autoencoder;
pub mod captions;
pub mod codec;
pub mod compose;
pub mod data;
pub mod decoder;
pub mod device;
pub mod diffusion;
pub mod lora;
pub mod monitor;
pub mod options;
pub mod order;
pub mod run;
pub(crate) mod wording;

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use yuragi_graph::{Collective, Params};
use yuragi_io::{Picture, png};
use yuragi_models::latent_diffusion;

pub use options::{Options, Source};
pub use run::{Run, Stage};

use crate::{
    Failure,
    machine::{Machine, products},
    model::Storage,
};
use data::Data;
use device::{Exchange, For};
pub(crate) use monitor::Monitor;

/// Between two checkpoints, unless it is said.
const SAVE_EVERY: Duration = Duration::from_secs(240);
/// Between two sample sheets.
const SHEET_EVERY: Duration = Duration::from_secs(300);
/// Steps over which a loss is averaged to see whether it diverges.
const WINDOW: u64 = 100;
/// A loss so many times its best average has diverged.
const DIVERGED: f64 = 8.0;

/// What one step tells.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The loss before the step.
    pub loss: f64,
    /// The gradient's norm before clipping. Where the loss is scaled and the norm is not finite, the step changed nothing
    /// but the scale.
    pub norm: f64,
    /// Whether the loss is scaled.
    pub scaled: bool,
    /// The learning rate.
    pub rate: f64,
}

/// One part of a training: a step, and pictures that show what was learned.
pub trait Learner {
    /// Makes the step of this number (counted from 0).
    fn step(&mut self, step: u64) -> Result<Report, Failure>;
    /// The weights and the optimiser's state as they are now: see [`Trainer::params`](device::Trainer::params).
    fn params(&self, whose: For) -> Result<Params, Failure>;
    /// A sheet of samples from the averaged weights.
    fn sheet(&mut self, params: &Params) -> Result<Picture, Failure>;
}

/// Why a training ended without failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Complete,
    /// It was interrupted, and is saved.
    Interrupted,
}

/// What a training tells on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    /// Pictures become latents, before the second stage.
    Encoding {
        /// Pictures that are ready.
        done: usize,
        /// All of them.
        total: usize,
    },
    /// A stage stands before its next step, or at its end.
    Step(Progress),
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Steps done.
    pub step: u64,
    /// Steps from begin to end.
    pub steps: u64,
    /// What the log's last line knows; nothing before this run wrote one.
    pub pace: Option<Pace>,
}

/// How a stage fares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The mean loss of some steps.
    pub loss: f64,
    /// Pictures learned from in a second.
    pub pictures: f64,
    /// Until the end of all stages, as far as can be told.
    pub left: Duration,
}

/// Hears what a training tells; a break interrupts it, and it is saved.
pub type Tell<'t> = &'t mut dyn FnMut(&News) -> ControlFlow<()>;

/// Trains until all steps are done or `tell` breaks, on any of these ranks, which share every batch; the first one leaves
/// checkpoint and model in the run's folder.
pub fn train(
    mut run: Run,
    data: &Data,
    (machine, ranks): (&Machine, &dyn Collective),
    tell: Tell<'_>,
) -> Result<Ending, Failure> {
    if run.fingerprint != data.fingerprint() {
        return Err(Failure::new(format!(
            "{} began with other pictures or captions than `{}` gives now: name the first ones with `--data`, or train \
             anew in another folder",
            run.folder.display(),
            run.options.data
        )));
    }
    run.agree(ranks)?;
    while run.stage != Stage::Done {
        let (steps, batch) = match run.stage {
            Stage::Autoencoder => (run.options.autoencoder_steps, run.options.autoencoder_batch),
            Stage::Diffusion | Stage::Done => (run.options.steps, run.options.batch),
        };
        let mut learner: Box<dyn Learner> = match run.stage {
            Stage::Autoencoder => Box::new(autoencoder::Autoencoder::new(&mut run, data, machine, ranks)?),
            Stage::Diffusion | Stage::Done => {
                Box::new(diffusion::Diffusion::new(&mut run, data, machine, ranks, tell)?)
            }
        };
        let later = match run.stage {
            Stage::Autoencoder => {
                let [here, next] = [
                    latent_diffusion::autoencoder_training(&run.settings, batch)?,
                    latent_diffusion::diffusion_training(&run.settings, run.options.batch)?,
                ]
                .map(|step| products(&step));
                run.options.steps as f64 * next / here
            }
            Stage::Diffusion | Stage::Done => 0.0,
        };
        let monitor = Monitor::new(&run.folder, run.stage.name(), run.step, steps, batch, later, ranks)?;
        let ending = learn(&mut run, &mut *learner, (steps, ranks), monitor, tell)?;
        if ending == Ending::Interrupted {
            return Ok(ending);
        }
        drop(learner);
        run.step = 0;
        run.stage = match run.stage {
            Stage::Autoencoder => Stage::Diffusion,
            Stage::Diffusion | Stage::Done => Stage::Done,
        };
        let trained = run.options.autoencoder_steps > 0 || run.settings.latents.mean.is_empty();
        if run.stage == Stage::Diffusion && trained {
            run.settings.latents = autoencoder::measure(&run, data, machine, ranks)?;
        }
        if ranks.rank() == 0 {
            run.save()?;
        }
    }
    if ranks.rank() == 0 {
        let storage = Storage::new(run.options.bits, Storage::GROUP)?;
        run.to_model().save(&run.model(), storage)?;
    }
    // None ends before all is written.
    ranks.barrier()?;
    Ok(Ending::Complete)
}

/// Makes the steps of one stage that remain.
fn learn(
    run: &mut Run,
    learner: &mut dyn Learner,
    (steps, ranks): (u64, &dyn Collective),
    mut monitor: Monitor,
    tell: Tell<'_>,
) -> Result<Ending, Failure> {
    let sheet = run.folder.join(format!("{}-samples.png", run.stage.name()));
    let (mut saved, mut shown) = (Instant::now(), Instant::now());
    let (mut watch, first) = (Watch::default(), ranks.rank() == 0);
    let stage = run.stage;
    let news = |monitor: &Monitor, step| News::Step(Progress { stage, step, steps, pace: monitor.pace() });
    let began = run.step;
    while run.step < steps {
        let wishes = Wishes {
            stop: tell(&news(&monitor, run.step)).is_break(),
            save: first && saved.elapsed() >= run.save_every,
            show: first && shown.elapsed() >= SHEET_EVERY,
        };
        let wishes = wishes.agreed(ranks)?;
        if wishes.any() && (first || run.exchange == Exchange::Sharded) {
            let params = learner.params(For::First)?;
            // Only who writes has a copy beside what it learns.
            if first {
                run.params = params;
            }
        }
        if first && (wishes.save || wishes.stop) {
            monitor.flush()?;
            run.save()?;
            saved = Instant::now();
        }
        if wishes.stop {
            ranks.barrier()?;
            return Ok(Ending::Interrupted);
        }
        if first && wishes.show {
            write_sheet(&sheet, &learner.sheet(&run.params)?)?;
            shown = Instant::now();
        }
        let report = learner.step(run.step)?;
        if let Some(problem) = watch.problem(report) {
            let checkpoint = Run::checkpoint(&run.folder);
            let kept =
                if checkpoint.exists() { format!("; {} is as it was", checkpoint.display()) } else { String::new() };
            return Err(Failure::new(format!(
                "{} diverged at step {}: {problem}{kept}; train with a smaller learning rate than {:e}",
                run.stage.name(),
                run.step + 1,
                report.rate
            )));
        }
        run.step += 1;
        // A step that changed nothing counts as one without a gradient.
        let norm = if report.norm.is_finite() { report.norm } else { 0.0 };
        monitor.step(run.step, report.loss, norm, report.rate)?;
    }
    // The stage is over: there is nothing left to interrupt.
    let _ = tell(&news(&monitor, run.step));
    monitor.flush()?;
    // Another stage begins with all of it on every rank.
    let whose = if run.stage == Stage::Autoencoder { For::All } else { For::First };
    let params = learner.params(whose)?;
    if first || whose == For::All {
        run.params = params;
    }
    if first {
        if run.step > began {
            write_sheet(&sheet, &learner.sheet(&run.params)?)?;
        }
        run.save()?;
    }
    Ok(Ending::Complete)
}

/// What a training does before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// It is saved, and ends.
    pub stop: bool,
    /// The first rank saves it.
    pub save: bool,
    /// The first rank shows what was learned.
    pub show: bool,
}

impl Wishes {
    /// What any rank wants, on all of them.
    pub fn agreed(self, ranks: &dyn Collective) -> Result<Wishes, Failure> {
        let bits = u8::from(self.stop) | u8::from(self.save) << 1 | u8::from(self.show) << 2;
        let bits = ranks.union(bits)?;
        Ok(Wishes { stop: bits & 1 > 0, save: bits & 2 > 0, show: bits & 4 > 0 })
    }

    /// Whether it wants the weights.
    pub fn any(self) -> bool {
        self.stop || self.save || self.show
    }
}

fn write_sheet(path: &Path, sheet: &Picture) -> Result<(), Failure> {
    Ok(png::save(path, sheet, &[])?)
}

/// Steps in a row without a finite gradient after which no scale of the loss can be expected to help.
const SKIPPED: u64 = 50;

/// Sees when a loss runs away.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// What the best average counts as, at least, where losses may be small or negative.
    scale: f64,
    skipped: u64,
    steps: u64,
    sum: f64,
    best: Option<f64>,
}

impl Watch {
    /// Of losses that may be negative: none that rises by less than some times this has diverged.
    pub(crate) fn of_scale(scale: f64) -> Watch {
        Watch { scale, ..Watch::default() }
    }

    pub(crate) fn problem(&mut self, report: Report) -> Option<String> {
        self.skipped = if report.scaled && !report.norm.is_finite() { self.skipped + 1 } else { 0 };
        let skipped = 0 < self.skipped && self.skipped < SKIPPED;
        if !report.loss.is_finite() || !report.norm.is_finite() && !skipped {
            return Some(format!("the loss is {}, the gradient's norm {}", report.loss, report.norm));
        }
        self.steps += 1;
        self.sum += report.loss;
        if self.steps < WINDOW {
            return None;
        }
        let mean = self.sum / WINDOW as f64;
        (self.steps, self.sum) = (0, 0.0);
        let best = self.best.map_or(mean, |best| best.min(mean));
        self.best = Some(best);
        (mean - best > (DIVERGED - 1.0) * best.abs().max(self.scale))
            .then(|| format!("the mean loss rose from {best:.4} to {mean:.4}"))
    }
}

#[cfg(test)]
mod tests {
    use yuragi_models::Settings;

    use super::*;

    fn report(loss: f64) -> Report {
        Report { loss, norm: 1.0, scaled: false, rate: 1e-3 }
    }

    #[test]
    fn work_grows_with_the_batch_and_both_stages_have_their_share() {
        let settings = Settings::default();
        let [one, four] =
            [1, 4].map(|batch| products(&latent_diffusion::autoencoder_training(&settings, batch).unwrap()));
        assert!((3.9..4.1).contains(&(four / one)), "{one} {four}");
        // Encoder and decoder take 0.57 GFLOP a picture forward, twice that backward.
        assert!((0.5e9..1.5e9).contains(&one), "{one}");
        let diffusion = products(&latent_diffusion::diffusion_training(&settings, 1).unwrap());
        assert!((0.2..1.0).contains(&(diffusion / one)), "{diffusion} {one}");
    }

    #[test]
    fn a_watch_sees_infinity_at_once_and_growth_after_a_window() {
        assert!(Watch::default().problem(report(f64::NAN)).is_some());
        let mut watch = Watch::default();
        assert!((0..500).all(|_| watch.problem(report(1.0)).is_none()));
        assert!((0..100).any(|_| watch.problem(report(100.0)).is_some()));
    }
}
