//! What a family of models gives to a generator: its networks, and how words, times and latents meet them.

use alloc::{boxed::Box, string::String, vec, vec::Vec};

use yuragi_diffusion::config::Plan;
use yuragi_graph::Graph;

use super::{error::Error, request::Sampling};

/// What networks are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Pictures; where guidance needs the network for both prompts, each counts twice.
    pub pictures: usize,
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// Parts in which the words are read, at least 1.
    pub chunks: usize,
    /// Blocks of the text encoders that are left out at the end, beyond those that the model leaves out.
    pub skip: usize,
}

/// The networks of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Words to features: any inputs, any outputs, a row for each picture.
    Text,
    /// Noisy latents to a prediction: inputs `x`, `t`, outputs of the text network by their names, and what
    /// [`Pipeline::told`] gives; for inpainting `given`.
    Denoise,
    /// Latents to pictures `[B, H, W, 3]` in −1..1.
    Decode,
    /// As [`Decode`](Network::Decode), with less memory where that can be without other bits.
    DecodeInBands,
    /// Pictures to latents, its first output.
    Encode,
    /// Latents to pictures as [`Decode`](Network::Decode) gives them, roughly and quickly, to be looked at on the way.
    Preview,
}

/// The values of one input of the text network, for one picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Words {
    /// Ids.
    I32(Vec<i32>),
    /// Numbers.
    F32(Vec<f32>),
}

impl Words {
    /// The words of all pictures, negative prompts first, input by input; missing pictures have zeros.
    pub(super) fn arranged(inputs: &[(String, usize)], words: &[[Vec<Words>; 2]], n: usize) -> Vec<Words> {
        let input = |(place, (_, count)): (usize, &(String, usize))| {
            let row = count / (2 * n).max(1);
            let is_float = words.iter().any(|both| matches!(both[0].get(place), Some(Words::F32(_))));
            let mut ids = if is_float { Vec::new() } else { vec![0; *count] };
            let mut numbers = if is_float { vec![0.0; *count] } else { Vec::new() };
            for (picture, both) in words.iter().enumerate() {
                for (half, words) in both.iter().enumerate() {
                    let start = (half * n + picture) * row;
                    match words.get(place) {
                        Some(Words::I32(from)) => {
                            ids.iter_mut().skip(start).take(row).zip(from).for_each(|(to, from)| *to = *from);
                        }
                        Some(Words::F32(from)) => {
                            numbers.iter_mut().skip(start).take(row).zip(from).for_each(|(to, from)| *to = *from);
                        }
                        None => {}
                    }
                }
            }
            if is_float { Words::F32(numbers) } else { Words::I32(ids) }
        };
        inputs.iter().enumerate().map(input).collect()
    }
}

/// Which of a picture's two prompts is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What guidance leads away from.
    Negative,
    /// What it leads to.
    Prompt,
}

/// A family of models that draw by denoising latents: networks as graphs, and what surrounds them.
pub trait Pipeline {
    /// The size of the pictures that the model was made for, width and height in pixels.
    fn size(&self) -> [usize; 2];
    /// How it draws best.
    fn sampling(&self) -> Sampling;
    /// Height, width and channels of a picture's latent.
    fn latent(&self, size: [usize; 2]) -> [usize; 3];
    /// A network for a batch.
    ///
    /// # Errors
    /// A size that the model does not draw, extents that cannot be built, or a network that the model lacks.
    fn graph(&self, network: Network, batch: Batch) -> Result<Graph, Error>;
    /// Whether it has [`Network::DecodeInBands`].
    fn has_bands(&self) -> bool {
        false
    }
    /// How many chunks a text fills.
    fn chunks(&self, text: &str) -> usize;
    /// The text network's inputs for one text, in the graph's order.
    fn read(&self, text: &str, chunks: usize) -> Vec<Words>;
    /// Changes what the text network gave for a text: the values of one picture in one output.
    fn revise(&self, _output: &str, _text: &str, _side: Side, _values: &mut [f32]) {}
    /// The values of another input of the denoiser, for one picture.
    fn told(&self, _input: &str, _side: Side, _size: [usize; 2], _guidance: f32) -> Option<Vec<f32>> {
        None
    }
    /// Whether the denoiser was taught to follow guidance by itself: it then runs once a step.
    fn guides_itself(&self) -> bool {
        false
    }
    /// The noise levels that a sampler visits, the sampler, and what the denoiser predicts.
    ///
    /// # Errors
    /// What the schedule or the sampler refuses.
    fn plan(&self, sampling: &Sampling) -> Result<Plan, Error>;
    /// Colours `[h, w, 3]` in 0..1 of an estimated latent, for a preview; `None` where nothing is known of them.
    fn colours(&self, latent: &[f32]) -> Option<Vec<f32>>;
}

/// What points to a pipeline is one.
macro_rules! delegate {
    ($($kind:ty),+) => {$(
        impl<P: Pipeline + ?Sized> Pipeline for $kind {
            fn size(&self) -> [usize; 2] {
                (**self).size()
            }

            fn sampling(&self) -> Sampling {
                (**self).sampling()
            }

            fn latent(&self, size: [usize; 2]) -> [usize; 3] {
                (**self).latent(size)
            }

            fn graph(&self, network: Network, batch: Batch) -> Result<Graph, Error> {
                (**self).graph(network, batch)
            }

            fn has_bands(&self) -> bool {
                (**self).has_bands()
            }

            fn chunks(&self, text: &str) -> usize {
                (**self).chunks(text)
            }

            fn read(&self, text: &str, chunks: usize) -> Vec<Words> {
                (**self).read(text, chunks)
            }

            fn revise(&self, output: &str, text: &str, side: Side, values: &mut [f32]) {
                (**self).revise(output, text, side, values);
            }

            fn told(&self, input: &str, side: Side, size: [usize; 2], guidance: f32) -> Option<Vec<f32>> {
                (**self).told(input, side, size, guidance)
            }

            fn guides_itself(&self) -> bool {
                (**self).guides_itself()
            }

            fn plan(&self, sampling: &Sampling) -> Result<Plan, Error> {
                (**self).plan(sampling)
            }

            fn colours(&self, latent: &[f32]) -> Option<Vec<f32>> {
                (**self).colours(latent)
            }
        }
    )+};
}

delegate!(Box<P>, &P);
