//! Checkpoints: named tensors and settings in one [safetensors](https://github.com/huggingface/safetensors) file.
//!
//! [`Checkpoint`] is what is written; [`Archive`] is a file that was opened, memory-mapped or built into the program.
//! Settings stand in the header as strings, where every safetensors tool shows them. The same content gives the same
//! bytes.

mod archive;
mod header;
mod tensor;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

pub use archive::Archive;
#[cfg(feature = "all")]
pub(crate) use archive::{Bytes, Place};
pub use tensor::{DType, Element, Tensor};

use crate::atomic::{self, WriteError};
use crate::quantize::{self, Groups};

/// The name of a training's checkpoint in its folder.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// A checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be opened or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes are not a safetensors file.
    #[error("{origin} is not a safetensors file: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// The file ends too early.
    #[error("{origin} is cut short: it has {have} bytes of {want}")]
    Truncated {
        /// The file.
        origin: String,
        /// Bytes present.
        have: u64,
        /// Bytes that its header promises.
        want: u64,
    },
    /// There is no tensor of this name.
    #[error("{origin} has no tensor `{name}`")]
    Missing {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the model wants.
    #[error("tensor `{name}` has shape {have:?}, not {want:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        have: Vec<usize>,
        /// The shape wanted.
        want: Vec<usize>,
    },
    /// A tensor has an element type that cannot be used.
    #[error("tensor `{name}` has elements of type {have}, which cannot be used here")]
    Type {
        /// The tensor.
        name: String,
        /// Its element type.
        have: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor `{name}` has the value {value} at index {index}; all weights must be finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Index of the first such weight, in row-major order.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A weight is too large for 16 bits, or for groups with scales of 16 bits.
    #[error("tensor `{name}` has the value {value} at index {index}; 16 bits or fewer hold -65504 to 65504")]
    Large {
        /// The tensor.
        name: String,
        /// Index of the first such weight, in row-major order.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// Bytes with scales are no [groups of weights](crate::quantize).
    #[error(
        "tensor `{name}` has scales and the shape {have:?}, which no groups have; legal is \
         [groups, 1 to 128, 4, 5, 6 or 8]"
    )]
    Groups {
        /// The tensor.
        name: String,
        /// Its shape.
        have: Vec<usize>,
    },
    /// The number of values does not match the shape.
    #[error("shape {shape:?} does not hold {have} values")]
    Length {
        /// The shape given.
        shape: Vec<usize>,
        /// How many values were given.
        have: usize,
    },
    /// A setting is absent or cannot be understood.
    #[error("{origin}: setting `{key}` is {}", value.as_ref().map_or("missing".into(), |v| format!("`{v}`, which is not understood")))]
    Setting {
        /// The file.
        origin: String,
        /// The setting.
        key: String,
        /// Its value, if present.
        value: Option<String>,
    },
    /// A tensor cannot be called so.
    #[error("a tensor cannot be called `{name}`: safetensors keeps the settings there")]
    Name {
        /// The name.
        name: String,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Named tensors and settings, to be written as one file.
///
/// ```
/// use yuragi_io::{Checkpoint, Tensor, checkpoint::Archive, quantize::Groups};
/// let mut checkpoint = Checkpoint::default();
/// checkpoint.set("width", 48);
/// checkpoint.insert("conv.weight", Tensor::from_values(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0])?);
/// let groups = Groups::new(8, 32).unwrap();
/// checkpoint.insert_grouped("linear.weight", &[3, 1], &[0.5, -1.0, 0.25], groups)?;
///
/// let archive = Archive::from_bytes(checkpoint.to_bytes()?)?;
/// assert_eq!(archive.setting::<usize>("width")?, 48);
/// assert_eq!(archive.f32("conv.weight", &[2, 2])?, [1.0, 2.0, 3.0, 4.0]);
/// assert!((archive.f32("linear.weight", &[3, 1])?[0] - 0.5).abs() < 0.005);
/// # Ok::<(), yuragi_io::CheckpointError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint<'a> {
    settings: BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor<'a>>,
}

impl<'a> Checkpoint<'a> {
    /// Sets a setting to the text of `value`, replacing what it was.
    pub fn set(&mut self, key: impl Into<String>, value: impl ToString) {
        self.settings.insert(key.into(), value.to_string());
    }

    /// Adds a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor<'a>) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Adds weights in half precision.
    ///
    /// # Errors
    /// [`CheckpointError::Length`] if `values` do not fill `shape`, [`CheckpointError::NotFinite`],
    /// [`CheckpointError::Large`].
    pub fn insert_half(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<(), CheckpointError> {
        check_half(name, values)?;
        self.insert(name, Tensor::from_values(shape, values)?.to_f16());
        Ok(())
    }

    /// Adds weights in [groups](quantize), with their scales under `name.scale` and their shape in the settings;
    /// [`Archive::f32`] gives them back as f32.
    ///
    /// # Errors
    /// As for [`insert_half`](Checkpoint::insert_half).
    pub fn insert_grouped(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
        groups: Groups,
    ) -> Result<(), CheckpointError> {
        tensor::check_length(shape, values.len())?;
        check_half(name, values)?;
        let (codes, scales) = groups.encode(values);
        self.insert(name, Tensor::new(DType::U8, groups.shape(values.len()).to_vec(), codes)?);
        self.insert(quantize::scale_name(name), Tensor::new(DType::F16, vec![scales.len() / 2], scales)?);
        let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
        self.set(quantize::shape_key(name), extents.join(","));
        Ok(())
    }

    /// The settings, by key.
    #[must_use]
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// The tensors, by name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, Tensor<'a>> {
        &self.tensors
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`CheckpointError::Write`], naming the path, or [`CheckpointError::Name`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
        self.check()?;
        Ok(atomic::write_with(path, |file| self.write(file))?)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`CheckpointError::Name`] for a tensor that is called `__metadata__`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        self.check()?;
        let mut bytes = Vec::new();
        let path = PathBuf::from("memory");
        self.write(&mut bytes).map_err(|source| WriteError { path, source })?;
        Ok(bytes)
    }

    fn check(&self) -> Result<(), CheckpointError> {
        match self.tensors.get_key_value(METADATA) {
            Some((name, _)) => Err(CheckpointError::Name { name: name.clone() }),
            None => Ok(()),
        }
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        // Large elements first, as the format's own library does: every tensor is then aligned to its elements.
        let mut order: Vec<_> = self.tensors.iter().collect();
        order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size()));
        let mut header = serde_json::to_vec(&Header { settings: &self.settings, order: &order })?;
        header.resize(header.len().next_multiple_of(8), b' ');
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(&header)?;
        order.iter().try_for_each(|(_, tensor)| to.write_all(tensor.bytes()))
    }
}

/// The key of the settings in the header.
const METADATA: &str = "__metadata__";

struct Header<'a> {
    settings: &'a BTreeMap<String, String>,
    order: &'a [(&'a String, &'a Tensor<'a>)],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.settings.is_empty() {
            map.serialize_entry(METADATA, self.settings)?;
        }
        let mut start = 0;
        for (name, tensor) in self.order {
            let end = start + tensor.bytes().len();
            let entry = safetensors::tensor::TensorInfo {
                dtype: tensor.dtype().into(),
                shape: tensor.shape().to_vec(),
                data_offsets: (start, end),
            };
            map.serialize_entry(name, &entry)?;
            start = end;
        }
        map.end()
    }
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), CheckpointError> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(CheckpointError::NotFinite { name: name.to_owned(), index, value: values[index] }),
        None => Ok(()),
    }
}

fn check_half(name: &str, values: &[f32]) -> Result<(), CheckpointError> {
    check_finite(name, values)?;
    match values.iter().position(|v| v.abs() > quantize::LARGEST) {
        Some(index) => Err(CheckpointError::Large { name: name.to_owned(), index, value: values[index] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
