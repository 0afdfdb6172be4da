//! Which generator turns a seed into noise: this project's own, or PyTorch's, so that a seed given elsewhere means the same.

use crate::error::{Error, range};
use crate::sampler::Noise;
use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use core::str::FromStr;
use yuragi_numeric::{philox, torch};

pub use yuragi_numeric::torch::Launch;

/// The generators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rng {
    /// Noise as a pure function of (seed, stream, index), the same on every platform and backend.
    #[default]
    Yuragi,
    /// PyTorch's generator of the processor.
    TorchCpu,
    /// PyTorch's generator of a GPU, spread over so many threads.
    TorchCuda(Launch),
}

/// The names of generators, as [`FromStr`] reads them.
pub const NAMES: &str = "yuragi, torch-cpu, torch-cuda, torch-cuda:SMS, torch-cuda:SMSxTHREADS";

/// The threads that a multiprocessor holds where nothing is said: those of data-centre cards.
const RESIDENT: u32 = 2048;

impl fmt::Display for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yuragi => f.write_str("yuragi"),
            Self::TorchCpu => f.write_str("torch-cpu"),
            Self::TorchCuda(Launch::UNLIMITED) => f.write_str("torch-cuda"),
            Self::TorchCuda(launch) => write!(f, "torch-cuda:{}x{}", launch.multiprocessors(), launch.resident()),
        }
    }
}

/// Reads [`NAMES`], and `CPU`, `GPU` and `NV` as web interfaces name them.
impl FromStr for Rng {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let unknown = || Error::Name { what: "generator", got: name.into(), legal: NAMES };
        let plain = name.to_ascii_lowercase();
        Ok(match plain.as_str() {
            "yuragi" => Self::Yuragi,
            "torch-cpu" | "cpu" => Self::TorchCpu,
            "torch-cuda" | "gpu" | "nv" => Self::TorchCuda(Launch::UNLIMITED),
            other => {
                let card = other.strip_prefix("torch-cuda:").ok_or_else(unknown)?;
                let (multiprocessors, resident) = match card.split_once('x') {
                    Some((multiprocessors, resident)) => (multiprocessors, resident.parse().map_err(|_| unknown())?),
                    None => (card, RESIDENT),
                };
                let multiprocessors = multiprocessors.parse().map_err(|_| unknown())?;
                Self::TorchCuda(Launch::new(multiprocessors, resident).ok_or_else(unknown)?)
            }
        })
    }
}

/// The noise of one picture from its seed.
///
/// PyTorch's generators draw one [stream](Noise) after another, in the order in which a sampler asks for them, each as one
/// call for the whole picture, channels first; a stream that was passed begins again with the seed.
///
/// ```
/// use yuragi_diffusion::{Noise, Rng, Source};
/// let mut source = Source::new(Rng::TorchCpu, 0, 8, 4)?;
/// let mut pixel = [0.0; 4];
/// source.fill(0, 0, &mut pixel); // torch.randn(1, 4, 1, 2, generator=...)[0, :, 0, 0]
/// assert_eq!(pixel, [1.5409961, -2.1787894, -1.0845224, 0.40334684]);
/// # Ok::<(), yuragi_diffusion::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Key([u32; 2]),
    Torch(Box<Torch>),
}

#[derive(Clone, Debug)]
struct Torch {
    seed: u64,
    generator: Generator,
    channels: usize,
    /// The stream that was drawn last.
    stream: Option<u32>,
    /// Its numbers, channels first.
    drawn: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Generator {
    Cpu(Box<torch::Cpu>),
    Cuda(torch::Cuda),
}

impl Generator {
    fn new(rng: Rng, seed: u64) -> Option<Self> {
        match rng {
            Rng::Yuragi => None,
            Rng::TorchCpu => Some(Self::Cpu(Box::new(torch::Cpu::new(seed)))),
            Rng::TorchCuda(launch) => Some(Self::Cuda(torch::Cuda::new(seed, launch))),
        }
    }
}

impl Source {
    /// The noise of a picture of `len` values, which stand pixel by pixel with `channels` values each (1 for a state that
    /// stands as PyTorch's does). Afterwards nothing is allocated.
    ///
    /// # Errors
    /// Channels that do not divide the length.
    pub fn new(rng: Rng, seed: u64, len: usize, channels: usize) -> Result<Self, Error> {
        let whole = channels > 0 && len.is_multiple_of(channels);
        range("the number of channels", channels as f64, whole, "a divisor of the picture's length")?;
        Ok(Self(match Generator::new(rng, seed) {
            None => Kind::Key(philox::key(seed)),
            Some(generator) => {
                let drawn = alloc::vec![0.0; len];
                Kind::Torch(Box::new(Torch { seed, generator, channels, stream: None, drawn }))
            }
        }))
    }
}

impl Noise for Source {
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]) {
        match &mut self.0 {
            Kind::Key(key) => key.fill(stream, first, out),
            Kind::Torch(torch) => torch.fill(stream, first, out),
        }
    }
}

impl Torch {
    fn fill(&mut self, stream: u32, first: usize, out: &mut [f32]) {
        if self.stream != Some(stream) {
            if self.stream.is_some_and(|last| stream < last) {
                match &mut self.generator {
                    Generator::Cpu(generator) => generator.reseed(self.seed),
                    Generator::Cuda(generator) => generator.reseed(self.seed),
                }
            }
            match &mut self.generator {
                Generator::Cpu(generator) => generator.normal(&mut self.drawn),
                Generator::Cuda(generator) => generator.normal(&mut self.drawn),
            }
            self.stream = Some(stream);
        }
        let pixels = self.drawn.len() / self.channels;
        for (place, x) in (first..).zip(out) {
            let (pixel, channel) = (place / self.channels, place % self.channels);
            // Past the picture's end there is no noise.
            *x = if pixel < pixels { self.drawn[channel * pixels + pixel] } else { 0.0 };
        }
    }
}
