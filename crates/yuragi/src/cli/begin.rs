//! Where pictures begin, as flags say it.

use std::path::{Path, PathBuf};

use clap::Args;
use yuragi::{
    Failure,
    io::{Picture, parameters::Parameters, stable_diffusion as files},
    models::generator::Begin,
};

use super::{common::strength, hires::SCALE};

/// Where pictures begin, and how large they are.
#[derive(Args)]
pub struct BeginFlags {
    /// Width in pixels [default: the model's, or the picture's that `--image` names]
    #[arg(long)]
    width: Option<usize>,
    /// Height in pixels [default: as for the width]
    #[arg(long)]
    height: Option<usize>,
    /// A picture to begin with
    #[arg(long, value_name = "FILE", conflicts_with = "init_latents")]
    image: Option<PathBuf>,
    /// The share of the steps that are made of `--image`, 0 to 1: the higher, the less of it is left [default: 0.8, with
    /// a mask 1]
    #[arg(long, requires = "beginning", value_parser = strength)]
    strength: Option<f64>,
    /// What is drawn anew of `--image`: white, in a picture of its size
    #[arg(long, value_name = "FILE", requires = "beginning")]
    mask: Option<PathBuf>,
    /// The noise to begin with: a safetensors file with a tensor `latents` [N, channels, height, width] of unit variance
    #[arg(long, value_name = "FILE")]
    init_latents: Option<PathBuf>,
}

/// What a picture calls the files that it began with.
const IMAGE: &str = "Init image";
const MASK: &str = "Mask";
const LATENTS: &str = "Init latents";

/// A file that a picture names.
fn found(made: &Parameters, name: &str, from: &Path, flag: &str) -> Result<Option<PathBuf>, Failure> {
    let Some(told) = made.get(name).map(Path::new) else { return Ok(None) };
    let beside = from.parent().zip(told.file_name()).map(|(folder, name)| folder.join(name));
    let there = [Some(told.to_owned()), beside].into_iter().flatten().find(|path| path.is_file());
    there.map(Some).ok_or_else(|| {
        let (from, told) = (from.display(), told.display());
        Failure::new(format!("{from} was made of {told}, which is not there: name it with `{flag}`"))
    })
}

/// What the flags name, read.
pub struct Beginning {
    /// Width and height of the pictures.
    pub size: [usize; 2],
    /// The share of steps.
    pub strength: f64,
    picture: Option<Vec<f32>>,
    mask: Option<Vec<f32>>,
    latents: Vec<Vec<f32>>,
}

impl BeginFlags {
    /// Takes what the picture at `from` tells of its beginning, where nothing was asked for. Files that it names are looked
    /// for where it names them, then beside it.
    pub fn complete(&mut self, made: &Parameters, from: &Path) -> Result<(), Failure> {
        if self.image.is_none() {
            if let Some([width, height]) = made.size()? {
                self.width.get_or_insert(width);
                self.height.get_or_insert(height);
            }
            if self.init_latents.is_none() {
                self.image = found(made, IMAGE, from, "--image")?;
            }
            if self.mask.is_none() && self.image.is_some() {
                self.mask = found(made, MASK, from, "--mask")?;
            }
            if self.image.is_none() && self.init_latents.is_none() {
                self.init_latents = found(made, LATENTS, from, "--init-latents")?;
            }
        }
        // Of two passes, it is the second one's.
        let own = self.image.is_some() && made.get(SCALE).is_none();
        if let Some(strength) = made.number::<f64>("Denoising strength")?.filter(|_| own) {
            self.strength.get_or_insert(strength.clamp(0.0, 1.0));
        }
        Ok(())
    }

    /// Whether a picture is named.
    pub fn names_image(&self) -> bool {
        self.image.is_some()
    }

    /// Notes where pictures begin.
    pub fn tell(&self, made: &mut Parameters) {
        for (name, path) in [(IMAGE, &self.image), (MASK, &self.mask), (LATENTS, &self.init_latents)] {
            path.iter().for_each(|path| made.set(name, path.display()));
        }
    }

    /// Reads the files, for a model that draws pictures of `usual` size in multiples of `step`, with latents of a shape.
    pub fn read(
        &self,
        usual: [usize; 2],
        step: usize,
        latent: impl Fn([usize; 2]) -> [usize; 3],
    ) -> Result<Beginning, Failure> {
        for (flag, given) in [("--mask", self.mask.is_some()), ("--strength", self.strength.is_some())] {
            if given && self.image.is_none() {
                return Err(Failure::new(format!("`{flag}` says what is done to a picture: name it with `--image`")));
            }
        }
        let picture = self.image.as_ref().map(Picture::open).transpose()?;
        let of_picture = |side: usize| (side / step * step).max(step);
        let own = picture.as_ref().map_or(usual, |p| [p.width(), p.height()].map(of_picture));
        let size = [self.width.unwrap_or(own[0]), self.height.unwrap_or(own[1])];
        let [width, height] = size;
        let mask = match (&self.mask, &picture) {
            (Some(path), Some(picture)) => {
                let mask = Picture::open(path)?;
                let (have, want) = ([mask.width(), mask.height()], [picture.width(), picture.height()]);
                if have != want {
                    let [[w, h], [pw, ph]] = [have, want];
                    let path = path.display();
                    return Err(Failure::new(format!("{path}: the mask is {w}x{h} pixels, but the picture {pw}x{ph}")));
                }
                let grey = |rgb: &[u8]| rgb.iter().map(|v| f32::from(*v)).sum::<f32>() / (3.0 * 255.0);
                Some(mask.resize(width, height)?.rgb().chunks_exact(3).map(grey).collect())
            }
            _ => None,
        };
        let picture = picture.map(|picture| picture.resize(width, height)).transpose()?;
        let latents = match &self.init_latents {
            Some(path) => files::read_latents(path, latent(size))?,
            None => Vec::new(),
        };
        let strength = self.strength.unwrap_or(if mask.is_some() { 1.0 } else { 0.8 });
        Ok(Beginning {
            size,
            strength: if picture.is_some() { strength } else { 1.0 },
            picture: picture.map(|picture| picture.to_f32()),
            mask,
            latents,
        })
    }
}

impl Beginning {
    /// Where the picture of a number begins; of fewer latents than pictures, the last one serves the rest.
    pub fn of(&self, number: usize) -> Begin<'_> {
        match (&self.picture, self.latents.get(number).or(self.latents.last())) {
            (Some(picture), _) => Begin::Picture(picture, self.mask.as_deref()),
            (None, Some(latents)) => Begin::Latents(latents),
            (None, None) => Begin::Noise,
        }
    }

    /// Whether a picture is encoded first.
    pub fn is_picture(&self) -> bool {
        self.picture.is_some()
    }
}
