use std::{
    ffi::OsString,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    graph::Backend,
    io::{Picture, png, terminal},
    model::Model,
    models::{
        generator::{Generator, Request},
        tokenizer::Unknown,
    },
};

use super::{
    INTERRUPTED,
    common::{ModelFlags, Progress, SamplingFlags, check_place, interruption, print},
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
    /// The seed of the first picture; the next ones count on from it [default: a fresh one]
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// The picture's file; for several, a folder, or a name that is numbered [default: yuragi-SEED.png]
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
        let seed = self.seed.unwrap_or_else(fresh_seed);
        let files = files(self.output.as_deref(), self.count.into(), seed)?;
        let interrupted = interruption("stopping")?;
        let (model, name) = self.model.open()?;
        self.note(&model);
        let Model { settings, tokenizer, params } = model;
        let (size, machine, sampling) = (settings.size, self.model.machine()?, self.sampling.sampling());
        let generator = Generator::new(&machine, machine.upload(params)?, settings, tokenizer, 1)?;
        let mut progress = Progress::new("drawing")?;
        for (number, file) in files.iter().enumerate() {
            let seed = seed.wrapping_add(number as u64);
            let request = Request { prompt: &self.prompt, negative: &self.negative, seed };
            let mut job = generator.start(&[request], &sampling)?;
            loop {
                if interrupted.load(Ordering::Relaxed) {
                    eprintln!("interrupted; {number} of {} pictures were written", files.len());
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                let state = job.advance(LAUNCHES)?;
                progress.set((number as f64 + state.done as f64 / state.total as f64) / files.len() as f64);
                if state.is_all() {
                    break;
                }
            }
            if job.picture(0).is_some_and(|values| values.iter().any(|v| !v.is_finite())) {
                return Err(Failure::new("the model drew numbers that are no colours: try less guidance"));
            }
            let picture = Picture::new(size, size, job.rgb8(0).unwrap_or_default())?;
            let picture = enlarged(&picture, self.scale.into())?;
            let Generate { prompt, negative, .. } = &self;
            let record = Record { prompt, negative, seed, sampling, size, model: &name };
            png::save(file, &picture, &[(png::PARAMETERS, &record.to_string())])?;
            progress.aside(|| {
                print(format_args!("{} (seed {seed})\n", file.display()))?;
                if !self.no_show {
                    terminal::show(&picture)?;
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

/// Where the pictures go. What cannot be written is refused before anything is drawn.
fn files(output: Option<&Path>, count: usize, seed: u64) -> Result<Vec<PathBuf>, Failure> {
    let seeded = |folder: &Path| {
        (0..count as u64).map(|i| folder.join(format!("yuragi-{}.png", seed.wrapping_add(i)))).collect()
    };
    let Some(path) = output else { return Ok(seeded(Path::new(""))) };
    if path.is_dir() && count > 1 {
        return Ok(seeded(path));
    }
    check_place(path)?;
    let stem = path.file_stem().unwrap_or_default();
    let numbered = |i: usize| {
        let mut name = OsString::from(stem);
        name.push(format!("-{i}."));
        name.push(path.extension().unwrap_or("png".as_ref()));
        path.with_file_name(name)
    };
    Ok(if count == 1 { vec![path.to_owned()] } else { (1..=count).map(numbered).collect() })
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
    fn files_are_named_by_seed_or_number() {
        let names = |output: Option<&str>, count, seed| -> Vec<String> {
            let files = files(output.map(Path::new), count, seed).unwrap();
            files.iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(names(None, 2, 7), ["yuragi-7.png", "yuragi-8.png"]);
        assert_eq!(names(None, 2, u64::MAX)[1], "yuragi-0.png");
        assert_eq!(names(Some("a.PNG"), 1, 7), ["a.PNG"]);
        assert_eq!(names(Some("./a.b.png"), 3, 7), ["./a.b-1.png", "./a.b-2.png", "./a.b-3.png"]);
        assert_eq!(names(Some("猫"), 2, 7), ["猫-1.png", "猫-2.png"]);
        assert_eq!(names(Some("/"), 2, 7), ["/yuragi-7.png", "/yuragi-8.png"]);
        for refused in ["/", ".", "no/such/folder.png", "nofolder/", "src/lib.rs/x.png"] {
            let error = files(Some(Path::new(refused)), 1, 0).unwrap_err().to_string();
            assert!(error.contains("folder") && error.contains(refused), "{error}");
        }
    }

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
