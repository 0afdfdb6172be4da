//! A trained model as one file: settings, tokenizer and weights.

use std::path::Path;

use yuragi_graph::{Graph, HostTensor, ParamSpec, Params};
use yuragi_io::{Checkpoint, Tensor, checkpoint::Archive};
use yuragi_models::{
    Settings, latent_diffusion,
    tokenizer::{Bpe, Lexicon, Tokenizer},
};
use yuragi_nn::optim;

use crate::Failure;

/// Tensors with fewer elements keep 16 bits: gains and biases, which cost little and matter much.
const QUANTIZED_FROM: usize = 2048;

/// All that is needed to turn words into pictures.
pub struct Model {
    /// The extents of its networks.
    pub settings: Settings,
    /// Text to tokens.
    pub tokenizer: Tokenizer,
    /// Weights.
    pub params: Params,
}

impl Model {
    /// The averaged weights of a training.
    pub fn averaged(settings: &Settings, tokenizer: &Tokenizer, params: &Params) -> Model {
        Model { settings: settings.clone(), tokenizer: tokenizer.clone(), params: optim::averaged(params) }
    }

    /// Writes the model with 8 bits for each weight of a matrix or kernel, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), Failure> {
        let mut file = Checkpoint::default();
        for (key, value) in self.settings.to_pairs() {
            file.set(key, value);
        }
        write_tokenizer(&self.tokenizer, |key, value| file.set(key, value));
        for (name, tensor) in self.params.iter() {
            let values = tensor.to_f32();
            if tensor.shape().rank() >= 2 && values.len() >= QUANTIZED_FROM {
                file.insert_quantized(name, &tensor.shape(), &values)?;
            } else {
                file.insert(name, Tensor::from_values(&tensor.shape(), &values)?.to_f16());
            }
        }
        Ok(file.save(path)?)
    }

    /// Reads a model's file.
    pub fn open(path: &Path) -> Result<Model, Failure> {
        Model::read(&Archive::open(path)?)
    }

    /// Reads a model from an opened file: every tensor is checked, optimiser state is left out.
    pub fn read(file: &Archive) -> Result<Model, Failure> {
        let settings = Settings::from_pairs(&pairs(file))?;
        let tokenizer = read_tokenizer(file)?;
        let params = weights(file, &params_of(&settings)?)?;
        Ok(Model { settings, tokenizer, params })
    }

    /// Reads only the autoencoder of a model's file: its extents, what was measured on its latents, and its weights.
    pub fn read_autoencoder(file: &Archive) -> Result<(Settings, Params), Failure> {
        let of_file = Settings::from_pairs(&pairs(file))?;
        let mut settings = Settings {
            size: of_file.size,
            autoencoder: of_file.autoencoder,
            latents: of_file.latents,
            ..Settings::default()
        };
        settings.unet.latent = settings.autoencoder.latent;
        let stage = latent_diffusion::autoencoder_training(&settings, 1)?;
        let params = weights(file, &without_state(&stage).cloned().collect::<Vec<_>>())?;
        Ok((settings, params))
    }
}

/// The weights of a file, averaged ones where it has them.
fn weights(file: &Archive, specs: &[ParamSpec]) -> Result<Params, Failure> {
    let mut params = Params::new();
    for spec in specs {
        let averaged = format!("{}{}", optim::AVERAGE, spec.name);
        let name = if file.contains(&averaged) { &averaged } else { &spec.name };
        let values = file.f32(name, &spec.shape)?;
        if let Some(tensor) = HostTensor::new(spec.shape, values) {
            params.insert(&spec.name, tensor);
        }
    }
    Ok(params)
}

/// Every weight of a model of these extents.
fn params_of(settings: &Settings) -> Result<Vec<ParamSpec>, Failure> {
    let stages =
        [latent_diffusion::autoencoder_training(settings, 1)?, latent_diffusion::diffusion_training(settings, 1)?];
    Ok(stages.iter().flat_map(without_state).cloned().collect())
}

/// The weights of a training step.
fn without_state(step: &Graph) -> impl Iterator<Item = &ParamSpec> {
    step.params().iter().filter(|spec| !optim::is_state(&spec.name))
}

/// The tokenizer for a file's header.
pub(crate) fn write_tokenizer(tokenizer: &Tokenizer, mut set: impl FnMut(&str, String)) {
    set("tokenizer", tokenizer.bpe.to_text());
    set("words", tokenizer.lexicon.to_text());
}

/// The tokenizer in a file's header; one without words is of a model that did not note them.
///
/// # Errors
/// A setting that is missing or not what it should be.
pub fn read_tokenizer(file: &Archive) -> Result<Tokenizer, Failure> {
    let bpe = Bpe::from_text(&file.setting::<String>("tokenizer")?)?;
    let lexicon = match file.settings().get("words") {
        Some(text) => {
            Lexicon::from_text(text).ok_or_else(|| Failure::new("the setting `words` is no list of words"))?
        }
        None => Lexicon::default(),
    };
    Ok(Tokenizer { bpe, lexicon })
}

/// The settings in a file's header.
pub(crate) fn pairs(file: &Archive) -> Vec<(&str, &str)> {
    file.settings().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}
