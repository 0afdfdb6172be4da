//! The built-in model in fewer bytes, for what is sent or given away: the library for C, and the page in a browser.
//!
//! What draws pictures never encodes one, so the encoder is left out, and the decoder to larger pictures takes the place of the
//! other. Weights in 5 bits are nearer to zero than to the
//! ends of their range, so that a code has 4.5 bits of information: codes are packed by Huffman's method, all else is
//! deflated. A build packs (feature `pack`); libraries and pages [`unpack`].
//!
//! ```
//! # #[cfg(feature = "pack")] {
//! let asset = |name| std::fs::read([env!("CARGO_MANIFEST_DIR"), "/../yuragi/assets/", name].concat());
//! let (model, decoder) = (asset("emoji.safetensors")?, asset("decoder.safetensors")?);
//! let packed = yuragi_packed::pack(&model, Some(&decoder))?;
//! let drawing = yuragi_packed::unpack(&packed).ok_or("damaged")?;
//! assert!(packed.len() < 7_000_000 && packed.len() < drawing.len() && drawing.len() < model.len());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod code;
#[cfg(any(test, feature = "pack"))]
mod error;
#[cfg(any(test, feature = "pack"))]
mod model;
#[cfg(any(test, feature = "pack"))]
mod pack;
mod unpack;

pub use unpack::unpack;
#[cfg(any(test, feature = "pack"))]
pub use {error::PackError, model::pack};
