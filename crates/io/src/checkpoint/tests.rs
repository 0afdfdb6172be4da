use half::{bf16, f16};

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
    let whole = sample().to_bytes().unwrap();
    let mut state = 1u64;
    for _ in 0..4000 {
        let mut bytes = whole.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 24) as u8;
        }
        if let Ok(archive) = Archive::from_bytes(bytes) {
            for name in archive.names() {
                let _ = archive.tensor(&name).map(|tensor| archive.f32(&name, tensor.shape()));
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
    assert!(matches!(checkpoint.insert_quantized("w", &[3, 0], &[1.0]), Err(CheckpointError::Length { .. })));
    checkpoint.insert_quantized("w", &[3, 0], &[]).unwrap();
    let mut reserved = checkpoint.clone();
    reserved.insert("__metadata__", Tensor::from_values(&[1], &[0u8]).unwrap());
    assert!(matches!(reserved.to_bytes(), Err(CheckpointError::Name { .. })));
    let nan = checkpoint.insert_quantized("w", &[1], &[f32::NAN]);
    assert!(matches!(nan, Err(CheckpointError::NotFinite { index: 0, .. })));
}

#[test]
fn quantised_weights_come_back_within_half_a_step() {
    let values: Vec<f32> =
        (0..64 * 5).map(|i| ((i * 7919 % 1000) as f32 / 500.0 - 1.0) * 10f32.powi(i % 5 - 2)).collect();
    let mut checkpoint = Checkpoint::default();
    checkpoint.insert_quantized("w", &[4, 16, 5], &values).unwrap();
    let archive = Archive::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
    assert_eq!(archive.tensor("w").unwrap().dtype(), DType::I8);
    assert_eq!(archive.tensor("w.scale").unwrap().shape(), [5]);
    let scales = archive.tensor("w.scale").unwrap().to_f32();
    for (i, (have, want)) in archive.f32("w", &[4, 16, 5]).unwrap().iter().zip(&values).enumerate() {
        assert!((have - want).abs() <= 0.5001 * scales[i % 5], "{i}: {have} for {want}");
    }
}
