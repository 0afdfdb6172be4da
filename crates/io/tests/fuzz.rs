//! Files and texts of strangers, mutated: whatever they hold, reading them ends in a value or an error.
//!
//! `YURAGI_FUZZ=2500000 cargo test --release --package yuragi-io --test fuzz` gives each of the five readers so many
//! inputs; without it they get a few thousand. The inputs are the same in every run.

use yuragi_graph::{HostTensor, Params, Shape};
use yuragi_io::checkpoint::Archive;
use yuragi_io::gguf::Gguf;
use yuragi_io::lora::Lora;
use yuragi_io::parameters::Parameters;
use yuragi_io::quantize::Groups;
use yuragi_io::stable_diffusion::read_tiny;
use yuragi_io::textual_inversion::Embedding;
use yuragi_io::{Checkpoint, Picture, Tensor, png};
use yuragi_models::prompt::{chunks, networks, schedule, weighted};
use yuragi_models::stable_diffusion::{TinyAutoencoder, preview};
use yuragi_models::tokenizer::Clip;

/// Inputs of a reader.
fn inputs() -> usize {
    std::env::var("YURAGI_FUZZ").map_or(5_000, |count| count.parse().expect("YURAGI_FUZZ is a number of inputs"))
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Changes bytes a few times.
    fn mutate(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        const NUMBERS: [u64; 9] = [0, 1, 7, 0xff, 1 << 31, u32::MAX as u64, 1 << 60, 1 << 63, u64::MAX];
        for _ in 0..1 + self.below(4) {
            let (place, length) = (self.below(bytes.len() + 1), self.below(9));
            let end = (place + length).min(bytes.len());
            match self.below(8) {
                0 if place < bytes.len() => bytes[place] ^= 1 << self.below(8),
                1 if place < bytes.len() => bytes[place] = self.next() as u8,
                2 => drop(bytes.splice(place..end, [])),
                3 => drop(bytes.splice(place..place, bytes[place..end].to_vec())),
                4 => drop(bytes.splice(place..end, words[self.below(words.len())].bytes())),
                5 => drop(bytes.splice(place..place, words[self.below(words.len())].bytes())),
                6 if place + 8 <= bytes.len() => {
                    bytes[place..place + 8].copy_from_slice(&NUMBERS[self.below(NUMBERS.len())].to_le_bytes());
                }
                _ if self.below(4) == 0 => bytes.truncate(place),
                _ => {}
            }
        }
    }
}

/// Gives a reader its inputs: mutations of the seeds, and now and then of what became of them. `read` tells whether
/// an input was accepted.
fn run(name: &str, seeds: &[Vec<u8>], words: &[&str], mut read: impl FnMut(&[u8]) -> bool) {
    let (mut random, mut accepted) = (Random(0x9e37_79b9_7f4a_7c15), 0);
    let mut input = Vec::new();
    let inputs = inputs();
    for number in 0..inputs {
        if number % 8 == 0 || input.len() > 1 << 14 {
            input.clone_from(&seeds[random.below(seeds.len())]);
        }
        random.mutate(&mut input, words);
        accepted += usize::from(read(&input));
    }
    println!("{name}: {inputs} inputs, {accepted} accepted");
    assert!(accepted > 0 && accepted < inputs, "{accepted} of {inputs} were accepted");
}

#[test]
fn safetensors_headers() {
    let mut whole = Checkpoint::default();
    whole.set("width", 48);
    whole.insert("conv.weight", Tensor::from_values(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap());
    whole.insert_grouped("linear.weight", &[3, 1], &[0.5, -1.0, 0.25], Groups::new(8, 32).unwrap()).unwrap();
    let mut lora = Checkpoint::default();
    for (name, shape) in [("lora_unet_q.lora_down.weight", [1, 2]), ("lora_unet_q.lora_up.weight", [2, 1])] {
        lora.insert(name, Tensor::from_values(&shape, &[1.0f32, 2.0]).unwrap());
    }
    let mut embedding = Checkpoint::default();
    embedding.insert("emb_params", Tensor::from_values(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap());
    let mut tiny = Checkpoint::default();
    for spec in preview(&TinyAutoencoder { latent: 1, channels: 1, decoder: vec![1] }, 1, [2, 2]).unwrap().params() {
        let values = vec![0.5f32; spec.shape.iter().product()];
        tiny.insert(&spec.name, Tensor::from_values(&spec.shape, &values).unwrap());
    }
    let words = ["\"", "{", "}", "[", "]", ":", ",", "[0,8]", "F32", "F8_E4M3", "U8", "shape", "dtype", "data_offsets"];
    let more = ["__metadata__", "9223372036854775807", "18446744073709551616", "-1", "1e999", "\\u0000", ".scale"];
    let seeds = [whole, lora, embedding, tiny].map(|file| file.to_bytes().unwrap());
    run("safetensors", &seeds, &[&words[..], &more].concat(), |bytes| {
        let Ok(archive) = Archive::from_bytes(bytes.to_vec()) else { return false };
        for name in archive.names() {
            let _ = archive.tensor(&name).map(|tensor| tensor.to_f32());
            let _ = archive.shape(&name).and_then(|shape| archive.f32(&name, &shape));
        }
        let _ = Embedding::new(&archive, "word").map(|embedding| embedding.count());
        let _ = Lora::new(archive).map(|lora| lora.count());
        let _ = Archive::from_bytes(bytes.to_vec()).map(read_tiny);
        true
    });
}

#[test]
fn adapters() {
    let file = |parts: &[(&str, &[usize])]| {
        let mut file = Checkpoint::default();
        for (name, shape) in parts {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i| 0.5 + i as f32).collect();
            file.insert(format!("lora_unet_q.{name}"), Tensor::from_values(shape, &values).unwrap());
        }
        file.to_bytes().unwrap()
    };
    let seeds = [
        file(&[("lora_down.weight", &[1, 2, 3]), ("lora_up.weight", &[4, 1]), ("alpha", &[]), ("dora_scale", &[4, 1])]),
        file(&[("lora_down.weight", &[1, 2]), ("lora_up.weight", &[4, 1]), ("lora_mid.weight", &[1, 1, 3])]),
        file(&[("hada_w1_a", &[4, 1]), ("hada_w1_b", &[1, 6]), ("hada_w2_a", &[4, 1]), ("hada_w2_b", &[1, 6])]),
        file(&[("lokr_w1", &[2, 1]), ("lokr_w2_a", &[2, 1]), ("lokr_w2_b", &[1, 6])]),
        file(&[("lokr_w1_a", &[2, 1]), ("lokr_w1_b", &[1, 2]), ("lokr_w2", &[2, 1, 3])]),
        file(&[("diff", &[4, 2, 3])]),
    ];
    let shape = Shape::new(&[4, 2, 3]).unwrap();
    let mut model = Params::new();
    model.insert("unet.q.weight", HostTensor::new(shape, vec![1.0; shape.count()]).unwrap());
    let words = ["[1,2]", "[4,1]", "[2,1]", "[0,8]", "_a", "_b", "1", "2", "[", "]", ",", "F16", "[]", "[0]"];
    run("adapters", &seeds, &words, |bytes| {
        let Ok(lora) = Archive::from_bytes(bytes.to_vec()).map_err(drop).and_then(|file| Lora::new(file).map_err(drop))
        else {
            return false;
        };
        let _ = lora.parts();
        let mut merged = model.clone();
        let changed = lora.merge(&mut merged, 0.5).is_ok();
        assert!(merged.iter().all(|(_, tensor)| tensor.to_f32().iter().all(|x| x.is_finite())));
        changed
    });
}

#[test]
fn gguf_headers() {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let longs = |longs: &[u64]| longs.iter().flat_map(|long| long.to_le_bytes()).collect::<Vec<u8>>();
    let mut small = [
        b"GGUF".to_vec(),
        words(&[3]),
        longs(&[2, 3]),
        text("general.alignment"),
        words(&[4, 32]),
        text("list"),
        words(&[9, 8]),
        longs(&[2]),
        text("a"),
        text("bc"),
        text("real"),
        words(&[6, 0x3f80_0000]),
        text("w"),
        words(&[2]),
        longs(&[4, 2]),
        words(&[0]),
        longs(&[0]),
        text("q"),
        words(&[1]),
        longs(&[32]),
        words(&[8]),
        longs(&[32]),
    ]
    .concat();
    small.resize(small.len().next_multiple_of(32) + 66, 0x3c);
    assert!(Gguf::from_bytes(small.clone()).is_ok());
    let kinds = include_bytes!("golden/kinds.gguf").to_vec();
    run(
        "gguf",
        &[small.clone(), small, kinds],
        &["GGUF", "\0\0\0\0", "\u{1}\0\0\0", "w", "general.alignment"],
        |bytes| {
            let Ok(file) = Gguf::from_bytes(bytes.to_vec()) else { return false };
            for tensor in file.tensors() {
                let _ = file.f32(&tensor.name);
            }
            let _ = file.to_archive();
            true
        },
    );
}

#[test]
fn texts_of_pictures() {
    let text =
        "a (cat:1.2)\nNegative prompt: dog\nSteps: 20, Sampler: \"a, b\", Seed: 1, Size: 8x8, Hashes: {\"a\": [1, 2]}";
    let picture = Picture::filled(2, 2, [1, 2, 3]).unwrap();
    let seeds = [text, "猫 😀\nSteps: 1, Seed: 2, Size: 3"]
        .map(|text| png::encode(&picture, &[(png::PARAMETERS, text)]).unwrap());
    let words =
        ["tEXt", "iTXt", "zTXt", "\0", "Steps: ", "Seed: ", "Size: ", ", ", ": ", "\"", "\\", "{", "[", "\n", "x"];
    run("png text", &[&seeds[..], &[text.into()]].concat(), &words, |bytes| {
        let told = png::read_text(bytes).map_or_else(
            |_| String::from_utf8_lossy(bytes).into_owned(),
            |told| told.into_iter().map(|(_, text)| text).collect(),
        );
        let made = Parameters::parse(&told);
        let _ = (made.size(), made.number::<u64>("Seed"), made.number::<f32>("CFG scale"));
        // What was read once is read so again, unless a prompt looks like settings.
        let again = Parameters::parse(&made.to_string());
        let clear = !made.prompt.contains(':') && !made.negative.contains(':');
        assert!(!clear || again.settings == made.settings, "{told:?}");
        !made.settings.is_empty()
    });
}

#[test]
fn prompts() {
    let clip = Clip::builtin();
    let seeds = ["a (b:1.3) [c:d:0.5] [e|f] BREAK \\(g\\)", "((猫)) [a:[b|c]:3] <lora:x:0.8>", "[a::2]"]
        .map(|p| p.as_bytes().to_vec());
    let words =
        ["(", ")", "[", "]", ":", "|", "\\", "BREAK", ":0.5]", ":1.2)", "<lora:", ">", " ", ",", "é", "-", "1e9", "."];
    let mut number = 0;
    run("prompts", &seeds, &words, |bytes| {
        number += 1;
        let text = String::from_utf8_lossy(bytes);
        let (plain, found) = networks(&text);
        assert!(found.iter().all(|network| network.weight().is_none_or(f64::is_finite)), "{plain:?}");
        let steps = schedule(&plain, 5);
        assert_eq!(steps.last().map(|(end, _)| *end), Some(5), "{plain:?}");
        assert!(steps.windows(2).all(|pair| pair[0].0 < pair[1].0), "{plain:?}");
        let pieces = weighted(&steps[0].1);
        // Tokens take longer than all the rest.
        if number % 16 == 0 {
            let rows = chunks(&clip, &pieces, &[]);
            assert!(!rows.is_empty() && rows.iter().all(|row| row.ids.len() == 77 && row.weights.len() == 77));
        }
        steps.len() > 1
    });
}
