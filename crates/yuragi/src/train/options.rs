//! How a training is to go.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use yuragi_graph::{Alone, Collective};

use super::device::check_slices;
use crate::{Failure, model::Storage};

/// Epochs of the stages, and the fewest steps.
const AUTOENCODER_EPOCHS: u64 = 15;
const LEAST_AUTOENCODER_STEPS: u64 = 1_000;
const EPOCHS: u64 = 250;
const LEAST_STEPS: u64 = 2_000;

/// What to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The emoji of a colour font, captioned in English and Japanese; `None` is the installed one.
    Emoji(Option<PathBuf>),
    /// A folder of captioned pictures.
    Folder(PathBuf),
}

impl Source {
    /// The same files, whatever folder is the current one.
    pub fn absolute(self) -> Source {
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        match self {
            Source::Emoji(font) => Source::Emoji(font.map(absolute)),
            Source::Folder(path) => Source::Folder(absolute(path)),
        }
    }

    /// Composed pictures for each of the data, unless asked otherwise: emoji are one thing on white with a short name,
    /// which captions of one's own need not be.
    pub fn composed(&self) -> f64 {
        match self {
            Source::Emoji(_) => 0.25,
            Source::Folder(_) => 0.0,
        }
    }
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Source, Self::Err> {
        Ok(match text.strip_prefix("emoji") {
            Some("") => Source::Emoji(None),
            Some(font) if font.starts_with(':') => Source::Emoji(Some(font[1..].into())),
            _ => Source::Folder(text.into()),
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Emoji(None) => f.write_str("emoji"),
            Source::Emoji(Some(font)) => write!(f, "emoji:{}", font.display()),
            Source::Folder(path) => path.display().fmt(f),
        }
    }
}

/// How to train: everything that decides the resulting weights, to the last bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What to learn from.
    pub data: Source,
    /// The column of captions in a folder's lists; `None` takes the usual ones.
    pub column: Option<String>,
    /// Decides initial weights, order, noise.
    pub seed: u64,
    /// Pictures of one step of the autoencoder.
    pub autoencoder_batch: usize,
    /// Steps of the autoencoder.
    pub autoencoder_steps: u64,
    /// Peak learning rate of the autoencoder.
    pub autoencoder_rate: f64,
    /// Pictures of one step of the diffusion model.
    pub batch: usize,
    /// Slices of a batch: see [`yuragi_nn::step`].
    pub slices: usize,
    /// Steps of the diffusion model.
    pub steps: u64,
    /// Peak learning rate of the diffusion model.
    pub rate: f64,
    /// Composed pictures (recoloured, side by side, ..) for each picture of the data, from 0 to 4.
    pub compose: f64,
    /// Bits of a weight in the finished model, as [`Storage::new`] takes them.
    pub bits: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            data: Source::Emoji(None),
            column: None,
            seed: 0,
            autoencoder_batch: 16,
            autoencoder_steps: 3_000,
            autoencoder_rate: 2e-3,
            batch: 16,
            slices: 1,
            steps: 60_000,
            rate: 1.5e-3,
            compose: 0.25,
            bits: Storage::BITS,
        }
    }
}

impl Options {
    /// Steps of the two stages that suit so many pictures and so many in an epoch: as often as the built-in model met
    /// each of its own, but no fewer than any model needs and no more than the defaults.
    pub fn fitted_steps(&self, pictures: usize, epoch: usize) -> [u64; 2] {
        let steps = |epochs: u64, pictures: usize, batch: usize| epochs * pictures as u64 / batch.max(1) as u64;
        let Options { autoencoder_steps, steps: diffusion_steps, .. } = Options::default();
        [
            steps(AUTOENCODER_EPOCHS, pictures, self.autoencoder_batch)
                .clamp(LEAST_AUTOENCODER_STEPS, autoencoder_steps),
            steps(EPOCHS, epoch, self.batch).clamp(LEAST_STEPS, diffusion_steps),
        ]
    }

    /// Names and values for the header of a checkpoint.
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("train.data", self.data.to_string()),
            ("train.caption_column", self.column.clone().unwrap_or_default()),
            ("train.seed", self.seed.to_string()),
            ("train.autoencoder_batch", self.autoencoder_batch.to_string()),
            ("train.autoencoder_steps", self.autoencoder_steps.to_string()),
            ("train.autoencoder_rate", self.autoencoder_rate.to_string()),
            ("train.batch", self.batch.to_string()),
            ("train.slices", self.slices.to_string()),
            ("train.steps", self.steps.to_string()),
            ("train.rate", self.rate.to_string()),
            ("train.compose", self.compose.to_string()),
            ("train.bits", self.bits.to_string()),
        ]
    }

    /// The options that a checkpoint's header tells.
    pub fn from_pairs(pairs: &BTreeMap<String, String>) -> Result<Options, Failure> {
        fn get<T: FromStr>(pairs: &BTreeMap<String, String>, key: &str) -> Result<T, Failure> {
            let value =
                pairs.get(key).ok_or_else(|| Failure::new(format!("the checkpoint lacks the setting `{key}`")))?;
            value
                .parse()
                .map_err(|_| Failure::new(format!("the checkpoint's setting `{key}` = `{value}` is not understood")))
        }
        let options = Options {
            data: get(pairs, "train.data")?,
            column: pairs.get("train.caption_column").filter(|column| !column.is_empty()).cloned(),
            seed: get(pairs, "train.seed")?,
            autoencoder_batch: get(pairs, "train.autoencoder_batch")?,
            autoencoder_steps: get(pairs, "train.autoencoder_steps")?,
            autoencoder_rate: get(pairs, "train.autoencoder_rate")?,
            batch: get(pairs, "train.batch")?,
            // Trainings from before slices have none.
            slices: pairs.get("train.slices").map_or(Ok(1), |_| get(pairs, "train.slices"))?,
            steps: get(pairs, "train.steps")?,
            rate: get(pairs, "train.rate")?,
            compose: get(pairs, "train.compose")?,
            // Trainings from before groups have none.
            bits: pairs.get("train.bits").map_or(Ok(Storage::BITS), |_| get(pairs, "train.bits"))?,
        };
        options.checked()
    }

    /// The options, if every one is in its range.
    pub fn checked(self) -> Result<Options, Failure> {
        let range = |name: &str, value: f64, low: f64, high: f64| {
            if value.is_finite() && value >= low && value <= high {
                return Ok(());
            }
            Err(Failure::new(format!("{name} is {value}, must be from {low} to {high}")))
        };
        range("the autoencoder's batch", self.autoencoder_batch as f64, 1.0, 1024.0)?;
        range("the batch", self.batch as f64, 1.0, 1024.0)?;
        range("the autoencoder's learning rate", self.autoencoder_rate, 1e-8, 1.0)?;
        range("the learning rate", self.rate, 1e-8, 1.0)?;
        range("the share of composed pictures", self.compose, 0.0, 4.0)?;
        Storage::new(self.bits, Storage::GROUP)?;
        self.check_slices(&Alone)?;
        Ok(self)
    }
}

impl Options {
    /// Whether batches are whole slices, of which each rank has one at least.
    ///
    /// # Errors
    /// They are not: what would be.
    pub fn check_slices(&self, ranks: &dyn Collective) -> Result<(), Failure> {
        let batches = [("the batch", self.batch), ("the autoencoder's batch", self.autoencoder_batch)];
        // One that is given does not learn.
        let learned = if self.autoencoder_steps == 0 { &batches[..1] } else { &batches };
        check_slices(self.slices, learned, ranks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_fit_the_data() {
        let options = Options::default();
        assert_eq!(options.fitted_steps(3299, 5500), [3000, 60_000], "emoji");
        assert_eq!(options.fitted_steps(5, 5), [1000, 2000]);
        assert_eq!(options.fitted_steps(1600, 1600), [1500, 25_000]);
        let wide = Options { batch: 64, ..options };
        assert_eq!(wide.fitted_steps(1600, 1600), [1500, 6250]);
    }

    #[test]
    fn sources_are_written_as_they_are_read() {
        for (text, source) in [
            ("emoji", Source::Emoji(None)),
            ("emoji:/a/font.ttf", Source::Emoji(Some("/a/font.ttf".into()))),
            ("emojis", Source::Folder("emojis".into())),
            ("./emoji", Source::Folder("./emoji".into())),
        ] {
            assert_eq!(text.parse(), Ok(source.clone()));
            assert_eq!(source.to_string(), text);
        }
    }
}
