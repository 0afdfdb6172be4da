use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use half::f16;
use memmap2::Mmap;
use yuragi_graph::{HostTensor, Shape};

use super::header::{self, Header, Info};
use super::{CheckpointError, DType, Tensor, check_finite};
use crate::quantize::{self, Groups};

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// A checkpoint that was opened: its header is checked, its tensors are read when asked for.
#[derive(Debug)]
pub struct Archive {
    origin: String,
    bytes: Arc<Bytes>,
    data: usize,
    tensors: BTreeMap<String, Info>,
    settings: BTreeMap<String, String>,
}

/// A tensor as it lies in its file.
#[cfg(feature = "all")]
pub(crate) struct Place<'a> {
    pub dtype: safetensors::Dtype,
    pub shape: &'a [usize],
    /// Its bytes in the file.
    pub range: Range<usize>,
}

/// The bytes of a file.
#[derive(Debug)]
pub(crate) enum Bytes {
    Mapped(Mmap),
    Static(&'static [u8]),
    Owned(Vec<u8>),
}

impl Bytes {
    /// Maps a file into memory; see [`Archive::open`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if meta.len() == 0 {
            // An empty file cannot be mapped.
            return Ok(Self::Static(&[]));
        }
        // SAFETY: the map is read-only and private to this value. Its bytes could only change if another program wrote
        // into the file while it is open, which the documentation forbids; ours replace files by renaming.
        #[allow(unsafe_code)]
        Ok(Self::Mapped(unsafe { Mmap::map(&file) }?))
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl yuragi_graph::Bytes for Bytes {
    fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self
            && range.end <= map.len()
        {
            // SAFETY: the map is of a file and read-only, so the pages hold nothing that the file has not; they are read
            // again when they are touched. That the advice is not followed changes nothing.
            #[allow(unsafe_code)]
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Archive {
    /// Opens a file by mapping it into memory: nothing is read before it is asked for.
    ///
    /// The file must not be cut short by another program while it is open; [`atomic`](crate::atomic) replaces files
    /// without doing so.
    ///
    /// # Errors
    /// [`CheckpointError::Read`], [`CheckpointError::Format`] or [`CheckpointError::Truncated`], naming the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let bytes = Bytes::open(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
        Self::new(path.display().to_string(), bytes)
    }

    /// Opens a checkpoint that is built into the program.
    ///
    /// # Errors
    /// [`CheckpointError::Format`] or [`CheckpointError::Truncated`].
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        Self::new("the built-in model".to_owned(), Bytes::Static(bytes))
    }

    /// Opens a checkpoint in memory.
    ///
    /// # Errors
    /// [`CheckpointError::Format`] or [`CheckpointError::Truncated`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::new("the checkpoint in memory".to_owned(), Bytes::Owned(bytes))
    }

    /// The same under a name for messages.
    #[cfg(feature = "all")]
    pub(crate) fn from_named_bytes(origin: String, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::new(origin, Bytes::Owned(bytes))
    }

    fn new(origin: String, bytes: Bytes) -> Result<Self, CheckpointError> {
        match laid_out(bytes.as_ref()) {
            Ok((data, header)) => {
                let (tensors, settings) = (header.tensors, header.settings);
                Ok(Self { origin, bytes: Arc::new(bytes), data, tensors, settings })
            }
            Err(Fault::Short { want }) => {
                Err(CheckpointError::Truncated { origin, have: bytes.as_ref().len() as u64, want })
            }
            Err(Fault::Wrong(reason)) => Err(CheckpointError::Format { origin, reason }),
        }
    }

    /// What it was opened from, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    #[cfg(feature = "all")]
    /// All bytes of the file, to be borrowed from for as long as anybody needs them.
    pub(crate) fn shared(&self) -> Arc<dyn yuragi_graph::Bytes> {
        self.bytes.clone()
    }

    #[cfg(feature = "all")]
    /// Where the tensor `name` is, of any type that the format has; `None` if there is no such tensor.
    pub(crate) fn place(&self, name: &str) -> Option<Place<'_>> {
        let Info { dtype, shape, range } = self.tensors.get(name)?;
        Some(Place { dtype: *dtype, shape, range: self.data + range.start..self.data + range.end })
    }

    /// All settings, by key.
    #[must_use]
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// The setting `key` as a `T`.
    ///
    /// # Errors
    /// [`CheckpointError::Setting`] if it is absent or not a `T`.
    pub fn setting<T: FromStr>(&self, key: &str) -> Result<T, CheckpointError> {
        let value = self.settings.get(key);
        value.and_then(|text| text.parse().ok()).ok_or_else(|| CheckpointError::Setting {
            origin: self.origin.clone(),
            key: key.to_owned(),
            value: value.cloned(),
        })
    }

    /// The names of all tensors, in the order of their bytes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut places: Vec<_> =
            self.tensors.iter().map(|(name, Info { range, .. })| (range.start, range.end, name)).collect();
        places.sort_unstable();
        places.into_iter().map(|(.., name)| name.clone()).collect()
    }

    /// Whether there is a tensor of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor `name` as it is stored, borrowed.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], or [`CheckpointError::Type`] for an element type that is no [`DType`].
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, CheckpointError> {
        let missing = || CheckpointError::Missing { origin: self.origin.clone(), name: name.to_owned() };
        let Info { dtype, shape, range } = self.tensors.get(name).ok_or_else(missing)?;
        let dtype = DType::try_from(*dtype)
            .map_err(|have| CheckpointError::Type { name: name.to_owned(), have: have.to_string() })?;
        // The header was checked against the length of the bytes when it was opened.
        let bytes = (*self.bytes).as_ref().get(self.data + range.start..self.data + range.end).ok_or_else(missing)?;
        Tensor::new(dtype, shape.clone(), bytes)
    }

    /// The shape of the weights `name`, whether they are stored as they are or [in groups](crate::quantize).
    ///
    /// # Errors
    /// As for [`tensor`](Archive::tensor); for groups also [`CheckpointError::Setting`].
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, CheckpointError> {
        let tensor = self.tensor(name)?;
        if self.groups(name)?.is_none() {
            return Ok(tensor.shape().to_vec());
        }
        let key = quantize::shape_key(name);
        let text: String = self.setting(&key)?;
        let extents: Result<Vec<usize>, _> = text.split(',').map(|extent| extent.trim().parse()).collect();
        let bad = CheckpointError::Setting { origin: self.origin.clone(), key, value: Some(text) };
        extents.map_err(|_| bad)
    }

    /// How the weights `name` are stored in [groups](crate::quantize); `None` if they are not.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Type`], and [`CheckpointError::Groups`] for groups that are
    /// none.
    pub fn groups(&self, name: &str) -> Result<Option<Groups>, CheckpointError> {
        let tensor = self.tensor(name)?;
        if tensor.dtype() != DType::U8 || !self.contains(&quantize::scale_name(name)) {
            return Ok(None);
        }
        let illegal = || CheckpointError::Groups { name: name.to_owned(), have: tensor.shape().to_vec() };
        Groups::of_shape(tensor.shape()).map(Some).ok_or_else(illegal)
    }

    /// The weights `name` as f32, whether stored as f32, f16, bf16 or in 8 bits or fewer ([`quantize`]). Nothing is
    /// taken from memory before the file is known to hold them.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Shape`] if the shape is not `shape`,
    /// [`CheckpointError::NotFinite`], [`CheckpointError::Groups`], [`CheckpointError::Setting`], or
    /// [`CheckpointError::Type`] for integers other than quantised weights.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let tensor = self.tensor(name)?;
        check_shape(name, &self.shape(name)?, shape)?;
        if let Some(groups) = self.groups(name)? {
            let (count, scales) = self.grouped(name, groups, shape)?;
            let mut values = vec![0.0; count];
            groups.decode(tensor.bytes(), scales.bytes(), 0, &mut values);
            return Ok(values);
        }
        let values = if let Some(quantized) = tensor.to_values::<i8>() {
            let scale = quantize::scale_name(name);
            let channels = [shape.last().copied().unwrap_or(1)];
            let scales = self.tensor(&scale)?;
            check_shape(&scale, scales.shape(), &channels)?;
            quantize::by_channel(&quantized, &scales.to_f32())
        } else if tensor.dtype().is_float() {
            tensor.to_f32()
        } else {
            return Err(CheckpointError::Type { name: name.to_owned(), have: tensor.dtype().to_string() });
        };
        check_finite(name, &values)?;
        Ok(values)
    }

    /// The weights `name` as a tensor of this type, rounded to it. Those [in groups](crate::quantize) stay there, as codes,
    /// until they are read: the file's bytes are borrowed.
    ///
    /// # Errors
    /// As for [`f32`](Archive::f32).
    pub fn weights(&self, name: &str, shape: Shape, dtype: yuragi_graph::DType) -> Result<HostTensor, CheckpointError> {
        let Some(groups) = self.groups(name)? else {
            let values = self.f32(name, &shape)?;
            let length = CheckpointError::Length { shape: shape.to_vec(), have: values.len() };
            return HostTensor::rounded(shape, dtype, values).ok_or(length);
        };
        check_shape(name, &self.shape(name)?, &shape)?;
        let (count, _) = self.grouped(name, groups, &shape)?;
        let range = |name: &str| self.tensors.get(name).map(|i| self.data + i.range.start..self.data + i.range.end);
        let [codes, scales] = [name, &quantize::scale_name(name)].map(|name| range(name).unwrap_or_default());
        let tensor = HostTensor::grouped(shape, dtype, groups, self.bytes.clone(), codes, scales);
        tensor.ok_or_else(|| CheckpointError::Length { shape: shape.to_vec(), have: count })
    }

    /// How many weights of this shape there are in groups, and their scales, which are finite.
    fn grouped(&self, name: &str, groups: Groups, shape: &[usize]) -> Result<(usize, Tensor<'_>), CheckpointError> {
        let tensor = self.tensor(name)?;
        let held = tensor.shape()[0].saturating_mul(groups.size());
        let overflow = || CheckpointError::Length { shape: shape.to_vec(), have: held };
        let count = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).ok_or_else(overflow)?;
        let codes = groups.shape(count);
        check_shape(name, tensor.shape(), &codes)?;
        let scale = quantize::scale_name(name);
        let scales = self.tensor(&scale)?;
        check_shape(&scale, scales.shape(), &codes[..1])?;
        let wrong = || CheckpointError::Type { name: scale.clone(), have: scales.dtype().to_string() };
        let values: Vec<f16> = scales.to_values().ok_or_else(wrong)?;
        if let Some(index) = values.iter().position(|s| !s.is_finite()) {
            return Err(CheckpointError::NotFinite { name: scale, index, value: values[index].to_f32() });
        }
        Ok((count, scales))
    }
}

fn check_shape(name: &str, have: &[usize], want: &[usize]) -> Result<(), CheckpointError> {
    if have == want {
        return Ok(());
    }
    Err(CheckpointError::Shape { name: name.to_owned(), have: have.to_vec(), want: want.to_vec() })
}

/// Why bytes are no checkpoint.
enum Fault {
    /// They end before the so many that were promised.
    Short {
        want: u64,
    },
    Wrong(String),
}

/// Where the tensors begin, and what the header says of them.
fn laid_out(bytes: &[u8]) -> Result<(usize, Header), Fault> {
    let have = bytes.len() as u64;
    let Some((first, rest)) = bytes.split_first_chunk::<8>() else { return Err(Fault::Short { want: 8 }) };
    let length = u64::from_le_bytes(*first);
    if length > MAX_HEADER || rest.first().is_some_and(|first| *first != b'{') {
        let pickled = bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]);
        return Err(Fault::Wrong(if pickled {
            "it looks like a PyTorch pickle; convert it to safetensors first".into()
        } else {
            "it has no safetensors header".into()
        }));
    }
    let Some((text, data)) = rest.split_at_checked(length as usize) else {
        return Err(Fault::Short { want: 8 + length });
    };
    let header = header::read(text).map_err(Fault::Wrong)?;
    match data.len().checked_sub(header.data) {
        Some(0) => Ok((bytes.len() - data.len(), header)),
        Some(more) => Err(Fault::Wrong(format!("{more} bytes follow its last tensor"))),
        None => Err(Fault::Short { want: have.saturating_add((header.data - data.len()) as u64) }),
    }
}
