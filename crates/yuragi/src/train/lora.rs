//! A low-rank adapter for a Stable Diffusion checkpoint, learnt from captioned pictures.

mod examples;

use std::{
    fs, mem,
    path::{Path, PathBuf},
    time::Instant,
};

use yuragi_diffusion::config::PredictionType;
use yuragi_graph::{Alone, Graph, HostTensor, Params, Shape, Slice};
use yuragi_io::{Checkpoint, Dataset, Item, Tensor, checkpoint::Archive, lora};
use yuragi_models::{
    generator::{Batch, Network, Pipeline},
    prompt::ROOM,
    stable_diffusion::{self as sd, Adapter, Drawing, Targets},
};
use yuragi_nn::{
    optim::{self, Optimizer, Rule},
    rate,
};
use yuragi_numeric::fnv::Fnv1a;

use examples::{Examples, Fed, literal};

use super::{
    Ending, Monitor, News, Pace, Progress, Report, SAVE_EVERY, Stage, Tell, Watch,
    device::{Sharing, Trainer},
    order::{Draws, Order},
    run::{Lock, Run},
};
use crate::{
    Failure,
    machine::{Machine, Work},
    stable_diffusion::{self, Loaded, prediction, prediction_name},
};

/// The adapter that is learnt where nobody says otherwise.
pub const ADAPTER: Adapter = Adapter { rank: 4, alpha: 4.0, targets: Targets::Attention, text: false };

/// The finished adapter in a training's folder.
pub const FILE: &str = "lora.safetensors";
/// What a checkpoint of such a training says that it is.
const KIND: &str = "lora";
/// Steps in which the learning rate rises.
const WARM: u64 = 20;
/// The share of the steps over which it falls.
const TAIL: f32 = 0.4;
/// The most rows of a text encoder that a caption fills.
const MOST_CHUNKS: usize = 4;
/// The most tokens of a caption that are read.
pub const MOST_TOKENS: usize = MOST_CHUNKS * ROOM;
/// The gradient is scaled down to this norm where it is longer.
const CLIP: f32 = 1.0;

/// How to learn.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The checkpoint that the adapter is for.
    pub model: PathBuf,
    /// The folder of pictures.
    pub data: PathBuf,
    /// The column or key of captions in a folder's metadata.
    pub column: Option<String>,
    /// What the checkpoint predicts, where its files do not say it.
    pub prediction: Option<PredictionType>,
    /// The adapter's extents.
    pub adapter: Adapter,
    /// Width and height to which pictures are cropped and scaled.
    pub size: usize,
    /// Steps, and pictures of one.
    pub steps: u64,
    /// Pictures of a step.
    pub batch: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Decides the adapter's beginning, order and noise.
    pub seed: u64,
}

impl Options {
    /// # Errors
    /// The first value outside its range.
    pub fn checked(self) -> Result<Options, Failure> {
        let Options { adapter: Adapter { rank, alpha, .. }, steps, batch, rate, .. } = self;
        let legal = |ok: bool, what: &str, value: &dyn std::fmt::Display, legal: &str| {
            if ok { Ok(()) } else { Err(Failure::new(format!("{what} is {value}; it must be {legal}"))) }
        };
        legal((1..=1024).contains(&rank), "the rank", &rank, "from 1 to 1024")?;
        legal(alpha > 0.0 && alpha.is_finite(), "alpha", &alpha, "positive and finite")?;
        legal((1..=10_000_000).contains(&steps), "the number of steps", &steps, "from 1 to 10000000")?;
        legal((1..=256).contains(&batch), "the batch", &batch, "from 1 to 256")?;
        legal(rate > 0.0 && rate <= 1.0, "the learning rate", &rate, "above 0, up to 1")?;
        Ok(self)
    }

    fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let Options { model, data, column, prediction, adapter, size, steps, batch, rate, seed } = self;
        let Adapter { rank, alpha, targets, text } = adapter;
        let mut pairs = vec![
            ("model", model.to_string_lossy().into_owned()),
            ("data", data.to_string_lossy().into_owned()),
            ("rank", rank.to_string()),
            ("alpha", alpha.to_string()),
            ("targets", name(*targets).to_owned()),
            ("text-encoder", text.to_string()),
            ("size", size.to_string()),
            ("steps", steps.to_string()),
            ("batch", batch.to_string()),
            ("rate", rate.to_string()),
            ("seed", seed.to_string()),
        ];
        pairs.extend(column.iter().map(|column| ("column", column.clone())));
        pairs.extend(prediction.iter().map(|prediction| ("prediction", prediction_name(*prediction).to_owned())));
        pairs
    }

    /// What a checkpoint tells. Its values are not [`checked`](Options::checked): others may take their places.
    fn read(file: &Archive) -> Result<Options, Failure> {
        let told = file.settings().get("prediction");
        let adapter = Adapter {
            rank: file.setting("rank")?,
            alpha: file.setting("alpha")?,
            targets: targets(&file.setting::<String>("targets")?).map_err(Failure::new)?,
            // Trainings from before they could be adapted do not say it.
            text: file.settings().get("text-encoder").is_some_and(|told| told == "true"),
        };
        Ok(Options {
            model: file.setting("model")?,
            data: file.setting("data")?,
            column: file.settings().get("column").cloned(),
            prediction: told.map(|told| prediction(told)).transpose().map_err(Failure::new)?,
            adapter,
            size: file.setting("size")?,
            steps: file.setting("steps")?,
            batch: file.setting("batch")?,
            rate: file.setting("rate")?,
            seed: file.setting("seed")?,
        })
    }
}

/// The name of targets in files and flags.
fn name(targets: Targets) -> &'static str {
    match targets {
        Targets::Attention => "attention",
        Targets::Transformers => "transformers",
    }
}

/// Targets of a name.
///
/// # Errors
/// Another name.
pub fn targets(text: &str) -> Result<Targets, String> {
    let found = [Targets::Attention, Targets::Transformers].into_iter().find(|targets| name(*targets) == text);
    found.ok_or_else(|| "it must be attention or transformers".to_owned())
}

/// Opens the checkpoint that an adapter is for.
///
/// # Errors
/// As for [`stable_diffusion::open`].
pub fn open(model: &Path, prediction: Option<PredictionType>) -> Result<Loaded, Failure> {
    let mut loaded = stable_diffusion::open(model)?;
    prediction.into_iter().for_each(|prediction| loaded.predict(prediction));
    Ok(loaded)
}

/// Whether adapters can be learnt for a model.
///
/// # Errors
/// A model that reads more than latents, guides itself, or predicts the flow.
pub fn check_model(model: &sd::Checkpoint) -> Result<(), Failure> {
    if model.unet.inputs != model.vae.latent || model.unet.guidance.is_some() {
        let what = if model.unet.guidance.is_some() { "guides itself" } else { "paints into pictures" };
        return Err(Failure::new(format!("the model {what}: a LoRA is learnt for one that draws from words alone")));
    }
    if model.scheduler.prediction_type == Some(PredictionType::Flow) {
        return Err(Failure::new(
            "the model predicts the flow: a LoRA is learnt for one that predicts noise, v or latents",
        ));
    }
    Ok(())
}

/// Whether an adapter can be learnt for a model, as options say.
///
/// # Errors
/// As for [`check_model`]; a model without the maps that the adapter is for, and a size that it does not draw.
pub fn check(drawing: &Drawing, options: &Options) -> Result<(), Failure> {
    let Options { adapter, size, .. } = *options;
    check_model(drawing.model())?;
    if adapter.maps(drawing.model())? == 0 {
        return Err(Failure::new(format!(
            "the model has no maps of {}: there is nothing to adapt",
            name(adapter.targets)
        )));
    }
    drawing.graph(Network::Encode, Batch { pictures: 1, size: [size; 2], chunks: 1, skip: 0 })?;
    Ok(())
}

/// The names of pictures whose captions are longer than [`MOST_TOKENS`].
pub fn cut<'d>(drawing: &Drawing, dataset: &'d Dataset) -> Vec<&'d str> {
    let long = |item: &&Item| drawing.chunks(&literal(item.title())) > MOST_CHUNKS;
    dataset.items.iter().filter(long).map(|item| item.id.as_str()).collect()
}

/// A training between two steps.
pub struct Training {
    /// Where everything is written.
    pub folder: PathBuf,
    /// How it learns.
    pub options: Options,
    /// Steps done.
    pub step: u64,
    /// The adapter and the optimiser's state.
    params: Params,
    /// Tell data sets and checkpoints apart: a training goes on only with those that it began with.
    fingerprint: u64,
    model_fingerprint: u64,
    _lock: Lock,
}

/// Whether a folder holds such a training.
pub fn is_there(folder: &Path) -> bool {
    Archive::open(Run::checkpoint(folder)).is_ok_and(|file| is_in(&file))
}

/// Whether a checkpoint is that of such a training.
pub fn is_in(file: &Archive) -> bool {
    file.setting::<String>("kind").is_ok_and(|kind| kind == KIND)
}

impl Training {
    /// Begins in a folder, which is made.
    ///
    /// # Errors
    /// The folder holds another training, or cannot be written into.
    pub fn begin(folder: &Path, options: Options, loaded: &Loaded, dataset: &Dataset) -> Result<Training, Failure> {
        fs::create_dir_all(folder)
            .map_err(|e| Failure::new(format!("cannot make the folder {}: {e}", folder.display())))?;
        let lock = Lock::take(folder)?;
        Run::check_new(folder)?;
        let training = Training {
            folder: folder.to_owned(),
            options,
            step: 0,
            params: Params::new(),
            fingerprint: fingerprint(dataset),
            model_fingerprint: model_fingerprint(&loaded.params),
            _lock: lock,
        };
        training.save()?;
        Ok(training)
    }

    /// Reads the checkpoint of a folder.
    ///
    /// # Errors
    /// No checkpoint, a damaged one, or one of another kind.
    pub fn load(folder: &Path) -> Result<Training, Failure> {
        let lock = Lock::take(folder)?;
        let file = Archive::open(Run::checkpoint(folder))?;
        let mut params = Params::new();
        for name in file.names() {
            let tensor = file.tensor(&name)?;
            let shape = Shape::new(tensor.shape());
            let held = shape.and_then(|shape| HostTensor::new(shape, tensor.to_f32()));
            params.insert(&name, held.ok_or_else(|| Failure::new(format!("{name} has an illegal shape")))?);
        }
        Ok(Training {
            folder: folder.to_owned(),
            options: Options::read(&file)?,
            step: file.setting("step")?,
            params,
            fingerprint: file.setting("data.fingerprint")?,
            model_fingerprint: file.setting("model.fingerprint")?,
            _lock: lock,
        })
    }

    fn save(&self) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        file.set("kind", KIND);
        self.options.to_pairs().into_iter().for_each(|(key, value)| file.set(key, value));
        file.set("step", self.step);
        file.set("data.fingerprint", self.fingerprint);
        file.set("model.fingerprint", self.model_fingerprint);
        for (name, tensor) in self.params.iter() {
            file.insert(name, Tensor::from_values(&tensor.shape(), &tensor.to_f32())?);
        }
        Ok(file.save(Run::checkpoint(&self.folder))?)
    }

    /// Keeps what the machine has learnt.
    fn keep(&mut self, trainer: &Trainer<'_>) -> Result<(), Failure> {
        self.params = trainer.params_only(&|name| sd::is_adapter(name) || optim::is_state(name))?;
        self.save()
    }

    /// Whether it began with this model and these pictures.
    ///
    /// # Errors
    /// Others.
    pub fn fits(&self, params: &Params, dataset: &Dataset) -> Result<(), Failure> {
        let Training { folder, options: Options { model, data, .. }, .. } = self;
        let (folder, model, data) = (folder.display(), model.display(), data.display());
        if self.model_fingerprint != model_fingerprint(params) {
            return Err(Failure::new(format!("{folder} began with another checkpoint than {model} is now")));
        }
        if self.fingerprint != fingerprint(dataset) {
            return Err(Failure::new(format!("{folder} began with other pictures or captions than {data} gives now")));
        }
        Ok(())
    }

    /// The adapter's file.
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

/// A data set's pictures and captions as one number.
fn fingerprint(dataset: &Dataset) -> u64 {
    let mut hash = Fnv1a::default();
    for item in &dataset.items {
        let parts = [item.id.as_bytes(), item.title().as_bytes(), item.picture.rgb()];
        parts.into_iter().for_each(|part| add(&mut hash, part));
    }
    hash.value()
}

/// A checkpoint's names, shapes and first weights of each tensor as one number.
fn model_fingerprint(params: &Params) -> u64 {
    let mut hash = Fnv1a::default();
    for (name, tensor) in params.iter() {
        let mut first = [0.0; 16];
        tensor.read(0, &mut first);
        add(&mut hash, name.as_bytes());
        tensor.shape().iter().for_each(|extent| add(&mut hash, &extent.to_le_bytes()));
        first.iter().for_each(|value| add(&mut hash, &value.to_le_bytes()));
    }
    hash.value()
}

/// How adapters step.
const OPTIMIZER: Optimizer = Optimizer {
    rule: Rule::Adam { betas: [0.9, 0.999], eps: 1e-8 },
    weight_decay: 0.01,
    clip: CLIP,
    average: false,
    scaling: None,
};

/// Adds bytes and their end to a hash.
fn add(hash: &mut Fnv1a, bytes: &[u8]) {
    hash.bytes(bytes);
    hash.bytes(&[0xff]);
}

/// Learns until all steps are done or `tell` breaks, and leaves checkpoint, log and curve in the folder, and in the end
/// the adapter in kohya's names.
///
/// # Errors
/// Options that are not legal, another model or other pictures than the training began with, one that [`check`] refuses,
/// and a loss that diverges.
pub fn train(
    mut training: Training,
    loaded: Loaded,
    dataset: &Dataset,
    machine: &Machine,
    tell: Tell<'_>,
) -> Result<Ending, Failure> {
    training.options.clone().checked()?;
    check(&loaded.drawing, &training.options)?;
    training.fits(&loaded.params, dataset)?;
    let Options { adapter, size, steps, batch, rate: peak, seed, .. } = training.options.clone();
    let Loaded { drawing, params: mut weights, .. } = loaded;
    let Some(examples) = Examples::new(&drawing, &weights, dataset, (size, adapter.text), machine, tell)? else {
        training.save()?;
        return Ok(Ending::Interrupted);
    };
    let optimizer = machine.optimizer(OPTIMIZER);
    let graph = step(&drawing, &training.options, examples.chunks, &optimizer)?;
    for (name, tensor) in training.params.iter() {
        weights.insert(name, tensor.clone());
    }
    weights.initialise(graph.params(), seed);
    let names: Vec<String> = graph.inputs().iter().map(|input| input.name.clone()).collect();
    let levels = levels(&drawing)?;
    let mut trainer = Trainer::new(machine, &graph, mem::take(&mut weights), Sharing::NONE)?;
    let mut monitor = Monitor::new(&training.folder, KIND, training.step, steps, batch, 0.0, &Alone)?;
    let (mut saved, mut watch) = (Instant::now(), Watch::default());
    let mut order = Order::new(seed, examples.items.len());
    let news = |pace: Option<Pace>, step| News::Step(Progress { stage: Stage::Diffusion, step, steps, pace });
    while training.step < steps {
        let step = training.step;
        if tell(&news(monitor.pace(), step)).is_break() {
            training.keep(&trainer)?;
            monitor.flush()?;
            return Ok(Ending::Interrupted);
        }
        let (mut fed, mut noise) = (Fed::default(), Vec::new());
        for place in 0..batch as u64 {
            let position = step * batch as u64 + place;
            fed.add(&examples.items[order.at(position).0]);
            let draw = Draws::new(seed ^ 3, position).below(0, levels.len());
            noise.extend(levels[draw]);
        }
        let rate = peak as f32 * rate::warmup(step, WARM) * rate::cosine_tail(step, steps, TAIL);
        let hyper = optimizer.hyper(step, rate, 0.0);
        let key = [step as u32, (seed as u32) ^ 0x6c6f_7261];
        let inputs: Vec<Slice<'_>> = names
            .iter()
            .map(|name| match name.as_str() {
                "key" => Slice::U32(&key),
                "levels" => Slice::F32(&noise),
                "hyper" => Slice::F32(&hyper),
                name => fed.of(name),
            })
            .collect();
        let [loss, norm] = trainer.step(&inputs)?;
        let scaled = trainer.is_scaled();
        let report = Report { loss: loss.into(), norm: norm.into(), rate: rate.into(), scaled };
        if let Some(problem) = watch.problem(report) {
            return Err(Failure::new(format!(
                "the adapter diverged at step {}: {problem}; train with a smaller learning rate than {peak:e}",
                step + 1
            )));
        }
        training.step += 1;
        monitor.step(
            training.step,
            report.loss,
            if report.norm.is_finite() { report.norm } else { 0.0 },
            report.rate,
        )?;
        if saved.elapsed() >= SAVE_EVERY {
            training.keep(&trainer)?;
            saved = Instant::now();
        }
    }
    let _ = tell(&news(monitor.pace(), training.step));
    monitor.flush()?;
    training.keep(&trainer)?;
    let learnt = training.params.iter().filter(|(name, _)| !optim::is_state(name));
    let is_convolution = |layer: &str| {
        let weight = drawing.model().unet.linear;
        !weight && (layer.ends_with(".proj_in") || layer.ends_with(".proj_out"))
    };
    let encoders = drawing.model().text.iter().flatten().count();
    lora::save(&training.file(), learnt, is_convolution, encoders, [adapter.rank as f32, adapter.alpha])?;
    Ok(Ending::Complete)
}

/// One step of a training.
fn step(drawing: &Drawing, options: &Options, chunks: usize, optimizer: &Optimizer) -> Result<Graph, Failure> {
    let Options { adapter, size, batch, .. } = options;
    let shape = Batch { pictures: *batch, size: [*size; 2], chunks, skip: 0 };
    Ok(drawing.stored(sd::adapter_training(drawing.model(), shape, adapter, optimizer)?))
}

/// One step of learning [`ADAPTER`] from so many pictures of the model's own size.
///
/// # Errors
/// A model that [`check_model`] refuses, or a batch too large to be addressed.
pub fn usual_step(drawing: &Drawing, pictures: usize) -> Result<Graph, Failure> {
    let model = drawing.model();
    check_model(model)?;
    let batch = Batch { pictures, size: [model.size; 2], chunks: 1, skip: 0 };
    Ok(drawing.stored(sd::adapter_training(model, batch, &ADAPTER, &OPTIMIZER)?))
}

/// What is left to do of a training, for a machine to be chosen by.
///
/// # Errors
/// A model that [`check`] refuses.
pub fn work(training: &Training, loaded: &Loaded) -> Result<Work, Failure> {
    let options = &training.options;
    let left = options.steps.saturating_sub(training.step) as f64;
    Ok(Work::of(&step(&loaded.drawing, options, 1, &OPTIMIZER)?, left))
}

/// t, α and σ of each timestep.
fn levels(drawing: &Drawing) -> Result<Vec<[f32; 3]>, Failure> {
    let bars = drawing.model().scheduler.alpha_bars()?;
    let level = |(t, bar): (usize, f64)| [t as f32, bar.sqrt() as f32, (1.0 - bar).sqrt() as f32];
    Ok(bars.into_iter().enumerate().map(level).collect())
}
