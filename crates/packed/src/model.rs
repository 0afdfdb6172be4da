//! A model's file as it is packed: without what does not draw, codes of 5 bits behind all else.

use serde_json::{Map, Value, json};

use crate::{code::BITS, error::PackError, pack::packed, unpack::unpack};

/// Where a file says what it says of itself.
const SETTINGS: &str = "__metadata__";
/// What begins the names of tensors that no picture is drawn with, and of those that another file may have.
const ENCODER: &str = "encoder.";
const DECODER: &str = "decoder.";

/// A safetensors file of a model in 5 bits a weight, without its encoder and with the decoder of another file where one is
/// given, packed; [`unpack`](crate::unpack) gives the same tensors in another order.
///
/// # Errors
/// A file that is damaged or too large.
pub fn pack(model: &[u8], decoder: Option<&[u8]>) -> Result<Vec<u8>, PackError> {
    let mut file = File::read(model).ok_or(PackError::NotSafetensors)?;
    file.tensors.retain(|tensor| !tensor.name.starts_with(ENCODER));
    if let Some(decoder) = decoder {
        file.take(DECODER, File::read(decoder).ok_or(PackError::NotSafetensors)?);
    }
    let (bytes, codes_from) = file.written();
    let small = packed(&bytes, codes_from)?;
    // Other weights than those of the model must not be given away.
    if unpack(&small).as_ref() == Some(&bytes) { Ok(small) } else { Err(PackError::Different) }
}

/// A safetensors file's settings and tensors.
struct File<'a> {
    settings: Map<String, Value>,
    tensors: Vec<Tensor<'a>>,
}

struct Tensor<'a> {
    name: String,
    entry: Value,
    data: &'a [u8],
}

impl Tensor<'_> {
    fn is_codes(&self) -> bool {
        self.entry["dtype"] == "U8" && self.entry["shape"][2] == BITS
    }
}

impl<'a> File<'a> {
    fn read(file: &'a [u8]) -> Option<File<'a>> {
        let (length, rest) = file.split_first_chunk::<8>()?;
        let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
        let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
        let offset = |entry: &Value, end: usize| usize::try_from(entry["data_offsets"][end].as_u64()?).ok();
        let mut read = File { settings: Map::new(), tensors: Vec::new() };
        for (name, entry) in header {
            if name == SETTINGS {
                read.settings = entry.as_object()?.clone();
            } else {
                let data = data.get(offset(&entry, 0)?..offset(&entry, 1)?)?;
                read.tensors.push(Tensor { name, entry, data });
            }
        }
        Some(read)
    }

    /// Takes another file's tensors of a part, and what it says of itself.
    fn take(&mut self, part: &str, other: File<'a>) {
        self.settings.extend(other.settings);
        self.tensors.retain(|tensor| !tensor.name.starts_with(part));
        self.tensors.extend(other.tensors.into_iter().filter(|tensor| tensor.name.starts_with(part)));
    }

    /// The file, codes of 5 bits behind all else, and where they begin.
    fn written(mut self) -> (Vec<u8>, usize) {
        self.tensors.sort_by_key(|tensor| (tensor.is_codes(), tensor.data.as_ptr()));
        let (mut header, mut data, mut others) = (Map::new(), Vec::new(), 0);
        header.insert(SETTINGS.to_owned(), Value::Object(self.settings));
        for mut tensor in self.tensors {
            let at = data.len();
            data.extend_from_slice(tensor.data);
            if !tensor.is_codes() {
                others = data.len();
            }
            tensor.entry["data_offsets"] = json!([at, data.len()]);
            header.insert(tensor.name, tensor.entry);
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let codes_from = 8 + header.len() + others;
        ([&(header.len() as u64).to_le_bytes()[..], &header, &data].concat(), codes_from)
    }
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
        let kept = unpack(&pack(&file, None).unwrap()).unwrap();
        let (header, data) = kept[8..].split_at(u64::from_le_bytes(*kept.first_chunk().unwrap()) as usize);
        let header: Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["d"]["data_offsets"], json!([0, 4]));
        assert_eq!(header["c"]["data_offsets"], json!([4, 14]));
        assert_eq!((header.get("encoder.x"), &header["__metadata__"]["a"]), (None, &json!("b")));
        assert_eq!(data, [12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for end in 0..file.len() {
            assert!(pack(&file[..end], None).is_err(), "{end}");
        }
    }

    #[test]
    fn the_decoder_of_another_file_takes_the_place_of_the_model_s() {
        let file = |header: &[u8], data: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header, data].concat();
        let model =
            br#"{"__metadata__":{"size":"1","words":"a"},"decoder.x":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},
            "unet.x":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}"#;
        let decoder = br#"{"__metadata__":{"size":"2"},"decoder.y":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},
            "unet.x":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}"#;
        let packed = pack(&file(model, &[1, 2, 3, 4]), Some(&file(decoder, &[5, 6, 7, 8]))).unwrap();
        let bytes = unpack(&packed).unwrap();
        let read = File::read(&bytes).unwrap();
        let tensors: Vec<(&str, &[u8])> = read.tensors.iter().map(|tensor| (&*tensor.name, tensor.data)).collect();
        assert_eq!(tensors, [("decoder.y", &[5, 6][..]), ("unet.x", &[3, 4])]);
        assert_eq!(Value::Object(read.settings), json!({"size": "2", "words": "a"}));
    }
}
