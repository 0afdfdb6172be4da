//! Whole generations of tiny pipelines through the program, beside diffusers' (`tests/golden/stable_diffusion.py`).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use yuragi::{
    io::{Checkpoint, Tensor, checkpoint::Archive, stable_diffusion as files},
    models::stable_diffusion::{self as sd, Batch},
};

use crate::program::Scratch;

#[path = "../../../../tests/golden/stable_diffusion.rs"]
pub mod numbers;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/stable_diffusion").join(name)
}

pub fn model() -> String {
    golden("sd15").display().to_string()
}

/// `[1, C, h, w]` with its channels last.
fn last(values: &[f32], channels: usize) -> Vec<f32> {
    let pixels = values.len() / channels;
    (0..values.len()).map(|i| values[i % channels * pixels + i / channels]).collect()
}

#[test]
fn t32_steps_from_given_latents_are_those_of_diffusers() {
    let scratch = Scratch::new();
    let values = Archive::open(golden("sd15-values.safetensors")).unwrap();
    let start = last(&values.tensor("start").unwrap().to_f32(), 4);
    files::save_latents(&scratch.join("start.safetensors"), &[start], [8, 8, 4]).unwrap();
    for sampler in ["ddim", "euler", "dpm++2m"] {
        let flags = ["--width", "16", "--height", "16", "--steps", "20", "--guidance", "7.5", "--sampler", sampler];
        let files = ["--init-latents", "start.safetensors", "--save-latents", "end.safetensors", "-o", "x.png"];
        let words = ["generate", "a red cat, 3 hats", "--negative", "blurry", "--model", &model()];
        scratch.succeed(words.iter().chain(&flags).chain(&files));
        let have = files::read_latents(&scratch.join("end.safetensors"), [8, 8, 4]).unwrap().remove(0);
        let want = last(&values.tensor(&format!("sampled.{sampler}")).unwrap().to_f32(), 4);
        let size = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let error = have.iter().zip(&want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
        println!("{sampler}: {:.1e}", error / size);
        assert!(error <= 1e-5 * size, "{sampler}: off by {error} of {size}");
    }
}

/// A folder of a golden's configurations, with weights of the script's formula; `change` may edit the U-Net's.
pub fn folder(scratch: &Scratch, name: &str, change: impl Fn(String) -> String) -> String {
    let to = scratch.join(name);
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for file in fs::read_dir(from).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    };
    for component in fs::read_dir(golden(name)).unwrap().map(|entry| entry.unwrap().path()) {
        copy(&component, &to.join(component.file_name().unwrap()));
    }
    let config = to.join("unet/config.json");
    fs::write(&config, change(fs::read_to_string(&config).unwrap())).unwrap();
    for place in ["tokenizer", "tokenizer_2"] {
        copy(&golden("sd15/tokenizer"), &to.join(place));
    }
    let model = files::extents(&to).unwrap();
    let batch = Batch { pictures: 1, size: [64; 2], chunks: 1, skip: 0 };
    let graphs = [
        sd::encode_text(&model, batch),
        sd::denoise(&model, batch),
        sd::encode(&model, batch),
        sd::decode(&model, batch),
    ];
    let mut components: BTreeMap<String, Checkpoint> = BTreeMap::new();
    for spec in graphs.iter().flat_map(|graph| graph.as_ref().unwrap().params()) {
        let (component, stored) = spec.name.split_once('.').unwrap();
        let values = numbers::formula(&spec.name, &spec.shape);
        let tensor = Tensor::from_values(&spec.shape, &values).unwrap();
        components.entry(component.to_owned()).or_default().insert(stored, tensor);
    }
    for (component, file) in components {
        file.save(to.join(component).join("model.safetensors")).unwrap();
    }
    to.display().to_string()
}

/// Draws the script's words with its seed, and compares the latents of the end.
fn compare(scratch: &Scratch, model: &str, key: &str, latent: [usize; 3], flags: &[&str]) {
    let values = Archive::open(golden("steps-values.safetensors")).unwrap();
    let common =
        ["generate", "a red cat, 3 hats", "--negative", "blurry", "--model", model, "--seed", "5", "--steps", "20"];
    let rest = ["--guidance", "7.5", "--rng", "torch-cpu", "--save-latents", "end.safetensors", "-o", "x.png"];
    scratch.succeed(common.iter().chain(&rest).chain(flags));
    let have = files::read_latents(&scratch.join("end.safetensors"), latent).unwrap().remove(0);
    let want = last(&values.tensor(key).unwrap().to_f32(), latent[2]);
    let size = want.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let error = have.iter().zip(&want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    println!("{key}: {:.1e}", error / size);
    assert!(error <= 1e-5 * size, "{key}: off by {error} of {size}");
}

const SMALL: [&str; 4] = ["--width", "16", "--height", "16"];

#[test]
fn t32_every_sampler_ends_where_that_of_diffusers_does() {
    let scratch = Scratch::new();
    for sampler in [
        "ddpm",
        "ddim",
        "pndm",
        "plms",
        "euler",
        "euler-a",
        "heun",
        "lms",
        "dpm2",
        "dpm2-a",
        "dpm++2m",
        "dpm++3m",
        "dpm++2m-sde",
        "dpm++2s",
        "dpm++3s",
        "unipc",
        "deis",
        "lcm",
        "tcd",
    ] {
        let flags = [&SMALL[..], &["--sampler", sampler]].concat();
        compare(&scratch, &model(), &format!("sd15.{sampler}"), [8, 8, 4], &flags);
    }
    // Without a name, the folder's own.
    compare(&scratch, &model(), "sd15.ddim", [8, 8, 4], &SMALL);
}

#[test]
fn t32_every_family_ends_where_that_of_diffusers_does() {
    let scratch = Scratch::new();
    let same = |config: String| config;
    let second = folder(&scratch, "sd21", same);
    let square = ["--width", "32", "--height", "32"];
    compare(&scratch, &second, "sd21.own", [8, 8, 4], &square);
    compare(&scratch, &second, "sd21.dpm++2m", [8, 8, 4], &[&square[..], &["--sampler", "dpm++2m"]].concat());
    let large = folder(&scratch, "sdxl", same);
    compare(&scratch, &large, "sdxl.own", [8, 8, 4], &SMALL);
    compare(&scratch, &large, "sdxl.dpm++2m", [8, 8, 4], &[&SMALL[..], &["--sampler", "dpm++2m"]].concat());
    // What a network predicts can be said where its files do not.
    let told = scratch.succeed([
        "generate",
        "x",
        "--model",
        &second,
        "--prediction",
        "epsilon",
        "--steps",
        "2",
        "-o",
        "e.png",
    ]);
    assert!(told.err.is_empty(), "{}", told.err);
    scratch.succeed([
        "generate",
        "x",
        "--model",
        &second,
        "--seed",
        "1",
        "--prediction",
        "v",
        "--steps",
        "2",
        "-o",
        "a.png",
    ]);
    scratch.succeed(["generate", "x", "--model", &second, "--seed", "1", "--steps", "2", "-o", "b.png"]);
    let picture = |name: &str| yuragi::io::Picture::open(scratch.join(name)).unwrap();
    assert!(picture("a.png") == picture("b.png") && picture("a.png") != picture("e.png"));
    scratch.refuse(["generate", "x", "--prediction", "v"], &["`--prediction`", "--model"]);
    let unknown = scratch.run(["generate", "x", "--model", &second, "--prediction", "noise"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("epsilon, v, sample or flow"), "{}", unknown.err);
}

/// The script's picture and mask.
fn pictures(scratch: &Scratch) {
    let bytes = numbers::uniform("picture", 32 * 32 * 3).map(|u| ((u * 0.5 + 0.5) * 256.0).floor() as u8).collect();
    let picture = yuragi::io::Picture::new(32, 32, bytes).unwrap();
    yuragi::io::png::save(scratch.join("picture.png"), &picture, &[]).unwrap();
    let mut mask = yuragi::io::Picture::filled(32, 32, [0; 3]).unwrap();
    mask.paste(&yuragi::io::Picture::filled(16, 16, [255; 3]).unwrap(), 4, 8);
    yuragi::io::png::save(scratch.join("mask.png"), &mask, &[]).unwrap();
}

#[test]
fn t32_pictures_and_masks_end_where_those_of_diffusers_do() {
    let scratch = Scratch::new();
    pictures(&scratch);
    let begin = ["--image", "picture.png", "--strength", "0.6", "--sampler", "euler"];
    let masked = ["--mask", "mask.png"];
    compare(&scratch, &model(), "sd15.image", [16, 16, 4], &begin);
    compare(&scratch, &model(), "sd15.masked", [16, 16, 4], &[&begin[..], &masked].concat());
    let begin = [&["--image", "picture.png"][..], &masked].concat();
    let told = folder(&scratch, "inpaint", |config| config);
    compare(&scratch, &told, "inpaint.own", [8, 8, 4], &begin);
    fs::remove_dir_all(scratch.join("inpaint")).unwrap();
    let guided = folder(&scratch, "inpaint", |config| {
        config.replace("\"time_cond_proj_dim\": 12", "\"time_cond_proj_dim\": null")
    });
    compare(&scratch, &guided, "inpaint.guided", [8, 8, 4], &begin);
}
