//! Tensors of one file or several, under the names that the networks have for them.

use std::collections::BTreeMap;

use half::f16;
use safetensors::Dtype;
use yuragi_graph::{DType, HostTensor, ParamSpec, Params};

use super::ModelError;
use crate::checkpoint::{Archive, Place};

/// Which part of a stored tensor a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// One of three equal parts of the first axis.
    Third(usize),
    /// A matrix that the file keeps transposed.
    Transposed,
}

/// A tensor of a file.
#[derive(Debug)]
struct Entry {
    archive: usize,
    stored: String,
    part: Part,
}

/// Named tensors of opened files.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    archives: Vec<Archive>,
    entries: BTreeMap<String, Entry>,
    /// Tensors of the files that no name was found for.
    unknown: Vec<String>,
}

impl Tensors {
    /// Adds the tensors of a file; `rename` gives a stored name's parameters, or none if the model has no use for it.
    pub(super) fn add(
        &mut self,
        archive: Archive,
        rename: impl Fn(&str) -> Vec<(String, Part)>,
    ) -> Result<(), ModelError> {
        let number = self.archives.len();
        for stored in archive.names() {
            let names = rename(&stored);
            if names.is_empty() && !is_bookkeeping(&stored) {
                self.unknown.push(stored.clone());
            }
            for (name, part) in names {
                let entry = Entry { archive: number, stored: stored.clone(), part };
                if self.entries.insert(name, entry).is_some() {
                    return Err(ModelError::Twice { origin: archive.origin().to_owned(), name: stored });
                }
            }
        }
        self.archives.push(archive);
        Ok(())
    }

    /// The shape of a parameter as it would be read; `None` if there is none of this name.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let entry = self.entries.get(name)?;
        let mut shape = self.archives[entry.archive].place(&entry.stored)?.shape.to_vec();
        match (entry.part, shape.first_mut()) {
            (Part::Third(_), Some(first)) => *first /= 3,
            (Part::Transposed, _) => shape.reverse(),
            _ => {}
        }
        Some(shape)
    }

    /// Whether there is a parameter of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// How many numbered parts follow a prefix: `prefix.0.…`, `prefix.1.…`, ….
    pub(super) fn count(&self, prefix: &str) -> usize {
        let has = |number: &usize| {
            let start = format!("{prefix}.{number}.");
            self.entries.range(start.clone()..).next().is_some_and(|(name, _)| name.starts_with(&start))
        };
        (0..).take_while(has).count()
    }

    /// The settings of the first file.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.archives.first().map(Archive::settings).into_iter().flatten();
        settings.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The declared parameters, and the stored names that were not used. Nothing is copied but what the networks
    /// cannot read as it lies: 64-bit and 8-bit numbers and transposed matrices.
    pub(super) fn params(self, origin: &str, specs: &[ParamSpec]) -> Result<(Params, Vec<String>), ModelError> {
        let missing: Vec<&ParamSpec> = specs.iter().filter(|spec| !self.contains(&spec.name)).collect();
        if let Some(first) = missing.first() {
            let (first, count, of) = (first.name.clone(), missing.len(), specs.len());
            return Err(ModelError::Missing { origin: origin.to_owned(), first, count, of });
        }
        let Tensors { archives, mut entries, mut unknown } = self;
        let mut params = Params::new();
        for spec in specs {
            let Some(entry) = entries.remove(&spec.name) else { continue };
            params.insert(&spec.name, read(&archives[entry.archive], &entry, spec)?);
        }
        unknown.extend(entries.into_values().map(|entry| entry.stored));
        unknown.sort();
        unknown.dedup();
        Ok((params, unknown))
    }
}

/// What checkpoints carry beside weights.
fn is_bookkeeping(name: &str) -> bool {
    name.ends_with("position_ids") || name.ends_with("logit_scale") || name == "v_pred" || name == "ztsnr"
}

fn read(archive: &Archive, entry: &Entry, spec: &ParamSpec) -> Result<HostTensor, ModelError> {
    let origin = archive.origin().to_owned();
    let name = entry.stored.clone();
    let wrong = |have: &[usize]| ModelError::Shape {
        origin: origin.clone(),
        name: name.clone(),
        have: have.to_vec(),
        want: spec.shape.to_vec(),
    };
    let Some(Place { dtype, shape, range }) = archive.place(&entry.stored) else {
        return Err(ModelError::Missing { origin, first: name, count: 1, of: 1 });
    };
    // A linear map and a 1×1 convolution are the same numbers.
    let pointless = |shape: &[usize]| {
        let kept = shape.iter().rposition(|&extent| extent != 1).map_or(0, |last| last + 1);
        shape[..kept].to_vec()
    };
    let (want, range) = match entry.part {
        Part::Whole => (spec.shape.to_vec(), range),
        Part::Transposed => (spec.shape.iter().rev().copied().collect(), range),
        Part::Third(third) => {
            let mut all = spec.shape.to_vec();
            if let Some(first) = all.first_mut() {
                *first = first.saturating_mul(3);
            }
            let size = range.len() / 3;
            (all, range.start + third * size..range.start + (third + 1) * size)
        }
    };
    if pointless(shape) != pointless(&want) {
        return Err(wrong(shape));
    }
    let type_error = || ModelError::Type { origin: origin.clone(), name: name.clone(), have: dtype.to_string() };
    let stored = match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F8_E4M3 | Dtype::F64 => None,
        _ => return Err(type_error()),
    };
    let bytes = archive.shared();
    let tensor = match stored {
        Some(dtype) if entry.part != Part::Transposed => HostTensor::shared(spec.shape, dtype, bytes, range),
        _ => {
            let all = (*bytes).as_ref().get(range).unwrap_or_default();
            let values: Vec<f32> = match dtype {
                Dtype::F8_E4M3 => all.iter().map(|&byte| eighth(byte).to_f32()).collect(),
                Dtype::F64 => all.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
                Dtype::F16 => all.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
                Dtype::BF16 => all.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect(),
                _ => all.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            };
            let values = match (entry.part, &*spec.shape) {
                (Part::Transposed, &[rows, columns]) => {
                    (0..rows * columns).map(|i| values[i % columns * rows + i / columns]).collect()
                }
                _ => values,
            };
            let kept = match dtype {
                Dtype::F64 | Dtype::F32 => DType::F32,
                Dtype::BF16 => DType::BF16,
                _ => DType::F16,
            };
            HostTensor::rounded(spec.shape, kept, values)
        }
    };
    tensor.ok_or_else(|| wrong(shape))
}

/// An 8-bit number of 4 bits of exponent and 3 of fraction (Micikevicius et al. 2022, E4M3): every one is an f16.
fn eighth(byte: u8) -> f16 {
    let (sign, exponent, fraction) = (u16::from(byte >> 7), u16::from(byte >> 3 & 15), u16::from(byte & 7));
    match (exponent, fraction) {
        (15, 7) => f16::NAN,
        // Below 2⁻⁶ all are multiples of 2⁻⁹.
        (0, _) => f16::from_f32(f32::from(fraction) / 512.0 * if sign == 1 { -1.0 } else { 1.0 }),
        _ => f16::from_bits(sign << 15 | (exponent + 8) << 10 | fraction << 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t32_numbers_of_8_bits() {
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 1.0 / 512.0),
            (0x07, 7.0 / 512.0),
            (0x08, 1.0 / 64.0),
            (0x38, 1.0),
            (0x3c, 1.5),
            (0xb8, -1.0),
            (0x7e, 448.0),
            (0x81, -1.0 / 512.0),
        ] {
            assert_eq!(eighth(byte).to_f32(), value, "{byte:#x}");
        }
        assert!(eighth(0x7f).is_nan() && eighth(0xff).is_nan());
    }
}
