//! Low-rank adapters (Hu et al. 2021) for Stable Diffusion: small files that change a model's weights as it is opened,
//!
//! ```text
//! W ← W + w·(α/r)·B·A,        A [r, inputs], B [outputs, r],
//! ```
//!
//! with w what the user asks for, and α the file's own (r where it says none). Convolutions are adapted likewise (LoCon),
//! also in Tucker's form with a core [r, r, h, w]. LoHa has the product of two such changes element by element, LoKr the
//! Kronecker product of a matrix and a smaller change; DoRA (Liu et al. 2024) gives the vectors of W + (α/r)·B·A lengths.
//!
//! | names | as in | written by |
//! |---|---|---|
//! | kohya's | `lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight` | sd-scripts, most web sites; also with LDM's blocks |
//! | PEFT's | `unet.down_blocks.0.attentions.0.proj_in.lora_A.weight`, also below `base_model.model.` | diffusers, PEFT |
//! | diffusers' older | `unet.….attn1.processor.to_q_lora.down.weight` | diffusers before PEFT |

mod change;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yuragi_graph::{HostTensor, Params};
use yuragi_models::stable_diffusion::ADAPTER;

use crate::checkpoint::{Archive, Checkpoint, CheckpointError, Tensor};
use change::{Change, Factor, Misfit, change};
use names::{Blocks, Letter, Role};

/// The file of an adapter in PEFT's folder, and in diffusers'.
const FILES: [&str; 2] = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"];

/// An adapter could not be read or does not fit.
#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    /// The file is damaged or no safetensors file.
    #[error(transparent)]
    Archive(#[from] CheckpointError),
    /// A folder's configuration cannot be understood.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file holds no adapter.
    #[error("{origin} holds no LoRA: none of its {count} tensors is named as one")]
    Absent {
        /// The file.
        origin: String,
        /// Its tensors.
        count: usize,
    },
    /// The parts of a module do not fit each other.
    #[error("{origin}: `{module}` {reason}")]
    Module {
        /// The file.
        origin: String,
        /// The module.
        module: String,
        /// What is wrong.
        reason: String,
    },
    /// What is for this model is of a kind that is not known.
    #[error("{origin}: `{module}` has {part:?}, which is no part of a LoRA, LoCon, LoHa, LoKr or DoRA")]
    Kind {
        /// The file.
        origin: String,
        /// The first such module.
        module: String,
        /// The part that is not known.
        part: String,
    },
    /// Nothing in the file is for this model.
    #[error("{origin} is for another model: none of its {count} modules fits, the first is `{first}`")]
    Foreign {
        /// The file.
        origin: String,
        /// Its modules.
        count: usize,
        /// The first of them.
        first: String,
    },
}

/// An adapter that was opened.
#[derive(Debug)]
pub struct Lora {
    archive: Archive,
    modules: BTreeMap<String, Module>,
    /// Tensors that are no part of such a module.
    unknown: Vec<String>,
    /// What α is where the file's tensors do not say it, for each part of a model; an empty name is all.
    alphas: BTreeMap<String, f64>,
    /// Whether α is divided by √r (rank-stabilised).
    rooted: bool,
    /// The rank that a folder tells.
    rank: Option<f64>,
}

/// The tensors of one module, by their roles.
type Module = BTreeMap<Role, String>;

/// What of an adapter is for one part of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// `unet`, `text_encoder` or `text_encoder_2`.
    pub part: &'static str,
    /// Weights that it changes.
    pub modules: usize,
    /// Its ranks.
    pub ranks: BTreeSet<usize>,
    /// What it is made of: LoRA, LoHa, LoKr, DoRA, or whole differences.
    pub kinds: BTreeSet<&'static str>,
}

/// What became of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// How many tensors of the model it changed.
    pub changed: usize,
    /// Its tensors that nothing was found for.
    pub unused: Vec<String>,
}

/// Whether there is a file at a path, or a folder with one that PEFT or diffusers writes.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    path.is_file() || FILES.iter().any(|name| path.join(name).is_file())
}

impl Lora {
    /// Opens a file, or a folder as PEFT or diffusers writes it.
    ///
    /// # Errors
    /// Damaged files, and those without an adapter; nothing is said yet of whether it fits a model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoraError> {
        let path = path.as_ref();
        let mut alphas = BTreeMap::new();
        let (mut rooted, mut rank) = (false, None);
        let file = if path.is_dir() {
            let config = path.join("adapter_config.json");
            if config.is_file() {
                let wrong = |reason: String| LoraError::Config { path: config.clone(), reason };
                let text = fs::read_to_string(&config).map_err(|error| wrong(error.to_string()))?;
                let value: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
                let alpha = value["lora_alpha"].as_f64().or(value["alpha"].as_f64());
                alphas.extend(alpha.map(|alpha| (String::new(), alpha)));
                rank = value["r"].as_f64().filter(|rank| *rank > 0.0);
                rooted = value["use_rslora"].as_bool() == Some(true);
            }
            FILES.map(|name| path.join(name)).into_iter().find(|file| file.exists()).unwrap_or(path.join(FILES[0]))
        } else {
            path.to_owned()
        };
        let mut lora = Self::new(Archive::open(file)?)?;
        lora.alphas.extend(alphas);
        lora.rooted |= rooted;
        lora.rank = rank;
        Ok(lora)
    }

    /// The adapter of an archive.
    ///
    /// # Errors
    /// [`LoraError::Absent`].
    pub fn new(archive: Archive) -> Result<Self, LoraError> {
        let (mut modules, mut unknown) = (BTreeMap::<String, Module>::new(), Vec::new());
        let stored = archive.names();
        for name in &stored {
            match names::module(name) {
                // Of a second tensor of one role, in another spelling, the first is not used.
                Some((module, role)) => unknown.extend(modules.entry(module).or_default().insert(role, name.clone())),
                None => unknown.push(name.clone()),
            }
        }
        if !modules.values().flat_map(BTreeMap::keys).any(Role::is_change) {
            return Err(LoraError::Absent { origin: archive.origin().to_owned(), count: stored.len() });
        }
        // diffusers keeps PEFT's configuration in the header.
        let told = archive.settings().get("lora_adapter_metadata").and_then(|text| serde_json::from_str(text).ok());
        let told: Value = told.unwrap_or_default();
        let alpha = |part: &str| Some((part.to_owned(), told.get(format!("{part}.lora_alpha"))?.as_f64()?));
        let alphas = names::PARTS.iter().filter_map(|part| alpha(part)).collect();
        let rooted = names::PARTS.iter().any(|part| told[format!("{part}.use_rslora")].as_bool() == Some(true));
        Ok(Self { archive, modules, unknown, alphas, rooted, rank: None })
    }

    /// What it was opened from, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.archive.origin()
    }

    /// How many weights it is for.
    #[must_use]
    pub fn count(&self) -> usize {
        self.modules.len()
    }

    /// The parts of a model that it is for.
    #[must_use]
    pub fn parts(&self) -> Vec<Share> {
        let of = |part: &'static str| {
            let modules = self.modules.iter().filter(|(key, _)| names::part(key) == Some(part));
            let mut share = Share { part, modules: 0, ranks: BTreeSet::new(), kinds: BTreeSet::new() };
            for (_, module) in modules {
                let down = module.iter().filter(|(role, _)| matches!(role, Role::Part(_, Letter::A)));
                let shapes = down.filter_map(|(_, name)| self.archive.shape(name).ok());
                share.ranks.extend(shapes.filter_map(|shape| shape.first().copied()));
                share.kinds.extend(module.keys().filter_map(|role| role.kind()));
                share.modules += 1;
            }
            share
        };
        names::PARTS.into_iter().map(of).filter(|share| share.modules > 0).collect()
    }

    /// What the file says of its making, by its own names.
    #[must_use]
    pub fn settings(&self) -> &BTreeMap<String, String> {
        self.archive.settings()
    }

    /// Tensors that are no part of an adapter.
    #[must_use]
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Adds it, `weight` times, to the weights of a Stable Diffusion model under diffusers' names; they keep their
    /// type, rounded anew. Either all that fits is added or, in an error, nothing.
    ///
    /// # Errors
    /// [`LoraError::Module`] for parts that do not fit each other or the model, or that are not finite, and
    /// [`LoraError::Foreign`].
    pub fn merge(&self, params: &mut Params, weight: f32) -> Result<Merged, LoraError> {
        let blocks = Blocks::of(params.iter().map(|(name, _)| name));
        let (mut used, mut changed, mut strange) = (BTreeSet::new(), Vec::new(), None);
        for (name, tensor) in params.iter() {
            let (path, is_bias) = match (name.strip_suffix(".weight"), name.strip_suffix(".bias")) {
                (Some(path), _) => (path, false),
                (_, Some(path)) => (path, true),
                _ => continue,
            };
            let keys = [Some(names::key(path)), blocks.ldm(path)].into_iter().flatten();
            for key in keys {
                let Some(module) = self.modules.get(&key) else { continue };
                let merged = match is_bias {
                    true => self.shifted(&key, module, tensor, weight)?,
                    false => self.adapted(&key, module, tensor, weight)?,
                };
                match merged {
                    Some(merged) => {
                        changed.push((name.to_owned(), merged));
                        used.insert(key);
                    }
                    None => strange = strange.or(module.get(&Role::Other).map(|part| (key, part.clone()))),
                }
            }
        }
        if changed.is_empty() {
            let (origin, count) = (self.origin().to_owned(), self.modules.len());
            if let Some((module, part)) = strange {
                let [module, part] = [module, part].map(|name| crate::read::shown(&name));
                return Err(LoraError::Kind { origin, module, part });
            }
            let first = self.modules.keys().next().cloned().unwrap_or_default();
            return Err(LoraError::Foreign { origin, count, first });
        }
        let unused = self.modules.iter().filter(|(key, _)| !used.contains(*key));
        let unused = unused.flat_map(|(_, module)| module.values()).chain(&self.unknown).cloned();
        let mut merged = Merged { changed: changed.len(), unused: unused.collect() };
        merged.unused.sort();
        for (name, tensor) in changed {
            params.insert(&name, tensor);
        }
        Ok(merged)
    }

    /// A weight with its module's change; `None` for a module of another kind.
    fn adapted(
        &self,
        key: &str,
        module: &Module,
        tensor: &HostTensor,
        weight: f32,
    ) -> Result<Option<HostTensor>, LoraError> {
        let fault = |reason: String| {
            let module = crate::read::shown(key);
            LoraError::Module { origin: self.origin().to_owned(), module, reason }
        };
        let read = |role: Role| module.get(&role).map(|name| self.factor(name)).transpose();
        let shape = tensor.shape();
        let [outputs, inputs] = [0, 1].map(|axis| shape.get(axis).copied().unwrap_or(1));
        let taps = shape.iter().skip(2).product();
        let misfit = |parts: &[Vec<usize>]| {
            fault(format!("has parts of shapes {parts:?}, but the model's weight has {:?}", &*shape))
        };
        let parts = || {
            let parts = module.iter().filter(|(role, _)| role.is_change() && **role != Role::BiasDifference);
            parts.map(|(_, name)| name)
        };
        let (change, rank) = match change(|role| Ok(read(role)?), [outputs, inputs, taps]) {
            Ok(Some(found)) if shape.len() >= 2 || matches!(found.0, Change::Whole(_)) => found,
            Ok(Some(_)) => {
                let shapes = parts().filter_map(|name| self.archive.shape(name).ok());
                return Err(misfit(&shapes.collect::<Vec<_>>()));
            }
            Ok(None) if module.contains_key(&Role::Other) || parts().next().is_none() => return Ok(None),
            Ok(None) => {
                let parts: Vec<&str> = parts().map(|name| names::end(name)).collect();
                return Err(fault(format!("lacks a factor: it has only {}", parts.join(", "))));
            }
            Err(Fault::Misfit(Misfit(parts))) => return Err(misfit(&parts)),
            Err(Fault::Lora(error)) => return Err(error),
        };
        let told =
            |all: &BTreeMap<String, f64>| names::part(key).and_then(|part| all.get(part)).or(all.get("")).copied();
        let alpha = match read(Role::Alpha)? {
            Some(alpha) => alpha.values.first().map(|alpha| f64::from(*alpha)),
            None => told(&self.alphas),
        };
        let scale = match rank {
            None if matches!(change, Change::Whole(_)) => 1.0,
            Some(rank) => {
                let rank = rank as f64;
                alpha.unwrap_or(rank) / if self.rooted { rank.sqrt() } else { rank }
            }
            // Of whole factors, only a configuration can say the rank that they stand for.
            None => told(&self.alphas).zip(self.rank).map_or(1.0, |(alpha, rank)| alpha / rank),
        };
        let before = tensor.to_f32();
        let mut values = before.clone();
        let row = inputs * taps;
        let (mut added, mut other) = (vec![0.0; row], vec![0.0; row]);
        let lengths = match (read(Role::Magnitude)?, read(Role::Lengths)?) {
            (None, None) => None,
            (Some(lengths), _) if lengths.values.len() == outputs => Some((lengths.values, true)),
            (None, Some(lengths)) if lengths.rows == outputs && lengths.columns == 1 => Some((lengths.values, true)),
            (None, Some(lengths)) if lengths.rows == 1 && lengths.columns == inputs => Some((lengths.values, false)),
            (lengths, others) => {
                let parts = [lengths, others].into_iter().flatten().map(|part| part.shape);
                return Err(misfit(&parts.collect::<Vec<_>>()));
            }
        };
        let factor = if lengths.is_some() { scale as f32 } else { (f64::from(weight) * scale) as f32 };
        for (number, values) in values.chunks_exact_mut(row.max(1)).enumerate() {
            change.row(number, &mut added, &mut other);
            values.iter_mut().zip(&added).for_each(|(x, change)| *x += factor * change);
        }
        if let Some((lengths, of_outputs)) = lengths {
            let place = |i: usize| if of_outputs { i / row } else { i / taps % inputs };
            stretch(&mut values, &lengths, place);
            values.iter_mut().zip(&before).for_each(|(x, before)| *x = before + weight * (*x - before));
        }
        if values.iter().any(|x| !x.is_finite()) {
            return Err(fault("makes weights that are not finite".into()));
        }
        Ok(HostTensor::rounded(shape, tensor.dtype(), values))
    }

    /// A bias with its module's difference, if there is one.
    fn shifted(
        &self,
        key: &str,
        module: &Module,
        tensor: &HostTensor,
        weight: f32,
    ) -> Result<Option<HostTensor>, LoraError> {
        let Some(name) = module.get(&Role::BiasDifference) else { return Ok(None) };
        let (mut values, difference) = (tensor.to_f32(), self.factor(name)?);
        let fault = |reason: String| {
            let module = crate::read::shown(key);
            LoraError::Module { origin: self.origin().to_owned(), module, reason }
        };
        if difference.values.len() != values.len() {
            let (part, bias) = (difference.shape, tensor.shape());
            return Err(fault(format!("has a diff_b of shape {part:?}, but the model's bias has {:?}", &*bias)));
        }
        values.iter_mut().zip(&difference.values).for_each(|(x, change)| *x += weight * change);
        if values.iter().any(|x| !x.is_finite()) {
            return Err(fault("makes biases that are not finite".into()));
        }
        Ok(HostTensor::rounded(tensor.shape(), tensor.dtype(), values))
    }

    fn factor(&self, name: &str) -> Result<Factor, LoraError> {
        let tensor = self.archive.tensor(name)?;
        let values = tensor.to_f32();
        let rows = tensor.shape().first().copied().unwrap_or(1);
        let columns = tensor.shape().iter().skip(1).product();
        Ok(Factor { rows, columns, shape: tensor.shape().to_vec(), values })
    }
}

/// Why a module does not change a weight.
enum Fault {
    Lora(LoraError),
    Misfit(Misfit),
}

impl From<LoraError> for Fault {
    fn from(error: LoraError) -> Fault {
        Fault::Lora(error)
    }
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Fault {
        Fault::Misfit(misfit)
    }
}

/// Gives vectors of weights these lengths (DoRA, Liu et al. 2024); `place` tells to which of them a weight belongs.
fn stretch(values: &mut [f32], lengths: &[f32], place: impl Fn(usize) -> usize) {
    let mut squares = vec![0.0_f64; lengths.len()];
    for (i, x) in values.iter().enumerate() {
        squares[place(i)] += f64::from(*x) * f64::from(*x);
    }
    // Zeros have no direction, and stay.
    let factor = |square: f64, length: f32| if square > 0.0 { f64::from(length) / square.sqrt() } else { 1.0 };
    let factors: Vec<f64> = squares.iter().zip(lengths).map(|(square, length)| factor(*square, *length)).collect();
    for (i, x) in values.iter_mut().enumerate() {
        *x = (f64::from(*x) * factors[place(i)]) as f32;
    }
}

/// Writes an adapter of rank and α in kohya's names, for a model of so many text encoders. Its parameters come under the names
/// of the layers, with the ends of [`ADAPTER`]; matrices of layers that are `pointwise` convolutions in the model's files get
/// the shapes of such.
///
/// # Errors
/// A file that cannot be written.
pub fn save<'a>(
    path: &Path,
    parameters: impl IntoIterator<Item = (&'a str, &'a HostTensor)>,
    pointwise: impl Fn(&str) -> bool,
    encoders: usize,
    [rank, alpha]: [f32; 2],
) -> Result<(), CheckpointError> {
    let mut file = Checkpoint::default();
    file.set("ss_network_module", "networks.lora");
    file.set("ss_network_dim", rank);
    file.set("ss_network_alpha", alpha);
    for (name, tensor) in parameters {
        let part = ADAPTER.iter().find_map(|end| Some((name.strip_suffix(end)?.strip_suffix('.')?, end)));
        let Some((layer, end)) = part else { continue };
        let mut shape = tensor.shape().to_vec();
        if shape.len() == 2 && pointwise(layer) {
            shape.extend([1, 1]);
        }
        let module = names::kohya(layer, encoders);
        file.insert(format!("{module}.{end}"), Tensor::from_values(&shape, &tensor.to_f32())?);
    }
    file.save(path)
}
