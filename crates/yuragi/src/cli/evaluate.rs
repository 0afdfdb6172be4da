use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::{Args, value_parser};
use serde_json::json;
use yuragi::{
    Failure,
    evaluate::{draw, score, sheet, trials},
    graph::Backend,
    io::{
        atomic,
        export::{self, Format},
    },
    machine::Work,
    model::Model,
    models::{Generator, generator::Sampling, latent_diffusion::denoise},
    train::{Source, data},
};

use super::{
    INTERRUPTED,
    common::{ModelFlags, Progress, SamplingFlags, check_place, flow, interruption, print},
};

/// Pictures that are drawn at a time.
const BATCH: usize = 16;

/// Measure how well a model draws what it is told.
///
/// Draws the captions of a data set and tells how often the true picture is the nearest of all
/// pictures (top-1), or among the five nearest (top-5), by the mean colours of 16x16 boxes: for
/// captions that were trained on and for combinations that were held out, beside what copying would
/// score.
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
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    model: ModelFlags,
}

impl Evaluate {
    /// Draws, measures and prints.
    pub fn run(self) -> Result<ExitCode, Failure> {
        self.sheet.as_deref().map_or(Ok(()), check_place)?;
        let format = self.sheet.as_deref().map_or(Ok(None), Format::of)?.unwrap_or_default();
        let interrupted = interruption("stopping")?;
        let (Model { settings, tokenizer, params }, name) = self.model.open()?;
        let dataset = data::load(&self.data, self.caption_column.as_deref(), settings.size)?;
        for skipped in dataset.skipped.iter().take(20) {
            eprintln!("skipped {}: {}", skipped.path.display(), skipped.reason);
        }
        let trials = trials(&dataset, self.count as usize, self.seed);
        if trials.is_empty() {
            return Err(Failure::new(format!("{} has no captions to draw", self.data)));
        }
        dataset.notes.iter().for_each(|note| eprintln!("note: {note}"));
        let sampling = self.sampling.sampling(Sampling::default());
        let batch = BATCH.min(trials.len());
        let runs = (trials.len().div_ceil(batch) * sampling.steps) as f64;
        let machine = self.model.machine(Work::of(&denoise(&settings, 2 * batch)?, runs))?;
        let generator = Generator::new(&machine, machine.upload(params)?, settings, tokenizer, batch)?;
        let (mut progress, started) = (Progress::new("drawing")?, Instant::now());
        let drawn = draw(&generator, &trials, &sampling, |share| {
            progress.set(share);
            flow(&interrupted)
        })?;
        drop(progress);
        let Some(drawn) = drawn else {
            eprintln!("interrupted; nothing was measured");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        let seconds = started.elapsed().as_secs_f64();
        if let Some(path) = &self.sheet {
            let bytes = export::encode(&sheet(&dataset, &trials, &drawn)?, format, "")?;
            atomic::write(path, &bytes)?;
        }
        let report = score(&dataset, &trials, &drawn);
        let (sampler, steps, guidance) = (sampling.sampler, sampling.steps, sampling.guidance);
        if self.json {
            let report = json!({
                "model": name,
                "data": self.data.to_string(),
                "count": self.count,
                "seed": self.seed,
                "sampler": sampler.to_string(),
                "steps": steps,
                "guidance": guidance,
                "drawn": drawn.len(),
                "seconds": seconds,
                "report": report,
            });
            print(format_args!("{report:#}\n"))?;
        } else {
            let how = format!("{sampler}, {steps} steps, guidance {guidance}, seed {}", self.seed);
            let (data, count) = (&self.data, drawn.len());
            print(format_args!("{name} on {data}: {how}\n\n{report}\n{count} pictures in {seconds:.0} s\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
