use yuragi_numeric::fnv::Fnv1a;

use super::*;
use crate::stable_diffusion;

const KINDS: &[u8] = include_bytes!("../../tests/golden/kinds.gguf");
const DECODED: &str = include_str!("../../tests/golden/kinds.txt");

fn hash(values: &[f32]) -> u64 {
    let mut hash = Fnv1a::default();
    values.iter().for_each(|value| hash.bytes(&value.to_le_bytes()));
    hash.value()
}

/// The goldens are made by `tests/golden/gguf_kinds.py` with the package gguf.
#[test]
fn every_kind_is_decoded_as_the_package_decodes_it() {
    let file = Gguf::from_bytes(KINDS.to_vec()).unwrap();
    assert_eq!(file.values()["general.name"], Value::Text("every kind".into()));
    assert_eq!(file.values()["some.list"], Value::List(2));
    assert_eq!(file.tensors().len(), DECODED.lines().count());
    for line in DECODED.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, columns, bits, first, last] = fields[..] else { panic!("{line}") };
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.shape, [3, columns.parse().unwrap()], "{name}");
        assert_eq!(tensor.kind.to_string(), name);
        let values = file.f32(name).unwrap();
        let ends = [values[0], values[values.len() - 1]].map(|value| format!("{:08x}", value.to_bits()));
        assert_eq!((format!("{:016x}", hash(&values)), ends), (bits.into(), [first.into(), last.into()]), "{name}");
    }
    assert_eq!(file.f32("q9").unwrap_err().to_string(), "the GGUF file in memory has no tensor `q9`");
}

#[test]
fn it_is_handed_on_as_an_archive() {
    let file = Gguf::from_bytes(KINDS.to_vec()).unwrap();
    let archive = file.to_archive().unwrap();
    assert_eq!(archive.settings()["general.name"], "every kind");
    for tensor in file.tensors() {
        let (have, want) = (archive.tensor(&tensor.name).unwrap(), file.f32(&tensor.name).unwrap());
        assert_eq!(have.shape(), tensor.shape);
        let exact = matches!(tensor.kind, Kind::F32 | Kind::F16 | Kind::Bf16);
        for (have, want) in have.to_f32().into_iter().zip(want) {
            assert_eq!(have, if exact { want } else { f16::from_f32(want).to_f32() }, "{}", tensor.name);
        }
    }
}

/// A file of the parts that a header is made of.
#[derive(Clone)]
struct Made(Vec<u8>);

impl Made {
    fn new(tensors: u64, values: u64) -> Self {
        Made(Vec::from(*MAGIC)).u32(3).u64(tensors).u64(values)
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(mut self, text: &str) -> Self {
        self = self.u64(text.len() as u64);
        self.0.extend(text.as_bytes());
        self
    }

    fn tensor(mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Self {
        self = self.text(name).u32(shape.len() as u32);
        for extent in shape {
            self = self.u64(*extent);
        }
        self.u32(kind).u64(offset)
    }

    /// The header padded to 32 bytes, and so many bytes of data.
    fn data(mut self, bytes: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32) + bytes, 0);
        self
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let one = |shape: &[u64], kind, offset| Made::new(1, 0).tensor("w", shape, kind, offset).data(64);
    let room = Made::new(0, 0).data(40);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "it ends at byte 0, inside the magic number"),
        (b"PK\x03\x04".to_vec(), "it does not begin with `GGUF`"),
        (Made(MAGIC.to_vec()).u32(1).0, "its version is 1; legal are 2 and 3"),
        (Made(MAGIC.to_vec()).u32(3 << 24).0, "it is big-endian"),
        (
            Made::new(1 << 60, 0).data(0).0,
            "it promises 1152921504606846976 tensors, but there is no room for more than 0",
        ),
        (Made::new(0, u64::MAX).data(0).0, "it promises 18446744073709551615 values"),
        (Made::new(1, 0).u64(u64::MAX).data(64).0, "a tensor's name has 18446744073709551615 bytes"),
        (one(&[1 << 40, 1 << 40], 0, 0).0, "tensor `w` of shape [1099511627776, 1099511627776] at byte 0 ends behind"),
        (one(&[0, 1 << 60], 0, 0).0, "tensor `w` of shape [0, 1152921504606846976] at byte 0 ends behind"),
        (one(&[16], 0, 32).0, "tensor `w` ends behind the file's"),
        (one(&[8], 0, 4).0, "tensor `w` begins at byte 4 of the data, no multiple of 32"),
        (one(&[33], 8, 0).0, "tensor `w` has rows of 33 values, no multiple of the 32 of a block"),
        (one(&[], 8, 0).0, "tensor `w` has rows of 1 values, no multiple of the 32 of a block"),
        (one(&[8], 99, 0).0, "tensor `w` has the type 99, which is not known here"),
        (one(&[1; 5], 0, 0).0, "tensor `w` has 5 axes; legal are 4"),
        (Made::new(2, 0).tensor("w", &[8], 0, 0).tensor("w", &[8], 0, 32).data(64).0, "tensor `w` stands in it twice"),
        (Made::new(2, 0).tensor("v", &[16], 0, 0).tensor("w", &[8], 0, 32).data(64).0, "tensors `v` and `w` overlap"),
        (Made::new(0, 1).text("k").u32(77).data(32).0, "value `k`: it has the unknown type 77"),
        (Made::new(0, 1).text("k").u32(9).u32(6).u64(1 << 61).data(32).0, "value `k`: it promises 2305843009213693952"),
        (Made::new(0, 1).text("general.alignment").u32(4).u32(3).data(32).0, "its alignment is no power of two"),
        (Made::new(0, 1).text("k").u32(8).u64(1 << 50).data(32).0, "value `k`: it ends at byte"),
    ];
    for (bytes, words) in cases {
        let said = Gguf::from_bytes(bytes).unwrap_err().to_string();
        assert!(said.contains(words) && !said.contains('\n'), "{said} should say {words}");
    }
    assert!(Gguf::from_bytes(room.0).is_ok());
    let deep = (0..20).fold(Made::new(0, 1).text("k").u32(9), |deep, _| deep.u32(9).u64(1));
    let said = Gguf::from_bytes(deep.data(64).0).unwrap_err().to_string();
    assert!(said.ends_with("value `k`: lists lie more than 8 deep in it"), "{said}");
}

/// A number of 8 bits, E4M3.
fn eighth(byte: u8) -> f32 {
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f32::from(byte & 7) / 8.0);
    let value = if exponent == 0 { fraction / 64.0 } else { (1.0 + fraction) * 2.0f32.powi(exponent - 7) };
    if byte < 0x80 { value } else { -value }
}

/// A checkpoint of LDM's names as stable-diffusion.cpp packs it: matrices in blocks of 8 bits where rows allow it.
#[test]
fn a_packed_checkpoint_opens_as_the_whole_one() {
    let single = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/stable_diffusion/single.safetensors");
    let whole = Archive::open(&single).unwrap();
    let bytes = std::fs::read(&single).unwrap();
    let names = whole.names();
    let tensors: Vec<(&String, Vec<usize>, Vec<f32>)> = names
        .iter()
        .filter_map(|name| {
            let place = whole.place(name).unwrap();
            let values = match whole.tensor(name) {
                Ok(tensor) => tensor.to_f32(),
                Err(_) if place.shape.is_empty() || place.range.len() > place.shape.iter().product() => return None,
                Err(_) => bytes[place.range].iter().map(|byte| eighth(*byte)).collect(),
            };
            Some((name, place.shape.to_vec(), values))
        })
        .collect();
    let (mut header, mut data) = (Made::new(tensors.len() as u64, 0), Vec::new());
    for (name, shape, values) in tensors {
        let mut shape: Vec<u64> = shape.iter().rev().map(|extent| *extent as u64).collect();
        while shape.last() == Some(&1) && shape.len() > 1 {
            shape.pop();
        }
        data.resize(data.len().next_multiple_of(32), 0);
        let packs = shape.len() == 2 && shape[0].is_multiple_of(32);
        header = header.tensor(name, &shape, if packs { 8 } else { 0 }, data.len() as u64);
        for block in values.chunks(if packs { 32 } else { usize::MAX }) {
            let scale = f16::from_f32(block.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0);
            if packs {
                data.extend(scale.to_le_bytes());
                data.extend(block.iter().map(|x| ((x / scale.to_f32().max(1e-9)).round() as i8).cast_unsigned()));
            } else {
                data.extend(block.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
    }
    let scratch = crate::testing::Scratch::new();
    let path = scratch.join("packed.gguf");
    std::fs::write(&path, [header.data(0).0, data].concat()).unwrap();
    assert!(stable_diffusion::is_there(&path));
    let (packed, whole) = (stable_diffusion::open(&path).unwrap(), stable_diffusion::open(&single).unwrap());
    assert_eq!(packed.model, whole.model);
    for (name, want) in whole.params.iter() {
        let (have, want) = (packed.params.get(name).unwrap().to_f32(), want.to_f32());
        let largest = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(have.iter().zip(&want).all(|(a, b)| (a - b).abs() <= largest / 200.0), "{name}");
    }
}

#[test]
fn every_cut_is_an_error() {
    let whole = Gguf::from_bytes(KINDS.to_vec()).unwrap();
    let end = whole.tensors().iter().map(|tensor| tensor.range.end).max().unwrap();
    for length in 0..end {
        assert!(Gguf::from_bytes(KINDS[..length].to_vec()).is_err(), "{length}");
    }
}
