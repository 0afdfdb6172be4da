use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    energy::{
        draw::Draws,
        rbm::{Rbm, Units},
    },
    fit::{Belief, Fitted, Layer},
    io::{Picture, Table, picture::contact_sheet, png, table::Values},
    numeric::philox::{self, Philox},
};

use super::{
    INTERRUPTED,
    common::{Progress, check_place, interruption},
};

/// Draw rows from a model of a table.
///
/// From a Gaussian mixture rows are independent. A restricted Boltzmann machine starts a chain for each row at the data's mean
/// activities and takes so many Gibbs steps; a deep belief network does so in its top machine, and goes down from there.
#[derive(Args)]
pub struct Sample {
    /// The model's file, as `yuragi fit` writes it
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
}

/// Rows that were drawn.
struct Drawn {
    /// The rows.
    values: Vec<f64>,
    /// Grey levels from 0 to 1, for a sheet.
    grey: Vec<f32>,
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
        let interrupted = interruption("stopping")?;
        let fitted = Fitted::open(&self.model)?;
        let mut progress = Progress::new("drawing")?;
        let step = |share: f64| {
            progress.set(share);
            !interrupted.load(Ordering::Relaxed)
        };
        let drawn = match &fitted {
            Fitted::Mixture(mixture) => {
                let mut rng = Philox::new(philox::key(self.seed), 0);
                let (values, _) = mixture.mixture.sample_labelled(&mut rng, self.count as usize);
                let grey = values.iter().map(|&v| v as f32).collect();
                Some(Drawn { values, grey })
            }
            Fitted::Machine(layer) => self.chains(layer, step)?,
            Fitted::Network(network) => self.descents(&network.belief, step)?,
        };
        drop(progress);
        let Some(drawn) = drawn else {
            eprintln!("interrupted; nothing was written");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        match &self.output {
            Some(path) if picture => png::save(path, &sheet(&drawn.grey, fitted.shape())?, &[])?,
            place => {
                let names = if let Fitted::Mixture(mixture) = &fitted { mixture.names.clone() } else { Vec::new() };
                let table = Table::new(fitted.shape().to_vec(), Values::Reals(drawn.values));
                let table = table.ok_or_else(|| Failure::new("no row was drawn"))?;
                let table = if names.is_empty() { Some(table) } else { table.with_names(names) };
                let table = table.ok_or_else(|| Failure::new("the model names other columns than it has"))?;
                match place {
                    Some(path) => table.save(path)?,
                    None => to_stdout(&table)?,
                }
            }
        }
        if let Some(path) = &self.output {
            super::common::print(format_args!("{}\n", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The ends of Gibbs chains from units with these biases, and the means of the last draw; `None` if `step` says to stop.
    #[allow(clippy::type_complexity)]
    fn gibbs(
        &self,
        rbm: &Rbm,
        base: &[f32],
        mut step: impl FnMut(f64) -> bool,
    ) -> Result<Option<(Vec<f32>, Vec<f32>)>, Failure> {
        let draws = Draws::new(self.seed);
        let mut start = Rbm::new(rbm.visible(), 1, rbm.visible_units(), rbm.hidden_units())?;
        start.visible_bias.copy_from_slice(base);
        let mut v = start.sample_visible(&vec![0.0; self.count as usize], draws, 0)?;
        let mut means = v.clone();
        for number in 1..=self.steps {
            let h = rbm.sample_hidden(&v, draws, number)?;
            v = rbm.sample_visible(&h, draws, number)?;
            if number == self.steps {
                means = rbm.visible_means(&h)?;
            }
            if !step(f64::from(number) / f64::from(self.steps)) {
                return Ok(None);
            }
        }
        Ok(Some((v, means)))
    }

    /// Rows of a machine; `None` if `step` says to stop.
    fn chains(&self, layer: &Layer, mut step: impl FnMut(f64) -> bool) -> Result<Option<Drawn>, Failure> {
        let rbm = &layer.machine.rbm;
        let Some((v, means)) = self.gibbs(rbm, &layer.machine.base, &mut step)? else { return Ok(None) };
        let columns = rbm.visible();
        let restored = |(i, value): (usize, &f32)| match (rbm.visible_units(), layer.moments.get(i % columns)) {
            (Units::Gaussian, Some((mean, deviation))) => mean + deviation * value,
            (Units::Spin, _) => 0.5 * (value + 1.0),
            _ => *value,
        };
        let grey = means.iter().enumerate().map(restored).collect();
        // Spins stay spins in a table.
        let of = |(i, value): (usize, &f32)| {
            if rbm.visible_units() == Units::Spin { f64::from(*value) } else { f64::from(restored((i, value))) }
        };
        Ok(Some(Drawn { values: v.iter().enumerate().map(of).collect(), grey }))
    }
}

impl Sample {
    /// Gibbs chains in the top machine of a network, then down.
    fn descents(&self, belief: &Belief, step: impl FnMut(f64) -> bool) -> Result<Option<Drawn>, Failure> {
        let Some(mut x) = self.gibbs(&belief.dbn.top, &belief.base, step)? else { return Ok(None) };
        let mut means = x.1;
        for (number, down) in (self.steps.saturating_add(1)..).zip(belief.dbn.generative.iter().rev()) {
            means = down.visible_means(&x.0)?;
            x.0 = down.sample_visible(&x.0, Draws::new(self.seed), number)?;
        }
        let spins = belief.dbn.top.visible_units() == Units::Spin;
        let grey = means.iter().map(|&mean| if spins { 0.5 * (mean + 1.0) } else { mean }).collect();
        Ok(Some(Drawn { values: x.0.iter().map(|&v| v.into()).collect(), grey }))
    }
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

fn to_stdout(table: &Table) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match table.write_csv(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Rows as grey pictures on one sheet; of rows without two axes, each is a square with as many pixels as fit in it.
pub fn sheet(grey: &[f32], shape: &[usize]) -> Result<Picture, Failure> {
    let columns: usize = shape.iter().product();
    let (height, width) = match *shape {
        [height, width] => (height, width),
        _ => {
            let side = columns.isqrt();
            if side * side != columns {
                return Err(Failure::new(format!("rows of {columns} numbers are no pictures")));
            }
            (side, side)
        }
    };
    let level = |value: &f32| (255.0 * value.clamp(0.0, 1.0)).round() as u8;
    let picture = |row: &[f32]| Picture::new(width, height, row.iter().flat_map(|v| [level(v); 3]).collect());
    let pictures: Vec<Picture> = grey.chunks(columns).map(picture).collect::<Result<_, _>>()?;
    let across = pictures.len().isqrt() + usize::from(pictures.len().isqrt().pow(2) < pictures.len());
    Ok(contact_sheet(&pictures, across, 2)?)
}
