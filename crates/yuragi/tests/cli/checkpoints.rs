//! Stable Diffusion's checkpoints through the program, on the tiny ones of `tests/golden`.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use yuragi::{
    cpu::Cpu,
    graph::Backend,
    io::{Checkpoint, Tensor, stable_diffusion as files},
    models::generator::{Batch, Generator, Pipeline, Request},
};

use crate::{
    program::Scratch,
    steps::{golden, model},
};

#[test]
fn t32_pictures_begin_at_pictures_masks_and_latents() {
    let scratch = Scratch::new();
    let model = model();
    let draw = |flags: &[&str]| {
        let common = ["generate", "a red cat", "--seed", "5", "--steps", "4", "--model", &model];
        scratch.succeed(common.iter().chain(flags))
    };
    draw(&["--width", "48", "--height", "32", "-o", "first.png", "--save-latents", "l.safetensors"]);
    draw(&["--width", "48", "--height", "32", "-o", "again.png", "-n", "3", "--batch", "2"]);
    let bytes = |name: &str| fs::read(scratch.join(name)).unwrap();
    assert!(bytes("first.png") == bytes("again-1.png"), "company changes nothing");
    assert!(bytes("first.png") != bytes("again-3.png"));

    let picture = |name: &str| yuragi::io::Picture::open(scratch.join(name)).unwrap();
    draw(&["--image", "first.png", "--strength", "0.3", "-o", "little.png"]);
    draw(&["--image", "first.png", "--strength", "0.9", "-o", "much.png"]);
    let distance = |a: &str, b: &str| -> u64 {
        let (a, b) = (picture(a), picture(b));
        assert_eq!((a.width(), a.height()), (b.width(), b.height()));
        a.rgb().iter().zip(b.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
    };
    assert!(distance("little.png", "much.png") > 0);

    // What a black mask keeps is the picture as the autoencoder has it, whatever is drawn.
    let mask = |colour: u8| yuragi::io::Picture::filled(48, 32, [colour; 3]).unwrap();
    for (name, colour) in [("black.png", 0), ("white.png", 255)] {
        yuragi::io::png::save(scratch.join(name), &mask(colour), &[]).unwrap();
    }
    draw(&["--image", "first.png", "--mask", "black.png", "-o", "kept.png"]);
    draw(&["--image", "first.png", "--mask", "black.png", "--guidance", "3", "-o", "kept3.png"]);
    draw(&["--image", "first.png", "--mask", "white.png", "-o", "new.png"]);
    assert_eq!(distance("kept.png", "kept3.png"), 0);
    assert!(distance("kept.png", "new.png") > 0);

    let refused = |flags: &[&str], words: &[&str]| {
        let common = ["generate", "x", "--steps", "1", "--model", &model, "-o", "never.png"];
        scratch.refuse(common.iter().chain(flags), words);
        assert!(!scratch.join("never.png").exists());
    };
    yuragi::io::png::save(scratch.join("small.png"), &yuragi::io::Picture::filled(8, 8, [0; 3]).unwrap(), &[]).unwrap();
    refused(&["--image", "first.png", "--mask", "small.png"], &["small.png", "8x8", "48x32"]);
    refused(&["--image", "l.safetensors"], &["l.safetensors"]);
    refused(&["--init-latents", "l.safetensors"], &["[1, 4, 16, 24]", "[1, 4, 16, 16]"]);
    refused(&["--init-latents", "first.png"], &["first.png"]);
    refused(&["--width", "33"], &["33x32", "multiples of 2"]);
    refused(&["--height", "1000000"], &["legal is"]);
    let alone = scratch.run(["generate", "x", "--model", &model, "--mask", "black.png"]);
    assert!(alone.code == Some(2) && alone.err.contains("--image"), "{}", alone.err);
}

#[test]
fn t32_words_have_weights_rows_and_depth() {
    let scratch = Scratch::new();
    let model = model();
    let draw = |words: &str, flags: &[&str]| {
        let common = ["generate", words, "--seed", "5", "--steps", "2", "--model", &model, "-o", "x.png"];
        scratch.succeed(common.iter().chain(flags));
        yuragi::io::Picture::open(scratch.join("x.png")).unwrap()
    };
    let plain = draw("a red cat", &[]);
    assert!(plain == draw("a (red:1) cat", &[]));
    assert!(plain != draw("a (red:1.5) cat", &[]));
    assert!(plain != draw("a red cat", &["--clip-skip", "2"]));
    assert!(plain != draw("a red cat", &["--negative", "blurry"]));
    assert!(plain != draw("a red cat BREAK in a hat", &[]));
    draw(&"hats ".repeat(200), &[]);
}

#[test]
fn t32_adapters_are_added_to_the_weights() {
    let scratch = Scratch::new();
    let model = model();
    let loaded = files::open(&golden("sd15")).unwrap();
    let (name, weight) = loaded.params.iter().find(|(name, _)| name.ends_with("attn2.to_q.weight")).unwrap();
    let [outputs, inputs] = [0, 1].map(|axis| weight.shape()[axis]);
    let module = name.strip_suffix(".weight").unwrap();
    let mut adapter = Checkpoint::default();
    let factor = |shape: [usize; 2]| Tensor::from_values(&shape, &vec![0.7_f32; shape[0] * shape[1]]).unwrap();
    adapter.insert(format!("{module}.lora_A.weight"), factor([1, inputs]));
    adapter.insert(format!("{module}.lora_B.weight"), factor([outputs, 1]));
    adapter.insert("unet.elsewhere.lora_A.weight", factor([1, inputs]));
    adapter.insert("unet.elsewhere.lora_B.weight", factor([outputs, 1]));
    adapter.save(scratch.join("hat.safetensors")).unwrap();
    let draw = |flags: &[&str]| {
        let common = ["generate", "a red cat", "--seed", "5", "--steps", "2", "--model", &model, "-o", "x.png"];
        let said = scratch.run(common.iter().chain(flags));
        assert_eq!(said.code, Some(0), "{}", said.err);
        (yuragi::io::Picture::open(scratch.join("x.png")).unwrap(), said.err)
    };
    let (plain, _) = draw(&[]);
    let (adapted, note) = draw(&["--lora", "hat.safetensors"]);
    assert!(plain != adapted);
    assert!(note.contains("no place for 2 tensors: unet.elsewhere.lora_A.weight"), "{note}");
    assert!(plain == draw(&["--lora", "hat.safetensors:0"]).0);
    assert!(plain != draw(&["--lora", "hat.safetensors:0.5", "--lora", "hat.safetensors:0.5"]).0);
    let told = scratch.succeed(["info", "x.png"]);
    assert!(told.out.contains("hat:0.5, hat:0.5"), "{}", told.out);
    // Of the adapter, a picture tells the name.
    fs::rename(scratch.join("x.png"), scratch.join("first.png")).unwrap();
    let twice = yuragi::io::Picture::open(scratch.join("first.png")).unwrap();
    let (found, note) = draw(&["--from", "first.png"]);
    assert!(found == twice && !note.contains("drawn with"), "{note}");
    fs::create_dir(scratch.join("lora")).unwrap();
    fs::rename(scratch.join("hat.safetensors"), scratch.join("lora/hat.safetensors")).unwrap();
    let (_, note) = draw(&["--from", "first.png"]);
    assert!(note.contains("drawn with the LoRA"), "{note}");
    let (found, note) = draw(&["--from", "first.png", "--lora-dir", "lora"]);
    assert!(found == twice && !note.contains("drawn with"), "{note}");

    // A prompt names it, too, and is not read as words.
    let words = |words: &str, flags: &[&str]| {
        let common = ["generate", words, "--seed", "5", "--steps", "2", "--model", &model, "-o", "x.png"];
        let said = scratch.run(common.iter().chain(flags));
        assert_eq!(said.code, Some(0), "{}", said.err);
        (yuragi::io::Picture::open(scratch.join("x.png")).unwrap(), said.err)
    };
    assert!(words("a red cat<lora:hat>", &["--lora-dir", "lora"]).0 == adapted);
    assert!(words("a red cat<lora:lora/hat:1>", &[]).0 == adapted);
    assert!(words("a red cat<lora:hat:0>", &["--lora-dir", "lora"]).0 == plain);
    let told = scratch.succeed(["info", "x.png"]);
    assert!(told.out.contains("<lora:hat:0>"), "{}", told.out);
    let (_, note) = words("a red cat<hypernet:x:1>", &[]);
    assert!(note.contains("`<hypernet:x>` is not known"), "{note}");
    let unlike = |text: &str, words: &[&str]| scratch.refuse(["generate", text, "--model", &model], words);
    unlike("<lora:nowhere>", &["\"nowhere\"", "--lora-dir"]);
    unlike("<lora:lora/hat:much>", &["<lora:lora/hat:much>", "WEIGHT"]);
    unlike("<lora:lora/hat:1:0.5>", &["<lora:lora/hat:1:0.5>"]);
    scratch.refuse(["generate", "a cat <lora:hat>"], &["<lora:…>", "--model"]);
    fs::rename(scratch.join("lora/hat.safetensors"), scratch.join("hat.safetensors")).unwrap();

    let refused = |flags: &[&str], words: &[&str]| scratch.refuse(["generate", "x"].iter().chain(flags), words);
    refused(&["--lora", "hat.safetensors"], &["Stable Diffusion", "--model"]);
    refused(&["--model", &model, "--lora", "absent.safetensors"], &["absent.safetensors"]);
    refused(&["--model", &model, "--lora", "x.png"], &["x.png"]);
    refused(&["--model", &model, "--clip-skip", "3"], &["`--clip-skip 3`", "legal is 1 to 2"]);
    refused(&["--clip-skip", "2"], &["`--clip-skip`", "--model"]);
}

#[test]
fn t33_words_stand_for_learnt_vectors() {
    let scratch = Scratch::new();
    let model = model();
    let embedding = |name: &str, tensor: &str, width: usize| {
        let mut file = Checkpoint::default();
        let values: Vec<f32> = (0..2 * width).map(|i| (i as f32).sin()).collect();
        file.insert(tensor, Tensor::from_values(&[2, width], &values).unwrap());
        file.save(scratch.join(name)).unwrap();
    };
    embedding("my-hat.safetensors", "emb_params", 16);
    embedding("foreign.safetensors", "<toy>", 8);
    let draw = |words: &str, flags: &[&str]| {
        let common = ["generate", words, "--seed", "5", "--steps", "2", "--model", &model, "-o", "x.png"];
        let said = scratch.run(common.iter().chain(flags));
        assert_eq!(said.code, Some(0), "{}", said.err);
        (yuragi::io::Picture::open(scratch.join("x.png")).unwrap(), said.err)
    };
    let (plain, _) = draw("a cat in my-hat", &[]);
    let told = scratch.succeed(["info", "my-hat.safetensors"]).out;
    assert!(told.contains("textual inversion") && told.contains("\"my-hat\""), "{told}");
    let (learnt, _) = draw("a cat in my-hat", &["--embedding", "my-hat.safetensors"]);
    assert!(plain != learnt);
    let told = scratch.succeed(["info", "x.png"]);
    assert!(told.out.contains("my-hat"), "{}", told.out);
    let (_, note) = draw("a cat", &["--from", "x.png"]);
    assert!(note.contains("drawn with the embeddings \"my-hat\""), "{note}");
    assert!(draw("a cat", &[]).0 == draw("a cat", &["--embedding", "my-hat.safetensors"]).0);
    let foreign = ["generate", "x", "--model", &model, "--embedding", "foreign.safetensors"];
    scratch.refuse(foreign, &["foreign.safetensors", "[8]", "[16]"]);
    scratch.refuse(["generate", "x", "--embedding", "my-hat.safetensors"], &["`--embedding`", "--model"]);
}

#[test]
fn t32_a_library_loads_once_draws_many_and_stops_from_another_thread() {
    let loaded = yuragi::stable_diffusion::open(&golden("sd15")).unwrap();
    let (drawing, cpu) = (loaded.drawing, Cpu::with_threads(2));
    let (sampling, size) = (drawing.sampling(), drawing.size());
    let batch = Batch { pictures: 1, size, chunks: 1, skip: 0 };
    let store = cpu.upload(loaded.params).unwrap();
    let generator = Generator::of(&cpu, &store, drawing, batch).unwrap();
    let (kept, frugal) = (generator.memory(), generator.frugal(true));
    assert!(frugal.memory() < kept);
    let mut pictures = Vec::new();
    for seed in 0..2 {
        let request = Request { prompt: "a red cat", seed, ..Request::default() };
        let mut job = frugal.start(&[request], &sampling).unwrap();
        while !job.advance(50).unwrap().is_all() {}
        pictures.push(job.rgb8(0).unwrap());
    }
    assert!(pictures[0] != pictures[1] && pictures[0].len() == size[0] * size[1] * 3);

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drawing = scope.spawn(|| {
            let mut job = frugal.start(&[Request::default()], &sampling).unwrap();
            loop {
                let done = job.advance(1).unwrap();
                if stop.load(Ordering::Relaxed) || done.is_all() {
                    return done;
                }
            }
        });
        stop.store(true, Ordering::Relaxed);
        assert!(!drawing.join().unwrap().is_all());
    });
}

#[test]
fn t32_what_a_checkpoint_is_and_does_not_use_is_told() {
    let scratch = Scratch::new();
    let told = scratch.succeed(["info", &golden("single.safetensors").display().to_string()]).out;
    for words in ["Stable Diffusion 1", "model_ema.decay", "unet", "vae", "text_encoder", "F16", "512x512"] {
        assert!(told.contains(words), "{told} should say {words}");
    }
    let told = scratch.succeed(["info", &model()]).out;
    assert!(told.contains("32x32") && told.contains("all tensors are used"), "{told}");
    assert!(told.contains("learning a LoRA"), "{told}");
    fs::write(scratch.join("x.ckpt"), b"PK\x03\x04").unwrap();
    scratch.refuse(["generate", "x", "--model", "x.ckpt"], &["convert it"]);
}

#[test]
fn t32_a_picture_is_repeated_from_its_own_text() {
    let scratch = Scratch::new();
    let model = model();
    let flags = ["--negative", "blurry", "--seed", "9", "--steps", "3", "--sampler", "euler", "--guidance", "4"];
    let size = ["--width", "48", "--height", "32", "--clip-skip", "2", "--rng", "torch-cpu", "--model", &model];
    scratch.succeed(["generate", "a (red:1.2) cat", "-o", "first.png"].iter().chain(&flags).chain(&size));
    scratch.succeed(["generate", "--from", "first.png", "-o", "again.png", "--model", &model]);
    assert!(fs::read(scratch.join("first.png")).unwrap() == fs::read(scratch.join("again.png")).unwrap());
    scratch.succeed(["generate", "--from", "first.png", "--seed", "10", "-o", "other.png", "--model", &model]);
    assert!(fs::read(scratch.join("first.png")).unwrap() != fs::read(scratch.join("other.png")).unwrap());
    assert_eq!(scratch.run(["generate", "-o", "x.png"]).code, Some(2), "words are needed");

    // A picture that was made of another one, and through a mask.
    let mask = yuragi::io::Picture::filled(48, 32, [255; 3]).unwrap();
    yuragi::io::png::save(scratch.join("mask.png"), &mask, &[]).unwrap();
    let begin = ["--image", "first.png", "--mask", "mask.png", "--strength", "0.5", "--seed", "3", "--steps", "4"];
    scratch.succeed(["generate", "a cat", "--model", &model, "-o", "made.png"].iter().chain(&begin));
    scratch.succeed(["generate", "--from", "made.png", "-o", "again.png", "--model", &model]);
    assert!(fs::read(scratch.join("made.png")).unwrap() == fs::read(scratch.join("again.png")).unwrap());
    scratch.succeed(["generate", "--from", "made.png", "--strength", "0.9", "-o", "other.png", "--model", &model]);
    assert!(fs::read(scratch.join("made.png")).unwrap() != fs::read(scratch.join("other.png")).unwrap());
    let strength = ["generate", "--from", "first.png", "--strength", "0.5", "-o", "x.png", "--model", &model];
    scratch.refuse(strength, &["`--strength`", "--image"]);
    fs::remove_file(scratch.join("mask.png")).unwrap();
    scratch.refuse(["generate", "--from", "made.png", "--model", &model], &["made.png was made of mask.png", "--mask"]);
    yuragi::io::png::save(scratch.join("mute.png"), &yuragi::io::Picture::filled(8, 8, [0; 3]).unwrap(), &[]).unwrap();
    scratch.refuse(["generate", "--from", "mute.png", "-o", "x.png"], &["mute.png", "does not tell"]);
}
