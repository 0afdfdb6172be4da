use half::{bf16, f16};
use yuragi_graph::{HostTensor, Shape, Storage};

use super::*;
use crate::testing::Scratch;

fn sample() -> Checkpoint<'static> {
    let mut checkpoint = Checkpoint::default();
    checkpoint.set("objective", "flow matching");
    checkpoint.set("width", 48);
    checkpoint.set("題", "ゆらぎ");
    checkpoint.insert("u8", Tensor::from_values(&[3], &[0u8, 128, 255]).unwrap());
    checkpoint.insert("i8", Tensor::from_values(&[1, 2], &[-128i8, 127]).unwrap());
    checkpoint.insert("f16", Tensor::from_values(&[2], &[f16::from_f32(0.5), f16::MIN]).unwrap());
    checkpoint.insert("bf16", Tensor::from_values(&[1], &[bf16::from_f32(-3.0)]).unwrap());
    checkpoint.insert("i32", Tensor::from_values(&[2], &[i32::MIN, 7]).unwrap());
    checkpoint.insert("u32", Tensor::from_values(&[], &[u32::MAX]).unwrap());
    checkpoint.insert("f32", Tensor::from_values(&[2, 1, 2], &[1.5f32, -0.0, 1e-40, 3e38]).unwrap());
    checkpoint.insert("empty", Tensor::from_values::<f32>(&[0, 4], &[]).unwrap());
    checkpoint
}

#[test]
fn everything_comes_back_from_memory_and_from_a_map() {
    let scratch = Scratch::new();
    let path = scratch.join("model.safetensors");
    let sample = sample();
    sample.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, sample.to_bytes().unwrap());
    let leaked: &'static [u8] = bytes.clone().leak();
    for archive in
        [Archive::open(&path).unwrap(), Archive::from_bytes(bytes).unwrap(), Archive::from_static(leaked).unwrap()]
    {
        assert_eq!(archive.settings(), sample.settings());
        assert_eq!(archive.names().len(), sample.tensors().len());
        for (name, tensor) in sample.tensors() {
            assert_eq!(&archive.tensor(name).unwrap(), tensor, "{name}");
        }
        assert_eq!(archive.tensor("i32").unwrap().to_values::<i32>().unwrap(), [i32::MIN, 7]);
        assert_eq!(archive.tensor("i32").unwrap().to_values::<u32>(), None);
        assert_eq!(archive.f32("f32", &[2, 1, 2]).unwrap()[2].to_bits(), 1e-40f32.to_bits());
        assert_eq!(archive.f32("f16", &[2]).unwrap(), [0.5, -65504.0]);
        assert_eq!(archive.f32("bf16", &[1]).unwrap(), [-3.0]);
        assert!(archive.f32("empty", &[0, 4]).unwrap().is_empty());
    }
}

#[test]
fn the_file_is_what_the_formats_own_library_reads() {
    let bytes = sample().to_bytes().unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), sample().tensors().len());
    assert_eq!(theirs.tensor("i8").unwrap().data(), [0x80, 0x7f]);
    let header_length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + header_length]).unwrap();
    assert!(header.contains(r#""__metadata__":{"objective":"flow matching","width":"48","題":"ゆらぎ"}"#), "{header}");
    for view in theirs.tensors() {
        let offset = view.1.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset % (view.1.dtype().bitsize() / 8), 0, "{} is not aligned", view.0);
    }
}

#[test]
fn their_files_are_read() {
    let data: Vec<u8> = [1f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &data).unwrap();
    let ids = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &data).unwrap();
    let bytes = safetensors::serialize([("a", view), ("ids", ids)], None).unwrap();
    let archive = Archive::from_bytes(bytes).unwrap();
    assert!(archive.settings().is_empty());
    assert_eq!(archive.f32("a", &[2]).unwrap(), [1.0, 2.0]);
    assert!(matches!(archive.tensor("ids"), Err(CheckpointError::Type { have, .. }) if have == "I64"));
}

#[test]
fn every_cut_is_called_a_cut() {
    let bytes = sample().to_bytes().unwrap();
    for cut in 0..bytes.len() {
        match Archive::from_bytes(bytes[..cut].to_vec()) {
            Err(CheckpointError::Truncated { have, want, .. }) => {
                assert!(have == cut as u64 && want > have, "cut at {cut}: {have} of {want}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let mut long = sample().to_bytes().unwrap();
    long.push(0);
    let mut damaged = sample().to_bytes().unwrap();
    damaged[20] = b'{';
    for (bytes, reason) in [
        (b"PK\x03\x04 a zip archive of pickles".to_vec(), "pickle"),
        (b"\x80\x02}q\x00(X a pickle".to_vec(), "pickle"),
        (b"GIF89a, a picture of a cat".to_vec(), "no safetensors header"),
        (vec![0; 64], "no safetensors header"),
        (long, ""),
        (damaged, ""),
    ] {
        match Archive::from_bytes(bytes) {
            Err(CheckpointError::Format { reason: said, .. }) => assert!(said.contains(reason), "{said}"),
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn random_damage_never_panics() {
    let whole = [sample(), grouped(5, 32)].map(|checkpoint| checkpoint.to_bytes().unwrap());
    let mut state = 1u64;
    for number in 0..8000 {
        let mut bytes = whole[number % 2].clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 24) as u8;
        }
        if let Ok(archive) = Archive::from_bytes(bytes) {
            for name in archive.names() {
                let _ = archive.shape(&name).map(|shape| archive.f32(&name, &shape));
            }
        }
    }
}

#[test]
fn loading_names_the_tensor_and_what_is_wrong() {
    let mut checkpoint = sample();
    checkpoint.insert("nan", Tensor::from_values(&[3], &[0.0, 1.0, f32::NAN]).unwrap());
    checkpoint.insert("inf", Tensor::from_values(&[1], &[f16::INFINITY]).unwrap());
    let archive = Archive::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
    let said = |result: Result<Vec<f32>, CheckpointError>| result.unwrap_err().to_string();
    assert_eq!(said(archive.f32("nope", &[1])), "the checkpoint in memory has no tensor `nope`");
    assert_eq!(said(archive.f32("f32", &[4])), "tensor `f32` has shape [2, 1, 2], not [4]");
    assert_eq!(said(archive.f32("nan", &[3])), "tensor `nan` has the value NaN at index 2; all weights must be finite");
    assert_eq!(said(archive.f32("inf", &[1])), "tensor `inf` has the value inf at index 0; all weights must be finite");
    assert_eq!(said(archive.f32("i8", &[1, 2])), "the checkpoint in memory has no tensor `i8.scale`");
    assert!(said(archive.f32("i32", &[2])).contains("`i32` has elements of type I32"));
    let setting = |key| archive.setting::<usize>(key).unwrap_err().to_string();
    assert_eq!(setting("depth"), "the checkpoint in memory: setting `depth` is missing");
    assert!(setting("objective").contains("`flow matching`, which is not understood"));
    assert_eq!(archive.setting::<String>("objective").unwrap(), "flow matching");
}

#[test]
fn opening_names_the_path() {
    let scratch = Scratch::new();
    let path = scratch.join("model.safetensors");
    assert!(Archive::open(&path).unwrap_err().to_string().contains("model.safetensors"));
    assert!(Archive::open(&*scratch).unwrap_err().to_string().contains("directory"));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(Archive::open(&path), Err(CheckpointError::Truncated { have: 0, .. })));
}

#[test]
fn lengths_are_checked() {
    for shape in [&[2, 2][..], &[usize::MAX, 2], &[0], &[]] {
        assert!(matches!(Tensor::from_values(shape, &[1.0f32; 3]), Err(CheckpointError::Length { .. })));
    }
    assert!(matches!(Tensor::new(DType::F32, vec![1], &[0u8; 5][..]), Err(CheckpointError::Length { .. })));
    let mut checkpoint = Checkpoint::default();
    let groups = Groups::new(5, 32).unwrap();
    let one = checkpoint.insert_grouped("w", &[3, 0], &[1.0], groups);
    assert!(matches!(one, Err(CheckpointError::Length { .. })));
    assert!(matches!(checkpoint.insert_half("w", &[3, 0], &[1.0]), Err(CheckpointError::Length { .. })));
    checkpoint.insert_grouped("w", &[3, 0], &[], groups).unwrap();
    let mut reserved = checkpoint.clone();
    reserved.insert("__metadata__", Tensor::from_values(&[1], &[0u8]).unwrap());
    assert!(matches!(reserved.to_bytes(), Err(CheckpointError::Name { .. })));
    for value in [f32::NAN, f32::INFINITY] {
        let bad = checkpoint.insert_grouped("w", &[1], &[value], groups);
        assert!(matches!(bad, Err(CheckpointError::NotFinite { index: 0, .. })));
    }
    for large in
        [checkpoint.insert_grouped("w", &[2], &[1.0, 65520.0], groups), checkpoint.insert_half("w", &[2], &[1.0, -1e9])]
    {
        assert!(matches!(large, Err(CheckpointError::Large { index: 1, .. })));
    }
}

fn weights() -> Vec<f32> {
    (0..64 * 5 + 3).map(|i| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * 10f32.powi(i / 40 - 4)).collect()
}

fn grouped(bits: usize, size: usize) -> Checkpoint<'static> {
    let mut checkpoint = Checkpoint::default();
    checkpoint.insert_grouped("w", &[17, 19], &weights(), Groups::new(bits, size).unwrap()).unwrap();
    checkpoint
}

#[test]
fn weights_in_groups_come_back() {
    for bits in quantize::BITS {
        for size in [8, 32, 1024] {
            let archive = Archive::from_bytes(grouped(bits, size).to_bytes().unwrap()).unwrap();
            let groups = archive.groups("w").unwrap().unwrap();
            assert_eq!((groups.bits(), groups.size()), (bits, size));
            assert_eq!(archive.shape("w").unwrap(), [17, 19]);
            assert_eq!(archive.tensor("w").unwrap().shape(), groups.shape(323));
            let (codes, scales) = groups.encode(&weights());
            assert_eq!(archive.tensor("w").unwrap().bytes(), codes);
            let mut values = vec![0.0; 323];
            groups.decode(&codes, &scales, 0, &mut values);
            assert_eq!(archive.f32("w", &[17, 19]).unwrap(), values);
            for dtype in [yuragi_graph::DType::F32, yuragi_graph::DType::BF16] {
                let tensor = archive.weights("w", Shape::new(&[17, 19]).unwrap(), dtype).unwrap();
                assert!(matches!(tensor.storage(), Storage::Groups(_)));
                let rounded = HostTensor::rounded(tensor.shape(), dtype, values.clone()).unwrap();
                assert_eq!(tensor.to_f32(), rounded.to_f32());
            }
        }
    }
}

#[test]
fn groups_that_cannot_be_decoded_are_named() {
    let said = |change: &dyn Fn(&mut Checkpoint<'static>), shape: &[usize]| {
        let mut checkpoint = grouped(5, 32);
        change(&mut checkpoint);
        let archive = Archive::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
        let said = archive.f32("w", shape).unwrap_err().to_string();
        if let Some(shape) = Shape::new(shape) {
            assert_eq!(archive.weights("w", shape, yuragi_graph::DType::BF16).unwrap_err().to_string(), said);
        }
        said
    };
    let codes = |shape: &[usize]| Tensor::from_values(shape, &vec![0u8; shape.iter().product()]).unwrap();
    let scales = |count: usize, value: f32| Tensor::from_values(&[count], &vec![f16::from_f32(value); count]).unwrap();
    let own = [17, 19];
    assert_eq!(said(&|_| (), &[19, 17]), "tensor `w` has shape [17, 19], not [19, 17]");
    let vast = usize::MAX / 2;
    let absurd = format!("{vast},3");
    assert!(said(&|c| c.set("w.shape", &absurd), &[vast, 3]).contains("does not hold 352 values"));
    assert!(said(&|c| c.set("w.shape", "17000000,19"), &[17_000_000, 19]).contains("not [10093750, 4, 5]"));
    assert!(said(&|c| c.set("w.shape", "17 x 19"), &own).contains("setting `w.shape` is `17 x 19`, which is not"));
    for shape in [&[220][..], &[11, 4, 7], &[11, 129, 5], &[0, 0, 5]] {
        assert!(said(&|c| c.insert("w", codes(shape)), &own).contains("which no groups have; legal is"), "{shape:?}");
    }
    assert!(said(&|c| c.insert("w", codes(&[10, 4, 5])), &own).contains("shape [10, 4, 5], not [11, 4, 5]"));
    assert!(said(&|c| c.insert("w.scale", scales(12, 1.0)), &own).contains("`w.scale` has shape [12], not [11]"));
    for value in [f32::NAN, f32::INFINITY] {
        let message = said(&|c| c.insert("w.scale", scales(11, value)), &own);
        assert!(message.contains(&format!("`w.scale` has the value {value} at index 0")), "{message}");
    }
    let wide = Tensor::from_values(&[11], &[1.0f32; 11]).unwrap();
    assert!(said(&|c| c.insert("w.scale", wide.clone()), &own).contains("`w.scale` has elements of type F32"));
    let mut bare = grouped(5, 32);
    bare.insert("v", codes(&[11, 4, 5]));
    let archive = Archive::from_bytes(bare.to_bytes().unwrap()).unwrap();
    assert!(archive.f32("v", &[11, 4, 5]).unwrap_err().to_string().contains("`v` has elements of type U8"));
}

#[test]
fn weights_with_a_scale_for_each_channel_are_read() {
    assert!(quantize::by_channel(&[1, 2], &[]).is_empty());
    let mut checkpoint = Checkpoint::default();
    checkpoint.insert("w", Tensor::from_values(&[2, 2], &[127i8, 0, -50, 3]).unwrap());
    checkpoint.insert("w.scale", Tensor::from_values(&[2], &[0.5f32, 2.0]).unwrap());
    let archive = Archive::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
    assert_eq!(archive.f32("w", &[2, 2]).unwrap(), [63.5, 0.0, -25.0, 6.0]);
    assert_eq!(archive.groups("w").unwrap(), None);
}
