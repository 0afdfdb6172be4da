//! The header of a GGUF file.

use std::collections::{BTreeMap, BTreeSet};

use super::blocks::Kind;
use super::tensor::Tensor;
use crate::read::shown;

/// The first bytes of every file.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// The longest name of a tensor or key, in bytes.
const LONGEST_NAME: u64 = 1 << 16;
/// The most axes of a tensor.
const MOST_AXES: u32 = 4;
/// The most lists within lists.
const DEEPEST: usize = 8;
/// Where tensors begin if the file does not say it: at multiples of so many bytes.
const ALIGNMENT: u64 = 32;

/// A value that a file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer, signed or not.
    Integer(i128),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text; what is not UTF-8 in it is U+FFFD.
    Text(String),
    /// A list, of which only the length is kept.
    List(u64),
}

/// The values and tensors of a file.
pub(super) fn read(bytes: &[u8]) -> Result<(BTreeMap<String, Value>, Vec<Tensor>), String> {
    let mut reader = Reader { bytes, place: 0 };
    if reader.take(4, "the magic number")? != MAGIC {
        return Err("it does not begin with `GGUF`".into());
    }
    match reader.u32("the version")? {
        2 | 3 => {}
        version if version.swap_bytes() < 16 => return Err("it is big-endian".into()),
        version => return Err(format!("its version is {version}; legal are 2 and 3")),
    }
    // The smallest tensor and the smallest value bound how many there can be.
    let tensors = reader.count(8 + 4 + 4 + 8, "tensors")?;
    let pairs = reader.count(8 + 4 + 1, "values")?;
    let mut values = BTreeMap::new();
    for _ in 0..pairs {
        let key = reader.name("a key")?;
        let kind = reader.u32("a value's type")?;
        let value = reader.value(kind, 0).map_err(|reason| format!("value `{}`: {reason}", shown(&key)))?;
        if values.contains_key(&key) {
            return Err(format!("value `{}` stands in it twice", shown(&key)));
        }
        values.insert(key, value);
    }
    let alignment = match values.get("general.alignment") {
        None => ALIGNMENT,
        Some(Value::Integer(alignment)) if (1..=1 << 20).contains(alignment) && alignment & (alignment - 1) == 0 => {
            *alignment as u64
        }
        Some(_) => return Err("its alignment is no power of two from 1 to 1048576".into()),
    };
    let mut list = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..tensors {
        let name = reader.name("a tensor's name")?;
        let tensor = reader.tensor(name, alignment)?;
        if !names.insert(tensor.name.clone()) {
            return Err(format!("tensor `{}` stands in it twice", shown(&tensor.name)));
        }
        list.push(tensor);
    }
    let data = (reader.place as u64).next_multiple_of(alignment);
    for tensor in &mut list {
        let end = data.checked_add(tensor.range.end as u64).filter(|end| *end <= bytes.len() as u64);
        let Some(end) = end else {
            return Err(format!("tensor `{}` ends behind the file's {} bytes", shown(&tensor.name), bytes.len()));
        };
        tensor.range = tensor.range.start + data as usize..end as usize;
    }
    let mut order: Vec<&Tensor> = list.iter().filter(|tensor| !tensor.range.is_empty()).collect();
    order.sort_by_key(|tensor| tensor.range.start);
    match order.windows(2).find(|pair| pair[1].range.start < pair[0].range.end) {
        Some(pair) => Err(format!("tensors `{}` and `{}` overlap", shown(&pair[0].name), shown(&pair[1].name))),
        None => Ok((values, list)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64, what: &str) -> Result<&'a [u8], String> {
        let end = usize::try_from(length).ok().and_then(|length| self.place.checked_add(length));
        let Some(taken) = end.and_then(|end| self.bytes.get(self.place..end)) else {
            return Err(format!("it ends at byte {}, inside {what}", self.bytes.len()));
        };
        self.place += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A number of things of at least `smallest` bytes each.
    fn count(&mut self, smallest: u64, what: &str) -> Result<u64, String> {
        let count = self.u64(&format!("the number of {what}"))?;
        let most = (self.bytes.len() - self.place) as u64 / smallest;
        if count > most {
            return Err(format!("it promises {count} {what}, but there is no room for more than {most}"));
        }
        Ok(count)
    }

    fn name(&mut self, what: &str) -> Result<String, String> {
        let length = self.u64(what)?;
        if length > LONGEST_NAME {
            return Err(format!("{what} has {length} bytes; legal are {LONGEST_NAME}"));
        }
        let bytes = self.take(length, what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| format!("{what} is no UTF-8 text"))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, String> {
        const WHAT: &str = "a value";
        Ok(match kind {
            0 => Value::Integer(self.array::<1>(WHAT)?[0].into()),
            1 => Value::Integer(i8::from_le_bytes(self.array(WHAT)?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.array(WHAT)?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.array(WHAT)?).into()),
            4 => Value::Integer(self.u32(WHAT)?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.array(WHAT)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array(WHAT)?).into()),
            7 => Value::Bool(self.array::<1>(WHAT)?[0] != 0),
            8 => {
                let length = self.u64("a text")?;
                Value::Text(String::from_utf8_lossy(self.take(length, "a text")?).into_owned())
            }
            9 if depth < DEEPEST => {
                let kind = self.u32("a list's type")?;
                let smallest = match kind {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    8 | 10..=12 => 8,
                    _ => 12,
                };
                let count = self.count(smallest, "elements of a list")?;
                match kind {
                    0..=7 | 10..=12 => drop(self.take(count * smallest, "a list")?),
                    _ => {
                        for _ in 0..count {
                            self.value(kind, depth + 1)?;
                        }
                    }
                }
                Value::List(count)
            }
            9 => return Err(format!("lists lie more than {DEEPEST} deep in it")),
            10 => Value::Integer(self.u64(WHAT)?.into()),
            11 => Value::Integer(i64::from_le_bytes(self.array(WHAT)?).into()),
            12 => Value::Float(f64::from_le_bytes(self.array(WHAT)?)),
            _ => return Err(format!("it has the unknown type {kind}")),
        })
    }

    /// A tensor, its range counted from the begin of the data.
    fn tensor(&mut self, name: String, alignment: u64) -> Result<Tensor, String> {
        let fault = |reason: String| format!("tensor `{}` {reason}", shown(&name));
        let axes = self.u32("a tensor's axes")?;
        if axes > MOST_AXES {
            return Err(fault(format!("has {axes} axes; legal are {MOST_AXES}")));
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            shape.push(self.u64("a tensor's shape")?);
        }
        let number = self.u32("a tensor's type")?;
        let offset = self.u64("a tensor's place")?;
        let kind = Kind::of(number).ok_or_else(|| fault(format!("has the type {number}, which is not known here")))?;
        let (values, size) = kind.block();
        let row = shape.first().copied().unwrap_or(1);
        if !row.is_multiple_of(values as u64) {
            return Err(fault(format!("has rows of {row} values, no multiple of the {values} of a block")));
        }
        let count = shape.iter().try_fold(1u64, |count, extent| count.checked_mul(*extent));
        let end = count.and_then(|count| (count / values as u64).checked_mul(size as u64)?.checked_add(offset));
        let (Some(end), true) = (end.filter(|end| *end <= self.bytes.len() as u64), shape.iter().all(|e| *e < 1 << 48))
        else {
            return Err(fault(format!("of shape {shape:?} at byte {offset} ends behind the file")));
        };
        if !offset.is_multiple_of(alignment) {
            return Err(fault(format!("begins at byte {offset} of the data, no multiple of {alignment}")));
        }
        shape.reverse();
        let shape = shape.into_iter().map(|extent| extent as usize).collect();
        Ok(Tensor { name, shape, kind, range: offset as usize..end as usize })
    }
}
