//! `train --lora` on the tiny checkpoint of `tests/golden`; `benches/peers/lora_diffusers.py` draws with its file in diffusers.

use std::{fs, time::Duration};

use yuragi::io::{Picture, checkpoint::Archive, png};

use crate::{
    program::Scratch,
    steps::{folder, model},
};

/// A folder of one captioned picture.
fn picture(scratch: &Scratch) {
    fs::create_dir(scratch.join("data")).unwrap();
    let mut picture = Picture::filled(40, 32, [220, 40, 30]).unwrap();
    picture.paste(&Picture::filled(16, 16, [30, 60, 200]).unwrap(), 12, 8);
    png::save(scratch.join("data/cat.png"), &picture, &[]).unwrap();
    fs::write(scratch.join("data/cat.txt"), "a red cat (blood type)").unwrap();
}

#[test]
fn t32_a_lora_learns_a_fixed_picture_and_draws() {
    let scratch = Scratch::new();
    picture(&scratch);
    let model = model();
    let train = |out, more: &[&'static str]| -> Vec<String> {
        let common = ["train", "--model", &model, "--lora", "data", "--rank", "4", "--steps", "150", "--rate", "1e-2"];
        let rest = ["--targets", "transformers", "--device", "cpu", "--out", out];
        common.iter().chain(&rest).chain(more).map(|word| (*word).to_owned()).collect()
    };
    let ended = scratch.succeed(train("whole", &[]));
    assert!(ended.err.contains("trained: whole/lora.safetensors"), "{}", ended.err);
    let log = fs::read_to_string(scratch.join("whole/lora.tsv")).unwrap();
    let losses: Vec<f64> = log.lines().skip(1).map(|line| line.split('\t').nth(1).unwrap().parse().unwrap()).collect();
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    println!("loss {first:.3} -> {last:.3}");
    assert!(last < 0.8 * first, "{losses:?}");
    assert!(scratch.join("whole/lora.png").exists());
    let file = Archive::open(scratch.join("whole/lora.safetensors")).unwrap();
    let layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
    assert_eq!(file.shape(&format!("{layer}.lora_down.weight")).unwrap(), [4, 8]);
    assert_eq!(file.shape(&format!("{layer}.lora_up.weight")).unwrap(), [8, 4]);
    assert_eq!(file.f32(&format!("{layer}.alpha"), &[]).unwrap(), [4.0]);
    // This version's maps at the ends of transformers are convolutions.
    assert_eq!(file.shape("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight").unwrap(), [4, 16, 1, 1]);
    assert!(file.names().iter().all(|name| name.starts_with("lora_unet_")), "{:?}", file.names());

    // With the text encoder it learns more, and says so.
    let words: Vec<String> = train("words", &["--text-encoder"]);
    let words: Vec<&str> = words.iter().map(|word| if word == "150" { "30" } else { word.as_str() }).collect();
    scratch.succeed(words);
    let file = Archive::open(scratch.join("words/lora.safetensors")).unwrap();
    let layer = "lora_te_text_model_encoder_layers_1_mlp_fc2";
    assert_eq!(file.shape(&format!("{layer}.lora_down.weight")).unwrap(), [4, 32]);
    assert!(file.f32(&format!("{layer}.lora_up.weight"), &[16, 4]).unwrap().iter().any(|x| *x != 0.0));
    let told = scratch.succeed(["info", "words/lora.safetensors"]).out;
    assert!(told.contains("unet") && told.contains("text_encoder    12 weights, rank 4"), "{told}");
    let draw = |words: &str, lora| {
        let flags = ["--model", &model, "--seed", "3", "--steps", "2", "--lora", lora, "-o", "w.png"];
        scratch.succeed(["generate", words].iter().chain(&flags));
        fs::read(scratch.join("w.png")).unwrap()
    };
    assert!(draw("a red cat", "words/lora.safetensors") != draw("a red cat", "words/lora.safetensors:0"));

    let told = scratch.succeed(["info", "whole/lora.safetensors"]).out;
    assert!(told.contains("a LoRA for Stable Diffusion") && told.contains("weights, rank 4"), "{told}");
    for checkpoint in ["whole", "whole/checkpoint.safetensors"] {
        assert!(scratch.succeed(["info", checkpoint]).out.contains("the training of a LoRA"));
    }
    scratch.refuse(["train", "--resume", "whole", "--bits", "4"], &["--bits", "training of a LoRA"]);
    // A LoRA is learnt by one process, in one piece.
    for flags in [&["--shard-optimiser"][..], &["--reduce", "nccl"]] {
        let resume = ["train", "--resume", "whole"].into_iter().chain(flags.iter().copied());
        scratch.refuse(resume, &[flags[0], "training of a LoRA"]);
    }
    for flags in [&["--shard-optimiser"][..], &["--reduce", "nccl"], &["--slices", "2"]] {
        let begin = ["train", "--model", "sd", "--lora", "pictures"].into_iter().chain(flags.iter().copied());
        let ended = scratch.run(begin);
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains(flags[0]) && ended.err.contains("cannot be used with"), "{}", ended.err);
    }

    // On any number of threads, and interrupted or not, it is the same file.
    #[cfg(unix)]
    {
        let arguments = train("stopped", &["--threads", "1"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut wait = Duration::from_millis(50);
        let stopped_after = |wait: Duration| {
            let _ = fs::remove_dir_all(scratch.join("stopped"));
            let running = scratch.start(&arguments, "1 pictures of 32x32 pixels");
            std::thread::sleep(wait);
            running.signal("INT");
            let ended = running.end();
            assert!(matches!(ended.code, Some(0 | 130)), "{}", ended.err);
            let file = Archive::open(scratch.join("stopped/checkpoint.safetensors")).unwrap();
            file.setting::<u64>("step").unwrap()
        };
        // Machines differ: the wait grows until a step is made, and shrinks when all are.
        let mut stopped = (0..20).map(|_| {
            let step = stopped_after(wait);
            wait = if step == 0 { wait * 2 } else { wait * 2 / 3 };
            step
        });
        let step = stopped.find(|step| (1..150).contains(step));
        println!("stopped at {step:?} of 150");
        assert!(step.is_some());
        // What cannot be is refused before it is written, and the folder stays what it is.
        let resume = ["train", "--resume", "stopped", "--device", "cpu"];
        let before = fs::read(scratch.join("stopped/checkpoint.safetensors")).unwrap();
        for (more, words) in [
            (["--steps", "0"], ["the number of steps is 0"]),
            (["--steps", "10000001"], ["the number of steps is 10000001"]),
            (["--data", "nowhere"], ["nowhere"]),
            (["--model", "nowhere"], ["nowhere"]),
        ] {
            scratch.refuse(resume.iter().chain(&more), &words);
        }
        let other = folder(&scratch, "sd21", |config| config);
        scratch.refuse(resume.iter().chain(&["--model", &other]), &["began with another checkpoint"]);
        fs::remove_dir_all(scratch.join("sd21")).unwrap();
        assert!(fs::read(scratch.join("stopped/checkpoint.safetensors")).unwrap() == before);
        let told = scratch.succeed(["info", "stopped"]).out;
        assert!(told.contains("the training of a LoRA") && told.contains("transformers"), "{told}");
        scratch
            .refuse(["generate", "x", "--model", "stopped"], &["the training of a LoRA", "stopped/lora.safetensors"]);
        fs::rename(scratch.join("data"), scratch.join("moved")).unwrap();
        scratch.refuse(resume, &["data", "named with `--data`"]);
        let ended = scratch.succeed(resume.iter().chain(&["--data", "moved", "--model", &model]));
        assert!(ended.err.contains("trained: stopped/lora.safetensors"), "{}", ended.err);
        let file = Archive::open(scratch.join("stopped/checkpoint.safetensors")).unwrap();
        let place = file.setting::<String>("data").unwrap();
        assert!(std::path::Path::new(&place).is_absolute() && place.ends_with("moved"), "{place}");
        let bytes = |run: &str| fs::read(scratch.join(run).join("lora.safetensors")).unwrap();
        assert!(bytes("whole") == bytes("stopped"));
    }

    let draw = |flags: &[&str]| {
        let common = ["generate", "a red cat", "--seed", "5", "--steps", "4", "--model", &model, "-o", "x.png"];
        let ended = scratch.succeed(common.iter().chain(flags));
        assert!(ended.err.is_empty(), "{}", ended.err);
        Picture::open(scratch.join("x.png")).unwrap()
    };
    assert!(draw(&[]) != draw(&["--lora", "whole/lora.safetensors"]));
}

#[test]
fn t32_what_no_lora_can_be_learnt_of_is_refused() {
    let scratch = Scratch::new();
    picture(&scratch);
    let model = model();
    let inpainting = folder(&scratch, "inpaint", |config| config);
    fs::write(scratch.join("x.txt"), "no model").unwrap();
    let refused = |model: &str, more: &[&str], words: &[&str]| {
        let common = ["train", "--model", model, "--lora", "data", "--device", "cpu"];
        scratch.refuse(common.iter().chain(more), words);
    };
    fs::write(scratch.join("data/cat.txt"), "cat, ".repeat(400)).unwrap();
    let long = ["train", "--model", &model, "--lora", "data", "--device", "cpu", "--steps", "1", "--out", "long"];
    let ended = scratch.succeed(long);
    assert!(ended.err.contains("1 of 1 pictures have captions longer than the 300 tokens"), "{}", ended.err);
    refused("x.txt", &[], &["x.txt"]);
    refused("absent", &[], &["absent"]);
    refused(&inpainting, &[], &["draws from words alone"]);
    refused(&model, &["--size", "33"], &["33x33", "multiples of 2"]);
    refused(&model, &["--alpha=-1"], &["alpha is -1"]);
    refused(&model, &["--rate", "7"], &["learning rate is 7"]);
    refused(&model, &["--out", "data"], &["the folder of the pictures"]);
    refused(&model, &["--prediction", "flow"], &["predicts the flow"]);
    scratch.refuse(["train", "--model", &model, "--lora", "inpaint/vae"], &["no usable picture"]);
    let wrong = |arguments: &[&str], word: &str| {
        let ended = scratch.run(arguments);
        assert!(ended.code == Some(2) && ended.err.contains(word), "{}", ended.err);
    };
    wrong(&["train", "--lora", "data"], "--model");
    wrong(&["train", "--model", &model], "--lora");
    wrong(&["train", "--model", &model, "--lora", "data", "--rank", "0"], "--rank");
    wrong(&["train", "--model", &model, "--lora", "data", "--targets", "all"], "attention or transformers");
    wrong(&["train", "--model", &model, "--lora", "data", "--prediction", "noise"], "epsilon, v, sample or flow");
    wrong(&["train", "--model", &model, "--lora", "data", "--data", "emoji"], "--data");
}
