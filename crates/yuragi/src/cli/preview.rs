//! Pictures that are looked at while they are drawn, as flags say it.

use std::path::PathBuf;

use clap::Args;
use yuragi::{
    Failure,
    graph::Backend,
    io::{
        Picture, atomic,
        export::{self, Format},
    },
    models::generator::{Job, Pipeline},
    numeric::level,
};

use super::{common::check_place, models::Loaded};

/// What is seen on the way.
#[derive(Args)]
pub struct PreviewFlags {
    /// A file, PNG, JPEG or WebP by its end, that shows after each step what the picture becomes; of a batch, the first one.
    /// Without `--tae`, it has the latent's size
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// The tiny autoencoder (TAESD) that decodes previews of a Stable Diffusion checkpoint: a diffusers folder, or a
    /// .safetensors
    #[arg(long, value_name = "PATH", requires = "preview")]
    tae: Option<PathBuf>,
}

impl PreviewFlags {
    /// Refuses what cannot be written, before anything is drawn.
    pub fn check(&self) -> Result<(), Failure> {
        let Some(path) = &self.preview else { return Ok(()) };
        Format::of(path)?;
        check_place(path)
    }

    /// Whether a network draws what is shown.
    pub fn draws(&self) -> bool {
        self.tae.is_some()
    }

    /// Gives a model what previews need.
    pub fn apply(&self, loaded: &mut Loaded) -> Result<(), Failure> {
        match (&self.tae, loaded) {
            (None, _) => Ok(()),
            (Some(path), Loaded::StableDiffusion(checkpoint)) => checkpoint.preview_with(path),
            (Some(_), Loaded::Own(_)) => {
                Err(Failure::new("`--tae` is for Stable Diffusion checkpoints: name one with `--model`"))
            }
        }
    }

    /// Says if nothing will be seen: nobody knows the colours of the model's latents.
    pub fn note(&self, pipeline: &dyn Pipeline) {
        let [_, _, channels] = pipeline.latent(pipeline.size());
        if let (Some(path), None) = (&self.preview, &self.tae)
            && pipeline.colours(&vec![0.0; channels]).is_none()
        {
            say!("note: {} is not written: the colours of this model's latents are not known", path.display());
        }
    }

    /// Shows a job as it is.
    pub fn show<B: Backend, P: Pipeline>(&self, job: &Job<'_, B, &B::Store, P>) -> Result<(), Failure> {
        let Some(path) = &self.preview else { return Ok(()) };
        let Some(draft) = job.draft(0)? else { return Ok(()) };
        let [width, height] = draft.size;
        let rgb = draft.rgb.iter().copied().map(level).collect();
        let picture = Picture::new(width, height, rgb)?;
        let format = Format::of(path)?.unwrap_or_default();
        Ok(atomic::write(path, &export::encode(&picture, format, "")?)?)
    }
}
