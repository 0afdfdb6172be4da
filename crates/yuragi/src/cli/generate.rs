use std::{
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::{Args, value_parser};
use console::Term;
use yuragi::{
    Failure,
    graph::Backend,
    io::{Picture, terminal},
    model::Model,
    models::{
        generator::{Generator, Request},
        tokenizer::Unknown,
    },
};

use super::{
    INTERRUPTED,
    common::{ModelFlags, Progress, SamplingFlags, interruption, print},
    output::Output,
    record::Record,
};

/// Launches between two looks at Ctrl-C.
const LAUNCHES: usize = 32;

/// Words that a note names.
const MOST_NAMED: usize = 5;
/// Letters that a note has of a word.
const MOST_LETTERS: usize = 40;

/// Draw pictures from words.
///
/// Equal words, seeds and settings give equal files, on any number of threads. Every picture carries
/// them in its `parameters` text, which web interfaces and `yuragi info` read.
#[derive(Args)]
pub struct Generate {
    /// What to draw, in English or Japanese; "" draws anything
    prompt: String,
    /// What to keep away from
    #[arg(long, default_value = "", value_name = "WORDS")]
    negative: String,
    /// Pictures, 1 to 64
    #[arg(short = 'n', long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=64))]
    count: u16,
    /// The seed of the first picture; the next ones count on from it [default: a fresh one, as is -1]
    #[arg(long, allow_negative_numbers = true, value_parser = seed)]
    seed: Option<Seed>,
    /// The picture's file, PNG, JPEG or WebP by its end; a folder; for several, a name that is numbered; `-` for standard
    /// output [default: yuragi-SEED.png, or the next name that is free]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw every pixel as a square of so many, 1 to 16
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=16))]
    scale: u16,
    /// Do not show the pictures in the terminal
    #[arg(long)]
    no_show: bool,
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    model: ModelFlags,
}

impl Generate {
    /// Draws, writes and shows the pictures, one after another.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let seed = match self.seed {
            Some(Seed::Number(seed)) => seed,
            Some(Seed::Fresh) | None => fresh_seed(),
        };
        let count = usize::from(self.count);
        let output = Output::new(self.output.as_deref(), count)?;
        output.format().check_text(&[&*self.prompt, &*self.negative].concat())?;
        let interrupted = interruption("stopping")?;
        let (model, name) = self.model.open()?;
        self.note(&model);
        let Model { settings, tokenizer, params } = model;
        let (size, machine, sampling) = (settings.size, self.model.machine()?, self.sampling.sampling());
        let generator = Generator::new(&machine, machine.upload(params)?, settings, tokenizer, 1)?;
        let Generate { prompt, negative, .. } = &self;
        // Without guidance, nothing is led away from.
        let negative = if sampling.guidance == 1.0 { "" } else { negative };
        let mut progress = Progress::new("drawing")?;
        for number in 0..count {
            let seed = seed.wrapping_add(number as u64);
            let record = Record { prompt, negative, seed, sampling, size, model: &name }.to_string();
            output.format().check_text(&record)?;
            let request = Request { prompt, negative, seed, ..Request::default() };
            let mut job = generator.start(&[request], &sampling)?;
            loop {
                if interrupted.load(Ordering::Relaxed) {
                    eprintln!("interrupted; {number} of {count} pictures were written");
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                let state = job.advance(LAUNCHES)?;
                progress.set((number as f64 + state.done as f64 / state.total as f64) / count as f64);
                if state.is_all() {
                    break;
                }
            }
            if job.picture(0).is_some_and(|values| values.iter().any(|v| !v.is_finite())) {
                let hint = if sampling.guidance == 1.0 { "its weights overflow" } else { "try less guidance" };
                return Err(Failure::new(format!("the model drew numbers that are no colours: {hint}")));
            }
            let picture = Picture::new(size, size, job.rgb8(0).unwrap_or_default())?;
            let picture = enlarged(&picture, self.scale.into())?;
            let name = output.write(number, seed, &picture, &record)?;
            progress.aside(|| {
                if output.is_standard() {
                    eprintln!("{name} (seed {seed})");
                    return Ok(());
                }
                print(format_args!("{name} (seed {seed})\n"))?;
                if !self.no_show {
                    let columns = Term::stdout().size_checked().map(|(_, columns)| columns.into());
                    terminal::show(&picture, columns)?;
                }
                Ok::<(), Failure>(())
            })?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Tells what the model makes of the words, where that may surprise.
    fn note(&self, model: &Model) {
        if self.prompt.trim().is_empty() {
            eprintln!("note: without words, the model draws anything");
        }
        if !self.negative.is_empty() && self.sampling.sampling().guidance == 1.0 {
            eprintln!("note: guidance 1 leads away from nothing: the negative prompt is not used");
        }
        let length = model.settings.text.length;
        for (what, text) in [("prompt", &self.prompt), ("negative prompt", &self.negative)] {
            let (have, read) = (model.tokenizer.count(text), length.saturating_sub(2));
            if have > read {
                eprintln!("note: the model reads only the first {read} of the {what}'s {have} tokens");
            }
            let unknown = model.tokenizer.unknown(text);
            if !unknown.is_empty() {
                eprintln!("note: the model never met {}", named(&unknown));
            }
        }
    }
}

/// Words that a model never met, the first few of them, with the nearest that it knows.
fn named(unknown: &[Unknown<'_>]) -> String {
    let one = |Unknown { word, nearest }: &Unknown<'_>| {
        let word: String =
            word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(MOST_LETTERS).collect();
        nearest.map_or(format!("\"{word}\""), |near| format!("\"{word}\" (the nearest it knows: \"{near}\")"))
    };
    let mut parts: Vec<String> = unknown.iter().take(MOST_NAMED).map(one).collect();
    if let Some(more) = unknown.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        parts.push(format!("{more} more words"));
    }
    parts.join(", ")
}

/// A seed that no one knows yet, short enough to be typed.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(std::time::SystemTime::now()) >> 32
}

/// What `--seed` asks for.
#[derive(Clone, Copy)]
enum Seed {
    Number(u64),
    /// -1, as web interfaces have it.
    Fresh,
}

fn seed(text: &str) -> Result<Seed, String> {
    if text == "-1" {
        return Ok(Seed::Fresh);
    }
    let seed = text.parse().map(Seed::Number);
    seed.map_err(|_| format!("it must be a whole number from 0 to {}, or -1 for a fresh one", u64::MAX))
}

/// Every pixel as a square of `scale` by `scale`.
fn enlarged(picture: &Picture, scale: usize) -> Result<Picture, Failure> {
    let (width, height) = (picture.width(), picture.height());
    let row = |row: &[u8]| row.chunks_exact(3).flat_map(|pixel| pixel.repeat(scale)).collect::<Vec<u8>>();
    let rgb = picture.rgb().chunks_exact(3 * width).flat_map(|pixels| row(pixels).repeat(scale)).collect();
    Ok(Picture::new(scale * width, scale * height, rgb)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarged_pixels_are_squares() {
        let picture = Picture::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let large = enlarged(&picture, 3).unwrap();
        assert_eq!((large.width(), large.height()), (6, 3));
        assert!((0..18).all(|i| large.pixel(i % 6, i / 6) == picture.pixel(i % 6 / 3, 0)));
    }

    #[test]
    fn fresh_seeds_differ_and_are_short() {
        assert!(fresh_seed() != fresh_seed() && fresh_seed() < 1 << 32);
    }
}
