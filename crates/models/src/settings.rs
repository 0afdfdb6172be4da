//! All extents of a latent diffusion model, as they stand in a checkpoint's header.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, ops::RangeInclusive};

use yuragi_graph::{DType, Shape};

use crate::{
    autoencoder::{Autoencoder, Fine},
    latents::Latents,
    text_encoder::TextEncoder,
    unet::UNet,
};

/// A latent diffusion model's extents, and what was measured on its latents. The default is the
/// emoji model.
///
/// ```
/// use yuragi_models::Settings;
/// let settings = Settings::default();
/// let pairs = settings.to_pairs();
/// assert_eq!(Settings::from_pairs(&pairs)?, settings);
/// # Ok::<(), yuragi_models::settings::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Width and height of a picture in pixels; a multiple of 16, or of 32 where the decoder has a finer level.
    pub size: usize,
    /// The first stage.
    pub autoencoder: Autoencoder,
    /// The captions' reader.
    pub text: TextEncoder,
    /// The denoiser.
    pub unet: UNet,
    /// What was measured on the autoencoder's latents.
    pub latents: Latents,
    /// The element type in which large matrices and kernels are in memory where they only draw; steps of training have them in single
    /// precision. No part of a checkpoint's header.
    pub weights: DType,
}

impl Default for Settings {
    fn default() -> Settings {
        let latent = 4;
        Settings {
            size: 64,
            autoencoder: Autoencoder { latent, channels: [64, 96], blocks: [1, 2], fine: Fine::default() },
            text: TextEncoder { vocabulary: 3072, length: 24, width: 224, layers: 1, heads: 4 },
            unet: UNet { latent, channels: [64, 128, 256], condition: 256, heads: 4 },
            latents: Latents::default(),
            weights: DType::F32,
        }
    }
}

/// One number of the settings: its key, its legal values and its place.
type Count<'a> = (&'static str, RangeInclusive<usize>, &'a mut usize);

impl Settings {
    /// Width and height of a latent.
    pub fn latent_size(&self) -> usize {
        self.size / self.autoencoder.factor()
    }

    /// The number of elements of a latent.
    pub fn latent_len(&self) -> usize {
        self.latent_size() * self.latent_size() * self.autoencoder.latent
    }

    /// The number of elements of a picture.
    pub fn picture_len(&self) -> usize {
        self.size * self.size * 3
    }

    /// The element type of a weight of so many elements in memory.
    pub fn stored(&self, shape: &Shape) -> DType {
        if shape.rank() >= 2 && shape.count() >= Settings::LARGE { self.weights } else { DType::F32 }
    }

    /// Smaller tensors stay in single precision: they cost little and matter much.
    const LARGE: usize = 2048;

    fn counts(&mut self) -> [Count<'_>; 18] {
        const CHANNELS: RangeInclusive<usize> = 8..=4096;
        let Settings { size, autoencoder: a, text: t, unet: u, .. } = self;
        let ([half, quarter], [half_blocks, quarter_blocks]) = (&mut a.channels, &mut a.blocks);
        let [full, middle, coarse] = &mut u.channels;
        [
            ("picture.size", 16..=1024, size),
            ("autoencoder.latent", 1..=64, &mut a.latent),
            ("autoencoder.channels.half", CHANNELS, half),
            ("autoencoder.channels.quarter", CHANNELS, quarter),
            ("autoencoder.blocks.half", 0..=16, half_blocks),
            ("autoencoder.blocks.quarter", 0..=16, quarter_blocks),
            ("autoencoder.channels.fine", 0..=4096, &mut a.fine.channels),
            ("autoencoder.blocks.fine", 0..=16, &mut a.fine.blocks),
            ("text.vocabulary", 2..=1 << 20, &mut t.vocabulary),
            ("text.length", 1..=1024, &mut t.length),
            ("text.width", 1..=4096, &mut t.width),
            ("text.layers", 0..=64, &mut t.layers),
            ("text.heads", 1..=64, &mut t.heads),
            ("unet.channels.full", CHANNELS, full),
            ("unet.channels.half", CHANNELS, middle),
            ("unet.channels.quarter", CHANNELS, coarse),
            ("unet.condition", 1..=4096, &mut u.condition),
            ("unet.heads", 1..=64, &mut u.heads),
        ]
    }

    fn vectors(&mut self) -> [(&'static str, &mut Vec<f32>); 3] {
        let Latents { mean, deviation, colour } = &mut self.latents;
        [("latents.mean", mean), ("latents.deviation", deviation), ("latents.colour", colour)]
    }

    /// Keys and values for a checkpoint's header.
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut copy = self.clone();
        let mut pairs: Vec<_> = copy.counts().map(|(key, _, count)| (key.to_string(), count.to_string())).into();
        pairs.extend(copy.vectors().map(|(key, values)| {
            let values: Vec<String> = values.iter().map(f32::to_string).collect();
            (key.to_string(), values.join(","))
        }));
        pairs
    }

    /// Settings from keys and values in any order; other keys are passed over.
    ///
    /// # Errors
    /// A missing key, a value that is no number, or what [`check`](Settings::check) finds.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> Result<Settings, Error> {
        let value = |key: &'static str| -> Result<&str, Error> {
            let found = pairs.iter().find(|(k, _)| k.as_ref() == key);
            found.map(|(_, v)| v.as_ref().trim()).ok_or(Error::Missing(key))
        };
        let unread = |key, value: &str| Error::Number { key, value: value.to_string() };
        let mut settings = Settings::default();
        for (key, _, count) in settings.counts() {
            // Models from before there was such a level say nothing about it.
            let text = if key.ends_with(".fine") { value(key).unwrap_or("0") } else { value(key)? };
            *count = text.parse().map_err(|_| unread(key, text))?;
        }
        for (key, values) in settings.vectors() {
            let text = value(key)?;
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            *values = parts.map(|part| part.parse().map_err(|_| unread(key, part))).collect::<Result<_, _>>()?;
        }
        settings.unet.latent = settings.autoencoder.latent;
        settings.check()?;
        Ok(settings)
    }

    /// Whether networks of these extents can be built.
    ///
    /// # Errors
    /// The first extent that is outside its range or does not fit the others.
    pub fn check(&self) -> Result<(), Error> {
        for (key, legal, &mut count) in self.clone().counts() {
            if !legal.contains(&count) {
                let legal = format!("{} to {}", legal.start(), legal.end());
                return Err(Error::Illegal { key, value: count.to_string(), legal });
            }
        }
        let (a, t, u) = (&self.autoencoder, &self.text, &self.unet);
        for (key, count, divisor) in [
            ("picture.size", self.size, 4 * a.factor()),
            ("autoencoder.channels.half", a.channels[0], 8),
            ("autoencoder.channels.quarter", a.channels[1], 8),
            ("autoencoder.channels.fine", a.fine.channels, 8),
            ("text.width", t.width, t.heads),
            ("unet.channels.full", u.channels[0], 8),
            ("unet.channels.half", u.channels[1], 8),
            ("unet.channels.quarter", u.channels[2], 8),
            ("unet.channels.half", u.channels[1], u.heads),
            ("unet.channels.quarter", u.channels[2], u.heads),
        ] {
            if !count.is_multiple_of(divisor) {
                let legal = format!("a multiple of {divisor}");
                return Err(Error::Illegal { key, value: count.to_string(), legal });
            }
        }
        if u.latent != a.latent {
            let legal = format!("the autoencoder's, {}", a.latent);
            return Err(Error::Illegal { key: "unet.latent", value: u.latent.to_string(), legal });
        }
        let lengths = [a.latent, a.latent, 3 * (a.latent + 1)];
        for ((key, values), length) in self.clone().vectors().into_iter().zip(lengths) {
            if !values.is_empty() && values.len() != length {
                let (value, legal) = (format!("{} numbers", values.len()), format!("{length} numbers or none"));
                return Err(Error::Illegal { key, value, legal });
            }
            let positive = key == "latents.deviation";
            if let Some(bad) = values.iter().find(|v| !v.is_finite() || (positive && **v <= 0.0)) {
                let legal = if positive { "finite and positive" } else { "finite" }.to_string();
                return Err(Error::Illegal { key, value: bad.to_string(), legal });
            }
        }
        Ok(())
    }
}

/// What is wrong with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A key is missing.
    Missing(&'static str),
    /// A value is no number.
    Number {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A value is out of range.
    Illegal {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The legal values.
        legal: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Missing(key) => write!(f, "setting `{key}` is missing"),
            Error::Number { key, value } => write!(f, "setting `{key}` is {value:?}, which is no number"),
            Error::Illegal { key, value, legal } => write!(f, "setting `{key}` is {value}; legal is {legal}"),
        }
    }
}

impl core::error::Error for Error {}
