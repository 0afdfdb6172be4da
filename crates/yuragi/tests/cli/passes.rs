//! What is drawn in two passes, decoded in tiles or looked at on the way, on the tiny checkpoint of `tests/golden`.

use std::fs;

use yuragi::{
    cpu::Cpu,
    graph::{Backend, HostTensor, Params, Plan, Slice, SliceMut},
    io::{Checkpoint, Picture, Tensor, png, stable_diffusion as files},
    models::{
        generator::{Batch, Begin, Generator, Request, Sampling},
        stable_diffusion::{self as sd, TinyAutoencoder},
    },
};

use crate::{
    program::Scratch,
    steps::{golden, model, numbers},
};

#[test]
fn t32_pictures_are_drawn_once_more_in_a_larger_size() {
    let scratch = Scratch::new();
    let model = model();
    let draw = |flags: &[&str]| {
        let common = ["generate", "a red cat", "--seed", "5", "--steps", "4", "--width", "16", "--height", "24"];
        scratch.succeed(common.iter().chain(&["--model", &model, "-o", "x.png"]).chain(flags));
        Picture::open(scratch.join("x.png")).unwrap()
    };
    let size = |picture: &Picture| (picture.width(), picture.height());
    let latent = draw(&["--hires", "2", "--save-latents", "l.safetensors"]);
    assert_eq!(size(&latent), (32, 48));
    assert_eq!(files::read_latents(&scratch.join("l.safetensors"), [24, 16, 4]).unwrap().len(), 1);
    fs::rename(scratch.join("x.png"), scratch.join("latent.png")).unwrap();
    let told = scratch.succeed(["info", "latent.png"]).out;
    assert!(told.contains("Hires upscale") && told.contains("Latent"), "{told}");
    scratch.succeed(["generate", "--from", "latent.png", "--model", &model, "-o", "again.png"]);
    assert!(fs::read(scratch.join("latent.png")).unwrap() == fs::read(scratch.join("again.png")).unwrap());
    let picture =
        draw(&["--hires", "1.5", "--hires-upscaler", "picture", "--hires-strength", "0.4", "--hires-steps", "6"]);
    assert_eq!(size(&picture), (24, 36));
    fs::rename(scratch.join("x.png"), scratch.join("picture.png")).unwrap();
    scratch.succeed(["generate", "--from", "picture.png", "--model", &model, "-o", "again.png"]);
    assert!(fs::read(scratch.join("picture.png")).unwrap() == fs::read(scratch.join("again.png")).unwrap());

    // A picture that is named takes the first pass's place.
    let from = ["generate", "--from", "latent.png", "--model", &model, "--image", "picture.png", "-o", "again.png"];
    scratch.succeed(from);
    assert_eq!(size(&Picture::open(scratch.join("again.png")).unwrap()), (24, 36));
    // More steps than a flag can say are not taken.
    let text =
        "a cat\nSteps: 2, Sampler: Euler, CFG scale: 2, Seed: 1, Size: 16x16, Hires upscale: 2, Hires steps: 5000";
    png::save(scratch.join("other.png"), &Picture::filled(8, 8, [9; 3]).unwrap(), &[("parameters", text)]).unwrap();
    let ended = scratch.succeed(["generate", "--from", "other.png", "--model", &model, "-o", "again.png"]);
    assert!(ended.err.contains("`Hires steps` is \"5000\"") && ended.err.contains("1 to 1000"), "{}", ended.err);
    assert_eq!(size(&Picture::open(scratch.join("again.png")).unwrap()), (32, 32));

    let wrong = |flags: &[&str], word: &str| {
        let ended = scratch.run(["generate", "x", "--model", &model].iter().chain(flags));
        assert!(ended.code == Some(2) && ended.err.contains(word), "{}", ended.err);
    };
    wrong(&["--hires", "1"], "above 1, up to 8");
    wrong(&["--hires-steps", "3"], "--hires");
    wrong(&["--hires", "2", "--image", "latent.png"], "--image");
    wrong(&["--hires", "2", "--hires-upscaler", "esrgan"], "latent, picture");
    scratch.refuse(["generate", "x", "--hires", "2"], &["256x256", "128x128"]);
}

#[test]
fn t32_latents_that_are_drawn_go_on_as_the_picture_that_they_are_of() {
    let loaded = yuragi::stable_diffusion::open(&golden("sd15")).unwrap();
    let (drawing, cpu) = (loaded.drawing, Cpu::with_threads(1));
    let batch = Batch { pictures: 1, size: [32; 2], chunks: 1, skip: 0 };
    let picture: Vec<f32> = numbers::uniform("picture", 32 * 32 * 3).map(|u| u as f32).collect();
    let graph = drawing.stored(sd::encode(drawing.model(), batch).unwrap());
    let store = cpu.upload(loaded.params).unwrap();
    let mut outputs = [vec![0.0_f32; 16 * 16 * 4], vec![0.0; 16 * 16 * 4]];
    let plan = cpu.compile(&graph).unwrap();
    let mut views = outputs.each_mut().map(|values| SliceMut::F32(values));
    plan.run(&mut plan.state(&store).unwrap(), &store, &[Slice::F32(&picture)], &mut views).unwrap();
    let generator = Generator::of(&cpu, &store, &drawing, batch).unwrap().with_encoder(&cpu).unwrap();
    let how = Sampling { strength: 0.5, steps: 6, ..Sampling::default() };
    let drawn = |begin| {
        let mut job = generator.start(&[Request { prompt: "a cat", begin, ..Request::default() }], &how).unwrap();
        while !job.advance(100).unwrap().is_all() {}
        (job.latents().to_vec(), job.picture(0).unwrap().to_vec())
    };
    assert!(drawn(Begin::Picture(&picture, None)) == drawn(Begin::Drawn(&outputs[0])));
    let [one, other] = [Begin::Noise, Begin::Drawn(&outputs[0])].map(|begin| Request { begin, ..Request::default() });
    let two = Generator::of(&cpu, &store, &drawing, Batch { pictures: 2, ..batch }).unwrap();
    assert!(two.start(&[one, other], &how).is_err());
    assert!(generator.start(&[Request { begin: Begin::Drawn(&[0.0]), ..Request::default() }], &how).is_err());
}

#[test]
fn t32_bands_are_the_bits_of_the_whole() {
    let loaded = yuragi::stable_diffusion::open(&golden("sd15")).unwrap();
    let (drawing, cpu) = (loaded.drawing, Cpu::with_threads(2).winograd(true));
    let store = cpu.upload(loaded.params).unwrap();
    let batch = Batch { pictures: 16, size: [128, 256], chunks: 1, skip: 0 };
    let requests = [0, 1].map(|seed| Request { prompt: "a cat", seed, ..Request::default() });
    let draw = |generator: Generator<Cpu, _, _>| {
        let generator = generator.frugal(true);
        let how = Sampling { steps: 1, ..Sampling::default() };
        let mut job = generator.start(&requests, &how).unwrap();
        while !job.advance(50).unwrap().is_all() {}
        [0, 1].map(|place| job.picture(place).unwrap().to_vec())
    };
    let whole = || Generator::of(&cpu, &store, &drawing, batch).unwrap();
    assert!(draw(whole()) == draw(whole().with_bands(&cpu).unwrap()));
    let scratch = Scratch::new();
    for (memory, name) in [("fast", "x.png"), ("balanced", "y.png"), ("low", "z.png")] {
        let flags = ["--width", "64", "--height", "256", "--steps", "1", "--memory", memory, "--seed", "1", "-o", name];
        scratch.succeed(["generate", "a cat", "-n", "2", "--batch", "2", "--model", &model()].iter().chain(&flags));
    }
    for number in ["1", "2"] {
        let [x, y, z] = ["x", "y", "z"].map(|name| fs::read(scratch.join(format!("{name}-{number}.png"))).unwrap());
        assert!(x == y && y == z);
    }
}

#[test]
fn t32_pictures_are_decoded_in_tiles() {
    let loaded = yuragi::stable_diffusion::open(&golden("sd15")).unwrap();
    let (drawing, cpu) = (loaded.drawing, Cpu::with_threads(1));
    let store = cpu.upload(loaded.params).unwrap();
    let batch = Batch { pictures: 2, size: [48, 32], chunks: 1, skip: 0 };
    let how = Sampling { steps: 2, ..Sampling::default() };
    let requests = [0, 1].map(|seed| Request { prompt: "a cat", seed, ..Request::default() });
    let whole = Generator::of(&cpu, &store, &drawing, batch).unwrap();
    let draw = |generator: &Generator<Cpu, _, _>| {
        let mut job = generator.start(&requests, &how).unwrap();
        while !job.advance(7).unwrap().is_all() {}
        (job.latents().to_vec(), [0, 1].map(|place| job.picture(place).unwrap().to_vec()))
    };
    let (latents, pictures) = draw(&whole);
    let memory = whole.memory();
    // A tile that holds all is the whole.
    let one = Generator::of(&cpu, &store, &drawing, batch).unwrap().with_tiles(&cpu, 64).unwrap();
    assert!(draw(&one) == (latents.clone(), pictures.clone()));
    let tiles = Generator::of(&cpu, &store, &drawing, batch).unwrap().with_tiles(&cpu, 16).unwrap();
    assert!(tiles.memory() < memory);
    let (again, tiled) = draw(&tiles);
    assert!(again == latents);
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
    let (near, far) = (apart(&pictures[0], &tiled[0]), apart(&pictures[0], &tiled[1]));
    println!("tiles of 16 pixels are {near:.4} from the whole, another picture {far:.4}");
    assert!(near > 0.0 && near < 0.5 * far, "{near} {far}");
    assert!(Generator::of(&cpu, &store, &drawing, batch).unwrap().with_tiles(&cpu, 3).is_err());
    let scratch = Scratch::new();
    let flags = ["--width", "48", "--height", "32", "--steps", "2", "--tiles", "16", "--seed", "1", "-o", "x.png"];
    scratch.succeed(["generate", "a cat", "--model", &model()].iter().chain(&flags));
    scratch.succeed(["generate", "--from", "x.png", "--model", &model(), "-o", "again.png"]);
    assert!(fs::read(scratch.join("x.png")).unwrap() == fs::read(scratch.join("again.png")).unwrap());
    scratch.refuse(["generate", "x", "--model", &model(), "--tiles", "3"], &["3x3", "multiples of 2"]);
}

#[test]
fn t32_previews_show_what_comes() {
    let scratch = Scratch::new();
    let model = model();
    let tiny = TinyAutoencoder { latent: 4, channels: 8, decoder: vec![1, 1] };
    let tae = |name: &str, tiny: &TinyAutoencoder| {
        let mut file = Checkpoint::default();
        for spec in sd::preview(tiny, 1, [2, 2]).unwrap().params() {
            let values = numbers::formula(&spec.name, &spec.shape);
            file.insert(spec.name.strip_prefix("taesd.").unwrap(), Tensor::from_values(&spec.shape, &values).unwrap());
        }
        file.save(scratch.join(name)).unwrap();
    };
    tae("tae.safetensors", &tiny);
    tae("other.safetensors", &TinyAutoencoder { decoder: vec![1, 1, 1], ..tiny.clone() });
    let draw = |flags: &[&str]| {
        // A sampler that ends at what it last guessed.
        let common = ["generate", "a red cat", "--seed", "5", "--steps", "3", "--sampler", "euler"];
        let size = ["--width", "48", "--height", "32", "--model", &model, "-o", "x.png", "--preview", "p.png"];
        scratch.succeed(common.iter().chain(&size).chain(flags));
        let [seen, drawn] = ["p.png", "x.png"].map(|name| Picture::open(scratch.join(name)).unwrap());
        (seen, drawn)
    };
    let (colours, drawn) = draw(&[]);
    assert_eq!((colours.width(), colours.height()), (24, 16));
    let (decoded, again) = draw(&["--tae", "tae.safetensors"]);
    assert_eq!((decoded.width(), decoded.height()), (48, 32));
    assert!(drawn == again);
    // The last preview is of the last latents, decoded by the tiny network.
    scratch.succeed([
        "generate",
        "--from",
        "x.png",
        "--model",
        &model,
        "--save-latents",
        "l.safetensors",
        "-o",
        "y.png",
    ]);
    let latents = files::read_latents(&scratch.join("l.safetensors"), [16, 24, 4]).unwrap().remove(0);
    let graph = sd::preview(&tiny, 1, [16, 24]).unwrap();
    let mut params = Params::new();
    for spec in graph.params() {
        params.insert(&spec.name, HostTensor::new(spec.shape, numbers::formula(&spec.name, &spec.shape)).unwrap());
    }
    let cpu = Cpu::with_threads(1);
    let (plan, store) = (cpu.compile(&graph).unwrap(), cpu.upload(params).unwrap());
    let mut values = vec![0.0; 48 * 32 * 3];
    let mut state = plan.state(&store).unwrap();
    plan.run(&mut state, &store, &[Slice::F32(&latents)], &mut [SliceMut::F32(&mut values)]).unwrap();
    let worst = decoded.rgb().iter().zip(&values).map(|(have, want)| {
        let want = (want * 0.5 + 0.5).clamp(0.0, 1.0) * 255.0;
        (f32::from(*have) - want).abs()
    });
    assert!(worst.fold(0.0, f32::max) <= 1.0);

    let refused = |flags: &[&str], words: &[&str]| {
        let common = ["generate", "x", "--model", &model, "--preview", "q.png"];
        scratch.refuse(common.iter().chain(flags), words);
    };
    refused(&["--tae", "x.png"], &["x.png"]);
    refused(&["--tae", "l.safetensors"], &["l.safetensors", "no decoder of TAESD"]);
    refused(&["--tae", "other.safetensors"], &["other.safetensors", "tiny autoencoder's kind"]);
    scratch.refuse(["generate", "x", "--preview", "nowhere/q.png"], &["nowhere"]);
    scratch.refuse(["generate", "x", "--preview", "q.gif"], &["must end in .png, .jpg, .jpeg or .webp, not in .gif"]);
    scratch.succeed(["generate", "a cat", "--steps", "2", "--preview", "q.webp", "-o", "z.png"]);
    assert!(fs::read(scratch.join("q.webp")).unwrap().starts_with(b"RIFF"));
    scratch.refuse(["generate", "x", "--preview", "q.png", "--tae", "tae.safetensors"], &["--tae", "--model"]);
    assert_eq!(scratch.run(["generate", "x", "--tae", "tae.safetensors"]).code, Some(2));
    scratch.succeed(["generate", "a cat", "--seed", "1", "--preview", "q.png", "-o", "z.png"]);
    assert_eq!(Picture::open(scratch.join("q.png")).unwrap().width(), 16);
    fs::remove_file(scratch.join("q.png")).unwrap();
    scratch.model("grey.safetensors", |file| file.set("latents.colour", ""));
    let common = ["generate", "a cat", "--seed", "1", "--steps", "2", "--model", "grey.safetensors"];
    let ended = scratch.succeed(common.iter().chain(&["--preview", "q.png", "-o", "z.png"]));
    assert!(ended.err.contains("note: q.png is not written"), "{}", ended.err);
    assert!(!scratch.join("q.png").exists());
}
