//! `yuragi train judge`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, value_parser};
use yuragi::{
    Failure, builtin_file,
    graph::{Alone, Precision},
    io::{checkpoint::Archive, quantize::Groups},
    judge::{Learned, Options, learn, work},
    model::Model,
    train::{Source, data},
};

use super::{
    common::{DeviceFlags, Steps, check_place, interruption, processor},
    models::open,
};

/// Weights that share a scale.
const GROUP: usize = 96;

/// Learn a judge for `evaluate`: a small classifier that names the emoji in a picture, and tells how many there are.
///
/// It learns from true pictures, shifted, scaled, blurred, recoloured, autoencoded and put beside each other. Ctrl-C keeps
/// what was learned.
#[derive(Args)]
pub struct JudgeFlags {
    /// `emoji`, or `emoji:FONT`
    #[arg(long, default_value = "emoji")]
    data: Source,
    /// The file to write
    #[arg(long, default_value = "judge.safetensors", value_name = "FILE")]
    out: PathBuf,
    /// The model whose autoencoder pictures pass [default: the built-in model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Steps
    #[arg(long, default_value_t = Options::default().steps, value_parser = value_parser!(u64).range(1..))]
    steps: u64,
    /// Pictures of one step
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=1024))]
    batch: u32,
    /// Peak learning rate
    #[arg(long, default_value_t = Options::default().rate)]
    rate: f64,
    /// Bits of a weight: 4, 5, 6 or 8
    #[arg(long, default_value_t = 5)]
    bits: usize,
    /// Decides initial weights and pictures
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; the weights do not depend on them
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    device: DeviceFlags,
}

impl JudgeFlags {
    /// Learns until done or interrupted, and writes the judge.
    pub fn run(self) -> Result<ExitCode, Failure> {
        check_place(&self.out)?;
        let groups = Groups::new(self.bits, GROUP)
            .ok_or_else(|| Failure::new(format!("`--bits` is {}; legal are 4, 5, 6 and 8", self.bits)))?;
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return Err(Failure::new(format!("`--rate` is {}; it must be above 0 and at most 1", self.rate)));
        }
        let interrupted = interruption("keeping what was learned")?;
        let model = match &self.model {
            Some(path) => open(path)?.0,
            None => Model::read(&Archive::from_static(builtin_file())?)?,
        };
        let dataset = data::load(&self.data, None, model.settings.size, &Alone)?;
        let options = Options { steps: self.steps, batch: self.batch as usize, rate: self.rate, seed: self.seed };
        let machine = self.device.machine(processor(self.threads), work(&dataset, options)?)?;
        if machine.precision() == Precision::F16 {
            return Err(Failure::new("gradients vanish in f16 without a scaled loss: learn with bf16, tf32 or f32"));
        }
        let mut shown = Steps::new(self.steps, &interrupted)?;
        let tell = &mut |step, loss| shown.tell(step, loss);
        let Learned { judge, sight } = learn(&dataset, &model, options, &machine, tell)?;
        judge.save(&self.out, groups)?;
        shown.end();
        say!("{} kinds of things: {}", judge.signs().len(), self.out.display());
        say!("of pictures that it never saw, it names rightly");
        for seen in sight.iter().filter(|seen| seen.pictures > 0) {
            let share = 100.0 * seen.right as f64 / seen.pictures as f64;
            say!("  {:16}{share:6.1}% of {}", seen.what, seen.pictures);
        }
        Ok(ExitCode::SUCCESS)
    }
}
