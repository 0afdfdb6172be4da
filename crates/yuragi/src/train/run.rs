//! A training's folder and its checkpoint.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use yuragi_graph::{Collective, HostTensor, ParamSpec, Params, Shape};
use yuragi_io::{
    Checkpoint, Tensor,
    checkpoint::{Archive, CHECKPOINT_FILE},
};
use yuragi_models::{Settings, latent_diffusion, tokenizer::Tokenizer};
use yuragi_nn::optim;
use yuragi_numeric::fnv::Fnv1a;

use super::{Options, SAVE_EVERY, device::Exchange};
use crate::{Failure, machine::Work, model::Model, ranks::agree};

/// The parts of a training, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Pictures to latents and back.
    Autoencoder,
    /// Noise and words to latents.
    Diffusion,
    /// Nothing is left to do.
    Done,
}

impl Stage {
    /// The name in files and headers.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Autoencoder => "autoencoder",
            Stage::Diffusion => "diffusion",
            Stage::Done => "done",
        }
    }

    fn parse(name: &str) -> Result<Stage, Failure> {
        [Stage::Autoencoder, Stage::Diffusion, Stage::Done]
            .into_iter()
            .find(|s| s.name() == name)
            .ok_or_else(|| Failure::new(format!("the checkpoint is in a stage `{name}` that is not known")))
    }
}

/// A training between two steps: all that is needed to go on to the same weights, bit for bit.
pub struct Run {
    /// Where everything is written.
    pub folder: PathBuf,
    /// How to train.
    pub options: Options,
    /// What is trained.
    pub settings: Settings,
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Weights, optimiser state and averages.
    pub params: Params,
    /// Where it stands.
    pub stage: Stage,
    /// Steps done of the stage.
    pub step: u64,
    /// The time between two checkpoints.
    pub save_every: Duration,
    /// What ranks give each other.
    pub exchange: Exchange,
    /// Tells data sets apart: a training goes on only with the one it began with.
    pub fingerprint: u64,
    /// Keeps other trainings out of the folder.
    pub lock: Lock,
}

/// A folder that no other training writes into as long as this lives, nor another process that ends without a word.
pub struct Lock(#[allow(dead_code)] Option<File>);

impl Lock {
    /// Of a folder that the first of several ranks has taken.
    pub const fn of_another() -> Lock {
        Lock(None)
    }

    /// Takes a folder if this is the first rank.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_first(folder: &Path, ranks: &dyn Collective) -> Result<Lock, Failure> {
        if ranks.rank() == 0 { Lock::take(folder) } else { Ok(Lock::of_another()) }
    }

    /// Takes a folder, which must be there.
    ///
    /// # Errors
    /// Another training has it, or it cannot be written into.
    pub fn take(folder: &Path) -> Result<Lock, Failure> {
        let path = folder.join(".lock");
        let cannot = |error| Failure::new(format!("cannot write {}: {error}", path.display()));
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(Some(file))),
            Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
                "another training is at work in {}: wait for its end, or stop it",
                folder.display()
            ))),
            // Not every file system has locks.
            Err(TryLockError::Error(_)) => Ok(Lock(None)),
        }
    }
}

/// Settings and weights as one number (FNV-1a), by which ranks see whether they were started alike.
pub fn digest(settings: impl Iterator<Item = (&'static str, String)>, params: &Params) -> u64 {
    let mut hash = Fnv1a::default();
    for (key, value) in settings {
        [key.as_bytes(), &[0], value.as_bytes(), &[0]].into_iter().for_each(|bytes| hash.bytes(bytes));
    }
    for (name, tensor) in params.iter() {
        hash.bytes(name.as_bytes());
        tensor.to_f32().iter().for_each(|value| hash.word(value.to_bits().into()));
    }
    hash.value()
}

impl Run {
    /// The checkpoint's path in a folder.
    pub fn checkpoint(folder: &Path) -> PathBuf {
        folder.join(CHECKPOINT_FILE)
    }

    /// The trained model's path in the folder.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }

    /// Writes the checkpoint, whole or not at all.
    pub fn save(&self) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        for (key, value) in self.settings.to_pairs() {
            file.set(key, value);
        }
        for (key, value) in self.options.to_pairs() {
            file.set(key, value);
        }
        crate::model::write_tokenizer(&self.tokenizer, |key, value| file.set(key, value));
        file.set("stage", self.stage.name());
        file.set("step", self.step);
        file.set("data.fingerprint", self.fingerprint);
        for (name, tensor) in self.params.iter() {
            file.insert(name, Tensor::from_values(&tensor.shape(), &tensor.to_f32())?);
        }
        Ok(file.save(Run::checkpoint(&self.folder))?)
    }

    /// Reads the checkpoint of a folder, on each of these ranks.
    pub fn load(folder: &Path, ranks: &dyn Collective) -> Result<Run, Failure> {
        let path = Run::checkpoint(folder);
        if !path.exists() {
            return Err(Failure::new(format!("{} does not exist: nothing to resume", path.display())));
        }
        let lock = Lock::take_first(folder, ranks)?;
        let file = Archive::open(&path)?;
        let mut params = Params::new();
        for name in file.names() {
            let shape = file.tensor(&name)?.shape().to_vec();
            let values = file.f32(&name, &shape)?;
            let tensor = Shape::new(&shape).and_then(|shape| HostTensor::new(shape, values));
            params
                .insert(&name, tensor.ok_or_else(|| Failure::new(format!("{name} has the illegal shape {shape:?}")))?);
        }
        let run = Run {
            folder: folder.to_owned(),
            options: Options::from_pairs(file.settings())?,
            settings: Settings::from_pairs(&crate::model::pairs(&file))?,
            tokenizer: crate::model::read_tokenizer(&file)?,
            params,
            stage: Stage::parse(&file.setting::<String>("stage")?)?,
            step: file.setting("step")?,
            save_every: SAVE_EVERY,
            exchange: Exchange::default(),
            fingerprint: file.setting("data.fingerprint")?,
            lock,
        };
        run.options.check_slices(ranks)?;
        // Nor is it written again before all have read it.
        run.agree(ranks)?;
        Ok(run)
    }

    /// Whether all ranks have the same of it.
    pub(super) fn agree(&self, ranks: &dyn Collective) -> Result<(), Failure> {
        // The first setting is the place of the data, which may be another on each machine.
        let options = self.options.to_pairs().into_iter().skip(1);
        let known = [self.step, self.fingerprint, self.exchange as u64].map(|number| ("", number.to_string()));
        let stage = ("stage", self.stage.name().to_owned());
        agree(ranks, digest(options.chain(known).chain([stage]), &self.params))
    }

    /// Whether a folder can be begun in: it must not hold another training.
    pub fn check_new(folder: &Path) -> Result<(), Failure> {
        let path = Run::checkpoint(folder);
        if path.exists() {
            return Err(Failure::new(format!(
                "{} exists: go on with `--resume`, or name another folder with `--out`",
                path.display()
            )));
        }
        Ok(())
    }

    /// Begins in a folder, which the first of these ranks makes, and which holds the first checkpoint then.
    ///
    /// # Errors
    /// The folder cannot be made or written into, another training has it, or slices that the ranks cannot share.
    pub fn begin(
        folder: &Path,
        options: Options,
        settings: Settings,
        tokenizer: Tokenizer,
        params: Params,
        fingerprint: u64,
        ranks: &dyn Collective,
    ) -> Result<Run, Failure> {
        options.check_slices(ranks)?;
        let mut run = Run {
            folder: folder.to_owned(),
            options,
            settings,
            tokenizer,
            params,
            stage: Stage::Autoencoder,
            step: 0,
            save_every: SAVE_EVERY,
            exchange: Exchange::default(),
            fingerprint,
            lock: Lock::of_another(),
        };
        run.agree(ranks)?;
        if ranks.rank() == 0 {
            fs::create_dir_all(folder)
                .map_err(|e| Failure::new(format!("cannot make the folder {}: {e}", folder.display())))?;
            run.lock = Lock::take(folder)?;
            Run::check_new(folder)?;
            run.save()?;
        }
        Ok(run)
    }

    /// What is left to do, for a machine to be chosen by.
    ///
    /// # Errors
    /// Settings or batches that cannot be built.
    pub fn work(&self) -> Result<Work, Failure> {
        let Options { autoencoder_batch, autoencoder_steps, batch, slices, steps, .. } = self.options;
        let (autoencoder_batch, batch) = (autoencoder_batch / slices, batch / slices);
        let done = |stage: Stage| if self.stage == stage { self.step } else { 0 };
        let left = |stage: Stage, steps: u64| (steps.saturating_sub(done(stage)) * slices as u64) as f64;
        let autoencoder = || latent_diffusion::autoencoder_training(&self.settings, autoencoder_batch);
        let diffusion =
            Work::of(&latent_diffusion::diffusion_training(&self.settings, batch)?, left(Stage::Diffusion, steps));
        Ok(match self.stage {
            Stage::Autoencoder => Work::of(&autoencoder()?, left(Stage::Autoencoder, autoencoder_steps)).and(diffusion),
            Stage::Diffusion => diffusion,
            Stage::Done => Work::NONE,
        })
    }

    /// Adds the parameters of a stage that are missing: weights are drawn from the seed, averages begin at the weights.
    pub fn prepare(&mut self, specs: &[ParamSpec]) {
        prepare(&mut self.params, specs, self.options.seed);
    }

    /// The averaged weights as a model to generate with.
    pub fn to_model(&self) -> Model {
        Model::averaged(&self.settings, &self.tokenizer, &self.params)
    }
}

/// Adds the parameters of a step that are missing: weights are drawn from a seed, averages begin at the weights.
pub(super) fn prepare(params: &mut Params, specs: &[ParamSpec], seed: u64) {
    let missing = |spec: &&ParamSpec| spec.name.starts_with(optim::AVERAGE) && params.get(&spec.name).is_none();
    let averages: Vec<&ParamSpec> = specs.iter().filter(missing).collect();
    params.initialise(specs, seed);
    for average in averages {
        if let Some(weight) = params.get(&average.name[optim::AVERAGE.len()..]).cloned() {
            params.insert(&average.name, weight);
        }
    }
}
