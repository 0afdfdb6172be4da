//! The header of a safetensors file: what it says of each tensor, or its first fault, which names the tensor.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::Dtype;
use serde_json::Value;

use super::METADATA;
use crate::json::{self, Shown};

/// What a header says of a tensor.
#[derive(Debug)]
pub struct Info {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Its bytes, counted from the end of the header.
    pub range: Range<usize>,
}

#[derive(Debug)]
pub struct Header {
    pub tensors: BTreeMap<String, Info>,
    pub settings: BTreeMap<String, String>,
    /// The bytes of all tensors.
    pub data: usize,
}

/// Reads a header. The tensors lie behind each other without gaps.
///
/// # Errors
/// Its first fault.
pub fn read(text: &[u8]) -> Result<Header, String> {
    let Value::Object(entries) = json::parse(text)? else { return Err("its header is no JSON object".into()) };
    let mut header = Header { tensors: BTreeMap::new(), settings: BTreeMap::new(), data: 0 };
    let mut places = Vec::new();
    for (name, entry) in &entries {
        if name == METADATA {
            header.settings = settings(entry)?;
            continue;
        }
        let info = info(entry).map_err(|why| format!("tensor `{}` {why}", shown(name)))?;
        places.push((info.range.start, info.range.end, name));
        header.tensors.insert(name.clone(), info);
    }
    places.sort_unstable();
    for (from, to, name) in places {
        if from != header.data {
            let (name, end) = (shown(name), header.data);
            return Err(format!(
                "tensor `{name}` begins at byte {from} of the data, not where the one before ends, at {end}"
            ));
        }
        header.data = to;
    }
    Ok(header)
}

/// The name of a stranger, without what a terminal would obey.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}

fn settings(entry: &Value) -> Result<BTreeMap<String, String>, String> {
    let wrong = || format!("`{METADATA}` must hold texts alone");
    match entry {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            pairs.collect::<Option<_>>().ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// What is said of a tensor, if its bytes are as many as its shape and type need.
fn info(entry: &Value) -> Result<Info, String> {
    let [kind, shape, offsets] = ["dtype", "shape", "data_offsets"].map(|key| &entry[key]);
    let dtype: Dtype =
        serde_json::from_value(kind.clone()).map_err(|_| format!("has the unknown type {}", Shown(kind)))?;
    let sizes = |value: &Value| -> Option<Vec<usize>> {
        value.as_array()?.iter().map(|size| usize::try_from(size.as_u64()?).ok()).collect()
    };
    let extents = sizes(shape).ok_or_else(|| format!("has the shape {}", Shown(shape)))?;
    let range = match sizes(offsets).as_deref() {
        Some(&[from, to]) if from <= to => from..to,
        _ => return Err(format!("has the bytes {}", Shown(offsets))),
    };
    let bits = extents.iter().try_fold(dtype.bitsize(), |product, size| product.checked_mul(*size));
    if bits.is_none() || bits != range.len().checked_mul(8) {
        let (have, kind, shape) = (range.len(), Shown(kind), Shown(shape));
        return Err(format!("has {have} bytes, which is no {kind} of shape {shape}"));
    }
    Ok(Info { dtype, shape: extents, range })
}

#[cfg(test)]
mod tests {
    use crate::checkpoint::Archive;

    fn refused(header: &str, data: usize) -> String {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        Archive::from_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn faults_are_named_and_always_the_same() {
        let tensor = |kind: &str, shape: &str, from: u32, to: u32| {
            format!("{{\"dtype\":\"{kind}\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
        };
        let good = tensor("F32", "[2]", 0, 8);
        for (header, words) in [
            (format!("{{\"a\":{good},\"a\":{}}}", tensor("F32", "[2]", 8, 16)), "the key `a` stands there twice"),
            (format!("{{\"odd\":{}}}", tensor("F33", "[2]", 0, 8)), "tensor `odd` has the unknown type \"F33\""),
            (
                format!("{{\"short\":{}}}", tensor("F16", "[3]", 0, 8)),
                "tensor `short` has 8 bytes, which is no \"F16\" of shape [3]",
            ),
            (format!("{{\"back\":{}}}", tensor("U8", "[4]", 4, 0)), "tensor `back` has the bytes [4,0]"),
            (format!("{{\"a\":{good},\"far\":{}}}", tensor("U8", "[4]", 9, 13)), "tensor `far` begins at byte 9"),
            (
                format!("{{\"vast\":{}}}", tensor("F32", "[4294967296,4294967296,4294967296]", 0, 8)),
                "tensor `vast` has 8 bytes",
            ),
            (format!("{{\"__metadata__\":{{\"a\":1}},\"a\":{good}}}"), "`__metadata__` must hold texts alone"),
            ("[]".to_owned(), "no safetensors header"),
            (
                format!("{{\"bits\":{}}}", tensor("F4", "[3]", 0, 2)),
                "tensor `bits` has 2 bytes, which is no \"F4\" of shape [3]",
            ),
        ] {
            for _ in 0..5 {
                let said = refused(&header, 16);
                assert!(said.contains(words), "{said} should say {words}");
            }
        }
    }
}
