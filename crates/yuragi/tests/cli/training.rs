use std::fs;

use yuragi::io::{Picture, checkpoint::Archive, png};

use crate::program::Scratch;

const FLAGS: [&str; 10] =
    ["--autoencoder-steps", "3", "--autoencoder-batch", "1", "--steps", "6", "--batch", "1", "--compose", "1"];

fn stage(scratch: &Scratch, run: &str) -> Option<String> {
    Archive::open(scratch.join(run).join("checkpoint.safetensors")).ok()?.setting("stage").ok()
}

#[test]
fn a_training_ends_with_the_same_weights_however_it_is_interrupted() {
    let scratch = Scratch::new();
    let data = scratch.pictures();
    let begin = |out| ["train", "--data", data, "--out", out].into_iter().chain(FLAGS).collect::<Vec<_>>();
    let ended = scratch.succeed(begin("whole"));
    assert!(ended.err.contains("trained: whole/model.safetensors"), "{}", ended.err);
    let result = |run: &str, file: &str| fs::read(scratch.join(run).join(file)).unwrap();
    for file in ["checkpoint.safetensors", "model.safetensors", "autoencoder-samples.png", "diffusion.tsv"] {
        assert!(!result("whole", file).is_empty());
    }

    #[cfg(unix)]
    for (run, signal) in [("stopped", "INT"), ("killed", "KILL")] {
        let mut running = scratch.start(&begin(run), "4 pictures");
        running.until(|| stage(&scratch, run).as_deref() == Some("diffusion"));
        running.signal(signal);
        let ended = running.end();
        if signal == "INT" {
            assert_eq!(ended.code, Some(130), "{}", ended.err);
            assert!(ended.err.contains("go on with: yuragi train --resume stopped"), "{}", ended.err);
        }
        assert_eq!(stage(&scratch, run).as_deref(), Some("diffusion"), "it was not done");
        assert!(!scratch.join(run).join("model.safetensors").exists());
        scratch.succeed(["train", "--resume", run, "--threads", "1"]);
        for file in ["checkpoint.safetensors", "model.safetensors"] {
            assert!(result(run, file) == result("whole", file), "{file} after {signal}");
        }
    }

    scratch.refuse(begin("whole"), &["whole/checkpoint.safetensors exists", "--resume"]);
    let eight = result("whole", "model.safetensors").len();
    scratch.succeed(["train", "--resume", "whole", "--bits", "4"]);
    assert!(result("whole", "model.safetensors").len() < eight * 6 / 10, "the finished model is written in fewer bits");
    let told = scratch.succeed(["info", "whole/checkpoint.safetensors"]).out;
    assert!(
        told.contains(&format!("done, on {}", scratch.join("data").display())) && told.contains("(optimiser state)"),
        "{told}"
    );
    for model in ["whole", "whole/checkpoint.safetensors"] {
        scratch.succeed(["generate", "a red box", "--model", model, "--steps", "1", "-o", "box.png", "--seed", "1"]);
    }
}

#[test]
fn half_precision_trains_with_a_scaled_loss() {
    let scratch = Scratch::new();
    let data = scratch.pictures();
    let begin = |out| ["train", "--data", data, "--out", out].into_iter().chain(FLAGS).collect::<Vec<_>>();
    let half: Vec<&str> = begin("half").into_iter().chain(["--precision", "f16"]).collect();
    scratch.succeed(half);
    let checkpoint = Archive::open(scratch.join("half/checkpoint.safetensors")).unwrap();
    let told = scratch.succeed(["info", "half/checkpoint.safetensors"]).out;
    assert!(told.contains("(optimiser state)"), "{told}");
    let scale = checkpoint.f32("scaling.scale", &[]).unwrap()[0];
    assert!(scale > 0.0 && scale.log2().fract() == 0.0, "{scale}");
    scratch.succeed(["train", "--resume", "half", "--steps", "7", "--precision", "f16"]);
    scratch.succeed(["train", "--resume", "half", "--steps", "8"]);
    scratch.succeed(["generate", "a red box", "--model", "half", "--steps", "1", "-o", "box.png", "--seed", "1"]);
}

#[cfg(unix)]
#[test]
fn a_training_of_the_first_stage_cannot_draw_and_goes_on_only_with_its_data() {
    let scratch = Scratch::new();
    let data = scratch.pictures();
    let running = scratch.start(&["train", "--data", data, "--out", "run"], "4 pictures");
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    scratch.refuse(["generate", "cat", "--model", "run"], &["run/checkpoint.safetensors", "autoencoder"]);
    let told = scratch.succeed(["info", "run"]).out;
    assert!(told.contains("autoencoder, step ") && told.contains("not measured"), "{told}");
    fs::write(scratch.join("data/red.txt"), "another caption").unwrap();
    let ended = scratch.run(["train", "--resume", "run"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("other pictures or captions"), "{}", ended.err);

    let path = scratch.join("run/checkpoint.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    scratch.refuse(["train", "--resume", "run"], &["checkpoint.safetensors is cut short"]);
}

#[cfg(unix)]
#[test]
fn a_training_inside_its_pictures_goes_on_from_anywhere_and_when_they_have_moved() {
    let scratch = Scratch::new();
    scratch.pictures();
    let quick = ["--autoencoder-steps", "1", "--autoencoder-batch", "1", "--batch", "1"];
    let begin = ["train", "--data", "data", "--out", "data/runs/mine", "--steps", "100000"];
    let running = scratch.start(&[&begin[..], &quick].concat(), "4 pictures");
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    fs::write(scratch.join("data/runs/mine/autoencoder-samples.png"), fs::read(scratch.join("data/red.png")).unwrap())
        .unwrap();
    fs::create_dir(scratch.join("elsewhere")).unwrap();
    let mut away = scratch.program(["train", "--resume", "../data/runs/mine", "--steps", "2"]);
    let output = away.current_dir(scratch.join("elsewhere")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("4 pictures"), "{said}");

    fs::rename(scratch.join("data"), scratch.join("moved")).unwrap();
    let run = "moved/runs/mine";
    scratch.refuse(["train", "--resume", run], &["cannot read", "`--data`"]);
    scratch.succeed(["train", "--resume", run, "--data", "moved", "--steps", "3"]);
    fs::create_dir(scratch.join("others")).unwrap();
    fs::copy(scratch.join("moved/red.png"), scratch.join("others/red.png")).unwrap();
    let ended = scratch.run(["train", "--resume", run, "--data", "others", "--steps", "4"]);
    assert!(ended.code == Some(1) && ended.err.contains("other pictures or captions"), "{}", ended.err);
}

#[cfg(unix)]
#[test]
fn a_folder_holds_one_training_at_a_time() {
    let scratch = Scratch::new();
    let data = scratch.pictures();
    let mut running = scratch.start(&["train", "--data", data, "--out", "run"], "4 pictures");
    running.until(|| scratch.join("run/autoencoder.tsv").exists());
    scratch.refuse(["train", "--resume", "run"], &["another training is at work in run"]);
    scratch.refuse(["train", "--data", data, "--out", "run"], &["run"]);
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    scratch.succeed(["train", "--resume", "run", "--steps", "1", "--autoencoder-steps", "1"]);
}

#[test]
fn what_a_training_does_not_use_is_said() {
    let scratch = Scratch::new();
    scratch.pictures();
    fs::write(scratch.join("data/red.txt"), "one, ".repeat(30)).unwrap();
    fs::remove_file(scratch.join("data/grey.txt")).unwrap();
    let train = |out: &str, more: &[&str]| {
        let flags =
            ["train", "--data", "data", "--steps", "1", "--autoencoder-steps", "1", "--batch", "1", "--out", out];
        scratch.succeed(flags.iter().chain(&["--autoencoder-batch", "1"]).chain(more)).err
    };
    let said = train("one", &[]);
    assert!(said.contains("1 of 4 pictures have no caption: grey.png"), "{said}");
    assert!(
        said.contains("1 of 4 pictures have captions longer than the 22 tokens") && said.contains("red.png"),
        "{said}"
    );
    assert!(said.contains("4 pictures, 0 held out, 0 skipped, 0 composed"), "{said}");
    for name in ["red", "green", "blue"] {
        fs::remove_file(scratch.join(format!("data/{name}.txt"))).unwrap();
    }
    let said = train("two", &[]);
    assert!(said.contains("none of 4 pictures has a caption: words will mean nothing"), "{said}");
    let list = "file_name,about\nred.png,a cherry\nblue.png,a pond\n";
    fs::write(scratch.join("data/metadata.csv"), list).unwrap();
    let said = train("three", &["--caption-column", "about"]);
    assert!(said.contains("2 of 4 pictures have no caption: green.png, grey.png"), "{said}");
    let said =
        scratch.succeed(["generate", "cherries and ponds", "--model", "three", "--steps", "1", "-o", "x.png"]).err;
    assert!(said.contains("never met \"and\"") && !said.contains("cherries"), "{said}");
}

#[test]
fn data_and_places_that_cannot_be_trained_with() {
    let scratch = Scratch::new();
    let refuse = |data: &str, words: &[&str]| {
        scratch.refuse(["train", "--data", data, "--out", "run"], words);
    };
    fs::create_dir(scratch.join("empty")).unwrap();
    refuse("empty", &["no usable picture in empty"]);
    refuse("gone", &["cannot read gone"]);
    fs::create_dir(scratch.join("zero")).unwrap();
    fs::write(scratch.join("zero/none.png"), header(0, 8)).unwrap();
    fs::write(scratch.join("zero/vast.png"), header(20_000, 20_000)).unwrap();
    refuse("zero", &["no usable picture in zero", "2 skipped", "none.png"]);

    fs::write(scratch.join("font.ttf"), b"no font").unwrap();
    refuse("emoji:font.ttf", &["font.ttf", "not a TrueType or OpenType font"]);
    refuse("emoji:gone.ttf", &["gone.ttf", "fonts-noto-color-emoji"]);
    let plain = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";
    if std::path::Path::new(plain).exists() {
        refuse(&format!("emoji:{plain}"), &["DejaVuSans.ttf has no colour pictures"]);
    } else {
        eprintln!("SKIPPED: a font without colour pictures ({plain} is not installed)");
    }

    fs::write(scratch.join("file"), b"kept").unwrap();
    let data = scratch.pictures();
    scratch.refuse(["train", "--data", data, "--out", "./data"], &["./data is the folder of the pictures", "run"]);
    scratch.refuse(["train", "--data", data, "--out", "file"], &["cannot make the folder file"]);
    scratch.refuse(["train", "--data", data, "--out", "file/run"], &["cannot make the folder file/run"]);
    scratch.refuse(["train", "--resume", "nothing"], &["nothing/checkpoint.safetensors does not exist"]);
    scratch.refuse(["train", "--data", data, "--batch", "0"], &["the batch is 0, must be from 1 to 1024"]);
    scratch.refuse(["train", "--data", data, "--init", "gone"], &["cannot read gone"]);
}

#[cfg(unix)]
#[test]
fn odd_widths_are_trained_with_or_named() {
    let scratch = Scratch::new();
    scratch.pictures();
    fs::write(scratch.join("data/none.png"), header(0, 8)).unwrap();
    png::save(scratch.join("data/wide.png"), &Picture::filled(20_000, 3, [90; 3]).unwrap(), &[]).unwrap();
    let running = scratch.start(&["train", "--data", "data", "--out", "run"], "5 pictures");
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains("skipped data/none.png"), "{}", ended.err);
}

/// The beginning of a PNG file that promises a size.
fn header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png::encode(&Picture::filled(1, 1, [0; 3]).unwrap(), &[]).unwrap();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_decoder_to_larger_pictures_is_learned_alone() {
    let scratch = Scratch::new();
    let data = scratch.pictures();
    fs::write(scratch.join("small.safetensors"), yuragi::builtin_file()).unwrap();
    let learn = ["train", "decoder", "--data", data, "--model", "small.safetensors", "--steps", "3", "--batch", "2"];
    let flags = ["--channels", "8", "--blocks", "0", "--compose", "0"];
    let ended = scratch.succeed(learn.iter().chain(&flags));
    assert!(ended.err.contains("decodes to 128x128 pixels: decoder.safetensors"), "{}", ended.err);
    let told = scratch.succeed(["info", "decoder.safetensors"]).out;
    assert!(told.contains("autoencoder.channels.fine     8") && !told.contains("tokenizer"), "{told}");

    let draw = |model: &[&str], name: &str| {
        let flags = ["generate", "a cat", "--steps", "1", "--seed", "1", "--no-show", "-o", name];
        scratch.succeed(flags.iter().chain(model));
        Picture::open(scratch.join(name)).unwrap()
    };
    let [small, large] = [("small.png", &[][..]), ("large.png", &["--decoder", "decoder.safetensors"])]
        .map(|(name, more)| draw(&[&["--model", "small.safetensors"], more].concat(), name));
    assert_eq!((small.width(), large.width()), (64, 128));
    let whole =
        ["convert", "small.safetensors", "--decoder", "decoder.safetensors", "--bits", "8", "-o", "w.safetensors"];
    scratch.succeed(whole);
    assert_eq!(draw(&["--model", "w.safetensors"], "whole.png").width(), 128);
    scratch.succeed(["convert", "decoder.safetensors", "--bits", "4", "-o", "few.safetensors"]);
    assert_ne!(draw(&["--model", "small.safetensors", "--decoder", "few.safetensors"], "few.png"), large);
    // A level that is there is learned on.
    let on = ["train", "decoder", "--data", data, "--model", "w.safetensors", "--steps", "1", "--batch", "1"];
    scratch.succeed(on.iter().chain(&["--compose", "0", "--out", "on.safetensors"]));
    scratch.refuse(on.iter().chain(&["--channels", "16"]), &["8 channels and 0 blocks", "--channels"]);
    assert!(scratch.succeed(["info", "on.safetensors"]).out.contains("autoencoder.channels.fine     8"));

    scratch.refuse(
        ["generate", "x", "--model", "decoder.safetensors"],
        &["decoder.safetensors is the decoder of a model", "--decoder"],
    );
    scratch.refuse(["generate", "x", "--decoder", "gone.safetensors"], &["gone.safetensors"]);
    scratch.succeed(["train", "--data", data, "--out", "run"].into_iter().chain(FLAGS));
    scratch.refuse(
        ["generate", "x", "--model", "run", "--decoder", "few.safetensors"],
        &["few.safetensors: the decoder was learned with the latents of another autoencoder"],
    );
    scratch.refuse(
        ["convert", "few.safetensors", "--bits", "8", "--decoder", "decoder.safetensors"],
        &["few.safetensors is a decoder itself"],
    );
    scratch.refuse(["train", "decoder", "--channels", "12"], &["autoencoder.channels.fine", "12", "multiple of 8"]);
    scratch.refuse(["train", "decoder", "--channels", "0"], &["--channels", "multiples of 8"]);
    scratch.refuse(["train", "decoder", "--rate", "0"], &["rate"]);
}

#[test]
fn a_picture_begins_at_another_with_the_built_in_model() {
    let scratch = Scratch::new();
    let draw = |prompt: &str, name: &str, more: &[&str]| {
        let flags = ["generate", prompt, "--seed", "1", "--no-show", "-o", name];
        scratch.succeed(flags.iter().chain(more));
        Picture::open(scratch.join(name)).unwrap()
    };
    let [rocket, cat] = ["a rocket", "a cat"].map(|prompt| draw(prompt, "plain.png", &[]));
    draw("a rocket", "rocket.png", &[]);
    let near = draw("a cat", "near.png", &["--image", "rocket.png", "--strength", "0.2"]);
    let distance =
        |a: &Picture| -> u64 { a.rgb().iter().zip(near.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum() };
    assert!(2 * distance(&rocket) < distance(&cat), "{} {}", distance(&rocket), distance(&cat));
}
