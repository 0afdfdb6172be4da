//! Files: pictures, data sets, checkpoints, plots and the terminal.
//!
//! Everything here reads or writes bytes that others made or will read, so nothing is trusted and nothing is left
//! half-written: sizes are limited before memory is taken, every error names the file or tensor it is about, and a file
//! appears under its name only when it is complete ([`atomic`]).
//!
//! | module | what it holds |
//! |---|---|
//! | [`picture`] | 8-bit RGB pictures: decode, resize, `[-1, 1]` tensors, contact sheets |
//! | [`png`] | PNG files with text chunks, as web interfaces read them |
//! | [`parameters`] | how a picture was made, as its text tells it |
//! | [`export`] | PNG, JPEG and WebP files that tell how they were made |
//! | [`dataset`] | pictures with captions, as a trainer sees them |
//! | [`emoji`] | the emoji of an installed colour font, captioned in English and Japanese |
//! | [`folder`] | a folder of captioned pictures |
//! | [`table`] | rows of numbers: IDX, `.npy`, `.npz` and CSV |
//! | [`problem`] | problems to anneal: models, graphs and matrices in JSON, text and binary files |
//! | [`checkpoint`] | named tensors and settings in a safetensors file |
//! | [`Vocabulary`] | the tokens and merges of a tokenizer's folder |
//! | [`gguf`] | tensors in GGUF files, in blocks of 2 to 8 bits a weight |
//! | [`lora`] | low-rank adapters, added to a model's weights |
//! | [`textual_inversion`] | words that stand for learnt vectors |
//! | [`quantize`] | storage of weights in 4 to 8 bits |
//! | [`stable_diffusion`] | checkpoints of Stable Diffusion: folders and single files |
//! | [`terminal`] | pictures in the terminal |
//! | [`plot`] | line charts |
//! | [`atomic`] | write beside, then rename |

// Without feature `all` the table above names what is not there.
#![cfg_attr(not(feature = "all"), allow(rustdoc::broken_intra_doc_links))]

pub mod atomic;
pub mod checkpoint;
#[cfg(feature = "all")]
pub mod dataset;
#[cfg(feature = "all")]
pub mod emoji;
#[cfg(feature = "all")]
pub mod export;
#[cfg(feature = "all")]
pub mod folder;
#[cfg(feature = "all")]
pub mod gguf;
mod json;
#[cfg(feature = "all")]
pub mod lora;
#[cfg(feature = "all")]
pub mod parameters;
#[cfg(feature = "all")]
pub mod picture;
#[cfg(feature = "all")]
pub mod plot;
#[cfg(feature = "all")]
pub mod png;
#[cfg(feature = "problems")]
pub mod problem;
pub mod quantize;
#[cfg(feature = "problems")]
mod read;
#[cfg(feature = "all")]
mod resample;
#[cfg(feature = "all")]
mod sequence;
#[cfg(feature = "all")]
pub mod stable_diffusion;
#[cfg(feature = "all")]
pub mod table;
#[cfg(feature = "all")]
pub mod terminal;
#[cfg(feature = "all")]
pub mod textual_inversion;
#[cfg(feature = "all")]
mod vocabulary;

pub use checkpoint::{Checkpoint, CheckpointError, DType, Tensor};
#[cfg(feature = "all")]
pub use dataset::{Caption, CaptionKind, Dataset, DatasetError, Item};
#[cfg(feature = "all")]
pub use picture::{Fit, Picture, PictureError};
#[cfg(feature = "problems")]
pub use read::ReadError;
#[cfg(feature = "all")]
pub use table::{Table, TableError};
#[cfg(feature = "all")]
pub use vocabulary::Vocabulary;

#[cfg(test)]
mod testing;
