use std::fs;

use yuragi::{
    cpu::Cpu,
    io::{Picture, png},
    models::generator::{Generator, Request, Sampling},
};

use crate::program::Scratch;

fn parameters(path: impl AsRef<std::path::Path>) -> String {
    let texts = png::read_text(&fs::read(path).unwrap()).unwrap();
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
    let request = |prompt, seed| Request { prompt, negative: "blue", seed };
    let draw = |threads, requests: &[Request<'_>]| {
        let model = yuragi::builtin().unwrap();
        let cpu = Cpu::with_threads(threads);
        let generator = Generator::new(&cpu, model.params, model.settings, model.tokenizer, requests.len()).unwrap();
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
             Size: 64x64, Model: yuragi-emoji, Version: yuragi {version}"
        )
    );
    assert_eq!(scratch.succeed(["info", "cat.png"]).out, text + "\n");
    let large = Picture::open(scratch.join("cat.png")).unwrap();
    assert_eq!((large.width(), large.height()), (256, 256));
    scratch.succeed(["generate", "a red cat", "-o", "small.png"].iter().chain(&flags));
    let small = Picture::open(scratch.join("small.png")).unwrap();
    assert!((0..256).all(|i| large.pixel(i, 255 - i) == small.pixel(i / 4, (255 - i) / 4)));
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
}
