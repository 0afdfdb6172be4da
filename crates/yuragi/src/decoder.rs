//! A decoder of latents as a file of its own, which any model of the same latents can draw by.

use std::path::Path;

use yuragi_graph::Params;
use yuragi_io::checkpoint::Archive;
use yuragi_models::{
    Settings,
    autoencoder::Autoencoder,
    latent_diffusion::{self, DECODER},
};

use crate::{
    Failure,
    model::{Model, Storage, checkpoint, pairs, weights},
};

/// What turns latents into pictures.
pub struct Decoder {
    /// The extents of the networks of the model that it was learned with.
    pub settings: Settings,
    /// Its weights.
    pub params: Params,
}

impl Decoder {
    /// That of a model.
    pub fn of(model: &Model) -> Decoder {
        let mut params = model.params.clone();
        params.retain(|name| name.starts_with(DECODER));
        Decoder { settings: model.settings.clone(), params }
    }

    /// Whether a file holds nothing else.
    pub fn is_alone(file: &Archive) -> bool {
        file.names().iter().all(|name| name.starts_with(DECODER))
    }

    /// Reads it from an opened file, which may be that of a model.
    ///
    /// # Errors
    /// Settings or tensors that are missing or not what they should be.
    pub fn read(file: &Archive) -> Result<Decoder, Failure> {
        let settings = Settings::from_pairs(&pairs(file))?;
        let params = weights(file, latent_diffusion::decode(&settings, 1)?.params())?;
        Ok(Decoder { settings, params })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path, storage: Storage) -> Result<(), Failure> {
        Ok(checkpoint(&self.settings, &self.params, storage)?.save(path)?)
    }

    /// The settings of a model that has it.
    ///
    /// # Errors
    /// A model of other latents, by their extents or by what was measured on them.
    pub fn settings_for(&self, model: Settings) -> Result<Settings, Failure> {
        let extents = |settings: &Settings| {
            let Autoencoder { latent, channels: [half, quarter], blocks: [first, second], .. } = settings.autoencoder;
            let side = settings.latent_size();
            format!("{side}x{side}x{latent} (channels {half} and {quarter}, blocks {first} and {second})")
        };
        let (ours, theirs) = (extents(&model), extents(&self.settings));
        if ours != theirs {
            return Err(Failure::new(format!(
                "the decoder is of another autoencoder: it takes latents of {theirs}, the model's are {ours}"
            )));
        }
        if model.latents != self.settings.latents {
            return Err(Failure::new("the decoder was learned with the latents of another autoencoder"));
        }
        Ok(Settings { size: self.settings.size, autoencoder: self.settings.autoencoder, ..model })
    }
}

impl Model {
    /// The same model with another decoder.
    ///
    /// # Errors
    /// A decoder of other latents.
    pub fn with_decoder(mut self, decoder: Decoder) -> Result<Model, Failure> {
        let settings = decoder.settings_for(self.settings)?;
        self.params.retain(|name| !name.starts_with(DECODER));
        for (name, tensor) in decoder.params.iter() {
            self.params.insert(name, tensor.cast(settings.stored(&tensor.shape())));
        }
        Ok(Model { settings, ..self })
    }
}
