//! A second pass at a larger size, as flags say it.

use clap::{Args, ValueEnum};
use yuragi::{
    Failure,
    graph::Backend,
    io::{Picture, parameters::Parameters},
    models::{
        generator::{Batch, Begin, Job, Pipeline, Sampling},
        latents::enlarged,
    },
};

use super::common::strength;

/// How much is drawn anew where nobody says.
const STRENGTH: f64 = 0.7;
/// What a picture calls the second pass.
pub const SCALE: &str = "Hires upscale";
const STEPS: &str = "Hires steps";
const UPSCALER: &str = "Hires upscaler";
const SHARE: &str = "Denoising strength";

/// Whether, and how, a picture is drawn once more in a larger size.
#[derive(Args)]
pub struct HiresFlags {
    /// Draw, enlarge so many times (above 1, up to 8), and draw anew what that lacks
    #[arg(long, value_name = "SCALE", value_parser = scale, conflicts_with_all = ["image", "mask"])]
    hires: Option<f64>,
    /// The share of the steps that the second pass makes, 0 to 1 [default: 0.7]
    #[arg(long, value_name = "SHARE", requires = "larger", value_parser = strength)]
    hires_strength: Option<f64>,
    /// The steps of which the second pass makes that share [default: those of the first]
    #[arg(long, value_name = "STEPS", requires = "larger", value_parser = steps)]
    hires_steps: Option<usize>,
    /// What is enlarged: latent, or picture, which keeps more of the first pass [default: latent]
    #[arg(long, value_name = "WHAT", requires = "larger")]
    hires_upscaler: Option<Upscaler>,
}

/// What is enlarged, by linear interpolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Upscaler {
    Latent,
    Picture,
}

/// A second pass.
pub struct Hires {
    /// What its networks are made for.
    pub batch: Batch,
    /// How it draws.
    pub sampling: Sampling,
    /// Whether it begins at the first pass's picture, not at its latent.
    pub of_picture: bool,
    scale: f64,
    steps: Option<usize>,
    share: f64,
}

impl HiresFlags {
    /// Takes what a picture tells of its making, where nothing was asked for.
    pub fn complete(&mut self, made: &Parameters) -> Result<(), Failure> {
        let Some(told) = made.get(SCALE) else { return Ok(()) };
        if self.hires.is_none() {
            self.hires =
                Some(scale(told).map_err(|legal| Failure::new(format!("its `{SCALE}` is {told:?}; {legal}")))?);
        }
        if let Some(share) = made.number::<f64>(SHARE)? {
            self.hires_strength.get_or_insert(share.clamp(0.0, 1.0));
        }
        if let Some(told) = made.get(STEPS).filter(|_| self.hires_steps.is_none()) {
            match steps(told) {
                Ok(steps) => self.hires_steps = Some(steps),
                Err(legal) => say!("note: its `{STEPS}` is {told:?}, and not used: {legal}"),
            }
        }
        if let Some(upscaler) = made.get(UPSCALER) {
            let latent = upscaler.starts_with("Latent");
            self.hires_upscaler.get_or_insert(if latent { Upscaler::Latent } else { Upscaler::Picture });
            if !latent && upscaler != LINEAR {
                say!("note: {upscaler:?} is not known here: the picture is enlarged linearly");
            }
        }
        Ok(())
    }

    /// The second pass behind a first one, for sizes that are multiples of `step`.
    pub fn plan(
        &self,
        first: &Sampling,
        batch: Batch,
        step: usize,
        of_picture: bool,
    ) -> Result<Option<Hires>, Failure> {
        let Some(scale) = self.hires else { return Ok(None) };
        if of_picture {
            return Err(Failure::new(
                "`--hires` draws from words: enlarge a picture by `--image`, `--width` and `--height`",
            ));
        }
        let share = self.hires_strength.unwrap_or(STRENGTH);
        let larger = |pixels: usize| (pixels as f64 * scale / step as f64).round() as usize * step;
        let steps = self.hires_steps.unwrap_or(first.steps);
        Ok(Some(Hires {
            batch: Batch { size: batch.size.map(larger), ..batch },
            sampling: Sampling { steps, strength: share, ..*first },
            of_picture: self.hires_upscaler == Some(Upscaler::Picture),
            scale,
            steps: self.hires_steps,
            share,
        }))
    }
}

/// What a picture that was enlarged says.
const LINEAR: &str = "Linear";

impl Hires {
    /// The share of the work that the first pass is, about.
    pub fn share_of_first(&self) -> f64 {
        1.0 / (1.0 + self.scale * self.scale * self.share)
    }

    /// Notes it.
    pub fn tell(&self, made: &mut Parameters) {
        made.set(SHARE, self.share);
        made.set(SCALE, self.scale);
        self.steps.iter().for_each(|steps| made.set(STEPS, steps));
        made.set(UPSCALER, if self.of_picture { LINEAR } else { "Latent" });
    }

    /// What each of the pictures of a first pass begins the second one with.
    pub fn begins<B: Backend, P: Pipeline>(
        &self,
        job: &Job<'_, B, &B::Store, P>,
        pictures: usize,
    ) -> Result<Vec<Vec<f32>>, Failure> {
        let [width, height] = self.batch.size;
        let one = |place: usize| -> Result<Vec<f32>, Failure> {
            if self.of_picture {
                let [w, h] = job.size();
                let rgb = job.rgb8(place).unwrap_or_default();
                return Ok(Picture::new(w, h, rgb)?.resize(width, height)?.to_f32());
            }
            let [h, w, z] = job.latent();
            let [pixels, _] = job.size();
            let step = pixels / w.max(1);
            let latent = job.latents().chunks_exact(h * w * z).nth(place).unwrap_or_default();
            Ok(enlarged(latent, [h, w, z], [height / step, width / step]))
        };
        (0..pictures).map(one).collect()
    }

    /// Where the second pass begins, at what [`begins`](Hires::begins) gave.
    pub fn begin<'a>(&self, values: &'a [f32]) -> Begin<'a> {
        if self.of_picture { Begin::Picture(values, None) } else { Begin::Drawn(values) }
    }
}

fn scale(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| *value > 1.0 && *value <= 8.0);
    value.ok_or_else(|| "it must be a number above 1, up to 8".to_owned())
}

fn steps(text: &str) -> Result<usize, String> {
    let value = text.parse().ok().filter(|value| (1..=1000).contains(value));
    value.ok_or_else(|| "it must be a whole number from 1 to 1000".to_owned())
}
