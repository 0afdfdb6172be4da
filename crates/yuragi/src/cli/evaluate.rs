use std::{
    fmt::Display,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Args, value_parser};
use serde_json::{Value, json};
use yuragi::{
    Failure, builtin_judge,
    evaluate::{draw, prompts, score, sheet, trials},
    graph::{Backend, Collective},
    io::{
        Picture, atomic,
        checkpoint::Archive,
        export::{self, Format},
        picture::contact_sheet,
    },
    judge::Judge,
    machine::{Machine, Work},
    model::Model,
    models::{Generator, generator::Sampling, latent_diffusion::denoise},
    train::{Source, data},
};

use super::{
    INTERRUPTED,
    common::{Progress, SamplingFlags, check_place, flow, interruption, print, speaks, tell_skipped},
    models::ModelFlags,
};

/// Pictures that are drawn at a time.
const BATCH: usize = 16;

/// Measure how well a model draws what it is told.
///
/// Draws the captions of a data set and tells how often the true picture is the nearest of all
/// pictures (top-1), or among the five nearest (top-5), by the mean colours of 16x16 boxes: for
/// captions that were trained on and for combinations that were held out, beside what copying would
/// score. A judge, a small classifier that learned to see, names what was drawn of things of their own.
///
/// With `--prompts`, the prompts of a file are drawn, and the judge tells how often what is asked for is recognised.
#[derive(Args)]
pub struct Evaluate {
    /// `emoji`, `emoji:FONT`, or a folder of pictures with captions
    #[arg(long, default_value = "emoji")]
    data: Source,
    /// The column or key of captions in a folder's metadata [default: text, caption or prompt]
    #[arg(long, value_name = "NAME")]
    caption_column: Option<String>,
    /// Captions that were trained on, in each language
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Decides which captions, and their noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Also write drawn pictures, each above the true one, into this file
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Draw the prompts of this file instead: on each line a prompt, a tab and the emoji that must be recognised, or their
    /// names, with + between several things and | between names that will do; then, after another tab, a kind
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "caption_column", "count"])]
    prompts: Option<PathBuf>,
    /// A judge that `yuragi train judge` made [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    model: ModelFlags,
}

/// Pictures of a row, of prompts' drawings.
const COLUMNS: usize = 10;

impl Evaluate {
    /// Draws, measures and prints.
    pub fn run(self, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        self.sheet.as_deref().map_or(Ok(()), check_place)?;
        let format = self.sheet.as_deref().map_or(Ok(None), Format::of)?.unwrap_or_default();
        let judge = match &self.judge {
            Some(path) => Judge::read(&Archive::open(path)?)?,
            None => builtin_judge()?,
        };
        match &self.prompts {
            Some(path) => self.prompts(path, &judge, format, ranks),
            None => self.dataset(&judge, format, ranks),
        }
    }

    /// Captions of a data set.
    fn dataset(&self, judge: &Judge, format: Format, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let (model, name) = self.model.open(false)?;
        let dataset = data::load(&self.data, self.caption_column.as_deref(), model.settings.size, ranks)?;
        let trials = trials(&dataset, self.count as usize, self.seed);
        if trials.is_empty() {
            return Err(Failure::new(format!("{} has no captions to draw", self.data)));
        }
        tell_skipped(&dataset);
        let captions: Vec<(&str, u64)> = trials.iter().map(|t| (t.caption.as_str(), t.seed)).collect();
        let Some(Drawn { pictures, machine, sampling, seconds }) = self.draw(model, &captions, ranks)? else {
            return Ok(ExitCode::from(INTERRUPTED));
        };
        if let Some(path) = self.sheet.as_ref().filter(|_| speaks()) {
            atomic::write(path, &export::encode(&sheet(&dataset, &trials, &pictures)?, format, "")?)?;
        }
        let mut report = score(&dataset, &trials, &pictures);
        if trials.iter().any(|trial| judge.kind_of(&dataset.items[trial.item]).is_some()) {
            report.judged(&dataset, &trials, &judge.look(&pictures, &machine)?, judge);
        }
        let data = self.data.to_string();
        self.tell(&name, &data, (&report, json!(report)), &sampling, (pictures.len(), seconds))
    }

    /// Prompts of a file.
    fn prompts(&self, path: &Path, judge: &Judge, format: Format, ranks: &dyn Collective) -> Result<ExitCode, Failure> {
        let prompts = prompts::read(path, judge)?;
        let (model, name) = self.model.open(false)?;
        let captions: Vec<(&str, u64)> =
            prompts.iter().zip(self.seed..).map(|(prompt, seed)| (prompt.text.as_str(), seed)).collect();
        let Some(Drawn { pictures, machine, sampling, seconds }) = self.draw(model, &captions, ranks)? else {
            return Ok(ExitCode::from(INTERRUPTED));
        };
        if let Some(path) = self.sheet.as_ref().filter(|_| speaks()) {
            atomic::write(path, &export::encode(&contact_sheet(&pictures, COLUMNS, 2)?, format, "")?)?;
        }
        let report = prompts::recognised(&prompts, &judge.look(&pictures, &machine)?, judge);
        let data = path.display().to_string();
        self.tell(&name, &data, (&report, json!(report)), &sampling, (pictures.len(), seconds))
    }

    /// Draws captions; `None` if it was interrupted.
    fn draw(&self, model: Model, captions: &[(&str, u64)], ranks: &dyn Collective) -> Result<Option<Drawn>, Failure> {
        let interrupted = interruption("stopping")?;
        let sampling = self.sampling.sampling(Sampling::default());
        let Model { settings, tokenizer, params } = model;
        let batch = BATCH.min(captions.len());
        let own = ranks.share(captions.len(), batch, 0).len();
        let runs = (own.div_ceil(batch) * sampling.steps) as f64;
        let rows = if sampling.guidance == 1.0 { batch } else { 2 * batch };
        let machine = self.model.machine(Work::of(&denoise(&settings, rows)?, runs))?;
        let generator = Generator::new(&machine, machine.upload(params)?, settings, tokenizer, batch)?;
        let (mut progress, started) = (Progress::new("drawing")?, Instant::now());
        let pictures = draw(ranks, &generator, captions, &sampling, |share| {
            progress.set(share);
            flow(&interrupted)
        })?;
        drop(progress);
        let Some(pictures) = pictures else {
            say!("interrupted; nothing was measured");
            return Ok(None);
        };
        Ok(Some(Drawn { pictures, machine, sampling, seconds: started.elapsed().as_secs_f64() }))
    }

    fn tell(
        &self,
        name: &str,
        data: &str,
        (table, report): (&dyn Display, Value),
        sampling: &Sampling,
        (drawn, seconds): (usize, f64),
    ) -> Result<ExitCode, Failure> {
        let (sampler, steps, guidance) = (sampling.sampler, sampling.steps, sampling.guidance);
        if self.json {
            let report = json!({
                "model": name,
                "data": data,
                "count": self.count,
                "seed": self.seed,
                "sampler": sampler.to_string(),
                "steps": steps,
                "guidance": guidance,
                "drawn": drawn,
                "seconds": seconds,
                "report": report,
            });
            print(format_args!("{report:#}\n"))?;
        } else {
            let how = format!("{sampler}, {steps} steps, guidance {guidance}, seed {}", self.seed);
            print(format_args!("{name} on {data}: {how}\n\n{table}\n{drawn} pictures in {seconds:.0} s\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Pictures, and how they came to be.
struct Drawn {
    pictures: Vec<Picture>,
    machine: Machine,
    sampling: Sampling,
    seconds: f64,
}
