//! `yuragi train vae|hvae`, `yuragi bound`, and draws from their models.

use std::{
    io::{self, IsTerminal},
    path::{self, Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand, value_parser};
use serde_json::json;
use yuragi::{
    Failure,
    energy::statistics::Estimate,
    graph::{Collective, Params},
    io::{Picture, Table, folder, table::Values},
    machine::{Machine, Work},
    models::{
        gamma::Gamma,
        likelihood::Likelihood,
        vae::{Estimator, Layer, Vae},
        vdm::Vdm,
    },
    nn::{optim::averaged, rate::Schedule},
    variational::{Ending, Examples, Model, Network, News, Options, Run, judge, judging, train},
};

use super::{
    INTERRUPTED,
    common::{DeviceFlags, Progress, SharingFlags, abandonment, clock, flow, interruption, print, processor},
    fit::{scale, table::TableFlags},
    models::file_of,
};

/// Models that learn through a bound of the log-likelihood, from a table (CSV and its kin, .npy, .npz, IDX) or a folder
/// of pictures.
#[derive(Subcommand)]
pub enum Bounded {
    Vae(VaeFlags),
    Hvae(HvaeFlags),
    Vdm(VdmFlags),
}

impl Bounded {
    /// Learns until done or interrupted.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        match self {
            Bounded::Vae(flags) => {
                let layers = vec![Layer { hidden: flags.hidden.0.clone(), latent: flags.latent as usize }];
                flags.training.run(ranks, |shape, likelihood| {
                    Network::Vae(Vae { shape, likelihood, layers, convolutional: flags.conv })
                })
            }
            Bounded::Hvae(flags) => {
                let (latents, hidden) = (flags.latent.0, flags.hidden);
                if latents.len() < 2 {
                    return Err(Failure::new(
                        "`--latent` has 1 layer; a hierarchical model has at least 2, such as 100,50",
                    ));
                }
                if hidden.len() != 1 && hidden.len() != latents.len() {
                    return Err(Failure::new(format!(
                        "`--hidden` is given {} times; it must be once, or once for each of the {} layers of latents",
                        hidden.len(),
                        latents.len()
                    )));
                }
                let units = hidden.iter().cycle();
                let layers =
                    latents.iter().zip(units).map(|(&latent, hidden)| Layer { hidden: hidden.0.clone(), latent });
                let layers = layers.collect();
                flags.training.run(ranks, |shape, likelihood| {
                    Network::Vae(Vae { shape, likelihood, layers, convolutional: flags.conv })
                })
            }
            Bounded::Vdm(mut flags) => {
                if flags.training.estimator.is_some() {
                    return Err(Failure::new(
                        "`--estimator` is for autoencoders (`train vae|hvae`); a diffusion model's gradient has no choice",
                    ));
                }
                let levels = flags.training.likelihood.is_none_or(|law| law == Likelihood::Logistic);
                flags.training.likelihood.get_or_insert(Likelihood::Logistic);
                let gamma = Gamma {
                    // Real numbers have no level below which noise tells nothing: their ends stay.
                    ends: if levels { [-13.3, 5.0] } else { [-10.0, 6.0] },
                    learned_ends: levels,
                    hidden: flags.gamma as usize,
                };
                let (channels, blocks, steps) = (flags.channels as usize, flags.blocks as usize, flags.steps as usize);
                flags.training.run(ranks, |shape, likelihood| {
                    Network::Vdm(Vdm { shape, likelihood, channels, blocks, steps, gamma })
                })
            }
        }
    }
}

/// Learn a variational autoencoder: one layer of latents.
#[derive(Args)]
pub struct VaeFlags {
    #[command(flatten)]
    training: Training,
    /// Units of the layers between data and latents, from the data up; with `--conv`, channels at half and at a quarter
    /// of the width
    #[arg(long, default_value = "200,200", value_name = "UNITS", conflicts_with = "resume")]
    hidden: Widths,
    /// Latents
    #[arg(long, conflicts_with = "resume", default_value_t = 50, value_parser = value_parser!(u32).range(1..=65_536))]
    latent: u32,
    /// Convolutional networks, for pictures whose sides are multiples of 4
    #[arg(long, conflicts_with = "resume")]
    conv: bool,
}

/// Learn a hierarchical variational autoencoder: a Markov chain of latents.
#[derive(Args)]
pub struct HvaeFlags {
    #[command(flatten)]
    training: Training,
    /// Units between two layers of latents, from the data up; once for all layers, or once for each, from the data up
    #[arg(long, default_values = ["200,200", "100,100"], value_name = "UNITS", conflicts_with = "resume")]
    hidden: Vec<Widths>,
    /// Latents of each layer, from the data up
    #[arg(long, default_value = "100,50", value_name = "LATENTS", conflicts_with = "resume")]
    latent: Widths,
    /// Convolutional networks below the first latents, for pictures whose sides are multiples of 4
    #[arg(long, conflicts_with = "resume")]
    conv: bool,
}

/// Learn a variational diffusion model: 8-bit levels (the default), or real numbers.
#[derive(Args)]
pub struct VdmFlags {
    #[command(flatten)]
    training: Training,
    /// Channels of the denoiser, a multiple of 8
    #[arg(long, conflicts_with = "resume", default_value_t = 64, value_parser = value_parser!(u32).range(8..=4096))]
    channels: u32,
    /// Residual blocks of the denoiser
    #[arg(long, conflicts_with = "resume", default_value_t = 4, value_parser = value_parser!(u32).range(0..=64))]
    blocks: u32,
    /// Steps of time in the bound; 0 for continuous time
    #[arg(long, conflicts_with = "resume", default_value_t = 0, value_parser = value_parser!(u32).range(0..=1_000_000))]
    steps: u32,
    /// Hidden units of the network that learns the noise over time; 0 for a straight line
    #[arg(long, conflicts_with = "resume", default_value_t = 64, value_parser = value_parser!(u32).range(0..=4096))]
    gamma: u32,
}

/// Numbers of units, parted by commas.
#[derive(Clone, Debug)]
struct Widths(Vec<usize>);

impl std::str::FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Widths, String> {
        let widths = text.split(',').map(|part| part.trim().parse().ok().filter(|width| (1..=65_536).contains(width)));
        widths
            .collect::<Option<_>>()
            .map(Widths)
            .ok_or_else(|| "it must be numbers from 1 to 65536, such as 200,200".into())
    }
}

/// How data are read.
#[derive(Args)]
struct DataFlags {
    /// What numbers are divided by [default: 255 for bytes if one is above 1, else 1]
    #[arg(long, value_parser = scale)]
    scale: Option<f64>,
    /// The side to which pictures of a folder are cropped and scaled
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u16).range(4..=512))]
    size: u16,
    /// Use at most so many examples, the first ones
    #[arg(long, value_name = "ROWS", value_parser = value_parser!(u64).range(1..))]
    rows: Option<u64>,
    #[command(flatten)]
    table: TableFlags,
}

impl DataFlags {
    /// The table of a file, or of a folder's pictures.
    fn open(&self, path: &Path, ranks: &dyn Collective) -> Result<Table, Failure> {
        let table = if path.is_dir() {
            self.pictures(path, ranks)?
        } else {
            let opened = self.table.open(path, ranks)?;
            opened.notes.iter().for_each(|note| say!("{}: {note}", path.display()));
            opened.table
        };
        Ok(self.rows.map_or(table.clone(), |rows| table.first(rows as usize)))
    }

    /// A folder's pictures; where all are grey, of one channel.
    fn pictures(&self, path: &Path, ranks: &dyn Collective) -> Result<Table, Failure> {
        let size = usize::from(self.size);
        let dataset = folder::load_on(path, &folder::Options { size, ..folder::Options::default() }, ranks)?;
        for skipped in &dataset.skipped {
            say!("skipped {}: {}", skipped.path.display(), skipped.reason);
        }
        let pictures: Vec<&Picture> = dataset.items.iter().map(|item| &item.picture).collect();
        let grey = pictures.iter().all(|p| p.rgb().chunks_exact(3).all(|c| c[0] == c[1] && c[1] == c[2]));
        let (shape, step) = if grey { (vec![size, size], 3) } else { (vec![size, size, 3], 1) };
        let bytes = pictures.iter().flat_map(|p| p.rgb().iter().step_by(step).copied()).collect();
        Table::new(shape, Values::Bytes(bytes)).ok_or_else(|| Failure::new("the folder has no pictures"))
    }

    /// The examples of a file or folder.
    fn examples(
        &self,
        path: &Path,
        likelihood: Likelihood,
        (scale, moments): (Option<f64>, &[(f64, f64)]),
        ranks: &dyn Collective,
    ) -> Result<Examples, Failure> {
        Examples::new(self.open(path, ranks)?, likelihood, scale, moments)
            .map_err(|why| Failure::new(format!("{}: {why}", path.display())))
    }

    /// The same, for a model that is there.
    fn examples_of(
        &self,
        path: &Path,
        model: &Model,
        scale: Option<f64>,
        ranks: &dyn Collective,
    ) -> Result<Examples, Failure> {
        let table = self.open(path, ranks)?;
        let (have, want) = (table.columns(), model.network.columns());
        if have != want {
            let shapes = [table.shape(), model.network.shape()].map(shape);
            return Err(Failure::new(format!(
                "{}: its examples have {have} numbers ({}); the model's have {want} ({})",
                path.display(),
                shapes[0],
                shapes[1]
            )));
        }
        let examples = Examples::new(table, model.network.likelihood(), scale, &model.moments);
        examples.map_err(|why| Failure::new(format!("{}: {why}", path.display())))
    }
}

fn shape(sides: &[usize]) -> String {
    sides.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// The weights of a model, averaged where they were; its network must be this one.
fn weights_for(network: &Network, path: &Path, model: &Model) -> Result<Params, Failure> {
    if model.network == *network {
        return Ok(averaged(&model.params));
    }
    let told = |network: &Network| {
        let pairs = network.to_pairs().into_iter().map(|(key, value)| format!("{key} {value}"));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let [have, want] = [&model.network, network].map(told);
    Err(Failure::new(format!(
        "{} holds another network ({have}) than the flags and the data say ({want})",
        path.display()
    )))
}

/// What every training takes.
#[derive(Args)]
struct Training {
    /// The data: a .csv, .npy, .npz or IDX file, or a folder of pictures; with `--resume`, where they are now
    #[arg(required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// What the data's numbers are: bernoulli (0 to 1, drawn anew whenever they are seen), gaussian (any, standardised) or
    /// logistic (8-bit levels) [default: bernoulli; of a diffusion model, logistic]
    #[arg(long)]
    likelihood: Option<Likelihood>,
    /// The folder to write into
    #[arg(long, default_value = "runs/bound")]
    out: PathBuf,
    /// Go on with the training in this folder, with its own settings
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["out", "likelihood", "passes", "batch", "slices", "samples", "estimator", "rate", "schedule", "seed", "scale"])]
    resume: Option<PathBuf>,
    /// Begin with the weights of a model, or of a training, with the same network
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Data to measure the bound on, along the way and at the end
    #[arg(long, value_name = "DATA")]
    test: Option<PathBuf>,
    /// Passes over the data
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    passes: u32,
    /// Examples of one step
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Slices of a step, which are learned from one after another, or by several ranks; the weights depend on their number, and
    /// not on that of the ranks
    #[arg(long, default_value_t = 1)]
    slices: usize,
    /// Draws of the bound: 1 for the evidence lower bound, k for the importance-weighted one
    #[arg(short = 'k', long, default_value_t = 1)]
    samples: usize,
    /// How an autoencoder's gradient is estimated from several draws: double (doubly reparameterised, of less noise) or
    /// single [default: double]
    #[arg(long)]
    estimator: Option<Estimator>,
    /// The largest learning rate
    #[arg(long, default_value_t = 1e-3)]
    rate: f64,
    /// How it goes on: ladder (falls to a tenth, over 8 rungs of thrice the length each), one-cycle (up within a twentieth
    /// of the steps, then down to 0) or constant
    #[arg(long, default_value_t)]
    schedule: Schedule,
    /// Decides initial weights, order and noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    sharing: SharingFlags,
    /// Seconds between two checkpoints [default: 120]
    #[arg(long, value_name = "SECONDS")]
    save_every: Option<u32>,
    #[command(flatten)]
    reading: DataFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

/// On how much of the machine.
#[derive(Args)]
pub struct MachineFlags {
    /// Threads; results do not depend on them
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    device: DeviceFlags,
}

impl MachineFlags {
    /// The machine asked for.
    pub fn open(&self, work: Work) -> Result<Machine, Failure> {
        self.device.machine(processor(self.threads), work)
    }
}

impl Training {
    fn run(
        self,
        ranks: &dyn Collective,
        network: impl FnOnce(Vec<usize>, Likelihood) -> Network,
    ) -> Result<ExitCode, Failure> {
        let interrupted = interruption("saving; once more to stop without")?;
        self.machine.device.check()?;
        let (mut run, examples) = match &self.resume {
            Some(folder) => {
                let mut run = Run::load(folder, ranks)?;
                if let Some(data) = &self.data {
                    run.options.data = path::absolute(data).unwrap_or(data.clone());
                }
                let examples = self.reading.examples_of(&run.options.data, &run.model, run.options.scale, ranks)?;
                (run, examples)
            }
            None => {
                let data = self.data.as_deref().ok_or_else(|| Failure::new("the data are not named"))?;
                let options = Options {
                    data: path::absolute(data).unwrap_or(data.to_owned()),
                    scale: self.reading.scale,
                    passes: self.passes,
                    batch: self.batch,
                    slices: self.slices,
                    samples: self.samples,
                    estimator: self.estimator.unwrap_or_default(),
                    rate: self.rate,
                    schedule: self.schedule,
                    seed: self.seed,
                }
                .checked()?;
                let likelihood = self.likelihood.unwrap_or_default();
                let init = self.init.as_deref().map(file_of);
                let init = init.map(|path| Model::open(&path).map(|model| (path, model))).transpose()?;
                let moments = init.as_ref().map_or(&[][..], |(_, model)| &model.moments);
                let examples = self.reading.examples(data, likelihood, (options.scale, moments), ranks)?;
                let network = network(examples.shape().to_vec(), likelihood);
                let weights = init.map(|(path, model)| weights_for(&network, &path, &model)).transpose()?;
                (Run::begin(&self.out, options, network, weights.as_ref(), &examples, ranks)?, examples)
            }
        };
        run.save_every = self.save_every.map_or(run.save_every, |seconds| Duration::from_secs(seconds.into()));
        run.exchange = self.sharing.exchange();
        let test = self.test.as_ref().map(|path| self.reading.examples_of(path, &run.model, run.options.scale, ranks));
        let test = test.transpose()?;
        let machine = self.machine.open(run.work(examples.len())?)?;
        let (folder, file) = (run.folder.clone(), run.file());
        let command = if let Network::Vae(vae) = &run.model.network
            && vae.layers.len() > 1
        {
            "hvae"
        } else {
            "vae"
        };
        let parameters: usize = run.model.weights();
        say!(
            "{} examples of {}, a {} of {parameters} parameters, {} steps; {machine}",
            examples.len(),
            shape(examples.shape()),
            run.model.network.kind(),
            run.options.steps(examples.len()),
        );
        let mut bar = Progress::new("learning")?;
        let mut printed = Instant::now();
        let ending = train(run, &examples, test.as_ref(), (&machine, ranks), &mut |news| {
            match *news {
                News::Step { step, steps, pace } => {
                    bar.set(step as f64 / steps.max(1) as f64);
                    if let Some(pace) = pace.filter(|_| printed.elapsed() >= LINE_EVERY && !io::stderr().is_terminal())
                    {
                        printed = Instant::now();
                        let left = clock(pace.left);
                        say!(
                            "step {step}/{steps}: loss {:.3}, {:.0} examples/s, {left} left",
                            pace.loss,
                            pace.pictures
                        );
                    }
                }
                News::Test { passes, elbo } => bar.aside(|| {
                    say!("after {passes:.1} passes: bound {:.3} ± {:.3} nats on test data", elbo.value, elbo.error);
                }),
            }
            flow(&interrupted)
        })?;
        drop(bar);
        Ok(match ending {
            Ending::Complete => {
                print(format_args!("{}\n", file.display()))?;
                ExitCode::SUCCESS
            }
            Ending::Interrupted => {
                say!("interrupted and saved; go on with: yuragi train {command} --resume {}", folder.display());
                ExitCode::from(INTERRUPTED)
            }
        })
    }
}

/// Between two lines where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Measure the bounds of a model on data.
///
/// The evidence lower bound and the importance-weighted one of k draws, in nats an example and bits a number, each with its
/// standard error over the examples. Numbers between 0 and 1 of Bernoulli data are drawn once: the same for every model.
#[derive(Args)]
pub struct Bound {
    /// The model, or the folder of its training
    model: PathBuf,
    /// The data: a table or a folder of pictures
    data: PathBuf,
    /// Draws for each example
    #[arg(short = 'k', long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000_000))]
    samples: u32,
    /// Decides every draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: DataFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

impl Bound {
    /// Measures and tells.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let (interrupted, _) = abandonment("stopping")?;
        let model = Model::open(&file_of(&self.model))?;
        let examples = self.reading.examples_of(&self.data, &model, self.reading.scale, ranks)?;
        let (samples, mut bar) = (self.samples as usize, Progress::new("measuring")?);
        let machine = self.machine.open(judging(&model, examples.len(), samples)?)?;
        let bounds = judge(&model, &examples, (examples.len(), samples), self.seed, &machine, ranks, &mut |share| {
            bar.set(share);
            flow(&interrupted)
        })?;
        drop(bar);
        let Some(bounds) = bounds else { return Ok(ExitCode::from(INTERRUPTED)) };
        let all = [("elbo", Some(bounds.elbo)), ("importance", bounds.importance)]
            .map(|(name, e)| Some((name.to_owned(), e?)));
        let all: Vec<(String, Estimate)> = all.into_iter().flatten().chain(bounds.terms.clone()).collect();
        // Terms of a bound count against it.
        let bits = |name: &str, nats: Estimate| {
            let term = bounds.terms.iter().any(|(term, _)| term == name);
            bounds.bits(if term { Estimate { value: -nats.value, ..nats } } else { nats })
        };
        if self.json {
            let of = |e: Estimate| json!({"value": e.value, "error": e.error});
            let mut report = json!({
                "model": self.model, "kind": model.network.kind(), "data": self.data, "examples": bounds.examples,
                "numbers": bounds.columns, "samples": samples,
            });
            for (name, e) in &all {
                report[name] = json!({"nats": of(*e), "bits": of(bits(name, *e))});
            }
            print(format_args!("{report:#}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (data, count) = (self.data.display(), bounds.examples);
        let mut text = format!("{count} examples of {data}, {samples} draws each\n");
        for (key, nats) in all {
            let name = match key.as_str() {
                "elbo" => "evidence lower bound",
                "importance" => "importance-weighted",
                term => term,
            };
            let bits = bits(&key, nats);
            text += &format!(
                "{name:22}{:>11.3} ± {:.3} nats an example {:>10.4} ± {:.4} bits a number\n",
                nats.value, nats.error, bits.value, bits.error
            );
        }
        print(text)?;
        Ok(ExitCode::SUCCESS)
    }
}
