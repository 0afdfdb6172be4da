use std::{ops::ControlFlow, path::PathBuf, process::ExitCode, sync::atomic::Ordering};

use clap::{Args, value_parser};
use yuragi::{
    Failure,
    graph::Graph,
    machine::Work,
    models::{
        generator::{Batch, Network},
        latent_diffusion::{autoencoder_training, diffusion_training},
    },
    train::lora,
    tuning::{Tuned, tune},
};

use super::{
    INTERRUPTED,
    common::{DeviceFlags, Progress, interruption, print, processor},
    models::{Loaded, load},
};

/// Measure which kernels of a model are the fastest on this machine's GPU.
///
/// Measures every kernel that can compute the products, convolutions and attentions of drawing, or of learning, too, and keeps a table of the
/// fastest in the user's folder for caches. From then on all commands take them on such a GPU, to other last digits. What
/// was measured of other models stays in it. A table of another GPU or driver, or of another version's kernels, is not used.
#[derive(Args)]
pub struct Tune {
    /// A model, as for `generate --model` [default: the built-in model]
    model: Option<PathBuf>,
    /// Width in pixels [default: the model's]
    #[arg(long)]
    width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(long)]
    height: Option<usize>,
    /// Pictures that are drawn at a time, 1 to 64
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=64))]
    batch: u16,
    /// Measure the kernels of learning from so many pictures a step, too, 1 to 256: of a model of this program, or of a LoRA
    #[arg(long, value_name = "PICTURES", value_parser = value_parser!(u16).range(1..=256))]
    training: Option<u16>,
    #[command(flatten)]
    device: DeviceFlags,
}

impl Tune {
    /// Measures, prints what was measured, and writes the table.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let machine = self.device.machine(processor(None), Work::MUCH)?;
        let cuda = machine.cuda().ok_or_else(|| Failure::new("there is no GPU whose kernels could be measured"))?;
        let (loaded, name) = load(self.model.as_deref(), false)?;
        let learning = self.training.map(|pictures| self.learning(&loaded, pictures.into())).transpose()?;
        let (pipeline, _) = loaded.into_parts()?;
        let [width, height] = pipeline.size();
        let size = [self.width.unwrap_or(width), self.height.unwrap_or(height)];
        let one = Batch { pictures: self.batch.into(), size, chunks: 1, skip: 0 };
        let both = Batch { pictures: 2 * one.pictures, ..one };
        let mut networks = vec![(Network::Text, both), (Network::Denoise, one), (Network::Decode, one)];
        if !pipeline.guides_itself() {
            networks.push((Network::Denoise, both));
        }
        let graphs = networks.into_iter().map(|(network, batch)| pipeline.graph(network, batch));
        let mut graphs = graphs.collect::<Result<Vec<_>, _>>()?;
        graphs.extend(learning.into_iter().flatten());

        let interrupted = interruption("stopping; what was measured is kept")?;
        let (mut progress, mut done, mut others, mut seconds) = (Progress::new("measuring")?, 0, 0, [0.0; 2]);
        let path = tune((cuda, machine.precision()), &graphs, &mut |tuned, all| {
            let Tuned { key, best, rule, ways } = tuned;
            let is_rule = best.0 == rule.0;
            let other = if is_rule { String::new() } else { format!("; {} takes {:.1}", rule.0, rule.1 * 1e6) };
            let line = format!("{key}: {} takes {:.1} µs, the least of {ways}{other}\n", best.0, best.1 * 1e6);
            let printed = progress.aside(|| print(line));
            (done, others) = (done + 1, others + usize::from(!is_rule));
            seconds = [seconds[0] + best.1, seconds[1] + rule.1];
            progress.set(done as f64 / all as f64);
            let stop = interrupted.load(Ordering::Relaxed) || printed.is_err();
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        drop(progress);
        let [now, before] = seconds.map(|seconds| seconds * 1e3);
        print(format!(
            "{name}: {done} were measured, {others} take other kernels than without a table; each once takes {now:.3} ms instead of {before:.3}\n{}\n",
            path.display()
        ))?;
        Ok(if interrupted.load(Ordering::Relaxed) { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    /// The steps of learning such a model, or a LoRA for it.
    fn learning(&self, loaded: &Loaded, pictures: usize) -> Result<Vec<Graph>, Failure> {
        Ok(match loaded {
            Loaded::StableDiffusion(loaded) => vec![lora::usual_step(&loaded.drawing, pictures)?],
            // What only draws has other extents than what learns.
            Loaded::Own(_) => match load(self.model.as_deref(), true)?.0 {
                Loaded::Own(model) => {
                    let steps = [autoencoder_training, diffusion_training];
                    steps.map(|step| step(&model.settings, pictures)).into_iter().collect::<Result<_, _>>()?
                }
                Loaded::StableDiffusion(_) => Vec::new(),
            },
        })
    }
}
