use std::fs;

use yuragi::{
    cpu::Cpu,
    graph::Backend,
    io::{Picture, checkpoint::Archive, png},
    models::generator::{Generator, Request, Sampling},
};

use crate::program::Scratch;

fn parameters(path: impl AsRef<std::path::Path>) -> String {
    parameters_of(&fs::read(path).unwrap())
}

fn parameters_of(bytes: &[u8]) -> String {
    let texts = png::read_text(bytes).unwrap();
    let [(keyword, text)] = &texts[..] else { panic!("{texts:?}") };
    assert_eq!(keyword, "parameters");
    text.clone()
}

#[test]
fn equal_seeds_give_equal_bytes_for_any_number_of_threads() {
    let scratch = Scratch::new();
    let draw = |threads: &str, file: &str| {
        let ended =
            scratch.succeed(["generate", "赤い猫", "--seed", "11", "--steps", "3", "--threads", threads, "-o", file]);
        assert_eq!(ended.out, format!("{file} (seed 11)\n"));
        fs::read(scratch.join(file)).unwrap()
    };
    let one = draw("1", "one.png");
    assert!(one == draw("2", "two.png") && one == draw("5", "five.png"));
    scratch.succeed(["generate", "赤い猫", "--seed", "9", "--steps", "3", "-n", "3", "-o", "many.png"]);
    assert!(one == fs::read(scratch.join("many-3.png")).unwrap(), "the third picture from seed 9 has seed 11");
    assert!(one != fs::read(scratch.join("many-1.png")).unwrap());
    assert_eq!(scratch.names().len(), 6);
}

#[test]
fn the_library_gives_the_same_picture_for_any_threads_and_company() {
    let sampling = Sampling { steps: 2, guidance: 3.0, ..Sampling::default() };
    let request = |prompt, seed| Request { prompt, negative: "blue", seed, ..Request::default() };
    let draw = |threads, requests: &[Request<'_>]| {
        let model = yuragi::builtin().unwrap();
        let cpu = Cpu::with_threads(threads);
        let params = cpu.upload(model.params).unwrap();
        let generator = Generator::new(&cpu, params, model.settings, model.tokenizer, requests.len()).unwrap();
        let mut job = generator.start(requests, &sampling).unwrap();
        while !job.advance(17).unwrap().is_all() {}
        job.rgb8(requests.len() - 1).unwrap()
    };
    let alone = draw(1, &[request("a cat", 5)]);
    assert!(alone == draw(3, &[request("a cat", 5)]));
    assert!(alone == draw(2, &[request("a dog", 8), request("", 5), request("a cat", 5)]));
    assert!(alone != draw(2, &[request("a cat", 6)]));
}

#[test]
fn a_picture_tells_how_it_was_made() {
    let scratch = Scratch::new();
    let flags =
        ["--seed", "3", "--steps", "2", "--sampler", "DPM++ 2M", "--guidance", "2.5", "--negative", "blue, sad"];
    scratch.succeed(["generate", "a red cat", "-o", "cat.png", "--scale", "4"].iter().chain(&flags));
    let text = parameters(scratch.join("cat.png"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        text,
        format!(
            "a red cat\nNegative prompt: blue, sad\nSteps: 2, Sampler: DPM++ 2M, CFG scale: 2.5, Seed: 3, \
             Size: 128x128, Model: yuragi-emoji, Version: yuragi {version}"
        )
    );
    assert_eq!(scratch.succeed(["info", "cat.png"]).out, text + "\n");
    let large = Picture::open(scratch.join("cat.png")).unwrap();
    assert_eq!((large.width(), large.height()), (512, 512));
    scratch.succeed(["generate", "a red cat", "-o", "small.png"].iter().chain(&flags));
    let small = Picture::open(scratch.join("small.png")).unwrap();
    assert!((0..512).all(|i| large.pixel(i, 511 - i) == small.pixel(i / 4, (511 - i) / 4)));
}

#[test]
fn names_come_from_seeds_and_fresh_seeds_are_told() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("folder")).unwrap();
    let ended = scratch.succeed(["generate", "cat", "--steps", "1", "--guidance", "1", "-n", "2", "-o", "folder"]);
    let seeds: Vec<u64> = ended
        .out
        .lines()
        .map(|line| line.split_once("(seed ").unwrap().1.trim_end_matches(')').parse().unwrap())
        .collect();
    assert_eq!(seeds[1], seeds[0] + 1);
    for seed in seeds {
        assert!(parameters(scratch.join(format!("folder/yuragi-{seed}.png"))).contains(&format!("Seed: {seed},")));
    }
    scratch.succeed(["generate", "cat", "--steps", "1", "--guidance", "1", "--seed", "18446744073709551615"]);
    assert!(scratch.join("yuragi-18446744073709551615.png").is_file());
}

#[test]
fn the_extension_decides_the_kind_of_file() {
    let scratch = Scratch::new();
    let draw = |file: &str| {
        let quick = ["generate", "an owl", "--seed", "4", "--steps", "1", "--guidance", "1", "-o", file];
        scratch.succeed(quick).out
    };
    for (file, start) in [("owl.jpg", &b"\xff\xd8\xff"[..]), ("owl.WEBP", b"RIFF"), ("owl.png", b"\x89PNG")] {
        assert_eq!(draw(file), format!("{file} (seed 4)\n"));
        assert!(fs::read(scratch.join(file)).unwrap().starts_with(start), "{file}");
        let told = scratch.succeed(["info", file]).out;
        assert!(told.starts_with("an owl\nSteps: 1, Sampler: Euler") && told.contains("Seed: 4,"), "{told}");
    }
    let pixels = |file: &str| Picture::open(scratch.join(file)).unwrap();
    assert_eq!(pixels("owl.WEBP"), pixels("owl.png"));
    assert_eq!(draw("bare"), "bare.png (seed 4)\n");
    assert_eq!(pixels("bare.png"), pixels("owl.png"));
}

#[test]
fn standard_output_gets_the_picture_and_nothing_else() {
    let scratch = Scratch::new();
    let quick = |to: &str| {
        let mut program =
            scratch.program(["generate", "owl", "--seed", "4", "--steps", "1", "--guidance", "1", "-o", to]);
        let output = program.output().unwrap();
        assert!(output.status.success());
        (output.stdout, String::from_utf8(output.stderr).unwrap())
    };
    let (bytes, said) = quick("-");
    assert!(Picture::decode(&bytes).is_ok() && said.contains("(seed 4)"), "{said}");
    assert!(parameters_of(&bytes).contains("Seed: 4,"));
    assert!(scratch.names().is_empty());
    #[cfg(unix)]
    {
        assert_eq!(quick("/dev/stdout").0, bytes);
        fs::write(scratch.join("log"), b"kept\n").unwrap();
        let log = fs::File::options().append(true).open(scratch.join("log")).unwrap();
        let mut program =
            scratch.program(["generate", "owl", "--seed", "4", "--steps", "1", "--guidance", "1", "-o", "/dev/stdout"]);
        assert!(program.stdout(log).stderr(std::process::Stdio::null()).status().unwrap().success());
        assert_eq!(fs::read(scratch.join("log")).unwrap(), [b"kept\n".as_slice(), &bytes].concat());
    }
}

#[test]
fn default_names_leave_earlier_pictures_alone() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.join("folder")).unwrap();
    for (words, file) in [("owl", "yuragi-7.png"), ("fox", "yuragi-7-2.png"), ("bee", "yuragi-7-3.png")] {
        for place in ["", "folder/"] {
            let folder = if place.is_empty() { &[][..] } else { &["-o", "folder"] };
            let quick = ["generate", words, "--seed", "7", "--steps", "1", "--guidance", "1"];
            let out = scratch.succeed(quick.iter().chain(folder)).out;
            assert_eq!(out, format!("{place}{file} (seed 7)\n"));
        }
    }
    assert!(parameters(scratch.join("yuragi-7.png")).starts_with("owl\n"));
    assert!(parameters(scratch.join("folder/yuragi-7-2.png")).starts_with("fox\n"));
}

#[test]
fn wordings_of_one_thing_draw_one_picture() {
    let scratch = Scratch::new();
    let draw = |words: &str| {
        let quick = ["generate", words, "--seed", "2", "--steps", "2", "-o", "drawn.png"];
        let ended = scratch.succeed(quick);
        assert!(!ended.err.contains("never met"), "{words}: {}", ended.err);
        Picture::open(scratch.join("drawn.png")).unwrap()
    };
    for wordings in [
        &["octopus", "An Octopus.", "the octopuses!", "🐙", "ｏｃｔｏｐｕｓ"][..],
        &["ペンギン", "ﾍﾟﾝｷﾞﾝ", "ぺんぎん。", "ヘ\u{309a}ンキ\u{3099}ン"],
        &["woman astronaut: dark skin tone", "👩🏿\u{200d}🚀"],
        &["smiling face with heart-eyes", "A smiling face with heart eyes"],
    ] {
        let first = draw(wordings[0]);
        assert!(wordings[1..].iter().all(|words| draw(words) == first), "{wordings:?}");
    }
}

#[test]
fn words_that_mean_nothing_are_named_and_so_is_what_is_not_used() {
    let scratch = Scratch::new();
    let said = |arguments: &[&str]| {
        let quick = ["generate", "--steps", "1", "-o", "x.png"];
        scratch.succeed(quick.iter().chain(arguments)).err
    };
    let noted = said(&["a robbot with a quasar"]);
    assert!(noted.contains("never met \"robbot\" (the nearest it knows: \"robot\"), \"quasar\""), "{noted}");
    assert_eq!(said(&["robot"]), "");
    let noted = said(&["robot", "--negative", "blue", "--guidance", "1"]);
    assert!(noted.contains("the negative prompt is not used"), "{noted}");
    assert!(!parameters(scratch.join("x.png")).contains("Negative"));
}

#[test]
fn minus_one_is_a_fresh_seed() {
    let scratch = Scratch::new();
    let seed =
        || scratch.succeed(["generate", "owl", "--seed", "-1", "--steps", "1", "--guidance", "1", "-o", "x.png"]).out;
    assert_ne!(seed(), seed());
}

#[test]
fn long_and_empty_prompts_are_drawn_with_a_note() {
    let scratch = Scratch::new();
    let long = "a very long prompt about a cat, ".repeat(3200);
    let ended = scratch.succeed(["generate", &long, "--steps", "1", "-o", "long.png"]);
    assert!(ended.err.contains("reads only the first 22 of the prompt's"), "{}", ended.err);
    assert!(parameters(scratch.join("long.png")).starts_with(&long));
    let ended = scratch.succeed(["generate", "", "--steps", "1", "-o", "empty.png"]);
    assert!(ended.err.contains("draws anything"), "{}", ended.err);
    assert!(parameters(scratch.join("empty.png")).starts_with("\nSteps: 1, "));
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_and_leaves_no_half_file() {
    let scratch = Scratch::new();
    let running =
        scratch.start(&["generate", "", "--steps", "1000", "--seed", "1", "-o", "never.png"], "draws anything");
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains("0 of 1 pictures were written"), "{}", ended.err);
    assert!(scratch.names().is_empty());
    // What was written keeps its latents.
    let common =
        ["generate", "", "--steps", "60", "--seed", "1", "-n", "64", "-o", "x.png", "--save-latents", "l.safetensors"];
    let mut running = scratch.start(&common, "draws anything");
    running.until(|| scratch.join("x-1.png").exists());
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    let written = scratch.names().len() - 1;
    let latents = Archive::open(scratch.join("l.safetensors")).unwrap().shape("latents").unwrap();
    assert!(written < 64 && latents[0] == written, "{latents:?} of {written}");
}
