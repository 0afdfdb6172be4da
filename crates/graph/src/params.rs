use alloc::{borrow::ToOwned, collections::BTreeMap, string::String, sync::Arc, vec, vec::Vec};
use core::fmt;

use half::{bf16, f16};
use yuragi_numeric::{fill, fnv::fnv1a_32, groups::Groups};

use crate::{DType, Init, ParamSpec, Shape};

/// Bytes that somebody keeps, such as a mapped file.
pub trait Bytes: AsRef<[u8]> + Send + Sync {
    /// Says that a range is not read for some time: a mapped file's pages may leave this process. They stay readable.
    fn release(&self, _range: core::ops::Range<usize>) {}
}

impl Bytes for Vec<u8> {}
impl Bytes for &'static [u8] {}

/// Where a tensor's elements are.
#[derive(Clone)]
pub enum Storage {
    /// Owned single precision: what optimisers update.
    F32(Vec<f32>),
    /// Borrowed little-endian bytes in the tensor's element type, such as a mapped file; never copied whole.
    Shared(Arc<dyn Bytes>, core::ops::Range<usize>),
    /// Borrowed codes of 4 to 8 bits.
    Groups(Codes),
}

/// Elements as codes in groups, borrowed; each is rounded to the tensor's type when it is read.
#[derive(Clone)]
pub struct Codes {
    groups: Groups,
    bytes: Arc<dyn Bytes>,
    codes: core::ops::Range<usize>,
    scales: core::ops::Range<usize>,
}

impl Codes {
    /// Bits of a code, and how many share a scale.
    pub fn groups(&self) -> Groups {
        self.groups
    }

    /// All codes, as [`Groups`] lays them out.
    pub fn codes(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.codes.clone()).unwrap_or(&[])
    }

    /// The scale of each group, f16, little-endian.
    pub fn scales(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.scales.clone()).unwrap_or(&[])
    }
}

/// A tensor on the host.
#[derive(Clone)]
pub struct HostTensor {
    shape: Shape,
    dtype: DType,
    storage: Storage,
}

impl fmt::Debug for HostTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)
    }
}

impl HostTensor {
    /// An owned tensor; `None` if the number of values is not the shape's.
    pub fn new(shape: Shape, values: Vec<f32>) -> Option<HostTensor> {
        (shape.count() == values.len()).then_some(HostTensor {
            shape,
            dtype: DType::F32,
            storage: Storage::F32(values),
        })
    }

    /// An owned tensor in any element type, each value rounded to it; `None` if the number of values is not
    /// the shape's. Only `F32` can be updated.
    pub fn rounded(shape: Shape, dtype: DType, values: Vec<f32>) -> Option<HostTensor> {
        if dtype == DType::F32 {
            return HostTensor::new(shape, values);
        }
        let mut bytes = Vec::with_capacity(values.len() * dtype.size());
        values.iter().for_each(|&value| encode(dtype, value, &mut bytes));
        let range = 0..bytes.len();
        HostTensor::shared(shape, dtype, Arc::new(bytes), range)
    }

    /// A tensor of bytes that somebody else keeps; `None` if the range is not inside or has another size.
    pub fn shared(
        shape: Shape,
        dtype: DType,
        bytes: Arc<dyn Bytes>,
        range: core::ops::Range<usize>,
    ) -> Option<HostTensor> {
        let fits = (*bytes).as_ref().get(range.clone()).is_some_and(|b| b.len() == shape.count() * dtype.size());
        fits.then_some(HostTensor { shape, dtype, storage: Storage::Shared(bytes, range) })
    }

    /// A tensor of floating-point elements that somebody else keeps as codes in groups, scales in f16; `None` if the ranges
    /// are not inside or have other sizes, or for integers.
    pub fn grouped(
        shape: Shape,
        dtype: DType,
        groups: Groups,
        bytes: Arc<dyn Bytes>,
        codes: core::ops::Range<usize>,
        scales: core::ops::Range<usize>,
    ) -> Option<HostTensor> {
        let [count, eights, bits] = groups.shape(shape.count());
        let codes = Codes { groups, bytes, codes, scales };
        let fits = codes.codes().len() == count * eights * bits && codes.scales().len() == count * 2;
        (fits && dtype.is_float()).then_some(HostTensor { shape, dtype, storage: Storage::Groups(codes) })
    }

    /// The tensor in another element type, each element rounded to it; codes stay codes, for floating-point types.
    pub fn cast(&self, dtype: DType) -> HostTensor {
        if dtype.is_float() && matches!(self.storage, Storage::Groups(_)) {
            return HostTensor { dtype, ..self.clone() };
        }
        HostTensor::rounded(self.shape, dtype, self.to_f32()).unwrap_or_else(|| self.clone())
    }

    /// The extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The elements' place.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Lets go of the elements' memory, where they are [borrowed](Bytes::release) and can be had again.
    pub fn release(&self) {
        match &self.storage {
            Storage::F32(_) => {}
            Storage::Shared(bytes, range) => bytes.release(range.clone()),
            Storage::Groups(Codes { bytes, codes, scales, .. }) => {
                bytes.release(codes.clone());
                bytes.release(scales.clone());
            }
        }
    }

    /// The elements, to be changed; `None` where they are borrowed.
    pub fn values_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.storage {
            Storage::F32(values) => Some(values),
            Storage::Shared(..) | Storage::Groups(_) => None,
        }
    }

    /// The elements as single precision.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.shape.count()];
        self.read(0, &mut out);
        out
    }

    /// Reads consecutive elements from `first` on as single precision; past the end, zeros.
    pub fn read(&self, first: usize, out: &mut [f32]) {
        match &self.storage {
            Storage::F32(values) => {
                for (i, o) in out.iter_mut().enumerate() {
                    *o = values.get(first + i).copied().unwrap_or(0.0);
                }
            }
            Storage::Shared(bytes, range) => {
                let size = self.dtype.size();
                let all = (**bytes).as_ref().get(range.clone()).unwrap_or(&[]);
                let from = all.get(first * size..).unwrap_or(&[]);
                let mut items = from.chunks_exact(size);
                for o in out {
                    *o = items.next().map_or(0.0, |b| decode(self.dtype, b));
                }
            }
            Storage::Groups(codes) => {
                codes.groups.decode(codes.codes(), codes.scales(), first, out);
                match self.dtype {
                    DType::F32 | DType::I32 | DType::U32 => {}
                    DType::F16 => out.iter_mut().for_each(|o| *o = f16::from_f32(*o).to_f32()),
                    DType::BF16 => out.iter_mut().for_each(|o| *o = bf16::from_f32(*o).to_f32()),
                }
            }
        }
    }
}

/// Appends one little-endian element.
fn encode(dtype: DType, value: f32, bytes: &mut Vec<u8>) {
    match dtype {
        DType::F32 => bytes.extend(value.to_le_bytes()),
        DType::F16 => bytes.extend(f16::from_f32(value).to_le_bytes()),
        DType::BF16 => bytes.extend(bf16::from_f32(value).to_le_bytes()),
        DType::I32 => bytes.extend((value as i32).to_le_bytes()),
        DType::U32 => bytes.extend((value as u32).to_le_bytes()),
    }
}

/// One little-endian element as single precision.
fn decode(dtype: DType, b: &[u8]) -> f32 {
    let half = || u16::from_le_bytes([b[0], b[1]]);
    let word = || u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    match dtype {
        DType::F32 => f32::from_bits(word()),
        DType::F16 => f16::from_bits(half()).to_f32(),
        DType::BF16 => bf16::from_bits(half()).to_f32(),
        DType::I32 => word() as i32 as f32,
        DType::U32 => word() as f32,
    }
}

/// Named tensors on the host: the weights of a model, and an optimiser's state beside them.
#[derive(Clone, Debug, Default)]
pub struct Params {
    tensors: Vec<(String, HostTensor)>,
    places: BTreeMap<String, usize>,
}

impl Params {
    /// No tensors.
    pub fn new() -> Params {
        Params::default()
    }

    /// Adds a tensor or replaces the one of this name; its place never changes.
    pub fn insert(&mut self, name: &str, tensor: HostTensor) {
        match self.places.get(name) {
            Some(&place) => self.tensors[place].1 = tensor,
            None => {
                self.places.insert(name.to_owned(), self.tensors.len());
                self.tensors.push((name.to_owned(), tensor));
            }
        }
    }

    /// Drops the tensors that are not wanted; the others move to lower places.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.tensors.retain(|(name, _)| wanted(name));
        self.places = self.tensors.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
    }

    /// Adds those declared tensors that are missing, each drawn from its own stream of the seed:
    /// a parameter's initial value depends only on the seed and its name.
    pub fn initialise(&mut self, specs: &[ParamSpec], seed: u64) {
        for spec in specs {
            if self.places.contains_key(&spec.name) {
                continue;
            }
            let mut values = vec![0.0; spec.shape.count()];
            let key = [seed as u32, (seed >> 32) as u32];
            let stream = fnv1a_32(&spec.name);
            match spec.init {
                Init::Constant(value) => values.fill(value),
                Init::Normal(deviation) => {
                    fill::normal(key, stream, 0, &mut values);
                    values.iter_mut().for_each(|v| *v *= deviation);
                }
                Init::Uniform(bound) => {
                    fill::uniform(key, stream, 0, &mut values);
                    values.iter_mut().for_each(|v| *v = (*v * 2.0 - 1.0) * bound);
                }
            }
            if let Some(tensor) = HostTensor::rounded(spec.shape, spec.dtype, values) {
                self.insert(&spec.name, tensor);
            }
        }
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.place(name).and_then(|place| self.at(place))
    }

    /// The place of a name, stable for the life of the store.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// The tensor at a place.
    pub fn at(&self, place: usize) -> Option<&HostTensor> {
        self.tensors.get(place).map(|(_, t)| t)
    }

    /// The tensor at a place, to be changed.
    pub fn at_mut(&mut self, place: usize) -> Option<&mut HostTensor> {
        self.tensors.get_mut(place).map(|(_, t)| t)
    }

    /// Names and tensors, in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &HostTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The number of elements of all tensors.
    pub fn count(&self) -> usize {
        self.tensors.iter().map(|(_, t)| t.shape.count()).sum()
    }
}
