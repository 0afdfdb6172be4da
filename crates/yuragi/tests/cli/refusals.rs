use std::fs;

use yuragi::io::{Checkpoint, Tensor};

use crate::program::{Scratch, filled, zeros};

#[test]
fn models_that_are_none() {
    let scratch = Scratch::new();
    let refuse = |name: &str, words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain([name]).collect();
        scratch.refuse(["generate", "cat", "--model", name], &words);
        scratch.refuse(["evaluate", "--model", name], &words);
    };
    refuse("missing.safetensors", &["cannot read", "No such file"]);
    fs::create_dir(scratch.join("folder")).unwrap();
    refuse("folder", &["holds no model", "checkpoint.safetensors", "`unet`"]);

    let whole = yuragi::builtin_file();
    for (name, bytes) in [("cut", &whole[..whole.len() / 2]), ("header", &whole[..1000]), ("empty", &[])] {
        fs::write(scratch.join(name), bytes).unwrap();
        refuse(name, &["cut short"]);
    }
    fs::write(scratch.join("noise"), [0xa7; 5000]).unwrap();
    refuse("noise", &["not a safetensors file"]);
    Checkpoint::default().save(scratch.join("other.safetensors")).unwrap();
    refuse("other.safetensors", &["no model that is known here: no tensors"]);
    let mut other = Checkpoint::default();
    other.set("format", "pt");
    other.insert("x.weight", Tensor::from_values(&[1], &[1.0_f32]).unwrap());
    other.save(scratch.join("tensors.safetensors")).unwrap();
    refuse("tensors.safetensors", &["no model that is known here: 1 tensor, x.weight"]);
    // A part of a diffusers folder is none.
    fs::create_dir(scratch.join("folder/unet")).unwrap();
    fs::write(scratch.join("folder/model_index.json"), "{}").unwrap();
    refuse("folder/unet", &["part of a diffusers folder: name folder"]);
    fs::create_dir(scratch.join("unet")).unwrap();
    fs::write(scratch.join("model_index.json"), "{}").unwrap();
    refuse("unet", &["part of a diffusers folder: name .\n"]);
    fs::remove_dir(scratch.join("unet")).unwrap();
    fs::remove_file(scratch.join("model_index.json")).unwrap();
    fs::copy(scratch.join("tensors.safetensors"), scratch.join("folder/unet/x.safetensors")).unwrap();
    refuse("folder/unet/x.safetensors", &["part of a diffusers folder: name folder"]);
    fs::write(scratch.join("x.gguf"), b"GGUF\x03\0\0\0").unwrap();
    refuse("x.gguf", &["x.gguf"]);
    refuse("/dev/null", &["cut short"]);
}

#[test]
fn models_whose_parts_do_not_fit() {
    let scratch = Scratch::new();
    let refuse = |name: &str, words: &[&str], change: &dyn Fn(&mut Checkpoint<'static>)| {
        scratch.model(name, change);
        let words: Vec<&str> = words.iter().copied().chain([name]).collect();
        scratch.refuse(["generate", "cat", "--model", name], &words);
        fs::remove_file(scratch.join(name)).unwrap();
    };
    let weight = "unet.in.weight";
    refuse("shape", &[weight, "shape", "[3, 3, 4, 64]"], &|m| m.insert(weight, zeros(&[3, 3, 4, 56])));
    refuse("settings", &["tensor `", "shape"], &|m| m.set("unet.channels.full", 56));
    refuse("illegal", &["`unet.channels.full` is 0"], &|m| m.set("unet.channels.full", 0));
    refuse("number", &["`picture.size`", "no number"], &|m| m.set("picture.size", "large"));
    refuse("huge", &["tensor `", "shape"], &|m| m.set("text.vocabulary", 1 << 20));
    refuse("nan", &[weight, "NaN"], &|m| m.insert(weight, filled(&[3, 3, 4, 64], f32::NAN)));
    let codes = Tensor::from_values(&[3584, 24, 7], &vec![0u8; 3584 * 24 * 7]).unwrap();
    refuse("codes", &["text.embedding", "which no groups have"], &|m| m.insert("text.embedding", codes.clone()));
    let scales = filled(&[3584], f32::NAN).to_f16();
    refuse("scales", &["text.embedding.scale", "NaN"], &|m| m.insert("text.embedding.scale", scales.clone()));
    refuse("extents", &["text.embedding", "[224, 3072]"], &|m| m.set("text.embedding.shape", "224,3072"));
    refuse("words", &["tokenizer"], &|m| m.set("tokenizer", "nonsense"));
    refuse("deviation", &["latents.deviation"], &|m| m.set("latents.deviation", "1,0,1,1"));
}

#[test]
fn places_that_cannot_be_written() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("folder")).unwrap();
    fs::write(scratch.join("file"), b"kept").unwrap();
    let refuse = |output: &str, words: &[&str]| {
        scratch.refuse(["generate", "cat", "--steps", "1", "--guidance", "1", "-o", output], words);
    };
    refuse("none/cat.png", &["there is no folder none"]);
    refuse("file/cat.png", &["there is no folder file"]);
    refuse("none/", &["cannot write none/", "there is no such folder"]);
    refuse("cat.gif", &[".gif", ".png, .jpg, .jpeg or .webp"]);
    #[cfg(target_os = "linux")]
    {
        refuse("/dev/full", &["cannot write /dev/full", "No space left"]);
        refuse("/proc/cat.png", &["cannot write /proc/cat.png"]);
    }
    scratch.refuse(["generate", "cat", "-n", "2", "-o", "none/cat.png"], &["there is no folder none"]);
    for standard in ["-", "/dev/stdout"] {
        scratch.refuse(["generate", "cat", "-n", "2", "-o", standard], &["standard output takes one picture, not 2"]);
    }
    let long = "く".repeat(40_000);
    scratch.refuse(
        ["generate", &long[..120], "--negative", &long, "--steps", "1", "-o", "x.jpg"],
        &["a JPEG holds at most"],
    );
    assert_eq!(fs::read(scratch.join("file")).unwrap(), b"kept");
}

#[test]
fn wrong_usage_says_what_is_legal() {
    let scratch = Scratch::new();
    for (arguments, words) in [
        (&["generate"][..], "<PROMPT>"),
        (&["generate", "cat", "-n", "0"], "1..=64"),
        (&["generate", "cat", "-n", "65"], "1..=64"),
        (&["generate", "cat", "--steps", "0"], "1..=1000"),
        (&["generate", "cat", "--steps", "1001"], "1..=1000"),
        (&["generate", "cat", "--guidance", "-1"], "guidance"),
        (&["generate", "cat", "--guidance", "31"], "from 0 to 30"),
        (&["generate", "cat", "--guidance", "nan"], "from 0 to 30"),
        (&["generate", "cat", "--seed", "-2"], "from 0 to 18446744073709551615, or -1"),
        (&["generate", "cat", "--seed", "18446744073709551616"], "seed"),
        (&["generate", "cat", "--sampler", "best"], "dpm++2m-sde"),
        (&["generate", "cat", "--sampler", "ddim:2"], "from 0 to 1"),
        (&["generate", "cat", "--scale", "17"], "1..=16"),
        (&["generate", "cat", "-o", ""], "--output"),
        (&["generate", "cat", "--threads", "0"], "1..=1024"),
        (&["evaluate", "--count", "0"], "1.."),
        (&["train", "--threads", "0"], "1..=1024"),
        (&["train", "--threads", "99999"], "1..=1024"),
        (&["train", "--resume", "x", "--seed", "1"], "--seed"),
        (&["paint"], "paint"),
        (&[], "Usage"),
    ] {
        let ended = scratch.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words) && !ended.err.contains("panicked"), "{arguments:?}: {}", ended.err);
    }
    assert!(scratch.names().is_empty());
}
