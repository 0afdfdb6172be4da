#![no_std]
#![forbid(unsafe_code)]
//! Networks built from `yuragi-nn`, and the latent diffusion model that is made of them.
//!
//! | module | holds |
//! |---|---|
//! | [`tokenizer`] | captions to ids |
//! | [`text_encoder`] | a transformer that turns a caption into features |
//! | [`autoencoder`] | pictures to small latents and back |
//! | [`classifier`] | what a picture shows, and how many of it |
//! | [`unet`] | the denoiser of latents, steered by text |
//! | [`latents`] | what is measured on latents |
//! | [`latent_diffusion`] | the three together: their training steps and their use, as graphs |
//! | [`stable_diffusion`] | the networks of Stable Diffusion checkpoints
//! | [`prompt`] | prompts as web interfaces write them: stress, changes, rows of tokens |
//! | [`generator`] | pictures from words on any backend, in slices of any size |
//! | [`likelihood`] | what a decoder says of data |
//! | [`gamma`] | the noise of a diffusion model as a monotone function of time that is learned |
//! | [`vdm`] | variational diffusion models, and their bound |
//! | [`vae`] | variational autoencoders of one or several layers of latents, and their bounds |
//!
//! No module here knows a backend.

extern crate alloc;

pub mod autoencoder;
pub mod classifier;
pub mod gamma;
pub mod generator;
pub mod latent_diffusion;
pub mod latents;
pub mod likelihood;
pub mod prompt;
pub mod settings;
pub mod stable_diffusion;
pub mod text_encoder;
pub mod tokenizer;
pub mod unet;
pub mod vae;
pub mod vdm;

pub use generator::Generator;
pub use settings::Settings;
