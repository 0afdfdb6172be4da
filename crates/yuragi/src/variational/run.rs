//! A training through a bound: its folder, its steps, and what it leaves.

use std::{
    fs, mem,
    ops::ControlFlow,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use yuragi_energy::statistics::Estimate;
use yuragi_graph::{Alone, Collective, Params, Slice};
use yuragi_io::{Checkpoint, atomic, checkpoint::Archive, plot, png};
use yuragi_models::{likelihood::Likelihood, vae::Estimator};
use yuragi_nn::rate::Schedule;

use super::{Examples, Model, Network, judge, progress_sheet, schedule};
use crate::{
    Failure,
    machine::{Machine, Work},
    ranks::agree,
    train::{
        Monitor, Pace, Report, Run as Pictures, Watch, Wishes,
        device::{Exchange, For, Sharing, Trainer, check_slices},
        order::Order,
        run::{Lock, digest},
    },
};

/// Between two checkpoints, unless it is said.
const SAVE_EVERY: Duration = Duration::from_secs(120);
/// Between two sheets and evaluations of test data.
const SHOW_EVERY: Duration = Duration::from_secs(240);
/// Apart from other draws' keys.
const KEY: u32 = 0x6269_6e64;

/// How to train: with the network and the data, everything that decides the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The data's file or folder.
    pub data: PathBuf,
    /// What its numbers are divided by.
    pub scale: Option<f64>,
    /// Passes over the data.
    pub passes: u32,
    /// Examples of one step.
    pub batch: usize,
    /// Slices of a batch: see [`yuragi_nn::step`].
    pub slices: usize,
    /// Draws of the bound.
    pub samples: usize,
    /// How its gradient is estimated.
    pub estimator: Estimator,
    /// The largest learning rate.
    pub rate: f64,
    /// Its course.
    pub schedule: Schedule,
    /// Decides initial weights, order, noise.
    pub seed: u64,
}

impl Options {
    fn to_pairs(&self) -> [(&'static str, String); 10] {
        [
            ("train.data", self.data.display().to_string()),
            ("train.scale", self.scale.map(|scale| scale.to_string()).unwrap_or_default()),
            ("train.passes", self.passes.to_string()),
            ("train.batch", self.batch.to_string()),
            ("train.slices", self.slices.to_string()),
            ("train.samples", self.samples.to_string()),
            ("train.estimator", self.estimator.to_string()),
            ("train.rate", self.rate.to_string()),
            ("train.schedule", self.schedule.to_string()),
            ("train.seed", self.seed.to_string()),
        ]
    }

    fn read(file: &Archive) -> Result<Options, Failure> {
        fn get<T: FromStr>(file: &Archive, key: &str) -> Result<T, Failure> {
            Ok(file.setting(key)?)
        }
        let scale: String = get(file, "train.scale")?;
        Options {
            data: PathBuf::from(get::<String>(file, "train.data")?),
            scale: if scale.is_empty() { None } else { Some(get(file, "train.scale")?) },
            passes: get(file, "train.passes")?,
            batch: get(file, "train.batch")?,
            // Trainings from before slices have none.
            slices: if file.settings().contains_key("train.slices") { get(file, "train.slices")? } else { 1 },
            samples: get(file, "train.samples")?,
            // Trainings from before the choice had the single one.
            estimator: if file.settings().contains_key("train.estimator") {
                get(file, "train.estimator")?
            } else {
                Estimator::Single
            },
            rate: get(file, "train.rate")?,
            schedule: if file.settings().contains_key("train.schedule") {
                get(file, "train.schedule")?
            } else {
                Schedule::Ladder
            },
            seed: get(file, "train.seed")?,
        }
        .checked()
    }

    /// The options, if every one is in its range.
    ///
    /// # Errors
    /// What is out of range, with the legal one.
    pub fn checked(self) -> Result<Options, Failure> {
        for (name, value, low, high) in [
            ("the number of passes", f64::from(self.passes), 1.0, 1e9),
            ("the batch", self.batch as f64, 1.0, 65_536.0),
            ("the number of samples", self.samples as f64, 1.0, 65_536.0),
            ("the learning rate", self.rate, 1e-8, 1.0),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Failure::new(format!("{name} is {value}, must be from {low} to {high}")));
            }
        }
        check_slices(self.slices, &[("the batch", self.batch)], &Alone)?;
        Ok(self)
    }

    /// Examples of a slice.
    fn slice(&self) -> usize {
        self.batch / self.slices
    }

    /// Draws of the bound, and how its gradient is estimated.
    fn draws(&self) -> (usize, Estimator) {
        (self.samples, self.estimator)
    }

    /// Steps in all, over so many examples.
    pub fn steps(&self, examples: usize) -> u64 {
        (u64::from(self.passes) * examples as u64).div_ceil(self.batch as u64)
    }
}

/// A training between two steps: all that is needed to go on to the same weights, bit for bit.
pub struct Run {
    /// Where everything is written.
    pub folder: PathBuf,
    /// How to train.
    pub options: Options,
    /// The network, its weights and the optimiser's state.
    pub model: Model,
    /// Steps done.
    pub step: u64,
    /// The time between two checkpoints.
    pub save_every: Duration,
    /// What ranks give each other.
    pub exchange: Exchange,
    fingerprint: u64,
    _lock: Lock,
}

impl Run {
    /// Begins in a folder, which the first of these ranks makes, and which holds the first checkpoint then: with the weights
    /// `init` of the same network, or new ones, whose decoder begins at the data's means.
    ///
    /// # Errors
    /// The folder holds another training or cannot be written into; extents that are out of range, or slices that the ranks
    /// cannot share.
    pub fn begin(
        folder: &Path,
        options: Options,
        network: Network,
        init: Option<&Params>,
        examples: &Examples,
        ranks: &dyn Collective,
    ) -> Result<Run, Failure> {
        network.check()?;
        check_slices(options.slices, &[("the batch", options.batch)], ranks)?;
        let first = ranks.rank() == 0;
        if first {
            Pictures::check_new(folder)?;
        }
        let graph = network.training(&network.optimizer(), options.slice(), options.draws())?;
        let mut model = Model { network, params: Params::new(), moments: examples.moments().to_vec() };
        model.params.initialise(graph.params(), options.seed);
        match init {
            None => begin_at_means(&mut model, examples),
            Some(init) => {
                init.iter().for_each(|(name, tensor)| model.params.insert(name, tensor.clone()));
            }
        }
        let mut run = Run {
            folder: folder.to_owned(),
            options,
            model,
            step: 0,
            save_every: SAVE_EVERY,
            exchange: Exchange::default(),
            fingerprint: examples.fingerprint(),
            _lock: Lock::of_another(),
        };
        run.agree(ranks)?;
        if first {
            fs::create_dir_all(folder)
                .map_err(|e| Failure::new(format!("cannot make the folder {}: {e}", folder.display())))?;
            run._lock = Lock::take(folder)?;
            Pictures::check_new(folder)?;
            run.save()?;
        }
        Ok(run)
    }

    /// What is left to do with so many examples, for a machine to be chosen by.
    ///
    /// # Errors
    /// Extents that cannot be built.
    pub fn work(&self, examples: usize) -> Result<Work, Failure> {
        let (network, options) = (&self.model.network, &self.options);
        let steps = options.steps(examples).saturating_sub(self.step) * options.slices as u64;
        Ok(Work::of(&network.training(&network.optimizer(), options.slice(), options.draws())?, steps as f64))
    }

    /// Reads the checkpoint of a folder, on each of these ranks.
    ///
    /// # Errors
    /// There is none, another training is at work, it holds something else, or slices that the ranks cannot share.
    pub fn load(folder: &Path, ranks: &dyn Collective) -> Result<Run, Failure> {
        let path = Pictures::checkpoint(folder);
        if !path.exists() {
            return Err(Failure::new(format!("{} does not exist: nothing to resume", path.display())));
        }
        let lock = Lock::take_first(folder, ranks)?;
        let file = Archive::open(&path)?;
        let model = Model::read(&file)
            .map_err(|why| Failure::new(format!("{} is no training of a model with a bound: {why}", path.display())))?;
        let options = Options::read(&file)?;
        check_slices(options.slices, &[("the batch", options.batch)], ranks)?;
        let run = Run {
            folder: folder.to_owned(),
            options,
            model,
            step: file.setting("step")?,
            save_every: SAVE_EVERY,
            exchange: Exchange::default(),
            fingerprint: file.setting("data.fingerprint")?,
            _lock: lock,
        };
        // Nor is it written again before all have read it.
        run.agree(ranks)?;
        Ok(run)
    }

    /// Whether all ranks have the same of it.
    fn agree(&self, ranks: &dyn Collective) -> Result<(), Failure> {
        // The first setting is the place of the data, which may be another on each machine.
        let options = self.options.to_pairs().into_iter().skip(1);
        let known = [self.step, self.fingerprint, self.exchange as u64].map(|number| ("", number.to_string()));
        agree(ranks, digest(options.chain(self.model.network.to_pairs()).chain(known), &self.model.params))
    }

    /// Writes the checkpoint, whole or not at all.
    fn save(&self) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        for (key, value) in self.options.to_pairs() {
            file.set(key, value);
        }
        file.set("step", self.step);
        file.set("data.fingerprint", self.fingerprint);
        self.model.write(&mut file)?;
        Ok(file.save(Pictures::checkpoint(&self.folder))?)
    }

    /// The trained model's path in the folder.
    pub fn file(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }
}

/// The bias of a dense decoder's output begins where the data's means are what it gives without latents.
fn begin_at_means(model: &mut Model, examples: &Examples) {
    const BIAS: &str = "decoder.0.out.bias";
    let (law, rows) = (model.network.likelihood(), examples.len() as f32);
    let bias = |mean: &f32| match law {
        // One row more of each value keeps it finite.
        Likelihood::Bernoulli => {
            let p = (mean * rows + 1.0) / (rows + 2.0);
            (p / (1.0 - p)).ln()
        }
        Likelihood::Gaussian => *mean,
        Likelihood::Logistic => 2.0 * mean - 1.0,
    };
    let values: Vec<f32> = examples.means().iter().map(bias).collect();
    let tensor = model.params.place(BIAS).and_then(|place| model.params.at_mut(place));
    if let Some(to) = tensor.and_then(|tensor| tensor.values_mut()).filter(|to| to.len() == values.len()) {
        to.copy_from_slice(&values);
    }
}

/// What a training tells on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum News {
    /// It stands before its next step, or at its end.
    Step {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// What the log's last line knows.
        pace: Option<Pace>,
    },
    /// The bound on the test data, by one draw an example.
    Test {
        /// Passes over the data that are done.
        passes: f64,
        /// The bound.
        elbo: Estimate,
    },
}

/// Why a training ended without failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Complete,
    /// It was interrupted, and is saved.
    Interrupted,
}

/// Trains until all steps are done or `tell` breaks, on any of these ranks, which share every batch; the first one leaves
/// checkpoint, log, curve and model in the run's folder.
///
/// # Errors
/// Other examples than the training began with, a loss that diverges, files that cannot be written, ranks that were started
/// otherwise than others, or one that is gone.
pub fn train(
    mut run: Run,
    examples: &Examples,
    test: Option<&Examples>,
    (machine, ranks): (&Machine, &dyn Collective),
    tell: &mut dyn FnMut(&News) -> ControlFlow<()>,
) -> Result<Ending, Failure> {
    if run.fingerprint != examples.fingerprint() {
        let (folder, data) = (run.folder.display(), run.options.data.display());
        return Err(Failure::new(format!(
            "{folder} began with other data than {data} gives now: name the first ones, or train anew in another folder"
        )));
    }
    run.agree(ranks)?;
    let first = ranks.rank() == 0;
    let Options { batch, seed, slices, .. } = run.options;
    let network = run.model.network.clone();
    let optimizer = machine.optimizer(network.optimizer());
    let steps = run.options.steps(examples.len());
    let graph = network.training(&optimizer, run.options.slice(), run.options.draws())?;
    run.model.params.initialise(graph.params(), seed);
    let sharing = Sharing { slices, ranks, exchange: run.exchange };
    let mut trainer = Trainer::new(machine, &graph, mem::take(&mut run.model.params), sharing)?;
    let places = trainer.places(batch);
    let mut order = Order::new(seed, examples.len());
    let mut monitor = Monitor::new(&run.folder, "bound", run.step, steps, batch, 0.0, ranks)?;
    let (mut watch, mut x) =
        (Watch::of_scale(examples.columns() as f64), Vec::with_capacity(batch * examples.columns()));
    let (mut saved, mut shown) = (Instant::now(), Instant::now());
    let (mut interrupted, began) = (false, run.step);
    while run.step < steps {
        let wishes = Wishes {
            stop: tell(&News::Step { step: run.step, steps, pace: monitor.pace() }).is_break(),
            save: first && saved.elapsed() >= run.save_every,
            show: first && shown.elapsed() >= SHOW_EVERY,
        };
        let wishes = wishes.agreed(ranks)?;
        if wishes.stop {
            interrupted = true;
            break;
        }
        if wishes.any() && (first || run.exchange == Exchange::Sharded) {
            let params = trainer.params(For::First)?;
            if first {
                run.model.params = params;
            }
        }
        if first && wishes.save {
            monitor.flush()?;
            run.save()?;
            saved = Instant::now();
        }
        if first && wishes.show {
            show(&run, examples, test, machine, tell)?;
            shown = Instant::now();
        }
        x.clear();
        let position = |place: usize| run.step * batch as u64 + place as u64;
        places.clone().for_each(|place| examples.push(order.at(position(place)).0, &mut x));
        let rate = run.options.rate as f32 * run.options.schedule.at(run.step, steps);
        let hyper = optimizer.hyper(run.step, rate, 0.999);
        let key = [run.step as u32, seed as u32 ^ KEY];
        let [loss, _, _, norm] = trainer.step(&[Slice::F32(&x), Slice::U32(&key), Slice::F32(&hyper)])?;
        let report = Report { loss: loss.into(), norm: norm.into(), rate: rate.into(), scaled: trainer.is_scaled() };
        if let Some(problem) = watch.problem(report) {
            return Err(Failure::new(format!(
                "the training diverged at step {}: {problem}; {} is as it was; train with a smaller `--rate` than {}",
                run.step + 1,
                Pictures::checkpoint(&run.folder).display(),
                run.options.rate
            )));
        }
        run.step += 1;
        monitor.step(run.step, report.loss, report.norm, report.rate)?;
    }
    if first || run.exchange == Exchange::Sharded {
        let params = trainer.params(For::First)?;
        if first {
            run.model.params = params;
        }
    }
    if first {
        if run.step == steps && run.step > began {
            show(&run, examples, test, machine, tell)?;
        }
        monitor.flush()?;
        run.save()?;
        run.model.save(&run.file())?;
    }
    // None ends before all is written.
    ranks.barrier()?;
    let _ = tell(&News::Step { step: run.step, steps, pace: monitor.pace() });
    Ok(if interrupted { Ending::Interrupted } else { Ending::Complete })
}

/// Writes what shows how far a training is, and tells the bound on the test data.
fn show(
    run: &Run,
    examples: &Examples,
    test: Option<&Examples>,
    machine: &Machine,
    tell: &mut dyn FnMut(&News) -> ControlFlow<()>,
) -> Result<(), Failure> {
    if let Some(sheet) = progress_sheet(&run.model, test.unwrap_or(examples), run.options.seed, machine)? {
        png::save(run.folder.join("bound-samples.png"), &sheet, &[])?;
    }
    if let Network::Vdm(_) = &run.model.network {
        draw_schedule(&run.folder, schedule(&run.model, 101, machine)?)?;
    }
    let going = &mut |_| ControlFlow::Continue(());
    let bounds = test.map(|test| judge(&run.model, test, (test.len(), 1), 0, machine, &Alone, going)).transpose()?;
    if let Some(bounds) = bounds.flatten() {
        let passes = run.step as f64 * run.options.batch as f64 / examples.len() as f64;
        note_test(&run.folder, passes, bounds.elbo)?;
        // An interruption is heard before the next step.
        let _ = tell(&News::Test { passes, elbo: bounds.elbo });
    }
    Ok(())
}

/// Draws γ over time.
fn draw_schedule(folder: &Path, points: Vec<(f64, f64)>) -> Result<(), Failure> {
    let chart = plot::Chart {
        title: "noise of the diffusion model".into(),
        x_label: "t".into(),
        y_label: "gamma = -ln SNR".into(),
        ..plot::Chart::default()
    };
    let series = [plot::Series { points, ..plot::Series::default() }];
    Ok(png::save(folder.join("schedule.png"), &chart.draw(&series)?, &[])?)
}

/// Adds a line to the log of tests, and draws it; later lines of an older run are dropped.
fn note_test(folder: &Path, passes: f64, elbo: Estimate) -> Result<(), Failure> {
    let path = folder.join("test.tsv");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let number = |line: &str, place: usize| line.split('\t').nth(place).and_then(|text| text.parse::<f64>().ok());
    let mut lines = vec!["passes\telbo\terror".to_owned()];
    lines.extend(old.lines().filter(|line| number(line, 0).is_some_and(|at| at < passes)).map(str::to_owned));
    lines.push(format!("{passes:.4}\t{:.4}\t{:.4}", elbo.value, elbo.error));
    atomic::write(&path, (lines.join("\n") + "\n").as_bytes())?;
    let points: Vec<(f64, f64)> = lines.iter().filter_map(|line| Some((number(line, 0)?, number(line, 1)?))).collect();
    if points.len() > 1 {
        let chart = plot::Chart {
            title: "test data".into(),
            x_label: "passes".into(),
            y_label: "bound, nats".into(),
            ..plot::Chart::default()
        };
        let series = [plot::Series { points, ..plot::Series::default() }];
        png::save(folder.join("test.png"), &chart.draw(&series)?, &[])?;
    }
    Ok(())
}
