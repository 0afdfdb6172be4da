//! Pictures from words.

use std::sync::Arc;

use self_cell::self_cell;
use yuragi::{
    Failure,
    cpu::Cpu,
    graph::{Backend, Params},
    io::checkpoint::Archive,
    model::Model,
    models::{
        Settings,
        generator::{Done, Generator, Job, Request, Sampling},
        prompt,
        tokenizer::Tokenizer,
    },
    numeric::level,
};

type Drawer = Generator<Cpu, Arc<Params>>;
type Drawing<'a> = Job<'a, Cpu, Arc<Params>>;

self_cell! {
    /// A batch under way, and what it is drawn with.
    struct Batch {
        owner: Arc<Drawer>,
        #[not_covariant]
        dependent: Drawing,
    }
}

/// What is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What the pictures show, in English or Japanese.
    pub prompt: String,
    /// What they keep away from.
    pub negative: String,
    /// The seed of the first; the next ones count on from it.
    pub seed: u64,
    /// How many, 1 to [`Studio::MOST`].
    pub count: usize,
    /// Steps of the sampler, 1 to 10,000.
    pub steps: usize,
    /// How much the words count, finite; 1 takes half the time.
    pub guidance: f32,
}

/// A model that draws one batch of pictures at a time.
///
/// ```
/// use yuragi_web::{Asked, Studio};
/// # let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../yuragi/assets/emoji.safetensors"))?;
/// let mut studio = Studio::open(file, 1)?;
/// let cat = Asked { prompt: "a cat".into(), negative: String::new(), seed: 7, count: 1, steps: 2, guidance: 1.0 };
/// assert_eq!(studio.start(cat)?, [""; 0]);
/// while !studio.advance(20)?.is_all() { /* a frame */ }
/// assert_eq!(studio.pictures().len(), 64 * 64 * 3);
/// # Ok::<(), yuragi::Failure>(())
/// ```
pub struct Studio {
    cpu: Cpu,
    params: Arc<Params>,
    settings: Settings,
    tokenizer: Tokenizer,
    /// The networks for the last number of pictures.
    drawer: Option<Arc<Drawer>>,
    batch: Option<Batch>,
    asked: Option<Asked>,
}

impl Studio {
    /// The most pictures of a batch.
    pub const MOST: usize = 9;

    /// Reads a model's file, and compiles what draws one picture.
    ///
    /// # Errors
    /// A file that is cut short, damaged, or of something else.
    pub fn open(file: Vec<u8>, threads: usize) -> Result<Studio, Failure> {
        let Model { settings, tokenizer, params } = Model::read_to_draw(&Archive::from_bytes(file)?)?;
        let cpu = Cpu::with_threads(threads).winograd(true);
        let params = Arc::new(cpu.upload(params)?);
        let mut studio = Studio { cpu, params, settings, tokenizer, drawer: None, batch: None, asked: None };
        studio.drawer(1)?;
        Ok(studio)
    }

    /// Threads that compute.
    pub fn threads(&self) -> usize {
        self.cpu.threads()
    }

    /// Width and height of a picture.
    pub fn side(&self) -> usize {
        self.settings.size
    }

    fn drawer(&mut self, count: usize) -> Result<Arc<Drawer>, Failure> {
        if let Some(drawer) = self.drawer.as_ref().filter(|drawer| drawer.count() == count) {
            return Ok(drawer.clone());
        }
        let (params, settings) = (self.params.clone(), self.settings.clone());
        let drawer = Arc::new(Generator::new(&self.cpu, params, settings, self.tokenizer.clone(), count)?);
        self.drawer = Some(drawer.clone());
        Ok(drawer)
    }

    /// Begins; what was under way is cancelled. Gives notes about words that the model reads otherwise than one may think.
    ///
    /// # Errors
    /// Numbers out of range.
    pub fn start(&mut self, asked: Asked) -> Result<Vec<String>, Failure> {
        self.cancel();
        let Asked { count, steps, guidance, .. } = asked;
        if !(1..=Studio::MOST).contains(&count) {
            return Err(Failure::new(format!("{count} pictures: legal are 1 to {}", Studio::MOST)));
        }
        let notes = self.notes(&asked);
        let negative = if guidance == 1.0 { "" } else { &*asked.negative };
        let requests: Vec<Request<'_>> = (0..count as u64)
            .map(|n| Request {
                prompt: &asked.prompt,
                negative,
                seed: asked.seed.wrapping_add(n),
                ..Request::default()
            })
            .collect();
        let sampling = Sampling { steps, guidance, ..Sampling::default() };
        let drawer = self.drawer(count)?;
        self.batch = Some(Batch::try_new(drawer, |drawer| drawer.start(&requests, &sampling))?);
        self.asked = Some(asked);
        Ok(notes)
    }

    /// Goes on for at most so many launches; without a batch there is nothing to do.
    ///
    /// # Errors
    /// What the processor refuses, or pictures whose numbers are no colours; the batch is then gone.
    pub fn advance(&mut self, launches: usize) -> Result<Done, Failure> {
        let Some(batch) = &mut self.batch else { return Ok(Done { done: 0, total: 0 }) };
        let done = batch.with_dependent_mut(|_, job| job.advance(launches));
        if done.is_err() {
            self.cancel();
        }
        let done = done?;
        if done.is_all() && !self.is_drawn() {
            self.cancel();
            return Err(Failure::new("the model drew numbers that are no colours: try less guidance"));
        }
        Ok(done)
    }

    /// Whether all numbers of the pictures are finite.
    fn is_drawn(&self) -> bool {
        let count = self.asked.as_ref().map_or(0, |asked| asked.count);
        let finite = |job: &Drawing<'_>, place| job.picture(place).is_some_and(|p| p.iter().all(|v| v.is_finite()));
        self.batch.as_ref().is_some_and(|batch| batch.with_dependent(|_, job| (0..count).all(|n| finite(job, n))))
    }

    /// The steps that were made.
    pub fn evaluated(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.with_dependent(|_, job| job.evaluated()))
    }

    /// The side of a picture in [`guesses`](Self::guesses).
    pub fn guess_side(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.with_dependent(|_, job| job.latent()[0]))
    }

    /// Guesses of the pictures under way: `[count, side, side, 3]`; nothing before the first step.
    pub fn guesses(&self) -> Vec<u8> {
        self.each(|job, place| Some(job.preview(place)?.into_iter().map(level).collect()))
    }

    /// The pictures `[count, side, side, 3]`; nothing before the end.
    pub fn pictures(&self) -> Vec<u8> {
        self.each(|job, place| job.rgb8(place))
    }

    fn each(&self, of: impl Fn(&Drawing<'_>, usize) -> Option<Vec<u8>>) -> Vec<u8> {
        let (Some(batch), Some(asked)) = (&self.batch, &self.asked) else { return Vec::new() };
        batch.with_dependent(|_, job| (0..asked.count).filter_map(|place| of(job, place)).flatten().collect())
    }

    /// How picture `place` was made, as its file tells it: what web interfaces, `yuragi info` and `generate --from` read.
    pub fn parameters(&self, place: usize) -> Option<String> {
        let Asked { prompt, negative, seed, count, steps, guidance } = self.asked.as_ref()?;
        if place >= *count {
            return None;
        }
        let (seed, side) = (seed.wrapping_add(place as u64), self.side());
        let negative = match &**negative {
            "" => String::new(),
            _ if *guidance == 1.0 => String::new(),
            words => format!("Negative prompt: {words}\n"),
        };
        Some(format!(
            "{prompt}\n{negative}Steps: {steps}, Sampler: Euler, CFG scale: {guidance}, Seed: {seed}, Size: {side}x{side}, \
             Model: yuragi-emoji, Version: yuragi {}",
            env!("CARGO_PKG_VERSION")
        ))
    }

    /// Ends what is under way, and forgets what was drawn.
    pub fn cancel(&mut self) {
        (self.batch, self.asked) = (None, None);
    }

    /// What the model makes of the words, where that may surprise.
    fn notes(&self, asked: &Asked) -> Vec<String> {
        let mut notes = prompt::notes(&self.tokenizer, self.settings.text.length, &asked.prompt, &asked.negative);
        if asked.guidance == 1.0 && !asked.negative.trim().is_empty() {
            notes.push(prompt::UNGUIDED.to_owned());
        }
        notes.iter().map(|note| sentence(note)).collect()
    }
}

/// A note as a line of its own.
fn sentence(note: &str) -> String {
    let mut letters = note.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}
