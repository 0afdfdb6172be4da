use std::{
    fmt::Display,
    fs,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::{ArgGroup, Args, value_parser};
use console::Term;
use yuragi::{
    Failure,
    graph::{Backend, Collective},
    io::{Picture, export, parameters::Parameters, stable_diffusion, terminal},
    machine::Work,
    models::{
        generator::{Batch, Error, Generator, Job, Network, Pipeline, Request, Sampling},
        prompt,
    },
};

use super::{
    INTERRUPTED,
    adapters::AdapterFlags,
    begin::BeginFlags,
    common::{Progress, SamplingFlags, check_place, interruption, print, speaks},
    hires::{Hires, HiresFlags},
    models::{Loaded, ModelFlags},
    output::Output,
    preview::PreviewFlags,
    record::Record,
};

/// Launches between two looks at Ctrl-C.
const LAUNCHES: usize = 32;

/// What a picture calls the side of its tiles.
const TILES: &str = "Tiles";

/// Draw pictures from words.
///
/// Equal words, seeds and settings give equal files, on any number of threads. Every picture carries
/// them in its `parameters` text, which web interfaces and `yuragi info` read.
#[derive(Args)]
#[command(group(ArgGroup::new("beginning").args(["image", "from"]).multiple(true)))]
#[command(group(ArgGroup::new("larger").args(["hires", "from"]).multiple(true)))]
pub struct Generate {
    /// What to draw, in English or Japanese; "" draws anything
    #[arg(required_unless_present = "from")]
    prompt: Option<String>,
    /// What to keep away from
    #[arg(long, value_name = "WORDS")]
    negative: Option<String>,
    /// A picture whose words and settings are taken where none are given: it is drawn again
    #[arg(long, value_name = "PICTURE")]
    from: Option<PathBuf>,
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
    /// Pictures that are drawn at a time, 1 to 64: faster, for more memory
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=64))]
    batch: u16,
    /// The last blocks of the text encoders that are not used, counted as web interfaces do: 1 uses all, 2 leaves one out
    ///
    /// [default: 1]
    #[arg(long, value_parser = value_parser!(u16).range(1..=12))]
    clip_skip: Option<u16>,
    /// Where the last latents go, before they are decoded: a safetensors file with a tensor `latents`
    #[arg(long, value_name = "FILE")]
    save_latents: Option<PathBuf>,
    #[command(flatten)]
    begin: BeginFlags,
    #[command(flatten)]
    hires: HiresFlags,
    /// The side of the tiles in which pictures are decoded, in pixels: less memory for large pictures, which then fade from
    /// tile to tile [default: whole pictures]
    #[arg(long, value_name = "PIXELS")]
    tiles: Option<usize>,
    #[command(flatten)]
    preview: PreviewFlags,
    #[command(flatten)]
    adapters: AdapterFlags,
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
    /// Draws, writes and shows the pictures, batch after batch.
    pub fn run(mut self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let maker = self.complete()?;
        let prompt = self.prompt.clone().unwrap_or_default();
        let negative = self.negative.clone().unwrap_or_default();
        let seed = match self.seed {
            Some(Seed::Number(seed)) => seed,
            Some(Seed::Fresh) | None => shared_seed(ranks)?,
        };
        let count = usize::from(self.count);
        let output = Output::new(self.output.as_deref(), count)?;
        output.format().check_text(&[&*prompt, &*negative].concat())?;
        self.save_latents.as_deref().map_or(Ok(()), check_place)?;
        self.preview.check()?;
        let interrupted = interruption("stopping")?;
        let (mut loaded, name) = self.model.load(self.begin.names_image())?;
        let (bare, networks) = prompt::networks(&prompt);
        self.adapters.apply(&mut loaded, &networks, self.model.model.as_deref())?;
        // The built-in model knows no networks: to it, they are words.
        let words = if matches!(loaded, Loaded::Own(_)) { &*prompt } else { &*bare };
        let step = match &loaded {
            Loaded::Own(_) => 1,
            Loaded::StableDiffusion(loaded) => loaded.drawing.model().step(),
        };
        match &loaded {
            Loaded::Own(_) if self.clip_skip.is_some_and(|skip| skip > 1) => {
                return Err(Failure::new("`--clip-skip` is for Stable Diffusion checkpoints: name one with `--model`"));
            }
            Loaded::Own(model) => {
                let notes = prompt::notes(&model.tokenizer, model.settings.text.length, words, &negative);
                notes.iter().for_each(|note| say!("note: {note}"));
            }
            Loaded::StableDiffusion(loaded) => {
                let own = &loaded.drawing.model().scheduler;
                if let (Err(_), Some(class), false) = (own.own(), &own.class_name, self.sampling.names_sampler()) {
                    say!("note: the model's own {class} is not known here: DPM++ 2M takes its place");
                }
            }
        }
        if let Some(maker) = maker.filter(|maker| *maker != name) {
            let other = if self.model.model.is_none() { ": `--model` names another" } else { "" };
            say!("note: the picture was drawn by {maker:?}, and is repeated with {name:?}{other}");
        }
        self.preview.apply(&mut loaded)?;
        let (pipeline, params) = loaded.into_parts()?;
        self.preview.note(&*pipeline);
        let begin = self.begin.read(pipeline.size(), step, |size| pipeline.latent(size))?;
        let sampling = Sampling { strength: begin.strength, ..self.sampling.sampling(pipeline.sampling()) };
        // Without guidance, nothing is led away from.
        let unguided = sampling.guidance == 1.0 || pipeline.guides_itself();
        if unguided && !negative.is_empty() {
            let itself = "the model guides itself: the negative prompt is not used";
            say!("note: {}", if sampling.guidance == 1.0 { prompt::UNGUIDED } else { itself });
        }
        let negative = if unguided { "" } else { &*negative };
        let batch = Batch {
            pictures: usize::from(self.batch).min(count),
            size: begin.size,
            chunks: pipeline.chunks(words).max(pipeline.chunks(negative)),
            skip: usize::from(self.clip_skip.map_or(0, |skip| skip - 1)),
        };
        let hires = self.hires.plan(&sampling, batch, step, begin.is_picture())?;
        let pass = |batch: Batch, sampling: &Sampling, share: f64| -> Result<Work, Failure> {
            let evaluations = sampling.steps as f64 * share * if unguided { 1.0 } else { 2.0 };
            let groups = count.div_ceil(batch.pictures) as f64;
            let graph = pipeline.graph(Network::Denoise, batch).map_err(|error| match (error, self.clip_skip) {
                (Error::Skip { most, .. }, Some(skip)) => Failure::new(format!(
                    "`--clip-skip {skip}` leaves nothing of a text encoder; legal is 1 to {}",
                    most + 1
                )),
                (error, _) => error.into(),
            })?;
            Ok(Work::of(&graph, groups * evaluations))
        };
        let share = if begin.is_picture() { sampling.strength } else { 1.0 };
        let second = hires
            .as_ref()
            .map_or(Ok(Work::NONE), |hires| pass(hires.batch, &hires.sampling, hires.sampling.strength))?;
        let machine = self.model.machine(pass(batch, &sampling, share)?.and(second))?;
        let store = machine.upload(params)?;
        let compile = |batch, encodes| -> Result<_, Failure> {
            let mut generator = Generator::of(&machine, &store, &*pipeline, batch)?.frugal(true);
            if encodes {
                generator = generator.with_encoder(&machine)?;
            }
            if let Some(side) = self.tiles {
                let named = |error| Failure::new(format!("`--tiles {side}`: {error}"));
                generator = generator.with_tiles(&machine, side).map_err(named)?;
            } else if self.model.bands(&machine) {
                generator = generator.with_bands(&machine)?;
            }
            Ok(if self.preview.draws() { generator.with_preview(&machine)? } else { generator })
        };
        let generator = compile(batch, begin.is_picture())?;
        let larger = hires.as_ref().map(|hires| compile(hires.batch, hires.of_picture)).transpose()?;
        let size = hires.as_ref().map_or(begin.size, |hires| hires.batch.size);
        let [width, height] = size;
        let more = self.more(begin.is_picture().then_some(sampling.strength), hires.as_ref());
        let mut latents = Vec::new();
        let mut progress = Progress::new("drawing")?;
        let groups: Vec<usize> = (0..count).step_by(batch.pictures).collect();
        let pictures_of = |first: usize| first..count.min(first + batch.pictures);
        let seed_of = |number: usize| seed.wrapping_add(number as u64);
        let record = |number| {
            let (skip, size) = (self.clip_skip.unwrap_or(1), begin.size);
            let seed = seed_of(number);
            let record = Record { prompt: &prompt, negative, seed, sampling, size, skip, more: &more, model: &name };
            Parameters::from(&record).to_string()
        };
        // In each round every rank draws a group, and the first one writes them all.
        for (round, groups) in groups.chunks(ranks.size()).enumerate() {
            let first = groups[0];
            output.format().check_text(&record(first))?;
            let mut drawn = Vec::new();
            if let Some(own) = groups.get(ranks.rank()).map(|&first| pictures_of(first)) {
                let requests: Vec<Request<'_>> = own
                    .clone()
                    .map(|number| Request { prompt: words, negative, seed: seed_of(number), begin: begin.of(number) })
                    .collect();
                // Of two passes, the second makes more pixels a step.
                let share = hires.as_ref().map_or(1.0, Hires::share_of_first);
                let mut tell = |done: f64| {
                    let done =
                        (round * ranks.size() * batch.pictures) as f64 + (groups.len() * own.len()) as f64 * done;
                    progress.set(done / count as f64);
                    interrupted.load(Ordering::Relaxed)
                };
                let mut job = generator.start(&requests, &sampling)?;
                let only_latents = hires.as_ref().is_some_and(|hires| !hires.of_picture);
                let mut stopped = self.draw(&mut job, only_latents, |done| tell(share * done))?;
                if let (false, Some(hires), Some(larger)) = (stopped, &hires, &larger) {
                    if hires.of_picture {
                        (0..own.len()).try_for_each(|place| check_colours(&job, place, &sampling))?;
                    }
                    let begins = hires.begins(&job, own.len())?;
                    let requests: Vec<Request<'_>> = requests
                        .iter()
                        .zip(&begins)
                        .map(|(request, values)| Request { begin: hires.begin(values), ..*request })
                        .collect();
                    job = larger.start(&requests, &hires.sampling)?;
                    stopped = self.draw(&mut job, false, |done| tell(share + (1.0 - share) * done))?;
                }
                // A rank that was stopped sends nothing, and all end after this round.
                if !stopped {
                    (0..own.len()).try_for_each(|place| check_colours(&job, place, &sampling))?;
                    drawn = Drawn::parcel(&job, own.len());
                }
            }
            for (&first, parcel) in groups.iter().zip(ranks.gather(&drawn)?) {
                if parcel.is_empty() {
                    say!("interrupted; {first} of {count} pictures were written");
                    self.save_latents(&latents, pipeline.latent(size))?;
                    ranks.barrier()?;
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                for (number, drawn) in pictures_of(first).zip(Drawn::open(&parcel, size, pipeline.latent(size))) {
                    let Drawn { rgb, latent } = drawn;
                    let picture = enlarged(&Picture::new(width, height, rgb)?, self.scale.into())?;
                    latents.push(latent);
                    if !speaks() {
                        continue;
                    }
                    let seed = seed_of(number);
                    let name = output.write(number, seed, &picture, &record(number))?;
                    progress.aside(|| {
                        if output.is_standard() {
                            say!("{name} (seed {seed})");
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
            }
        }
        self.save_latents(&latents, pipeline.latent(size))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the latents of the pictures that were written, if there are any and they are asked for.
    fn save_latents(&self, latents: &[Vec<f32>], shape: [usize; 3]) -> Result<(), Failure> {
        match self.save_latents.as_deref().filter(|_| speaks() && !latents.is_empty()) {
            Some(path) => Ok(stable_diffusion::save_latents(path, latents, shape)?),
            None => Ok(()),
        }
    }

    /// Takes from the picture that `--from` names what was not asked for; gives the name of its model.
    fn complete(&mut self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.from else { return Ok(None) };
        let failed = |why: &dyn Display| Failure::new(format!("{}: {why}", path.display()));
        let bytes = fs::read(path).map_err(|error| failed(&error))?;
        let text = export::parameters(&bytes).map_err(|error| failed(&error))?;
        let made = Parameters::parse(&text.ok_or_else(|| failed(&"it does not tell how it was made"))?);
        self.prompt.get_or_insert_with(|| made.prompt.clone());
        self.negative.get_or_insert_with(|| made.negative.clone());
        if let Some(seed) = made.number("Seed").map_err(|error| failed(&error))? {
            self.seed.get_or_insert(Seed::Number(seed));
        }
        if let Some(skip) = made.number("Clip skip").map_err(|error| failed(&error))? {
            self.clip_skip.get_or_insert(if (1..=12).contains(&skip) { skip } else { 1 });
        }
        // A picture that is named takes the place of the first pass.
        if !self.begin.names_image() {
            self.hires.complete(&made).map_err(|error| failed(&error))?;
        }
        self.begin.complete(&made, path)?;
        if let Some(side) = made.number(TILES).map_err(|error| failed(&error))? {
            self.tiles.get_or_insert(side);
        }
        self.sampling.complete(&made).map_err(|error| failed(&error))?;
        self.adapters.complete(&made, self.model.model.as_deref()).map_err(|error| failed(&error))?;
        Ok(made.get("Model").map(str::to_owned))
    }

    /// Goes on with a job to its end, or until its latents are there; whether it was stopped on the way. `tell` hears the
    /// share that is done, and says whether to stop.
    fn draw<B: Backend, P: Pipeline>(
        &self,
        job: &mut Job<'_, B, &B::Store, P>,
        only_latents: bool,
        mut tell: impl FnMut(f64) -> bool,
    ) -> Result<bool, Failure> {
        let mut seen = 0;
        loop {
            let state = job.advance(LAUNCHES)?;
            if tell(state.done as f64 / state.total as f64) {
                return Ok(true);
            }
            if job.evaluated() > seen {
                seen = job.evaluated();
                if speaks() {
                    self.preview.show(job)?;
                }
            }
            if state.is_all() || only_latents && job.is_denoised() {
                return Ok(false);
            }
        }
    }

    /// What else of the flags a picture is repeated with.
    fn more(&self, strength: Option<f64>, hires: Option<&Hires>) -> Vec<(String, String)> {
        let mut more = Parameters::default();
        hires.iter().for_each(|hires| hires.tell(&mut more));
        self.tiles.iter().for_each(|side| more.set(TILES, side));
        strength.iter().for_each(|strength| more.set("Denoising strength", strength));
        self.begin.tell(&mut more);
        self.adapters.tell(&mut more);
        more.settings
    }
}

/// Whether a drawn picture is one.
fn check_colours<B: Backend, P: Pipeline>(
    job: &Job<'_, B, &B::Store, P>,
    place: usize,
    sampling: &Sampling,
) -> Result<(), Failure> {
    if job.picture(place).is_some_and(|values| values.iter().any(|v| !v.is_finite())) {
        let hint = if sampling.guidance == 1.0 { "its weights overflow" } else { "try less guidance" };
        return Err(Failure::new(format!("the model drew numbers that are no colours: {hint}")));
    }
    Ok(())
}

/// A picture on its way to the rank that writes it.
struct Drawn {
    rgb: Vec<u8>,
    latent: Vec<f32>,
}

impl Drawn {
    /// The first pictures of a job as bytes: colours, then latents.
    fn parcel<B: Backend, P: Pipeline>(job: &Job<'_, B, &B::Store, P>, pictures: usize) -> Vec<u8> {
        let latent: usize = job.latent().iter().product();
        let mut bytes = Vec::new();
        for (place, latent) in (0..pictures).zip(job.latents().chunks_exact(latent.max(1))) {
            bytes.extend(job.rgb8(place).unwrap_or_default());
            bytes.extend(latent.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// The pictures of a parcel, of this size and with latents of this shape.
    fn open(parcel: &[u8], [width, height]: [usize; 2], latent: [usize; 3]) -> impl Iterator<Item = Drawn> {
        let colours = width * height * 3;
        let each = colours + 4 * latent.iter().product::<usize>();
        parcel.chunks_exact(each).map(move |bytes| {
            let (rgb, latent) = bytes.split_at(colours);
            let latent = latent.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            Drawn { rgb: rgb.to_vec(), latent: latent.collect() }
        })
    }
}

/// A seed that nobody chose, the same on all ranks.
fn shared_seed(ranks: &dyn Collective) -> Result<u64, Failure> {
    let mut bytes = fresh_seed().to_le_bytes().to_vec();
    ranks.broadcast(0, &mut bytes)?;
    Ok(bytes.as_chunks::<8>().0.first().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
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
