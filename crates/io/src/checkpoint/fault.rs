//! What is wrong with a header that the format's library refuses: the library says it without the name, or with the name
//! of another tensor at each call.

use std::collections::BTreeSet;
use std::fmt;

use safetensors::Dtype;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The header's entries in their order, repeated ones too.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The first fault of a header, in the order of the file.
pub(super) fn find(header: &[u8]) -> Option<String> {
    let Entries(entries) = serde_json::from_slice(header).ok()?;
    let mut names = BTreeSet::new();
    if let Some((twice, _)) = entries.iter().find(|(name, _)| !names.insert(name)) {
        return Some(format!("`{}` stands in it twice", shown(twice)));
    }
    let mut places = Vec::new();
    for (name, entry) in entries.iter().filter(|(name, _)| name != "__metadata__") {
        match place(entry) {
            Ok(place) => places.push((place, name)),
            Err(why) => return Some(format!("tensor `{}` {why}", shown(name))),
        }
    }
    places.sort();
    let mut end = 0;
    for ([from, to], name) in places {
        if from != end {
            return Some(format!(
                "tensor `{}` begins at byte {from} of the data, not where the one before ends, at {end}",
                shown(name)
            ));
        }
        end = to;
    }
    None
}

/// The name of a stranger, without what a terminal would obey.
fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(200).collect()
}

/// Where a tensor's bytes are, if they are as many as its shape and type need.
fn place(entry: &Value) -> Result<[u64; 2], String> {
    let kind = &entry["dtype"];
    let bits =
        serde_json::from_value::<Dtype>(kind.clone()).map_err(|_| format!("has the unknown type {kind}"))?.bitsize();
    let shape = &entry["shape"];
    let sizes: Vec<u64> = serde_json::from_value(shape.clone()).map_err(|_| format!("has the shape {shape}"))?;
    let offsets = &entry["data_offsets"];
    let wrong = || format!("has the bytes {offsets}");
    let [from, to]: [u64; 2] = serde_json::from_value(offsets.clone()).map_err(|_| wrong())?;
    let have = to.checked_sub(from).ok_or_else(wrong)?;
    let count = sizes.iter().try_fold(bits as u64, |product, size| product.checked_mul(*size));
    match count {
        Some(count) if count.div_ceil(8) == have => Ok([from, to]),
        _ => Err(format!("has {have} bytes, which is no {kind} of shape {shape}")),
    }
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
            (format!("{{\"a\":{good},\"a\":{}}}", tensor("F32", "[2]", 8, 16)), "`a` stands in it twice"),
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
        ] {
            for _ in 0..5 {
                let said = refused(&header, 16);
                assert!(said.contains(words), "{said} should say {words}");
            }
        }
    }
}
