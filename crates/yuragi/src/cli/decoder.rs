//! `yuragi train decoder`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, value_parser};
use yuragi::{
    Failure, builtin_file,
    decoder::Decoder,
    graph::Alone,
    io::checkpoint::Archive,
    machine::Work,
    model::{Model, Storage},
    models::{autoencoder::Fine, latent_diffusion},
    train::{
        self, Source,
        data::Data,
        decoder::{Learned, Options, enlarged, learn},
    },
};

use super::{
    common::{DeviceFlags, Steps, bits, check_place, interruption, processor},
    models::{decoded_by, open},
};

/// Learn a decoder to pictures twice as large, for a model whose other parts stay as they are.
///
/// The model draws the same latents as before, with the same words; the decoder adds what it knows of details. Of a decoder that
/// has the finer level already, the training goes on. Draw by it with `--decoder FILE`. Ctrl-C keeps what was learned.
#[derive(Args)]
pub struct DecoderFlags {
    /// `emoji`, `emoji:FONT`, or a folder of pictures
    #[arg(long, default_value = "emoji")]
    data: Source,
    /// The file to write
    #[arg(long, default_value = "decoder.safetensors", value_name = "FILE")]
    out: PathBuf,
    /// The model whose latents are decoded [default: the built-in model with its decoder to 64×64 pixels]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Begin with the decoder of this file [default: the model's]
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Channels of the finer level: 8, 16, .. to 4096 [default: 32, or those that are there]
    #[arg(long)]
    channels: Option<usize>,
    /// Residual blocks of the finer level, up to 16 [default: 1, or those that are there]
    #[arg(long)]
    blocks: Option<usize>,
    /// Steps [default: fit the data, 1000 to 9000]
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Pictures of one step
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=1024))]
    batch: u32,
    /// Peak learning rate
    #[arg(long, default_value_t = Options::default().rate)]
    rate: f64,
    /// Composed pictures (recoloured, side by side, ..) for each picture of the data [default: 0.5 of emoji, 0 of a folder]
    #[arg(long)]
    compose: Option<f64>,
    /// Bits of a weight: 4, 5, 6, 8 or 16
    #[arg(long, default_value_t = Storage::BITS, value_parser = bits)]
    bits: usize,
    /// Decides initial weights, order and noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; the weights do not depend on them
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(flatten)]
    device: DeviceFlags,
}

impl DecoderFlags {
    /// Learns until done or interrupted, and writes the decoder.
    pub fn run(self) -> Result<ExitCode, Failure> {
        check_place(&self.out)?;
        let storage = Storage::new(self.bits, Storage::GROUP)?;
        let batch = self.batch as usize;
        if self.channels == Some(0) {
            return Err(Failure::new("`--channels` is 0; legal are multiples of 8 up to 4096"));
        }
        let options = train::Options {
            data: self.data.clone(),
            seed: self.seed,
            batch,
            rate: self.rate,
            // Twice what a denoiser is taught of.
            compose: self.compose.unwrap_or(2.0 * self.data.composed()),
            ..train::Options::default()
        }
        .checked()?;
        let interrupted = interruption("keeping what was learned")?;
        let model = match &self.model {
            Some(path) => open(path)?.0,
            None => Model::read(&Archive::from_static(builtin_file())?)?,
        };
        let model = decoded_by(model, self.init.as_deref())?;
        let there = Some(model.settings.autoencoder.fine).filter(|fine| fine.channels > 0);
        let fine = there.unwrap_or(Options::default().fine);
        let asked =
            Fine { channels: self.channels.unwrap_or(fine.channels), blocks: self.blocks.unwrap_or(fine.blocks) };
        if there.is_some_and(|there| there != asked) {
            let Fine { channels, blocks } = fine;
            return Err(Failure::new(format!(
                "the decoder to begin with has {channels} channels and {blocks} blocks at its finer level, which stay: leave out \
                 `--channels` and `--blocks`"
            )));
        }
        let settings = enlarged(&model.settings, asked);
        settings.check().map_err(|error| Failure::new(format!("`--channels` or `--blocks`: {error}")))?;
        let step = latent_diffusion::decoder_training(&settings, batch)?;
        let data = Data::load(&options, settings.size, &Alone)?;
        let steps = self.steps.unwrap_or(Options::fitted_steps(data.epoch(), batch));
        let machine = self.device.machine(processor(self.threads), Work::of(&step, steps as f64))?;
        let options = Options { fine: asked, steps, batch, rate: self.rate, seed: self.seed };
        let mut shown = Steps::new(steps, &interrupted)?;
        let tell = &mut |step, loss| shown.tell(step, loss);
        let Learned { model, nearness } = learn(&model, &data, options, &machine, tell)?;
        Decoder::of(&model).save(&self.out, storage)?;
        shown.end();
        let size = model.settings.size;
        say!("decodes to {size}x{size} pixels: {}", self.out.display());
        say!("of autoencoded pictures, peak signal to noise in dB, and that of the decoder before:");
        for near in nearness {
            let what = if near.seen { "learned from" } else { "never seen" };
            say!("  {what:16}{:6.2} {:6.2}  of {}", near.decoded, near.before, near.pictures);
        }
        Ok(ExitCode::SUCCESS)
    }
}
