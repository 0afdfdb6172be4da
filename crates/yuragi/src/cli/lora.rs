//! What `train --lora` is told.

use std::path::PathBuf;

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    io::{Dataset, folder},
    models::{
        generator::Pipeline,
        stable_diffusion::{Adapter, Targets},
    },
    stable_diffusion::{self, Loaded},
    train::lora::{Options, check, targets},
};

/// The rank, the steps and the learning rate where nothing is said.
const RANK: u16 = 4;
const STEPS: u64 = 1000;
const RATE: f64 = 1e-4;

/// The adapter, and what it is for.
#[derive(Args)]
pub struct LoraFlags {
    /// The Stable Diffusion checkpoint that a LoRA is learnt for
    #[arg(long, value_name = "PATH", requires = "lora")]
    model: Option<PathBuf>,
    /// Learn a LoRA for `--model` from this folder of captioned pictures, and write it in kohya's names
    #[arg(long, value_name = "FOLDER", requires = "model", conflicts_with_all = ["data", "init", "autoencoder", "autoencoder_steps", "autoencoder_batch", "autoencoder_rate", "compose", "bits", "resume"])]
    lora: Option<PathBuf>,
    /// The LoRA's rank, 1 to 1024 [default: 4]
    #[arg(long, requires = "lora", value_parser = value_parser!(u16).range(1..=1024))]
    rank: Option<u16>,
    /// What its weights are multiplied by, times the rank [default: the rank]
    #[arg(long, requires = "lora")]
    alpha: Option<f32>,
    /// Which maps of the U-Net it is for: attention, or transformers (all maps in them) [default: attention]
    #[arg(long, requires = "lora", value_parser = targets)]
    targets: Option<Targets>,
    /// The side to which pictures are cropped and scaled [default: the model's]
    #[arg(long, requires = "lora", value_name = "PIXELS")]
    size: Option<usize>,
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
        let loaded = stable_diffusion::open(model)?;
        let usual = loaded.drawing.size()[0];
        let rank = usize::from(self.rank.unwrap_or(RANK));
        let adapter =
            Adapter { rank, alpha: self.alpha.unwrap_or(rank as f32), targets: self.targets.unwrap_or_default() };
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let options = Options {
            model: absolute(model),
            data: absolute(data),
            column,
            adapter,
            size: self.size.unwrap_or(usual),
            steps: steps.unwrap_or(STEPS),
            batch: batch.unwrap_or(1),
            rate: rate.unwrap_or(RATE),
            seed: seed.unwrap_or(0),
        };
        let options = options.checked()?;
        check(&loaded.drawing, options.size)?;
        Ok((options, loaded))
    }
}

/// The captioned pictures; what is left out is named.
pub fn pictures(options: &Options) -> Result<Dataset, Failure> {
    let (size, column) = (options.size, options.column.clone());
    let dataset = folder::load(&options.data, &folder::Options { size, column, ..folder::Options::default() })?;
    for skipped in &dataset.skipped {
        eprintln!("skipped {}: {}", skipped.path.display(), skipped.reason);
    }
    dataset.notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(dataset)
}
