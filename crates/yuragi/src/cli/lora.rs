//! What `train --lora` is told.

use std::path::{Path, PathBuf};

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    diffusion::config::PredictionType,
    io::{Dataset, folder},
    models::{
        generator::Pipeline,
        stable_diffusion::{Adapter, Targets},
    },
    stable_diffusion::{Loaded, prediction},
    train::{
        Source,
        lora::{ADAPTER, Options, Training, check, open, targets},
    },
};

use super::common::tell_skipped;

/// The steps and the learning rate where nothing is said.
const STEPS: u64 = 1000;
const RATE: f64 = 1e-4;

/// The adapter, and what it is for.
#[derive(Args)]
pub struct LoraFlags {
    /// The Stable Diffusion checkpoint that a LoRA is learnt for
    ///
    /// With `--resume`: where the same checkpoint is now
    #[arg(long, value_name = "PATH", requires = "learning")]
    model: Option<PathBuf>,
    /// Learn a LoRA for `--model` from this folder of captioned pictures, and write it in kohya's names
    #[arg(long, value_name = "FOLDER", requires = "model", conflicts_with_all = ["data", "init", "autoencoder", "autoencoder_steps", "autoencoder_batch", "autoencoder_rate", "compose", "bits", "resume", "slices", "shard_optimiser", "reduce"])]
    lora: Option<PathBuf>,
    /// The LoRA's rank, 1 to 1024 [default: 4]
    #[arg(long, requires = "lora", value_parser = value_parser!(u16).range(1..=1024))]
    rank: Option<u16>,
    /// What its weights are multiplied by, times the rank [default: the rank]
    #[arg(long, requires = "lora")]
    alpha: Option<f32>,
    /// Which maps it is for: attention, or transformers (all maps in them) [default: attention]
    #[arg(long, requires = "lora", value_parser = targets)]
    targets: Option<Targets>,
    /// Learn it for the text encoders, too, not for the U-Net alone: more memory, and words come to mean something else
    #[arg(long, requires = "lora")]
    text_encoder: bool,
    /// The side to which pictures are cropped and scaled [default: the model's]
    #[arg(long, requires = "lora", value_name = "PIXELS")]
    size: Option<usize>,
    /// What the checkpoint predicts, if its files do not say it: epsilon, v or sample [default: as the files say]
    #[arg(long, requires = "lora", value_parser = prediction)]
    prediction: Option<PredictionType>,
}

impl LoraFlags {
    /// Whether a LoRA is to be learnt.
    pub fn is_asked(&self) -> bool {
        self.lora.is_some()
    }

    /// How to learn it, and the opened checkpoint.
    pub fn read(
        &self,
        column: Option<String>,
        steps: Option<u64>,
        batch: Option<usize>,
        rate: Option<f64>,
        seed: Option<u64>,
    ) -> Result<(Options, Loaded), Failure> {
        let (Some(model), Some(data)) = (&self.model, &self.lora) else {
            return Err(Failure::new("a LoRA needs `--model` and `--lora`"));
        };
        let loaded = open(model, self.prediction)?;
        let usual = loaded.drawing.size()[0];
        let rank = self.rank.map_or(ADAPTER.rank, usize::from);
        let adapter = Adapter {
            rank,
            alpha: self.alpha.unwrap_or(rank as f32),
            targets: self.targets.unwrap_or_default(),
            text: self.text_encoder,
        };
        let options = Options {
            model: absolute(model),
            data: absolute(data),
            column,
            prediction: self.prediction,
            adapter,
            size: self.size.unwrap_or(usual),
            steps: steps.unwrap_or(STEPS),
            batch: batch.unwrap_or(1),
            rate: rate.unwrap_or(RATE),
            seed: seed.unwrap_or(0),
        };
        let options = options.checked()?;
        check(&loaded.drawing, &options)?;
        Ok((options, loaded))
    }

    /// A training that goes on, with its checkpoint and pictures where they are now.
    pub fn resume(
        &self,
        folder: &Path,
        steps: Option<u64>,
        data: Option<&Source>,
    ) -> Result<(Training, Loaded, Dataset), Failure> {
        let mut training = Training::load(folder)?;
        let options = &mut training.options;
        options.steps = steps.unwrap_or(options.steps);
        match data {
            Some(Source::Folder(pictures)) => options.data = absolute(pictures),
            Some(_) => return Err(Failure::new("a LoRA is learnt from a folder of pictures")),
            None => {}
        }
        options.model = self.model.as_deref().map_or(options.model.clone(), absolute);
        let options = options.clone().checked()?;
        let moved = |what: &str, given: bool, failure: Failure| match given {
            true => failure,
            false => Failure::new(format!("{failure}; {what}")),
        };
        let loaded = open(&options.model, options.prediction).map_err(|failure| {
            moved("a checkpoint that has moved is named with `--model`", self.model.is_some(), failure)
        })?;
        let dataset = pictures(&options)
            .map_err(|failure| moved("pictures that have moved are named with `--data`", data.is_some(), failure))?;
        training.fits(&loaded.params, &dataset)?;
        Ok((training, loaded, dataset))
    }

    /// Whether a checkpoint is named.
    pub fn names_model(&self) -> bool {
        self.model.is_some()
    }
}

/// The captioned pictures; what is left out is named.
pub fn pictures(options: &Options) -> Result<Dataset, Failure> {
    let (size, column) = (options.size, options.column.clone());
    let dataset = folder::load(&options.data, &folder::Options { size, column, ..folder::Options::default() })?;
    tell_skipped(&dataset);
    Ok(dataset)
}

/// The same path, whatever folder is the current one.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
