//! A latent diffusion model small enough for the reference.
#![allow(dead_code, reason = "each test program uses a part")]

use yuragi_graph::{DType, HostTensor, Params};
use yuragi_models::{
    Settings,
    autoencoder::{Autoencoder, Fine},
    latent_diffusion::{decode, denoise, encode, encode_text},
    latents::Latents,
    text_encoder::TextEncoder,
    unet::UNet,
};
use yuragi_numeric::fill;

/// Pictures of 16×16, latents of 4×4×2.
pub fn settings() -> Settings {
    let settings = Settings {
        size: 16,
        autoencoder: Autoencoder { latent: 2, channels: [16, 16], blocks: [1, 1], fine: Fine::default() },
        text: TextEncoder { vocabulary: 300, length: 4, width: 8, layers: 1, heads: 2 },
        unet: UNet { latent: 2, channels: [16, 16, 24], condition: 16, heads: 2 },
        latents: Latents::default(),
        weights: DType::F32,
    };
    settings.check().unwrap();
    settings
}

/// Weights of all four networks, none of them 0.
pub fn params(settings: &Settings) -> Params {
    let mut params = Params::new();
    for graph in [encode(settings, 1), decode(settings, 1), encode_text(settings, 1), denoise(settings, 1)] {
        for spec in graph.unwrap().params() {
            let mut values = vec![0.0; spec.shape.count()];
            let stream = spec.name.bytes().fold(0, |h: u32, b| h.wrapping_mul(31) + u32::from(b));
            fill::normal([8, 8], stream, 0, &mut values);
            let fan = values.len() / spec.shape.last().copied().unwrap_or(1);
            values.iter_mut().for_each(|x| *x /= (fan as f32).sqrt());
            params.insert(&spec.name, HostTensor::new(spec.shape, values).unwrap());
        }
    }
    params
}

/// Pictures with a bright disc on a dark ground.
pub fn pictures(settings: &Settings, count: usize) -> Vec<f32> {
    let size = settings.size;
    let value = |i: usize| {
        let (picture, row, column) = (i / settings.picture_len(), i / 3 / size % size, i / 3 % size);
        let away = |x: usize| (x as f32 - 5.0 - 3.0 * picture as f32).powi(2);
        if away(row) + away(column) < 16.0 { 0.8 } else { -0.3 * (i % 3) as f32 }
    };
    (0..count * settings.picture_len()).map(value).collect()
}

/// Standard normal latents.
pub fn latents(settings: &Settings, count: usize) -> Vec<f32> {
    let mut latents = vec![0.0; count * settings.latent_len()];
    fill::normal([2, 7], 0, 0, &mut latents);
    latents
}
