use std::{
    fs,
    io::{self, IsTerminal},
    path::{self, Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use clap::{ArgGroup, Args, Subcommand, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use yuragi::{
    Failure,
    cpu::Cpu,
    graph::{Collective, Params},
    io::checkpoint::Archive,
    model::Model,
    models::Settings,
    train::{Ending, News, Options, Pace, Run, Source, Stage, data::Data, device::Exchange, lora, train},
};

use super::{
    INTERRUPTED,
    common::{DeviceFlags, SharingFlags, bits, clock, flow, interruption, processor, speaks, tell_cut, tell_skipped},
    decoder::DecoderFlags,
    judge::JudgeFlags,
    lora::{LoraFlags, pictures},
    models::{file_of, open},
    variational::Bounded,
};

/// Learn from pictures with captions.
///
/// Writes checkpoint, log, loss curve and sample sheet into a folder, and the model when it is done.
/// Ctrl-C saves; `--resume` goes on to the very weights that an undisturbed training reaches.
/// `train vae` and `train hvae` learn from tables and plain pictures, `train judge` what `evaluate` judges by,
/// `train decoder` to decode a model's latents to larger pictures; `--model` with
/// `--lora` learns a LoRA for a Stable Diffusion checkpoint.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(group(ArgGroup::new("learning").args(["lora", "resume"]).multiple(true)))]
pub struct Train {
    #[command(subcommand)]
    other: Option<Other>,
    /// `emoji` for those of the installed colour font, `emoji:FONT` for those of another, or a folder
    /// of pictures with captions (`picture.txt` or `.caption` beside `picture.png`, or `metadata.jsonl` or `.csv`); with
    /// `--resume`, where the same pictures are now [default: emoji]
    #[arg(long)]
    data: Option<Source>,
    /// The column or key of captions in a folder's metadata [default: text, caption or prompt]
    #[arg(long, value_name = "NAME")]
    caption_column: Option<String>,
    /// The folder to write into [default: runs/train, or with `--lora` runs/lora]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the training in this folder, with its own settings; only `--steps`,
    /// `--autoencoder-steps` (to train longer or shorter than planned), `--bits` and the places of the data and, of a LoRA,
    /// of the checkpoint (`--model`) may change
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["caption_column", "out", "init", "autoencoder", "seed", "batch", "slices", "rate", "autoencoder_batch", "autoencoder_rate", "compose"])]
    resume: Option<PathBuf>,
    /// Begin with the weights of this model instead of random ones
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,
    /// Keep the autoencoder of this model, and train only the diffusion model anew
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["init", "autoencoder_steps"])]
    autoencoder: Option<PathBuf>,
    /// Steps of the diffusion model [default: fit the data, 2000 to 60000]
    #[arg(long)]
    steps: Option<u64>,
    /// Pictures of one step
    #[arg(long)]
    batch: Option<usize>,
    /// Slices of a step, which are learned from one after another, or by several ranks; the weights depend on their number, and
    /// not on that of the ranks [default: 1]
    #[arg(long)]
    slices: Option<usize>,
    /// Peak learning rate
    #[arg(long)]
    rate: Option<f64>,
    /// Steps of the autoencoder, which comes first [default: fit the data, 1000 to 3000]
    #[arg(long)]
    autoencoder_steps: Option<u64>,
    /// Pictures of one step of the autoencoder
    #[arg(long)]
    autoencoder_batch: Option<usize>,
    /// Peak learning rate of the autoencoder
    #[arg(long)]
    autoencoder_rate: Option<f64>,
    /// Composed pictures (recoloured, side by side, ..) for each picture of the data [default: 0.25 of emoji, 0 of a
    /// folder]
    #[arg(long)]
    compose: Option<f64>,
    /// Bits of a weight in the finished model: 4, 5, 6, 8 or 16
    #[arg(long, value_parser = bits)]
    bits: Option<usize>,
    /// Decides initial weights, order and noise
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    sharing: SharingFlags,
    /// Seconds between two checkpoints [default: 240]
    #[arg(long, value_name = "SECONDS")]
    save_every: Option<u32>,
    /// Threads; the weights do not depend on them
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    adapter: LoraFlags,
    #[command(flatten)]
    device: DeviceFlags,
}

/// What else is trained.
#[derive(Subcommand)]
enum Other {
    #[command(flatten)]
    Bounded(Box<Bounded>),
    Judge(JudgeFlags),
    Decoder(DecoderFlags),
}

impl Train {
    /// Trains until done or interrupted.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        match self.other {
            Some(Other::Bounded(bounded)) => return bounded.run(ranks),
            Some(Other::Judge(judge)) => {
                alone(ranks, "a judge")?;
                return judge.run();
            }
            Some(Other::Decoder(decoder)) => {
                alone(ranks, "a decoder")?;
                return decoder.run();
            }
            None => {}
        }
        let interrupted = interruption("saving; once more to stop without")?;
        let cpu = processor(self.threads);
        self.device.check()?;
        if let Some(folder) =
            self.resume.as_deref().filter(|folder| self.adapter.names_model() && !lora::is_there(folder))
        {
            let folder = folder.display();
            return Err(Failure::new(format!("`--model` is for the training of a LoRA, and {folder} holds none")));
        }
        if self.adapter.is_asked() || self.resume.as_deref().is_some_and(lora::is_there) {
            alone(ranks, "a LoRA")?;
            return self.learn_adapter(cpu, &interrupted);
        }
        let (mut run, data) = match &self.resume {
            Some(folder) => {
                let mut run = Run::load(folder, ranks)?;
                let planned = run.options.steps;
                run.options.steps = self.steps.unwrap_or(planned);
                if run.stage == Stage::Done && run.options.steps > planned {
                    (run.stage, run.step) = (Stage::Diffusion, planned);
                }
                run.options.autoencoder_steps = self.autoencoder_steps.unwrap_or(run.options.autoencoder_steps);
                run.options.bits = self.bits.unwrap_or(run.options.bits);
                if let Some(data) = &self.data {
                    run.options.data = data.clone();
                }
                let data = Data::load(&run.options, run.settings.size, ranks).map_err(|failure| match &self.data {
                    Some(_) => failure,
                    None => Failure::new(format!("{failure}; pictures that have moved are named with `--data`")),
                })?;
                run.options.data = run.options.data.absolute();
                (run, data)
            }
            None => self.begin(ranks)?,
        };
        run.save_every = self.save_every.map_or(run.save_every, |seconds| Duration::from_secs(seconds.into()));
        run.exchange = self.sharing.exchange();
        let machine = self.device.machine(cpu, run.work()?)?;
        tell_skipped(&data.dataset);
        let read = run.settings.text.length.saturating_sub(2);
        let cut = data.cut(&run.tokenizer, read);
        tell_cut(&cut.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), data.own, read);
        say!(
            "{} pictures, {} held out, {} skipped, {} composed; {}",
            data.own,
            data.dataset.held_out().count(),
            data.dataset.skipped.len(),
            data.items.len() - data.own,
            machine
        );
        let (folder, options) = (run.folder.clone(), &run.options);
        if run.stage != Stage::Done {
            let epochs = options.steps as f64 * options.batch as f64 / data.epoch().max(1) as f64;
            say!(
                "{} steps of the autoencoder, {} of the diffusion model ({epochs:.0} epochs)",
                options.autoencoder_steps,
                options.steps
            );
        }
        let mut bar = Bar::default();
        let ending = train(run, &data, (&machine, ranks), &mut |news| {
            bar.show(news);
            flow(&interrupted)
        })?;
        drop(bar);
        Ok(told(ending, &folder, &folder.join("model.safetensors")))
    }

    /// Learns an adapter until done or interrupted.
    fn learn_adapter(&self, cpu: Cpu, interrupted: &AtomicBool) -> Result<ExitCode, Failure> {
        let (column, seed) = (self.caption_column.clone(), self.seed);
        let (training, loaded, dataset) = match &self.resume {
            Some(folder) => {
                let given = [
                    ("--bits", self.bits.is_some()),
                    ("--autoencoder-steps", self.autoencoder_steps.is_some()),
                    ("--shard-optimiser", self.sharing.exchange() == Exchange::Sharded),
                    ("--reduce", self.sharing.exchange() == Exchange::Nccl),
                ];
                if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
                    let folder = folder.display();
                    return Err(Failure::new(format!(
                        "`{flag}` is not for the training of a LoRA, which {folder} holds"
                    )));
                }
                self.adapter.resume(folder, self.steps, self.data.as_ref())?
            }
            None => {
                let out = self.out.clone().unwrap_or_else(|| "runs/lora".into());
                let (options, loaded) = self.adapter.read(column, self.steps, self.batch, self.rate, seed)?;
                apart(&options.data, &out)?;
                Run::check_new(&out)?;
                let dataset = pictures(&options)?;
                (lora::Training::begin(&out, options, &loaded, &dataset)?, loaded, dataset)
            }
        };
        let machine = self.device.machine(cpu, lora::work(&training, &loaded)?)?;
        let lora::Options { steps, batch, size, .. } = training.options;
        let count = dataset.items.len();
        tell_cut(&lora::cut(&loaded.drawing, &dataset), count, lora::MOST_TOKENS);
        say!("{count} pictures of {size}x{size} pixels, {steps} steps of {batch}; {machine}");
        let (folder, file) = (training.folder.clone(), training.file());
        let mut bar = Bar::default();
        let ending = lora::train(training, loaded, &dataset, &machine, &mut |news| {
            bar.show(news);
            flow(interrupted)
        })?;
        drop(bar);
        Ok(told(ending, &folder, &file))
    }

    fn begin(&self, ranks: &dyn Collective) -> Result<(Run, Data), Failure> {
        let default = Options::default();
        let source = self.data.clone().unwrap_or(default.data.clone());
        let out = self.out.clone().unwrap_or_else(|| "runs/train".into());
        if let Source::Folder(pictures) = &source {
            apart(pictures, &out)?;
        }
        let mut options = Options {
            compose: self.compose.unwrap_or(source.composed()),
            data: source,
            column: self.caption_column.clone(),
            seed: self.seed.unwrap_or(default.seed),
            autoencoder_batch: self.autoencoder_batch.unwrap_or(default.autoencoder_batch),
            autoencoder_steps: match &self.autoencoder {
                Some(_) => 0,
                None => self.autoencoder_steps.unwrap_or(default.autoencoder_steps),
            },
            autoencoder_rate: self.autoencoder_rate.unwrap_or(default.autoencoder_rate),
            batch: self.batch.unwrap_or(default.batch),
            slices: self.slices.unwrap_or(default.slices),
            steps: self.steps.unwrap_or(default.steps),
            rate: self.rate.unwrap_or(default.rate),
            bits: self.bits.unwrap_or(default.bits),
        }
        .checked()?;
        options.check_slices(ranks)?;
        if ranks.rank() == 0 {
            Run::check_new(&out)?;
        }
        let (settings, tokenizer, params) = match (&self.init, &self.autoencoder) {
            (Some(path), _) => {
                let (model, _) = open(path)?;
                (model.settings, Some(model.tokenizer), model.params)
            }
            (None, Some(path)) => {
                let (settings, params) = Model::read_autoencoder(&Archive::open(file_of(path))?)?;
                (settings, None, params)
            }
            (None, None) => (Settings::default(), None, Params::new()),
        };
        let data = Data::load(&options, settings.size, ranks)?;
        let [autoencoder_steps, steps] = options.fitted_steps(data.own, data.epoch());
        if self.autoencoder.is_none() {
            options.autoencoder_steps = self.autoencoder_steps.unwrap_or(autoencoder_steps);
        }
        options.steps = self.steps.unwrap_or(steps);
        options.data = options.data.absolute();
        let tokenizer = match tokenizer {
            Some(tokenizer) => data.known_to(tokenizer),
            None => data.tokenizer(settings.text.vocabulary)?,
        };
        let run = Run::begin(&out, options, settings, tokenizer, params, data.fingerprint(), ranks)?;
        Ok((run, data))
    }
}

/// What is not learned by several ranks.
fn alone(ranks: &dyn Collective, what: &str) -> Result<(), Failure> {
    match ranks.size() {
        1 => Ok(()),
        size => {
            Err(Failure::new(format!("a launcher started {size} of this program, and {what} is learnt by one process")))
        }
    }
}

/// Says how a training ended.
fn told(ending: Ending, folder: &Path, file: &Path) -> ExitCode {
    match ending {
        Ending::Complete => {
            say!("trained: {}", file.display());
            ExitCode::SUCCESS
        }
        Ending::Interrupted => {
            say!("interrupted and saved; go on with: yuragi train --resume {}", folder.display());
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// A training does not write into the folder of its pictures.
fn apart(pictures: &Path, out: &Path) -> Result<(), Failure> {
    if same_folder(pictures, out) {
        let (out, inside) = (out.display(), out.join("run"));
        return Err(Failure::new(format!(
            "{out} is the folder of the pictures: name another one, such as {}",
            inside.display()
        )));
    }
    Ok(())
}

/// Whether two paths lead to one folder, also before it is there.
fn same_folder(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).or_else(|_| path::absolute(path)).ok();
    real(a).is_some_and(|a| real(b) == Some(a))
}

/// Between two lines where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows how far a training is: a bar in a terminal, else a line now and then.
#[derive(Default)]
struct Bar {
    bar: Option<(&'static str, ProgressBar)>,
    printed: Option<Instant>,
}

impl Bar {
    fn show(&mut self, news: &News) {
        if !speaks() {
            return;
        }
        let (what, done, total) = match *news {
            News::Encoding { done, total } => ("encoding", done as u64, total as u64),
            News::Step(progress) => (progress.stage.name(), progress.step, progress.steps),
        };
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != what) {
            let style = ProgressStyle::with_template("{prefix:11} {wide_bar} {pos}/{len} {msg}");
            let bar = ProgressBar::new(total).with_prefix(what);
            if let Some((_, old)) = self.bar.replace((what, style.map_or(bar.clone(), |style| bar.with_style(style)))) {
                old.abandon();
            }
        }
        let Some((_, bar)) = &self.bar else { return };
        bar.set_position(done);
        let News::Step(progress) = news else { return };
        let Some(Pace { loss, pictures, left }) = progress.pace else { return };
        let message = format!("loss {loss:.4}, {pictures:.0} pictures/s, {} left", clock(left));
        let due = self.printed.get_or_insert_with(Instant::now).elapsed() >= LINE_EVERY;
        if due && !io::stderr().is_terminal() {
            self.printed = Some(Instant::now());
            say!("{what} {done}/{total} {message}");
        }
        bar.set_message(message);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((_, bar)) = &self.bar {
            bar.abandon();
        }
    }
}
