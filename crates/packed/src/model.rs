//! A model's file as it is packed: without what does not draw, codes of 5 bits behind all else.

use serde_json::{Map, Value, json};

use crate::{code::BITS, error::PackError, pack::packed, unpack::unpack};

/// What begins the names of tensors that no picture is drawn with.
const ENCODER: &str = "encoder.";

/// A safetensors file of a model in 5 bits a weight, without its encoder, packed; [`unpack`](crate::unpack) gives the
/// same tensors in another order.
///
/// # Errors
/// A file that is damaged or too large.
pub fn pack(model: &[u8]) -> Result<Vec<u8>, PackError> {
    let File { bytes, codes_from } = without(ENCODER, model).ok_or(PackError::NotSafetensors)?;
    let small = packed(&bytes, codes_from)?;
    // Other weights than those of the model must not be given away.
    if unpack(&small).as_ref() == Some(&bytes) { Ok(small) } else { Err(PackError::Different) }
}

/// A safetensors file that ends with codes of 5 bits.
struct File {
    bytes: Vec<u8>,
    codes_from: usize,
}

/// The same safetensors file without some tensors, and codes behind all else; the others stay as they are.
fn without(prefix: &str, file: &[u8]) -> Option<File> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let offset = |entry: &Value, end: usize| usize::try_from(entry["data_offsets"][end].as_u64()?).ok();
    let mut kept = Map::new();
    let mut tensors: Vec<(bool, usize, usize, String, Value)> = Vec::new();
    for (name, entry) in header {
        if name.starts_with("__") {
            kept.insert(name, entry);
        } else if !name.starts_with(prefix) {
            let codes = entry["dtype"] == "U8" && entry["shape"][2] == BITS;
            tensors.push((codes, offset(&entry, 0)?, offset(&entry, 1)?, name, entry));
        }
    }
    tensors.sort_by_key(|(codes, begin, end, ..)| (*codes, *begin, *end));
    let (mut data_kept, mut others) = (Vec::with_capacity(data.len()), 0);
    for (codes, begin, end, name, mut entry) in tensors {
        let at = data_kept.len();
        data_kept.extend_from_slice(data.get(begin..end)?);
        if !codes {
            others = data_kept.len();
        }
        entry["data_offsets"] = json!([at, data_kept.len()]);
        kept.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&kept).ok()?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let codes_from = 8 + header.len() + others;
    Some(File { bytes: [&(header.len() as u64).to_le_bytes()[..], &header, &data_kept].concat(), codes_from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_is_left_out_and_codes_come_last() {
        let header = br#"{"__metadata__":{"a":"b"},"c":{"dtype":"U8","shape":[1,2,5],"data_offsets":[0,10]},
            "encoder.x":{"dtype":"F16","shape":[1],"data_offsets":[10,12]},
            "d":{"dtype":"F16","shape":[2],"data_offsets":[12,16]}}"#;
        let data: Vec<u8> = (0..16).collect();
        let file = [&(header.len() as u64).to_le_bytes()[..], header, &data].concat();
        let kept = unpack(&pack(&file).unwrap()).unwrap();
        let (header, data) = kept[8..].split_at(u64::from_le_bytes(*kept.first_chunk().unwrap()) as usize);
        let header: Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["d"]["data_offsets"], json!([0, 4]));
        assert_eq!(header["c"]["data_offsets"], json!([4, 14]));
        assert_eq!((header.get("encoder.x"), &header["__metadata__"]["a"]), (None, &json!("b")));
        assert_eq!(data, [12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for end in 0..file.len() {
            assert!(pack(&file[..end]).is_err(), "{end}");
        }
    }
}
