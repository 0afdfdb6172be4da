//! Whether extents that a file names can be built: checked before anything is allocated.

use alloc::{
    format,
    string::{String, ToString},
};
use core::ops::RangeInclusive;

use super::{Checkpoint, Clip, KlAutoencoder, UNet};
use crate::settings::Error;

const CHANNELS: RangeInclusive<usize> = 1..=1 << 14;
const FEW: RangeInclusive<usize> = 1..=64;

fn within(key: &'static str, value: usize, legal: RangeInclusive<usize>) -> Result<(), Error> {
    match legal.contains(&value) {
        true => Ok(()),
        false => illegal(key, value, format!("{} to {}", legal.start(), legal.end())),
    }
}

fn multiple(key: &'static str, value: usize, of: usize) -> Result<(), Error> {
    match value.is_multiple_of(of) {
        true => Ok(()),
        false => illegal(key, value, format!("a multiple of {of}")),
    }
}

fn illegal(key: &'static str, value: impl ToString, legal: String) -> Result<(), Error> {
    Err(Error::Illegal { key, value: value.to_string(), legal })
}

fn positive(key: &'static str, value: f32) -> Result<(), Error> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => illegal(key, value, "positive and finite".to_string()),
    }
}

impl Clip {
    /// # Errors
    /// The first extent that is outside its range or does not fit the others.
    pub fn check(&self) -> Result<(), Error> {
        within("text_encoder.vocab_size", self.vocabulary, 2..=1 << 20)?;
        within("text_encoder.max_position_embeddings", self.length, 2..=1024)?;
        within("text_encoder.hidden_size", self.width, CHANNELS)?;
        within("text_encoder.intermediate_size", self.hidden, 1..=1 << 16)?;
        within("text_encoder.num_hidden_layers", self.layers, 1..=128)?;
        within("text_encoder.num_attention_heads", self.heads, 1..=256)?;
        multiple("text_encoder.hidden_size", self.width, self.heads)?;
        within("text_encoder.projection_dim", self.projection.unwrap_or(1), CHANNELS)?;
        positive("text_encoder.layer_norm_eps", self.eps)
    }
}

impl UNet {
    /// # Errors
    /// As for [`Clip::check`].
    pub fn check(&self) -> Result<(), Error> {
        within("unet.in_channels", self.inputs, FEW)?;
        within("unet.out_channels", self.outputs, FEW)?;
        within("unet.block_out_channels", self.levels.len(), 1..=8)?;
        within("unet.norm_num_groups", self.groups, 1..=1024)?;
        within("unet.transformer_layers_per_block", self.middle, 0..=64)?;
        within("unet.cross_attention_dim", self.context, CHANNELS)?;
        within("unet.time_cond_proj_dim", self.guidance.unwrap_or(1), CHANNELS)?;
        positive("unet.norm_eps", self.eps)?;
        for level in &self.levels {
            within("unet.block_out_channels", level.channels, CHANNELS)?;
            multiple("unet.block_out_channels", level.channels, self.groups)?;
            within("unet.layers_per_block", level.layers, 1..=32)?;
            within("unet.transformer_layers_per_block", level.transformers, 0..=64)?;
            within("unet.attention_head_dim", level.heads, 1..=1024)?;
            multiple("unet.block_out_channels", level.channels, level.heads)?;
        }
        within("unet.time_embedding.linear_1", self.time, 1..=1 << 16)?;
        multiple("unet.block_out_channels", self.levels.first().map_or(0, |level| level.channels), 2)?;
        if let Some(addition) = self.addition {
            within("unet.projection_class_embeddings_input_dim", addition.pooled, CHANNELS)?;
            within("unet.projection_class_embeddings_input_dim", addition.numbers, FEW)?;
            within("unet.addition_time_embed_dim", addition.width, CHANNELS)?;
            multiple("unet.addition_time_embed_dim", addition.width, 2)?;
        }
        Ok(())
    }
}

impl KlAutoencoder {
    /// # Errors
    /// As for [`Clip::check`].
    pub fn check(&self) -> Result<(), Error> {
        within("vae.latent_channels", self.latent, FEW)?;
        within("vae.block_out_channels", self.channels.len(), 1..=8)?;
        within("vae.layers_per_block", self.layers, 1..=32)?;
        within("vae.norm_num_groups", self.groups, 1..=1024)?;
        for &channels in &self.channels {
            within("vae.block_out_channels", channels, CHANNELS)?;
            multiple("vae.block_out_channels", channels, self.groups)?;
        }
        positive("vae.scaling_factor", self.scale)?;
        if !self.shift.is_finite() {
            illegal("vae.shift_factor", self.shift, "finite".to_string())?;
        }
        if let Some((mean, deviation)) = &self.statistics {
            for values in [mean, deviation] {
                if values.len() != self.latent {
                    let legal = format!("{} numbers, one a channel", self.latent);
                    illegal("vae.latents_mean", format!("{} numbers", values.len()), legal)?;
                }
            }
            deviation.iter().try_for_each(|&value| positive("vae.latents_std", value))?;
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Whether the networks can be built and fit each other.
    ///
    /// # Errors
    /// The first extent that is outside its range or does not fit the others.
    pub fn check(&self) -> Result<(), Error> {
        self.unet.check()?;
        self.vae.check()?;
        self.text.iter().flatten().try_for_each(Clip::check)?;
        within("unet.sample_size", self.size, 8..=1 << 14)?;
        let fits = |key, have: usize, want: usize, of: &str| match have == want {
            true => Ok(()),
            false => illegal(key, have, format!("{want}, as {of}")),
        };
        if self.unet.inputs < self.vae.latent {
            fits("unet.in_channels", self.unet.inputs, self.vae.latent, "the autoencoder's latents")?;
        }
        fits("unet.out_channels", self.unet.outputs, self.vae.latent, "the autoencoder's latents")?;
        let width = self.text.iter().flatten().map(|clip| clip.width).sum();
        if width == 0 {
            return illegal("text_encoder", "absent", "one text encoder or two".to_string());
        }
        fits("unet.cross_attention_dim", self.unet.context, width, "the text encoders' width")?;
        if let (Some(addition), Some(last)) = (self.unet.addition, self.text.iter().flatten().last()) {
            let pooled = last.projection.unwrap_or(last.width);
            fits("unet.projection_class_embeddings_input_dim", addition.pooled, pooled, "the pooled text")?;
        }
        if let [Some(a), Some(b)] = &self.text {
            fits("text_encoder_2.max_position_embeddings", b.length, a.length, "the first encoder's")?;
        }
        let layers = self.text.iter().flatten().map(|clip| clip.layers).min().unwrap_or(0);
        within("text_encoder.num_hidden_layers", layers, self.depth.skipped..=128)
    }
}
