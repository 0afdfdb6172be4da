//! Stable Diffusion's checkpoints: a folder as diffusers writes it, or one file with the names of LDM.
//!
//! Weights stay where they are: files are mapped, and tensors of 32 or 16 bits borrow from the map. Nothing is taken
//! from memory before headers, configurations and shapes are checked against each other.
//!
//! | holds | read |
//! |---|---|
//! | a folder with `unet`, `vae`, `text_encoder`, .. | `config.json` and `.safetensors` of each, also in shards; where there are several, the plain one before the `fp16` one |
//! | one `.safetensors` | extents follow from the tensors' shapes |
//! | one `.gguf` with the same names | likewise; what is stored in blocks is unpacked to 16 bits |
//!
//! [`open_tiny`] reads TAESD, the tiny autoencoder.
//!
//! ```no_run
//! use yuragi_io::stable_diffusion;
//! let opened = stable_diffusion::open("v1-5-pruned-emaonly.safetensors".as_ref())?;
//! println!("{:?}; {} tensors are not used", opened.model.unet.levels, opened.unused.len());
//! # Ok::<(), stable_diffusion::ModelError>(())
//! ```

mod config;
mod deduce;
mod error;
mod latents;
mod names;
mod source;
mod tiny;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yuragi_graph::{ParamSpec, Params};
use yuragi_models::stable_diffusion::{self as sd, Batch, Checkpoint};

pub use error::ModelError;
pub use latents::{read_latents, save_latents};
pub use tiny::{open_tiny, read_tiny};

use crate::checkpoint::Archive;
use crate::gguf::{Gguf, MAGIC};
use config::Config;
use names::Blocks;
use source::Tensors;

/// A model that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Its extents.
    pub model: Checkpoint,
    /// Its weights, borrowed from the mapped files.
    pub params: Params,
    /// Tensors of the files that it has no use for.
    pub unused: Vec<String>,
}

/// Whether a path looks like a model of this kind: a folder with a U-Net, a pickle, a GGUF file, or one with LDM's names.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    if path.is_dir() {
        return path.join("model_index.json").exists() || path.join("unet").is_dir();
    }
    if is_pickle(path) || is_gguf(path) {
        return true;
    }
    let begins = |name: &String| name.starts_with("model.diffusion_model.");
    Archive::open(path).is_ok_and(|archive| archive.names().iter().any(begins))
}

/// Opens a folder or a file.
///
/// # Errors
/// One line that names the file and what is wrong in it: see [`ModelError`].
pub fn open(path: &Path) -> Result<Opened, ModelError> {
    let mut tensors = Tensors::default();
    let model = if path.is_dir() {
        let model = extents(path)?;
        for component in ["unet", "vae"].into_iter().chain(encoders(&model)) {
            for file in files(&path.join(component))? {
                tensors.add(archive(&file)?, |stored| names::of_folder(component, stored))?;
            }
        }
        model
    } else {
        single(path, &mut tensors)?
    };
    let origin = path.display().to_string();
    model.check().map_err(|reason| ModelError::Extents { origin: origin.clone(), reason })?;
    let (params, unused) = tensors.params(&origin, &parameters(&origin, &model)?)?;
    Ok(Opened { model, params, unused })
}

/// The extents that a folder's configurations name, checked; its weights are not looked at.
///
/// # Errors
/// As for [`open`].
pub fn extents(folder: &Path) -> Result<Checkpoint, ModelError> {
    let model = config::checkpoint(folder)?;
    let origin = folder.display().to_string();
    model.check().map_err(|reason| ModelError::Extents { origin, reason })?;
    Ok(model)
}

fn encoders(model: &Checkpoint) -> impl Iterator<Item = &'static str> {
    sd::ENCODERS.into_iter().zip(model.text).filter(|(_, clip)| clip.is_some()).map(|(name, _)| name)
}

/// One file with LDM's names.
fn single(path: &Path, tensors: &mut Tensors) -> Result<Checkpoint, ModelError> {
    let archive = archive(path)?;
    let stored = archive.names();
    let absent = |reason: String| ModelError::Absent { path: path.to_owned(), reason };
    if !stored.iter().any(|name| name.starts_with("model.diffusion_model.")) {
        return Err(absent("it has no tensor `model.diffusion_model.…`".into()));
    }
    let open_clip = stored.iter().any(|name| name.starts_with(names::OPEN_CLIP[0].0));
    let velocity = stored.iter().any(|name| name == "v_pred");
    let blocks = Blocks::of(&stored);
    tensors.add(archive, |name| blocks.rename(name))?;
    let metadata = tensors.settings().any(|(key, value)| key == "modelspec.prediction_type" && value == "v");
    deduce::checkpoint(tensors, open_clip, velocity || metadata).map_err(absent)
}

/// Every parameter of a model.
fn parameters(origin: &str, model: &Checkpoint) -> Result<Vec<ParamSpec>, ModelError> {
    let batch = Batch { pictures: 1, size: [8 * model.step(); 2], chunks: 1, skip: 0 };
    let graphs =
        [sd::encode_text(model, batch), sd::denoise(model, batch), sd::encode(model, batch), sd::decode(model, batch)];
    let mut names = BTreeSet::new();
    let mut specs = Vec::new();
    for graph in graphs {
        let graph = graph.map_err(|reason| ModelError::Network { origin: origin.to_owned(), reason })?;
        specs.extend(graph.params().iter().filter(|spec| names.insert(spec.name.clone())).cloned());
    }
    Ok(specs)
}

/// The files of weights of a component's folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    for stem in ["diffusion_pytorch_model", "model"] {
        for variant in ["", ".fp16"] {
            let whole = folder.join(format!("{stem}{variant}.safetensors"));
            if whole.exists() {
                return Ok(vec![whole]);
            }
            for index in
                [format!("{stem}.safetensors.index{variant}.json"), format!("{stem}{variant}.safetensors.index.json")]
            {
                if let Some(index) = Config::read(&folder.join(index))? {
                    return shards(folder, &index);
                }
            }
        }
    }
    let pickle = ["diffusion_pytorch_model.bin", "pytorch_model.bin"].map(|name| folder.join(name));
    match pickle.into_iter().find(|path| path.exists()) {
        Some(path) => Err(ModelError::Pickle { path }),
        None => Err(ModelError::Absent {
            path: folder.to_owned(),
            reason: "it has no diffusion_pytorch_model.safetensors or model.safetensors".into(),
        }),
    }
}

/// The files that an index of shards names: plain names of safetensors files beside it.
fn shards(folder: &Path, index: &Config) -> Result<Vec<PathBuf>, ModelError> {
    let wrong = |reason: String| ModelError::Config { path: index.path.clone(), reason };
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| wrong("it has no `weight_map` of tensors to files".into()))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let plain = file.as_str().filter(|name| {
            name.ends_with(".safetensors") && Path::new(name).components().count() == 1 && !name.contains(['/', '\\'])
        });
        let Some(name) = plain else {
            let (tensor, file) = (crate::read::shown(tensor), crate::read::shown(&file.to_string()));
            return Err(wrong(format!("it puts `{tensor}` into {file}, which is no safetensors file beside it")));
        };
        names.insert(name);
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn is_pickle(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && (start.starts_with(b"PK\x03\x04") || (start[0] == 0x80 && (2..=5).contains(&start[1])))
}

fn archive(path: &Path) -> Result<Archive, ModelError> {
    if path.is_file() && is_pickle(path) {
        return Err(ModelError::Pickle { path: path.to_owned() });
    }
    if is_gguf(path) {
        return Ok(Gguf::open(path)?.to_archive()?);
    }
    Ok(Archive::open(path)?)
}

fn is_gguf(path: &Path) -> bool {
    let mut start = [0; 4];
    path.is_file() && fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}
