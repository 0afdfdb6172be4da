//! Adapters merged into weights, against PEFT's (`tests/golden/lora_merges.py`).

use std::path::{Path, PathBuf};

use yuragi_graph::{DType, HostTensor, Params, Shape};
use yuragi_io::{
    Checkpoint, Tensor,
    checkpoint::Archive,
    lora::{Lora, LoraError},
};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lora").join(name)
}

fn params(file: &str, dtype: DType) -> Params {
    let archive = Archive::open(golden(file)).unwrap();
    let mut params = Params::new();
    for name in archive.names() {
        let tensor = archive.tensor(&name).unwrap();
        let shape = Shape::new(tensor.shape()).unwrap();
        params.insert(&name, HostTensor::rounded(shape, dtype, tensor.to_f32()).unwrap());
    }
    params
}

/// The largest difference beside the largest value.
fn distance(have: &Params, want: &Params) -> f32 {
    let mut worst = 0.0f32;
    for (name, want) in want.iter() {
        let (have, want) = (have.get(name).unwrap().to_f32(), want.to_f32());
        let largest = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let differences = have.iter().zip(&want).map(|(a, b)| (a - b).abs() / largest);
        worst = differences.fold(worst, f32::max);
    }
    worst
}

/// The goldens are made by `tests/golden/lora_merges.py` with PEFT.
#[test]
fn t33_merged_weights_are_pefts() {
    let want = params("merged.safetensors", DType::F32);
    let base = params("base.safetensors", DType::F32);
    assert!(distance(&base, &want) > 0.1);
    // A folder of PEFT's, whose factors are of 32 bits; kohya's file has 16.
    for (path, tolerance) in [("", 1e-6), ("kohya.safetensors", 1e-3)] {
        let mut have = base.clone();
        let merged = Lora::open(golden(path)).unwrap().merge(&mut have, 1.0).unwrap();
        assert_eq!((merged.changed, merged.unused), (5, Vec::new()));
        assert!(distance(&have, &want) < tolerance, "{path}: {}", distance(&have, &want));
    }
    // Half of it twice is all of it, and weights of 16 bits stay so.
    let lora = Lora::open(golden("")).unwrap();
    let mut twice = base.clone();
    (0..2).for_each(|_| drop(lora.merge(&mut twice, 0.5).unwrap()));
    assert!(distance(&twice, &want) < 1e-6);
    let mut short = params("base.safetensors", DType::F16);
    lora.merge(&mut short, 1.0).unwrap();
    assert!(short.iter().all(|(_, tensor)| tensor.dtype() == DType::F16));
    assert!(distance(&short, &want) < 1e-3);
}

fn model() -> Params {
    let mut params = Params::new();
    let mut add = |name: &str, shape: &[usize]| {
        let count = shape.iter().product();
        params.insert(name, HostTensor::new(Shape::new(shape).unwrap(), vec![1.0; count]).unwrap());
    };
    add("unet.conv_norm_out.weight", &[3]);
    add("unet.conv_norm_out.bias", &[3]);
    add("unet.down_blocks.0.resnets.0.conv1.weight", &[2, 2, 1, 3]);
    add("unet.down_blocks.1.attentions.0.proj_in.weight", &[2, 3]);
    add("text_encoder.encoder.layers.0.mlp.fc1.weight", &[2, 2]);
    params
}

fn lora(tensors: &[(&str, &[usize], &[f32])]) -> Result<Lora, LoraError> {
    let mut checkpoint = Checkpoint::default();
    for (name, shape, values) in tensors {
        checkpoint.insert(*name, Tensor::from_values(shape, values).unwrap());
    }
    Lora::new(Archive::from_bytes(checkpoint.to_bytes().unwrap()).unwrap())
}

#[test]
fn t33_parts_names_and_cores() {
    let mut have = model();
    let file = lora(&[
        // By LDM's number: with one layer a level, level 1 begins at block 3.
        ("lora_unet_input_blocks_3_1_proj_in.lora_down.weight", &[1, 3], &[1.0, 2.0, 3.0]),
        ("lora_unet_input_blocks_3_1_proj_in.lora_up.weight", &[2, 1], &[1.0, -1.0]),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", &[1, 2], &[1.0, 1.0]),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", &[2, 1], &[1.0, 0.0]),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.alpha", &[], &[0.5]),
        // Tucker: core[m, n, tap] = tap for m = n = 0.
        ("lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight", &[1, 2, 1, 1], &[1.0, 10.0]),
        ("lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight", &[2, 1, 1, 1], &[1.0, 2.0]),
        ("lora_unet_down_blocks_0_resnets_0_conv1.lora_mid.weight", &[1, 1, 1, 3], &[0.0, 1.0, 2.0]),
        ("lora_unet_nowhere.lora_down.weight", &[1, 3], &[1.0, 2.0, 3.0]),
        ("something", &[1], &[1.0]),
    ])
    .unwrap();
    let merged = file.merge(&mut have, 2.0).unwrap();
    assert_eq!(
        (merged.changed, merged.unused),
        (3, vec!["lora_unet_nowhere.lora_down.weight".into(), "something".into()])
    );
    let values = |name: &str| have.get(name).unwrap().to_f32();
    assert_eq!(values("unet.down_blocks.1.attentions.0.proj_in.weight"), [3.0, 5.0, 7.0, -1.0, -3.0, -5.0]);
    assert_eq!(values("text_encoder.encoder.layers.0.mlp.fc1.weight"), [2.0, 2.0, 1.0, 1.0]);
    let conv = values("unet.down_blocks.0.resnets.0.conv1.weight");
    assert_eq!(conv, [1.0, 3.0, 5.0, 1.0, 21.0, 41.0, 1.0, 5.0, 9.0, 1.0, 41.0, 81.0]);
}

#[test]
fn t33_adapters_that_do_not_fit_change_nothing() {
    let refused = |tensors: &[(&str, &[usize], &[f32])], weight| {
        let mut have = model();
        let said = lora(tensors).and_then(|lora| lora.merge(&mut have, weight)).unwrap_err().to_string();
        let ones = have.iter().all(|(_, tensor)| tensor.to_f32().iter().all(|x| *x == 1.0));
        assert!(ones && !said.contains('\n'), "{said}");
        said
    };
    const Q: &str = "unet.down_blocks.1.attentions.0.proj_in";
    let (a, b) = (format!("{Q}.lora_A.weight"), format!("{Q}.lora_B.weight"));
    assert!(refused(&[("x", &[1], &[1.0])], 1.0).ends_with("holds no LoRA: none of its 1 tensors is named as one"));
    let said = refused(&[(&a, &[1, 4], &[1.0; 4]), (&b, &[2, 1], &[1.0; 2])], 1.0);
    assert!(said.ends_with("has parts of shapes [[2, 1], [1, 4]], but the model's weight has [2, 3]"), "{said}");
    let said = refused(&[(&a, &[2, 3], &[1.0; 6]), (&b, &[2, 1], &[1.0; 2])], 1.0);
    assert!(said.contains("has parts of shapes"), "{said}");
    let said = refused(&[(&a, &[1, 3], &[f32::INFINITY; 3]), (&b, &[2, 1], &[1.0; 2])], 1.0);
    assert!(said.ends_with("makes weights that are not finite"), "{said}");
    let said = refused(&[("lora_unet_odd.lora_down.weight", &[1, 3], &[1.0; 3])], 1.0);
    assert!(said.contains("is for another model: none of its 1 modules fits, the first is `unet_odd`"), "{said}");
    // An adapter of another kind with the same names.
    let (lora_a, lora_b) = ((a.as_str(), &[1, 3][..], &[1.0; 3][..]), (b.as_str(), &[2, 1][..], &[1.0; 2][..]));
    let bias = format!("{Q}.lora_B.bias");
    let said = refused(&[lora_a, lora_b, (&bias, &[2], &[1.0; 2])], 1.0);
    assert!(said.contains("which is no part of a LoRA, LoCon, LoHa, LoKr or DoRA"), "{said}");
    let scale = format!("{Q}.dora_scale");
    let said = refused(&[lora_a, lora_b, (&scale, &[5], &[1.0; 5])], 1.0);
    assert!(said.contains("has parts of shapes [[5]]"), "{said}");
    let said = refused(&[lora_a, lora_b, (&scale, &[2], &[f32::NAN; 2])], 1.0);
    assert!(said.ends_with("makes weights that are not finite"), "{said}");
    // Kronecker factors that do not divide the weight, and Hadamard's of which one is missing.
    let [w1, w2] = ["lokr_w1", "lokr_w2"].map(|end| format!("{Q}.{end}"));
    let said = refused(&[(&w1, &[2, 2], &[1.0; 4]), (&w2, &[1, 1], &[1.0])], 1.0);
    assert!(said.contains("has parts of shapes [[2, 2]]"), "{said}");
    let said = refused(&[(&w1, &[2, 3], &[1.0; 6]), (&w2, &[2, 1], &[1.0; 2])], 1.0);
    assert!(said.contains("has parts of shapes [[2, 3], [2, 1]]"), "{said}");
    // Factors whose product would be larger than any memory.
    let large = vec![1.0; 1 << 20];
    let [w1a, w1b] = ["lokr_w1_a", "lokr_w1_b"].map(|end| format!("{Q}.{end}"));
    let said = refused(&[(&w1a, &[1 << 20, 1], &large), (&w1b, &[1, 1 << 20], &large), (&w2, &[1, 1], &[1.0])], 1.0);
    assert!(said.contains("has parts of shapes [[1048576, 1], [1, 1048576]]"), "{said}");
    let [w1a, w1b] = ["hada_w1_a", "hada_w1_b"].map(|end| format!("{Q}.{end}"));
    let said = refused(&[(&w1a, &[2, 1], &[1.0; 2]), (&w1b, &[1, 3], &[1.0; 3])], 1.0);
    assert!(said.ends_with("lacks a factor: it has only hada_w1_b, hada_w1_a"), "{said}");
    let said = refused(&[lora_a], 1.0);
    assert!(said.ends_with("lacks a factor: it has only lora_A.weight"), "{said}");
    // Products of a vector, and a difference of another bias.
    let [a, b] = ["A", "B"].map(|letter| format!("unet.conv_norm_out.lora_{letter}.weight"));
    let said = refused(&[(&a, &[1, 1], &[1.0]), (&b, &[3, 1], &[1.0; 3])], 1.0);
    assert!(said.ends_with("has parts of shapes [[1, 1], [3, 1]], but the model's weight has [3]"), "{said}");
    let said = refused(&[("unet.conv_norm_out.diff_b", &[2], &[1.0; 2])], 1.0);
    assert!(said.ends_with("has a diff_b of shape [2], but the model's bias has [3]"), "{said}");
}

#[test]
fn t33_whole_differences_factors_and_lengths_of_inputs() {
    const Q: &str = "lora_unet_down_blocks_1_attentions_0_proj_in";
    let merged = |tensors: &[(&str, &[usize], &[f32])], weight| {
        let mut have = model();
        let named: Vec<(String, _, _)> = tensors.iter().map(|(end, s, v)| (format!("{Q}.{end}"), *s, *v)).collect();
        let named: Vec<_> = named.iter().map(|(name, shape, values)| (name.as_str(), *shape, *values)).collect();
        lora(&named).unwrap().merge(&mut have, weight).unwrap();
        have.get("unet.down_blocks.1.attentions.0.proj_in.weight").unwrap().to_f32()
    };
    let difference = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(merged(&[("diff", &[2, 3], &difference)], 0.5), [1.5, 2.0, 2.5, 3.0, 3.5, 4.0]);
    // Of whole factors, α says nothing.
    let whole: [(&str, &[usize], &[f32]); 3] =
        [("lokr_w1", &[2, 1], &[1.0, -1.0]), ("lokr_w2", &[1, 3], &[1.0, 2.0, 3.0]), ("alpha", &[], &[7.0])];
    assert_eq!(merged(&whole, 1.0), [2.0, 3.0, 4.0, 0.0, -1.0, -2.0]);
    // Columns of W + B·A get these lengths, and half of the way is gone.
    let long: [(&str, &[usize], &[f32]); 3] = [
        ("lora_down.weight", &[1, 3], &[2.0, 0.0, 1.0]),
        ("lora_up.weight", &[2, 1], &[1.0, 1.5]),
        ("dora_scale", &[1, 3], &[10.0, 2.0_f32.sqrt(), 1.0]),
    ];
    // Weights that are all zero have no direction.
    let dead: [(&str, &[usize], &[f32]); 3] = [
        ("lora_down.weight", &[1, 3], &[1.0; 3]),
        ("lora_up.weight", &[2, 1], &[-1.0, 0.0]),
        ("dora_scale", &[2, 1], &[1.0, 3.0_f32.sqrt()]),
    ];
    let have = merged(&dead, 1.0);
    assert!(have.iter().zip([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{have:?}");
    let have = merged(&long, 0.5);
    let want = [3.5, 1.0, 0.5 + 0.5 * 2.0 / 10.25_f32.sqrt(), 4.5, 1.0, 0.5 + 0.5 * 2.5 / 10.25_f32.sqrt()];
    assert!(have.iter().zip(want).all(|(have, want)| (have - want).abs() < 1e-6), "{have:?}");
}

/// As full adapters have them, with a folder's rank and α, which are not theirs.
#[test]
fn t33_differences_of_vectors_and_biases() {
    const N: &str = "lora_unet_conv_norm_out";
    let folder = std::env::temp_dir().join(format!("yuragi-differences-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("adapter_config.json"), r#"{"r": 4, "lora_alpha": 1}"#).unwrap();
    let mut file = Checkpoint::default();
    for end in ["diff", "diff_b"] {
        file.insert(format!("{N}.{end}"), Tensor::from_values(&[3], &[1.0, 2.0, 3.0]).unwrap());
    }
    file.save(folder.join("adapter_model.safetensors")).unwrap();
    let (mut have, lora) = (model(), Lora::open(&folder).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    let merged = lora.merge(&mut have, 0.5).unwrap();
    assert_eq!((merged.changed, merged.unused), (2, Vec::new()));
    for end in ["weight", "bias"] {
        assert_eq!(have.get(&format!("unet.conv_norm_out.{end}")).unwrap().to_f32(), [1.5, 2.0, 2.5], "{end}");
    }
}

/// Adapters of other kinds, their goldens made by the same script.
#[test]
fn t33_other_kinds_are_merged_as_peft_does() {
    let base = params("base.safetensors", DType::F32);
    for (kind, name) in
        [("loha", "LoHa"), ("loha-core", "LoHa"), ("lokr", "LoKr"), ("lokr-core", "LoKr"), ("dora", "DoRA")]
    {
        let want = params(&format!("{kind}-merged.safetensors"), DType::F32);
        assert!(distance(&base, &want) > 0.1);
        let lora = Lora::open(golden(&format!("{kind}.safetensors"))).unwrap();
        assert!(lora.parts()[0].kinds.contains(name), "{:?}", lora.parts());
        let mut have = base.clone();
        let merged = lora.merge(&mut have, 1.0).unwrap();
        assert_eq!((merged.changed, merged.unused), (5, Vec::new()), "{kind}");
        let distance = distance(&have, &want);
        println!("{kind}: {distance:.1e}");
        assert!(distance < 1e-6, "{kind}: {distance}");
    }
    // Both factors of LoKr as products of rank 2, one of them in Tucker's form.
    let mut have = params("lokr-wide-base.safetensors", DType::F32);
    let want = params("lokr-wide-merged.safetensors", DType::F32);
    assert!(distance(&have, &want) > 0.1);
    let merged = Lora::open(golden("lokr-wide.safetensors")).unwrap().merge(&mut have, 1.0).unwrap();
    assert_eq!((merged.changed, merged.unused), (2, Vec::new()));
    assert!(distance(&have, &want) < 1e-6, "{}", distance(&have, &want));
}
