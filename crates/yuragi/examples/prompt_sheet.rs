//! The sheet of the model card: thirty-two prompts, each drawn once as `yuragi generate` draws, good or bad.
//!
//! ```text
//! cargo run --release --example prompt_sheet -- sheet.png
//! ```

use yuragi::{
    cpu::Cpu,
    graph::Backend,
    io::{Picture, picture::contact_sheet, png},
    models::generator::{Generator, Request, Sampling},
};

/// Row by row: things, faces, people, recoloured and put together; wordings, and what is hard.
const PROMPTS: [&str; 32] = [
    "a cat with heart eyes",
    "dog face",
    "panda",
    "fish",
    "strawberry",
    "ピザ",
    "rocket",
    "三日月",
    "smiling face with sunglasses",
    "泣き顔",
    "woman firefighter: dark skin tone",
    "男性警察官",
    "astronaut: medium skin tone",
    "kiss: woman, man",
    "waving hand: light skin tone",
    "握手",
    "a blue heart",
    "green apple",
    "a red cat",
    "青い花",
    "a purple car",
    "a star on a blue background",
    "sun and cloud side by side",
    "猫と犬",
    "a rocket",
    "Rocket.",
    "a slice of pizza",
    "ラーメン",
    "富士山",
    "three cats",
    "a dog on a bicycle",
    "the letter A",
];

fn main() -> Result<(), yuragi::Failure> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "sheet.png".into());
    let (cpu, model) = (Cpu::new(), yuragi::builtin()?);
    let generator = Generator::new(&cpu, cpu.upload(model.params)?, model.settings, model.tokenizer, 1)?;
    let (side, sampling) = (generator.settings().size, Sampling::default());
    let mut pictures = Vec::new();
    for prompt in PROMPTS {
        let mut job = generator.start(&[Request { prompt, seed: 3, ..Request::default() }], &sampling)?;
        while !job.advance(usize::MAX)?.is_all() {}
        pictures.push(Picture::new(side, side, job.rgb8(0).unwrap_or_default())?);
    }
    png::save(&path, &contact_sheet(&pictures, 8, 4)?, &[(png::PARAMETERS, &PROMPTS.join("\n"))])?;
    println!("{path}");
    Ok(())
}
