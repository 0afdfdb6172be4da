use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};

use super::CheckpointError;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE 16-bit float.
    F16,
    /// 16-bit float with the exponent of f32.
    BF16,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
}

impl DType {
    /// Bytes per element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// Whether the elements are floating-point numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl From<DType> for safetensors::Dtype {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self::F64,
            DType::F32 => Self::F32,
            DType::F16 => Self::F16,
            DType::BF16 => Self::BF16,
            DType::I32 => Self::I32,
            DType::U32 => Self::U32,
            DType::I8 => Self::I8,
            DType::U8 => Self::U8,
        }
    }
}

impl TryFrom<safetensors::Dtype> for DType {
    type Error = safetensors::Dtype;

    fn try_from(dtype: safetensors::Dtype) -> Result<Self, Self::Error> {
        Ok(match dtype {
            safetensors::Dtype::F64 => Self::F64,
            safetensors::Dtype::F32 => Self::F32,
            safetensors::Dtype::F16 => Self::F16,
            safetensors::Dtype::BF16 => Self::BF16,
            safetensors::Dtype::I32 => Self::I32,
            safetensors::Dtype::U32 => Self::U32,
            safetensors::Dtype::I8 => Self::I8,
            safetensors::Dtype::U8 => Self::U8,
            other => return Err(other),
        })
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that tensors hold: `f64`, `f32`, `f16`, `bf16`, `i32`, `u32`, `i8` or `u8`.
pub trait Element: Copy + sealed::Sealed {
    /// Its name in a file.
    const DTYPE: DType;
    #[doc(hidden)]
    fn put(self, bytes: &mut Vec<u8>);
    #[doc(hidden)]
    fn get(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|&b| Self::from_le_bytes(b)).collect()
            }
        }
    )*};
}
elements!(f64 => F64, f32 => F32, f16 => F16, bf16 => BF16, i32 => I32, u32 => U32, i8 => I8, u8 => U8);

/// A tensor as a file holds it: row-major, little-endian, owned or borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor<'a> {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Tensor<'a> {
    /// A tensor from its little-endian bytes.
    ///
    /// # Errors
    /// [`CheckpointError::Length`] if the bytes do not fill the shape.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self, CheckpointError> {
        let bytes = bytes.into();
        if !bytes.len().is_multiple_of(dtype.size()) {
            return Err(CheckpointError::Length { shape, have: bytes.len() / dtype.size() });
        }
        check_length(&shape, bytes.len() / dtype.size())?;
        Ok(Self { dtype, shape, bytes })
    }

    /// A tensor of the type of `values`.
    ///
    /// # Errors
    /// [`CheckpointError::Length`] if the values do not fill the shape.
    ///
    /// ```
    /// use yuragi_io::{DType, Tensor};
    /// let tensor = Tensor::from_values(&[2, 3], &[0i8, 1, 2, 3, 4, 5])?;
    /// assert_eq!(tensor.dtype(), DType::I8);
    /// assert_eq!(tensor.to_f32()[5], 5.0);
    /// # Ok::<(), yuragi_io::CheckpointError>(())
    /// ```
    pub fn from_values<T: Element>(shape: &[usize], values: &[T]) -> Result<Self, CheckpointError> {
        check_length(shape, values.len())?;
        let mut bytes = Vec::with_capacity(size_of_val(values));
        values.iter().for_each(|value| value.put(&mut bytes));
        Ok(Self { dtype: T::DTYPE, shape: shape.to_vec(), bytes: bytes.into() })
    }

    /// The type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes of the axes; empty for one number.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The little-endian bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The elements, if they have type `T`.
    #[must_use]
    pub fn to_values<T: Element>(&self) -> Option<Vec<T>> {
        (self.dtype == T::DTYPE).then(|| T::get(&self.bytes))
    }

    /// The elements as f32; those of f64, and integers beyond 2²⁴, are rounded.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = &self.bytes;
        match self.dtype {
            DType::F64 => f64::get(bytes).into_iter().map(|v| v as f32).collect(),
            DType::F32 => f32::get(bytes),
            DType::F16 => f16::get(bytes).into_iter().map(f16::to_f32).collect(),
            DType::BF16 => bf16::get(bytes).into_iter().map(bf16::to_f32).collect(),
            DType::I32 => i32::get(bytes).into_iter().map(|v| v as f32).collect(),
            DType::U32 => u32::get(bytes).into_iter().map(|v| v as f32).collect(),
            DType::I8 => i8::get(bytes).into_iter().map(f32::from).collect(),
            DType::U8 => u8::get(bytes).into_iter().map(f32::from).collect(),
        }
    }

    /// The tensor with its values rounded to f16, half the size of f32; values beyond ±65504 become infinite.
    #[must_use]
    pub fn to_f16(&self) -> Tensor<'static> {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        self.to_f32().into_iter().for_each(|v| f16::from_f32(v).put(&mut bytes));
        Tensor { dtype: DType::F16, shape: self.shape.clone(), bytes: bytes.into() }
    }

    /// The tensor with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Tensor<'static> {
        Tensor { dtype: self.dtype, shape: self.shape, bytes: self.bytes.into_owned().into() }
    }
}

pub(super) fn check_length(shape: &[usize], have: usize) -> Result<(), CheckpointError> {
    let want = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    if want == Some(have) { Ok(()) } else { Err(CheckpointError::Length { shape: shape.to_vec(), have }) }
}
