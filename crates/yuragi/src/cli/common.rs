//! What commands share: the machine's and the sampler's flags, Ctrl-C, progress.

use std::{
    fmt::Display,
    io::{self, IsTerminal, StdoutLock, Write},
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use yuragi::{
    Failure,
    cpu::Cpu,
    diffusion::{self, Rng, Spacing, guidance::Interval},
    graph::Precision,
    io::{Dataset, Picture, atomic, parameters::Parameters, picture::contact_sheet},
    machine::{Choice, Machine, Work},
    model::Storage,
    models::generator::Sampling,
    train::device::Exchange,
    variational::pictures,
};

use super::INTERRUPTED;

/// Files left out that are named.
const MOST_NAMED: usize = 20;

/// Whether this process says nothing: another rank speaks for all.
static HUSHED: AtomicBool = AtomicBool::new(false);

/// Says nothing from here on.
pub fn hush() {
    HUSHED.store(true, Ordering::Relaxed);
}

/// Whether this process speaks for all ranks.
pub fn speaks() -> bool {
    !HUSHED.load(Ordering::Relaxed)
}

/// Which machine computes, and how precisely.
#[derive(Args)]
pub struct DeviceFlags {
    /// Where to compute: auto (a GPU if there is one and the work is worth it), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Choice,
    /// Precision of matrix products and convolutions: f32, tf32, bf16 or f16; sums are always of single precision
    #[arg(long, default_value = "f32")]
    precision: Precision,
}

impl DeviceFlags {
    /// The machine asked for; a GPU is named in one line on standard error. `auto` decides by the work.
    pub fn machine(&self, cpu: Cpu, work: Work) -> Result<Machine, Failure> {
        Machine::choose(self.device, cpu, self.precision, work).map(told)
    }

    /// Whether the device asked for can be used, before anything is made; `auto` always can.
    pub fn check(&self) -> Result<(), Failure> {
        match self.device {
            Choice::Auto | Choice::Cpu => Ok(()),
            Choice::Cuda(_) => Machine::choose(self.device, Cpu::new(), self.precision, Work::MUCH).map(drop),
        }
    }
}

/// What ranks that share a training give each other; not part of the training, so that it is said again with `--resume`.
#[derive(Args)]
pub struct SharingFlags {
    /// Of several ranks, each keeps a share of the optimiser's state only (ZeRO-1): less memory, the same weights
    #[arg(long, visible_alias = "shard-optimizer")]
    shard_optimiser: bool,
    /// How gradients are added up over slices and ranks: `tree`, to the weights of one process, or `nccl`, between the GPUs that
    /// all ranks have, in an order of its own
    #[arg(long, default_value = "tree", value_name = "HOW", value_parser = ["tree", "nccl"], conflicts_with = "shard_optimiser")]
    reduce: String,
}

impl SharingFlags {
    /// What was asked for.
    pub fn exchange(&self) -> Exchange {
        match self.reduce == "nccl" {
            true => Exchange::Nccl,
            false if self.shard_optimiser => Exchange::Sharded,
            false => Exchange::Whole,
        }
    }
}

/// The machine; a GPU is named in one line on standard error, and so is why one is not used.
pub fn told(machine: Machine) -> Machine {
    if machine.is_gpu() {
        say!("computing on {machine}");
        if let Some(why) = machine.untuned() {
            say!("note: {why}");
        }
    } else if let Some(reason) = machine.unused() {
        say!("note: computing on the processor: {reason}");
    }
    machine
}

/// Whether a file can be put there, as far as can be told without writing it.
pub fn check_place(path: &Path) -> Result<(), Failure> {
    let cannot = |why: String| Err(Failure::new(format!("cannot write {}: {why}", path.display())));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if path.is_dir() {
        cannot("it is a folder: name a file in it".into())
    } else if path.as_os_str().to_string_lossy().ends_with(std::path::is_separator) {
        cannot("there is no such folder".into())
    } else if let Some(missing) = folder.filter(|folder| !folder.is_dir()) {
        cannot(format!("there is no folder {}", missing.display()))
    } else if path.file_name().is_none() {
        cannot("it names no file".into())
    } else {
        Ok(atomic::check(path)?)
    }
}

/// The processor, with the threads that were asked for or one for each core; it convolves by minimal filtering where that
/// pays.
pub fn processor(threads: Option<u16>) -> Cpu {
    threads.map_or_else(Cpu::new, |threads| Cpu::with_threads(threads.into())).winograd(true)
}

/// The threads that were asked for, or one for each core.
pub fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Prints on standard output, of the first rank; that no one reads on is no failure.
pub fn print(text: impl Display) -> Result<(), Failure> {
    print_with(|out| write!(out, "{text}"))
}

/// The same, of what `fill` writes.
pub fn print_with(fill: impl FnOnce(&mut StdoutLock<'_>) -> io::Result<()>) -> Result<(), Failure> {
    if !speaks() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match fill(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Rows as pictures on one sheet, grey unless they have three colours; see [`pictures`].
pub fn sheet(grey: &[f32], shape: &[usize]) -> Result<Picture, Failure> {
    let pictures = pictures(grey, shape)?;
    let across = pictures.len().isqrt() + usize::from(pictures.len().isqrt().pow(2) < pictures.len());
    Ok(contact_sheet(&pictures, across, 2)?)
}

/// How pictures are sampled.
#[derive(Args)]
pub struct SamplingFlags {
    /// Steps of the sampler, 1 to 1000
    ///
    /// [default: the model's, 8 for the built-in one]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1000))]
    steps: Option<u16>,
    /// How much the words count, 0 to 30; 1 takes half the time [default: the model's, 1.5 for the built-in one]
    #[arg(long, value_parser = guidance, allow_negative_numbers = true)]
    guidance: Option<f32>,
    /// The sampler, by its name here or in web interfaces, with or without a schedule behind it: euler, "Euler a",
    /// dpm++2m-karras. One of: ddpm, ddim, ddim:ETA, pndm, plms, euler, euler-a, heun, lms, dpm2, dpm2-a, dpm++2m, dpm++3m,
    /// dpm++2m-sde, dpm++3m-sde, dpm++2s, dpm++3s, dpm++2s-a, dpm++sde, dpm2m, dpm3m, unipc, deis, sa-solver, ipndm, lcm,
    /// tcd, tcd:GAMMA; euler:CHURN, heun:CHURN and dpm2:CHURN add noise before each step, also with
    /// :SIGMA_MIN:SIGMA_MAX:NOISE behind
    ///
    /// [default: the model's, euler for the built-in one]
    #[arg(long)]
    sampler: Option<diffusion::Choice>,
    /// Where the steps lie, if the sampler's name does not say: trailing, leading, linspace, sgm-uniform, karras,
    /// exponential or beta [default: evenly]
    #[arg(long, value_name = "SPACING")]
    schedule: Option<Spacing>,
    /// How far guidance keeps the deviation of what it guides, 0 to 1, against washed-out or burnt colours
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    guidance_rescale: f32,
    /// The noise levels at which guidance acts, as shares of noise from 0 (none) to 1 (the beginning)
    #[arg(long, default_value_t, value_name = "LOW:HIGH")]
    guidance_interval: Interval,
    /// What turns a seed into noise: yuragi, torch-cpu, torch-cuda, or torch-cuda:SMSxTHREADS for a smaller card's numbers
    ///
    /// [default: yuragi]
    #[arg(long, value_name = "GENERATOR")]
    rng: Option<Rng>,
}

impl SamplingFlags {
    /// Takes what a picture tells of its making, where nothing was asked for.
    pub fn complete(&mut self, made: &Parameters) -> Result<(), Failure> {
        if let Some(steps) = made.number("Steps")? {
            self.steps.get_or_insert(steps);
        }
        if let Some(scale) = made.number("CFG scale")? {
            self.guidance.get_or_insert(scale);
        }
        let asked = self.sampler.is_some();
        if let Some(name) = made.get("Sampler").filter(|_| !asked) {
            self.sampler = Some(name.parse()?);
        }
        if let Some(name) = made.get("Schedule type").filter(|name| !asked && *name != "Automatic") {
            self.schedule = Some(name.parse()?);
        }
        let own = made.get("Version").is_some_and(|version| version.starts_with("yuragi"));
        self.rng = match (self.rng, made.get("RNG")) {
            (Some(rng), _) => Some(rng),
            (None, Some(name)) => Some(name.parse()?),
            // Web interfaces take a card's numbers where they say nothing.
            (None, None) => Some(if own { Rng::Yuragi } else { "NV".parse()? }),
        };
        Ok(())
    }

    /// Whether a sampler is asked for.
    pub fn names_sampler(&self) -> bool {
        self.sampler.is_some()
    }

    /// As the generator takes them, over what the model does by itself.
    pub fn sampling(&self, usual: Sampling) -> Sampling {
        let &SamplingFlags { steps, guidance, sampler, schedule, guidance_rescale, guidance_interval, rng } = self;
        let named = sampler.and_then(|choice| choice.spacing);
        Sampling {
            sampler: sampler.map_or(usual.sampler, |choice| choice.kind),
            steps: steps.map_or(usual.steps, usize::from),
            guidance: guidance.unwrap_or(usual.guidance),
            spacing: schedule.or(named).or(usual.spacing.filter(|_| sampler.is_none())),
            rescale: guidance_rescale,
            interval: guidance_interval,
            rng: rng.unwrap_or(usual.rng),
            ..usual
        }
    }
}

fn share(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// A share of steps.
pub fn strength(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// The bits of a stored weight.
pub fn bits(text: &str) -> Result<usize, String> {
    let value = text.parse().ok().filter(|&bits| Storage::new(bits, Storage::GROUP).is_ok());
    value.ok_or_else(|| "it must be 4, 5, 6, 8 or 16".to_owned())
}

fn guidance(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|value| (0.0..=30.0).contains(value));
    value.ok_or_else(|| "it must be a number from 0 to 30".to_owned())
}

/// Names what a data set leaves out, the first few files of it, and what else is to be said of it.
pub fn tell_skipped(dataset: &Dataset) {
    for skipped in dataset.skipped.iter().take(MOST_NAMED) {
        say!("skipped {}: {}", skipped.path.display(), skipped.reason);
    }
    if let Some(more) = dataset.skipped.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        say!("skipped {more} more");
    }
    dataset.notes.iter().for_each(|note| say!("note: {note}"));
}

/// Says that some of `all` captions are longer than a model reads; `cut` are the names of their pictures.
pub fn tell_cut(cut: &[&str], all: usize, read: usize) {
    if let [first, more @ ..] = cut {
        let what = format!("{} of {all} pictures have captions longer than the {read} tokens", cut.len());
        let more = if more.is_empty() { "" } else { ", .." };
        say!("note: {what} that the model reads; the rest is cut off: {first}{more}");
    }
}

/// A flag that Ctrl-C sets; a second one ends the process at once. `say` is what the first one prints.
pub fn interruption(say: &'static str) -> Result<Arc<AtomicBool>, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        say!("\n{say}");
    })?;
    Ok(interrupted)
}

/// How long work that keeps nothing may take to see an interruption.
const GRACE: Duration = Duration::from_millis(700);

/// [`interruption`] of work that keeps nothing when it is stopped: what does not see it soon ends with the process. From
/// `finished` on, which the second flag says, there is something to keep.
pub fn abandonment(say: &'static str) -> Result<(Arc<AtomicBool>, Arc<AtomicBool>), Failure> {
    let (interrupted, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (flag, done) = (interrupted.clone(), finished.clone());
    ctrlc::set_handler(move || {
        flag.store(true, Ordering::Relaxed);
        say!("\n{say}");
        std::thread::sleep(GRACE);
        if !done.load(Ordering::Relaxed) {
            say!("interrupted; nothing was written");
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    Ok((interrupted, finished))
}

/// Whether to go on.
pub fn flow(interrupted: &AtomicBool) -> ControlFlow<()> {
    if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// What was reached, or nothing if it failed because it was interrupted.
pub fn unless_interrupted<T>(
    reached: Result<T, impl Into<Failure>>,
    interrupted: &AtomicBool,
) -> Result<Option<T>, Failure> {
    match reached {
        Err(_) if interrupted.load(Ordering::Relaxed) => Ok(None),
        reached => reached.map(Some).map_err(Into::into),
    }
}

/// A bar that shows itself only when there is more than a second to wait.
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
}

impl Progress {
    /// The length of the bar.
    const LENGTH: u64 = 1000;
    /// Before it shows itself.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// A bar for what `doing` says.
    pub fn new(doing: &'static str) -> Result<Progress, Failure> {
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% eta {eta}")?;
        let bar = ProgressBar::with_draw_target(Some(Progress::LENGTH), ProgressDrawTarget::hidden());
        Ok(Progress { bar: bar.with_style(style).with_prefix(doing), started: Instant::now(), shown: false })
    }

    /// The share that is done, 0 to 1.
    pub fn set(&mut self, share: f64) {
        if !self.shown && speaks() && self.started.elapsed() >= Progress::PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position((share * Progress::LENGTH as f64) as u64);
    }

    /// Prints while the bar stands aside.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How far a learning of so many steps is, which Ctrl-C ends with what was learned: a bar, and where there is no terminal a line
/// now and then.
pub struct Steps<'a> {
    progress: Progress,
    told: Instant,
    done: u64,
    total: u64,
    interrupted: &'a AtomicBool,
}

impl Steps<'_> {
    /// Between two lines.
    const EVERY: Duration = Duration::from_secs(30);

    /// None is done.
    pub fn new(total: u64, interrupted: &AtomicBool) -> Result<Steps<'_>, Failure> {
        Ok(Steps { progress: Progress::new("learning")?, told: Instant::now(), done: 0, total, interrupted })
    }

    /// So many are done; whether to go on. The first one always is.
    pub fn tell(&mut self, done: u64, loss: f64) -> ControlFlow<()> {
        self.done = done;
        self.progress.set(done as f64 / self.total as f64);
        if self.told.elapsed() >= Steps::EVERY && !io::stderr().is_terminal() {
            self.told = Instant::now();
            say!("{done}/{} loss {loss:.4}", self.total);
        }
        if done == 0 { ControlFlow::Continue(()) } else { flow(self.interrupted) }
    }

    /// Says whether it was interrupted.
    pub fn end(self) {
        let Steps { done, total, .. } = self;
        drop(self);
        if done + 1 < total {
            say!("interrupted after {done} of {total} steps");
        }
    }
}

/// The text of a stranger, without what a terminal would obey.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A stranger's name, on one line.
pub fn harmless_name(name: &str) -> String {
    harmless(name).chars().take(100).map(|c| if c == '\n' { '\u{fffd}' } else { c }).collect()
}

/// Hours, minutes and seconds.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
