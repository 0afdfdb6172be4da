use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    fit::Fitted,
    io::{Table, checkpoint::Archive, png, table::Values},
    variational::{self, Model},
};

use super::{
    INTERRUPTED,
    common::{Progress, abandonment, check_place, flow, print, print_with, sheet, unless_interrupted},
    models::file_of,
    variational::MachineFlags,
};

/// Draw rows from a model of a table.
///
/// From a Gaussian mixture and a variational autoencoder rows are independent. A Boltzmann machine starts a chain for each
/// row at the data's mean activities and takes so many Gibbs steps; a deep belief network does so in its top machine, and
/// goes down from there. A variational diffusion model goes down from noise in 110 steps.
#[derive(Args)]
pub struct Sample {
    /// The model's file, as `yuragi fit` or `yuragi train vae` writes it, or a training's folder
    model: PathBuf,
    /// Rows
    #[arg(short = 'n', long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=16_777_216))]
    count: u32,
    /// Gibbs steps
    #[arg(long, default_value_t = 1000)]
    steps: u32,
    /// Decides every draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A .csv or .npy file, or a .png sheet of rows that are pictures (of a machine: the means of the last step)
    /// [default: CSV on standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Of a variational autoencoder, walks through its latents instead of draws, and of a diffusion model strips of denoising,
    /// as a .png sheet of so many by so many
    #[arg(long, value_name = "SIDE", value_parser = value_parser!(u16).range(2..=64), requires = "output")]
    walk: Option<u16>,
    #[command(flatten)]
    machine: MachineFlags,
}

/// What was drawn, and what it is called.
struct Rows {
    values: Vec<f64>,
    grey: Vec<f32>,
    shape: Vec<usize>,
    names: Vec<String>,
}

impl Sample {
    /// Draws and writes.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let picture = self.output.as_deref().is_some_and(is_png);
        if let Some(path) = &self.output {
            check_place(path)?;
            if !picture {
                Table::check_name(path)?;
            }
        }
        if self.walk.is_some() && !picture {
            return Err(Failure::new("`--walk` draws pictures: name a .png file with `-o`"));
        }
        let (interrupted, finished) = abandonment("stopping")?;
        let file = file_of(&self.model);
        let archive = Archive::open(&file)?;
        let mut progress = Progress::new("drawing")?;
        let drawn = if Model::is_in(&archive) {
            let model = Model::open(&file)?;
            self.bounded(&model, &mut |done| {
                progress.set(done as f64 / f64::from(self.count));
                flow(&interrupted).is_continue()
            })
        } else {
            let fitted = Fitted::open(&file)?;
            if self.walk.is_some() {
                return Err(Failure::new(format!("`--walk` needs latents; {} is a {}", file.display(), fitted.kind())));
            }
            let drawn = fitted.sample(self.count, self.steps, self.seed, &mut |at| {
                progress.set(at.done as f64 / at.total as f64);
                flow(&interrupted)
            });
            let names = if let Fitted::Mixture(mixture) = &fitted { mixture.names.clone() } else { Vec::new() };
            let shape = fitted.shape().to_vec();
            drawn.map(|drawn| Rows { values: drawn.values, grey: drawn.grey, shape, names }).map_err(Failure::from)
        };
        drop(progress);
        finished.store(true, Ordering::Relaxed);
        let Some(Rows { values, grey, shape, names }) = unless_interrupted(drawn, &interrupted)? else {
            say!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        match &self.output {
            Some(path) if picture => png::save(path, &sheet(&grey, &shape)?, &[])?,
            place => {
                let table = Table::new(shape, Values::Reals(values));
                let table = table.ok_or_else(|| Failure::new("no row was drawn"))?;
                let table = if names.is_empty() { Some(table) } else { table.with_names(names) };
                let table = table.ok_or_else(|| Failure::new("the model names other columns than it has"))?;
                match place {
                    Some(path) => table.save(path)?,
                    None => print_with(|out| table.write_csv(out))?,
                }
            }
        }
        if let Some(path) = &self.output {
            print(format_args!("{}\n", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Draws of a model with a bound, or walks through its latents.
    fn bounded(&self, model: &Model, tell: &mut dyn FnMut(usize) -> bool) -> Result<Rows, Failure> {
        // A walk through latents is one run of as many rows.
        let rows = self.walk.map_or(self.count as usize, |side| usize::from(side).pow(2));
        let machine = self.machine.open(variational::drawing(model, rows)?)?;
        let (shape, names) = (model.network.shape().to_vec(), Vec::new());
        if let Some(side) = self.walk {
            let grey = variational::walk(model, side.into(), self.seed, &machine)?;
            return Ok(Rows { values: Vec::new(), grey, shape, names });
        }
        let drawn = variational::draw(model, self.count as usize, self.seed, &machine, tell)?;
        Ok(Rows { values: drawn.values, grey: drawn.grey, shape, names })
    }
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}
