//! The model that a command draws by: which one, and how it is opened.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, value_parser};
use yuragi::{
    Failure,
    cpu::Residency,
    decoder::Decoder,
    graph::Params,
    io::{checkpoint::Archive, stable_diffusion},
    machine::{Machine, Work},
    model::Model,
    models::{generator::Pipeline, latent_diffusion::Drawing},
    train::{Run, Stage, lora},
};

use super::common::{DeviceFlags, harmless_name, processor};

/// Which model, and on how much of the machine.
#[derive(Args)]
pub struct ModelFlags {
    /// A model or training checkpoint, the folder of a training, or a Stable Diffusion checkpoint (a diffusers folder or one
    /// .safetensors or .gguf) [default: the built-in model]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Decode by this file of `yuragi train decoder`, or by the decoder of another model with the same latents [default: the
    /// model's own]
    #[arg(long, value_name = "FILE")]
    decoder: Option<PathBuf>,
    /// Threads; the pictures do not depend on them [default: all cores]
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// What a checkpoint may take: low gives each weight back when it was read, balanced with its network, and both decode
    /// pictures one by one, in bands, to the same bits; fast keeps all. On a GPU all weights stay, and low keeps no copies of
    /// them as its kernels read them
    #[arg(long, default_value = "balanced", value_name = "MODE")]
    memory: Weights,
    #[command(flatten)]
    device: DeviceFlags,
}

/// How much of a mapped checkpoint stays in memory.
#[derive(Clone, Copy, ValueEnum)]
pub enum Weights {
    Low,
    Balanced,
    Fast,
}

impl Weights {
    /// When it is given back.
    pub fn residency(self) -> Residency {
        match self {
            Weights::Low => Residency::Launch,
            Weights::Balanced => Residency::State,
            Weights::Fast => Residency::Kept,
        }
    }

    /// Whether pictures are decoded in bands, for memory.
    fn bands(self) -> bool {
        !matches!(self, Weights::Fast)
    }
}

impl ModelFlags {
    /// The model and its name; of the built-in one the encoder of pictures, too, if it encodes.
    pub fn open(&self, encodes: bool) -> Result<(Model, String), Failure> {
        let (model, name) = own(self.model.as_deref(), encodes)?;
        Ok((decoded_by(model, self.decoder.as_deref())?, name))
    }

    /// A model of any family that draws, and its name, as [`open`](Self::open) takes it.
    pub fn load(&self, encodes: bool) -> Result<(Loaded, String), Failure> {
        Ok(match load(self.model.as_deref(), encodes)? {
            (Loaded::Own(model), name) => (Loaded::Own(Box::new(decoded_by(*model, self.decoder.as_deref())?)), name),
            (_, name) if self.decoder.is_some() => {
                return Err(Failure::new(format!(
                    "`--decoder` is for models of this program, and {name} is a Stable Diffusion checkpoint"
                )));
            }
            loaded => loaded,
        })
    }

    /// The machine that computes.
    pub fn machine(&self, work: Work) -> Result<Machine, Failure> {
        let work = Work { frugal: matches!(self.memory, Weights::Low), ..work };
        self.device.machine(processor(self.threads).residency(self.memory.residency()), work)
    }

    /// Whether pictures are decoded in bands.
    pub fn bands(&self, machine: &Machine) -> bool {
        self.memory.bands() && !machine.is_gpu()
    }
}

/// The model of this program at a path, or the built-in one, to draw by, and its name; whole if it encodes pictures.
fn own(path: Option<&Path>, encodes: bool) -> Result<(Model, String), Failure> {
    match path {
        Some(path) if encodes => open(path),
        Some(path) => open_by(path, Model::read_to_draw),
        None => Ok((builtin(encodes)?, "yuragi-emoji".to_owned())),
    }
}

/// The model of any family that draws at a path, or the built-in one, and its name.
pub fn load(path: Option<&Path>, encodes: bool) -> Result<(Loaded, String), Failure> {
    match path {
        Some(path) if stable_diffusion::is_there(path) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((Loaded::StableDiffusion(Box::new(yuragi::stable_diffusion::open(path)?)), name))
        }
        _ => own(path, encodes).map(|(model, name)| (Loaded::Own(Box::new(model)), name)),
    }
}

/// A model that draws.
pub enum Loaded {
    /// Trained by this program.
    Own(Box<Model>),
    /// A checkpoint of Stable Diffusion.
    StableDiffusion(Box<yuragi::stable_diffusion::Loaded>),
}

impl Loaded {
    /// What draws, and its weights.
    pub fn into_parts(self) -> Result<(Box<dyn Pipeline + Send + Sync>, Params), Failure> {
        Ok(match self {
            Loaded::Own(model) => (Box::new(Drawing::new(model.settings, model.tokenizer)?), model.params),
            Loaded::StableDiffusion(loaded) => (Box::new(loaded.drawing), loaded.params),
        })
    }
}

#[cfg(feature = "builtin")]
fn builtin(encodes: bool) -> Result<Model, Failure> {
    if encodes { yuragi::builtin_whole() } else { yuragi::builtin() }
}

#[cfg(not(feature = "builtin"))]
fn builtin(_encodes: bool) -> Result<Model, Failure> {
    Err(Failure::new("this program was built without a model: name one with `--model`"))
}

/// A model's file: of a training's folder, the finished model or else the checkpoint.
pub fn file_of(path: &Path) -> PathBuf {
    let model = path.join("model.safetensors");
    match path.is_dir() {
        true if model.exists() => model,
        true => Run::checkpoint(path),
        false => path.to_owned(),
    }
}

/// The file of a model of this program at a path, opened.
///
/// # Errors
/// Also a folder without one, and a file of tensors that are of no such model.
pub fn archive_of(path: &Path) -> Result<(PathBuf, Archive), Failure> {
    let (file, shown) = (file_of(path), path.display());
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let part = folder.and_then(Path::parent).filter(|above| above.join("model_index.json").is_file());
    // Beside a relative path of one part lies what is here.
    let part = part.map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    let part = || part.map(|above| format!("it is a part of a diffusers folder: name {}", above.display()));
    if path.is_dir() && !file.exists() {
        let file = file.file_name().unwrap_or_default().display().to_string();
        let what = part().unwrap_or_else(|| format!("it has neither {file} nor diffusers' `unet`"));
        return Err(Failure::new(format!("{shown} holds no model: {what}")));
    }
    let archive = Archive::open(&file)?;
    // Whatever this program writes says something of itself.
    if !archive.settings().keys().any(|key| key != "format") {
        let names = archive.names();
        let first = names.iter().take(3).map(|name| harmless_name(name)).collect::<Vec<_>>().join(", ");
        let what = part().unwrap_or_else(|| match names.len() {
            0 => "no tensors".to_owned(),
            1 => format!("1 tensor, {first}"),
            count => format!("{count} tensors, the first are {first}"),
        });
        return Err(Failure::new(format!("{shown} holds no model that is known here: {what}")));
    }
    Ok((file, archive))
}

/// The model at a path, whole, and its name.
pub fn open(path: &Path) -> Result<(Model, String), Failure> {
    open_by(path, Model::read)
}

fn open_by(path: &Path, read: fn(&Archive) -> Result<Model, Failure>) -> Result<(Model, String), Failure> {
    let (path, archive) = archive_of(path)?;
    if lora::is_in(&archive) {
        let (path, file) = (path.display(), path.with_file_name(lora::FILE));
        let (model, file) = (archive.setting::<String>("model")?, file.display());
        return Err(Failure::new(format!(
            "{path} is the training of a LoRA: draw with `--model {model} --lora {file}`, which is there when it has ended"
        )));
    }
    let model = read(&archive).map_err(|failure| {
        let (path, reason) = (path.display().to_string(), failure.to_string());
        if archive.setting::<String>("stage").is_ok_and(|stage| stage == Stage::Autoencoder.name()) {
            return Failure::new(format!("{path} cannot draw yet: its training has not got beyond the autoencoder"));
        }
        if Decoder::is_alone(&archive) {
            return Failure::new(format!("{path} is the decoder of a model: name it with `--decoder`"));
        }
        let named = reason.starts_with(&path);
        Failure::new(if named { reason } else { format!("{path} is no model of this program: {reason}") })
    })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((model, name))
}

/// A model with the decoder of a file, where one is named.
pub fn decoded_by(model: Model, decoder: Option<&Path>) -> Result<Model, Failure> {
    let Some(path) = decoder else { return Ok(model) };
    let (path, file) = archive_of(path)?;
    let decoder = Decoder::read(&file).and_then(|decoder| model.with_decoder(decoder));
    decoder.map_err(|failure| Failure::new(format!("{}: {failure}", path.display())))
}
