//! GGUF files: named tensors, many of them in blocks of 2 to 8 bits a weight, as stable-diffusion.cpp writes them.
//!
//! Versions 2 and 3 of the format, little-endian. The whole header is checked against the file's length before any
//! tensor can be asked for: counts, names, shapes, alignment, places and overlaps.
//!
//! ```no_run
//! use yuragi_io::gguf::Gguf;
//! let file = Gguf::open("sd-v1-5-q8_0.gguf")?;
//! for tensor in file.tensors() {
//!     println!("{} {:?} {}", tensor.name, tensor.shape, tensor.kind);
//! }
//! # Ok::<(), yuragi_io::gguf::GgufError>(())
//! ```

mod blocks;
mod header;
mod tensor;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use half::f16;

pub use blocks::Kind;
pub use header::{MAGIC, Value};
pub use tensor::Tensor;

use crate::checkpoint::{Archive, Bytes, Checkpoint, CheckpointError, DType, Tensor as Stored};

/// A GGUF file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bytes are no GGUF file of versions 2 or 3.
    #[error("{origin} is no GGUF file: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// There is no tensor of this name.
    #[error("{origin} has no tensor `{name}`")]
    Missing {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
    },
    /// The tensors cannot be handed on.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A file that was opened and found whole.
#[derive(Debug)]
pub struct Gguf {
    origin: String,
    bytes: Bytes,
    values: BTreeMap<String, Value>,
    tensors: Vec<Tensor>,
    places: BTreeMap<String, usize>,
}

impl Gguf {
    /// Opens a file by mapping it into memory; it must not be cut short by another program while it is open.
    ///
    /// # Errors
    /// [`GgufError::Read`] or [`GgufError::Format`], naming the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, GgufError> {
        let path = path.as_ref();
        let bytes = Bytes::open(path).map_err(|source| GgufError::Read { path: path.to_owned(), source })?;
        Self::new(path.display().to_string(), bytes)
    }

    /// Opens a file in memory.
    ///
    /// # Errors
    /// [`GgufError::Format`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GgufError> {
        Self::new("the GGUF file in memory".to_owned(), Bytes::Owned(bytes))
    }

    fn new(origin: String, bytes: Bytes) -> Result<Self, GgufError> {
        match header::read(bytes.as_ref()) {
            Ok((values, tensors)) => {
                let places = tensors.iter().map(|tensor| tensor.name.clone()).zip(0..).collect();
                Ok(Self { origin, bytes, values, tensors, places })
            }
            Err(reason) => Err(GgufError::Format { origin, reason }),
        }
    }

    /// What it was opened from, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the file says of itself, by key.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// Its tensors, in the order of the file.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of a name.
    ///
    /// # Errors
    /// [`GgufError::Missing`].
    pub fn tensor(&self, name: &str) -> Result<&Tensor, GgufError> {
        let missing = || GgufError::Missing { origin: self.origin.clone(), name: name.to_owned() };
        self.places.get(name).map(|place| &self.tensors[*place]).ok_or_else(missing)
    }

    /// A tensor's bytes as they are stored.
    #[must_use]
    pub fn bytes(&self, tensor: &Tensor) -> &[u8] {
        self.bytes.as_ref().get(tensor.range.clone()).unwrap_or_default()
    }

    /// The values of a tensor.
    ///
    /// # Errors
    /// [`GgufError::Missing`].
    pub fn f32(&self, name: &str) -> Result<Vec<f32>, GgufError> {
        let tensor = self.tensor(name)?;
        let mut out = vec![0.0; tensor.count()];
        tensor.kind.decode(self.bytes(tensor), &mut out);
        Ok(out)
    }

    /// The tensors as an [`Archive`] in memory: what is stored in blocks is rounded to 16 bits, all else is as it was.
    ///
    /// # Errors
    /// [`GgufError::Checkpoint`] for a tensor that is called `__metadata__`.
    pub fn to_archive(&self) -> Result<Archive, GgufError> {
        let mut checkpoint = Checkpoint::default();
        for (key, value) in &self.values {
            if let Value::Text(text) = value {
                checkpoint.set(key, text);
            }
        }
        for tensor in &self.tensors {
            let bytes = self.bytes(tensor);
            let shape = tensor.shape.clone();
            let stored = match tensor.kind {
                Kind::F32 => Stored::new(DType::F32, shape, bytes)?,
                Kind::F16 => Stored::new(DType::F16, shape, bytes)?,
                Kind::Bf16 => Stored::new(DType::BF16, shape, bytes)?,
                kind => Stored::new(DType::F16, shape, halves(kind, bytes, tensor.count()))?,
            };
            checkpoint.insert(&tensor.name, stored);
        }
        Ok(Archive::from_named_bytes(self.origin.clone(), checkpoint.to_bytes()?)?)
    }
}

/// Blocks as numbers of 16 bits.
fn halves(kind: Kind, bytes: &[u8], count: usize) -> Vec<u8> {
    let (values, size) = kind.block();
    let mut block = vec![0.0; values];
    let mut out = Vec::with_capacity(2 * count);
    for stored in bytes.chunks_exact(size) {
        kind.decode(stored, &mut block);
        block.iter().for_each(|value| out.extend(f16::from_f32(*value).to_le_bytes()));
    }
    out
}

#[cfg(test)]
mod tests;
