//! A trained model as one file: settings, tokenizer and weights.

use std::{collections::BTreeMap, path::Path};

use yuragi_graph::{DType, Graph, ParamSpec, Params};
use yuragi_io::{Checkpoint, checkpoint::Archive, quantize::Groups};
use yuragi_models::{
    Settings, latent_diffusion,
    tokenizer::{Bpe, Lexicon, Tokenizer},
};
use yuragi_nn::optim;

use crate::Failure;

/// Smaller tensors keep 16 bits, as do gains and biases: they cost little and matter much.
const GROUPED_FROM: usize = 2048;

/// How a model's matrices and kernels of at least 2,048 weights are stored; all else takes 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In half precision.
    Half,
    /// In groups with a scale each.
    Groups(Groups),
}

impl Storage {
    /// Weights that share a scale where nobody says.
    pub const GROUP: usize = 32;
    /// The bits of a weight where nobody says.
    pub const BITS: usize = 8;

    /// 16 bits, or 4, 5, 6 or 8 in groups of so many weights.
    ///
    /// # Errors
    /// Other bits, and groups of other than 8, 16, .., 1024 weights.
    pub fn new(bits: usize, group: usize) -> Result<Storage, Failure> {
        let groups = Groups::new(bits, group);
        match bits {
            16 => Ok(Storage::Half),
            4 | 5 | 6 | 8 => groups.map(Storage::Groups).ok_or_else(|| {
                Failure::new(format!("groups of {group} weights cannot be stored; legal are multiples of 8 up to 1024"))
            }),
            _ => Err(Failure::new(format!("{bits} bits cannot be stored; legal are 4, 5, 6, 8 and 16"))),
        }
    }
}

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

    /// Writes the model, whole or not at all.
    pub fn save(&self, path: &Path, storage: Storage) -> Result<(), Failure> {
        let mut file = checkpoint(&self.settings, &self.params, storage)?;
        write_tokenizer(&self.tokenizer, |key, value| file.set(key, value));
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

    /// Reads what drawing takes, all but the encoder of pictures; otherwise as [`read`](Self::read). Large matrices and
    /// kernels are rounded to bfloat16, which takes half of the memory, and less time to be read at each step. Of normal
    /// weights that changes 0.17 % (root mean square), where codes of 8 bits lose 0.5 and of 5 bits 4 to 6.
    pub fn read_to_draw(file: &Archive) -> Result<Model, Failure> {
        let settings = Settings { weights: DType::BF16, ..Settings::from_pairs(&pairs(file))? };
        let tokenizer = read_tokenizer(file)?;
        let parts = [latent_diffusion::encode_text, latent_diffusion::denoise, latent_diffusion::decode];
        let mut specs = Vec::new();
        for part in parts {
            specs.extend_from_slice(part(&settings, 1)?.params());
        }
        let params = weights(file, &specs)?;
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

/// A file of settings and weights.
pub(crate) fn checkpoint<'a>(
    settings: &Settings,
    params: &'a Params,
    storage: Storage,
) -> Result<Checkpoint<'a>, Failure> {
    let mut file = Checkpoint::default();
    for (key, value) in settings.to_pairs() {
        file.set(key, value);
    }
    for (name, tensor) in params.iter() {
        let values = tensor.to_f32();
        match storage {
            Storage::Groups(groups) if tensor.shape().rank() >= 2 && values.len() >= GROUPED_FROM => {
                file.insert_grouped(name, &tensor.shape(), &values, groups)?;
            }
            _ => file.insert_half(name, &tensor.shape(), &values)?,
        }
    }
    Ok(file)
}

/// How far weights are from those that they were, for each part of a model.
pub fn losses(ours: &Params, original: &Params) -> Vec<Loss> {
    let mut parts: BTreeMap<&str, Loss> = BTreeMap::new();
    for (name, tensor) in original.iter() {
        let Some(ours) = ours.get(name) else { continue };
        let part = name.split('.').next().unwrap_or(name);
        let loss = parts.entry(part).or_insert_with(|| Loss { part: part.to_owned(), ..Loss::default() });
        for (&was, &is) in tensor.to_f32().iter().zip(&ours.to_f32()) {
            loss.weights += 1;
            loss.squares += f64::from(was).powi(2);
            loss.errors += f64::from(is - was).powi(2);
        }
    }
    parts.into_values().collect()
}

/// What rounding did to the weights of a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loss {
    /// The first word of the weights' names.
    pub part: String,
    /// How many there are.
    pub weights: usize,
    /// The sum of their squares.
    pub squares: f64,
    /// The sum of the squares of their errors.
    pub errors: f64,
}

impl Loss {
    /// The error's root mean square as a share of the weights' own.
    pub fn share(&self) -> f64 {
        if self.squares > 0.0 { (self.errors / self.squares).sqrt() } else { 0.0 }
    }
}

/// The weights of a file, averaged ones where it has them; those in codes stay there.
pub(crate) fn weights(file: &Archive, specs: &[ParamSpec]) -> Result<Params, Failure> {
    let mut params = Params::new();
    for spec in specs {
        let averaged = format!("{}{}", optim::AVERAGE, spec.name);
        let name = if file.contains(&averaged) { &averaged } else { &spec.name };
        params.insert(&spec.name, file.weights(name, spec.shape, spec.dtype)?);
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
