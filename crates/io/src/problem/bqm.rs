//! dimod's binary models, `BinaryQuadraticModel.to_file`, versions 1 and 2: a magic word, a header in JSON, and the numbers.

use serde_json::Value;
use yuragi_energy::Vartype;

use super::json::{Fields, names};
use super::terms::{Terms, counted};
use crate::json;

pub(super) const MAGIC: &[u8] = b"DIMODBQM";

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (part, rest) = self.0.split_at_checked(count).ok_or("it is cut short")?;
        self.0 = rest;
        Ok(part)
    }
}

/// What a number is stored as.
#[derive(Clone, Copy)]
enum Number {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Float32,
    Float64,
}

impl Number {
    fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint32" => Self::Uint32,
            "uint64" => Self::Uint64,
            "float32" => Self::Float32,
            "float64" => Self::Float64,
            _ => return Err(format!("its numbers are stored as {name}, which is not known")),
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Int64 | Self::Uint64 | Self::Float64 => 8,
        }
    }

    fn read(self, bytes: &mut Bytes<'_>) -> Result<f64, String> {
        let part = bytes.take(self.size())?;
        let (mut four, mut eight) = ([0; 4], [0; 8]);
        if part.len() == 4 {
            four.copy_from_slice(part)
        } else {
            eight.copy_from_slice(part)
        }
        Ok(match self {
            Self::Int32 => i32::from_le_bytes(four).into(),
            Self::Uint32 => u32::from_le_bytes(four).into(),
            Self::Float32 => f32::from_le_bytes(four).into(),
            Self::Int64 => i64::from_le_bytes(eight) as f64,
            Self::Uint64 => u64::from_le_bytes(eight) as f64,
            Self::Float64 => f64::from_le_bytes(eight),
        })
    }

    fn index(self, bytes: &mut Bytes<'_>, below: usize) -> Result<usize, String> {
        let value = self.read(bytes)?;
        let legal = value >= 0.0 && value < below as f64 && value.fract() == 0.0;
        if legal { Ok(value as usize) } else { Err(format!("it has an index {value}; it must be below {below}")) }
    }
}

pub(super) fn read(bytes: &[u8]) -> Result<Terms, String> {
    let mut bytes = Bytes(bytes);
    bytes.take(MAGIC.len())?;
    let version = bytes.take(2)?[0];
    if !(1..=2).contains(&version) {
        return Err(format!("its version is {version}; versions 1 and 2 are known"));
    }
    let length = length(&mut bytes)?;
    let Value::Object(header) = json::parse(bytes.take(length)?).map_err(|error| format!("its header: {error}"))?
    else {
        return Err("its header is no JSON object".to_owned());
    };
    let mut header = Fields(header);
    let vartype = header.text("vartype")?;
    let vartype =
        Vartype::from_name(&vartype).ok_or_else(|| format!("the vartype is {vartype:?}; it must be SPIN or BINARY"))?;
    let (variables, interactions) = header.take("shape", "two whole numbers from 0", |shape| {
        let size = |at: usize| usize::try_from(shape.get(at)?.as_u64()?).ok();
        size(0).zip(size(1)).filter(|_| shape.get(2).is_none())
    })?;
    let mut number = |name| Number::of(&header.text(name)?);
    let (bias, index, start) = (number("dtype")?, number("itype")?, number("ntype")?);
    // What is promised is there before memory is taken for it.
    let ends = interactions.checked_mul(2).filter(|ends| {
        let linear = variables.checked_mul(start.size() + bias.size());
        let quadratic = ends.checked_mul(index.size() + bias.size());
        let total = linear.zip(quadratic).and_then(|(a, b)| a.checked_add(b)?.checked_add(bias.size()));
        total.is_some_and(|total| total <= bytes.0.len())
    });
    let ends = ends.ok_or("it is cut short")?;

    let mut terms = Terms::new("dimod's .bqm", vartype, counted(variables)?);
    terms.offset = bias.read(&mut bytes)?;
    let mut starts = Vec::with_capacity(variables + 1);
    for k in 0..variables {
        starts.push(start.index(&mut bytes, ends + 1)?);
        terms.linear.push((k, bias.read(&mut bytes)?));
    }
    starts.push(ends);
    if !starts.is_sorted() || starts[0] != 0 && variables > 0 {
        return Err("its neighbourhoods do not begin in order".to_owned());
    }
    for k in 0..variables {
        for _ in starts[k]..starts[k + 1] {
            let (l, value) = (index.index(&mut bytes, variables)?, bias.read(&mut bytes)?);
            // Every pair stands with both of its variables.
            if l < k {
                terms.quadratic.push((l, k, value));
            }
        }
    }
    if terms.quadratic.len() != interactions {
        return Err(format!("it promises {interactions} interactions; there are {}", terms.quadratic.len()));
    }
    let labels = match header.0.remove("variables") {
        Some(Value::Array(labels)) => labels,
        Some(Value::Bool(true)) => {
            if bytes.take(4)? != b"VARS" {
                return Err("its names do not follow its numbers".to_owned());
            }
            let length = self::length(&mut bytes)?;
            match json::parse(bytes.take(length)?).map_err(|error| format!("its names: {error}"))? {
                Value::Array(labels) => labels,
                _ => return Err("its names are no list".to_owned()),
            }
        }
        Some(_) => Vec::new(),
        None => return Err("the field `variables` is missing".to_owned()),
    };
    if !labels.is_empty() && labels.len() != variables {
        return Err(format!("it has {} names; there are {variables} variables", labels.len()));
    }
    terms.names = names(&labels);
    Ok(terms)
}

fn length(bytes: &mut Bytes<'_>) -> Result<usize, String> {
    let mut four = [0; 4];
    four.copy_from_slice(bytes.take(4)?);
    Ok(u32::from_le_bytes(four) as usize)
}
